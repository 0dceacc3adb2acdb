"""How large a network is and how much it computes, read off the program itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import jax
import numpy as np

from dlnotes.analysis import receptive_fields as seen
from dlnotes.jax_internals import (
    Equation,
    Program,
    Scan,
    Value,
    cond_parts,
    convolution_parts,
    is_call,
    product_axes,
    program_of,
    scan_parts,
)
from dlnotes.models.model import Model, learned_of
from dlnotes.typing import Params


class Counts(NamedTuple):
    """The size of a network.

    Attributes:
      parameters: numbers that are learned; weights behind a connection that does not exist do not count,
        nor does a model's state.
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
    rows = by_layer(model, x, mask=mask)
    return Counts(sum(row.parameters for row in rows), sum(row.multiply_adds for row in rows))


class LayerCounts(NamedTuple):
    """What a network's table says of one of its layers.

    Attributes:
      name: where its parameters stand in the tree, such as "hidden[0]"; "" for products of two values
        that both depend on the input, as in attention.
      output: shape of what it gives, the batch included; that of a layer that a scan repeats begins with
        the number of repetitions.
      parameters: as in `Counts`.
      multiply_adds: as in `Counts`.
      sees: size of an output's receptive field along each axis of the input, ``None`` where the
        input has no such axes or a layer before this one sees all of it. The statistics of a
        normalization are left out.
    """

    name: str
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int
    sees: tuple[int, ...] | None


def by_layer(model: Model, x: Any, *, mask: Any = None) -> tuple[LayerCounts, ...]:
    """`count`, layer by layer in the order of their use; nothing is run.

    A layer is what stands together in the tree of parameters: a matrix and its bias. A product of
    several layers' parameters with a value is named after all of them.

    Args:
      model: of any family.
      x: a batch, of which only shapes and types matter.
      mask: as the model takes it.

    Raises:
      ValueError: as in `count`.

    Source: notes C6.2, C6.4, C6.5.

    Example:
      >>> from dlnotes import models
      >>> for row in by_layer(models.cnn((8, 8, 1), 3, channels=(4,), dense=()), np.zeros((1, 8, 8, 1), "f")):
      ...     print(row.name, row.output, row.parameters, row.multiply_adds, row.sees)
      convolutions[0][0] (1, 8, 8, 4) 40 2304 (3, 3)
      output (1, 3) 195 192 None
    """
    params = jax.eval_shape(model.init, jax.random.key(0))
    program = program_of(lambda p, x, m: model.apply(p, x, mask=m), params, x, mask)
    learned = learned_of(params)
    paths, leaves = zip(*jax.tree_util.tree_flatten_with_path(learned)[0])
    names = _layer_names(learned, paths)
    operands = [_Operand(leaf=i, of=frozenset([i])) for i in range(len(leaves))]
    kept = len(jax.tree.leaves(params)) - len(leaves)  # a state follows what is learned
    operands += [_Operand()] * kept
    given = [value.shape for value in program.inputs[len(operands) :]]
    axes = max((len(shape) - 2 for shape in given), default=0)
    operands += [_Operand(of=None, fields=seen.of_input(shape, axes)) for shape in given]
    walk = _Walk(names, axes)
    work, _ = walk.through(program, operands)
    sizes: Counter[str] = Counter()
    for i, (name, leaf) in enumerate(zip(names, leaves)):
        whole = i in walk.whole or i not in walk.connected
        sizes[name] += leaf.size if whole else int(walk.connected[i].sum())
    order = [*walk.outputs, *(name for name in sizes if name not in walk.outputs)]
    order += [name for name in work if name not in order]
    rows = []
    for name in order:
        output = walk.outputs.get(name, _Output())
        rows.append(LayerCounts(name, output.shape, sizes[name], work[name], output.sees))
    return tuple(rows)


def parameters(params: Params) -> int:
    """Numbers in a tree of parameters, existing connections or not; without a state.

    Example:
      >>> from dlnotes import models
      >>> parameters(models.linear(4, 3).init(jax.random.key(0)))
      15
    """
    return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(learned_of(params)))


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
    program = program_of(function, *arguments)
    free = [_Operand(of=None, fields=_unseen(value)) for value in program.inputs]
    work, _ = _Walk().through(program, free)
    return sum(work.values())


