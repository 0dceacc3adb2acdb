"""The series of a table, one or several: their rows in the order of time, gaps and missing cells mended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from dlnotes.data import csv_table as table
from dlnotes.data.csv_table import Table
from dlnotes.data.spelled_numbers import MISSING, looks_like_a_date, spelling
from dlnotes.data.time_series.time_index import (
    CALENDAR,
    Step,
    Times,
    after,
    calendar_inputs,
    places,
    read_times,
    step_of,
    time_in_words,
)

Missing = Literal["refuse", "interpolate", "previous"]
Gaps = Literal["refuse", "split", "interpolate", "ignore"]

MOST_NAMED = 5
"""Series or lines that a message names."""


class SeriesForm(NamedTuple):
    """How the series of a table are read; what JSON can hold.

    Attributes:
      columns: that are seen and, in general, not known in advance.
      targets: those of them that are forecast.
      horizons: how many rows ahead the network answers for, in growing order.
      steps: rows forecast one by one from the network's own answers; 0 where it answers for ``horizons``.
      time: the column of times, or "".
      series: the column that tells several series apart, or "".
      known: columns whose later values are known in advance.
      calendar: what is told of the date (see `dlnotes.data.time_series.time_index.CALENDAR`).
      relative: whether the network sees, and answers with, distances from the last row of the window.
      missing: what is done about empty cells.
      gaps: what is done about missing rows.
      names: of the series, where the network is told which one it is, else empty.
      step: unit and count of `Step` between rows, or ``None`` where it is not known.
      form: of the times (see `Times`).
      date_format: by which dates are written, "" for ISO 8601's forms.
    """

    columns: tuple[str, ...]
    targets: tuple[str, ...]
    horizons: tuple[int, ...] = (1,)
    steps: int = 0
    time: str = ""
    series: str = ""
    known: tuple[str, ...] = ()
    calendar: tuple[str, ...] = ()
    relative: bool = False
    missing: Missing = "refuse"
    gaps: Gaps = "refuse"
    names: tuple[str, ...] = ()
    step: tuple[str, float] | None = None
    form: str = ""
    date_format: str = ""

    @property
    def reach(self) -> int:
        """How many rows after the last one are forecast."""
        return self.steps or self.horizons[-1]

    @property
    def told(self) -> tuple[str, ...]:
        """Names of what is known of a later row."""
        return (*self.known, *(f"{name}:{part}" for name in self.calendar for part in ("sin", "cos")))

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs of each position of a window: "price+2" is the price two rows later."""
        later = (f"{name}+{h}" for h in self.horizons for name in self.told)
        seen = (f"{name} (from its last)" for name in self.columns) if self.relative else self.columns
        return (*seen, *later, *(f"{self.series}={name}" for name in self.names))


def form_of(options: Mapping[str, Any]) -> SeriesForm:
    """A form as read back from JSON."""
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return SeriesForm(**plain)


class SeriesRows(NamedTuple):
    """One series.

    Attributes:
      name: as the table has it, "" of the only one.
      labels: what each row is called, "line 5".
      times: ``(rows + after,)`` float64, of the rows and as many after the last as could be known; empty
        without a column of times.
      values: ``(rows, columns)`` float64, missing cells filled.
      observed: ``(rows, columns)`` booleans: whether the file has the value.
      told: ``(rows + after, told)`` float64, what is known of each row in advance.
      part: ``(rows,)`` numbers that change at gaps that no window goes across.
    """

    name: str
    labels: tuple[str, ...]
    times: np.ndarray
    values: np.ndarray
    observed: np.ndarray
    told: np.ndarray
    part: np.ndarray

    def label(self, row: int) -> str:
        """What a row is called, also one after the last."""
        n = len(self.labels)
        return self.labels[row] if row < n else f"{row - n + 1} after {self.labels[-1]}"

    def time(self, row: int, form: str) -> str:
        """A row's time as the file writes it, "" where it is not known."""
        return time_in_words(float(self.times[row]), form) if row < len(self.times) else ""


