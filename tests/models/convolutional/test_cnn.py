"""The convolutional network against the same network in flax, and what it refuses."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import models


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_against_flax(key, activation):
    model = models.cnn((9, 8, 2), 3, channels=(3, 4), convolutions=2, dense=(5,), activation=activation)
    params = jax.tree.map(lambda p: p + 0.05, jax.jit(model.init)(key))
    x = jax.random.normal(key, (2, 9, 8, 2))
    np.testing.assert_allclose(
        jax.jit(model.apply)(params, x),
        jax.jit(partial(in_flax, activation))(params, x),
        rtol=1e-4,
        atol=1e-4,
    )


def in_flax(activation, params, x):
    """The same network, written with flax's layers."""
    g = getattr(nn, activation)
    h = x
    for stage in params.convolutions:
        for layer in stage:
            conv = nn.Conv(layer.K.shape[-1], (3, 3))
            h = g(conv.apply({"params": {"kernel": layer.K, "bias": layer.b}}, h))
        h = nn.max_pool(h, (2, 2), (2, 2))
    h = h.reshape(2, -1)
    h = g(h @ params.hidden[0].W + params.hidden[0].b[None])
    return h @ params.output.W + params.output.b[None]


def test_shapes_without_pooling_and_dense(key):
    model = models.cnn((4, 5, 1), 2, channels=(3,), pool=1, dense=(), kernel=2)
    params = jax.eval_shape(model.init, key)
    assert params.output.W.shape == (60, 2)
    assert jax.eval_shape(model.apply, params, jnp.ones((7, 4, 5, 1))).shape == (7, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(inputs=(8, 8)), "inputs: got"),
        (dict(inputs=64), "inputs: got 64"),
        (dict(channels=(4, 0)), r"channels\[1\]: got 0"),
        (dict(channels=(4, 4, 4)), "kernel: got 3, larger than the 2 x 2 maps that stage 2"),
        (dict(pool=9), "pool: got 9, larger"),
        (dict(convolutions=0), "convolutions: got 0"),
        (dict(dense=(0,)), r"dense\[0\]: got 0"),
        (dict(activation="prelu"), "activation: got 'prelu'"),
        (dict(dropout=2), "dropout: got 2"),
        (dict(normalization="batch"), "normalization: got 'batch'"),
    ],
)
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        models.cnn(**{"inputs": (8, 8, 1), "outputs": 3, **change})


def test_wrong_input_shape(key):
    model = models.cnn((8, 8, 1), 3, channels=(2,), dense=())
    with pytest.raises(ValueError, match=r"x: got shape \(2, 8, 8, 3\)"):
        jax.eval_shape(model.apply, jax.eval_shape(model.init, key), jnp.ones((2, 8, 8, 3)))
