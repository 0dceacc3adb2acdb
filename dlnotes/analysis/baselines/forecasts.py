"""Forecasts that need no training, or a least-squares fit: persistence, seasons, linear autoregression."""

from __future__ import annotations

import numpy as np

from dlnotes.analysis.baselines.baseline import Answer, Baseline, Fitting
from dlnotes.data.dataset import Dataset, Examples, Standardize


def persistence() -> Baseline:
    """The last value seen."""

    def fit(given: Fitting) -> Answer:
        own = _TargetColumns(given.dataset)
        return lambda examples: own.at(examples, own.window(examples) - 1)

    return Baseline("persistence", "the last value seen", fit)


def seasonal_persistence() -> Baseline:
    """The value one season before the one that is forecast.

    The season is the distance within the window whose values were nearest to those forecast in the training
    part, by mean absolute error, among the distances from which on the error no longer only grows.
    """

    def fit(given: Fitting) -> Answer:
        own = _TargetColumns(given.dataset)
        window = own.window(given.train)
        y = np.asarray(given.train.y, np.float64)
        errors = [float(np.abs(own.at(given.train, place) - y).mean()) for place in reversed(range(window))]
        falls = next((back for back in range(2, window) if errors[back] < errors[back - 1]), None)
        if falls is None:
            raise ValueError(f"no season shows in windows of {window}")
        best = window - 1 - (falls + int(np.argmin(errors[falls:])))
        return OneRow(own, window, best)

    return Baseline("seasonal persistence", "the value one season before", fit)


def autoregression(*, all_columns: bool = False) -> Baseline:
    """Least squares of the targets on the values of the window and a constant.

    Args:
      all_columns: whether the columns that are no targets are used too.
    """

    def fit(given: Fitting) -> Answer:
        own = _TargetColumns(given.dataset)

        def inputs(examples: Examples) -> np.ndarray:
            x = np.asarray(examples.x, np.float64)
            x = x if all_columns else x[:, :, own.distinct]
            return np.concatenate([x.reshape(len(x), -1), np.ones((len(x), 1))], axis=1)

        a, y = inputs(given.train), np.asarray(given.train.y, np.float64)
        if len(a) <= a.shape[1]:
            raise ValueError(f"{len(a)} training windows for {a.shape[1]} coefficients")
        weights = np.linalg.lstsq(a, y, rcond=None)[0]
        return lambda examples: (inputs(examples) @ weights).astype(np.float32)

    if all_columns:
        return Baseline("linear, all columns", "least squares on all columns of the window", fit)
    return Baseline("linear autoregression", "least squares on the window of the targets' own columns", fit)


class OneRow:
    """Answers with one row of the window.

    Attributes:
      season: how many rows before the forecast it is.
      about: the same in words.
    """

    def __init__(self, own: _TargetColumns, window: int, place: int):
        self._own, self._place = own, place
        self.season = window - 1 - place + own.horizon
        self.about = f"the value {self.season} rows before, a distance chosen on the training part"

    def __call__(self, examples: Examples) -> np.ndarray:
        return self._own.at(examples, self._place)


class _TargetColumns:
    """Values of the target columns in a window, in the units of the targets."""

    def __init__(self, dataset: Dataset):
        if dataset.forecast is None:
            raise ValueError("the data set forecasts no columns of its own")
        names = dataset.forecast.targets
        self.columns = [dataset.features.index(name) for name in names]
        self.distinct = sorted(set(self.columns))
        self.horizon = dataset.forecast.horizon
        nothing = Standardize(np.zeros(1), np.ones(1))
        of_x, of_y = dataset.standardize, dataset.standardize_y or nothing
        of_x = nothing if of_x is None else Standardize(of_x.mean[self.columns], of_x.scale[self.columns])
        self.of_x, self.of_y = of_x, of_y

    @staticmethod
    def window(examples: Examples) -> int:
        """Rows of a window."""
        return examples.x.shape[1]

    def at(self, examples: Examples, place: int) -> np.ndarray:
        """``(n, targets)`` the values of one row of each window."""
        seen = np.asarray(examples.x[:, place], np.float64)[:, self.columns]
        return np.asarray(self.of_y(self.of_x.inverse(seen)), np.float32)
