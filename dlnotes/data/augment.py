"""Random changes of images that leave their class alone.

Pure functions of a key and a batch ``(batch, height, width, channels)``. The key may be one per
example, shape ``(batch,)``, or a single one, from which example i gets ``fold_in(key, i)``. Either way an
example's change depends on its own key alone and not on how the batch is divided.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from dlnotes.layers.random import fold_in
from dlnotes.typing import IGNORE, Array, PRNGKey


def _each(f: Callable[[PRNGKey, Array], Array], key: PRNGKey, x: Array) -> Array:
    """``f`` on every example with a key of its own."""
    if x.ndim != 4:
        raise ValueError(f"x: got shape {x.shape}, allowed is (batch, height, width, channels)")
    if key.ndim == 0:
        key = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(x.shape[0]))
    elif key.shape != x.shape[:1]:
        raise ValueError(f"key: got shape {key.shape} for a batch of {x.shape[0]}, allowed is () or (batch,)")
    return jax.vmap(f)(key, x)


def crop(key: PRNGKey, x: Array, padding: int, *, fill: float = 0.0) -> Array:
    """Pads each side by ``padding`` pixels of ``fill`` and cuts the old size out at a random place.

    Args:
      key: one key or one per example.
      x: ``(batch, height, width, channels)``.
      padding: pixels; the place is uniform over ``(2·padding + 1)²``.
      fill: value of the pixels outside the image.

    Raises:
      ValueError: when ``padding`` is negative.
    """
    if padding < 0:
        raise ValueError(f"padding: got {padding}, allowed is 0 or more pixels")
    if padding == 0:
        return x

    def one(key: PRNGKey, image: Array) -> Array:
        sides = ((padding, padding), (padding, padding), (0, 0))
        padded = jnp.pad(image, sides, constant_values=jnp.asarray(fill, image.dtype))
        row, column = jax.random.randint(key, (2,), 0, 2 * padding + 1)
        return jax.lax.dynamic_slice(padded, (row, column, jnp.zeros((), row.dtype)), image.shape)

    return _each(one, key, x)


def shift(key: PRNGKey, x: Array, pixels: int, *, fill: float = 0.0) -> Array:
    """Moves each image by whole pixels, ``dy, dx ~ U{−pixels..pixels}``; what comes in is ``fill``.

    The same change as `crop` with ``padding = pixels``.

    Args:
      key: one key or one per example.
      x: ``(batch, height, width, channels)``.
      pixels: largest move in each direction.
      fill: value of the pixels that come in.

    Raises:
      ValueError: when ``pixels`` is negative.
    """
    if pixels < 0:
        raise ValueError(f"pixels: got {pixels}, allowed is 0 or more")
    return crop(key, x, pixels, fill=fill)


def flip(key: PRNGKey, x: Array) -> Array:
    """Mirrors each image left to right with probability 1/2.

    Args:
      key: one key or one per example.
      x: ``(batch, height, width, channels)``.
    """
    return _each(lambda key, image: jnp.where(jax.random.bernoulli(key), image[:, ::-1], image), key, x)


def erase(key: PRNGKey, x: Array, share: float, *, fill: float = 0.0) -> Array:
    """Covers one rectangle of each image with ``fill``.

    Its area is ``share`` of the image (to whole pixels), its height : width is log-uniform between
    1 : 3 and 3 : 1 (as far as it fits), its place uniform inside the image.

    Args:
      key: one key or one per example.
      x: ``(batch, height, width, channels)``.
      share: of the area, 0 ≤ share < 1.
      fill: value of the covered pixels.

    Raises:
      ValueError: when ``share`` is out of range.

    Source: Zhong, Zheng, Kang, Li and Yang, 2020, Random erasing data augmentation.
    """
    if not 0 <= share < 1:
        raise ValueError(f"share: got {share}, allowed is 0 <= share < 1")
    if share == 0:
        return x

    def one(key: PRNGKey, image: Array) -> Array:
        height, width = image.shape[:2]
        shape_key, row_key, column_key = jax.random.split(key, 3)
        area = share * height * width
        ratio = jnp.exp(jax.random.uniform(shape_key, minval=-jnp.log(3.0), maxval=jnp.log(3.0)))
        tall = jnp.clip(jnp.round(jnp.sqrt(area * ratio)), jnp.ceil(area / width), height)
        wide = jnp.clip(jnp.round(area / tall), 1, width).astype(jnp.int32)
        tall = tall.astype(jnp.int32)
        top = jax.random.randint(row_key, (), 0, height - tall + 1)
        start = jax.random.randint(column_key, (), 0, width - wide + 1)
        rows, columns = jnp.arange(height), jnp.arange(width)
        covered = ((rows >= top) & (rows < top + tall))[:, None] & (
            (columns >= start) & (columns < start + wide)
        )[None, :]
        return jnp.where(covered[..., None], jnp.asarray(fill, image.dtype), image)

    return _each(one, key, x)


def augment(
    key: PRNGKey,
    x: Array,
    *,
    shift: int = 0,
    flip: bool = False,
    crop: int = 0,
    erase: float = 0.0,
    fill: float = 0.0,
) -> Array:
    """The changes that are asked for, in the order crop, shift, flip, erase, each with a key of its own.

    Args:
      key: one key or one per example.
      x: ``(batch, height, width, channels)``.
      shift: largest move in pixels; 0 is none.
      flip: whether to mirror half of the images.
      crop: padding of the random crop in pixels; 0 is none.
      erase: share of the area to cover; 0 is none.
      fill: value of pixels outside and of covered ones (0 is the mean of standardized images).

    Returns:
      Images of the shape and dtype of ``x``.
    """
    if crop:
        x = _crop(fold_in(key, 0), x, crop, fill=fill)
    if shift:
        x = _shift(fold_in(key, 1), x, shift, fill=fill)
    if flip:
        x = _flip(fold_in(key, 2), x)
    if erase:
        x = _erase(fold_in(key, 3), x, erase, fill=fill)
    return x


def augment_labels(key: PRNGKey, y: Array, **changes: Any) -> Array:
    """The classes of the pixels of images that `augment` changes with the same key and the same options.

    A pixel that comes in from outside, or that is covered, has no target: it is `IGNORE`.

    Args:
      key: one key or one per example.
      y: ``(batch, height, width)`` int.
      changes: as for `augment`.

    Returns:
      Classes of the shape and dtype of ``y``.
    """
    changes["fill"] = IGNORE
    return augment(key, y[..., None], **changes)[..., 0]


_crop, _shift, _flip, _erase = crop, shift, flip, erase
