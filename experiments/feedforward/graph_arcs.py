"""One Jacobian product for each arc of a graph.

The notes: back-propagation visits every arc of the graph exactly once to take the derivative of a node
by one of its parents, so that its cost grows linearly with the number of arcs.

Measured: on random graphs of scalars, vectors and matrices every operation counts how often each of its
Jacobian products is asked for; the gradients are compared with those of jax.grad; and the elementary
operations of the backward pass, as jax traces them, are counted against the number of arcs.
"""

from __future__ import annotations

from collections import Counter

import jax
import numpy as np
from pydantic import Field

from dlnotes import autodiff
from dlnotes.claims import Below, Claim, Measured, Options, Part, Plot, Within, exact, mean, notes, ours
from dlnotes.jax_internals import program_of
from dlnotes.plotting import BLUE, GRAY, ORANGE, new_figure, set_title

from ._random_graphs import random_graph

SIZES = (12, 36, 108)
"""Nodes asked for; a graph has a few more, that lead all its ends to one scalar."""

LARGEST_COMPARED = 36
"""The largest whose gradients are compared; jax.grad of the others takes long to trace."""


class GraphArcs(Options):
    """Sizes of the experiment."""

    seeds: int = Field(12, ge=2, description="a seed draws one graph of each size")


def counting(graph: autodiff.Graph, counts: Counter) -> autodiff.Graph:
    """The graph with operations that note in ``counts`` every product taken, by (child, position)."""

    def counted(name, position, product):
        def call(g, *parents):
            counts[name, position] += 1
            return product(g, *parents)

        return call

    def watched(node):
        products = tuple(counted(node.name, i, p) for i, p in enumerate(node.operation.products))
        return node._replace(operation=node.operation._replace(products=products))

    return graph._replace(nodes=tuple(watched(node) for node in graph.nodes))


def one_graph(rng: np.random.Generator, size: int) -> dict[str, float]:
    """Everything that is measured on one random graph."""
    graph, inputs, output = random_graph(rng, size)
    values = autodiff.forward(graph, inputs)
    counts: Counter = Counter()
    watched = counting(graph, counts)
    program = program_of(lambda values: autodiff.backward(watched, values, output).table, values)
    taken = [counts[child.name, position] for _, child, position in graph.edges]
    operations = len(program.equations)
    found = {"arcs": len(taken), "fewest": min(taken), "most": max(taken), "operations": operations}
    return found | {"deviation": deviation(graph, inputs, output) if size <= LARGEST_COMPARED else np.nan}


def deviation(graph: autodiff.Graph, inputs: dict, output: str) -> float:
    """How far the table is from jax.grad over all inputs, relative to the largest gradient."""
    table = autodiff.backward(graph, autodiff.forward(graph, inputs), output, inputs).table
    want = jax.grad(lambda inputs: autodiff.forward(graph, inputs)[output])(inputs)
    largest = max(float(abs(g).max()) for g in want.values())
    return max(float(abs(table[name] - g).max()) for name, g in want.items()) / largest


def measure(options: GraphArcs) -> dict[str, np.ndarray]:
    """Each quantity as (seeds, sizes)."""
    rows = [
        [one_graph(np.random.default_rng([seed, size]), size) for size in SIZES]
        for seed in range(options.seeds)
    ]
    return {name: np.array([[cell[name] for cell in row] for row in rows]) for name in rows[0][0]}


def slopes(m) -> np.ndarray:
    """Per seed, the slope of log operations in log arcs."""
    return np.array([np.polyfit(np.log(x), np.log(y), 1)[0] for x, y in zip(m["arcs"], m["operations"])])


def draw(options: GraphArcs, m: Measured) -> Plot:
    """Products per arc on the left, elementary operations on the right, against the number of arcs."""
    figure = new_figure(9, 3.8)
    left, right = figure.subplots(1, 2)
    arcs = m["arcs"].ravel()
    left.plot(arcs, m["most"].ravel(), "o", color=ORANGE, ms=7, mfc="none", label="the arc visited most")
    left.plot(arcs, m["fewest"].ravel(), ".", color=BLUE, label="the arc visited least")
    left.set(
        xlabel="arcs of the graph", ylabel="Jacobian products of an arc", ylim=(0, 2.6), yticks=[0, 1, 2]
    )
    left.legend()
    line = np.array([0, arcs.max()])
    per_arc = m["operations"].sum() / arcs.sum()
    right.plot(line, per_arc * line, color=GRAY, lw=1.2, label=f"{per_arc:.1f} per arc")
    right.plot(arcs, m["operations"].ravel(), ".", color=BLUE, label="a random graph")
    right.set(xlabel="arcs of the graph", ylabel="elementary operations, backward pass")
    right.legend()
    set_title(figure, f"In {arcs.size} random graphs each arc costs one Jacobian product; the work is linear")
    return Plot(
        figure, {name: m[name].ravel() for name in ("arcs", "fewest", "most", "operations", "deviation")}
    )


WHERE = "back-propagation"
ONCE = notes(WHERE, "back-propagation visits every arc of the graph exactly once for its partial derivative")

CLAIM = Claim(
    id="F5.1",
    statement="Back-propagation visits every arc of the computational graph exactly once: its work grows "
    "linearly with the number of arcs.",
    source="notes, «back-propagation»; Goodfellow et al. 2016, 6.5.3",
    options=GraphArcs,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "at least once",
            "Every arc's Jacobian product is taken at least once.",
            what="fewest Jacobian products of an arc, over all arcs of all graphs",
            effect=lambda m: exact(m["fewest"].min(), m["fewest"].size),
            rule=Within(1, 1),
            source=ONCE,
        ),
        Part(
            "at most once",
            "No arc's Jacobian product is taken twice.",
            what="most Jacobian products of an arc, over all arcs of all graphs",
            effect=lambda m: exact(m["most"].max(), m["most"].size),
            rule=Within(1, 1),
            source=ONCE,
        ),
        Part(
            "linear work",
            "The elementary operations of the backward pass grow linearly with the arcs.",
            what="slope of log elementary operations in log arcs (1 is proportional)",
            effect=lambda m: mean(slopes(m)),
            rule=Within(0.9, 1.1),
            source=notes(WHERE, "the amount of computation scales linearly with the number of arcs"),
        ),
        Part(
            "right gradients",
            "The table holds the gradients that jax.grad finds.",
            what="largest deviation of a gradient, relative to the largest gradient of its graph",
            effect=lambda m: exact(np.nanmax(m["deviation"]), int(np.sum(~np.isnan(m["deviation"])))),
            rule=Below(1e-5),
            source=ours("a cheap backward pass must also be right"),
        ),
    ),
    method="Data: {options.seeds} random computational graphs of each of three sizes, from 12 to about 150 "
    "nodes, whose nodes are scalars, vectors and matrices. Every operation counts how often each of its "
    "Jacobian products is asked for; elementary operations are those of the backward pass as jax traces "
    "it. Nothing is trained; the smaller graphs' gradients are compared with those of jax.grad.",
    revised="Larger graphs and 12 seeds: with 8 to 64 nodes the part on linear work was open.",
)
