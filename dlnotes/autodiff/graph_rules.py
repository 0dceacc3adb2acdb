"""Jacobian products as nodes: for each operation of a graph, the nodes that make ``Jᵀ g``.

`dlnotes.autodiff.Operation` computes ``Jᵀ g`` as a number. A graph of the backward pass needs it as nodes
instead, whose operations have rules themselves: then it can be differentiated again, any number of times.
Few operations are needed beyond those of the forward pass: a sum over the axes that were repeated, its
transpose, the two transposes of a matrix product, and slopes that are constant between their jumps.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import jax
import jax.numpy as jnp

from dlnotes.autodiff.derivatives import DERIVATIVES
from dlnotes.autodiff.jacobian_products import matmul_vjp, sum_to
from dlnotes.autodiff.operations import OPERATIONS, Operation
from dlnotes.typing import Array

Add = Callable[..., str]
"""``add(operation, parent, …) -> name``: puts a node into the graph that is being made."""

Rule = Callable[..., str | None]
"""``rule(add, g, y, a, b, …) -> name`` of the node ``Jᵀ g``, from the names of the gradient by y, of y
and of its parents; ``None`` where J is 0 everywhere."""


def _nothing(position: int) -> Callable[..., Array]:
    """``Jᵀ g`` where J is 0: zeros of the shape of the parent at ``position``."""
    return lambda g, *parents: jnp.zeros_like(parents[position])


def _spread_to(g: Array, a: Array) -> Array:
    return jnp.broadcast_to(g, a.shape)


SUM_TO = Operation("sum_to", lambda g, a: sum_to(g, a.shape), (lambda h, g, a: _spread_to(h, g), _nothing(1)))
"""g summed over the axes along which an array of a's shape was repeated to g's shape."""

SPREAD = Operation("spread", _spread_to, (lambda h, g, a: sum_to(h, g.shape), _nothing(1)))
"""g repeated to the shape of a: the transpose of `SUM_TO`."""

SUM_LAST = Operation(
    "sum_last", lambda a: jnp.sum(a, axis=-1, keepdims=True), (lambda h, a: _spread_to(h, a),)
)
"""Sums over the last axis, which is kept with size 1."""

MATMUL_BY_LEFT = Operation(
    "matmul_by_left",
    lambda g, a, b: matmul_vjp(a, b, g)[0],
    (lambda h, g, a, b: h @ b, _nothing(1), lambda h, g, a, b: matmul_vjp(h, b, g)[1]),
)
"""``g bᵀ``, the gradient by a of ``y = a b``; a gives its shape only."""

MATMUL_BY_RIGHT = Operation(
    "matmul_by_right",
    lambda g, a, b: matmul_vjp(a, b, g)[1],
    (lambda h, g, a, b: a @ h, lambda h, g, a, b: matmul_vjp(a, h, g)[0], _nothing(2)),
)
"""``aᵀ g``, the gradient by b of ``y = a b``; b gives its shape only."""

ONES_LIKE = Operation("ones_like", jnp.ones_like, (_nothing(0),))
ZEROS_LIKE = Operation("zeros_like", jnp.zeros_like, (_nothing(0),))
SIZE = Operation("size", lambda a: jnp.asarray(a.size, a.dtype), (_nothing(0),))
"""How many elements a has."""

NORMAL_PDF = Operation(
    "normal_pdf", jax.scipy.stats.norm.pdf, (lambda g, z: -g * z * jax.scipy.stats.norm.pdf(z),)
)
NORMAL_CDF = Operation(
    "normal_cdf", jax.scipy.stats.norm.cdf, (lambda g, z: g * jax.scipy.stats.norm.pdf(z),)
)
NOT_POSITIVE = Operation("not_positive", lambda z: jnp.where(z > 0, 0, 1).astype(z.dtype), (_nothing(0),))
"""1 where z ≤ 0, else 0."""

ELU_SLOPE = Operation(
    "elu_slope",
    DERIVATIVES["elu"],
    (lambda g, z: g * DERIVATIVES["elu"](z) * NOT_POSITIVE.value(z),),
)

STEPS = {
    name: Operation(f"{name}_slope", DERIVATIVES[name], (_nothing(0),))
    for name in ("relu", "leaky_relu", "abs", "hard_tanh")
}
"""Slopes that are constant but for jumps."""


@lru_cache(maxsize=256)
def number(value: float) -> Operation:
    """The operation without parents that gives a number."""
    return Operation(f"{value:g}", lambda: jnp.asarray(value), ())


_OF = OPERATIONS


def _times(add: Add, a: str, b: str) -> str:
    return add(_OF["multiply"], a, b)


def _slope(made: Callable[[Add, str, str], str]) -> tuple[Rule]:
    """The rule of an element-wise function, from ``made(add, y, z)``, which adds the node ``f'(z)``."""
    return (lambda add, g, y, z: _times(add, g, made(add, y, z)),)


def _sigmoid_slope(add: Add, s: str) -> str:
    return _times(add, s, add(_OF["subtract"], add(number(1.0)), s))


def _silu_slope(add: Add, y: str, z: str) -> str:
    s = add(_OF["sigmoid"], z)
    return add(_OF["add"], s, _times(add, z, _sigmoid_slope(add, s)))


def _gelu_slope(add: Add, y: str, z: str) -> str:
    return add(_OF["add"], add(NORMAL_CDF, z), _times(add, z, add(NORMAL_PDF, z)))


