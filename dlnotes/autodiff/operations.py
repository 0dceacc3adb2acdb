"""The operations of which a graph is made: each knows its value and its own Jacobian's products."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.autodiff.derivatives import DERIVATIVES, ELEMENTWISE
from dlnotes.autodiff.jacobian_products import elementwise_vjp, matmul_vjp, softmax_vjp, sum_to
from dlnotes.checks import chosen
from dlnotes.typing import Array


class Operation(NamedTuple):
    """A function of its parents' values with one result, ``y = f(a, b, …)``.

    Attributes:
      name: how it is called.
      value: ``value(a, b, …) -> y``.
      products: one function per parent, ``product(g, a, b, …) -> Jᵀ g``, where J is the Jacobian of y
        by that parent and g has the shape of y; the result has the shape of the parent.
    """

    name: str
    value: Callable[..., Array]
    products: tuple[Callable[..., Array], ...]


def _together(f: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    """``f`` of two arrays broadcast to one shape."""

    def value(a: Array, b: Array) -> Array:
        if a.shape == b.shape:
            return f(a, b)
        shape = jnp.broadcast_shapes(a.shape, b.shape)
        return f(jnp.broadcast_to(a, shape), jnp.broadcast_to(b, shape))

    return value


def _spread(g: Array, a: Array) -> Array:
    """The scalar g for every element of a."""
    return jnp.broadcast_to(g, a.shape)


_multiply, _divide = _together(jnp.multiply), _together(jnp.divide)

_WITHOUT_TABLE = (
    Operation(
        "add",
        _together(jnp.add),
        (lambda g, a, b: sum_to(g, a.shape), lambda g, a, b: sum_to(g, b.shape)),
    ),
    Operation(
        "subtract",
        _together(jnp.subtract),
        (lambda g, a, b: sum_to(g, a.shape), lambda g, a, b: sum_to(-g, b.shape)),
    ),
    Operation(
        "multiply",
        _multiply,
        (lambda g, a, b: sum_to(_multiply(g, b), a.shape), lambda g, a, b: sum_to(_multiply(g, a), b.shape)),
    ),
    Operation(
        "divide",
        _divide,
        (
            lambda g, a, b: sum_to(_divide(g, b), a.shape),
            lambda g, a, b: sum_to(-_multiply(g, _divide(a, b * b)), b.shape),
        ),
    ),
    Operation(
        "matmul",
        jnp.matmul,
        (lambda g, a, b: matmul_vjp(a, b, g)[0], lambda g, a, b: matmul_vjp(a, b, g)[1]),
    ),
    Operation("sum", jnp.sum, (_spread,)),
    Operation("mean", jnp.mean, (lambda g, a: _spread(g, a) / a.size,)),
    Operation("softmax", jax.nn.softmax, (lambda g, a: softmax_vjp(a, g),)),
)


def _elementwise(name: str) -> Operation:
    return Operation(name, ELEMENTWISE[name], (lambda g, a: elementwise_vjp(name, a, g),))


OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in _WITHOUT_TABLE} | {
    name: _elementwise(name) for name in DERIVATIVES
}
"""Operations by name: with broadcasting, products, sums over all elements, and all element-wise functions."""


def operation(name: str) -> Operation:
    """The operation called ``name``.

    Raises:
      ValueError: when the table has no such name.
    """
    return chosen("operation", name, OPERATIONS)
