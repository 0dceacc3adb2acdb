"""Convolution, detector and pooling in one, against scipy and the output sizes that PyTorch documents."""

from math import ceil, floor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from dlnotes.layers import (
    POOLINGS,
    avg_pool,
    conv_stage,
    distance_weighted_pool,
    init_convolution,
    l2_pool,
    max_pool,
)

RNG = np.random.default_rng(0)
SIZES = {1: (11,), 2: (9, 8), 3: (5, 6, 7)}
DETECTORS = {"relu": lambda z: np.maximum(z, 0), "abs": np.abs, "tanh": np.tanh}


def documented_size(m, k, s, ceil_mode):
    """PyTorch's MaxPool without padding: ⌊(m − k)/s⌋ + 1, or with the ceiling.

    With the ceiling a window may go past the end, but windows that would start there are ignored.
    """
    n = (ceil if ceil_mode else floor)((m - k) / s) + 1
    return n - 1 if ceil_mode and (n - 1) * s >= m else n


def pooled(a, kind, window, strides, ceil_mode):
    """Pooling of one map by loops, on what lies inside the windows."""
    grid = [documented_size(m, k, s, ceil_mode) for m, k, s in zip(a.shape, window, strides)]
    out = np.zeros(grid)
    for place in np.ndindex(*grid):
        box = tuple(slice(i * s, i * s + k) for i, s, k in zip(place, strides, window))
        inside = a[box]
        center = np.meshgrid(*[np.arange(k) - (k - 1) / 2 for k in window], indexing="ij")
        weights = np.exp(-sum(c**2 for c in center) / 2)[tuple(slice(n) for n in inside.shape)]
        if kind == "distance_weighted":
            out[place] = (weights * inside).sum() / weights.sum()
        elif kind == "l2":
            out[place] = np.sqrt((inside**2).sum())
        else:
            out[place] = inside.max() if kind == "max" else inside.mean()
    return out


@pytest.mark.parametrize("kind", POOLINGS)
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("edge", ["VALID", "EDGE"])
def test_three_stages_against_scipy(kind, n, edge, key):
    detector = ["relu", "abs", "tanh"][n - 1]
    window, strides = (3, 2, 4)[:n], (2, 3, 3)[:n]
    params = init_convolution(key, (3,) * n, 2, 3)._replace(b=jnp.asarray([0.1, -0.2, 0.3]))
    x = jnp.asarray(RNG.normal(size=(2, *SIZES[n], 2)), jnp.float32)
    stage = jax.jit(
        lambda p, x: conv_stage(
            p, x, activation=detector, pooling=kind, window=window, pool_stride=strides, pool_padding=edge
        )
    )
    got = stage(params, x)
    for b in range(2):
        for o in range(3):
            maps = [
                scipy.signal.correlate(np.asarray(x[b, ..., c]), np.asarray(params.K[..., c, o]), "same")
                for c in range(2)
            ]
            h = DETECTORS[detector](sum(maps) + float(params.b[o]))
            want = pooled(h, kind, window, strides, edge == "EDGE")
            np.testing.assert_allclose(got[b, ..., o], want, rtol=1e-4, atol=1e-5)


def test_pooling_before_the_detector_changes_nothing(key):
    """For max and ReLU the order is exchanged; values and gradients are those of the order as written."""
    params = init_convolution(key, (3, 3), 2, 4)._replace(b=jnp.asarray([0.1, -0.2, 0.3, 0.0]))
    x = jnp.asarray(RNG.normal(size=(2, 8, 8, 2)), jnp.float32)
    weights = jnp.asarray(RNG.normal(size=(2, 4, 4, 4)), jnp.float32)

    def written(p):
        h = conv_stage(p, x, pooling="avg", window=1)  # convolution and detector alone
        return jnp.sum(weights * max_pool(h, 2))

    def stage(p):
        return jnp.sum(weights * conv_stage(p, x))

    (a, ga), (b, gb) = (jax.jit(jax.value_and_grad(f))(params) for f in (stage, written))
    np.testing.assert_allclose(a, b, rtol=1e-5)
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=1e-4, atol=1e-5), ga, gb)


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_every_size_is_the_documented_one(ceil_mode):
    """All small sizes, windows and strides, also strides wider than the window."""
    for m in range(1, 9):
        x = jnp.asarray(RNG.normal(size=(1, m, 1)), jnp.float32)
        for k in range(1, m + 1):
            for s in range(1, 6):
                want = documented_size(m, k, s, ceil_mode)
                for pool in (max_pool, avg_pool, l2_pool, distance_weighted_pool):
                    edge = "EDGE" if ceil_mode else "VALID"
                    got = jax.eval_shape(lambda x, p=pool, k=k, s=s, e=edge: p(x, (k,), s, e), x)
                    assert got.shape[1] == want, (m, k, s, pool)


def test_a_window_that_begins_past_the_end_does_not_count():
    x = jnp.arange(7.0).reshape(1, 7, 1)
    np.testing.assert_array_equal(max_pool(x, (2,), 4, "EDGE").ravel(), [1, 5])
    np.testing.assert_array_equal(max_pool(x, (9,), 4, "EDGE").ravel(), [6])
    np.testing.assert_array_equal(avg_pool(x, (3,), 3, "EDGE").ravel(), [1, 4, 6])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(pooling="median"), "pooling: got 'median'"),
        (dict(activation="rely"), "did you mean 'relu'"),
        (dict(window=9), "window: got"),
        (dict(pool_padding="FULL"), "padding: got 'FULL'"),
    ],
)
def test_what_does_not_fit_is_named(change, words, key):
    params = init_convolution(key, (3, 3), 1, 2)
    with pytest.raises(ValueError, match=words):
        conv_stage(params, jnp.ones((1, 4, 4, 1)), **change)
