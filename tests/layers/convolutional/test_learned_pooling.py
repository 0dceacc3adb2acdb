"""Learned pooling against loops, scipy's softmax, and the pooling that it starts as."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.special import softmax

from dlnotes import layers
from dlnotes.layers import LearnedPooling, adaptive_pool, init_learned_pooling

learned_pool = jax.jit(layers.learned_pool)
RNG = np.random.default_rng(0)


def drawn(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


@pytest.mark.parametrize("groups", [1, 2])
def test_against_loops(groups):
    params, x = LearnedPooling(drawn(3, 4, 5, groups)), drawn(2, 4, 5, 6)
    got = learned_pool(params, x)
    for r in range(3):
        for c in range(6):
            weights = softmax(np.asarray(params.logits[r, :, :, c // (6 // groups)]))
            want = (weights * np.asarray(x[..., c])).sum((1, 2))
            np.testing.assert_allclose(got[:, r, c], want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("sizes", "grid"), [((7,), (3,)), ((6, 9), (2, 4)), ((4, 3, 5), 2)], ids=str)
def test_it_starts_as_the_mean_over_a_grid(sizes, grid):
    x = drawn(2, *sizes, 4)
    sharp = init_learned_pooling(sizes, grid, groups=2, sharpness=30)
    want = adaptive_pool(x, grid, "mean").reshape(2, -1, 4)
    np.testing.assert_allclose(learned_pool(sharp, x), want, rtol=1e-4, atol=1e-6)
    flat = learned_pool(init_learned_pooling(sizes, grid, sharpness=0), x)
    np.testing.assert_allclose(
        flat, np.broadcast_to(np.asarray(x).reshape(2, -1, 1, 4).mean(1), flat.shape), rtol=1e-4, atol=1e-6
    )


def test_weights_of_a_mask_sum_to_one():
    params, x = LearnedPooling(drawn(3, 4, 5, 2)), drawn(2, 4, 5, 4)
    mask = jnp.asarray(RNG.random((2, 4, 5)) < 0.6).at[1].set(False)
    constant = learned_pool(params, jnp.full((2, 4, 5, 4), 2.5), mask=mask)
    np.testing.assert_allclose(constant[0], np.full((3, 4), 2.5), rtol=1e-5)
    np.testing.assert_array_equal(constant[1], np.zeros((3, 4)))
    louder = jnp.where(mask[..., None], x, 1e3)
    np.testing.assert_array_equal(learned_pool(params, louder, mask=mask), learned_pool(params, x, mask=mask))
    everywhere = learned_pool(params, x, mask=jnp.ones((2, 4, 5), bool))
    np.testing.assert_allclose(everywhere, learned_pool(params, x), rtol=1e-4, atol=1e-6)
    g = jax.jit(jax.grad(lambda p: learned_pool(p, x, mask=mask).sum()))(params)
    assert np.all(np.isfinite(g.logits))


def test_gradient():
    params, x, mask = LearnedPooling(drawn(2, 3, 3, 1)), drawn(2, 3, 3, 2), drawn(2, 3, 3) > -1
    for m in (None, mask):
        check_grads(jax.jit(lambda p, x, m=m: learned_pool(p, x, mask=m)), (params, x), 1, ["rev"], rtol=1e-2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: init_learned_pooling((4, 4), 5), "grid: got 5"),
        (lambda: init_learned_pooling((4, 4), 2, groups=0), "groups: got 0"),
        (lambda: init_learned_pooling((4, 4), 2, sharpness=-1), "sharpness: got -1"),
        (lambda: learned_pool(init_learned_pooling((4, 4), 2), drawn(1, 4, 5, 2)), "x: got shape"),
        (lambda: learned_pool(init_learned_pooling((4,), 2, groups=2), drawn(1, 4, 3)), "x: got 3 channels"),
        (
            lambda: learned_pool(init_learned_pooling((4,), 2), drawn(1, 4, 3), mask=jnp.ones((1, 3), bool)),
            "mask: got shape",
        ),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
