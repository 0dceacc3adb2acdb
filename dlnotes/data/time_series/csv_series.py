"""Your own time series in a CSV file: one row a time step, forecast from windows of the past."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from dlnotes.data import csv_table as table
from dlnotes.data.dataset import Dataset
from dlnotes.data.download import sha256
from dlnotes.data.own_files import read_as
from dlnotes.data.spelled_numbers import MISSING, spelling
from dlnotes.data.time_series.forecasting import forecast


def csv_series(
    path: str | Path,
    *,
    columns: Sequence[str] = (),
    targets: Sequence[str] = (),
    window: int = 24,
    horizon: int = 1,
    delimiter: str = ",",
    decimal: Literal[".", ","] = ".",
    thousands: str = "",
    validation: float | int = 0.1,
    test: float | int = 0.2,
    standardize: bool = True,
) -> Dataset:
    """Windows of a table's rows, in the order of the file, and a later row's values.

    Input "sequence" ``(window, columns)``, task "regression": the target columns ``horizon`` rows after the
    window's last. The first rows are for training, the next for validation, the last for the test (see
    `dlnotes.data.time_series.forecasting.forecast`).

    Args:
      path: the file, UTF-8, with a header row; rows are at equal distances in time.
      columns: names of the columns that are seen, all of numbers; every one if not given.
      targets: those of them that are forecast; every one that is seen if not given.
      window: rows seen.
      horizon: how many rows ahead.
      delimiter: between cells.
      decimal: before the decimals of a number.
      thousands: between groups of three digits of a number.
      validation: share or number of the examples for validation.
      test: the same for the test part.
      standardize: whether each column is standardized, by the training part.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: when it cannot be used; the message has the file and the line.
    """
    options = {"delimiter": delimiter, "decimal": decimal, "thousands": thousands}
    read = table.read_table(path, **options)
    features = tuple(columns) or read.header
    for option, names, allowed in (("columns", features, read.header), ("targets", targets, features)):
        for i, name in enumerate(names):
            if name not in allowed or name in tuple(names)[:i]:
                raise ValueError(f"{option}: got {name!r}, allowed are (once) {', '.join(allowed)} of {path}")
    made = forecast(
        Path(path).stem,
        series_of(read, features),
        features=features,
        targets=tuple(targets) or features,
        window=window,
        horizon=horizon,
        validation=validation,
        test=test,
        standardize=standardize,
        sources={str(path): sha256(path)},
    )
    return read_as(made, form="windows", table=options)


def series_of(read: table.Table, features: Sequence[str]) -> np.ndarray:
    """``(time, columns)`` float64 numbers of some columns.

    Raises:
      ValueError: naming file, line and column, when a cell is no finite number or a column is not there.
    """
    known = [name for name in features if name in read.header]
    table.check_names(read, known, option="columns")
    for name in known:
        cells = read.column(name)
        i = next((i for i, c in enumerate(cells) if c not in MISSING and read.number(c) is None), None)
        if i is not None:
            found = spelling(cells[i], read.decimal, read.thousands)
            raise ValueError(
                f"{read.path}: {read.unit} {read.lines[i]}: column {name!r} holds {cells[i]!r}, "
                + (f"a number with {found}" if found else "numbers are needed (columns leaves others out)")
            )
    return table.encode(read, features, hint="")
