"""The names of a table's rows, which predictions carry."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dlnotes.data import csv_table as table
from dlnotes.data.dataset import Dataset
from dlnotes.data.own_files import reading_of


def ids_of(path: str | Path, dataset: Dataset) -> dict[str, np.ndarray]:
    """The cells of the id column of a table, by its name; empty where [data] names none.

    Args:
      path: of the table that is predicted for.
      dataset: that the network was trained on.

    Raises:
      ValueError: when the table has no such column.
    """
    reading = reading_of(dataset)
    if (name := reading.get("id")) is None or reading.get("form") != "table" or Path(path).is_dir():
        return {}
    if Path(path).suffix.lower() in (".npz", ".npy"):
        return {}
    read = table.read_table(path, **reading.get("table", {}))
    if name not in read.header:
        raise ValueError(
            f"{path}: has no column {name!r}, by which [data] id names the rows; it has "
            f"{', '.join(read.header)}"
        )
    return {name: np.array(read.column(name))}
