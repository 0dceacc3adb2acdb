"""The notes' own solution of XOR: two ReLU units with weights set by hand.

The notes: W = [[1, 1], [1, 1]], c = (0, −1), w = (1, −2), b = 0 give exactly (0, 1, 1, 0); this is a
global minimum of the squared error, so gradient descent would converge to it, and there are other,
equivalent solutions that it can reach.

Measured: every matrix of the notes against what `models.mlp` computes; the loss, its gradient and the
eigenvalues of its Hessian at the solution; gradient descent started at the solution and near it; and other
weights that give the same function (units exchanged, one scaled up and its output weight down).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from pydantic import Field

from dlnotes import layers, models, outputs
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
    notes,
    ours,
    share,
)
from dlnotes.plotting import BLUE, GRAY, ORANGE, new_figure, set_title
from dlnotes.training import Recipe, fit, optimizer, predict
from dlnotes.typing import Array, Params

from ._xor_points import EXAMPLES, NAMES

NETWORK = models.mlp(2, (2,), 1, activation="relu")
NOTES = {
    "XW": [[0, 0], [1, 1], [1, 1], [2, 2]],
    "XW + c": [[0, -1], [1, 0], [1, 0], [2, 1]],
    "h": [[0, 0], [1, 0], [1, 0], [2, 1]],
    "y": [[0], [1], [1], [0]],
}
"""What the notes print, step by step."""


class XorByHand(Options):
    """Sizes of the experiment."""

    steps: int = Field(1000, ge=10, description="steps of descent")
    starts: int = Field(1000, ge=10, description="starts near the solution, and equivalent solutions")
    learning_rate: float = Field(0.1, gt=0, description="of SGD on all four points")
    distance: float = Field(0.1, gt=0, description="standard deviation of a start from the solution")


def solution() -> models.MLP:
    """The notes' weights."""
    hidden = layers.Dense(jnp.ones((2, 2), jnp.float32), jnp.array([0, -1], jnp.float32))
    return models.MLP(
        (hidden,), (None,), layers.Dense(jnp.array([[1], [-2]], jnp.float32), jnp.zeros(1, jnp.float32))
    )


def loss(params: Params) -> Array:
    """The notes' J, the mean squared error over the four points."""
    return jnp.mean((NETWORK.apply(params, EXAMPLES.x) - EXAMPLES.y) ** 2)


def steps_of_the_notes(params: models.MLP) -> dict[str, Array]:
    """The matrices of the notes, computed with the library's layers."""
    (layer,) = params.hidden
    xw = layers.dense(layer._replace(b=jnp.zeros_like(layer.b)), EXAMPLES.x)  # pyright: ignore[reportArgumentType] # not factored
    z = layers.dense(layer, EXAMPLES.x)  # pyright: ignore[reportArgumentType]
    return {"XW": xw, "XW + c": z, "h": layers.relu(z), "y": NETWORK.apply(params, EXAMPLES.x)}


def equivalent(rng: np.random.Generator, count: int) -> models.MLP:
    """Other weights of the same function: units exchanged or not, each scaled by a power of two."""
    params = jax.tree.map(np.asarray, solution())
    (layer,) = params.hidden
    order = rng.permuted(np.tile([0, 1], (count, 1)), axis=1)
    scale = 2.0 ** rng.integers(-3, 4, (count, 2)).astype(np.float32)
    W = layer.W[:, order].swapaxes(0, 1) * scale[:, None, :]
    w = (params.output.W[order, 0] / scale)[..., None]
    hidden = layers.Dense(W, layer.b[order] * scale)
    return models.MLP((hidden,), (None,), layers.Dense(w, np.zeros((count, 1), np.float32)))


def measure(options: XorByHand) -> dict[str, np.ndarray]:
    """Matrices, curvature, and gradient descent from the solution and from near it."""
    rng, params = np.random.default_rng(0), solution()
    flat, unravel = ravel_pytree(params)
    got = jax.jit(steps_of_the_notes)(params)

    def flat_loss(v: Array) -> Array:
        return loss(unravel(v))

    gradient, hessian = jax.jit(lambda v: (jax.grad(flat_loss)(v), jax.hessian(flat_loss)(v)))(flat)
    noise = options.distance * rng.standard_normal((options.starts, flat.size)).astype(np.float32)
    starts = np.asarray(flat) + np.vstack([np.zeros_like(noise[:1]), noise])  # the first: the solution itself
    recipe = Recipe(NETWORK, outputs.squared_error, {}, optimizer("sgd", options.learning_rate))
    start = jax.jit(jax.vmap(unravel))(starts)
    result = fit(recipe, EXAMPLES, steps=options.steps, seeds=range(len(starts)), start=start)
    ends = np.asarray(jax.jit(jax.vmap(lambda p: ravel_pytree(p)[0]))(result.params))
    history = result.history["loss"]
    others = equivalent(rng, options.starts)
    return {
        "matrix_errors": np.array([np.abs(np.asarray(got[k]) - np.array(v)).max() for k, v in NOTES.items()]),
        "output": np.asarray(got["y"])[:, 0],
        "loss": np.asarray(loss(params)),
        "gradient": np.asarray(gradient),
        "eigenvalues": np.linalg.eigvalsh(np.asarray(hessian, np.float64)),
        "moved": np.abs(ends[0] - starts[0]),
        "stayed_loss": history[:, 0],
        "equivalent_outputs": predict(NETWORK, others, EXAMPLES.x)[..., 0],
        "beside_loss": np.quantile(history[:, 1:], [0.05, 0.5, 0.95], axis=1),
        "beside_last_loss": history[-1, 1:],
        "beside_distance": np.linalg.norm(ends[1:] - starts[0], axis=1),
    }


