"""Spelling to pronunciation: the CMU Pronouncing Dictionary."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np

from dlnotes.data import download as store
from dlnotes.data.dataset import Dataset
from dlnotes.data.split import split_indices
from dlnotes.data.texts.text_pairs import Entry, paired

CMUDICT = store.FileSet(
    name="cmudict",
    files={"cmudict.dict": "81917843c7f44ce2b094ac63873c2c7a4cf802040792c455ba3ca406891c3d22"},
    where="the Python package cmudict 1.1.3 (folder cmudict/data), or github.com/cmusphinx/cmudict",
    license="BSD-2",
    source="Carnegie Mellon University, 1993-2015",
)
_SUFFIX = re.compile(r"\(\d+\)$")
_LETTERS = re.compile(r"[a-z]+")


def read_dictionary(
    path: str | Path, *, stress: bool = False, letters_only: bool = True
) -> dict[str, tuple[tuple[str, ...], ...]]:
    """The different pronunciations of each word, in the order of the file.

    A line is a word, ``(2)`` behind it for a second pronunciation, its phonemes, and maybe a comment after
    ``#``. A stress is a digit behind a vowel; pronunciations that only differ in it become one without.

    Args:
      path: the file.
      stress: whether vowels keep their stress.
      letters_only: whether words with anything but the letters a to z are left out.

    Raises:
      ValueError: naming file and line, when it has no phonemes or the file is no UTF-8 text.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    found: dict[str, dict[tuple[str, ...], None]] = {}
    for number, line in enumerate(lines, 1):
        word, *phonemes = line.partition("#")[0].split() or [""]
        if not word:
            continue
        if not phonemes:
            raise ValueError(f"{path}: line {number}: {word!r} has no phonemes")
        word = _SUFFIX.sub("", word)
        if letters_only and not _LETTERS.fullmatch(word):
            continue
        said = tuple(phonemes if stress else (p.rstrip("012") for p in phonemes))
        found.setdefault(word, {})[said] = None
    return {word: tuple(known) for word, known in found.items()}


def cmudict(
    *,
    stress: bool = False,
    letters_only: bool = True,
    split: Literal["twentieths", "random"] = "twentieths",
    validation: float | int = 0.05,
    test: float | int = 0.1,
    seed: int = 0,
    data_dir: str | Path | None = None,
) -> Dataset:
    """Spelling, letter by letter, to phonemes; words with several pronunciations have several answers.

    Input "pair", task "tokens" (see `dlnotes.data.texts.number_words` for the conventions). Every
    pronunciation of a training word is an example; a held-out word is one, with all its pronunciations in
    ``references``. The words of each part are written to the run's folder.

    ``twentieths`` is the split of the published figures on the current dictionary: of each twenty words in
    the order of the file, the first is for validation and the next two for the test. They are 33.9% wrong
    words of a joint n-gram model and 30-31% of a transformer, without stress. The classic split of 2007
    gives ten points less, on another dictionary.

    Args:
      stress: whether vowels keep their stress (0, 1 or 2).
      letters_only: whether the 7% of words with apostrophes, hyphens or dots are left out.
      split: by place in the file, or at random.
      validation, test: shares or numbers of words of a random split.
      seed: of a random split.
      data_dir: a folder with the file, or with a sub-folder ``cmudict`` of it; otherwise
        ``$DLNOTES_DATA/cmudict``, the user's cache and the system's data sets are searched.

    Raises:
      DataNotFound: when the file is nowhere; the message says where it can be had.
      ValueError: when it is another one.

    Source: the dictionary; github.com/cmusphinx/g2p-seq2seq for the split and its figures.
    """
    if split not in ("twentieths", "random"):
        raise ValueError(f"split: got {split!r}, allowed are twentieths, random")
    paths = store.obtain(CMUDICT, data_dir=data_dir)
    for problem in store.damage(CMUDICT, paths):
        raise ValueError(problem)
    known = read_dictionary(paths[0], stress=stress, letters_only=letters_only)
    entries = [Entry(word, tuple(word), said) for word, said in known.items()]
    if split == "random":
        parts = split_indices(len(entries), validation=validation, test=test, seed=seed)
    else:
        place = np.arange(len(entries)) % 20
        parts = (
            np.flatnonzero(place > 2),
            np.flatnonzero(place == 0),
            np.flatnonzero((place > 0) & (place < 3)),
        )
    sources = {str(paths[0]): store.sha256(paths[0])}
    return paired("cmudict", entries, parts, unknown=False, sources=sources)
