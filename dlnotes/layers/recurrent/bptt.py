"""Back-propagation through time, written out for the recurrent cells.

The forward scan saves what each step computed; the element-wise factors of the gradient are then one
bulk operation over all steps (of an LSTM, which has many, computed within its step: over 512 steps
they take longer to write and read); the backward scan holds only the cotangents of the carry and one
product; and dW is one product over all steps at the end. A step that is not active leaves the carry
as it was: its factors are zero and its cotangent passes through.

The functions take time-major ``z`` (time, batch, gates), the input's part of the pre-activations, and
``active`` (time, batch, 1) booleans or ``None``, and return the last carry and ``hs`` (time, batch,
hidden). Source: notes R9.2 (back-propagation through time).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.layers.activations import ACTIVATIONS, gate
from dlnotes.typing import Array, Params


class LSTMCarry(NamedTuple):
    """State of an LSTM.

    Attributes:
      h: (..., hidden) output.
      c: (..., hidden) memory.
    """

    h: Array
    c: Array


def hold(active: Array | None, new: Array, old: Array) -> Array:
    """``new`` where a step is active, (batch, 1), and ``old`` elsewhere; a state is (batch, …, hidden)."""
    if active is None:
        return new
    return jnp.where(jnp.expand_dims(active, tuple(range(active.ndim, new.ndim))), new, old)


def _before(first: Array, later: Array) -> Array:
    """The state before each step: ``first``, then all but the last."""
    return jnp.concatenate([first[None], later[:-1]])


def _over_steps(h: Array, d: Array) -> Array:
    """``Σ_t h_tᵀ d_t`` as one product: (time, batch, hidden), (time, batch, gates)."""
    return h.reshape(-1, h.shape[-1]).T @ d.reshape(-1, d.shape[-1])


_SLOPES: dict[str, Callable[[Array], Array]] = {
    "tanh": lambda h: 1 - h * h,
    "relu": lambda h: (h > 0).astype(h.dtype),
    "identity": jnp.ones_like,
}
"""g' of the plain cell's activations, told by the value g(a) itself."""


def _run_rnn(activation, W, z, h, active):
    g = ACTIVATIONS[activation]

    def step(h, inputs):
        z, active = inputs
        h = hold(active, g(z + h @ W), h)
        return h, h

    return jax.lax.scan(step, h, (z, active))


rnn_steps = jax.custom_vjp(_run_rnn, nondiff_argnums=(0,))


def _rnn_forward(activation, W, z, h0, active):
    h, hs = _run_rnn(activation, W, z, h0, active)
    return (h, hs), (W, h0, hs, active)


def _rnn_backward(activation, saved, cotangents):
    W, h0, hs, active = saved
    dh, dhs = cotangents
    W_T = W.T  # copied once here, or it would be read column by column at every step
    slope = _SLOPES[activation](hs)
    if active is not None:
        slope = jnp.where(active, slope, 0)

    def step(dh, inputs):
        dh_out, slope, active = inputs
        dh = dh + dh_out
        d = dh * slope
        before = d @ W_T
        return before if active is None else before + jnp.where(active, 0, dh), d

    dh, d = jax.lax.scan(step, dh, (dhs, slope, active), reverse=True)
    return _over_steps(_before(h0, hs), d), d, dh, None


rnn_steps.defvjp(_rnn_forward, _rnn_backward)


def _run_lstm(W, z, carry, active, save=False):
    # A row that makes sigmoids of three gates and leaves the last a tanh, in one pass over all of them.
    half = np.repeat(np.asarray([0.5, 0.5, 0.5, 1], W.dtype), W.shape[0])[None]

    def step(carry, inputs):
        z, active = inputs
        gates = half * jnp.tanh(half * (z + carry.h @ W)) + (1 - half)
        i, f, o, g = jnp.split(gates, 4, -1)
        c = f * carry.c + i * g
        new = LSTMCarry(hold(active, o * jnp.tanh(c), carry.h), hold(active, c, carry.c))
        return new, (new.h, new.c, gates) if save else new.h

    return jax.lax.scan(step, carry, (z, active))


@jax.custom_vjp
def lstm_steps(W, z, carry, active):
    return _run_lstm(W, z, carry, active)


def _lstm_forward(W, z, carry, active):
    last, (hs, cs, gates) = _run_lstm(W, z, carry, active, save=True)
    return (last, hs), (W, carry, hs, cs, gates, active)


def _lstm_backward(saved, cotangents):
    W, first, hs, cs, gates, active = saved
    W_T = W.T
    last, dhs = cotangents

    def step(carry, inputs):
        dh, dc = carry
        dh_out, gates, c, c_before, active = inputs
        i, f, o, g = jnp.split(gates, 4, -1)
        tanh_c = jnp.tanh(c)
        to_c = o * (1 - tanh_c * tanh_c)
        to_a = jnp.concatenate(
            [g * i * (1 - i), c_before * f * (1 - f), tanh_c * o * (1 - o), i * (1 - g * g)], -1
        )
        if active is not None:
            to_c, to_a, f = jnp.where(active, to_c, 0), jnp.where(active, to_a, 0), jnp.where(active, f, 1)
        dh = dh + dh_out
        dc = dc + dh * to_c
        d = jnp.concatenate([dc, dc, dh, dc], -1) * to_a
        before = d @ W_T
        return (before if active is None else before + jnp.where(active, 0, dh), dc * f), d

    inputs = (dhs, gates, cs, _before(first.c, cs), active)
    (dh, dc), d = jax.lax.scan(step, (last.h, last.c), inputs, reverse=True)
    return _over_steps(_before(first.h, hs), d), d, LSTMCarry(dh, dc), None


lstm_steps.defvjp(_lstm_forward, _lstm_backward)


def _run_gru(W, b_n, z, h, active, save=False):
    m = 2 * W.shape[0]

    def step(h, inputs):
        z, active = inputs
        r = h @ W
        reset, update = jnp.split(gate(z[:, :m] + r[:, :m]), 2, -1)
        inner = r[:, m:] + b_n[None]
        n = jnp.tanh(z[:, m:] + reset * inner)
        h = hold(active, n + update * (h - n), h)
        return h, (h, jnp.concatenate([reset, update, n, inner], -1)) if save else h

    return jax.lax.scan(step, h, (z, active))


@jax.custom_vjp
def gru_steps(W, b_n, z, h, active):
    return _run_gru(W, b_n, z, h, active)


def _gru_forward(W, b_n, z, h, active):
    last, (hs, gates) = _run_gru(W, b_n, z, h, active, save=True)
    return (last, hs), (W, h, hs, gates, active)


def _gru_backward(saved, cotangents):
    W, first, hs, gates, active = saved
    W_T = W.T
    dh, dhs = cotangents
    reset, update, n, inner = jnp.split(gates, 4, -1)
    h_before = _before(first, hs)
    to_n = (1 - update) * (1 - n * n)
    to_ru = jnp.concatenate([to_n * inner * reset * (1 - reset), (h_before - n) * update * (1 - update)], -1)
    if active is not None:
        to_n, to_ru = jnp.where(active, to_n, 0), jnp.where(active, to_ru, 0)
        update = jnp.where(active, update, 1)
    # What reaches the product h W: the candidate's part only through the reset gate.
    to_r = jnp.concatenate([to_ru, to_n * reset], -1)

    def step(dh, inputs):
        dh_out, to_r, update = inputs
        dh = dh + dh_out
        d = jnp.concatenate([dh, dh, dh], -1) * to_r
        return d @ W_T + dh * update, dh

    first_dh, dh = jax.lax.scan(step, dh, (dhs, to_r, update), reverse=True)
    dr = jnp.concatenate([dh, dh, dh], -1) * to_r
    hidden = dh.shape[-1]
    dz = jnp.concatenate([dr[..., : 2 * hidden], dh * to_n], -1)
    return _over_steps(h_before, dr), dr[..., 2 * hidden :].sum((0, 1)), dz, first_dh, None


gru_steps.defvjp(_gru_forward, _gru_backward)


def written_out(
    advance: Callable[[Any, Any, Array, Array], tuple[Any, Array]], read: Callable[[Any], Array]
) -> Callable[[Params, Any, Array, Array | None], tuple[Any, Array]]:
    """Back-propagation through time for any cell with one recurrent product, ``r_t = read(carry_{t-1}) W``.

    The rest of a step may be anything element-wise; autodiff gives its part of the backward step, whose
    products of all steps are taken out: ``r`` is computed again as one product, and so is dW.

    Args:
      advance: ``advance(params, carry, z, r) -> (carry, h)``; does not read ``U``, ``W`` and ``b``.
      read: ``read(carry)``, the rows that W multiplies.

    Returns:
      ``fused(params, carry, z, active) -> (carry, hs)``, as in `Cell`; ``params`` have fields U, W, b.
    """

    def held(rest, carry, z, r, active):
        new, h = advance(rest, carry, z, r)
        return jax.tree.map(partial(hold, active), new, carry), h

    def run(W, rest, z, carry, active, save=False):
        def step(carry, inputs):
            z, active = inputs
            new, h = held(rest, carry, z, read(carry) @ W, active)
            return new, (h, carry) if save else h

        return jax.lax.scan(step, carry, (z, active))

    @jax.custom_vjp
    def steps(W, rest, z, carry, active):
        return run(W, rest, z, carry, active)

    def forward(W, rest, z, carry, active):
        last, (hs, before) = run(W, rest, z, carry, active, save=True)
        return (last, hs), (W, rest, z, before, active)

    def backward(saved, cotangents):
        W, rest, z, before, active = saved
        last, dhs = cotangents
        W_T = W.T
        fed = jax.vmap(read)(before)
        r = fed @ W

        def step(state, inputs):
            dcarry, drest = state
            before, z, r, active, dh = inputs
            _, pull = jax.vjp(partial(held, active=active), rest, before, z, r)
            more, dbefore, dz, dr = pull((dcarry, dh))
            _, pull_fed = jax.vjp(read, before)
            dbefore = jax.tree.map(jnp.add, dbefore, pull_fed(dr @ W_T)[0])
            return (dbefore, jax.tree.map(jnp.add, drest, more)), (dz, dr)

        start = (last, jax.tree.map(jnp.zeros_like, rest))
        (dcarry, drest), (dz, dr) = jax.lax.scan(step, start, (before, z, r, active, dhs), reverse=True)
        return _over_steps(fed, dr), drest, dz, dcarry, None

    steps.defvjp(forward, backward)

    def fused(params, carry, z, active):
        rest = params._replace(U=None, W=None, b=None)
        return steps(params.W, rest, z, carry, active)

    return fused
