"""What stands in a gap of a sequence, for any distribution over whole sequences.

A recurrent net gives the probability of a whole sequence at once, but not that of its middle given what
is before *and behind*: that needs the sum over all ways to fill the gap. At small size it is done exactly,
at larger size by Gibbs sampling, which needs probabilities of whole sequences only.

Source: the notes on recurrent networks as directed graphical models.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.checks import positive
from dlnotes.typing import Array, PRNGKey

LogP = Callable[[Array], Array]
"""``log_p(sequences) -> (n,)`` of ``(n, time)`` symbols; up to a constant."""

MOST_FILLINGS = 2**20


def exact_fillings(
    log_p: LogP, sequence: Array, gap: tuple[int, ...], symbols: int
) -> tuple[np.ndarray, Array]:
    """All ways to fill a gap, with the probability of each given the rest of the sequence.

    Args:
      log_p: log-probability of whole sequences.
      sequence: (time,) symbols; what it holds in the gap is not used.
      gap: the positions that are missing.
      symbols: how many different ones there are.

    Returns:
      ``(symbols^gap, gap)`` fillings and their probabilities, which sum to 1.

    Raises:
      ValueError: for positions outside the sequence, or too many fillings to be enumerated.

    Example:
      >>> import jax.numpy as jnp
      >>> fillings, p = exact_fillings(lambda y: -y.sum(1).astype(jnp.float32), jnp.zeros(3, int), (1,), 2)
      >>> [round(float(v), 3) for v in p]
      [0.731, 0.269]
    """
    _checked(sequence, gap, symbols)
    if symbols ** len(gap) > MOST_FILLINGS:
        raise ValueError(f"gap: got {symbols}^{len(gap)} fillings, allowed are {MOST_FILLINGS}: sample them")
    fillings = np.array(list(product(range(symbols), repeat=len(gap))), np.int32)
    whole = jnp.broadcast_to(sequence[None], (len(fillings), *sequence.shape))
    return fillings, jax.nn.softmax(log_p(whole.at[:, jnp.array(gap)].set(fillings)))


def sampled_fillings(
    log_p: LogP,
    key: PRNGKey,
    sequence: Array,
    gap: tuple[int, ...],
    symbols: int,
    *,
    chains: int = 64,
    sweeps: int = 20,
) -> Array:
    """Fillings of a gap by Gibbs sampling: each position in turn, given all the others.

    ``y_i ~ P(y_i | y_{-i}) ∝ P(y)``: a draw needs the probabilities of ``symbols`` whole sequences.

    Args:
      log_p, sequence, gap, symbols: as in `exact_fillings`.
      key: one key.
      chains: independent ones, each from a random filling.
      sweeps: how often each position is drawn anew.

    Returns:
      (chains, gap) the last state of each chain.

    Raises:
      ValueError: for positions outside the sequence or sizes below 1.
    """
    _checked(sequence, gap, symbols)
    positive(chains=chains, sweeps=sweeps)
    places = jnp.array(gap, jnp.int32)
    key, first = jax.random.split(key)
    start = jnp.broadcast_to(sequence[None], (chains, *sequence.shape)).astype(jnp.int32)
    start = start.at[:, places].set(jax.random.randint(first, (chains, len(gap)), 0, symbols))
    every = jnp.arange(symbols, dtype=jnp.int32)

    def draw(state, turn):
        place, key = turn
        tried = jnp.repeat(state[:, None], symbols, 1).at[:, :, place].set(every[None])
        scores = log_p(tried.reshape(-1, state.shape[1])).reshape(chains, symbols)
        return state.at[:, place].set(jax.random.categorical(key, scores).astype(jnp.int32)), None

    turns = jnp.tile(places, sweeps)
    state, _ = jax.lax.scan(draw, start, (turns, jax.random.split(key, len(gap) * sweeps)))
    return state[:, places]


def _checked(sequence: Array, gap: tuple[int, ...], symbols: int) -> None:
    positive(symbols=symbols)
    n = sequence.shape[0]
    if not gap or len(set(gap)) < len(gap) or not all(0 <= i < n for i in gap):
        raise ValueError(f"gap: got {gap}, allowed are different positions of 0..{n - 1}")
