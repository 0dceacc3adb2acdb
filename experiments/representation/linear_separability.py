"""How well a linear classifier tells the classes apart, layer by layer.

The notes: training with labels leads to a representation at each hidden layer, above all at the final ones,
that makes classification easier; inputs that are not linearly separable can be so at the last layer.

Measured: linear classifiers fitted to what each layer of trained networks gives, for pictures of clothes
that the networks have not seen; and the share of the pairs of classes that a plane separates without a
mistake, by linear programming. All layers have the same width, and of the pixels as many principal
directions are used, because more dimensions alone make points separable.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from pydantic import Field
from scipy.stats import rankdata

from dlnotes import data
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
    paper,
)
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, PURPLE, new_figure, set_title

from ._layer_networks import (
    CHANNELS,
    FIRST_SEED,
    RATES,
    STATES,
    kinds,
    layers,
    member,
    of_each_class,
    principal,
    probed,
    separated,
    train,
    train_shuffled,
)

TANH, RELU, MAPS = range(3)
START, HALF, END = range(len(STATES))
NAMES = ("tanh", "ReLU", "convolutional")
WHERE = ("In tanh perceptrons", "In ReLU perceptrons", "In convolutional networks")


class LinearSeparability(Options):
    """Sizes of the experiment."""

    images: int = Field(10_000, ge=500, description="training images")
    validation: int = Field(2000, ge=50, description="images that choose rates and penalties")
    test: int = Field(10_000, ge=100, description="test images")
    width: int = Field(128, ge=2, description="units of each hidden layer")
    depth: int = Field(6, ge=2, description="hidden layers of the perceptrons")
    steps: int = Field(8000, ge=4, description="of the training of a perceptron")
    image_steps: int = Field(12_000, ge=4, description="of the training of a convolutional network")
    batch_size: int = Field(100, ge=1, description="images of a step")
    points: int = Field(500, ge=2, description="training images of each class that planes are to separate")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each rate, to choose one")
    tuning_steps: int = Field(2000, ge=2, description="steps of those trainings")


def measure(options: LinearSeparability) -> dict[str, np.ndarray]:
    """Train the networks; probe their layers, and look which pairs of classes a plane separates."""
    sets = data.parts_of(data.load("fashion_mnist"), options.images, options.validation, options.test)
    y = [jnp.asarray(part.y) for part in sets]
    width, seeds, hidden = options.width, options.seeds, options.depth
    turn = principal(sets[0].x, width)
    pixels = [jnp.asarray(part.x @ turn) for part in sets]
    chosen = [of_each_class(sets[0].y, options.points, FIRST_SEED + i) for i in range(seeds)]
    most = max(hidden, len(CHANNELS) + 1) + 1
    accuracy = np.full((len(NAMES), len(STATES), seeds, most), np.nan)
    accuracy[..., 0] = probed([[p] for p in pixels], y, width)[0]
    shuffled = np.full((seeds, hidden + 1), np.nan)
    shuffled[:, 0] = accuracy[0, 0, 0, 0]
    logistic = np.full((seeds, 2), probed([[p] for p in pixels], y, width, "logistic")[0])
    own = np.full((len(NAMES), len(STATES), seeds), np.nan)
    pairs = np.full((len(NAMES), len(STATES), seeds), np.nan)
    rates = np.zeros(len(NAMES))
    for k, kind in enumerate(kinds(width, hidden, options.steps, options.image_steps)):
        networks = train(
            kind,
            sets,
            seeds=seeds,
            tuning_seeds=options.tuning_seeds,
            tuning_steps=options.tuning_steps,
            batch_size=options.batch_size,
        )
        rates[k] = networks.rate
        shaped = [jnp.asarray(kind.shaped(part.x)) for part in sets]
        for state, params in enumerate(networks.params):
            for i in range(seeds if (k, state) != (MAPS, START) else 0):
                found = [layers(kind.model, member(params, i), x) for x in shaped]
                values = [each[:-1] for each in found]
                last = len(values[0])
                accuracy[k, state, i, 1 : last + 1] = probed(values, y, width)
                own[k, state, i] = 100 * float((found[2][-1].argmax(-1) == y[2]).mean())
                if state != START:
                    pairs[k, state, i] = separated(np.asarray(values[0][-1])[chosen[i]])
                if (k, state) == (RELU, END):
                    logistic[i, 1] = probed([each[-1:] for each in values], y, width, "logistic")[0]
        if k == RELU:
            other = train_shuffled(
                kind, sets, networks.rate, seeds=seeds, batch_size=options.batch_size
            ).params[END]
            for i in range(seeds):
                values = [layers(kind.model, member(other, i), x)[:-1] for x in shaped]
                shuffled[i, 1:] = probed(values, y, width)
    return {
        # NaN where there is no such layer, and of the untrained convolutional networks.
        "accuracy": accuracy,  # (networks, states, seeds, the input and hidden layers), %
        "shuffled": shuffled,  # (seeds, the input and hidden layers), %
        "logistic": logistic,  # (seeds, the input and the last hidden layer), %
        "own": own,  # (networks, states, seeds), %, of the networks themselves
        "pairs": pairs,  # (networks, states, seeds), share at the last hidden layer after training
        "input_pairs": np.array([separated(np.asarray(pixels[0])[c]) for c in chosen]),  # (seeds,)
        "rates": rates,
    }


def layered(m: Measured, k: int, state: int) -> np.ndarray:
    """Accuracies of a kind's probes, ``(seeds, the input and its hidden layers)``."""
    found = m["accuracy"][k, state]
    return found[:, ~np.isnan(found).any(0)]


