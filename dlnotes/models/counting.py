"""How large a network is and how much it computes, read off the program itself."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend import core

from dlnotes.models.model import Model
from dlnotes.typing import Params


class Counts(NamedTuple):
    """The size of a network.

    Attributes:
      parameters: numbers that are learned; weights behind a connection that does not exist do not count.
      multiply_adds: products added up in one forward pass over the batch, by matrix products and
        convolutions (as written: products with a border of zeros count). Work by element, such as
        activations and biases, does not count.
    """

    parameters: int
    multiply_adds: int


def count(model: Model, x: Any, *, mask: Any = None) -> Counts:
    """Count a network's parameters and the multiply-adds of its forward pass; nothing is run.

    Args:
      model: of any family.
      x: a batch, of which only shapes and types matter.
      mask: as the model takes it.

    Raises:
      ValueError: when the network repeats something until a condition holds: that has no number.

    Example:
      >>> from dlnotes import models
      >>> count(models.mlp(4, (8,), 3), np.zeros((1, 4), np.float32))
      Counts(parameters=67, multiply_adds=56)

    Source: notes F4.7.
    """
    params = jax.eval_shape(model.init, jax.random.key(0))
    closed = jax.make_jaxpr(lambda p, x, m: model.apply(p, x, mask=m))(params, x, mask)
    sizes = [leaf.size for leaf in jax.tree.leaves(params)]
    walk = _Walk()
    operands = [_Operand(leaf=i) for i in range(len(sizes))]
    operands += [_Operand()] * (len(closed.jaxpr.invars) - len(sizes))
    work = walk.through(closed.jaxpr, [_constant(c) for c in closed.consts], operands)
    learned = [
        size if i in walk.whole or i not in walk.connected else int(walk.connected[i].sum())
        for i, size in enumerate(sizes)
    ]
    return Counts(sum(learned), work)


def parameters(params: Params) -> int:
    """Numbers in a tree of parameters, existing connections or not.

    Example:
      >>> from dlnotes import models
      >>> parameters(models.linear(4, 3).init(jax.random.key(0)))
      15
    """
    return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(params))


def multiply_adds(function: Callable[..., Any], *arguments: Any) -> int:
    """Multiply-adds of any function of arrays; see `Counts`.

    Args:
      function: pure.
      arguments: arrays or `jax.ShapeDtypeStruct`; their values do not matter.

    Raises:
      ValueError: as in `count`.

    Example:
      >>> multiply_adds(lambda a, b: a @ b, jnp.zeros((2, 3)), jnp.zeros((3, 5)))
      30
    """
    closed = jax.make_jaxpr(function)(*arguments)
    free = [_Operand()] * len(closed.jaxpr.invars)
    return _Walk().through(closed.jaxpr, [_constant(c) for c in closed.consts], free)


class _Operand(NamedTuple):
    """What is known of a value: where it can be other than 0, and which parameter it is, if any."""

    pattern: np.ndarray | None = None
    leaf: int | None = None
    constant: bool = False


def _constant(value: Any) -> _Operand:
    """A constant that has zeros in it may be a pattern of connections."""
    if np.ndim(value) == 0:
        return _Operand()
    pattern = np.asarray(value) != 0
    return _Operand() if pattern.all() else _Operand(pattern, constant=True)


class _Walk:
    """Adds up the multiply-adds of a program, following patterns of zeros and parameters through it.

    Attributes:
      connected: parameter → where a constant that it was multiplied by is not 0.
      whole: parameters that are used in another way.
    """

    def __init__(self) -> None:
        self.connected: dict[int, np.ndarray] = {}
        self.whole: set[int] = set()

    def through(self, jaxpr: Any, constants: list[_Operand], arguments: list[_Operand]) -> int:
        """Multiply-adds of a program whose inputs are what the operands say."""
        known: dict[Any, _Operand] = dict(zip(jaxpr.constvars, constants))
        known |= dict(zip(jaxpr.invars, arguments))
        total = 0
        for equation in jaxpr.eqns:
            operands = [
                _Operand() if isinstance(v, core.Literal) else known.get(v, _Operand())
                for v in equation.invars
            ]
            work, result = self._equation(equation, operands)
            total += work
            if result is not None:
                known[equation.outvars[0]] = result
        # A parameter that is an output is used as it is.
        self._used(known.get(v, _Operand()) for v in jaxpr.outvars if not isinstance(v, core.Literal))
        return total

    def _equation(self, equation: Any, operands: list[_Operand]) -> tuple[int, _Operand | None]:
        name, options = equation.primitive.name, equation.params
        if name == "mul" and (masked := self._masked(equation, operands)) is not None:
            return 0, masked
        inner = _programs(options)
        if name == "while":
            work = sum(_Walk().through(p, c, [_Operand()] * len(p.invars)) for p, c in inner)
            if work:
                raise ValueError("the network repeats a matrix product until a condition holds: no number")
            inner = []
        if len(inner) == 1 and name != "scan" and len(inner[0][0].invars) == len(operands):
            (program, constants), *_ = inner  # a call: what is known inside is what is known here
            return self.through(program, constants, operands), None
        if name == "scan":
            (program, constants), *_ = inner
            n = options["num_consts"]
            self._used(operands[n:])
            free = [_Operand()] * (len(operands) - n)
            return options["length"] * self.through(program, constants, operands[:n] + free), None
        self._used(operands)
        branches = [self.through(p, c, [_Operand()] * len(p.invars)) for p, c in inner]
        shapes = [v.aval.shape for v in equation.invars] if name in _PRODUCTS else []
        own = _PRODUCTS[name](equation, shapes, operands) if name in _PRODUCTS else 0
        return own + max(branches, default=0), None

    def _masked(self, equation: Any, operands: list[_Operand]) -> _Operand | None:
        """The product of a value and a constant with zeros of the same shape."""
        a, b = operands
        if not a.constant:
            a, b = b, a
        if not a.constant or a.pattern is None or a.pattern.shape != equation.outvars[0].aval.shape:
            return None
        if b.leaf is not None:
            before = self.connected.get(b.leaf, np.zeros_like(a.pattern))
            self.connected[b.leaf] = before | a.pattern
        pattern = a.pattern if b.pattern is None else a.pattern & b.pattern
        return _Operand(pattern, constant=b.constant)

    def _used(self, operands: Any) -> None:
        self.whole |= {operand.leaf for operand in operands if operand.leaf is not None}


def _programs(options: dict[str, Any]) -> list[tuple[Any, list[_Operand]]]:
    """The programs inside an equation, each with its constants."""
    found = []
    for value in options.values():
        for part in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(part, core.ClosedJaxpr):
                found.append((part.jaxpr, [_constant(c) for c in part.consts]))
            elif isinstance(part, core.Jaxpr):
                found.append((part, [_Operand()] * len(part.constvars)))
    return found


def _dot_general(equation: Any, shapes: list[tuple[int, ...]], operands: list[_Operand]) -> int:
    """Each entry of one factor meets each free index of the other; entries that are always 0 do not."""
    contracted, batch = equation.params["dimension_numbers"]
    free = [
        prod(n for i, n in enumerate(shape) if i not in (*c, *b))
        for shape, c, b in zip(shapes, contracted, batch)
    ]
    entries = [
        prod(shape) if operand.pattern is None else int(operand.pattern.sum())
        for shape, operand in zip(shapes, operands)
    ]
    return min(entries[0] * free[1], entries[1] * free[0])


def _convolution(equation: Any, shapes: list[tuple[int, ...]], operands: list[_Operand]) -> int:
    """Each output is a sum over its kernel: taps times channels of its group."""
    kernel = shapes[1]
    out_channels = equation.params["dimension_numbers"].rhs_spec[0]
    return prod(equation.outvars[0].aval.shape) * (prod(kernel) // max(1, kernel[out_channels]))


_PRODUCTS = {"dot_general": _dot_general, "conv_general_dilated": _convolution}
