"""Answers that a mirror cannot change: the mean over an image and its mirror image."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from dlnotes.models.model import Model
from dlnotes.typing import Array, Params, PRNGKey


def mirrored(model: Model) -> Model:
    """The same network, whose answers without a key are ``½ f(x) + ½ f(x mirrored left to right)``.

    For classes that a mirror image does not change, trained on images mirrored at random: with a key, as
    in training, an image goes through once. An answer costs twice as much.

    Args:
      model: of images ``(batch, height, width, channels)`` or volumes, all of one size; the axis
        before the channels is mirrored.

    Returns:
      A model with the same parameters.

    Raises:
      ValueError: when it is applied with a mask: padding stands on one side only.

    Source: Krizhevsky et al., 2012, section 4.1 (the mirrored of the ten patches of an image).

    Example:
      >>> from dlnotes import models
      >>> model = mirrored(models.cnn((4, 5, 1), 2, channels=(3,), dense=()))
      >>> params, x = model.init(jax.random.key(0)), jnp.arange(20.0).reshape(1, 4, 5, 1)
      >>> bool(jnp.allclose(model.apply(params, x), model.apply(params, x[:, :, ::-1])))
      True
    """

    def apply(params: Params, x: Any, /, *, key: PRNGKey | None = None, mask: Any = None) -> Array:
        if mask is not None:
            raise ValueError("mask: a mirrored model takes inputs of one size only, allowed is None")
        if key is not None:
            return model.apply(params, x, key=key)
        both = jnp.concatenate([x, jnp.flip(x, axis=-2)])
        return model.apply(params, both).reshape(2, x.shape[0], -1).mean(axis=0)

    return model._replace(apply=apply)
