"""Lines of a text file, the same wherever a file is read."""

from __future__ import annotations

import re
from pathlib import Path

from dlnotes.data.download import read_bytes

_ENDS = re.compile(r"\r\n|\n|\r")


def split_lines(text: str) -> list[str]:
    r"""The lines of a text; a line ends at ``\n``, ``\r\n`` or ``\r`` and at nothing else.

    `str.splitlines` also cuts at U+2028, U+0085, form feeds and five more, which stand inside of texts.

    >>> split_lines("a\u2028b\r\nc\n")
    ['a\u2028b', 'c']
    """
    lines = _ENDS.split(text)
    return lines if lines[-1] else lines[:-1]


def read_lines(path: str | Path) -> list[str]:
    """The lines of a UTF-8 file, with or without a byte order mark, decompressed if it ends in ``.gz``.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: naming the file and the line, when it is not UTF-8 text.
    """
    data = read_bytes(path)
    try:
        return split_lines(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise ValueError(f"{path}: not UTF-8 text but UTF-16, save it as UTF-8") from None
        line = len(_ENDS.split(data[: error.start].decode("utf-8", "replace")))
        raise ValueError(f"{path}: line {line}: not UTF-8 text ({error.reason})") from None
