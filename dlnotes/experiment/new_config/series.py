"""A table whose rows follow each other in time: its times, its series, and how it is forecast."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dlnotes.data.csv_table import Table
from dlnotes.data.spelled_numbers import MISSING
from dlnotes.data.time_series.time_index import Step, places, read_times, step_of
from dlnotes.experiment.new_config.columns import TIMES, Column, plain
from dlnotes.experiment.new_config.guess import Asked, Guess, Option, plural, some
from dlnotes.experiment.new_config.tables import TARGETS

REGULAR = 0.6
"""Share of rows that are as far from the row before as most are, from which on rows follow each other."""

FEWEST = 40
"""Rows of a series below which there is nothing to learn a forecast from."""

MOST_COLUMNS = 8
"""Columns that are all forecast; of more the last one alone is."""


class Rows(NamedTuple):
    """Rows that follow each other.

    Attributes:
      time: the column of times, "" where there is none.
      series: the column that tells several series apart, or "".
      step: from a row to the next, ``None`` where it is not known.
      form: of the times.
      shortest: rows of the shortest series.
      count: of the series.
      gaps: places where rows are missing.
      whole: whether every row is a whole number of steps after the first.
      date_format: of dates other than ISO 8601's.
      beside: columns that tell the time by parts, such as a year and a month, and are not seen.
    """

    time: str
    series: str
    step: Step | None
    form: str
    shortest: int
    count: int
    gaps: int
    whole: bool
    date_format: str = ""
    beside: tuple[str, ...] = ()


def find_rows(read: Table, columns: Sequence[Column]) -> Rows | None:
    """How the rows of a table follow each other, ``None`` where they do not seem to.

    A column of dates, or of whole numbers that is called like a time, has another value in each row, or in
    each row of every series, and most rows are as far from the one before.
    """
    for column in columns:
        if column.missing:
            continue
        form = column.form
        dates = column.holds == "dates" or (column.holds == "texts" and _all_months(column))
        named = bool(TIMES.search(plain(column.name)))
        if not dates and not (named and column.holds == "numbers" and column.whole):
            continue
        if column.distinct == len(read.rows):
            if (found := _followed(read, column.name, "", form)) is not None:
                return found
            continue
        for other in columns:
            if other.holds not in ("texts", "numbers") or other.missing or other.name == column.name:
                continue
            if other.holds == "numbers" and not (
                other.whole and re.search(r"(id|store|shop|item)$", plain(other.name))
            ):
                continue
            if other.distinct * 10 > len(read.rows):
                continue
            if (found := _followed(read, column.name, other.name, form)) is not None:
                return found
    return _by_parts(read, columns)


_PARTS = {"month": 1.0, "mon": 1.0, "quarter": 3.0, "qtr": 3.0}
"""Names of columns that tell a time together with one of years, and the months that they count."""


def _by_parts(read: Table, columns: Sequence[Column]) -> Rows | None:
    """Rows that follow each other by a column of years and one of months or quarters."""
    whole = {plain(c.name): c.name for c in columns if c.holds == "numbers" and c.whole and not c.missing}
    for name, months in _PARTS.items():
        if name not in whole or "year" not in whole:
            continue
        year, part = (
            np.array([read.number(cell) for cell in read.column(whole[n])], np.float64)
            for n in ("year", name)
        )
        if part.min() < 1 or part.max() > 12 / months:
            continue
        if (np.diff(year * 12 / months + part) == 1).all():
            step = Step("months", months)
            return Rows("", "", step, "", len(read.rows), 1, 0, True, beside=(whole["year"], whole[name]))
    return None


def _all_months(column: Column) -> bool:
    return all(re.fullmatch(r"\d{4}-\d{2}", cell) for cell in column.values)


def _followed(read: Table, time: str, series: str, form: str) -> Rows | None:
    try:
        times = read_times(read, time, form)
    except ValueError:
        return None
    parts: dict[str, list[int]] = {}
    for i, name in enumerate(read.column(series) if series else [""] * len(read.rows)):
        parts.setdefault(name, []).append(i)
    ordered = [np.sort(times.values[rows]) for rows in parts.values()]
    if any((np.diff(t) == 0).any() for t in ordered) or min(map(len, ordered)) < 3:
        return None
    step = step_of(ordered, times.form)
    if step is None:
        return None
    where = [places(t, step) for t in ordered]
    apart = np.concatenate([np.diff(w) for w in where])
    if (np.abs(apart - 1) < 1e-3).mean() < REGULAR:
        return None
    whole = all((np.abs(w - np.round(w)) < 1e-3).all() for w in where)
    gaps = int((np.abs(apart - 1) > 1e-3).sum())
    return Rows(time, series, step, times.form, min(map(len, ordered)), len(ordered), gaps, whole, form)


def is_series(asked: Asked, rows: Rows | None, columns: Sequence[Column]) -> str:
    """Why a table is taken for a series to be forecast; "" where it is not."""
    if rows is None or rows.shortest < FEWEST:
        return ""
    others = [c for c in columns if c.name not in (rows.time, rows.series, *rows.beside)]
    if asked.target:
        wanted = [c for c in others if c.name in asked.target]
        if any(c.holds != "numbers" for c in wanted) or len(wanted) < len(asked.target):
            return ""
    elif any(plain(c.name) in TARGETS and c.holds == "texts" for c in others):
        return ""
    elif others and others[-1].holds == "texts" and others[-1].distinct <= 20:
        return ""  # a class for each row
    numbers = [c for c in others if c.holds == "numbers"]
    if not numbers or 2 * len(numbers) < len(others):
        return ""
    assert rows.step is not None
    of = f" of each of {rows.count} series (column {rows.series!r})" if rows.series else ""
    if rows.beside:
        return f"the columns {some(rows.beside)} tell the time of rows that follow each other"
    return f"the column {rows.time!r} is a time, {_step_in_words(rows)}{of}"


def _step_in_words(rows: Rows) -> str:
    if rows.step is None:
        return ""
    return f"numbers {rows.step.count:g} apart" if rows.form == "number" else rows.step.in_words()


def guess_series(asked: Asked, read: Table, columns: Sequence[Column], options: dict[str, str]) -> Guess:
    """A table whose rows follow each other.

    Raises:
      ConfigError: when it has no column of numbers, or too few rows.
    """
    rows = find_rows(read, columns) or Rows("", "", None, "", len(read.rows), 1, 0, True)
    notes: list[str] = []
    others = [c for c in columns if c.name not in (rows.time, rows.series, *rows.beside)]
    numbers = [c for c in others if c.holds == "numbers" and others.count(c) == 1 and c.name]
    unnamed = [c for c in numbers if re.fullmatch(r"Unnamed: \d+", c.name) or "=" in c.name]
    numbers = [c for c in numbers if c not in unnamed and not _is_index(c, len(read.rows), rows)]
    if not numbers:
        raise asked.refuse(f"no column of numbers can be forecast, the columns are {some(list(read.header))}")
    for name in asked.target:
        if name not in {c.name for c in numbers}:
            raise asked.refuse(
                f"--target: got {name!r}, of a series columns of numbers can be forecast: "
                f"{some([c.name for c in numbers])}"
            )
    if left := [c.name for c in others if c not in numbers]:
        notes.append(f"Not seen: {some(left)}, no columns of numbers that vary.")
    window = _window(rows)
    if rows.shortest < 3 * (window + 1) + 5:
        raise asked.refuse(
            f"{plural(rows.shortest, 'row')} are too few for a series in three parts, at least {FEWEST} are "
            "needed (--kind csv takes rows by themselves)"
        )
    target, why = _targets(asked, numbers)
    chosen = [Option("path", str(asked.path))]
    if rows.time:
        chosen.append(Option("time", rows.time, _step_in_words(rows)))
        if rows.date_format:
            chosen.append(Option("date_format", rows.date_format, "of the dates"))
    if rows.series:
        chosen.append(Option("series", rows.series, f"tells {rows.count} series apart"))
    if rows.beside:
        notes.append(f"Not seen: {some(rows.beside)}, by which the rows are in the order of time.")
    if left or asked.target or rows.beside:
        chosen.append(Option("columns", [c.name for c in numbers], "that are seen"))
    if len(target) < len(numbers):
        chosen.append(Option("targets", target, why))
    else:
        notes.append(f"Forecast: {some(target)}, {why}.")
    chosen.append(Option("window", window, "rows seen"))
    chosen.append(Option("horizon", 1, "rows ahead; [1, 2, 3] answers for several at once"))
    if calendar := _calendar(rows):
        chosen.append(Option("calendar", calendar, "told of the row that is forecast"))
    if _trends(read, rows, target):
        chosen.append(
            Option("relative", True, "distances from the last row: neighbors are alike, or it trends")
        )
    if any(c.missing for c in numbers):
        empty = [c.name for c in numbers if c.missing]
        how = _missing(read, rows, empty)
        chosen.append(Option("missing", how, f"what is done about empty cells, of {some(empty, 3)}"))
    if rows.gaps:
        how = "interpolate" if rows.whole and rows.gaps < 0.2 * len(read.rows) else "split"
        how = how if rows.whole else "ignore"
        chosen.append(Option("gaps", how, f"rows are missing in {plural(rows.gaps, 'place')}"))
    chosen += [Option(name, value) for name, value in options.items()]
    more = [
        Option("steps", 12, "goes on step by step, each row from the ones before (horizon = 1)"),
        Option("known", ["COLUMN"], "columns whose later values are known in advance"),
    ]
    return Guess(
        "csv_series",
        is_series(asked, rows, columns) or "rows are taken to follow each other in time",
        tuple(chosen),
        others=tuple(more),
        notes=tuple(notes),
        new=f"{asked.path} --future",
    )


def _is_index(column: Column, n: int, rows: Rows) -> bool:
    """Whether a column only counts the rows."""
    return (
        column.whole
        and column.distinct == n
        and column.greatest - column.least == n - 1
        and column.least in (0, 1)
    )


def _window(rows: Rows) -> int:
    """Rows seen: a period or two of what comes round, as far as the series has the rows."""
    wanted = 24
    if rows.step is not None:
        unit, count = rows.step
        if unit == "months":
            wanted = {1: 24, 3: 12, 12: 12}.get(int(count), 12)
        elif unit == "business days":
            wanted = 20
        elif unit == "seconds":
            day = 86400.0
            wanted = 28 if count == day else 26 if count == 7 * day else 48 if count <= day / 24 else 24
    return max(2, min(wanted, rows.shortest // 10))


def _calendar(rows: Rows) -> list[str]:
    if rows.step is None or not rows.time or rows.form == "number":
        return []
    unit, count = rows.step
    if unit == "months":
        return ["month"] if count < 12 else []
    if unit == "business days":
        return ["weekday"]
    day = 86400.0
    long = rows.shortest * count > 400 * day
    if count < day:
        return ["hour", "weekday"] if rows.shortest * count > 14 * day else ["hour"]
    if count == day:
        return ["weekday", "day_of_year"] if long else ["weekday"]
    return ["day_of_year"] if long and count < 180 * day else []


def _targets(asked: Asked, numbers: Sequence[Column]) -> tuple[list[str], str]:
    names = [c.name for c in numbers]
    if asked.target:
        return list(asked.target), "as --target says"
    if len(names) == 1:
        return names, "the only column of numbers"
    called = {plain(name): name for name in reversed(names)}
    for name in TARGETS:
        if name in called:
            return [called[name]], "targets are often called so; forecast"
    if len(names) <= MOST_COLUMNS:
        return names, 'every column of numbers (targets = ["COLUMN"] forecasts some of them)'
    return [names[-1]], "forecast: the last of many columns"


def _trends(read: Table, rows: Rows, targets: Sequence[str]) -> bool:
    """Whether rows are much closer to the row before than to the mean, or the level moves."""
    votes = []
    for name in targets:
        for part in _parts(read, rows):
            x = np.array([_number(read, cell) for cell in (read.column(name)[i] for i in part)])
            x = x[np.isfinite(x)]
            if len(x) > 3 and x.std() > 0:
                third = len(x) // 3
                apart = abs(x[-third:].mean() - x[:third].mean()) if third else 0.0
                votes.append(np.diff(x).std() < 0.5 * x.std() or apart > x.std())
    return bool(votes) and float(np.mean(votes)) > 0.5


def _number(read: Table, cell: str) -> float:
    found = None if cell in MISSING else read.number(cell)
    return np.nan if found is None else found


def _parts(read: Table, rows: Rows) -> list[list[int]]:
    """The rows of each series in the order of time."""
    parts: dict[str, list[int]] = {}
    for i, name in enumerate(read.column(rows.series) if rows.series else [""] * len(read.rows)):
        parts.setdefault(name, []).append(i)
    if not rows.time:
        return list(parts.values())
    times = read_times(read, rows.time, rows.date_format).values
    return [sorted(part, key=lambda i: times[i]) for part in parts.values()]


def _missing(read: Table, rows: Rows, names: Sequence[str]) -> str:
    """A straight line between neighbors, or the number before where the last row has none."""
    ends = [read.column(name)[part[-1]] in MISSING for name in names for part in _parts(read, rows)]
    return "previous" if any(ends) else "interpolate"
