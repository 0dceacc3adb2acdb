"""The linear output unit as the mean of a Gaussian.

The notes: a linear unit ŷ = Wᵀh + b gives the mean of a conditional Gaussian; maximum likelihood is then
least squares; and because linear units do not saturate, they are no difficulty for gradient descent and
can be used with many algorithms.

Measured, on the diabetes data. The linear unit alone, trained on −log p by three optimizers, each at its
best learning rate (which falls to 0), from starts of sizes 0.01 to 100, against the closed form of least squares. The
gradient by the unit's pre-activation z for errors of any size, beside that of a sigmoid. Then networks
with one hidden layer and either unit, targets scaled to [0, 1], whose output bias starts wrong by up to 64
in z: the steps until the squared error is below 0.7 of the targets' variance, each unit with the learning
rate that is best for the very start.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, models, outputs
from dlnotes.data.dataset import Examples
from dlnotes.experiment.claims import (
    Above,
    Below,
    Claim,
    Measured,
    Options,
    Part,
    Plot,
    exact,
    ratio,
    share,
)
from dlnotes.experiment.figure_style import BLUE, GREY, ORANGE, new_figure, set_title
from dlnotes.experiment.fitting import fit
from dlnotes.layers import Dense, sigmoid
from dlnotes.outputs.losses import PerExample
from dlnotes.training import schedules
from dlnotes.training.optimizers import optimizer
from dlnotes.training.state import Hyper, Recipe
from dlnotes.typing import Array

from .host_starts import he_starts

LINEAR, SQUASHED = 0, 1
NAMES = ("linear", "sigmoid")
ERRORS = np.logspace(-3, 12, 61).astype(np.float32)
SHIFTS = np.array([0, 1, 4, 16, 64], np.float32)
"""How far the output bias starts off, in z."""
FAR = 3
RATES = np.array([0.01, 0.03, 0.1, 0.3, 1, 3])
SOLVED = 0.7
"""Share of the targets' variance at which a network counts as recovered."""
OPTIMIZERS = ("SGD", "momentum 0.9", "Adam")
ALONE_RATES = np.array([[0.05, 0.1, 0.2, 0.4], [0.02, 0.05, 0.1, 0.2], [0.03, 0.1, 0.3, 1]])
"""Learning rates of the linear unit alone to choose from, one row an optimizer."""


class LinearOutput(Options):
    """Sizes of the experiment."""

    seeds: int = Field(20, ge=10, description="starts of each kind")
    alone_steps: int = Field(4000, ge=10, description="full-batch steps of the linear unit alone")
    steps: int = Field(300, ge=10, description="full-batch steps of each network")
    rows: int = Field(128, ge=10, description="examples that the networks are trained on")
    tuning_seeds: int = Field(5, ge=1, description="other starts, by which learning rates are chosen")


def alone(train: Examples, options: LinearOutput) -> dict[str, np.ndarray]:
    """Excess of −log p over that of least squares, in shares of what the model can gain, and gradients."""
    from sklearn.linear_model import LinearRegression

    x, y = train.x.astype(np.float64), train.y.astype(np.float64)
    best = LinearRegression().fit(x, y[:, 0]).predict(x)
    n, tuning = options.seeds, options.tuning_seeds
    rng = np.random.default_rng(0)
    sizes = np.concatenate([np.linspace(-2, 2, n), np.linspace(-2, 2, tuning)])
    scale = 10 ** sizes[:, None, None]
    W = (scale * rng.standard_normal((n + tuning, x.shape[1], 1))).astype(np.float32)
    b = (scale[:, 0] * rng.standard_normal((n + tuning, 1))).astype(np.float32)
    model = models.linear(x.shape[1], 1)
    decay, ends = schedules.linear(options.alone_steps), []
    for kind, places in (("sgd", (0, 1)), ("adam", (2,))):

        def recipe_of(hyper: Hyper, kind: str = kind) -> Recipe:
            more = {"momentum": hyper["momentum"]} if kind == "sgd" else {}
            rule = optimizer(kind, hyper["learning_rate"], factor=decay, **more)
            return Recipe(model, outputs.gaussian_nll, {}, rule)

        settings = len(places) * ALONE_RATES.shape[1]
        momentum = np.repeat([0.9 * (i == 1) for i in places], ALONE_RATES.shape[1] * (n + tuning))
        result = fit(
            recipe_of,
            train,
            steps=options.alone_steps,
            seeds=np.zeros(settings * (n + tuning)),  # nothing is drawn: the starts are given
            hypers={
                "learning_rate": np.repeat(ALONE_RATES[list(places)].ravel(), n + tuning),
                "momentum": momentum,
            },
            start=Dense(np.tile(W, (settings, 1, 1)), np.tile(b, (settings, 1))),
            record=100,
        )
        ends.append(result.params)
    W, b = (np.concatenate([getattr(e, name) for e in ends]).astype(np.float64) for name in ("W", "b"))
    error = np.mean((W[:, :, 0] @ x.T + b - y[:, 0]) ** 2, axis=1)
    least, most = np.mean((best - y[:, 0]) ** 2), np.var(y)
    excess = ((error - least) / (most - least)).reshape(*ALONE_RATES.shape, n + tuning)
    chosen = np.argmin(excess[..., n:].max(-1), axis=1)
    rows = np.arange(len(OPTIMIZERS))
    return {"excess": excess[rows, chosen, :n], "alone_rate": ALONE_RATES[rows, chosen]}


