"""Layers that are updated as soon as their gradient is known: the same weights, and the memory of it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import autodiff, jax_internals
from dlnotes.autodiff import mlp_backprop
from dlnotes.claims import Above, Below, Part, Within, exact, notes, ours
from dlnotes.layers import Dense
from dlnotes.typing import Array

WIDTH, DEPTH, EXAMPLES, RATE = 64, 12, 8, 0.1
NAMES = ("tanh",) * (DEPTH - 1) + ("identity",)
Layers = tuple[Dense, ...]


def network(seed: int) -> tuple[Layers, Array, Array]:
    """A deep perceptron of layers of one size, and a random batch with classes."""
    rng = np.random.default_rng(seed)
    layers = tuple(
        Dense(
            jnp.asarray(rng.normal(size=(a, b)) / a**0.5, jnp.float32),
            jnp.asarray(0.1 * rng.normal(size=b), jnp.float32),
        )
        for a, b in pairwise((WIDTH,) * (DEPTH + 1))
    )
    x = jnp.asarray(rng.normal(size=(EXAMPLES, WIDTH)), jnp.float32)
    return layers, x, jnp.asarray(rng.integers(WIDTH, size=EXAMPLES))


def after_all(layers: Layers, x: Array, y: Array, clip: float | None = None) -> Layers:
    """A step after the whole backward pass; with ``clip`` by a gradient of at most that norm."""
    trace = mlp_backprop.forward(layers, x, NAMES)
    gradients = mlp_backprop.backward(layers, trace, y, NAMES)
    if clip is not None:
        squares = jnp.stack([jnp.sum(g * g) for g in jax.tree.leaves(gradients)])
        factor = clip / jnp.maximum(jnp.sqrt(jnp.sum(squares)), clip)
        gradients = jax.tree.map(lambda g: g * factor, gradients)
    return jax.tree.map(lambda w, g: w - RATE * g, layers, gradients)


def at_once(layers: Layers, x: Array, y: Array) -> Layers:
    """The same step, each layer as soon as its gradient is known."""
    return autodiff.descend_at_once(layers, x, y, NAMES, RATE)


def held(step: Callable[[Layers, Array, Array], Layers]) -> float:
    """Memory of the compiled step besides parameters and batch, in gradients of one layer.

    Parameters are updated in place, as in training. NaN where the backend does not say.
    """
    layers, x, y = network(0)
    found = jax_internals.temporary_bytes(jax.jit(step, donate_argnums=0).lower(layers, x, y).compile())
    return float("nan") if found is None else found / (4 * WIDTH * (WIDTH + 1))


def measure_at_once(seeds: int) -> dict[str, np.ndarray]:
    """Largest difference of the weights ``(seeds,)``, and memory at once and with clipping."""
    apart = []
    for seed in range(seeds):
        layers, x, y = network(seed)
        pairs = zip(*(jax.tree.leaves(step(layers, x, y)) for step in (at_once, after_all)))
        apart.append(max(float(jnp.max(jnp.abs(a - b))) for a, b in pairs))

    def clipped(layers: Layers, x: Array, y: Array) -> Layers:
        return after_all(layers, x, y, clip=1.0)

    return {"at_once_apart": np.array(apart), "held": np.array([held(at_once), held(clipped)])}


WHERE = "back-propagation"
USED = notes(
    WHERE,
    "the gradients can be used at once in the update of stochastic gradient descent, which is done as "
    "soon as they are computed",
)

PARTS = (
    Part(
        "each layer at once",
        "Layers that are updated as soon as their gradient is known have the same weights after a step, to "
        "the last bit.",
        what="largest difference of a weight from that of a step after the whole backward pass",
        effect=lambda m: exact(m["at_once_apart"].max(), len(m["at_once_apart"])),
        rule=Within(0, 0),
        source=USED,
    ),
    Part(
        "one layer's gradient",
        f"The compiled step of {DEPTH} layers then needs the memory of less than three layers' gradients.",
        what="temporary memory of the compiled step, in gradients of one layer",
        effect=lambda m: exact(m["held"][0]),
        rule=Below(3.0),
        source=ours("what is gained by it: gradients need not be kept"),
    ),
    Part(
        "all layers' gradients",
        "A gradient that is clipped by its norm is needed as a whole first.",
        what="temporary memory of the compiled step with clipping, in gradients of one layer",
        effect=lambda m: exact(m["held"][1]),
        rule=Above(DEPTH - 2.0),
        source=ours("what cannot be done layer by layer"),
    ),
)
"""Of the claim on the passes of a perceptron."""
