"""A binary tree found from the leaves up: in each step the adjacent pair that scores best becomes one node.

With n leaves there are n - 1 steps. In each, all adjacent pairs are composed, every composition is
scored, and one pair is replaced by its composition. The choice is the largest score (plus Gumbel noise, if
a tree is to be drawn); its gradient is that of the softmax, "straight through".

A pair whose two states did not change in a step has the same composition and score as before. So only the
pairs beside the new node are computed, 3n - 5 compositions in all instead of n (n - 1) / 2, and the gradient
is still the whole one: a pair that was not chosen gets a gradient through its score only, so that the
derivative of the score, once known, serves all the steps in which the pair stands, and the parameters'
share waits until the end, when all pairs are composed once more with the sums of what their scores got.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.layers.recurrent.attention import masked_softmax
from dlnotes.typing import Array, PRNGKey

Combine = Callable[[Array, Array], Array]
"""``combine(left, right) -> state``, all (..., width)."""
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


def _all_pairs(
    combine: Combine,
    score: Score,
    leaves: Array,
    lengths: Array,
    noise: Array,
    temperature: Array,
    relaxed: bool,
) -> tuple[Array, Array, Array]:
    """As `_chosen_tree`, by composing all pairs anew in every step."""
    L = leaves.shape[1]
    places = jnp.arange(L - 1, dtype=jnp.int32)[None]

    def step(carry, inputs):
        states, nodes = carry
        k, noise = inputs
        composed = combine(states[:, :-1], states[:, 1:])
        scores = score(composed) + noise
        possible = places < lengths[:, None] - 1 - k
        y = straight_through(scores, possible, temperature=temperature, relaxed=relaxed)
        chosen = jnp.argmax(jnp.where(possible, scores, -jnp.inf), -1).astype(jnp.int32)
        return (_mixed(y, composed, states), _merged(nodes, chosen, L + k)), (nodes, chosen)

    first = leaves, _leaf_nodes(leaves)
    steps = jnp.arange(L - 1, dtype=jnp.int32), jnp.swapaxes(noise, 0, 1)
    (states, _), (nodes, chosen) = jax.lax.scan(step, first, steps)
    return states[:, 0], nodes, chosen


def _leaf_nodes(leaves: Array) -> Array:
    batch, L = leaves.shape[:2]
    return jnp.broadcast_to(jnp.arange(L, dtype=jnp.int32)[None], (batch, L))


def _merged(nodes: Array, chosen: Array, new: Array) -> Array:
    """The node at each place when ``new`` has come for the chosen one and the next."""
    here = jnp.arange(nodes.shape[1])[None] == chosen[:, None]
    return jnp.where(here, new, _shifted(chosen, nodes))


def _shifted(chosen: Array, a: Array) -> Array:
    """``a`` up to the chosen place and the next entries after it, along axis 1; the last again at the end."""
    after = jnp.arange(a.shape[1])[None] > chosen[:, None]
    return jnp.where(jnp.expand_dims(after, tuple(range(2, a.ndim))), _next(a), a)


def _next(a: Array) -> Array:
    return jnp.concatenate([a[:, 1:], a[:, -1:]], 1)


def _mixed(y: Array, composed: Array, states: Array) -> Array:
    """``y_i p_i + left_i r_i + right_i r_{i+1}``, left: nothing chosen up to i, right: chosen before i."""
    y = jnp.pad(y, ((0, 0), (0, 1)))
    composed = jnp.pad(composed, ((0, 0), (0, 1), (0, 0)))
    upto = jnp.cumsum(y, 1)
    left, right = 1 - upto, upto - y
    return y[..., None] * composed + left[..., None] * states + right[..., None] * _next(states)


def _rows(a: Array, places: Array) -> Array:
    """``a[b, places[b, i]]``: (batch, n, …), (batch, m) → (batch, m, …)."""
    places = jnp.expand_dims(jnp.clip(places, 0, a.shape[1] - 1), tuple(range(2, a.ndim)))
    return jnp.take_along_axis(a, places, 1, mode="promise_in_bounds")


def _put(a: Array, new: Array, at: Array | int) -> Array:
    """``a`` with ``new`` in the entries from ``at`` on of axis 1."""
    return jax.lax.dynamic_update_slice_in_dim(a, new.astype(a.dtype), at, 1)


class _Found(NamedTuple):
    """A search from the leaves to the root, as the gradient needs it; n = L - 1 steps.

    Attributes:
      states: (batch, 2 L - 1, width) of all nodes: L leaves, then what each step made.
      composed: (batch, 3 n, width) of all pairs that ever stood side by side: those of the leaves, then two
        of each step, the new node with its left and with its right neighbor.
      slopes: of the score of each such pair by its left and by its right state, (batch, 3 n, width) each.
      ends: (batch, 3 n, 2) the nodes of each such pair.
      nodes: (n, batch, L) the node at each place before each step.
      pairs: (n, batch, n) the pair at each place before each step.
      soft: (n, batch, n) softmax of the scores; 0 everywhere in steps that an example has no need of.
      chosen: (n, batch) the place of the pair that became a node.
    """

    states: Array
    composed: Array
    slopes: tuple[Array, Array]
    ends: Array
    nodes: Array
    pairs: Array
    soft: Array
    chosen: Array


def _search(node, leaves: Array, lengths: Array, noise: Array, temperature: Array) -> tuple[Array, _Found]:
    """The states at the roots, and all of the search; ``node(left, right) -> (state, score)``."""
    batch, L = leaves.shape[:2]
    n, places = L - 1, jnp.arange(L - 1, dtype=jnp.int32)[None]
    many = jax.vmap(jax.vmap(node))

    def composed(left, right):
        def scored(left, right):
            states, scores = many(left, right)
            return scores.sum(), (scores, states)

        slopes, both = jax.grad(scored, (0, 1), has_aux=True)(left, right)
        return *both, slopes

    def step(carry, inputs):
        states, made, scores, nodes, pairs = carry
        k, noise = inputs
        noisy = _rows(scores, pairs) + noise
        possible = places < lengths[:, None] - 1 - k
        soft = masked_softmax(noisy / temperature, possible)
        chosen = jnp.argmax(jnp.where(possible, noisy, -jnp.inf), -1).astype(jnp.int32)
        new = _rows(made, _rows(pairs, chosen[:, None]))
        states = _put(states, new, L + k)
        own = jnp.broadcast_to(L + k, (batch,))
        before, behind = (_rows(nodes, chosen[:, None] + i)[:, 0] for i in (-1, 2))
        left, right = jnp.stack([before, own], 1), jnp.stack([own, behind], 1)
        new_scores, new_made, slopes = composed(_rows(states, left), _rows(states, right))
        kept = nodes, pairs, soft, chosen, slopes, jnp.stack([left, right], 2)
        at = n + 2 * k
        made, scores = _put(made, new_made, at), _put(scores, new_scores, at)
        active, here = possible[:, :1], places == chosen[:, None]
        pairs = jnp.where(here, at + 1, _shifted(chosen, pairs))
        pairs = jnp.where(places == chosen[:, None] - 1, at, pairs)
        nodes = jnp.where(active, _merged(nodes, chosen, L + k), nodes)
        return (states, made, scores, nodes, pairs), kept

    scores, made, slopes = composed(leaves[:, :-1], leaves[:, 1:])
    nodes = _leaf_nodes(leaves)
    pairs = jnp.broadcast_to(places, (batch, n))
    states = jnp.pad(leaves, ((0, 0), (0, n), (0, 0)))
    made = jnp.pad(made, ((0, 0), (0, 2 * n), (0, 0)))
    first = states, made, jnp.pad(scores, ((0, 0), (0, 2 * n))), nodes, pairs
    steps = jnp.arange(n, dtype=jnp.int32), jnp.swapaxes(noise, 0, 1)
    (states, made, _, last, _), kept = jax.lax.scan(step, first, steps)
    by_step, by_pair = kept[:4], kept[4:]

    def all_pairs(first, later):
        return jnp.concatenate([first, jnp.swapaxes(later, 0, 1).reshape(batch, 2 * n, -1)], 1)

    first_ends = jnp.stack([nodes[:, :-1], nodes[:, 1:]], 2)
    slopes, ends = jax.tree.map(all_pairs, (slopes, first_ends), by_pair)
    return _rows(states, last[:, :1])[:, 0], _Found(states, made, slopes, ends, *by_step)


def _gradients(node, consts, found: _Found, temperature: Array, droot: Array) -> tuple[Any, Array]:
    """Gradients by ``consts`` and by the leaves; ``node(left, right, *consts) -> (state, score)``."""
    batch, L = found.nodes.shape[1:]
    n, width = L - 1, found.states.shape[-1]
    places, wide = jnp.arange(n, dtype=jnp.int32)[None], jnp.arange(L, dtype=jnp.int32)[None]
    many = jax.vmap(node, in_axes=(0, 0, *[None] * len(consts)))

    def step(carry, inputs):
        g, counts, dconsts = carry
        nodes, pairs, soft, chosen = inputs
        states, composed = _rows(found.states, nodes), _rows(found.composed, pairs)
        # Of r_i = y_i p_i + (1 - Σ_{j ≤ i} y_j) r_i + (Σ_{j < i} y_j) r_{i+1} by y, for all places at once.
        stays, moved = (g * states).sum(2), (g * _next(states)).sum(2)
        behind = jnp.cumsum((moved - stays)[:, ::-1], 1)[:, ::-1]
        dy = (g[:, :-1] * composed).sum(2) - moved[:, :-1] + behind[:, :-1]
        ds = soft * (dy - (soft * dy).sum(1, keepdims=True)) / temperature
        active, chosen = (soft > 0).any(1, keepdims=True), chosen[:, None]
        # The chosen pair: what its node received goes on to both of its states.
        both = _rows(states, chosen), _rows(states, chosen + 1)
        dnew = jnp.where(active, _rows(g, chosen)[:, 0], 0)
        _, back = jax.vjp(many, both[0][:, 0], both[1][:, 0], *consts)
        dleft, dright, *more = back((dnew, jnp.zeros(batch, dnew.dtype)))
        dconsts = jax.tree.map(jnp.add, dconsts, more)
        # What comes out at the last place after a choice is never used: its gradient is 0.
        before, after = (~active | (wide < chosen)), active & (wide > chosen + 1)
        up = jnp.pad(g[:, :-1], ((0, 0), (1, 0), (0, 0)))
        g = jnp.where(before[..., None], g, jnp.where(after[..., None], up, 0))
        g = jnp.where((active & (wide == chosen))[..., None], dleft[:, None], g)
        g = jnp.where((active & (wide == chosen + 1))[..., None], dright[:, None], g)
        # Every other pair: through its score to both of its states.
        by_left, by_right = (ds[..., None] * _rows(slope, pairs) for slope in found.slopes)
        g = g + jnp.pad(by_left, ((0, 0), (0, 1), (0, 0))) + jnp.pad(by_right, ((0, 0), (1, 0), (0, 0)))
        # The two pairs that this step made are complete; those that it ended begin.
        made = chosen + jnp.array([[-1, 0]], jnp.int32)
        done = jnp.where(active & (made >= 0), _rows(counts, made), 0)
        moved_up = jnp.pad(counts[:, :-1], ((0, 0), (1, 0)))
        counts = jnp.where(
            ~active | (places < chosen - 1), counts, jnp.where(places > chosen + 1, moved_up, 0)
        )
        return (g, counts + ds, dconsts), done

    g = jnp.pad(droot[:, None], ((0, 0), (0, n), (0, 0)))
    zeros = jax.tree.map(jnp.zeros_like, list(consts))
    inputs = found.nodes, found.pairs, found.soft, found.chosen
    (g, counts, dconsts), done = jax.lax.scan(
        step, (g, jnp.zeros((batch, n), g.dtype), zeros), inputs, reverse=True
    )
    counts = jnp.concatenate([counts, jnp.swapaxes(done, 0, 1).reshape(batch, 2 * n)], 1)
    left, right = (_rows(found.states, found.ends[..., i]).reshape(-1, width) for i in range(2))
    _, back = jax.vjp(lambda *consts: many(left, right, *consts)[1], *consts)
    return jax.tree.map(jnp.add, dconsts, list(back(counts.reshape(-1)))), g


def _chosen_tree(node, consts, leaves, lengths, noise, temperature) -> tuple[Array, Array, Array]:
    """Roots, and the pairs with the nodes; the gradient is written out (see the module's text)."""

    def forward(consts, leaves, lengths, noise, temperature):
        def own(left, right):
            return node(left, right, *consts)

        root, found = _search(own, leaves, lengths, noise, temperature)
        return (root, found.nodes, found.chosen), (consts, found, lengths, noise, temperature)

    @jax.custom_vjp
    def run(*arguments):
        return forward(*arguments)[0]

    def backward(kept, g):
        consts, found, lengths, noise, temperature = kept
        dconsts, dleaves = _gradients(node, consts, found, temperature, g[0])
        none = np.zeros(lengths.shape, jax.dtypes.float0)
        return dconsts, dleaves, none, jnp.zeros_like(noise), jnp.zeros_like(temperature)

    run.defvjp(forward, backward)
    return run(consts, leaves, lengths, noise, temperature)


def compose_pairs(
    combine: Combine,
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

    ``p_i = combine(r_i, r_{i+1})``, ``y = one_hot(argmax_i score(p_i) + noise_i)`` with the gradient of the
    softmax, then ``r_i ← y_i p_i + [nothing up to i chosen] r_i + [chosen before i] r_{i+1}``, n - 1 times.

    Args:
      combine: makes one state of two, for any leading axes.
      score: of a state, for any leading axes.
      leaves: (batch, L, width), L at least 1.
      lengths: (batch,) whole numbers n, 1 … L: how many leading leaves are real.
      noise: (batch, L - 1, L - 1) added to the scores of each step, as of `gumbel_noise`; or ``None``.
      temperature: of the softmax; may be traced. Noise and temperature have no gradient.
      relaxed: mix the pairs by the softmax instead of choosing one. ``pairs`` then are the likeliest ones.
      again: compose all pairs in every step, and leave the gradient to JAX (forward mode, too). A check; and
        what ``relaxed`` always does, for there every state changes in every step.

    Returns:
      `FoundTree`.

    Raises:
      ValueError: for shapes that do not fit.

    Source: notes R11.3; Choi, Yoo and Lee, 2018, Learning to compose task-specific tree structures.

    Example:
      >>> import jax.numpy as jnp
      >>> leaves = jnp.array([[[1.0], [5.0], [2.0]]])
      >>> combine = lambda left, right: left + right
      >>> compose_pairs(combine, lambda state: state[..., 0], leaves, jnp.array([3])).pairs.tolist()
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
    if noise is None:
        noise = jnp.zeros((batch, L - 1, L - 1), leaves.dtype)
    noise = noise.astype(leaves.dtype)
    temperature = jnp.asarray(temperature, leaves.dtype)
    if relaxed or again:
        state, nodes, chosen = _all_pairs(combine, score, leaves, lengths, noise, temperature, relaxed)
    else:

        def node(left, right):
            state = combine(left, right)
            return state, score(state)

        one = leaves[0, 0]
        pure, consts = jax.closure_convert(node, one, one)
        state, nodes, chosen = _chosen_tree(pure, list(consts), leaves, lengths, noise, temperature)
    nodes, chosen = jnp.moveaxis(nodes, 0, 1), jnp.moveaxis(chosen, 0, 1)
    pair = jnp.take_along_axis(nodes, jnp.stack([chosen, chosen + 1], 2), 2)
    # Step k's node is L + k here, whatever the number of leaves.
    pair = jnp.where(pair < L, pair, pair - L + lengths[:, None, None])
    needed = jnp.arange(L - 1)[None] < lengths[:, None] - 1
    return FoundTree(state, jnp.where(needed[..., None], pair, -1))


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
    step = jnp.arange(2 * L - 1)[None] - lengths[:, None]
    if L == 1:
        return jnp.full((len(pairs), 1, 2), -1, jnp.int32)
    taken = jnp.take_along_axis(pairs, jnp.clip(step, 0, L - 2)[..., None], 1)
    return jnp.where(((step >= 0) & (step < L - 1))[..., None], taken, -1).astype(jnp.int32)
