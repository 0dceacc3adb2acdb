"""Gradients of a mixture's likelihood written out, and a loss that scales them component by component.

Source: notes, «aprendizaje basado en el descenso de gradiente» (F2.10).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.outputs.distributions import Mixture
from dlnotes.outputs.losses import PerExample
from dlnotes.outputs.units import mixture
from dlnotes.typing import Array


class MixtureGradients(NamedTuple):
    """Gradients of ``−log p(y)`` in the numbers of a mixture.

    Attributes:
      logits: ``(..., n)``, ``π_i − r_i``.
      location: ``(..., n, d)``, ``−r_i (y − μ_i)/σ_i²``: of each component as much as it is responsible.
      scale: ``(..., n, d)``, ``r_i (1/σ_i − (y − μ_i)²/σ_i³)``.
    """

    logits: Array
    location: Array
    scale: Array


def mixture_gradients(logits: Array, location: Array, scale: Array, y: Array) -> MixtureGradients:
    """The gradients of ``−log Σ_i π_i N(y; μ_i, diag σ_i²)``, in closed form, r the responsibilities.

    They divide by the variance, which is what makes the training unreliable where a component is narrow.

    Args:
      logits: ``(..., n)``.
      location: ``(..., n, d)``.
      scale: ``(..., n, d)`` σ > 0.
      y: ``(..., d)``.

    Raises:
      ValueError: on shapes that do not fit.

    Source: Bishop, 1994, equations 34–39.
    """
    if (
        location.shape != scale.shape
        or location.ndim < 2
        or location.shape[:-1] != logits.shape
        or (*location.shape[:-2], location.shape[-1]) != y.shape
    ):
        shapes = ", ".join(str(tuple(a.shape)) for a in (logits, location, scale, y))
        raise ValueError(
            f"logits, location, scale, y: got shapes {shapes}, allowed are (..., n), (..., n, d), "
            "(..., n, d) and (..., d)"
        )
    r = Mixture(logits, location, scale).responsibilities(y)
    error = y[..., None, :] - location
    of = r[..., None]
    return MixtureGradients(
        jax.nn.softmax(logits) - r,
        -of * error / (scale * scale),
        of * (1 / scale - error * error / (scale * scale * scale)),
    )


def scale_gradient(x: Array, factor: Array) -> Array:
    """``x`` itself, whose gradient is multiplied by ``factor``, number by number.

    Args:
      x: any shape.
      factor: of the same shape; no gradient flows into it.

    Raises:
      ValueError: when the shapes differ.

    Example:
      >>> jax.grad(lambda x: scale_gradient(x, jnp.array([10.0])).sum())(jnp.array([1.0]))
      Array([10.], dtype=float32)
    """
    if x.shape != factor.shape:
        raise ValueError(f"factor: got shape {tuple(factor.shape)}, allowed is that of x, {tuple(x.shape)}")
    moved = jax.lax.stop_gradient(factor) * x
    return jax.lax.stop_gradient(x - moved) + moved


def scaled_mixture_nll(raw: Array, y: Array, *, components: int, floor: float = 0.0) -> PerExample:
    """`mixture_nll` whose gradients in means and deviations are multiplied by ``σ_i²``, each component's own.

    The value is the same; the gradient of a mean becomes ``−r_i (y − μ_i)`` and is bounded by the error,
    however narrow the component: a heuristic scaling beside clipping, which shrinks all gradients of a step
    alike.

    Args:
      raw: ``(batch, n(1 + 2d))``, as of `mixture`.
      y: ``(batch, d)``.
      components: n.
      floor: least deviation.

    Raises:
      ValueError: when shapes do not fit, or a number is out of range.
    """
    if y.ndim != 2 or raw.ndim != 2 or raw.shape[0] != y.shape[0]:
        raise ValueError(
            f"raw, y: got shapes {tuple(raw.shape)} and {tuple(y.shape)}, allowed are (batch, size) and "
            "(batch, outputs)"
        )
    plain = mixture(raw.astype(jnp.float32), components, y.shape[-1], floor=floor)
    variance = plain.scale * plain.scale
    given = Mixture(
        plain.logits, scale_gradient(plain.location, variance), scale_gradient(plain.scale, variance)
    )
    nll = -given.log_prob(y.astype(jnp.float32))
    return PerExample(nll, jnp.ones_like(nll))
