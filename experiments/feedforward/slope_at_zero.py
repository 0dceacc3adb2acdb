"""The derivative of ReLU at 0: how often it is asked for, and whether its value matters.

The notes: ReLU has no derivative at 0; programs return the one from a side, 0 or 1. That is justified because
an optimization by gradients is inexact anyway, and where g(0) is asked for, this 0 is not an exact one. In
practice gradient descent goes on working well.

Measured: networks whose ReLU has the derivative 0, ½ or 1 at 0, from the same starts, on the same batches: a
perceptron on standardized images of MNIST, and the hardest case, a convolutional network on raw images,
whose background is exactly 0 and whose biases start at 0. Counted is the share of pre-activations that are
exactly 0 at the start and during training; compared is the accuracy on test images.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, layers, outputs
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
    paper,
    share,
)
from dlnotes.plotting import BLUE, GREEN, ORANGE, new_figure, set_title
from dlnotes.training import (
    Hyperparams,
    Recipe,
    RecipeOf,
    evaluate,
    fit,
    initial_params,
    optimizer,
    schedules,
    tune_and_train,
)
from dlnotes.typing import Array, Params

from ._image_networks import convolutional, convolutional_outputs, dense_outputs, perceptron

NETWORKS = ("perceptron", "convolutional network")
PERCEPTRON, CONVOLUTIONAL = range(2)
SLOPES = (0.0, 0.5, 1.0)
ZERO, HALF, ONE = range(3)
COLORS = (BLUE, GREEN, ORANGE)
RATES = (0.01, 0.03, 0.1)
MARGIN = 0.3
"""Percentage points by which accuracies may differ and still count as alike: two standard errors of an
accuracy of 98% on 10,000 images."""
RARE = 1e-4
"""A share of pre-activations below this is rare: fewer than one in ten thousand."""
FIRST_SEED = 3110


class SlopeAtZero(Options):
    """Sizes of the experiment."""

    images: int = Field(55_000, ge=100, description="training images")
    test: int = Field(10_000, ge=100, description="test images")
    looked_at: int = Field(1000, ge=10, description="training images whose pre-activations are counted")
    width: int = Field(64, ge=1, description="units of each of the perceptron's two hidden layers")
    steps: int = Field(2000, ge=20, description="of each training")
    batch_size: int = Field(100, ge=1, description="images of a step")
    moments: int = Field(8, ge=2, description="moments after the start at which zeros are counted")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each learning rate, to choose one")
    tuning_steps: int = Field(300, ge=1, description="steps of those trainings")


def exact_zeros(network: int, params: Params, x: Array) -> Array:
    """Share of pre-activations that are exactly 0, over both hidden layers and all images."""
    look = (dense_outputs, convolutional_outputs)[network]
    first, second, _ = look(params, x, layers.relu)
    zeros = jnp.sum(first == 0, dtype=jnp.int32) + jnp.sum(second == 0, dtype=jnp.int32)
    return zeros.astype(jnp.float32) / (first.size + second.size)


def recipe_of(network: int, width: int, steps: int) -> RecipeOf:
    """SGD with momentum, whose rate falls to zero; a member's "slope" is its derivative at 0."""

    def of(hyper: Hyperparams) -> Recipe:
        g = partial(layers.relu_with_slope, at_zero=hyper["slope"])
        model = perceptron(width, g) if network == PERCEPTRON else convolutional(g)
        sgd = optimizer("sgd", hyper["learning_rate"], factor=schedules.cosine(steps), momentum=0.9)
        return Recipe(model, outputs.cross_entropy, {"accuracy": outputs.accuracy}, sgd)

    return of


def trained(network: int, options: SlopeAtZero) -> dict[str, Any]:
    """All slopes at one rate, the best of slope 0: zeros, accuracies, and whether the weights end alike."""
    raw = data.load("mnist", standardize=network == PERCEPTRON)
    train, validation, test = data.parts_of(raw, options.images, 5000, options.test)
    of = partial(recipe_of, network, options.width)
    model = of(1)({"slope": jnp.zeros(()), "learning_rate": jnp.zeros(())}).model
    every = options.steps // options.moments
    x = jnp.asarray(train.x[: options.looked_at])
    rule = "he" if network == PERCEPTRON else "he_convolution"
    shared = {"batch_size": options.batch_size, "convolutions": network == CONVOLUTIONAL}
    brief = tune_and_train(
        of(options.tuning_steps),
        train,
        validation,
        {"slope": [SLOPES[ZERO]]},
        {"learning_rate": RATES},
        start=lambda hyperparams, seeds: initial_params(model, seeds, rule),
        seeds=1,
        tuning_seeds=options.tuning_seeds,
        first_seed=FIRST_SEED + options.seeds,
        steps=options.tuning_steps,
        record=options.tuning_steps,
        **shared,
    )
    rate = RATES[brief.chosen[0]]
    seeds = np.tile(FIRST_SEED + np.arange(options.seeds), len(SLOPES))
    hyperparams = {
        "slope": np.repeat(np.array(SLOPES, np.float32), options.seeds),
        "learning_rate": np.full(len(seeds), rate, np.float32),
    }
    found = fit(
        of(every * options.moments),
        train,
        steps=every * options.moments,
        seeds=seeds,
        hyperparams=hyperparams,
        start=initial_params(model, seeds, rule),
        record=every,
        every=every,
        probe=lambda params: exact_zeros(network, params, x),
        **shared,
    )
    accuracy = evaluate(of(1), hyperparams, found.params, test)["accuracy"]
    return {
        "zeros": by_slope(found.probes),
        "accuracy": by_slope(100 * accuracy),
        "differs": differing(found.params),
        "learning_rate": rate,
        "tuning": brief.tuning[0],
    }


