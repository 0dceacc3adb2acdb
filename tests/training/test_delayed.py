"""Descent with old gradients: stable where the closed form says, and without a delay the engine's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_parts import close, examples, recipe_of

from dlnotes.training import fit
from dlnotes.training.delayed import delayed_descent, largest_stable_rate, train_delayed
from dlnotes.training.state import Recipe


def quadratic(curvature, rate, delay, steps, most=4):
    """|θ| of descent on λθ²/2 from 1, over time."""

    def change(state, old, t):
        return state, -rate * curvature * old

    _, _, seen = delayed_descent(change, jnp.array(1.0), steps=steps, delay=delay, most=most)
    return jnp.abs(seen)


def test_it_is_stable_up_to_the_rate_of_the_closed_form():
    delays, shares = np.array([1, 1, 2, 2, 4, 4]), np.array([0.99, 1.01] * 3, np.float32)
    curvature = np.float32(2.7)
    rates = shares * np.array([largest_stable_rate(int(d)) for d in delays], np.float32) / curvature
    run = jax.jit(jax.vmap(lambda rate, delay: quadratic(curvature, rate, delay, 3000)))
    seen = np.asarray(run(rates, delays))
    early, late = seen[:, 1000:1100].max(1), seen[:, -100:].max(1)
    assert (late[::2] < 0.2 * early[::2]).all()
    assert (late[1::2] > 5 * early[1::2]).all()


def test_the_recursion_is_the_one_that_is_written():
    rng = np.random.default_rng(3)
    shifts = rng.normal(size=9).astype(np.float32)
    path = [np.float32(1.3)]
    for t in range(9):
        path.append(np.float32(path[t] - 0.4 * path[max(t - 3, 0)] + shifts[t]))

    def change(count, old, t):
        return count + 1, -0.4 * old + jnp.asarray(shifts)[t]

    last, count, seen = delayed_descent(
        change, jnp.array(1.3), jnp.array(0), steps=9, delay=3, most=5, every=3
    )
    np.testing.assert_allclose(seen, path[::3], rtol=1e-5)
    assert (float(last), int(count)) == (pytest.approx(path[-1], rel=1e-5), 9)


@pytest.mark.parametrize(("kind", "options"), [("sgd", {"dropout": 0.3}), ("adam", {})])
def test_without_a_delay_it_is_fit(kind, options):
    data, recipe = examples(), recipe_of(kind, **options)
    same = {"steps": 12, "batch_size": 5, "seeds": [3, 4], "hyperparams": {"rate": [0.1, 0.02]}}
    same["hyperparams"]["rate"] = np.array(same["hyperparams"]["rate"], np.float32)
    engine = fit(recipe, data, every=4, probe=lambda p: p.output.W, **same)
    ours = train_delayed(recipe, data, delay=0, every=4, probe=lambda p: p.output.W, **same)
    close(ours.params, engine.params, 2e-5)
    close(ours.probes, engine.probes, 2e-5)


def test_a_delay_changes_the_second_step_and_not_the_first():
    data, recipe = examples(), recipe_of(rate=0.5)
    probed = {"batch_size": 5, "every": 1, "probe": lambda p: p.output.W}
    found = train_delayed(recipe, data, steps=3, delay=[0, 2], seeds=[7, 7], **probed).probes
    close(found[:2, 0], found[:2, 1])
    assert np.abs(found[2, 0] - found[2, 1]).max() > 1e-4


def test_a_member_that_diverges_stops_alone():
    recipe = recipe_of(loss=lambda logits, y: squares(logits, y))
    rates = {"rate": np.array([0.01, 1e30], np.float32)}
    found = train_delayed(recipe, examples(), steps=20, delay=3, seeds=[0, 1], hyperparams=rates)
    assert found.stopped_at[0] == -1
    assert 0 < found.stopped_at[1] < 20
    assert np.isfinite(found.params.output.W[0]).all()


def squares(logits, y):
    from dlnotes.outputs import squared_error

    return squared_error(logits, jax.nn.one_hot(y, 3))


def test_what_does_not_fit_is_named():
    data, recipe = examples(), recipe_of()({})
    assert isinstance(recipe, Recipe)
    with pytest.raises(ValueError, match="steps: got 7, allowed are multiples of every = 2"):
        train_delayed(recipe, data, steps=7, delay=0, every=2)
    with pytest.raises(ValueError, match="delay: got -1, allowed is 0 or more"):
        train_delayed(recipe, data, steps=2, delay=-1)
    with pytest.raises(ValueError, match=r"hyperparams\['rate'\]: got shape \(3,\), needed is \(10,\)"):
        train_delayed(recipe, data, steps=2, delay=0, hyperparams={"rate": np.ones(3)})
