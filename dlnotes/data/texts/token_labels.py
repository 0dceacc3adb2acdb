"""Sentences with a label for each word: a person's own, or code in the installed documentation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from dlnotes.data.assemble import Parts, assemble, length_mask, pad
from dlnotes.data.dataset import Dataset
from dlnotes.data.download import sha256
from dlnotes.data.own_files import read_as
from dlnotes.data.split import split_indices
from dlnotes.data.texts.docstrings import LIBRARIES, labeled_sentences
from dlnotes.data.texts.labeled_words import Sentence, read_labeled_words
from dlnotes.data.texts.text_classes import MOST_CLASSES, check_options, coverage, listed
from dlnotes.data.texts.words import normalized, vocabulary
from dlnotes.outputs.entities import is_scheme


class _Part(NamedTuple):
    path: str
    sentences: list[Sentence]


def token_labels(
    path: str | Path | None = None,
    *,
    word: int = 1,
    label: int = -1,
    validation_path: str | Path | None = None,
    test_path: str | Path | None = None,
    lower: bool = False,
    min_count: int = 2,
    vocabulary_size: int = 20_000,
    unknown: Literal["forms", "one"] = "forms",
    entities: Literal["auto", "runs", "none"] = "auto",
    max_length: int = 200,
    limit: int = 6000,
    validation: float | int | None = None,
    test: float | int | None = None,
    seed: int = 0,
) -> Dataset:
    """Your own sentences with a label for each word: a word a line, its label in another column.

    Input "tokens" ``(n, length)`` with mask, task "tokens". Symbol 0 is padding, 1 is ``<unk>``; a word that
    the training part does not have often enough has the symbol of its form and ending, as ``<unk:Aa>`` or
    ``<unk:a-ing>``, where many rare words of the training part have them. A sentence that stands there
    several times is in one part only.

    Args:
      path: columns between tabs or spaces, a blank line between sentences (see
        `dlnotes.data.texts.labeled_words`); without one, sentences of the documentation of the installed
        libraries, labeled where their authors marked code (see `dlnotes.data.texts.docstrings`).
      word, label: columns, from 1, or from the last with -1.
      validation_path, test_path: files of the same form that are the validation and test part.
      lower: whether words that differ in capitals only are one symbol.
      min_count: how often a word must be in the training part to be known.
      vocabulary_size: the largest number of known words; the most frequent ones are kept.
      unknown: "forms", several symbols for unknown words, or "one".
      entities: what the entities are that F1 is measured of: "auto", those that labels such as B-PER and
        I-PER mark, if all labels but O are of this kind; "runs", neighbors with the same label other than O;
        "none".
      max_length: words of a sentence; longer ones are divided, which is said.
      limit: without a path, the most sentences.
      validation: share or number of the sentences of ``path`` for validation, 0.1 if not given.
      test: the same for the test part, 0.2 if not given.
      seed: of the split.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: when it cannot be used; the message has the file and the line.

    Example:
      >>> made = token_labels(limit=200)
      >>> made.task, "O" in made.classes, made.outputs == len(made.classes)
      ('tokens', True, True)
    """
    check_options("words", min_count, vocabulary_size, max_length)
    if unknown not in ("forms", "one"):
        raise ValueError(f"unknown: got {unknown!r}, allowed are forms, one")
    if entities not in ("auto", "runs", "none"):
        raise ValueError(f"entities: got {entities!r}, allowed are auto, runs, none")
    given = (("validation", validation, validation_path), ("test", test, test_path))
    for name, share, of in given:
        if of is not None and share is not None:
            raise ValueError(f"{name}: got {share}, but that part is {name}_path = {str(of)!r}")
        if of is not None and path is None:
            raise ValueError(f"{name}_path: got {str(of)!r} without a path of training sentences")
    if path is None:
        found, digest = labeled_sentences(limit)
        where = "the documentation of " + ", ".join(LIBRARIES)
        marked = [Sentence([w for w, _ in s], [c for _, c in s], i) for i, s in enumerate(found, 1)]
        every, names, sources = [_Part(where, marked)], [], {where: digest}
    else:
        names = [name for name, _, of in given if of is not None]
        paths = [path, *(of for _, _, of in given if of is not None)]
        every = [_Part(str(p), read_labeled_words(p, word=word, label=label)) for p in paths]
        sources = {str(p): sha256(p) for p in paths}
    first = every[0]
    classes = _classes(every, names)
    if entities == "runs" and "O" not in classes:
        raise ValueError(
            f"{first.path}: entities: got 'runs', which are of labels other than O, no word has the label O"
        )
    parts = _divided(every, names, validation=validation, test=test, seed=seed, longest=max_length)
    sentences = [s for part in parts for s in part]
    sizes = [len(part) for part in parts]
    edges = np.cumsum([0, *sizes])
    rows: Parts = (np.arange(edges[1]), np.arange(edges[1], edges[2]), np.arange(edges[2], edges[3]))
    words = [[normalized(w) for w in s.words] for s in sentences]
    known = vocabulary(
        words[: sizes[0]], min_count=min_count, most=vocabulary_size, lower=lower, forms=unknown == "forms"
    )
    codes = [known.numbers(sentence) for sentence in words]
    index = {name: i for i, name in enumerate(classes)}
    x = pad(codes)
    made = assemble(
        "token_labels" if path is None else Path(path).name.partition(".")[0],
        x,
        pad([[index[c] for c in s.labels] for s in sentences], value=-1),
        rows,
        input="tokens",
        task="tokens",
        outputs=len(classes),
        mask=length_mask([len(code) for code in codes], x.shape[1]),
        classes=classes,
        symbols=known.symbols,
        sources=sources,
        records={
            "vocabulary.txt": listed(known),
            "coverage.txt": coverage(codes, rows, known, "words", first.path),
        },
    )
    scheme = "bio" if entities == "auto" and is_scheme(classes) else "runs" if entities == "runs" else ""
    return read_as(made, form="labeled_words", word=word, label=label, lower=lower, entities=scheme)


def _classes(every: Sequence[_Part], names: Sequence[str]) -> tuple[str, ...]:
    """The labels of the training file, O first; those of other parts must be among them."""
    first, *more = every
    known = {label for s in first.sentences for label in s.labels}
    if len(known) == 1:
        raise ValueError(f"{first.path}: every word has the label {known.pop()!r}, two or more are needed")
    if len(known) > MOST_CLASSES:
        raise ValueError(
            f"{first.path}: the words have {len(known)} different labels, allowed are {MOST_CLASSES} "
            "(is label the right column?)"
        )
    for name, part in zip(names, more):
        for s in part.sentences:
            for i, label in enumerate(s.labels):
                if label not in known:
                    shown = ", ".join(sorted(known)[:20]) + (" …" if len(known) > 20 else "")
                    raise ValueError(
                        f"{part.path}: line {s.line + i}: label {label!r} is in the {name} part only, "
                        f"{first.path} has {shown}"
                    )
    return tuple(sorted(known, key=lambda c: (c != "O", c.partition("-")[2], c)))


def _divided(
    every: Sequence[_Part],
    names: Sequence[str],
    *,
    validation: float | int | None,
    test: float | int | None,
    seed: int,
    longest: int,
) -> list[list[Sentence]]:
    """The sentences of the three parts; equal sentences stay together, long ones are divided."""
    first = every[0]
    groups: dict[tuple[str, ...], list[Sentence]] = {}
    for s in first.sentences:
        groups.setdefault(tuple(s.words), []).append(s)
    different = list(groups.values())
    shares = {
        name: 0.0 if name in names else default if share is None else share
        for name, share, default in (("validation", validation, 0.1), ("test", test, 0.2))
    }
    try:
        drawn = split_indices(len(different), **shares, seed=seed)
    except ValueError as error:
        raise ValueError(f"{first.path}: of {len(different)} sentences: {error}") from None
    parts = [[s for i in rows for s in different[i]] for rows in drawn]
    for name, part in zip(names, every[1:]):
        parts[1 if name == "validation" else 2] = part.sentences
    long = [s for part in parts for s in part if len(s.words) > longest]
    if long:
        most = max(len(s.words) for s in long)
        warnings.warn(
            f"{first.path}: {len(long):,} sentences have more than {longest} words (up to {most:,}; are "
            f"blank lines missing?), they are divided (max_length = {most} keeps all whole)",
            stacklevel=3,
        )
    return [[piece for s in part for piece in _pieces(s, longest)] for part in parts]


def _pieces(s: Sentence, longest: int) -> list[Sentence]:
    starts = range(0, len(s.words), longest)
    return [Sentence(s.words[i : i + longest], s.labels[i : i + longest], s.line + i) for i in starts]
