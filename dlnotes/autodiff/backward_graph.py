"""The backward pass as a graph: nodes like those of the forward pass, that can be differentiated again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.autodiff.computational_graph import (
    Graph,
    Node,
    Values,
    ancestors,
    children,
    descendants,
    forward,
)
from dlnotes.autodiff.graph_rules import ONES_LIKE, ZEROS_LIKE, rules_of
from dlnotes.autodiff.operations import OPERATIONS, Operation
from dlnotes.checks import did_you_mean
from dlnotes.typing import Array


class BackwardGraph(NamedTuple):
    """A graph G with the nodes of its backward pass B.

    Attributes:
      graph: G and B as one graph, of the inputs of G.
      gradients: node of G → node of B with the gradient of the output by it.
      products: arc of G, as (parent, child, position among the child's arguments) → node of B with the
        Jacobian product of that arc. It leads from the gradient of the child to that of the parent.
    """

    graph: Graph
    gradients: dict[str, str]
    products: dict[tuple[str, str, int], str]


class HessianVector(NamedTuple):
    """A graph of products ``H v`` with the second derivatives.

    Attributes:
      graph: of the inputs of G and of the vectors.
      vectors: node of G by which is differentiated → input that takes its part of v, of the node's shape.
      products: such a node → node with its part of ``H v``.
    """

    graph: Graph
    vectors: dict[str, str]
    products: dict[str, str]


class _Making:
    """A graph to which nodes are added, parents before children."""

    def __init__(self, graph: Graph) -> None:
        self.inputs, self.nodes = graph.inputs, list(graph.nodes)
        self.names = {*graph.inputs, *(node.name for node in graph.nodes)}

    def free(self, title: str) -> str:
        """``title``, with primes until no node has that name."""
        while title in self.names:
            title += "′"
        return title

    def add(self, f: Operation, *parents: str, title: str = "") -> str:
        name = self.free(title or f"{f.name}:{len(self.nodes)}")
        self.names.add(name)
        self.nodes.append(Node(name, f, parents))
        return name

    def called(self, name: str, title: str, since: int) -> str:
        """The node ``name`` under a title: itself if it is the last and one of those added, else a copy."""
        if len(self.nodes) > since and self.nodes[-1].name == name:
            last = self.nodes.pop()
            self.names.remove(name)
            return self.add(last.operation, *last.parents, title=title)
        return self.add(OPERATIONS["identity"], name, title=title)

    def graph(self) -> Graph:
        return Graph(self.inputs, tuple(self.nodes))


def backward_graph(graph: Graph, output: str, wanted: Iterable[str] | None = None) -> BackwardGraph:
    """The graph G with a subgraph B that computes ``∂u_n/∂u_j = Σ_i (∂u_i/∂u_j)ᵀ ∂u_n/∂u_i``.

    B has a node for each node of G that is wanted or lies between a wanted one and the output, and one
    Jacobian product for each arc of G between them. It runs in the reverse order of G and takes the values
    of G's nodes. The products are made of nodes that have derivatives themselves, so the result is a graph
    like any other: `backward_graph` of it gives second derivatives.

    Args:
      graph: G.
      output: name of the node that is differentiated; its value must be a scalar.
      wanted: names by which; ``None`` is all nodes.

    Returns:
      Both graphs as one, and where the gradients and products stand in it. A wanted node on which the
      output does not depend has zeros.

    Raises:
      ValueError: naming the node, when it is unknown.

    Source: notes F5.6.

    Example:
      >>> from dlnotes.autodiff import graph, forward
      >>> G = graph(["x"], {"a": ("square", "x"), "J": ("multiply", "a", "x")})  # x³
      >>> first = backward_graph(G, "J", ["x"])
      >>> second = backward_graph(first.graph, first.gradients["x"], ["x"])
      >>> values = forward(second.graph, {"x": 2.0})
      >>> float(values[first.gradients["x"]]), float(values[second.gradients["x"]])  # 3 x², 6 x
      (12.0, 12.0)
    """
    order = [*graph.inputs, *(node.name for node in graph.nodes)]
    wanted = order if wanted is None else list(wanted)
    for name in (output, *wanted):
        if name not in order:
            raise ValueError(f"node {name!r}: unknown{did_you_mean(name, order)}")
    needed, arcs, made = descendants(graph, wanted), children(graph), _Making(graph)

    def title(name: str) -> str:
        return f"∂{output}/∂{name}"

    gradients = {output: made.add(ONES_LIKE, output, title=title(output))}
    products: dict[tuple[str, str, int], str] = {}
    for name in reversed(order[: order.index(output)]):
        if name not in needed:
            continue
        parts, since = [], len(made.nodes)
        for child, position in arcs[name]:
            if child.name not in gradients:
                continue
            rule = rules_of(child.operation)[position]
            part = rule(made.add, gradients[child.name], child.name, *child.parents)
            if part is not None:
                products[name, child.name, position] = part
                parts.append(part)
        if parts:
            total = parts[0]
            for part in parts[1:]:
                total = made.add(OPERATIONS["add"], total, part)
            gradients[name] = made.called(total, title(name), since)
            for arc in products:
                if arc[0] == name and products[arc] == total:
                    products[arc] = gradients[name]
    for name in wanted:
        if name not in gradients:
            gradients[name] = made.add(ZEROS_LIKE, name, title=title(name))
    return BackwardGraph(made.graph(), gradients, products)


def hessian_vector_graph(graph: Graph, output: str, wanted: Sequence[str]) -> HessianVector:
    """The graph of ``H v = ∇(∇J · v)``: the backward graph, led to one scalar and differentiated again.

    Its cost is a constant times that of the gradient, whatever the number of parameters; H itself is not
    built.

    Args:
      graph: G.
      output: name of the scalar node J.
      wanted: names by which it is differentiated twice.

    Raises:
      ValueError: naming the node, when it is unknown, or when none is wanted.

    Source: notes F5.6; Pearlmutter 1994.
    """
    wanted = list(dict.fromkeys(wanted))
    if not wanted:
        raise ValueError("wanted: got none, needed is the name of one node or more")
    first = backward_graph(graph, output, wanted)
    making = _Making(first.graph)
    vectors = {}
    for name in wanted:
        vectors[name] = making.free(f"v/{name}")
        making.names.add(vectors[name])
    making.inputs = (*graph.inputs, *vectors.values())
    total = ""
    for name in wanted:
        part = making.add(OPERATIONS["multiply"], first.gradients[name], vectors[name])
        part = making.add(OPERATIONS["sum"], part)
        total = making.add(OPERATIONS["add"], total, part) if total else part
    second = backward_graph(making.graph(), total, wanted)
    return HessianVector(second.graph, vectors, {name: second.gradients[name] for name in wanted})


def second_derivatives(
    graph: Graph, inputs: Mapping[str, Array | float], output: str, wanted: Sequence[str]
) -> dict[str, dict[str, Array]]:
    """All second derivatives ``∂²J/∂a∂b`` of a scalar node, what ``jax.hessian`` gives.

    One product ``H e`` of `hessian_vector_graph` is taken for each element of the nodes wanted.

    Args:
      graph: G.
      inputs: a value for each of its inputs.
      output: name of the scalar node J.
      wanted: names of the inputs by which it is differentiated twice.

    Returns:
      ``[a][b]``, an array of a's shape followed by b's shape.

    Raises:
      ValueError: naming the node or input that does not fit; see `forward`.

    Source: notes F5.6.

    Example:
      >>> from dlnotes.autodiff import graph
      >>> G = graph(["x", "y"], {"a": ("square", "x"), "J": ("multiply", "a", "y")})  # x² y
      >>> H = second_derivatives(G, {"x": 3.0, "y": 5.0}, "J", ["x", "y"])
      >>> float(H["x"]["x"]), float(H["x"]["y"]), float(H["y"]["y"])  # 2 y, 2 x, 0
      (10.0, 6.0, 0.0)
    """
    twice = hessian_vector_graph(graph, output, wanted)
    values = forward(graph, inputs)
    if values[output].size != 1:
        raise ValueError(f"node {output!r}: got shape {values[output].shape}, allowed as output is a scalar")
    none = {twice.vectors[name]: jnp.zeros_like(values[name]) for name in twice.vectors}
    found: dict[str, dict[str, Array]] = {}
    for a in twice.vectors:
        like = values[a]
        basis = jnp.eye(like.size, dtype=like.dtype).reshape(like.size, *like.shape)

        def products(e: Array, a: str = a) -> Values:
            got = forward(twice.graph, {**inputs, **none, twice.vectors[a]: e})
            return {b: got[node] for b, node in twice.products.items()}

        rows = jax.vmap(products)(basis)
        found[a] = {b: rows[b].reshape(*like.shape, *values[b].shape) for b in rows}
    return found


def operation_counts(graph: Graph) -> Counter[str]:
    """How many nodes each operation has.

    Example:
      >>> from dlnotes.autodiff import graph
      >>> dict(operation_counts(graph(["x"], {"a": ("square", "x"), "b": ("square", "a")})))
      {'square': 2}
    """
    return Counter(node.operation.name for node in graph.nodes)


def between(graph: Graph, wanted: Iterable[str], output: str) -> list[tuple[str, Node, int]]:
    """The arcs of all paths from the nodes ``wanted`` to the output, as `Graph.edges` has them."""
    leading, needed = ancestors(graph, output), descendants(graph, wanted)
    return [(a, child, i) for a, child, i in graph.edges if a in needed and child.name in leading]
