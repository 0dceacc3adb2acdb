"""Networks that need not be a chain: any directed acyclic graph of named nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.checks import INPUT, chosen, output_of, positive, shares
from dlnotes.layers import random
from dlnotes.layers.activations import activation as activation_named
from dlnotes.layers.feedforward.dense import Dense, dense, init_dense
from dlnotes.layers.initializers import initializer as initializer_named
from dlnotes.models.feedforward.mlp import count_inputs, flatten, keys_or_none
from dlnotes.models.model import Model
from dlnotes.typing import Array, PRNGKey


class Layer(NamedTuple):
    """A node with parameters, ``h = g([of₁, of₂, …] W + b)``: its parents side by side, then affine.

    Attributes:
      name: its own.
      of: names of its parents; "x" is the input.
      width: number of units; ``None`` takes the number of outputs of the network.
      activation: of g, a name in ``layers.ACTIVATIONS``.
    """

    name: str
    of: Sequence[str] = (INPUT,)
    width: int | None = None
    activation: str = "identity"


class Function(NamedTuple):
    """A node without parameters, ``h = f(of₁, of₂, …)``.

    Attributes:
      name: its own.
      of: names of its parents; "x" is the input.
      f: a name in `FUNCTIONS`, or any pure function of arrays ``(batch, ...)`` to one.
    """

    name: str
    of: Sequence[str]
    f: str | Callable[..., Array]


class Graph(NamedTuple):
    """Parameters of a graph of nodes: ``h_i = f_i(parents of i; θ_i)`` in order, the output is one h_i.

    Attributes:
      layers: name of each `Layer` → its `Dense`, ``W`` (sum of its parents' widths, width).
    """

    layers: dict[str, Dense]


def total(*values: Array) -> Array:
    """``v₁ + v₂ + …``, all of one shape."""
    return sum(_alike(values)[1:], values[0])


def product(*values: Array) -> Array:
    """``v₁ ⊙ v₂ ⊙ …``, all of one shape."""
    result, *others = _alike(values)
    for value in others:
        result = result * value
    return result


def concatenate(*values: Array) -> Array:
    """The values side by side, on the last axis."""
    return jnp.concatenate(values, axis=-1)


def _alike(values: tuple[Array, ...]) -> tuple[Array, ...]:
    shapes = [v.shape[1:] for v in values]
    if len(set(shapes)) > 1:
        raise ValueError(f"got values of shapes {', '.join(map(str, shapes))}, allowed are equal ones")
    return values


FUNCTIONS: dict[str, Callable[..., Array]] = {"sum": total, "product": product, "concatenate": concatenate}
"""Functions of several values, by name."""


def graph(
    inputs: int | Sequence[int],
    nodes: Sequence[Layer | Function],
    outputs: int | None = None,
    *,
    output: str | None = None,
    dropout: float | Array = 0.0,
    initializer: str = "he_normal",
    init_scale: float | Array = 1.0,
    init_bias: float = 0.0,
) -> Model:
    """A network as a directed acyclic graph of named nodes; parameters: `Graph`.

    Args:
      inputs: size of an example, or its shape, which is flattened; nodes call it "x".
      nodes: `Layer` and `Function`, each of "x" and of nodes that stand before it.
      outputs: number of outputs (logits), the width of layers that give none.
      output: name of the node whose value is the output; ``None`` is the one that no other takes.
      dropout: share of every layer's units dropped when a key is given, but the output's; may be traced.
      initializer: a name in ``layers.INITIALIZERS``.
      init_scale: multiplier of every initial weight; may be a traced scalar.
      init_bias: where the biases start of every layer but the output.

    A chain of layers draws the same weights and drops the same units as `mlp` does with the same key.

    Raises:
      ValueError: on a name that is unknown, taken twice or that of a later node, on several ends or
        nodes that lead nowhere, and on values whose shapes do not fit together.

    Example:
      >>> from dlnotes.models.feedforward.graph import Function, Layer
      >>> model = graph(2, [
      ...     Layer("left", ["x"], 4, "tanh"),
      ...     Layer("right", ["x"], 4, "sigmoid"),
      ...     Function("gated", ["left", "right"], "product"),
      ...     Layer("y", ["gated", "x"], 1),
      ... ])
      >>> params = model.init(jax.random.key(0))
      >>> params.layers["y"].W.shape, model.apply(params, jnp.zeros((3, 2))).shape
      ((6, 1), (3, 1))

    Source: notes F1.1.
    """
    features = count_inputs(inputs)
    end = output_of([(node.name, node.of) for node in nodes], output)
    shares(dropout=dropout)
    initializer_named(initializer)
    layers = {node.name: node for node in nodes if isinstance(node, Layer)}
    widths = {name: _width(node, outputs) for name, node in layers.items()}
    functions = {node.name: _function(node) for node in nodes}
    sizes = _sizes(nodes, widths, functions, features)

    def init(key: PRNGKey, /) -> Graph:
        keys = random.split(key, len(layers))
        return Graph(
            {
                name: init_dense(
                    k,
                    sizes[name],
                    widths[name],
                    initializer=initializer,
                    init_scale=init_scale,
                    bias=0.0 if name == end else init_bias,
                )
                for k, name in zip(keys, layers)
            }
        )

    def apply(params: Graph, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        keys = dict(zip(layers, keys_or_none(key, len(layers) + 1)[1:]))
        values = {INPUT: flatten(x, features)}
        for node in nodes:
            parents, f = [values[name] for name in node.of], functions[node.name]
            if isinstance(node, Layer):
                h = f(dense(params.layers[node.name], concatenate(*parents)))
                h = h if node.name == end else random.dropout(keys[node.name], h, dropout)
            else:
                h = f(*parents)
            values[node.name] = h
        return values[end]

    return Model(init, apply)


def _width(node: Layer, outputs: int | None) -> int:
    width = outputs if node.width is None else node.width
    if width is None:
        raise ValueError(f"width: {node.name!r} has none and outputs is not given, one of them is needed")
    positive(**{"outputs" if node.width is None else f"width of {node.name!r}": width})
    return width


def _function(node: Layer | Function) -> Callable[..., Array]:
    if isinstance(node, Layer):
        return activation_named(node.activation)
    return node.f if callable(node.f) else chosen(f"f of {node.name!r}", node.f, FUNCTIONS)


def _sizes(
    nodes: Sequence[Layer | Function],
    widths: dict[str, int],
    functions: dict[str, Callable[..., Array]],
    features: int,
) -> dict[str, int]:
    """How many numbers each layer takes, found by following shapes; nothing is computed."""
    values = {INPUT: jax.ShapeDtypeStruct((2, features), jnp.float32)}
    sizes = {}
    for node in nodes:
        parents = [values[name] for name in node.of]
        try:
            if isinstance(node, Layer):
                sizes[node.name] = jax.eval_shape(concatenate, *parents).shape[-1]
                values[node.name] = jax.ShapeDtypeStruct((2, widths[node.name]), jnp.float32)
            else:
                values[node.name] = jax.eval_shape(functions[node.name], *parents)
        except (TypeError, ValueError) as error:
            shapes = ", ".join(f"{name} {tuple(values[name].shape[1:])}" for name in node.of)
            raise ValueError(f"nodes: {node.name!r} cannot take {shapes} (per example): {error}") from None
    return sizes
