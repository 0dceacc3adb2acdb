"""Digits on images of many sizes, and networks that take every size or one; for the claim on any size."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, models
from dlnotes.data.assemble import pad_boxes
from dlnotes.data.buckets import divide
from dlnotes.data.images.sized_digits import placed, stretched
from dlnotes.typing import Array, Params

SIDES = (8, 12)
SEEN, UNSEEN = (12, 20), (21, 32)
RESIZED = 16
SIZES = range(8, 33)
"""Sides of the square images that are offered to each network."""
ALONE = 8
"""Different sizes at which images are answered alone."""
STAGES = (models.Stage(12, pool=2), models.Stage(24))
NETWORKS = (
    models.conv_net((None, None, 1), 10, stages=STAGES, head="average"),
    models.conv_net((RESIZED, RESIZED, 1), 10, stages=STAGES, head="average"),
    models.mlp((RESIZED, RESIZED, 1), (128,), 10),
)


def drawn(images: np.ndarray, sizes: tuple[int, int], rng: Any) -> list[np.ndarray]:
    """Each digit on an image of its own size, its side uniform in `SIDES`."""
    shapes = rng.integers(sizes[0], sizes[1] + 1, (len(images), 2))
    return placed(images, shapes, rng.integers(SIDES[0], SIDES[1] + 1, len(images)), rng)


def padded(images: list[np.ndarray], y: np.ndarray) -> data.Examples:
    """Images of their own sizes as one array and its mask."""
    x, mask = pad_boxes(images)
    return data.Examples(x, y, mask)


def resized(images: list[np.ndarray], y: np.ndarray) -> data.Examples:
    """Every image at the one size of the rivals."""
    return data.Examples(
        np.stack([stretched(i[..., 0], (RESIZED, RESIZED))[..., None] for i in images]).astype(np.float32), y
    )


def answers(model: models.Model, params: Params, x: Any, mask: Any = None) -> np.ndarray:
    """Class probabilities of every member, ``(members, n, classes)``."""
    return np.asarray(_probabilities(model)(params, x, mask))


def _probabilities(model: models.Model):
    def of(params: Params, x: Array, mask: Array | None) -> Array:
        return jax.nn.softmax(model.apply(params, x, mask=mask))

    return jax.jit(jax.vmap(of, in_axes=(0, None, None)))


def right(model: models.Model, params: Params, examples: data.Examples) -> np.ndarray:
    """Whether every member is right on every image, ``(members, n)``."""
    return answers(model, params, examples.x, examples.mask).argmax(-1) == examples.y


def takes(model: models.Model) -> np.ndarray:
    """Whether the network's weights fit square images of each of `SIZES`."""
    params = jax.eval_shape(model.init, jax.random.key(0))

    def fits(side: int) -> bool:
        try:
            jax.eval_shape(model.apply, params, jnp.zeros((1, side, side, 1)))
        except (TypeError, ValueError):
            return False
        return True

    return np.array([fits(side) for side in SIZES])


def alone_and_padded(params: Params, images: np.ndarray, rng: Any) -> tuple[np.ndarray, np.ndarray]:
    """For each member the largest difference of a probability, and the number of changed classes."""
    shapes = rng.integers(SEEN[0], UNSEEN[1] + 1, (ALONE, 2))
    each = len(images) // ALONE
    sizes = np.repeat(shapes, each, axis=0)
    sides = rng.integers(SIDES[0], SIDES[1] + 1, len(sizes))
    found = placed(images[: len(sizes)], sizes, sides, rng)
    x, mask = pad_boxes(found)
    together = answers(NETWORKS[0], params, x, mask)
    of = _probabilities(NETWORKS[0])
    single = np.concatenate(
        [of(params, np.stack(found[i : i + each]), None) for i in range(0, len(found), each)], axis=1
    )
    changed = (together.argmax(-1) != single.argmax(-1)).sum(-1)
    return np.abs(together - single).max((1, 2)), changed


def compilations(params: Params, examples: data.Examples, most: int) -> tuple[int, int]:
    """How often the network is compiled for all buckets, and how many there are."""
    traced = []

    def of(params: Params, x: Array, mask: Array) -> Array:
        traced.append(x.shape)  # runs once a compilation
        return NETWORKS[0].apply(params, x, mask=mask)

    apply, parts = jax.jit(of), divide(examples, most)
    one = jax.tree.map(lambda a: jnp.asarray(a[0]), params)
    for _, part in parts:
        for first in range(0, part.size, 16):  # batches of 16, the last filled up
            rows = np.minimum(np.arange(first, first + 16), part.size - 1)
            apply(one, part.x[rows], part.mask[rows])
    return len(traced), len(parts)