def read_series(read: Table, form: SeriesForm) -> tuple[list[SeriesRows], SeriesForm]:
    """The series of a table.

    Args:
      read: the table.
      form: how it is read; where it has no step, the table's own one is taken.

    Returns:
      The series in the order of their first rows, and the form with step and form of the times.

    Raises:
      ValueError: naming file, line and column: a cell that is no number or missing, a time twice in a
        series, a gap.
    """
    names = [*filter(None, (form.time, form.series)), *form.columns, *form.known]
    for name in names:
        if name not in read.header:
            raise ValueError(f"{read.path}: column {name} is missing, it has {', '.join(read.header)}")
    table.check_names(read, names, option="columns")
    seen, known = _numbers(read, form.columns), _numbers(read, form.known)
    times = read_times(read, form.time, form.date_format) if form.time else Times(np.zeros(0), "")
    if form.form and times.form != form.form and {times.form, form.form} != {"day", "time"}:
        raise ValueError(
            f"{read.path}: column {form.time!r} holds times of the form {times.form!r}, the training data's "
            f"are of {form.form!r}"
        )
    if form.calendar and times.form == "number":
        raise ValueError(
            f"calendar: got {', '.join(form.calendar)}, the times of {read.path} are numbers and not dates"
        )
    divided = _divided(read, form, times)
    step = Step(*form.step) if form.step else None  # pyright: ignore[reportArgumentType]
    if step is None and form.time:
        step = step_of([times.values[rows] for rows in divided.values()], times.form)
    whole = form._replace(step=None if step is None else tuple(step), form=form.form or times.form)
    return [
        _series(read, whole, step, name, rows, seen, known, times) for name, rows in divided.items()
    ], whole


def _numbers(read: Table, names: Sequence[str]) -> np.ndarray:
    """``(rows, columns)`` numbers, NaN where a cell is missing."""
    found = np.full((len(read.rows), len(names)), np.nan)
    for j, name in enumerate(names):
        for i, cell in enumerate(read.column(name)):
            if cell in MISSING:
                continue
            value = read.number(cell)
            where = f"{read.path}: {read.unit} {read.lines[i]}: column {name!r} holds {cell!r}"
            if value is None:
                told = spelling(cell, read.decimal, read.thousands)
                if looks_like_a_date(cell):
                    raise ValueError(f"{where}, a date: time = {name!r} takes it as the time of its row")
                raise ValueError(
                    f"{where}, "
                    + (f"a number with {told}" if told else "numbers are needed (columns leaves others out)")
                )
            if not np.isfinite(value) or abs(value) > 1e30:
                raise ValueError(f"{where}, a finite number of at most 1e30 is needed")
            found[i, j] = value
    return found


def _divided(read: Table, form: SeriesForm, times: Times) -> dict[str, np.ndarray]:
    """The rows of each series, in the order of time where there are times.

    Raises:
      ValueError: when a series' name is empty, or a time occurs twice in a series.
    """
    found: dict[str, list[int]] = {}
    for i, name in enumerate(read.column(form.series) if form.series else [""] * len(read.rows)):
        if form.series and not name:
            raise ValueError(f"{read.path}: {read.unit} {read.lines[i]}: column {form.series!r} is empty")
        found.setdefault(name, []).append(i)
    if form.names and (unknown := [name for name in found if name not in form.names]):
        raise ValueError(
            f"{read.path}: {read.unit} {read.lines[found[unknown[0]][0]]}: series {unknown[0]!r} is unknown, "
            f"the network was trained on {_named(form.names)} (identify = false takes any)"
        )
    divided = {name: np.array(rows) for name, rows in found.items()}
    if not form.time:
        return divided
    for name, rows in divided.items():
        ordered = rows[np.argsort(times.values[rows], kind="stable")]
        same = np.flatnonzero(np.diff(times.values[ordered]) == 0)
        if same.size:
            one, other = (read.lines[i] for i in ordered[same[0] : same[0] + 2])
            of = f" of series {name!r}" if form.series else ""
            several = "" if form.series else '; series = "COLUMN" tells several series apart'
            raise ValueError(
                f"{read.path}: {read.unit}s {one} and {other}{of} have the same {form.time!r}, "
                f"{time_in_words(float(times.values[ordered[same[0]]]), times.form)}{several}"
            )
        divided[name] = ordered
    return divided


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(map(repr, names[:MOST_NAMED])) + more


