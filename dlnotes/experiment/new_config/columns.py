"""The columns of a table, looked at: how the file is written, and what each column seems to hold."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dlnotes import bounded
from dlnotes.data import csv_table, parquet
from dlnotes.data.csv_table import Table
from dlnotes.data.spelled_numbers import MISSING
from dlnotes.data.spelled_numbers import number as as_number

Holds = Literal["numbers", "texts", "dates", "mixed", "one value", "nothing"]

MARKS = (",", ";", "\t", "|", " ")
"""Between the cells of a file, the likeliest first."""

_LOOKED_AT = 200
"""Lines by which the marks are told."""

_SPELLINGS = ((".", ""), (",", ""), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'"))
"""Marks before decimals and between thousands, the likeliest first."""

_GROUPED = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?")

DATE_FORMS = (
    *("%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%Y %H:%M"),
    *("%d/%m/%Y %H:%M", "%Y/%m/%d", "%Y/%m/%d %H:%M", "%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%d-%m-%Y"),
    *("%Y/%m/%d %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%b-%d-%Y", "%b/%d/%Y"),
    *("%Y.%m.%d", "%b %d %Y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%B %d, %Y"),
    *("%Y-%m", "%b %Y", "%b-%Y", "%b-%y", "%B %Y", "%m/%Y", "%Y/%m"),
)
"""Forms of dates other than ISO 8601's, the likeliest first."""


class Column(NamedTuple):
    """What a column seems to hold.

    Attributes:
      name: of the column.
      holds: numbers, texts, dates, numbers and texts mixed, one value alone, or nothing.
      distinct: different cells that are not missing.
      missing: cells that are.
      whole: whether all numbers are whole.
      least, greatest: of the numbers.
      fewest: rows of the rarest value.
      form: of dates, "" for ISO 8601's.
      words: of a text, in the middle of all rows.
      odd: a cell that is not like the others, with its line.
      values: the different cells, the most frequent first.
    """

    name: str
    holds: Holds
    distinct: int
    missing: int
    whole: bool = False
    least: float = 0.0
    greatest: float = 0.0
    fewest: int = 0
    form: str = ""
    words: float = 0.0
    odd: str = ""
    values: tuple[str, ...] = ()


def read_looked_at(path: Path, least: int = 2) -> tuple[Table, dict[str, str]]:
    """A table, read by the marks that it seems to have, and those of them that differ from the defaults.

    Args:
      path: of the file.
      least: columns that are needed.

    Raises:
      ValueError: when it is no table with a header and as many columns; naming file and line.
    """
    if parquet.is_parquet(path):
        return _with_columns(csv_table.read_table(path), least), {}
    options: dict[str, str] = {}
    if (mark := delimiter_of(path)) != ",":
        options["delimiter"] = mark
    read = _with_columns(csv_table.read_table(path, delimiter=mark), least)
    if all(as_number(name) is not None for name in read.header):
        raise ValueError(
            f"{path}: line 1: {', '.join(read.header[:4])} … are numbers, a line with the names of the "
            "columns is needed above them"
        )
    decimal, thousands = _spelling_of(read, mark)
    options |= {} if decimal == "." else {"decimal": decimal}
    options |= {"thousands": thousands} if thousands else {}
    return read._replace(decimal=decimal, thousands=thousands), options


def _with_columns(read: Table, least: int) -> Table:
    if len(read.header) < least:
        raise ValueError(
            f"{read.path}: {read.heading}the only column is {read.header[0]!r}; a column to predict and one "
            "to predict it from are needed (a series of one column: --kind csv_series)"
        )
    return read


def recurring(read: Table) -> str:
    """A name above a column that is a cell of it too, as in a file without names; "" where there is none."""
    for j, name in enumerate(read.header):
        cells = [row[j] for row in read.rows]
        if name and as_number(name) is None and name in cells and len(set(cells)) * 3 <= len(cells):
            return name
    return ""


def delimiter_of(path: Path) -> str:
    """The mark that cuts the first lines of a file into as many cells each, a comma where there is none."""
    lines = first_lines(path)
    best, found = (0, 0), ","
    for mark in MARKS:
        if mark == " " and best[0]:
            break  # other marks are between texts with spaces
        try:
            counts = [len(row) for row in csv.reader(lines, delimiter=mark) if row]
        except csv.Error:
            continue
        if not counts or counts[0] < 2:
            continue
        alike = sum(count == counts[0] for count in counts)
        if alike < 0.9 * len(counts):
            alike = 0
        if (alike, counts[0]) > best:
            best, found = (alike, counts[0]), mark
    return found


