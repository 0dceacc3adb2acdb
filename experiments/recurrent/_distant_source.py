"""A source of symbols with a dependence on the distant past, whose entropy rate is known exactly.

Two keys, four letters, a mark and two answers. A key comes rarely, letters mean nothing, and after a mark
comes an answer: that of the last key, or, one time in twenty, the other. The next symbol's distribution
depends on the last key and on whether a mark was just written, and both are functions of the past.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import entropy

KEYS, LETTERS = 2, 4
MARK = KEYS + LETTERS
ANSWER = MARK + 1
SYMBOLS = ANSWER + KEYS
KEY_RATE, MARK_RATE, WRONG = 0.02, 0.1, 0.05
"""Chances of a key and of a mark at a step that follows no mark, and of the other key's answer."""
AFTER_OTHERS = np.array(
    [KEY_RATE / KEYS] * KEYS + [(1 - KEY_RATE - MARK_RATE) / LETTERS] * LETTERS + [MARK_RATE] + [0.0] * KEYS
)
"""Distribution of a symbol that does not follow a mark."""


def entropy_rate() -> float:
    """Bits a symbol: the mean entropy of the next symbol, marks being ``r / (1 + r)`` of all symbols."""
    marks = MARK_RATE / (1 + MARK_RATE)
    return float((1 - marks) * entropy(AFTER_OTHERS, base=2) + marks * entropy([WRONG, 1 - WRONG], base=2))


def text(n: int, rng: np.random.Generator) -> np.ndarray:
    """``(n,)`` symbols, a key first."""
    plain = rng.choice(SYMBOLS, n, p=AFTER_OTHERS)
    wrong = rng.random(n) < WRONG
    found, key = plain.copy(), 0
    found[0] = rng.integers(KEYS)
    for i in range(n):
        if i and found[i - 1] == MARK:
            found[i] = ANSWER + (1 - key if wrong[i] else key)
        elif found[i] < KEYS:
            key = int(found[i])
    return found.astype(np.int32)


def last_keys(symbols: np.ndarray) -> np.ndarray:
    """``(n,)`` the last key before each symbol; of the first symbol itself."""
    place = np.maximum.accumulate(np.where(symbols < KEYS, np.arange(len(symbols)), 0))
    return symbols[np.concatenate([[0], place[:-1]])]


def exact_bits(symbols: np.ndarray) -> np.ndarray:
    """``−log₂ P`` of each symbol of a text but the first, (n − 1,)."""
    after_mark = symbols[:-1] == MARK
    right = symbols[1:] - ANSWER == last_keys(symbols)[1:]
    answer = np.where(right, 1 - WRONG, WRONG)
    return -np.log2(np.where(after_mark, answer, AFTER_OTHERS[symbols[1:]] + after_mark))
