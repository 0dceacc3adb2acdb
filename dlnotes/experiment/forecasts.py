"""Forecasts of a series' rows, those after the last one too: several rows ahead at once, or step by step."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from dlnotes.config import ConfigError
from dlnotes.data import standardize
from dlnotes.data.dataset import Examples
from dlnotes.data.time_series.csv_series import read_windows, series_form
from dlnotes.data.time_series.series_table import SeriesForm, SeriesRows
from dlnotes.data.time_series.series_windows import Windows, relative_to
from dlnotes.experiment.answers import values_of
from dlnotes.experiment.evaluator import Evaluator
from dlnotes.experiment.members import failed_members
from dlnotes.experiment.result import Trained
from dlnotes.training.state import Member


class Forecasts(NamedTuple):
    """What follows some windows, in the targets' own units.

    Attributes:
      ahead: how many rows after the window's last each forecast is of.
      columns: ``(members, windows, ahead, targets)`` each: "value", and what the network tells beside it:
        quantiles ("q0.1"), "deviation".
    """

    ahead: tuple[int, ...]
    columns: dict[str, np.ndarray]

    @property
    def value(self) -> np.ndarray:
        """The forecasts themselves."""
        return self.columns["value"]


def forecast_windows(
    evaluator: Evaluator, members: Member, windows: Windows, series: list[SeriesRows], form: SeriesForm
) -> Forecasts:
    """What some members forecast after each window.

    Step by step, each answer takes the place of the row that is not there yet; columns known in advance are
    those of the file.

    Args:
      evaluator: of the members.
      members: trained ones.
      windows: of `dlnotes.data.time_series.csv_series.read_windows`, with at least one.
      series: likewise.
      form: likewise.
    """
    if not form.steps:
        columns = _answers(evaluator, members, windows.x)
        base = np.tile(windows.base[:, _places(form)], len(form.horizons))
        columns = {k: v if k == "deviation" else v + base for k, v in columns.items()}
        shape = (len(form.horizons), len(form.targets))
        return Forecasts(form.horizons, {k: v.reshape(*v.shape[:2], *shape) for k, v in columns.items()})
    each = [
        _step_by_step(evaluator, jax.tree.map(lambda a, m=m: a[m : m + 1], members), windows, series, form)
        for m in range(len(members.stopped_at))
    ]
    return Forecasts(tuple(range(1, form.steps + 1)), {"value": np.stack(each)})


def _answers(evaluator: Evaluator, members: Member, x: np.ndarray) -> dict[str, np.ndarray]:
    """``(members, n, outputs)`` of raw windows, in the targets' own units."""
    dataset = evaluator.setup.dataset
    examples = Examples(
        standardize.apply(dataset.standardize, x), np.zeros((len(x), dataset.outputs), np.float32)
    )
    outputs = evaluator.predict(members, examples)
    each = [values_of(evaluator.setup.group.config, dataset, one) for one in outputs]
    return {name: np.stack([one[name] for one in each]) for name in each[0]}


def _step_by_step(
    evaluator: Evaluator, member: Member, windows: Windows, series: list[SeriesRows], form: SeriesForm
) -> np.ndarray:
    """``(windows, steps, targets)`` of one member; NaN from where what is known in advance ends."""
    x, found = (
        relative_to(windows.x, -windows.base),
        np.full((len(windows.x), form.steps, len(form.targets)), np.nan),
    )
    seen, told = len(form.columns), len(form.told)
    place = [form.targets.index(name) for name in form.columns]
    for k in range(form.steps):
        base = x[:, -1, :seen] if form.relative else np.zeros_like(windows.base)
        value = _answers(evaluator, member, relative_to(x, base))["value"][0] + base[:, _places(form)]
        found[:, k] = value
        row = x[:, -1].copy()
        row[:, :seen] = value[:, place]
        if told:
            row[:, seen : seen + told] = _told(windows, series, k + 2, told)
        x = np.concatenate([x[:, 1:], row[:, None]], axis=1)
    if told:
        rows = np.array([len(series[i].told) for i in windows.which])
        k = np.arange(form.steps)[None, :] + 1
        found[windows.last[:, None] + k >= rows[:, None]] = np.nan
    return found


def _places(form: SeriesForm) -> list[int]:
    """Where each target is among the columns."""
    return [form.columns.index(name) for name in form.targets]


def _told(windows: Windows, series: list[SeriesRows], ahead: int, told: int) -> np.ndarray:
    """What is known of the row so far ahead of each window, that of the last known row where it ends."""
    found = np.zeros((len(windows.x), told))
    for i, one in enumerate(series):
        mine = windows.which == i
        found[mine] = one.told[np.minimum(windows.last[mine] + ahead, len(one.told) - 1)]
    return found


def is_forecast(trained: Trained, path: str | Path) -> bool:
    """Whether a file is a table whose series a run forecasts, and not arrays of windows."""
    return series_form(trained.dataset) is not None and Path(path).suffix.lower() not in (".npz", ".npy")