def first_lines(path: Path, most: int = _LOOKED_AT) -> list[str]:
    """The first lines of a text file, with their ends.

    Raises:
      ValueError: when it is no UTF-8 text.
    """
    bounded.ordinary(path)
    found: list[str] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for line in file:
                found.append(line)
                if len(found) == most:
                    break
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: not UTF-8 text ({error.reason} at byte {error.start}), save it as UTF-8"
        ) from None
    return found


def _spelling_of(read: Table, mark: str) -> tuple[str, str]:
    """The marks in numbers by which most of the first cells are numbers."""
    cells = [cell for row in read.rows[: 5 * _LOOKED_AT] for cell in row if cell and cell not in MISSING]
    order = list(_SPELLINGS)
    if mark == "," and any(_GROUPED.fullmatch(cell) for cell in cells):
        order.insert(1, (".", ","))  # "1,234" in quotes between commas is a thousand
    best, found = -1, order[0]
    for spelling in order:
        count = sum(as_number(cell, *spelling) is not None for cell in cells)
        if count > best:
            best, found = count, spelling
    return found


def looked_at(read: Table) -> list[Column]:
    """What every column of a table seems to hold; of columns with the same name the first."""
    return [_column(read, name, [row[j] for row in read.rows]) for j, name in enumerate(read.header)]


def _column(read: Table, name: str, cells: Sequence[str]) -> Column:
    present = [cell for cell in cells if cell not in MISSING]
    counts = Counter(present)
    known: dict[str, Any] = {
        "distinct": len(counts),
        "missing": len(cells) - len(present),
        "fewest": min(counts.values(), default=0),
        "values": tuple(cell for cell, _ in counts.most_common()),
    }
    if not present:
        return Column(name, "nothing", **known)
    numbers = {cell: read.number(cell) for cell in counts}
    wrong = [cell for cell, value in numbers.items() if value is None]
    if not wrong:
        values = [value for value in numbers.values() if value is not None]
        known |= {"whole": all(v == v // 1 for v in values), "least": min(values), "greatest": max(values)}
        return Column(name, "one value" if len(counts) == 1 else "numbers", **known)
    if len(counts) == 1:
        return Column(name, "one value", **known)
    if (form := _date_form(list(counts))) is not None:
        return Column(name, "dates", form=form, **known)
    lengths = sorted(len(cell.split()) for cell in present)
    known["words"] = float(lengths[len(lengths) // 2])
    if sum(counts[cell] for cell in wrong) * 2 < len(present):
        line = read.lines[next(i for i, cell in enumerate(cells) if cell in set(wrong))]
        return Column(name, "mixed", odd=f"{wrong[0]!r} in {read.unit} {line}", **known)
    texts = Counter(filter(None, cells))  # where "NA" and "None" are texts like any other
    known |= {
        "distinct": len(texts),
        "missing": len(cells) - sum(texts.values()),
        "fewest": min(texts.values()),
        "values": tuple(cell for cell, _ in texts.most_common()),
    }
    return Column(name, "texts", **known)


def _date_form(cells: list[str]) -> str | None:
    """The form that all cells are dates by, ``None`` where there is none."""
    if all(_is_iso(cell) for cell in cells):
        return ""
    return next((form for form in DATE_FORMS if all(has_form(cell, form) for cell in cells)), None)


def _is_iso(cell: str) -> bool:
    try:
        datetime.fromisoformat(cell)
    except ValueError:
        return False
    return "-" in cell or len(cell) == 8


def has_form(cell: str, form: str) -> bool:
    """Whether a cell is a date of a form of `datetime.strptime`."""
    try:
        datetime.strptime(cell, form)
    except ValueError:
        return False
    return True


TIMES = re.compile(
    r"(^|_)(date|dates|datetime|time|timestamp|ds|day|week|month|year|years|quarter|period|hour|t)(_|$)"
)
"""Names of columns that are times."""


def plain(name: str) -> str:
    """A column's name as it is compared with others.

    >>> plain("Is Spam"), plain("petal.width")
    ('is_spam', 'petal_width')
    """
    return re.sub(r"[^0-9a-z]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()).strip("_")
