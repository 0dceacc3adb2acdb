"""Pooling against the window operation, numpy and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.test_util import check_grads

from dlnotes import layers

CASES = [
    ((2, 8, 6, 3), 2, None, "VALID"),
    ((2, 7, 5, 3), 2, None, "VALID"),
    ((1, 9, 7, 2), 3, None, "VALID"),
    ((1, 9, 7, 2), (2, 3), None, "VALID"),
    ((1, 9, 7, 2), 3, 2, "VALID"),
    ((2, 7, 5, 3), 2, None, "SAME"),
    ((2, 7, 5, 3), 3, 2, "EDGE"),
    ((2, 10, 10, 1), 5, None, "VALID"),
    ((2, 7, 3), (2,), None, "VALID"),
    ((1, 4, 5, 6, 2), 2, None, "EDGE"),
]


def draw(shape):
    """Distinct values a step apart, in random order: no ties, and safe for finite differences."""
    values = np.random.default_rng(0).permutation(np.prod(shape)) / 10 - 3
    return jnp.asarray(values.reshape(shape), jnp.float32)


def windows(x, window, stride, padding):
    """Every window of every channel, as lists of numbers, written with loops."""
    sizes = x.shape[1:-1]
    w = np.broadcast_to(window, len(sizes))
    s = w if stride is None else np.broadcast_to(stride, len(sizes))
    starts = []
    for m, wi, si in zip(sizes, w, s):
        if padding == "VALID":
            starts.append([i * si for i in range((m - wi) // si + 1)])
        elif padding == "EDGE":
            starts.append([i * si for i in range(-(-(m - wi) // si) + 1)])
        else:
            out = -(-m // si)
            starts.append([i * si - max(0, (out - 1) * si + wi - m) // 2 for i in range(out)])
    grid = np.stack(np.meshgrid(*starts, indexing="ij"), -1)
    for place in np.ndindex(grid.shape[:-1]):
        box = tuple(slice(max(a, 0), a + wi) for a, wi in zip(grid[place], w))
        yield place, grid.shape[:-1], np.asarray(x)[(slice(None), *box)]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize(
    ("pool", "rule"),
    [
        (layers.max_pool, lambda a, axes: a.max(axes)),
        (layers.avg_pool, lambda a, axes: a.mean(axes)),
        (layers.l2_pool, lambda a, axes: np.sqrt((a**2).sum(axes))),
    ],
    ids=["max", "avg", "l2"],
)
def test_against_loops(pool, rule, case):
    x = draw(case[0])
    got = pool(x, *case[1:])
    seen = 0
    for place, grid, box in windows(x, *case[1:]):
        assert got.shape[1:-1] == grid
        want = rule(box, tuple(range(1, box.ndim - 1)))
        np.testing.assert_allclose(got[(slice(None), *place)], want, rtol=1e-5, atol=1e-5)
        seen += 1
    assert seen == np.prod(got.shape[1:-1])


@pytest.mark.parametrize("case", CASES[:6], ids=str)
def test_gradients(case):
    x = draw(case[0])
    weights = jax.random.normal(jax.random.key(0), layers.max_pool(x, *case[1:]).shape)
    for pool in (layers.max_pool, layers.avg_pool):
        weighted = jax.jit(lambda x, pool=pool: jnp.sum(weights * pool(x, *case[1:])))
        check_grads(weighted, (x,), 1, ["rev"], eps=1e-2, rtol=2e-2)


def test_fast_path_has_the_gradient_of_the_window_operation():
    x = draw((2, 8, 6, 3))

    def reference(x):
        return lax.reduce_window(x, -np.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    weights = jax.random.normal(jax.random.key(0), (2, 4, 3, 3))
    ours, theirs = (
        jax.jit(jax.grad(lambda x, f=f: jnp.sum(weights * f(x))))(x) for f in (layers.max_pool, reference)
    )
    np.testing.assert_array_equal(ours, theirs)
    assert "reduce_window" not in jax.jit(layers.max_pool).lower(x).as_text()


def test_ties_share_one_unit_of_gradient():
    g = jax.grad(lambda x: layers.max_pool(x).sum())
    np.testing.assert_array_equal(g(jnp.ones((1, 2, 2, 1))).ravel(), [0.25] * 4)
    np.testing.assert_array_equal(
        g(jnp.array([[[[2.0], [2.0]], [[2.0], [1.0]]]])).ravel(), [0.25, 0.25, 0.5, 0]
    )


@pytest.mark.parametrize("case", [CASES[0], CASES[4], CASES[6]], ids=str)
def test_vmap(case):
    x = jnp.stack([draw(case[0]), -draw(case[0])])
    for pool in (layers.max_pool, layers.avg_pool):
        g = jax.grad(lambda x, pool=pool: jnp.sum(pool(x, *case[1:]) ** 2))
        np.testing.assert_allclose(jax.vmap(g)(x), np.stack([g(a) for a in x]), rtol=1e-6)


def test_dtypes_and_global():
    x = draw((2, 4, 4, 3))
    np.testing.assert_allclose(layers.global_avg_pool(x), np.asarray(x).mean((1, 2)), rtol=1e-5)
    for pool in (layers.max_pool, layers.avg_pool, layers.l2_pool):
        for padding in ("VALID", "SAME"):
            assert pool(x.astype(jnp.bfloat16), 3, 1, padding).dtype == jnp.bfloat16
    zero = jax.grad(lambda x: layers.l2_pool(x).sum())(jnp.zeros((1, 2, 2, 1)))
    np.testing.assert_array_equal(zero, np.zeros((1, 2, 2, 1)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "window: got 0"),
        ((2, 0), "stride: got 0"),
        ((9,), "window: got .* larger"),
        ((2, None, "FULL"), "padding: got 'FULL'"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        layers.max_pool(draw((1, 4, 4, 1)), *arguments)
