"""What the experiments with deep networks and host starts share."""

import jax
import jax.numpy as jnp
import numpy as np
from experiment_module import experiment

from dlnotes import layers, models
from dlnotes.models.feedforward.mlp import MLP
from dlnotes.training.starts import initial_params

module = experiment("feedforward/deep_sigmoids")
pre_activations, stack = module.pre_activations, module.stack


def test_a_stack_is_the_perceptron_of_its_layers(key):
    model, plain = stack(5, 3, 2, layers.tanh), models.mlp(5, (5, 5, 5), 2, activation="tanh")
    params = jax.tree.map(lambda a: a + 0.1, model.init(key))
    hidden = tuple(layers.Dense(W, b) for W, b in zip(*params.hidden))
    x = jax.random.normal(key, (4, 5))
    want = plain.apply(MLP(hidden, (None,) * 3, params.output), x)
    np.testing.assert_allclose(model.apply(params, x), want, rtol=1e-5, atol=1e-6)
    z = pre_activations(params, x, layers.tanh)
    np.testing.assert_allclose(z[0], layers.dense(hidden[0], x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layers.dense(params.output, jnp.tanh(z[2])), want, rtol=1e-5, atol=1e-6)


def test_host_starts_follow_he_and_the_seed():
    params = initial_params(stack(64, 4, 10, layers.relu), [3, 7, 3], "he")
    assert params.hidden.W.shape == (3, 4, 64, 64)
    assert not params.hidden.b.any()
    assert not params.output.b.any()
    np.testing.assert_allclose(params.hidden.W.std(axis=(1, 2, 3)), np.full(3, (2 / 64) ** 0.5), rtol=0.03)
    np.testing.assert_array_equal(params.hidden.W[0], params.hidden.W[2])
    assert (params.hidden.W[0] != params.hidden.W[1]).all()
    alone = initial_params(stack(64, 4, 10, layers.relu), [7], "he")
    np.testing.assert_array_equal(alone.hidden.W[0], params.hidden.W[1])