def gain(m: Measured, k: int, state: int) -> Interval:
    """Accuracy at the last hidden layer minus that at the input, percentage points."""
    found = layered(m, k, state)
    return paired(found[:, -1], found[:, 0])


def late(m: Measured, k: int, state: int) -> Interval:
    """Mean accuracy at the last two hidden layers minus that at the first two, percentage points."""
    found = layered(m, k, state)
    return paired(found[:, -2:].mean(1), found[:, 1:3].mean(1))


def rises(m: Measured, k: int, state: int) -> Interval:
    """Rank correlation of accuracy with depth, the input being depth 0."""
    found = layered(m, k, state)
    places = np.arange(found.shape[1])
    ranks = [rankdata(row) - (len(row) + 1) / 2 for row in found]
    depth = places - places.mean()
    return mean([r @ depth / max(np.linalg.norm(r) * np.linalg.norm(depth), 1e-12) for r in ranks])


def more_pairs(m: Measured, k: int, state: int) -> Interval:
    """Share of pairs separated at the last hidden layer minus that at the input."""
    return paired(m["pairs"][k, state], m["input_pairs"])


def over_start(m: Measured, state: int) -> Interval:
    """Last hidden layer of the ReLU networks: accuracy after training minus that before it."""
    return paired(layered(m, RELU, state)[:, -1], layered(m, RELU, START)[:, -1])


def over_shuffled(m: Measured, state: int) -> Interval:
    """The same minus that of networks which learned shuffled labels."""
    return paired(layered(m, RELU, state)[:, -1], m["shuffled"][:, -1])


def draw(options: LinearSeparability, m: Measured) -> Plot:
    """Accuracy by layer on the left, separated pairs of classes on the right."""
    figure = new_figure(10.4, 4.4)
    left, right = figure.subplots(1, 2, width_ratios=[1.7, 1])
    table: dict[str, list] = {
        k: [] for k in ("network", "state", "layer", "accuracy_percent", "pairs_separated")
    }

    def line(name: str, state: str, values: np.ndarray, pairs: float, **style: Any) -> None:
        middle = values.mean(0)
        places = np.linspace(0, options.depth, len(middle)) if len(middle) <= options.depth else None
        at = np.arange(len(middle)) if places is None else places
        left.plot(at, middle, marker="o", **style)
        left.fill_between(at, *np.quantile(values, [0, 1], axis=0), color=style["color"], alpha=0.12, lw=0)
        for i, value in enumerate(middle):
            row = (name, state, i, float(value), pairs if i == len(middle) - 1 else None)
            for column, cell in zip(table.values(), row):
                column.append(cell)

    for k, color in enumerate((ORANGE, BLUE, GREEN)):
        for state, style in ((END, "-"), (START, ":")):
            if (k, state) == (MAPS, START):
                continue
            line(
                NAMES[k],
                STATES[state],
                layered(m, k, state),
                float(m["pairs"][k, state].mean()),
                color=color,
                ls=style,
                label=f"{NAMES[k]}, {STATES[state]}",
            )
    line(
        "ReLU", "shuffled labels", m["shuffled"], float("nan"), color=PURPLE, ls="--", label="ReLU, shuffled"
    )
    left.set(
        xlabel="hidden layer (0: the pixels); those of the convolutional network are spread out",
        ylabel="test accuracy of a linear classifier (%)",
    )
    left.set_xticks(range(options.depth + 1))
    left.legend(fontsize=8, ncols=2)
    bars = [("pixels", m["input_pairs"], GRAY)]
    bars += [
        (f"{NAMES[k]},\n{told}", m["pairs"][k, state], color)
        for k, color in enumerate((ORANGE, BLUE, GREEN))
        for state, told in ((HALF, "half-way"), (END, "trained"))
    ]
    for i, (_, values, color) in enumerate(bars):
        right.bar(i, 100 * values.mean(), color=color, alpha=0.45)
        right.plot(i + np.linspace(-0.2, 0.2, len(values)), 100 * values, ".", color=color)
    right.set_xticks(range(len(bars)), [name for name, *_ in bars], fontsize=8, rotation=60, ha="right")
    right.set(ylabel="pairs of classes separated exactly (%)", ylim=(0, 102))
    ends = layered(m, RELU, END)[:, [0, -1]].mean(0)
    set_title(
        figure,
        f"A linear classifier of the last ReLU layer is right for {ends[1]:.1f}% of the test images, of the "
        f"pixels for {ends[0]:.1f}%",
    )
    return Plot(figure, table)


