"""The two passes of an MLP, written out by hand, against automatic differentiation.

The notes give the forward and the backward pass of a fully connected network as two algorithms, with
the cost J = L + λΩ(θ), and say that the gradients can be used at once in stochastic gradient descent.

Measured on real data (a medical table for classes, another for numbers): the gradient of the written-out
passes against jax.grad, for three losses, L1 and L2 over all parameters, and nets that between them
have five activations; and descent by written-out gradients with an L2 penalty on the weights, against
the library's training with weight decay, from the same starts. Layers are also updated as soon as their
gradient is known: the weights are compared with those of an ordinary step, and the memory is read.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, layers, models, outputs
from dlnotes.autodiff.mlp_backprop import Penalty, cost, value_and_gradient
from dlnotes.claims import Below, Claim, Measured, Options, Part, Plot, exact, notes, ours
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, new_figure, set_title
from dlnotes.training import Recipe, fit, optimizer

from ._at_once import PARTS, measure_at_once

NETS = (("tanh", "relu", "identity"), ("sigmoid", "gelu", "identity"))
CASES = (
    (NETS[0], "cross_entropy", "l2"),
    (NETS[1], "cross_entropy", "l1"),
    (NETS[0], "squared_error", "l1"),
    (NETS[1], "absolute_error", "l2"),
)
"""Activations, loss and penalty of the gradients that are compared."""
WIDTHS = (24, 16)
STRENGTH = 0.01
RATE = 0.1


COLORS = {NETS[0]: BLUE, NETS[1]: ORANGE}


class MlpByHand(Options):
    """Sizes of the experiment."""

    rows: int = Field(128, ge=8, le=256, description="examples of the batch")
    steps: int = Field(50, ge=1, description="steps of the two trainings that are compared")


def examples(loss: str, rows: int) -> data.Examples:
    """The first rows of a table whose targets suit the loss."""
    name = "breast_cancer" if loss == "cross_entropy" else "diabetes"
    train = data.load("tabular", name=name).train
    return data.Examples(train.x[:rows], train.y[:rows])


def starts(seeds: int, inputs: int, outputs: int) -> models.MLP:
    """Random parameters, one net per seed, with biases of 0 as training has them."""
    sizes = [(inputs, WIDTHS[0]), *pairwise(WIDTHS), (WIDTHS[-1], outputs)]
    draws = [np.random.default_rng(seed) for seed in range(seeds)]
    *hidden, output = [
        layers.Dense(
            jnp.asarray(np.stack([r.normal(0, a**-0.5, (a, b)) for r in draws]), jnp.float32),
            jnp.zeros((seeds, b), jnp.float32),
        )
        for a, b in sizes
    ]
    return models.MLP(tuple(hidden), (None,) * len(hidden), output)


def layers_of(params: models.MLP) -> tuple[layers.Dense, ...]:
    """The `Dense` layers of an MLP, the output last."""
    return (*params.hidden, params.output)  # pyright: ignore[reportReturnType] # none is factored


def largest(tree) -> jax.Array:
    """The largest magnitude in each array of a tree."""
    return jnp.stack([jnp.max(jnp.abs(a)) for a in jax.tree.leaves(tree)])


def apart(got, want) -> jax.Array:
    """How far each array deviates at most, ``(arrays,)``."""
    return largest(jax.tree.map(jnp.subtract, got, want))


def gradient_deviations(options: MlpByHand) -> np.ndarray:
    """``(cases, seeds)``: the two gradients apart, per random start."""

    def deviation(names, loss, kind, x, y, net):
        penalty = Penalty(kind, STRENGTH)
        _, got = value_and_gradient(net, x, y, names, loss, penalty)
        want = jax.grad(lambda net: cost(net, x, y, names, loss, penalty))(net)
        return jnp.max(apart(got, want) / largest(want))

    found = []
    for names, loss, kind in CASES:
        x, y, _ = examples(loss, options.rows)
        nets = layers_of(starts(options.seeds, x.shape[1], 2 if loss == "cross_entropy" else 1))
        found.append(jax.jit(jax.vmap(partial(deviation, names, loss, kind, x, y)))(nets))
    return np.array(found)


def training_deviations(options: MlpByHand) -> np.ndarray:
    """``(steps + 1, seeds)``: parameters apart, by written-out gradients and by the library's training."""
    batch = examples("cross_entropy", options.rows)
    names = NETS[0]
    model = models.mlp(batch.x.shape[1], WIDTHS, 2, activation=names[:-1])
    start = starts(options.seeds, batch.x.shape[1], 2)
    # Weight decay of plain descent is the gradient of an L2 penalty on the weights.
    recipe = Recipe(model, outputs.cross_entropy, {}, optimizer("sgd", RATE, weight_decay=STRENGTH))
    library = fit(
        recipe,
        batch,
        steps=options.steps,
        seeds=range(options.seeds),
        start=start,
        every=1,
        probe=layers_of,
    ).probes

    penalty = Penalty("l2", STRENGTH, biases=False)

    def descend(params):
        def step(net, _):
            _, gradient = value_and_gradient(net, batch.x, batch.y, names, "cross_entropy", penalty)
            net = jax.tree.map(lambda w, g: w - RATE * g, net, gradient)
            return net, net

        net = layers_of(params)
        after = jax.lax.scan(step, net, length=options.steps)[1]
        return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), net, after)

    by_hand = jax.jit(jax.vmap(descend, out_axes=1))(start)
    # Relative to the whole network: a single array, such as the two last biases, may pass through 0.
    relative = jax.vmap(jax.vmap(lambda a, b: jnp.max(apart(a, b)) / jnp.max(largest(b))))
    return np.array(jax.jit(relative)(by_hand, library))