def _layer_names(params: Params, paths: Sequence[Any]) -> list[str]:
    """The layer of each leaf: the branch of the tree that it hangs on."""
    flat = all(len(path) < 2 for path in paths)
    names = [jax.tree_util.keystr(path[:-1] if len(path) > 1 or flat else path) for path in paths]
    return [name.removeprefix(".") or type(params).__name__ for name in names]


class _Operand(NamedTuple):
    """What is known of a value.

    Attributes:
      pattern: where it can be other than 0.
      leaf: which parameter it is, if any.
      constant: whether the program holds it.
      of: the parameters that it is made of, ``None`` when it depends on the input too.
      fields: what its axes see of the input; see `dlnotes.analysis.receptive_fields`.
    """

    pattern: np.ndarray | None = None
    leaf: int | None = None
    constant: bool = False
    of: frozenset[int] | None = frozenset()
    fields: seen.Fields = ()


def _constant(value: Any) -> _Operand:
    """A constant that has zeros in it may be a pattern of connections."""
    if value is None or np.ndim(value) == 0:
        return _Operand()
    pattern = np.asarray(value) != 0
    return _Operand() if pattern.all() else _Operand(pattern, constant=True)


def _joint(operands: Sequence[_Operand]) -> frozenset[int] | None:
    """The parameters that a function of all of these is made of."""
    parts = [operand.of for operand in operands if operand.of is not None]
    return frozenset().union(*parts) if len(parts) == len(operands) else None


class _Output(NamedTuple):
    shape: tuple[int, ...] = ()
    sees: tuple[int, ...] | None = None
    product: bool = False


