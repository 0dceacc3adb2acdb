"""Evaluation and prediction on several devices and processes, against one device."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from dlnotes.config import parse
from dlnotes.data.dataset import Examples
from dlnotes.devices.placement import place
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.evaluator import Evaluator
from dlnotes.experiment.placing import inference_placement
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import open_run, run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two seeds on moons, trained over devices, opened: 57 examples do not divide by 8."""
    raw = {
        "data": {"kind": "two_moons", "n": 300},
        "model": {"kind": "mlp", "widths": [5]},
        "training": {"duration": "20 steps", "seeds": 2, "batch_size": 16},
        "devices": {"strategy": "mesh"},
        "output": {"directory": str(tmp_path_factory.mktemp("runs")), "figures": False},
    }
    return open_run(run(parse(raw)).folder)


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    return Examples(
        rng.normal(size=(57, 2)).astype(np.float32), rng.integers(0, 2, 57).astype(np.int32), None
    )


def alone(trained):
    return Evaluator(trained.evaluator.setup, place("single", members=1))


def test_a_run_is_used_on_the_devices_that_it_was_trained_on(trained):
    assert trained.evaluator.placement.shard == "batch"
    assert len(trained.evaluator.placement.devices) == jax.device_count() == 8


@pytest.mark.parametrize(
    ("devices", "used"),
    [
        ({"strategy": "single"}, 1),
        ({}, 1),
        ({"strategy": "mesh", "count": 4}, 4),
        ({"strategy": "pmap", "count": 99}, 8),
    ],
)
def test_as_many_devices_as_there_are(devices, used):
    made = parse({"data": {"kind": "digits"}, "model": {"kind": "linear"}, "devices": devices})
    assert len(inference_placement(made).devices) == used


def test_rows_are_in_order_and_padding_is_removed(trained, examples):
    members = trained.state.members
    divided = trained.evaluator.predict(members, examples)
    assert divided.shape == (2, 57, 2)
    assert np.abs(np.diff(divided[0, :, 0])).min() > 0  # no two rows are alike
    np.testing.assert_allclose(divided, alone(trained).predict(members, examples), rtol=1e-5, atol=1e-6)
    classes = trained.evaluator.predict(members, examples, classes=True)
    np.testing.assert_array_equal(classes, divided.argmax(-1))


def test_metrics_are_those_of_one_device(trained, examples):
    members = trained.state.members
    divided = trained.evaluator.evaluate_examples(members, examples)
    for name, value in alone(trained).evaluate_examples(members, examples).items():
        np.testing.assert_allclose(divided[name], value, rtol=1e-5, err_msg=name)


def test_the_library_uses_them(trained, examples, tmp_path):
    np.savez(tmp_path / "x.npz", x=examples.x, y=examples.y)
    measured = evaluate_run(trained, data_path=tmp_path / "x.npz")
    assert len(measured["loss"]["values"]) == 2
    written = predict_run(trained, tmp_path / "x.npz", output=tmp_path / "p.npz")
    probability = np.load(written)["probability"]
    by_one = predict_run(
        replace(trained, evaluator=alone(trained)), tmp_path / "x.npz", output=tmp_path / "q.npz"
    )
    np.testing.assert_allclose(probability, np.load(by_one)["probability"], rtol=1e-5, atol=1e-6)
