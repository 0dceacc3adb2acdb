"""Radial basis units: 0 almost everywhere, hard to train from random centers, easier from data points.

The notes: h_i = exp(−‖W_i − x‖²/σ_i²) is active where x is near W_i; as it saturates to 0 for most x it
can be hard to optimize.

Measured, on handwritten digits: (1) units of σ = 1 with random normal centers on 1 to 64 of the
standardized pixels: the share of units × examples with h < 10⁻⁶, and of units whose mean gradient over
all training examples is below 10⁻⁶. (2) Networks of 64 units started at random centers and at training
examples, and a network of 64 ReLU units, trained by Adam, each with its own best learning rate and σ.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, layers, models, outputs
from dlnotes.claims import Above, Claim, Measured, Options, Part, Plot, mean, paired, ratio
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, Tuned, evaluate, initial_params, optimizer, tune_and_train
from dlnotes.typing import Array

DIMENSIONS = (1, 2, 4, 8, 16, 32, 64)
UNITS = 64
DEAD = 1e-6
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
SIGMAS = (2.0, 4.0, 8.0, 16.0)
RANDOM, POINTS = 0, 1
NAMES = ("random centers", "centers at examples", "ReLU")


class RbfStarts(Options):
    """Sizes of the experiment."""

    steps: int = Field(400, ge=10, description="of each training")
    batch_size: int = Field(64, ge=1, description="examples of a step")
    tuning_seeds: int = Field(2, ge=1, description="trainings with each rate and σ, to choose one")


RADIAL = models.rbf_network(64, UNITS, 10)
RECTIFIED = models.mlp(64, (UNITS,), 10)


def recipe_of_radial(hyper: Hyperparams) -> Recipe:
    """Adam on the classes; the starts hold σ and the centers."""
    adam = optimizer("adam", hyper["learning_rate"])
    return Recipe(RADIAL, outputs.cross_entropy, {"accuracy": outputs.accuracy}, adam)


def recipe_of_rectified(hyper: Hyperparams) -> Recipe:
    """The same with ReLU units."""
    return recipe_of_radial(hyper)._replace(model=RECTIFIED)


def starts(hyperparams: dict[str, np.ndarray], seeds: np.ndarray, x: np.ndarray) -> models.RBFNetwork:
    """As `layers.init_rbf` starts centers: normal of deviation 1, or different rows of ``x``."""
    params = initial_params(RADIAL, seeds, "he")
    centers = []
    for seed, points in zip(seeds, hyperparams["points"]):
        rng = np.random.default_rng([seed, 1])
        at_random = rng.standard_normal((64, UNITS))
        centers.append(x[rng.permutation(len(x))[:UNITS]].T if points else at_random)
    log_sigma = np.repeat(np.log(hyperparams["sigma"])[:, None], UNITS, axis=1)
    return params._replace(hidden=layers.RBF(np.array(centers, np.float32), log_sigma.astype(np.float32)))


def saturation(x: np.ndarray, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares of pairs with h < 10⁻⁶ and of units without a gradient, each ``(dimensions, seeds)``.

    The dimensions are pixels drawn anew by each seed. The gradient of a unit is the norm of
    ``∂h/∂W = 2 h (x − W)``, averaged over the examples.
    """

    @jax.jit
    def look(W: Array, x: Array) -> tuple[Array, Array]:
        h = layers.rbf(layers.RBF(W, jnp.zeros(UNITS)), x)
        gradient = 2 * h * jnp.sqrt(-jnp.log(jnp.maximum(h, 1e-37)))  # ‖x − W‖² = −log h at σ = 1
        return jnp.mean((h < DEAD).astype(jnp.float32)), jnp.mean(
            (gradient.mean(0) < DEAD).astype(jnp.float32)
        )

    pairs, units = np.zeros((2, len(DIMENSIONS), seeds))
    for i, d in enumerate(DIMENSIONS):
        for seed in range(seeds):
            rng = np.random.default_rng([seed, d])
            pixels = rng.permutation(x.shape[1])[:d]
            W = rng.standard_normal((d, UNITS)).astype(np.float32)
            pairs[i, seed], units[i, seed] = look(W, x[:, pixels])
    return pairs, units


def measure(options: RbfStarts) -> dict[str, np.ndarray]:
    """Saturation, then training from both starts and of ReLU units."""
    train, validation, test = data.parts_of(data.load("digits"))
    grid = {"learning_rate": np.repeat(RATES, len(SIGMAS)), "sigma": np.tile(SIGMAS, len(RATES))}
    how = dict(
        seeds=options.seeds,
        tuning_seeds=options.tuning_seeds,
        steps=options.steps,
        batch_size=options.batch_size,
        record=4,
    )
    radial = tune_and_train(
        recipe_of_radial,
        train,
        validation,
        {"points": [0, 1]},
        grid,
        start=lambda hyperparams, seeds: starts(hyperparams, seeds, train.x),
        **how,
    )
    rectified = tune_and_train(
        recipe_of_rectified,
        train,
        validation,
        {"all": [1]},
        {"learning_rate": RATES},
        start=lambda hyperparams, seeds: initial_params(RECTIFIED, seeds, "he"),
        **how,
    )

    def accuracy(trained: Tuned, recipe_of) -> np.ndarray:
        found = evaluate(recipe_of, trained.hyperparams, trained.fit.params, test)["accuracy"]
        return trained.by_method(found)

    pairs, units = saturation(train.x, options.seeds)
    losses = [t.by_method(t.fit.history["loss"]) for t in (radial, rectified)]
    return {
        "dead_pairs": pairs,
        "dead_units": units,
        "loss": np.concatenate(losses, axis=1),  # (recorded steps, rivals, seeds)
        "accuracy": np.concatenate(
            [accuracy(radial, recipe_of_radial), accuracy(rectified, recipe_of_rectified)]
        ),
        "sigma": grid["sigma"][radial.chosen],
        "learning_rate": np.append(grid["learning_rate"][radial.chosen], np.array(RATES)[rectified.chosen]),
    }


