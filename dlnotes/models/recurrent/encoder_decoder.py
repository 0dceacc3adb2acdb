"""Encoder-decoder networks: one sequence in, another of another length out.

What kind of network some parameters belong to is told by the parameters: their cells by their types,
attention and a second direction by fields that are ``None`` without them, the context's ways in by
shapes. So decoding takes the parameters and nothing else, and cannot be called with other options
than training.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from dlnotes.checks import chosen, positive, shares
from dlnotes.layers.random import dropout as drop
from dlnotes.layers.random import fold_in
from dlnotes.layers.recurrent.attention import (
    additive_scores,
    dot_scores,
    local_window,
    masked_softmax,
    weighted_mean,
)
from dlnotes.layers.recurrent.unroll import LSTMCarry, cell_of, recurrent_cell, unroll
from dlnotes.models.model import Model
from dlnotes.typing import Array, Params, PRNGKey

_ATTENTION = {"additive": None, "dot": None, "local": None, "none": None}
_CONTEXT = {"input": None, "initial": None, "both": None}


class AttentionParams(NamedTuple):
    """``query = h W_q``, ``key_s = a_s W_k`` for the annotation ``a_s``; see `layers.attention`.

    Attributes:
      W_q: (decoder hidden, decoder hidden).
      W_k: (annotation, decoder hidden).
      v: (decoder hidden,) of the additive score, ``None`` for the dot product.
      position: `PositionParams` where only a window of the source is read, or ``None``.
    """

    W_q: Array
    W_k: Array
    v: Array | None
    position: PositionParams | None = None


@partial(jax.tree_util.register_dataclass, data_fields=["W_p", "v_p"], meta_fields=["window"])
@dataclass(frozen=True)
class PositionParams:
    """The middle of the window, ``p_t = (n - 1) σ(tanh(h W_p) · v_p)`` for n source positions.

    Attributes:
      W_p: (decoder hidden, decoder hidden).
      v_p: (decoder hidden,).
      window: D, how far from the middle the network looks; no parameter, but part of the structure.
    """

    W_p: Array
    v_p: Array
    window: int


class Seq2SeqParams(NamedTuple):
    """Annotations ``a_s`` from the encoder; ``h_t = cell(h_{t-1}, [F[y_{t-1}]; C_t])`` with the
    context ``C_t = Σ_s α_ts a_s`` and ``α_t`` from ``h_{t-1}``; ``o_t = [h_t; C_t] V + c``.

    Without attention C is the encoder's last state at every t. The first state of the decoder's
    layers is ``h_0 = tanh(last W_0 + b_0)``, cut into one for each. Of several layers the first has
    the attention, and the last gives the ``h_t`` of the output. A context that only starts the
    decoder is not read at each step: ``C_t`` is left out of both equations.

    Attributes:
      E: (source vocabulary, embedding).
      forward: a cell for each layer of the encoder, left to right.
      backward: the same right to left, or ``None``; an annotation is then ``[→h_s; ←h_s]``.
      W_0: (annotation, layers · decoder hidden), or ``None`` where the decoder starts at 0.
      b_0: (layers · decoder hidden,), or ``None``.
      F: (outputs + 1, embedding), the last row for the begin symbol.
      decoder: a cell for each layer, the first with embedding + annotation inputs.
      attention: `AttentionParams`, or ``None``.
      V: (decoder hidden + annotation, outputs).
      c: (outputs,).
    """

    E: Array
    forward: tuple[Params, ...]
    backward: tuple[Params, ...] | None
    W_0: Array | None
    b_0: Array | None
    F: Array
    decoder: tuple[Params, ...]
    attention: AttentionParams | None
    V: Array
    c: Array


class Annotated(NamedTuple):
    """What a decoder with attention reads of the source.

    Attributes:
      keys: (batch, S, decoder hidden), the annotations projected once.
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
      context: (batch, annotation), or ``None`` where it only starts the decoder.
    """

    context: Array | None


Source: TypeAlias = Annotated | Fixed


def seq2seq(
    vocabulary: int,
    hidden: int,
    outputs: int,
    *,
    embedding: int = 32,
    cell: Literal["gru", "lstm", "rnn"] = "gru",
    attention: Literal["additive", "dot", "local", "none"] = "additive",
    bidirectional: bool = True,
    layers: int = 1,
    decoder_hidden: int | None = None,
    context: Literal["input", "initial", "both"] = "both",
    window: int = 4,
    dropout: float | Array = 0.0,
    init_scale: float | Array = 1.0,
) -> Model:
    """An encoder-decoder trained by teacher forcing, with or without attention.

    Args:
      vocabulary: number of source symbols.
      hidden: width of the encoder's states.
      outputs: number of output symbols, class 0 the end symbol. The decoder reads one more, the
        begin symbol ``outputs``.
      embedding: width of a symbol's vector, source and target.
      cell: "gru", "lstm" or "rnn".
      attention: "additive", "dot", "local" (dot products in a window around a position that the
        decoder predicts), or "none": a context of fixed size.
      bidirectional: the encoder also reads from right to left.
      layers: how many cells are stacked, in the encoder and in the decoder.
      decoder_hidden: width of the decoder's states; without it, that of the encoder's.
      context: how a context of fixed size enters the decoder: as an extra input at each step, as its
        initial state, or both.
      window: how far from the middle of its window local attention looks.
      dropout: share dropped of the annotations, between layers, and of what the output layer reads;
        may be traced.
      init_scale: factor on every initial weight; may be traced.

    Returns:
      A `Model` of `Seq2SeqParams`: ``x`` has ``.source`` (batch, S) and ``.target`` (batch, T), the
      target shifted right so that it starts with the begin symbol; ``mask`` (batch, S) says which
      source positions are real; output (batch, T, outputs), position t predicting target t + 1.

    Raises:
      ValueError: for sizes below 1, unknown names, a context said for a network with attention, or a
        plain dropout rate outside [0, 1).

    Source: the notes on encoder-decoder networks; Cho et al., 2014; Bahdanau, Cho and Bengio, 2015;
    Luong, Pham and Manning, 2015.
    """
    positive(vocabulary=vocabulary, outputs=outputs, hidden=hidden, embedding=embedding)
    positive(layers=layers, window=window)
    width = hidden if decoder_hidden is None else decoder_hidden
    positive(decoder_hidden=width)
    kind = recurrent_cell(cell)
    chosen("attention", attention, _ATTENTION)
    chosen("context", context, _CONTEXT)
    if context != "both" and attention != "none":
        raise ValueError(
            f"context: got {context!r} with attention {attention!r}, allowed is 'both': is for 'none'"
        )
    shares(dropout=dropout)
    directions = 2 if bidirectional else 1
    annotation = directions * hidden
    read = 0 if context == "initial" else annotation

    def init(key: PRNGKey) -> Seq2SeqParams:
        keys = jax.random.split(key, 12)
        scale = jnp.asarray(init_scale, jnp.float32)

        def table(k: PRNGKey, rows: int) -> Array:
            return scale * jax.random.normal(k, (rows, embedding), jnp.float32)

        def matrix(k: PRNGKey, rows: int, columns: int) -> Array:
            return scale * jax.nn.initializers.glorot_uniform()(k, (rows, columns), jnp.float32)

        def stack(k: PRNGKey, first: int, above: int, size: int) -> tuple[Params, ...]:
            widths = [first] + [above] * (layers - 1)
            return tuple(
                kind.init(key, inputs, size, init_scale=init_scale)
                for key, inputs in zip(jax.random.split(k, layers), widths)
            )

        attend = None
        if attention != "none":
            v = matrix(keys[0], width, 1)[:, 0] if attention == "additive" else None
            position = None
            if attention == "local":
                W_p, v_p = matrix(keys[10], width, width), matrix(keys[11], width, 1)[:, 0]
                position = PositionParams(W_p, v_p, window)
            W_q, W_k = matrix(keys[1], width, width), matrix(keys[2], annotation, width)
            attend = AttentionParams(W_q, W_k, v, position)
        starts = context != "input"
        return Seq2SeqParams(
            E=table(keys[3], vocabulary),
            forward=stack(keys[4], embedding, annotation, hidden),
            backward=stack(keys[5], embedding, annotation, hidden) if bidirectional else None,
            W_0=matrix(keys[6], annotation, layers * width) if starts else None,
            b_0=jnp.zeros(layers * width) if starts else None,
            F=table(keys[7], outputs + 1),
            decoder=stack(keys[8], embedding + read, width, width),
            attention=attend,
            V=matrix(keys[9], width + read, outputs),
            c=jnp.zeros(outputs),
        )

    def apply(params: Seq2SeqParams, x: Any, *, key: PRNGKey | None = None, mask: Array | None = None):
        carry, source = encode(params, x.source, mask, key, dropout)
        features, _ = teacher_forced(params, carry, source, x.target, key, dropout)
        features = drop(None if key is None else fold_in(key, 1), features, dropout)
        return features @ params.V + params.c[None, None]

    return Model(init, apply)


def encode(
    params: Seq2SeqParams,
    x: Array,
    mask: Array | None,
    key: PRNGKey | None = None,
    rate: float | Array = 0.0,
) -> tuple[tuple[Any, ...], Source]:
    """The decoder's first carries, and what it will read of the source."""
    last, hs = [], x
    for k, forward in enumerate(params.forward):
        run = partial(unroll, cell_of(forward), mask=mask, embedding=params.E if k == 0 else None)
        if k > 0 and key is not None:
            hs = drop(fold_in(key, 2 * k), hs, rate)
        carry, out = run(forward, hs)
        last, outs = [cell_of(forward).hidden(carry)], [out]
        if params.backward is not None:
            carry, out = run(params.backward[k], hs, reverse=True)
            last, outs = [*last, cell_of(forward).hidden(carry)], [*outs, out]
        hs = jnp.concatenate(outs, -1)
    last, first = jnp.concatenate(last, -1), None if key is None else fold_in(key, 0)
    carries = _first_carries(params, last)
    if params.attention is None:
        read = params.V.shape[0] > params.decoder[-1].W.shape[0]
        return carries, Fixed(drop(first, last, rate) if read else None)
    values = drop(first, hs, rate)
    return carries, Annotated(values @ params.attention.W_k, values, mask, params.attention)


