"""Output units: from a network's raw numbers to a distribution of the target, whatever they are.

Source: notes, «Las redes neuronales artificiales», gradient-based learning (F2.9, F2.10).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.checks import chosen, positive
from dlnotes.outputs.distributions import DiagonalNormal, FullNormal, Laplace, Mixture
from dlnotes.typing import Array

_TINY = 1e-30
"""Where ``ζ(a)`` rounds to 0 it is this, so that its logarithm is finite (then its gradient is 0)."""


def heteroscedastic(raw: Array, by: str = "precision", *, floor: float = 0.0) -> DiagonalNormal:
    """A Gaussian whose mean and spread both follow the input: ``μ = raw[:d]``, spread ``ζ(raw[d:])``.

    Args:
      raw: ``(..., 2d)``.
      by: what ζ of the second half is: "precision" (β), "variance" (σ²) or "scale" (σ).
      floor: standard deviation that is added (in variance; in deviation for "scale"), which bounds the
        density and with it the likelihood.

    Returns:
      Of vectors ``(..., d)``.

    Raises:
      ValueError: when the last axis is odd, ``by`` is unknown or ``floor`` negative.

    Example:
      >>> heteroscedastic(jnp.array([3.0, 0.0])).variance  # one over ζ(0) = log 2
      Array([1.442695], dtype=float32)
    """
    chosen("by", by, dict.fromkeys(("precision", "variance", "scale")))
    _not_negative(floor)
    if raw.shape[-1] % 2:
        raise ValueError(f"raw: got shape {raw.shape}, allowed is (..., 2 * outputs)")
    location, a = jnp.split(raw, 2, axis=-1)
    spread = _softplus(a)
    if by == "precision":
        return DiagonalNormal(location, spread / (1 + floor**2 * spread))
    if by == "variance":
        return DiagonalNormal(location, 1 / (spread + floor**2))
    return DiagonalNormal(location, 1 / jnp.square(spread + floor))


def full_covariance(raw: Array, outputs: int, *, floor: float = 0.0) -> FullNormal:
    """A Gaussian with covariance ``L Lᵀ``, L filled row by row from ``raw[d:]``, ζ on its diagonal.

    The notes' ``B Bᵀ`` with B made lower triangular: each covariance then has exactly one L.

    Args:
      raw: ``(..., d + d(d + 1)/2)``.
      outputs: d.
      floor: least value of L's diagonal.

    Raises:
      ValueError: when the last axis has another size, or ``floor`` is negative.
    """
    positive(outputs=outputs)
    _not_negative(floor)
    d = outputs
    _last_axis(raw, d + d * (d + 1) // 2)
    rows, columns = np.tril_indices(d)
    # Placing by a product with zeros and ones: its gradient is a product too, where indexing has a scatter.
    place = np.zeros((len(rows), d * d), np.float32)
    place[np.arange(len(rows)), rows * d + columns] = 1
    L = (raw[..., d:] @ jnp.asarray(place, raw.dtype)).reshape(*raw.shape[:-1], d, d)
    diagonal = _like(jnp.asarray(np.eye(d, dtype=bool)), L)
    return FullNormal(raw[..., :d], jnp.where(diagonal, _softplus(L) + floor, L))


def mixture(raw: Array, components: int, outputs: int = 1, *, floor: float = 0.0) -> Mixture:
    """A mixture density: n logits, n means and n deviations ``ζ(·) + floor``.

    Args:
      raw: ``(..., n(1 + 2d))``: the logits, then the means, then the deviations, component by component.
      components: n.
      outputs: d.
      floor: least deviation; 0 leaves the likelihood without a bound.

    Raises:
      ValueError: when the last axis has another size, a number is not positive, or ``floor`` negative.

    Source: notes F2.10; Bishop, 1994.
    """
    positive(components=components, outputs=outputs)
    _not_negative(floor)
    n, d = components, outputs
    _last_axis(raw, n * (1 + 2 * d))
    logits, location, a = jnp.split(raw, [n, n + n * d], axis=-1)
    shape = (*raw.shape[:-1], n, d)
    return Mixture(logits, location.reshape(shape), _softplus(a).reshape(shape) + floor)


class Unit(NamedTuple):
    """An output unit by name: how many raw numbers it takes and which distribution they mean.

    Attributes:
      size: raw numbers of a network's output.
      distribution: ``distribution(raw (..., size))``, of vectors ``(..., outputs)``.
    """

    size: int
    distribution: Callable[[Array], Any]


UNITS = ("laplace", "heteroscedastic", "full_covariance", "mixture")
"""Every name `unit` knows."""


def unit(name: str, outputs: int, *, components: int = 5, floor: float = 0.0) -> Unit:
    """The output unit of a name.

    Args:
      name: one of `UNITS`.
      outputs: size of the target.
      components: of a mixture.
      floor: as in the unit's function.

    Raises:
      ValueError: when the name is unknown or a number is not allowed.
    """
    positive(outputs=outputs, components=components)
    d = outputs
    table = {
        "laplace": Unit(d, Laplace),
        "heteroscedastic": Unit(2 * d, partial(heteroscedastic, floor=floor)),
        "full_covariance": Unit(d + d * (d + 1) // 2, partial(full_covariance, outputs=outputs, floor=floor)),
        "mixture": Unit(
            components * (1 + 2 * d),
            partial(mixture, components=components, outputs=outputs, floor=floor),
        ),
    }
    return chosen("name", name, table)


def _softplus(a: Array) -> Array:
    return jnp.maximum(jax.nn.softplus(a), _TINY)


def _like(mask: Array, x: Array) -> Array:
    return jnp.broadcast_to(mask.reshape((1,) * (x.ndim - mask.ndim) + mask.shape), x.shape)


def _last_axis(raw: Array, size: int) -> None:
    if raw.shape[-1] != size:
        raise ValueError(f"raw: got shape {raw.shape}, the last axis must have {size} numbers")


def _not_negative(floor: float) -> None:
    if not floor >= 0:
        raise ValueError(f"floor: got {floor}, allowed is at least 0")
