"""Starting parameters of many trainings at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import jax
import numpy as np

from dlnotes.checks import chosen
from dlnotes.devices.compiler import single_use_options
from dlnotes.models.model import Model
from dlnotes.training.optimizers import NOT_DECAYED, leaf_name
from dlnotes.typing import Params

Rule = Literal["model", "he", "he_convolution"]


def initial_params(model: Model, seeds: Sequence[int] | np.ndarray, rule: Rule = "model") -> Params:
    """The starting parameters of one member per seed, leaves ``(members, ...)`` numpy.

    The same seed gives the same parameters, whatever the other members are. The rules:

    - "model": ``model.init`` of each seed's key.
    - "he": weights W ~ N(0, 2 / n) with n inputs, biases and scales 0 (He et al. 2015). Numpy draws them: a
      compiled program of the draws takes longer than a small experiment.
    - "he_convolution": the same, and the inputs of a kernel are those of its whole window.

    Args:
      model: whose parameters they are.
      seeds: of each member.
      rule: that draws them.

    Raises:
      ValueError: when there is no such rule.

    Example:
      >>> from dlnotes import models
      >>> initial_params(models.mlp(4, (8,), 2), range(3), "he").hidden[0].W.shape
      (3, 4, 8)
    """
    drawn = chosen("rule", rule, {"model": _by_model, "he": _he, "he_convolution": _he_convolution})
    return drawn(model, np.asarray(list(seeds)))


def along(values: Any, leaf: Any) -> np.ndarray:
    """One number per member, shaped to multiply a leaf ``(members, ...)``."""
    return np.asarray(values, np.float32).reshape(-1, *(1,) * (leaf.ndim - 1))


def _by_model(model: Model, seeds: np.ndarray) -> Params:
    draw = jax.jit(jax.vmap(lambda s: model.init(jax.random.key(s))), compiler_options=single_use_options())
    return jax.device_get(draw(seeds.astype(np.uint32)))


def _he(model: Model, seeds: np.ndarray) -> Params:
    unique, which = np.unique(seeds, return_inverse=True)
    rngs = [np.random.default_rng(seed) for seed in unique]

    def leaf(path: Any, a: Any) -> np.ndarray:
        if leaf_name(path) in NOT_DECAYED:
            return np.zeros((len(which), *a.shape), np.float32)
        drawn = [rng.standard_normal(a.shape, np.float32) for rng in rngs]
        return (np.stack(drawn) * np.float32((2 / a.shape[-2]) ** 0.5))[which]

    return jax.tree_util.tree_map_with_path(leaf, jax.eval_shape(model.init, jax.random.key(0)))


def _he_convolution(model: Model, seeds: np.ndarray) -> Params:
    drawn = _he(model, seeds)
    return jax.tree.map(lambda w: w / np.sqrt(np.prod(w.shape[1:-2], dtype=np.float32)), drawn)
