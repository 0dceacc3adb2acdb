"""Standard output and error as they are: pipes and terminals that cannot write every sign."""

from __future__ import annotations

import codecs
import os
import re
import sys
from typing import Any, TextIO

_PLAIN = {
    **dict.fromkeys("–—−‐‑‒―", "-"),
    **dict.fromkeys("‘’‚′", "'"),
    **dict.fromkeys("“”„″", '"'),
    **dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")),
    "×": "x",
    "…": "...",
    "·": ".",
    "•": "*",
    "→": "->",
    "←": "<-",
    "≤": "<=",
    "≥": ">=",
    "≈": "~",
    "±": "+-",
    "∞": "inf",
    "√": "sqrt",
    "\u00a0": " ",
    "━": "-",
    "─": "-",
    "│": "|",
}
"""What stands for a sign where it cannot be written; for any other sign it is a question mark."""


def _written_plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    """An error handler of codecs: one sign after another by one that can be written."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    if "\udc80" <= sign <= "\udcff" and not error.encoding.lower().startswith(("utf-16", "utf-32")):
        return bytes([ord(sign) - 0xDC00]), error.start + 1  # of a file's name that is no text: as it was
    return _PLAIN.get(sign, "?"), error.start + 1


def write_plainly() -> None:
    """Let nothing that is printed fail for the sake of a sign that its stream cannot write.

    What the user chose by ``PYTHONIOENCODING`` stays: the encoding, and a way to treat errors.
    """
    codecs.register_error("dlnotes.plain", _written_plainly)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by who started this process
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif getattr(stream, "errors", None) in ("strict", "surrogateescape", "backslashreplace"):
            stream.reconfigure(errors="dlnotes.plain")


_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def on_terminal(text: str, stream: TextIO) -> str:
    """A text as it may be written to a stream: on a terminal its control characters are spelled out.

    A stranger's file may hold some that move the cursor, hide text or set the window's title.
    """
    if not stream.isatty():
        return text
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def out(text: str, end: str = "\n") -> None:
    """Print a result."""
    print(on_terminal(text, sys.stdout), end=end, flush=True)


class Steady:
    """A stream whose reader may go away (a terminal that is closed): what is written then is lost, no error.

    Args:
      stream: the text stream.
    """

    def __init__(self, stream: TextIO):
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write what can be written."""
        try:
            return self.stream.write(text)
        except (OSError, ValueError):
            return len(text)

    def flush(self) -> None:
        """Flush if anybody is there."""
        try:
            self.stream.flush()
        except (OSError, ValueError):
            return
