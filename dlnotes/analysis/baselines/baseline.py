"""What a baseline is: a method that is fitted on the training part and answers like a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dlnotes.data.assemble import take
from dlnotes.data.dataset import Dataset, Examples

Answer = Callable[[Examples], Any]
"""Outputs of examples in the form of the network's: float32 log-probabilities ``(n, ..., classes)``, values
``(n, outputs)`` in the units of ``y``; of pairs classes ``(n, length)``, -1 behind the end."""

LEAST = 1e-6
"""The least probability that a class is given: no method may be certain of what it has not seen."""


class Fitting(NamedTuple):
    """What a baseline is fitted on.

    Attributes:
      dataset: its shapes and names; its training part is not looked at.
      train: the examples of the training part that are used.
      validation: those that a penalty is chosen on, ``None`` where there are none.
      seed: of all that is drawn.
    """

    dataset: Dataset
    train: Examples
    validation: Examples | None
    seed: int


class Baseline(NamedTuple):
    """A boring method.

    Attributes:
      name: "extra trees", say.
      about: what it does, in a few words.
      fit: makes its `Answer`. Raises ValueError with the reason where it cannot be fitted.
    """

    name: str
    about: str
    fit: Callable[[Fitting], Answer]


class Effort(NamedTuple):
    """How much work a baseline may be.

    Attributes:
      numbers: of the inputs that it is fitted on; of a larger training part so many rows are drawn.
      rows: most rows that it is fitted on.
      seconds: after which no further one is begun.
    """

    numbers: int
    rows: int
    seconds: float


QUICK = Effort(4_000_000, 10_000, 60.0)
"""After a run: some seconds."""

WHOLE = Effort(50_000_000, 100_000, 3600.0)
"""Where it is asked for: minutes at most."""


def rows_of(examples: Examples, rows: np.ndarray) -> Examples:
    """Some of the examples."""
    mask = None if examples.mask is None else np.asarray(examples.mask[rows])
    return Examples(take(examples.x, rows), np.asarray(examples.y[rows]), mask)


def drawn(examples: Examples, effort: Effort, seed: int) -> Examples:
    """Rows drawn without replacement, in their order, as many as the effort allows; all where they are few.

    Args:
      examples: of a part.
      effort: that is allowed.
      seed: of the draw.
    """
    rows = drawn_rows(examples, effort, seed)
    return examples if rows is None else rows_of(examples, rows)


def drawn_rows(examples: Examples, effort: Effort, seed: int) -> np.ndarray | None:
    """The numbers of the rows that `drawn` draws, ``None`` where it takes all."""
    n = examples.size
    most = max(1, min(effort.rows, effort.numbers * n // max(1, numbers_in(examples))))
    return None if n <= most else np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def numbers_in(examples: Examples) -> int:
    """How many numbers the inputs of examples are."""
    leaves = examples.x if isinstance(examples.x, tuple) else (examples.x,)
    return sum(int(np.prod(leaf.shape)) for leaf in leaves)


def log_p(probability: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities, none below `LEAST`, float32."""
    return np.log(np.maximum(probability, LEAST)).astype(np.float32)


def over_classes(probability: np.ndarray, known: np.ndarray, classes: int) -> np.ndarray:
    """``(n, classes)`` logarithms from the probabilities of the classes that were in the training part."""
    whole = np.zeros((len(probability), classes))
    whole[:, np.asarray(known, np.int64)] = probability
    return log_p(whole)
