"""Maxout units that start as ReLU units: one function, other dynamics of learning.

The notes: a layer of maxout units with two pieces can learn to implement the same function as one of ReLU
units, but it is parametrized in another way, so that the dynamics of learning will be different even where
the layer implements the same function.

Measured: perceptrons of ReLU units on MNIST, and their twins of maxout units, whose first pieces are the ReLU
units and whose second pieces are zero: the same outputs. Both take the same steps of SGD on the same batches,
at the lower one of their best rates, and the logits on test images are compared after each of the first
steps. A third network is ReLU again, with its weights changed by a millionth: that is how far apart two
trainings come by rounding alone. At their own rates, both are also trained to the end.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, models, outputs
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
    Within,
    exact,
    mean,
    notes,
    ours,
    paired,
    ratio,
)
from dlnotes.plotting import BLUE, GRAY, ORANGE, new_figure, set_title
from dlnotes.training import (
    Hyperparams,
    Recipe,
    evaluate,
    fit,
    initial_params,
    optimizer,
    tune_briefly_and_train,
)
from dlnotes.typing import Params

NETWORKS = ("ReLU", "its maxout twin", "ReLU, a millionth off")
RELU, TWIN, NUDGED = range(len(NETWORKS))
COLORS = (ORANGE, BLUE, GRAY)
INPUTS, CLASSES = 784, 10
RATES = (0.03, 0.1, 0.3)
NUDGE = np.float32(1e-6)
APART = 0.1
"""Functions are apart when they differ by more than this share of what training has changed."""
MARGIN = 0.3
"""Percentage points by which accuracies may differ and still count as alike."""
FIRST_SEED = 3030


class MaxoutTwin(Options):
    """Sizes of the experiment."""

    images: int = Field(55_000, ge=100, description="training images")
    test: int = Field(10_000, ge=100, description="test images")
    looked_at: int = Field(500, ge=10, description="test images whose logits are compared")
    width: int = Field(64, ge=1, description="units of each of the two hidden layers")
    early: int = Field(100, ge=2, description="first steps, after each of which logits are compared")
    steps: int = Field(2000, ge=2, description="of the whole training")
    batch_size: int = Field(100, ge=1, description="images of a step")
    tuning_seeds: int = Field(3, ge=1, description="trainings of ReLU at each learning rate, to choose one")
    tuning_steps: int = Field(400, ge=1, description="steps of those trainings")


def networks(width: int) -> tuple[models.Model, models.Model]:
    """Of ReLU units, and of maxout units with two pieces."""
    widths = (width, width)
    return models.mlp(INPUTS, widths, CLASSES), models.maxout_mlp(INPUTS, widths, CLASSES, pieces=2)


def recipe_of(model: models.Model):
    """Plain SGD at a constant rate."""

    def of(hyper: Hyperparams) -> Recipe:
        sgd = optimizer("sgd", hyper["learning_rate"])
        return Recipe(model, outputs.cross_entropy, {"accuracy": outputs.accuracy}, sgd)

    return of


def twins(width: int, seeds: np.ndarray) -> tuple[Params, Params]:
    """ReLU networks by He's rule, and maxout networks that give the same outputs."""
    start = initial_params(networks(width)[RELU], seeds, "he")
    return start, jax.device_get(jax.vmap(models.as_maxout)(start))