def _facts(m: Measured) -> dict[str, str]:
    told = {}
    for k, name in enumerate(NAMES):
        found = layered(m, k, END).mean(0)
        told[name] = ", ".join(f"{v:.1f}" for v in found[1:])
        told[f"{name}_own"] = f"{m['own'][k, END].mean():.1f}"
        told[f"{name}_pairs"] = f"{100 * m['pairs'][k, END].mean():.0f}"
    return told | {
        "pixels": f"{m['accuracy'][0, 0, 0, 0]:.1f}",
        "pixel_pairs": f"{100 * m['input_pairs'].mean():.0f}",
        "start": f"{layered(m, RELU, START)[:, -1].mean():.1f}",
        "shuffled": f"{m['shuffled'][:, -1].mean():.1f}",
        "rates": ", ".join(f"{name} {rate:g}" for name, rate in zip(NAMES, m["rates"])),
    }


SECTION = "el aprendizaje de representación: pre-entrenamiento"
SEPARABLE = "inputs that are not linearly separable can be linearly separable at the last layer"
EASIER = "training with labels leads to representations, above all at the final layers, that make it easier"
ALAIN = "Alain & Bengio 2016, «Understanding intermediate layers using linear classifier probes»"


def _gain(k: int) -> Part:
    return Part(
        f"easier at the last layer, {NAMES[k]}",
        f"{WHERE[k]} a linear classifier of the last hidden layer is right for more test images than one of "
        "the pixels.",
        what="test accuracy at the last hidden layer minus that at the pixels, percentage points",
        effect=lambda m: gain(m, k, END),
        rule=Above(0.0),
        source=notes(SECTION, EASIER),
        learned=Plateau(half=lambda m: gain(m, k, HALF)),
    )


def _pairs(k: int) -> Part:
    return Part(
        f"pairs separated, {NAMES[k]}",
        f"{WHERE[k]} planes separate more pairs of classes without a mistake at the last hidden layer than "
        "at the pixels.",
        what="share of the pairs of classes that a plane separates, {options.points} training images of "
        "each class, last hidden layer minus pixels",
        effect=lambda m: more_pairs(m, k, END),
        rule=Above(0.0),
        source=notes(SECTION, SEPARABLE),
        learned=Plateau(half=lambda m: more_pairs(m, k, HALF)),
    )


def _late(k: int) -> Part:
    return Part(
        f"final layers, {NAMES[k]}",
        f"{WHERE[k]} linear classifiers are right for more test images at the last two hidden layers than at "
        "the first two.",
        what="mean test accuracy at the last two hidden layers minus that at the first two, percentage "
        "points",
        effect=lambda m: late(m, k, END),
        rule=Above(0.0),
        source=notes(SECTION, EASIER),
        learned=Plateau(half=lambda m: late(m, k, HALF)),
    )


def _rises(k: int) -> Part:
    return Part(
        f"rises with depth, {NAMES[k]}",
        f"{WHERE[k]} a linear classifier is right for more test images the deeper its layer lies.",
        what="rank correlation of test accuracy with depth, pixels first",
        effect=lambda m: rises(m, k, END),
        rule=Above(0.9),
        source=paper(ALAIN, "linear separability increases monotonically with depth"),
        learned=Plateau(half=lambda m: rises(m, k, HALF)),
    )


