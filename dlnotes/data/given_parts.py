"""Data that say themselves what is for training, validation and test: by folders or by a column."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from dlnotes.data.assemble import Parts
from dlnotes.data.folders import some
from dlnotes.data.split import split_of_file

PARTS = ("train", "validation", "test")

_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


def part_named(name: str) -> str | None:
    """The part that a folder or a cell of this name stands for, ``None`` for any other name.

    >>> part_named("Val"), part_named("training"), part_named("cats")
    ('validation', 'train', None)
    """
    return _NAMES.get(name.strip().lower())


def split_by_parts(
    path: str | Path,
    n: int,
    parts: Sequence[str] | None,
    labels: np.ndarray | None,
    name_of: Callable[[int], str],
    *,
    validation: float | int,
    test: float | int,
    seed: int,
) -> Parts:
    """Rows of the parts that are given; a part that has no row is drawn from the training rows.

    Args:
      path: where the examples are from, for messages.
      n: number of examples.
      parts: of each example, one of `PARTS`; ``None`` draws all of them by `split_of_file`.
      labels: ``(n,)`` names of classes, or ``None``.
      name_of: what an example is called in messages, by its number.
      validation, test, seed: as of `split_of_file`, for parts that are drawn.

    Raises:
      ValueError: when nothing is for training, a class of another part has no training example, or a part
        cannot be drawn.
    """
    if parts is None:
        return split_of_file(path, n, labels, name_of, validation=validation, test=test, seed=seed)
    where = np.array(parts)
    train = np.flatnonzero(where == "train")
    if not len(train):
        raise ValueError(f"{path}: no example is of the part 'train'")
    if labels is not None:
        unseen = ~np.isin(labels, labels[train])
        if unseen.any():
            i = int(np.argmax(unseen))
            raise ValueError(
                f"{path}: {name_of(i)}: class {str(labels[i])!r} is in the {where[i]} part, and no training "
                "example has it"
            )
    given = {part: np.flatnonzero(where == part) for part in PARTS}
    drawn = split_of_file(
        path,
        len(train),
        None if labels is None else labels[train],
        lambda i: name_of(int(train[i])),
        validation=0 if len(given["validation"]) else validation,
        test=0 if len(given["test"]) else test,
        seed=seed,
    )
    held, tested = (
        given[part] if len(given[part]) else train[rows] for part, rows in zip(PARTS[1:], drawn[1:])
    )
    return train[drawn[0]], held, tested


def say_shared(files: Sequence[Path], digests: Mapping[str, str], parts: Sequence[str]) -> None:
    """Warn of files that are in the training part and in another one: what they measure is too good.

    Args:
      files: of each example.
      digests: SHA-256 of each by its path.
      parts: of each example, as they are given.
    """
    trained = {digests[str(file)] for file, part in zip(files, parts) if part == "train"}
    for name in PARTS[1:]:
        shared = [f for f, part in zip(files, parts) if part == name and digests[str(f)] in trained]
        if shared:
            warnings.warn(
                f"{some(shared)}: in the {name} part and in the training part, its metrics are too good",
                stacklevel=3,
            )