def unit_of(squashed: Array, z: Array) -> Array:
    return jnp.where(squashed > 0, sigmoid(z), z)


@jax.jit
def slopes(z: Array, y: Array) -> Array:
    """dJ/dz of ``−log N(y; unit(z), 1)``, ``(2, n)``."""

    def loss(z: Array, squashed: Array) -> Array:
        return outputs.gaussian_nll(unit_of(squashed, z), y).total.sum()

    return jax.vmap(jax.grad(loss), (None, 0))(z, jnp.arange(2.0))[:, :, 0]


def networks(train: Examples, options: LinearOutput) -> dict[str, np.ndarray]:
    """Steps that networks with either unit need from wrong starts."""
    x, y = train.x[: options.rows], train.y[: options.rows]
    examples = Examples(x, (y - y.min()) / (y.max() - y.min()))
    variance = float(examples.y.var())
    model = models.mlp(train.x.shape[1], (8,), 1, activation="tanh")

    def recipe_of(hyper: Hyper) -> Recipe:
        def loss(z: Array, y: Array) -> PerExample:
            # −log p less its constant, in units of the targets' variance: the same loss for both units.
            given = outputs.squared_error(unit_of(hyper["squashed"], z), y)
            return PerExample(given.total / variance, given.count)

        return Recipe(model, loss, {}, optimizer("sgd", hyper["learning_rate"]))

    n = options.seeds
    shape = (2, len(SHIFTS), len(RATES), n + options.tuning_seeds)
    unit, shift, rate, seed = (a.ravel() for a in np.indices(shape))
    start = he_starts(model, seed)
    sign = np.where(seed % 2, 1, -1)
    b = (0.5 * (unit == LINEAR) + sign * SHIFTS[shift]).astype(np.float32)  # no shift: ŷ begins at 1/2
    start = start._replace(output=start.output._replace(b=b[:, None]))
    rates = RATES[rate] * variance  # relative to the loss's curvature in ŷ, 2/variance
    hypers = {"squashed": unit, "learning_rate": rates}
    result = fit(recipe_of, examples, steps=options.steps, seeds=seed, hypers=hypers, start=start)
    loss = result.history["loss"]
    reached = loss < SOLVED
    first = np.where(reached.any(0), reached.argmax(0), np.inf).reshape(shape)
    limit = np.minimum(first, options.steps + 1)
    best = np.argmin(np.median(limit[..., n:], axis=-1), axis=-1)
    steps = np.take_along_axis(limit[..., :n], best[..., None, None], axis=2)[:, :, 0]
    return {"steps": steps, "rate": RATES[best], "longest": np.array(options.steps + 1)}


def measure(options: LinearOutput) -> dict[str, np.ndarray]:
    """The unit alone, its gradient, and networks that start wrong."""
    train = data.load("tabular", name="diabetes").train
    zeros, errors = jnp.zeros((len(ERRORS), 1), jnp.float32), jnp.asarray(ERRORS)[:, None]
    return {
        **alone(train, options),
        "slopes": np.asarray(slopes(errors, zeros), np.float64),
        **networks(train, options),
    }


def recovered(m: Measured, unit: int, shift: int) -> np.ndarray:
    """Whether each start recovered, ``(seeds,)``."""
    return m["steps"][unit, shift] < m["longest"]


