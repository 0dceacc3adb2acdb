"""Texts with a class each: a person's own, or the sentences of the installed documentation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dlnotes.data.assemble import Parts, assemble, length_mask, pad
from dlnotes.data.dataset import Dataset
from dlnotes.data.download import sha256
from dlnotes.data.own_files import read_as
from dlnotes.data.split import split_of_file
from dlnotes.data.texts.docstrings import LIBRARIES, sentences
from dlnotes.data.texts.labeled_texts import Column, LabeledTexts, read_labeled_texts
from dlnotes.data.texts.words import Tokens, Vocabulary, split_text, vocabulary

MOST_CLASSES = 1000
"""More different labels are no classes."""

MUCH = 0.3
"""A share of unknown symbols that is said."""


class Part(NamedTuple):
    """A file or folder of texts, as one part or to be divided.

    Attributes:
      path: where they are from, for messages.
      read: what it holds.
    """

    path: str
    read: LabeledTexts


def text_classes(
    path: str | Path | None = None,
    *,
    text: Column = "text",
    label: Column = "label",
    delimiter: str | None = None,
    validation_path: str | Path | None = None,
    test_path: str | Path | None = None,
    tokens: Tokens = "words",
    lower: bool = True,
    min_count: int = 2,
    vocabulary_size: int = 20_000,
    max_length: int = 400,
    drop_empty: bool = False,
    limit: int = 2000,
    validation: float | int | None = None,
    test: float | int | None = None,
    seed: int = 0,
) -> Dataset:
    """Your own texts with a class each: a table with a column of texts and one of labels, or a folder.

    Input "tokens" ``(n, length)`` with mask, task "classification". Symbol 0 is padding, 1 is ``<unk>``: what
    the vocabulary does not know, which is that of the training part. A text that stands on several rows is
    in one part only.

    Args:
      path: ``.csv``, ``.tsv``, Parquet, or a folder with a sub-folder of ``.txt`` files for each class (see
        `dlnotes.data.texts.labeled_texts`); without one, sentences of the documentation of the installed
        libraries, whose class is the library (see `dlnotes.data.texts.docstrings`).
      text, label: the columns, by name, or by number from 1 in a file without names.
      delimiter: between cells; by default a comma in ``.csv`` files and a tab in others.
      validation_path, test_path: files or folders of the same form that are the validation and test part.
      tokens: "words", and the signs between them, or "characters".
      lower: whether capitals are taken as small letters.
      min_count: how often a symbol must be in the training part to be known.
      vocabulary_size: the largest number of known symbols; the most frequent ones are kept.
      max_length: symbols of a text; what comes after is cut, which is said.
      drop_empty: leave rows with an empty text or label out instead of refusing them.
      limit: without a path, the most sentences of each library.
      validation: share or number of the texts of ``path`` for validation, 0.1 if not given.
      test: the same for the test part, 0.2 if not given.
      seed: of the split.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: when it cannot be used; the message has the file and the line.

    Example:
      >>> made = text_classes(limit=20, tokens="characters", max_length=1000)
      >>> made.classes
      ('jax', 'matplotlib', 'numpy', 'scipy', 'sklearn')
    """
    check_options(tokens, min_count, vocabulary_size, max_length)
    for name, share, of in (("validation", validation, validation_path), ("test", test, test_path)):
        if of is not None and share is not None:
            raise ValueError(f"{name}: got {share}, but that part is {name}_path = {str(of)!r}")
    columns: dict[str, Any] = {"text": text, "label": label, "delimiter": delimiter}
    if path is None:
        if validation_path is not None or test_path is not None:
            raise ValueError("validation_path, test_path: got one without a path of training texts")
        found, digest = sentences(limit)
        rows = [f"sentence {i}" for i in range(len(found))]
        where = "the documentation of " + ", ".join(LIBRARIES)
        first = Part(where, LabeledTexts([t for t, _ in found], [c for _, c in found], rows, []))
        sources, more = {where: digest}, {}
    else:
        paths = {"validation": validation_path, "test": test_path}
        first = Part(str(path), read_labeled_texts(path, **columns, drop_empty=drop_empty))
        more = {
            name: Part(str(other), read_labeled_texts(other, **columns, drop_empty=drop_empty))
            for name, other in paths.items()
            if other is not None
        }
        sources = {str(f): sha256(f) for part in (first, *more.values()) for f in part.read.files}
    classes = _classes(first, more, label)
    index = {name: i for i, name in enumerate(classes)}
    parts = _divide(
        first,
        more,
        index,
        validation=0.0 if "validation" in more else 0.1 if validation is None else validation,
        test=0.0 if "test" in more else 0.2 if test is None else test,
        seed=seed,
    )
    every = [first, *more.values()]
    words = [split_text(t, tokens, lower=lower) for part in every for t in part.read.texts]
    labels = [c for part in every for c in part.read.labels]
    _check_symbols(every, words)
    known = vocabulary((words[i] for i in parts[0]), min_count=min_count, most=vocabulary_size, lower=lower)
    if len(known.symbols) == 2:
        raise ValueError(
            f"{first.path}: min_count: got {min_count}, none of the {tokens} of the training part is there "
            "so often"
        )
    codes = cut([known.numbers(text) for text in words], max_length, tokens, first.path)
    x = pad(codes)
    made = assemble(
        "text_classes" if path is None else Path(path).name.partition(".")[0],
        x,
        np.array([index[c] for c in labels]),
        parts,
        input="tokens",
        task="classification",
        outputs=len(classes),
        mask=length_mask([len(code) for code in codes], x.shape[1]),
        classes=classes,
        symbols=known.symbols,
        sources=sources,
        records={
            "vocabulary.txt": listed(known),
            "coverage.txt": coverage(codes, parts, known, tokens, first.path),
        },
    )
    ending = "" if path is None else Path(Path(path).name.removesuffix(".gz")).suffix.lower()
    how = {"tokens": tokens, "lower": lower, "max_length": max_length, "ending": ending}
    return read_as(made, form="texts", **columns, **how)


def check_options(tokens: str, min_count: int, vocabulary_size: int, max_length: int) -> None:
    """Refuses options that no data set can have."""
    if tokens not in ("words", "characters"):
        raise ValueError(f"tokens: got {tokens!r}, allowed are words, characters")
    sizes = (("min_count", min_count), ("vocabulary_size", vocabulary_size), ("max_length", max_length))
    for name, value in sizes:
        if value < 1:
            raise ValueError(f"{name}: got {value}, allowed is at least 1")


def listed(known: Vocabulary) -> str:
    """The symbols in the order of their numbers, one a line, for the run's folder."""
    return "".join(f"{symbol}\n" for symbol in known.symbols)


