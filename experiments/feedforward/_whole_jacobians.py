"""Whole Jacobians of perceptrons by rows and by columns, and what each direction costs."""

from __future__ import annotations

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import autodiff
from dlnotes.analysis import multiply_adds
from dlnotes.autodiff.whole_jacobians import Mode
from dlnotes.claims import Below, Part, Within, exact, notes
from dlnotes.layers import Dense
from dlnotes.typing import Array

WIDTHS = ((40, 16, 3), (3, 16, 40), (12, 16, 12))
"""Inputs, hidden units and outputs of the chains: tanh between two layers, a softmax at the end."""
MODES: tuple[Mode, ...] = ("reverse", "forward")


def draws(seeds: int, widths: tuple[int, ...]) -> tuple[list[Dense], Array]:
    """Random layers and inputs of every seed, leaves ``(seeds, ...)``."""
    rng = np.random.default_rng(widths)

    def array(*shape: int) -> Array:
        return jnp.asarray(rng.normal(size=(seeds, *shape)), jnp.float32)

    return [Dense(array(a, b) / a**0.5, array(b)) for a, b in pairwise(widths)], array(widths[0])


def chain(layers: list[Dense]) -> list[autodiff.Link]:
    """The layers with tanh between them and a softmax at the end."""
    links: list[autodiff.Link] = []
    for layer in layers:
        links += [autodiff.dense_link(layer), autodiff.elementwise_link("tanh")]
    return [*links[:-1], autodiff.softmax_link()]


def value(layers: list[Dense], x: Array) -> Array:
    """The end of the chain."""
    for link in chain(layers):
        x = link.value(x)
    return x


def whole_jacobians(seeds: int) -> dict[str, np.ndarray]:
    """Deviations from jax.jacrev ``(chains, modes, seeds)``; multiply-adds in passes ``(chains, modes)``."""
    deviation = np.zeros((len(WIDTHS), len(MODES), seeds))
    passes = np.zeros((len(WIDTHS), len(MODES)))
    for i, widths in enumerate(WIDTHS):
        layers, x = draws(seeds, widths)
        want = np.asarray(jax.jit(jax.vmap(jax.jacrev(value, argnums=1)))(layers, x))
        first = jax.tree.map(lambda a: a[0], (layers, x))
        once = multiply_adds(value, *first)
        for j, mode in enumerate(MODES):

            def by_hand(layers: list[Dense], x: Array, mode: Mode = mode) -> Array:
                return autodiff.whole_jacobian(chain(layers), x, mode).jacobian

            got = np.asarray(jax.jit(jax.vmap(by_hand))(layers, x))
            deviation[i, j] = np.abs(got - want).max((1, 2)) / np.abs(want).max((1, 2))
            passes[i, j] = (multiply_adds(by_hand, *first) - once) / once
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
