"""Nets that read a string without sharing weights over time, or without recurrence: rivals of a recurrent
net."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dlnotes import layers
from dlnotes.models import Model
from dlnotes.typing import Array, PRNGKey

from ._reader import glorot, read_out, real

KEYS, LETTERS = 4, 4
SYMBOLS = KEYS + LETTERS


class OwnSteps(NamedTuple):
    """``h_t = tanh(b_t + h_{t-1} W_t + x_t U_t)``, ``o = c + h_τ V``: parameters of each step's own.

    Attributes:
      U: (steps, inputs, hidden).
      W: (steps, hidden, hidden).
      b: (steps, hidden).
      V: (hidden, outputs).
      c: (outputs,).
    """

    U: Array
    W: Array
    b: Array
    V: Array
    c: Array


def own_steps(hidden: int, steps: int) -> Model:
    """The recurrent net without sharing; each step starts as `rnn` does."""

    def init(key: PRNGKey, /) -> OwnSteps:
        key_V, *keys = jax.random.split(key, steps + 1)
        U, W, b = jax.vmap(lambda k: layers.rnn.init(k, SYMBOLS, hidden))(jnp.stack(keys))
        return OwnSteps(U, W, b, glorot(key_V, hidden, KEYS), jnp.zeros(KEYS))

    def apply(params: OwnSteps, x: Array, /, *, key: PRNGKey | None = None, mask: Array | None = None):
        def step(h: Array, inputs: tuple):
            x, active, U, W, b = inputs
            return jnp.where(active[:, None], jnp.tanh(b[None] + h @ W + x @ U), h), None

        n = x.shape[1]
        own = params.U[:n], params.W[:n], params.b[:n]
        h = jnp.zeros((x.shape[0], hidden), x.dtype)
        h, _ = jax.lax.scan(step, h, (jnp.swapaxes(x, 0, 1), real(x).T, *own))
        return read_out(h, params.V, params.c)

    return Model(init, apply)


class Window(NamedTuple):
    """``h = tanh(b + Σ_i x_{τ-i} K_i)``, ``o = c + h V``: a convolution read at the last symbol.

    Attributes:
      K: (window, inputs, hidden).
      b: (hidden,).
      V: (hidden, outputs).
      c: (outputs,).
    """

    K: Array
    b: Array
    V: Array
    c: Array


def window(hidden: int, width: int) -> Model:
    """One convolution over time; before the first symbol it sees zeros."""

    def init(key: PRNGKey, /) -> Window:
        key_K, key_V = jax.random.split(key)
        K = glorot(key_K, width * SYMBOLS, hidden).reshape(width, SYMBOLS, hidden)
        return Window(K, jnp.zeros(hidden), glorot(key_V, hidden, KEYS), jnp.zeros(KEYS))

    def apply(params: Window, x: Array, /, *, key: PRNGKey | None = None, mask: Array | None = None):
        padded = jnp.pad(x, ((0, 0), (width, 0), (0, 0)))
        end = jnp.sum(real(x), -1)  # the padded sequence's last symbol is at end + width - 1
        seen = jnp.take_along_axis(padded, (end[:, None] + jnp.arange(width)[None])[:, :, None], 1)
        h = jnp.tanh(jnp.einsum("bwi,wih->bh", seen, params.K) + params.b[None])
        return read_out(h, params.V, params.c)

    return Model(init, apply)


class Layer(NamedTuple):
    """One hidden layer and a read-out: of all places at once, or of each place alone.

    Attributes:
      U: (places · inputs, hidden), or (inputs, hidden) where all places share it.
      b: (hidden,).
      V: (hidden, outputs).
      c: (outputs,).
    """

    U: Array
    b: Array
    V: Array
    c: Array


def _init_layer(key: PRNGKey, inputs: int, hidden: int) -> Layer:
    key_U, key_V = jax.random.split(key)
    U = glorot(key_U, inputs, hidden)
    return Layer(U, jnp.zeros(hidden), glorot(key_V, hidden, KEYS), jnp.zeros(KEYS))


def dense(hidden: int, places: int) -> Model:
    """``h = tanh(b + Σ_t x_t U_t)``: each of the places has weights of its own, zeros are padding."""

    def init(key: PRNGKey, /) -> Layer:
        return _init_layer(key, places * SYMBOLS, hidden)

    def apply(params: Layer, x: Array, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        padded = jnp.pad(x, ((0, 0), (0, places - x.shape[1]), (0, 0)))
        h = jnp.tanh(padded.reshape(x.shape[0], -1) @ params.U + params.b[None])
        return read_out(h, params.V, params.c)

    return Model(init, apply)


def pooled(hidden: int) -> Model:
    """``h = Σ_t tanh(b + x_t U) / τ``: all places share their weights, and their order does not count."""

    def init(key: PRNGKey, /) -> Layer:
        return _init_layer(key, SYMBOLS, hidden)

    def apply(params: Layer, x: Array, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        there = real(x)[:, :, None].astype(x.dtype)
        h = jnp.sum(jnp.tanh(x @ params.U + params.b[None, None]) * there, 1) / jnp.sum(there, 1)
        return read_out(h, params.V, params.c)

    return Model(init, apply)
