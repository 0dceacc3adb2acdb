"""Examples of many sizes in a few padded shapes ("buckets"), chosen so that little of them is padding.

A compiled program takes arrays of one shape. Padding every example to the largest wastes work; a
program for every size wastes compilations. Here at most K shapes are chosen, and every example goes to
the cheapest that holds it. A grid costs its cells; a pair of sequences, which are read one after the other,
the steps of both; a tree its nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from dlnotes.data.assemble import take
from dlnotes.data.dataset import Examples, Pair, Trees

Cost = Literal["cells", "steps", "nodes"]
_COSTS: dict[Cost, Callable[[np.ndarray], np.ndarray]] = {
    "cells": lambda sizes: sizes.prod(axis=-1),
    "steps": lambda sizes: sizes.sum(axis=-1),
    "nodes": lambda sizes: sizes.sum(axis=-1),
}

_DISTINCT = (2000, 700)
"""Sizes are rounded up until at most so many different ones (of one axis, of several) are left to choose
among."""


class Buckets(NamedTuple):
    """Padded shapes, and which of them each example takes.

    Attributes:
      shapes: sizes of the axes of each bucket, the cheapest first.
      index: ``(n,)`` int32 bucket of each example.
      cells: ``(n,)`` int64 cost of each example without padding.
      cost: "cells", the product of the sizes, "steps", their sum, or "nodes" of trees, the one size.
    """

    shapes: tuple[tuple[int, ...], ...]
    index: np.ndarray
    cells: np.ndarray
    cost: Cost = "cells"

    @property
    def counts(self) -> tuple[int, ...]:
        """How many examples each bucket holds."""
        return tuple(int(c) for c in np.bincount(self.index, minlength=len(self.shapes)))

    @property
    def waste(self) -> float:
        """Padded cells (or steps) for each real one, ``Σ_b n_b |shape_b| / Σ_i cells_i``: 1 is without
        padding."""
        padded = (np.array(self.counts) * _COSTS[self.cost](np.array(self.shapes))).sum()
        return float(padded / self.cells.sum())

    @property
    def waste_of_one(self) -> float:
        """The same if every example were padded to the largest size of each axis."""
        largest = np.max(np.array(self.shapes), axis=0)
        return float(len(self.index) * _COSTS[self.cost](largest) / self.cells.sum())

    def describe(self) -> str:
        """The choice in a sentence, for a log.

        >>> choose_buckets([3, 4, 9], most=2).describe()
        '2 buckets: 4 (2 examples), 9 (1 example); 1.06 padded cells for each real one (1.69 in one bucket)'
        """
        each = ", ".join(
            f"{'×'.join(map(str, shape))} ({n} example{'' if n == 1 else 's'})"
            for shape, n in zip(self.shapes, self.counts)
        )
        plural = "" if len(self.shapes) == 1 else "s"
        against = "" if len(self.shapes) == 1 else f" ({self.waste_of_one:.2f} in one bucket)"
        return (
            f"{len(self.shapes)} bucket{plural}: {each}; {self.waste:.2f} padded {self.cost} for each "
            f"real one{against}"
        )


def choose_buckets(
    sizes: Any, *, most: int, multiple: int | Sequence[int] = 1, cost: Cost = "cells"
) -> Buckets:
    """At most K padded shapes for examples of many sizes, with as little padding as can be found.

    The cost of a choice is ``Σ_i |shape of i's bucket|``, the cells or steps that are computed. For one
    axis, and wherever every size fits into the next, a dynamic program over the (at most 2,000 different)
    ordered sizes finds the least:
    ``f_k(j) = min_i f_{k−1}(i) + n(i, j)·|max(i, j)|``. For several axes (where the problem is a hard one)
    the best is taken of that program along the cells and along each axis, and of merging, from one
    bucket a size, the two whose union costs least; each is then improved by moving every example to the
    cheapest bucket that holds it. Of equally good choices the one with the fewest buckets is taken.

    Args:
      sizes: ``(n,)`` or ``(n, axes)`` whole numbers, at least 1.
      most: the largest number of buckets, K.
      multiple: every size of a bucket is a multiple of this, one number or one an axis.
      cost: of a shape: "cells", the product of its sizes, "steps" or "nodes", their sum.

    Raises:
      ValueError: when there is no size, one is below 1, or ``most`` or ``multiple`` is.

    >>> choose_buckets([[2, 3], [3, 2], [8, 8]], most=2, multiple=4).shapes
    ((4, 4), (8, 8))
    """
    sizes = np.asarray(sizes)
    if sizes.ndim == 1:
        sizes = sizes[:, None]
    if sizes.ndim != 2 or sizes.size == 0 or sizes.dtype.kind not in "iu":
        raise ValueError(
            f"sizes: got shape {sizes.shape} of {sizes.dtype}, allowed is (n,) or (n, axes) whole numbers"
        )
    if int(sizes.min()) < 1:
        raise ValueError(f"sizes: got {sizes.min()}, allowed is at least 1")
    if most < 1:
        raise ValueError(f"most: got {most}, allowed is at least 1 bucket")
    unit = np.broadcast_to(np.asarray(multiple, np.int64), sizes.shape[1:])
    if int(unit.min()) < 1:
        raise ValueError(f"multiple: got {multiple}, allowed is at least 1")
    sizes, of = sizes.astype(np.int64), _COSTS[cost]
    distinct, inverse, counts = _rounded(sizes, unit)
    found = [_improved(distinct, counts, shapes, of) for shapes in _candidates(distinct, counts, most, of)]
    shapes, index = min(found, key=lambda f: (_cost(f[0], f[1], counts, of), len(f[0])))
    # Rounding, to have fewer sizes to choose among, may have left room.
    index = index[inverse]
    exact = -(-sizes // unit) * unit
    shapes = np.array([exact[index == b].max(axis=0) for b in range(len(shapes))])
    shapes, index = _improved(exact, np.ones(len(exact), np.int64), shapes, of)
    return Buckets(
        tuple(tuple(int(s) for s in shape) for shape in shapes), index.astype(np.int32), of(sizes), cost
    )


def _rounded(sizes: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct sizes in multiples of ``unit``, coarser ones if there are too many."""
    limit = _DISTINCT[sizes.shape[1] > 1]
    while True:
        up = -(-sizes // unit) * unit
        distinct, inverse, counts = np.unique(up, axis=0, return_inverse=True, return_counts=True)
        if len(distinct) <= limit:
            return distinct, inverse.reshape(-1), counts
        unit = 2 * unit


CostOf = Callable[[np.ndarray], np.ndarray]


def _cost(shapes: np.ndarray, index: np.ndarray, counts: np.ndarray, of: CostOf) -> int:
    return int((counts * of(shapes)[index]).sum())


def _candidates(distinct: np.ndarray, counts: np.ndarray, most: int, of: CostOf) -> list[np.ndarray]:
    """Choices of shapes, ``(buckets, axes)`` each, every one of which holds all sizes."""
    axes = distinct.shape[1]
    orders = [np.lexsort((*distinct.T, of(distinct)))]
    if axes > 1:
        orders += [np.lexsort((of(distinct), distinct[:, a])) for a in range(axes)]
    found = [_divided(distinct[order], counts[order], most, of) for order in orders]
    return found if axes == 1 else [*found, _merged(distinct, counts, most, of)]


def _divided(sizes: np.ndarray, counts: np.ndarray, most: int, of: CostOf) -> np.ndarray:
    """The best division of ordered sizes into at most ``most`` runs, by dynamic programming."""
    m = len(sizes)
    before = np.concatenate([[0], np.cumsum(counts)])
    # run[i, j]: cells when sizes i … j−1 share a bucket
    run = np.full((m, m + 1), np.inf)
    for i in range(m):
        largest = of(np.maximum.accumulate(sizes[i:], axis=0))
        run[i, i + 1 :] = largest * (before[i + 1 :] - before[i])
    least, back = np.full(m + 1, np.inf), []
    least[0] = 0.0
    ends = []
    for _ in range(min(most, m)):
        total = least[:m, None] + run
        back.append(np.argmin(total, axis=0))
        least = total[back[-1], np.arange(m + 1)]
        ends.append(least[m])
    k = int(np.argmin(ends))  # the first, so the fewest buckets
    shapes, j = [], m
    for b in range(k, -1, -1):
        i = int(back[b][j])
        shapes.append(sizes[i:j].max(axis=0))
        j = i
    return np.array(shapes)


def _merged(sizes: np.ndarray, counts: np.ndarray, most: int, of: CostOf) -> np.ndarray:
    """Shapes left when, from one a size, the two whose union costs least are merged until few remain."""
    shapes, held = sizes.astype(np.float64), counts.astype(np.float64)
    own = held * of(shapes)

    def extra(i: int) -> np.ndarray:
        union = of(np.maximum(shapes, shapes[i]))
        return np.where(held > 0, (held + held[i]) * union - own - own[i], np.inf)

    costs = np.array([extra(i) for i in range(len(shapes))])
    np.fill_diagonal(costs, np.inf)
    for _ in range(len(shapes) - most):
        i, j = divmod(int(np.argmin(costs)), len(shapes))
        shapes[i], held[i], held[j] = np.maximum(shapes[i], shapes[j]), held[i] + held[j], 0.0
        own[i] = held[i] * of(shapes[i])
        costs[j, :] = costs[:, j] = np.inf
        costs[i, :] = extra(i)
        costs[i, i] = np.inf
        costs[:, i] = costs[i, :]
    return shapes[held > 0].astype(np.int64)


def _improved(
    sizes: np.ndarray, counts: np.ndarray, shapes: np.ndarray, of: CostOf
) -> tuple[np.ndarray, np.ndarray]:
    """Each size in the cheapest bucket that holds it, shapes as small as their sizes allow, until stable."""
    cost = None
    while True:
        shapes = np.unique(shapes, axis=0)
        shapes = shapes[np.lexsort((*shapes.T, of(shapes)))]
        index = np.full(len(sizes), -1)
        for b in range(len(shapes) - 1, -1, -1):  # the cheapest comes last and wins
            index[(sizes <= shapes[b]).all(axis=1)] = b
        used = np.unique(index)
        shapes, index = shapes[used], np.searchsorted(used, index)
        now = _cost(shapes, index, counts, of)
        if cost is not None and now >= cost:
            return shapes, index
        cost = now
        shapes = np.array([sizes[index == b].max(axis=0) for b in range(len(shapes))])


def masked_sizes(mask: np.ndarray) -> np.ndarray:
    """``(n, axes)`` size of every example: along each axis, up to its last real position.

    Args:
      mask: ``(n, *sizes)`` booleans.

    >>> masked_sizes(np.array([[True, True, False], [True, False, False]])).tolist()
    [[2], [1]]
    """
    mask = np.asarray(mask)
    found = []
    for axis in range(1, mask.ndim):
        others = tuple(a for a in range(1, mask.ndim) if a != axis)
        line = np.asarray(mask.any(axis=others))
        found.append(line.shape[1] - np.argmax(line[:, ::-1], axis=1))
    return np.stack(found, axis=1)


def example_sizes(examples: Examples) -> np.ndarray:
    """``(n, axes)`` sizes of every example: those of its mask, and of a pair the target's length too."""
    sizes = masked_sizes(examples.mask)
    if not isinstance(examples.x, Pair):
        return sizes
    return np.concatenate([sizes, masked_sizes(np.asarray(examples.y) >= 0)], axis=1)


def buckets_for(examples: Examples, most: int) -> Buckets:
    """`choose_buckets` for padded examples: by cells, pairs by the steps of source and target, trees by
    nodes."""
    costs: dict[type, Cost] = {Pair: "steps", Trees: "nodes"}
    cost = costs.get(type(examples.x), "cells")
    return choose_buckets(example_sizes(examples), most=most, cost=cost)


def crop(examples: Any, shape: Sequence[int], *, lead: int = 1) -> Any:
    """Padded arrays cut to a bucket's shape: the mask, the inputs, and targets that lie at positions.

    Args:
      examples: `Examples`, or another tuple whose first three fields are x, y and mask.
      shape: sizes of the mask's axes to keep, from the beginning of each; of a pair the source's length and
        the target's.
      lead: axes before those of the mask.

    Returns:
      The same with smaller arrays; targets of a whole example are left as they are.
    """

    def cut(a: Any, shape: Sequence[int] = shape) -> Any:
        return a[(slice(None),) * lead + tuple(slice(0, s) for s in shape)]

    x, y, mask = examples[:3]
    if isinstance(x, Pair):
        of_source, of_target = shape[:1], shape[1:]
        x = Pair(cut(x.source, of_source), cut(x.target, of_target))
        return examples._replace(x=x, y=cut(y, of_target), mask=cut(mask, of_source))
    axes = len(shape)
    at_positions = tuple(y.shape[lead : lead + axes]) == tuple(mask.shape[lead:])
    if at_positions and (np.dtype(y.dtype).kind in "iub" or y.ndim > lead + axes):
        y = cut(y)
    x = Trees(*map(cut, x)) if isinstance(x, Trees) else cut(x)
    return examples._replace(x=x, y=y, mask=cut(mask))


def divide(examples: Examples, most: int) -> list[tuple[np.ndarray, Examples]]:
    """Examples bucket by bucket: their row numbers, ascending, and their arrays cut to the bucket's shape.

    Args:
      examples: padded, with a mask.
      most: the largest number of buckets.
    """
    chosen = buckets_for(examples, most)
    return [
        (rows := np.flatnonzero(chosen.index == b), crop(rows_of(examples, rows), shape))
        for b, shape in enumerate(chosen.shapes)
    ]


def rows_of(examples: Examples, rows: np.ndarray) -> Examples:
    """Some examples, in the order of ``rows``."""
    return Examples(take(examples.x, rows), examples.y[rows], examples.mask[rows])