def write_forecasts(
    trained: Trained,
    one: Member,
    path: str | Path,
    target: Path,
    *,
    future: bool = False,
    over_seeds: bool = False,
    half: np.ndarray | None = None,
    share: float = 0.0,
) -> Path:
    """Write a row for each row that is forecast, from every window of a file.

    The columns are "row" ("line 12", or "2 after line 60" of a row that is not in the file), the time and the
    series where there are any, "ahead", "from" (the last row seen) and, named after the targets, the
    forecasts with what the network tells beside them ("load_q0.1", "load_deviation"). Over seeds
    the forecast is their mean, beside which are the least and the greatest one.

    Args:
      trained: the run.
      one: the member that forecasts, with its axis.
      path: a table like that of the training data.
      target: ``.csv`` or ``.npz``.
      future: only what is forecast from the last window of each series.
      over_seeds: forecast with every seed that did not fail.
      half, share: of an interval around each forecast ("load_low_80%"), see `forecast_table`.

    Raises:
      ConfigError: naming what does not fit.
    """
    try:
        windows, series, form = read_windows(path, trained.dataset)
        if future:
            windows = _last_windows(path, windows, series)
    except (ValueError, OSError) as error:
        raise ConfigError(str(path), [str(error)]) from None
    members = good_seeds(trained, least=2) if over_seeds else one
    found = forecast_windows(trained.evaluator, members, windows, series, form)
    columns = forecast_table(found, windows, series, form, over_seeds=over_seeds, half=half, share=share)
    if jax.process_index() > 0:  # the first of several processes writes
        return target
    if target.suffix == ".npz":
        np.savez(target, allow_pickle=False, **columns)
        return target
    with open(target, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(map(str, values) for values in columns.values())))
    return target


def _last_windows(path: str | Path, windows: Windows, series: list[SeriesRows]) -> Windows:
    """The last window of each series.

    Raises:
      ValueError: naming the series that have none.
    """
    places = [np.flatnonzero(windows.which == i) for i in range(len(series))]
    none = [one.name for one, rows in zip(series, places) if not rows.size]
    if none:
        raise ValueError(f"{path}: series {none[0]!r} has no window, its rows are too few")
    rows = [each[-1] for each in places]
    return Windows(*(a[rows] for a in windows))


def forecast_table(
    found: Forecasts,
    windows: Windows,
    series: list[SeriesRows],
    form: SeriesForm,
    *,
    over_seeds: bool = False,
    half: np.ndarray | None = None,
    share: float = 0.0,
) -> dict[str, np.ndarray]:
    """The columns of `write_forecasts`, ``(rows,)`` each.

    ``half`` are ``(ahead, targets)`` half the widths of the intervals of a ``share``.
    """
    n, s = len(windows.x), len(found.ahead)
    which, last = np.repeat(windows.which, s), np.repeat(windows.last, s)
    ahead = np.tile(np.array(found.ahead), n)
    pairs = list(zip(which, last + ahead))
    columns: dict[str, Any] = {"row": [series[i].label(j) for i, j in pairs]}
    if form.time:
        columns[form.time] = [series[i].time(j, form.form) for i, j in pairs]
    if form.series:
        columns[form.series] = [series[i].name for i in which]
    columns |= {"ahead": ahead, "from": [series[i].label(j) for i, j in zip(which, last)]}
    for t, name in enumerate(form.targets):
        for column, each in found.columns.items():
            own = f"{name}_{column}" if column != "value" else name
            values = each[..., t].reshape(len(each), -1)
            columns[own] = values.mean(axis=0)
            if over_seeds and column == "value":
                columns[f"{name}_least_of_{len(values)}_seeds"] = values.min(axis=0)
                columns[f"{name}_greatest_of_{len(values)}_seeds"] = values.max(axis=0)
        if half is not None:
            middle, wide = found.value[..., t].mean(axis=0), half[:, t]
            columns[f"{name}_low_{100 * share:g}%"] = (middle - wide).ravel()
            columns[f"{name}_high_{100 * share:g}%"] = (middle + wide).ravel()
    known = np.isfinite(found.value).all(axis=(0, 3)).ravel()
    return {name: np.array(values)[known] for name, values in columns.items()}


def good_seeds(trained: Trained, least: int = 1) -> Member:
    """The chosen point's members that did not fail.

    Raises:
      ConfigError: when there are fewer than ``least``.
    """
    members = jax.tree.map(lambda a: a[trained.chosen.members], trained.state.members)
    good = ~failed_members(members)
    if (n := int(good.sum())) < least:
        found = f"{n} good seed{'s' * (n != 1)}"
        told = f"over_seeds: got a run with {found}, at least {least} needed (training.seeds)"
        raise ConfigError(str(trained.folder.path), [told])
    return jax.tree.map(lambda a: a[good], members)


def after_the_last(path: str | Path, target: Path) -> str:
    """What a table of forecasts says of the rows that are not in the file yet, in a line; "" if nothing."""
    if target.suffix != ".csv":
        return ""
    with open(target, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    place = header.index("from")
    beyond = [row for row in rows if " after " in row[0]]
    if not beyond:
        return f"{path}: nothing is forecast after its last row: what must be known in advance ends there"
    named = header[1 : place - 1]
    ends = [", ".join(row[1 : 1 + len(named)]) or row[0] for row in (beyond[0], beyond[-1])]
    return f"{len(beyond)} of {len(rows)} rows are after the last one of the file: {ends[0]} to {ends[1]}"
