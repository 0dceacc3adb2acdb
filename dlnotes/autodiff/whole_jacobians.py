"""Whole Jacobians of a chain of operations, by one product for each output or for each input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.autodiff.derivatives import ELEMENTWISE
from dlnotes.autodiff.jacobian_products import (
    convolution_jvp,
    convolution_vjp,
    elementwise_jvp,
    elementwise_vjp,
    softmax_jvp,
    softmax_vjp,
)
from dlnotes.checks import chosen
from dlnotes.layers.feedforward.dense import Dense, dense
from dlnotes.typing import Array

Mode = Literal["reverse", "forward", "cheapest"]


class Link(NamedTuple):
    """One operation of a chain, ``y = f(x)``, with its products by hand.

    Attributes:
      value: ``value(x) -> y``.
      jvp: ``jvp(x, dx) -> dy = J dx``.
      vjp: ``vjp(x, g) -> Jᵀ g``.
    """

    value: Callable[[Array], Array]
    jvp: Callable[[Array, Array], Array]
    vjp: Callable[[Array, Array], Array]


def dense_link(layer: Dense) -> Link:
    """``y = x W + b``: ``dy = dx W`` and ``g Wᵀ``."""
    return Link(lambda x: dense(layer, x), lambda x, dx: dx @ layer.W, lambda x, g: g @ layer.W.T)


def elementwise_link(name: str) -> Link:
    """An element-wise function, by its name in ``autodiff.DERIVATIVES``.

    Raises:
      ValueError: on a name that is not in the table.
    """
    f = chosen("name", name, ELEMENTWISE)
    return Link(f, lambda x, dx: elementwise_jvp(name, x, dx), lambda x, g: elementwise_vjp(name, x, g))


def softmax_link() -> Link:
    """``s = softmax(z)``."""
    return Link(jax.nn.softmax, softmax_jvp, softmax_vjp)


def convolution_link(K: Array, *, stride: int = 1, padding: int = 0, dilation: int = 1) -> Link:
    """The cross-correlation ``y = x ⋆ K`` of x ``(batch, *sizes, in)``; see `convolution_vjp`."""
    how = {"stride": stride, "padding": padding, "dilation": dilation}
    none = jnp.zeros_like(K)

    def value(x: Array) -> Array:
        # x ⋆ K is linear in x: it is its own change by x.
        return convolution_jvp(jnp.zeros_like(x), K, x, none, **how)

    return Link(
        value,
        lambda x, dx: convolution_jvp(x, K, dx, none, **how),
        lambda x, g: convolution_vjp(x, K, g, **how)[0],
    )


class WholeJacobian(NamedTuple):
    """What `whole_jacobian` returns.

    Attributes:
      value: the chain's end y.
      jacobian: ``∂y/∂x``, y's shape followed by x's shape.
      products: how many Jacobian products of single operations were taken.
    """

    value: Array
    jacobian: Array
    products: int


def whole_jacobian(links: Sequence[Link], x: Array, mode: Mode = "cheapest") -> WholeJacobian:
    """``∂y/∂x`` of the chain ``y = f_l(… f_1(x))`` by products, of n numbers x and m numbers y.

    Reverse: each of the m unit vectors is led back through all links by Jᵀ, which gives a row of the
    Jacobian. Forward: each of the n unit vectors is led on by J, which gives a column. For l links these
    are ``m l`` or ``n l`` products, so that reverse is cheaper where there are fewer outputs than inputs.

    Args:
      links: from the input to the output.
      x: where.
      mode: "reverse", "forward" or "cheapest", the one with fewer products (reverse when they are equal).

    Raises:
      ValueError: on an unknown mode or an empty chain.

    Source: notes F5.4.

    Example:
      >>> chain = [dense_link(Dense(jnp.ones((3, 2)), jnp.zeros(2))), elementwise_link("square")]
      >>> found = whole_jacobian(chain, jnp.array([1.0, 2.0, 3.0]))
      >>> found.jacobian.shape, found.products  # two outputs, two links
      ((2, 3), 4)
    """
    if not links:
        raise ValueError("links: got none, needed is one or more")
    modes = {"reverse": _reverse, "forward": _forward}
    if mode not in (*modes, "cheapest"):
        raise ValueError(f"mode: got {mode!r}, allowed are 'reverse', 'forward', 'cheapest'")
    values = [x]
    for link in links:
        values.append(link.value(values[-1]))
    y = values[-1]
    if mode == "cheapest":
        mode = "reverse" if y.size <= x.size else "forward"
    vectors = y.size if mode == "reverse" else x.size
    return WholeJacobian(y, modes[mode](links, values), vectors * len(links))


def _units(like: Array) -> Array:
    """All unit vectors of an array's shape, along a first axis."""
    return jnp.eye(like.size, dtype=like.dtype).reshape(like.size, *like.shape)


def _reverse(links: Sequence[Link], values: Sequence[Array]) -> Array:
    x, y = values[0], values[-1]

    def row(g: Array) -> Array:
        for link, at in reversed(list(zip(links, values))):
            g = link.vjp(at, g)
        return g

    return jax.vmap(row)(_units(y)).reshape(*y.shape, *x.shape)


def _forward(links: Sequence[Link], values: Sequence[Array]) -> Array:
    x, y = values[0], values[-1]

    def column(dx: Array) -> Array:
        for link, at in zip(links, values):
            dx = link.jvp(at, dx)
        return dx

    return jax.vmap(column, out_axes=-1)(_units(x)).reshape(*y.shape, *x.shape)