def draw(options: LinearOutput, m: Measured) -> Plot:
    """Gradients on the left, steps from wrong starts on the right."""
    figure = new_figure(9, 4)
    left, right = figure.subplots(1, 2)
    table: dict[str, list] = {name: [] for name in ("unit", "shift", "rate", "seed", "steps", "recovered")}
    for unit, (name, color, marker) in enumerate(zip(NAMES, (BLUE, ORANGE), "os")):
        slope = m["slopes"][unit]
        here = np.r_[True, slope[:-1] > 0]
        left.plot(ERRORS[here], np.maximum(slope[here], 1e-30), color=color, label=name)
        steps = np.maximum(m["steps"][unit], 1)  # (shifts, seeds)
        places = np.where(SHIFTS > 0, SHIFTS, 0.5)
        right.fill_between(places, steps.min(1), steps.max(1), color=color, alpha=0.15, lw=0)
        right.plot(places, np.median(steps, axis=1), color=color, marker=marker, ms=5, label=name)
        for shift, seed in np.ndindex(steps.shape):
            row = (name, SHIFTS[shift], m["rate"][unit, shift], seed, m["steps"][unit, shift, seed])
            for column, value in zip(table.values(), (*row, recovered(m, unit, shift)[seed])):
                column.append(value)
    left.set(
        xscale="log", yscale="log", ylim=(1e-9, 1e13), xlabel="pre-activation z, where the target asks for 0"
    )
    left.set_ylabel("gradient |dJ/dz|")
    left.annotate("exactly 0 from here", (30, 1e-8), color=ORANGE, fontsize=9)
    left.legend()
    right.axhline(m["longest"], color=GREY, ls="--", lw=1)
    right.annotate("not within the run", (0.5, 1.15 * m["longest"]), color=GREY, fontsize=9)
    right.set(xscale="log", yscale="log", xlabel="how far the output starts off (z; 1 is the range of y)")
    right.set(xticks=[0.5, *SHIFTS[1:]], xticklabels=["0", *(f"{s:g}" for s in SHIFTS[1:])])
    right.set(ylim=(0.8, 2.5 * m["longest"]), ylabel=f"steps to an MSE of {SOLVED} variances, diabetes")
    right.minorticks_off()
    right.legend(loc="lower right", title="median, band: all seeds", fontsize=9)
    slow, fast = (np.median(m["steps"][unit, FAR]) for unit in (SQUASHED, LINEAR))
    more = "" if slow < m["longest"] else "more than "
    slow = min(slow, m["longest"] - 1)
    title = (
        f"{SHIFTS[FAR]:g} off, a linear output recovers in {fast:.0f} steps, a sigmoid in {more}{slow:.0f}"
    )
    set_title(figure, title)
    return Plot(figure, table)


CLAIM = Claim(
    id="F2.6",
    statement="A linear unit gives the mean of a conditional Gaussian, whose likelihood is greatest where "
    "the squared error is least. Linear units do not saturate, so they are no difficulty for gradient-based "
    "optimization and can be used with many algorithms.",
    source="notes, «aprendizaje basado en el descenso de gradiente»; Goodfellow et al. 2016, 6.2.2.1",
    options=LinearOutput,
    measure=measure,
    draw=draw,
    parts=(
        *(
            Part(
                f"least squares by {name}",
                f"Maximum likelihood by {name} ends at the least-squares solution, from starts of any size.",
                what="largest excess of the MSE, over what least squares gains",
                effect=lambda m, i=i: exact(m["excess"][i].max(), m["excess"].shape[1]),
                rule=Below(1e-3),
            )
            for i, name in enumerate(OPTIMIZERS)
        ),
        Part(
            "gradient",
            "The gradient is the error itself, however large.",
            what=f"largest relative deviation, errors up to {ERRORS[-1]:.0e}",
            effect=lambda m: exact(np.max(np.abs(m["slopes"][LINEAR] / ERRORS - 1)), len(ERRORS)),
            rule=Below(1e-6),
        ),
        Part(
            "a sigmoid saturates",
            "The gradient of a squashing output vanishes where it is most wrong.",
            what="|dJ/dz| at z = 32, wrong, over its maximum",
            effect=lambda m: exact(
                m["slopes"][SQUASHED][np.argmin(np.abs(ERRORS - 32))] / m["slopes"][SQUASHED].max()
            ),
            rule=Below(1e-3),
        ),
        Part(
            "wrong starts",
            f"From {SHIFTS[FAR]:g} off, networks with a linear output recover.",
            what="share of starts that recover, diabetes",
            effect=lambda m: share(recovered(m, LINEAR, FAR)),
            rule=Above(0.8),
        ),
        Part(
            "against a sigmoid",
            f"A sigmoid output with the same loss takes more than twice as long from {SHIFTS[FAR]:g} off.",
            what="steps of the sigmoid over steps of the linear output (never: the whole run)",
            effect=lambda m: ratio(
                np.maximum(m["steps"][SQUASHED, FAR], 1), np.maximum(m["steps"][LINEAR, FAR], 1)
            ),
            rule=Above(2),
        ),
    ),
)
