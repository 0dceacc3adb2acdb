"""flax modules as models."""

from functools import partial
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from dlnotes import models


class Dropping(nn.Module):
    """Dropout with the flag ``deterministic``, and a mask."""

    @nn.compact
    def __call__(self, x, deterministic=True, keep=None):
        x = x if keep is None else x * keep.astype(x.dtype)
        return nn.Dropout(0.5)(nn.Dense(20)(x), deterministic=deterministic)


class Normalizing(nn.Module):
    """Batch statistics with the flag ``train``, or always those of the batch."""

    always: bool = False

    @nn.compact
    def __call__(self, x, train=False):
        return nn.BatchNorm(use_running_average=not (train or self.always), momentum=0.9)(x)


class Counting(nn.Module):
    """Keeps a state of a given type."""

    dtype: Any

    @nn.compact
    def __call__(self, x, train=False):
        seen = self.variable("seen", "steps", lambda: jnp.zeros((), self.dtype))
        if train:
            seen.value = seen.value + jnp.ones((), self.dtype)
        return nn.Dense(2)(x)


class Noisy(nnx.Module):
    """Two layers of dropout between layers that are shared, and a mask."""

    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(4, 4, rngs=rngs)] * 2)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.drops = nnx.List([nnx.Dropout(0.5, rngs=rngs) for _ in self.layers])

    def __call__(self, x, keep=None):
        x = self.norm(x if keep is None else x * keep.astype(x.dtype))
        for layer, drop in zip(self.layers, self.drops):
            x = drop(layer(x))
        return x


class Drawing(nnx.Module):
    """Draws in evaluation too."""

    def __init__(self, rngs):
        self.rngs = rngs

    def __call__(self, x):
        return x + jax.random.normal(self.rngs.noise(), x.shape)


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
    with pytest.raises(ValueError, match="train_argument: got 'training'"):
        models.from_flax(nn.Dense(3), SAMPLE, train_argument="training")
    with pytest.raises(ValueError, match="module: got int"):
        models.from_flax(3, SAMPLE)
    model = models.from_flax(nn.Dense(3), SAMPLE)
    with pytest.raises(ValueError, match="mask: got one"):
        model.apply(model.init(key), SAMPLE, mask=jnp.ones((1, 4), bool))
    with pytest.raises(ValueError, match="module: got the class Dense, allowed are an instance"):
        models.from_flax(nn.Dense, SAMPLE)
    with pytest.raises(ValueError, match="module: got an instance of the nnx module Noisy, .*rngs: Noisy"):
        models.from_flax(Noisy(nnx.Rngs(0)), SAMPLE)
    with pytest.raises(ValueError, match="module: got a function that gives int"):
        models.from_flax(lambda rngs: 3, SAMPLE)


def test_states_that_no_update_can_keep_are_refused():
    with pytest.raises(ValueError, match="module: Normalizing changes its state in evaluation too.*'train'"):
        models.from_flax(Normalizing(always=True), SAMPLE)
    with pytest.raises(ValueError, match="train_argument: got None, but Normalizing takes 'train'"):
        models.from_flax(Normalizing(), SAMPLE)
    with pytest.raises(ValueError, match="module: MultiHead.* whose shape depends on the batch's"):
        models.from_flax(nn.MultiHeadDotProductAttention(2, decode=True), jnp.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match=r"module: Counting keeps bool in its state\['seen'\]\['steps'\]"):
        models.from_flax(Counting(bool), SAMPLE, train_argument="train")


def test_whole_numbers_may_be_a_state(key):
    model = models.from_flax(Counting(jnp.int32), SAMPLE, train_argument="train")
    params = model.init(key)
    assert int(params.state["seen"]["steps"]) == 0
    assert int(model.update(params, SAMPLE)[1]["seen"]["steps"]) == 1


