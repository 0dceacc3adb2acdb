"""`fit` against a plain loop of the library's step, and against numpy's gradient descent."""

import jax
import numpy as np
import pytest

from dlnotes import data, models, outputs
from dlnotes.data.dataset import Examples
from dlnotes.training.fitting import fit, predict
from dlnotes.training.optimizers import optimizer
from dlnotes.training.state import Recipe

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype(np.float32)
Y = RNG.normal(size=(12, 1)).astype(np.float32)
LINEAR = models.linear(3, 1)


def recipe(hyper):
    return Recipe(LINEAR, outputs.squared_error, {}, optimizer("sgd", hyper["rate"]))


def descend(w, b, x, y, rate, steps):
    """Gradient descent on the mean squared error, written out."""
    losses = []
    for _ in range(steps):
        error = x @ w + b - y
        losses.append(np.mean(error**2))
        w, b = w - rate * 2 * x.T @ error / len(x), b - rate * 2 * error.mean(0)
    return w, b, losses


def test_it_is_gradient_descent_for_every_member():
    rates = np.array([0.01, 0.1, 0.2], np.float32)
    start = jax.vmap(LINEAR.init)(jax.random.split(jax.random.key(3), 3))
    found = fit(recipe, Examples(X, Y), steps=5, seeds=range(3), hyperparams={"rate": rates}, start=start)
    for i, rate in enumerate(rates):
        w, b, losses = descend(np.asarray(start.W[i]), np.asarray(start.b[i]), X, Y, rate, 5)
        np.testing.assert_allclose(found.params.W[i], w, rtol=2e-5)
        np.testing.assert_allclose(found.params.b[i], b, rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(found.history["loss"][:, i], losses, rtol=1e-5)
    np.testing.assert_allclose(
        predict(LINEAR, found.params, X)[1], X @ found.params.W[1] + found.params.b[1], rtol=1e-5
    )


def test_members_may_have_their_own_data():
    xs, ys = RNG.normal(size=(2, 12, 3)).astype(np.float32), RNG.normal(size=(2, 12, 1)).astype(np.float32)
    rates = {"rate": np.full(2, 0.1)}
    both = fit(
        recipe, Examples(xs, ys), steps=6, batch_size=4, seeds=[4, 5], hyperparams=rates, data_per_member=True
    )
    for i in range(2):
        one = {"rate": rates["rate"][:1]}
        alone = fit(recipe, Examples(xs[i], ys[i]), steps=6, batch_size=4, seeds=[4 + i], hyperparams=one)
        np.testing.assert_allclose(both.params.W[i], alone.params.W[0], rtol=1e-5)
    np.testing.assert_allclose(
        predict(LINEAR, both.params, xs, per_member=True)[1],
        predict(LINEAR, both.params, xs[1])[1],
        rtol=1e-5,
    )


def test_snapshots_and_thinned_history_are_those_of_the_whole_run():
    options = {"steps": 10, "seeds": range(4), "hyperparams": {"rate": np.full(4, 0.1)}}
    whole = fit(recipe, Examples(X, Y), **options)
    cut = fit(recipe, Examples(X, Y), **options, every=4, probe=lambda p: {"b": p.b}, record=3)
    assert cut.probes["b"].shape == (3, 4, 1)  # before the first step, after 4, after 8
    np.testing.assert_array_equal(cut.history["loss"], whole.history["loss"][::3])
    short = fit(recipe, Examples(X, Y), **(options | {"steps": 8}))
    np.testing.assert_allclose(cut.probes["b"][2], short.params.b, rtol=1e-6)
    np.testing.assert_array_equal(cut.params.W, whole.params.W)


def test_a_member_that_diverges_stops_alone():
    found = fit(recipe, Examples(X, Y), steps=200, seeds=range(2), hyperparams={"rate": np.array([0.1, 1e9])})
    assert found.stopped_at[0] == -1
    assert found.stopped_at[1] > 0
    assert np.isfinite(found.history["loss"][:, 0]).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "steps: got 0"),
        ({"batch_size": 99}, "batch_size: got 99, there are 12"),
        ({"every": 2}, "every, probe"),
        ({"seeds": []}, "seeds: got none"),
        ({"hyperparams": {"rate": np.ones(3)}}, r"hyperparams\['rate'\]: got shape \(3,\)"),
        ({"data_per_member": True}, "one and the same length"),
    ],
)
def test_mistakes_are_named(options, words):
    arguments = {"steps": 2, "seeds": range(2), "hyperparams": {"rate": np.ones(2)}} | options
    with pytest.raises(ValueError, match=words):
        fit(recipe, Examples(X, Y), **arguments)


def test_examples_must_be_equally_many():
    with pytest.raises(ValueError, match="one and the same length"):
        fit(recipe, Examples(X, Y[:5]), steps=1, hyperparams={"rate": np.ones(10)})


def test_classification_learns_xor():
    xor = data.load("xor")
    model = models.mlp(2, (8,), 2, activation="tanh")
    made = Recipe(model, outputs.cross_entropy, {"accuracy": outputs.accuracy}, optimizer("adam", 0.1))
    found = fit(made, xor.train, steps=150, seeds=range(4), record=50)
    assert found.history["accuracy"].shape == (3, 4)
    assert (predict(model, found.params, xor.train.x).argmax(-1) == xor.train.y).mean() > 0.9
