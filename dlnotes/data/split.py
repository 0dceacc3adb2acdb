"""Cutting a data set into training, validation and test parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def part_sizes(n: int, *, validation: float | int, test: float | int) -> tuple[int, int, int]:
    """How many of ``n`` examples go to training, validation and test.

    Args:
      n: number of examples.
      validation: a fraction in [0, 1), rounded to the nearest count, or a count (an int, 0 or more).
      test: the same.

    Returns:
      ``(train, validation, test)`` counts that add up to ``n``; train is at least 1.

    Raises:
      ValueError: when a part is not a fraction or count, rounds to nothing, or leaves no training data.
    """
    if n < 1:
        raise ValueError(f"n: got {n} examples, at least 1 is needed")
    sizes = []
    for name, part in (("validation", validation), ("test", test)):
        if isinstance(part, (bool, np.bool_)) or not isinstance(part, (int, float, np.integer, np.floating)):
            raise ValueError(
                f"{name}: got {part!r}, allowed is a fraction in [0, 1) or a whole number of examples"
            )
        if isinstance(part, (int, np.integer)):
            size = int(part)
            if size < 0:
                raise ValueError(f"{name}: got {size}, a number of examples must be 0 or more")
        else:
            if not 0 <= part < 1:
                raise ValueError(f"{name}: got {part}, allowed is a fraction in [0, 1) or a count (an int)")
            size = int(np.floor(part * n + 0.5))
            if part > 0 and size == 0:
                raise ValueError(f"{name}: got {part}, which is less than one of {n} examples")
        sizes.append(size)
    if (
        isinstance(validation, (float, np.floating))
        and isinstance(test, (float, np.floating))
        and validation + test >= 1
    ):
        raise ValueError(f"validation, test: got {validation} + {test} >= 1, nothing is left for training")
    if sum(sizes) >= n:
        raise ValueError(
            f"validation, test: got {sizes[0]} + {sizes[1]} of {n} examples, nothing is left for training"
        )
    return n - sum(sizes), sizes[0], sizes[1]


def split_indices(
    n: int, *, validation: float | int, test: float | int, seed: int, stratify: Any = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the training, validation and test parts, drawn without replacement.

    With labels to stratify by, class ``c`` has ``n_c · size / n`` examples in a part of that size,
    rounded down or up, in all three parts at once, and the part sizes are still exact.

    Args:
      n: number of examples.
      validation: a fraction in [0, 1) or a count.
      test: a fraction in [0, 1) or a count.
      seed: the split is a pure function of it (and of the other arguments).
      stratify: ``(n,)`` labels, or ``None`` for a plain random split.

    Returns:
      Three ascending int64 arrays that together hold each of ``0..n-1`` once.

    Raises:
      ValueError: when the parts do not fit (see `part_sizes`), the labels are not one per example, or
        a class is too small to be in the training part.

    >>> train, validation, test = split_indices(10, validation=0.2, test=0.3, seed=0)
    >>> len(train), len(validation), len(test)
    (5, 2, 3)
    """
    sizes = part_sizes(n, validation=validation, test=test)
    rng = np.random.default_rng(seed)
    if stratify is None:
        groups, table = [np.arange(n)], np.array([sizes])
    else:
        labels = np.asarray(stratify)
        if labels.shape != (n,):
            raise ValueError(
                f"stratify: got shape {labels.shape}, one label for each of {n} examples is needed"
            )
        names, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
        table = _allocate(counts, np.array(sizes), names, rng)
        groups = np.split(np.argsort(inverse, kind="stable"), np.cumsum(counts)[:-1])
    parts: list[list[np.ndarray]] = [[], [], []]
    for group, share in zip(groups, table):
        pieces = np.split(rng.permutation(group), np.cumsum(share)[:-1])
        for part, piece in zip(parts, pieces):
            part.append(piece)
    train, held, tested = (np.sort(np.concatenate(part)).astype(np.int64) for part in parts)
    return train, held, tested


