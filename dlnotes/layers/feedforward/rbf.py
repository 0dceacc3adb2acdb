"""Radial basis units: active near a center, 0 far from it."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dlnotes.checks import positive
from dlnotes.layers.initializers import initializer as rule
from dlnotes.typing import Array, PRNGKey, Weight


class RBF(NamedTuple):
    """Parameters of ``h_i = exp(−‖W_i − x‖² / σ_i²)``.

    Attributes:
      centers: ``(inputs, units)``, the center W_i of each unit as a column, in units of the inputs.
      log_sigma: ``(units,)`` log σ_i: whatever a step does to it, σ_i stays positive.
    """

    centers: Weight
    log_sigma: Weight


def squared_distances(x: Array, centers: Weight) -> Array:
    """``d_ni = ‖x_n − W_i‖²``, by ``‖x‖² − 2 x·W_i + ‖W_i‖²``: nothing of shape (n, units, inputs) is made.

    Both are taken about the mean center, so that data far from the origin lose no digits; what rounding
    leaves below 0 is 0.

    Args:
      x: ``(..., inputs)``.
      centers: ``(inputs, units)``, of the dtype of ``x``.

    Returns:
      ``(..., units)``.

    Raises:
      ValueError: when the last axis of ``x`` is not ``inputs``.

    Example:
      >>> squared_distances(jnp.array([[3.0, 4.0]]), jnp.array([[0.0, 3.0], [0.0, 4.0]]))
      Array([[25.,  0.]], dtype=float32)
    """
    if x.shape[-1] != centers.shape[0]:
        raise ValueError(
            f"x: got {x.shape[-1]} features, centers of shape {centers.shape} take {centers.shape[0]}"
        )
    middle = lax.stop_gradient(jnp.mean(centers, axis=1))  # distances do not depend on it
    x = x - jnp.broadcast_to(middle, x.shape)
    centers = centers - middle[:, None]
    # The difference of large numbers: products in less than float32, where a device has them, would not do.
    inner = jnp.matmul(x, centers, precision=lax.Precision.HIGHEST)
    own = jnp.broadcast_to(jnp.sum(centers * centers, axis=0), inner.shape)
    return jnp.maximum(jnp.sum(x * x, axis=-1, keepdims=True) - 2 * inner + own, 0)


def rbf(params: RBF, x: Array) -> Array:
    """A layer of radial basis units, ``h_i = exp(−‖W_i − x‖² / σ_i²)``.

    Args:
      params: `RBF`.
      x: ``(..., inputs)``.

    Returns:
      ``(..., units)``, each in [0, 1].

    Raises:
      ValueError: when the last axis of ``x`` is not ``inputs``.

    Source: Broomhead and Lowe, 1988; notes F3.8.
    """
    distances = squared_distances(x, params.centers)
    return jnp.exp(-distances * jnp.broadcast_to(jnp.exp(-2 * params.log_sigma), distances.shape))


def init_rbf(
    key: PRNGKey,
    inputs: int,
    units: int,
    *,
    sigma: float | Array | None = None,
    centers: Array | None = None,
    init_scale: float | Array = 1.0,
) -> RBF:
    """`RBF` with centers drawn at random, or among data points.

    Args:
      key: of the draw.
      inputs: features of an example.
      units: number of units.
      sigma: σ of every unit, in units of the inputs; ``None`` is ``√inputs``, at which a unit is neither
        0 nor 1 for standardized inputs. May be traced.
      centers: data points ``(n, inputs)``, n at least ``units``, of which different ones become the
        centers; ``None`` draws them from a standard normal distribution.
      init_scale: standard deviation of centers drawn at random. Data points are not scaled.

    Raises:
      ValueError: on sizes that are not positive, points of another size or too few of them.

    Example:
      >>> points = jax.random.normal(jax.random.key(1), (20, 3))
      >>> layer = init_rbf(jax.random.key(0), 3, 4, centers=points)
      >>> int((rbf(layer, points) == 1).sum())  # each unit is 1 at its own point
      4
    """
    positive(inputs=inputs, units=units)
    if isinstance(sigma, (int, float)) and sigma <= 0:
        raise ValueError(f"sigma: got {sigma}, allowed is a positive number")
    width = jnp.asarray(inputs**0.5 if sigma is None else sigma, jnp.float32)
    if centers is None:
        drawn = rule("normal", init_scale)(key, (inputs, units))
    else:
        if centers.ndim != 2 or centers.shape[1] != inputs or centers.shape[0] < units:
            raise ValueError(
                f"centers: got shape {centers.shape}, allowed is ({units} points or more, {inputs} inputs)"
            )
        rows = jax.random.permutation(key, centers.shape[0])[:units]
        drawn = jnp.asarray(centers, jnp.float32)[rows].T
    return RBF(drawn, jnp.full((units,), jnp.log(width)))
