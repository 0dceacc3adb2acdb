"""Hard attention: a small network finds the place to look at, a second one looks only there."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.checks import positive
from dlnotes.layers import random
from dlnotes.layers.convolutional.pooling import avg_pool
from dlnotes.layers.large_scale.crops import crop
from dlnotes.models.model import Model
from dlnotes.typing import Array, Params, PRNGKey


class HardAttention(NamedTuple):
    """Parameters of ``z = classifier(crop(x, c(argmax_l locator(coarse(x))_l)))``.

    Attributes:
      locator: of the network that scores places.
      classifier: of the network that sees the crop.
    """

    locator: Params
    classifier: Params


class Glimpse(NamedTuple):
    """Where a network looks and what it says.

    Attributes:
      logits: ``(batch, outputs)`` of the classifier.
      places: ``(batch, cells)`` logits of all places, row by row.
      cell: ``(batch,)`` int32, the place looked at.
      log_prob: ``(batch,)`` of this place under ``softmax(places)``.
    """

    logits: Array
    places: Array
    cell: Array
    log_prob: Array


def hard_attention(locator: Model, classifier: Model, *, coarse: int, size: int) -> Model:
    """A cascade of two networks, of which the first says where the second looks; parameters `HardAttention`.

    The locator sees means of ``coarse × coarse`` pixels and gives each of these cells a logit. The
    classifier sees a square of ``size`` pixels around the middle of the best cell, filled up with zeros
    where it reaches over the edge. With a key the cell is drawn from the softmax of the logits. The choice
    has no gradient: the locator learns from known places, or from the score function (see `glimpse`).

    Args:
      locator: ``(batch, height / coarse, width / coarse, channels)`` to as many logits as there are cells,
        such as a `pixel_labeler` of one output.
      classifier: ``(batch, size, size, channels)`` to logits.
      coarse: pixels of a cell's side; divides the image's.
      size: pixels of the square's side.

    Raises:
      ValueError: on sizes that do not fit the image.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from dlnotes import models
      >>> where, what = models.linear((4, 4, 1), 16), models.linear((6, 6, 1), 3)
      >>> model = models.hard_attention(where, what, coarse=2, size=6)
      >>> model.apply(model.init(jax.random.key(0)), jnp.ones((5, 8, 8, 1))).shape
      (5, 3)

    Source: notes L13.8.
    """
    positive(coarse=coarse, size=size)

    def init(key: PRNGKey, /) -> HardAttention:
        first, second = random.split(key, 2)
        return HardAttention(locator.init(first), classifier.init(second))

    def apply(
        params: HardAttention, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None
    ) -> Array:
        return glimpse(locator, classifier, params, x, coarse=coarse, size=size, key=key).logits

    return Model(init, apply)


def glimpse(
    locator: Model,
    classifier: Model,
    params: HardAttention,
    x: Array,
    *,
    coarse: int,
    size: int,
    key: PRNGKey | None = None,
    cell: Array | None = None,
) -> Glimpse:
    """One look of a `hard_attention` network, with all that training needs.

    With known places the locator learns by cross-entropy on ``places``, the classifier at the ``cell`` that
    is given. Without, cells are drawn by a key, and ``(C − b) log_prob`` has the gradient of the expected
    cost C by the locator (the score function; b is any number that does not depend on the draw).

    Args:
      locator, classifier, coarse, size: as in `hard_attention`.
      params: of both.
      x: ``(batch, height, width, channels)``.
      key: draws the cell, one key or one for each example; without one the best is taken.
      cell: ``(batch,)`` looked at instead.

    Returns:
      `Glimpse`.

    Raises:
      ValueError: as `hard_attention`.

    Source: notes L13.8; Mnih et al., 2014.
    """
    if x.ndim != 4 or x.shape[1] % coarse or x.shape[2] % coarse:
        raise ValueError(
            f"coarse: got {coarse} for x of shape {x.shape}, allowed is a divisor of height and width"
        )
    across = x.shape[2] // coarse
    cells = across * (x.shape[1] // coarse)
    places = locator.apply(params.locator, avg_pool(x, coarse)).reshape(x.shape[0], -1)
    if places.shape[1] != cells:
        raise ValueError(f"locator: got {places.shape[1]} logits, needed is one for each of {cells} cells")
    if cell is None and key is None:
        cell = jnp.argmax(places, -1)
    elif cell is None:
        assert key is not None
        cell = (
            jax.vmap(jax.random.categorical)(key, places) if key.ndim else jax.random.categorical(key, places)
        )
    cell = cell.astype(jnp.int32)
    log_prob = jnp.take_along_axis(jax.nn.log_softmax(places), cell[:, None], axis=1)[:, 0]
    seen = crop(x, corner_of(cell, across, coarse=coarse, size=size), size)
    return Glimpse(classifier.apply(params.classifier, seen), places, cell, log_prob)


def corner_of(cell: Array, across: int, *, coarse: int, size: int) -> Array:
    """The first pixel ``(n, 2)`` of the square whose middle is that of a cell.

    Args:
      cell: ``(n,)``, numbered row by row.
      across: cells in a row.
      coarse: pixels of a cell's side.
      size: pixels of the square's side.

    Example:
      >>> corner_of(jnp.array([0, 4]), 3, coarse=4, size=6).tolist()
      [[-1, -1], [3, 3]]
    """
    return jnp.stack([cell // across, cell % across], axis=-1) * coarse + (coarse // 2 - size // 2)
