"""All binary trees over a sequence at once: a chart in which every span mixes its ways of being split.

``p_ik = combine(span(i, k), span(k, j))`` is what a span would be if it were split at k; the span itself is
``Σ_k a_k p_ik`` with ``a = softmax(score(p_ik))``. It is the CKY algorithm with a softmax instead of a
choice, differentiable in everything, and its weights are a distribution over trees: at each node, from
the root down, the split is drawn by them.

The price is L (L² - 1) / 6 compositions for L leaves: 1,330 for 20, 10,660 for 40.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.typing import Array

MOST_LEAVES = 64
"""Longer sequences are refused: 64 leaves are 43,680 compositions, and it grows with the cube."""


class Chart(NamedTuple):
    """What `soft_chart` returns.

    Attributes:
      state: (batch, width) at the root.
      log_weights: for spans of 2, 3, … L leaves: (batch, L - leaves + 1, leaves - 1), for each first leaf
        ``log a`` of the split after 1, 2, … leaves.
    """

    state: Array
    log_weights: tuple[Array, ...]


def _itself(state: Array) -> Array:
    return state


def soft_chart(
    combine: Callable[[Any, Any], Array],
    score: Callable[[Array], Array],
    leaves: Array,
    lengths: Array,
    *,
    left: Callable[[Array], Any] = _itself,
    right: Callable[[Array], Any] = _itself,
) -> Chart:
    """The state of whole sequences by a soft parse; see the module's text.

    All splits of all spans of one length are computed together. The gradient keeps what ``left`` and
    ``right`` give for each split, and composes again.

    Args:
      combine: ``combine(left(a), right(b)) -> state``, for any leading axes.
      score: of a state, for any leading axes: (..., width) → (...).
      leaves: (batch, L, width).
      lengths: (batch,) whole numbers, 1 … L: how many leading leaves are real.
      left, right: the parts of a composition that depend on one child only, for every span once.

    Returns:
      `Chart`. Spans that reach beyond an example's length hold what the padding gives and are not used.

    Raises:
      ValueError: for shapes that do not fit, or more leaves than `MOST_LEAVES`.

    Source: notes R11.3; Maillard, Clark and Yogatama, 2017, Jointly learning sentence embeddings and syntax
    with unsupervised Tree-LSTMs.

    Example:
      >>> import jax.numpy as jnp
      >>> leaves = jnp.array([[[1.0], [5.0], [2.0]]])
      >>> combine = lambda left, right: (left + right) / 2
      >>> soft_chart(combine, lambda state: 0 * state[..., 0], leaves, jnp.array([3])).state.tolist()
      [[2.375]]
    """
    if leaves.ndim != 3 or not 1 <= leaves.shape[1] <= MOST_LEAVES:
        raise ValueError(
            f"leaves: got shape {leaves.shape}, allowed is (batch, L, width) with L from 1 to {MOST_LEAVES} "
            "(a chart of L leaves has L (L² - 1) / 6 compositions)"
        )
    batch, L, _ = leaves.shape
    if lengths.shape != (batch,):
        raise ValueError(f"lengths: got shape {lengths.shape}, allowed is {(batch,)}")

    @jax.checkpoint
    def mixed(lefts: Any, rights: Any) -> tuple[Array, Array]:
        made = combine(lefts, rights)
        log_weights = jax.nn.log_softmax(score(made), -1)
        return jnp.sum(jnp.exp(log_weights)[..., None] * made, 2), log_weights

    # The parts of all spans so far, (batch, span, leaves, …): by first leaf, with 1, 2, … leaves, and by last
    # leaf, with …, 2, 1 leaves. So the two children of all splits of a span stand side by side.
    lefts, rights = (jax.tree.map(lambda a: a[:, :, None], part(leaves)) for part in (left, right))
    first, log_weights = [leaves[:, 0]], []
    for size in range(2, L + 1):
        lefts = jax.tree.map(lambda a, spans=L - size + 1: a[:, :spans], lefts)
        rights = jax.tree.map(lambda a: a[:, 1:], rights)
        state, weights = mixed(lefts, rights)
        first, log_weights = [*first, state[:, 0]], [*log_weights, weights]
        lefts = jax.tree.map(lambda a, new: jnp.concatenate([a, new[:, :, None]], 2), lefts, left(state))
        rights = jax.tree.map(lambda a, new: jnp.concatenate([new[:, :, None], a], 2), rights, right(state))
    place = (lengths.astype(jnp.int32) - 1)[:, None, None]
    root = jnp.take_along_axis(jnp.stack(first, 1), place, 1)[:, 0]
    return Chart(root, tuple(log_weights))


def most_probable_trees(log_weights: Sequence[Any], lengths: Any) -> np.ndarray:
    """The tree of greatest probability of each example, on the host: the product of its splits' weights.

    ``best(i, j) = max_k log a_k + best(i, k) + best(k, j)`` (Viterbi), then down from the root.

    Args:
      log_weights: of a `Chart`.
      lengths: (batch,) numbers of leaves n.

    Returns:
      (batch, 2 L - 1, 2) int32 children as in `dlnotes.data.dataset.Trees`: leaves in slots 0 … n - 1, then
      the nodes above them, the root last; -1 where there is no child.

    Example:
      >>> thirds = [np.log([[[1.0], [1.0]]]), np.log([[[0.25, 0.75]]])]
      >>> most_probable_trees(thirds, [3]).tolist()
      [[[-1, -1], [-1, -1], [-1, -1], [0, 1], [3, 2]]]
    """
    lengths = np.asarray(lengths)
    L = len(log_weights) + 1
    best = [np.zeros((len(lengths), L))]
    split = [np.zeros((len(lengths), L), int)]
    for size in range(2, L + 1):
        count = L - size + 1
        of_splits = np.stack(
            [best[s - 1][:, :count] + best[size - s - 1][:, s : s + count] for s in range(1, size)], 2
        )
        total = np.asarray(log_weights[size - 2], np.float64) + of_splits
        best.append(total.max(2))
        split.append(total.argmax(2) + 1)
    children = np.full((len(lengths), 2 * L - 1, 2), -1, np.int32)
    for b, n in enumerate(lengths):
        _write(children[b], [of_size[b] for of_size in split], int(n))
    return children


def _write(children: np.ndarray, split: list[np.ndarray], n: int) -> None:
    """The nodes of one tree of n leaves into its rows, children before parents."""
    made = n
    done: list[int] = []  # slots of finished spans whose parents wait
    waiting = [(0, n, False)]
    while waiting:
        first, size, ready = waiting.pop()
        if size == 1:
            done.append(first)
        elif ready:
            second = done.pop()
            children[made] = done.pop(), second
            done.append(made)
            made += 1
        else:
            s = int(split[size - 1][first])
            waiting += [(first, size, True), (first + s, size - s, False), (first, s, False)]