CLAIM = Claim(
    id="P14.5",
    statement="Training with labels leads to a representation at each hidden layer, above all at the final "
    "ones, that makes classification easier: inputs that are not linearly separable can be linearly "
    "separable at the last layer.",
    source="notes, «el aprendizaje de representación: pre-entrenamiento»; Alain and Bengio 2016",
    options=LinearSeparability,
    measure=measure,
    draw=draw,
    method="Perceptrons of {options.depth} layers of {options.width} tanh or ReLU units, and a network of "
    "two convolutions and a dense layer of as many, learn {options.images} pictures of clothes by Adam for "
    "{options.steps} ({options.image_steps}) steps of {options.batch_size}; the rate falls to zero half-way "
    f"and again at the end, and is one of {len(RATES)}, chosen by {{options.tuning_seeds}} other seeds. At "
    "each hidden layer a ridge classifier is fitted to the training images, its penalty chosen on "
    "{options.validation} validation images, and judged on {options.test} test images. It has at most "
    "{options.width} inputs: of the pixels and of maps as many principal directions. Pairs of classes are "
    "separated by linear programming, {options.points} training images of each class. {options.seeds} "
    "networks of each kind are judged; intervals cover seeds, not images.",
    parts=(
        *(_gain(k) for k in (TANH, RELU, MAPS)),
        *(_pairs(k) for k in (TANH, RELU, MAPS)),
        *(_late(k) for k in (TANH, RELU)),
        *(_rises(k) for k in (TANH, RELU)),
        Part(
            "training does it",
            "The last ReLU layer is easier for a linear classifier after training than before.",
            what="test accuracy at the last hidden layer, trained minus untrained, percentage points",
            effect=lambda m: over_start(m, END),
            rule=Above(0.0),
            source=ours("a control: random layers of the same shape"),
            learned=Plateau(half=lambda m: over_start(m, HALF)),
        ),
        Part(
            "true labels do it",
            "The last ReLU layer is easier after training on the labels than on shuffled ones.",
            what="test accuracy at the last hidden layer, true minus shuffled labels, percentage points",
            effect=lambda m: over_shuffled(m, END),
            rule=Above(0.0),
            source=ours("a control: the same training without anything to be learned about the classes"),
            learned=Plateau(half=lambda m: over_shuffled(m, HALF)),
        ),
        Part(
            "logistic classifiers",
            "Logistic regression finds the last ReLU layer easier than the pixels too.",
            what="test accuracy of logistic regression, last hidden layer minus pixels, percentage points",
            effect=lambda m: paired(m["logistic"][:, 1], m["logistic"][:, 0]),
            rule=Above(0.0),
            source=ours("whether the result hangs on the loss of the linear classifier"),
        ),
    ),
    facts=_facts,
    reading="A linear classifier of the pixels is right for {facts[pixels]}% of the test images. At the "
    "hidden layers of the ReLU networks it is right for {facts[ReLU]}%, of the tanh networks for "
    "{facts[tanh]}%, of the convolutional ones for {facts[convolutional]}%; the networks themselves for "
    "{facts[ReLU_own]}, {facts[tanh_own]} and {facts[convolutional_own]}%. Planes separate "
    "{facts[pixel_pairs]}% of the pairs of classes at the pixels and {facts[ReLU_pairs]}, "
    "{facts[tanh_pairs]} and {facts[convolutional_pairs]}% at the last hidden layer. Untrained ReLU layers "
    "end at {facts[start]}%, those trained on shuffled labels at {facts[shuffled]}%. Rates: "
    "{facts[rates]}.",
    revised="In a pilot on another seed planes separated all pairs of classes at the pixels where 250 "
    "images of each class were taken, for 500 points in 128 dimensions are few. So 500 of each are taken. "
    "At 2000 and at 4000 steps, half or three quarters as many of convolutional networks, effects still "
    "moved when the steps were doubled: trainings are longer now. Then the gain of ReLU networks moved, with "
    "rates chosen after 400 steps: they are chosen after 2000. Then the pairs that convolutional networks "
    "separate moved: they have 12,000 steps. Each time the seeds were fresh. The rules were written before. "
    "No rule was changed.",
)
