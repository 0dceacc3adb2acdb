"""A computational graph of named nodes: forward in topological order, backward with a table of gradients.

A small engine to learn from, written as the notes' two algorithms are. Graphs are data, values are
arrays in a dictionary, and everything is a pure function: ``jax.jit`` and ``jax.vmap`` go through it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

import jax.numpy as jnp

from dlnotes.autodiff.operations import Operation, operation
from dlnotes.checks import did_you_mean
from dlnotes.typing import Array

Values = dict[str, Array]
"""Arrays by the name of their node."""


class Node(NamedTuple):
    """A variable ``u = f(parents)``.

    Attributes:
      name: its own.
      operation: f.
      parents: names of the nodes whose values f takes, in order; one may come twice.
    """

    name: str
    operation: Operation
    parents: tuple[str, ...]


class Graph(NamedTuple):
    """Inputs and the nodes computed from them.

    Attributes:
      inputs: names of the nodes without parents.
      nodes: the others in topological order: parents before children.
    """

    inputs: tuple[str, ...]
    nodes: tuple[Node, ...]

    @property
    def edges(self) -> list[tuple[str, Node, int]]:
        """Every arc as (parent, child, position of the parent among the child's arguments)."""
        return [(parent, node, i) for node in self.nodes for i, parent in enumerate(node.parents)]


class Gradients(NamedTuple):
    """What `backward` returns.

    Attributes:
      table: node's name → gradient of the output by its value, of the shape of that value.
      products: how many Jacobian products were taken, one per arc.
    """

    table: Values
    products: int


def graph(inputs: Sequence[str], nodes: Mapping[str, Sequence[str | Operation]]) -> Graph:
    """A graph from the names of its inputs and, for every other node, its operation and its parents.

    Args:
      inputs: names of the nodes whose values will be given.
      nodes: ``{name: (operation, parent, …)}`` in any order; an operation is a name in
        ``autodiff.OPERATIONS`` or an `Operation` of your own.

    Raises:
      ValueError: naming the node, on an unknown operation or parent, a wrong number of parents, a
        name used twice, or a cycle.

    Source: notes F5.1.

    Example:
      >>> g = graph(["w", "x"], {"z": ("multiply", "w", "x"), "J": ("square", "z")})
      >>> J, gradients = value_and_gradients(g, {"w": 3.0, "x": 2.0}, "J", ["w"])
      >>> float(J), float(gradients["w"])
      (36.0, 24.0)
    """
    inputs = tuple(inputs)
    named = [*inputs, *nodes]
    if twice := [name for name in nodes if name in inputs] + [n for n in inputs if inputs.count(n) > 1]:
        raise ValueError(f"nodes: got {twice[0]!r} twice, allowed are names that differ")
    made = {name: _node(name, rule, named) for name, rule in nodes.items()}
    try:
        order = list(TopologicalSorter({name: node.parents for name, node in made.items()}).static_order())
    except CycleError as error:
        cycle = " -> ".join(repr(name) for name in error.args[1])
        raise ValueError(f"nodes: got the cycle {cycle}, allowed is a graph without cycles") from None
    return Graph(inputs, tuple(made[name] for name in order if name in made))


def _node(name: str, rule: Sequence[str | Operation], named: Sequence[str]) -> Node:
    first, *parents = rule
    try:
        f = first if isinstance(first, Operation) else operation(first)
    except ValueError as error:
        raise ValueError(f"node {name!r}: {error}") from None
    for parent in parents:
        if parent not in named:
            raise ValueError(
                f"node {name!r}: got the parent {parent!r}, allowed are inputs and nodes of the graph"
                + did_you_mean(parent, named)
            )
    if len(parents) != len(f.products):
        raise ValueError(f"node {name!r}: got {len(parents)} parents, {f.name} takes {len(f.products)}")
    return Node(name, f, tuple(str(parent) for parent in parents))


def forward(graph: Graph, inputs: Mapping[str, Array | float]) -> Values:
    """The value of every node: ``u_i = f_i(values of its parents)``, parents first.

    Args:
      graph: what to compute.
      inputs: a floating-point array (or number) for each of the graph's inputs.

    Returns:
      Values of all nodes, inputs included.

    Raises:
      ValueError: naming the input that is missing, unknown or not of floating point, or the node
        whose operation does not take the shapes of its parents.

    Source: notes F5.1, first algorithm.
    """
    for name in inputs:
        if name not in graph.inputs:
            raise ValueError(
                f"inputs: got {name!r}, allowed are {_listed(graph.inputs)}{did_you_mean(name, graph.inputs)}"
            )
    if missing := [name for name in graph.inputs if name not in inputs]:
        raise ValueError(f"inputs: {missing[0]!r} is missing, needed are {_listed(graph.inputs)}")
    values = {name: jnp.asarray(inputs[name]) for name in graph.inputs}
    for name, value in values.items():
        if not jnp.issubdtype(value.dtype, jnp.floating):
            raise ValueError(f"inputs: got {name!r} of dtype {value.dtype}, allowed is floating point")
    for node in graph.nodes:
        parents = [values[parent] for parent in node.parents]
        try:
            values[node.name] = node.operation.value(*parents)
        except (TypeError, ValueError) as error:
            shapes = ", ".join(f"{name} {value.shape}" for name, value in zip(node.parents, parents))
            raise ValueError(f"node {node.name!r}: {node.operation.name} does not take {shapes}") from error
    return values


def backward(graph: Graph, values: Values, output: str, wanted: Iterable[str] | None = None) -> Gradients:
    """The gradient of a scalar node by every other, ``∂u_n/∂u_j = Σ_i (∂u_i/∂u_j)ᵀ ∂u_n/∂u_i``.

    The sum is over the children i of j. Children come later in the order, so their gradients stand in
    the table already: an arc costs one Jacobian product, whatever the number of paths through it.

    Args:
      graph: the graph.
      values: what `forward` returned.
      output: name of the scalar node that is differentiated.
      wanted: names whose gradients are needed; arcs that lead from none of them are not visited.
        ``None`` is all nodes.

    Returns:
      A table of the gradients by the wanted nodes and by those between them and the output, zero for
      wanted nodes on which the output does not depend; and the number of Jacobian products.

    Raises:
      ValueError: naming the node, when it is unknown or the output is no scalar.

    Source: notes F5.1, second algorithm.
    """
    order = [*graph.inputs, *(node.name for node in graph.nodes)]
    wanted = order if wanted is None else list(wanted)
    for name in (output, *wanted):
        if name not in order:
            raise ValueError(
                f"node {name!r}: unknown, allowed are {_listed(order)}{did_you_mean(name, order)}"
            )
    if values[output].size != 1:
        raise ValueError(f"node {output!r}: got shape {values[output].shape}, allowed as output is a scalar")
    needed = descendants(graph, wanted)
    arcs = children(graph)

    table, products = {output: jnp.ones_like(values[output])}, 0
    for name in reversed(order[: order.index(output)]):
        for child, position in arcs[name]:
            if name in needed and child.name in table:
                parents = [values[parent] for parent in child.parents]
                part = child.operation.products[position](table[child.name], *parents)
                table[name] = table[name] + part if name in table else part
                products += 1
    for name in wanted:
        table.setdefault(name, jnp.zeros_like(values[name]))
    return Gradients(table, products)


def value_and_gradients(
    graph: Graph, inputs: Mapping[str, Array | float], output: str, wanted: Sequence[str]
) -> tuple[Array, Values]:
    """The value of ``output``, and its gradients by the nodes ``wanted``; see `forward` and `backward`."""
    values = forward(graph, inputs)
    table = backward(graph, values, output, wanted).table
    return values[output], {name: table[name] for name in wanted}


def children(graph: Graph) -> dict[str, list[tuple[Node, int]]]:
    """For every node the arcs that leave it, as (child, position among the child's arguments)."""
    arcs: dict[str, list[tuple[Node, int]]] = {name: [] for name in graph.inputs}
    arcs |= {node.name: [] for node in graph.nodes}
    for parent, child, position in graph.edges:
        arcs[parent].append((child, position))
    return arcs


def descendants(graph: Graph, names: Iterable[str]) -> set[str]:
    """The nodes ``names`` and all that depend on them."""
    found = set(names)
    for node in graph.nodes:
        if found.intersection(node.parents):
            found.add(node.name)
    return found


def ancestors(graph: Graph, name: str) -> set[str]:
    """The node ``name`` and all on which it depends."""
    found = {name}
    for node in reversed(graph.nodes):
        if node.name in found:
            found.update(node.parents)
    return found


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
