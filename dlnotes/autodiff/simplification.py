"""A smaller graph with the same values: common subexpressions once, constants worked out beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.autodiff.computational_graph import Graph, Node, forward
from dlnotes.autodiff.graph_rules import ONES_LIKE, SIZE, SPREAD, SUM_TO, ZEROS_LIKE
from dlnotes.autodiff.operations import OPERATIONS, Operation
from dlnotes.checks import did_you_mean
from dlnotes.typing import Array

PRODUCTS = ("multiply", "divide", "square", "matmul", "matmul_by_left", "matmul_by_right")
"""Operations that multiply or divide the elements of what they take."""

COMMUTATIVE = (OPERATIONS["add"], OPERATIONS["multiply"])


class Simplified(NamedTuple):
    """A graph and where the wanted values stand in it.

    Attributes:
      graph: what is left, of the inputs that are not known.
      names: name of a wanted node before → its name now. Two may be one node now, and a node whose value
        is an input's has that input's name.
    """

    graph: Graph
    names: dict[str, str]


def simplify(
    graph: Graph,
    outputs: Iterable[str],
    *,
    known: Mapping[str, Array | float] | None = None,
    shapes: Mapping[str, Array | float | jax.ShapeDtypeStruct] | None = None,
) -> Simplified:
    """The graph without what is computed twice, known beforehand, without effect or not used.

    In topological order each node is replaced: by a constant, when all that it takes is constant; by what
    it takes, when it multiplies by 1, divides by 1, adds or subtracts 0, is the identity or negates twice;
    by an earlier node that applies the same operation to the same nodes (sums and products of two take
    them in any order). Nodes that lead to no output are dropped. No sum is reordered, so that values stay
    the same to the last bit where operations run one by one; only −0 can become 0.

    Args:
      graph: what is simplified, such as the graph of `backward_graph`.
      outputs: names of the nodes whose values are wanted.
      known: values of inputs that are the same in every use; they become constants.
      shapes: an array, or a ``jax.ShapeDtypeStruct``, for each other input. With it constants that depend
        on shapes only are worked out too, such as the 1 with which a backward pass starts.

    Raises:
      ValueError: naming the node or input, when it is unknown, or what `forward` says of inputs that do
        not fit.

    Source: notes F5.7.

    Example:
      >>> from dlnotes.autodiff import graph
      >>> rule = {"a": ("multiply", "x", "y"), "b": ("multiply", "y", "x"), "c": ("multiply", "a", "b")}
      >>> smaller = simplify(graph(["x", "y"], rule), ["c"])  # a and b are the same
      >>> product_count(graph(["x", "y"], rule)), product_count(smaller.graph)
      (3, 2)
    """
    order = [*graph.inputs, *(node.name for node in graph.nodes)]
    outputs, known = list(outputs), dict(known or {})
    for name in outputs:
        if name not in order:
            raise ValueError(f"node {name!r}: unknown{did_you_mean(name, order)}")
    for name in (*known, *(shapes or {})):
        if name not in graph.inputs:
            raise ValueError(f"inputs: got {name!r}{did_you_mean(name, graph.inputs)}")
    work = _Work({name: jnp.asarray(value) for name, value in known.items()}, _shapes(graph, known, shapes))
    for node in graph.nodes:
        work.visit(node)
    names = {name: work.now(name) for name in outputs}
    return Simplified(
        work.graph(tuple(n for n in graph.inputs if n not in known), set(names.values())), names
    )


def product_count(graph: Graph) -> int:
    """How many nodes multiply or divide: products of elements and of matrices, quotients, squares.

    Source: notes F5.7.
    """
    return sum(node.operation.name in PRODUCTS for node in graph.nodes)


def _shapes(
    graph: Graph,
    known: Mapping[str, Array | float],
    shapes: Mapping[str, Array | float | jax.ShapeDtypeStruct] | None,
) -> dict[str, jax.ShapeDtypeStruct]:
    """Shape and dtype of every node's value, none when ``shapes`` is ``None``."""
    if shapes is None:
        return {}
    inputs = {name: jnp.asarray(value) for name, value in known.items()}
    inputs |= {n: s if isinstance(s, jax.ShapeDtypeStruct) else jnp.asarray(s) for n, s in shapes.items()}
    return jax.eval_shape(lambda values: forward(graph, values), inputs)


