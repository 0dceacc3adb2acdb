"""The next symbol from the ones before it: interpolated n-grams, with the distribution of every position."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dlnotes.analysis.baselines.baseline import Answer, Baseline, Fitting, log_p
from dlnotes.data.dataset import Examples
from dlnotes.typing import IGNORE

ROWS = 8192
"""Positions whose distributions are computed at once."""


class _Order(NamedTuple):
    """Counts of n-grams of one order: contexts in increasing order, and a sparse row of counts of each."""

    contexts: np.ndarray
    counts: Any
    seen: np.ndarray
    kinds: np.ndarray


def next_symbol(order: int) -> Baseline:
    """Interpolated n-grams with Witten-Bell weights (see `dlnotes.data.texts.ngrams.ngram_bits`).

    Contexts do not reach out of an example, as those of a network do not.

    Args:
      order: the longest n-gram, lowered where a number of 63 bits cannot hold one.

    Source: Witten and Bell, 1991.
    """

    def fit(given: Fitting) -> Answer:
        symbols = max(len(given.dataset.symbols), given.dataset.outputs) or given.dataset.outputs
        highest = order
        while highest > 1 and symbols**highest >= 2**63:
            highest -= 1
        x, y = np.asarray(given.train.x, np.int64), np.asarray(given.train.y, np.int64)
        orders = [_counted(x, y, n, symbols, given.dataset.outputs) for n in range(1, highest + 1)]

        def answer(examples: Examples) -> np.ndarray:
            return _distributions(orders, np.asarray(examples.x, np.int64), symbols, given.dataset.outputs)

        return answer

    return Baseline(f"{order}-grams" if order > 1 else "most frequent symbol", _about(order), fit)


def _about(order: int) -> str:
    if order == 1:
        return "how often each symbol is in the training part"
    return f"interpolated n-grams of up to {order} symbols, Witten-Bell weights"


def _contexts(x: np.ndarray, length: int, symbols: int) -> np.ndarray:
    """``(n, time)`` a number for the last so many symbols up to each position; -1 where there are fewer."""
    keys = np.zeros(x.shape, np.int64)
    for back in range(length - 1, -1, -1):
        moved = np.zeros(x.shape, np.int64)
        moved[:, back:] = x[:, : x.shape[1] - back]
        keys = keys * symbols + moved
    keys[:, : length - 1 if length else 0] = -1
    return keys


def _counted(x: np.ndarray, y: np.ndarray, order: int, symbols: int, outputs: int) -> _Order:
    from scipy import sparse

    keys = _contexts(x, order - 1, symbols)
    real = (y != IGNORE) & (keys >= 0)
    contexts, row = np.unique(keys[real], return_inverse=True)
    counts = sparse.coo_matrix((np.ones(row.size), (row, y[real])), (len(contexts), outputs)).tocsr()
    counts.sum_duplicates()
    return _Order(contexts, counts, np.asarray(counts.sum(1)).ravel(), np.diff(counts.indptr))


def _distributions(orders: list[_Order], x: np.ndarray, symbols: int, outputs: int) -> np.ndarray:
    found = np.empty((x.size, outputs), np.float32)
    every = [_contexts(x, n, symbols).ravel() for n in range(len(orders))]
    for first in range(0, x.size, ROWS):
        rows = slice(first, first + ROWS)
        p = np.full((len(every[0][rows]), outputs), 1 / outputs)
        for order, keys in zip(orders, every):
            if not len(order.contexts):
                continue
            own = keys[rows]
            place = np.minimum(np.searchsorted(order.contexts, own), len(order.contexts) - 1)
            known = np.flatnonzero((order.contexts[place] == own) & (own >= 0))
            at = place[known]
            total, kinds = order.seen[at][:, None], order.kinds[at][:, None]
            p[known] = (order.counts[at].toarray() + kinds * p[known]) / (total + kinds)
        found[rows] = log_p(p)
    return found.reshape(*x.shape, outputs)
