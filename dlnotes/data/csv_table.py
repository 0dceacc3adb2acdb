"""Tables with a header row in a text file: strict reading, and columns as numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

MAX_CATEGORIES = 100


class Table(NamedTuple):
    """A CSV file as strings.

    Attributes:
      path: where it came from, for messages.
      header: column names.
      rows: the cells, every row as long as the header.
      lines: the line of the file on which each row ends (the header is on line 1).
    """

    path: Path
    header: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]

    def column(self, name: str) -> list[str]:
        """The cells of one column."""
        j = self.header.index(name)
        return [row[j] for row in self.rows]


def read_table(path: str | Path, *, delimiter: str = ",") -> Table:
    """Reads a UTF-8 CSV file with a header row.

    Raises:
      ValueError: when the file has no rows, a row of another length, an empty cell, or a header with
        an empty, repeated or "="-holding name ("=" marks one-hot columns); the message names the line.
    """
    import csv

    path = Path(path)
    header: list[str] = []
    rows, lines = [], []
    try:
        with open(path, newline="", encoding="utf-8-sig") as f:
            reader = csv.reader(f, delimiter=delimiter, strict=True)
            for row in reader:
                line = reader.line_num
                cells = [cell.strip() for cell in row]
                if not header:
                    if not cells:
                        raise ValueError(f"{path}: line {line}: a header with column names is needed")
                    header = cells
                    continue
                if len(cells) != len(header):
                    raise ValueError(
                        f"{path}: line {line}: {len(cells)} cells where the header has {len(header)}"
                    )
                if "" in cells:
                    raise ValueError(f"{path}: line {line}: column {header[cells.index('')]!r} is empty")
                rows.append(cells)
                lines.append(line)
    except csv.Error as error:
        raise ValueError(f"{path}: line {len(rows) + 2}: not readable as CSV ({error})") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    if not header:
        raise ValueError(f"{path}: the file is empty, a header and at least one row are needed")
    for name in header:
        if not name or "=" in name:
            raise ValueError(f"{path}: line 1: column name {name!r}, a name without '=' is needed")
        if header.count(name) > 1:
            raise ValueError(f"{path}: line 1: column {name!r} appears {header.count(name)} times")
    if not rows:
        raise ValueError(f"{path}: there are no rows under the header")
    return Table(path, tuple(header), rows, lines)


def number(cell: str) -> float | None:
    """The cell as a float, or ``None`` where it is not written as one."""
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def numbers(table: Table, name: str) -> np.ndarray | None:
    """A column as float64, or ``None`` where it holds categories.

    A column is numeric when every cell is a number, and categorical when at most half are.

    Raises:
      ValueError: with the line, when a cell is not finite, or when a column mostly of numbers has a
        cell that is not one.
    """
    cells = table.column(name)
    values = [number(cell) for cell in cells]
    wrong = [i for i, value in enumerate(values) if value is None]
    if wrong and 2 * len(wrong) >= len(values):
        return None
    if wrong:
        i = wrong[0]
        raise ValueError(
            f"{table.path}: line {table.lines[i]}: column {name!r} holds {cells[i]!r} among numbers"
        )
    return _finite(table, name, cells, values)


def _finite(table: Table, name: str, cells: list[str], values: Sequence[float | None]) -> np.ndarray:
    for line, cell, value in zip(table.lines, cells, values):
        if value is None or not math.isfinite(value):
            raise ValueError(
                f"{table.path}: line {line}: column {name!r} holds {cell!r}, a finite number is needed"
            )
    return np.array(values, np.float64)


def feature_names(table: Table, columns: Sequence[str], categorical: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of the inputs that the columns become: "age" for numbers, "color=red" one-hot.

    Raises:
      ValueError: as `numbers`, and for a column with more than `MAX_CATEGORIES` categories.
    """
    names = []
    for column in columns:
        if column not in categorical and numbers(table, column) is not None:
            names.append(column)
            continue
        categories = sorted(set(table.column(column)))
        if len(categories) > MAX_CATEGORIES:
            raise ValueError(
                f"{table.path}: column {column!r} has {len(categories)} different texts, at most "
                f"{MAX_CATEGORIES} are taken as categories (leave it out with drop)"
            )
        names += [f"{column}={category}" for category in categories]
    return tuple(names)


def encode(table: Table, features: Sequence[str]) -> np.ndarray:
    """The table's ``(rows, features)`` float64 inputs, by names as from `feature_names`.

    Raises:
      ValueError: with the line, when a number is missing or not finite or a category is unknown; or
        when a column is not there.
    """
    columns: dict[str, list[tuple[int, str | None]]] = {}
    for j, feature in enumerate(features):
        column, equals, category = feature.partition("=")
        columns.setdefault(column, []).append((j, category if equals else None))
    missing = [column for column in columns if column not in table.header]
    if missing:
        raise ValueError(
            f"{table.path}: column {', '.join(missing)} is missing, it has {', '.join(table.header)}"
        )
    x = np.zeros((len(table.rows), len(features)))
    for column, places in columns.items():
        cells = table.column(column)
        if places[0][1] is None:
            x[:, places[0][0]] = _finite(table, column, cells, [number(cell) for cell in cells])
            continue
        known = {category: j for j, category in places}
        for i, cell in enumerate(cells):
            if cell not in known:
                raise ValueError(
                    f"{table.path}: line {table.lines[i]}: column {column!r} holds {cell!r}, "
                    f"known are {', '.join(map(str, known))}"
                )
            x[i, known[cell]] = 1
    return x
