"""Loader-forward models: equations against numpy, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import models


def test_equation_with_activations_and_skips(key):
    model = models.mlp((2, 3), (4, 6, 4), 2, activation=("relu", "prelu", "tanh"), skip=True)
    params = jax.tree.map(lambda p: p + 0.05, model.init(key))
    x = jax.random.normal(key, (5, 2, 3))
    (W1, b1), (W2, b2), (W3, b3) = (tuple(map(np.asarray, layer)) for layer in params.hidden)
    h0 = np.asarray(x).reshape(5, 6)
    h1 = np.maximum(h0 @ W1 + b1, 0)
    z2 = h1 @ W2 + b2
    h2 = np.where(z2 > 0, z2, np.asarray(params.slopes[1]) * z2) + h0
    h3 = np.tanh(h2 @ W3 + b3) + h1
    want = h3 @ np.asarray(params.output.W) + np.asarray(params.output.b)
    np.testing.assert_allclose(model.apply(params, x), want, rtol=1e-4, atol=1e-5)


def test_solves_xor_by_hand():
    from dlnotes.layers import Dense
    from dlnotes.models.feedforward.mlp import MLP

    model = models.mlp(2, (2,), 1)
    params = MLP(
        (Dense(jnp.ones((2, 2)), jnp.array([0.0, -1.0])),),
        (None,),
        Dense(jnp.array([[1.0], [-2.0]]), jnp.zeros(1)),
    )
    x = jnp.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    np.testing.assert_array_equal(model.apply(params, x).ravel(), [0, 1, 1, 0])


def test_maxout_with_a_zero_piece_is_a_relu_network(key):
    relu, maxout = models.mlp(3, (4,), 2), models.maxout_mlp(3, (4,), 2, pieces=2)
    params = relu.init(key)
    W = jnp.stack([params.hidden[0].W, jnp.zeros((3, 4))], -1).reshape(3, 8)
    same = maxout.init(key)._replace(output=params.output)
    same = same._replace(hidden=(same.hidden[0]._replace(W=W),))
    x = jax.random.normal(key, (6, 3))
    np.testing.assert_allclose(maxout.apply(same, x), relu.apply(params, x), rtol=1e-5, atol=1e-6)


def test_no_hidden_layer_is_the_linear_model(key):
    params = models.mlp(3, (), 2).init(key)
    x = jax.random.normal(key, (4, 3))
    want = models.linear(3, 2).apply(params.output, x)
    np.testing.assert_array_equal(models.mlp(3, (), 2).apply(params, x), want)


def test_traced_hyperparameters(key):
    x = jax.random.normal(key, (3, 5))

    @jax.jit
    @jax.vmap
    def run(rate, scale):
        model = models.mlp(5, (40,), 2, dropout=rate, input_dropout=rate, init_scale=scale)
        return model.apply(model.init(key), x), model.apply(model.init(key), x, key=key)

    off, on = run(jnp.array([0.0, 0.5]), jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(off[0], on[0], rtol=1e-5)
    assert not np.allclose(off[1], on[1])
    np.testing.assert_allclose(off[1], 4 * off[0], rtol=1e-4, atol=1e-5)  # two layers, positive homogeneous


def test_hidden_bias_and_zero_start(key):
    params = models.mlp(3, (4, 5), 2, init_bias=0.1).init(key)
    assert all(np.allclose(layer.b, 0.1) for layer in params.hidden)
    assert not params.output.b.any()
    assert not models.linear(3, 2, init_scale=0.0).init(key).W.any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: models.linear(0, 2), "inputs: got 0"),
        (lambda: models.linear((3, -1), 2), "inputs: got"),
        (lambda: models.linear(3, 0), "outputs: got 0"),
        (lambda: models.mlp(3, (4, 0), 2), r"widths\[1\]: got 0"),
        (lambda: models.mlp(3, 4, 2), "widths: got 4"),
        (lambda: models.mlp(3, (4,), 2, activation="rleu"), "did you mean 'relu'"),
        (lambda: models.mlp(3, (4,), 2, activation=("relu", "tanh")), "activation: got 2 names for 1"),
        (lambda: models.mlp(3, (4,), 2, dropout=1.0), "dropout: got 1.0"),
        (lambda: models.mlp(3, (4,), 2, input_dropout=-0.1), "input_dropout: got -0.1"),
        (lambda: models.mlp(3, (4,), 2, initializer="he"), "initializer: got 'he'"),
        (lambda: models.maxout_mlp(3, (4,), 2, pieces=0), "pieces: got 0"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_wrong_input_shape(key):
    model = models.mlp(3, (4,), 2)
    with pytest.raises(ValueError, match=r"x: got shape \(5, 4\)"):
        model.apply(model.init(key), jnp.ones((5, 4)))


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="no attribute 'perceptron'"):
        _ = models.perceptron
    assert "maxout_mlp" in dir(models)