class _Walk:
    """Adds up the multiply-adds of a program, following patterns of zeros and parameters through it.

    Attributes:
      names: the layer of each parameter.
      axes: how many axes of the input are positions.
      connected: parameter → where a constant that it was multiplied by is not 0.
      whole: parameters that are used in another way.
      outputs: layer → its first product with what depends on the input, or else its first meeting
        with it.
    """

    def __init__(self, names: Sequence[str] = (), axes: int = 0) -> None:
        self.names, self.axes = names, axes
        self.connected: dict[int, np.ndarray] = {}
        self.whole: set[int] = set()
        self.outputs: dict[str, _Output] = {}
        self.times = 1

    def through(self, program: Program, arguments: Sequence[_Operand]) -> tuple[Counter[str], list[_Operand]]:
        """Multiply-adds of a program by layer, and what it gives when its inputs are the arguments."""
        known = {value: _constant(content) for value, content in program.constants}
        known |= dict(zip(program.inputs, arguments))

        def what(values: Sequence[Value]) -> list[_Operand]:
            return [_Operand() if v.variable is None else known[v] for v in values]

        total: Counter[str] = Counter()
        for equation in program.equations:
            work, results = self._equation(equation, what(equation.inputs))
            total += work
            known |= dict(zip(equation.outputs, results))
        results = what(program.outputs)
        self._used(results)  # a parameter that is an output is used as it is
        return total, [_Operand(of=r.of, fields=r.fields) for r in results]

    def _equation(self, equation: Equation, operands: list[_Operand]) -> tuple[Counter[str], list[_Operand]]:
        name, of = equation.name, _joint(operands)
        unknown = [_Operand(of=of, fields=_unseen(value)) for value in equation.outputs]
        if is_call(equation):  # what is known inside is what is known here
            return self.through(equation.programs[0], operands)
        if name == "scan":
            return self._repeated(scan_parts(equation), operands), unknown
        masked = self._masked(equation, operands) if name == "mul" else None
        if masked is None:
            self._used(operands)
        if name == "while":
            if any(_Walk().through(p, [_Operand()] * len(p.inputs))[0] for p in equation.programs):
                raise ValueError("the network repeats a matrix product until a condition holds: no number")
            return Counter(), unknown
        if name == "cond":
            choice = cond_parts(equation)
            bare = [_Operand(of=o.of, fields=o.fields) for o in operands[choice.choosing :]]
            branches = [self.through(program, bare) for program in choice.branches]
            work = max((work for work, _ in branches), key=lambda work: work.total())
            return work, [r._replace(of=of) for r in branches[0][1]]
        fields = seen.after(equation, [o.fields if o.of is None else None for o in operands])
        results = [(masked or _Operand())._replace(of=of, fields=fields), *unknown[1:]]
        work = Counter()
        if name in _PRODUCTS:
            shapes = [value.shape for value in equation.inputs]
            work[self._layer(operands)] += _PRODUCTS[name](equation, shapes, operands)
        if of is None or name in _PRODUCTS:
            self._met(equation, operands, fields, name in _PRODUCTS)
        return work, results

    def _repeated(self, scan: Scan, operands: list[_Operand]) -> Counter[str]:
        """A scan; what it carries depends on all that goes in."""
        n, m = scan.constants, scan.carried
        self._used(operands[n:])
        of = _joint(operands)
        carried = [_Operand(of=of, fields=_unseen(value)) for value in scan.body.inputs[n : n + m]]
        steps = [_Operand(of=o.of, fields=o.fields[1:]) for o in operands[n + m :]]
        before, self.times = self.times, self.times * scan.length
        work, _ = self.through(scan.body, [*operands[:n], *carried, *steps])
        self.times = before
        return Counter({name: scan.length * amount for name, amount in work.items()})

    def _layer(self, operands: Sequence[_Operand]) -> str:
        """The layers whose parameters are factors of a product."""
        return " + ".join(self._layers(operands))

    def _layers(self, operands: Sequence[_Operand]) -> list[str]:
        leaves = sorted(frozenset().union(*(o.of for o in operands if o.of is not None)))
        return list(dict.fromkeys(self.names[leaf] for leaf in leaves)) if self.names else []

    def _met(
        self, equation: Equation, operands: Sequence[_Operand], fields: seen.Fields, product: bool
    ) -> None:
        """Note what an equation makes of parameters and of what depends on the input."""
        shape = equation.outputs[0].shape
        sizes = seen.sizes_seen(fields)
        sees = sizes if sizes and len(sizes) == self.axes else None
        output = _Output((self.times, *shape) if self.times > 1 else shape, sees, product)
        for name in [self._layer(operands)] if product else self._layers(operands):
            if name not in self.outputs or product > self.outputs[name].product:
                self.outputs[name] = output

    def _masked(self, equation: Equation, operands: list[_Operand]) -> _Operand | None:
        """The product of a value and a constant with zeros of the same shape."""
        a, b = operands
        if not a.constant:
            a, b = b, a
        if not a.constant or a.pattern is None or a.pattern.shape != equation.outputs[0].shape:
            return None
        if b.leaf is not None:
            before = self.connected.get(b.leaf, np.zeros_like(a.pattern))
            self.connected[b.leaf] = before | a.pattern
        pattern = a.pattern if b.pattern is None else a.pattern & b.pattern
        return _Operand(pattern, constant=b.constant)

    def _used(self, operands: Any) -> None:
        self.whole |= {operand.leaf for operand in operands if operand.leaf is not None}


def _unseen(value: Value) -> seen.Fields:
    """Of a value whose axes see what no interval says."""
    return (None,) * len(value.shape)


def _dot_general(equation: Equation, shapes: list[tuple[int, ...]], operands: list[_Operand]) -> int:
    """Each entry of one factor meets each free index of the other; entries that are always 0 do not."""
    contracted, batch = product_axes(equation)
    free = [
        prod(n for i, n in enumerate(shape) if i not in (*c, *b))
        for shape, c, b in zip(shapes, contracted, batch)
    ]
    entries = [
        prod(shape) if operand.pattern is None else int(operand.pattern.sum())
        for shape, operand in zip(shapes, operands)
    ]
    return min(entries[0] * free[1], entries[1] * free[0])


def _convolution(equation: Equation, shapes: list[tuple[int, ...]], operands: list[_Operand]) -> int:
    """Each output is a sum over its kernel: taps times channels of its group."""
    kernel = shapes[1]
    out_channels = convolution_parts(equation).kernel_axes[0]
    return prod(equation.outputs[0].shape) * (prod(kernel) // max(1, kernel[out_channels]))


_PRODUCTS = {"dot_general": _dot_general, "conv_general_dilated": _convolution}
