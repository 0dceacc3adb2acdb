"""How a cost bends along a direction, and how directions agree, for parameters of any tree.

Nothing here builds the Hessian H: a product with it costs about two gradients.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dlnotes.typing import Array, Params

Cost = Callable[[Params], Array]
"""``cost(params) -> ()``, such as the mean loss over a data set."""


def hessian_product(cost: Cost, params: Params, direction: Params) -> Params:
    """``H v`` with ``H = ∇²cost(params)``, as the gradient of ``⟨∇cost, v⟩``: any network has it.

    Args:
      cost: a scalar function of the parameters, twice differentiable where it is asked for.
      params: a tree of floating arrays.
      direction: v, a tree of the same structure and shapes.

    Returns:
      A tree like ``params``.

    Raises:
      ValueError: when ``direction`` is not shaped like ``params``.

    Example:
      >>> square = lambda p: jnp.sum(jnp.array([1.0, 3.0]) * p["w"] ** 2)
      >>> hessian_product(square, {"w": jnp.ones(2)}, {"w": jnp.array([1.0, -1.0])})["w"]
      Array([ 2., -6.], dtype=float32)

    Source: Pearlmutter, 1994; notes F3.13.
    """
    _check_alike("direction", params, direction)
    direction = jax.lax.stop_gradient(direction)
    # Not the derivative of the gradient along v, which needs forward mode: recurrent nets have none.
    return jax.grad(lambda p: inner(jax.grad(cost)(p), direction))(params)


def curvature_along(cost: Cost, params: Params, direction: Params) -> Array:
    """``vᵀH v / vᵀv``, the second derivative of the cost along the unit vector of v; NaN for v = 0.

    It lies between the least and the largest eigenvalue of H.

    Args:
      cost, params, direction: as in `hessian_product`.

    Raises:
      ValueError: when ``direction`` is not shaped like ``params``.

    Example:
      >>> square = lambda w: jnp.sum(jnp.array([1.0, 3.0]) * w**2)
      >>> float(curvature_along(square, jnp.ones(2), jnp.array([2.0, 0.0])))
      2.0

    Source: notes F3.13.
    """
    return inner(direction, hessian_product(cost, params, direction)) / inner(direction, direction)


def inner(a: Params, b: Params) -> Array:
    """``Σ a·b`` over all numbers of two trees of one structure.

    Raises:
      ValueError: when they are not shaped alike.

    Example:
      >>> float(inner((jnp.array([1.0, 2.0]), jnp.float32(3.0)), (jnp.array([4.0, 5.0]), jnp.float32(6.0))))
      32.0
    """
    _check_alike("b", a, b)
    products = jax.tree.map(lambda x, y: jnp.vdot(x, y, precision="highest"), a, b)
    return sum(jax.tree.leaves(products), start=jnp.zeros((), jnp.float32))


def cosine_between(a: Params, b: Params) -> Array:
    """``⟨a, b⟩ / (‖a‖ ‖b‖)``, the cosine of the angle between two directions; NaN where one is 0.

    Args:
      a, b: trees of one structure and of the same shapes.

    Raises:
      ValueError: when they are not shaped alike.

    Example:
      >>> round(float(cosine_between(jnp.array([1.0, 0.0]), jnp.array([1.0, 1.0]))), 4)
      0.7071

    Source: notes F3.13.
    """
    return inner(a, b) / jnp.sqrt(inner(a, a)) / jnp.sqrt(inner(b, b))


def _check_alike(name: str, params: Params, other: Params) -> None:
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (params, other)]
    structures = [jax.tree.structure(tree) for tree in (params, other)]
    if structures[0] != structures[1] or shapes[0] != shapes[1]:
        raise ValueError(f"{name}: got a tree of shapes {shapes[1]}, needed is one of {shapes[0]}")