def measure(options: MaxoutTwin) -> dict[str, np.ndarray]:
    """Both networks trained at their own best rates; then their first steps at the lower one of these."""
    train, validation, test = data.parts_of(data.load("mnist"), options.images, 5000, options.test)
    x = jnp.asarray(test.x[: options.looked_at])
    whole = [
        tune_briefly_and_train(
            lambda steps, model=model: recipe_of(model),
            train,
            validation,
            {"all": [0]},
            {"learning_rate": RATES},
            start=lambda hyperparams, seeds, which=which: twins(options.width, seeds)[which],
            seeds=options.seeds,
            tuning_seeds=options.tuning_seeds,
            first_seed=FIRST_SEED,
            steps=options.steps,
            tuning_steps=options.tuning_steps,
            batch_size=options.batch_size,
            record=options.steps,
        )
        for which, model in enumerate(networks(options.width))
    ]
    accuracy = [
        100 * evaluate(recipe_of(model), found.hyperparams, found.fit.params, test)["accuracy"]
        for model, found in zip(networks(options.width), whole)
    ]
    rates = np.array([RATES[found.chosen[0]] for found in whole])
    seeds = FIRST_SEED + np.arange(options.seeds)
    start, twin = twins(options.width, seeds)
    nudged = start._replace(hidden=jax.tree.map(lambda w: w * (1 + NUDGE), start.hidden))
    relu, maxout = networks(options.width)
    logits = [
        fit(
            recipe_of(model),
            train,
            steps=options.early,
            batch_size=options.batch_size,
            seeds=seeds,
            hyperparams={"learning_rate": np.full(options.seeds, rates.min(), np.float32)},
            start=first,
            every=1,
            probe=lambda params, model=model: model.apply(params, x),
        ).probes
        for model, first in ((relu, start), (maxout, twin), (relu, nudged))
    ]
    before = [np.asarray(each[0]) for each in logits[:2]]
    return {
        "apart": distances(np.array(logits)),
        "at_start": np.abs(before[1] - before[0]).max() / np.abs(before[0]).max(),
        "accuracy": np.array(accuracy),
        "learning_rate": rates,
        "tuning": np.array([found.tuning[0] for found in whole]),
    }  # apart (networks, early steps, seeds), accuracy (ReLU and twin, seeds)


def distances(logits: np.ndarray) -> np.ndarray:
    """Root mean square of a network's logits minus ReLU's, over that of ReLU's minus those at its start.

    Args:
      logits: ``(networks, early steps + 1, seeds, images, classes)``.

    Returns:
      ``(networks, early steps, seeds)``.
    """
    relu = logits[RELU]
    changed = np.sqrt(np.square(relu[1:] - relu[:1]).mean((-1, -2)))
    return np.sqrt(np.square(logits[:, 1:] - relu[1:]).mean((-1, -2))) / changed


def draw(options: MaxoutTwin, m: Measured) -> Plot:
    """How far apart the functions are after each of the first steps, and accuracies at the end."""
    figure = new_figure(9.5, 4)
    left, right = figure.subplots(1, 2, width_ratios=[1.6, 1])
    steps = np.arange(1, m["apart"].shape[1] + 1)
    table: dict[str, list] = {
        name: [] for name in ("network", "apart_first_step", "apart_last_early_step", "test_accuracy")
    }
    for n, (name, color) in enumerate(zip(NETWORKS, COLORS)):
        if n != RELU:
            low, middle, high = np.quantile(m["apart"][n], [0.1, 0.5, 0.9], axis=1)
            left.fill_between(steps, low, high, color=color, alpha=0.2, lw=0)
            left.plot(steps, middle, color=color, label=name)
        if n == NUDGED:
            continue
        values, found = m["accuracy"][n], mean(m["accuracy"][n])
        right.plot(n + np.linspace(-0.15, 0.15, len(values)), values, "o", color=color, alpha=0.5)
        bars = [[found.value - found.low], [found.high - found.value]]
        right.errorbar(n, found.value, bars, color="black", marker="_", ms=16, capsize=4)
        row = (name, m["apart"][n, 0].mean(), m["apart"][n, -1].mean(), found.value)
        for column, value in zip(table, row):
            table[column].append(value)
    left.set(xscale="log", yscale="log", xlabel="step")
    left.set_ylabel("difference of logits from ReLU's, over what\ntraining has changed; median, 80% of seeds")
    left.legend(fontsize=8)
    right.set_xticks(range(2), ["ReLU", "twin"])
    right.set(ylabel="test accuracy at the end (%)", xlim=(-0.5, 1.5))
    first, last = (ratio(m["apart"][TWIN, i], np.ones(options.seeds)).value for i in (0, -1))
    set_title(
        figure,
        f"Equal functions at the start: after one step {100 * first:.0f}% of the change apart, after "
        f"{len(steps)} steps {100 * last:.0f}%",
    )
    return Plot(figure, table)