def _first_carries(params: Seq2SeqParams, last: Array) -> tuple[Any, ...]:
    zeros = tuple(cell_of(layer).carry(layer, last.shape[:1]) for layer in params.decoder)
    if params.W_0 is None or params.b_0 is None:
        return zeros
    starts = jnp.split(jnp.tanh(last @ params.W_0 + params.b_0[None]), len(zeros), -1)
    return tuple(c._replace(h=h) if isinstance(c, LSTMCarry) else h for c, h in zip(zeros, starts))


def decoder_table(params: Seq2SeqParams) -> Array:
    """The part of the decoder's gates that each symbol gives, (outputs + 1, gates)."""
    first = params.decoder[0]
    return params.F @ first.U[: params.F.shape[1]] + first.b[None]


def _advance(
    params: Seq2SeqParams, source: Source, carry: Any, z: Array
) -> tuple[Any, Array | None, Array | None]:
    """One step of the first layer from the symbol's part ``z`` of its gates.

    Returns:
      Its carry, the context (batch, annotation) and the attention's weights (batch, S), where there are.
    """
    layer = params.decoder[0]
    cell = cell_of(layer)
    if cell.advance is None:
        raise ValueError("params.decoder: got a cell without `advance`, allowed are cells that have it")
    h = cell.hidden(carry)
    if isinstance(source, Fixed):
        context, r, weights = source.context, h @ layer.W, None
    else:
        r, context, weights = _attended(layer.W, source, h)
    if context is not None:
        z = z + context @ layer.U[params.F.shape[1] :]
    carry, _ = cell.advance(layer, carry, z, r)
    return carry, context, weights


