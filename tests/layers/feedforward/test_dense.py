"""The affine layer and layer normalization against numpy and flax."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from dlnotes import layers
from dlnotes.layers.normalization import LayerNorm, layer_norm


@pytest.mark.parametrize("shape", [(5,), (2, 5), (2, 3, 5)])
def test_dense_is_affine(shape):
    rng = np.random.default_rng(0)
    x, W, b = (rng.normal(size=s).astype(np.float32) for s in (shape, (5, 4), (4,)))
    params = layers.Dense(jnp.asarray(W), jnp.asarray(b))
    np.testing.assert_allclose(layers.dense(params, jnp.asarray(x)), x @ W + b, rtol=1e-5, atol=1e-6)
    check_grads(jax.jit(layers.dense), (params, jnp.asarray(x)), order=2, modes=["fwd", "rev"], rtol=1e-2)


def test_dense_init_and_errors(key):
    params = layers.init_dense(key, 5, 4, bias=0.1)
    assert params.W.shape == (5, 4)
    np.testing.assert_allclose(params.b, np.full(4, 0.1), rtol=1e-6)
    with pytest.raises(ValueError, match=r"x: got shape \(\d, 6\), allowed is \(\.\.\., inputs=5\)"):
        layers.dense(params, jnp.ones((2, 6)))


@pytest.mark.parametrize("axes", [(-1,), (1, 2)])
def test_layer_norm_against_flax(axes):
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.normal(3, 2, size=(2, 4, 5)), jnp.float32)
    scale, shift = (jnp.asarray(rng.normal(size=5), jnp.float32) for _ in range(2))
    module = nn.LayerNorm(epsilon=1e-5, reduction_axes=axes, feature_axes=-1)
    want = module.apply({"params": {"scale": scale, "bias": shift}}, x)
    got = layer_norm(LayerNorm(scale, shift), x, axes=axes)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), (LayerNorm(scale, shift), x))
    assert layer_norm(*half, axes=axes).dtype == jnp.bfloat16
