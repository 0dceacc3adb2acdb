"""Distributions over sequences of symbols of any length, whose end the network itself decides.

``P(y_1, …, y_τ, τ)`` by a recurrent net that reads what it has written. It ends in one of three ways: by
a symbol of its own; by a Bernoulli unit that says after each symbol whether to stop; or by drawing τ
first, with the number of steps that are left as an extra input. Both the number of steps done and one
vector can condition it. Only recurrence shares its few parameters over time: they do not grow with τ,
whereas a table of all sequences of k symbols has k^τ numbers.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.checks import chosen, positive
from dlnotes.layers.recurrent.unroll import LSTMCarry, cell_of, recurrent_cell
from dlnotes.models.model import Model
from dlnotes.models.recurrent import generation
from dlnotes.typing import IGNORE, Array, Params, PRNGKey

_ENDINGS = {"symbol": None, "stop": None, "length": None}
_WAYS = {"input": None, "initial": None, "both": None}
_NEVER = -1e9
"""A logit of probability 0, finite so that its gradient is."""


class Given(NamedTuple):
    """Sequences with the vector that each is conditioned on.

    Attributes:
      symbols: (batch, time) whole numbers.
      vector: (batch, inputs).
    """

    symbols: Any
    vector: Any


class SequenceDistributionParams(NamedTuple):
    """``h_t = cell(h_{t-1}, z_t)`` with ``z_t = U[y_t] + b + x R + u_t t/T + u_l (τ - t)/T``, and
    ``o_t = h_t V + c`` the logits of ``y_{t+1}``; T is the longest length.

    Attributes:
      cell: parameters of a recurrent cell whose U has a row for each symbol, the last for the begin.
      V: (hidden, symbols), with one more column where a symbol ends the sequence.
      c: (symbols,), or one more.
      v: (hidden,) of the stop unit ``P(τ = t | τ ≥ t) = σ(h_t · v + d)``, or ``None``.
      d: () of the stop unit, or ``None``.
      lengths: (longest,) logits of P(τ), or ``None``.
      u_l: (gates,) of the number of steps left, or ``None``.
      u_t: (gates,) of the number of steps done, or ``None``.
      R: (inputs, gates), the vector's part of every step, or ``None``.
      W_0: (inputs, hidden) of the first state ``tanh(x W_0 + b_0)``, or ``None``: then it is 0.
      b_0: (hidden,), or ``None``.
    """

    cell: Params
    V: Array
    c: Array
    v: Array | None
    d: Array | None
    lengths: Array | None
    u_l: Array | None
    u_t: Array | None
    R: Array | None
    W_0: Array | None
    b_0: Array | None


def sequence_distribution(
    symbols: int,
    hidden: int,
    longest: int,
    *,
    ending: Literal["symbol", "stop", "length"] = "symbol",
    cell: Literal["gru", "lstm", "rnn"] = "gru",
    remaining: bool = True,
    clock: bool = False,
    vector: int | None = None,
    way: Literal["input", "initial", "both"] = "input",
    init_scale: float | Array = 1.0,
) -> Model:
    """A recurrent distribution over sequences; its output is their exact log-probability.

    Args:
      symbols: how many there are, the end not counted.
      hidden: width of the state.
      longest: the largest length τ; a net that ends by a symbol or a stop unit may write longer ones.
      ending: "symbol", "stop" or "length", see the module.
      cell: "gru", "lstm" or "rnn".
      remaining: whether a net that draws its length is told how many steps are left.
      clock: whether the number of steps done is an input.
      vector: size of a vector that conditions the sequence, or ``None``.
      way: how it does: as an extra input at each step, as the initial state, or both.
      init_scale: factor on every initial weight; may be traced.

    Returns:
      A `Model` of `SequenceDistributionParams`: ``x`` (batch, time) symbols or, with a vector, `Given`;
      ``mask`` (batch, time), True at the first τ positions (at least one, unless a symbol ends the
      sequence); output (batch,), ``log P``. `write_sequences` draws from it.

    Raises:
      ValueError: for sizes below 1 or unknown names.

    Source: the notes on recurrent networks as directed graphical models and on conditioning them.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> model = sequence_distribution(3, 8, 5, ending="stop")
      >>> model.apply(model.init(jax.random.key(0)), jnp.array([[0, 2, 1]])).shape
      (1,)
    """
    positive(symbols=symbols, hidden=hidden, longest=longest)
    if vector is not None:
        positive(vector=vector)
    chosen("ending", ending, _ENDINGS)
    chosen("way", way, _WAYS)
    kind = recurrent_cell(cell)

    def init(key: PRNGKey) -> SequenceDistributionParams:
        keys = jax.random.split(key, 7)
        scale = jnp.asarray(init_scale, jnp.float32)
        made = kind.init(keys[0], symbols + 1, hidden, init_scale=init_scale)
        gates = made.U.shape[1]

        def matrix(k: PRNGKey, rows: int, columns: int) -> Array:
            return scale * jax.nn.initializers.glorot_uniform()(k, (rows, columns), jnp.float32)

        outputs = symbols + (ending == "symbol")
        stops, drawn = ending == "stop", ending == "length"
        starts = vector is not None and way != "input"
        return SequenceDistributionParams(
            cell=made,
            V=matrix(keys[1], hidden, outputs),
            c=jnp.zeros(outputs),
            v=matrix(keys[2], hidden, 1)[:, 0] if stops else None,
            d=jnp.zeros(()) if stops else None,
            lengths=jnp.zeros(longest) if drawn else None,
            u_l=matrix(keys[3], 1, gates)[0] if drawn and remaining else None,
            u_t=matrix(keys[4], 1, gates)[0] if clock else None,
            R=matrix(keys[5], vector, gates) if vector is not None and way != "initial" else None,
            W_0=matrix(keys[6], vector, hidden) if starts and vector is not None else None,
            b_0=jnp.zeros(hidden) if starts else None,
        )

    def apply(params: SequenceDistributionParams, x: Any, *, key: PRNGKey | None = None, mask: Any = None):
        given = x.vector if vector is not None else None
        y = x.symbols if vector is not None else x
        batch, time = y.shape
        n = jnp.full(batch, time, jnp.int32) if mask is None else mask.sum(1).astype(jnp.int32)
        begin = jnp.full((batch, 1), symbols, y.dtype)
        t = jnp.arange(time + 1, dtype=jnp.int32)[None]
        left = n[:, None] - t
        z = _inputs(params, jnp.concatenate([begin, y], 1), t, left, given, longest)
        made = cell_of(params.cell)
        if made.fused is None:
            raise ValueError(f"cell: got {cell!r}, allowed are cells with a gradient written out")
        _, hs = made.fused(params.cell, _first(params, batch, given), jnp.swapaxes(z, 0, 1), None)
        logits = _logits(params, jnp.swapaxes(hs, 0, 1), t)
        # The symbols, then the end where it is one; nothing behind.
        padded = jnp.concatenate([y, begin], 1).astype(jnp.int32)
        last = IGNORE if ending == "length" else symbols
        target = jnp.where(left > 0, padded, jnp.where(left == 0, last, IGNORE))
        total = generation.taken(logits, target).sum(1)
        if params.lengths is not None:
            total = total + generation.taken(jnp.broadcast_to(params.lengths[None], (batch, longest)), n - 1)
        return total

    return Model(init, apply)


def _inputs(
    params: SequenceDistributionParams, y: Array, t: Array, left: Array, vector: Array | None, longest: int
) -> Array:
    """``z_t`` of the cell, (batch, time, gates), for symbols, steps done and steps left."""
    z = params.cell.U[y] + params.cell.b[None, None]
    for count, u in ((t, params.u_t), (left, params.u_l)):
        if u is not None:
            z = z + (count.astype(z.dtype) / longest)[:, :, None] * u[None, None]
    return z if params.R is None or vector is None else z + (vector @ params.R)[:, None]


def _first(params: SequenceDistributionParams, batch: int, vector: Array | None) -> Any:
    carry = cell_of(params.cell).carry(params.cell, (batch,))
    if params.W_0 is None or params.b_0 is None or vector is None:
        return carry
    h = jnp.tanh(vector @ params.W_0 + params.b_0[None])
    return carry._replace(h=h) if isinstance(carry, LSTMCarry) else h


def _logits(params: SequenceDistributionParams, h: Array, t: Array) -> Array:
    """Of the next symbol or the end, (batch, time, …), from the states after t symbols."""
    logits = (h @ params.V + params.c[None, None]).astype(jnp.float32)
    if params.v is None or params.d is None:
        return logits
    # A stop unit is an end symbol whose probability comes from a unit of its own; never at first.
    stop = jnp.where(t == 0, _NEVER, (h @ params.v + params.d[None, None]).astype(jnp.float32))
    going = jax.nn.log_softmax(logits) + jax.nn.log_sigmoid(-stop)[:, :, None]
    return jnp.concatenate([going, jax.nn.log_sigmoid(stop)[:, :, None]], -1)


@partial(jax.jit, static_argnames=("n", "longest"))
def write_sequences(
    params: SequenceDistributionParams, key: PRNGKey, n: int, longest: int, vector: Array | None = None
) -> Array:
    """Ancestral samples of a `sequence_distribution`.

    Args:
      params: its parameters; they say how it ends.
      key: one key.
      n: how many sequences.
      longest: as the model was made with; what has not ended by then is cut.
      vector: (n, inputs), for a model that is conditioned on one.

    Returns:
      (n, longest) int32 symbols, -1 behind the end.
    """
    symbols = params.cell.U.shape[0] - 1
    key_length, key = jax.random.split(key)
    made = cell_of(params.cell)
    total = jnp.full(n, longest, jnp.int32)
    if params.lengths is not None:
        logits = jnp.broadcast_to(params.lengths[None], (n, params.lengths.shape[0]))
        total = 1 + jax.random.categorical(key_length, logits).astype(jnp.int32)

    def step(params, state, symbol):
        t, carry = state
        z = _inputs(params, symbol[:, None], t[:, None], (total - t)[:, None], vector, longest)[:, 0]
        carry, h = made.advance(params.cell, carry, z, made.hidden(carry) @ params.cell.W)  # pyright: ignore[reportOptionalCall]
        return (t + 1, carry), _logits(params, h[:, None], t[:, None])[:, 0]

    start = (jnp.zeros(n, jnp.int32), _first(params, n, vector))
    begin = jnp.full(n, symbols, jnp.int32)
    end = None if params.lengths is not None else symbols
    written = generation.sample(step, params, start, begin, key, length=longest, end=end)
    past = jnp.arange(longest, dtype=jnp.int32)[None] >= total[:, None]
    return jnp.where(past | (written == symbols), IGNORE, written)
