"""Workers around one vector: alone they are plain descent; who dies is counted, and the others go on."""

import os
import signal
import time
from functools import partial

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training_parts import examples

from dlnotes import models
from dlnotes.outputs import accuracy, cross_entropy
from dlnotes.training import fit, optimizer
from dlnotes.training.asynchronous.server import ParameterServer, Served, take_part
from dlnotes.training.asynchronous.shared import Shared
from dlnotes.training.asynchronous.team import RESUMABLE, Lost
from dlnotes.training.asynchronous.work import (
    Work,
    check,
    flat,
    measured,
    metric_names,
    recipe,
    start_of,
    unflat,
)

NET = partial(models.mlp, 5, (6,), 3, activation="tanh")
BUILD = partial(recipe, NET, cross_entropy, {"accuracy": accuracy}, partial(optimizer, "sgd", 0.3))
WORK = Work(BUILD, examples(), 5, 2)
SIZES = {"parameters": 57, "metrics": 3}
UPDATES = 30


@pytest.fixture(scope="module")
def start():
    return flat(start_of(WORK).params)


@pytest.fixture(scope="module")
def by_fit():
    return fit(BUILD(), WORK.train, steps=UPDATES, batch_size=5, seeds=[2])


def is_that_of_fit(vector, by_fit, start):
    expected = np.concatenate([np.ravel(a[0]) for a in _leaves(by_fit.params)])
    assert np.abs(expected - start).max() > 0.05
    np.testing.assert_allclose(vector, expected, rtol=2e-5, atol=2e-6)


def _leaves(tree):
    import jax

    return jax.tree.leaves(tree)


def test_a_vector_is_its_parameters(start):
    params = start_of(WORK).params
    np.testing.assert_array_equal(flat(unflat(start, params)), start)
    with pytest.raises(ValueError, match="vector: got 56 numbers, the parameters are 57"):
        unflat(start[1:], params)


def test_a_server_with_one_worker_is_the_engine(start, by_fit):
    server = ParameterServer(workers=1, metrics=3)
    server.begin(start, UPDATES, np.zeros(1, np.int64))
    take_part(measured(WORK), server.pull, server.push, 0, (0, 1))
    look = server.look()
    is_that_of_fit(look.vector, by_fit, start)
    assert (look.updates, int(look.stale.sum())) == (UPDATES, 0)
    means = [by_fit.history[name].mean() for name in metric_names(BUILD())]
    np.testing.assert_allclose(look.sums / UPDATES, means, rtol=1e-4)


def test_a_server_counts_how_old_updates_are_and_refuses_strange_ones():
    server = ParameterServer(workers=2, metrics=1)
    server.begin(np.zeros(2, np.float32), 3, np.zeros(2, np.int64))
    version, _ = server.pull()
    server.push(0, version, np.ones(2, np.float32), np.ones(1), 0)
    server.push(0, 1, np.ones(2, np.float32), np.ones(1), 0)
    with pytest.raises(ValueError, match=r"change: worker 1 sent \(3,\) numbers, the parameters are \(2,\)"):
        server.push(1, version, np.ones(3, np.float32), np.ones(1), 0)
    with pytest.raises(ValueError, match="version: got 9, allowed is 0 to 2"):
        server.push(1, 9, np.ones(2, np.float32), np.ones(1), 0)
    assert server.push(1, version, np.array([0, -5], np.float32), np.ones(1), 0) is None
    look = server.look()
    assert look.vector.tolist() == [2.0, -3.0]
    assert (look.counts.tolist(), look.stale.tolist(), look.sums.tolist()) == ([2, 1], [0, 2], [3.0])


def test_a_number_that_is_not_finite_ends_the_round():
    wild = Work(BUILD, WORK.train._replace(x=WORK.train.x * np.float32(np.nan)), 5, 2)
    server = ParameterServer(workers=1, metrics=3)
    before = flat(start_of(WORK).params)
    server.begin(before, 9, np.zeros(1, np.int64))
    take_part(measured(wild), server.pull, server.push, 0, (0, 1))
    look = server.look()
    assert (look.updates, look.reason) == (0, 1)
    np.testing.assert_array_equal(look.vector, before)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (partial(optimizer, "adam", 0.1), "optimizer: keeps arrays from step to step"),
        (partial(optimizer, "sgd", 0.1, momentum=0.9), "optimizer: keeps arrays from step to step"),
    ],
)
def test_an_optimizer_with_moments_is_refused(optimizer, message):
    with pytest.raises(ValueError, match=message):
        check(recipe(NET, cross_entropy, {}, optimizer))


def test_a_network_with_a_state_and_other_kinds_of_numbers_are_refused():
    half = models.Model(lambda key: {"w": jnp.zeros(3, jnp.bfloat16)}, lambda params, x, **_: x)
    with pytest.raises(ValueError, match="model: has parameters of bfloat16, allowed is float32"):
        check(recipe(lambda: half, cross_entropy, {}, lambda: optax.sgd(0.1)))


@pytest.mark.parametrize("kind", [Shared, pytest.param(Served, marks=pytest.mark.slow)])
def test_processes_go_on_without_one_of_them(kind, start, by_fit):
    with kind(WORK, 2, **SIZES) as team:
        team.go(start, UPDATES, only=1)
        while team.running(5.0):
            pass
        is_that_of_fit(team.look().vector, by_fit, start)
        assert team.look().counts.tolist() == [UPDATES, 0]

        team.go(start, 10**9)
        both = _until(lambda: team.look(), lambda look: look.counts.min() > 20)
        assert both.sums[0] / both.updates < by_fit.history["loss"][0]
        os.kill(team.processes[0].pid, signal.SIGKILL)
        _until(lambda: team.running(0.1), lambda _: team.gone == 1)
        then = team.look()
        after = _until(lambda: team.look(), lambda look: look.updates > then.updates + 20)
        assert after.counts[0] == then.counts[0]
        team.stop()
        assert not team.running()
        if kind is Served:  # and without the server none goes on
            team.go(start, 10**9)
            os.kill(team.server_process, signal.SIGKILL)
            while team.running(5.0):
                pass
            with pytest.raises(Lost, match="the parameter server has ended"):
                team.look()
            assert team.gone == 2
            assert team.processes[1].exitcode == RESUMABLE


def _until(look, enough, seconds=60.0):
    end = time.monotonic() + seconds
    while not enough(found := look()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def test_a_worker_that_cannot_begin_is_said():
    broken = WORK._replace(build=partial(recipe, NET, cross_entropy, {}, partial(optimizer, "adam", 0.1)))
    with (
        pytest.raises(RuntimeError, match="1 workers ended before they were ready"),
        Shared(broken, 1, **SIZES),
    ):
        pass
