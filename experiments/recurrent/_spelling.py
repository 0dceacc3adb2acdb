"""A dictionary's words as letters with the phonemes that each letter stands for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dlnotes import data
from dlnotes.data.dataset import Dataset
from dlnotes.typing import IGNORE

Sound = tuple[str, ...]


class Spelling(NamedTuple):
    """Words of one part.

    Attributes:
      examples: letters (words, longest), 0 behind the end, their labels, and the mask.
      said: of each word its known pronunciations.
    """

    examples: data.Examples
    said: tuple[tuple[Sound, ...], ...]


class Words(NamedTuple):
    """The dictionary, divided.

    Attributes:
      train, validation, test: words; a training word of several pronunciations has the first.
      labels: of each class the phonemes, none of a silent letter.
      letters: how many letters there are, the padding counted.
    """

    train: Spelling
    validation: Spelling
    test: Spelling
    labels: tuple[Sound, ...]
    letters: int


def words(
    dictionary: Dataset, counts: tuple[int, int, int], longest: int, *, shortest: int = 3, rarest: int = 20
) -> Words:
    """So many words of each part, drawn at random, every letter labeled by `data.align_pairs`.

    Args:
      dictionary: `data.cmudict`.
      counts: words for training, validation and test.
      longest, shortest: letters of a word.
      rarest: training words in which a label must stand; words with rarer ones are not trained on.

    Raises:
      ValueError: when there are fewer words.
    """
    symbols, sounds = dictionary.symbols, dictionary.classes
    parts = []
    for name, n in zip(("train", "validation", "test"), counts):
        part = getattr(dictionary, name)
        known: dict[str, list[Sound]] = {}
        for i, (source, y) in enumerate(zip(part.x.source, part.y)):
            word = "".join(symbols[c] for c in source if c)
            if not shortest <= len(word) <= longest:
                continue
            if name == "train":
                said = [tuple(sounds[c] for c in y if c > 0)]
            else:
                said = [tuple(sounds[c] for c in codes) for codes in dictionary.references[name][i]]
            known.setdefault(word, []).extend(said)
        order = np.random.default_rng(0).permutation(len(known))[:n]
        if len(order) < n:
            raise ValueError(f"counts: got {n} for {name}, there are {len(known)} words of such lengths")
        listed = list(known.items())
        parts.append([listed[i] for i in order])
    every = [(word, said[0]) for part in parts[:2] for word, said in part]
    chunks = data.align_pairs([w for w, _ in every], [s for _, s in every]).chunks
    found: dict[Sound, int] = {}
    for aligned in chunks[: counts[0]]:
        for label in set(aligned or ()):
            found[label] = found.get(label, 0) + 1
    labels = tuple(sorted(label for label, n in found.items() if n >= min(rarest, counts[0] // 20)))
    number = {label: i for i, label in enumerate(labels)}

    def spelled(part: list, aligned: list) -> Spelling:
        kept = [i for i, one in enumerate(aligned) if one is None or all(c in number for c in one)]
        x, y = np.zeros((len(kept), longest), np.int32), np.full((len(kept), longest), IGNORE, np.int32)
        for row, i in enumerate(kept):
            word = part[i][0]
            x[row, : len(word)] = [1 + ord(a) - ord("a") for a in word]
            if aligned[i] is not None:
                y[row, : len(word)] = [number[c] for c in aligned[i]]
        return Spelling(data.Examples(x, y, x > 0), tuple(tuple(part[i][1]) for i in kept))

    n = counts[0]
    return Words(
        spelled(parts[0], chunks[:n]),
        spelled(parts[1], chunks[n:]),
        spelled(parts[2], [None] * counts[2]),
        labels,
        27,
    )


def wrong_words(found: np.ndarray, part: Spelling, labels: tuple[Sound, ...]) -> np.ndarray:
    """Whether the labels found for a word's letters, (words, longest), are none of its pronunciations."""
    wrong = np.ones(len(found), bool)
    for i, (row, mask, said) in enumerate(zip(found, part.examples.mask, part.said)):
        wrong[i] = tuple(s for c in row[mask] for s in labels[c]) not in said
    return wrong