def cut(codes: list[list[int]], longest: int, unit: str, path: str) -> list[list[int]]:
    """The symbols up to a length; how many texts lose some is said."""
    long = sum(len(code) > longest for code in codes)
    if long:
        most = max(map(len, codes))
        warnings.warn(
            f"{path}: {long:,} of {len(codes):,} texts have more than {longest} {unit} (up to {most:,}), "
            f"the first {longest} are used (max_length = {most} takes all)",
            stacklevel=3,
        )
    return [code[:longest] for code in codes]


def coverage(codes: Sequence[Sequence[int]], parts: Parts, known: Vocabulary, unit: str, path: str) -> str:
    """How much of each part the vocabulary knows, in words for the run's folder; a low share is said."""
    n = len(known.symbols) - known.first
    lines = [f"known {unit}: {n:,}, from the training part"]
    warned = False
    for name, rows in zip(("training", "validation", "test"), parts):
        total = sum(len(codes[i]) for i in rows)
        lost = sum(number < known.first for i in rows for number in codes[i])
        if not total:
            continue
        lines.append(f"{name}: {total:,} {unit} in {len(rows):,} texts, {lost / total:.1%} of them unknown")
        if name != "training" and lost > MUCH * total and not warned:
            warned = True
            warnings.warn(
                f"{path}: {lost / total:.0%} of the {unit} of the {name} part are unknown: not among the "
                f"{n:,} that the training part has at least min_count times",
                stacklevel=3,
            )
    return "".join(f"{line}\n" for line in lines)


def _classes(first: Part, more: dict[str, Part], label: Column) -> tuple[str, ...]:
    """The classes of the training file, numbers in their order; those of other parts must be among them."""
    named = first.read.labels
    names = sorted(set(named), key=_order)
    if len(names) == 1:
        raise ValueError(
            f"{first.path}: every text has the label {names[0]!r}, two classes or more are needed"
        )
    if len(names) > MOST_CLASSES or (len(names) > 20 and 2 * len(names) > len(named)):
        raise ValueError(
            f"{first.path}: label {label!r} holds {len(names)} different texts in {len(named)} rows, "
            f"at most {MOST_CLASSES} (and half as many as rows) are classes"
        )
    known = set(names)
    for name, part in more.items():
        for row, own in zip(part.read.rows, part.read.labels):
            if own not in known:
                raise ValueError(
                    f"{part.path}: {row}: label {own!r} is in the {name} part only, {first.path} has "
                    f"{', '.join(names[:20])}{' …' if len(names) > 20 else ''}"
                )
    return tuple(names)


def _order(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name


def _divide(
    first: Part, more: dict[str, Part], index: dict[str, int], *, validation: Any, test: Any, seed: int
) -> Parts:
    """Rows of the parts: equal texts stay together, and each class is divided evenly."""
    different: dict[str, int] = {}
    of = np.array([different.setdefault(text, len(different)) for text in first.read.texts])
    where = np.unique(of, return_index=True)[1]
    labels = np.array([index[c] for c in first.read.labels])[where]
    names = np.array(list(index))
    divided = split_of_file(
        first.path,
        len(where),
        names[labels],
        lambda i: first.read.rows[where[i]],
        validation=validation,
        test=test,
        seed=seed,
    )
    rows = [np.flatnonzero(np.isin(of, part)) for part in divided]
    place = len(of)
    for name, part in more.items():
        rows[1 if name == "validation" else 2] = np.arange(place, place + len(part.read.texts))
        place += len(part.read.texts)
    return rows[0], rows[1], rows[2]


def _check_symbols(every: Sequence[Part], words: Sequence[Sequence[str]]) -> None:
    rows = [(part.path, row) for part in every for row in part.read.rows]
    for (path, row), text in zip(rows, words):
        if not text:
            raise ValueError(f"{path}: {row}: the text has no symbol")
