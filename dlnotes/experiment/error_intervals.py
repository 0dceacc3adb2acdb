"""Intervals around forecasts from the errors on the validation part, whatever the network learned.

Source: split conformal prediction, Vovk et al., 2005; Lei et al., 2018.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from dlnotes.config import ConfigError
from dlnotes.experiment.forecasts import good_seeds
from dlnotes.experiment.result import Trained
from dlnotes.experiment.rolling_origin import roll
from dlnotes.training.state import Member


class ErrorIntervals(NamedTuple):
    """How far the truth was from forecasts of the validation part.

    Attributes:
      share: of the truth that the interval is to hold.
      half: ``(ahead, targets)`` half its width, in the targets' own units.
      errors: the fewest errors that one of them comes from.
      held: the share of the test part that lies within, ``None`` without one.
    """

    share: float
    half: np.ndarray
    errors: int
    held: float | None

    def in_words(self) -> str:
        """What the interval is, in a line."""
        held = "" if self.held is None else f"; of the test part it held {100 * self.held:.1f}%"
        return (
            f"interval: {100 * self.share:g}% by the errors on the validation part ({self.errors} of each "
            f"distance){held}"
        )


def half_width(errors: np.ndarray, share: float) -> float:
    """The ``⌈(n + 1) share⌉``-th smallest absolute error: of exchangeable ones the next lies below so often.

    Raises:
      ValueError: when there are too few errors for the share.

    >>> half_width(np.array([0.3, -0.1, 0.2, -0.4]), 0.8)
    0.4
    """
    rank = math.ceil(round((len(errors) + 1) * share, 9))
    if rank > len(errors):
        least = math.ceil(round(share / (1 - share), 9))
        raise ValueError(
            f"interval: got {share:g}, {len(errors)} errors of the validation part are too few, at least "
            f"{least} are needed (data.validation)"
        )
    return float(np.sort(np.abs(errors))[rank - 1])


def error_intervals(trained: Trained, one: Member | None, share: float) -> ErrorIntervals:
    """The intervals of a run's forecasts.

    Args:
      trained: the run.
      one: the member that forecasts, with its axis; ``None`` takes the mean of all that did not fail.
      share: of the truth that is to lie within, between 0 and 1.

    Raises:
      ConfigError: when there is no validation part, it is too small, or the data are gone.
    """
    name, dataset = str(trained.folder.path), trained.dataset
    if not 0 < share < 1:
        raise ConfigError(name, [f"interval: got {share:g}, allowed is a share between 0 and 1, such as 0.8"])
    if dataset.missing or dataset.validation is None:
        why = f"the data are not at hand, {dataset.missing}" if dataset.missing else "there is none"
        raise ConfigError(name, [f"interval: comes from the errors on the validation part: {why}"])
    members = good_seeds(trained) if one is None else one
    path = next(iter(dataset.sources))
    try:
        errors = _errors(trained, members, path, "validation")
        half = np.array([[half_width(e[np.isfinite(e)], share) for e in each.T] for each in errors])
        held = None
        if dataset.test is not None:
            tested = _errors(trained, members, path, "test")
            known = np.isfinite(tested)
            held = float((np.abs(tested) <= half[:, None])[known].mean())
    except (ValueError, OSError) as error:
        raise ConfigError(name, [str(error)]) from None
    fewest = int(np.isfinite(errors).sum(axis=1).min())
    return ErrorIntervals(share, half, fewest, held)


def _errors(trained: Trained, members: Member, path: str, split: str) -> np.ndarray:
    """``(ahead, origins, targets)`` errors of the members' mean, NaN where the truth is not known."""
    rolled = roll(trained.evaluator, members, path, split=split, config=trained.config)
    return np.moveaxis(rolled.found.value.mean(axis=0) - rolled.truth, 0, 1)
