"""Files of labeled words: a word a line with its label in another column, a blank line between sentences."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from dlnotes.data.lines import read_lines

_RANGE = re.compile(r"\d+[-.]\d+")
"""What begins the lines of CoNLL-U that are no words: "4-5" of a contraction, "8.1" of an omitted word."""


class Sentence(NamedTuple):
    """The words of a sentence.

    Attributes:
      words: as they are written.
      labels: of each; empty where they were not asked for.
      line: of the file on which it begins, from 1.
    """

    words: list[str]
    labels: list[str]
    line: int


def cells_of(line: str, tabs: bool) -> list[str]:
    """The columns of a line: between tabs, or between any number of spaces.

    >>> cells_of("EU NNP  B-ORG", tabs=False), cells_of("New York\\tB-LOC", tabs=True)
    (['EU', 'NNP', 'B-ORG'], ['New York', 'B-LOC'])
    """
    return [cell.strip() for cell in line.split("\t")] if tabs else re.split(r" +", line.strip())


def columns_of(lines: list[str]) -> tuple[int, bool]:
    """How many columns the lines with words have (0 where there are none), and whether tabs divide them.

    The first such line decides both.
    """
    for line in lines:
        if line.strip() and not _is_between(line):
            return len(cells_of(line, "\t" in line)), "\t" in line
    return 0, False


def _is_between(line: str) -> bool:
    """Whether a line stands between sentences: blank, a mark of documents, a comment such as "# id = 3"."""
    return not line.strip() or line.lstrip().startswith(("-DOCSTART-", "# "))


def read_labeled_words(
    path: str | Path, *, word: int = 1, label: int = -1, with_labels: bool = True
) -> list[Sentence]:
    """The sentences of a file in columns, as CoNLL files and their relatives have them.

    Columns stand between tabs or spaces; every line has as many. Lines that begin with ``-DOCSTART-``, and
    comments, are no words; in the ten columns of CoNLL-U neither are contractions and omitted words.

    Args:
      path: the file, UTF-8, ``.gz`` or not.
      word, label: columns, from 1, or from the last with -1.
      with_labels: whether labels are needed; without, a file may also have the words only.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: naming file and line, when it cannot be used.
    """
    for name, column in (("word", word), ("label", label)):
        if column == 0:
            raise ValueError(f"{name}: got 0, allowed is a column's number from 1, or from the last with -1")
    lines = read_lines(path)
    count, tabs = columns_of(lines)
    if not count:
        raise ValueError(f"{path}: holds no words")
    alone = not with_labels and count == 1
    at = 0 if alone else _place(path, "word", word, count)
    labels = _place(path, "label", label, count) if with_labels else at
    if with_labels and at == labels:
        raise ValueError(
            f"{path}: word, label: are both column {at + 1} of {count}; a word, then its label in another "
            "column are needed"
        )
    found: list[Sentence] = []
    words: list[str] = []
    of_words: list[str] = []
    begin = 0

    def close() -> None:
        if words:
            found.append(Sentence(words.copy(), of_words.copy() if with_labels else [], begin))
        words.clear()
        of_words.clear()

    for number, line in enumerate(lines, 1):
        if not line.strip():
            close()
            continue
        cells = cells_of(line, tabs)
        if len(cells) != count:
            if _is_between(line):
                close()
                continue
            raise ValueError(
                f"{path}: line {number}: {len(cells)} columns where the first line has {count} (between "
                f"{'tabs' if tabs else 'spaces'}; a blank line ends a sentence)"
            )
        if cells[0].startswith("-DOCSTART-"):
            close()
            continue
        if count == 10 and _RANGE.fullmatch(cells[0]):
            continue
        for name, place in (("word", at), ("label", labels)):
            if not cells[place]:
                raise ValueError(f"{path}: line {number}: the {name} in column {place + 1} is empty")
        begin = begin if words else number
        words.append(cells[at])
        of_words.append(cells[labels])
    close()
    if not found:
        raise ValueError(f"{path}: holds no words")
    return found


def _place(path: str | Path, name: str, column: int, count: int) -> int:
    if not -count <= column <= count:
        raise ValueError(f"{name}: got column {column}, {path} has {count}")
    return column - 1 if column > 0 else count + column
