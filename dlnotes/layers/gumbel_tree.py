"""A binary tree found from the leaves up: in each step the adjacent pair that scores best becomes one node.

With n leaves there are n - 1 steps. In each, all adjacent pairs are composed, every composition is
scored, and one pair is replaced by its composition. The choice is the largest score (plus Gumbel noise, if
a tree is to be drawn); its gradient is that of the softmax, "straight through".

A pair whose two states did not change in a step has the same composition and score as before. So only the
pairs beside the new node are computed, 3n - 5 compositions in all instead of n (n - 1) / 2, and the gradient
is still the whole one: a pair that was not chosen gets a gradient through its score only, so that the
derivative of the score, once known, serves all the steps in which the pair stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient

from dlnotes.layers.arguments import positive
from dlnotes.layers.attention import masked_softmax
from dlnotes.typing import Array, PRNGKey

Join = Callable[[Array, Array], Array]
"""``join(left, right) -> state``, all (..., width)."""
Score = Callable[[Array], Array]
"""``score(state) -> (...)``, of states (..., width)."""


class FoundTree(NamedTuple):
    """What `compose_pairs` returns.

    Attributes:
      state: (batch, width) at the root.
      pairs: (batch, L - 1, 2) int32, the two nodes that each step made one, -1 in steps that an example has
        no need of. The n leaves of an example are nodes 0 … n - 1, its step k makes node n + k.
    """

    state: Array
    pairs: Array


def gumbel_noise(key: PRNGKey, batch: int, leaves: int) -> Array:
    """Noise that makes the largest score a draw from the softmax: ``-log(-log u)``, u uniform.

    Args:
      key: one key, or one per example.
      batch, leaves: sizes, as of the leaves of `compose_pairs`.

    Returns:
      (batch, leaves - 1 steps, leaves - 1 pairs).

    Source: Jang, Gu and Poole, 2017; Maddison, Mnih and Teh, 2017.
    """
    shape = (leaves - 1, leaves - 1)
    if key.ndim == 0:
        return jax.random.gumbel(key, (batch, *shape))
    return jax.vmap(lambda k: jax.random.gumbel(k, shape))(key)


@jax.custom_jvp
def _hard(hard: Array, soft: Array) -> Array:
    """The value of the first with the derivative of the second."""
    return hard


@_hard.defjvp
def _hard_jvp(primals, tangents):
    return _hard(*primals), tangents[1]


def straight_through(
    scores: Array, possible: Array, *, temperature: float | Array = 1.0, relaxed: bool = False
) -> Array:
    """A choice: 1 at the largest score, 0 elsewhere, with the gradient of ``softmax(s / temperature)``.

    Args:
      scores: (..., choices).
      possible: booleans of the same shape. A row in which nothing is possible is 0 everywhere.
      temperature: above 0; may be traced. Large ones spread the gradient over all choices.
      relaxed: give the softmax itself.

    Returns:
      (..., choices), of the dtype of ``scores``.

    Source: Bengio, Léonard and Courville, 2013; Jang, Gu and Poole, 2017.

    Example:
      >>> import jax.numpy as jnp
      >>> straight_through(jnp.array([1.0, 3.0, 9.0]), jnp.array([True, True, False])).tolist()
      [0.0, 1.0, 0.0]
    """
    soft = masked_softmax(scores / jnp.asarray(temperature, scores.dtype), possible)
    if relaxed:
        return soft
    lowest = jnp.asarray(jnp.finfo(scores.dtype).min, scores.dtype)
    best = jnp.argmax(jnp.where(possible, scores, lowest), -1)
    one = jax.nn.one_hot(best, scores.shape[-1], dtype=scores.dtype)
    return _hard(jnp.where(possible, one, 0), soft)


@jax.custom_vjp
def _with_slopes(scores: Array, slopes: tuple[Array, Array], states: Array) -> Array:
    """The scores (batch, L - 1), growing by ``slopes`` with the left and right states (batch, L, …)."""
    return scores


def _with_slopes_forward(scores, slopes, states):
    return scores, slopes


def _with_slopes_backward(slopes, g):
    left, right = (g[..., None] * slope for slope in slopes)
    behind, before = ((0, 0), (0, 1), (0, 0)), ((0, 0), (1, 0), (0, 0))
    zeros = jax.tree.map(jnp.zeros_like, slopes)
    return g, zeros, jnp.pad(left, behind) + jnp.pad(right, before)


_with_slopes.defvjp(_with_slopes_forward, _with_slopes_backward)


class _Pairs(NamedTuple):
    """What is known of all adjacent pairs of a sequence of L states.

    Attributes:
      scores: (batch, L - 1); their gradient reaches the parameters, but not the states.
      states: (batch, L - 1, width) of the compositions, constants.
      slopes: of the score by the left and by the right state, constants like ``states``.
    """

    scores: Array
    states: Array
    slopes: tuple[Array, Array]


def _composed(join: Join, score: Score, left: Array, right: Array) -> _Pairs:
    left, right = stop_gradient((left, right))

    def scored(left, right):
        state = join(left, right)
        scores = score(state)
        return scores.sum(), (scores, state)

    slopes, (scores, states) = jax.grad(scored, (0, 1), has_aux=True)(left, right)
    return _Pairs(scores, *stop_gradient((states, slopes)))


def _shifted(chosen: Array, a: Array, behind: Array) -> Array:
    """``a`` up to the chosen place and ``behind`` (its next entries) after it, along axis 1."""
    after = jnp.arange(a.shape[1])[None] > chosen[:, None]
    return jnp.where(jnp.expand_dims(after, tuple(range(2, a.ndim))), behind, a)


def _next(a: Array) -> Array:
    """The next entry along axis 1; the last again at the end."""
    return jnp.concatenate([a[:, 1:], a[:, -1:]], 1)


def _mixed(y: Array, composed: Array, states: Array) -> Array:
    """``y_i p_i + left_i r_i + right_i r_{i+1}``, left: nothing chosen up to i, right: chosen before i."""
    y = jnp.pad(y, ((0, 0), (0, 1)))
    composed = jnp.pad(composed, ((0, 0), (0, 1), (0, 0)))
    upto = jnp.cumsum(y, 1)
    left, right = 1 - upto, upto - y
    return y[..., None] * composed + left[..., None] * states + right[..., None] * _next(states)


@jax.custom_vjp
def _replaced(y: Array, chosen: Array, new: Array, composed: Array, states: Array) -> Array:
    """`_mixed` for a choice: ``new`` at the chosen place, what follows moved up by one.

    Args:
      y: (batch, L - 1), 1 at the chosen place, or all 0: then nothing changes.
      chosen: (batch,) that place.
      new: (batch, width), its composition.
      composed: (batch, L - 1, width), those of the other places, constants.
      states: (batch, L, width).
    """
    before, here, _ = _places(y, chosen)
    return jnp.where(before, states, jnp.where(here, new[:, None], _next(states)))


def _places(y: Array, chosen: Array) -> tuple[Array, Array, Array]:
    """(batch, L, 1) booleans each: places that nothing changes, the chosen place, those behind the pair."""
    place = jnp.arange(y.shape[1] + 1)[None]
    chosen, some = chosen[:, None], (y > 0).any(1, keepdims=True)
    before, here, after = ~some | (place < chosen), some & (place == chosen), some & (place > chosen + 1)
    return before[..., None], here[..., None], after[..., None]


def _replaced_forward(y, chosen, new, composed, states):
    return _replaced(y, chosen, new, composed, states), (y, chosen, new, composed, states)


def _replaced_backward(kept, g):
    y, chosen, new, composed, states = kept
    before, here, after = _places(y, chosen)
    # Of r_i = y_i p_i + (1 - Σ_{j ≤ i} y_j) r_i + (Σ_{j < i} y_j) r_{i+1} by y, for all places at once.
    stays, moved = (g * states).sum(2), (g * _next(states)).sum(2)
    of_pair = jnp.where(here[:, :-1, 0], (g[:, :-1] * new[:, None]).sum(2), (g[:, :-1] * composed).sum(2))
    behind = jnp.cumsum((moved - stays)[:, ::-1], 1)[:, ::-1]
    dy = of_pair - moved[:, :-1] + behind[:, :-1]
    dnew = jnp.where(here, g, 0).sum(1)
    # What comes out at the last place after a choice is never used: its gradient is 0.
    moved_up = jnp.pad(g[:, :-1], ((0, 0), (1, 0), (0, 0)))
    dstates = jnp.where(before, g, jnp.where(after, moved_up, 0))
    return dy, np.zeros(chosen.shape, jax.dtypes.float0), dnew, jnp.zeros_like(composed), dstates


_replaced.defvjp(_replaced_forward, _replaced_backward)


def _at(a: Array, place: Array) -> Array:
    """``a[b, place[b]]`` for (batch, n, width) and (batch,), as near to the place as there is one."""
    place = jnp.clip(place, 0, a.shape[1] - 1)[:, None, None]
    return jnp.take_along_axis(a, place, 1, mode="promise_in_bounds")[:, 0]


def _update(join: Join, score: Score, pairs: _Pairs, states: Array, chosen: Array) -> _Pairs:
    """The pairs of a sequence in which ``states[chosen]`` is new and what follows has moved up by one."""
    before, new, behind = (_at(states, chosen + i) for i in (-1, 0, 1))
    # Both new pairs in one call: (batch, 2, width).
    two = _composed(join, score, jnp.stack([before, new], 1), jnp.stack([new, behind], 1))
    place = jnp.arange(pairs.scores.shape[1])[None]

    def put(old, fresh):
        rest = tuple(range(2, old.ndim))
        is_left, is_right = (jnp.expand_dims(place == at[:, None], rest) for at in (chosen - 1, chosen))
        moved = _shifted(chosen, old, _next(old))
        return jnp.where(is_left, fresh[:, :1], jnp.where(is_right, fresh[:, 1:], moved))

    return jax.tree.map(put, pairs, two)


def compose_pairs(
    join: Join,
    score: Score,
    leaves: Array,
    lengths: Array,
    *,
    noise: Array | None = None,
    temperature: float | Array = 1.0,
    relaxed: bool = False,
    again: bool = False,
) -> FoundTree:
    """Compose sequences by binary trees that their own scores choose; see the module's text.

    ``p_i = join(r_i, r_{i+1})``, ``y = one_hot(argmax_i score(p_i) + noise_i)`` with the gradient of the
    softmax, then ``r_i ← y_i p_i + [nothing up to i chosen] r_i + [chosen before i] r_{i+1}``, n - 1 times.

    Args:
      join: makes one state of two, for any leading axes.
      score: of a state, for any leading axes.
      leaves: (batch, L, width), L at least 1.
      lengths: (batch,) whole numbers n, 1 … L: how many leading leaves are real.
      noise: (batch, L - 1, L - 1) added to the scores of each step, as of `gumbel_noise`; or ``None``.
      temperature: of the softmax; may be traced.
      relaxed: mix the pairs by the softmax instead of choosing one. ``pairs`` then are the likeliest ones.
      again: compose all pairs in every step. The same numbers for L / 6 times the work (a check; and what
        ``relaxed`` always does, for there every state changes in every step).

    Returns:
      `FoundTree`.

    Raises:
      ValueError: for shapes that do not fit.

    Source: notes R11.3; Choi, Yoo and Lee, 2018, Learning to compose task-specific tree structures.

    Example:
      >>> import jax.numpy as jnp
      >>> leaves = jnp.array([[[1.0], [5.0], [2.0]]])
      >>> join = lambda left, right: left + right
      >>> compose_pairs(join, lambda state: state[..., 0], leaves, jnp.array([3])).pairs.tolist()
      [[[1, 2], [0, 3]]]
    """
    if leaves.ndim != 3 or leaves.shape[1] < 1:
        raise ValueError(f"leaves: got shape {leaves.shape}, allowed is (batch, L, width) with L at least 1")
    batch, L, _ = leaves.shape
    if lengths.shape != (batch,):
        raise ValueError(f"lengths: got shape {lengths.shape}, allowed is {(batch,)}")
    if noise is not None and noise.shape != (batch, L - 1, L - 1):
        raise ValueError(f"noise: got shape {noise.shape}, allowed is {(batch, L - 1, L - 1)}")
    if L == 1:
        return FoundTree(leaves[:, 0], jnp.zeros((batch, 0, 2), jnp.int32))
    lengths = lengths.astype(jnp.int32)
    place = jnp.arange(L - 1, dtype=jnp.int32)[None]
    whole = relaxed or again

    def step(carry, inputs):
        states, pairs, nodes = carry
        k, noise = inputs
        if whole:
            composed = join(states[:, :-1], states[:, 1:])
            scores = score(composed)
        else:
            composed = pairs.states
            scores = _with_slopes(pairs.scores, stop_gradient(pairs.slopes), states)
        scores = scores if noise is None else scores + noise.astype(scores.dtype)
        possible = place < lengths[:, None] - 1 - k
        y = straight_through(scores, possible, temperature=temperature, relaxed=relaxed)
        chosen = jnp.argmax(jnp.where(possible, scores, -jnp.inf), -1).astype(jnp.int32)
        active = possible[:, 0]
        if whole:
            states = _mixed(y, composed, states)
        else:
            # The chosen pair once more, for its own gradient.
            new = join(_at(states, chosen), _at(states, chosen + 1))
            states = _replaced(y, chosen, new, stop_gradient(composed), states)
            pairs = _update(join, score, pairs, states, chosen)
        rows = jnp.arange(batch)
        pair = jnp.stack([nodes[rows, chosen], nodes[rows, chosen + 1]], -1)
        nodes = _shifted(chosen, nodes, _next(nodes)).at[rows, chosen].set(lengths + k)
        return (states, pairs, nodes), jnp.where(active[:, None], pair, -1)

    nodes = jnp.broadcast_to(jnp.arange(L, dtype=jnp.int32)[None], (batch, L))
    first = None if whole else _composed(join, score, leaves[:, :-1], leaves[:, 1:])
    steps = jnp.arange(L - 1, dtype=jnp.int32)
    by_step = None if noise is None else jnp.swapaxes(noise, 0, 1)
    (states, _, _), pairs = jax.lax.scan(step, (leaves, first, nodes), (steps, by_step))
    return FoundTree(states[:, 0], jnp.swapaxes(pairs, 0, 1))


def found_children(pairs: Array, lengths: Array) -> Array:
    """The trees of `compose_pairs` as children arrays, as in `dlnotes.data.dataset.Trees`.

    Args:
      pairs: (batch, L - 1, 2).
      lengths: (batch,) numbers of leaves n.

    Returns:
      (batch, 2 L - 1, 2) int32: leaves in slots 0 … n - 1 and padding behind 2 n - 2 have children -1.

    Example:
      >>> import jax.numpy as jnp
      >>> found_children(jnp.array([[[0, 1], [-1, -1]]]), jnp.array([2])).tolist()
      [[[-1, -1], [-1, -1], [0, 1], [-1, -1], [-1, -1]]]
    """
    L = pairs.shape[1] + 1
    positive(L=L)
    step = jnp.arange(2 * L - 1)[None] - lengths[:, None]
    if L == 1:
        return jnp.full((len(pairs), 1, 2), -1, jnp.int32)
    taken = jnp.take_along_axis(pairs, jnp.clip(step, 0, L - 2)[..., None], 1)
    return jnp.where(((step >= 0) & (step < L - 1))[..., None], taken, -1).astype(jnp.int32)
