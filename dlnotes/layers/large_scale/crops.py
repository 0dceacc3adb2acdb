"""Parts cut out of images at a place of each image's own: at whole pixels, or between them."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from dlnotes.checks import positive
from dlnotes.typing import Array


def crop(x: Array, corner: Array, size: int) -> Array:
    """A square of each image, zeros where it lies outside: ``y[n, i, j] = x[n, r_n + i, c_n + j]``.

    A square that reaches over the edge is filled up with zeros; it is not moved back inside, so what it shows
    stays at its place in the square.

    Args:
      x: ``(batch, height, width, channels)``.
      corner: ``(batch, 2)`` whole numbers, row r and column c of the square's first pixel; may be negative.
      size: pixels of a side, at most those of the image.

    Returns:
      ``(batch, size, size, channels)``.

    Raises:
      ValueError: when the square is larger than the image, or shapes do not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> from dlnotes import layers
      >>> x = jnp.arange(9.0).reshape(1, 3, 3, 1)
      >>> layers.crop(x, jnp.array([[1, 2]]), 2)[0, ..., 0].tolist()
      [[5.0, 0.0], [8.0, 0.0]]

    Source: notes L13.8.
    """
    _check(x, corner, size)
    if not jnp.issubdtype(corner.dtype, jnp.integer):
        raise ValueError(f"corner: got {corner.dtype}, allowed are whole numbers; bilinear_crop takes others")
    height, width = x.shape[1:3]
    around = jnp.pad(x, ((0, 0), (size, size), (size, size), (0, 0)))
    most = jnp.array([height, width], corner.dtype)
    start = jnp.clip(corner, -size, most[None]) + size

    def one(image: Array, start: Array) -> Array:
        return jax.lax.dynamic_slice(image, (start[0], start[1], 0), (size, size, image.shape[-1]))

    return jax.vmap(one)(around, start)


def bilinear_crop(x: Array, corner: Array, size: int) -> Array:
    """`crop` at a corner between pixels, ``y = A x Bᵀ`` with ``A_{ip} = max(0, 1 − |r + i − p|)``.

    Each number is the mean of the four pixels around it, weighted by nearness. It has a gradient by the
    corner, and is `crop` where that is whole.

    Args:
      x: ``(batch, height, width, channels)``.
      corner: ``(batch, 2)``, row and column of the square's first number.
      size: pixels of a side, at most those of the image.

    Returns:
      ``(batch, size, size, channels)``.

    Raises:
      ValueError: as `crop`.

    Example:
      >>> import jax.numpy as jnp
      >>> from dlnotes import layers
      >>> x = jnp.arange(9.0).reshape(1, 3, 3, 1)
      >>> layers.bilinear_crop(x, jnp.array([[0.0, 0.5]]), 2)[0, ..., 0].tolist()
      [[0.5, 1.5], [3.5, 4.5]]

    Source: notes L13.8; Jaderberg et al., 2015.
    """
    _check(x, corner, size)

    def weights(start: Array, pixels: int) -> Array:
        at = start[:, None, None] + jnp.arange(size, dtype=x.dtype)[None, :, None]
        return jnp.maximum(0.0, 1.0 - jnp.abs(at - jnp.arange(pixels, dtype=x.dtype)[None, None, :]))

    corner = corner.astype(x.dtype)
    rows, columns = weights(corner[:, 0], x.shape[1]), weights(corner[:, 1], x.shape[2])
    return jnp.einsum("nip,npqc,njq->nijc", rows, x, columns)


def _check(x: Array, corner: Array, size: int) -> None:
    positive(size=size)
    if x.ndim != 4 or corner.shape != (x.shape[0], 2):
        raise ValueError(
            f"x, corner: got shapes {x.shape} and {corner.shape}, needed are (batch, height, width, "
            "channels) and (batch, 2)"
        )
    if size > min(x.shape[1:3]):
        raise ValueError(
            f"size: got {size}, larger than the image of {x.shape[1]} x {x.shape[2]}; allowed is at most "
            f"{min(x.shape[1:3])}"
        )
