"""Numbers and dates as people and programs write them: read by options, never guessed."""

from __future__ import annotations

import re
from datetime import UTC, datetime

MISSING = frozenset(
    ("", "#N/A", "#NA", "<NA>", "N/A", "n/a", "NA", "NULL", "null", "NaN", "nan", "-NaN", "-nan", "None", "?")
)
"""What stands for no number in a column of numbers; in a column of texts only an empty cell does."""

_SPACES = " \u00a0\u2009\u202f"
_DIGITS = rf"\d[\d.,'’_{_SPACES}]*"
_SIGN = r"[-+−–]?"
_CURRENCY = r"(?:[$€£¥₹₽₩]|(?:USD|EUR|GBP|CHF|JPY|CNY|INR)\b)"
_SPELLED = (
    (rf"{_SIGN}{_DIGITS}\s*[%‰]", "a percent sign: write 0.12 for 12%"),
    (rf"{_SIGN}\s*{_CURRENCY}\s*{_SIGN}{_DIGITS}", "a currency: write the number alone"),
    (rf"{_SIGN}{_DIGITS}\s*(?:[$€£¥₹₽₩]|USD|EUR|GBP|CHF|JPY|CNY|INR)", "a currency: write the number alone"),
    (r"[−–]\d+(?:[.,]\d+)?", "a minus sign that is not '-': write -5"),
    (rf"\({_DIGITS}\)|\d+(?:[.,]\d+)?-", "brackets or a sign behind: write -5"),
    (r"'[-+]?\d+(?:[.,]\d+)?", "an apostrophe before it: write the number alone"),
    (r"[-+]?\d+\.?\d*[dD][-+]?\d+", "the exponent D: write 1e5"),
)
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.](\d{2}|\d{4})( .*)?"
    r"|\d{1,2}[- .]?(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[- .,]*(\d{2}|\d{4})",
    re.IGNORECASE,
)


def number(cell: str, decimal: str = ".", thousands: str = "") -> float | None:
    """The cell as a float, or ``None`` where it is not written as one.

    Args:
      cell: without spaces around it.
      decimal: the mark before the decimals.
      thousands: the mark between groups of three digits; none if empty. A space stands for narrow and
        unbreakable ones too.

    >>> number("1.234,5", decimal=",", thousands="."), number("1,5")
    (1234.5, None)
    """
    if "_" in cell and thousands != "_":
        return None
    if thousands:
        if thousands == " ":
            cell = re.sub(f"[{_SPACES}]", " ", cell)
        if thousands == "'":
            cell = cell.replace("’", "'")
        if thousands in cell:
            whole, mark, rest = cell.partition(decimal)
            if not re.fullmatch(rf"[-+]?\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+", whole):
                return None
            cell = whole.replace(thousands, "") + mark + rest
    if decimal != ".":
        if "." in cell:
            return None
        cell = cell.replace(decimal, ".")
    try:
        return float(cell)
    except ValueError:
        return None


def label(value: float) -> str:
    """A number as the name of a class: without a point where it is whole.

    >>> label(-1.0), label(2.50)
    ('-1', '2.5')
    """
    return str(int(value)) if value == int(value) else repr(float(value))


def spelling(cell: str, decimal: str = ".", thousands: str = "") -> str:
    """How a cell that is no number by the options still looks like one, and what helps; "" if it does not.

    >>> spelling("20,5")
    'a decimal comma: set decimal = ","'
    """
    for mark, groups in ((",", "."), (".", ",")):
        name = "comma" if mark == "," else "point"
        grouped = re.fullmatch(rf"[-+]?\d{{1,3}}(?:\{mark}\d{{3}})+(?:\{groups}\d+)?", cell)
        if grouped and mark != thousands and not (mark == decimal and cell.count(mark) == 1):
            if mark == "," and cell.count(mark) == 1 and groups not in cell:
                return 'a comma: set thousands = ",", or decimal = "," where it is before the decimals'
            more = (
                f', decimal = "{groups}"' if mark == decimal or (groups in cell and groups != decimal) else ""
            )
            return f'a {name} between thousands: set thousands = "{mark}"{more}'
        if mark == decimal:
            continue
        if re.fullmatch(rf"[-+]?(?:\d{{1,3}}(?:\{groups}\d{{3}})+|\d*)\{mark}\d+(?:[eE][-+]?\d+)?", cell):
            more = f', thousands = "{groups}"' if groups in cell and groups != thousands else ""
            return f'a decimal {name}: set decimal = "{mark}"{more}'
    for mark, name in ((" ", "spaces"), ("'", "apostrophes"), ("_", "underscores")):
        marks = f"[{_SPACES}]" if mark == " " else "['’]" if mark == "'" else mark
        if mark != thousands and re.fullmatch(rf"[-+]?\d{{1,3}}(?:{marks}\d{{3}})+(?:[.,]\d+)?", cell):
            more = ', decimal = ","' if "," in cell and decimal != "," else ""
            return f'{name} between thousands: set thousands = "{mark}"{more}'
    for pattern, what in _SPELLED:
        if re.fullmatch(pattern, cell):
            return what
    return ""


def looks_like_a_date(cell: str) -> bool:
    """Whether a cell is written as a date, in any of the usual orders.

    >>> looks_like_a_date("2020-01-31 12:00"), looks_like_a_date("31.12.20"), looks_like_a_date("1.5")
    (True, True, False)
    """
    return _DATE.fullmatch(cell) is not None


def days(cell: str, form: str = "") -> tuple[float, bool] | None:
    """Days since 1970-01-01 of a date, and whether it names its time zone; ``None`` of what is no date.

    Args:
      cell: the date.
      form: as of `datetime.strptime`; by default ISO 8601's.

    >>> days("1970-01-02T12:00"), days("31.12.2020")
    ((1.5, False), None)
    >>> days("02.01.1970", "%d.%m.%Y")
    (1.0, False)
    """
    try:
        found = datetime.strptime(cell, form) if form else datetime.fromisoformat(cell)
    except ValueError:
        return None
    aware = found.tzinfo is not None
    found = found if aware else found.replace(tzinfo=UTC)
    return (found - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() / 86400, aware