def measure(options: MlpByHand) -> dict[str, np.ndarray]:
    """Deviations of single gradients, and of whole trainings."""
    found = {"gradients": gradient_deviations(options), "training": training_deviations(options)}
    return found | measure_at_once(options.seeds)


def draw(options: MlpByHand, m: Measured) -> Plot:
    """Single gradients on the left, the course of training on the right."""
    figure = new_figure(9, 3.9)
    left, right = figure.subplots(1, 2)
    places = np.arange(len(CASES))
    for place, found, (names, _, _) in zip(places, m["gradients"], CASES):
        left.plot(np.full(len(found), place), found, "o", color=COLORS[names], mfc="none")
    for names, color in COLORS.items():
        left.plot([], [], "o", color=color, mfc="none", label=", ".join(names[:-1]))
    epsilon = np.finfo(np.float32).eps
    labels = [f"{loss.replace('_', ' ')}\n+ {kind.upper()}" for _, loss, kind in CASES]
    left.set(yscale="log", xticks=places, ylabel="gradients apart, relative", ylim=(1e-8, 1e-4))
    left.set_xticklabels(labels, fontsize=8)
    left.set_xlim(-0.6, len(CASES) - 0.4)
    steps = np.arange(len(m["training"]))
    low, middle, high = np.quantile(m["training"][1:], [0, 0.5, 1], axis=1)
    right.fill_between(steps[1:], low, high, color=GREEN, alpha=0.25, lw=0, label="all starts")
    right.plot(steps[1:], middle, color=GREEN, label="median start")
    right.set(yscale="log", xlabel="step of descent", ylabel="parameters apart, relative", ylim=(1e-8, 1e-4))
    for axes in (left, right):
        axes.axhline(epsilon, color=GRAY, ls="--", lw=1, label="spacing of float32 at 1")
        axes.legend(loc="upper left", fontsize=8)
    set_title(figure, "The written-out passes give the gradients of jax.grad, to rounding")
    return Plot(
        figure,
        {
            "step": steps,
            "training_median": np.median(m["training"], axis=1),
            "training_worst": m["training"].max(axis=1),
        },
    )


def worst(kind: str):
    """Effect: the largest deviation over starts and the cases with this penalty."""

    def effect(m):
        found = m["gradients"][[case[2] == kind for case in CASES]]
        return exact(found.max(), found.size)

    return effect


WHERE = "back-propagation"
ALGORITHMS = notes(
    WHERE, "the algorithm computes the gradients by weights and biases, including the regularization term"
)

CLAIM = Claim(
    id="F5.3",
    statement="The two algorithms for a fully connected network give the gradients of J = L + λΩ(θ) by all "
    "weights and biases, which can be used at once in gradient descent.",
    source="notes, «back-propagation»; Goodfellow et al. 2016, algorithms 6.3 and 6.4",
    options=MlpByHand,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "with L2",
            "With Ω = ½ Σ θ² over all parameters the gradient is that of jax.grad, to rounding.",
            what="largest deviation of a gradient, relative to the largest entry of its array",
            effect=worst("l2"),
            rule=Below(1e-5),
            source=ALGORITHMS,
        ),
        Part(
            "with L1",
            "With Ω = Σ |θ| over all parameters the gradient is that of jax.grad, to rounding.",
            what="largest deviation of a gradient, relative to the largest entry of its array",
            effect=worst("l1"),
            rule=Below(1e-5),
            source=ALGORITHMS,
        ),
        Part(
            "one step",
            "One step of descent with this gradient is the library's step with weight decay.",
            what="largest deviation of the parameters after a step, relative to the network's largest",
            effect=lambda m: exact(m["training"][1].max(), m["training"].shape[1]),
            rule=Below(1e-5),
            source=notes(
                WHERE, "the gradients can be used at once in the update of stochastic gradient descent"
            ),
        ),
        Part(
            "a training",
            "A whole training with this gradient is the library's training.",
            what="largest deviation of the parameters over all steps, relative to the network's largest",
            effect=lambda m: exact(m["training"].max(), m["training"].shape[1]),
            rule=Below(1e-3),
            source=ours("small deviations could add up over many steps"),
            # Two ways of computing one training are compared; how far it gets does not matter.
            learned=None,
        ),
        *PARTS,
    ),
    method="Data: {options.rows} rows of a medical table with two classes, and of another with numbers as "
    "targets. Networks: two hidden layers of 24 and 16 units, {options.seeds} random starts, between them "
    "five activations, three losses and two penalties. The gradients by the notes' algorithms are compared "
    "with those of jax.grad, and {options.steps} steps of gradient descent with the library's training "
    "with weight decay. A step of 12 layers that are updated one by one is compared with an ordinary step.",
    revised="The three parts on updating each layer at once were added later.",
)