def by_slope(values: np.ndarray) -> np.ndarray:
    """``(..., members)`` as ``(..., slopes, seeds)``."""
    return np.reshape(values, (*np.shape(values)[:-1], len(SLOPES), -1))


def differing(params: Params) -> np.ndarray:
    """Whether any weight differs from that of slope 0, ``(slopes, seeds)``; leaves ``(members, ...)``."""
    flat = np.concatenate([np.asarray(a).reshape(len(a), -1) for a in jax.tree.leaves(params)], axis=1)
    each = by_slope(flat.T)  # (weights, slopes, seeds)
    return (each != each[:, :1]).any(0)


def measure(options: SlopeAtZero) -> dict[str, np.ndarray]:
    """Both networks with all slopes."""
    found = [trained(network, options) for network in range(len(NETWORKS))]
    # zeros (networks, moments + 1, slopes, seeds), accuracy and differs (networks, slopes, seeds)
    return {name: np.array([f[name] for f in found]) for name in found[0]}


def gap(m: Measured, network: int, slope: int) -> Interval:
    """Test accuracy with a slope at 0 minus that with slope 0, percentage points."""
    return paired(m["accuracy"][network, slope], m["accuracy"][network, ZERO])


def zeros_later(m: Measured, network: int) -> Interval:
    """Mean share of exact zeros after the start, with slope 0, of each seed."""
    return mean(m["zeros"][network, 1:, ZERO].mean(0))


def draw(options: SlopeAtZero, m: Measured) -> Plot:
    """Zeros over the training, and test accuracy by slope."""
    figure = new_figure(10, 4)
    left, *rest = figure.subplots(1, 3, width_ratios=[1.4, 1, 1])
    steps = np.linspace(0, options.steps, m["zeros"].shape[1])
    for n, (network, marker) in enumerate(zip(NETWORKS, "os")):
        values = 1e6 * m["zeros"][n, :, ZERO].mean(-1)
        left.plot(steps, values, marker + "-", label=network, color=(BLUE, ORANGE)[n])
    left.set_yscale("symlog", linthresh=1)
    left.set(xlabel="step", ylabel="exact zeros in a million pre-activations", ylim=(0, 1e6))
    left.legend(fontsize=8)
    table: dict[str, list] = {
        name: []
        for name in ("network", "slope_at_zero", "learning_rate", "accuracy", "low", "high",
                     "zeros_at_start", "zeros_later", "seeds_that_differ")
    }  # fmt: skip
    for n, (axis, network) in enumerate(zip(rest, NETWORKS)):
        for s, slope in enumerate(SLOPES):
            values = m["accuracy"][n, s]
            found = mean(values)
            axis.plot(s + np.linspace(-0.15, 0.15, len(values)), values, "o", color=COLORS[s], alpha=0.5)
            bars = [[found.value - found.low], [found.high - found.value]]
            axis.errorbar(s, found.value, bars, color="black", marker="_", ms=16, capsize=4)
            row = (network, slope, m["learning_rate"][n], *found[:3], m["zeros"][n, 0, s].mean(),
                   m["zeros"][n, 1:, s].mean(), int(m["differs"][n, s].sum()))  # fmt: skip
            for name, value in zip(table, row):
                table[name].append(value)
        axis.set_xticks(range(len(SLOPES)), [f"{s:g}" for s in SLOPES])
        axis.set(title=network, xlabel="derivative at 0", xlim=(-0.5, 2.5))
    rest[0].set_ylabel("test accuracy (%): seeds, mean, 95% interval")
    found = [gap(m, n, ONE) for n in range(len(NETWORKS))]
    set_title(
        figure,
        "Test accuracy with g′(0) = 1 minus g′(0) = 0: "
        + ", ".join(
            f"{f.value:+.2f} [{f.low:+.2f}, {f.high:+.2f}] points, {name}" for f, name in zip(found, NETWORKS)
        ),
    )
    return Plot(figure, table)


