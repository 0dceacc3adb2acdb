"""Forecasts from every row of a part of a series, one after another: the error by how far ahead it looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dlnotes.config import Config
from dlnotes.data.dataset import Dataset
from dlnotes.data.time_series.csv_series import read_windows
from dlnotes.data.time_series.series_table import SeriesForm, SeriesRows
from dlnotes.data.time_series.series_windows import Windows, split_windows
from dlnotes.experiment.evaluator import Evaluator
from dlnotes.experiment.forecasts import Forecasts, forecast_windows
from dlnotes.training.state import Member

PARTS = ("train", "validation", "test")


class Rolled(NamedTuple):
    """Forecasts from many origins, and what came true.

    Attributes:
      found: by some members.
      truth: ``(origins, ahead, targets)`` in the targets' own units, NaN where the part ends before.
      form: of the series.
    """

    found: Forecasts
    truth: np.ndarray
    form: SeriesForm


def roll(
    evaluator: Evaluator, members: Member, path: str | Path, *, split: str | None, config: Config
) -> Rolled:
    """What some members forecast from each origin of a file, the network being trained once.

    Args:
      evaluator: of the members.
      members: trained ones.
      path: the table.
      split: the part whose windows begin and whose rows are forecast; ``None`` takes the whole file.
      config: of the run, for how it is cut.

    Raises:
      ValueError: when the file does not fit.
    """
    dataset: Dataset = evaluator.setup.dataset
    windows, series, form = read_windows(path, dataset)
    ends = np.array([len(one.values) for one in series])
    if split is not None:
        held: Any = config.data
        parts = split_windows(
            str(path),
            windows,
            series,
            form,
            dataset.inputs[0],
            validation=held.validation,
            test=held.test,
        )
        chosen = parts[PARTS.index(split)]
        if not chosen.size:
            raise ValueError(f"split: {dataset.name} has no {split!r} part")
        windows = Windows(*(a[chosen] for a in windows))
        for i in range(len(series)):
            last = windows.last[windows.which == i]
            ends[i] = min(ends[i], last.max() + form.horizons[-1] + 1) if last.size else 0
    found = forecast_windows(evaluator, members, windows, series, form)
    return Rolled(found, truth_of(windows, series, form, found.ahead, ends), form)


def truth_of(
    windows: Windows, series: list[SeriesRows], form: SeriesForm, ahead: tuple[int, ...], ends: np.ndarray
) -> np.ndarray:
    """``(windows, ahead, targets)``: the rows after each window, NaN from a series' end (or a gap) on."""
    columns = [form.columns.index(name) for name in form.targets]
    truth = np.full((len(windows.x), len(ahead), len(columns)), np.nan)
    for i, one in enumerate(series):
        mine = np.flatnonzero(windows.which == i)
        values = np.where(one.observed, one.values, np.nan)[:, columns]
        for k, h in enumerate(ahead):
            rows = windows.last[mine] + h
            there = rows < ends[i]
            there[there] &= one.part[rows[there]] == one.part[windows.last[mine[there]]]
            truth[mine[there], k] = values[rows[there]]
    return truth


def errors_ahead(rolled: Rolled, levels: tuple[float, ...] = ()) -> list[dict[str, Any]]:
    """A record for each target and distance.

    Args:
      rolled: forecasts and truth.
      levels: of the quantiles that the network learned.

    Returns:
      Records of "target", "ahead", "origins" (how many have a truth), "absolute_error",
      "root_mean_squared_error" and, of quantiles, "interval_coverage", each ``(members,)``; of two and more
      members "seeds_coverage", the share of the truth between their least and their greatest forecast.
    """
    records = []
    for t, target in enumerate(rolled.form.targets):
        for k, ahead in enumerate(rolled.found.ahead):
            truth, value = rolled.truth[:, k, t], rolled.found.value[:, :, k, t]
            known = np.isfinite(truth) & np.isfinite(value).all(axis=0)
            truth, value = truth[known], value[:, known]
            record = {"target": target, "ahead": ahead, "origins": int(known.sum())}
            if not known.any():
                continue
            error = value - truth
            record["absolute_error"] = np.abs(error).mean(axis=1)
            record["root_mean_squared_error"] = np.sqrt(np.square(error).mean(axis=1))
            if len(levels) > 1:
                low, high = (_quantile(rolled.found, level)[:, :, k, t][:, known] for level in _ends(levels))
                record["interval_coverage"] = ((low <= truth) & (truth <= high)).mean(axis=1)
            if len(value) > 1:
                inside = (value.min(axis=0) <= truth) & (truth <= value.max(axis=0))
                record["seeds_coverage"] = inside.mean(keepdims=True)
            records.append(record)
    return records


def _ends(levels: tuple[float, ...]) -> tuple[float, float]:
    return levels[0], levels[-1]


def _quantile(found: Forecasts, level: float) -> np.ndarray:
    return found.columns["value" if level == 0.5 else f"q{level:g}"]
