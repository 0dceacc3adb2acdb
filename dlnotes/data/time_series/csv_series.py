"""Your own time series in a CSV file: one row a time step, forecast from windows of the past."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from dlnotes.data import csv_table as table
from dlnotes.data.assemble import assemble, consecutive
from dlnotes.data.dataset import Dataset, Forecast
from dlnotes.data.download import sha256
from dlnotes.data.own_files import read_as, reading_of
from dlnotes.data.time_series.series_table import (
    Gaps,
    Missing,
    SeriesForm,
    SeriesRows,
    check_form,
    form_of,
    read_series,
)
from dlnotes.data.time_series.series_windows import Windows, all_windows, output_names, split_windows


def csv_series(
    path: str | Path,
    *,
    columns: Sequence[str] = (),
    targets: Sequence[str] = (),
    window: int = 24,
    horizon: int | Sequence[int] = 1,
    steps: int = 0,
    time: str = "",
    date_format: str = "",
    series: str = "",
    identify: bool = False,
    known: Sequence[str] = (),
    calendar: Sequence[str] = (),
    relative: bool = False,
    missing: Missing = "refuse",
    gaps: Gaps = "refuse",
    delimiter: str = ",",
    decimal: Literal[".", ","] = ".",
    thousands: str = "",
    validation: float | int = 0.1,
    test: float | int = 0.2,
    standardize: bool = True,
) -> Dataset:
    """Windows of a table's rows and later rows' values, of one series or of several.

    Input "sequence" ``(window, features)``, task "regression": the target columns ``horizon`` rows after the
    window's last, of several horizons those of the first one first. The first rows are for training, the next
    for validation, the last for the test (see `dlnotes.data.time_series.series_windows.split_windows`).

    Several series side by side are several columns (``targets`` are then forecast together); below one
    another they are told apart by ``series``, no window is of two of them, and each is cut into the three
    parts.

    Args:
      path: the file, UTF-8, with a header row.
      columns: names of the columns that are seen, all of numbers; every one if not given.
      targets: those of them that are forecast; every one that is seen if not given.
      window: rows seen.
      horizon: how many rows ahead; several in growing order are answered for at once.
      steps: rows ahead that predictions go step by step, each from the ones before; 0 is none.
      time: the column of dates (ISO 8601) or of numbers that grow with time, by which rows are put in order.
        If not given, rows follow each other as in the file.
      date_format: of the dates, as of `datetime.strptime` ("%d.%m.%Y"); predictions have them in ISO's form.
      series: the column that tells several series apart.
      identify: whether the network is told which series it sees, one-hot. It then knows no other.
      known: columns whose later values are known in advance: each position of a window sees those of the
        rows that are forecast.
      calendar: what is told of the date of the rows that are forecast, as sine and cosine: "hour", "weekday",
        "day", "day_of_year", "month".
      relative: whether inputs and targets are distances from the window's last row, which lets a network
        follow a trend beyond the levels that it was trained on. Predictions are of the values themselves;
        measured errors are the same, "r2" is of the distances.
      missing: empty cells are refused, or filled by a straight line between neighbors ("interpolate") or with
        the number before ("previous"). A filled cell is never a target.
      gaps: rows that are missing by the column of time are refused, or no window goes across ("split"), or
        they are filled by a straight line ("interpolate"), or rows are taken as they follow ("ignore").
      delimiter: between cells.
      decimal: before the decimals of a number.
      thousands: between groups of three digits of a number.
      validation: share or number of each series' examples for validation.
      test: the same for the test part.
      standardize: whether each column is standardized, by the training part.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: when it cannot be used; the message has the file and the line.
    """
    options = {"delimiter": delimiter, "decimal": decimal, "thousands": thousands}
    read = table.read_table(path, **options)
    horizons = _horizons(horizon, steps)
    apart = {*filter(None, (time, series)), *known}
    seen = tuple(columns) or tuple(name for name in read.header if name not in apart)
    form = SeriesForm(
        columns=tuple(name for name in seen if name not in known),
        targets=tuple(targets) or tuple(name for name in seen if name not in known),
        horizons=horizons,
        steps=steps,
        time=time,
        date_format=date_format,
        series=series,
        known=tuple(known),
        calendar=tuple(calendar),
        relative=relative,
        missing=missing,
        gaps=gaps,
    )
    if not form.columns:
        raise ValueError(f"columns: none is left to be seen of {', '.join(read.header)} of {path}")
    check_form(form, path, read.header)
    if window < 1:
        raise ValueError(f"window: got {window}, allowed is at least 1 step")
    if identify and not series:
        raise ValueError('identify: got true without series = "COLUMN", which names them')
    plain = form == SeriesForm(form.columns, form.targets, horizons) and len(horizons) == 1
    rows, form = read_series(read, form)
    if identify:
        form = form._replace(names=tuple(one.name for one in rows))
    windows = all_windows(rows, form, window)
    parts = split_windows(str(path), windows, rows, form, window, validation=validation, test=test)
    chosen = np.concatenate(parts)
    made = assemble(
        Path(path).stem,
        windows.x[chosen],
        windows.y[chosen],
        consecutive(*map(len, parts)),
        input="sequence",
        task="regression",
        outputs=windows.y.shape[1],
        standardize=standardize,
        features=form.features,
        sources={str(path): sha256(path)},
        forecast=Forecast(output_names(form), horizons[-1]),
    )
    # What older runs have kept of a plain series stays as it is.
    kept = {name: value for name, value in form._asdict().items() if name != "date_format" or value}
    return read_as(made, form="windows", table=options, **({} if plain else {"series": kept}))


def _horizons(horizon: int | Sequence[int], steps: int) -> tuple[int, ...]:
    found = (horizon,) if isinstance(horizon, int) else tuple(horizon)
    if not found or min(found) < 1 or any(b <= a for a, b in pairwise(found)):
        raise ValueError(
            f"horizon: got {list(found)}, allowed are rows ahead from 1 on in growing order, each once"
        )
    if steps and found != (1,):
        raise ValueError(
            f"steps: got {steps} with horizon = {found[0] if len(found) == 1 else list(found)}, step by step "
            "each answer is one row ahead: horizon = 1"
        )
    return found


def series_form(dataset: Dataset) -> SeriesForm | None:
    """How the series of a data set are read, ``None`` where it does not forecast a table."""
    reading = reading_of(dataset)
    if reading.get("form") != "windows" or dataset.forecast is None:
        return None
    if "series" in reading:
        return form_of(reading["series"])
    return SeriesForm(dataset.features, dataset.forecast.targets, (dataset.forecast.horizon,))


def read_windows(path: str | Path, dataset: Dataset) -> tuple[Windows, list[SeriesRows], SeriesForm]:
    """Every window of a file that is like those of a data set: its inputs as they are, before any scale.

    Args:
      path: the file.
      dataset: as `csv_series` makes it.

    Raises:
      ValueError: naming file, line and column; when no series is as long as a window.
    """
    form = series_form(dataset)
    if form is None:
        raise ValueError(f"{path}: {dataset.name} is not forecast from a table")
    read = table.read_table(path, **reading_of(dataset).get("table", {}))
    rows, form = read_series(read, form)
    window = dataset.inputs[0]
    found = all_windows(rows, form, window)
    if not len(found.x):
        longest = max(rows, key=lambda one: len(one.values))
        n, known = len(longest.values), len(longest.told) - len(longest.values)
        if n >= window and form.told and known < form.horizons[-1]:
            raise ValueError(
                f"{path}: {', '.join(form.told)} must be known {form.horizons[-1]} rows after a window's last"
                f" one: at the end rows are needed that hold them and leave {', '.join(form.columns)} empty"
            )
        of = f" of series {longest.name!r}" if form.series else ""
        raise ValueError(f"{path}: {n} rows{of} are too few, {dataset.name} needs {window} without a gap")
    return found, rows, form
