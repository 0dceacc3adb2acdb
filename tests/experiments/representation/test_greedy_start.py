"""Deep stacks, how they start, and what pretraining costs."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiment_module import experiment

from dlnotes import layers, models

greedy_start = experiment("representation/greedy_start")
stacks = sys.modules[greedy_start.network.__module__]
SMALL = greedy_start.GreedyStart(depth=3, width=6, images=200, epochs=1, steps=20)


@pytest.fixture(scope="module")
def began():
    x = np.random.default_rng(0).random((200, stacks.INPUTS)).astype(np.float32)
    return x, greedy_start.starts(SMALL, x, np.array([5, 6]))


def test_the_stack_is_a_perceptron():
    model = stacks.network(3, 6, layers.sigmoid)
    params = model.init(jax.random.key(0))
    hidden = [params.first, *(layers.Dense(W, b) for W, b in zip(*params.rest))]
    mlp = models.mlp(stacks.INPUTS, (6, 6, 6), stacks.CLASSES, activation="sigmoid")
    x = jax.random.normal(jax.random.key(1), (4, stacks.INPUTS))
    want = mlp.apply(mlp.init(jax.random.key(2))._replace(hidden=tuple(hidden), output=params.output), x)
    np.testing.assert_allclose(model.apply(params, x), want, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_starts_differ_in_the_hidden_layers_only(began):
    _, found = began
    glorot = found[greedy_start.JOINT]
    for arm, start in found.items():
        np.testing.assert_array_equal(start.output.W, glorot.output.W)
        assert (arm == greedy_start.JOINT) == np.array_equal(start.rest.W, glorot.rest.W)
    np.testing.assert_allclose(found[greedy_start.LARGER].rest.W, 4 * glorot.rest.W, rtol=1e-6)
    deviation = glorot.first.W.std()
    np.testing.assert_allclose(deviation, (2 / (stacks.INPUTS + 6)) ** 0.5, rtol=0.05)


def test_a_greedy_start_is_what_its_encoders_give(began):
    x, found = began
    made = greedy_start.greedy(
        greedy_start.learners(SMALL)[greedy_start.BY_CODER], x, seeds=[5, 6], epochs=SMALL.epochs
    )
    h = x[:7]
    for encoder in made:
        h = encoder.learner.encode(jax.tree.map(lambda a: a[1], encoder.params), h)
    start = jax.tree.map(lambda a: jnp.asarray(a[1]), found[greedy_start.BY_CODER])
    want = layers.dense(start.output, h)
    got = stacks.network(3, 6, layers.sigmoid).apply(start, x[:7])
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_what_pretraining_costs_in_supervised_steps():
    """One layer more wide than deep: by hand."""
    options = greedy_start.GreedyStart(depth=2, width=10, images=1000, epochs=4, steps=100, batch_size=20)
    without_labels = 5 * (7840 + 100) * 1000 * 4
    step = (2 * 7840 + 3 * (100 + 100)) * 20
    assert greedy_start.paid_for(options) == 100 + round(without_labels / step)


def test_the_gradient_on_its_way_down(began):
    _, found = began
    x, y = jnp.asarray(began[0][:20]), jnp.arange(20, dtype=jnp.int32) % 10
    ratios = {arm: np.asarray(stacks.way_down("sigmoid", start, x, y)) for arm, start in found.items()}
    assert all(r.shape == (2,) and (r > 0).all() for r in ratios.values())
    assert (ratios[greedy_start.LARGER] > ratios[greedy_start.JOINT]).all()
