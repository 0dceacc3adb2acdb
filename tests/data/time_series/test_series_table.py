"""Series of a table: several of them, dates, gaps, missing cells, calendars, what is known in advance."""

# pyright: reportOptionalMemberAccess=false, reportArgumentType=false, reportOptionalOperand=false, reportAttributeAccessIssue=false

from datetime import date, timedelta

import numpy as np
import pytest

import dlnotes.data as data
from dlnotes.data.time_series.csv_series import read_windows
from dlnotes.data.time_series.forecasting import forecast
from dlnotes.data.time_series.time_index import Step, after, step_of, time_in_words

START = date(2024, 1, 1)


def write(path, rows, header="day,load"):
    path.write_text(header + "\n" + "\n".join(",".join(map(str, row)) for row in rows) + "\n")
    return path


def days(n, step=1, first=START):
    return [first + timedelta(days=step * i) for i in range(n)]


def seconds(dates):
    return np.array([(d - date(1970, 1, 1)).days * 86400.0 for d in dates])


def raw(d, part="train"):
    examples = d.split(part)
    return d.standardize.inverse(examples.x), d.standardize_y.inverse(examples.y)


@pytest.mark.parametrize(("horizon", "validation", "test"), [(1, 0.1, 0.2), (3, 7, 0), (2, 0, 5)])
def test_one_series_is_cut_as_the_generated_ones_are(tmp_path, horizon, validation, test):
    values = np.random.default_rng(0).normal(3, 2, (70, 2)).round(4)
    options = {"window": 5, "horizon": horizon, "validation": validation, "test": test, "standardize": True}
    oracle = forecast("own", values, features=("a", "b"), targets=("b",), **options)
    got = data.csv_series(write(tmp_path / "own.csv", values, "a,b"), targets=["b"], **options)
    for part in ("train", "validation", "test"):
        one, other = getattr(oracle, part), getattr(got, part)
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_array_equal(one.x, other.x)
            np.testing.assert_array_equal(one.y, other.y)
    assert dict(got.reading) == {"form": "windows", "table": got.reading["table"]}  # as older runs kept it


def test_several_rows_ahead_are_several_targets(tmp_path):
    values = np.arange(60.0)[:, None] * [1, 100]
    path = write(tmp_path / "own.csv", values, "a,b")
    d = data.csv_series(path, window=4, horizon=[1, 3])
    x, y = raw(d)
    np.testing.assert_allclose(x[5][-1], values[8], rtol=1e-5)
    np.testing.assert_allclose(y[5], [9, 900, 11, 1100], rtol=1e-5)
    assert d.forecast == (("a+1", "b+1", "a+3", "b+3"), 3)
    windows, series, form = read_windows(path, d)
    assert np.isnan(windows.y[-1]).all()
    np.testing.assert_array_equal(windows.x[-1], values[-4:])
    assert (series[0].label(59), series[0].label(61)) == ("line 61", "2 after line 61")
    assert form.reach == 3


def test_series_below_one_another_keep_apart(tmp_path):
    rng = np.random.default_rng(1)
    rows = [
        (d, name, round(level + rng.normal(), 3)) for d in days(50) for name, level in (("b", 0), ("a", 90))
    ]
    order = rng.permutation(len(rows))  # the dates put them in order
    path = write(tmp_path / "own.csv", [rows[i] for i in order], "day,who,load")
    d = data.csv_series(path, time="day", series="who", identify=True, window=6, validation=4, test=5)
    x, y = raw(d)
    name = x[:, 0, 1:].round().astype(int)
    assert d.features == ("load", *(f"who={n}" for n in dict.fromkeys(rows[i][1] for i in order)))
    np.testing.assert_array_equal(name, x[:, -1, 1:].round())
    high = (x[:, :, 0] > 45).mean(axis=1)
    assert set(high) == {0.0, 1.0}
    np.testing.assert_array_equal(high, (y[:, 0] > 45))
    assert (d.validation.size, d.test.size) == (8, 10)
    last = {name: [load for _, n, load in rows if n == name][-1] for name in "ab"}
    np.testing.assert_allclose(sorted(raw(d, "test")[1][[4, 9], 0]), sorted(last.values()), rtol=1e-4)
    other = write(tmp_path / "new.csv", [(d, "c", 1) for d in days(9)], "day,who,load")
    with pytest.raises(
        ValueError, match=r"line 2: series 'c' is unknown, .* 'b'|line 2: series 'c' is unknown"
    ):
        data.read_inputs(other, d)


