"""The gated cells: long short-term memory and the gated recurrent unit."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from dlnotes.layers.activations import gate
from dlnotes.layers.recurrent.bptt import LSTMCarry, gru_steps, lstm_steps
from dlnotes.layers.recurrent.cell import row, split_cell, weights, zeros
from dlnotes.typing import Array, PRNGKey


class LSTMParams(NamedTuple):
    """``a = b + h_{t-1} W + x_t U``, cut into i, f, o, g, then ``c_t = σ(f) c_{t-1} + σ(i) tanh(g)``
    and ``h_t = σ(o) tanh(c_t)``.

    Attributes:
      U: (inputs, 4·hidden), the gates side by side in the order i, f, o, g.
      W: (hidden, 4·hidden).
      b: (4·hidden,), 1 for the forget gate at the start.
    """

    U: Array
    W: Array
    b: Array


class GRUParams(NamedTuple):
    """``r = σ(z_r + h W_r)``, ``u = σ(z_u + h W_u)``, ``n = tanh(z_n + r (h W_n + b_n))`` and
    ``h_t = (1 - u) n + u h_{t-1}`` with ``z = x_t U + b``.

    The reset gate acts after the product (as in cuDNN), so that a step has one product.

    Attributes:
      U: (inputs, 3·hidden), in the order r, u, n.
      W: (hidden, 3·hidden).
      b: (3·hidden,).
      b_n: (hidden,), inside the reset.
    """

    U: Array
    W: Array
    b: Array
    b_n: Array


def _lstm_init(key: PRNGKey, inputs: int, hidden: int, *, init_scale: float | Array = 1.0) -> LSTMParams:
    U, W = weights(key, inputs, hidden, 4, init_scale)
    # A forget gate open at the start lets the error reach far back (Gers et al., 2000).
    return LSTMParams(U, W, jnp.zeros(4 * hidden).at[hidden : 2 * hidden].set(1.0))


def _lstm_advance(params: LSTMParams, carry: LSTMCarry, z: Array, r: Array) -> tuple[LSTMCarry, Array]:
    i, f, o, g = jnp.split(z + r, 4, -1)
    c = gate(f) * carry.c + gate(i) * jnp.tanh(g)
    h = gate(o) * jnp.tanh(c)
    return LSTMCarry(h, c), h


def lstm_zeros(params: Any, batch_shape: tuple[int, ...]) -> LSTMCarry:
    """The zero state of an LSTM; ``params.W`` has a row for each hidden unit."""
    return LSTMCarry(zeros(params, batch_shape), zeros(params, batch_shape))


def _gru_init(key: PRNGKey, inputs: int, hidden: int, *, init_scale: float | Array = 1.0) -> GRUParams:
    U, W = weights(key, inputs, hidden, 3, init_scale)
    return GRUParams(U, W, jnp.zeros(3 * hidden), jnp.zeros(hidden))


def _gru_advance(params: GRUParams, carry: Array, z: Array, r: Array) -> tuple[Array, Array]:
    m = 2 * carry.shape[-1]
    reset, update = jnp.split(gate(z[..., :m] + r[..., :m]), 2, -1)
    n = jnp.tanh(z[..., m:] + reset * (r[..., m:] + row(params.b_n, r)))
    h = n + update * (carry - n)
    return h, h


def memory_output(carry: LSTMCarry) -> Array:
    """The hidden state in an LSTM's carry."""
    return carry.h


lstm = split_cell(
    _lstm_init,
    lstm_zeros,
    _lstm_advance,
    hidden=memory_output,
    fused=lambda params, carry, z, active: lstm_steps(params.W, z, carry, active),
)
"""Long short-term memory with a forget gate; parameters `LSTMParams`, carry `LSTMCarry`.

Source: Hochreiter and Schmidhuber, 1997; Gers, Schmidhuber and Cummins, 2000.
"""

gru = split_cell(
    _gru_init,
    zeros,
    _gru_advance,
    fused=lambda params, carry, z, active: gru_steps(params.W, params.b_n, z, carry, active),
)
"""The gated recurrent unit; parameters `GRUParams`, carry (..., hidden).

Source: Cho et al., 2014, with the reset gate after the product.
"""
