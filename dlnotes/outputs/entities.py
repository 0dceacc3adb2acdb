"""Entities that the labels of words mark, and how many of them are found: precision, recall and F1."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

_LABEL = re.compile(r"([BIESLU])-(.+)")
_BEGINS, _ENDS, _INSIDE = 1, 2, 4
_KINDS = {"B": _BEGINS, "I": _INSIDE, "E": _ENDS, "L": _ENDS, "S": _BEGINS | _ENDS, "U": _BEGINS | _ENDS}


def is_scheme(classes: Sequence[str]) -> bool:
    """Whether labels mark entities by position: O, and all others such as B-PER, I-PER, E-PER, S-PER.

    >>> is_scheme(("O", "B-PER", "I-PER")), is_scheme(("NOUN", "VERB"))
    (True, False)
    """
    return "O" in classes and len(classes) > 1 and all(c == "O" or _LABEL.fullmatch(c) for c in classes)


class Entities(NamedTuple):
    """Entities of sentences laid end to end, in their order.

    Attributes:
      start, end: ``(n,)`` the first position of each, and the last.
      kind: ``(n,)`` the number of its type.
    """

    start: np.ndarray
    end: np.ndarray
    kind: np.ndarray


def types_of(classes: Sequence[str], scheme: str = "bio") -> tuple[str, ...]:
    """The types of entities that labels name.

    >>> types_of(("O", "B-PER", "I-PER", "B-LOC"))
    ('LOC', 'PER')
    """
    named = (c if scheme == "runs" else c.partition("-")[2] for c in classes if c != "O")
    return tuple(sorted(set(named)))


def entities(labels: Any, classes: Sequence[str], *, scheme: str = "bio") -> Entities:
    """The entities that labels mark, by the rules of the CoNLL shared tasks.

    An entity begins at a B or S, and wherever a label of its type follows O, another type, or an E or S;
    it ends before the next begins or O stands, and at E or S. So it is found also where a label breaks the
    rules of its scheme (I-PER after O), and the schemes IOB1, IOB2, IOBES and BILOU are all read.

    Args:
      labels: ``(sentences, length)`` class numbers, -1 behind the end of each and where there is no target.
      classes: the name of each class.
      scheme: "bio", or "runs": neighbors of the same class other than O are one.

    Source: Tjong Kim Sang and De Meulder, 2003 (the script conlleval).

    Example:
      >>> entities([[1, 2, 0, 2]], ("O", "B-PER", "I-PER"))[:2]
      (array([0, 3]), array([1, 3]))
    """
    labels = np.asarray(labels)
    if labels.ndim != 2:
        raise ValueError(f"labels: got shape {labels.shape}, allowed is (sentences, length)")
    index = {name: i for i, name in enumerate(types_of(classes, scheme))}
    kinds, flags = [], []
    for name in classes:
        found = None if scheme == "runs" else _LABEL.fullmatch(name)
        kinds.append(-1 if name == "O" else index[name if found is None else found[2]])
        flags.append(0 if name == "O" else _INSIDE if found is None else _KINDS[found[1]])
    kinds, flags = np.array([*kinds, -1]), np.array([*flags, 0])  # the last one for positions without a label
    # A position without a label at the end of each sentence keeps entities from reaching into the next.
    padded = np.pad(labels, ((0, 0), (0, 1)), constant_values=-1).reshape(-1)
    kind, flag = kinds[padded], flags[padded]
    before, flag_before = np.concatenate([[-1], kind[:-1]]), np.concatenate([[0], flag[:-1]])
    changes = kind != before
    begins = (kind >= 0) & (changes | ((flag & _BEGINS) > 0) | ((flag_before & _ENDS) > 0))
    start = np.flatnonzero(begins)
    # The last position of each: before the next begins, or before the type changes (to O, or to nothing).
    stops = np.flatnonzero(changes | begins)
    following = np.searchsorted(stops, start, side="right")
    end = np.append(stops, len(kind))[following] - 1
    width = labels.shape[1] + 1
    return Entities(start - start // width, end - end // width, kind[start])


class Counts(NamedTuple):
    """Of each type of entities ``(types,)``: how many are right, were predicted, and are there."""

    right: np.ndarray
    predicted: np.ndarray
    true: np.ndarray


def entity_counts(predicted: Any, y: Any, classes: Sequence[str], *, scheme: str = "bio") -> Counts:
    """How many entities are predicted, right (same words, same type) and there, by type.

    Args:
      predicted: ``(sentences, length)`` class numbers.
      y: the targets, -1 where there is none; predictions there do not count.
      classes, scheme: as of `entities`.
    """
    y = np.asarray(y)
    predicted = np.where(y < 0, -1, np.asarray(predicted))
    found, true = (entities(labels, classes, scheme=scheme) for labels in (predicted, y))
    types, size = len(types_of(classes, scheme)), y.size + 1
    keys = [(e.start.astype(np.int64) * size + e.end) * max(types, 1) + e.kind for e in (found, true)]
    right = true.kind[np.isin(keys[1], keys[0])]
    return Counts(*(np.bincount(kind, minlength=types) for kind in (right, found.kind, true.kind)))


def f1(right: Any, predicted: Any, true: Any) -> Any:
    """``2 · right / (predicted + true)``; 0 where there is neither.

    >>> float(f1(1, 2, 2))
    0.5
    """
    total = np.asarray(predicted) + np.asarray(true)
    return np.where(total > 0, 2 * np.asarray(right) / np.maximum(total, 1), 0.0)