def _attended(W: Array, source: Annotated, h: Array) -> tuple[Array, Array, Array]:
    """The recurrent product ``h W``, the context and the weights."""
    attention, position = source.attention, source.attention.position
    # The recurrence, the query and the position read the same state: one product for all.
    matrices = [W, attention.W_q] + ([] if position is None else [position.W_p])
    both = h @ jnp.concatenate(matrices, 1)
    n, width = W.shape[1], attention.W_q.shape[1]
    r, query = both[:, :n], both[:, n : n + width]
    mask = source.mask
    if attention.v is None:
        scores = dot_scores(query, source.keys)
    else:
        # Their hidden units are as many as all the keys: computed again on the way back, for they take longer
        # to write and read.
        scores = jax.checkpoint(additive_scores, prevent_cse=False)(attention.v, query, source.keys)
    if position is not None:
        places = scores.shape[-1]
        largest = jnp.asarray(places - 1, h.dtype) if mask is None else mask.sum(-1).astype(h.dtype) - 1
        middle = largest * jax.nn.sigmoid(jnp.tanh(both[:, n + width :]) @ position.v_p)
        near, inside = local_window(middle, places, position.window)
        scores, mask = scores + near, inside if mask is None else mask & inside
    weights = masked_softmax(scores, mask)
    return r, weighted_mean(weights, source.values), weights


