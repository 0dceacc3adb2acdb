"""How useful the direction of the gradient is with ReLU units, and with units that bend.

The notes: the second derivative of ReLU is 0 almost everywhere and the first is 1 wherever a unit is active,
so that the direction of the gradient is more useful for learning than with units that bring in effects of
second order.

Measured: perceptrons of ReLU, tanh and sigmoid units on MNIST, trained by plain SGD, each at its own best
rate. At several moments the gradient over many training images is compared with the way that the training
still has before it: the cosine between −∇J and the difference of the last parameters and those now. The
Hessian's product with the gradient gives the curvature c along it. It is also told without a unit: a step
along −∇J that would take the tenth part of the loss away, if there were no second order, gets the share
J·c / (20·‖∇J‖²) of that taken back. A search along −∇J shows how much of the loss one step can take away.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import analysis, data, layers, models, outputs
from dlnotes.analysis.curvature import inner
from dlnotes.claims import (
    Above,
    Below,
    Claim,
    Interval,
    Level,
    Measured,
    Options,
    Part,
    Plot,
    Source,
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
    along,
    evaluate,
    initial_params,
    optimizer,
    schedules,
    tune_briefly_and_train,
)
from dlnotes.typing import Array, Params

from ._image_networks import Dense3, cost_of, perceptron, whole_gradient

UNITS = ("ReLU", "tanh", "sigmoid")
RELU, TANH, SIGMOID = range(len(UNITS))
COLORS = (GREEN, BLUE, ORANGE)
RATES = np.array([[0.03, 0.1, 0.3, 1.0], [0.03, 0.1, 0.3, 1.0], [0.1, 0.3, 1.0, 3.0]])
SHARE = 0.1
"""Of the loss, that a step would take away if there were no second order."""
SEARCHED = tuple(float(s) for s in np.geomspace(0.01, 30, 12))
"""Steps along −∇J that are tried."""
SIGHTS = ("cosine", "curvature", "bend", "progress")
CHUNK = 1000
FIRST_SEED = 3130


class UsefulGradients(Options):
    """Sizes of the experiment."""

    images: int = Field(55_000, ge=100, description="training images")
    test: int = Field(10_000, ge=100, description="test images")
    looked_at: int = Field(10_000, ge=10, description="training images whose gradient is looked at")
    width: int = Field(64, ge=1, description="units of each of the two hidden layers")
    steps: int = Field(4000, ge=20, description="of each training")
    batch_size: int = Field(100, ge=1, description="images of a step")
    moments: int = Field(8, ge=2, description="equal parts of a training; each begins with a look")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each learning rate, to choose one")
    tuning_steps: int = Field(500, ge=1, description="steps of those trainings")


def unit(kind: Array):
    """The activation whose number may be traced."""

    def g(z: Array) -> Array:
        squashed = layers.tanh(jnp.where(kind == SIGMOID, z / 2, z))  # σ(z) = (1 + tanh(z/2)) / 2
        return jnp.where(
            kind == RELU, layers.relu(z), jnp.where(kind == SIGMOID, (1 + squashed) / 2, squashed)
        )

    return g


def starts(width: int, hyperparams: dict[str, np.ndarray], seeds: np.ndarray) -> Dense3:
    """He's rule for ReLU, Glorot's for tanh, and four times Glorot's for the sigmoid."""
    he = initial_params(perceptron(width, layers.relu), seeds, "he")
    kind = hyperparams["kind"]

    def scaled(layer: layers.Dense) -> layers.Dense:
        inputs, units = layer.W.shape[-2:]
        glorot = (inputs / (inputs + units)) ** 0.5
        times = np.select([kind == RELU, kind == TANH], [np.ones_like(kind), glorot], 4 * glorot)
        return layer._replace(W=layer.W * along(times, layer.W))

    return he._replace(first=scaled(he.first), second=scaled(he.second))


def recipe_of(width: int, steps: int) -> RecipeOf:
    """Plain SGD; the rate falls to zero over the steps."""

    def of(hyper: Hyperparams) -> Recipe:
        sgd = optimizer("sgd", hyper["learning_rate"], factor=schedules.cosine(steps))
        model = perceptron(width, unit(hyper["kind"]))
        return Recipe(model, outputs.cross_entropy, {"accuracy": outputs.accuracy}, sgd)

    return of