def _series(
    read: Table,
    form: SeriesForm,
    step: Step | None,
    name: str,
    rows: np.ndarray,
    seen: np.ndarray,
    known: np.ndarray,
    times: Times,
) -> SeriesRows:
    values, told = seen[rows], known[rows]
    n = len(rows)
    while (
        form.known and n and np.isnan(values[n - 1]).all()
    ):  # of which only what is known in advance is told
        n -= 1
    of = f" of series {name!r}" if form.series else ""
    if not n:
        raise ValueError(f"{read.path}: {', '.join(form.columns)}{of} are empty in every row")
    labels = [f"{read.unit} {read.lines[i]}" for i in rows]
    when = times.values[rows] if form.time else np.zeros(0)
    part = np.zeros(len(rows), np.int64)
    inserted = np.zeros(len(rows), bool)
    if form.time and step is not None and len(rows) > 1 and form.gaps != "ignore":
        where = places(when, step)
        gap = np.flatnonzero(np.abs(np.diff(where) - 1) > 1e-3)
        if gap.size and form.gaps == "refuse":
            raise ValueError(_gap_in_words(read, form, step, times.form, when, where, labels, gap, of))
        if gap.size and form.gaps == "split":
            part[1:] = np.cumsum(np.abs(np.diff(where) - 1) > 1e-3)
        if gap.size and form.gaps == "interpolate":
            wrong = np.flatnonzero(np.abs(where - np.round(where)) > 1e-3)
            if wrong.size:
                raise ValueError(
                    f"gaps: got 'interpolate', {labels[wrong[0]]} of {read.path}{of} is not a whole number "
                    f"of steps after the first row ({step.in_words()}); allowed are 'split' and 'ignore'"
                )
            place = np.round(where).astype(np.int64)
            new = np.arange(place[-1] + 1)
            inserted = ~np.isin(new, place)
            at = np.maximum(np.searchsorted(place, new, side="right") - 1, 0)
            when = np.concatenate([when[:1], after(when[0], step, len(new) - 1)])
            when[place] = times.values[rows]
            labels = [f"after {labels[j]}" if i else labels[j] for j, i in zip(at, inserted)]
            values, told = (_spread(a, place, len(new)) for a in (values, told))
            part, n = np.zeros(len(new), np.int64), int(place[n - 1]) + 1
    observed = ~np.isnan(values[:n])
    values = _filled(read, form, form.columns, values[:n], inserted[:n], labels, of)
    told = _filled(read, form, form.known, told, inserted, labels, of)
    beyond = form.reach - (len(told) - n)
    if form.time and step is not None and beyond > 0:
        when = np.concatenate([when, after(when[-1], step, beyond)])
    if form.calendar:
        if step is None:
            raise ValueError(f"{read.path}: calendar needs two rows{of}, to know the times of later ones")
        given = calendar_inputs(when, form.calendar)
        m = min(len(given), len(told)) if form.known else len(given)
        told = np.concatenate([told[:m], given[:m]], axis=1) if form.known else given
    elif not form.known:
        told = np.zeros((n + form.reach, 0))
    return SeriesRows(name, tuple(labels[:n]), when, values, observed, told, part[:n])


def _spread(values: np.ndarray, place: np.ndarray, n: int) -> np.ndarray:
    """Rows at their places, NaN between them."""
    found = np.full((n, values.shape[1]), np.nan)
    found[place] = values
    return found


