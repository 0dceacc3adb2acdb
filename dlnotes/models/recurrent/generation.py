"""Writing sequences with any network that takes one step at a time, and how probable given ones are.

A stepwise decoder is one pure function ``step(params, carry, symbol) -> (carry, logits)``: ``symbol``
(batch,) whole numbers, the leaves of ``carry`` and ``logits`` (batch, symbols) with the batch first. It
is a directed graphical model, ``P(y) = ∏_t softmax(logits_t)[y_t]`` with ``logits_t`` a function of
``y_1 … y_{t-1}``; all that is done with it here is a function of parameters and a key.

A sequence ends with the symbol ``end``, or after ``length`` symbols; so the probabilities of all
sequences of at most ``length`` symbols sum to 1. Positions behind the end hold -1.

Example:
  >>> import jax.numpy as jnp
  >>> def step(params, carry, symbol):  # a Markov chain: row y of the table holds the logits after y
  ...     return carry, params[symbol]
  >>> table = jnp.log(jnp.array([[0.1, 0.9, 0.0], [0.6, 0.0, 0.4], [1.0, 0.0, 0.0]]) + 1e-9)
  >>> begin = jnp.zeros(1, jnp.int32)
  >>> greedy(step, table, (), begin, length=5, end=2)[0].tolist()
  [1, 0, 1, 0, 1]
  >>> beam_search(step, table, (), begin, width=3, length=5, end=2).symbols[0, 0].tolist()
  [1, 2, -1, -1, -1]

Source: the notes on recurrent networks as directed graphical models and on encoder-decoder networks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.checks import positive
from dlnotes.layers.random import bernoulli, categorical, fold_in
from dlnotes.typing import IGNORE, Array, Params, PRNGKey

Step = Callable[[Params, Any, Array], tuple[Any, Array]]
"""``step(params, carry, symbol) -> (carry, logits)``."""


class Beams(NamedTuple):
    """The sequences that a beam search kept, best first.

    Attributes:
      symbols: (batch, width, length) int32, -1 behind the end.
      log_p: (batch, width) log-probability of each; -inf where there are fewer sequences than width.
      score: (batch, width) what they are ordered by.
    """

    symbols: Array
    log_p: Array
    score: Array


def greedy(
    step: Step, params: Params, carry: Any, begin: Array, *, length: int, end: int | None = None
) -> Array:
    """The most probable symbol at each step, fed back as the next input.

    Args:
      step: see the module.
      params: of ``step``.
      carry: before the first step.
      begin: (batch,) the symbol that the first step reads.
      length: the largest number of symbols to write.
      end: the symbol that ends a sequence; without it all are ``length`` long.

    Returns:
      (batch, length) int32 symbols, -1 behind the end.

    Raises:
      ValueError: for a length below 1.
    """
    return _write(step, params, carry, begin, lambda logits, t: jnp.argmax(logits, -1), length, end)


def sample(
    step: Step,
    params: Params,
    carry: Any,
    begin: Array,
    key: PRNGKey,
    *,
    length: int,
    end: int | None = None,
    temperature: float | Array = 1.0,
) -> Array:
    """Ancestral sampling: ``y_t ~ softmax(logits_t / temperature)``, fed back as the next input.

    Args:
      step, params, carry, begin, length, end: as in `greedy`.
      key: one key.
      temperature: above 0; 1 draws from the model, smaller is bolder. 0 takes the most probable.

    Returns:
      (batch, length) int32 symbols, -1 behind the end.

    Raises:
      ValueError: for a length below 1.
    """
    bold = jnp.asarray(temperature) <= 0
    heat = jnp.where(bold, 1.0, jnp.asarray(temperature, jnp.float32))

    def choose(logits: Array, t: Array) -> Array:
        drawn = jax.random.categorical(jax.random.fold_in(key, t), logits / heat)
        return jnp.where(bold, jnp.argmax(logits, -1), drawn)

    return _write(step, params, carry, begin, choose, length, end)


def _write(
    step: Step,
    params: Params,
    carry: Any,
    begin: Array,
    choose: Callable[[Array, Array], Array],
    length: int,
    end: int | None,
) -> Array:
    """Symbol by symbol until every sequence of the batch has ended."""
    positive(length=length)

    def advance(state):
        t, carry, symbol, done, written = state
        carry, logits = step(params, carry, symbol)
        symbol = choose(logits.astype(jnp.float32), t).astype(jnp.int32)
        written = written.at[t].set(jnp.where(done, IGNORE, symbol))
        return t + 1, carry, symbol, done if end is None else done | (symbol == end), written

    def unfinished(state):
        t, _, _, done, _ = state
        return (t < length) & ~done.all()

    batch = begin.shape[0]
    done = jnp.zeros(batch, bool)
    written = jnp.full((length, batch), IGNORE, jnp.int32)
    start = (jnp.zeros((), jnp.int32), carry, begin.astype(jnp.int32), done, written)
    return jax.lax.while_loop(unfinished, advance, start)[-1].T


def log_probability(step: Step, params: Params, carry: Any, begin: Array, symbols: Array) -> Array:
    """``log P(y) = Σ_t log softmax(logits_t)[y_t]`` of given sequences.

    Args:
      step, params, carry, begin: as in `greedy`.
      symbols: (batch, length), -1 behind the end.

    Returns:
      (batch,) float32.
    """

    def advance(carry, symbols):
        before, symbol = symbols
        carry, logits = step(params, carry, jnp.maximum(before, 0))
        return carry, taken(logits, symbol)

    before = jnp.concatenate([begin[:, None].astype(symbols.dtype), symbols[:, :-1]], 1)
    return jax.lax.scan(advance, carry, (before.T, symbols.T))[1].sum(0)


def taken(logits: Array, symbols: Array) -> Array:
    """``log softmax(logits)[symbol]``, 0 where the symbol is -1.

    Args:
      logits: (..., symbols).
      symbols: (...) whole numbers.
    """
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
    found = jnp.take_along_axis(log_p, jnp.maximum(symbols, 0)[..., None], -1)[..., 0]
    return jnp.where(symbols == IGNORE, 0, found)


def own_inputs(
    step: Step, params: Params, carry: Any, inputs: Array, share: float | Array, key: PRNGKey
) -> Array:
    """Inputs of which a share are the network's own: what scheduled sampling trains on.

    At each position but the first the input is, with probability ``share``, a symbol drawn from what
    the network says after all inputs before, be they given or its own. No gradient passes through
    what is drawn, so training on the result by teacher forcing is scheduled sampling. With a share
    of 1 the network runs free, with 0 nothing changes.

    Args:
      step, params, carry: as in `greedy`.
      inputs: (batch, time) symbols that a step reads, as teacher forcing gives them.
      share: in [0, 1]; may be traced.
      key: one key, or one per example.

    Returns:
      (batch, time) symbols.

    Source: Bengio, Vinyals, Jaitly and Shazeer, 2015.
    """

    def advance(state, given):
        t, carry, own = state
        given = jnp.where(bernoulli(fold_in(key, 2 * t), share, own.shape) & (t > 0), own, given)
        carry, logits = step(params, carry, given)
        own = categorical(fold_in(key, 2 * t + 1), logits.astype(jnp.float32)).astype(inputs.dtype)
        return (t + 1, carry, own), given

    params, carry = jax.lax.stop_gradient((params, carry))
    start = (jnp.zeros((), jnp.int32), carry, inputs[:, 0])
    return jax.lax.scan(advance, start, inputs.T)[1].T


def beam_search(
    step: Step,
    params: Params,
    carry: Any,
    begin: Array,
    *,
    width: int,
    length: int,
    end: int,
    length_penalty: float | Array = 0.0,
) -> Beams:
    """The ``width`` best beginnings of sequences are carried on, at each step, for each of the batch.

    A sequence of n symbols, its end included, has the score ``log P(y) / n^length_penalty``. One that
    has ended keeps its place among the best as long as its score does. With a width that no
    beginning falls out of, the best beam is the most probable sequence.

    What of the carry is the same for all beams of a source (what a decoder reads of it) belongs into
    ``params``, with the batch first: then it is not copied for each beam.

    Args:
      step, params, carry, begin: as in `greedy`.
      width: how many beginnings are kept.
      length: the largest number of symbols; those that have not ended by then are cut.
      end: the symbol that ends a sequence.
      length_penalty: 0 or more; 0 for the log-probability, 1 for its mean over the symbols.

    Returns:
      `Beams`, best first.

    Raises:
      ValueError: for a width or length below 1.
    """
    positive(width=width, length=length)
    batch = begin.shape[0]
    penalty = jnp.asarray(length_penalty, jnp.float32)
    steps = jax.vmap(partial(step, params), in_axes=1, out_axes=1)

    def advance(state):
        t, carry, symbol, log_p, count, done, parents, written = state
        carry, logits = steps(carry, symbol)
        of_symbol = jax.nn.log_softmax(logits.astype(jnp.float32))
        symbols = of_symbol.shape[-1]
        # A sequence that has ended goes on in one way only, as it is.
        stay = jnp.where(jnp.arange(symbols) == 0, 0.0, -jnp.inf)
        total = log_p[:, :, None] + jnp.where(done[:, :, None], stay[None, None], of_symbol)
        counts = count + (~done).astype(jnp.int32)
        score = total / (counts.astype(jnp.float32) ** penalty)[:, :, None]
        score, best = jax.lax.top_k(score.reshape(batch, -1), width)
        parent, symbol = best // symbols, best % symbols
        log_p = jnp.take_along_axis(total.reshape(batch, -1), best, 1)
        ended = jnp.take_along_axis(done, parent, 1)
        count = jnp.take_along_axis(counts, parent, 1)
        carry = jax.tree.map(lambda a: jax.vmap(lambda rows, i: rows[i])(a, parent), carry)
        parents, written = parents.at[t].set(parent), written.at[t].set(jnp.where(ended, IGNORE, symbol))
        # No sequence is left at a place of probability 0.
        done = ended | (symbol == end) | jnp.isneginf(log_p)
        return t + 1, carry, symbol, log_p, count, done, parents, written

    def unfinished(state):
        return (state[0] < length) & ~state[5].all()

    first = jnp.where(jnp.arange(width) == 0, 0.0, -jnp.inf)
    places = jnp.broadcast_to(jnp.arange(width, dtype=jnp.int32)[None], (batch, width))
    start = (
        jnp.zeros((), jnp.int32),
        jax.tree.map(lambda a: jnp.broadcast_to(a[:, None], (batch, width, *a.shape[1:])), carry),
        jnp.broadcast_to(begin.astype(jnp.int32)[:, None], (batch, width)),
        jnp.broadcast_to(first[None], (batch, width)),
        jnp.zeros((batch, width), jnp.int32),
        jnp.broadcast_to(jnp.isneginf(first)[None], (batch, width)),
        jnp.broadcast_to(places[None], (length, batch, width)),
        jnp.full((length, batch, width), IGNORE, jnp.int32),
    )
    last = jax.lax.while_loop(unfinished, advance, start)
    log_p, count, (parents, written) = last[3], last[4], last[6:]

    # From the last step back along the parents.
    def back(place, step):
        parent, symbol = step
        return jnp.take_along_axis(parent, place, 1), jnp.take_along_axis(symbol, place, 1)

    _, symbols = jax.lax.scan(back, places, (parents, written), reverse=True)
    symbols = jnp.where(jnp.isneginf(log_p)[:, :, None], IGNORE, jnp.moveaxis(symbols, 0, 2))
    return Beams(symbols, log_p, log_p / jnp.maximum(count, 1).astype(jnp.float32) ** penalty)
