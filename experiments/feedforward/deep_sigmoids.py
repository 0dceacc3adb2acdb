"""Deep stacks of sigmoid, tanh and ReLU units: which of them train.

The notes: tanh z = 2σ(2z) − 1; sigmoid units saturate in most of their domain, and the saturation makes
learning by gradient very hard; where such a unit has to be used tanh does better, for near 0 it is like
the identity; ReLU is the default.

Measured: networks of 2, 4 and 8 hidden layers of 64 units on handwritten digits, SGD with momentum, each
kind at each depth at its own best learning rate. Weights follow He's rule for ReLU and Glorot's for the
others. Saturated is a unit for an example where its slope g' is below a tenth of the largest (1/4 for
the sigmoid, 1 for tanh and ReLU, where it means inactive). The gradient's way down is the norm in the first
layer over that in the last hidden layer, at the start.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, layers, outputs
from dlnotes.claims import Above, Below, Claim, Measured, Options, Part, Plot, exact, mean, ratio
from dlnotes.plotting import BLUE, GREEN, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, along, evaluate, initial_params, optimizer, tune_and_train
from dlnotes.typing import Array

from ._square_stack import Stack, pre_activations, stack

KINDS = ("sigmoid", "tanh", "ReLU")
SIGMOID, TANH, RELU = range(3)
WIDTH = 64
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
FLAT = 0.1
"""Saturated is a slope below this share of the largest."""


class DeepSigmoids(Options):
    """Sizes of the experiment."""

    depths: tuple[int, ...] = Field((2, 4, 8), min_length=2, description="hidden layers, the fewest first")
    steps: int = Field(500, ge=20, description="of each training")
    batch_size: int = Field(64, ge=1, description="examples of a step")
    tuning_seeds: int = Field(2, ge=1, description="trainings at each learning rate, to choose one")


def unit(kind: Array):
    """The activation whose number may be traced."""

    def g(z: Array) -> Array:
        squashed = layers.tanh(jnp.where(kind == SIGMOID, z / 2, z))  # σ(z) = (1 + tanh(z/2)) / 2
        return jnp.where(
            kind == RELU, layers.relu(z), jnp.where(kind == SIGMOID, (1 + squashed) / 2, squashed)
        )

    return g


def starts(depth: int, hyperparams: dict[str, np.ndarray], seeds: np.ndarray) -> Stack:
    """He's rule for ReLU; for the others Glorot's, which between layers of one width is He's over √2."""
    params = initial_params(stack(WIDTH, depth, 10, layers.relu), seeds, "he")
    W, b = params.hidden
    scale = np.where(hyperparams["kind"] == RELU, 1.0, 0.5**0.5)
    return params._replace(hidden=layers.Dense(W * along(scale, W), b))


def recipe_of(depth: int):
    """What is trained, by a member's kind and learning rate."""

    def build(hyper: Hyperparams) -> Recipe:
        model = stack(WIDTH, depth, 10, unit(hyper["kind"]))
        sgd = optimizer("sgd", hyper["learning_rate"], momentum=0.9)
        return Recipe(model, outputs.cross_entropy, {"accuracy": outputs.accuracy}, sgd)

    return build


@jax.jit
def look(params: Stack, kind: Array, x: Array, y: Array) -> dict[str, Array]:
    """Saturated share of each layer, and how much of the gradient arrives at the first, of every member."""

    def one(member: tuple[Stack, Array]) -> dict[str, Array]:
        p, kind = member
        depth, g = p.hidden.W.shape[0], unit(kind)
        z = pre_activations(p, x, g)
        slope = jax.vmap(jax.grad(g))(z.reshape(-1)).reshape(z.shape) * jnp.where(kind == SIGMOID, 4.0, 1.0)

        def loss(p: Stack) -> Array:
            return jnp.mean(outputs.cross_entropy(stack(WIDTH, depth, 10, g).apply(p, x), y).total)

        norms = jnp.linalg.norm(jax.grad(loss)(p).hidden.W, axis=(1, 2))
        return {"flat": (slope < FLAT).astype(jnp.float32).mean((1, 2)), "norms": norms}

    return jax.lax.map(one, (params, kind), batch_size=4)


