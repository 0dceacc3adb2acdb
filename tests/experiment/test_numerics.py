"""Numbers at the edge: what a training does with them, row by row of the table in tests/PROMISES.md."""

import numpy as np
import pytest

from dlnotes.config import ConfigError, parse
from dlnotes.experiment.run import RunFailed, run

RNG = np.random.default_rng(4)
X = RNG.normal(size=(80, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)
STEPS = RNG.normal(size=(80, 6, 2)).astype(np.float32)
RECURRENT = {"kind": "sequence_classifier", "hidden": 3}


@pytest.fixture
def train(tmp_path):
    """``train({"x": …, "y": …}, model={…}, …)`` trains on arrays without keeping anything."""

    def train(arrays, *, keep=False, **sections):
        np.savez(tmp_path / "a.npz", **arrays)
        config = {
            "data": {"kind": "npz", "path": str(tmp_path / "a.npz")},
            "model": {"kind": "mlp", "widths": [4]},
            "training": {"duration": "8 steps", "batch_size": 16, "seeds": 2},
            "devices": {"strategy": "single"},
            "output": {"figures": False, "directory": str(tmp_path / "runs")},
        }
        for name, section in sections.items():
            config[name] = section if name == "model" else {**config.get(name, {}), **section}
        return run(parse(config), keep=keep)

    return train


def at(array, place, value):
    changed = array.astype(np.float64 if isinstance(value, float) else array.dtype)
    changed[place] = value
    return changed


MASK = np.ones((80, 6), bool)
REFUSED = {
    "NaN in the inputs": ({"x": at(X, (5, 1), np.nan), "y": Y}, {}, "x: row 5 holds NaN"),
    "infinity in the inputs": ({"x": at(X, (5, 1), np.inf), "y": Y}, {}, "x: row 5 holds infinity"),
    "NaN in the targets": ({"x": X, "y": at(X[:, 0], 3, np.nan)}, {}, "y: row 3 holds NaN"),
    "more than 1e30": ({"x": at(X, (5, 1), 1e31), "y": Y}, {}, r"row 5 holds 1e\+31, at most 1e\+30"),
    "a row without a position": (
        {"x": STEPS, "y": Y, "mask": at(MASK, 4, False)},
        {"model": RECURRENT},
        "mask: row 4 has no real position",
    ),
    "a row of length 0": (
        {"x": STEPS, "y": Y, "lengths": at(np.full(80, 6), 4, 0)},
        {"model": RECURRENT},
        r"lengths: row 4 is 0, allowed is 1\.\.6",
    ),
    "rate 0": ({"x": X, "y": Y}, {"optimizer": {"kind": "sgd", "learning_rate": 0}}, "greater than 0"),
    "rate -1": ({"x": X, "y": Y}, {"optimizer": {"kind": "sgd", "learning_rate": -1}}, "greater than 0"),
    "rate NaN": (
        {"x": X, "y": Y},
        {"optimizer": {"kind": "sgd", "learning_rate": float("nan")}},
        "learning_rate: got nan",
    ),
    "accumulation beyond the batch": (
        {"x": X, "y": Y},
        {"training": {"accumulate": 32}},
        "accumulate: got 32, must divide batch_size 16",
    ),
    "a batch of none": ({"x": X, "y": Y}, {"training": {"batch_size": 0}}, "batch_size: got 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_anything_is_compiled(name, train, tmp_path):
    arrays, sections, words = REFUSED[name]
    with pytest.raises(ConfigError, match=words):
        train(arrays, **sections)
    assert not (tmp_path / "runs").exists()


def test_a_rate_of_1e30_fails_with_the_step(train):
    with pytest.raises(
        RunFailed, match="seed 0: non-finite loss at step 1; seed 1: non-finite loss at step 1"
    ):
        train({"x": X, "y": Y}, optimizer={"kind": "sgd", "learning_rate": 1e30}, keep=True)


def test_a_constant_column_counts_as_zero(train):
    with_column = train({"x": at(X, (slice(None), 1), 7.0).astype(np.float32), "y": Y})
    zero = train({"x": at(X, (slice(None), 1), 0.0).astype(np.float32), "y": Y})
    for name, value in zero.metrics["test"].items():
        np.testing.assert_array_equal(with_column.metrics["test"][name]["values"], value["values"])


def test_what_lies_behind_a_mask_may_be_anything(train):
    mask = at(MASK, (7, slice(2, 6)), False)
    outcomes = [
        train({"x": at(STEPS, (7, slice(2, 6)), value), "y": Y, "mask": mask}, model=RECURRENT)
        for value in (np.nan, 0.0)
    ]
    values = [outcome.metrics["test"]["loss"]["values"] for outcome in outcomes]
    np.testing.assert_array_equal(*values)


@pytest.mark.parametrize("size", [1, 1000])
def test_batches_of_one_and_larger_than_the_data(size, train):
    metrics = train({"x": X, "y": Y}, training={"batch_size": size}).metrics["test"]
    assert np.isfinite(metrics["loss"]["values"]).all()


def test_bfloat16_computes_and_float32_is_kept(train):
    result = train({"x": X, "y": Y}, training={"compute_dtype": "bfloat16"})
    wide = train({"x": X, "y": Y})
    assert {a.dtype for a in map(np.asarray, result.params().output)} == {np.dtype(np.float32)}
    losses = [r.metrics["test"]["loss"]["values"] for r in (result, wide)]
    np.testing.assert_allclose(*losses, rtol=0.03)
    assert losses[0] != losses[1]
