"""Parquet tables: the same data set as from a CSV file, and the same from disk as in memory."""

import datetime
from decimal import Decimal

import numpy as np
import pytest

from dlnotes import data
from dlnotes.config import parse
from dlnotes.data import in_file, parquet
from dlnotes.data.in_file import InFile
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import run

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
PARTS = ("train", "validation", "test")


def columns(n=90):
    rng = np.random.default_rng(0)
    return {
        "a": rng.normal(size=n),
        "b": rng.normal(3, 2, n).astype(np.float32),
        "count": rng.integers(-5, 2**40, n),
        "flag": rng.random(n) < 0.5,
    }


def labeled(**more):
    found = columns() | more
    return found | {"label": np.where(found["a"] > 0, "yes", "no")}


def write(path, found, **options):
    pq.write_table(found if isinstance(found, pa.Table) else pa.table(found), path, **options)
    return path


def as_csv(path, found):
    def cell(value):
        value = value.item() if isinstance(value, np.generic) else value
        return str(int(value)) if isinstance(value, bool) else str(value)

    lines = [",".join(found), *(",".join(map(cell, row)) for row in zip(*found.values()))]
    path.write_text("\n".join(lines) + "\n")
    return path


def same(one, other):
    for part in PARTS:
        a, b = getattr(one, part), getattr(other, part)
        np.testing.assert_array_equal(np.asarray(a.x), np.asarray(b.x))
        np.testing.assert_array_equal(a.y, b.y)
    assert (one.features, one.classes, one.task) == (other.features, other.classes, other.task)


@pytest.mark.parametrize("target", ["label", "a", "count", "flag"])
def test_it_is_the_data_set_of_a_csv_file_with_the_same_cells(target, tmp_path):
    found = labeled(color=np.array(["red", "blue", "green"])[np.arange(90) % 3])
    one = data.csv(write(tmp_path / "t.parquet", found, row_group_size=40), target=target)
    same(one, data.csv(as_csv(tmp_path / "t.csv", found), target=target))


@pytest.mark.parametrize("groups", [7, 1000])
@pytest.mark.parametrize("target", ["label", "a"])
def test_a_large_one_stays_on_disk_and_gives_the_same_numbers(target, groups, tmp_path, monkeypatch):
    found = labeled() if target == "label" else columns()
    path = write(tmp_path / "t.parquet", found, row_group_size=groups)
    whole = data.csv(path, target=target)
    monkeypatch.setattr(in_file, "MOST", 500)
    monkeypatch.setattr(parquet, "_ROWS", 16)
    for _ in range(2):  # the second time it is unpacked already
        own = data.csv(path, target=target)
        assert isinstance(own.train.x, InFile)
        same(own, whole)
        for name in ("mean", "scale"):
            np.testing.assert_array_equal(getattr(own.standardize, name), getattr(whole.standardize, name))
        monkeypatch.setattr(parquet, "_unpack", None)


def test_another_file_of_the_same_name_is_unpacked_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(in_file, "MOST", 500)
    first = np.asarray(data.csv(write(tmp_path / "t.parquet", labeled()), target="label").train.x)
    other = write(tmp_path / "t.parquet", labeled(b=np.arange(90.0)))
    assert (np.asarray(data.csv(other, target="label").train.x) != first).any()


def test_dates_decimals_missing_cells_and_coded_texts(tmp_path):
    days = [datetime.date(2020, 1, 1) + datetime.timedelta(i) for i in range(20)]
    found = {
        "day": days,
        "time": pa.array([datetime.datetime(2020, 1, 1, 12, i) for i in range(20)]),
        "price": [Decimal(i) / 4 for i in range(20)],
        "age": [None if i == 3 else i for i in range(20)],
        "color": pa.array(["red", "blue"] * 10).dictionary_encode(),
        "y": np.arange(20) + 0.5,
    }
    path = write(tmp_path / "t.parquet", found)
    made = data.csv(path, target="y", dates=["day", "time"], impute="median", standardize=False)
    assert made.features == ("day", "time", "price", "age", "color=blue", "color=red", "age=")
    x = np.concatenate([getattr(made, part).x for part in PARTS])
    y = np.concatenate([getattr(made, part).y for part in PARTS])[:, 0]
    x = x[np.argsort(y)]
    np.testing.assert_allclose(x[:, 0], np.arange(18262, 18282))
    np.testing.assert_allclose(x[:, 1], 18262.5 + np.arange(20) / 1440, rtol=1e-6)
    np.testing.assert_array_equal(x[:, 2], np.arange(20) / 4)
    np.testing.assert_array_equal(x[:, 6], np.arange(20) == 3)
    with pytest.raises(ValueError, match="row 3: column 'age' is empty"):
        data.csv(path, target="y", dates=["day", "time"])


