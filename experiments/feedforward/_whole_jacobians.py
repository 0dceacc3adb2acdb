"""Whole Jacobians of perceptrons by rows and by columns, and what each direction costs."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import autodiff
from dlnotes.analysis import multiply_adds
from dlnotes.claims import Below, Part, Within, exact, notes
from dlnotes.layers import Dense
from dlnotes.typing import Array

WIDTHS = ((40, 16, 3), (3, 16, 40), (12, 16, 12))
"""Inputs, hidden units and outputs of the chains: tanh between two layers, a softmax at the end."""
MODES: tuple[Literal["reverse", "forward"], ...] = ("reverse", "forward")


def chain(rng: np.random.Generator, widths: tuple[int, ...]) -> tuple[list[autodiff.Link], Array]:
    """Random layers with their products by hand, and a random input."""
    links: list[autodiff.Link] = []
    for a, b in pairwise(widths):
        W, c = rng.normal(size=(a, b)) / a**0.5, rng.normal(size=b)
        layer = Dense(jnp.asarray(W, jnp.float32), jnp.asarray(c, jnp.float32))
        links += [autodiff.dense_link(layer), autodiff.elementwise_link("tanh")]
    return [*links[:-1], autodiff.softmax_link()], jnp.asarray(rng.normal(size=widths[0]), jnp.float32)


def value(links: list[autodiff.Link], x: Array) -> Array:
    """The end of the chain."""
    for link in links:
        x = link.value(x)
    return x


def whole_jacobians(seeds: int) -> dict[str, np.ndarray]:
    """Deviations from jax.jacrev ``(chains, modes, seeds)``; multiply-adds in passes ``(chains, modes)``."""
    deviation = np.zeros((len(WIDTHS), len(MODES), seeds))
    passes = np.zeros((len(WIDTHS), len(MODES)))
    for i, widths in enumerate(WIDTHS):
        for seed in range(seeds):
            links, x = chain(np.random.default_rng([seed, i]), widths)
            want = jax.jit(jax.jacrev(lambda x: value(links, x)))(x)  # noqa: B023
            for j, mode in enumerate(MODES):
                got = autodiff.whole_jacobian(links, x, mode).jacobian
                deviation[i, j, seed] = float(jnp.max(jnp.abs(got - want)) / jnp.max(jnp.abs(want)))
        links, x = chain(np.random.default_rng(0), widths)
        once = multiply_adds(lambda x: value(links, x), x)  # noqa: B023
        for j, mode in enumerate(MODES):
            all = multiply_adds(lambda x: autodiff.whole_jacobian(links, x, mode).jacobian, x)  # noqa: B023
            passes[i, j] = (all - once) / once
    return {"whole_deviation": deviation, "whole_passes": passes}


def wanted_passes() -> np.ndarray:
    """As many as outputs in reverse, as inputs forward, ``(chains, modes)``."""
    return np.array([(widths[-1], widths[0]) for widths in WIDTHS])


WHERE = "back-propagation"
OF_MANY = notes(
    WHERE,
    "propagating information through the network can also compute the Jacobian of a function with several "
    "results",
)

PARTS = (
    Part(
        "whole Jacobians",
        "Jᵀ g for each output, or J v for each input, give the whole Jacobian of a network that jax.jacrev "
        "gives.",
        what="largest deviation of a Jacobian, relative to its largest entry, over all networks and both "
        "directions",
        effect=lambda m: exact(m["whole_deviation"].max(), m["whole_deviation"].size),
        rule=Below(1e-5),
        source=OF_MANY,
    ),
    Part(
        "cost of a whole Jacobian",
        "It costs one pass for each output in reverse, one for each input forward.",
        what="largest difference of the multiply-adds counted, in passes, from the outputs or inputs",
        effect=lambda m: exact(np.abs(m["whole_passes"] - wanted_passes()).max(), m["whole_passes"].size),
        rule=Within(0, 0),
        source=OF_MANY,
    ),
)
"""Of the claim on Jacobian products."""
