"""A layer trained for many seeds: against a loop of its own, exact resume, members that stop, devices."""

import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from learners import OwnState, digits, tied

from dlnotes.data.order import batch_rows
from dlnotes.devices.placement import place
from dlnotes.pretraining import LayerTraining, Learner, train

X = digits(50)


def test_it_is_the_loop_over_the_learners_step():
    """Each member is a plain python loop: its rows, its keys, its progress; metrics are epochs' means."""
    learner = tied(6, noise=0.1)
    found = train(learner, X, seeds=[3, 8], epochs=2, batch_size=20, layer=1)
    for m, seed in enumerate((3, 8)):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 0x9E7), 1)
        start, run = jax.random.split(key)
        state = learner.init(start, jnp.asarray(X.mean(0)), 64)
        order = np.asarray(jax.random.key_data(jax.random.fold_in(run, 0x0DE4)))
        errors, step = [], jax.jit(learner.step)
        for t in range(6):
            rows, _ = batch_rows(t, n=50, batch_size=20, key_data=order, wrap=True)
            state, metrics = step(state, X[rows], jax.random.fold_in(run, t), jnp.float32(t / 6))
            errors.append(float(metrics["reconstruction"]))
        got = jax.tree.map(lambda a, m=m: a[m], found.encoder.params)
        chex.assert_trees_all_close(got, state.params, rtol=2e-5, atol=2e-6)
        means = [np.mean(errors[:3]), np.mean(errors[3:])]
        np.testing.assert_allclose(found.history["reconstruction"][:, m], means, rtol=1e-5)
    assert found.stopped == []


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
def test_some_steps_and_the_rest_are_all_steps_bit_for_bit(seeds):
    learner = tied(5, noise=0.2)
    whole = train(learner, X, seeds=seeds, epochs=3, batch_size=16)
    state, history = None, []
    for steps in (1, 5, 2, 100):
        part = train(learner, X, seeds=seeds, epochs=3, batch_size=16, state=state, steps=steps)
        state = part.state
        history.append(part.history["reconstruction"])
    chex.assert_trees_all_equal(state, whole.state)
    np.testing.assert_array_equal(np.concatenate(history), whole.history["reconstruction"])


def test_members_in_turn_and_together_are_the_same_training(monkeypatch):
    module = sys.modules["dlnotes.pretraining.train"]  # the package's name is that of the function
    learner = tied(5)
    together = train(learner, X, seeds=[1, 2], epochs=2, batch_size=16)
    monkeypatch.setattr(module, "SMALL", 0)
    in_turn = train(learner, X, seeds=[1, 2], epochs=2, batch_size=16)
    chex.assert_trees_all_close(in_turn.encoder.params, together.encoder.params, rtol=1e-4, atol=1e-5)
    per_member = train(learner, np.stack([X, X]), seeds=[1, 2], epochs=2, batch_size=16, data_per_member=True)
    chex.assert_trees_all_close(per_member.encoder.params, in_turn.encoder.params, rtol=1e-4, atol=1e-5)


def breaking(at, what):
    """Counts its steps; at one of them a member with an odd start goes wrong."""

    def init(key, mean, inputs):
        odd = jax.random.bits(key) % 2
        return OwnState({"count": jnp.zeros(()), "odd": odd.astype(jnp.float32)}, ())

    def step(state, x, key, progress):
        p = state.params
        wrong = (p["count"] == at) & (p["odd"] == 1)
        count = jnp.where(wrong & (what == "params"), jnp.inf, p["count"] + 1)
        metric = jnp.where(wrong & (what == "metric"), jnp.nan, p["count"])
        metrics = {"reconstruction": metric}
        if what == "diverged":
            metrics["diverged"] = wrong.astype(jnp.float32)
        return OwnState({"count": count, "odd": p["odd"]}, ()), metrics

    return Learner(3, init, step, lambda params, x: x[..., :3])


@pytest.mark.parametrize(
    ("what", "reason"),
    [("metric", "non-finite reconstruction"), ("params", "non-finite parameter"), ("diverged", "diverged")],
)
def test_a_member_that_goes_wrong_keeps_its_last_finite_state(what, reason):
    found = train(breaking(4, what), X, seeds=range(8), epochs=3, batch_size=20)
    odd = found.encoder.params["odd"] == 1
    assert 0 < odd.sum() < 8
    np.testing.assert_array_equal(found.encoder.params["count"], np.where(odd, 4, 9))
    assert found.stopped == [{"member": m, "step": 4, "reason": reason} for m in np.flatnonzero(odd)]
    means = found.history["reconstruction"]
    np.testing.assert_allclose(means[:, ~odd], np.array([[1.0], [4.0], [7.0]]) + np.zeros((1, (~odd).sum())))
    assert np.isnan(means[1:, odd]).all()
    assert np.isfinite(means[0]).all()


def test_members_over_devices_are_those_of_one():
    learner = tied(5)
    one = train(learner, X, seeds=range(4), epochs=2, batch_size=16, placement=place("single", members=4))
    spread = place("auto", members=4)
    assert spread.shard == "members"
    many = train(learner, X, seeds=range(4), epochs=2, batch_size=16, placement=spread)
    chex.assert_trees_all_close(many.encoder.params, one.encoder.params, rtol=1e-4, atol=1e-5)
    own = np.stack([X] * 4)
    each = train(
        learner, own, seeds=range(4), epochs=2, batch_size=16, placement=spread, data_per_member=True
    )
    chex.assert_trees_all_close(each.encoder.params, one.encoder.params, rtol=1e-4, atol=1e-5)


def test_any_number_of_steps_is_one_program():
    training = LayerTraining(tied(5), X, seeds=[0, 1], epochs=4, batch_size=16)
    state = training.initial()
    state = training.advance(state, 1)
    with jax.log_compiles(), pytest.MonkeyPatch.context() as patch:
        compiled = []
        patch.setattr(jax._src.compiler, "backend_compile_and_load", lambda *a, **k: compiled.append(a))
        for steps in (2, 1, 4):
            state = training.advance(state, steps)
    assert not compiled
    assert int(state.step) == 8


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"x": X[0]}, r"x: got shape \(64,\)"),
        ({"x": X[:0]}, "x: got shape"),
        ({"x": np.where(X > 0.5, np.nan, X)}, "not finite"),
        ({"x": X - 100}, "x: got -100.0, allowed is at least -50"),
        ({"seeds": []}, "seeds: got none"),
        ({"epochs": -1}, "epochs: got -1"),
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"data_per_member": True}, "x: got shape"),
        ({"x": np.stack([X] * 3), "data_per_member": True}, "data of 3 members for 1 seeds"),
        ({"steps": -1}, "steps: got -1"),
    ],
)
def test_what_does_not_fit_is_refused_before_compiling(change, told, monkeypatch):
    monkeypatch.setattr(jax, "jit", lambda *a, **k: pytest.fail("compiled"))
    options = {"x": X, "seeds": [0], "epochs": 1} | change
    with pytest.raises(ValueError, match=told):
        train(tied(4), options.pop("x"), **options)


def test_no_epochs_leave_the_start():
    learner = tied(4)
    found = train(learner, X, seeds=[5], epochs=0)
    assert found.history["reconstruction"].shape == (0, 1)
    start = LayerTraining(learner, X, seeds=[5], epochs=7).initial()
    chex.assert_trees_all_equal(found.encoder.params, jax.device_get(start.members.state.params))
