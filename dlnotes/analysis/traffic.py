"""How many bytes a network's layers move to and from memory: with its operations, what limits each of them.

Counted are the factors and results of matrix products and convolutions, each once: what a layer must move at
least when nothing stays in a cache between two layers. What is done by element, such as biases and
activations, is taken to happen on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import jax

from dlnotes.analysis.counting import (
    _PRODUCTS,
    LayerCounts,
    _layer_names,
    _Operand,
    _unseen,
    _Walk,
    by_layer,
)
from dlnotes.jax_internals import Equation, Program, program_of
from dlnotes.models.model import Model, learned_of


class LayerTraffic(NamedTuple):
    """What a layer does and moves for one batch, forward.

    Attributes:
      name: as in `dlnotes.analysis.LayerCounts`.
      operations: of its products, two for each multiply-add.
      bytes: of their factors and results.
    """

    name: str
    operations: int
    bytes: int

    @property
    def intensity(self) -> float:
        """Operations for each byte; 0 of a layer without products."""
        return self.operations / self.bytes if self.bytes else 0.0


def traffic(model: Model, x: Any, *, mask: Any = None, itemsize: int = 4) -> tuple[LayerTraffic, ...]:
    """Operations and bytes of a network's layers in one forward pass over a batch; nothing is run.

    Of a dense layer from n to m units ``2 B n m`` operations and ``n m + B n + B m`` numbers, of a
    convolution ``2 B p k c o`` and ``k c o + B s c + B p o``, with p places of the output, s of the input, a
    kernel of k taps, c channels in and o out. What a loop repeats moves its factors at each repetition.

    Args:
      model: of any family.
      x: a batch, of which only shapes and types matter (``jax.ShapeDtypeStruct`` will do).
      mask: as the model takes it.
      itemsize: bytes of a number.

    Returns:
      Layers in the order of `dlnotes.analysis.by_layer`; those without products move nothing.

    Raises:
      ValueError: as in `dlnotes.analysis.count`.

    Example:
      >>> from dlnotes import models
      >>> for row in traffic(models.mlp(4, (8,), 3), jnp.zeros((16, 4))):
      ...     print(row.name, row.operations, row.bytes, round(row.intensity, 2))
      hidden[0] 1024 896 1.14
      output 768 800 0.96

    Source: Williams, Waterman and Patterson 2009, «Roofline».
    """
    params = jax.eval_shape(model.init, jax.random.key(0))
    program = program_of(lambda p, x, m: model.apply(p, x, mask=m), params, x, mask)
    learned = learned_of(params)
    paths, leaves = zip(*jax.tree_util.tree_flatten_with_path(learned)[0])
    operands = [_Operand(leaf=i, of=frozenset([i])) for i in range(len(leaves))]
    operands += [_Operand()] * (len(jax.tree.leaves(params)) - len(leaves))
    operands += _given(program, len(operands))
    moved = _moved(program, _layer_names(learned, paths), operands)
    rows: Sequence[LayerCounts] = by_layer(model, x, mask=mask)
    return tuple(LayerTraffic(r.name, 2 * r.multiply_adds, itemsize * moved[r.name]) for r in rows)


def bytes_moved(function: Callable[..., Any], *arguments: Any, itemsize: int = 4) -> int:
    """Bytes of the factors and results of all products of any function of arrays; nothing is run.

    Args:
      function: pure.
      arguments: arrays or ``jax.ShapeDtypeStruct``; their values do not matter.
      itemsize: bytes of a number.

    Example:
      >>> bytes_moved(lambda a, b: a @ b, jnp.zeros((2, 3)), jnp.zeros((3, 5)))
      124
    """
    program = program_of(function, *arguments)
    return itemsize * sum(_moved(program, (), _given(program)).values())


def _given(program: Program, first: int = 0) -> list[_Operand]:
    """The inputs of a program, from one on, as values that are no parameters."""
    return [_Operand(of=None, fields=_unseen(value)) for value in program.inputs[first:]]


def _moved(program: Program, names: Sequence[str], operands: Sequence[_Operand]) -> Counter[str]:
    """Numbers moved, by layer."""
    walk = _Traffic(names)
    walk.through(program, operands)
    [moved] = walk.found[-1]
    return moved


class _Traffic(_Walk):
    """Adds up what products move.

    Attributes:
      found: for each program that is being walked through, what the programs within it moved.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(names)
        self.found: list[list[Counter[str]]] = [[]]

    def through(self, program: Program, arguments: Sequence[_Operand]) -> Any:
        self.found.append([])
        result = super().through(program, arguments)
        within = self.found.pop()
        self.found[-1].append(sum(within, Counter()))
        return result

    def _equation(self, equation: Equation, operands: list[_Operand]) -> Any:
        self.found.append([])
        result = super()._equation(equation, operands)
        within = self.found.pop()
        if equation.name == "cond":  # one branch is taken: the one that moves most
            within = [max(within, key=lambda moved: moved.total(), default=Counter())]
        if equation.name in _PRODUCTS:
            values = (*equation.inputs, *equation.outputs)
            size = self.times * sum(prod(value.shape) for value in values)
            within.append(Counter({self._layer(operands): size}))
        self.found[-1].append(sum(within, Counter()))
        return result