def measure(options: DeepSigmoids) -> dict[str, np.ndarray]:
    """Train every kind at every depth; look at slopes and gradients before and after."""
    train, _, test = data.parts_of(data.load("digits"))
    x, y = jnp.asarray(train.x[:256]), jnp.asarray(train.y[:256])
    z = np.linspace(-20, 20, 40_001, dtype=np.float32)
    identity = layers.tanh(jnp.asarray(z)) - (2 * layers.sigmoid(jnp.asarray(2 * z)) - 1)
    found: dict[str, list] = {
        name: [] for name in ("loss", "accuracy", "learning_rate", "way_down", "flat", "flat_0")
    }
    for depth in options.depths:
        trained = tune_and_train(
            recipe_of(depth),
            train,
            None,
            {"kind": range(len(KINDS))},
            {"learning_rate": RATES},
            start=partial(starts, depth),
            seeds=options.seeds,
            tuning_seeds=options.tuning_seeds,
            steps=options.steps,
            batch_size=options.batch_size,
            record=5,
        )
        kinds = jnp.asarray(trained.hyperparams["kind"])
        first = starts(depth, trained.hyperparams, np.tile(np.arange(options.seeds), len(KINDS)))
        before, after = (look(p, kinds, x, y) for p in (first, trained.fit.params))
        found["loss"].append(trained.by_method(trained.fit.history["loss"]))
        accuracy = evaluate(recipe_of(depth), trained.hyperparams, trained.fit.params, test)["accuracy"]
        found["accuracy"].append(trained.by_method(accuracy))
        found["learning_rate"].append(np.array(RATES)[trained.chosen])
        found["way_down"].append(trained.by_method(before["norms"][:, 0] / before["norms"][:, -1]))
        found["flat"].append(trained.by_method(after["flat"].max(1)))
        found["flat_0"].append(trained.by_method(before["flat"].max(1)))
    # loss (depths, recorded steps, kinds, seeds); the others (depths, kinds, seeds)
    return {"identity": np.abs(np.asarray(identity)), **{k: np.array(v) for k, v in found.items()}}


def slow(m: Measured, depth: int, kind: int) -> np.ndarray:
    """Mean training loss over the whole training, ``(seeds,)``: what is learned late counts against."""
    return m["loss"][depth, :, kind].mean(0)


def draw(options: DeepSigmoids, m: Measured) -> Plot:
    """Training of the deepest networks, and loss, gradient and saturation by depth."""
    figure = new_figure(10, 3.9)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.25, 1, 1])
    columns = ("depth", "activation", "learning_rate", "mean_loss", "last_loss", "test_accuracy")
    table: dict[str, list] = {name: [] for name in (*columns, "gradient_first_over_last", "saturated")}
    steps = np.linspace(5, options.steps, m["loss"].shape[1])
    for k, (kind, color, marker) in enumerate(zip(KINDS, (ORANGE, BLUE, GREEN), "osd")):
        low, mid, high = np.quantile(m["loss"][-1, :, k], [0.1, 0.5, 0.9], axis=1)
        left.fill_between(steps, low, high, color=color, alpha=0.2, lw=0)
        left.plot(steps, mid, color=color, lw=1.4, label=f"{kind}, rate {m['learning_rate'][-1, k]:g}")
        for axis, values in ((middle, m["way_down"][:, k]), (right, 100 * m["flat"][:, k])):
            spread = np.quantile(values, [0.1, 0.5, 0.9], axis=-1)
            bars = np.abs(spread[[0, 2]] - spread[1])
            axis.errorbar(options.depths, spread[1], bars, color=color, marker=marker,
                          capsize=3, label=kind)  # fmt: skip
        for d, depth in enumerate(options.depths):
            means = (
                slow(m, d, k),
                m["loss"][d, -1, k],
                *(m[v][d, k] for v in ("accuracy", "way_down", "flat")),
            )
            row = (depth, kind, m["learning_rate"][d, k], *(v.mean() for v in means))
            for name, value in zip(table, row):
                table[name].append(value)
    left.set(xlabel="step", ylabel="training loss (nats), median and 80%", yscale="log")
    left.set_title(f"{options.depths[-1]} hidden layers")
    left.legend(fontsize=9)
    middle.set(yscale="log", xlabel="hidden layers", ylabel="gradient norm, first layer over last")
    middle.set_title("at the start")
    right.set(xlabel="hidden layers", ylabel="units × examples with g′ < 10% (%)", ylim=(-3, 103))
    right.set_title("after training, worst layer")
    for axis in (middle, right):
        axis.set_xticks(options.depths)
    accuracy = 100 * m["accuracy"][-1].mean(-1)
    set_title(
        figure,
        f"Eight layers deep, sigmoid networks reach {accuracy[SIGMOID]:.0f}% test accuracy, "
        f"tanh {accuracy[TANH]:.0f}%, ReLU {accuracy[RELU]:.0f}% ({options.steps} steps)",
    )
    return Plot(figure, table)


