"""Convolution as a matrix: Toeplitz, circulant and doubly block circulant, to look at and to use.

The dense matrices are for looking: the one of an image has as many rows as it has pixels. What
applies them without building them goes through the Fourier transform, which makes every circulant
matrix diagonal.
"""

from __future__ import annotations

from math import prod

import jax.numpy as jnp

from dlnotes.checks import positive
from dlnotes.typing import Array


def toeplitz(kernel: Array, size: int) -> Array:
    """The matrix of the whole linear convolution with a kernel, ``T x = kernel ∗ x``.

    ``T[i, j] = kernel[i − j]``, 0 outside: constant along its diagonals.

    Args:
      kernel: ``(k,)``.
      size: n, the length of ``x``.

    Returns:
      ``(n + k − 1, n)``.

    Raises:
      ValueError: when ``kernel`` is no vector or ``size`` is not positive.

    Source: notes C6.3.

    Example:
      >>> toeplitz(jnp.array([1, 2]), 3)
      Array([[1, 0, 0],
             [2, 1, 0],
             [0, 2, 1],
             [0, 0, 2]], dtype=int32)
    """
    _vector(kernel)
    positive(size=size)
    k = kernel.shape[0]
    offset = jnp.arange(size + k - 1)[:, None] - jnp.arange(size)[None, :]
    return jnp.where((offset >= 0) & (offset < k), kernel[jnp.clip(offset, 0, k - 1)], 0)


def circulant(kernel: Array, size: int | None = None) -> Array:
    """The matrix of the periodic convolution with a kernel, ``C[i, j] = kernel[(i − j) mod n]``.

    Args:
      kernel: ``(k,)``, the first column, filled with zeros to ``size``.
      size: n ≥ k; by default k. With n ≥ length of x + k − 1 and x filled with zeros, the periodic
        convolution is the linear one.

    Returns:
      ``(n, n)``.

    Raises:
      ValueError: when ``kernel`` is no vector or longer than ``size``.

    Source: notes C6.3.

    Example:
      >>> circulant(jnp.array([1, 2, 3]))
      Array([[1, 3, 2],
             [2, 1, 3],
             [3, 2, 1]], dtype=int32)
    """
    _vector(kernel)
    n = kernel.shape[0] if size is None else size
    column = _filled(kernel, (n,))
    return column[(jnp.arange(n)[:, None] - jnp.arange(n)[None, :]) % n]


def doubly_block_circulant(kernel: Array, shape: tuple[int, int]) -> Array:
    """The matrix of the periodic convolution of an image with a kernel, the image row after row.

    ``B[(i, j), (k, l)] = kernel[(i − k) mod h, (j − l) mod w]``: circulant in blocks, each block
    circulant.

    Args:
      kernel: ``(a, b)``, filled with zeros to ``shape``.
      shape: (h, w) of the image, at least that of the kernel.

    Returns:
      ``(h·w, h·w)``.

    Raises:
      ValueError: when ``kernel`` is no matrix or larger than ``shape``.

    Source: notes C6.3.
    """
    if kernel.ndim != 2:
        raise ValueError(f"kernel: got shape {kernel.shape}, allowed is (height, width)")
    h, w = shape
    full = _filled(kernel, shape)
    rows = (jnp.arange(h)[:, None] - jnp.arange(h)[None, :]) % h
    columns = (jnp.arange(w)[:, None] - jnp.arange(w)[None, :]) % w
    return full[rows[:, None, :, None], columns[None, :, None, :]].reshape(h * w, h * w)


def periodic_convolution(x: Array, kernel: Array) -> Array:
    """What `circulant` and `doubly_block_circulant` do to ``x``, without the matrix.

    ``F⁻¹(F x · F kernel)`` with the discrete Fourier transform F over all axes: O(n log n).

    Args:
      x: ``(n,)`` or ``(h, w)``, or with any number of axes; real.
      kernel: as many axes, none longer than those of ``x``.

    Returns:
      The shape of ``x``.

    Raises:
      ValueError: when the kernel does not fit.

    Source: notes C6.3.
    """
    if kernel.ndim != x.ndim:
        raise ValueError(f"kernel: got shape {kernel.shape}, x of shape {x.shape} needs as many axes")
    spectrum = jnp.fft.rfftn(x) * jnp.fft.rfftn(_filled(kernel, x.shape))
    return jnp.fft.irfftn(spectrum, x.shape).astype(x.dtype)


def circulant_eigenvalues(kernel: Array, shape: int | tuple[int, ...]) -> Array:
    """The eigenvalues of the kernel's circulant matrix: its discrete Fourier transform, flat, complex.

    Args:
      kernel: ``(k,)`` or ``(a, b)``.
      shape: n or (h, w), the size of the matrix's argument.

    Raises:
      ValueError: when the kernel is larger than ``shape``.

    Source: notes C6.3.
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    return jnp.fft.fftn(_filled(kernel, shape)).reshape(prod(shape))


def _filled(kernel: Array, shape: tuple[int, ...]) -> Array:
    if len(shape) != kernel.ndim or any(k > n for k, n in zip(kernel.shape, shape)):
        raise ValueError(f"kernel: got shape {kernel.shape}, allowed is at most {shape}")
    return jnp.pad(kernel, [(0, n - k) for k, n in zip(kernel.shape, shape)])


def _vector(kernel: Array) -> None:
    if kernel.ndim != 1:
        raise ValueError(f"kernel: got shape {kernel.shape}, allowed is (k,)")
