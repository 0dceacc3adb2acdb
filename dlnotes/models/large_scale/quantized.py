"""Whole networks in whole numbers, for inference: every product with a matrix of parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.jax_internals import (
    Equation,
    Run,
    carry_out,
    convolution_parts,
    default_branch,
    every_equation,
    is_call,
    is_traced,
    product_axes,
)
from dlnotes.layers.large_scale.quantized import (
    InputScale,
    QuantizedConvolution,
    QuantizedDense,
    calibrated,
    most,
    quantize_weights,
    quantized_conv,
    quantized_dense,
)
from dlnotes.models.model import Model
from dlnotes.typing import Array, Params, PRNGKey

PRODUCTS = ("dot_general", "conv_general_dilated")
"""Operations that add up products, as jax names them."""

QuantizedLayer = QuantizedDense | QuantizedConvolution


class QuantizedNetwork(NamedTuple):
    """Parameters of a network in whole numbers.

    Attributes:
      layers: for each product of an activation with parameters, in the order of the network.
      rest: the leaves of the parameters that it was made of, ``None`` for one that only went into layers:
        what is left are biases, normalizations and the like, as they were.
    """

    layers: tuple[QuantizedLayer, ...]
    rest: tuple[Array | None, ...]


class Quantized(NamedTuple):
    """A network in whole numbers.

    Attributes:
      model: for inference alone: it takes no key.
      params: `QuantizedNetwork`.
    """

    model: Model
    params: QuantizedNetwork


def quantized(
    model: Model,
    params: Params,
    x: Any,
    *,
    mask: Any = None,
    bits: int = 8,
    per_output: bool = True,
    static: bool = True,
    share: float = 0.999,
    inputs: Sequence[InputScale] | None = None,
) -> Quantized:
    """A trained network whose products with parameters are in whole numbers; the rest is in float32.

    What the network does is read off its program: in each product ``h W`` or convolution ``h ∗ K`` of an
    activation with what depends on parameters alone, both factors are whole numbers (see `QuantizedDense`).
    So it serves any network without loops: linear ones, perceptrons, convolutional ones, flax modules.
    Products of two activations, and convolutions in groups, stay as they are.

    Args:
      model: of any family without loops.
      params: of the model, trained.
      x: a batch of inputs for the calibration, some hundred training examples; without ``static`` only its
        shape matters.
      mask: as the model takes it.
      bits: 2 to 8, of the weights; activations always have 8.
      per_output: one scale of the weights for each output of a layer, or one for all.
      static: scales of activations that are found once, from ``x``; else for each example as it comes,
        which costs time and needs no examples.
      share: of the values in ``x`` that are not cut off, see `dlnotes.layers.calibrated`.
      inputs: scales of the activations that are known, of each layer in turn, as from the ``layers`` of an
        earlier result; then of ``x`` only the shape matters.

    Returns:
      `Quantized`, the model and its parameters. ``jax.vmap`` over stacked parameters works.

    Raises:
      ValueError: when a parameter is not finite, an option is not allowed, there is no product with
        parameters, or one stands inside a loop.

    Example:
      >>> from dlnotes import models
      >>> model = models.mlp(4, (8,), 3)
      >>> params, x = model.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (20, 4))
      >>> small, whole = models.quantized(model, params, x)
      >>> [layer.q.dtype.name for layer in whole.layers]
      ['int8', 'int8']
      >>> bool(jnp.allclose(small.apply(whole, x), model.apply(params, x), atol=0.3))
      True

    Source: notes L13.1; Vanhoucke, Senior and Mao, 2011; Jacob et al., 2018.
    """
    most(bits)
    _check_finite(params)
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), params)

    def make(params: Params, x: Any, mask: Any) -> QuantizedNetwork:
        make_layer = _Maker(bits, per_output, share if static else None, inputs)
        walk = _Walk(jax.tree.leaves(params), make_layer)
        walk.through(model, shapes, x, mask)
        if not make_layer.layers:
            raise ValueError("model: has no product of an input with parameters, nothing is quantized")
        kept = [leaf if i in walk.used else None for i, leaf in enumerate(jax.tree.leaves(params))]
        return QuantizedNetwork(tuple(make_layer.layers), tuple(kept))

    def init(key: PRNGKey, /) -> QuantizedNetwork:
        return make(model.init(key), x, mask)

    def apply(params: QuantizedNetwork, x: Any, /, *, key: PRNGKey | None = None, mask: Any = None) -> Array:
        if key is not None:
            raise ValueError("key: got one, a network in whole numbers is for inference and takes none")
        return _Walk(params.rest, _Taker(params.layers)).through(model, shapes, x, mask)

    return Quantized(Model(init, apply), jax.jit(make)(params, x, mask))


def parameter_bytes(params: Params) -> int:
    """Bytes of all parameters of a network.

    Example:
      >>> parameter_bytes({"W": np.zeros((3, 4), np.float32), "q": np.zeros((3, 4), np.int8)})
      60
    """
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))


def _check_finite(params: Params) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if is_traced(leaf) or not jnp.issubdtype(leaf.dtype, jnp.floating):
            continue
        if not bool(jnp.isfinite(leaf).all()):
            name = jax.tree_util.keystr(path)
            raise ValueError(f"params: {name} holds a number that is not finite, allowed are finite ones")


@dataclass(frozen=True)
class _Folded:
    """What depends on parameters alone, not computed before it is asked for.

    Attributes:
      shape, dtype: of a leaf of the parameters.
      roots: which leaves it depends on.
      make: computes it.
    """

    shape: tuple[int, ...]
    dtype: Any
    roots: frozenset[int]
    make: Callable[[], Any]


@dataclass(frozen=True)
class _Moving:
    """What depends on the input, with its value."""

    value: Any

    @property
    def shape(self) -> tuple[Any, ...]:
        return self.value.shape

    @property
    def dtype(self) -> Any:
        return self.value.dtype


class _Walk:
    """One passage through the program of a network, in which products with parameters are layers.

    Args:
      leaves: of the parameters; one that no operation but the layers needs may be ``None``.
      layer: ``layer(how, weights, x, plain) -> z``, what stands for a product: see `_Maker` and `_Taker`.
    """

    def __init__(self, leaves: Sequence[Any], layer: _Maker | _Taker):
        self.leaves, self.layer = leaves, layer
        self.used: set[int] = set()
        """Leaves that are needed apart from the layers."""

    def through(self, model: Model, shapes: Params, x: Any, mask: Any) -> Any:
        """The network's output."""
        x = jnp.asarray(x) if isinstance(x, list) else x
        places, structure = jax.tree.flatten(shapes)
        folded = [_Folded(a.shape, a.dtype, frozenset([i]), self._leaf(i)) for i, a in enumerate(places)]
        moving = jax.tree.map(lambda a: _Moving(jnp.asarray(a)), (x, mask))

        def function(params: Params, x: Any, mask: Any) -> Any:
            return model.apply(params, x, mask=mask)

        found = carry_out(function, (structure.unflatten(folded), *moving), self._each)
        return jax.tree.map(self._force, found)

    def _leaf(self, i: int) -> Callable[[], Any]:
        def leaf() -> Any:
            if self.leaves[i] is None:
                raise ValueError(
                    "x: for inputs of this shape the network is another program than for those of the "
                    "calibration; quantize it with inputs of this shape"
                )
            return self.leaves[i]

        return leaf

    def _force(self, value: Any) -> Any:
        """An array; leaves of the parameters that it depends on are needed."""
        if isinstance(value, _Folded):
            self.used |= value.roots
            return value.make()
        return value.value if isinstance(value, _Moving) else value

    def _each(self, equation: Equation, inputs: list[Any], run: Run) -> list[Any]:
        moves = any(isinstance(v, _Moving) for v in inputs)
        if not moves:
            return self._fold(inputs, run, len(equation.outputs))
        if equation.name in PRODUCTS and (found := self._product(equation, inputs, run)) is not None:
            return [_Moving(found)]
        if any(e.name in PRODUCTS for program in equation.programs for e in every_equation(program)):
            branch = default_branch(equation)
            if branch is not None:
                return run.inside(branch, inputs[1:])
            if not is_call(equation):
                raise ValueError(
                    f"model: has products inside a loop or a branch ({equation.name}), allowed are networks "
                    "without, such as linear ones, perceptrons and convolutional ones"
                )
            return run.inside(0, inputs)
        return [_Moving(v) for v in run(*map(self._force, inputs))]

    def _fold(self, inputs: list[Any], run: Run, outputs: int) -> list[Any]:
        roots = frozenset().union(*(v.roots for v in inputs if isinstance(v, _Folded)))
        if not roots:
            return run(*inputs)

        @cache
        def results() -> list[Any]:
            return run(*(v.make() if isinstance(v, _Folded) else v for v in inputs))

        return [_Folded((), None, roots, lambda i=i: results()[i]) for i in range(outputs)]

    def _product(self, equation: Equation, inputs: list[Any], run: Run) -> Array | None:
        """The product in whole numbers; ``None`` where it stays as it is."""
        kinds = [type(v) for v in inputs]
        if kinds not in ([_Moving, _Folded], [_Folded, _Moving]):
            return None
        moving = kinds.index(_Moving)
        x, weights = inputs[moving].value, inputs[1 - moving].make
        if not jnp.issubdtype(x.dtype, jnp.floating):
            return None
        how: _Dense | _Convolution | None = None
        if equation.name == "dot_general":
            how = _dense(equation, moving)
        elif moving == 0:
            how = _convolution(equation)
        if how is None:
            return None

        def plain() -> Array:
            both = (x, weights()) if moving == 0 else (weights(), x)
            return run(*both)[0]

        return self.layer(how, weights, x, plain).astype(x.dtype)