@pytest.mark.parametrize("large", [False, True])
def test_mistakes_are_told(large, tmp_path, monkeypatch):
    if large:
        monkeypatch.setattr(in_file, "MOST", 500)
    path, found = tmp_path / "t.parquet", labeled()

    def told(words, changed=None, **options):
        write(path, found if changed is None else changed)
        with pytest.raises(ValueError, match=words):
            data.csv(path, **{"target": "label"} | options)

    told("target: got 'x', the columns of .* are a, b, count, flag, label", target="x")
    told("drop: got 'x'", drop=["x"])
    told("no column is left", drop=["a", "b", "count", "flag"])
    told("row 5: column 'b' holds '?nan", found | {"b": np.where(np.arange(90) == 5, np.nan, 1.0)})
    told("row 5: column 'b' is empty", found | {"b": [None if i == 5 else 1.0 for i in range(90)]})
    told("row 5: column 'b' holds '?1e\\+31", found | {"b": np.where(np.arange(90) == 5, 1e31, 1.0)})
    told("column 'b' holds list", found | {"b": [[1, 2]] * 90})
    told("column 'label' is empty", found | {"label": [None, *found["label"][1:]]})
    told("there are no rows", {name: column[:0] for name, column in found.items()})
    if large:
        told("column 'b' holds string: a table that is too large", found | {"b": ["x"] * 90})
        told("impute: is for tables that fit into the memory", impute="median")
        told("categorical: is for tables", categorical=["count"])
    told("a Parquet file, whose numbers have no spelling", decimal=",")
    told("column name 'a=b', a name without '=' is needed", found | {"a=b": found["a"]})
    twice = pa.table(list(found.values()), names=["a", "a", "count", "flag", "label"])
    told("column 'a' appears 2 times", twice)


@pytest.mark.parametrize("damage", ["cut", "foot", "middle"])
def test_a_damaged_file_is_refused_by_name(damage, tmp_path):
    path = write(tmp_path / "t.parquet", labeled(), write_page_checksum=True)
    raw = bytearray(path.read_bytes())
    if damage == "middle":
        raw[100:160] = bytes(60)
    path.write_bytes(raw[: len(raw) // 2] if damage == "cut" else raw[:-6] if damage == "foot" else raw)
    with pytest.raises(ValueError, match=r"t\.parquet: not readable as a Parquet file"):
        data.csv(path, target="label")


def test_what_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "t.parquet", {"a": np.zeros(10**6), "label": ["x", "y"] * (10**6 // 2)})
    monkeypatch.setenv("DLNOTES_MAX_GB", "0.001")
    with pytest.raises(ValueError, match="DLNOTES_MAX_GB"):
        data.csv(path, target="label")


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "t.parquet", labeled())
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(ValueError, match=r"dlnotes\[parquet\]"):
        data.csv(path, target="label")


@pytest.mark.parametrize("large", [False, True])
def test_from_a_config_to_predictions(large, tmp_path, monkeypatch):
    if large:
        monkeypatch.setattr(in_file, "MOST", 500)
    found = labeled()
    result = run(
        parse(
            {
                "data": {"kind": "csv", "path": str(write(tmp_path / "t.parquet", found)), "target": "label"},
                "model": {"kind": "mlp", "widths": [4]},
                "training": {"duration": "3 steps", "batch_size": 16},
                "output": {"directory": str(tmp_path / "runs"), "figures": False},
                "devices": {"strategy": "single"},
            }
        )
    )
    new = {name: column[:9] for name, column in found.items() if name != "label"}
    written = [
        predict_run(result.folder, path, output=tmp_path / f"{path.name}.out.csv").read_text().splitlines()
        for path in (write(tmp_path / "new.parquet", new), as_csv(tmp_path / "new.csv", new))
    ]
    numbers = [[line.split(",")[1:] for line in lines] for lines in written]
    assert numbers[0] == numbers[1]
    assert len(written[0]) == 10
