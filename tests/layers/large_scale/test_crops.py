"""Crops against slices of numpy arrays and scipy's interpolation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from dlnotes import layers

RNG = np.random.default_rng(138)
N, HEIGHT, WIDTH, CHANNELS, SIZE = 12, 9, 7, 2, 4
X = RNG.standard_normal((N, HEIGHT, WIDTH, CHANNELS)).astype(np.float32)


def sliced(corners, size=SIZE):
    """numpy, one image after another, with zeros all around."""
    wide = np.pad(X, ((0, 0), (50, 50), (50, 50), (0, 0)))
    return np.stack(
        [wide[i, r + 50 : r + 50 + size, c + 50 : c + 50 + size] for i, (r, c) in enumerate(corners)]
    )


def test_a_crop_is_a_slice_filled_up_with_zeros():
    corners = RNG.integers(-6, 12, (N, 2))
    corners[:4] = [(-2, -3), (HEIGHT - 1, WIDTH - 1), (-SIZE, 0), (40, -40)]  # corners, and wholly outside
    np.testing.assert_array_equal(layers.crop(jnp.asarray(X), jnp.asarray(corners), SIZE), sliced(corners))


@pytest.mark.parametrize("size", [1, 7])
def test_any_size_up_to_the_image(size):
    corners = RNG.integers(-3, 5, (N, 2))
    np.testing.assert_array_equal(
        layers.crop(jnp.asarray(X), jnp.asarray(corners), size), sliced(corners, size)
    )


def test_between_pixels_it_is_scipys_bilinear_interpolation():
    corners = RNG.uniform(-3, 8, (N, 2)).astype(np.float32)
    found = layers.bilinear_crop(jnp.asarray(X), jnp.asarray(corners), SIZE)
    wide = np.pad(X, ((0, 0), (20, 20), (20, 20), (0, 0))).astype(np.float64)
    steps = np.arange(SIZE)
    for i, (r, c) in enumerate(corners):
        at = np.meshgrid(r + 20 + steps, c + 20 + steps, indexing="ij")
        for channel in range(CHANNELS):
            expected = map_coordinates(wide[i, ..., channel], at, order=1)
            np.testing.assert_allclose(found[i, ..., channel], expected, atol=1e-5)


def test_at_whole_corners_both_agree():
    corners = jnp.asarray(RNG.integers(-3, 8, (N, 2)))
    between = layers.bilinear_crop(jnp.asarray(X), corners.astype(jnp.float32), SIZE)
    np.testing.assert_array_equal(between, layers.crop(jnp.asarray(X), corners, SIZE))


def test_the_gradient_by_the_corner_is_that_of_differences():
    corners = jnp.asarray(RNG.uniform(0.3, 2.2, (N, 2)), jnp.float32)
    weight = jnp.asarray(RNG.standard_normal((N, SIZE, SIZE, CHANNELS)), jnp.float32)
    total = lambda c: jnp.sum(weight * layers.bilinear_crop(jnp.asarray(X), c, SIZE))  # noqa: E731
    found, step = jax.grad(total)(corners), 0.02
    for i in range(2):
        away = step * jnp.eye(2)[i][None]
        above, below = (
            np.asarray(weight * layers.bilinear_crop(jnp.asarray(X), corners + s * away, SIZE))
            for s in (1, -1)
        )
        difference = (above - below).sum((1, 2, 3)) / (2 * step)
        smooth = np.abs(np.asarray(corners) % 1 - 0.5)[:, i] < 0.45  # away from where the slope jumps
        np.testing.assert_allclose(found[smooth, i], difference[smooth], rtol=2e-2, atol=2e-2)


def test_what_does_not_fit_is_said():
    x = jnp.asarray(X)
    with pytest.raises(ValueError, match="size: got 8, larger than the image of 9 x 7; allowed is at most 7"):
        layers.crop(x, jnp.zeros((N, 2), jnp.int32), 8)
    with pytest.raises(ValueError, match="corner: got float32, allowed are whole numbers; bilinear_crop"):
        layers.crop(x, jnp.zeros((N, 2)), 3)
    with pytest.raises(ValueError, match="x, corner: got shapes"):
        layers.bilinear_crop(x, jnp.zeros((3, 2)), 3)
