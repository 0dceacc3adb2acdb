"""Pooling by distance, to a grid, over channels, and up-sampling, against numpy, scipy and jax.image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from jax.test_util import check_grads

from dlnotes.layers import (
    adaptive_pool,
    avg_pool,
    channel_max_pool,
    distance_weighted_pool,
    max_pool,
    upsample,
)

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(2, 7, 9, 3)), jnp.float32)


def test_distance_weights_against_scipy():
    w = np.exp(-np.add.outer(np.arange(-1, 2) ** 2, np.arange(-1, 2) ** 2) / (2 * 0.7**2))
    image = np.asarray(X[0, :, :, 1])
    got = distance_weighted_pool(X, 3, 1, width=0.7)[0, :, :, 1]
    np.testing.assert_allclose(
        got, scipy.signal.correlate2d(image, w / w.sum(), "valid"), rtol=1e-4, atol=1e-6
    )
    same = distance_weighted_pool(X, 3, 1, width=0.7, padding="SAME")[0, :, :, 1]
    want = scipy.signal.correlate2d(image, w, "same") / scipy.signal.correlate2d(
        np.ones_like(image), w, "same"
    )
    np.testing.assert_allclose(same, want, rtol=1e-4, atol=1e-6)


def test_very_wide_weights_are_the_plain_mean():
    np.testing.assert_allclose(distance_weighted_pool(X, 2, width=1e4), avg_pool(X, 2), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("kind", "reduce"), [("max", np.max), ("mean", np.mean)])
def test_adaptive_cells_are_pytorchs(kind, reduce):
    """Cells begin at ⌊i·m/g⌋ and end at ⌈(i + 1)·m/g⌉, as its documentation says; they may overlap."""
    got = np.asarray(adaptive_pool(X, (3, 4), kind))
    image = np.asarray(X)
    for i in range(3):
        for j in range(4):
            rows = slice(i * 7 // 3, -(-(i + 1) * 7 // 3))
            columns = slice(j * 9 // 4, -(-(j + 1) * 9 // 4))
            np.testing.assert_allclose(got[:, i, j], reduce(image[:, rows, columns], axis=(1, 2)), rtol=1e-5)


def test_adaptive_of_a_divisor_is_plain_pooling():
    x = X[:, :6, :8]
    np.testing.assert_array_equal(adaptive_pool(x, (3, 4)), max_pool(x, 2))
    np.testing.assert_allclose(adaptive_pool(x, 1, "l2")[:, 0, 0], jnp.sqrt((x**2).sum((1, 2))), rtol=1e-5)


def test_gradients():
    check_grads(
        jax.jit(lambda x: adaptive_pool(x, 2, "l2")), (X[:1, :4, :4],), 1, modes=["rev"], rtol=2e-2, atol=1e-2
    )
    assert np.isfinite(jax.grad(lambda x: adaptive_pool(x, 1, "l2").sum())(jnp.zeros((1, 3, 3, 1)))).all()
    check_grads(jax.jit(lambda x: upsample(x, 2, "linear")), (X[:1, :3, :3],), 1, modes=["rev"], rtol=1e-2)


def test_channels_are_grouped_in_order():
    x = X[..., :2]
    np.testing.assert_array_equal(
        channel_max_pool(jnp.concatenate([x, x - 1], -1), 2), np.stack([x.max(-1), x.max(-1) - 1], -1)
    )


def test_upsampling():
    np.testing.assert_array_equal(upsample(X, (2, 3)), np.asarray(X).repeat(2, 1).repeat(3, 2))
    want = jax.image.resize(X, (2, 14, 27, 3), "linear")
    np.testing.assert_allclose(upsample(X, (2, 3), "linear"), want, rtol=1e-4, atol=1e-5)
    line = jnp.asarray([[[2.0]]])
    np.testing.assert_array_equal(upsample(line, (3,), "linear"), np.full((1, 3, 1), 2.0))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: adaptive_pool(X, 8), "grid: got 8"),
        (lambda: adaptive_pool(X, 2, "median"), "kind: got 'median'"),
        (lambda: distance_weighted_pool(X, 3, width=0.0), "width: got"),
        (lambda: upsample(X, 0), "factor: got 0"),
        (lambda: upsample(X, 2, "cubic"), "method: got 'cubic'"),
        (lambda: channel_max_pool(X, 2), "2"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
