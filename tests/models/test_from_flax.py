"""flax modules as models."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import models


class Dropping(nn.Module):
    """Dropout with the flag ``deterministic``, and a mask."""

    @nn.compact
    def __call__(self, x, deterministic=True, keep=None):
        x = x if keep is None else x * keep.astype(x.dtype)
        return nn.Dropout(0.5)(nn.Dense(20)(x), deterministic=deterministic)


class Normalizing(nn.Module):
    """Keeps batch statistics."""

    @nn.compact
    def __call__(self, x):
        return nn.BatchNorm(use_running_average=False)(x)


SAMPLE = jnp.ones((1, 4))


def test_dense_is_the_linear_model(key):
    model = models.from_flax(nn.Dense(3), SAMPLE)
    params = model.init(key)
    x = jax.random.normal(key, (5, 4))
    want = x @ params["kernel"] + params["bias"][None]
    np.testing.assert_allclose(model.apply(params, x), want, rtol=1e-5, atol=1e-6)


def test_keys_and_mask(key):
    model = models.from_flax(Dropping(), SAMPLE, train_argument="deterministic", mask_argument="keep")
    params = model.init(key)
    x = jax.random.normal(key, (2, 4))
    keys = jax.random.split(key, 2)
    on = model.apply(params, x, key=keys[0])
    assert (on == 0).any()
    assert not (model.apply(params, x) == 0).any()
    np.testing.assert_array_equal(on, model.apply(params, x, key=keys))
    mask = jnp.array([[True, False, True, True]] * 2)
    np.testing.assert_array_equal(
        model.apply(params, x, mask=mask), model.apply(params, x * mask.astype(x.dtype))
    )


def test_refusals(key):
    with pytest.raises(ValueError, match=r"Normalizing keeps the collections \['batch_stats'\]"):
        models.from_flax(Normalizing(), SAMPLE)
    with pytest.raises(ValueError, match="train_argument: got 'training'"):
        models.from_flax(nn.Dense(3), SAMPLE, train_argument="training")
    with pytest.raises(ValueError, match="module: got int"):
        models.from_flax(3, SAMPLE)
    model = models.from_flax(nn.Dense(3), SAMPLE)
    with pytest.raises(ValueError, match="mask: got one"):
        model.apply(model.init(key), SAMPLE, mask=jnp.ones((1, 4), bool))
