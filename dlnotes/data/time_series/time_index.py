"""Times of a series' rows: read from dates or numbers, the step between them, gaps, and what comes after.

Dates are in ISO 8601's form (2020-12-31, 2020-12-31T23:59, 20201231, or a month, 2020-12). Numbers (years,
say) are times too. All are float64: seconds since 1970-01-01 of dates, numbers as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

import numpy as np

from dlnotes.data.csv_table import Table
from dlnotes.data.spelled_numbers import MISSING

DAY = 86400.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTH = re.compile(r"\d{4}-\d{2}")

Unit = Literal["months", "business days", "seconds", "numbers"]


class Step(NamedTuple):
    """The time from a row to the next: so many of a unit.

    Attributes:
      unit: "months" of the calendar, "business days" (Monday to Friday), "seconds", or "numbers".
      count: how many.
    """

    unit: Unit
    count: float

    def in_words(self) -> str:
        """A row's distance from the next, such as "a row every 2 hours"."""
        if self.unit == "business days":
            return "a row every business day"
        if self.unit == "numbers":
            return f"a row every {self.count:g}"
        sizes: tuple[tuple[float, str], ...] = ((12, "year"), (1, "month"))
        if self.unit == "seconds":
            sizes = ((7 * DAY, "week"), (DAY, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
        size, name = next(((s, n) for s, n in sizes if self.count % s == 0), (1, sizes[-1][1]))
        many = self.count / size
        return f"a row every {name}" if many == 1 else f"a row every {many:g} {name}s"


class Times(NamedTuple):
    """A column of times.

    Attributes:
      values: ``(rows,)`` float64.
      form: how they are written: "number", "month", "day", "time", "zoned" (in UTC).
    """

    values: np.ndarray
    form: str


def read_times(read: Table, name: str, date_format: str = "") -> Times:
    """The times of a table's rows.

    Args:
      read: the table.
      name: of the column.
      date_format: of dates, as of `datetime.strptime`; by default ISO 8601's forms, or numbers.

    Raises:
      ValueError: naming file and line, when a cell is neither a date nor a number, or dates and numbers are
        mixed, or some name a time zone and others do not.
    """
    forms: dict[str, int] = {}
    values = []
    for line, cell in zip(read.lines, read.column(name)):
        where = f"{read.path}: {read.unit} {line}: column {name!r}"
        if cell in MISSING:
            raise ValueError(f"{where} is empty, a time is needed in every row")
        value, form = _formatted(cell, date_format) if date_format else _time(read, cell)
        if value is None:
            needed = "such as 2020-12-31, 2020-12 or 2020-12-31T23:59, or a number is needed"
            hint = ' (date_format = "%d.%m.%Y" reads others)'
            raise ValueError(
                f"{where} holds {cell!r}, a date "
                + (f"of the form {date_format} is needed" if date_format else needed + hint)
            )
        forms.setdefault(form, line)
        values.append(value)
    if len(forms) > 1 and set(forms) != {"day", "time"}:
        (one, first), (other, second), *_ = forms.items()
        raise ValueError(
            f"{read.path}: column {name!r}: {read.unit} {first} is a {_FORMS[one]}, {read.unit} {second} a "
            f"{_FORMS[other]}"
        )
    return Times(np.array(values, np.float64), "time" if "time" in forms else next(iter(forms)))


_FORMS = {
    "number": "number",
    "month": "month",
    "day": "date without a time zone",
    "time": "date without a time zone",
    "zoned": "date with a time zone",
}


def _formatted(cell: str, date_format: str) -> tuple[float | None, str]:
    try:
        return _of_date(datetime.strptime(cell, date_format))
    except ValueError:
        return None, ""


def _of_date(found: datetime) -> tuple[float, str]:
    zoned = found.tzinfo is not None
    found = found if zoned else found.replace(tzinfo=UTC)
    whole = not (found.hour or found.minute or found.second or found.microsecond)
    return (found - _EPOCH).total_seconds(), "zoned" if zoned else "day" if whole else "time"


def _time(read: Table, cell: str) -> tuple[float | None, str]:
    if _MONTH.fullmatch(cell):
        cell, form = f"{cell}-01", "month"
    elif (value := read.number(cell)) is not None and not re.fullmatch(r"(1[5-9]|2[0-9])\d{6}", cell):
        return (value if np.isfinite(value) and abs(value) < 1e15 else None), "number"
    else:
        form = ""
    try:
        found = datetime.fromisoformat(cell)
    except ValueError:
        return None, ""
    value, own = _of_date(found)
    return value, form or own


def time_in_words(value: float, form: str) -> str:
    """A time as the file writes it.

    >>> time_in_words(86400.0, "day"), time_in_words(1700.0, "number")
    ('1970-01-02', '1700')
    """
    if form == "number":
        return str(int(value)) if value == int(value) else repr(float(value))
    date = _date(value)
    if form in ("month", "day"):
        return date.strftime("%Y-%m" if form == "month" else "%Y-%m-%d")
    return (date if form == "zoned" else date.replace(tzinfo=None)).isoformat()


def _date(value: float) -> datetime:
    return _EPOCH + timedelta(seconds=float(value))


def step_of(times: Sequence[np.ndarray], form: str) -> Step | None:
    """The step between the rows of some series, each in the order of time; ``None`` where no row has a next.

    It is the commonest one; gaps are for `places` to find.
    """
    pairs = [np.stack([t[:-1], t[1:]]) for t in times if len(t) > 1]
    if not pairs:
        return None
    both = np.concatenate(pairs, axis=1)
    if form == "number":
        return Step("numbers", _commonest(np.round(np.diff(both, axis=0)[0], 9)))
    if (months := _months(both)) is not None:
        return Step("months", _commonest(np.diff(months, axis=0)[0]))
    seconds = np.round(np.diff(both, axis=0)[0], 3)
    count = _commonest(seconds)
    day_of_week = np.floor(both / DAY).astype(np.int64) + 3  # 1970-01-01 was a Thursday; Monday is 0
    if count == DAY and (seconds % DAY == 0).all() and (day_of_week % 7 < 5).all() and (seconds > DAY).any():
        return Step("business days", 1)
    return Step("seconds", count)


def _commonest(values: np.ndarray) -> float:
    found, counts = np.unique(values, return_counts=True)
    return float(found[np.argmax(counts)])


def _months(times: np.ndarray) -> np.ndarray | None:
    """Times as numbers of months, where all are on one day of the month or on its last, at one hour."""
    if np.ptp(times % DAY):
        return None
    days = (times // DAY).astype(np.int64).astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    of_month = (days - months.astype("datetime64[D]")).astype(np.int64)
    last = (days + 1).astype("datetime64[M]") != months
    if np.ptp(of_month) and not last.all():
        return None
    return months.astype(np.int64)


def places(times: np.ndarray, step: Step) -> np.ndarray:
    """How many steps each time is after the first one, float64: whole numbers where times are regular."""
    if step.unit == "months":
        months = _months(times)
        if months is not None:
            return (months - months[0]) / step.count
        days = (times // DAY).astype(np.int64).astype("datetime64[D]")
        whole = days.astype("datetime64[M]")
        part = (days - whole.astype("datetime64[D]")).astype(np.float64) / 31
        found = whole.astype(np.int64) + part
        return (found - found[0]) / step.count
    if step.unit == "business days":
        days = (times // DAY).astype(np.int64).astype("datetime64[D]")
        return np.busday_count(days[0], days).astype(np.float64) + 0.5 * ~np.is_busday(days)
    return (times - times[0]) / step.count


def after(time: float, step: Step, n: int) -> np.ndarray:
    """The ``n`` times that follow a time, step by step."""
    k = np.arange(1, n + 1)
    if step.unit in ("numbers", "seconds"):
        return time + k * step.count
    day = np.int64(time // DAY).astype("datetime64[D]")
    if step.unit == "business days":
        days = np.busday_offset(day, k, roll="backward")
    else:
        month = day.astype("datetime64[M]")
        months = month + (k * int(step.count)).astype("timedelta64[M]")
        last = (months + 1).astype("datetime64[D]") - 1
        of_month = day - month.astype("datetime64[D]")
        at_end = (day + 1).astype("datetime64[M]") != month
        days = last if at_end else np.minimum(months.astype("datetime64[D]") + of_month, last)
    return days.astype(np.int64) * DAY + time % DAY


CALENDAR: dict[str, float] = {"hour": 24, "weekday": 7, "day": 31, "day_of_year": 365.25, "month": 12}
"""What a date tells, and how long it takes to come round."""


def calendar_inputs(times: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """``(rows, 2 · names)``: the sine and cosine of the hour, the weekday, … of each time.

    >>> calendar_inputs(np.array([0.0, 43200.0]), ["hour"]).round(3).tolist()
    [[0.0, 1.0], [0.0, -1.0]]
    """
    found = np.zeros((len(times), 2 * len(names)))
    days = np.floor(times / DAY).astype(np.int64).astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    kinds: dict[str, Any] = {
        "hour": times % DAY / 3600,
        "weekday": (np.floor(times / DAY) + 3) % 7,
        "day": (days - months.astype("datetime64[D]")).astype(np.float64),
        "day_of_year": (days - days.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.float64),
        "month": months.astype(np.int64) % 12,
    }
    for j, name in enumerate(names):
        angle = 2 * np.pi * kinds[name] / CALENDAR[name]
        found[:, 2 * j], found[:, 2 * j + 1] = np.sin(angle), np.cos(angle)
    return found
