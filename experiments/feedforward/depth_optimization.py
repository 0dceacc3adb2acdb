"""Deeper networks are harder to optimize: training loss by depth, at each depth's own rate.

The notes: deeper networks can usually use fewer units in each layer and far fewer parameters, and often
generalize to the test set; but they are harder to optimize.

Measured: perceptrons of 1 to 32 hidden layers, all as wide, without shortcuts or normalization, learn images
of MNIST by Adam. A deeper one can compute what a less deep one computes, or nearly so, since it has all of
its layers and more: so if its loss on the very images that it learns from stays larger, the optimization is
what is harder, not the task. Each depth has its own learning rate. Beside them networks whose layers are
narrower the more there are, so that all have about as many parameters.
"""

from __future__ import annotations

from typing import Any, Literal

import jax
import numpy as np
from pydantic import Field, field_validator
from scipy.stats import rankdata

from dlnotes import data, models, outputs
from dlnotes.claims import (
    Above,
    Claim,
    Interval,
    Measured,
    Options,
    Part,
    Plateau,
    Plot,
    mean,
    notes,
    ours,
    paired,
)
from dlnotes.plotting import BLUE, GREEN, ORANGE, new_figure, set_title
from dlnotes.training import (
    Hyperparams,
    Recipe,
    RecipeOf,
    evaluate,
    optimizer,
    schedules,
    tune_briefly_and_train,
)

INPUTS, CLASSES = 784, 10
RATES = (0.0001, 0.0003, 0.001, 0.003)
RELU, TANH, NARROW = range(3)
ARMS = ("ReLU", "tanh", "ReLU, equal parameters")
COLORS = (BLUE, ORANGE, GREEN)
HALF, END = range(2)
SHALLOW = 2
"""Hidden layers of the networks that the deepest are compared with."""
FIRST_SEED = 45_300


