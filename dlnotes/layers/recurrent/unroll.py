"""Every recurrent cell by its name and by its parameters, and the one function that runs any of them.

A cell (`dlnotes.layers.Cell`) is three pure functions: ``init(key, inputs, hidden) -> params``,
``carry(params, batch_shape) -> carry`` and ``step(params, carry, x) -> (carry, output)``. That is all
`unroll` needs. Most cells bring two more things: their step split at its products (so that a decoder
can share a product with its attention), and back-propagation through time written out, which `unroll`
uses by default.

Vectors are rows, as everywhere in the library: the notes' ``W h + U x`` is ``h @ W + x @ U`` here.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from dlnotes.checks import chosen, positive
from dlnotes.layers.recurrent.bptt import LSTMCarry, hold
from dlnotes.layers.recurrent.cell import Cell, itself
from dlnotes.layers.recurrent.lstm_gru import GRUParams, LSTMParams, gru, lstm
from dlnotes.layers.recurrent.lstm_variants import LSTMVariantParams, lstm_variant
from dlnotes.layers.recurrent.rnn import (
    LinearRNNParams,
    ReluRNNParams,
    RNNParams,
    linear_rnn,
    relu_rnn,
    rnn,
)
from dlnotes.typing import Array, Params

__all__ = [
    "CELLS",
    "Cell",
    "GRUParams",
    "LSTMCarry",
    "LSTMParams",
    "RNNParams",
    "cell_of",
    "gru",
    "lstm",
    "recurrent_cell",
    "rnn",
    "unroll",
]

CELLS: dict[str, Cell] = {"rnn": rnn, "lstm": lstm, "gru": gru}
"""The cells without settings, by the name a config uses."""

_OF_PARAMS: dict[type, Cell] = {
    RNNParams: rnn,
    ReluRNNParams: relu_rnn,
    LinearRNNParams: linear_rnn,
    LSTMParams: lstm,
    LSTMVariantParams: lstm_variant(),
    GRUParams: gru,
}


def recurrent_cell(name: str) -> Cell:
    """The cell called ``name`` ("rnn", "lstm" or "gru").

    Raises:
      ValueError: when there is no such cell.
    """
    return chosen("cell", name, CELLS)


def cell_of(params: Params) -> Cell:
    """The cell that parameters belong to, told by their type.

    A leaky, delayed or deep-transition cell has settings that its parameters do not show: keep the
    cell beside them.

    Raises:
      ValueError: when the type does not tell the cell.
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
    truncate: int | None = None,
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
      truncate: cut the gradient every so many steps, counted from the first in the direction of
        reading (truncated back-propagation through time); the values do not change.

    Returns:
      The carry after the last real step, and ``hs`` (batch, time, hidden).

    Raises:
      ValueError: for wrong shapes, both ``lengths`` and ``mask``, or a ``truncate`` below 1.

    Source: notes R8.1, R8.3, R9.2; Williams and Peng, 1990 (truncation).

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
    # One scan direction only: XLA folds the two reversals into its copies.
    turn = partial(jnp.flip, axis=0) if reverse else itself

    if cell.project is None:
        z = steps if embedding is None else embedding[steps]
    elif embedding is None:
        z = cell.project(params, steps)
    elif not isinstance(xs.size, int) or embedding.shape[0] <= xs.size:  # jax.export leaves sizes open
        z = cell.project(params, embedding)[steps]
    else:
        z = cell.project(params, embedding[steps])
    z, active = turn(z), None if active is None else turn(active)

    def run(carry, z, active):
        if fused and cell.fused is not None:
            return cell.fused(params, carry, z, active)
        return jax.lax.scan(partial(_one_step, cell, params), carry, (z, active))

    if truncate is None:
        carry, hs = run(carry, z, active)
    else:
        positive(truncate=truncate)
        carry, hs = _in_chunks(run, carry, z, active, truncate)
    if active is not None:
        hs = jnp.where(active, hs, 0)
    return carry, jnp.swapaxes(turn(hs), 0, 1)


def _one_step(
    cell: Cell, params: Params, carry: Any, inputs: tuple[Array, Array | None]
) -> tuple[Any, Array]:
    """A step from what was projected (the input itself where a cell does not split), if it is active."""
    z, active = inputs
    new, h = (cell.resume or cell.step)(params, carry, z)
    return jax.tree.map(partial(hold, active), new, carry), h


def _in_chunks(run, carry: Any, z: Array, active: Array | None, size: int) -> tuple[Any, Array]:
    """``run`` over chunks of so many steps, the last filled up with steps that are not active."""
    time = z.shape[0]
    fill = -time % size
    if fill:
        active = jnp.ones((*z.shape[:2], 1), bool) if active is None else active
        z, active = (jnp.pad(a, ((0, fill), (0, 0), (0, 0))) for a in (z, active))

    def chunked(a: Array) -> Array:
        return a.reshape(-1, size, *a.shape[1:])

    def step(state, inputs):
        carry, first = state
        carry = jax.tree.map(lambda a: jnp.where(first, a, jax.lax.stop_gradient(a)), carry)
        carry, hs = run(carry, *inputs)
        return (carry, jnp.zeros((), bool)), hs

    inputs = (chunked(z), None if active is None else chunked(active))
    (carry, _), hs = jax.lax.scan(step, (carry, jnp.ones((), bool)), inputs)
    return carry, hs.reshape(-1, *hs.shape[2:])[:time]
