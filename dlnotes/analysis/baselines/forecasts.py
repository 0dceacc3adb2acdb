"""Forecasts that need no training, or a least-squares fit: persistence, seasons, linear autoregression."""

from __future__ import annotations

import numpy as np

from dlnotes.analysis.baselines.baseline import Answer, Baseline, Fitting
from dlnotes.data.dataset import Dataset, Examples, Standardize
from dlnotes.data.own_files import reading_of


def persistence() -> Baseline:
    """The last value seen."""

    def fit(given: Fitting) -> Answer:
        return Rows(_TargetColumns(given.dataset), given.dataset.inputs[0], 1, "the last value seen")

    return Baseline("persistence", "the last value seen", fit)


def seasonal_persistence() -> Baseline:
    """The value a whole number of seasons before the one that is forecast, the last that is known.

    The season, in rows, is the distance whose values were nearest to those forecast in the training part, by
    mean absolute error, among the distances from which on the error no longer only grows.
    """

    def fit(given: Fitting) -> Answer:
        own, window = _TargetColumns(given.dataset), given.dataset.inputs[0]
        y, errors = np.asarray(given.train.y, np.float64), {}
        for season in range(1, window + min(own.horizons)):
            rows = Rows(own, window, season)
            if min(rows.places) >= 0:
                errors[season] = float(np.abs(rows(given.train) - y).mean())
        falls = next((p for p in errors if p - 1 in errors and errors[p] < errors[p - 1]), None)
        if falls is None:
            raise ValueError(f"no season shows in windows of {window}")
        best = min((p for p in errors if p >= falls), key=errors.__getitem__)
        return Rows(own, window, best, f"the value {best} rows before, a season found in the training part")

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


class Rows:
    """Answers with rows of the window: those a whole number of seasons before what is forecast.

    Attributes:
      season: in rows; of 1 it is the last row.
      places: the row of the window that each target is taken from.
      about: the same in words.
    """

    def __init__(self, own: _TargetColumns, window: int, season: int, about: str = ""):
        self._own, self.season, self.about = own, season, about
        self.places = [window - 1 + h - season * -(-h // season) for h in own.horizons]

    def __call__(self, examples: Examples) -> np.ndarray:
        return self._own.at(examples, self.places)


class _TargetColumns:
    """Values of the target columns in a window, in the units of the targets."""

    def __init__(self, dataset: Dataset):
        if dataset.forecast is None:
            raise ValueError("the data set forecasts no columns of its own")
        steps = reading_of(dataset).get("scaling")
        if steps and (steps["log"] is not None or steps["each"] != "no"):
            raise ValueError("[scaling] leaves no values of the targets in a window")
        named = [_column(name, dataset) for name in dataset.forecast.targets]
        self.columns = [column for column, _ in named]
        self.horizons = [horizon for _, horizon in named]
        self.distinct = sorted(set(self.columns))
        nothing = Standardize(np.zeros(1), np.ones(1))
        of_x, of_y = dataset.standardize, dataset.standardize_y or nothing
        of_x = nothing if of_x is None else Standardize(of_x.mean[self.columns], of_x.scale[self.columns])
        self.of_x, self.of_y = of_x, of_y

    def at(self, examples: Examples, places: list[int]) -> np.ndarray:
        """``(n, targets)`` the value of each target's column in its row of the window."""
        seen = np.asarray(examples.x, np.float64)[:, places, self.columns]
        return np.asarray(self.of_y(self.of_x.inverse(seen)), np.float32)


def _column(name: str, dataset: Dataset) -> tuple[int, int]:
    """The number of a target's column, and how many rows ahead it is: "load", or of several "load+3"."""
    assert dataset.forecast is not None
    if name in dataset.features:
        return dataset.features.index(name), dataset.forecast.horizon
    column, plus, ahead = name.rpartition("+")
    if not plus or column not in dataset.features or not ahead.isdigit():
        raise ValueError(f"the column {name!r} is not in the window")
    return dataset.features.index(column), int(ahead)
