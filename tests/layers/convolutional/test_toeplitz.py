"""Matrices of convolutions against scipy's, and the products against its convolutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from dlnotes.layers import (
    circulant,
    circulant_eigenvalues,
    convolve,
    doubly_block_circulant,
    periodic_convolution,
    toeplitz,
)

RNG = np.random.default_rng(0)
A, X = (RNG.normal(size=n).astype(np.float32) for n in (3, 7))
K, IMAGE = RNG.normal(size=(3, 2)).astype(np.float32), RNG.normal(size=(5, 6)).astype(np.float32)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 5), st.integers(1, 8))
@pytest.mark.slow
def test_toeplitz_is_the_linear_convolution(k, n):
    a, x = RNG.normal(size=k).astype(np.float32), RNG.normal(size=n).astype(np.float32)
    T = np.asarray(toeplitz(a, n))
    first = np.zeros(n, np.float32)
    first[0] = a[0]
    np.testing.assert_array_equal(T, scipy.linalg.toeplitz(np.pad(a, (0, n - 1)), first))
    np.testing.assert_allclose(T @ x, np.convolve(a, x), atol=1e-5)


def test_circulant_is_scipys_and_the_padded_one_is_the_linear_convolution():
    np.testing.assert_array_equal(circulant(A), scipy.linalg.circulant(A))
    n = len(A) + len(X) - 1
    padded = np.pad(X, (0, n - len(X)))
    np.testing.assert_allclose(circulant(A, n) @ padded, np.convolve(A, X), atol=1e-5)


def test_doubly_block_circulant_is_the_periodic_convolution_of_images():
    B = np.asarray(doubly_block_circulant(K, IMAGE.shape))
    # scipy centers the kernel; ours begins at its corner, as the notes write it.
    want = np.roll(scipy.signal.convolve2d(IMAGE, K, mode="same", boundary="wrap"), (1, 0), (0, 1))
    np.testing.assert_allclose((B @ IMAGE.ravel()).reshape(IMAGE.shape), want, atol=1e-5)
    blocks = B.reshape(5, 6, 5, 6)
    for i in range(5):
        np.testing.assert_array_equal(blocks[i, :, 0], scipy.linalg.circulant(np.pad(K, ((0, 2), (0, 4)))[i]))
        np.testing.assert_array_equal(blocks[(i + 1) % 5, :, 1], blocks[i, :, 0])


def test_without_the_matrix():
    np.testing.assert_allclose(periodic_convolution(X, A), circulant(A, 7) @ X, atol=1e-5)
    B = np.asarray(doubly_block_circulant(K, IMAGE.shape))
    got = jax.jit(periodic_convolution)(IMAGE, K)
    np.testing.assert_allclose(np.ravel(got), B @ IMAGE.ravel(), atol=1e-5)


def test_zeros_around_make_the_periodic_the_layers_convolution():
    """The layer with VALID padding sees the interior of the periodic convolution."""
    periodic = np.asarray(periodic_convolution(IMAGE, K))
    layer = convolve(IMAGE[None, :, :, None], K[:, :, None, None], padding="VALID", flip=True)
    np.testing.assert_allclose(periodic[2:, 1:], np.asarray(layer)[0, :, :, 0], atol=1e-5)


@pytest.mark.parametrize(("kernel", "shape"), [(A, 7), (K, (5, 6))])
def test_eigenvalues_are_the_fourier_transform(kernel, shape):
    matrix = circulant(kernel, shape) if kernel.ndim == 1 else doubly_block_circulant(kernel, shape)
    want = np.linalg.eigvals(np.asarray(matrix, np.float64))
    got = np.asarray(circulant_eigenvalues(kernel, shape))
    distance = np.abs(want[:, None] - got[None, :])
    assert distance.min(0).max() < 1e-4
    assert distance.min(1).max() < 1e-4


def test_wrong_shapes_are_named():
    for call in (
        lambda: toeplitz(K, 3),
        lambda: circulant(A, 2),
        lambda: doubly_block_circulant(A, (3, 3)),
        lambda: doubly_block_circulant(K, (2, 2)),
        lambda: periodic_convolution(X, K),
    ):
        with pytest.raises(ValueError, match="kernel: got shape"):
            call()
    with pytest.raises(ValueError, match="size: got 0"):
        toeplitz(jnp.ones(2), 0)
