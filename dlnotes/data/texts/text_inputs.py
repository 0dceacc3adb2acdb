"""New texts and sentences for a trained model, in the form of its training data or as plain lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dlnotes.data import parquet
from dlnotes.data.assemble import length_mask, pad
from dlnotes.data.dataset import Dataset
from dlnotes.data.lines import read_lines
from dlnotes.data.own_files import reading_of
from dlnotes.data.texts.labeled_texts import LabeledTexts, read_labeled_texts
from dlnotes.data.texts.labeled_words import Sentence, cells_of, columns_of, read_labeled_words
from dlnotes.data.texts.text_classes import cut
from dlnotes.data.texts.words import known_symbols, normalized, split_text, split_words

_TABLES = (".csv", ".tsv", ".tab", ".parquet")


class TextInputs(NamedTuple):
    """What a file holds, as symbol numbers.

    Attributes:
      x: ``(n, length)`` symbol numbers.
      mask: of the real ones.
      rows: what each example is called.
      y: ``(n,)`` classes or ``(n, length)`` labels, where they were asked for.
      words: of each sentence as they are written, of labeled words.
    """

    x: np.ndarray
    mask: np.ndarray
    rows: tuple[str, ...]
    y: np.ndarray | None
    words: tuple[tuple[str, ...], ...]


def read_text_inputs(path: Path, dataset: Dataset, with_targets: bool) -> TextInputs:
    """Texts with a class each, or sentences with a label for each word, encoded like those of ``dataset``.

    Raises:
      ValueError: naming file and line.
    """
    if reading_of(dataset)["form"] == "labeled_words":
        return _sentences(path, dataset, with_targets)
    return _texts(path, dataset, with_targets)


def _texts(path: Path, dataset: Dataset, with_targets: bool) -> TextInputs:
    reading = reading_of(dataset)
    found = _read_texts(path, dataset, with_targets)
    known = known_symbols(dataset.symbols, lower=reading["lower"])
    codes = []
    for row, text in zip(found.rows, found.texts):
        code = known.numbers(split_text(text, reading["tokens"], lower=reading["lower"]))
        if not code:
            raise ValueError(f"{path}: {row} is empty, a text is needed")
        codes.append(code)
    x = pad(cut(codes, reading["max_length"], reading["tokens"], str(path)))
    mask = length_mask([min(len(code), x.shape[1]) for code in codes], x.shape[1])
    y = None
    if with_targets:
        y = np.array([_class(path, row, c, dataset) for row, c in zip(found.rows, found.labels)])
    return TextInputs(x, mask, tuple(found.rows), y, ())


def _read_texts(path: Path, dataset: Dataset, with_targets: bool) -> LabeledTexts:
    """A table or folder as in training; of other files each line is a text, its class behind a tab."""
    reading = reading_of(dataset)
    columns: dict[str, Any] = {name: reading[name] for name in ("text", "label", "delimiter")}
    ending = path.name.lower().removesuffix(".gz")
    if path.is_dir() or parquet.is_parquet(path) or ending.endswith(_TABLES):
        if not ending.endswith(reading["ending"] or ending):
            columns["delimiter"] = None  # of another kind of table than that of the training data
        return read_labeled_texts(path, **columns, with_labels=with_targets)
    lines = read_lines(path)
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise ValueError(f"{path}: the file is empty, one text a line is needed")
    by_number = isinstance(reading["text"], int) and isinstance(reading["label"], int)
    if by_number and all("\t" in line for line in lines if line.strip()):
        columns["delimiter"] = "\t"
        return read_labeled_texts(path, **columns, with_labels=with_targets)
    texts, labels, rows = [], [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise ValueError(f"{path}: line {number} is empty, one text a line is needed")
        text, _, label = line.rpartition("\t") if "\t" in line and with_targets else (line, "", "")
        if with_targets and not (text.strip() and label.strip()):
            raise ValueError(f"{path}: line {number}: the class after a tab is missing")
        texts.append(text)
        labels.append(label.strip())
        rows.append(f"line {number}")
    return LabeledTexts(texts, labels, rows, [path])


def _class(path: Path, row: str, name: str, dataset: Dataset) -> int:
    if name not in dataset.classes:
        known = ", ".join(dataset.classes[:20]) + (" …" if len(dataset.classes) > 20 else "")
        raise ValueError(f"{path}: {row}: class {name!r} is unknown, {dataset.name} has {known}")
    return dataset.classes.index(name)


def _sentences(path: Path, dataset: Dataset, with_targets: bool) -> TextInputs:
    reading = reading_of(dataset)
    if path.is_dir():
        raise ValueError(f"{path}: is a folder, {dataset.name} is read from a file")
    found = _read_sentences(path, dataset, with_targets)
    known = known_symbols(dataset.symbols, lower=reading["lower"])
    codes = [known.numbers(normalized(word) for word in s.words) for s in found]
    x = pad(codes)
    y = None
    if with_targets:
        numbered = [
            [_class(path, f"line {s.line + i}", c, dataset) for i, c in enumerate(s.labels)] for s in found
        ]
        y = pad(numbered, x.shape[1], value=-1)
    return TextInputs(
        x,
        length_mask([len(code) for code in codes], x.shape[1]),
        tuple(f"line {s.line}" for s in found),
        y,
        tuple(tuple(s.words) for s in found),
    )


def _read_sentences(path: Path, dataset: Dataset, with_targets: bool) -> list[Sentence]:
    """Columns, as in training or of words alone; to be predicted also plain text, a sentence a line."""
    reading = reading_of(dataset)
    options = {"word": reading["word"], "label": reading["label"]}
    if with_targets or not _is_plain(path, dataset):
        return read_labeled_words(path, **options, with_labels=with_targets)
    lines = enumerate(read_lines(path), 1)
    found = [Sentence(split_words(line), [], number) for number, line in lines if line.strip()]
    if not found:
        raise ValueError(f"{path}: the file is empty, a sentence a line is needed")
    return found


def _is_plain(path: Path, dataset: Dataset) -> bool:
    """Whether a file holds a sentence a line.

    It does where the lines have different numbers of words, or as many columns as in no file of labels: one
    line is one word each in a file of words, and in one of columns the label's column holds known labels.
    """
    lines = [line for line in read_lines(path) if line.strip()]
    count, tabs = columns_of(lines)
    if tabs:
        return False
    rows = [cells_of(line, False) for line in lines if not line.lstrip().startswith(("#", "-DOC"))]
    if count < 2 or any(len(cells) != count for cells in rows):
        return any(len(cells) > 1 for cells in rows)
    label = reading_of(dataset)["label"]
    if not -count <= label <= count:
        return True
    marks = {cells[label - 1 if label > 0 else label] for cells in rows}
    return not marks <= {*dataset.classes, "_", "-", "?"}
