"""Networks that read a sequence: one answer for the whole, one at every position, or the next symbol."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.checks import positive, shares
from dlnotes.layers.random import dropout as drop
from dlnotes.layers.random import fold_in
from dlnotes.layers.recurrent.unroll import Cell, cell_of, recurrent_cell, unroll
from dlnotes.models.model import Model
from dlnotes.models.recurrent import generation
from dlnotes.typing import Array, Params, PRNGKey

CellName = Literal["lstm", "gru", "rnn"]


class SequenceParams(NamedTuple):
    """``e_t = E[x_t]``, ``h^k = unroll(h^{k-1})`` for each layer k with ``h^0 = e``, ``o = h V + c``.

    Attributes:
      E: (vocabulary, embedding), or ``None`` where the inputs are features.
      forward: parameters of a cell for each layer, running left to right.
      backward: the same for right to left, or ``None``; a layer's output is then ``[→h; ←h]``.
      V: (hidden, outputs); 2·hidden rows if there are two directions.
      c: (outputs,).
    """

    E: Array | None
    forward: tuple[Params, ...]
    backward: tuple[Params, ...] | None
    V: Array
    c: Array


def _network(
    inputs: int,
    hidden: int,
    outputs: int,
    *,
    at_end: bool,
    cell: Cell,
    layers: int,
    embedding: int | None,
    bidirectional: bool,
    dropout: float | Array,
    init_scale: float | Array,
) -> Model:
    """The network behind all three factories: an output at the end, or at every position."""
    directions = 2 if bidirectional else 1

    def init(key: PRNGKey) -> SequenceParams:
        key_E, key_V, key_cells = jax.random.split(key, 3)
        scale = jnp.asarray(init_scale, jnp.float32)
        E = None
        if embedding is not None:
            E = scale * jax.random.normal(key_E, (inputs, embedding), jnp.float32)

        def stack(direction: int) -> tuple[Params, ...]:
            widths = [inputs if embedding is None else embedding] + [directions * hidden] * (layers - 1)
            keys = jax.random.split(jax.random.fold_in(key_cells, direction), layers)
            return tuple(cell.init(k, width, hidden, init_scale=init_scale) for k, width in zip(keys, widths))

        glorot = jax.nn.initializers.glorot_uniform()
        V = scale * glorot(key_V, (directions * hidden, outputs), jnp.float32)
        return SequenceParams(E, stack(0), stack(1) if bidirectional else None, V, jnp.zeros(outputs))

    def apply(params: SequenceParams, x: Array, *, key: PRNGKey | None = None, mask: Array | None = None):
        last, hs = _states(cell, params, x, key, mask, dropout)
        h = last if at_end else hs
        return _readout(params, drop(None if key is None else fold_in(key, 0), h, dropout))

    return Model(init, apply)


def _states(
    cell: Cell, params: SequenceParams, x: Array, key: PRNGKey | None, mask: Array | None, rate: float | Array
) -> tuple[Array, Array]:
    """The top layer's last state and its outputs, (batch, width) and (batch, time, width)."""
    last, hs = [], x
    for k, forward in enumerate(params.forward):
        run = partial(unroll, cell, mask=mask, embedding=params.E if k == 0 else None)
        if k > 0 and key is not None:
            hs = drop(fold_in(key, k), hs, rate)
        carry, out = run(forward, hs)
        last, outs = [carry], [out]
        if params.backward is not None:
            carry, out = run(params.backward[k], hs, reverse=True)
            last, outs = [*last, carry], [*outs, out]
        hs = jnp.concatenate(outs, -1)
    return jnp.concatenate([cell.hidden(carry) for carry in last], -1), hs


def _readout(params: SequenceParams, h: Array) -> Array:
    return h @ params.V + jnp.expand_dims(params.c, tuple(range(h.ndim - 1)))


def _check(cell: CellName | Cell, embedding: int | None, dropout: float | Array, **sizes: int) -> Cell:
    """The cell, every option checked."""
    positive(**sizes)
    if embedding is not None:
        positive(embedding=embedding)
    shares(dropout=dropout)
    return recurrent_cell(cell) if isinstance(cell, str) else cell


