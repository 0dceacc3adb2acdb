"""The same trajectory wherever it runs: SGD, for Adam would hide a gradient off by a factor."""

import jax
import numpy as np
import pytest

from dlnotes import data
from dlnotes.config import parse
from dlnotes.devices.placement import place
from dlnotes.experiment.groups import groups
from dlnotes.experiment.setup import prepare
from dlnotes.experiment.trainer import Trainer

BASE = {
    "data": {"kind": "digits", "test": 40, "validation": 37},
    "model": {"kind": "mlp", "widths": [6], "dropout": 0.3},
    "optimizer": {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    "augment": {"shift": 1},
    "training": {"duration": "7 steps", "batch_size": 13, "evaluate_every": "5 steps", "ema": 0.9},
}
"""13 rows divide by none of the device counts: every part is padded."""


@pytest.fixture(scope="module")
def digits():
    whole = data.digits(test=40, validation=37)
    rows = slice(0, 61)
    return whole.__class__(
        **{**whole.__dict__, "train": whole.train._replace(x=whole.train.x[rows], y=whole.train.y[rows])}
    )


def merged(**sections):
    return {k: BASE.get(k, {}) | sections.get(k, {}) for k in BASE | sections}


def train(dataset, placement, **sections):
    """Final host state, every step's metrics, and validation metrics."""
    (group,) = groups(parse(merged(**sections)))
    rows = []
    trainer = Trainer(prepare(group, dataset), placement)
    outcome = trainer.train(folder=None, watch=lambda p: rows.append(p.metrics), stop=lambda: False)
    measured = trainer.evaluator.evaluate(outcome.state.members, "validation")
    return outcome.state, rows[-1], measured


def same(got, expected, tolerance=1e-5):
    def leaf(a, b):
        np.testing.assert_allclose(
            np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=tolerance, atol=tolerance
        )

    jax.tree.map(leaf, got, expected)


@pytest.fixture(scope="module")
def alone(digits):
    return train(digits, place("single", members=1))


@pytest.fixture(scope="module")
def eight(digits):
    return train(digits, place("single", members=8), training={"seeds": 8})


@pytest.mark.parametrize("strategy", ["pmap", "mesh"])
@pytest.mark.parametrize(
    "count", [pytest.param(2, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow), 8]
)
def test_dividing_the_batch_changes_nothing(strategy, count, digits, alone):
    placement = place(strategy, members=1, count=count)
    assert (placement.shard, len(placement.devices)) == ("batch", count)
    same(train(digits, placement), alone)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["pmap", "mesh"])
def test_one_device_under_a_strategy_is_one_device(strategy, digits, alone):
    same(train(digits, place(strategy, members=1, count=1)), alone)


@pytest.mark.parametrize(
    ("strategy", "count"),
    [
        pytest.param("pmap", 4, marks=pytest.mark.slow),
        ("mesh", 8),
        pytest.param("mesh", 2, marks=pytest.mark.slow),
    ],
)
def test_dividing_the_members_changes_nothing(strategy, count, digits, eight):
    placement = place(strategy, members=8, count=count)
    assert (placement.shard, len(placement.devices)) == ("members", count)
    same(train(digits, placement, training={"seeds": 8}), eight)


@pytest.mark.parametrize(
    ("strategy", "count", "members"),
    [
        pytest.param("single", None, 1, marks=pytest.mark.slow),
        pytest.param("single", None, 8, marks=pytest.mark.slow),
        pytest.param("pmap", 2, 1, marks=pytest.mark.slow),
        ("mesh", 4, 1),
        ("pmap", 4, 8),
        pytest.param("mesh", 8, 8, marks=pytest.mark.slow),
    ],
)
def test_streamed_is_resident(strategy, count, members, digits, alone, eight):
    placement = place(strategy, members=members, count=count)
    got = train(digits, placement, training={"seeds": members}, devices={"resident": "no"})
    same(got, alone if members == 1 else eight)


@pytest.mark.parametrize("resident", [pytest.param("yes", marks=pytest.mark.slow), "no"])
def test_accumulation_on_devices_changes_nothing(resident, digits):
    sections = {"training": {"batch_size": 12}}
    expected = train(digits, place("single", members=1), **sections)
    sections = {"training": {"batch_size": 12, "accumulate": 3}, "devices": {"resident": resident}}
    same(train(digits, place("mesh", members=1, count=4), **sections), expected)