class _Maker:
    """Makes a layer of each product, and goes on with the product as it is."""

    def __init__(self, bits: int, per_output: bool, share: float | None, known: Sequence[InputScale] | None):
        self.bits, self.per_output, self.share, self.known = bits, per_output, share, known
        self.layers: list[QuantizedLayer] = []

    def __call__(
        self, how: _Dense | _Convolution, weights: Callable[[], Array], x: Array, plain: Callable[[], Array]
    ) -> Array:
        q, scale, sums = quantize_weights(how.weights(weights()), self.bits, self.per_output)
        inputs: InputScale | None = None
        if self.known is not None:
            if len(self.layers) == len(self.known):
                raise ValueError(f"inputs: got {len(self.known)} scales, the network has more layers")
            inputs = self.known[len(self.layers)]
        elif self.share is not None:
            inputs = calibrated(x, share=self.share)
        kind = QuantizedDense if isinstance(how, _Dense) else QuantizedConvolution
        self.layers.append(kind(q, scale, None, sums, inputs))
        return plain()


class _Taker:
    """Takes a layer for each product, in their order."""

    def __init__(self, layers: Sequence[QuantizedLayer]):
        self.layers = iter(layers)

    def __call__(
        self, how: _Dense | _Convolution, weights: Callable[[], Array], x: Array, plain: Callable[[], Array]
    ) -> Array:
        return how.product(next(self.layers), x)


