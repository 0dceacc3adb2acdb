"""The chain rule with and without a table of gradients.

The notes: parts of the gradient's expression repeat, in complicated graphs exponentially often, so that
a naive implementation of the chain rule cannot be afforded; back-propagation keeps them in a table and
avoids the explosion.

Measured: the multiplications by a local derivative that both take for the same gradient. In a chain of
diamonds the number is known: a level has four arcs, and all that is above it is expanded twice. In
random graphs a node has one or two parents on the level below. Whether growth is exponential is decided
over the deeper half of the levels, from 8 to 16. An exponential multiplies the count by the same factor at
every level, while a power law's factor falls towards 1. Even a fourth power, which multiplies the count by
16 when the depth doubles, grows there by 16^(1/8) = √2 = 1.41 per level only: that is the threshold.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from dlnotes import autodiff
from dlnotes.autodiff.computational_graph import ancestors
from dlnotes.claims import (
    Above,
    Below,
    Claim,
    Measured,
    Options,
    Part,
    Plot,
    Within,
    exact,
    mean,
    notes,
    ours,
)
from dlnotes.plotting import BLUE, GRAY, ORANGE, new_figure, set_title

from ._random_graphs import diamonds, layered_graph

DEPTHS = np.array([1, 2, 4, 8, 16])
"""Levels of the random graphs."""


class NaiveChainRule(Options):
    """Sizes of the experiment."""

    seeds: int = Field(12, ge=2, description="a seed draws one random graph")
    diamonds: int = Field(12, ge=4, le=16, description="the deepest chain of diamonds")
    width: int = Field(4, ge=2, description="nodes of a level of the random graphs")


def both(graph: autodiff.Graph, inputs: dict[str, float], output: str) -> dict[str, float]:
    """Multiplications with and without a table, arcs that lead to the output, and how far the two differ."""
    values = autodiff.forward(graph, inputs)
    table, products = autodiff.backward(graph, values, output)
    naive = {name: autodiff.naive_gradient(graph, values, output, name) for name in graph.inputs}
    largest = max(float(abs(gradient)) for gradient, _ in naive.values())
    leading = ancestors(graph, output)
    apart = max(float(abs(table[name] - gradient)) for name, (gradient, _) in naive.items())
    return {
        "naive": sum(taken for _, taken in naive.values()),
        "table": products,
        "arcs": sum(child.name in leading for _, child, _ in graph.edges),
        "deviation": apart / max(largest, 1e-30),
    }


def measure(options: NaiveChainRule) -> dict[str, np.ndarray]:
    """Chains of diamonds as (depths,), random graphs as (seeds, depths)."""
    chains = [both(diamonds(d), {"u0": 0.7}, f"u{d}") for d in range(1, options.diamonds + 1)]
    rows = []
    for seed in range(options.seeds):
        rng = np.random.default_rng(seed)
        graph, inputs = layered_graph(rng, int(DEPTHS[-1]), options.width)
        # The same graph at every depth: its first node on level d is the output.
        rows.append([both(graph, inputs, f"u{d}_0") for d in DEPTHS])
    return {f"diamonds_{name}": np.array([c[name] for c in chains]) for name in chains[0]} | {
        f"random_{name}": np.array([[cell[name] for cell in row] for row in rows]) for name in rows[0][0]
    }


def closed_form(depths: np.ndarray) -> np.ndarray:
    """``C(d) = 2 (2 + C(d − 1))`` with C(0) = 0, that is ``4 (2^d − 1)``."""
    return 4 * (2**depths - 1)


def growth(m) -> np.ndarray:
    """Factor per level from 8 to 16 levels, per seed."""
    return (m["random_naive"][:, -1] / m["random_naive"][:, -2]) ** (1 / (DEPTHS[-1] - DEPTHS[-2]))


def draw(options: NaiveChainRule, m: Measured) -> Plot:
    """Multiplications against depth: diamonds on the left, random graphs on the right."""
    figure = new_figure(9, 3.9)
    left, right = figure.subplots(1, 2)
    depth = np.arange(1, len(m["diamonds_naive"]) + 1)
    left.plot(depth, m["diamonds_naive"], "o", color=ORANGE, label="without a table, counted")
    left.plot(depth, closed_form(depth), color=GRAY, lw=1.2, label="4 (2ᵈ − 1)")
    left.plot(depth, m["diamonds_table"], "s-", color=BLUE, label="with a table, 4 d")
    left.set(yscale="log", xlabel="diamonds in the chain, d", ylabel="multiplications")
    left.legend()
    for name, color, label in (("naive", ORANGE, "without a table"), ("table", BLUE, "with a table")):
        low, middle, high = np.quantile(m[f"random_{name}"], [0, 0.5, 1], axis=0)
        right.fill_between(DEPTHS, low, high, color=color, alpha=0.25, lw=0)
        right.plot(DEPTHS, middle, "o-", color=color, label=f"{label} (median; all seeds)")
    right.set(yscale="log", xlabel="levels of the random graph", ylabel="multiplications")
    right.legend()
    times = m["diamonds_naive"][-1] / m["diamonds_table"][-1]
    set_title(
        figure,
        f"Without a table every diamond doubles the multiplications: {times:.0f}-fold at {depth[-1]}",
    )
    return Plot(
        figure,
        {"diamonds": depth, "without_table": m["diamonds_naive"], "with_table": m["diamonds_table"]},
    )


WHERE = "back-propagation"

CLAIM = Claim(
    id="F5.2",
    statement="A naive chain rule computes shared parts of the gradient again, exponentially often in "
    "complicated graphs; back-propagation's table avoids that, at a cost linear in the arcs.",
    source="notes, «back-propagation»; Goodfellow et al. 2016, 6.5.2",
    options=NaiveChainRule,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "doubling",
            "Without a table d diamonds cost 4 (2ᵈ − 1) multiplications: one diamond more doubles them.",
            what="largest difference between the multiplications counted and 4 (2ᵈ − 1)",
            effect=lambda m: exact(
                np.abs(m["diamonds_naive"] - closed_form(np.arange(1, len(m["diamonds_naive"]) + 1))).max(),
                len(m["diamonds_naive"]),
            ),
            rule=Within(0, 0),
            source=notes(WHERE, "in complicated graphs there can be exponentially many wasted computations"),
        ),
        Part(
            "random graphs explode",
            "Without a table the count grows with the depth of random graphs as an exponential does: "
            "faster than a fourth power, which would grow by √2 per level between 8 and 16 levels.",
            what="factor per level of the multiplications without a table, between 8 and 16 levels",
            effect=lambda m: mean(growth(m)),
            rule=Above(2**0.5),
            source=notes(WHERE, "in complicated graphs there can be exponentially many wasted computations"),
        ),
        Part(
            "the table is linear",
            "With a table there is one multiplication per arc that leads to the output.",
            what="largest difference between multiplications and arcs, over all graphs",
            effect=lambda m: exact(
                max(np.abs(m[f"{kind}_table"] - m[f"{kind}_arcs"]).max() for kind in ("diamonds", "random")),
                m["diamonds_table"].size + m["random_table"].size,
            ),
            rule=Within(0, 0),
            source=notes(
                WHERE,
                "back-propagation visits each arc once and so avoids the explosion of repeated "
                "subexpressions",
            ),
        ),
        Part(
            "the same gradient",
            "Both find the same gradient.",
            what="largest deviation of a gradient, relative to the largest gradient of its graph",
            effect=lambda m: exact(
                max(m["diamonds_deviation"].max(), m["random_deviation"].max()),
                m["diamonds_table"].size + m["random_table"].size,
            ),
            rule=Below(1e-5),
            source=ours("the two ways must differ in cost only"),
        ),
    ),
    method="Data: chains of up to {options.diamonds} diamonds, in which a node splits in two whose product "
    "is the next node, and {options.seeds} random graphs of up to 16 levels of {options.width} scalars. "
    "Counted are the multiplications by a local derivative that the same gradient takes with a table of "
    "gradients and without. Nothing is trained; the interval covers random graphs.",
    reading="A factor per level that does not fall with depth is exponential growth. It is judged against "
    "the root of two, because the fourth power of the depth would reach that factor between these levels.",
    revised=("Depths of one graph are nested: with independent graphs the growth was open (1.35 to 1.73)."),
)