class _Work:
    """What has been found of the nodes so far."""

    def __init__(self, known: dict[str, Array], shapes: dict[str, jax.ShapeDtypeStruct]) -> None:
        self.shapes = shapes
        self.constants: dict[str, Array] = {}
        self.replaced: dict[str, str] = {}
        self.nodes: dict[str, Node] = {}
        self.seen: dict[object, str] = {}
        for name, value in known.items():
            self.constant(name, value)

    def now(self, name: str) -> str:
        return self.replaced.get(name, name)

    def constant(self, name: str, value: Array) -> None:
        # A number without a dtype of its own takes that of what it meets, so it is another constant.
        key = (value.shape, str(value.dtype), value.weak_type, np.asarray(value).tobytes())
        if key in self.seen:
            self.replaced[name] = self.seen[key]
            return
        self.seen[key], self.constants[name] = name, value
        self.nodes[name] = Node(name, Operation("constant", lambda: value, ()), ())

    def visit(self, node: Node) -> None:
        parents = tuple(self.now(parent) for parent in node.parents)
        if all(parent in self.constants for parent in parents):
            values = [self.constants[parent] for parent in parents]
            return self.constant(node.name, jnp.asarray(node.operation.value(*values)))
        by_shape = self.from_shape(node)
        if by_shape is not None:
            return self.constant(node.name, by_shape)
        same = self.without_effect(node, parents)
        if same is not None:
            self.replaced[node.name] = same
            return None
        key = (node.operation, tuple(sorted(parents)) if node.operation in COMMUTATIVE else parents)
        if key in self.seen:
            self.replaced[node.name] = self.seen[key]
        else:
            self.seen[key] = node.name
            self.nodes[node.name] = node._replace(parents=parents)
        return None

    def from_shape(self, node: Node) -> Array | None:
        """The value of a node that depends on its parent's shape only, where that is known."""
        if node.operation not in (ONES_LIKE, ZEROS_LIKE, SIZE) or not self.shapes:
            return None
        like = self.shapes[node.parents[0]]
        if node.operation == SIZE:
            return jnp.asarray(np.prod(like.shape, dtype=int), like.dtype)
        fill = jnp.ones if node.operation == ONES_LIKE else jnp.zeros
        return fill(like.shape, like.dtype)

    def without_effect(self, node: Node, parents: tuple[str, ...]) -> str | None:
        """The node that has the same value, where one of those taken has."""
        f = node.operation.name if OPERATIONS.get(node.operation.name) == node.operation else ""
        if f == "identity":
            return parents[0]
        if f == "negative":
            before = self.nodes.get(parents[0])
            return before.parents[0] if before and before.operation == node.operation else None
        if node.operation in (SUM_TO, SPREAD):
            return parents[0] if self.of_shape(node.parents[0], node.parents[1]) else None
        neutral = {"multiply": 1, "divide": 1, "add": 0, "subtract": 0}.get(f)
        if neutral is None:
            return None
        for i in (1, 0) if node.operation in COMMUTATIVE else (1,):
            value = self.constants.get(parents[i])
            if value is None or not bool(jnp.all(value == neutral)):
                continue
            # A number without a shape leaves the other's shape; of others it must be known.
            if (value.shape == () and value.weak_type) or self.of_shape(node.name, node.parents[1 - i]):
                return parents[1 - i]
        return None

    def of_shape(self, a: str, b: str) -> bool:
        """Whether two nodes of the first graph are known to have one shape and dtype."""
        if not self.shapes:
            return False
        x, y = self.shapes[a], self.shapes[b]
        return x.shape == y.shape and x.dtype == y.dtype

    def graph(self, inputs: tuple[str, ...], outputs: set[str]) -> Graph:
        """The nodes that lead to the outputs."""
        kept = set(outputs)
        for node in reversed(list(self.nodes.values())):
            if node.name in kept:
                kept.update(node.parents)
        return Graph(inputs, tuple(node for node in self.nodes.values() if node.name in kept))
