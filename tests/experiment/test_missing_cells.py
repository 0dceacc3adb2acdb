"""Missing cells are filled alike in training, evaluation, predictions and the exported program."""

import csv

import jax
import numpy as np
import pytest
from tiny_run import tiny

from dlnotes.config import ConfigError, parse
from dlnotes.experiment import export
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import open_run, run

RNG = np.random.default_rng(0)
A, B = RNG.normal(5, 2, 60), RNG.normal(size=60)
LOST = RNG.random(60) < 0.3


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gaps")
    cells = ["" if lost else f"{a:.3f}".replace(".", ",") for a, lost in zip(A, LOST)]
    rows = [f"{a};{b:.3f};{2 * b + lost:.3f}".replace(".", ",") for a, b, lost in zip(cells, B, LOST)]
    path = folder / "own.csv"
    path.write_text("\n".join(["a;b;y", *rows, ""]))
    config = tiny(folder / "runs") | {
        "data": {"kind": "csv", "path": str(path), "target": "y", "impute": "median"}
        | {"delimiter": ";", "decimal": ","},
        "model": {"kind": "linear"},
        "training": {"duration": "5 steps", "batch_size": 16, "seeds": 1},
    }
    return run(parse(config)), path


def test_every_door_fills_alike(filled, tmp_path):
    result, path = filled
    assert result.dataset.features == ("a", "b", "a=")
    trained = open_run(result.folder)
    measured = evaluate_run(trained, data_path=path)
    with open(predict_run(trained, path, output=tmp_path / "out.csv"), newline="") as file:
        got = np.array([float(row["value"]) for row in csv.DictReader(file)])
    y = np.round(2 * B + LOST, 3)
    np.testing.assert_allclose(measured["absolute_error"]["mean"], np.abs(got - y).mean(), rtol=1e-4)
    model = export.export_run(trained, output=tmp_path / "model.jax")
    called = jax.export.deserialize(bytearray(model.read_bytes())).call
    assert "NaN in 'a', 'b' is a missing number" in (tmp_path / "README.md").read_text()
    x = np.stack([np.where(LOST, np.nan, np.round(A, 3)), np.round(B, 3), 0 * A], 1).astype(np.float32)
    np.testing.assert_allclose(np.asarray(called(x))[:, 0], got, rtol=1e-4, atol=1e-4)
    x[:, 2] = LOST
    x[LOST, 0] = result.dataset.reading["encoding"]["fills"]["a"]
    np.testing.assert_allclose(np.asarray(called(x))[:, 0], got, rtol=1e-4, atol=1e-4)


def test_the_option_is_named(tmp_path):
    (tmp_path / "own.csv").write_text("a,y\n1,2.5\n,3.5\n" + "4,5.5\n" * 20)
    data = {"kind": "csv", "path": str(tmp_path / "own.csv"), "target": "y"}
    with pytest.raises(ConfigError, match="line 3: column 'a' is empty .impute = .median. in"):
        run(parse(tiny(tmp_path / "runs") | {"data": data}))