@pytest.mark.parametrize(
    ("module", "options"),
    [
        (Normalizing(), {"train_argument": "train"}),
        (nn.BatchNorm(momentum=0.9), {"train_argument": "use_running_average"}),
        (partial(nnx.BatchNorm, 4, momentum=0.9), {}),
    ],
    ids=["linen", "flag", "nnx"],
)
def test_training_normalizes_by_the_batch_and_evaluation_by_the_running_averages(module, options, key):
    model = models.from_flax(module, SAMPLE, **options)
    params = model.init(key)
    x = np.asarray(3 * jax.random.normal(key, (6, 4)) + 1)
    output, state = model.update(params, x)
    mean, variance = x.mean(0), x.var(0)
    chex.assert_trees_all_close(output, (x - mean) / np.sqrt(variance + 1e-5), rtol=1e-4, atol=1e-5)
    found = {jax.tree_util.keystr(path)[-6:-2]: a for path, a in jax.tree_util.tree_leaves_with_path(state)}
    chex.assert_trees_all_close(found["mean"], 0.1 * mean, rtol=1e-5)
    (varying,) = (np.asarray(a) for name, a in found.items() if name != "mean")
    chex.assert_trees_all_close(varying, 0.9 + 0.1 * variance, rtol=1e-4)
    got = model.apply(params._replace(state=state), x)
    chex.assert_trees_all_close(got, (x - 0.1 * mean) / np.sqrt(varying + 1e-5), rtol=1e-4, atol=1e-5)
    chex.assert_trees_all_equal(model.apply(params, x, key=key), model.update(params, x, key=key)[0])


def test_nnx_parameters_follow_the_key_and_dropout_its_own(key):
    model = models.from_flax(Noisy, SAMPLE, mask_argument="keep")
    keys = jax.random.split(key, 2)
    both = jax.jit(jax.vmap(model.init))(keys)
    params = model.init(keys[0])
    chex.assert_trees_all_close(jax.tree.map(lambda a: a[0], both), params, rtol=1e-6)
    kernels = both.learned["layers"][0]["kernel"]
    assert not np.allclose(kernels[0], kernels[1])
    assert list(both.learned["layers"]) == [0]  # shared layers are one
    x = jax.random.normal(key, (2, 4))
    update = jax.jit(model.update)
    one, again, other = (update(params, x, key=k)[0] for k in (keys[0], keys, keys[1]))
    chex.assert_trees_all_equal(one, again)
    assert not np.allclose(one, other)
    assert (one == 0).any()
    assert not (model.update(params, x)[0] == 0).any()  # without a key nothing is dropped
    plain = params.learned | {"layers": {0: {"kernel": jnp.eye(4), "bias": jnp.zeros(4)}}}
    dropped = model.update(params._replace(learned=plain), jax.random.normal(key, (400, 4)), key=key)[0] == 0
    np.testing.assert_allclose(dropped.mean(), 0.75, atol=0.05)  # each layer drops its own half
    mask = jnp.array([[True, False, True, True]] * 2)
    chex.assert_trees_all_equal(
        model.apply(params, x, mask=mask), model.apply(params, x * mask.astype(x.dtype))
    )


def test_a_factory_of_an_instance_begins_every_seed_with_its_parameters(key):
    net = Noisy(nnx.Rngs(3))
    model = models.from_flax(lambda rngs: net, SAMPLE)
    params = jax.vmap(model.init)(jax.random.split(key, 2))
    chex.assert_trees_all_equal(*(params.learned["layers"][0]["kernel"][i] for i in (0, 1)))
    jax.jit(model.update)(model.init(key), SAMPLE, key=key)
    model.update(model.init(key), SAMPLE + 1, key=key)
    assert (np.asarray(net.norm.mean[...]) == 0).all()  # the instance itself is left alone


def test_drawing_without_a_key_is_an_error(key):
    model = models.from_flax(Drawing, SAMPLE)
    assert model.update is None
    assert model.init(key) == {}
    assert not np.allclose(model.apply({}, SAMPLE, key=key), SAMPLE)
    with pytest.raises(ValueError, match="key: got none, but Drawing draws random numbers"):
        model.apply({}, SAMPLE)
