"""Padded signals against each signal alone, flax's group normalization, and windows one by one."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from dlnotes import layers
from dlnotes.layers.convolutional.masked import only, pooled_mask, strided_mask
from dlnotes.layers.normalization import LayerNorm


def padded(rng, sizes, canvas, channels=4):
    """One padded batch, its mask, and the examples alone."""
    x = rng.normal(size=(len(sizes), *canvas, channels)).astype(np.float32)
    mask = np.zeros(x.shape[:-1], bool)
    alone = []
    for i, size in enumerate(sizes):
        box = tuple(slice(0, n) for n in size)
        mask[(i, *box)] = True
        alone.append(jnp.asarray(x[(i, *box)])[None])
    return jnp.asarray(x), jnp.asarray(mask), alone


SIZES = {1: [(5,), (9,), (2,)], 2: [(5, 7), (8, 3), (2, 2)], 3: [(4, 3, 5), (2, 5, 2)]}
CANVAS = {1: (9,), 2: (8, 7), 3: (4, 6, 5)}


@pytest.mark.parametrize("rank", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_means_and_grids_are_those_of_each_signal_alone(rank):
    x, mask, alone = padded(np.random.default_rng(rank), SIZES[rank], CANVAS[rank])
    got = layers.masked_mean(x, mask)
    np.testing.assert_allclose(got, np.stack([a[0].mean(tuple(range(rank))) for a in alone]), atol=1e-6)
    got = layers.masked_adaptive_pool(x, mask, 2)
    want = [layers.adaptive_pool(a, (2,) * rank, "mean")[0] for a in alone]
    np.testing.assert_allclose(got, np.stack(want), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rank", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.slow
def test_group_norm_against_flax(rank, groups):
    rng = np.random.default_rng(rank)
    x, mask, alone = padded(rng, SIZES[rank], CANVAS[rank])
    params = LayerNorm(*(jnp.asarray(rng.normal(size=4), jnp.float32) for _ in range(2)))
    flax = {"params": {"scale": params.scale, "bias": params.shift}}
    norm = nn.GroupNorm(num_groups=groups, epsilon=1e-5)
    got = layers.masked_group_norm(params, x, mask, groups=groups)
    for i, a in enumerate(alone):
        want = norm.apply(flax, a)
        np.testing.assert_allclose(layers.masked_group_norm(params, a, None, groups=groups), want, atol=2e-5)
        box = (slice(i, i + 1), *(slice(0, n) for n in a.shape[1:-1]))
        np.testing.assert_allclose(got[box], want, atol=2e-5)


@pytest.mark.slow
def test_group_norm_has_the_gradient_of_finite_differences(key):
    x, mask, _ = padded(np.random.default_rng(0), [(3, 4), (2, 2)], (4, 4))
    params = LayerNorm(jnp.array([1.0, 0.5, 2.0, -1.0]), jnp.zeros(4))
    f = lambda p, x: only(layers.masked_group_norm(p, x, mask, groups=2), mask)  # noqa: E731
    check_grads(jax.jit(f), (params, x), order=1, modes=["rev"], rtol=5e-2, atol=5e-2)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_masks_follow_convolutions_and_pooling(stride):
    mask = np.zeros((9, 9), bool)
    for m in range(1, 10):
        mask[m - 1, :m] = True
    real = [-(-m // stride) for m in range(1, 10)]
    np.testing.assert_array_equal(strided_mask(jnp.asarray(mask), stride).sum(1), real)
    np.testing.assert_array_equal(pooled_mask(jnp.asarray(mask), stride).sum(1), np.arange(1, 10) // stride)


def test_wrong_arguments_are_named():
    x = jnp.ones((1, 4, 6))
    params = LayerNorm(jnp.ones(6), jnp.zeros(6))
    with pytest.raises(ValueError, match="groups: got 4, which does not divide 6"):
        layers.masked_group_norm(params, x, None, groups=4)
    with pytest.raises(ValueError, match="grid: got 0"):
        layers.masked_adaptive_pool(x, None, 0)


def test_nothing_real_gives_no_nan():
    x, mask = jnp.ones((1, 4, 2)), jnp.zeros((1, 4), bool)
    assert jnp.isfinite(layers.masked_mean(x, mask)).all()
    assert jnp.isfinite(layers.masked_adaptive_pool(x, mask, 2)).all()
    assert jnp.isfinite(jax.grad(lambda x: layers.masked_mean(x, mask).sum())(x)).all()
