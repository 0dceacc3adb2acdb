"""Recurrent cells, and the one function that runs any of them along a sequence.

A cell is three pure functions: ``init(key, inputs, hidden) -> params``, ``carry(params, batch_shape)
-> carry`` and ``step(params, carry, x) -> (carry, output)``. That is all `unroll` needs. The cells
below bring two more things: their step split at its products (so that a decoder can share a product
with its attention), and back-propagation through time written out, which `unroll` uses by default.

Vectors are rows, as everywhere in the library: the notes' ``W h + U x`` is ``h @ W + x @ U`` here.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.typing import Array, Params, PRNGKey


class Cell(NamedTuple):
    """One step of a recurrent net as pure functions.

    Attributes:
      init: ``init(key, inputs, hidden, *, init_scale=1.0) -> params``.
      carry: ``carry(params, batch_shape) -> carry``, the zero state.
      step: ``step(params, carry, x) -> (carry, output)``, ``x`` (..., inputs), output (..., hidden).
      hidden: ``hidden(carry) -> h``, the part of the carry that is the output.
      project: ``project(params, x) -> z``, the part of a step that does not need the carry; it runs
        once for all steps. ``None`` where a cell has no such part.
      advance: ``advance(params, carry, z, r) -> (carry, output)``, the element-wise rest of a step,
        where ``r = h @ params.W`` is the recurrent product.
      fused: ``fused(params, carry, z, active) -> (carry, hs)``, all steps over time-major ``z``
        with the gradient written out; ``active`` is (time, batch, 1) booleans or ``None``.
    """

    init: Callable[..., Params]
    carry: Callable[[Params, tuple[int, ...]], Any]
    step: Callable[[Params, Any, Array], tuple[Any, Array]]
    hidden: Callable[[Any], Array] = lambda carry: carry
    project: Callable[[Params, Array], Array] | None = None
    advance: Callable[[Params, Any, Array, Array], tuple[Any, Array]] | None = None
    fused: Callable[[Params, Any, Array, Array | None], tuple[Any, Array]] | None = None


class RNNParams(NamedTuple):
    """``h_t = tanh(b + h_{t-1} W + x_t U)``.

    Attributes:
      U: (inputs, hidden).
      W: (hidden, hidden).
      b: (hidden,).
    """

    U: Array
    W: Array
    b: Array


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


class LSTMCarry(NamedTuple):
    """State of an LSTM.

    Attributes:
      h: (..., hidden) output.
      c: (..., hidden) memory.
    """

    h: Array
    c: Array


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


def positive(**sizes: int) -> None:
    """Check that every size is a whole number of at least 1.

    Raises:
      ValueError: naming the argument and the value got.
    """
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"{name}: got {size!r}, allowed are whole numbers of at least 1")


def chosen(argument: str, name: str, table: dict[str, Any]) -> Any:
    """``table[name]``, with an error that says what is allowed and what may have been meant.

    Raises:
      ValueError: when the table has no such name.
    """
    if name in table:
        return table[name]
    close = get_close_matches(str(name), table, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"{argument}: got {name!r}, allowed are {', '.join(map(repr, table))}{hint}")


def _weights(
    key: PRNGKey, inputs: int, hidden: int, gates: int, init_scale: float | Array
) -> tuple[Array, Array]:
    """U (Glorot uniform) and W (orthogonal), each gate drawn by itself, times ``init_scale``."""
    positive(inputs=inputs, hidden=hidden)
    key_U, key_W = jax.random.split(key)
    glorot, orthogonal = jax.nn.initializers.glorot_uniform(), jax.nn.initializers.orthogonal()
    U = [glorot(k, (inputs, hidden), jnp.float32) for k in jax.random.split(key_U, gates)]
    W = [orthogonal(k, (hidden, hidden), jnp.float32) for k in jax.random.split(key_W, gates)]
    scale = jnp.asarray(init_scale, jnp.float32)
    return scale * jnp.concatenate(U, 1), scale * jnp.concatenate(W, 1)


def _project(params: Params, x: Array) -> Array:
    # As a product of two matrices, or the gradient of U would begin with a transposed copy.
    z = x.reshape(-1, x.shape[-1]) @ params.U + params.b[None]
    return z.reshape(*x.shape[:-1], z.shape[-1])


def _step(advance: Callable[..., Any], hidden: Callable[[Any], Array]) -> Callable[..., Any]:
    def step(params, carry, x):
        return advance(params, carry, _project(params, x), hidden(carry) @ params.W)

    return step


def _zeros(params: Params, batch_shape: tuple[int, ...]) -> Array:
    return jnp.zeros((*batch_shape, params.W.shape[0]), params.W.dtype)


# Back-propagation through time, written out.
#
# The forward scan saves what each step computed; every element-wise factor of the gradient is then
# one bulk operation over all steps; the backward scan holds only the cotangents of the carry and
# one product; and dW is one product over all steps at the end. A step that is not active leaves
# the carry as it was: its factors are zero and its cotangent passes through.


def _hold(active: Array | None, new: Array, old: Array) -> Array:
    return new if active is None else jnp.where(active, new, old)


def _before(first: Array, later: Array) -> Array:
    """The state before each step: ``first``, then all but the last."""
    return jnp.concatenate([first[None], later[:-1]])


def _over_steps(h: Array, d: Array) -> Array:
    """``Σ_t h_tᵀ d_t`` as one product: (time, batch, hidden), (time, batch, gates)."""
    return h.reshape(-1, h.shape[-1]).T @ d.reshape(-1, d.shape[-1])


def _halved(x: Array, n: int) -> Array:
    """``x`` with its first ``n`` columns (the sigmoid gates) halved."""
    return jnp.concatenate([0.5 * x[..., :n], x[..., n:]], -1)


def _from_tanh(t: Array, n: int) -> Array:
    """Gates from one tanh over all of them: ``σ(a) = ½ tanh(½ a) + ½`` in the first ``n`` columns."""
    return jnp.concatenate([0.5 * t[..., :n] + 0.5, t[..., n:]], -1)


def _rnn_steps(W, z, h, active):
    def step(h, inputs):
        z, active = inputs
        h = _hold(active, jnp.tanh(z + h @ W), h)
        return h, h

    return jax.lax.scan(step, h, (z, active))


_rnn_fused = jax.custom_vjp(_rnn_steps)


def _rnn_forward(W, z, h0, active):
    h, hs = _rnn_steps(W, z, h0, active)
    return (h, hs), (W, h0, hs, active)


def _rnn_backward(saved, cotangents):
    W, h0, hs, active = saved
    dh, dhs = cotangents
    W_T = W.T  # copied once here, or it would be read column by column at every step
    slope = 1 - hs * hs
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


_rnn_fused.defvjp(_rnn_forward, _rnn_backward)


def _lstm_steps(W, z, carry, active, save=False):
    n = 3 * W.shape[0]
    W, z = _halved(W, n), _halved(z, n)

    def step(carry, inputs):
        z, active = inputs
        gates = _from_tanh(jnp.tanh(z + carry.h @ W), n)
        i, f, o, g = jnp.split(gates, 4, -1)
        c = f * carry.c + i * g
        new = LSTMCarry(_hold(active, o * jnp.tanh(c), carry.h), _hold(active, c, carry.c))
        return new, (new.h, new.c, gates) if save else new.h

    return jax.lax.scan(step, carry, (z, active))


@jax.custom_vjp
def _lstm_fused(W, z, carry, active):
    return _lstm_steps(W, z, carry, active)


def _lstm_forward(W, z, carry, active):
    last, (hs, cs, gates) = _lstm_steps(W, z, carry, active, save=True)
    return (last, hs), (W, carry, hs, cs, gates, active)


def _lstm_backward(saved, cotangents):
    W, first, hs, cs, gates, active = saved
    W_T = W.T
    last, dhs = cotangents
    i, f, o, g = jnp.split(gates, 4, -1)
    tanh_c, c_before = jnp.tanh(cs), _before(first.c, cs)
    to_c = o * (1 - tanh_c * tanh_c)
    to_a = jnp.concatenate(
        [g * i * (1 - i), c_before * f * (1 - f), tanh_c * o * (1 - o), i * (1 - g * g)], -1
    )
    if active is not None:
        to_c, to_a, f = jnp.where(active, to_c, 0), jnp.where(active, to_a, 0), jnp.where(active, f, 1)

    def step(carry, inputs):
        dh, dc = carry
        dh_out, to_c, to_a, f, active = inputs
        dh = dh + dh_out
        dc = dc + dh * to_c
        d = jnp.concatenate([dc, dc, dh, dc], -1) * to_a
        before = d @ W_T
        return (before if active is None else before + jnp.where(active, 0, dh), dc * f), d

    (dh, dc), d = jax.lax.scan(step, (last.h, last.c), (dhs, to_c, to_a, f, active), reverse=True)
    return _over_steps(_before(first.h, hs), d), d, LSTMCarry(dh, dc), None


_lstm_fused.defvjp(_lstm_forward, _lstm_backward)


def _gru_steps(W, b_n, z, h, active, save=False):
    m = 2 * W.shape[0]
    W, z = _halved(W, m), _halved(z, m)

    def step(h, inputs):
        z, active = inputs
        r = h @ W
        reset, update = jnp.split(0.5 * jnp.tanh(z[:, :m] + r[:, :m]) + 0.5, 2, -1)
        inner = r[:, m:] + b_n[None]
        n = jnp.tanh(z[:, m:] + reset * inner)
        h = _hold(active, n + update * (h - n), h)
        return h, (h, jnp.concatenate([reset, update, n, inner], -1)) if save else h

    return jax.lax.scan(step, h, (z, active))


@jax.custom_vjp
def _gru_fused(W, b_n, z, h, active):
    return _gru_steps(W, b_n, z, h, active)


def _gru_forward(W, b_n, z, h, active):
    last, (hs, gates) = _gru_steps(W, b_n, z, h, active, save=True)
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


_gru_fused.defvjp(_gru_forward, _gru_backward)


# The cells.


def _rnn_init(key: PRNGKey, inputs: int, hidden: int, *, init_scale: float | Array = 1.0) -> RNNParams:
    U, W = _weights(key, inputs, hidden, 1, init_scale)
    return RNNParams(U, W, jnp.zeros(hidden))


def _rnn_advance(params: RNNParams, carry: Array, z: Array, r: Array) -> tuple[Array, Array]:
    h = jnp.tanh(z + r)
    return h, h


def _lstm_init(key: PRNGKey, inputs: int, hidden: int, *, init_scale: float | Array = 1.0) -> LSTMParams:
    U, W = _weights(key, inputs, hidden, 4, init_scale)
    # A forget gate open at the start lets the error reach far back (Gers et al., 2000).
    return LSTMParams(U, W, jnp.zeros(4 * hidden).at[hidden : 2 * hidden].set(1.0))


def _lstm_advance(params: LSTMParams, carry: LSTMCarry, z: Array, r: Array) -> tuple[LSTMCarry, Array]:
    i, f, o, g = jnp.split(z + r, 4, -1)
    c = jax.nn.sigmoid(f) * carry.c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return LSTMCarry(h, c), h


def _lstm_zeros(params: LSTMParams, batch_shape: tuple[int, ...]) -> LSTMCarry:
    return LSTMCarry(_zeros(params, batch_shape), _zeros(params, batch_shape))


def _gru_init(key: PRNGKey, inputs: int, hidden: int, *, init_scale: float | Array = 1.0) -> GRUParams:
    U, W = _weights(key, inputs, hidden, 3, init_scale)
    return GRUParams(U, W, jnp.zeros(3 * hidden), jnp.zeros(hidden))


def _gru_advance(params: GRUParams, carry: Array, z: Array, r: Array) -> tuple[Array, Array]:
    m = 2 * carry.shape[-1]
    reset, update = jnp.split(jax.nn.sigmoid(z[..., :m] + r[..., :m]), 2, -1)
    b_n = jnp.expand_dims(params.b_n, tuple(range(r.ndim - 1)))
    n = jnp.tanh(z[..., m:] + reset * (r[..., m:] + b_n))
    h = n + update * (carry - n)
    return h, h


def _itself(carry: Array) -> Array:
    return carry


def _memory_output(carry: LSTMCarry) -> Array:
    return carry.h


rnn = Cell(
    _rnn_init,
    _zeros,
    _step(_rnn_advance, _itself),
    _itself,
    _project,
    _rnn_advance,
    lambda params, carry, z, active: _rnn_fused(params.W, z, carry, active),
)
"""The plain cell ``h_t = tanh(b + h_{t-1} W + x_t U)``; parameters `RNNParams`, carry (..., hidden)."""

lstm = Cell(
    _lstm_init,
    _lstm_zeros,
    _step(_lstm_advance, _memory_output),
    _memory_output,
    _project,
    _lstm_advance,
    lambda params, carry, z, active: _lstm_fused(params.W, z, carry, active),
)
"""Long short-term memory with a forget gate; parameters `LSTMParams`, carry `LSTMCarry`.