class DepthOptimization(Options):
    """Sizes of the experiment."""

    images: int = Field(10_000, ge=100, description="training images")
    width: int = Field(64, ge=2, description="units of each hidden layer")
    depths: tuple[int, ...] = Field(
        (1, 2, 4, 8, 16, 32), min_length=2, description="hidden layers, increasing, 2 among them"
    )
    steps: int = Field(6000, ge=4, description="of each training")
    batch_size: int = Field(100, ge=1, description="images of a step")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each learning rate, to choose one")
    tuning_steps: int = Field(1500, ge=2, description="steps of those trainings")

    @field_validator("depths")
    @classmethod
    def _increase(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if list(value) != sorted(set(value)) or value[0] < 1 or SHALLOW not in value[:-1]:
            raise ValueError(f"got {value}, needed are increasing numbers with {SHALLOW} before the last")
        return value


def size(model: models.Model) -> int:
    """Number of a network's parameters."""
    return sum(a.size for a in jax.tree.leaves(jax.eval_shape(model.init, jax.random.key(0))))


def network(arm: int, depth: int, width: int) -> models.Model:
    """A perceptron of an arm; of equal parameters it has about those of two layers of this width."""
    if arm == NARROW:
        most = size(perceptron(SHALLOW, width))
        width = min(range(2, 2 * width), key=lambda n: abs(size(perceptron(depth, n)) - most))
    return perceptron(depth, width, "tanh" if arm == TANH else "relu")


def perceptron(depth: int, width: int, activation: Literal["relu", "tanh"] = "relu") -> models.Model:
    """Hidden layers without shortcuts; weights start so that signals keep their size."""
    start = "he_normal" if activation == "relu" else "glorot_uniform"
    return models.mlp(INPUTS, (width,) * depth, CLASSES, activation=activation, initializer=start)


def losses(arm: int, depth: int, train: data.Examples, o: DepthOptimization) -> dict[str, Any]:
    """Loss on all training images of every seed, after half of the steps and after all, and the rate."""
    model = network(arm, depth, o.width)
    half = o.steps // 2

    def recipe_of(steps: int) -> RecipeOf:
        fall = schedules.cosine_restarts(steps, cycles=2)

        def of(hyper: Hyperparams) -> Recipe:
            adam = optimizer("adam", hyper["rate"], factor=fall)
            return Recipe(model, outputs.cross_entropy, {"accuracy": outputs.accuracy}, adam)

        return of

    found = tune_briefly_and_train(
        recipe_of,
        train,
        train,
        {"all": [0]},
        {"rate": RATES},
        seeds=o.seeds,
        tuning_seeds=o.tuning_seeds,
        first_seed=FIRST_SEED,
        steps=2 * half,
        tuning_steps=o.tuning_steps,
        batch_size=o.batch_size,
        record=half,
        every=half,
        probe=lambda params: params,
    )
    judge = recipe_of(2 * half)
    moments = [jax.tree.map(lambda a, i=i: a[i], found.fit.probes) for i in (1, 2)]
    judged = [evaluate(judge, found.hyperparams, params, train) for params in moments]
    return {
        "loss": np.array([one["loss"] for one in judged]),
        "error": 100 - 100 * np.array([one["accuracy"] for one in judged]),
        "rate": RATES[found.chosen[0]],
        "parameters": size(model),
    }


def measure(options: DepthOptimization) -> dict[str, np.ndarray]:
    """Train networks of every depth in every arm."""
    train = data.parts_of(data.load("mnist"), options.images, 100, 100)[0]
    found = [[losses(arm, depth, train, options) for depth in options.depths] for arm in range(len(ARMS))]
    # loss and error (arms, depths, half and end, seeds); rate and parameters (arms, depths)
    return {name: np.array([[one[name] for one in row] for row in found]) for name in found[0][0]} | {
        "depths": np.array(options.depths)
    }


def harder(m: Measured, arm: int, when: int = END) -> Interval:
    """Training loss of the deepest networks minus that of those with two hidden layers, nats."""
    shallow = m["depths"].tolist().index(SHALLOW)
    return paired(m["loss"][arm, -1, when], m["loss"][arm, shallow, when])


def rises(m: Measured, arm: int) -> Interval:
    """Rank correlation of the training loss with depth, from two hidden layers on, by seed."""
    found = m["loss"][arm, m["depths"] >= SHALLOW, END]
    depth = np.arange(len(found)) - (len(found) - 1) / 2
    ranks = np.stack([rankdata(row) - (len(row) + 1) / 2 for row in found.T])
    lengths = np.linalg.norm(ranks, axis=1) * np.linalg.norm(depth)
    return mean(ranks @ depth / np.maximum(lengths, 1e-12))


def draw(options: DepthOptimization, m: Measured) -> Plot:
    """Training loss by depth of the three arms, seeds as points."""
    figure = new_figure(7.6, 4.4)
    axis = figure.subplots()
    columns = ("network", "hidden_layers", "parameters", "rate", "training_loss", "low", "high",
               "loss_half", "training_error_percent")  # fmt: skip
    table: dict[str, list] = {name: [] for name in columns}
    for arm, (name, color, marker) in enumerate(zip(ARMS, COLORS, "osd")):
        values = m["loss"][arm, :, END]
        places = m["depths"] * 1.05 ** (arm - 1)
        axis.plot(places, values.mean(1), marker + "-", color=color, label=name, mec="white")
        for place, points in zip(places, values):
            axis.plot(np.full(len(points), place), points, ".", color=color, alpha=0.35)
        for i, depth in enumerate(m["depths"]):
            spread = mean(values[i])
            row = (name, int(depth), m["parameters"][arm, i], m["rate"][arm, i], *spread[:3],
                   m["loss"][arm, i, HALF].mean(), m["error"][arm, i, END].mean())  # fmt: skip
            for column, value in zip(table.values(), row):
                column.append(value)
    axis.set(xscale="log", yscale="log", xlabel="hidden layers", ylabel="training loss (nats): seeds, mean")
    axis.set_xticks(m["depths"], [str(d) for d in m["depths"]])
    axis.set_xticks([], minor=True)
    axis.legend(fontsize=9)
    found = [harder(m, arm) for arm in (RELU, TANH)]
    set_title(
        figure,
        f"Training loss of {options.depths[-1]} layers minus that of {SHALLOW}: "
        + ", ".join(f"{ARMS[k]} {f.value:+.3f} [{f.low:+.3f}, {f.high:+.3f}]" for k, f in enumerate(found)),
    )
    return Plot(figure, table)


HARDER = notes("diseño de la arquitectura", "deeper networks are harder to optimize")


def _harder(arm: int, statement: str, source: Any) -> Part:
    return Part(
        f"harder, {ARMS[arm]}",
        statement,
        what="loss on the training images of the deepest networks minus that of two hidden layers, nats",
        effect=lambda m: harder(m, arm),
        rule=Above(0.0),
        source=source,
        learned=Plateau(half=lambda m: harder(m, arm, HALF)),
    )


CLAIM = Claim(
    id="F4.5c",
    statement="Deeper networks are harder to optimize: at its own best rate a deeper one keeps a larger loss "
    "on the images that it learns from, though it can compute what a less deep one computes.",
    source="notes, «diseño de la arquitectura»; Goodfellow et al. 2016, 6.4.1; He et al. 2016",
    options=DepthOptimization,
    measure=measure,
    draw=draw,
    method=f"Perceptrons of {{options.depths}} hidden layers of {{options.width}} units, without "
    f"shortcuts or normalization, learn {{options.images}} images of MNIST by Adam for "
    f"{{options.steps}} steps of {{options.batch_size}}; the rate falls to zero along a cosine "
    f"over each half. Weights start by He's rule, with tanh by Glorot's. In a third arm layers are "
    f"narrower the more there are, with about as many parameters. Each depth of each arm has its "
    f"own rate of {len(RATES)}, chosen by the loss on the training images of "
    f"{{options.tuning_seeds}} other seeds after {{options.tuning_steps}} steps. {{options.seeds}} "
    f"seeds are judged by the loss on all training images after the last step.",
    parts=(
        _harder(RELU, "With ReLU units the deepest networks end at a larger training loss.", HARDER),
        _harder(TANH, "With tanh units the deepest networks end at a larger training loss.", HARDER),
        _harder(
            NARROW,
            "With as many parameters the deepest networks end at a larger training loss.",
            ours("the notes say that deeper networks use fewer units; but narrow layers can hold less too"),
        ),
        *(
            Part(
                f"by depth, {ARMS[arm]}",
                f"With {ARMS[arm]} units the training loss rises with depth from two hidden layers on.",
                what="rank correlation of training loss with depth",
                effect=lambda m, arm=arm: rises(m, arm),
                rule=Above(0.5),
                source=ours("whether it is gradual or a matter of the deepest alone"),
            )
            for arm in (RELU, TANH)
        ),
    ),
    facts=lambda m: (
        {
            f"{name} {what}": f"{m[what][arm, :, END].mean(-1)[place]:.4f}"
            for arm, name in ((RELU, "relu"), (TANH, "tanh"), (NARROW, "narrow"))
            for what, place in (("loss", -1),)
        }
        | {
            f"{name} shallow": f"{m['loss'][arm, m['depths'].tolist().index(SHALLOW), END].mean():.4f}"
            for arm, name in ((RELU, "relu"), (TANH, "tanh"), (NARROW, "narrow"))
        }
        | {
            f"{name} error": f"{m['error'][arm, -1, END].mean():.2f}"
            for arm, name in ((RELU, "relu"), (TANH, "tanh"))
        }
    ),
    reading="Two hidden layers end at a training loss of {facts[relu shallow]} (ReLU) and "
    "{facts[tanh shallow]} (tanh), the deepest networks at {facts[relu loss]} and {facts[tanh loss]}, with "
    "{facts[relu error]}% and {facts[tanh error]}% of the training images wrong. With as many parameters "
    "they end at {facts[narrow loss]} instead of {facts[narrow shallow]}. Shortcuts and normalization, which "
    "mend it, are in other rows.",
)
