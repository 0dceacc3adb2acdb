"""Exports in whole numbers and of ONNX: without dlnotes, near what the run predicts, a quarter as large."""

import json
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from commands import environment
from tiny_run import tiny
from typer.testing import CliRunner

from dlnotes.cli.main import app
from dlnotes.config import ConfigError, parse
from dlnotes.experiment import export
from dlnotes.experiment.export import export_run
from dlnotes.experiment.export_int8 import calibration_examples
from dlnotes.experiment.export_onnx import PACKAGES
from dlnotes.experiment.run import open_run, run
from dlnotes.models import quantized

KINDS = {
    "mlp": {"data": {"kind": "digits"}, "model": {"kind": "mlp", "widths": [64, 64]}},
    "cnn": {
        "data": {"kind": "digits"},
        "model": {"kind": "cnn", "channels": [8, 8], "dense": [128]},
    },
    "regression": {"data": {"kind": "tabular", "name": "diabetes"}, "model": {"kind": "mlp", "widths": [32]}},
}
LEARN = {"duration": "150 steps", "batch_size": 64, "seeds": 2, "log_every": 50}


def config(folder, **sections):
    return parse(tiny(folder) | {"training": LEARN, **sections})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a kind, trained once."""
    runs = {}

    def of(kind):
        if kind not in runs:
            folder = tmp_path_factory.mktemp(kind)
            runs[kind] = run(config(folder, **KINDS[kind]))
        return runs[kind]

    return of


def raw_of(result, part):
    examples = result.dataset.split(part)
    scale = result.dataset.standardize
    x = np.asarray(examples.x)
    return x if scale is None else np.asarray(scale.inverse(x), np.float32)


LOADER = """
import sys
sys.modules["dlnotes"] = None
import jax, numpy as np
model = jax.export.deserialize(bytearray(open(sys.argv[1], "rb").read()))
np.save(sys.argv[3], model.call(np.load(sys.argv[2])))
"""


@pytest.mark.parametrize("kind", ["mlp", pytest.param("cnn", marks=pytest.mark.slow)])
def test_a_file_of_whole_numbers(kind, trained, tmp_path):
    result, told = trained(kind), []
    path = export_run(result.folder, output=tmp_path / "small.jax", int8=True, tell=told.append)
    large = export_run(result.folder, output=tmp_path / "large.jax")
    facts = json.loads((tmp_path / "small.jax.json").read_text())
    sizes = facts["bytes"]
    assert sizes["float"] == sum(leaf.nbytes for leaf in jax.tree.leaves(result.params()))
    assert 0.25 < sizes["int8"] / sizes["float"] < 0.35  # the nets of this test are small
    saved = large.stat().st_size - path.stat().st_size
    assert saved > 0.5 * (sizes["float"] - sizes["int8"])
    assert facts["file_bytes"] == path.stat().st_size
    assert facts["part"] == "validation"
    assert abs(facts["before"]["accuracy"] - facts["after"]["accuracy"]) < 0.02
    (line,) = told
    assert f"{sizes['int8']:,} bytes" in line
    assert f"validation accuracy {facts['before']['accuracy']:.2%} before" in line
    assert line in (tmp_path / "small.jax.md").read_text()
    # A process without dlnotes gives the numbers that the network in whole numbers gives here.
    x = raw_of(result, "test")
    np.save(tmp_path / "x.npy", x)
    subprocess.run(
        [sys.executable, "-I", "-c", LOADER, path, tmp_path / "x.npy", tmp_path / "y.npy"],
        check=True, timeout=120, env=environment(), cwd=tmp_path,
    )  # fmt: skip
    opened = open_run(result.folder)
    model = opened.evaluator.setup.recipe_of(
        {k: jnp.asarray(v[0]) for k, v in opened.state.members.hyper.items()}
    )
    small, whole = quantized(model.model, result.params(), calibration_examples(result.dataset).x)
    given = np.asarray(result.dataset.test.x)
    want = jax.nn.softmax(small.apply(whole, jnp.asarray(given)))
    got = np.load(tmp_path / "y.npy")
    np.testing.assert_allclose(got, want, atol=5e-3)  # a half may be rounded the other way
    assert np.median(np.abs(got - want)) < 1e-6
    accuracy = np.mean(got.argmax(1) == result.dataset.test.y)
    assert abs(accuracy - result.metrics["test"]["accuracy"]["values"][0]) < 0.03


@pytest.mark.slow
def test_numbers_are_in_their_own_units(trained, tmp_path):
    result = trained("regression")
    path = export_run(result.folder, output=tmp_path / "small.jax", int8=True)
    called = jax.export.deserialize(bytearray(path.read_bytes())).call
    large = export_run(result.folder, output=tmp_path / "large.jax")
    x = raw_of(result, "test")
    got, want = called(x), jax.export.deserialize(bytearray(large.read_bytes())).call(x)
    spread = float(np.ravel(result.dataset.standardize_y.scale)[0])
    assert 0 < np.abs(got - want).max() < 0.1 * spread
    assert "absolute error" in (tmp_path / "small.jax.md").read_text()


@pytest.mark.slow
def test_what_is_not_written(trained, tmp_path, monkeypatch):
    sequences = {
        "data": {"kind": "reber", "n": 40, "max_length": 20},
        "model": {"kind": "sequence_classifier", "hidden": 3},
        "training": {"duration": "2 steps", "seeds": 1},
    }
    result = run(config(tmp_path, **sequences))
    with pytest.raises(ConfigError, match="int8: model: has products inside a loop"):
        export_run(result.folder, int8=True)
    monkeypatch.setattr("dlnotes.experiment.export_onnx.find_spec", lambda name: object())
    with pytest.raises(
        ConfigError, match="onnx: got sequence_classifier on .*, allowed are networks of vect"
    ):
        export_run(result.folder, onnx=True)
    monkeypatch.setattr("dlnotes.experiment.export_onnx.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"onnx: needs jax2onnx and onnxruntime: .*'dlnotes\[onnx\]'"):
        export_run(result.folder, onnx=True)
    wrong = trained("mlp")
    made = export.in_int8

    def broken(*arguments):
        found = made(*arguments)
        return found._replace(params=jax.tree.map(lambda a: -a, found.params))

    monkeypatch.setattr(export, "in_int8", broken)
    with pytest.raises(ConfigError, match="the exported program and the run differ by up to"):
        export_run(wrong.folder, output=tmp_path / "wrong.jax", int8=True)
    assert not (tmp_path / "wrong.jax").exists()


def test_the_command_says_what_it_costs(trained, tmp_path):
    folder = trained("mlp").folder
    done = CliRunner().invoke(app, ["export", str(folder), "--int8", "-o", str(tmp_path / "small.jax")])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(tmp_path / "small.jax")
    assert re.search(
        r"^int8: [\d,]+ bytes, \d\d\.\d% of [\d,]+; validation accuracy .* before, ", done.stderr, re.M
    )


ONNX = """
import sys
sys.modules["dlnotes"] = sys.modules["jax"] = None
import numpy as np, onnxruntime
model = onnxruntime.InferenceSession(sys.argv[1])
np.save(sys.argv[3], model.run(None, {"x": np.load(sys.argv[2])})[0])
"""


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_onnx(kind, int8, trained, tmp_path):
    for package in PACKAGES:
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'dlnotes[onnx]'")
    result = trained(kind)
    path = export_run(result.folder, output=tmp_path / "model.onnx", onnx=True, int8=int8)
    x = raw_of(result, "test")
    np.save(tmp_path / "x.npy", x)
    subprocess.run(
        [sys.executable, "-c", ONNX, path, tmp_path / "x.npy", tmp_path / "y.npy"],
        check=True, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    large = export_run(result.folder, output=tmp_path / "large.jax")
    want = np.asarray(jax.export.deserialize(bytearray(large.read_bytes())).call(x))
    got = np.load(tmp_path / "y.npy")
    unit = float(np.ravel(result.dataset.standardize_y.scale)[0]) if kind == "regression" else 1.0
    difference = np.abs(got - want).max() / unit
    assert difference < (0.4 if int8 else 1e-4)  # of the image that a small network is least sure of
    assert np.mean(np.abs(got - want)) / unit < 0.02
    assert not int8 or difference > 1e-4
    if kind != "regression":
        assert np.mean(got.argmax(1) == want.argmax(1)) > 0.97
    assert "onnxruntime" in (tmp_path / "model.onnx.md").read_text()
    if int8:
        facts = json.loads((tmp_path / "model.onnx.json").read_text())
        assert facts["after"].keys() == facts["before"].keys()
