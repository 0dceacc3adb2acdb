"""Encoder-decoder networks: one sequence in, another of another length out.

What kind of network some parameters belong to is told by the parameters: their cell by its type,
attention and a second direction by fields that are ``None`` without them. So decoding takes the
parameters and nothing else, and cannot be called with other options than training.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from dlnotes.layers.arguments import chosen, positive, shares
from dlnotes.layers.attention import additive_scores, dot_scores, masked_softmax, weighted_mean
from dlnotes.layers.random import dropout as drop
from dlnotes.layers.random import fold_in
from dlnotes.layers.recurrent import LSTMCarry, cell_of, recurrent_cell, unroll
from dlnotes.models.model import Model
from dlnotes.typing import IGNORE, Array, Params, PRNGKey

END = 0
"""The output class that ends a sequence."""

_ATTENTION = {"additive": None, "dot": None, "none": None}


class AttentionParams(NamedTuple):
    """``query = h W_q``, ``key_s = a_s W_k`` for the annotation ``a_s``; see `layers.attention`.

    Attributes:
      W_q: (hidden, hidden).
      W_k: (annotation, hidden).
      v: (hidden,) of the additive score, ``None`` for the dot product.
    """

    W_q: Array
    W_k: Array
    v: Array | None


class Seq2SeqParams(NamedTuple):
    """Annotations ``a_s`` from the encoder; ``h_t = cell(h_{t-1}, [F[y_{t-1}]; C_t])`` with the
    context ``C_t = Σ_s α_ts a_s`` and ``α_t`` from ``h_{t-1}``; ``o_t = [h_t; C_t] V + c``.

    Without attention C is the encoder's last state at every t. The first state is
    ``h_0 = tanh(last W_0 + b_0)``.

    Attributes:
      E: (source vocabulary, embedding).
      forward: the encoder's cell, left to right.
      backward: the same right to left, or ``None``; an annotation is then ``[→h_s; ←h_s]``.
      W_0: (annotation, hidden).
      b_0: (hidden,).
      F: (outputs + 1, embedding), the last row for the begin symbol.
      decoder: the decoder's cell, with embedding + annotation inputs.
      attention: `AttentionParams`, or ``None``.
      V: (hidden + annotation, outputs).
      c: (outputs,).
    """

    E: Array
    forward: Params
    backward: Params | None
    W_0: Array
    b_0: Array
    F: Array
    decoder: Params
    attention: AttentionParams | None
    V: Array
    c: Array


class Annotated(NamedTuple):
    """What a decoder with attention reads of the source.

    Attributes:
      keys: (batch, S, hidden), the annotations projected once.
      values: (batch, S, annotation).
      mask: (batch, S), or ``None``.
      attention: the parameters that the query and the score need.
    """

    keys: Array
    values: Array
    mask: Array | None
    attention: AttentionParams


class Fixed(NamedTuple):
    """What a decoder without attention reads of the source.

    Attributes:
      context: (batch, annotation).
    """

    context: Array


Source: TypeAlias = Annotated | Fixed


def seq2seq(
    source_vocabulary: int,
    outputs: int,
    hidden: int,
    *,
    embedding: int = 32,
    cell: Literal["gru", "lstm", "rnn"] = "gru",
    attention: Literal["additive", "dot", "none"] = "additive",
    bidirectional: bool = True,
    dropout: float | Array = 0.0,
    init_scale: float | Array = 1.0,
) -> Model:
    """An encoder-decoder trained by teacher forcing, with or without attention.

    Args:
      source_vocabulary: number of source symbols.
      outputs: number of output symbols, class 0 the end symbol. The decoder reads one more, the
        begin symbol ``outputs``.
      hidden: width of the encoder's and of the decoder's states.
      embedding: width of a symbol's vector, source and target.
      cell: "gru", "lstm" or "rnn".
      attention: "additive", "dot", or "none": a context of fixed size.
      bidirectional: the encoder also reads from right to left.
      dropout: share dropped of the annotations and of what the output layer reads; may be traced.
      init_scale: factor on every initial weight; may be traced.

    Returns:
      A `Model` of `Seq2SeqParams`: ``x`` has ``.source`` (batch, S) and ``.target`` (batch, T), the
      target shifted right so that it starts with the begin symbol; ``mask`` (batch, S) says which
      source positions are real; output (batch, T, outputs), position t predicting target t + 1.

    Raises:
      ValueError: for sizes below 1, unknown names, or a plain dropout rate outside [0, 1).

    Source: the notes on encoder-decoder networks; Cho et al., 2014; Bahdanau, Cho and Bengio, 2015.
    """
    positive(source_vocabulary=source_vocabulary, outputs=outputs, hidden=hidden, embedding=embedding)
    kind = recurrent_cell(cell)
    chosen("attention", attention, _ATTENTION)
    shares(dropout=dropout)
    annotation = 2 * hidden if bidirectional else hidden

    def init(key: PRNGKey) -> Seq2SeqParams:
        keys = jax.random.split(key, 10)
        scale = jnp.asarray(init_scale, jnp.float32)

        def table(k: PRNGKey, rows: int) -> Array:
            return scale * jax.random.normal(k, (rows, embedding), jnp.float32)

        def matrix(k: PRNGKey, rows: int, columns: int) -> Array:
            return scale * jax.nn.initializers.glorot_uniform()(k, (rows, columns), jnp.float32)

        attend = None
        if attention != "none":
            v = matrix(keys[0], hidden, 1)[:, 0] if attention == "additive" else None
            attend = AttentionParams(matrix(keys[1], hidden, hidden), matrix(keys[2], annotation, hidden), v)
        make = partial(kind.init, init_scale=init_scale)
        return Seq2SeqParams(
            E=table(keys[3], source_vocabulary),
            forward=make(keys[4], embedding, hidden),
            backward=make(keys[5], embedding, hidden) if bidirectional else None,
            W_0=matrix(keys[6], annotation, hidden),
            b_0=jnp.zeros(hidden),
            F=table(keys[7], outputs + 1),
            decoder=make(keys[8], embedding + annotation, hidden),
            attention=attend,
            V=matrix(keys[9], hidden + annotation, outputs),
            c=jnp.zeros(outputs),
        )

    def apply(params: Seq2SeqParams, x: Any, *, key: PRNGKey | None = None, mask: Array | None = None):
        first, last = (None, None) if key is None else (fold_in(key, 0), fold_in(key, 1))
        carry, source = _encode(params, x.source, mask, first, dropout)
        features, _ = _teacher_forced(params, carry, source, x.target)
        features = drop(last, features, dropout)
        return features @ params.V + params.c[None, None]

    return Model(init, apply)


def _encode(
    params: Seq2SeqParams, x: Array, mask: Array | None, key: PRNGKey | None, rate: float | Array
) -> tuple[Any, Source]:
    """The decoder's first carry, and what it will read of the source."""
    cell = cell_of(params.forward)
    carry, hs = unroll(cell, params.forward, x, mask=mask, embedding=params.E)
    last, annotations = [cell.hidden(carry)], [hs]
    if params.backward is not None:
        carry, hs = unroll(cell, params.backward, x, mask=mask, embedding=params.E, reverse=True)
        last, annotations = [*last, cell.hidden(carry)], [*annotations, hs]
    h = jnp.tanh(jnp.concatenate(last, -1) @ params.W_0 + params.b_0[None])
    first = LSTMCarry(h, jnp.zeros_like(h)) if isinstance(carry, LSTMCarry) else h
    if params.attention is None:
        return first, Fixed(drop(key, jnp.concatenate(last, -1), rate))
    values = drop(key, jnp.concatenate(annotations, -1), rate)
    return first, Annotated(values @ params.attention.W_k, values, mask, params.attention)