CLAIM = Claim(
    id="F3.5",
    statement="tanh z = 2σ(2z) − 1. Deep stacks of sigmoid units saturate, which makes learning by gradient "
    "very hard; tanh typically does better; ReLU is best.",
    source="notes, «unidades escondidas»; Goodfellow et al. 2016, 6.3.2; Glorot and Bengio 2010",
    options=DeepSigmoids,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "identity",
            "tanh z = 2σ(2z) − 1.",
            what="largest |difference| on [−20, 20], float32",
            effect=lambda m: exact(m["identity"].max()),
            rule=Below(1e-6),
        ),
        Part(
            "sigmoid slower than tanh",
            "Eight layers deep, sigmoid units train more slowly than tanh units.",
            what="mean training loss over training, sigmoid over tanh",
            effect=lambda m: ratio(slow(m, -1, SIGMOID), slow(m, -1, TANH)),
            rule=Above(1.0),
        ),
        Part(
            "tanh slower than ReLU",
            "Eight layers deep, tanh units train more slowly than ReLU units.",
            what="mean training loss over training, tanh over ReLU",
            effect=lambda m: ratio(slow(m, -1, TANH), slow(m, -1, RELU)),
            rule=Above(1.0),
        ),
        Part(
            "depth is what hurts",
            "Sigmoid units fall behind tanh more at eight layers than at two.",
            what="(sigmoid over tanh, mean training loss) at 8 layers over that at 2",
            effect=lambda m: ratio(
                slow(m, -1, SIGMOID) / slow(m, -1, TANH), slow(m, 0, SIGMOID) / slow(m, 0, TANH)
            ),
            rule=Above(1.0),
        ),
        Part(
            "gradient fades",
            "Less of the gradient reaches the first of eight layers through sigmoid than through tanh units.",
            what="norm in the first layer over that in the last, at the start, sigmoid over tanh",
            effect=lambda m: ratio(m["way_down"][-1, SIGMOID], m["way_down"][-1, TANH]),
            rule=Below(1.0),
        ),
        Part(
            "sigmoid saturates",
            "Saturation becomes general: most units of the worst layer of eight are flat after training.",
            what="share of sigmoid units × examples whose slope is below a tenth of 1/4, worst layer",
            effect=lambda m: mean(m["flat"][-1, SIGMOID]),
            rule=Above(0.5),
        ),
    ),
    reading="Eight layers of sigmoid units stay at chance, but hardly a unit of them is flat: the slope "
    "of a sigmoid is at most 1/4, and the gradient fades on its way down. Two layers, which do "
    "learn, saturate most. tanh against ReLU, each at its own best rate: tanh falls faster at "
    "first, which decides the mean over training; after 500 steps the loss of ReLU is the lower.",
    revised="Learning rates were at first chosen by the validation loss; they are chosen by the training "
    "loss now, which is what is compared. The grid was extended upwards. No part changed its "
    "verdict.",
)
