"""Missing cells of a table: filled from the training part by scikit-learn's `SimpleImputer`, and marked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from dlnotes.data.csv_table import Table, day_numbers, numbers
from dlnotes.data.spelled_numbers import MISSING

Strategy = Literal["median", "mean", "most_frequent"]


def fit_fills(
    table: Table,
    features: Sequence[str],
    train: np.ndarray,
    strategy: Strategy,
    dates: Sequence[str] = (),
    date_format: str = "",
) -> tuple[dict[str, float | str], tuple[str, ...]]:
    """What stands for a missing cell of each column, and the inputs that mark where cells were missing.

    Args:
      table: with its missing cells.
      features: inputs as from `dlnotes.data.csv_table.feature_names`.
      train: rows of the training part, the only ones that are looked at.
      strategy: of the numbers; texts are filled with the most frequent one.
      dates: columns of dates.
      date_format: of these.

    Returns:
      The fills by column, numbers or texts; and names such as "age=", one for each column with a missing cell
      in the training part.

    Raises:
      ValueError: when a column has no cell in the training part, or a number is not one.
    """
    from sklearn.impute import SimpleImputer

    fills: dict[str, float | str] = {}
    marks = []
    for column in dict.fromkeys(feature.partition("=")[0] for feature in features):
        cells = table.column(column)
        if column in features:
            read = partial(day_numbers, form=date_format) if column in dates else numbers
            values: Any = read(table, column, fill=0.0)
            values[[cell in MISSING for cell in cells]] = np.nan
            imputer = SimpleImputer(strategy=strategy)
        else:
            values = np.array(cells, object)
            imputer = SimpleImputer(strategy="most_frequent", missing_values="")  # pyright: ignore[reportArgumentType]
        seen = values[train][:, None]
        lost = np.array([cell in MISSING if column in features else not cell for cell in cells])[train]
        if lost.all():
            raise ValueError(
                f"{table.path}: column {column!r} is empty in every row of the training part (drop leaves it "
                "out)"
            )
        fill = np.asarray(imputer.fit(seen).statistics_)[0]
        fills[column] = float(fill) if column in features else str(fill)
        if lost.any():
            marks.append(f"{column}=")
    return fills, tuple(marks)