Source: Hochreiter and Schmidhuber, 1997; Gers, Schmidhuber and Cummins, 2000.
"""

gru = Cell(
    _gru_init,
    _zeros,
    _step(_gru_advance, _itself),
    _itself,
    _project,
    _gru_advance,
    lambda params, carry, z, active: _gru_fused(params.W, params.b_n, z, carry, active),
)
"""The gated recurrent unit; parameters `GRUParams`, carry (..., hidden).

Source: Cho et al., 2014, with the reset gate after the product.
"""

CELLS: dict[str, Cell] = {"rnn": rnn, "lstm": lstm, "gru": gru}
"""The cells by the name a config uses."""

_OF_PARAMS: dict[type, Cell] = {RNNParams: rnn, LSTMParams: lstm, GRUParams: gru}


def recurrent_cell(name: str) -> Cell:
    """The cell called ``name`` ("rnn", "lstm" or "gru").

    Raises:
      ValueError: when there is no such cell.
    """
    return chosen("cell", name, CELLS)


def cell_of(params: Params) -> Cell:
    """The cell that parameters belong to, told by their type.

    Raises:
      ValueError: when they are not the parameters of a cell of this module.
    """
    if type(params) not in _OF_PARAMS:
        known = ", ".join(t.__name__ for t in _OF_PARAMS)
        raise ValueError(f"params: got {type(params).__name__}, allowed are {known}")
    return _OF_PARAMS[type(params)]


def unroll(
    cell: Cell,
    params: Params,
    xs: Array,
    *,
    lengths: Array | None = None,
    mask: Array | None = None,
    carry: Any = None,
    reverse: bool = False,
    embedding: Array | None = None,
    fused: bool = True,
) -> tuple[Any, Array]:
    """Run a cell along sequences: ``carry_t, h_t = step(params, carry_{t-1}, x_t)``.

    At a position that is not real the carry stays as it is and the output is 0, so a padded batch
    gives exactly what each sequence gives alone. With ``reverse`` the steps run from the last to
    the first position; as padding leaves the carry alone, each sequence is reversed within its
    own length, and ``hs[:, t]`` still belongs to ``xs[:, t]``.

    Args:
      cell: ``rnn``, ``lstm``, ``gru``, or any other `Cell`.
      params: the cell's parameters, of the dtype of ``xs``.
      xs: (batch, time, inputs); with ``embedding`` (batch, time) whole numbers.
      lengths: (batch,) whole numbers, how many leading positions are real; or
      mask: (batch, time) booleans, True where a position is real. Neither: all are real.
      carry: the state before the first step; by default zero.
      reverse: from right to left.
      embedding: (vocabulary, inputs) table, if ``xs`` are symbols. Where it has fewer rows than the
        batch has positions, the table is projected and the projections gathered.
      fused: use the written-out gradient, where the cell has one. It has no forward-mode derivative:
        for ``jax.jvp``, ``jacfwd`` or ``hessian`` set this to False.

    Returns:
      The carry after the last real step, and ``hs`` (batch, time, hidden).

    Raises:
      ValueError: for wrong shapes, or both ``lengths`` and ``mask``.

    Example:
      >>> import jax
      >>> params = lstm.init(jax.random.key(0), 3, 8)
      >>> carry, hs = unroll(lstm, params, jax.numpy.ones((2, 5, 3)))
      >>> hs.shape
      (2, 5, 8)
    """
    rank = 3 if embedding is None else 2
    if xs.ndim != rank:
        allowed = "(batch, time, inputs)" if rank == 3 else "(batch, time) with an embedding"
        raise ValueError(f"xs: got shape {xs.shape}, allowed is {allowed}")
    if lengths is not None:
        if mask is not None:
            raise ValueError("lengths, mask: got both, allowed is one of them")
        if lengths.shape != xs.shape[:1]:
            raise ValueError(f"lengths: got shape {lengths.shape}, allowed is {xs.shape[:1]}")
        mask = jnp.arange(xs.shape[1], dtype=lengths.dtype)[None, :] < lengths[:, None]
    if mask is not None and mask.shape != xs.shape[:2]:
        raise ValueError(f"mask: got shape {mask.shape}, allowed is {xs.shape[:2]}")
    if carry is None:
        carry = cell.carry(params, xs.shape[:1])
    active = None if mask is None else mask.astype(bool).T[:, :, None]
    steps = jnp.swapaxes(xs, 0, 1)

    if fused and cell.fused is not None and cell.project is not None:
        if embedding is None:
            z = cell.project(params, steps)
        elif embedding.shape[0] <= xs.size:
            z = cell.project(params, embedding)[steps]
        else:
            z = cell.project(params, embedding[steps])
        # One scan direction only: XLA folds the two reversals into its copies.
        back = partial(jnp.flip, axis=0) if reverse else _itself
        carry, hs = cell.fused(params, carry, back(z), None if active is None else back(active))
        hs = back(hs)
    else:

        def step(carry, inputs):
            x, active = inputs
            new, h = cell.step(params, carry, x)
            return jax.tree.map(partial(_hold, active), new, carry), h

        steps = steps if embedding is None else embedding[steps]
        carry, hs = jax.lax.scan(step, carry, (steps, active), reverse=reverse)
    if active is not None:
        hs = jnp.where(active, hs, 0)
    return carry, jnp.swapaxes(hs, 0, 1)
