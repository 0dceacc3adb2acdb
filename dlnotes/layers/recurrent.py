"""Recurrent cells, and the one function that runs any of them along a sequence.

A cell is three pure functions: ``init(key, inputs, hidden) -> params``, ``carry(params, batch_shape)
-> carry`` and ``step(params, carry, x) -> (carry, output)``. That is all `unroll` needs. The cells
below bring two more things: their step split at its products (so that a decoder can share a product
with its attention), and back-propagation through time written out, which `unroll` uses by default.

Vectors are rows, as everywhere in the library: the notes' ``W h + U x`` is ``h @ W + x @ U`` here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.layers.arguments import chosen, positive
from dlnotes.layers.bptt import LSTMCarry, gru_steps, hold, lstm_steps, rnn_steps
from dlnotes.layers.initializers import orthogonal
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


def _weights(
    key: PRNGKey, inputs: int, hidden: int, gates: int, init_scale: float | Array
) -> tuple[Array, Array]:
    """U (Glorot uniform) and W (orthogonal), each gate drawn by itself, times ``init_scale``."""
    positive(inputs=inputs, hidden=hidden)
    key_U, key_W = jax.random.split(key)
    glorot = jax.nn.initializers.glorot_uniform()
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
    lambda params, carry, z, active: rnn_steps(params.W, z, carry, active),
)
"""The plain cell ``h_t = tanh(b + h_{t-1} W + x_t U)``; parameters `RNNParams`, carry (..., hidden)."""

lstm = Cell(
    _lstm_init,
    _lstm_zeros,
    _step(_lstm_advance, _memory_output),
    _memory_output,
    _project,
    _lstm_advance,
    lambda params, carry, z, active: lstm_steps(params.W, z, carry, active),
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
    lambda params, carry, z, active: gru_steps(params.W, params.b_n, z, carry, active),
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
        elif not isinstance(xs.size, int) or embedding.shape[0] <= xs.size:  # jax.export leaves sizes open
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
            return jax.tree.map(partial(hold, active), new, carry), h

        steps = steps if embedding is None else embedding[steps]
        carry, hs = jax.lax.scan(step, carry, (steps, active), reverse=reverse)
    if active is not None:
        hs = jnp.where(active, hs, 0)
    return carry, jnp.swapaxes(hs, 0, 1)