def slow(m: Measured, rival: int) -> np.ndarray:
    """Mean training loss over the whole training, ``(seeds,)``."""
    return m["loss"][:, rival].mean(0)


def draw(options: RbfStarts, m: Measured) -> Plot:
    """Dead units by dimension on the left, training on the right."""
    figure = new_figure(9, 4)
    left, right = figure.subplots(1, 2)
    table: dict[str, list] = {k: [] for k in ("curve", "at", "mean_or_median", "low", "high")}

    def tabulate(curve: str, at, middle, low, high) -> None:
        for row in zip([curve] * len(at), at, middle, low, high):
            for name, value in zip(table, row):
                table[name].append(value)

    for name, values, color, marker in (
        ("units × examples with h < 10⁻⁶", m["dead_pairs"], GRAY, "o"),
        ("units with mean gradient < 10⁻⁶", m["dead_units"], ORANGE, "s"),
    ):
        values = 100 * values
        middle, spread = values.mean(1), values.std(1)
        left.errorbar(DIMENSIONS, middle, spread, color=color, marker=marker, capsize=3, label=name)
        tabulate(name + " (%), by pixels", DIMENSIONS, middle, middle - spread, middle + spread)
    left.set(xscale="log", xlabel="pixels (dimensions of x)", ylabel="share at a random start, σ = 1 (%)")
    left.set_xticks(DIMENSIONS, [str(d) for d in DIMENSIONS])
    left.minorticks_off()
    left.set(ylim=(-4, 128), yticks=range(0, 101, 20))
    left.legend(fontsize=9, loc="upper left")
    steps = np.linspace(4, options.steps, len(m["loss"]))
    sigmas = [f", σ = {s:g}" for s in m["sigma"]] + [""]
    for k, (name, color) in enumerate(zip(NAMES, (ORANGE, BLUE, GREEN))):
        low, middle, high = np.quantile(m["loss"][:, k], [0.1, 0.5, 0.9], axis=1)
        right.fill_between(steps, low, high, color=color, alpha=0.2, lw=0)
        right.plot(
            steps, middle, color=color, lw=1.4, label=f"{name}{sigmas[k]}, rate {m['learning_rate'][k]:g}"
        )
        tabulate(name + ", training loss, by step", steps, middle, low, high)
    right.set(yscale="log", xlabel="step", ylabel="training loss (nats), median and 80%")
    right.legend(fontsize=9)
    right.set_title("64 units on all 64 pixels")
    accuracy = 100 * m["accuracy"].mean(1)
    dead = 100 * m["dead_units"][-1].mean()
    set_title(
        figure,
        f"At random centers with σ = 1, {dead:.0f}% of units have a gradient below 10⁻⁶; with the best σ, "
        f"test accuracy is {accuracy[RANDOM]:.1f}% from random ones, {accuracy[POINTS]:.1f}% from examples",
    )
    return Plot(figure, table)


CLAIM = Claim(
    id="F3.8",
    statement="A radial basis unit is active near its center and saturates to 0 for most x, so that it can "
    "be hard to optimize; centers that start at data points help.",
    source="notes, «unidades escondidas»; Goodfellow et al. 2016, 6.3.3",
    options=RbfStarts,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "0 for most x",
            "A unit with a random center and σ = 1 is 0 for most examples.",
            what="share of units × examples with h < 10⁻⁶, 64 pixels",
            effect=lambda m: mean(m["dead_pairs"][-1]),
            rule=Above(0.5),
        ),
        Part(
            "no gradient",
            "Most such units get next to no gradient.",
            what="share of units whose mean gradient over the examples is below 10⁻⁶, 64 pixels",
            effect=lambda m: mean(m["dead_units"][-1]),
            rule=Above(0.5),
        ),
        Part(
            "worse in more dimensions",
            "The share grows with the dimension of x.",
            what="share of units × examples with h < 10⁻⁶ at 64 pixels minus that at 4",
            effect=lambda m: paired(m["dead_pairs"][-1], m["dead_pairs"][DIMENSIONS.index(4)]),
            rule=Above(0.0),
        ),
        Part(
            "hard to optimize",
            "From random centers radial basis units train more slowly than as many ReLU units.",
            what="mean training loss over training, radial units from random centers over ReLU",
            effect=lambda m: ratio(slow(m, RANDOM), slow(m, 2)),
            rule=Above(1.0),
        ),
        Part(
            "data points help to train",
            "Started at training examples they train faster than from random centers.",
            what="mean training loss over training, random centers over examples",
            effect=lambda m: ratio(slow(m, RANDOM), slow(m, POINTS)),
            rule=Above(1.0),
        ),
        Part(
            "and to generalize",
            "Started at training examples they are more often right on test images.",
            what="test accuracy, centers at examples minus random centers",
            effect=lambda m: paired(m["accuracy"][POINTS], m["accuracy"][RANDOM]),
            rule=Above(0.0),
        ),
    ),
    reading="Centers at examples train faster throughout. Once each start has its own best σ, at which "
    "units are no longer dead, test accuracy after 400 steps is too close to tell.",
    revised="The grids of learning rates and σ were extended on both sides, and all 64 pixels are drawn "
    "from, not only those that vary. No rule was changed, no part changed its verdict.",
)
