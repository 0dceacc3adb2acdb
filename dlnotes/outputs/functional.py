"""The cost as a functional of a free function: what minimizes it, point by point.

Source: notes, «aprendizaje basado en el descenso de gradiente» (F2.5); Goodfellow et al. 2016, 6.2.1.2.
"""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp

from dlnotes.checks import chosen
from dlnotes.typing import Array

COSTS = {
    "squared": lambda error, quantile: error * error,
    "absolute": lambda error, quantile: jnp.abs(error),
    "pinball": lambda error, quantile: jnp.maximum(quantile * error, (quantile - 1) * error),
}
Cost = Literal["squared", "absolute", "pinball"]


def cost_functional(
    f: Array, y: Array, p: Array, *, cost: Cost = "squared", quantile: float | Array = 0.5
) -> Array:
    """``J[f] = Σ_i Σ_k p(x_i, y_k) L(y_k − f(x_i))``: a number for a whole function, given on a grid.

    Its gradient in f is the functional derivative times the grid's weight; where it is 0 for every x, f is
    the conditional mean ("squared"), median ("absolute") or quantile ("pinball").

    Args:
      f: ``(m,)`` the values of a free function at m points.
      y: ``(k,)`` the values that targets can have.
      p: ``(m, k)`` the joint probabilities of points and values; they need not add up to 1.
      cost: L: "squared" e², "absolute" |e|, or "pinball" max(τe, (τ − 1)e).
      quantile: τ of the pinball.

    Returns:
      ``()``.

    Raises:
      ValueError: on shapes that do not fit, an unknown cost or a quantile outside (0, 1).

    Example:
      >>> y, p = jnp.array([0.0, 1.0]), jnp.array([[0.25, 0.75]])
      >>> abs(float(jax.grad(cost_functional)(jnp.array([0.75]), y, p)[0])) < 1e-6  # at the mean
      True
    """
    of = _checked(y, p, cost, quantile)
    if f.shape != p.shape[:1]:
        raise ValueError(f"f: got shape {tuple(f.shape)}, allowed is ({p.shape[0]},), one for each row of p")
    return jnp.sum(p * of(y[None, :] - f[:, None], quantile))


def functional_minimum(y: Array, p: Array, *, cost: Cost = "squared", quantile: float | Array = 0.5) -> Array:
    """The function that minimizes `cost_functional`: free at each point, so that each is solved by itself.

    Exactly: the weighted mean for the squared cost; else the least value at which the cumulated weight
    reaches ½ or τ, for a convex cost with corners at the values has its minimum at one of them. Where several
    functions have the least cost, it is the lowest of them.

    Args:
      y, p, cost, quantile: as in `cost_functional`; each row of p has a positive sum.

    Returns:
      ``(m,)``.

    Raises:
      ValueError: as `cost_functional`.

    Example:
      >>> y, p = jnp.array([0.0, 1.0, 10.0]), jnp.array([[0.3, 0.3, 0.4]])
      >>> [round(float(functional_minimum(y, p, cost=c)[0]), 2) for c in ("squared", "absolute")]
      [4.3, 1.0]
    """
    _checked(y, p, cost, quantile)
    weight = p / jnp.sum(p, axis=1, keepdims=True)
    if cost == "squared":
        return weight @ y
    order = jnp.argsort(y)
    reached = jnp.cumsum(weight[:, order], axis=1)
    level = 0.5 if cost == "absolute" else quantile
    # Sums of weights may miss the level by rounding.
    first = jnp.argmax(reached >= level - 1e-6, axis=1)
    return y[order][first]


def _checked(y: Array, p: Array, cost: str, quantile: float | Array):
    of = chosen("cost", cost, COSTS)
    if y.ndim != 1 or p.ndim != 2 or p.shape[1:] != y.shape:
        raise ValueError(
            f"y, p: got shapes {tuple(y.shape)} and {tuple(p.shape)}, allowed are (k,) and (m, k)"
        )
    if isinstance(quantile, (int, float)) and not 0 < quantile < 1:
        raise ValueError(f"quantile: got {quantile}, allowed is 0 < quantile < 1")
    return of