def test_what_is_known_in_advance_is_seen_in_time(tmp_path):
    n = 40
    rows = [(d, i if i < n else "", 1000 + i) for i, d in enumerate(days(n + 3))]
    path = write(tmp_path / "own.csv", rows, "day,load,price")
    d = data.csv_series(path, time="day", known=["price"], calendar=["weekday"], window=3, horizon=[1, 2])
    assert d.features[:4] == ("load", "price+1", "weekday:sin+1", "weekday:cos+1")
    windows, series, _ = read_windows(path, d)
    assert len(windows.x) == n - 2
    np.testing.assert_array_equal(windows.x[-1][:, 0], [37, 38, 39])
    np.testing.assert_array_equal(windows.x[-1][:, 1], [1038, 1039, 1040])
    np.testing.assert_array_equal(windows.x[-1][:, 4], [1039, 1040, 1041])
    weekday = 2 * np.pi * days(n + 3)[n].weekday() / 7
    np.testing.assert_allclose(windows.x[-1][-1, 2:4], [np.sin(weekday), np.cos(weekday)], atol=1e-9)
    assert series[0].time(n, "day") == str(days(n + 3)[n])
    short = write(tmp_path / "short.csv", rows[: n - 30], "day,load,price")
    assert len(read_windows(short, d)[0].x) == 6  # the last two rows tell the price only
    with pytest.raises(ValueError, match="must be known 2 rows after a window's last one"):
        read_windows(write(tmp_path / "shorter.csv", rows[:4], "day,load,price"), d)


def test_missing_cells_and_rows_are_mended_and_are_no_targets(tmp_path):
    cells = [float(i) for i in range(30)]
    rows = [(d, "" if i == 12 else c) for i, (d, c) in enumerate(zip(days(30), cells)) if i not in (20, 21)]
    path = write(tmp_path / "own.csv", rows)
    options = {"time": "day", "window": 3, "validation": 0, "test": 0}
    d = data.csv_series(path, missing="interpolate", gaps="interpolate", **options)
    x, y = raw(d)
    np.testing.assert_allclose(x[:, -1, 0] + 1, y[:, 0], atol=1e-4)
    assert set(range(3, 30)) - set(y[:, 0].round()) == {12, 20, 21}
    y = raw(data.csv_series(path, missing="previous", gaps="split", **options))[1]
    assert set(range(3, 30)) - set(y[:, 0].round()) == {12, 20, 21, 22, 23, 24}
    x = raw(data.csv_series(path, missing="previous", gaps="ignore", **options))[0]
    assert [11, 11, 13] in x[:, :, 0].round().tolist()
    assert [18, 19, 22] in x[:, :, 0].round().tolist()


@pytest.mark.parametrize(
    ("dates", "form", "step", "following"),
    [
        (days(5), "day", ("seconds", 86400.0), ["2024-01-06", "2024-01-07"]),
        (days(5, 7), "day", ("seconds", 604800.0), ["2024-02-05", "2024-02-12"]),
        ([date(2023, m, 28) for m in (1, 2, 3)], "day", ("months", 1), ["2023-04-28", "2023-05-28"]),
        (
            [date(2023, 11, 30), date(2023, 12, 31), date(2024, 1, 31)],
            "day",
            ("months", 1),
            ["2024-02-29", "2024-03-31"],
        ),
        ([date(y, 1, 1) for y in (2020, 2021, 2022)], "month", ("months", 12), ["2023-01", "2024-01"]),
        (
            [d for d in days(12) if d.weekday() < 5],
            "day",
            ("business days", 1),
            ["2024-01-15", "2024-01-16"],
        ),
    ],
)
def test_the_step_between_dates_and_what_follows(dates, form, step, following):
    times = seconds(dates)
    found = step_of([times], form)
    assert found == step
    assert [time_in_words(t, form) for t in after(times[-1], found, 2)] == following


def test_years_as_numbers_follow_one_another(tmp_path):
    assert step_of([np.array([1700.0, 1701.0, 1702.0])], "number") == Step("numbers", 1)
    d = data.csv_series(write(tmp_path / "own.csv", [(1700 + i, i) for i in range(40)]), time="day", window=3)
    series = read_windows(tmp_path / "own.csv", d)[1]
    assert series[0].time(40, "number") == "1740"


