"""Starting parameters of many members, from a model's own rule."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.models.model import Model
from dlnotes.typing import Params


def own_starts(model: Model, seeds: np.ndarray) -> Params:
    """``model.init`` of every member's seed, leaves ``(members, ...)``."""
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))
    return jax.jit(jax.vmap(model.init))(keys)
