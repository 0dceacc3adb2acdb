"""Loss and norm of the gradient over whole trainings of networks on images.

The notes: the algorithms that train neural networks do not usually reach a local minimum of the cost; they
only reduce its value a lot. Since no point of zero gradient is expected, minima at which the gradient is not
defined are acceptable. The book has a figure beside: the norm of the gradient of a convolutional network
grows while it is trained successfully.

Measured: a perceptron and a convolutional network on Fashion-MNIST, trained by SGD with momentum, the rate
constant. At several moments the mean loss over all training images and the norm of its gradient are computed
exactly, not from a batch; the norms of the batches' gradients are kept too. The gradient at a random start is
far larger than ever after, so the last norm is compared with that after the first part of the training. Two
more perceptrons show how far the sentence reaches: one whose rate falls to zero, and one that is trained on
few images for many epochs, until it knows them by heart.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from pydantic import Field

from dlnotes import data, layers, models, outputs
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
    book,
    mean,
    notes,
    ours,
    ratio,
)
from dlnotes.plotting import BLUE, GREEN, ORANGE, PURPLE, new_figure, set_title
from dlnotes.training import (
    Hyperparams,
    Recipe,
    RecipeOf,
    evaluate,
    optimizer,
    schedules,
    tune_briefly_and_train,
)
from dlnotes.training.starts import initial_params

from ._image_networks import convolutional, losses_and_norms, perceptron

NETWORKS = ("perceptron", "convolutional network", "perceptron, falling rate", "perceptron, few images")
PERCEPTRON, CONVOLUTIONAL, FALLING, FEW = range(len(NETWORKS))
COLORS = (BLUE, GREEN, PURPLE, ORANGE)
RATES = (0.003, 0.01, 0.03, 0.1)
FALLEN = 0.25
"""A loss below this share of the first one has been reduced a lot."""
LEFT = 0.1
"""A gradient whose norm is above this share of that after the first part of a training is not zero."""
RECORDED = 100
"""Points of a curve of a training."""
CHUNK = 500
FIRST_SEED = 3100


class GradientNorms(Options):
    """Sizes of the experiment."""

    images: int = Field(55_000, ge=100, description="training images")
    few: int = Field(1000, ge=10, description="training images of the network that knows them by heart")
    test: int = Field(10_000, ge=100, description="test images")
    width: int = Field(100, ge=1, description="units of each of the perceptron's two hidden layers")
    steps: int = Field(3000, ge=20, description="of each training")
    batch_size: int = Field(100, ge=1, description="images of a step")
    moments: int = Field(
        5, ge=2, description="equal parts of a training; each ends with a look at all images"
    )
    tuning_seeds: int = Field(3, ge=1, description="trainings at each learning rate, to choose one")
    tuning_steps: int = Field(400, ge=1, description="steps of those trainings")


class Case(NamedTuple):
    """One of `NETWORKS`: its model, how many images it learns from, its rule to start, and its rate's."""

    model: models.Model
    images: int
    rule: Any
    falls: bool = False


def cases(options: GradientNorms) -> tuple[Case, ...]:
    """In the order of `NETWORKS`."""
    dense = perceptron(options.width, layers.relu)
    return (
        Case(dense, options.images, "he"),
        Case(convolutional(layers.relu), options.images, "he_convolution"),
        Case(dense, options.images, "he", falls=True),
        Case(dense, options.few, "he"),
    )


def recipe_of(case: Case, steps: int) -> RecipeOf:
    """SGD with momentum at a constant rate, or at one that falls to zero over the steps."""
    factor = schedules.cosine(steps) if case.falls else schedules.constant()

    def of(hyper: Hyperparams) -> Recipe:
        sgd = optimizer("sgd", hyper["learning_rate"], factor=factor, momentum=0.9)
        return Recipe(case.model, outputs.cross_entropy, {"accuracy": outputs.accuracy}, sgd)

    return of


def trained(case: Case, sets: tuple[data.Examples, ...], options: GradientNorms) -> dict[str, Any]:
    """Losses and norms of one network's trainings, and its accuracy at the end."""
    train = data.Examples(sets[0].x[: case.images], sets[0].y[: case.images])
    every = options.steps // options.moments
    steps = every * options.moments
    found = tune_briefly_and_train(
        partial(recipe_of, case),
        train,
        sets[1],
        {"all": [0]},
        {"learning_rate": RATES},
        start=lambda hyperparams, seeds: initial_params(case.model, seeds, case.rule),
        seeds=options.seeds,
        tuning_seeds=options.tuning_seeds,
        first_seed=FIRST_SEED,
        steps=steps,
        tuning_steps=options.tuning_steps,
        batch_size=min(options.batch_size, case.images),
        every=every,
        probe=lambda params: params,
        convolutions=case.rule == "he_convolution",
    )
    looks = [
        losses_and_norms(case.model, jax.tree.map(lambda a, i=i: a[i], found.fit.probes), train, CHUNK)
        for i in range(options.moments + 1)
    ]
    loss, norm = (np.array(v) for v in zip(*looks))
    accuracy = evaluate(recipe_of(case, steps), found.hyperparams, found.fit.params, sets[2])
    return {
        "loss": loss,
        "norm": norm,
        "batch_loss": over_parts(found.fit.history["loss"]),
        "batch_norm": over_parts(found.fit.history["grad_norm"]),
        "accuracy": 100 * accuracy["accuracy"],
        "learning_rate": RATES[found.chosen[0]],
        "tuning": found.tuning[0],
    }