NAMES = {"time": "day", "window": 3}
FAULTS = [
    (
        "duplicate",
        [(d, 1) for d in [*days(9), days(9)[4]]],
        NAMES,
        "lines 6 and 11 have the same 'day', 2024-01-05",
    ),
    (
        "gap",
        [(d, 1) for i, d in enumerate(days(20)) if i != 8],
        NAMES,
        "line 10: 2024-01-10 follows 2024-01-08, 1 row",
    ),
    ("no date", [("5/1/2024", 1)] * 9, NAMES, "line 2: column 'day' holds '5/1/2024', a date such as"),
    ("empty date", [("", 1)] * 9, NAMES, "line 2: column 'day' is empty, a time is needed"),
    ("mixed dates", [(2024, 1), *((d, 1) for d in days(9))], NAMES, "line 2 is a number, line 3 a date"),
    (
        "zones",
        [("2024-01-01T00:00Z", 1), ("2024-01-01T01:00", 1)],
        NAMES,
        "line 2 is a date with a time zone",
    ),
    (
        "empty cell",
        [(d, "" if i == 3 else 1) for i, d in enumerate(days(20))],
        NAMES,
        "line 5: column 'load' is empty",
    ),
    (
        "empty end",
        [(d, "" if i > 17 else 1) for i, d in enumerate(days(20))],
        NAMES | {"missing": "interpolate"},
        "line 20: column 'load' is empty after its last number",
    ),
    (
        "empty start",
        [(d, "" if i < 2 else 1) for i, d in enumerate(days(20))],
        NAMES | {"missing": "previous"},
        "line 2: column 'load' is empty before its first number, line 4",
    ),
    (
        "short",
        [(d, 1) for d in days(9)],
        NAMES,
        "9 steps are too few for windows of 3, 1 step ahead, in each of 3",
    ),
    ("no such time", [(d, 1) for d in days(9)], {"time": "date"}, "time: got 'date', the columns of"),
    (
        "calendar of numbers",
        [(i, 1) for i in range(20)],
        NAMES | {"calendar": ["hour"]},
        "are numbers and not dates",
    ),
    (
        "calendar alone",
        [(1, 1)] * 20,
        {"calendar": ["hour"]},
        "calendar: got 'hour' without a column of dates",
    ),
    ("horizons", [(d, 1) for d in days(20)], NAMES | {"horizon": [2, 1]}, r"horizon: got \[2, 1\], allowed"),
    (
        "steps",
        [(d, 1) for d in days(20)],
        NAMES | {"horizon": 2, "steps": 3},
        "steps: got 3 with horizon = 2",
    ),
    (
        "text",
        [(d, "much") for d in days(20)],
        NAMES,
        "line 2: column 'load' holds 'much', numbers are needed",
    ),
    ("comma", [(d, '"1,5"') for d in days(20)], NAMES, "a number with a decimal comma"),
    ("identify", [(d, 1) for d in days(20)], NAMES | {"identify": True}, "identify: got true without series"),
    ("all known", [(d, 1) for d in days(20)], NAMES | {"known": ["load"]}, "columns: none is left"),
]


@pytest.mark.parametrize(("rows", "options", "message"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_faults_are_named(tmp_path, rows, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        data.csv_series(write(tmp_path / "own.csv", rows), **options)
    assert "\n" not in str(caught.value)


def test_faults_of_several_series_are_named(tmp_path):
    rows = [(d, "a", 1) for d in days(30)] + [(d, "b", 2) for d in days(5)]
    path = write(tmp_path / "own.csv", rows, "day,who,load")
    with pytest.raises(ValueError, match="'b' has 5: these steps are too few for windows of 4"):
        data.csv_series(path, time="day", series="who", window=4)
    with pytest.raises(ValueError, match='series = "COLUMN" tells several series apart'):
        data.csv_series(path, time="day", columns=["load"], window=4)
    with pytest.raises(ValueError, match="line 4: column 'who' is empty"):
        data.csv_series(
            write(path, [*rows[:2], (days(3)[2], "", 1)], "day,who,load"), series="who", columns=["load"]
        )
    two = [(d, i, -i) for i, d in enumerate(days(30))]
    with pytest.raises(ValueError, match="steps: got 2, .*b of .* is neither"):
        data.csv_series(write(path, two, "day,a,b"), time="day", targets=["a"], steps=2, window=3)


def test_files_as_strangers_write_them(tmp_path):
    path = tmp_path / "own.csv"
    lines = [f'"{d}";"{i},5"' for i, d in enumerate(days(25))]
    path.write_bytes(("\ufeffday;größe\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode())
    d = data.csv_series(path, time="day", window=3, delimiter=";", decimal=",")
    np.testing.assert_allclose(raw(d)[0][0, :, 0], [0.5, 1.5, 2.5], atol=1e-5)
    assert d.features == ("größe",)
    path.write_text("day,load\n")
    with pytest.raises(ValueError, match="no rows under the header"):
        data.csv_series(path)


def test_dates_of_another_form_are_those_of_iso(tmp_path):
    """With a form of their own the same days give the same windows; the days after the last are ISO's."""
    dates, values = days(60), np.random.default_rng(0).normal(size=60).round(3)
    iso = write(tmp_path / "iso.csv", zip(dates, values))
    other = write(tmp_path / "other.csv", [(f"{d:%d.%m.%Y}", v) for d, v in zip(dates, values)])
    options = {"time": "day", "window": 4, "calendar": ["weekday"]}
    known = data.csv_series(iso, **options)
    made = data.csv_series(other, date_format="%d.%m.%Y", **options)
    np.testing.assert_array_equal(known.train.x, made.train.x)
    np.testing.assert_array_equal(known.test.y, made.test.y)
    _, (rows,), form = read_windows(other, made)
    assert form.date_format == "%d.%m.%Y"
    assert rows.time(60, form.form) == str(dates[-1] + timedelta(days=1))
    with pytest.raises(ValueError, match=r"line 2: .* a date such as .*date_format = "):
        data.csv_series(other, **options)
    with pytest.raises(ValueError, match=r"line 2: .* a date of the form %d.%m.%Y is needed"):
        data.csv_series(iso, date_format="%d.%m.%Y", **options)
    with pytest.raises(ValueError, match="without a column of dates"):
        data.csv_series(iso, columns=["load"], date_format="%d.%m.%Y")