class _Dense(NamedTuple):
    """A product of x with a matrix: which axes of each are added up, and whether x is the right factor."""

    x_axes: tuple[int, ...]
    w_axes: tuple[int, ...]
    turned: bool

    def weights(self, W: Array) -> Array:
        """``(inputs, outputs)``."""
        free = [i for i in range(W.ndim) if i not in self.w_axes]
        inputs = prod(W.shape[i] for i in self.w_axes)
        return jnp.transpose(W, (*self.w_axes, *free)).reshape(inputs, -1)

    def product(self, layer: Any, x: Array) -> Array:
        free = [i for i in range(x.ndim) if i not in self.x_axes]
        rows = tuple(x.shape[i] for i in free)
        flat = jnp.transpose(x, (*free, *self.x_axes)).reshape(*rows, layer.q.shape[0])
        z = quantized_dense(layer, flat)
        return jnp.moveaxis(z, -1, 0) if self.turned else z


def _dense(equation: Equation, moving: int) -> _Dense | None:
    """How a "dot_general" is a product with one matrix, of one axis of outputs; else ``None``."""
    axes = product_axes(equation)
    w_rank = len(equation.inputs[1 - moving].shape)
    w_axes = axes.contracted[1 - moving]
    if axes.batch[0] or w_rank - len(w_axes) != 1:
        return None
    return _Dense(axes.contracted[moving], w_axes, moving == 1)


class _Convolution(NamedTuple):
    """A convolution: how the axes lie, and how the kernel is moved."""

    x_axes: tuple[int, ...]
    w_axes: tuple[int, ...]
    z_axes: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]

    def weights(self, K: Array) -> Array:
        """``(*window, in, out)``."""
        return jnp.transpose(K, self.w_axes)

    def product(self, layer: Any, x: Array) -> Array:
        z = quantized_conv(
            layer,
            jnp.transpose(x, self.x_axes),
            padding=self.padding,
            stride=self.strides,
            dilation=self.dilations,
        )
        return jnp.transpose(z, self.z_axes)


def _convolution(equation: Equation) -> _Convolution | None:
    """How a "conv_general_dilated" moves one kernel over all channels; else ``None``."""
    parts, options = convolution_parts(equation), equation.options
    if options["feature_group_count"] != 1 or options["batch_group_count"] != 1:
        return None
    if set(parts.input_dilation) - {1} or any(p < 0 for pair in parts.padding for p in pair):
        return None
    n = len(parts.output_axes)
    z_axes = [0] * n
    for axis, place in zip((0, n - 1, *range(1, n - 1)), parts.output_axes):
        z_axes[place] = axis
    return _Convolution(
        (parts.input_axes[0], *parts.input_axes[2:], parts.input_axes[1]),
        (*parts.kernel_axes[2:], parts.kernel_axes[1], parts.kernel_axes[0]),
        tuple(z_axes),
        parts.padding,
        parts.strides,
        parts.kernel_dilation,
    )