def sequence_classifier(
    inputs: int,
    hidden: int,
    outputs: int,
    *,
    cell: CellName | Cell = "lstm",
    layers: int = 1,
    embedding: int | None = None,
    bidirectional: bool = False,
    dropout: float | Array = 0.0,
    init_scale: float | Array = 1.0,
) -> Model:
    """A recurrent net with one output at the end: ``o = c + V h_τ``, τ the last real position.

    With ``bidirectional`` the output reads ``[→h_τ; ←h_1]``, both after a whole pass.

    Args:
      inputs: number of features of a position, or with ``embedding`` the number of symbols.
      hidden: width of each state.
      outputs: number of classes, or of regression outputs.
      cell: "lstm", "gru", "rnn", or a `Cell` such as ``layers.leaky((1, 10))``.
      layers: how many cells are stacked.
      embedding: width of a table of symbols; then ``x`` is (batch, time) whole numbers.
      bidirectional: a second net reads from right to left.
      dropout: share dropped of each layer's outputs (not from one step to the next); may be traced.
      init_scale: factor on every initial weight; may be traced.

    Returns:
      A `Model` of `SequenceParams`: ``x`` (batch, time, inputs) or (batch, time), ``mask`` (batch,
      time), output (batch, outputs).

    Raises:
      ValueError: for sizes below 1, an unknown cell, or a plain dropout rate outside [0, 1).

    Source: the notes on recurrent networks (one output at the end) and on bidirectional networks.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> model = sequence_classifier(3, 16, 2)
      >>> model.apply(model.init(jax.random.key(0)), jnp.ones((4, 7, 3))).shape
      (4, 2)
    """
    kind = _check(cell, embedding, dropout, inputs=inputs, hidden=hidden, outputs=outputs, layers=layers)
    return _network(
        inputs,
        hidden,
        outputs,
        at_end=True,
        cell=kind,
        layers=layers,
        embedding=embedding,
        bidirectional=bidirectional,
        dropout=dropout,
        init_scale=init_scale,
    )


def sequence_labeler(
    inputs: int,
    hidden: int,
    outputs: int,
    *,
    cell: CellName | Cell = "lstm",
    layers: int = 1,
    embedding: int | None = None,
    bidirectional: bool = False,
    dropout: float | Array = 0.0,
    init_scale: float | Array = 1.0,
) -> Model:
    """A recurrent net with an output at every position: ``o_t = c + V h_t``.

    The output at t depends on ``x_1 … x_t``; with ``bidirectional`` it reads ``[→h_t; ←h_t]`` and so
    depends on the whole sequence.

    Args:
      inputs, hidden, cell, layers, embedding, dropout, init_scale: as of `sequence_classifier`.
      outputs: number of classes, or of regression outputs, of a position.
      bidirectional: a second net reads from right to left.

    Returns:
      A `Model` of `SequenceParams`: ``x`` (batch, time, inputs) or (batch, time), ``mask`` (batch,
      time), output (batch, time, outputs).

    Raises:
      ValueError: for sizes below 1, an unknown cell, or a plain dropout rate outside [0, 1).

    Source: notes R9.1 (an output each step), R10.1; Schuster and Paliwal, 1997 (both directions).

    Example:
      >>> import jax, jax.numpy as jnp
      >>> model = sequence_labeler(3, 16, 2, bidirectional=True)
      >>> model.apply(model.init(jax.random.key(0)), jnp.ones((4, 7, 3))).shape
      (4, 7, 2)
    """
    kind = _check(cell, embedding, dropout, inputs=inputs, hidden=hidden, outputs=outputs, layers=layers)
    return _network(
        inputs,
        hidden,
        outputs,
        at_end=False,
        cell=kind,
        layers=layers,
        embedding=embedding,
        bidirectional=bidirectional,
        dropout=dropout,
        init_scale=init_scale,
    )


