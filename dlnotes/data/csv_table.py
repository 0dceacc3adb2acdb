"""Tables with a header row in a text file: strict reading, and columns as numbers."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dlnotes import bounded
from dlnotes.data import parquet, spelled_numbers, table_columns
from dlnotes.data.spelled_numbers import MISSING

MAX_CATEGORIES = 100
MANY_CATEGORIES = 20
"""More categories than this in a column are said."""

_HINT = 'impute = "median" in [data] fills empty cells'


class Table(NamedTuple):
    """A table of a file as strings.

    Attributes:
      path: where it came from, for messages.
      header: column names.
      rows: the cells, every row as long as the header.
      lines: the line of the file on which each row ends (the header is on line 1), or the row's number.
      decimal, thousands: how its numbers are written (see `dlnotes.data.spelled_numbers.number`).
      unit: what ``lines`` counts, "line" or "row".
    """

    path: Path
    header: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]
    decimal: str = "."
    thousands: str = ""
    unit: str = "line"

    @property
    def heading(self) -> str:
        """Where its column names are, for messages."""
        return "line 1: " if self.unit == "line" else ""

    def column(self, name: str) -> list[str]:
        """The cells of one column."""
        j = self.header.index(name)
        return [row[j] for row in self.rows]

    def number(self, cell: str) -> float | None:
        """The cell as a float, or ``None`` where it is not written as one."""
        return spelled_numbers.number(cell, self.decimal, self.thousands)


def read_table(path: str | Path, *, delimiter: str = ",", decimal: str = ".", thousands: str = "") -> Table:
    """Reads a UTF-8 CSV file with a header row, or a Parquet file.

    Blank lines are no rows, and a column without a name and without a cell is none. Whether names and cells
    can be used is checked by those who use them.

    Args:
      path: the file.
      delimiter: between cells.
      decimal: before the decimals of a number, "." or ",".
      thousands: between groups of three digits; none if empty.

    Raises:
      ValueError: when the file has no rows, or a row is of another length; the message names the line.
    """
    import csv

    path = Path(path)
    if decimal not in (".", ","):
        raise ValueError(f"decimal: got {decimal!r}, allowed are '.' and ','")
    if thousands == decimal or len(thousands) > 1:
        raise ValueError(f"thousands: got {thousands!r}, allowed is one character other than {decimal!r}")
    if parquet.is_parquet(path):
        return of_parquet(path, delimiter=delimiter, decimal=decimal, thousands=thousands)
    header: list[str] = []
    rows, lines, blank = [], [], 0
    try:
        bounded.ordinary(path)
        with open(path, newline="", encoding="utf-8-sig") as f:
            reader = csv.reader(f, delimiter=delimiter, strict=True)
            for row in reader:
                line = reader.line_num
                cells = [cell.strip() for cell in row]
                if not cells or cells == [""]:
                    blank = blank or (line if header else 0)
                    continue
                if not header:
                    header = cells
                    continue
                if blank and len(header) == 1:  # it may be a row whose only cell is empty
                    raise ValueError(f"{path}: line {blank}: column {header[0]!r} is empty")
                if len(cells) != len(header):
                    raise ValueError(
                        f"{path}: line {line}: {len(cells)} cells where the header has {len(header)}"
                        + _other_delimiter(header, delimiter)
                    )
                rows.append(cells)
                lines.append(line)
    except csv.Error as error:
        raise ValueError(f"{path}: line {len(rows) + 2}: not readable as CSV ({error})") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    if not header:
        raise ValueError(f"{path}: the file is empty, a header and at least one row are needed")
    while rows and not any(rows[-1]):  # what a spreadsheet leaves at the end
        rows.pop()
        lines.pop()
    if not rows:
        raise ValueError(f"{path}: there are no rows under the header")
    if len(header) == 1 and _other_delimiter(header, delimiter):
        raise ValueError(f"{path}: line 1: one column{_other_delimiter(header, delimiter)}")
    kept = [j for j, name in enumerate(header) if name or any(row[j] for row in rows)]
    if len(kept) < len(header):
        header, rows = [header[j] for j in kept], [[row[j] for j in kept] for row in rows]
    return Table(path, tuple(header), rows, lines, decimal, thousands)


def of_parquet(
    path: str | Path,
    columns: Sequence[str] | None = None,
    *,
    delimiter: str = ",",
    decimal: str = ".",
    thousands: str = "",
) -> Table:
    """A Parquet file, or some of its columns, as a table; its rows are counted from 0.

    Raises:
      ValueError: as `dlnotes.data.parquet.read_cells`, and when an option of CSV files is given.
    """
    if (delimiter, decimal, thousands) != (",", ".", ""):
        raise ValueError(
            f"{path}: a Parquet file, whose numbers have no spelling: leave out delimiter, decimal and "
            "thousands"
        )
    header, rows = parquet.read_cells(path, columns)
    return Table(Path(path), tuple(header), rows, list(range(len(rows))), unit="row")


def _other_delimiter(header: list[str], delimiter: str) -> str:
    """What to say where a header looks as if cells were divided by another mark."""
    for mark, name in ((";", ";"), ("\t", "\\t"), ("|", "|"), (",", ",")):
        if mark != delimiter and len(header) == 1 and mark in header[0]:
            return f' ({header[0]!r}: is it divided by another mark? delimiter = "{name}")'
    return ""


def number(cell: str) -> float | None:
    """The cell as a float, or ``None`` where it is not written as one."""
    return spelled_numbers.number(cell)


def check_names(table: Table, columns: Sequence[str], *, option: str = "drop") -> None:
    """Refuses columns without a name of their own, or with "=", which marks one-hot inputs.

    Raises:
      ValueError: naming the column and the option that helps.
    """
    for name in columns:
        place = table.header.index(name) + 1
        left_out = f'{option} = ["{name}"]' if option == "drop" else option
        if not name:
            raise ValueError(
                f"{table.path}: {table.heading}column {place} has no name "
                f"(an index? {left_out} leaves it out)"
            )
        if re.fullmatch(r"Unnamed: \d+", name):
            raise ValueError(
                f"{table.path}: {table.heading}column {name!r} is the index of another table; {left_out} "
                "leaves it out, a name of its own keeps it"
            )
        if "=" in name:
            raise ValueError(
                f"{table.path}: {table.heading}column name {name!r}, a name without '=' is needed "
                f"({left_out} leaves the column out)"
            )
        if table.header.count(name) > 1:
            raise ValueError(
                f"{table.path}: {table.heading}column {name!r} appears {table.header.count(name)} times"
            )


def holds_numbers(table: Table, name: str) -> bool:
    """Whether a column holds numbers, and not categories; cells of `MISSING` count as neither.

    A column is numeric when every cell is a number, and categorical when at most half are.

    Raises:
      ValueError: with the line, when a column mostly of numbers has a cell that is not one; with the option
        that helps, when its cells look like numbers in another spelling, or like dates; when it is empty.
    """
    cells = table.column(name)
    present = [i for i, cell in enumerate(cells) if cell not in MISSING]
    wrong = [i for i in present if table.number(cells[i]) is None]
    if not present:
        if any(cells):
            return False
        raise ValueError(f"{table.path}: column {name!r} is empty in every row (drop leaves it out)")
    if not wrong:
        return True
    where = f"{table.path}: {table.unit} {table.lines[wrong[0]]}: column {name!r} holds {cells[wrong[0]]!r}"
    found = {i: spelling for i in wrong if (spelling := _spelling(table, cells[i]))}
    if found and 2 * (len(wrong) - len(found)) < len(present):
        i = next(iter(found))
        raise ValueError(
            f"{table.path}: {table.unit} {table.lines[i]}: column {name!r} holds {cells[i]!r}, in "
            f"{len(found)} of {len(cells)} rows a number with {found[i]}; categorical = "
            f"[{name!r}] takes the cells as texts"
        )
    if 2 * sum(spelled_numbers.looks_like_a_date(cells[i]) for i in wrong) > len(present):
        raise ValueError(
            f"{where}, a date: dates = [{name!r}] takes dates such as 2020-12-31 as days since 1970-01-01, "
            "drop leaves the column out, categorical takes the cells as texts"
        )
    if 2 * len(wrong) >= len(present):
        return False
    raise ValueError(f"{where} among numbers")


def _spelling(table: Table, cell: str) -> str:
    return spelled_numbers.spelling(cell, table.decimal, table.thousands)


def numbers(table: Table, name: str, *, fill: float | None = None, hint: str = "") -> np.ndarray:
    """A column of numbers as float64.

    Args:
      table: that has it.
      name: of the column.
      fill: for missing cells; without it they are refused.
      hint: what helps against missing cells.

    Raises:
      ValueError: with the line, when a cell is missing, no finite number or too large.
    """
    return _floats(table, name, [table.number(cell) for cell in table.column(name)], fill, hint)


def day_numbers(table: Table, name: str, *, fill: float | None = None, form: str = "") -> np.ndarray:
    """A column of dates as days since 1970-01-01, float64.

    Args:
      table: that has it.
      name: of the column.
      fill: for missing cells; without it they are refused.
      form: of `datetime.strptime`, such as "%d.%m.%Y"; by default ISO 8601's.

    Raises:
      ValueError: with the line, when a cell is no date, or some name their time zone and others do not.
    """
    values, zoned = [], {}
    for line, cell in zip(table.lines, table.column(name)):
        found = spelled_numbers.days(cell, form)
        if found is None and cell not in MISSING:
            needed = f"of the form {form}" if form else "such as 2020-12-31 or 2020-12-31T23:59"
            hint = "" if form else ' (date_format = "%d.%m.%Y" reads others)'
            raise ValueError(
                f"{table.path}: {table.unit} {line}: column {name!r} holds {cell!r}, a date {needed} is "
                f"needed{hint}"
            )
        values.append(None if found is None else found[0])
        if found is not None:
            zoned.setdefault(found[1], line)
    if len(zoned) > 1:
        raise ValueError(
            f"{table.path}: column {name!r}: {table.unit} {zoned[True]} names a zone, "
            f"{table.unit} {zoned[False]} does not"
        )
    return _floats(table, name, values, fill, _HINT)


def _floats(
    table: Table, name: str, values: Sequence[float | None], fill: float | None, hint: str
) -> np.ndarray:
    cells, kept = table.column(name), []
    for line, cell, value in zip(table.lines, cells, values):
        if cell in MISSING:
            if fill is None:
                holds = f"holds {cell!r}, a number is needed" if cell else "is empty"
                raise ValueError(
                    f"{table.path}: {table.unit} {line}: column {name!r} {holds}"
                    f"{f' ({hint})' if hint else ''}"
                )
            value = fill
        elif value is None or not math.isfinite(value) or abs(value) > 1e30:
            spelled = _spelling(table, cell) if value is None else ""
            raise ValueError(
                f"{table.path}: {table.unit} {line}: column {name!r} holds {cell!r}, a finite number "
                "is needed"
                + (f" (it looks like one with {spelled})" if spelled else "")
                + (" of at most 1e30" if value is not None and math.isfinite(value) else "")
            )
        kept.append(value)
    return np.array(kept, np.float64)


def feature_names(
    table: Table,
    columns: Sequence[str],
    categorical: Sequence[str] = (),
    dates: Sequence[str] = (),
) -> tuple[str, ...]:
    """Names of the inputs that the columns become: "age" for numbers, "color=red" one-hot.

    A column that becomes many inputs is said.

    Raises:
      ValueError: as `check_names` and `holds_numbers`, and for a column with more than `MAX_CATEGORIES`
        categories.
    """
    check_names(table, columns)
    names, many = [], []
    for column in columns:
        if column in dates or (column not in categorical and holds_numbers(table, column)):
            names.append(column)
            continue
        categories = sorted(set(table.column(column)) - {""})
        if len(categories) > MAX_CATEGORIES:
            raise ValueError(
                f"{table.path}: column {column!r} has {len(categories)} different texts, at most "
                f"{MAX_CATEGORIES} are taken as categories (hashed = {{ {column!r} = 32 }} takes them in 32 "
                "inputs, drop leaves the column out)"
            )
        if len(categories) > MANY_CATEGORIES and column not in categorical:
            many.append(f"column {column!r} holds {len(categories)} different texts")
        names += [f"{column}={category}" for category in categories]
    if many:
        warnings.warn(
            f"{table.path}: {', '.join(many)}, each of which becomes an input (drop leaves a column out)",
            stacklevel=3,
        )
    return tuple(names)


def encode(
    table: Table,
    features: Sequence[str],
    *,
    fills: Mapping[str, float | str] | None = None,
    dates: Sequence[str] = (),
    date_format: str = "",
    hashed: Mapping[str, int] | None = None,
    calendar: Mapping[str, bool] | None = None,
    hint: str = _HINT,
) -> np.ndarray:
    """The table's ``(rows, features)`` float64 inputs, by names as from `feature_names`.

    Args:
      table: whose columns are taken by name.
      features: inputs. One that ends in "=" ("age=") is 1 where the cell of its column is missing.
      fills: what is taken for a missing cell, by column (see `dlnotes.data.missing_cells`).
      dates: columns of dates.
      date_format: of these, see `day_numbers`.
      hashed: columns of texts that are hashed, with their numbers of inputs.
      calendar: columns of dates with inputs of `dlnotes.data.table_columns.calendar_names`, and whether these
        are of the hour too.
      hint: what helps against missing cells.

    Raises:
      ValueError: with the line, when a number is missing or not finite or a category is unknown; or
        when a column is not there.
    """
    columns: dict[str, list[tuple[int, str | None]]] = {}
    derived: dict[str, list[str]] = {c: table_columns.hashed_names(c, n) for c, n in (hashed or {}).items()}
    derived |= {f"{c}:": table_columns.calendar_names(c, times=t) for c, t in (calendar or {}).items()}
    made = {name for names in derived.values() for name in names}
    for j, feature in enumerate(features):
        if feature in made:
            continue
        column, equals, category = feature.partition("=")
        columns.setdefault(column, []).append((j, category if equals else None))
    missing = [column for column in (*columns, *(hashed or {})) if column not in table.header]
    if missing:
        raise ValueError(
            f"{table.path}: column {', '.join(missing)} is missing, it has {', '.join(table.header)}"
        )
    fills, x = fills or {}, np.zeros((len(table.rows), len(features)))
    for column, places in columns.items():
        if table.header.count(column) > 1:
            raise ValueError(
                f"{table.path}: {table.heading}column {column!r} appears {table.header.count(column)} times"
            )
        cells = table.column(column)
        known = {category: j for j, category in places}
        is_number, indicator = None in known, known.pop("", None)
        if indicator is not None:
            x[:, indicator] = [cell in MISSING if is_number else not cell for cell in cells]
        fill = fills.get(column)
        if is_number:
            value = None if fill is None else float(fill)
            if column in dates:
                x[:, known[None]] = day_numbers(table, column, fill=value, form=date_format)
            else:
                x[:, known[None]] = numbers(table, column, fill=value, hint=hint)
            continue
        for i, cell in enumerate(cells):
            cell = str(fill) if not cell and fill is not None else cell
            if not cell:
                raise ValueError(
                    f"{table.path}: {table.unit} {table.lines[i]}: column {column!r} is empty"
                    f"{f' ({hint})' if hint else ''}"
                )
            if cell not in known:
                raise ValueError(
                    f"{table.path}: {table.unit} {table.lines[i]}: column {column!r} holds {cell!r}, "
                    f"known are {', '.join(map(str, known))}"
                )
            x[i, known[cell]] = 1
    for column, buckets in (hashed or {}).items():
        places = [features.index(name) for name in derived[column]]
        x[:, places] = table_columns.hash_cells(table.column(column), buckets)
    for column, times in (calendar or {}).items():
        places = [features.index(name) for name in derived[f"{column}:"]]
        x[:, places] = table_columns.calendar_values(x[:, features.index(column)], times=times)
    return x
