"""Series of two sines, and a net that goes on with them from true values or from its own outputs."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import layers, models
from dlnotes.typing import Array, Params, PRNGKey

PREFIX, AHEAD, TRAINED = 20, 60, 50
"""Values read, values written in open loop, and length of a training series."""
FREQUENCIES = (0.21, 0.67)


class Predictor(NamedTuple):
    """``h_t = cell(h_{t-1}, y_{t-1})``, ``ŷ_t = h_t V + c``; without hidden recurrence h_{t-1} is 0.

    Attributes:
      cell: of a GRU with one input.
      V: (hidden, 1).
      c: (1,).
    """

    cell: Params
    V: Array
    c: Array


def series(n: int, length: int, noise: float, rng: Any) -> tuple[np.ndarray, np.ndarray]:
    """``(n, length)`` noisy series and the same without noise."""
    t = np.arange(length)
    phases, sizes = rng.uniform(0, 2 * np.pi, (2, n, 1)), rng.uniform(0.3, 1.0, (2, n, 1))
    clean = np.sum([a * np.sin(w * t + phase) for w, a, phase in zip(FREQUENCIES, sizes, phases)], axis=0)
    return (clean + noise * rng.standard_normal(clean.shape)).astype(np.float32), clean.astype(np.float32)


def predictor(hidden: int, known: int | None = None, *, recurrent: bool = True) -> models.Model:
    """The net; ``x`` (batch, time, 1) holds the values before those that are predicted.

    Args:
      hidden: units.
      known: how many values are read from ``x``; from there on the net reads its own predictions, and
        the gradient passes through them. ``None``: all.
      recurrent: whether the state is carried on.
    """

    def init(key: PRNGKey, /) -> Predictor:
        key_cell, key_V = jax.random.split(key)
        V = jax.nn.initializers.glorot_uniform()(key_V, (hidden, 1), jnp.float32)
        return Predictor(layers.gru.init(key_cell, 1, hidden), V, jnp.zeros(1))

    def apply(params: Predictor, x: Array, /, *, key: PRNGKey | None = None, mask: Any = None) -> Array:
        def step(state, given):
            t, h, own = state
            value = given if known is None else jnp.where(t < known, given, own)
            h, own = one_step(params, h, value, recurrent)
            return (t + 1, h, own), own

        zeros = jnp.zeros((x.shape[0], hidden), x.dtype)
        start = (jnp.zeros((), jnp.int32), zeros, jnp.zeros_like(x[:, 0]))
        return jax.lax.scan(step, start, jnp.swapaxes(x, 0, 1))[1][:, :, 0].T

    return models.Model(init, apply)


def one_step(params: Predictor, h: Array, value: Array, recurrent: bool) -> tuple[Array, Array]:
    """The next state and the prediction."""
    h, _ = layers.gru.step(params.cell, h if recurrent else jnp.zeros_like(h), value)
    return h, h @ params.V + params.c[None]


def mixed(params: Predictor, x: Array, share: Array, key: PRNGKey) -> Array:
    """``x`` with a share of its values behind the first 20 replaced by the net's own predictions of them."""

    def step(state, given):
        t, h, own = state
        given = jnp.where(
            layers.bernoulli(layers.fold_in(key, t), share, own.shape) & (t >= PREFIX), own, given
        )
        h, own = one_step(params, h, given, True)
        return (t + 1, h, own), given

    hidden = params.V.shape[0]
    start = (jnp.zeros((), jnp.int32), jnp.zeros((x.shape[0], hidden)), jnp.zeros_like(x[:, 0]))
    return jnp.swapaxes(jax.lax.scan(step, start, jnp.swapaxes(x, 0, 1))[1], 0, 1)