def character_model(
    vocabulary: int,
    hidden: int,
    *,
    cell: CellName = "lstm",
    layers: int = 1,
    embedding: int = 32,
    dropout: float | Array = 0.0,
    init_scale: float | Array = 1.0,
) -> Model:
    """A recurrent net that predicts the next symbol: ``P(x) = ∏ P(x_{t+1} | x_1, …, x_t)``.

    ``o_t = c + V h_t``; the output at t depends on ``x_1 … x_t`` only.

    Args:
      vocabulary: number of symbols.
      hidden: width of each state.
      cell: "lstm", "gru" or "rnn".
      layers: how many cells are stacked.
      embedding: width of a symbol's vector.
      dropout: share dropped of each layer's outputs (not from one step to the next); may be traced.
      init_scale: factor on every initial weight; may be traced.

    Returns:
      A `Model` of `SequenceParams`: ``x`` (batch, time) whole numbers, output (batch, time,
      vocabulary). `sample` writes text with its parameters.

    Raises:
      ValueError: for sizes below 1, an unknown cell, or a plain dropout rate outside [0, 1).

    Source: the notes on recurrent networks as directed graphical models.
    """
    kind = _check(cell, embedding, dropout, vocabulary=vocabulary, hidden=hidden, layers=layers)
    return _network(
        vocabulary,
        hidden,
        vocabulary,
        at_end=False,
        cell=kind,
        layers=layers,
        embedding=embedding,
        bidirectional=False,
        dropout=dropout,
        init_scale=init_scale,
    )


@partial(jax.jit, static_argnames="length")
def sample(
    params: SequenceParams,
    key: PRNGKey,
    prefix: Array,
    *,
    length: int,
    temperature: float | Array = 1.0,
) -> Array:
    """Text from a `character_model`, symbol by symbol: ``x_{t+1} ~ softmax(o_t / temperature)``.

    Args:
      params: parameters of a `character_model`.
      key: one key.
      prefix: (batch, time) symbols to start from, at least one position.
      length: how many symbols to write.
      temperature: above 0; 1 draws from the model, smaller is bolder. 0 takes the most probable.

    Returns:
      (batch, length) int32 symbols, without the prefix.

    Raises:
      ValueError: for an empty prefix, a length below 1, or parameters of another model.
    """
    positive(length=length)
    if prefix.ndim != 2 or prefix.shape[1] < 1:
        raise ValueError(f"prefix: got shape {prefix.shape}, allowed is (batch, time) with time at least 1")
    if params.E is None or params.backward is not None:
        raise ValueError("params: got those of a classifier, allowed are those of a character_model")
    carries, hs = [], prefix[:, :-1]
    for k, layer in enumerate(params.forward):
        carry, hs = unroll(cell_of(layer), layer, hs, embedding=params.E if k == 0 else None)
        carries.append(carry)
    return generation.sample(
        symbol_step, params, tuple(carries), prefix[:, -1], key, length=length, temperature=temperature
    )


def symbol_step(params: SequenceParams, carries: tuple[Any, ...], symbol: Array) -> tuple[Any, Array]:
    """One step of a `character_model`, as `dlnotes.models.recurrent.generation` takes it.

    Args:
      params: of the model.
      carries: a state for each layer; `first_carries` before the first symbol.
      symbol: (batch,) whole numbers.

    Returns:
      The new states, and the logits of the next symbol (batch, vocabulary).
    """
    if params.E is None or params.backward is not None:
        raise ValueError("params: got those of a classifier, allowed are those of a character_model")
    h, new = params.E[symbol], []
    for layer, carry in zip(params.forward, carries):
        carry, h = cell_of(layer).step(layer, carry, h)
        new.append(carry)
    return tuple(new), _readout(params, h)


def first_carries(params: SequenceParams, batch: int) -> tuple[Any, ...]:
    """The states of all layers before the first symbol."""
    return tuple(cell_of(layer).carry(layer, (batch,)) for layer in params.forward)


def mixed_inputs(
    params: SequenceParams, x: Array, share: float | Array, key: PRNGKey, mask: Array | None = None
) -> Array:
    """``x`` with a share of its symbols drawn by the model itself: `generation.own_inputs`.

    Args:
      params: of a `character_model`.
      x: (batch, time) symbols.
      share: in [0, 1]; may be traced.
      key: one key, or one per example.
      mask: not needed, for what is behind a sequence's end has no influence before it.

    Returns:
      (batch, time) symbols to train on: the gradient is that of scheduled sampling.
    """
    return generation.own_inputs(symbol_step, params, first_carries(params, x.shape[0]), x, share, key)
