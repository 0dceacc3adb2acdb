"""One representation for several tasks: few labels and all images, and two tasks on one trunk.

The notes: several tasks, supervised or not, can be learned at once with some shared internal representation;
semi-supervised learning offers to resolve the overfitting to few labels by learning from data without labels
too.

Measured: test errors of perceptrons that learn the classes of 100 or 1000 handwritten digits, alone or while
the same layers take noise from all 10,000 images; and of perceptrons that learn digits and clothes from 300
labels each, on one trunk or apart with as many parameters together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

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
)
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, new_figure, set_title

from ._shared_networks import (
    ALONE,
    ARMS,
    BOTH,
    CLASSES,
    DENOISED,
    OWN,
    SETS,
    SURE,
    learn,
    learn_sets,
    load,
    separate_width,
)

FEW, MORE = range(2)
HALF, END = range(2)
SHARED, APART = range(2)
MARGIN = 1.0
"""Percentage points by which one trunk may be worse than two before the tasks count as harmed."""


class SharedRepresentation(Options):
    """Sizes of the experiment."""

    images: int = Field(10_000, ge=200, description="training images, with labels or without")
    few: int = Field(100, ge=CLASSES, multiple_of=CLASSES, description="images that have a label")
    more: int = Field(
        1000, ge=CLASSES, multiple_of=CLASSES, description="images that have a label, second setting"
    )
    pair_labels: int = Field(300, ge=CLASSES, multiple_of=CLASSES, description="labels of each of two tasks")
    validation: int = Field(100, ge=20, description="images with labels that choose rate, noise and weights")
    test: int = Field(10_000, ge=50, description="test images")
    width: int = Field(256, ge=4, description="units of both hidden layers")
    steps: int = Field(2400, ge=2, multiple_of=2, description="of the trainings with few labels")
    pair_steps: int = Field(800, ge=2, multiple_of=2, description="of the trainings of two tasks")
    tuning_steps: int = Field(600, ge=2, description="of the trainings that choose")
    batch_size: int = Field(
        50, ge=1, description="images with labels of a step, of each task; as many without"
    )
    tuning_seeds: int = Field(3, ge=1, description="trainings at each point of a grid, to choose one")


def measure(options: SharedRepresentation) -> dict[str, np.ndarray]:
    """Train every arm with few labels and with more, and two tasks together and apart."""
    both = {name: load(name, options.images, options.validation, options.test) for name in SETS}
    found = [learn(arm, both["mnist"], options) for arm in ARMS]
    width = separate_width(options.width)
    together = learn_sets(both, options.width, (BOTH,), options)[0]
    apart = learn_sets(both, width, (0, 1), options)[[0, 1], [0, 1]]  # each on the set that it has learned
    return {
        # Per cent of the test images: (arms, few and more labels, half of the steps and all, seeds).
        "errors": np.array([one.errors for one in found]),
        "chosen": np.array([one.chosen for one in found]),  # (arms, labels, rate, noise, weights)
        "pair": np.stack([together, apart]),  # (shared or apart, tasks, half and all, seeds)
        "width": np.array(width),
    }


def fall(m: Measured, arm: int, labels: int, when: int = END) -> Interval:
    """Error with labels alone minus that of an arm, percentage points."""
    return paired(m["errors"][ALONE, labels, when], m["errors"][arm, labels, when])


def worse(m: Measured, tasks: slice, when: int = END) -> Interval:
    """Mean error of some tasks on one trunk minus that of networks apart, percentage points."""
    found = m["pair"][:, tasks, when].mean(axis=1)
    return paired(found[SHARED], found[APART])


def draw(options: SharedRepresentation, m: Measured) -> Plot:
    """Error by number of labels on the left, of two tasks on the right."""
    figure = new_figure(9.6, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=[1.3, 1])
    labels, errors, pair = (options.few, options.more), m["errors"][:, :, END], m["pair"][:, :, END]
    table: dict[str, list] = {k: [] for k in ("task", "labels", "network", "error_percent", "low", "high")}

    def add(task: str, count: int, network: str, values: np.ndarray) -> Interval:
        effect = mean(values)
        for column, cell in zip(table.values(), (task, count, network, *effect[:3])):
            column.append(cell)
        return effect

    for arm, values, color in zip(ARMS, errors, (GRAY, BLUE, GREEN)):
        effects = [add("digits", n, arm.name, v) for n, v in zip(labels, values)]
        middle = np.array([e.value for e in effects])
        bars = np.abs([[e.low, e.high] for e in effects] - middle[:, None]).T
        left.errorbar(labels, middle, bars, marker="o", color=color, capsize=3, label=arm.name)
        for n, own in zip(labels, values):
            left.plot(np.full(len(own), n), own, ".", color=color, alpha=0.35, ms=4)
    left.set(xscale="log", yscale="log", xlabel="images with a label", ylabel="test error (%)")
    left.set_xticks(labels, [f"{n:,}" for n in labels])
    left.set_yticks(
        ticks := [t for t in (2, 3, 5, 10, 20, 30, 50, 90) if errors.min() / 1.3 < t < 1.3 * errors.max()]
    )
    left.set_yticklabels([str(t) for t in ticks])
    left.minorticks_off()
    left.margins(x=0.15)
    left.legend(fontsize=9, loc="upper right")
    for k, task in enumerate(("digits", "clothes")):
        for which, (color, name) in enumerate(((BLUE, "one trunk"), (ORANGE, "apart"))):
            effect = add(task, options.pair_labels, name, pair[which, k])
            at = k + 0.2 * (2 * which - 1)
            right.bar(at, effect.value, 0.36, color=color, alpha=0.45, label=name if k == 0 else None)
            right.plot(at + np.linspace(-0.1, 0.1, pair.shape[-1]), pair[which, k], ".", color=color)
    right.set_xticks(range(2), ["digits", "clothes"])
    right.set(ylabel="test error (%)", ylim=(0, 1.25 * pair.max()))
    right.legend(fontsize=9, ncols=2, loc="upper left")
    best = m["errors"][:, FEW, END].mean(-1)
    set_title(
        figure,
        f"{options.few} labels: {best[ALONE]:.1f}% wrong alone, {best[DENOISED]:.1f}% while all images are "
        f"denoised, {best[OWN]:.1f}% with own answers too",
    )
    return Plot(figure, table)


def _facts(m: Measured) -> dict[str, str]:
    told = {}
    for arm, name in ((ALONE, "alone"), (DENOISED, "denoised"), (OWN, "own")):
        for labels, count in ((FEW, "few"), (MORE, "more")):
            told[f"{name}_{count}"] = f"{m['errors'][arm, labels, END].mean():.1f}"
    for which, name in ((SHARED, "shared"), (APART, "apart")):
        for k, task in enumerate(("digits", "clothes")):
            told[f"{name}_{task}"] = f"{m['pair'][which, k, END].mean():.1f}"
    return told | {"width": str(int(m["width"]))}


SECTION = "el aprendizaje de representación: pre-entrenamiento"
SEMI = (
    "semi-supervised learning can resolve the overfitting to few labels by learning from unlabeled data too"
)
SEVERAL = "several tasks, supervised or not, can be learned at once with some shared internal representation"
LEE = "Lee 2013, «Pseudo-label»: with 100 labels 25.8% wrong alone, 16.2% with the network's own answers"


def _falls(name: str, arm: int, labels: int, sentence: str, source: Any, rule: Any) -> Part:
    return Part(
        name,
        sentence,
        what="test error with labels alone minus that with all images, percentage points",
        effect=lambda m: fall(m, arm, labels),
        rule=rule,
        source=source,
        learned=Plateau(half=lambda m: fall(m, arm, labels, HALF)),
    )


def _harmed(name: str, tasks: slice, sentence: str, source: Any) -> Part:
    return Part(
        name,
        sentence,
        what="test error on one trunk minus that of two networks with as many parameters, percentage points",
        effect=lambda m: worse(m, tasks),
        rule=Below(MARGIN),
        source=source,
        learned=Plateau(half=lambda m: worse(m, tasks, HALF)),
    )


CLAIM = Claim(
    id="P14.6",
    statement="Several tasks, supervised or not, can be learned at once with a shared internal "
    "representation. Learning from data without labels too resolves part of the overfitting to few labels.",
    source="notes, «el aprendizaje de representación: pre-entrenamiento»; Caruana 1997; Vincent et al. 2008",
    options=SharedRepresentation,
    measure=measure,
    draw=draw,
    method="Perceptrons 784-{options.width}-{options.width} learn the classes of {options.few} or "
    "{options.more} of {options.images} images of MNIST by Adam for {options.steps} steps of "
    "{options.batch_size} labeled images; pixels are masked at random. With denoising, as many images "
    "without a label join each step, and a linear head gives back the pixels before they were "
    "masked. With own answers, the class that the network gives a clean image with a probability above "
    f"{SURE:g} is a target for the masked one. Each arm has six points of a grid: rate and noise, or noise "
    "and weight of the added task, chosen by {options.tuning_seeds} other seeds of {options.tuning_steps} "
    "steps on {options.validation} validation images. Two tasks: MNIST and Fashion-MNIST with "
    "{options.pair_labels} labels each and {options.pair_steps} steps, on one trunk or in two smaller "
    "networks with as many parameters together, each at its own rate. {options.seeds} seeds are judged, each "
    "with labels of its own; intervals cover seeds, not test images.",
    parts=(
        _falls(
            "few labels",
            DENOISED,
            FEW,
            "With few labels, a network that also takes noise from all images makes fewer mistakes.",
            notes(SECTION, SEMI),
            Above(0.0),
        ),
        _falls(
            "more labels",
            DENOISED,
            MORE,
            "With ten times as many labels it still makes fewer mistakes.",
            notes(SECTION, SEMI),
            Above(0.0),
        ),
        _harmed(
            "two tasks",
            slice(0, 2),
            f"Two tasks on one trunk are on average less than {MARGIN:g} point worse than apart.",
            notes(SECTION, SEVERAL),
        ),
        _falls(
            "by five points",
            DENOISED,
            FEW,
            "With few labels, denoising removes more than five points of error.",
            ours("how much it is worth"),
            Above(5.0),
        ),
        _falls(
            "own answers",
            OWN,
            FEW,
            "With few labels, denoising and the network's own answers remove more than five points of error.",
            paper(LEE, "the network's own sure answers are labels for the images that have none"),
            Above(5.0),
        ),
        _falls(
            "own answers, more labels",
            OWN,
            MORE,
            "With ten times as many labels they still help.",
            paper(LEE, "with 1000 labels 10.7% against 4.3% wrong"),
            Above(0.0),
        ),
        _harmed(
            "digits unharmed",
            slice(0, 1),
            f"Digits are less than {MARGIN:g} point worse with clothes on their trunk.",
            ours("whether one of the tasks pays for the other"),
        ),
        _harmed(
            "clothes unharmed",
            slice(1, 2),
            f"Clothes are less than {MARGIN:g} point worse with digits on their trunk.",
            ours("whether one of the tasks pays for the other"),
        ),
    ),
    facts=_facts,
    reading="With few labels {facts[alone_few]}% of the test images are wrong for labels alone, "
    "{facts[denoised_few]}% when all images are denoised by the same layers, {facts[own_few]}% with the "
    "network's own answers too; with ten times as many {facts[alone_more]}, {facts[denoised_more]} and "
    "{facts[own_more]}%. Digits and clothes on one trunk: {facts[shared_digits]} and "
    "{facts[shared_clothes]}% wrong; in two networks of {facts[width]} units a layer: {facts[apart_digits]} "
    "and {facts[apart_clothes]}%.",
    revised="The grids of weights and the number of steps come from a pilot of two seeds on 2000 test "
    "images, of 400 and 800 steps. The rules were written before it.",
)