def test_a_member_stops_alone_under_a_members_split(digits):
    rates = {"kind": "grid", "parameters": {"optimizer.learning_rate": [0.05, 1e30]}}
    sections = {"sweep": rates, "training": {"seeds": 2}, "augment": {}}
    expected = train(digits, place("single", members=4), **sections)[0].members
    assert (expected.stopped_at[2:] >= 0).all()
    assert (expected.stopped_at[:2] < 0).all()
    for strategy in ("pmap",):
        got = train(digits, place(strategy, members=4, count=4), **sections)[0].members
        same((got.stopped_at, got.reason), (expected.stopped_at, expected.reason), 0)
        same(*(jax.tree.map(lambda a: a[:2], m.params) for m in (got, expected)))


@pytest.mark.slow
def test_selection_and_averages_do_not_know_the_placement(digits):
    stopping = {"training": {"early_stopping": {"patience": 1}, "seeds": 2, "evaluate_every": "2 steps"}}
    expected = train(digits, place("single", members=2), **stopping)
    same(train(digits, place("pmap", members=2, count=2), **stopping), expected)


@pytest.mark.parametrize(
    ("strategy", "options", "expected"),
    [
        ("auto", {"members": 1}, ("single", 1, "none")),
        ("auto", {"members": 1, "batch_over": 8}, ("mesh", 8, "batch")),
        ("auto", {"members": 1, "batch_over": 4}, ("mesh", 4, "batch")),
        ("auto", {"members": 1, "batch_over": 4, "count": 2}, ("mesh", 2, "batch")),
        ("auto", {"members": 1, "count": 1}, ("single", 1, "none")),
        ("auto", {"members": 3}, ("mesh", 3, "members")),
        ("auto", {"members": 8}, ("mesh", 8, "members")),
        ("auto", {"members": 12}, ("mesh", 6, "members")),
        ("auto", {"members": 11}, ("single", 1, "none")),
        ("auto", {"members": 11, "batch_over": 8}, ("mesh", 8, "batch")),
        ("single", {"members": 4}, ("single", 1, "none")),
        ("pmap", {"members": 1}, ("pmap", 8, "batch")),
        ("mesh", {"members": 1, "count": 4}, ("mesh", 4, "batch")),
        ("mesh", {"members": 16}, ("mesh", 8, "members")),
        ("pmap", {"members": 6, "count": 4}, ("pmap", 3, "members")),
        ("mesh", {"members": 4}, ("mesh", 8, "batch")),
        ("mesh", {"members": 5, "count": 4}, ("mesh", 4, "batch")),
    ],
)
def test_place(strategy, options, expected):
    got = place(strategy, **options)
    assert (got.strategy, len(got.devices), got.shard) == expected
    assert got.processes == 1
    assert got.devices[0].platform in got.describe()


class Elsewhere:
    """A device of another process."""

    platform = "cpu"

    def __init__(self, process):
        self.process_index = process


def test_place_refuses_what_cannot_be():
    with pytest.raises(ValueError, match=r"devices.count: got 9, available are 8"):
        place("mesh", members=1, count=9)
    two = [Elsewhere(0), Elsewhere(1)]
    for strategy in ("pmap", "single"):
        with pytest.raises(ValueError, match=f"devices.strategy: got '{strategy}', several processes"):
            place(strategy, members=1, devices=two)
    assert place("auto", members=8, devices=two).shard == "batch"
    with pytest.raises(ValueError, match=r"devices.count"):
        place("auto", members=1, devices=two, count=1)


def test_the_callers_arrays_survive_donation(digits):
    """A replicated copy may alias its source, which donation would then delete."""
    placement = place("mesh", members=1, count=2)
    (group,) = groups(parse(BASE))
    trainer = Trainer(prepare(group, digits), placement)
    host = jax.device_get(trainer.initial())
    kept = jax.tree.map(np.array, host)
    from dlnotes.training.parallel import put_state

    state = put_state(placement, host)
    feed, chunk = trainer.compiled(np.zeros((1, 2), np.uint32))
    chunk(state, feed.prepare(0, 2), np.int32(2))
    same(host, kept, 0)
