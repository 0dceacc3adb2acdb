"""The classic tasks of long-term dependencies: what decides the answer lies far back in the sequence.

Each task is a function ``draw_…(rng, n, …)`` of plain arrays, and a source of the same name, a `Dataset`
of freshly drawn examples. Lengths are one number, or drawn from a range of them: sequences are then padded
behind, with a mask. Examples are drawn independently, so two parts can only share one where few different
ones exist (parity of ten bits has 1,024).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from dlnotes.data.assemble import assemble, consecutive, length_mask
from dlnotes.data.dataset import Dataset, InputKind, Task


class Drawn(NamedTuple):
    """Examples of a task.

    Attributes:
      x: ``(n, time, features)`` float32, or ``(n, time)`` int32 symbols; 0 behind the end of a sequence.
      y: ``(n,)`` or ``(n, time)`` int32 classes, -1 behind the end, or ``(n, 1)`` float32 numbers.
      mask: ``(n, time)`` booleans, True where a position is real.
    """

    x: np.ndarray
    y: np.ndarray
    mask: np.ndarray


def _lengths(rng: np.random.Generator, n: int, low: int, high: int, *, least: int, what: str = "length"):
    """``(n,)`` whole numbers, uniform in ``low..high``."""
    if not least <= low <= high:
        raise ValueError(
            f"min_{what}, max_{what}: got {low}, {high}, allowed is {least} <= min_{what} <= max_{what}"
        )
    return rng.integers(low, high + 1, n)


def _between(rng: np.random.Generator, low: Any, high: Any) -> np.ndarray:
    """A whole number from ``low`` to ``high`` of each row, both included, at least ``low``."""
    return rng.integers(low, np.maximum(low, high) + 1)


def draw_adding(
    rng: np.random.Generator,
    n: int,
    *,
    min_length: int,
    max_length: int,
    form: Literal["original", "halves"] = "original",
) -> Drawn:
    """Two of many numbers are marked: their sum is asked for.

    Features are a value and a marker. ``original``: values ``U(-1, 1)``; the marker is 1 at two places,
    one of the first ten and one before the middle, 0 elsewhere, and -1 at the first and the last position,
    whose values do not count (a marked first position counts as 0); the target is
    ``0.5 + (X₁ + X₂)/4``, in [0, 1]. ``halves``: values ``U(0, 1)``, one mark in each half, the target is
    ``X₁ + X₂``; answering 1 always has a mean squared error of 1/6.

    Args:
      rng: numpy's generator.
      n: number of sequences.
      min_length, max_length: of a sequence; the original draws from T to 1.1 T.
      form: which definition.

    Source: Hochreiter and Schmidhuber, 1997, experiment 4; Arjovsky et al., 2016 (halves).

    >>> drawn = draw_adding(np.random.default_rng(0), 5, min_length=8, max_length=8, form="halves")
    >>> marked = (drawn.x[..., 0] * drawn.x[..., 1]).sum(1, keepdims=True)
    >>> bool(np.allclose(marked, drawn.y))
    True
    """
    if form not in ("original", "halves"):
        raise ValueError(f"form: got {form!r}, allowed are original, halves")
    lengths = _lengths(rng, n, min_length, max_length, least=4)
    mask, rows = length_mask(lengths, max_length), np.arange(n)
    x = np.zeros((n, max_length, 2), np.float32)
    if form == "halves":
        values = rng.uniform(0, 1, (n, max_length))
        first, second = rng.integers(0, lengths // 2), rng.integers(lengths // 2, lengths)
        x[rows, first, 1] = x[rows, second, 1] = 1
        y = values[rows, first] + values[rows, second]
    else:
        values = rng.uniform(-1, 1, (n, max_length))
        first = rng.integers(0, np.minimum(10, lengths // 2))
        second = _between(rng, 0, lengths // 2 - 2)  # one of the others before the middle
        second = np.where(second >= first, second + 1, second)
        x[rows, first, 1] = x[rows, second, 1] = 1
        counted = np.where(np.arange(max_length) == 0, 0, values)
        y = 0.5 + (counted[rows, first] + counted[rows, second]) / 4
        x[rows, 0, 1] = x[rows, lengths - 1, 1] = -1
    x[..., 0] = np.where(mask, values, 0)
    return Drawn(x, y[:, None].astype(np.float32), mask)


def draw_copy_memory(
    rng: np.random.Generator, n: int, *, min_delay: int, max_delay: int, items: int = 10, symbols: int = 8
) -> Drawn:
    """Repeat some symbols after a long delay.

    The input of ``T + 2·items`` positions: the items, uniform among ``symbols``; T − 1 blanks; a
    delimiter; blanks. The target: blank ``T + items`` times, then the items. Symbols are 0 blank,
    1 … ``symbols``, then the delimiter. A net without memory has at best a cross-entropy of
    ``items·ln(symbols) / (T + 2·items)``.

    Args:
      rng: numpy's generator.
      n: number of sequences.
      min_delay, max_delay: T of a sequence, 1 or more.
      items: how many symbols are to be repeated.
      symbols: how many different ones.

    Source: Hochreiter and Schmidhuber, 1997; in this form Arjovsky et al., 2016.

    >>> drawn = draw_copy_memory(np.random.default_rng(0), 1, min_delay=3, max_delay=3, items=2, symbols=4)
    >>> drawn.x.tolist(), drawn.y.tolist()
    ([[4, 3, 0, 0, 5, 0, 0]], [[0, 0, 0, 0, 0, 4, 3]])
    """
    if items < 1:
        raise ValueError(f"items: got {items}, allowed is at least 1")
    if symbols < 2:
        raise ValueError(f"symbols: got {symbols}, allowed is at least 2")
    delays = _lengths(rng, n, min_delay, max_delay, least=1, what="delay")
    lengths, longest = delays + 2 * items, max_delay + 2 * items
    mask, rows = length_mask(lengths, longest), np.arange(n)
    drawn = rng.integers(1, symbols + 1, (n, items))
    x = np.zeros((n, longest), np.int32)
    x[:, :items] = drawn
    x[rows, items + delays - 1] = symbols + 1
    y = np.where(mask, 0, -1).astype(np.int32)
    y[rows[:, None], (lengths - items)[:, None] + np.arange(items)] = drawn
    return Drawn(x, y, mask)


TEMPORAL_SYMBOLS = ("E", "B", "a", "b", "c", "d", "X", "Y")
_RELEVANT = {2: ((0.1, 0.2), (0.5, 0.6)), 3: ((0.1, 0.2), (0.33, 0.43), (0.66, 0.76))}


def draw_temporal_order(
    rng: np.random.Generator, n: int, *, min_length: int, max_length: int, relevant: Literal[2, 3] = 2
) -> Drawn:
    """In which order did X and Y come, far apart in a string of other letters?

    A string begins with E, ends with B, and holds letters drawn from a, b, c, d but for two (or three)
    places, each X or Y: one at 10-20% of the length and one at 50-60% (three: 10-20, 33-43, 66-76%),
    as in the original where lengths are 100 … 110. The class is the number whose binary digits they are,
    X = 0, Y = 1, the first one the highest.

    Args:
      rng: numpy's generator.
      n: number of strings.
      min_length, max_length: of a string.
      relevant: how many letters decide: 2 (four classes) or 3 (eight).

    Source: Hochreiter and Schmidhuber, 1997, experiments 6a and 6b.
    """
    if relevant not in _RELEVANT:
        raise ValueError(f"relevant: got {relevant}, allowed are 2, 3")
    lengths = _lengths(rng, n, min_length, max_length, least=10)
    mask, rows = length_mask(lengths, max_length), np.arange(n)
    x = np.where(mask, rng.integers(2, 6, (n, max_length)), 0).astype(np.int32)
    y = np.zeros(n, np.int32)
    for low, high in _RELEVANT[relevant]:
        place = _between(rng, np.floor(low * lengths).astype(int), np.floor(high * lengths).astype(int))
        bit = rng.integers(0, 2, n)
        x[rows, place] = 6 + bit
        y = 2 * y + bit.astype(np.int32)
    x[:, 0] = 0
    x[rows, lengths - 1] = 1
    return Drawn(x, y, mask)


def draw_latch(
    rng: np.random.Generator,
    n: int,
    *,
    min_length: int,
    max_length: int,
    informative: int = 3,
    noise: float = 0.2,
) -> Drawn:
    """One bit at the beginning, then noise: which was it?

    ``x_t = ±1 + noise·ε_t`` for the first ``informative`` steps, + for class 1, and
    ``x_t = noise·ε_t`` afterwards, ``ε_t ~ N(0, 1)``.

    Args:
      rng: numpy's generator.
      n: number of sequences, half of each class.
      min_length, max_length: of a sequence.
      informative: steps that tell the class.
      noise: deviation of the noise.

    Source: Bengio, Simard and Frasconi, 1994, the minimal task; Hochreiter and Schmidhuber, 1997,
    experiment 3b (whose noise this is).
    """
    if informative < 1:
        raise ValueError(f"informative: got {informative}, allowed is at least 1 step")
    if noise < 0:
        raise ValueError(f"noise: got {noise}, allowed is 0 or more")
    lengths = _lengths(rng, n, min_length, max_length, least=informative)
    mask = length_mask(lengths, max_length)
    y = rng.permutation(np.arange(n) % 2).astype(np.int32)
    x = noise * rng.standard_normal((n, max_length))
    x[:, :informative] += 2 * y[:, None] - 1
    return Drawn(np.where(mask, x, 0)[..., None].astype(np.float32), y, mask)


def draw_parity(rng: np.random.Generator, n: int, *, min_length: int, max_length: int) -> Drawn:
    """Is the number of ones odd? Every bit decides.

    Args:
      rng: numpy's generator.
      n: number of strings of bits, each bit fair.
      min_length, max_length: of a string.

    Source: Bengio, Simard and Frasconi, 1994, the parity problem.

    >>> drawn = draw_parity(np.random.default_rng(0), 4, min_length=2, max_length=5)
    >>> bool((drawn.x.sum(1) % 2 == drawn.y).all())
    True
    """
    lengths = _lengths(rng, n, min_length, max_length, least=1)
    mask = length_mask(lengths, max_length)
    x = np.where(mask, rng.integers(0, 2, (n, max_length)), 0).astype(np.int32)
    return Drawn(x, (x.sum(axis=1) % 2).astype(np.int32), mask)


def _dataset(
    name: str,
    draw: Callable[[np.random.Generator, int], Drawn],
    sizes: tuple[int, int, int],
    seed: int,
    *,
    input: InputKind,
    task: Task,
    classes: tuple[str, ...] = (),
    symbols: tuple[str, ...] = (),
    features: tuple[str, ...] = (),
) -> Dataset:
    if sizes[0] < 1 or min(sizes) < 0:
        raise ValueError(
            f"n_train, n_validation, n_test: got {', '.join(map(str, sizes))}, "
            "at least 1 training example is needed and none may be negative"
        )
    drawn = draw(np.random.default_rng(seed), sum(sizes))
    return assemble(
        name,
        drawn.x,
        drawn.y,
        consecutive(*sizes),
        input=input,
        task=task,
        outputs=len(classes) or 1,
        mask=drawn.mask,
        classes=classes,
        symbols=symbols,
        features=features,
    )


def adding(
    *,
    min_length: int = 100,
    max_length: int = 110,
    form: Literal["original", "halves"] = "original",
    n_train: int = 20_000,
    n_validation: int = 1000,
    n_test: int = 2560,
    seed: int = 0,
) -> Dataset:
    """The adding problem (see `draw_adding`): input "sequence" of a value and a marker, task "regression".

    Published: at most 1 of 2560 test sequences with an error above 0.04 (original form).
    """
    return _dataset(
        "adding",
        partial(draw_adding, min_length=min_length, max_length=max_length, form=form),
        (n_train, n_validation, n_test),
        seed,
        input="sequence",
        task="regression",
        features=("value", "marker"),
    )


def copy_memory(
    *,
    min_delay: int = 30,
    max_delay: int = 30,
    items: int = 10,
    symbols: int = 8,
    n_train: int = 20_000,
    n_validation: int = 1000,
    n_test: int = 1000,
    seed: int = 0,
) -> Dataset:
    """The copying memory task (see `draw_copy_memory`): input and task "tokens", an answer at each step."""
    names = ("<blank>", *(str(i) for i in range(1, symbols + 1)))
    return _dataset(
        "copy_memory",
        partial(draw_copy_memory, min_delay=min_delay, max_delay=max_delay, items=items, symbols=symbols),
        (n_train, n_validation, n_test),
        seed,
        input="tokens",
        task="tokens",
        classes=names,
        symbols=(*names, "<copy>"),
    )


def temporal_order(
    *,
    min_length: int = 100,
    max_length: int = 110,
    relevant: Literal[2, 3] = 2,
    n_train: int = 20_000,
    n_validation: int = 1000,
    n_test: int = 2560,
    seed: int = 0,
) -> Dataset:
    """The temporal order task (see `draw_temporal_order`): input "tokens", classes such as "XY"."""
    count = 2 ** int(relevant)
    classes = tuple(format(i, f"0{relevant}b").replace("0", "X").replace("1", "Y") for i in range(count))
    return _dataset(
        "temporal_order",
        partial(draw_temporal_order, min_length=min_length, max_length=max_length, relevant=relevant),
        (n_train, n_validation, n_test),
        seed,
        input="tokens",
        task="classification",
        classes=classes,
        symbols=TEMPORAL_SYMBOLS,
    )


def latch(
    *,
    min_length: int = 20,
    max_length: int = 40,
    informative: int = 3,
    noise: float = 0.2,
    n_train: int = 5000,
    n_validation: int = 500,
    n_test: int = 1000,
    seed: int = 0,
) -> Dataset:
    """A bit to be latched (see `draw_latch`): input "sequence" of one feature, two classes."""
    return _dataset(
        "latch",
        partial(
            draw_latch, min_length=min_length, max_length=max_length, informative=informative, noise=noise
        ),
        (n_train, n_validation, n_test),
        seed,
        input="sequence",
        task="classification",
        classes=("negative", "positive"),
        features=("value",),
    )


def parity(
    *,
    min_length: int = 10,
    max_length: int = 20,
    n_train: int = 10_000,
    n_validation: int = 500,
    n_test: int = 1000,
    seed: int = 0,
) -> Dataset:
    """The parity of a string of bits (see `draw_parity`): input "tokens", two classes."""
    return _dataset(
        "parity",
        partial(draw_parity, min_length=min_length, max_length=max_length),
        (n_train, n_validation, n_test),
        seed,
        input="tokens",
        task="classification",
        classes=("even", "odd"),
        symbols=("0", "1"),
    )
