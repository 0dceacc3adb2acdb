"""Symbols whose transitions change with time, and a table of transitions for each time."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from dlnotes import data
from dlnotes.typing import IGNORE

SYMBOLS = 6
SPAN = 64
"""Times at which the training sequences lie: 0 … SPAN − 1."""
Change = Literal["season", "drift"]
CHANGES: tuple[Change, ...] = ("season", "drift")
STRENGTHS = np.array([0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0])
"""Symbols that the prior of a table counts for."""


class Windows(NamedTuple):
    """Parts of sequences.

    Attributes:
      y: ``(n, length)`` symbols.
      t: ``(n, length)`` the time of each.
    """

    y: np.ndarray
    t: np.ndarray


def weight(t: np.ndarray, change: Change) -> np.ndarray:
    """The share of the second matrix at a time, in [0, 1]: one season a span, or a drift that slows down."""
    return (1 + np.sin(2 * np.pi * t / SPAN)) / 2 if change == "season" else 1 - np.exp(-t / SPAN)


def matrices() -> np.ndarray:
    """Two transition matrices, (2, from, to), the same for all seeds: most goes to one or two symbols."""
    return np.random.default_rng(3).dirichlet(np.full(SYMBOLS, 0.25), (2, SYMBOLS)) * 0.94 + 0.01


def transitions(change: Change) -> np.ndarray:
    """``P_t(y_t | y_{t−1})`` at each time of two spans, (2 · SPAN, from, to)."""
    share = weight(np.arange(2 * SPAN), change)[:, None, None]
    first, second = matrices()
    return (1 - share) * first[None] + share * second[None]


def windows(
    n: int, length: int, change: Change, rng: np.random.Generator, *, spans: int = 1, begin: int = 0
) -> Windows:
    """Windows of new sequences that begin at a random time from ``begin`` on, within so many spans."""
    p = np.cumsum(transitions(change), -1)
    whole = np.zeros((n, spans * SPAN), np.int32)
    whole[:, 0] = rng.integers(0, SYMBOLS, n)
    for t in range(1, spans * SPAN):
        drawn = (rng.random((n, 1)) > p[t, whole[:, t - 1]]).sum(1)
        whole[:, t] = np.minimum(drawn, SYMBOLS - 1)
    starts = rng.integers(begin, spans * SPAN - length + 1, n)
    t = starts[:, None] + np.arange(length)
    return Windows(np.take_along_axis(whole, t, 1), t)


def examples(found: Windows, *, clock: bool) -> data.Examples:
    """What a net reads: the time over the span, or 0 without a clock, and the symbol before.

    The first symbol of a window is given, and is not a target.
    """
    x = (found.t / SPAN * clock).astype(np.float32)[..., None]
    y = found.y.astype(np.int32)
    target = y.copy()
    target[:, 0] = IGNORE
    return data.Examples(data.Pair(x, data.shift_right(y, SYMBOLS)), target)


def exact(found: Windows, change: Change) -> np.ndarray:
    """``−log P_t(y_t | y_{t−1})`` of all but the first symbols, nats, (n, length − 1)."""
    return -np.log(transitions(change)[found.t[:, 1:], found.y[:, :-1], found.y[:, 1:]])


def exact_without_time(found: Windows, change: Change) -> np.ndarray:
    """``−log P(y_t | the window before it)`` for who does not know where windows of the first span lie.

    ``Σ_s w_s P_{s+j}(y_j | y_{j−1})`` over all starts s,
    with ``w_s ∝ P(y_0 at s) ∏_{i<j} P_{s+i}(y_i | y_{i−1})``.
    """
    p, length = transitions(change), found.y.shape[1]
    starts = np.arange(SPAN - length + 1)
    first = np.full((len(starts), SYMBOLS), 1 / SYMBOLS)
    for s in starts[1:]:
        first[s] = first[s - 1] @ p[s]
    weights = first[:, found.y[:, 0]].T
    result = np.zeros((len(found.y), length - 1))
    for j in range(1, length):
        weights /= weights.sum(1, keepdims=True)
        step = p[starts[None] + j, found.y[:, j - 1, None], found.y[:, j, None]]
        weights = weights * step
        result[:, j - 1] = -np.log(weights.sum(1))
    return result


def counts(found: Windows) -> np.ndarray:
    """How often each transition was seen at each time of two spans, (2 · SPAN, from, to)."""
    n = np.zeros((2 * SPAN, SYMBOLS, SYMBOLS))
    np.add.at(n, (found.t[:, 1:], found.y[:, :-1], found.y[:, 1:]), 1)
    return n


def table(train: Windows, held: Windows, *, shared: bool = False) -> np.ndarray:
    """A table for each time, ``(N_t(ab) + α q(b|a)) / (N_t(a) + α)``, (2 · SPAN, from, to).

    The prior q is even, so that nothing is shared between times; or, ``shared``, the table of all times
    together. Its strength α is the one of STRENGTHS that predicts the held-out windows best.
    """
    n = counts(train)
    q = np.full((SYMBOLS, SYMBOLS), 1 / SYMBOLS)
    if shared:
        all_times = n.sum(0) + 1
        q = all_times / all_times.sum(-1, keepdims=True)

    def made(strength: float) -> np.ndarray:
        return (n + strength * q[None]) / (n.sum(-1, keepdims=True) + strength)

    return min((made(s) for s in STRENGTHS), key=lambda p: surprise(p, held).mean())


def surprise(p: np.ndarray, found: Windows) -> np.ndarray:
    """``−log p`` of all but the first symbols by a table for each time, (n, length − 1)."""
    return -np.log(p[found.t[:, 1:], found.y[:, :-1], found.y[:, 1:]])


def by_time(values: np.ndarray, found: Windows) -> np.ndarray:
    """Mean of values (..., n, length − 1) at each time of two spans, NaN where there are none."""
    t = found.t[:, 1:].ravel()
    n = np.bincount(t, minlength=2 * SPAN)
    flat = values.reshape(-1, t.size)
    sums = np.stack([np.bincount(t, row, minlength=2 * SPAN) for row in flat])
    with np.errstate(invalid="ignore", divide="ignore"):
        return (sums / n[None]).reshape(*values.shape[:-2], 2 * SPAN)
