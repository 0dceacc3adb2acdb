"""The deep belief net: a restricted Boltzmann machine on top of directed layers.

    p(v, h¹, …, h^m) = p(v | h¹) ⋯ p(h^{m−2} | h^{m−1}) p(h^{m−1}, h^m)

The top pair is a restricted Boltzmann machine; every layer below it follows from the one above,
``p(h^{k−1}_i = 1 | h^k) = σ(b^k + W^k h^k)_i``. A net is a tuple of `RBMParams`, the
lowest first, as a greedy stack gives them. The hidden biases c of a layer that is not on top belong to
recognition only: ``q(h^k | h^{k−1}) = σ(c^k + h^{k−1} W^k)``, a product of independent bits, which stands
for the posterior.

Source: Hinton, Osindero and Teh, 2006; notes, pre-training, P14.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from dlnotes.checks import positive
from dlnotes.layers.feedforward.dense import add_bias
from dlnotes.pretraining.draws import bits, words
from dlnotes.pretraining.enumeration import all_states
from dlnotes.pretraining.rbm import (
    GaussianRBMParams,
    RBMParams,
    free_energy,
    hidden_logits,
    hidden_means,
    log_likelihood,
    visible_means,
)
from dlnotes.typing import Array, PRNGKey

Layer = RBMParams | GaussianRBMParams
"""The lowest may have real visible units, those above it have bits."""

MOST_PAIRS = 2**24
"""Pairs of states of two neighboring layers that exact sums go through at most."""


class Bounds(NamedTuple):
    """Two lower bounds on ``log p(v)`` from draws of the hidden layers by recognition.

    Attributes:
      variational: ``(n,)`` the mean of ``log p(v, h) − log q(h | v)``.
      importance: ``(n,)`` the logarithm of the mean of ``p(v, h) / q(h | v)``: never less than the other,
        and nearer to ``log p(v)`` the more draws there are.
    """

    variational: Array
    importance: Array


def belief_net(encoders: Sequence[Any]) -> tuple[Layer, ...]:
    """The deep belief net of a greedy stack of restricted Boltzmann machines.

    Args:
      encoders: of `dlnotes.pretraining.greedy`, the lowest first.

    Raises:
      ValueError: when there are none, a layer is none of bits, or sizes do not follow one another.
    """
    for i, encoder in enumerate(encoders):
        if not isinstance(encoder.params, (RBMParams, GaussianRBMParams) if i == 0 else RBMParams):
            raise ValueError(
                f"encoders[{i}]: got a layer of kind {encoder.learner.kind!r}, allowed are restricted "
                "Boltzmann machines, of bits above the lowest"
            )
    layers = tuple(encoder.params for encoder in encoders)
    check(layers)
    return layers


def check(layers: Sequence[Layer]) -> None:
    """Check that every layer takes what the one below it gives.

    Raises:
      ValueError: naming the layer.
    """
    if not len(layers):
        raise ValueError("layers: got none, allowed is at least one restricted Boltzmann machine")
    for i, layer in enumerate(layers):
        if np.ndim(layer.W) != 2:
            raise ValueError(
                f"layers[{i}].W: got shape {np.shape(layer.W)}, allowed is (visible, hidden): one member's, "
                "see dlnotes.pretraining.member_of"
            )
    for i, (below, above) in enumerate(pairwise(layers)):
        if below.W.shape[-1] != above.W.shape[-2]:
            raise ValueError(
                f"layers[{i + 1}].W: got {above.W.shape[-2]} visible units, allowed are the "
                f"{below.W.shape[-1]} hidden units of the layer below"
            )


def recognize(layers: Sequence[Layer], v: Array) -> tuple[Array, ...]:
    """Means of every hidden layer, bottom up: ``μ^k = σ(c^k + μ^{k−1} W^k)``.

    Args:
      layers: of the net.
      v: ``(..., visible)``.

    Returns:
      ``(..., units)`` of each hidden layer, the lowest first.
    """
    check(layers)
    found = []
    for layer in layers:
        v = hidden_means(layer, v)
        found.append(v)
    return tuple(found)


def draw_down(layers: Sequence[Layer], key: PRNGKey, h: Array) -> Array:
    """Visible means from states of the layer below the top: bits on the way, means at the end.

    Args:
      layers: of the net.
      key: of the draws.
      h: ``(..., units)`` bits of the visible side of the top machine.

    Returns:
      ``(..., visible)`` in [0, 1].
    """
    for i, layer in reversed(list(enumerate(layers[:-1]))):
        h = visible_means(layer, h)
        if i:
            h = _bits(jax.random.fold_in(key, i), h)
    return h


def chains_over_time(
    layers: Sequence[Layer],
    key: PRNGKey,
    *,
    chains: int = 10,
    snapshots: int = 10,
    every: int = 100,
    start: Array | None = None,
) -> Array:
    """What the net dreams: Gibbs chains in the top machine, each snapshot passed down once.

    Args:
      layers: of the net.
      key: of all draws.
      chains: that run beside one another.
      snapshots: of each chain; the first is the start, before any step.
      every: alternating steps of the top machine between two snapshots.
      start: ``(chains, visible)`` data to start from, through recognition; random bits without.

    Returns:
      ``(snapshots, chains, visible)`` visible means.

    Raises:
      ValueError: on sizes that do not fit.

    Example:
      >>> W = jnp.zeros((4, 3))
      >>> net = (RBMParams(W, jnp.zeros(4), jnp.zeros(3)), RBMParams(W.T, jnp.zeros(3), jnp.zeros(4)))
      >>> chains_over_time(net, jax.random.key(0), chains=2, snapshots=5, every=3).shape
      (5, 2, 4)
    """
    check(layers)
    positive(chains=chains, snapshots=snapshots, every=every)
    if start is not None and start.shape != (chains, layers[0].W.shape[0]):
        raise ValueError(f"start: got shape {start.shape}, allowed is {(chains, layers[0].W.shape[0])}")
    return _run_chains(tuple(layers), key, start, chains, snapshots, every)


@partial(jax.jit, static_argnums=(3, 4, 5))
def _run_chains(layers, key, start, chains: int, snapshots: int, every: int) -> Array:
    top = layers[-1]
    first, key = jax.random.split(key)
    if start is None:
        h = _bits(first, jnp.full((chains, top.W.shape[0]), 0.5, jnp.asarray(top.W).dtype))
    else:
        means = (start, *recognize(layers, start))[len(layers) - 1]
        h = _bits(first, means)

    def gibbs(h, key):
        up, down = jax.random.split(key)
        return _bits(down, visible_means(top, _bits(up, hidden_means(top, h)))), None

    def snapshot(h, key):
        on, down = jax.random.split(key)
        seen = draw_down(layers, down, h)
        return jax.lax.scan(gibbs, h, jax.random.split(on, every))[0], seen

    return jax.lax.scan(snapshot, h, jax.random.split(key, snapshots))[1]


def sample(layers: Sequence[Layer], key: PRNGKey, *, n: int = 10, sweeps: int = 1000) -> Array:
    """``n`` samples: Gibbs steps between the two top layers, then one pass down.

    Args:
      layers: of the net.
      key: of all draws.
      n: samples, each of a chain of its own.
      sweeps: steps of each chain from random bits.

    Returns:
      ``(n, visible)`` means; bits of the samples are drawn by comparing them with uniform numbers.
    """
    return chains_over_time(layers, key, chains=n, snapshots=2, every=sweeps)[-1]


def lower_bounds(
    layers: Sequence[Layer], v: Array, log_z: float | Array, key: PRNGKey, *, draws: int = 20
) -> Bounds:
    """Lower bounds on ``log p(v)``, in nats.

    ``log p(v) ≥ E_q[Σ_k log p(h^{k−1} | h^k) − F(h^{m−1}) − Σ_k log q(h^k | h^{k−1})] − log Z`` with the free
    energy F and partition function Z of the top machine. Of a single layer it is ``log p(v)`` itself.

    Args:
      layers: of the net.
      v: ``(n, visible)`` bits.
      log_z: logarithm of the top machine's partition function, exact or from annealed importance sampling.
      key: of the draws.
      draws: of the hidden layers for each example.

    Raises:
      ValueError: on sizes that do not fit.

    Source: Salakhutdinov and Murray, 2008; the importance bound: Burda, Grosse and Salakhutdinov, 2016.
    """
    check(layers)
    positive(draws=draws)
    logs = _log_weights(tuple(layers), v, key, draws) - log_z
    return Bounds(jnp.mean(logs, axis=0), logsumexp(logs, axis=0) - jnp.log(jnp.asarray(draws, logs.dtype)))


@partial(jax.jit, static_argnums=3)
def _log_weights(layers, v, key, draws: int) -> Array:
    """``log p*(v, h) − log q(h | v)`` of each draw, ``(draws, n)``, p* without the partition function."""

    def one(key):
        below, total = v, jnp.zeros(v.shape[0], v.dtype)
        for i, layer in enumerate(layers[:-1]):
            z = hidden_logits(layer, below)
            h = _bits(jax.random.fold_in(key, i), jax.nn.sigmoid(z))
            total = total + _log_given(layer, h, below) - _log_bits(z, h)
            below = h
        return total - free_energy(layers[-1], below)

    return jax.lax.map(one, jax.random.split(key, draws))


def log_prob(layers: Sequence[Layer], v: Array) -> Array:
    """Exact ``log p(v)`` by enumeration of every hidden state, in nats; for nets of a few units.

    Args:
      layers: of the net.
      v: ``(n, visible)`` bits, or real numbers where the lowest layer has those.

    Returns:
      ``(n,)``.

    Raises:
      ValueError: when a layer has too many states.

    Example:
      >>> W = jnp.zeros((4, 3))
      >>> net = (RBMParams(W, jnp.zeros(4), jnp.zeros(3)), RBMParams(W.T, jnp.zeros(3), jnp.zeros(4)))
      >>> float(log_prob(net, jnp.ones((1, 4)))[0] / jnp.log(2))
      -4.0
    """
    check(layers)
    top = layers[-1]
    if len(layers) == 1:
        return log_likelihood(top, v)
    states = all_states(top.W.shape[0], f"layers[{len(layers) - 1}].W")
    log_p = -free_energy(top, states)
    log_p = log_p - logsumexp(log_p)
    for i, layer in reversed(list(enumerate(layers[:-1]))):
        below = v if i == 0 else all_states(layer.W.shape[0], f"layers[{i}].W")
        if below.shape[0] * states.shape[0] > MOST_PAIRS:
            raise ValueError(
                f"layers[{i}]: got {below.shape[0]} states below and {states.shape[0]} above, allowed by "
                f"enumeration are {MOST_PAIRS} pairs"
            )
        log_p, states = _marginal(layer, states, log_p, below), below
    return log_p


@jax.jit
def _marginal(layer: Layer, states: Array, log_p: Array, below: Array) -> Array:
    """``log Σ_h p(x | h) p(h)`` of each row x of ``below``, over all rows h of ``states``."""

    def one(x):
        return logsumexp(
            _log_given(layer, states, jnp.broadcast_to(x, (states.shape[0], x.shape[0]))) + log_p
        )

    return jax.lax.map(one, below, batch_size=64)


def _bits(key: PRNGKey, means: Array) -> Array:
    return bits(words(key, means.shape), means)


def _log_given(layer: Layer, h: Array, x: Array) -> Array:
    """``log p(x | h)`` of a layer's visible side, ``(...)``."""
    if isinstance(layer, GaussianRBMParams):
        sigma = jnp.broadcast_to(layer.sigma, x.shape)
        off = (x - visible_means(layer, h)) / sigma
        return -jnp.sum(jnp.square(off) / 2 + jnp.log(sigma) + jnp.log(2 * jnp.pi) / 2, axis=-1)
    return _log_bits(add_bias(h @ layer.W.T, layer.b), x)


def _log_bits(z: Array, x: Array) -> Array:
    """``Σ log p(x)`` of bits with logits z, over the last axis."""
    return jnp.sum(x * z - jax.nn.softplus(z), axis=-1)
