"""What a language model of characters is compared with: n-grams and a general compressor."""

from __future__ import annotations

import lzma

import numpy as np


def ngram_bits(train: np.ndarray, test: np.ndarray, *, order: int, symbols: int) -> np.ndarray:
    """Bits per symbol of interpolated n-grams with Witten-Bell weights, for every order up to ``order``.

    ``P_k(c|h) = (N(hc) + T(h)·P_{k−1}(c|h'))/(N(h) + T(h))``, ``P_0 = 1/symbols``: N counts in the training
    text, T(h) is the number of different symbols seen after h, h' is h without its first symbol. Where h is
    not in the training text, or reaches before the test text, ``P_k = P_{k−1}``.

    Args:
      train: ``(n,)`` symbol numbers of the training text.
      test: ``(m,)`` symbol numbers, of which all but the first are predicted.
      order: the longest n-gram; ``symbols**order`` must be below 2⁶³.
      symbols: how many different symbols there are.

    Returns:
      ``(order,)`` mean of ``−log₂ P_k`` over the test text, for k = 1 … order.

    Raises:
      ValueError: when the order is out of range or a text too short.

    Source: Witten and Bell, 1991; Chen and Goodman, 1999, section 2.4.

    >>> ngram_bits(np.array([0, 1, 0, 1]), np.array([0, 1]), order=1, symbols=2).tolist()  # (2 + 2/2)/(4 + 2)
    [1.0]
    """
    if order < 1 or symbols**order >= 2**63:
        raise ValueError(f"order: got {order} for {symbols} symbols, allowed is 1 to symbols**order < 2**63")
    if len(train) < order or len(test) < 2:
        raise ValueError(
            f"train, test: got {len(train)}, {len(test)} symbols, allowed are {order}, 2 or more"
        )
    train, test = np.asarray(train, np.int64), np.asarray(test, np.int64)
    p = np.full(len(test), 1 / symbols)
    bits = []
    for k in range(1, order + 1):
        # Sorted keys of n-grams, the last symbol the lowest digit, so that their contexts are sorted too.
        grams, counts = np.unique(_keys(train, k, symbols), return_counts=True)
        contexts, first = np.unique(grams // symbols, return_index=True)
        seen, kinds = np.add.reduceat(counts, first), np.diff([*first, len(grams)])
        asked = _keys(test, k, symbols)
        n_gram = _looked_up(grams, counts, asked)
        n, t = (_looked_up(contexts, values, asked // symbols) for values in (seen, kinds))
        below = p[k - 1 :]
        p[k - 1 :] = np.where(n > 0, (n_gram + t * below) / np.maximum(n + t, 1), below)
        bits.append(-np.log2(p[1:]).mean())
    return np.array(bits)


def _keys(codes: np.ndarray, k: int, symbols: int) -> np.ndarray:
    """One number for the k symbols that end at each position from the k-th on."""
    keys = np.zeros(len(codes) - k + 1, np.int64)
    for j in range(k):
        keys = keys * symbols + codes[j : len(codes) - k + 1 + j]
    return keys


def _looked_up(keys: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[place] == asked, values[place], 0)


def xz_bits(train: str, test: str) -> tuple[float, float]:
    """Bits per character of ``xz -9`` (UTF-8): of the test text alone, and of what it adds to the training
    text before it."""

    def size(text: str) -> int:
        return 8 * len(lzma.compress(text.encode(), preset=9))

    return size(test) / len(test), (size(train + test) - size(train)) / len(test)