def seen(model: models.Model, now: Params, last: Params, examples: data.Examples) -> dict[str, Array]:
    """What is seen at one moment of one training.

    Returns:
      "cosine" of −∇J with the way to the last parameters; "curvature" along ∇J; "bend", the share of a
      step's effect that the second order takes back; "progress", the share of the loss that the best step
      takes away.
    """
    loss, slope = whole_gradient(model, now, examples, CHUNK)
    rows = jax.tree.map(lambda a: jnp.asarray(a[: len(a) // 2]), (examples.x, examples.y))
    cost = cost_of(model, *rows)
    curvature = analysis.curvature_along(cost, now, slope)
    square = inner(slope, slope)
    way = jax.tree.map(jnp.subtract, last, now)
    tried = jax.lax.map(
        lambda s: cost(jax.tree.map(lambda p, g: p - s * g, now, slope)), jnp.asarray(SEARCHED)
    )
    return {
        "loss": loss,
        "cosine": -analysis.cosine_between(slope, way),
        "curvature": curvature,
        "bend": SHARE / 2 * loss * curvature / square,
        "progress": 1 - jnp.min(tried) / cost(now),
    }


def measure(options: UsefulGradients) -> dict[str, np.ndarray]:
    """Train all units; look at every training now and then."""
    sets = data.parts_of(data.load("mnist"), options.images, 5000, options.test)
    train, validation, test = sets
    every = options.steps // options.moments
    steps = every * options.moments
    of = partial(recipe_of, options.width)
    found = tune_briefly_and_train(
        of,
        train,
        validation,
        {"kind": np.arange(len(UNITS))},
        {"learning_rate": RATES},
        start=partial(starts, options.width),
        seeds=options.seeds,
        tuning_seeds=options.tuning_seeds,
        first_seed=FIRST_SEED,
        steps=steps,
        tuning_steps=options.tuning_steps,
        batch_size=options.batch_size,
        record=every,
        every=every,
        probe=lambda params: params,
    )
    shown = data.Examples(train.x[: options.looked_at], train.y[: options.looked_at])

    def look(member: tuple[Params, Params, Array]) -> dict[str, Array]:
        now, last, kind = member
        return seen(perceptron(options.width, unit(kind)), now, last, shown)

    look_at_all = jax.jit(lambda all: jax.lax.map(look, all))
    kinds = jnp.asarray(found.hyperparams["kind"])
    looks = [
        look_at_all((jax.tree.map(lambda a, i=i: a[i], found.fit.probes), found.fit.params, kinds))
        for i in range(options.moments)
    ]
    accuracy = evaluate(of(steps), found.hyperparams, found.fit.params, test)["accuracy"]
    return {
        **{name: found.by_method([each[name] for each in looks]) for name in looks[0]},
        "accuracy": found.by_method(100 * accuracy),
        "learning_rate": RATES[np.arange(len(UNITS)), found.chosen],
        "tuning": found.tuning,
    }  # the looks (moments, units, seeds), accuracy (units, seeds)


def gap(m: Measured, sight: str, a: int, b: int) -> Interval:
    """What is seen of unit a minus that of unit b, means over all moments."""
    return paired(*(m[sight][:, u].mean(0) for u in (a, b)))


def draw(options: UsefulGradients, m: Measured) -> Plot:
    """What is seen over the training, medians and spread over seeds."""
    figure = new_figure(12, 3.8)
    axes = figure.subplots(1, 4)
    titles = ("cosine of −∇J and the way left", "curvature along ∇J", "second order takes back",
              "best step takes away")  # fmt: skip
    steps = np.arange(options.moments) * (options.steps // options.moments)
    table: dict[str, list] = {name: [] for name in ("unit", "learning_rate", "step", "loss", *SIGHTS)}
    for u, (name, color, marker) in enumerate(zip(UNITS, COLORS, "osd")):
        for axis, sight in zip(axes, SIGHTS):
            times = 100 if sight in ("bend", "progress") else 1
            low, middle, high = times * np.quantile(m[sight][:, u], [0.1, 0.5, 0.9], axis=1)
            axis.fill_between(steps, low, high, color=color, alpha=0.2, lw=0)
            axis.plot(steps, middle, marker + "-", ms=3, color=color, label=name)
        for i, step in enumerate(steps):
            values = (np.median(m[s][i, u]) for s in ("loss", *SIGHTS))
            for column, value in zip(table, (name, m["learning_rate"][u], step, *values)):
                table[column].append(value)
    for axis, title in zip(axes, titles):
        axis.set(xlabel="step")
        axis.set_title(title, fontsize=10)
    axes[0].set_ylabel("median and 80% of seeds")
    axes[1].set_yscale("symlog", linthresh=0.1)
    axes[2].set_ylabel("% of a step for a tenth of the loss")
    axes[2].set_yscale("symlog", linthresh=1)
    axes[3].set_ylabel("% of the loss")
    axes[0].legend(fontsize=8)
    means = m["cosine"].mean((0, 2))
    set_title(
        figure,
        "Mean cosine of −∇J with the way to the later optimum: "
        + ", ".join(f"{name} {c:.3f}" for name, c in zip(UNITS, means)),
    )
    return Plot(figure, table)


SECTION = "unidades escondidas"
LEVEL = Level(
    what="test accuracy of the least accurate of the three units, %; LeCun et al. 1998 report 95.3 of one "
    "hidden layer of 300 units",
    effect=lambda m: mean(m["accuracy"][m["accuracy"].mean(-1).argmin()]),
    rule=Above(95.3),
)
USEFUL = notes(
    SECTION, "the direction of the gradient is more useful than with units that bring in second-order effects"
)
FLAT = notes(SECTION, "ReLU's second derivative is 0 almost everywhere, which saves second-order effects")


def _part(sight: str, other: int, name: str, statement: str, what: str, above: bool, source: Source) -> Part:
    return Part(
        f"{name}, {UNITS[other]}",
        statement.format(other=UNITS[other]),
        what=f"{what}, ReLU minus {UNITS[other]}, mean over moments",
        effect=lambda m: gap(m, sight, RELU, other),
        rule=Above(0.0) if above else Below(0.0),
        source=source,
        learned=LEVEL,
    )


CLAIM = Claim(
    id="F3.13",
    statement="The derivative of ReLU is 1 where a unit is active and its second derivative 0: the "
    "direction of the gradient is more useful for learning than with units that bring in effects of second "
    "order.",
    source="notes, «unidades escondidas»; Goodfellow et al. 2016, 6.3.1",
    options=UsefulGradients,
    measure=measure,
    draw=draw,
    method="Perceptrons of two hidden layers of {options.width} units on MNIST, {options.images} training "
    "images, trained by plain SGD for {options.steps} steps of {options.batch_size} images; the rate falls "
    "to zero along a cosine. ReLU starts at He's weights, tanh at Glorot's, sigmoid at four times those. "
    f"Each unit has its own rate of {RATES.shape[1]}, chosen by the validation loss of "
    f"{{options.tuning_seeds}} other seeds after "
    "{options.tuning_steps} steps. At the begin of each of {options.moments} parts of a training the "
    "gradient over {options.looked_at} training images is compared with the way to the last parameters, and "
    "the curvature along it is taken by a product with the Hessian over half of these images. "
    "{options.seeds} seeds are judged.",
    parts=(
        *(
            _part(
                "cosine",
                other,
                "points to the optimum",
                "The gradient of ReLU networks points more towards where training ends than that of {other} "
                "networks.",
                "cosine between −∇J and the way to the last parameters",
                True,
                USEFUL,
            )
            for other in (TANH, SIGMOID)
        ),
        *(
            _part(
                "bend",
                other,
                "less of second order",
                "Along the gradient ReLU networks have less of second order than {other} networks.",
                "share of a step for a tenth of the loss that the second-order term takes back",
                False,
                FLAT,
            )
            for other in (TANH, SIGMOID)
        ),
        *(
            _part(
                "curvature",
                other,
                "curvature",
                "The curvature along the gradient is less with ReLU than with {other}.",
                "∇Jᵀ H ∇J / ‖∇J‖²",
                False,
                ours("the bare number, which also depends on how large gradients are"),
            )
            for other in (TANH, SIGMOID)
        ),
        *(
            _part(
                "progress",
                other,
                "one best step",
                "The best single step along −∇J takes more of the loss away with ReLU than with {other}.",
                "share of the loss that the best of the searched steps takes away",
                True,
                ours("what the gradient's direction alone can do, all orders included"),
            )
            for other in (TANH, SIGMOID)
        ),
    ),
    facts=lambda m: {
        **{f"cosine {n}": f"{v:.3f}" for n, v in zip(UNITS, m["cosine"].mean((0, 2)))},
        **{f"progress {n}": f"{100 * v:.1f}" for n, v in zip(UNITS, m["progress"].mean((0, 2)))},
        **{f"accuracy {n}": f"{v:.1f}" for n, v in zip(UNITS, m["accuracy"].mean(1))},
    },
    reading="The mean cosine is {facts[cosine ReLU]} with ReLU, {facts[cosine tanh]} with tanh and "
    "{facts[cosine sigmoid]} with sigmoid units, at test accuracies of {facts[accuracy ReLU]}%, "
    "{facts[accuracy tanh]}% and {facts[accuracy sigmoid]}%. The best single step takes "
    "{facts[progress ReLU]}%, {facts[progress tanh]}% and {facts[progress sigmoid]}% of the loss away. "
    "Starts differ as usual for each unit, so the comparison is of units as they are used.",
)
