"""English number words to digits, a small translation task for encoder-decoders.

Conventions, shared by every "pair" data set:

- source symbols: index 0 is ``<pad>``, then the characters; the mask ``(n, S)`` says which are real;
- output symbols (``classes``): index 0 is ``<end>``, then the digits;
- ``y`` is ``(n, T)``: the digits, ``<end>``, then -1 where there is nothing to predict;
- ``x.target`` is ``y`` shifted right by one: it begins with the *begin* symbol, whose index is
  ``len(classes)`` and which is never predicted. A decoder's input table therefore has
  ``outputs + 1`` rows. Behind ``<end>`` it holds 0, which no loss sees.
"""

from __future__ import annotations

import numpy as np

from dlnotes.data.assemble import assemble, consecutive, length_mask, pad
from dlnotes.data.dataset import Dataset, Pair

_TEENS = (
    "ten",
    "eleven",
    "twelve",
    *(f"{t}teen" for t in ("thir", "four", "fif", "six", "seven", "eigh", "nine")),
)
_ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", *_TEENS)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_GROUPS = ("", " thousand", " million", " billion")
LARGEST = 10 ** (3 * len(_GROUPS)) - 1
SYMBOLS = ("<pad>", " ", "-", *sorted(set("".join([*_ONES, *_TENS, *_GROUPS, "hundred"])) - {" "}))
CLASSES = ("<end>", *"0123456789")


def number_to_words(number: int) -> str:
    """A whole number in American English words (no "and"), hyphens from twenty-one to ninety-nine.

    Args:
      number: 0 to 999,999,999,999.

    Raises:
      ValueError: outside this range.

    >>> number_to_words(42305)
    'forty-two thousand three hundred five'
    """
    if not 0 <= number <= LARGEST:
        raise ValueError(f"number: got {number}, allowed is 0..{LARGEST}")
    if number == 0:
        return _ONES[0]
    groups = []
    for name in _GROUPS:
        number, rest = divmod(number, 1000)
        if rest:
            groups.append(_below_thousand(rest) + name)
    return " ".join(reversed(groups))


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    words = [f"{_ONES[hundreds]} hundred"] if hundreds else []
    if 0 < rest < 20:
        words.append(_ONES[rest])
    elif rest:
        tens, ones = divmod(rest, 10)
        words.append(_TENS[tens - 2] + (f"-{_ONES[ones]}" if ones else ""))
    return " ".join(words)


def shift_right(y: np.ndarray, begin: int) -> np.ndarray:
    """``(n, T)`` decoder inputs for targets ``y``: the begin symbol, then ``y`` but for its last column.

    Positions without a target (-1) become 0.
    """
    target = np.concatenate([np.full((len(y), 1), begin, y.dtype), y[:, :-1]], axis=1)
    return np.where(target < 0, 0, target).astype(np.int32)


def number_words(
    *,
    maximum: int = 9999,
    n_train: int = 4000,
    n_validation: int = 500,
    n_test: int = 500,
    seed: int = 0,
) -> Dataset:
    """Characters of a number in English words → its decimal digits.

    All numbers are different, so the test part holds numbers never seen. Input "pair", task
    "tokens"; the module's docstring has the conventions.

    Args:
      maximum: numbers are drawn from 0..maximum without replacement.
      n_train: number of training examples.
      n_validation: of validation examples, may be 0.
      n_test: of test examples, may be 0.
      seed: decides which numbers.

    Raises:
      ValueError: when there are fewer numbers than examples.
    """
    if not 0 <= maximum <= LARGEST:
        raise ValueError(f"maximum: got {maximum}, allowed is 0..{LARGEST}")
    if n_train < 1 or n_validation < 0 or n_test < 0:
        raise ValueError(
            f"n_train, n_validation, n_test: got {n_train}, {n_validation}, {n_test}, "
            "at least 1 training example is needed and none may be negative"
        )
    n = n_train + n_validation + n_test
    if n > maximum + 1:
        raise ValueError(f"n_train, n_validation, n_test: got {n} examples of {maximum + 1} numbers")
    rng = np.random.default_rng(seed)
    numbers = rng.choice(maximum + 1, size=n, replace=False).tolist()
    index = {symbol: i for i, symbol in enumerate(SYMBOLS)}
    words = [[index[c] for c in number_to_words(number)] for number in numbers]
    digits = [[1 + int(c) for c in str(number)] + [0] for number in numbers]
    source, y = pad(words), pad(digits, value=-1)
    return assemble(
        "number_words",
        Pair(source, shift_right(y, len(CLASSES))),
        y,
        consecutive(n_train, n_validation, n_test),
        input="pair",
        task="tokens",
        outputs=len(CLASSES),
        mask=length_mask([len(w) for w in words], source.shape[1]),
        classes=CLASSES,
        symbols=SYMBOLS,
    )
