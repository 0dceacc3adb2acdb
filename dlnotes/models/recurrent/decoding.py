"""What an encoder-decoder writes: greedily, at random, by beam search; and where it looked.

All are functions of the parameters of a `seq2seq`, which say what kind of network it is.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from dlnotes.models.recurrent import generation
from dlnotes.models.recurrent.encoder_decoder import (
    Seq2SeqParams,
    decoder_step,
    decoder_table,
    encode,
    teacher_forced,
)
from dlnotes.typing import Array, PRNGKey

END = 0
"""The output class that ends a sequence."""


def _network(params: Seq2SeqParams, source: Array, mask: Array | None) -> tuple[Any, Any, Array]:
    """What `generation` needs beside `decoder_step`: its parameters, the first carries, begin symbols."""
    carries, read = encode(params, source, mask)
    begin = jnp.full(source.shape[0], params.c.shape[0], jnp.int32)
    return (params, read, decoder_table(params)), carries, begin


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
    return generation.greedy(decoder_step, *_network(params, source, mask), length=length, end=END)


@partial(jax.jit, static_argnames="length")
def sample_decode(
    params: Seq2SeqParams,
    key: PRNGKey,
    source: Array,
    mask: Array | None = None,
    *,
    length: int,
    temperature: float | Array = 1.0,
) -> Array:
    """Sequences drawn from the network: `generation.sample`.

    Args:
      params, source, mask, length: as in `greedy_decode`.
      key: one key.
      temperature: 1 draws from the model, smaller is bolder.

    Returns:
      As `greedy_decode`.
    """
    network = _network(params, source, mask)
    return generation.sample(decoder_step, *network, key, length=length, end=END, temperature=temperature)


@partial(jax.jit, static_argnames=("length", "width"))
def beam_decode(
    params: Seq2SeqParams,
    source: Array,
    mask: Array | None = None,
    *,
    length: int,
    width: int,
    length_penalty: float | Array = 0.0,
) -> generation.Beams:
    """The ``width`` best sequences that a beam search finds: `generation.beam_search`.

    Args:
      params, source, mask, length: as in `greedy_decode`.
      width: how many beginnings are kept at each step.
      length_penalty: a sequence of n symbols has the score ``log P / n^length_penalty``.

    Returns:
      `generation.Beams`, best first.

    Raises:
      ValueError: for a length or width below 1.
    """
    return generation.beam_search(
        decoder_step,
        *_network(params, source, mask),
        width=width,
        length=length,
        end=END,
        length_penalty=length_penalty,
    )


def mixed_targets(params: Seq2SeqParams, x: Any, share: float | Array, key: PRNGKey, mask: Any = None) -> Any:
    """``x`` with a share of the decoder's inputs replaced by its own symbols: `generation.own_inputs`.

    Args:
      params: parameters of a `seq2seq`.
      x: has ``.source`` (batch, S) and ``.target`` (batch, T), the target shifted right.
      share: in [0, 1]; may be traced.
      key: one key, or one per example.
      mask: (batch, S) booleans, True where a source position is real.

    Returns:
      ``x`` to train on: its gradient is that of scheduled sampling.
    """
    network, carries, _ = _network(params, x.source, mask)
    return x._replace(target=generation.own_inputs(decoder_step, network, carries, x.target, share, key))


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
    carries, source = encode(params, x.source, mask)
    _, weights = teacher_forced(params, carries, source, x.target)
    if weights is None:
        raise ValueError("params: got a network without attention, allowed are those with it")
    return weights