def split_groups(
    groups: Any, *, validation: float | int, test: float | int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the parts when examples of one group must not be in two of them.

    Groups are taken in random order; a group goes to the test or the validation part where it still fits,
    else to the training part.

    Args:
      groups: ``(n,)`` the group of each example, any numbers or names.
      validation: a fraction in [0, 1) or a count, at most reached.
      test: the same.
      seed: the split is a pure function of it.

    Returns:
      Three ascending int64 arrays that together hold each of ``0..n-1`` once.

    Raises:
      ValueError: when the parts do not fit (see `part_sizes`), or no group fits into one of them.

    >>> sorted(len(part) for part in split_groups(list("aaaabbcc"), validation=2, test=2, seed=0))
    [2, 2, 4]
    """
    names = {name: i for i, name in enumerate(dict.fromkeys(groups))}  # by first row: hashes do not matter
    index = np.array([names[name] for name in groups])
    sizes = part_sizes(len(index), validation=validation, test=test)
    counts, room = np.bincount(index), [sizes[2], sizes[1]]
    of_group = np.zeros(len(counts), np.int64)
    for group in np.random.default_rng(seed).permutation(len(counts)):
        for part, size in enumerate(room):
            if counts[group] <= size:
                room[part] -= int(counts[group])
                of_group[group] = 2 - part
                break
    part_of = of_group[index]
    for part, name in ((1, "validation"), (2, "test")):
        if sizes[part] and not (part_of == part).any():
            raise ValueError(f"{name}: got {sizes[part]} examples, the smallest group has {counts.min()}")
    train, held, tested = (np.flatnonzero(part_of == part) for part in range(3))
    return train, held, tested


def _allocate(counts: np.ndarray, sizes: np.ndarray, names: np.ndarray, rng: Any) -> np.ndarray:
    """``(classes, 3)`` counts: rows add to ``counts``, columns to ``sizes``, each entry its share ± 1.

    Rounding a table while keeping both margins is a flow problem: its linear program has whole-number
    vertices, and random costs make the chosen vertex unique, hence reproducible.
    """
    needed = int(np.count_nonzero(sizes))
    for name, count in zip(names, counts):
        if count < needed:
            raise ValueError(
                f"stratify: class {name!s} has {count} example{'s' if count != 1 else ''}, "
                f"fewer than the {needed} parts of the split"
            )
    if needed == 1:
        return np.stack([counts, 0 * counts, 0 * counts], axis=1)
    from scipy import optimize, sparse

    product, n = counts[:, None] * sizes[None, :], counts.sum()
    lower, upper = product // n, -(-product // n)
    lower[:, 0] = np.maximum(lower[:, 0], 1)
    upper = np.maximum(upper, lower)
    k, p = product.shape
    margins = sparse.vstack(
        [sparse.kron(sparse.eye(k), np.ones((1, p))), sparse.kron(np.ones((1, k)), sparse.eye(p))]
    )
    found = optimize.linprog(
        rng.random(k * p),
        A_eq=margins.tocsr(),
        b_eq=np.concatenate([counts, sizes]),
        bounds=np.stack([lower.ravel(), upper.ravel()], axis=1),
        method="highs-ds",
    )
    if found.x is None:
        smallest = int(np.argmin(counts))
        raise ValueError(
            f"stratify: {k} classes cannot all be in a training part of {sizes[0]} examples "
            f"(the smallest class, {names[smallest]!s}, has {counts[smallest]})"
        )
    return np.rint(found.x).astype(np.int64).reshape(k, p)


def split_of_file(
    path: str | Path,
    n: int,
    labels: np.ndarray | None,
    name_of: Callable[[int], str],
    *,
    validation: float | int,
    test: float | int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`split_indices` of a file's rows; errors name it, and a row of the rarest class.

    Args:
      path: the file.
      n: number of rows.
      labels: to divide evenly, or ``None``.
      name_of: what a row is called in messages, by its number.
      validation, test, seed: as of `split_indices`.

    Raises:
      ValueError: as `split_indices`.
    """
    try:
        return split_indices(n, validation=validation, test=test, seed=seed, stratify=labels)
    except ValueError as error:
        where = ""
        if labels is not None and str(error).startswith("stratify"):
            _, first, counts = np.unique(labels, return_index=True, return_counts=True)
            where = f", see {name_of(int(first[np.argmin(counts)]))}"
        raise ValueError(f"{path}: {error}{where}") from None
