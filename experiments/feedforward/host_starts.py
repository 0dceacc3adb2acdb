"""Starting weights drawn by numpy: a compiled program of the draws takes longer than a small experiment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from dlnotes.models.model import Model
from dlnotes.training.optimizers import NOT_DECAYED, leaf_name
from dlnotes.typing import Params


def he_starts(model: Model, seeds: Sequence[int] | np.ndarray) -> Params:
    """Parameters of one member per seed, leaves ``(members, ...)``: weights by He's rule, the rest 0.

    The same seed gives the same weights, whatever the other members are.
    """
    unique, which = np.unique(np.asarray(seeds), return_inverse=True)
    rngs = [np.random.default_rng(seed) for seed in unique]

    def leaf(path: Any, a: Any) -> np.ndarray:
        if leaf_name(path) in NOT_DECAYED:
            return np.zeros((len(which), *a.shape), np.float32)
        drawn = [rng.standard_normal(a.shape, np.float32) for rng in rngs]
        return (np.stack(drawn) * np.float32((2 / a.shape[-2]) ** 0.5))[which]

    return jax.tree_util.tree_map_with_path(leaf, jax.eval_shape(model.init, jax.random.key(0)))


def along(values: Any, leaf: np.ndarray) -> np.ndarray:
    """One number per member, shaped to multiply a leaf ``(members, ...)``."""
    return np.asarray(values, np.float32).reshape(-1, *(1,) * (leaf.ndim - 1))