def decoder_step(
    network: tuple[Seq2SeqParams, Source, Array], carries: tuple[Any, ...], symbol: Array
) -> tuple[tuple[Any, ...], Array]:
    """One step of the whole decoder; ``network`` is parameters, source and `decoder_table`."""
    params, source, table = network
    carry, context, _ = _advance(params, source, carries[0], table[symbol])
    h, new = cell_of(params.decoder[0]).hidden(carry), [carry]
    for layer, carry in zip(params.decoder[1:], carries[1:]):
        carry, h = cell_of(layer).step(layer, carry, h)
        new.append(carry)
    features = h if context is None else jnp.concatenate([h, context], -1)
    return tuple(new), features @ params.V + params.c[None]


def teacher_forced(
    params: Seq2SeqParams,
    carries: tuple[Any, ...],
    source: Source,
    target: Array,
    key: PRNGKey | None = None,
    rate: float | Array = 0.0,
) -> tuple[Array, Array | None]:
    """``[h_t; C_t]`` (batch, T, hidden + annotation) and the weights (batch, T, S)."""
    layer = params.decoder[0]
    cell = cell_of(layer)
    z = decoder_table(params)[target.T]
    if isinstance(source, Fixed) and cell.fused is not None:
        if source.context is not None:
            z = z + (source.context @ layer.U[params.F.shape[1] :])[None]
        _, hs = cell.fused(layer, carries[0], z, None)
        contexts, weights = source.context, None
        if contexts is not None:
            contexts = jnp.broadcast_to(contexts[:, None], (*target.shape, contexts.shape[-1]))
    else:

        def step(carry, z):
            carry, context, weights = _advance(params, source, carry, z)
            return carry, (cell.hidden(carry), context, weights)

        _, (hs, contexts, weights) = jax.lax.scan(step, carries[0], z)
        contexts, weights = jax.tree.map(lambda a: jnp.swapaxes(a, 0, 1), (contexts, weights))
    hs = jnp.swapaxes(hs, 0, 1)
    # The layers above need nothing of the source: each runs along the whole sequence at once.
    for k, (above, carry) in enumerate(zip(params.decoder[1:], carries[1:]), 1):
        hs = drop(None if key is None else fold_in(key, 2 * k + 1), hs, rate)
        _, hs = unroll(cell_of(above), above, hs, carry=carry)
    return hs if contexts is None else jnp.concatenate([hs, contexts], -1), weights
