"""Eight sigmoid layers that joint training leaves at chance, trained from a greedy start.

The notes: greedy layer-wise training by unsupervised criteria is there to overcome the difficulty of
training the layers of a neural network jointly for a supervised task; it rests on an algorithm for one
layer, such as a restricted Boltzmann machine or an autoencoder.

Measured: perceptrons of eight layers of sigmoid units on MNIST. Three arms train all layers by the same
number of supervised steps, and differ in the start only: Glorot's random weights, a stack of restricted
Boltzmann machines, and a stack of denoising autoencoders, both trained without labels on the same images.
Two more arms, beside, start at random as one does since: sigmoid units with four times Glorot's weights, and
ReLU units with He's. They take as many steps more as the pretraining would pay for. Each arm has its own
rate.
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
    Measured,
    Options,
    Part,
    Plateau,
    Plot,
    mean,
    notes,
    ours,
    paired,
    paper,
    ratio,
)
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, PURPLE, new_figure, set_title
from dlnotes.pretraining import Learner, autoencoder, greedy, rbm
from dlnotes.training import (
    Hyperparams,
    Recipe,
    Tuned,
    evaluate,
    initial_params,
    optimizer,
    schedules,
    tune_briefly_and_train,
)

from ._deep_stacks import CLASSES, INPUTS, Stack, carried, network, scaled, way_down

ARMS = ("joint, Glorot", "greedy, RBM", "greedy, autoencoder", "joint, 4 × Glorot", "joint, ReLU, He")
JOINT, BY_RBM, BY_CODER, LARGER, RELU = range(len(ARMS))
COLORS = (GRAY, BLUE, GREEN, ORANGE, PURPLE)
RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
FIRST_SEED = 141_000
LOOKED_AT = 256
"""Images whose gradient is looked at."""


class GreedyStart(Options):
    """Sizes of the experiment."""

    depth: int = Field(8, ge=2, description="hidden layers")
    width: int = Field(64, ge=2, description="units of each")
    images: int = Field(10_000, ge=200, description="training images, with and without their labels")
    validation: int = Field(2000, ge=50, description="images that choose rates")
    test: int = Field(10_000, ge=100, description="test images")
    epochs: int = Field(8, ge=1, description="of each layer without labels")
    steps: int = Field(8000, ge=20, description="supervised, from each start")
    batch_size: int = Field(50, ge=1, description="images of a supervised step")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each rate, to choose one")
    tuning_steps: int = Field(1000, ge=2, description="supervised steps of those trainings")


def learners(options: GreedyStart) -> dict[int, list[Learner]]:
    """By arm, what learns each layer."""
    noisy = partial(
        autoencoder, options.width, corruption="mask", noise=0.2, optimizer="adam", learning_rate=0.003
    )
    return {
        BY_RBM: [rbm(options.width, learning_rate=0.1) for _ in range(options.depth)],
        BY_CODER: [noisy() for _ in range(options.depth)],
    }


def starts(options: GreedyStart, x: np.ndarray, seeds: np.ndarray) -> dict[int, Stack]:
    """By arm, where every seed starts."""
    he = initial_params(network(options.depth, options.width, layers.relu), seeds, "he")
    glorot = scaled(he, 1.0)
    found = {JOINT: glorot, LARGER: scaled(he, 4.0), RELU: he}
    for arm, each in learners(options).items():
        found[arm] = carried(glorot, greedy(each, x, seeds=seeds, epochs=options.epochs))
    return jax.tree.map(np.asarray, found)


def recipe_of(options: GreedyStart, g: Any, steps: int):
    """All layers trained by SGD with momentum at a member's rate."""
    fall = schedules.cosine_restarts(steps, cycles=2)

    def build(hyper: Hyperparams) -> Recipe:
        sgd = optimizer("sgd", hyper["rate"], factor=fall, momentum=0.9)
        return Recipe(
            network(options.depth, options.width, g),
            outputs.cross_entropy,
            {"accuracy": outputs.accuracy},
            sgd,
        )

    return build


