"""The likelihood of sequences, frame by frame, where sequences end at different frames.

Source: notes, «aprendizaje basado en el descenso de gradiente» (F2.12); Graves 2013.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from dlnotes.outputs.losses import PerExample
from dlnotes.typing import Array


def frames_nll(distribution: Callable[[Array], Any], raw: Array, y: Array) -> PerExample:
    """``−Σ_t log p(y_t | x_1 … x_t)`` of each sequence, and its number of frames: their ratio is per frame.

    A frame of which any number is NaN is no target, such as those behind a sequence's end.

    Args:
      distribution: from raw numbers ``(batch, time, size)`` to a distribution of vectors, such as
        ``lambda raw: outputs.mixture(raw, 5, 2)``.
      raw: what a recurrent net gives at every frame.
      y: ``(batch, time, outputs)``; NaN marks frames without a target.

    Raises:
      ValueError: when shapes do not fit, or the distribution is not one of vectors like y.

    Example:
      >>> from dlnotes.outputs.units import mixture
      >>> raw = jnp.zeros((1, 3, 5))  # one sequence, three frames, one component of two numbers
      >>> y = jnp.array([[[0.0, 0], [0, 0], [jnp.nan, jnp.nan]]])
      >>> found = frames_nll(lambda raw: mixture(raw, 1, 2), raw, y)
      >>> round(float(found.total[0]), 3), float(found.count[0])
      (2.21, 2.0)
    """
    if y.ndim != 3 or raw.shape[:-1] != y.shape[:-1]:
        raise ValueError(
            f"raw, y: got shapes {tuple(raw.shape)} and {tuple(y.shape)}, allowed are (batch, time, size) "
            "and (batch, time, outputs)"
        )
    real = ~jnp.any(jnp.isnan(y), axis=-1)
    given = distribution(raw.astype(jnp.float32))
    if given.mean.shape != y.shape:
        raise ValueError(f"raw: gives a distribution of shape {given.mean.shape}, y has {y.shape}")
    # What is left out is exchanged before the density: 0 times a gradient that is NaN would be NaN.
    log_p = given.log_prob(jnp.where(real[..., None], y, 0).astype(jnp.float32))
    if log_p.ndim == 3:  # of single numbers
        log_p = jnp.sum(log_p, axis=-1)
    total = jnp.sum(jnp.where(real, -log_p, 0), axis=-1)
    return PerExample(total, jnp.sum(real.astype(jnp.float32), axis=-1))