def _by_divisor(add: Add, g: str, y: str, a: str, b: str) -> str:
    quotient = add(_OF["divide"], _times(add, g, y), b)
    return add(SUM_TO, add(_OF["negative"], quotient), b)


def _softmax(add: Add, g: str, y: str, a: str) -> str:
    inner = add(SUM_LAST, _times(add, y, g))
    return _times(add, y, add(_OF["subtract"], g, inner))


_RULES: dict[Operation, tuple[Rule, ...]] = {
    _OF["add"]: (
        lambda add, g, y, a, b: add(SUM_TO, g, a),
        lambda add, g, y, a, b: add(SUM_TO, g, b),
    ),
    _OF["subtract"]: (
        lambda add, g, y, a, b: add(SUM_TO, g, a),
        lambda add, g, y, a, b: add(SUM_TO, add(_OF["negative"], g), b),
    ),
    _OF["multiply"]: (
        lambda add, g, y, a, b: add(SUM_TO, _times(add, g, b), a),
        lambda add, g, y, a, b: add(SUM_TO, _times(add, g, a), b),
    ),
    _OF["divide"]: (
        lambda add, g, y, a, b: add(SUM_TO, add(_OF["divide"], g, b), a),
        _by_divisor,
    ),
    _OF["matmul"]: (
        lambda add, g, y, a, b: add(MATMUL_BY_LEFT, g, a, b),
        lambda add, g, y, a, b: add(MATMUL_BY_RIGHT, g, a, b),
    ),
    _OF["sum"]: (lambda add, g, y, a: add(SPREAD, g, a),),
    _OF["mean"]: (lambda add, g, y, a: add(SPREAD, add(_OF["divide"], g, add(SIZE, a)), a),),
    _OF["softmax"]: (_softmax,),
    _OF["sigmoid"]: _slope(lambda add, y, z: _sigmoid_slope(add, y)),
    _OF["tanh"]: _slope(lambda add, y, z: add(_OF["subtract"], add(number(1.0)), add(_OF["square"], y))),
    _OF["softplus"]: _slope(lambda add, y, z: add(_OF["sigmoid"], z)),
    _OF["gelu"]: _slope(_gelu_slope),
    _OF["silu"]: _slope(_silu_slope),
    _OF["elu"]: _slope(lambda add, y, z: add(ELU_SLOPE, z)),
    _OF["identity"]: (lambda add, g, y, z: g,),
    _OF["negative"]: (lambda add, g, y, z: add(_OF["negative"], g),),
    _OF["exp"]: _slope(lambda add, y, z: y),
    _OF["log"]: (lambda add, g, y, z: add(_OF["divide"], g, z),),
    _OF["square"]: _slope(lambda add, y, z: _times(add, add(number(2.0)), z)),
    SUM_TO: (lambda add, h, y, g, a: add(SPREAD, h, g), lambda *_: None),
    SPREAD: (lambda add, h, y, g, a: add(SUM_TO, h, g), lambda *_: None),
    SUM_LAST: (lambda add, h, y, a: add(SPREAD, h, a),),
    MATMUL_BY_LEFT: (
        lambda add, h, y, g, a, b: add(_OF["matmul"], h, b),
        lambda *_: None,
        lambda add, h, y, g, a, b: add(MATMUL_BY_RIGHT, g, h, b),
    ),
    MATMUL_BY_RIGHT: (
        lambda add, h, y, g, a, b: add(_OF["matmul"], a, h),
        lambda add, h, y, g, a, b: add(MATMUL_BY_LEFT, g, a, h),
        lambda *_: None,
    ),
    NORMAL_CDF: _slope(lambda add, y, z: add(NORMAL_PDF, z)),
    NORMAL_PDF: _slope(lambda add, y, z: add(_OF["negative"], _times(add, z, y))),
    ELU_SLOPE: _slope(lambda add, y, z: _times(add, y, add(NOT_POSITIVE, z))),
}

_CONSTANT = {ONES_LIKE, ZEROS_LIKE, SIZE, NOT_POSITIVE, *STEPS.values()}
"""Operations whose derivative is 0 wherever it exists."""

_RULES |= {_OF[name]: _slope(lambda add, y, z, f=f: add(f, z)) for name, f in STEPS.items()}
_RULES |= {f: (lambda *_: None,) for f in _CONSTANT}


def rules_of(f: Operation) -> tuple[Rule, ...]:
    """A rule for each parent of an operation.

    An operation of one's own has no rule here: its product is one node, which calls the operation's own
    function and is differentiated by ``jax.vjp`` where it is differentiated again.
    """
    known = _RULES.get(f)
    return known if known is not None else tuple(_opaque(f, i) for i in range(len(f.products)))


def _opaque(f: Operation, position: int) -> Rule:
    return lambda add, g, y, *parents: add(_product(f, position), g, *parents)


@lru_cache(maxsize=256)
def _product(f: Operation, position: int) -> Operation:
    """``Jᵀ g`` by the parent at ``position`` as an operation of g and all parents."""
    value = f.products[position]

    def by(i: int) -> Callable[..., Array]:
        return lambda h, *arguments: jax.vjp(value, *arguments)[1](h)[i]

    return Operation(f"{f.name}_by_{position}", value, tuple(by(i) for i in range(1 + len(f.products))))
