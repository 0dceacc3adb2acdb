"""What each layer of a network gives: the representations of its inputs, read off its program."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from dlnotes.jax_internals import Equation, Run, carry_out, default_branch, every_equation, is_call
from dlnotes.models.model import Model, WithState
from dlnotes.typing import Array, Params

PRODUCTS = frozenset(["dot_general", "conv_general_dilated", "ragged_dot_general"])
"""Operations that add up products, as jax names them."""
LOOKUPS = frozenset(["gather", "dynamic_slice"])
"""Operations that take entries at places: of a table of parameters, an embedding."""
WRITES = frozenset(["scatter", "scatter-add", "dynamic_update_slice"])
LAYOUT = frozenset(
    ["broadcast_in_dim", "convert_element_type", "copy", "expand_dims", "optimization_barrier", "pad",
     "reshape", "squeeze", "transpose"]
)  # fmt: skip
"""Operations after which an array holds the same numbers, lying in another way."""
ORDERS = frozenset(["sort", "top_k"])


def activations(model: Model, params: Params, x: Any, *, mask: Any = None) -> OrderedDict[str, Array]:
    """The values that each layer of a network gives for a batch, by name, in the order of their use.

    Layers are found in the network's program, so that networks of every family have them, flax modules
    too: a layer is what stands together in the tree of parameters (a matrix and its bias) and is multiplied
    with what depends on the input, or looked up by it, as `dlnotes.analysis.by_layer` names it. Its values
    are those that the next layer takes: after the activation, pooling, skip connection and
    normalization that stand in between. Those of the last layer are the network's output. There is no
    randomness (dropout is off).

    A loop is one layer, or several joined by " + ", and gives what is used of it: of a recurrent
    classifier the last state, of a labeler that of each step. A layer that is used several times has
    values of each use, "name #2" the second time. Values that are not one row per example, because
    the network sorts the examples by their expert for instance, are left out.

    Args:
      model: of any family.
      params: of the model; under ``jax.vmap`` those of several members.
      x: a batch, as the model takes it.
      mask: as the model takes it.

    Returns:
      Name → ``(batch, ...)``; "input" comes first where the input is one array. Positions that a mask
      leaves out hold whatever the network computes there.

    Raises:
      ValueError: when the arrays of ``x`` do not begin with the same number of examples.

    Example:
      >>> from dlnotes import models
      >>> model = models.cnn((8, 8, 1), 3, channels=(4,), dense=(5,))
      >>> params = model.init(jax.random.key(0))
      >>> for name, value in models.activations(model, params, jnp.ones((2, 8, 8, 1))).items():
      ...     print(name, value.shape)
      input (2, 8, 8, 1)
      convolutions[0][0] (2, 4, 4, 4)
      dense[0] (2, 5)
      output (2, 3)

    Source: notes P14.5, «propiedades que hacen la clasificación o la regresión más fácil».
    """
    x = jnp.asarray(x) if isinstance(x, list) else x
    _examples(x)
    return _activations(model, params, x, mask)


@partial(jax.jit, static_argnums=0)
def _activations(model: Model, params: Params, x: Any, mask: Any) -> OrderedDict[str, Array]:
    names, found = _uses(model, params, x, mask)
    axes = _batch_axes(model, params, x, mask, names, found)
    result: OrderedDict[str, Array] = OrderedDict()
    if hasattr(x, "shape"):
        result["input"] = jnp.asarray(x)
    for name, values, where in list(zip(names, found, axes))[1:]:
        good = [(value, axis) for value, axis in zip(values, where) if axis is not None]
        if good:
            value, axis = good[-1]
            result[_unused(name, result)] = jnp.moveaxis(value, axis, 0)
    return result


def _examples(x: Any) -> int:
    """How many examples a batch has."""
    sizes = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(x)}
    if len(sizes) != 1 or sizes == {()}:
        shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(x)]
        raise ValueError(f"x: got arrays of shapes {shapes}, allowed is one number of examples in front")
    return sizes.pop()[0]


def _unused(name: str, taken: Any) -> str:
    names = (name if i == 1 else f"{name} #{i}" for i in range(1, len(taken) + 2))
    return next(each for each in names if each not in taken)


def _batch_axes(
    model: Model, params: Params, x: Any, mask: Any, names: list[str], found: list[list[Array]]
) -> list[list[int | None]]:
    """For each value the axis of its examples, found by what changes with one example more."""
    n = _examples(x)

    def longer(a: Any) -> Any:
        return jax.ShapeDtypeStruct((n + 1, *a.shape[1:]), a.dtype)

    given = jax.tree.map(longer, (x, mask))
    other: list[Any] = []

    def shapes(params: Params, x: Any, mask: Any) -> Any:
        names, found = _uses(model, params, x, mask)
        other.append(names)
        return found

    bigger = jax.eval_shape(shapes, params, *given)
    if [len(v) for v in bigger] != [len(v) for v in found] or other[0] != names:
        # Another program for another number of examples: only the output is known.
        return [*[[None] * len(v) for v in found[:-1]], [*[None] * (len(found[-1]) - 1), 0]]
    axes = [[_axis(a.shape, b.shape, n) for a, b in zip(*pair)] for pair in zip(found, bigger)]
    return axes


def _axis(shape: Sequence[int], longer: Sequence[int], n: int) -> int | None:
    changed = [i for i, (a, b) in enumerate(zip(shape, longer)) if a != b]
    good = len(shape) == len(longer) and len(changed) == 1
    return changed[0] if good and (shape[changed[0]], longer[changed[0]]) == (n, n + 1) else None


def _uses(model: Model, params: Params, x: Any, mask: Any) -> tuple[list[str], list[list[Array]]]:
    """The layers in the order of their use, the input first, and values of each, the best last."""
    meets = _Walk(model, params, x, mask, frozenset())
    walk = _Walk(model, params, x, mask, frozenset().union(*meets.layers))
    names = [" + ".join(_branches(sorted(layers, key=walk.order.index))) for layers in walk.layers[1:]]
    return ["input", *names], walk.values


def _branches(names: list[str]) -> list[str]:
    """Without those that hang on another of them, such as the norms of a cell."""
    return [a for a in names if not any(a.startswith((f"{b}.", f"{b}[")) for b in names)]


@dataclass(frozen=True)
class _Value:
    """A value of the program and what is known of it.

    Attributes:
      value: an array.
      layers: those whose parameters it is made of, where it does not depend on the input.
      use: number of the use of a layer that it comes from; ``None`` where it does not depend on the input.
      place: among the values of that use, the last from which it differs by its layout only.
      orders: whether it is made of places in a sorted order.
      moved: whether rows in it may stand in another order.
    """

    value: Any
    layers: frozenset[str] = frozenset()
    use: int | None = None
    place: int = -1
    orders: bool = False
    moved: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return jnp.shape(self.value)

    @property
    def dtype(self) -> Any:
        return jax.dtypes.canonicalize_dtype(self.value.dtype)


class _Walk:
    """One passage through the program of a network, noting the uses of layers.

    Args:
      model, params, x, mask: of the passage.
      multiplied: layers that have a product: where one of these first meets what depends on the input,
        it is used, even before its product.

    Attributes:
      order: names of all layers.
      layers: of each use the layers; of the input none.
      values: of each use what it gives, up to what the next layer takes.
      taken: of each use whether that is known.
    """

    def __init__(self, model: Model, params: Params, x: Any, mask: Any, multiplied: frozenset[str]):
        self.multiplied = multiplied
        self.layers: list[frozenset[str]] = [frozenset()]
        self.values: list[list[Array]] = [[]]
        self.taken = [False]
        learned, state = params if isinstance(params, WithState) else (params, ())
        paths, leaves = zip(*jax.tree_util.tree_flatten_with_path(learned)[0])
        names = _layer_names(learned, paths)
        self.order = list(dict.fromkeys(names))
        wrapped = [_Value(a, frozenset([name])) for a, name in zip(leaves, names)]
        wrapped_params: Any = jax.tree.unflatten(jax.tree.structure(learned), wrapped)
        if isinstance(params, WithState):
            wrapped_params = WithState(wrapped_params, jax.tree.map(_Value, state))
        moving = jax.tree.map(lambda a: _Value(jnp.asarray(a), use=0), (x, mask))

        def function(params: Params, x: Any, mask: Any) -> Any:
            return model.apply(params, x, mask=mask)

        found = carry_out(function, (wrapped_params, *moving), self._each)
        last = jax.tree.leaves(found)
        if len(last) == 1 and isinstance(last[0], _Value) and last[0].use is not None:
            # The output is one row per example by the model's contract, in the order of the input.
            self.values[last[0].use].append(last[0].value)

    def _each(self, equation: Equation, inputs: list[Any], run: Run) -> list[Any]:
        if equation.name == "platform_index":
            return [_Value(None)]
        branch = default_branch(equation)
        if branch is not None:
            return run.inside(branch, inputs[1:])
        operands = [v if isinstance(v, _Value) else _Value(v) for v in inputs]
        of_input = [v for v in operands if v.use is not None]
        of_layers = frozenset().union(*(v.layers for v in operands if v.use is None))
        inside = [e.name for program in equation.programs for e in every_equation(program)]
        if of_input and of_layers and is_call(equation) and not PRODUCTS.isdisjoint(inside):
            return run.inside(0, inputs)
        if not of_input:
            return [_Value(value, of_layers) for value in run(*(v.value for v in operands))]
        use = max(v.use for v in of_input if v.use is not None)
        if of_layers and self._is_use(equation, inside, operands, of_layers):
            use = self._used(of_layers, of_input, use)
        results = run(*(v.value for v in operands))
        orders = any(v.orders for v in operands) or equation.name in ORDERS
        places = equation.name in LOOKUPS or equation.name in WRITES
        moved = any(v.moved for v in operands) or (places and any(v.orders for v in operands[1:]))
        return [self._result(equation, value, of_input, use, orders, moved) for value in results]

    def _is_use(
        self, equation: Equation, inside: list[str], operands: list[_Value], layers: frozenset[str]
    ) -> bool:
        """Whether an operation of what depends on the input and of parameters is (part of) a layer."""
        if equation.name in PRODUCTS:
            return True
        if equation.name in LOOKUPS:
            return operands[0].use is None and bool(operands[0].layers)
        if not (PRODUCTS | LOOKUPS).isdisjoint(inside):
            return True
        return bool(layers & self.multiplied) and not any(layers & before for before in self.layers)

    def _used(self, layers: frozenset[str], operands: list[_Value], use: int) -> int:
        """The number of a use of layers, and what they take is what the layers before them give."""
        if self.layers[use] <= layers and use > 0:
            self.layers[use] = layers
            return use
        if layers <= self.layers[use]:
            return use
        for operand in operands:
            of = operand.use
            if of is not None and not self.taken[of] and jnp.issubdtype(operand.dtype, jnp.floating):
                self.taken[of] = True
                del self.values[of][operand.place + 1 :]
        self.layers.append(layers)
        self.values.append([])
        self.taken.append(False)
        return len(self.layers) - 1

    def _result(
        self, equation: Equation, value: Any, operands: list[_Value], use: int, orders: bool, moved: bool
    ) -> _Value:
        if equation.name in LAYOUT:
            source = next(v for v in operands if v.use == use)
            return _Value(value, frozenset(), use, source.place, orders, moved)
        real = jnp.issubdtype(value.dtype, jnp.floating) and value.ndim > 0 and not moved
        if real and not self.taken[use]:
            self.values[use].append(value)
        return _Value(value, frozenset(), use, len(self.values[use]) - 1, orders, moved)


def _layer_names(params: Params, paths: Sequence[Any]) -> list[str]:
    """The layer of each leaf, the branch of the tree that it hangs on, as the table of layers has it."""
    flat = all(len(path) < 2 for path in paths)
    names = [jax.tree_util.keystr(path[:-1] if len(path) > 1 or flat else path) for path in paths]
    return [name.removeprefix(".") or type(params).__name__ for name in names]
