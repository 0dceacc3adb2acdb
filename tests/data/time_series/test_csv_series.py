"""Your own series in CSV files: read, forecast, and predicted for every window of another file."""

# pyright: reportOptionalMemberAccess=false, reportArgumentType=false, reportOptionalOperand=false, reportAttributeAccessIssue=false

import numpy as np
import pytest

import dlnotes.data as data


def table(path, rows, header="day,load,heat"):
    path.write_text(header + "\n" + "\n".join(",".join(map(str, row)) for row in rows) + "\n")
    return path


@pytest.fixture
def file(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(5, 2, (60, 2)).round(3)
    rows = [(f"d{i}", *map(float, v)) for i, v in enumerate(values)]
    return table(tmp_path / "own.csv", rows), values


def test_windows_of_the_columns_and_the_scale_of_the_training_part(file):
    path, values = file
    d = data.csv_series(
        path, columns=["heat", "load"], targets=["load"], window=6, horizon=2, validation=5, test=7
    )
    assert d.features == ("heat", "load")
    assert d.forecast == (("load",), 2)
    raw = d.standardize.inverse(d.train.x)
    np.testing.assert_allclose(raw[3], values[3:9, ::-1], rtol=1e-5)
    np.testing.assert_allclose(d.standardize_y.inverse(d.train.y[3]), values[10, :1], rtol=1e-5)
    last = d.standardize_y.inverse(d.test.y[-1])
    np.testing.assert_allclose(last, values[-1, :1], rtol=1e-5)
    trained = values[: d.train.size + 7]
    np.testing.assert_allclose(d.standardize_y.mean, trained[7:, 0].mean(), rtol=1e-6)
    every = data.csv_series(table(path, values, "a,b"), window=4, validation=0, test=0, standardize=False)
    assert (every.inputs, every.outputs, every.train.size) == ((4, 2), 2, 56)


def test_a_file_is_predicted_window_by_window(file, tmp_path):
    d = data.csv_series(file[0], columns=["load", "heat"], targets=["heat"], window=6, horizon=3)
    other = table(tmp_path / "new.csv", [(1, 2 * i, i) for i in range(10)])
    read = data.read_inputs(other, d)
    assert read.rows == tuple(f"line {i}" for i in range(7, 12))
    np.testing.assert_allclose(
        d.standardize.inverse(read.x[4]), [[2 * i, i] for i in range(4, 10)], rtol=1e-5
    )
    measured = data.evaluate_inputs(other, d)
    assert len(measured.x) == len(measured.y) == 2
    np.testing.assert_allclose(d.standardize_y.inverse(measured.y), [[8], [9]], rtol=1e-5)
    with pytest.raises(ValueError, match="5 rows are too few, csv_series|5 rows are too few, own needs 6"):
        data.read_inputs(table(tmp_path / "short.csv", [(1, 2, 3)] * 5), d)
    with pytest.raises(ValueError, match="column heat is missing"):
        data.read_inputs(table(tmp_path / "other.csv", [(1, 2)] * 9, "day,load"), d)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"line 2: column 'day' holds 'd0', numbers are needed"),
        ({"columns": ["wind"]}, "columns: got 'wind'"),
        ({"columns": ["load", "load"]}, "columns: got 'load'"),
        ({"columns": ["load"], "targets": ["heat"]}, "targets: got 'heat'"),
        ({"columns": ["load"], "window": 60}, "60 steps are too few"),
        ({"columns": ["load"], "window": 3, "validation": 1.5}, "validation: got 1.5"),
    ],
)
def test_wrong_options_are_named(file, options, message):
    with pytest.raises(ValueError, match=message):
        data.csv_series(file[0], **options)