def draw(options: XorByHand, m: Measured) -> Plot:
    """The features that the hidden layer makes, and gradient descent from near the solution."""
    figure = new_figure(9, 3.8)
    left, right = figure.subplots(1, 2)
    h, y = np.array(NOTES["h"]), np.array(NOTES["y"])[:, 0]
    for value, color in ((0, GRAY), (1, ORANGE)):
        left.plot(*h[y == value].T, "o", color=color, ms=11, label=f"XOR = {value}")
    for point, name in ((h[0], "00"), (h[1], "01 and 10"), (h[3], "11")):
        left.annotate(name, point, (8, 8), textcoords="offset points")
    line = np.array([-0.2, 2.6])
    left.plot(line, (line - 0.5) / 2, color=BLUE, label="output 1/2: h₁ − 2h₂ = 1/2")
    left.set(xlim=(-0.2, 2.6), ylim=(-0.25, 1.9), xlabel="h₁", ylabel="h₂", title="the hidden layer's space")
    left.legend(loc="upper left")
    steps = np.arange(1, m["beside_loss"].shape[1] + 1)
    low, middle, high = m["beside_loss"]
    right.fill_between(steps, low, high, color=BLUE, alpha=0.25, lw=0, label="5% to 95% of starts")
    right.plot(steps, middle, color=BLUE, label="median start")
    right.set(xscale="log", yscale="log", xlabel="step of gradient descent", ylabel="mean squared error")
    right.set_title(f"started near the solution (deviation {options.distance:g})")
    right.legend(loc="lower left")
    answer = ", ".join(f"{n} → {v:g}" for n, v in zip(NAMES, m["output"]))
    set_title(figure, f"The weights set by hand compute XOR: {answer}")
    return Plot(
        figure, {"step": steps, "loss_5_percent": low, "loss_median": middle, "loss_95_percent": high}
    )


BASICS = "funcionamiento básico"

CLAIM = Claim(
    id="F1.3",
    statement="A network with two ReLU units computes XOR without error, with W of ones, c = (0, −1), "
    "w = (1, −2) and b = 0. The solution is a global minimum, so gradient descent would converge to it; "
    "other solutions are equivalent.",
    source="notes, «funcionamiento básico»; Goodfellow et al. 2016, 6.1",
    options=XorByHand,
    measure=measure,
    draw=draw,
    method="The data are the four points of XOR. The network has two ReLU units and a linear output, with "
    "the notes' weights. Gradient descent on the mean squared error of all four points (rate "
    "{options.learning_rate}, {options.steps} steps) starts at the solution, and at {options.starts} points "
    "near it: each weight is moved by normal noise of deviation {options.distance}. {options.starts} further "
    "sets of weights come from the solution by exchanging its units and by scaling a unit while its output "
    "weight is scaled inversely.",
    parts=(
        Part(
            "every matrix",
            "XW, XW + c, h and y are the notes' matrices.",
            what="largest deviation of an entry from the notes' matrices",
            effect=lambda m: exact(m["matrix_errors"].max(), 28),
            rule=Within(0.0, 0.0),
            source=notes(BASICS, "With these weights XW, XW + c, h and y are the printed matrices."),
        ),
        Part(
            "a global minimum",
            "The error is 0, below which it cannot go, and the gradient is 0.",
            what="larger of the mean squared error and the largest |∂J/∂θᵢ| at the solution",
            effect=lambda m: exact(max(float(m["loss"]), np.abs(m["gradient"]).max())),
            rule=Within(0.0, 0.0),
            source=notes(BASICS, "The solution is a global minimum of the loss."),
        ),
        Part(
            "stays at the solution",
            "Gradient descent that starts at the solution does not move.",
            what="largest change of a weight in {options.steps} steps",
            effect=lambda m: exact(m["moved"].max()),
            rule=Within(0.0, 0.0),
            source=ours("The least that a minimum must do."),
        ),
        Part(
            "converges from near",
            "Gradient descent that starts near the solution ends without error.",
            what="share of starts near the solution whose final mean squared error is below 1e-6",
            effect=lambda m: share(m["beside_last_loss"] < 1e-6),
            rule=Above(0.95),
            source=notes(BASICS, "The solution is a global minimum, so descent would converge to it."),
        ),
        Part(
            "equivalent solutions",
            "Weights with the units exchanged, or with a unit scaled and its output weight scaled inversely, "
            "compute XOR too.",
            what="largest deviation of an output from XOR over {options.starts} sets of weights",
            effect=lambda m: exact(
                np.abs(m["equivalent_outputs"] - EXAMPLES.y[:, 0]).max(), len(m["equivalent_outputs"])
            ),
            rule=Below(1e-6),
            source=notes(BASICS, "There are other, equivalent solutions."),
        ),
    ),
    reading="Gradient descent that starts near the solution ends without error, but not at the very weights "
    "of the notes: the median distance from them is {facts[distance]} at the end, because the solutions "
    "without error form a continuum. From ordinary random starts it often ends with an error, see F1.4.",
    facts=lambda m: {"distance": float(np.median(m["beside_distance"]))},
)