def _decoder_table(params: Seq2SeqParams) -> Array:
    """The part of the decoder's gates that each symbol gives, (outputs + 1, gates)."""
    return params.F @ params.decoder.U[: params.F.shape[1]] + params.decoder.b[None]


def _decode_step(
    params: Seq2SeqParams, source: Source, carry: Any, z: Array
) -> tuple[Any, Array, Array | None]:
    """One step from the symbol's part ``z`` of the gates: carry, context, weights (batch, S)."""
    cell = cell_of(params.decoder)
    if cell.advance is None:
        raise ValueError("params.decoder: got a cell without `advance`, allowed are cells that have it")
    W, U_C = params.decoder.W, params.decoder.U[params.F.shape[1] :]
    h = cell.hidden(carry)
    if isinstance(source, Fixed):
        context, r, weights = source.context, h @ W, None
    else:
        attention = source.attention
        # The query and the recurrence read the same state: one product for both.
        both = h @ jnp.concatenate([W, attention.W_q], 1)
        r, query = both[:, : W.shape[1]], both[:, W.shape[1] :]
        if attention.v is None:
            scores = dot_scores(query, source.keys)
        else:
            scores = additive_scores(attention.v, query, source.keys)
        weights = masked_softmax(scores, source.mask)
        context = weighted_mean(weights, source.values)
    carry, _ = cell.advance(params.decoder, carry, z + context @ U_C, r)
    return carry, context, weights


