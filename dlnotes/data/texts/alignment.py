"""Two sequences of symbols aligned: which symbols of the target each symbol of the source stands for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dlnotes.checks import positive

Chunk = tuple[str, ...]


class Alignment(NamedTuple):
    """What `align_pairs` finds.

    Attributes:
      chunks: of each pair one chunk of target symbols for each source symbol; in order they are the target.
        ``None`` where the target is too long for the source, or the source is empty.
      log_likelihood: mean over the pairs that can be aligned, nats, before each iteration and after the last.
    """

    chunks: list[tuple[Chunk, ...] | None]
    log_likelihood: list[float]


def align_pairs(
    sources: Sequence[Sequence[str]],
    targets: Sequence[Sequence[str]],
    *,
    most: int = 2,
    iterations: int = 10,
) -> Alignment:
    """Each source symbol with the target symbols that it stands for, such as letters with their phonemes.

    A target is the chunks of its source's symbols one after another, each of up to ``most`` symbols and drawn
    from ``P(chunk | symbol)``. Which chunks they are is not known: the table is found by expectation and
    maximization, ``P(c | a) ∝ E[N(a, c)]``, with the sums over all alignments by the forward-backward
    recursion; it starts with all chunks that are possible somewhere alike. Then the most probable alignment
    of each pair is taken.

    Args:
      sources: sequences of symbols.
      targets: of the same number.
      most: the longest chunk.
      iterations: of expectation and maximization; the likelihood never falls.

    Raises:
      ValueError: when targets and sources differ in number, none can be aligned, or a number is below 1.

    Source: Dempster, Laird and Rubin, 1977; Jiampojamarn, Kondrak and Sherif, 2007 (letters and phonemes).

    Example:
      >>> found = align_pairs(["ab", "b", "ax"], [["A", "B"], ["B"], ["A", "K", "S"]])
      >>> found.chunks[2]
      (('A',), ('K', 'S'))
    """
    positive(most=most, iterations=iterations)
    if len(sources) != len(targets):
        raise ValueError(f"targets: got {len(targets)} for {len(sources)} sources, allowed is one for each")
    able = [i for i, (s, t) in enumerate(zip(sources, targets)) if len(s) and len(t) <= most * len(s)]
    if not able:
        raise ValueError("sources, targets: got no pair that can be aligned, needed is one")
    pairs = _Pairs.of([sources[i] for i in able], [targets[i] for i in able], most)
    table = np.full(pairs.shape, 1 / pairs.shape[1])
    history = []
    for _ in range(iterations):
        log_p, counts = pairs.expected(table)
        history.append(log_p)
        table = counts / np.maximum(counts.sum(1, keepdims=True), 1e-300)
    history.append(pairs.expected(table)[0])
    found: list[tuple[Chunk, ...] | None] = [None] * len(sources)
    for i, lengths in zip(able, pairs.best(table)):
        ends = np.cumsum(lengths)
        found[i] = tuple(tuple(targets[i][end - n : end]) for end, n in zip(ends, lengths))
    return Alignment(found, history)


class _Pairs(NamedTuple):
    """Padded pairs.

    Attributes:
      letters: (pairs, longest source) symbol numbers, -1 behind the end.
      chunks: (most + 1, pairs, longest target + 1) number of the chunk of so many symbols from each place on,
        -1 where the target ends before it does.
      ends: (pairs, 2) lengths of source and target.
      shape: numbers of symbols and chunks.
    """

    letters: np.ndarray
    chunks: np.ndarray
    ends: np.ndarray
    shape: tuple[int, int]

    @staticmethod
    def of(sources: list[Sequence[str]], targets: list[Sequence[str]], most: int) -> _Pairs:
        symbols = {a: i for i, a in enumerate(sorted({a for s in sources for a in s}))}
        known: dict[Chunk, int] = {}
        ends = np.array([[len(s), len(t)] for s, t in zip(sources, targets)])
        letters = np.full((len(sources), ends[:, 0].max()), -1)
        chunks = np.full((most + 1, len(sources), ends[:, 1].max() + 1), -1)
        for n, (s, t) in enumerate(zip(sources, targets)):
            letters[n, : len(s)] = [symbols[a] for a in s]
            for k in range(most + 1):
                for j in range(len(t) - k + 1):
                    chunks[k, n, j] = known.setdefault(tuple(t[j : j + k]), len(known))
        return _Pairs(letters, chunks, ends, (len(symbols), len(known)))

    def steps(self, table: np.ndarray, i: int) -> np.ndarray:
        """``P(chunk | letter i)`` of the chunk of k symbols from each place on, 0 where there is none."""
        p = table[np.maximum(self.letters[:, i], 0)[None, :, None], np.maximum(self.chunks, 0)]
        return np.where((self.chunks >= 0) & (self.letters[:, i] >= 0)[None, :, None], p, 0.0)

    def expected(self, table: np.ndarray) -> tuple[float, np.ndarray]:
        """Mean log-likelihood, and the expected number of each chunk for each symbol."""
        n, longest = self.letters.shape
        places = self.chunks.shape[2]
        ahead = np.zeros((longest + 1, n, places))
        ahead[0, :, 0] = 1
        scale = np.zeros(n)
        for i in range(longest):
            p, new = self.steps(table, i), np.zeros((n, places))
            for k in range(len(p)):
                new[:, k:] += ahead[i, :, : places - k] * p[k, :, : places - k]
            over = self.letters[:, i] < 0
            # Scaled, for the chance of a long word's alignment may be below what a float holds.
            total = np.where(over, 1.0, new.sum(1))
            scale += np.log(total)
            ahead[i + 1] = np.where(over[:, None], ahead[i], new / total[:, None])
        rows = np.arange(n)
        likelihood = ahead[longest, rows, self.ends[:, 1]]
        counts = np.zeros(self.shape)
        back = np.zeros((n, places))
        back[rows, self.ends[:, 1]] = 1
        for i in reversed(range(longest)):
            p = self.steps(table, i)
            flow = [p[k, :, : places - k] * back[:, k:] for k in range(len(p))]
            weights = [ahead[i, :, : places - k] * f for k, f in enumerate(flow)]
            # Of each pair the chances of all (place, chunk) for this letter, which add up to 1.
            over = self.letters[:, i] < 0
            total = np.where(over, 1.0, np.sum([w.sum(1) for w in weights], 0))
            before = np.zeros((n, places))
            for k, (f, w) in enumerate(zip(flow, weights)):
                before[:, : places - k] += f
                pair, place = np.nonzero(w)
                there = self.letters[pair, i], self.chunks[k, pair, place]
                np.add.at(counts, there, w[pair, place] / total[pair])
            back = np.where(over[:, None], back, before / np.where(over, 1.0, before.max(1))[:, None])
        return float(np.mean(scale + np.log(likelihood))), counts

    def best(self, table: np.ndarray) -> list[np.ndarray]:
        """Lengths of the chunks of each pair's most probable alignment."""
        n, longest = self.letters.shape
        places = self.chunks.shape[2]
        score = np.full((n, places), -np.inf)
        score[:, 0] = 0
        chosen = np.zeros((longest, n, places), np.int8)
        for i in range(longest):
            p = self.steps(table, i)
            options = np.full((len(p), n, places), -np.inf)
            with np.errstate(divide="ignore"):
                for k in range(len(p)):
                    options[k, :, k:] = score[:, : places - k] + np.log(p[k, :, : places - k])
            over = (self.letters[:, i] < 0)[:, None]
            chosen[i] = np.where(over, 0, options.argmax(0))
            score = np.where(over, score, options.max(0))
        lengths = np.zeros((n, longest), np.int64)
        place = self.ends[:, 1].copy()
        for i in reversed(range(longest)):
            lengths[:, i] = chosen[i, np.arange(n), place]
            place -= lengths[:, i]
        return [row[:end] for row, end in zip(lengths, self.ends[:, 0])]
