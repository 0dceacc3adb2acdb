"""Switches and the way back against plain loops over windows, and against pooling itself."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import layers


@pytest.mark.parametrize("sizes", [(6,), (4, 6), (2, 4, 6)])
def test_against_loops(sizes):
    x = np.random.default_rng(0).normal(size=(2, *sizes, 3)).astype(np.float32)
    found = layers.switched_max_pool(jnp.asarray(x))
    back = np.asarray(layers.max_unpool(found.values, found.switches))
    want = np.zeros_like(x)
    for b, c in product(range(2), range(3)):
        for place in product(*(range(m // 2) for m in sizes)):
            window = tuple(slice(2 * i, 2 * i + 2) for i in place)
            part = x[(b, *window, c)]
            at = int(part.argmax())
            assert found.switches[(b, *place, c)] == at
            want[(b, *window, c)][np.unravel_index(at, part.shape)] = part.max()
    np.testing.assert_array_equal(back, want)
    np.testing.assert_array_equal(
        found.values, layers.max_pool(jnp.asarray(x), 2 if len(sizes) > 1 else (2,))
    )


def test_a_tie_goes_to_the_first_and_whole_numbers_pass():
    found = layers.switched_max_pool(jnp.array([3, 3, 1, 2]).reshape(1, 4, 1))
    assert found.switches[0, :, 0].tolist() == [0, 1]
    assert found.values[0, :, 0].tolist() == [3, 2]


def test_the_way_back_is_the_transpose_of_the_selection(key):
    """``Σ y · x[switch] = Σ unpool(y) · x`` for every x and y; and the gradient goes to the maxima."""
    x, other = jax.random.normal(key, (2, 2, 6, 4, 3))
    found = layers.switched_max_pool(x)
    y = jax.random.normal(key, found.values.shape)
    grad = jax.grad(lambda x: (layers.switched_max_pool(x).values * y).sum())(x)
    np.testing.assert_allclose(grad, layers.max_unpool(y, found.switches), rtol=1e-6)
    back = jax.grad(lambda y: (layers.max_unpool(y, found.switches) * other).sum())(y)
    np.testing.assert_allclose(
        (back * y).sum(), (layers.max_unpool(y, found.switches) * other).sum(), rtol=1e-4
    )


def test_bits_are_the_number_of_outcomes():
    """All ways to place the maxima of 2 × 2 windows on 4 × 6 maps: 4 to the power of 6."""
    assert 2 ** layers.switch_bits((4, 6), 1) == 4**6
    assert layers.switch_bits((9, 9), 2, 3) == pytest.approx(9 * 2 * np.log2(9))


def test_what_is_refused():
    x = jnp.zeros((1, 5, 4, 1))
    with pytest.raises(ValueError, match="window: got 2 for x of shape"):
        layers.switched_max_pool(x)
    with pytest.raises(ValueError, match="switches: got shape"):
        layers.max_unpool(x, jnp.zeros((1, 5, 3, 1), jnp.int32))
