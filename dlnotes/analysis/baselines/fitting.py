"""Baselines fitted one after the other; one that cannot be is named with the reason, and the others go on."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np

from dlnotes.analysis.baselines.baseline import QUICK, Baseline, Effort, Fitting, drawn, numbers_in
from dlnotes.data.dataset import Dataset, Examples

SMALL = 5_000_000
"""Numbers up to which one thread does all: several would wait for each other, on a busy machine very long."""


class Answered(NamedTuple):
    """What a baseline gives.

    Attributes:
      name: of the baseline.
      about: what it does.
      outputs: of the examples in the form of the network's, ``None`` where there are none.
      why: the reason then, else empty.
      seconds: that it took.
    """

    name: str
    about: str
    outputs: np.ndarray | None
    why: str
    seconds: float


def answers(
    baselines: Sequence[Baseline],
    dataset: Dataset,
    examples: Examples,
    *,
    train: Examples | None = None,
    effort: Effort = QUICK,
    seed: int = 0,
) -> tuple[list[Answered], int]:
    """Fit each baseline on the training part and let it answer.

    Args:
      baselines: see `dlnotes.analysis.baselines.baselines_of`.
      dataset: what they are fitted on.
      examples: that they answer.
      train: another training part than the data set's.
      effort: that is allowed: of a larger training part some rows are drawn.
      seed: of what is drawn; the same seed gives the same answers.

    Returns:
      What each gives, and how many training examples were used.

    Example:
      >>> from dlnotes import data
      >>> from dlnotes.analysis.baselines import answers, baselines_of
      >>> wine = data.load("tabular", name="wine")
      >>> found, rows = answers(baselines_of(wine), wine, wine.split("test"))
      >>> [(a.name, a.outputs.shape) for a in found][0], rows
      (('most frequent class', (36, 3)), 124)
    """
    used = drawn(dataset.train if train is None else train, effort, seed)
    held = dataset.validation
    if held is not None:
        held = drawn(held, effort, seed + 1)
    given = Fitting(dataset, used, held, seed)
    found: list[Answered] = []
    stopped, began = "", time.perf_counter()
    for baseline in baselines:
        if time.perf_counter() - began > effort.seconds:
            stopped = stopped or f"the {effort.seconds:.0f} seconds for all of them were over"
        if stopped:
            found.append(Answered(baseline.name, baseline.about, None, stopped, 0.0))
            continue
        started, about, outputs, why = time.perf_counter(), baseline.about, None, ""
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"), _threads(used):
                warnings.simplefilter("ignore")  # of convergence: a baseline is as good as it is
                answer = baseline.fit(given)
                outputs = np.asarray(answer(examples))
                about = getattr(answer, "about", about)
            if not np.isfinite(outputs).all():
                outputs, why = None, "its answers are not finite"
        except KeyboardInterrupt:
            why = stopped = "interrupted"
        except Exception as error:  # what a run has trained is worth more than what it is compared with
            why = f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)
        found.append(Answered(baseline.name, about, outputs, why, time.perf_counter() - started))
    return found, used.size


def _threads(used: Examples) -> AbstractContextManager[Any]:
    """One thread of OpenMP and of linear algebra for small data."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1) if numbers_in(used) <= SMALL else nullcontext()
