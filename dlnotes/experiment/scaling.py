"""[scaling] of a config, on a data set and inside a compiled program."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.config import Config
from dlnotes.data.dataset import Dataset
from dlnotes.data.scaling import EQUAL, scaled, steps_of


def with_scaling(config: Config, dataset: Dataset) -> Dataset:
    """The data set in the scale that the config asks for; as it is where it asks for none.

    Raises:
      ValueError: naming the option that does not fit the data.
    """
    return dataset if config.scaling is None else scaled(dataset, **config.scaling.model_dump())


def stepped(x: jax.Array, dataset: Dataset, mask: Any) -> jax.Array:
    """Raw inputs after the steps of [scaling] before the last, as `dlnotes.data.scaling` does it in numpy.

    Args:
      x: ``(batch, ..., channels)``.
      dataset: that the network was trained on.
      mask: ``(batch, *sizes)`` booleans, or ``None``.
    """
    steps = steps_of(dataset)
    if steps is None:
        return x
    if steps["log"] is not None:
        sizes = jnp.asarray(np.array(steps["log"]).reshape((1,) * (x.ndim - 1) + (-1,)), x.dtype)
        x = jnp.sign(x) * jnp.log1p(jnp.abs(x) / sizes)
    if steps["each"] != "no":
        axes = tuple(range(1, x.ndim if steps["each"] == "example" else x.ndim - 1))
        where = None if mask is None else jnp.broadcast_to(mask[..., None], x.shape)
        mean = jnp.mean(x, axes, keepdims=True, where=where)
        scale = jnp.std(x, axes, keepdims=True, where=where)
        x = (x - mean) / jnp.where(scale <= EQUAL * jnp.abs(mean), jnp.ones_like(scale), scale)
    return x
