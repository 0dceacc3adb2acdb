"""Long short-term memory with peepholes, with layer normalization, or with both."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from dlnotes.layers.activations import gate
from dlnotes.layers.normalization import LayerNorm, layer_norm
from dlnotes.layers.recurrent.bptt import LSTMCarry
from dlnotes.layers.recurrent.cell import Cell, project, row, split_cell
from dlnotes.layers.recurrent.lstm_gru import lstm, lstm_zeros, memory_output
from dlnotes.typing import Array, PRNGKey


class LSTMNorms(NamedTuple):
    """Gains of a normalized LSTM: ``a = b + x: norm(x_t U) + h: norm(h_{t-1} W)``, ``tanh(norm(c_t))``.

    The shifts of the first two would only add to b.

    Attributes:
      x: (4·hidden,) of the input's part, normalized over all gates together.
      h: (4·hidden,) of the recurrent part.
      c: `LayerNorm` (hidden,) of the memory, as the output reads it.
    """

    x: Array
    h: Array
    c: LayerNorm


class LSTMVariantParams(NamedTuple):
    """`LSTMParams` whose gates also see the memory, or whose sums are normalized.

    With peepholes ``i = σ(a_i + p_i c_{t-1})``, ``f = σ(a_f + p_f c_{t-1})`` and ``o = σ(a_o + p_o c_t)``,
    products by element; then as in an LSTM ``c_t = f c_{t-1} + i tanh(a_g)`` and ``h_t = o tanh(c_t)``.

    Attributes:
      U: (inputs, 4·hidden), the gates in the order i, f, o, g.
      W: (hidden, 4·hidden).
      b: (4·hidden,).
      p: (3, hidden) p_i, p_f, p_o, or ``None``.
      norms: `LSTMNorms`, or ``None``.
    """

    U: Array
    W: Array
    b: Array
    p: Array | None
    norms: LSTMNorms | None


def lstm_variant(*, peepholes: bool = False, layer_norm: bool = False) -> Cell:
    """A long short-term memory with peepholes, layer normalization, both or neither.

    Args:
      peepholes: the gates see the memory; at the start they do not use it (p = 0).
      layer_norm: normalize the sums of the gates and the memory's way out.

    Returns:
      A `Cell` of `LSTMVariantParams`, carry `LSTMCarry`.

    Example:
      >>> cell = lstm_variant(peepholes=True)
      >>> cell.init(jax.random.key(0), 3, 8).p.shape
      (3, 8)

    Source: notes R12.8; Gers, Schraudolph and Schmidhuber, 2002 (peepholes); Ba et al., 2016 (norm).
    """

    def init(key: PRNGKey, inputs: int, hidden: int, *, init_scale: float | Array = 1.0) -> LSTMVariantParams:
        U, W, b = lstm.init(key, inputs, hidden, init_scale=init_scale)
        norms = None
        if layer_norm:
            memory = LayerNorm(jnp.ones(hidden), jnp.zeros(hidden))
            norms = LSTMNorms(jnp.ones(4 * hidden), jnp.ones(4 * hidden), memory)
        return LSTMVariantParams(U, W, b, jnp.zeros((3, hidden)) if peepholes else None, norms)

    return _VARIANT._replace(init=init)


def _norm(gain: Array, x: Array) -> Array:
    return layer_norm(LayerNorm(gain, jnp.zeros_like(gain)), x)


def _project(params: LSTMVariantParams, x: Array) -> Array:
    if params.norms is None:
        return project(params, x)
    z = _norm(params.norms.x, x.reshape(-1, x.shape[-1]) @ params.U) + params.b[None]
    return z.reshape(*x.shape[:-1], z.shape[-1])


def _advance(params: LSTMVariantParams, carry: LSTMCarry, z: Array, r: Array) -> tuple[LSTMCarry, Array]:
    norms, p = params.norms, params.p
    i, f, o, g = jnp.split(z + (r if norms is None else _norm(norms.h, r)), 4, -1)
    if p is not None:
        i, f = i + row(p[0], i) * carry.c, f + row(p[1], f) * carry.c
    c = gate(f) * carry.c + gate(i) * jnp.tanh(g)
    if p is not None:
        o = o + row(p[2], o) * c
    h = gate(o) * jnp.tanh(c if norms is None else layer_norm(norms.c, c))
    return LSTMCarry(h, c), h


_VARIANT = split_cell(lstm.init, lstm_zeros, _advance, hidden=memory_output, project=_project)