def _apart(network: int, step: int):
    return lambda m: mean(m["apart"][network, step])


def _gap(m: Measured) -> Interval:
    return paired(m["accuracy"][TWIN], m["accuracy"][RELU])


SECTION = "unidades escondidas"
OTHER = notes(
    SECTION,
    "a maxout layer is parametrized differently, so its dynamics of learning differ even where it implements "
    "the same function as another kind of layer",
)
LEVEL = Level(
    what="test accuracy of the ReLU network at the end, %; LeCun et al. 1998 report 95.3 of one hidden "
    "layer of 300 units",
    effect=lambda m: mean(m["accuracy"][RELU]),
    rule=Above(95.3),
)

CLAIM = Claim(
    id="F3.3b",
    statement="A maxout layer can be the same function as a ReLU layer; since its parameters are others, it "
    "learns by other dynamics.",
    source="notes, «unidades escondidas»; Goodfellow et al. 2016, 6.3.1",
    options=MaxoutTwin,
    measure=measure,
    draw=draw,
    method="A perceptron of two hidden layers of {options.width} ReLU units on MNIST and its twin of maxout "
    "units with two pieces, set to give the same outputs, are trained by SGD at a constant rate on "
    "{options.images} images, in batches of {options.batch_size}. Each has its own rate of "
    f"{len(RATES)}, chosen by the validation loss of {{options.tuning_seeds}} other seeds after "
    "{options.tuning_steps} steps; accuracies are those after {options.steps} steps. Logits on "
    "{options.looked_at} test images are compared after each of the first {options.early} steps, which both "
    "take at the lower one of these rates on the same batches. {options.seeds} seeds are judged.",
    parts=(
        Part(
            "equal at the start",
            "A maxout layer with two pieces implements the function of a ReLU layer.",
            what="largest difference of the twins' logits before training, over the largest logit",
            effect=lambda m: exact(m["at_start"]),
            rule=Below(1e-5),
            source=notes(SECTION, "a maxout layer with two pieces can implement what a ReLU layer does"),
        ),
        Part(
            "apart after one step",
            f"After one step the twins differ by more than {APART:.0%} of what the step has changed.",
            what="difference of logits over what training has changed, after one step",
            effect=_apart(TWIN, 0),
            rule=Above(APART),
            source=OTHER,
        ),
        Part(
            "apart after the first steps",
            f"After {{options.early}} steps the twins differ by more than {APART:.0%} of what training has "
            "changed.",
            what="difference of logits over what training has changed, after {options.early} steps",
            effect=_apart(TWIN, -1),
            rule=Above(APART),
            source=OTHER,
            learned=LEVEL,
        ),
        Part(
            "not by rounding",
            "Two ReLU networks that start a millionth apart stay together over the same steps.",
            what="difference of logits over what training has changed, after {options.early} steps, ReLU "
            "from weights that are a millionth off",
            effect=_apart(NUDGED, -1),
            rule=Below(APART),
            source=ours("else any two trainings would come apart, whatever their units"),
        ),
        Part(
            "as good at the end",
            f"At the end the twins classify equally well, within {MARGIN} points.",
            what="test accuracy of the twin minus that of ReLU, percentage points",
            effect=_gap,
            rule=Within(-MARGIN, MARGIN),
            source=ours("whether other dynamics end at other results the notes do not say"),
            learned=LEVEL,
        ),
    ),
    facts=lambda m: {
        "relu": f"{m['accuracy'][RELU].mean():.2f}",
        "twin": f"{m['accuracy'][TWIN].mean():.2f}",
        "rate": f"{m['learning_rate'].min():g}",
    },
    reading="Differences are shares of what training has changed: {parts[apart after one step]} after one "
    "step and {parts[apart after the first steps]} after the first steps, at a rate of {facts[rate]}. At "
    "the end ReLU classifies {facts[relu]}% of the test images rightly and its twin {facts[twin]}%.",
    revised="A trial at the quick size came before. There the best rate of ReLU was too high for its twin, "
    "so each has its own rate to the end, and both take the lower one in the first steps. No rule was "
    "changed.",
)