SECTION = "unidades escondidas"
LEVELS = tuple(
    Level(
        what=f"test accuracy of the {name} with g'(0) = 0, %; LeCun et al. 1998 report 95.3 of one hidden "
        "layer of 300 units",
        effect=lambda m, n=n: mean(m["accuracy"][n, ZERO]),
        rule=Above(95.3),
    )
    for n, name in enumerate(NETWORKS)
)


def _alike(network: int, slope: int) -> Part:
    name, value = NETWORKS[network], f"{SLOPES[slope]:g}"
    return Part(
        f"{name}, {value} against 0",
        f"The {name} ends alike with g'(0) = {value} and with g'(0) = 0, within {MARGIN} points.",
        what=f"test accuracy with g'(0) = {value} minus that with g'(0) = 0, {name}, percentage points",
        effect=lambda m: gap(m, network, slope),
        rule=Within(-MARGIN, MARGIN),
        source=notes(
            SECTION,
            "returning the derivative from a side is justified, and in practice gradient descent works well",
        ),
        learned=LEVELS[network],
    )


def _rare(network: int) -> Part:
    name = NETWORKS[network]
    return Part(
        f"exact zeros are rare, {name}",
        f"In training hardly any pre-activation of the {name} is exactly 0: fewer than one in ten thousand.",
        what=f"share of exact zeros after the start, {name}, mean over moments",
        effect=lambda m: zeros_later(m, network),
        rule=Below(RARE),
        source=notes(SECTION, "where g(0) is asked for, this 0 is not an exact one"),
    )


CLAIM = Claim(
    id="F3.11",
    statement="The derivative that a program returns for ReLU at 0 does not matter: pre-activations are not "
    "exactly 0, and gradient descent works well.",
    source="notes, «unidades escondidas»; Goodfellow et al. 2016, 6.3",
    options=SlopeAtZero,
    measure=measure,
    draw=draw,
    method="A perceptron of two hidden layers of {options.width} ReLU units on standardized images of "
    "MNIST, and a network of two convolutions on raw ones, whose background and first biases are exactly 0, "
    "with the derivative 0, ½ or 1 at 0. Trained on {options.images} images by SGD with momentum 0.9, "
    "{options.steps} steps of {options.batch_size} images, the rate falling to zero along a cosine. Exact "
    "zeros are counted on {options.looked_at} images at the start and at {options.moments} moments. All "
    f"three take the same rate of {len(RATES)}, the best with a derivative of 0 by the validation loss of "
    "{options.tuning_seeds} other seeds after {options.tuning_steps} steps. {options.seeds} seeds are "
    f"judged on {{options.test}} test images; alike is within {MARGIN} points.",
    parts=(
        *(_rare(network) for network in range(len(NETWORKS))),
        *(_alike(network, slope) for network in range(len(NETWORKS)) for slope in (HALF, ONE)),
        Part(
            "zeros at the start",
            "At the start of a convolutional network on raw images exact zeros are not rare: more than one "
            "in ten.",
            what="share of exact zeros at the start, convolutional network, mean over seeds",
            effect=lambda m: exact(m["zeros"][CONVOLUTIONAL, 0, ZERO].mean(), m["zeros"].shape[-1]),
            rule=Above(0.1),
            source=ours("a background of 0 and biases of 0 make a case in which the 0 is exact"),
        ),
        Part(
            "the weights differ",
            "The derivative at 0 changes the weights that the convolutional network ends with.",
            what="share of seeds whose last weights differ between g'(0) = 0 and 1, convolutional network",
            effect=lambda m: share(m["differs"][CONVOLUTIONAL, ONE]),
            rule=Above(0.5),
            source=paper(
                "Bertoin, Bolte, Gerchinovitz & Pauwels 2021",
                "in 32 bits the value of ReLU'(0) changes what back-propagation gives",
            ),
        ),
    ),
    facts=lambda m: {
        "start": f"{100 * m['zeros'][CONVOLUTIONAL, 0, ZERO].mean():.0f}",
        "differ": f"{int(m['differs'][PERCEPTRON, ONE].sum())}",
        "seeds": f"{m['differs'].shape[-1]}",
        "perceptron": f"{m['accuracy'][PERCEPTRON, ZERO].mean():.2f}",
        "convolutional": f"{m['accuracy'][CONVOLUTIONAL, ZERO].mean():.2f}",
    },
    reading="With a derivative of zero at zero the perceptron reaches {facts[perceptron]}% and the "
    "convolutional network {facts[convolutional]}%. Of the perceptron's seeds {facts[differ]} of "
    "{facts[seeds]} end with other weights when the derivative is one. On raw images {facts[start]}% of the "
    "convolutions' pre-activations are exactly zero at the start, where the background and all biases are.",
    revised="After a trial at the quick size all derivatives take one rate: with a rate each, weights would "
    "also differ by their rates. No rule was changed.",
)
