"""New lines of text for a trained model: symbols, pairs of texts, trees, one example a line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dlnotes.data.assemble import length_mask, pad
from dlnotes.data.dataset import Dataset, Pair, are_characters, is_special
from dlnotes.data.lines import read_lines
from dlnotes.data.own_files import reading_of
from dlnotes.data.texts.number_words import shift_right
from dlnotes.data.texts.text_pairs import numbered_pairs

UNKNOWN = "<unk>"


class LineInputs(NamedTuple):
    """What the lines of a file hold.

    Attributes:
      x: symbol numbers, `Pair` or `Trees`.
      lines: the number of each example's line, from 1.
      mask: of the real positions.
      y: the targets, where they are numbers already.
      names: the classes as they are written, where they are not.
    """

    x: Any
    lines: list[int]
    mask: np.ndarray
    y: np.ndarray | None = None
    names: list[str] | None = None


def read_line_inputs(path: Path, dataset: Dataset, with_targets: bool) -> LineInputs:
    """The examples of a text file, checked against and encoded like those of ``dataset``.

    Raises:
      ValueError: naming file and line.
    """
    if dataset.input == "pair":
        return _pairs(path, dataset, with_targets)
    numbered = _numbered(path, dataset)
    if dataset.input == "tokens" and dataset.task == "tokens" and dataset.classes == dataset.symbols:
        return _own_targets(path, numbered, dataset, with_targets)
    inside = dataset.notation == "classes"  # the classes of trees stand in their brackets
    lefts, names = [], []
    for number, line in numbered:
        left, tab, right = line.partition("\t")
        if with_targets and not inside and not (tab and right.strip()):
            raise ValueError(f"{path}: line {number}: the target after a tab is missing")
        lefts.append((number, left))
        names.append(right.strip())
    lines = [number for number, _ in lefts]
    y = None
    if dataset.input == "tree":
        from dlnotes.data.trees.tree_inputs import tree_lines

        x, mask, y = tree_lines(path, lefts, dataset, with_targets)
    else:
        codes = [encode_symbols(line, dataset.symbols, path=path, line=number) for number, line in lefts]
        x = pad(codes)
        mask = length_mask([len(code) for code in codes], x.shape[1])
    if with_targets and y is None and dataset.task != "classification":
        raise ValueError(f"{path}: {dataset.name} is evaluated from .npz, with x and y")
    return LineInputs(x, lines, mask, y, names if with_targets and y is None else None)


def _numbered(path: Path, dataset: Dataset) -> list[tuple[int, str]]:
    """The lines with their numbers, without empty ones at the end and those that training leaves out."""
    lines = read_lines(path)
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise ValueError(f"{path}: the file is empty, one example a line is needed")
    numbered = list(enumerate(lines, 1))
    if reading_of(dataset).get("form") in ("trees", "text"):
        return [(number, line) for number, line in numbered if line.strip()]
    for number, line in numbered:
        if not line.strip():
            raise ValueError(f"{path}: line {number} is empty, one example a line is needed")
    return numbered


def _own_targets(
    path: Path, numbered: list[tuple[int, str]], dataset: Dataset, with_targets: bool
) -> LineInputs:
    """Lines of a language model: each symbol is the target of the one before."""
    codes = [encode_symbols(line, dataset.symbols, path=path, line=number) for number, line in numbered]
    lines = [number for number, _ in numbered]
    if not with_targets:
        x = pad(codes)
        return LineInputs(x, lines, length_mask([len(code) for code in codes], x.shape[1]))
    if reading_of(dataset).get("form") == "text":  # lines of a whole text, where a single symbol may stand
        kept = [i for i, code in enumerate(codes) if len(code) > 1]
        codes, lines = [codes[i] for i in kept], [lines[i] for i in kept]
        if not codes:
            raise ValueError(f"{path}: no line has two symbols, which are needed to predict the second")
    for number, code in zip(lines, codes):
        if len(code) < 2:
            raise ValueError(f"{path}: line {number}: two symbols are needed, to predict the second")
    y = pad([code[1:] for code in codes], value=-1)
    return LineInputs(pad([code[:-1] for code in codes]), lines, y >= 0, y)


def _pairs(path: Path, dataset: Dataset, with_targets: bool) -> LineInputs:
    """Sources, and with targets their translations, in the columns that the training data have them in."""
    reading = reading_of(dataset)
    columns: Mapping[str, Any] = {name: reading[name] for name in ("source", "target") if name in reading}
    found = numbered_pairs(path, **columns, with_targets=with_targets)
    words = reading["tokens"] == "words" if "tokens" in reading else None
    sources = [
        encode_symbols(source, dataset.symbols, path=path, line=line, words=words)
        for line, source, _ in found
    ]
    source = pad(sources)
    mask = length_mask([len(code) for code in sources], source.shape[1])
    lines = [line for line, _, _ in found]
    if not with_targets:
        begin = np.full((len(found), 1), len(dataset.classes), np.int32)
        return LineInputs(Pair(source, begin), lines, mask)
    end = dataset.classes.index("<end>")
    answers = [
        [*encode_symbols(answer, dataset.classes, path=path, line=line, words=words), end]
        for line, _, answer in found
    ]
    y = pad(answers, value=-1)
    return LineInputs(Pair(source, shift_right(y, len(dataset.classes))), lines, mask, y)


def encode_symbols(
    string: str, symbols: tuple[str, ...], *, path: str | Path, line: int, words: bool | None = None
) -> list[int]:
    """Symbol numbers of one line: characters, or words between spaces where some symbols are longer.

    A symbol that is not among ``symbols`` becomes ``<unk>`` where the data set has it, as in training; else
    it is taken in lower case.

    Args:
      string: the line.
      symbols: of the data set.
      path, line: for messages.
      words: whether symbols are words; by default that is told from ``symbols``.

    Raises:
      ValueError: naming line and symbol when one is unknown.
    """
    index = {symbol: i for i, symbol in enumerate(symbols)}
    special = [s for s in symbols if is_special(s)]
    words = not are_characters(symbols) if words is None else words
    if words:
        parts = string.split()
    elif " " in index or UNKNOWN in index:
        parts = list(string)
    else:
        parts = list("".join(string.split()))
    codes = []
    for part in parts:
        code = index.get(part, index.get(UNKNOWN, index.get(part.lower())))
        if code is None or part in special:
            known = " ".join(s for s in symbols if s not in special)
            raise ValueError(f"{path}: line {line}: unknown symbol {part!r}, known are: {known}")
        codes.append(code)
    return codes
