"""The chain rule without a table: shared parts of the gradient are worked out again for every path."""

from __future__ import annotations

import jax.numpy as jnp

from dlnotes.autodiff.computational_graph import Graph, Node, Values, ancestors, children
from dlnotes.typing import Array


def naive_gradient(graph: Graph, values: Values, output: str, wanted: str) -> tuple[Array, int]:
    """``∂u_n/∂u_j = Σ_i (∂u_i/∂u_j)ᵀ ∂u_n/∂u_i`` as a recursion that remembers nothing.

    The same number as `dlnotes.autodiff.backward`, but each ``∂u_n/∂u_i`` is expanded anew for every
    node that asks for it: the number of Jacobian products is the number of arcs of all *paths* to the
    output, which can double with every level of the graph.

    Args:
      graph: the graph.
      values: what `dlnotes.autodiff.forward` returned.
      output: name of the scalar node that is differentiated.
      wanted: name of the node by which.

    Returns:
      The gradient, of the shape of the node's value, and how many Jacobian products it took.

    Source: notes F5.2.

    Example:
      >>> from dlnotes.autodiff import graph, forward
      >>> levels = {"a": ("multiply", "x", "x"), "b": ("multiply", "a", "a"), "c": ("multiply", "b", "b")}
      >>> g = graph(["x"], levels)
      >>> gradient, products = naive_gradient(g, forward(g, {"x": 2.0}), "c", "x")
      >>> float(gradient), products  # a table takes one for each of the 6 arcs
      (1024.0, 14)
    """
    leading = ancestors(graph, output)
    arcs = {name: [a for a in found if a[0].name in leading] for name, found in children(graph).items()}
    return _gradient(arcs, values, output, wanted)


def _gradient(
    arcs: dict[str, list[tuple[Node, int]]], values: Values, output: str, name: str
) -> tuple[Array, int]:
    if name == output:
        return jnp.ones_like(values[name]), 0
    total, products = jnp.zeros_like(values[name]), 0
    for child, position in arcs[name]:
        g, taken = _gradient(arcs, values, output, child.name)
        parents = [values[parent] for parent in child.parents]
        total = total + child.operation.products[position](g, *parents)
        products += taken + 1
    return total, products
