"""The batches of a training by the number of their step: what the host lays out for the device.

Nothing here imports jax, so that a process that only reads examples starts quickly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlnotes.data.dataset import Examples
from dlnotes.data.order import BucketOrder, batch_rows

Rows = tuple[Any, Any, Any, np.ndarray]
"""Inputs, targets, mask and weight of some rows: the fields of `dlnotes.typing.Batch`."""


class Steps:
    """The batches of some members at every step, or a part of their rows.

    ``steps[number]`` is one of them, leaves ``(members, rows, ...)``, a pure function of the number.

    Args:
      examples: the training part.
      batch_size: rows of a whole batch.
      words: ``(members, 2)`` uint32 words of each member's order of examples.
      total: rows of a batch with those of weight 0 that fill it up.
      positions: of the rows that are wanted, in a batch of ``total``.
      wrap: see `dlnotes.devices.placement.Division`.
      order: of examples that lie sorted by bucket, or ``None``.
    """

    def __init__(
        self,
        examples: Examples,
        *,
        batch_size: int,
        words: np.ndarray,
        total: int,
        positions: Sequence[int] | np.ndarray,
        wrap: bool = False,
        order: BucketOrder | None = None,
    ):
        self.examples, self.batch_size, self.words = examples, batch_size, np.asarray(words)
        self.total, self.positions, self.wrap, self.order = total, np.asarray(positions), wrap, order

    def __len__(self) -> int:
        return 2**31 - 1

    def __getitem__(self, step: int) -> Rows:
        rows, weight = self._rows(step, 1)
        found = [self._taken(a, rows[:, 0]) for a in tuple(self.examples)]
        return (*found, weight[:, 0])  # type: ignore[return-value]

    def empty(self, capacity: int) -> Rows:
        """Arrays ``(members, capacity, rows, ...)`` of zeros for `fill`."""
        lead = (len(self.words), capacity, len(self.positions))
        found = [_each(lambda a: np.zeros((*lead, *a.shape[1:]), a.dtype), a) for a in tuple(self.examples)]
        return (*found, np.zeros(lead, np.float32))  # type: ignore[return-value]

    def fill(self, into: Rows, first: int, low: int, high: int) -> None:
        """Write steps ``first + low`` to ``first + high`` into places ``low`` to ``high`` of such arrays."""
        rows, weight = self._rows(first + low, high - low)
        here = np.s_[:, low:high]
        into[3][here] = weight
        for buffer, a in zip(into[:3], tuple(self.examples)):
            put(buffer, here, self._taken(a, rows))

    def _taken(self, a: Any, rows: np.ndarray) -> Any:
        return _each(lambda a: a[rows], a)

    def _rows(self, first: int, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
        """The wanted rows of the batches of some steps, and their weights, ``(members, steps, rows)``."""
        n = self.examples.size
        rows = np.zeros((len(self.words), n_steps, self.total), np.int32)
        weight = np.zeros(rows.shape, np.float32)
        for m, own_words in enumerate(self.words):
            for i in range(n_steps):
                if self.order is None:
                    r, w = batch_rows(
                        first + i, n=n, batch_size=self.batch_size, key_data=own_words, wrap=self.wrap
                    )
                else:
                    bucket, own = self.order.at(first + i)
                    r, w = self.order.rows(int(bucket[0]), own, key_data=own_words, wrap=self.wrap)
                weight[m, i, : len(w)] = w
                rows[m, i] = np.pad(r, (0, self.total - len(r)), "wrap" if self.wrap else "constant")
        return rows[..., self.positions], weight[..., self.positions]


def put(buffer: Any, where: Any, values: Any) -> None:
    """Write values into a part of an array, of a NamedTuple of arrays, or of nothing."""
    if isinstance(buffer, tuple):
        for one, of in zip(buffer, values):
            put(one, where, of)
    elif buffer is not None:
        buffer[where] = values


def _each(function: Any, a: Any) -> Any:
    """A function of an array, of each of a NamedTuple of arrays, or of nothing."""
    if a is None:
        return None
    return type(a)(*(_each(function, one) for one in a)) if isinstance(a, tuple) else function(a)
