"""One sequence given another of the same length, its outputs dependent on each other or not."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.checks import positive
from dlnotes.layers.recurrent.unroll import cell_of, recurrent_cell
from dlnotes.models.model import Model
from dlnotes.models.recurrent import generation
from dlnotes.typing import Array, Params, PRNGKey


class AlignedParams(NamedTuple):
    """``h_t = cell(h_{t-1}, x_t U_x + F[y_{t-1}] + b)``, ``o_t = h_t V + c`` the logits of ``y_t``.

    Attributes:
      cell: of a recurrent cell with the inputs' part U_x as its U.
      F: (outputs + 1, gates) of the output before, the last row for none; or ``None``: then
        ``P(y | x) = ∏_t P(y_t | x_1 … x_t)``, and the outputs are independent given x.
      V: (hidden, outputs).
      c: (outputs,).
    """

    cell: Params
    F: Array | None
    V: Array
    c: Array


def aligned_sequences(
    inputs: int,
    hidden: int,
    outputs: int,
    *,
    feedback: bool = True,
    cell: Literal["gru", "lstm", "rnn"] = "gru",
    init_scale: float | Array = 1.0,
) -> Model:
    """A recurrent net with an output for each input, that reads its output before or does not.

    Args:
      inputs: number of features of a position, or of symbols.
      hidden: width of the state.
      outputs: number of classes.
      feedback: whether ``y_{t-1}`` is fed into the state at t: then the net can represent any
        distribution of the outputs; else they are conditionally independent given the inputs.
      cell: "gru", "lstm" or "rnn".
      init_scale: factor on every initial weight; may be traced.

    Returns:
      A `Model` of `AlignedParams`: ``x`` has ``.source``, (batch, time, inputs) or (batch, time) whole
      numbers, and ``.target`` (batch, time), the outputs shifted right so that the first is
      ``outputs`` (not read without feedback); output (batch, time, outputs).

    Raises:
      ValueError: for sizes below 1 or an unknown cell.

    Source: the notes on conditioning recurrent networks on a sequence.
    """
    positive(inputs=inputs, outputs=outputs, hidden=hidden)
    kind = recurrent_cell(cell)

    def init(key: PRNGKey) -> AlignedParams:
        keys = jax.random.split(key, 3)
        glorot = jax.nn.initializers.glorot_uniform()
        scale = jnp.asarray(init_scale, jnp.float32)
        made = kind.init(keys[0], inputs, hidden, init_scale=init_scale)
        F = scale * glorot(keys[1], (outputs + 1, made.U.shape[1]), jnp.float32) if feedback else None
        V = scale * glorot(keys[2], (hidden, outputs), jnp.float32)
        return AlignedParams(made, F, V, jnp.zeros(outputs))

    def apply(params: AlignedParams, x: Any, *, key: PRNGKey | None = None, mask: Array | None = None):
        made = cell_of(params.cell)
        z = _read(params, x.source)
        if params.F is not None:
            z = z + params.F[x.target]
        if made.fused is None:
            raise ValueError(f"cell: got {cell!r}, allowed are cells with a gradient written out")
        start = made.carry(params.cell, z.shape[:1])
        _, hs = made.fused(params.cell, start, jnp.swapaxes(z, 0, 1), None)
        return jnp.swapaxes(hs, 0, 1) @ params.V + params.c[None, None]

    return Model(init, apply)


def _read(params: AlignedParams, source: Array) -> Array:
    """The inputs' part of every step, (batch, time, gates)."""
    U, b = params.cell.U, params.cell.b[None, None]
    if jnp.issubdtype(source.dtype, jnp.integer):
        return U[source] + b
    return source @ U + b


@partial(jax.jit, static_argnames="greedy")
def write_aligned(params: AlignedParams, key: PRNGKey, source: Array, *, greedy: bool = False) -> Array:
    """Outputs drawn for given inputs, each fed back where the net reads them.

    Args:
      params: of an `aligned_sequences`.
      key: one key.
      source: as the model's ``x.source``.
      greedy: take the most probable at each step instead.

    Returns:
      (batch, time) int32 classes.
    """
    made, z = cell_of(params.cell), jnp.swapaxes(_read(params, source), 0, 1)

    def step(params, state, symbol):
        t, carry = state
        here = z[t] if params.F is None else z[t] + params.F[symbol]
        carry, h = made.advance(params.cell, carry, here, made.hidden(carry) @ params.cell.W)  # pyright: ignore[reportOptionalCall]
        return (t + 1, carry), h @ params.V + params.c[None]

    batch = source.shape[0]
    start = (jnp.zeros((), jnp.int32), made.carry(params.cell, (batch,)))
    begin = jnp.full(batch, params.c.shape[0], jnp.int32)
    heat = 0.0 if greedy else 1.0
    return generation.sample(step, params, start, begin, key, length=source.shape[1], temperature=heat)
