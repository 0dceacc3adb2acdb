"""Figures of a forecaster: history, forecast and interval; and the error by how far ahead it looks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from dlnotes.data.dataset import Dataset
from dlnotes.data.time_series.csv_series import read_windows, series_form
from dlnotes.data.time_series.series_table import SeriesRows
from dlnotes.data.time_series.series_windows import Windows
from dlnotes.experiment.figures.common import Draw, good_members, shown_point, styled
from dlnotes.experiment.forecasts import Forecasts, forecast_windows
from dlnotes.experiment.rolling_origin import errors_ahead, roll
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.plotting import BLUE, GRAY, ORANGE, new_figure, save, set_title, write_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dlnotes.experiment.evaluator import Evaluator
    from dlnotes.experiment.result import Result

MOST_PANELS = 4
"""Series and targets that are drawn."""

MOST_SEEDS = 16
"""Seeds that forecast for a figure."""


def fitting(dataset: Dataset) -> list[tuple[str, Draw]]:
    """The figures of a series of a table, by name."""
    form = series_form(dataset)
    if form is None or not dataset.sources:
        return []
    several = form.steps > 1 or len(form.horizons) > 1
    told: list[tuple[str, Draw]] = [("forecast", forecast)]
    if several and dataset.test is not None:
        told.append(("forecast_errors", forecast_errors))
    return told


def _members(result: Result) -> tuple[int, Any, int]:
    """Group, members and number of the seeds that forecast."""
    _, g, _, _ = shown_point(result)
    chosen = good_members(result)[:MOST_SEEDS]
    return g, jax.tree.map(lambda a: a[chosen], result.states[g].members), len(chosen)


def _origins(windows: Windows, series: list[SeriesRows], reach: int) -> dict[int, list[int]]:
    """Of each series that is shown, a window whose forecasts have come true, and the last one."""
    found = {}
    for i, one in enumerate(series):
        mine = np.flatnonzero(windows.which == i)
        if mine.size:
            before = mine[windows.last[mine] + reach < len(one.values)]
            found[i] = [int(before[-1])] * bool(before.size) + [int(mine[-1])]
    return found


@styled
def forecast(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """The end of each series, what follows it, and what was said of the last rows that are known."""
    windows, series, form = read_windows(next(iter(result.dataset.sources)), result.dataset)
    g, members, seeds = _members(result)
    shown = _origins(windows, series, form.reach)
    most = max(1, MOST_PANELS // len(form.targets))
    shown = dict(list(shown.items())[:most])
    rows = np.array([w for each in shown.values() for w in each])
    found = forecast_windows(evaluators[g], members, Windows(*(a[rows] for a in windows)), series, form)
    place = {int(w): j for j, w in enumerate(rows)}
    targets = form.targets[:MOST_PANELS]
    count = len(shown) * len(targets)
    figure = new_figure(9.5, 2.6 * count + 0.6)
    panels = figure.subplots(count, 1, squeeze=False)[:, 0]
    table, levels = [], result.config.training.quantiles
    dense = np.ptp(found.ahead) == len(found.ahead) - 1  # else nothing is said of the rows between
    dated = bool(form.time) and form.form != "number" and form.step is not None
    for p, (i, t) in enumerate((i, t) for i in shown for t in range(len(targets))):
        axes, one = panels[p], series[i]
        column = form.columns.index(targets[t])
        n = len(one.values)
        first = max(0, n - max(3 * form.reach, 2 * result.dataset.inputs[0], 30))
        history = np.where(one.observed[first:, column], one.values[first:, column], np.nan)
        axes.plot(_at(one, np.arange(first, n), form.time, dated), history, color=GRAY, label="known")
        for r, y in zip(range(first, n), history):
            table.append((one.name, targets[t], "known", one.label(r), one.time(r, form.form), y, "", ""))
        for w in shown[i]:
            last = int(windows.last[w])
            future = w == shown[i][-1]
            x = last + np.array(found.ahead)
            value, low, high, told = _lines(found, place[w], t, levels, seeds)
            good = np.isfinite(value)
            x, value, low, high = x[good], value[good], low[good], high[good]
            # What follows the last row is not in the file: without dates it is counted on.
            where = _at(one, x, form.time, dated)
            color, name = (ORANGE, "forecast") if future else (BLUE, f"forecast from {one.label(last)}")
            label = told if future else ""
            if told and dense:
                axes.fill_between(where, low, high, color=color, alpha=0.2, linewidth=0, label=label)
            elif told:
                axes.vlines(where, low, high, color=color, alpha=0.35, linewidth=4, label=label)
            axes.plot(where, value, "o-" if dense else "o", color=color, label=name, markersize=3)
            kind = "forecast" if future else f"forecast from {one.label(last)}"
            for r, v, lo, hi in zip(x, value, low, high):
                ends = (lo, hi) if told else ("", "")
                table.append((one.name, targets[t], kind, one.label(r), one.time(r, form.form), v, *ends))
        axes.set_ylabel(f"{targets[t]}, {one.name}" if one.name else targets[t])
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8)
    panels[-1].set_xlabel(form.time or "row")
    if dated:
        figure.autofmt_xdate(rotation=0, ha="center")
    told = _coverage_in_words(result, levels, seeds)
    more = len(series) * len(form.targets) - count
    left = f"\n{more} more series and targets are not shown" if more > 0 else ""
    set_title(
        figure, f"{result.config.name}: forecast of {form.reach} row{'s' * (form.reach > 1)}{told}{left}"
    )
    header = ["series", "target", "what", "row", "time", "value", "low", "high"]
    return [
        save(figure, kept.figures / "forecast.png"),
        write_table(kept.figures / "forecast.csv", header, table),
    ]


def _at(one: SeriesRows, rows: np.ndarray, time: str, dated: bool) -> np.ndarray:
    """Where rows are drawn: at their dates, at their numbers, or counted from 1."""
    if not time or (len(rows) and rows.max() >= len(one.times)):
        return rows + 1
    times = one.times[rows]
    return times.astype(np.int64).astype("datetime64[s]") if dated else times


def _lines(found: Forecasts, w: int, t: int, levels: tuple[float, ...], seeds: int) -> tuple[Any, ...]:
    """The forecast from a window, mean over seeds, the ends of its interval, and what the interval is."""
    value = found.value[:, w, :, t]
    mean = value.mean(axis=0)
    if len(levels) > 1:
        low, high = (found.columns["value" if q == 0.5 else f"q{q:g}"][:, w, :, t].mean(axis=0) for q in
                     (levels[0], levels[-1]))  # fmt: skip
        return mean, low, high, f"quantiles {levels[0]:g} to {levels[-1]:g}"
    if "deviation" in found.columns:
        spread = found.columns["deviation"][:, w, :, t]
        spread = np.sqrt(np.square(spread).mean(axis=0) + value.var(axis=0))
        return mean, mean - spread, mean + spread, "± the network's standard deviation"
    if seeds > 1:
        return (
            mean,
            value.min(axis=0),
            value.max(axis=0),
            f"least to greatest of {seeds} seeds (not of the future)",
        )
    return mean, mean, mean, ""


def _coverage_in_words(result: Result, levels: tuple[float, ...], seeds: int) -> str:
    position, _, _, _ = shown_point(result)
    metrics = result.summary["points"][position]["metrics"].get("test", {})
    measured = metrics.get("interval_coverage", {}).get("mean")
    of = f", mean of {seeds} seeds" if seeds > 1 else ""
    if measured is None or len(levels) < 2:
        return of
    return (
        f"{of}\nthe interval promises {100 * (levels[-1] - levels[0]):.0f}% and held {100 * measured:.0f}% "
        "of the test part"
    )


@styled
def forecast_errors(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """The error on the test part by how many rows ahead, from every origin; each target a line."""
    g, members, seeds = _members(result)
    path = next(iter(result.dataset.sources))
    rolled = roll(evaluators[g], members, path, split="test", config=result.config)
    records = errors_ahead(rolled, result.config.training.quantiles)
    figure = new_figure(6.4, 3.8)
    axes: Axes = figure.subplots()
    for target in rolled.form.targets[:8]:
        mine = [r for r in records if r["target"] == target]
        each = np.array([r["absolute_error"] for r in mine])
        x = [r["ahead"] for r in mine]
        (line,) = axes.plot(x, each.mean(axis=1), "o-", label=target)
        if seeds > 1:
            axes.fill_between(
                x, each.min(axis=1), each.max(axis=1), color=line.get_color(), alpha=0.2, linewidth=0
            )
    axes.set(xlabel="rows ahead", ylabel="absolute error, test part")
    axes.set_ylim(bottom=0)
    axes.legend(loc="best")
    most = max(r["origins"] for r in records)
    of = f", mean and range of {seeds} seeds" if seeds > 1 else ""
    set_title(figure, f"{result.config.name}: error by how far ahead, from {most} origins{of}")
    names = [k for k in records[0] if k not in ("target", "ahead", "origins")]
    rows = [(r["target"], r["ahead"], r["origins"], *(float(np.mean(r[k])) for k in names)) for r in records]
    return [
        save(figure, kept.figures / "forecast_errors.png"),
        write_table(kept.figures / "forecast_errors.csv", ["target", "ahead", "origins", *names], rows),
    ]
