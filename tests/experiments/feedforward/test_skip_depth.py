"""The deep network as a loop over layers against the library's MLP."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiment_module import experiment

from dlnotes import layers, models

skips = experiment("feedforward/skip_depth")


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("activation", range(3))
def test_it_is_the_mlp(activation, skip):
    rng = np.random.default_rng(0)
    depth, used, width = 5, 4, skips.WIDTH
    mlp = models.mlp(
        skips.INPUTS, (width,) * used, 10, activation=skips.ACTIVATIONS[activation].lower(), skip=skip
    )
    params = mlp.init(jax.random.key(1))
    x = rng.standard_normal((3, skips.INPUTS), np.float32)
    unused = rng.standard_normal((1, width, width), np.float32)
    W = np.concatenate([np.stack([layer.W for layer in params.hidden[1:]]), unused])
    same = skips.Deep(
        params.hidden[0], layers.Dense(W, np.zeros((depth - 1, width), np.float32)), params.output
    )
    hyper = {"activation": jnp.float32(activation), "skip": jnp.float32(skip), "depth": jnp.float32(used)}
    found = skips.deep(hyper, depth).apply(same, x)
    np.testing.assert_allclose(found, mlp.apply(params, x), rtol=1e-4, atol=1e-5)