def _gap_in_words(
    read: Table,
    form: SeriesForm,
    step: Step,
    written: str,
    when: np.ndarray,
    where: np.ndarray,
    labels: list[str],
    gap: np.ndarray,
    of: str,
) -> str:
    i = int(gap[0])
    lost = where[i + 1] - where[i] - 1
    whole = abs(lost - round(lost)) < 1e-3 and lost > 0
    told = f"{round(lost)} row{'s' if round(lost) > 1 else ''} missing" if whole else "not at a whole step"
    more = f", and {gap.size - 1} more such places" if gap.size > 1 else ""
    return (
        f"{read.path}: {labels[i + 1]}{of}: {time_in_words(when[i + 1], written)} follows "
        f"{time_in_words(when[i], written)}, {told} ({step.in_words()}){more}; gaps = 'split' lets no window "
        "go across, 'interpolate' fills them, 'ignore' takes the rows as they follow"
    )


def _filled(
    read: Table,
    form: SeriesForm,
    names: Sequence[str],
    values: np.ndarray,
    inserted: np.ndarray,
    labels: list[str],
    of: str,
) -> np.ndarray:
    """Values without a missing cell.

    Raises:
      ValueError: naming the line and column of a cell that cannot be filled.
    """
    values = values.copy()
    rows = np.arange(len(values))
    for j, name in enumerate(names):
        lost = np.isnan(values[:, j])
        if not lost.any():
            continue
        if form.missing == "refuse" and (empty := np.flatnonzero(lost & ~inserted[: len(lost)])).size:
            raise ValueError(
                f'{read.path}: {labels[empty[0]]}: column {name!r} is empty{of} (missing = "interpolate" or '
                '"previous" in [data] fills empty cells)'
            )
        have = np.flatnonzero(~lost)
        if not have.size:
            raise ValueError(f"{read.path}: column {name!r}{of} is empty in every row")
        if have[0] > 0:
            raise ValueError(
                f"{read.path}: {labels[0]}: column {name!r}{of} is empty before its first number, "
                f"{labels[have[0]]}: no value can be taken for it; begin there"
            )
        if form.missing == "interpolate" and have[-1] < len(values) - 1 and not inserted[have[-1] + 1]:
            raise ValueError(
                f"{read.path}: {labels[have[-1] + 1]}: column {name!r}{of} is empty after its last number, "
                'nothing to interpolate to: missing = "previous" takes the last number'
            )
        if form.missing == "previous":
            values[lost, j] = values[have[np.searchsorted(have, rows[lost]) - 1], j]
        else:
            values[lost, j] = np.interp(rows[lost], have, values[have, j])
    return values


def check_form(form: SeriesForm, path: str | Path, header: Sequence[str]) -> None:
    """Check that the columns of a form are in a header, and fit together.

    Raises:
      ValueError: naming the option, the value got, and what is allowed.
    """
    for option, name in (("time", form.time), ("series", form.series)):
        if name and name not in header:
            raise ValueError(f"{option}: got {name!r}, the columns of {path} are {', '.join(header)}")
    taken = [form.time, form.series]
    free = [name for name in header if name not in filter(None, taken)]
    for option, names, allowed in (
        ("columns", form.columns, free),
        ("known", form.known, free),
        ("targets", form.targets, form.columns),
    ):
        for i, name in enumerate(names):
            if name not in allowed or name in names[:i]:
                raise ValueError(f"{option}: got {name!r}, allowed are (once) {', '.join(allowed)} of {path}")
    if form.date_format and not form.time:
        raise ValueError(f'date_format: got {form.date_format!r} without a column of dates: time = "COLUMN"')
    for name in form.calendar:
        if name not in CALENDAR or not form.time:
            allowed = ", ".join(CALENDAR)
            raise ValueError(
                f"calendar: got {name!r} "
                + (
                    'without a column of dates: time = "COLUMN"'
                    if name in CALENDAR
                    else f", allowed are {allowed}"
                )
            )
    if form.steps and (other := [name for name in form.columns if name not in form.targets]):
        raise ValueError(
            f"steps: got {form.steps}, step by step each column that is seen must be forecast or be known in "
            f"advance; {', '.join(other)} of {path} {'is' if len(other) == 1 else 'are'} neither "
            "(targets, known or columns; or horizon = [1, 2, 3] without steps)"
        )
