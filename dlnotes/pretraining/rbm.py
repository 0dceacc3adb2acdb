"""The restricted Boltzmann machine: its energy, its conditional distributions, its likelihood, its samples.

Visible units are bits (`RBMParams`) or real numbers (`GaussianRBMParams`); every function takes either.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.checks import positive
from dlnotes.layers.feedforward.dense import add_bias
from dlnotes.pretraining.draws import bits, words
from dlnotes.typing import Array, PRNGKey, Weight

MOST_ENUMERATED = 20
"""Units of the smaller side up to which `log_partition` adds up all states, 2²⁰."""
_BLOCK = 12  # of the units enumerated, those whose states are in memory at once


class RBMParams(NamedTuple):
    """Parameters of ``E(v, h) = −b·v − c·h − v W h`` over bits v and h.

    Attributes:
      W: ``(visible, hidden)``.
      b: ``(visible,)`` biases of the visible units.
      c: ``(hidden,)`` biases of the hidden units.
    """

    W: Weight
    b: Weight
    c: Weight


class GaussianRBMParams(NamedTuple):
    """Parameters of ``E(v, h) = Σ (v − b)²/(2σ²) − c·h − (v/σ) W h`` over real numbers v and bits h.

    Attributes:
      W: ``(visible, hidden)``.
      b: ``(visible,)``, the means of the visible units where all hidden units are 0.
      c: ``(hidden,)`` biases of the hidden units.
      sigma: ``(visible,)`` standard deviations σ > 0 of the visible units, given the hidden ones.
    """

    W: Weight
    b: Weight
    c: Weight
    sigma: Weight


def is_gaussian(params: RBMParams | GaussianRBMParams) -> bool:
    """Whether the visible units are real numbers."""
    return isinstance(params, GaussianRBMParams)


def _scaled(params: Any, v: Array) -> Array:
    """What W is multiplied by: v, or v/σ."""
    return v / jnp.broadcast_to(params.sigma, v.shape) if is_gaussian(params) else v


def visible_term(params: RBMParams | GaussianRBMParams, v: Array) -> Array:
    """The part of the energy that is of v alone: ``−b·v``, or ``Σ (v − b)²/(2σ²)``; ``(...)``."""
    if isinstance(params, GaussianRBMParams):
        return jnp.sum(jnp.square(_scaled(params, add_bias(v, -jnp.asarray(params.b)))), axis=-1) / 2
    return -(v @ params.b)


def hidden_logits(params: RBMParams | GaussianRBMParams, v: Array) -> Array:
    """What drives the hidden units, ``c + v W`` (Gaussian: ``c + (v/σ) W``): ``(..., hidden)``."""
    return add_bias(_scaled(params, v) @ params.W, params.c)


def hidden_means(params: RBMParams | GaussianRBMParams, v: Array) -> Array:
    """``p(h = 1 | v) = σ(c + v W)``, Gaussian ``σ(c + (v/σ) W)``: ``(..., visible)`` to ``(..., hidden)``."""
    return jax.nn.sigmoid(hidden_logits(params, v))


def visible_means(params: RBMParams | GaussianRBMParams, h: Array) -> Array:
    """``E[v | h] = σ(b + h Wᵀ)``, Gaussian ``b + σ (h Wᵀ)``: ``(..., hidden)`` to ``(..., visible)``."""
    a = h @ params.W.T
    if isinstance(params, GaussianRBMParams):
        return add_bias(a * jnp.broadcast_to(params.sigma, a.shape), params.b)
    return jax.nn.sigmoid(add_bias(a, params.b))


def energy(params: RBMParams | GaussianRBMParams, v: Array, h: Array) -> Array:
    """``E(v, h)``, as of `RBMParams` or `GaussianRBMParams`.

    Args:
      params: of either kind.
      v: ``(..., visible)`` floats.
      h: ``(..., hidden)`` floats, 0 or 1.

    Returns:
      ``(...)``.

    Example:
      >>> params = RBMParams(jnp.array([[2.0], [0.0]]), jnp.array([1.0, -1.0]), jnp.array([0.5]))
      >>> float(energy(params, jnp.array([1.0, 1.0]), jnp.array([1.0])))
      -2.5
    """
    return visible_term(params, v) - jnp.sum(hidden_logits(params, v) * h, axis=-1)


def free_energy(params: RBMParams | GaussianRBMParams, v: Array) -> Array:
    """``F(v) = −log Σ_h exp(−E(v, h)) = −b·v − Σ ζ(c + v W)``: ``(..., visible)`` to ``(...)``.

    Gaussian: ``Σ (v − b)²/(2σ²) − Σ ζ(c + (v/σ) W)``. ζ is softplus.
    """
    return visible_term(params, v) - jnp.sum(jax.nn.softplus(hidden_logits(params, v)), axis=-1)


def _states(n: int) -> Array:
    """All states of n bits, ``(2ⁿ, n)`` float32; the last bit changes fastest."""
    shifts = jnp.arange(n - 1, -1, -1, dtype=jnp.uint32)[None]
    return ((jnp.arange(2**n, dtype=jnp.uint32)[:, None] >> shifts) & 1).astype(jnp.float32)


@jax.jit
def _log_sum(W: Array, own: Array, other: Any) -> Array:
    """``log Σ_s exp(own·s + f(s W))`` over all states s of the bits on the left of W.

    ``f(a) = Σ ζ(other + a)`` where the other side are bits with these biases; where they are real numbers
    with (b/σ,), it is ``½|a|² + (b/σ)·a``.
    """
    n = W.shape[0]
    inner = min(n, _BLOCK)
    low = _states(inner)
    low_sum, low_own = low @ W[n - inner :], low @ own[n - inner :]

    @jax.checkpoint  # of a gradient, one block at a time is in memory
    def block(high: Array) -> Array:
        a = low_sum + (high @ W[: n - inner])[None]
        if isinstance(other, tuple):
            f = jnp.sum(jnp.square(a), -1) / 2 + a @ other[0]
        else:
            f = jnp.sum(jax.nn.softplus(add_bias(a, other)), -1)
        return jax.nn.logsumexp(low_own + high @ own[: n - inner] + f)

    return jax.nn.logsumexp(jax.lax.map(block, _states(n - inner)))


def log_partition(params: RBMParams | GaussianRBMParams) -> Array:
    """``log Z = log Σ_v Σ_h exp(−E(v, h))``, exactly: all states of the smaller side are added up.

    With real visible units Z is an integral over v, in closed form for each h:
    ``Σ_h exp(c·h + (b/σ)·(Wh) + ½|Wh|²) Π √(2π) σ``.

    Args:
      params: of either kind. Bits: one side has at most 20 units; real visible units: the hidden side.

    Returns:
      ``()``. It has a gradient.

    Raises:
      ValueError: naming the sizes, where there are more states than are enumerated;
        `dlnotes.pretraining.annealed_importance` estimates it then.

    Example:
      >>> params = RBMParams(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(2))
      >>> round(float(log_partition(params) / jnp.log(2.0)), 5)  # 2⁵ states, all of energy 0
      5.0
    """
    W, b, c = (jnp.asarray(p) for p in params[:3])
    visible, hidden = W.shape
    smaller = hidden if is_gaussian(params) else min(visible, hidden)
    if smaller > MOST_ENUMERATED:
        side = "hidden units" if is_gaussian(params) else "units of the smaller side"
        raise ValueError(
            f"params: got {visible} visible and {hidden} hidden units, allowed for an exact sum are at most "
            f"{MOST_ENUMERATED} {side}; annealed_importance estimates it for more"
        )
    if isinstance(params, GaussianRBMParams):
        sigma = jnp.asarray(params.sigma)
        rest = jnp.sum(jnp.log(sigma)) + visible / 2 * jnp.log(2 * jnp.pi)
        return _log_sum(W.T, c, (b / sigma,)) + rest
    return _log_sum(W.T, c, b) if hidden <= visible else _log_sum(W, b, c)


def log_likelihood(
    params: RBMParams | GaussianRBMParams, v: Array, *, log_z: Array | float | None = None
) -> Array:
    """``log p(v) = −F(v) − log Z`` of each row, in nats.

    Args:
      params: of either kind.
      v: ``(..., visible)``; bits as 0 and 1, for a probability of bits has no other values.
      log_z: log Z where it is known, exactly or by `annealed_importance`; by default `log_partition`.

    Returns:
      ``(...)``; with real visible units, the log of a density.

    Raises:
      ValueError: as `log_partition`, where ``log_z`` is not given.
    """
    z = log_partition(params) if log_z is None else jnp.asarray(log_z, jnp.float32)
    return -free_energy(params, v) - z


def pseudo_log_likelihood(params: RBMParams, v: Array, *, key: PRNGKey | None = None) -> Array:
    """``Σ_i log p(v_i | all other v)``, with ``p(v_i | …) = σ(F(v with bit i flipped) − F(v))``; in nats.

    It needs no Z. It grows with the number of visible units: numbers of data of another size do not
    compare, and neither do they with a log-likelihood.

    Args:
      params: of bits.
      v: ``(rows, visible)`` of 0 and 1.
      key: where it is given, one bit of each row is drawn, and its term counts for all of them: an
        estimate without bias that costs two products.

    Returns:
      ``(rows,)``.

    Raises:
      ValueError: for real visible units, whose ``p(v_i | …)`` has no closed form.

    Source: Besag 1975, «Statistical analysis of non-lattice data».
    """
    if is_gaussian(params):
        raise ValueError("params: got real visible units, pseudo_log_likelihood is of bits")
    W, b = jnp.asarray(params.W), jnp.asarray(params.b)
    rows, visible = v.shape
    logits = hidden_logits(params, v)
    before = jnp.sum(jax.nn.softplus(logits), -1)

    def term(change: Array, W_i: Array, b_i: Array) -> Array:
        """log σ(F(flipped) − F) with change = 1 − 2 v_i, all (rows, …)."""
        after = jnp.sum(jax.nn.softplus(logits + change[:, None] * W_i), -1)
        return jax.nn.log_sigmoid(before - after - change * b_i)

    if key is not None:
        i = jax.random.randint(key, (rows,), 0, visible)
        change = 1 - 2 * jnp.take_along_axis(v, i[:, None], 1)[:, 0]
        return visible * term(change, W[i], b[i])

    def add(total: Array, column: tuple[Array, Array, Array]) -> tuple[Array, None]:
        v_i, W_i, b_i = column
        spread = jnp.broadcast_to(W_i, logits.shape), jnp.broadcast_to(b_i, (rows,))
        return total + term(1 - 2 * v_i, *spread), None

    return jax.lax.scan(add, jnp.zeros(rows, logits.dtype), (v.T, W, b))[0]


def draw_visible(params: RBMParams | GaussianRBMParams, key: PRNGKey, h: Array) -> tuple[Array, Array]:
    """``v ~ p(v | h)`` and its means, each ``(..., visible)`` from ``(..., hidden)``."""
    means = visible_means(params, h)
    if isinstance(params, GaussianRBMParams):
        noise = jax.random.normal(key, means.shape, means.dtype)
        return means + noise * jnp.broadcast_to(params.sigma, means.shape), means
    return bits(words(key, means.shape), means), means


class Chains(NamedTuple):
    """Gibbs chains as they were at several times.

    Attributes:
      v: ``(times, chains, visible)``, the states.
      means: ``(times, chains, visible)``, ``E[v | h]`` at the same times: smoother, for figures.
    """

    v: Array
    means: Array


def sample(
    params: RBMParams | GaussianRBMParams,
    key: PRNGKey,
    *,
    chains: int = 16,
    steps: int = 1000,
    every: int | None = None,
    start: Array | None = None,
) -> Chains:
    """Gibbs chains, ``h ~ p(h | v)`` then ``v ~ p(v | h)``, looked at every so many steps.

    Args:
      params: of either kind.
      key: of all draws.
      chains: how many run side by side.
      steps: of each.
      every: of how many steps one is kept; by default only the last.
      start: ``(chains, visible)``; by default bits of a fair coin, or real numbers of mean b and standard
        deviation σ.

    Returns:
      `Chains` of ``steps // every`` times.

    Raises:
      ValueError: naming a number that is not positive, ``every`` above ``steps``, or the shape of ``start``.

    Example:
      >>> found = sample(RBMParams(jnp.zeros((4, 2)), jnp.zeros(4), jnp.zeros(2)), jax.random.key(0), steps=6,
      ...     every=2, chains=5)
      >>> found.v.shape, found.means.shape
      ((3, 5, 4), (3, 5, 4))
    """
    every = steps if every is None else every
    positive(chains=chains, steps=steps, every=every)
    if every > steps:
        raise ValueError(f"every: got {every}, allowed is at most steps = {steps}")
    visible = params.W.shape[0]
    first, key = jax.random.split(key)
    if start is None:
        if isinstance(params, GaussianRBMParams):
            start = draw_visible(params, first, jnp.zeros((chains, params.W.shape[1])))[0]
        else:
            start = bits(words(first, (chains, visible)), jnp.full((chains, visible), 0.5))
    elif start.ndim != 2 or start.shape[1] != visible:
        raise ValueError(f"start: got shape {start.shape}, allowed is (chains, {visible})")
    return _run(params, key, jnp.asarray(start, jnp.float32), times=steps // every, every=every)


@partial(jax.jit, static_argnames=("times", "every"))
def _run(params: Any, key: PRNGKey, start: Array, *, times: int, every: int) -> Chains:
    def sweep(carry: tuple[Array, Array], i: Array) -> tuple[tuple[Array, Array], None]:
        of_h, of_v = jax.random.split(jax.random.fold_in(key, i))
        p = hidden_means(params, carry[0])
        return draw_visible(params, of_v, bits(words(of_h, p.shape), p)), None

    def look(carry: tuple[Array, Array], i: Array) -> tuple[tuple[Array, Array], Chains]:
        numbers = i * every + jnp.arange(every, dtype=jnp.int32)
        carry, _ = jax.lax.scan(sweep, carry, numbers)
        return carry, Chains(*carry)

    return jax.lax.scan(look, (start, start), jnp.arange(times, dtype=jnp.int32))[1]