def over_parts(history: np.ndarray) -> np.ndarray:
    """Means over `RECORDED` parts of a training, ``(parts, members)`` from ``(steps, members)``."""
    return np.array([part.mean(0) for part in np.array_split(history, min(RECORDED, len(history)))])


def measure(options: GradientNorms) -> dict[str, np.ndarray]:
    """Train every network, looking at all its training images now and then."""
    sets = data.parts_of(data.load("fashion_mnist"), options.images, 5000, options.test)
    found = [trained(case, sets, options) for case in cases(options)]
    # loss and norm (networks, moments + 1, seeds), those of batches (networks, parts, seeds)
    return {name: np.array([f[name] for f in found]) for name in found[0]}


def fallen(m: Measured, network: int) -> Interval:
    """Loss over all training images at the end, as a share of that at the start."""
    return ratio(m["loss"][network, -1], m["loss"][network, 0])


def left(m: Measured, network: int) -> Interval:
    """Norm of its gradient at the end, as a share of that after the first part of the training."""
    return ratio(m["norm"][network, -1], m["norm"][network, 1])


def of_batches(m: Measured, network: int) -> Interval:
    """Mean norm of the batches' gradients in the last tenth of a training over that in the first tenth."""
    norms = m["batch_norm"][network]
    tenth = max(1, len(norms) // 10)
    return ratio(norms[-tenth:].mean(0), norms[:tenth].mean(0))


def draw(options: GradientNorms, m: Measured) -> Plot:
    """Loss and norms of the gradient over the training, medians and spread over seeds."""
    figure = new_figure(11, 4)
    axes = figure.subplots(1, 3)
    titles = ("loss over all training images", "its gradient's norm", "norm of batches' gradients")
    table: dict[str, list] = {
        name: [] for name in ("network", "step", "loss", "gradient_norm", "low", "high", "learning_rate")
    }
    for n, (network, color) in enumerate(zip(NETWORKS, COLORS)):
        for axis, name in zip(axes, ("loss", "norm", "batch_norm")):
            values = m[name][n]
            steps = np.linspace(0, options.steps, len(values) + (name == "batch_norm"))[-len(values) :]
            low, middle, high = np.quantile(values, [0.1, 0.5, 0.9], axis=1)
            axis.fill_between(steps, low, high, color=color, alpha=0.2, lw=0)
            axis.plot(steps, middle, "o-" if name != "batch_norm" else "-", ms=3, color=color, label=network)
        for i, step in enumerate(np.linspace(0, options.steps, len(m["loss"][n]))):
            low, high = np.quantile(m["norm"][n, i], [0.1, 0.9])
            row = (network, step, np.median(m["loss"][n, i]), np.median(m["norm"][n, i]), low, high,
                   m["learning_rate"][n])  # fmt: skip
            for name, value in zip(table, row):
                table[name].append(value)
    for axis, title in zip(axes, titles):
        axis.set(title=title, xlabel="step", yscale="log")
    axes[0].set_ylabel("nats, median and 80% of seeds")
    axes[1].set_ylabel("norm, median and 80% of seeds")
    axes[0].legend(fontsize=8)
    shares = [(fallen(m, n).value, left(m, n).value) for n in range(len(NETWORKS))]
    set_title(
        figure,
        "Left of the first loss, and of the gradient norm after the first part: "
        + "; ".join(f"{name} {a:.2f}, {b:.2f}" for name, (a, b) in zip(NETWORKS, shares)),
    )
    return Plot(figure, table)


SECTION = "unidades escondidas"
LEVELS = tuple(
    Level(
        what=f"test accuracy of the {name} on Fashion-MNIST, %; Xiao et al. 2017 report 84.2 for a linear "
        "model",
        effect=lambda m, n=n: mean(m["accuracy"][n]),
        rule=Above(84.2),
    )
    for n, name in enumerate(NETWORKS)
)
LEFT_OVER = (
    "norm of the gradient over all training images at the end over that after the first part of training"
)


def _parts(network: int) -> tuple[Part, ...]:
    name = NETWORKS[network]
    return (
        Part(
            f"the loss falls, {name}",
            f"Training reduces the cost of the {name} a lot: to less than {FALLEN:.0%}.",
            what="loss over all training images at the end over that at the start",
            effect=lambda m: fallen(m, network),
            rule=Below(FALLEN),
            source=notes(SECTION, "training reduces the value of the cost significantly"),
            learned=LEVELS[network],
        ),
        Part(
            f"the gradient stays, {name}",
            f"The {name} does not come to a point of zero gradient: more than {LEFT:.0%} of the norm after "
            "the first part of training is left.",
            what=LEFT_OVER,
            effect=lambda m: left(m, network),
            rule=Above(LEFT),
            source=notes(SECTION, "training does not usually reach a local minimum of the cost"),
            learned=LEVELS[network],
        ),
        Part(
            f"batches' gradients grow, {name}",
            f"The gradients of the {name}'s batches are larger at the end of training than at the start.",
            what="mean norm of the batches' gradients, last tenth of the training over the first",
            effect=lambda m: of_batches(m, network),
            rule=Above(1.0),
            source=book("8.2.2", "figure 8.1: the norms of gradients grow during a successful training"),
            learned=LEVELS[network],
        ),
    )


CLAIM = Claim(
    id="F3.10",
    statement="Training does not usually reach a local minimum of the cost, where the gradient is zero; it "
    "reduces the cost significantly.",
    source="notes, «unidades escondidas»; Goodfellow et al. 2016, 6.3 and 8.2.2",
    options=GradientNorms,
    measure=measure,
    draw=draw,
    method="A perceptron of two hidden layers of {options.width} ReLU units and a network of two "
    "convolutions learn {options.images} images of Fashion-MNIST by SGD with momentum 0.9 at a constant "
    "rate, {options.steps} steps of {options.batch_size} images. A second perceptron has a rate that falls "
    "to zero along a cosine; a third learns {options.few} images in as many steps. At the start and after "
    "each of {options.moments} parts of a training the loss and its gradient are computed over all training "
    f"images. Each network has its own rate of {len(RATES)}, chosen by the validation loss of "
    f"{{options.tuning_seeds}} other seeds after "
    "{options.tuning_steps} steps. {options.seeds} seeds are judged.",
    parts=(
        *_parts(PERCEPTRON),
        *_parts(CONVOLUTIONAL),
        Part(
            "a falling rate",
            f"With a rate that falls to zero more than {LEFT:.0%} of the norm is left too.",
            what=f"{LEFT_OVER}, falling rate",
            effect=lambda m: left(m, FALLING),
            rule=Above(LEFT),
            source=ours("how far the sentence reaches: a falling rate ends nearer to a minimum"),
            learned=LEVELS[FALLING],
        ),
        Part(
            "few images, many epochs",
            "A network that learns few images by heart does come near a point of zero gradient: the norm at "
            f"the end is less than {LEFT:.0%} of that of the perceptron on all images.",
            what="norm of the gradient over the own training images at the end, few images over all images",
            effect=lambda m: ratio(m["norm"][FEW, -1], m["norm"][PERCEPTRON, -1]),
            rule=Below(LEFT),
            source=ours("how far the sentence reaches: where all images are learned there can be a minimum"),
        ),
    ),
    facts=lambda m: {
        "start": f"{np.median(m['norm'][PERCEPTRON, 0]):.2f}",
        "first": f"{np.median(m['norm'][PERCEPTRON, 1]):.3f}",
        "end": f"{np.median(m['norm'][PERCEPTRON, -1]):.3f}",
        "accuracy": f"{m['accuracy'][PERCEPTRON].mean():.1f}",
        "convolutional": f"{m['accuracy'][CONVOLUTIONAL].mean():.1f}",
    },
    reading="The perceptron reaches {facts[accuracy]}% of the test images and the convolutional network "
    "{facts[convolutional]}%. The norm of the perceptron's whole gradient is {facts[start]} at the random "
    "start, {facts[first]} after the first part of the training and {facts[end]} at the end. With a falling "
    "rate {parts[a falling rate]} of the norm after the first part is left. Where few images are trained for "
    "many epochs, the last norm is {parts[few images, many epochs]} of that with all images.",
    revised="A trial at the quick size came before. There the norm at the random start was ten times that "
    "after ten steps, so the last norm is compared with that after the first part of the training, no "
    "longer with the one at the start. The rate, which fell to zero for all, is constant now, with "
    "the falling one beside; the level is that of a linear model. Few images are compared with all "
    "images, since they may be known by heart before the first part ends. The tenth in the rules is "
    "as it was.",
)
