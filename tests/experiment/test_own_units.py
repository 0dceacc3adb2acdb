"""A regression of one's own large numbers: its metrics, predictions and export are in their units."""

# pyright: reportOptionalMemberAccess=false, reportAttributeAccessIssue=false, reportArgumentType=false

import csv

import jax
import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from tiny_run import tiny

from dlnotes.config import ConfigError, parse
from dlnotes.experiment import export
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import run

RNG = np.random.default_rng(0)
START = 1_700_000_000  # seconds since 1970: float32 holds every 128th


@pytest.fixture(scope="module")
def dates(tmp_path_factory):
    """A run on a table with a column and a target of 1.7 billion, and its columns."""
    folder = tmp_path_factory.mktemp("dates")
    t, b = START + RNG.integers(0, 200, 60), RNG.normal(size=60)
    y = 3e9 + 2.0 * (t - START) + 10 * b
    rows = "".join(f"{i};{j};{k!r}\n" for i, j, k in zip(t.tolist(), b.tolist(), y.tolist()))
    (folder / "own.data").write_text("t;b;y\n" + rows)
    config = tiny(folder / "runs") | {
        "data": {"kind": "csv", "path": str(folder / "own.data"), "target": "y", "delimiter": ";"},
        "model": {"kind": "linear"},
        "optimizer": {"kind": "adam", "learning_rate": 0.05},
        "training": {"duration": "100 steps", "batch_size": 16, "seeds": 2},
    }
    return run(parse(config)), folder / "own.data", np.stack([t, b], 1), y


def values(path):
    with open(path, newline="") as file:
        return np.array([float(row["value"]) for row in csv.DictReader(file)])


def test_metrics_are_those_of_the_predictions(dates, tmp_path):
    result, path, _, y = dates
    measured = evaluate_run(result.folder, data_path=path)
    for member in range(2):
        got = values(predict_run(result.folder, path, output=tmp_path / "out.csv", member=member))
        assert np.ptp(got - np.rint(got)) > 0.1
        scale = result.dataset.standardize_y.scale[0]
        expected = {
            "absolute_error": mean_absolute_error(y, got),
            "root_mean_squared_error": root_mean_squared_error(y, got),
            "r2": r2_score(y, got),
            "standardized_absolute_error": mean_absolute_error(y, got)
            / result.dataset.standardize_y.scale[0],
        }
        assert expected["r2"] > 0.5
        for name, value in expected.items():
            np.testing.assert_allclose(measured[name]["values"][member], value, rtol=1e-4, err_msg=name)
    test = result.metrics["test"]
    assert {"loss", *expected} == set(test)
    ratio = test["absolute_error"]["mean"] / test["standardized_absolute_error"]["mean"]
    np.testing.assert_allclose(ratio, scale, rtol=1e-4)


def test_the_export_has_the_digits_that_predict_has(dates, tmp_path):
    result, path, x, _ = dates
    file = export.export_run(result.folder, output=tmp_path / "model.jax")
    told = (tmp_path / "README.md").read_text()
    assert "jax_enable_x64" in told
    assert "input t, target 0" in told
    assert "Columns of `x`, in order: 't', 'b'" in told
    model = jax.export.deserialize(bytearray(file.read_bytes()))
    with jax.enable_x64(True):
        got = np.asarray(model.call(x))[:, 0]
    expected = values(predict_run(result.folder, path, output=tmp_path / "out.csv"))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)
    with pytest.raises(ValueError, match="expected float64 and called with float32"):
        model.call(x.astype(np.float32))


def test_an_export_that_answers_something_else_is_not_written(dates, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "rounded_columns", lambda dataset: [])
    with pytest.raises(ConfigError, match=r"the exported program and the run differ by up to .* nothing was"):
        export.export_run(dates[0].folder, output=tmp_path / "model.jax")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow  # by default: columns of large numbers
def test_windows_of_large_numbers_are_exported_too(tmp_path):
    path = tmp_path / "own.csv"
    series = 5e8 + np.cumsum(RNG.normal(size=60))
    path.write_text("y\n" + "".join(f"{v!r}\n" for v in series.tolist()))
    config = tiny(tmp_path / "runs") | {
        "data": {"kind": "csv_series", "path": str(path), "window": 4},
        "model": {"kind": "sequence_classifier", "cell": "lstm", "hidden": 3},
        "training": {"duration": "3 steps", "batch_size": 8, "seeds": 1},
    }
    result = run(parse(config))
    file = export.export_run(result.folder, output=tmp_path / "model.jax")
    model = jax.export.deserialize(bytearray(file.read_bytes()))
    x = np.lib.stride_tricks.sliding_window_view(series, 4)[:7, :, None]
    with jax.enable_x64(True):
        got = np.asarray(model.call(x, np.ones(x.shape[:2], bool)))[:, 0]
    expected = values(predict_run(result.folder, path, output=tmp_path / "out.csv"))[:7]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)
    assert np.ptp(expected) > 1e-3