def paid_for(options: GreedyStart) -> int:
    """Supervised steps that cost what pretraining and the supervised steps cost, in products.

    A weight of a hidden layer takes part in five products of an example in CD-1 (up, down, up, two
    statistics), as in a tied autoencoder; in a supervised step in three, the first layer's in two.
    """
    inside = (options.depth - 1) * options.width**2
    first, last = INPUTS * options.width, options.width * CLASSES
    without_labels = 5 * (first + inside) * options.images * options.epochs
    step = (2 * first + 3 * (inside + last)) * options.batch_size
    return options.steps + round(without_labels / step)


def measure(options: GreedyStart) -> dict[str, np.ndarray]:
    """Starts for all seeds, then every arm at its best rate."""
    raw = data.load("mnist", standardize=False)
    sets = data.parts_of(raw, options.images, options.validation, options.test)
    train, validation, test = sets
    own = FIRST_SEED + np.arange(options.seeds + 1 + options.tuning_seeds)
    begin = starts(options, train.x, own)
    x, y = jnp.asarray(train.x[:LOOKED_AT]), jnp.asarray(train.y[:LOOKED_AT])

    def start(hyperparams: dict[str, np.ndarray], seeds: np.ndarray) -> Stack:
        arms = hyperparams["arm"].astype(int)
        members = [
            jax.tree.map(lambda a: a[seed - FIRST_SEED], begin[arm])  # noqa: B023
            for arm, seed in zip(arms, np.asarray(seeds))
        ]
        return jax.tree.map(lambda *a: np.stack(a), *members)

    found: dict[str, list] = {
        name: [] for name in ("accuracy", "half", "loss", "rate", "tuning", "steps", "way_down")
    }
    for arms, kind, steps in (
        ((JOINT, BY_RBM, BY_CODER), "sigmoid", options.steps),
        ((LARGER,), "sigmoid", paid_for(options)),
        ((RELU,), "relu", paid_for(options)),
    ):
        half = steps // 2
        of = partial(recipe_of, options, layers.ACTIVATIONS[kind])
        trained: Tuned = tune_briefly_and_train(
            of,
            train,
            validation,
            {"arm": arms},
            {"rate": RATES},
            start=start,
            seeds=options.seeds,
            tuning_seeds=options.tuning_seeds,
            first_seed=FIRST_SEED,
            score="accuracy",
            steps=2 * half,
            tuning_steps=options.tuning_steps,
            batch_size=options.batch_size,
            record=max(1, half // RECORDED),
            every=half,
            probe=lambda params: params,
        )
        moments = [jax.tree.map(lambda a: a[i], trained.fit.probes) for i in range(3)]  # noqa: B023
        judged = [
            trained.by_method(100 * evaluate(of(2 * half), trained.hyperparams, p, test)["accuracy"])
            for p in moments[1:]
        ]
        slopes = trained.by_method(np.asarray(way_down(kind, moments[0], x, y)))
        history = trained.by_method(trained.fit.history["loss"])
        points = np.linspace(0, len(history) - 1, RECORDED).round().astype(int)
        for k in range(len(arms)):
            found["half"].append(judged[0][k])
            found["accuracy"].append(judged[1][k])
            found["loss"].append(history[points, k])
            found["rate"].append(RATES[trained.chosen[k]])
            found["tuning"].append(-100 * trained.tuning[k])
            found["steps"].append(2 * half)
            found["way_down"].append(slopes[k])
    # accuracy, half and way_down (arms, seeds), loss (arms, recorded steps, seeds), tuning (arms, rates)
    return {name: np.array(values) for name, values in found.items()}


RECORDED = 100
"""Points of a curve of the loss."""


def better(m: Measured, a: int, b: int, when: str = "accuracy") -> Interval:
    """Test accuracy of arm a minus that of arm b, percentage points."""
    return paired(m[when][a], m[when][b])


def draw(options: GreedyStart, m: Measured) -> Plot:
    """Training loss by step, and test accuracy of every seed."""
    figure = new_figure(10, 4)
    left, right = figure.subplots(1, 2, width_ratios=[1.3, 1])
    for k, (arm, color) in enumerate(zip(ARMS, COLORS)):
        steps = np.linspace(1, m["steps"][k], m["loss"].shape[1])
        low, middle, high = np.quantile(m["loss"][k], [0.1, 0.5, 0.9], axis=1)
        left.fill_between(steps, low, high, color=color, alpha=0.2, lw=0)
        left.plot(steps, middle, color=color, lw=1.2, label=f"{arm}, rate {m['rate'][k]:g}")
        values = m["accuracy"][k]
        right.plot(values, k + np.linspace(-0.15, 0.15, len(values)), "o", color=color, alpha=0.6)
    left.set(xlabel="supervised step", ylabel="training loss (nats), median, 80% of seeds", yscale="log")
    left.legend(fontsize=8)
    right.set_yticks(range(len(ARMS)), ARMS, fontsize=8)
    right.invert_yaxis()
    right.axvline(CHANCE, color=GRAY, ls="--", lw=1)
    right.set(xlabel="test accuracy (%); dashed: chance")
    at = m["accuracy"].mean(1)
    set_title(
        figure,
        f"{options.depth} hidden layers on MNIST, test accuracy: "
        + ", ".join(f"{arm} {a:.1f}%" for arm, a in zip(ARMS, at)),
    )
    table = {
        "arm": list(ARMS),
        "steps": m["steps"],
        "rate": m["rate"],
        "accuracy_half_way": m["half"].mean(1),
        "test_accuracy": at,
        "last_loss": m["loss"][:, -1].mean(-1),
        "gradient_second_over_last": m["way_down"].mean(1),
    }
    return Plot(figure, table)


CHANCE = 11.35
"""Percent of the test images that are of the most frequent class."""


def _facts(m: Measured) -> dict[str, Any]:
    at = m["accuracy"].mean(1)
    return {
        **{name: f"{at[k]:.1f}" for name, k in (
            ("joint", JOINT), ("rbm", BY_RBM), ("coder", BY_CODER), ("larger", LARGER), ("relu", RELU))},
        "more": f"{m['steps'][RELU] / m['steps'][JOINT]:.1f}",
    }  # fmt: skip


SECTION = "el aprendizaje de representación: pre-entrenamiento"
OVERCOME = notes(
    SECTION,
    "greedy layer-wise training by unsupervised criteria overcomes the difficulty of training the layers "
    "of a network jointly for a supervised task",
)


def _overcomes(arm: int, words: str) -> Part:
    return Part(
        f"a greedy start, {words}",
        f"From a stack of {words} the same layers learn it.",
        what=f"test accuracy from a stack of {words} minus that from Glorot's weights, percentage points",
        effect=lambda m: better(m, arm, JOINT),
        rule=Above(0.0),
        source=OVERCOME,
        learned=Plateau(half=lambda m: better(m, arm, JOINT, "half")),
    )


CLAIM = Claim(
    id="P14.10",
    statement="Greedy training of one layer after another, without labels, overcomes the difficulty of "
    "training the layers of a network jointly for a supervised task.",
    source="notes, «el aprendizaje de representación: pre-entrenamiento»; Goodfellow et al. 2016, 15.1; "
    "Glorot and Bengio 2010",
    options=GreedyStart,
    measure=measure,
    draw=draw,
    method="Perceptrons of {options.depth} hidden layers of {options.width} units learn {options.images} "
    "images of MNIST by SGD with momentum 0.9, {options.steps} steps of {options.batch_size} images, at a "
    "rate that falls to zero along a cosine over each half. Sigmoid units start at Glorot's weights; or "
    "each layer is trained in turn for {options.epochs} epochs without labels, as a restricted Boltzmann "
    "machine (CD-1) or as a denoising autoencoder (Adam), on the same images. Beside stand sigmoid units "
    "at four times Glorot's weights, and ReLU units at He's, that train for as many steps more as the "
    f"pretraining costs in products. Each arm has its own rate of {len(RATES)}, by the accuracy of "
    f"{{options.tuning_seeds}} other seeds on "
    "{options.validation} validation images after {options.tuning_steps} steps. {options.seeds} seeds are "
    "judged on {options.test} test images; intervals cover seeds only.",
    parts=(
        Part(
            "joint training is hard",
            "Trained jointly from Glorot's weights, {options.depth} layers of sigmoid units stay near "
            "chance.",
            what="test accuracy from Glorot's weights (%); the most frequent class has 11.35",
            effect=lambda m: mean(m["accuracy"][JOINT]),
            rule=Below(20.0),
            source=notes(SECTION, "it is difficult to train the layers of a network jointly"),
            learned=Plateau(half=lambda m: mean(m["half"][JOINT])),
        ),
        _overcomes(BY_RBM, "restricted Boltzmann machines"),
        _overcomes(BY_CODER, "denoising autoencoders"),
        Part(
            "how far it comes",
            "From a stack of restricted Boltzmann machines it classifies more than 90% of test images "
            "rightly.",
            what="test accuracy from a stack of restricted Boltzmann machines (%)",
            effect=lambda m: mean(m["accuracy"][BY_RBM]),
            rule=Above(90.0),
            source=ours("a linear model gets about that much, so less would leave depth of no use"),
            learned=Plateau(half=lambda m: mean(m["half"][BY_RBM])),
        ),
        Part(
            "more of the gradient comes down",
            "At a greedy start more of the gradient comes down to the lower layers.",
            what="gradient norm of the second layer over that of the last hidden one, restricted Boltzmann "
            "machines over Glorot's weights",
            effect=lambda m: ratio(m["way_down"][BY_RBM], m["way_down"][JOINT]),
            rule=Above(1.0),
            source=ours("it would say why"),
        ),
        Part(
            "larger weights",
            "Sigmoid layers also learn from four times Glorot's weights.",
            what="test accuracy from four times Glorot's weights minus that from Glorot's, percentage points",
            effect=lambda m: better(m, LARGER, JOINT),
            rule=Above(0.0),
            source=paper("Glorot & Bengio 2010", "a sigmoid wants weights four times those of tanh"),
            learned=Plateau(half=lambda m: better(m, LARGER, JOINT, "half")),
        ),
        Part(
            "what one does since",
            "For the same cost in all, ReLU units from He's weights do better than a greedy start.",
            what="test accuracy of ReLU units minus that of the better of both greedy starts, percentage "
            "points",
            effect=lambda m: better(m, RELU, max((BY_RBM, BY_CODER), key=lambda k: m["accuracy"][k].mean())),
            rule=Above(0.0),
            source=ours("the difficulty can be met by other units and starts, without pretraining"),
            learned=Plateau(
                half=lambda m: better(
                    m, RELU, max((BY_RBM, BY_CODER), key=lambda k: m["accuracy"][k].mean()), "half"
                )
            ),
        ),
    ),
    facts=_facts,
    reading="Jointly from Glorot's weights the layers reach {facts[joint]}% of the test images; from a "
    "stack of restricted Boltzmann machines {facts[rbm]}% and from one of denoising autoencoders "
    "{facts[coder]}%. With {facts[more]} times as many supervised steps, which cost what the pretraining "
    "does, larger random weights get {facts[larger]}% and ReLU units {facts[relu]}%.",
    revised="A pilot on other sizes came before. At first there were half as many supervised steps, and the "
    "accuracy from greedy starts still rose with them by more than its interval; no rule was changed.",
)
