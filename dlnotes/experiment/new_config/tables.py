"""A table of a person's own: its target guessed, and what becomes of each of its other columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dlnotes.checks import did_you_mean
from dlnotes.data import csv_table
from dlnotes.data.csv_table import Table
from dlnotes.experiment.new_config.columns import TIMES, Column, has_form, plain
from dlnotes.experiment.new_config.guess import Asked, Guess, Option, plural, some

TARGETS = (
    *("target", "targets", "label", "labels", "class", "classes", "y", "outcome", "species", "diagnosis"),
    *("survived", "churn", "churned", "default", "response", "result", "sentiment", "rating", "quality"),
    *("category", "price", "saleprice", "sale_price", "medv", "spam", "fraud", "disease", "malignant"),
)
"""Names of columns that are most often the target, the likeliest first."""

_COUNTS = re.compile(
    r"(^|_)(count|counts|cnt|n|num|number|visits|visitors|accidents|deaths|cases|sales)(_|$)"
)
_IDS = re.compile(r"(^|_)(id|ids|uuid|guid|key|index|idx|identifier|row|rownames|row_number)$")
_CODES = re.compile(r"(^|_)(zip|zipcode|postcode|postal_code|code|cluster|group)$")

MOST_CLASSES = 20
"""Different whole numbers that are taken for classes, as the reader of tables does."""


def find_target(asked: Asked, columns: Sequence[Column], rows: int) -> tuple[tuple[str, ...], str]:
    """The columns to be predicted, and why.

    Raises:
      ConfigError: when a named column is not there, or none can be predicted.
    """
    names = [column.name for column in columns]
    if asked.target:
        for name in asked.target:
            if name not in names:
                raise asked.refuse(
                    f"--target: got {name!r}, the columns are {', '.join(names)}{did_you_mean(name, names)}"
                )
        return asked.target, "as --target says"
    able = [column for column in columns if _can_be_target(column, rows)]
    if not able and names[-1] and columns[-1].missing and columns[-1].holds in ("numbers", "texts"):
        return (names[-1],), "the last column"
    if not able:
        raise asked.refuse(
            f"none of the columns {some(names)} can be predicted: a target has numbers, or texts that come "
            "again, in every row (--target names one all the same)"
        )
    by_name = {plain(column.name): column.name for column in reversed(able)}
    for name in TARGETS:
        if name in by_name:
            return (by_name[name],), "targets are often called so"
    for column in able:
        if re.search(r"_(target|label|class|outcome)$|^(target|label|class)_", plain(column.name)):
            return (column.name,), "its name says so"
    last = next((c.name for c in reversed(able) if not _is_time(c)), able[-1].name)
    after = names[names.index(last) + 1 :]
    told = f"the last column but {some(after, 3)}" if after else "the last column"
    return (last,), f"{told}, for no name tells it"


def _is_time(column: Column) -> bool:
    return column.whole and bool(TIMES.search(plain(column.name)))


def _can_be_target(column: Column, rows: int) -> bool:
    if column.missing or not column.name or column.holds in ("nothing", "one value", "dates", "mixed"):
        return False
    if column.holds == "texts":
        return column.distinct <= max(2, rows // 3)
    return not is_id(column, rows)


def is_id(column: Column, rows: int) -> bool:
    """Whether a column names the rows: another cell in each, and a name that says so or numbers in a row."""
    if column.distinct < rows or column.missing or column.holds not in ("numbers", "texts"):
        return False
    if column.holds == "numbers" and not column.whole:
        return False
    named = bool(_IDS.search(plain(column.name))) or plain(column.name) in ("name", "rownames")
    counted = (
        column.holds == "numbers" and column.greatest - column.least == rows - 1 and column.least in (0, 1)
    )
    return named or (counted and rows > 3)


def task_of(column: Column, rows: int) -> tuple[str, str]:
    """The task of a single target, and why."""
    if column.holds != "numbers":
        return "classification", f"{plural(column.distinct, 'different text')}"
    if column.distinct == 2:
        return "classification", "two different numbers"
    few = column.distinct <= min(MOST_CLASSES, max(rows // 10, 2)) and column.fewest >= 3
    counts = column.whole and column.least >= 0 and bool(_COUNTS.search(plain(column.name)))
    if counts and column.distinct > 2:
        return "counts", f"whole numbers from {column.least:g} to {column.greatest:g}, counts by the name"
    if column.whole and few:
        return "classification", (
            f'{column.distinct} different whole numbers; "regression" takes them as amounts'
        )
    return "regression", f"{plural(column.distinct, 'different number')}"


def guess_table(asked: Asked, read: Table, columns: Sequence[Column], options: dict[str, str]) -> Guess:
    """A table of rows that do not follow each other.

    Raises:
      ConfigError: when no column can be predicted, or none is left to predict from.
    """
    rows = len(read.rows)
    target, why = find_target(asked, columns, rows)
    by_name = {column.name: column for column in reversed(columns)}
    of_target = [by_name[name] for name in target]
    _check_targets(asked, read, of_target, rows)
    if len(target) > 1:
        task, told = _several(of_target)
    else:
        task, told = task_of(of_target[0], rows)
    made, notes, left = _inputs(columns, target, rows)
    if not left:
        raise asked.refuse(f"no column is left to predict {some(list(target))} from: {' '.join(notes)}")
    chosen: list[Option] = [
        Option("path", str(asked.path)),
        Option("target", target[0] if len(target) == 1 else list(target), why),
        Option("task", task, told),
    ]
    chosen += made
    chosen += [Option(name, value) for name, value in options.items()]
    return Guess(
        "csv",
        f"{plural(rows, 'row')} with {plural(len(read.header), 'column')} each",
        tuple(chosen),
        others=_others(made),
        notes=tuple(notes),
        new="new_rows.csv",
    )


def _check_targets(asked: Asked, read: Table, targets: Sequence[Column], rows: int) -> None:
    for column in targets:
        if column.missing:
            cells = read.column(column.name)
            line = next(i for i, cell in enumerate(cells) if cell in csv_table.MISSING)
            raise asked.refuse(
                f"target {column.name!r} is empty in {plural(column.missing, 'row')} of {rows:,}, first in "
                f"{read.unit} {read.lines[line]}: every row needs a target, take these rows out"
            )
        if column.holds in ("one value", "nothing"):
            raise asked.refuse(f"target {column.name!r} is the same in every row, there is nothing to learn")
        if column.holds == "mixed":
            raise asked.refuse(f"target {column.name!r} holds numbers and {column.odd}: mend the cell")
        if column.holds in ("texts", "dates") and column.distinct > max(2, rows // 3):
            raise asked.refuse(
                f"target {column.name!r} has {column.distinct:,} different {column.holds} in {rows:,} rows, "
                "which are no classes; --target names another column"
            )


def _several(targets: Sequence[Column]) -> tuple[str, str]:
    if all(c.holds == "numbers" and c.distinct == 2 and (c.least, c.greatest) == (0, 1) for c in targets):
        return "labels", "columns of 0 and 1: a row may have several labels"
    return "regression", "several numbers"


def _inputs(
    columns: Sequence[Column], target: Sequence[str], rows: int
) -> tuple[list[Option], list[str], list[str]]:
    """The options for the columns that are inputs, what is said of them, and their names."""
    drop: dict[str, str] = {}
    hashed: dict[str, int] = {}
    categorical, dates, left, notes = [], [], [], []
    forms: dict[str, list[str]] = {}
    name_of_rows = ""
    twice = {c.name for c in columns if sum(c.name == other.name for other in columns) > 1}
    for column in columns:
        name = column.name
        if name in target or name in drop:
            continue
        if not name:
            drop[name] = "has no name (an index?)"
        elif re.fullmatch(r"Unnamed: \d+", name):
            drop[name] = "is the index of another table"
        elif name in twice:
            drop[name] = "is the name of several columns"
        elif column.holds == "nothing":
            drop[name] = "is empty"
        elif column.holds == "one value":
            drop[name] = f"is {column.values[0]!r} in every row" if not column.missing else "holds one value"
            if column.missing:
                drop[name] = f"is {column.values[0]!r} or empty"
        elif "=" in name:
            drop[name] = "has '=' in its name"
        elif is_id(column, rows):
            if name_of_rows:
                drop[name] = "names the rows too"
            else:
                name_of_rows = name
        elif column.holds == "mixed":
            drop[name] = f"holds numbers and {column.odd}; mend the cell and take the column from drop"
        elif column.holds == "dates":
            forms.setdefault(column.form, []).append(name)
        elif column.holds == "texts":
            if column.distinct == rows and not column.missing and column.words <= 4 and not name_of_rows:
                name_of_rows = name
            elif column.distinct * 2 > rows and column.distinct > 2:
                drop[name] = f"has {column.distinct:,} different texts in {rows:,} rows"
            elif column.distinct > csv_table.MAX_CATEGORIES or column.distinct * 10 > rows + 50:
                hashed[name] = 16 if column.distinct <= 64 else 32
            elif column.distinct > csv_table.MANY_CATEGORIES:
                categorical.append(name)
        elif _is_code(column, rows):
            categorical.append(name)
    form = max(forms, key=lambda f: len(forms[f]), default="")
    for other, names in forms.items():
        for name in names:
            if other == form:
                dates.append(name)
            else:
                drop[name] = f"has dates of another form than {some(forms[form])}"
    not_inputs = {*target, *drop, name_of_rows}
    left = [c.name for c in columns if c.name not in not_inputs]
    made = []
    if name_of_rows:
        made.append(Option("id", name_of_rows, "names the rows: no input, predictions carry it"))
    if drop:
        made.append(Option("drop", list(drop), "left out, see above"))
        notes += [f"Left out: {name!r} {why}." for name, why in drop.items()]
    if categorical:
        made.append(Option("categorical", categorical, "an input for each different cell"))
    if hashed:
        made.append(Option("hashed", hashed, "many different texts, which share so many inputs"))
    if dates:
        made.append(Option("calendar", dates, "dates: as days, and their places in the year and the week"))
        if form:
            made.append(Option("date_format", form, "of the dates"))
            notes.append(_of_form(columns, dates, form))
    empty = [c.name for c in columns if c.missing and c.name in left]
    if empty:
        made.append(Option("impute", "median", f"fills empty cells, of {some(empty, 4)}"))
    return made, [note for note in notes if note], left


def _is_code(column: Column, rows: int) -> bool:
    """Whether whole numbers only name something, by the column's name."""
    few = 2 < column.distinct <= min(csv_table.MAX_CATEGORIES, rows // 10)
    return few and column.whole and bool(_CODES.search(plain(column.name)))


def _of_form(columns: Sequence[Column], dates: Sequence[str], form: str) -> str:
    """What is said of dates whose day and month could be told the other way round."""
    other = form.replace("%m/%d", "%d/%m") if form.startswith("%m/%d") else ""
    cells = [cell for c in columns if c.name in dates for cell in c.values]
    if other and all(has_form(cell, other) for cell in cells):
        return f"Dates such as {cells[0]} are read as {form}; {other} would be as good."
    return ""


def _others(made: Sequence[Option]) -> tuple[Option, ...]:
    have = {option.name for option in made}
    more: list[Any] = [
        Option("id", "COLUMN", "names the rows: no input, predictions carry it"),
        Option("drop", ["COLUMN"], "leaves columns out"),
        Option("weight", "COLUMN", "what a row counts in training"),
        Option("test_path", "FILE", "the test part has a file of its own"),
    ]
    return tuple(option for option in more if option.name not in have)