def _teacher_forced(
    params: Seq2SeqParams, carry: Any, source: Source, target: Array
) -> tuple[Array, Array | None]:
    """``[h_t; C_t]`` (batch, T, hidden + annotation) and the weights (batch, T, S)."""
    hidden = cell_of(params.decoder).hidden

    def step(carry, z):
        carry, context, weights = _decode_step(params, source, carry, z)
        return carry, (jnp.concatenate([hidden(carry), context], -1), weights)

    _, outs = jax.lax.scan(step, carry, _decoder_table(params)[target.T])
    return jax.tree.map(lambda a: jnp.swapaxes(a, 0, 1), outs)


@partial(jax.jit, static_argnames="length")
def greedy_decode(params: Seq2SeqParams, source: Array, mask: Array | None = None, *, length: int) -> Array:
    """The most probable symbol at each step, fed back as the next input, until the end symbol.

    Args:
      params: parameters of a `seq2seq`; they say which kind it is.
      source: (batch, S) symbols.
      mask: (batch, S) booleans, True where a position is real.
      length: the largest number of symbols to write.

    Returns:
      (batch, length) int32 classes; the end symbol (0) closes a sequence and -1 fills what is after.

    Raises:
      ValueError: for a length below 1.
    """
    positive(length=length)
    carry, read = _encode(params, source, mask, None, 0.0)
    cell, outputs = cell_of(params.decoder), params.c.shape[0]
    table = _decoder_table(params)

    def step(state):
        t, carry, symbol, done, written = state
        carry, context, _ = _decode_step(params, read, carry, table[symbol])
        logits = jnp.concatenate([cell.hidden(carry), context], -1) @ params.V + params.c[None]
        symbol = jnp.argmax(logits, -1).astype(jnp.int32)
        column = jnp.where(done, IGNORE, symbol)
        written = jax.lax.dynamic_update_slice_in_dim(written, column[:, None], t, 1)
        return t + 1, carry, symbol, done | (symbol == END), written

    def unfinished(state):
        t, _, _, done, _ = state
        return (t < length) & ~done.all()

    batch = source.shape[0]
    start = (
        jnp.zeros((), jnp.int32),
        carry,
        jnp.full(batch, outputs, jnp.int32),
        jnp.zeros(batch, bool),
        jnp.full((batch, length), IGNORE, jnp.int32),
    )
    return jax.lax.while_loop(unfinished, step, start)[-1]


def attention_weights(params: Seq2SeqParams, x: Any, mask: Array | None = None) -> Array:
    """Where the decoder looked: ``α_ts``, for an alignment picture.

    Args:
      params: parameters of a `seq2seq` with attention.
      x: has ``.source`` (batch, S) and ``.target`` (batch, T), the target shifted right.
      mask: (batch, S) booleans, True where a source position is real.

    Returns:
      (batch, T, S); rows sum to 1 over the real source positions.

    Raises:
      ValueError: when the network has no attention.
    """
    carry, source = _encode(params, x.source, mask, None, 0.0)
    _, weights = _teacher_forced(params, carry, source, x.target)
    if weights is None:
        raise ValueError("params: got a network without attention, allowed are those with it")
    return weights
