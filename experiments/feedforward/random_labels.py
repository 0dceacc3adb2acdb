"""One hidden layer fits any training set: real images with random labels.

The notes: a network with one hidden layer is enough to fit a training set.

Measured on MNIST and Fashion-MNIST with labels drawn at random, so that there is nothing to learn but the
images themselves. A network of one hidden layer is written down that has the label of every image exactly,
with 2n + d weights for n images of d pixels: all pixels and labels are whole numbers, its output weights are
fractions, and nothing is rounded. Beside it networks of one hidden layer are trained until they fit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from dlnotes import analysis, data, models, outputs
from dlnotes.claims import (
    Above,
    Claim,
    Measured,
    Options,
    Part,
    Plot,
    Within,
    exact,
    mean,
    notes,
    ours,
    paper,
    ratio,
)
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, new_figure, set_title
from dlnotes.training import Recipe, evaluate, fit, optimizer, schedules

SETS = ("mnist", "fashion_mnist")
TITLES = ("MNIST", "Fashion-MNIST")
CASES = (("mnist", True), ("fashion_mnist", True), ("mnist", False))
"""Data of each training, and whether its labels are random."""
CLASSES, RATE, LOOKS = 10, 0.002, 20
SIZES = (10, 100, 1000, 10_000)
"""Images for which the network is also written down in floating point."""
FIRST_SEED = 48_000


class RandomLabels(Options):
    """Sizes of the experiment."""

    written: int = Field(55_000, ge=10, description="images that the network written down fits")
    images: int = Field(1000, ge=50, description="images that the trained networks fit")
    test: int = Field(10_000, ge=100, description="test images")
    units: int = Field(128, ge=1, description="hidden units of the trained networks")
    narrow: tuple[int, ...] = Field((4, 16, 64), description="hidden units of narrower ones")
    steps: int = Field(2000, ge=LOOKS, description="steps of each training")
    batch_size: int = Field(100, ge=1, description="images of a step")


def pixels(dataset: data.Dataset, images: int) -> np.ndarray:
    """The first training images as whole numbers from 0 to 255, ``(images, 784)``, each once."""
    scale = dataset.standardize
    assert scale is not None
    x = np.asarray(dataset.train.x[:images])
    x = np.rint(255 * (x * np.asarray(scale.scale) + np.asarray(scale.mean))).astype(np.uint8)
    each = {row.tobytes(): i for i, row in reversed(list(enumerate(x)))}
    return x.reshape(len(x), -1)[np.sort(list(each.values()))]


def written_down(x: np.ndarray, seed: int) -> dict[str, float]:
    """The network for random labels of these images: wrong values without rounding, weights, errors."""
    y = np.random.default_rng(seed).integers(CLASSES, size=len(x))
    network = analysis.rational_fit(x, y, seed=seed)
    found = {
        "wrong": sum(got != int(want) for got, want in zip(network(x), y)),
        "weights": network.weights - (2 * len(x) + x.shape[1]),
    }
    for n in SIZES:
        if n <= len(x):
            rounded = analysis.exact_fit(x[:n] / 255, y[:n], seed=seed)
            single = analysis.ExactFit(*(v.astype(np.float32) for v in rounded))
            found[f"double_{n}"] = float(np.abs(rounded(x[:n] / 255) - y[:n]).max())
            found[f"single_{n}"] = float(np.mean(np.rint(single(x[:n] / 255)) != y[:n]))
    return found


def trained(options: RandomLabels, name: str, random: bool, units: int) -> tuple[np.ndarray, ...]:
    """Networks of one hidden layer on the first images.

    Returns:
      wrong: ``(looks, seeds)`` training images that are answered wrongly, before training and after each
        twentieth of the steps.
      accuracy: ``(seeds,)`` on the test images, with their true labels.
    """
    train, _, test = data.parts_of(data.load(name), options.images, 1, options.test)
    seeds = FIRST_SEED + np.arange(options.seeds)
    labels = np.stack([np.random.default_rng(seed).integers(CLASSES, size=train.size) for seed in seeds])
    y = labels if random else np.tile(np.asarray(train.y), (len(seeds), 1))
    model = models.mlp(train.x.shape[1], (units,), CLASSES)
    steps = options.steps // LOOKS * LOOKS
    adam = optimizer("adam", RATE, factor=schedules.cosine(steps))
    metrics = {"accuracy": outputs.accuracy}
    recipe = Recipe(model, outputs.cross_entropy, metrics, adam)
    x = np.asarray(train.x)
    found = fit(
        recipe,
        data.Examples(np.tile(x, (len(seeds), 1, 1)), y.astype(np.int32)),
        steps=steps,
        batch_size=min(options.batch_size, train.size),
        seeds=seeds,
        every=steps // LOOKS,
        probe=lambda params: model.apply(params, x).argmax(-1),
        record=steps // LOOKS,
        data_per_member=True,
    )
    accuracy = evaluate(lambda _: recipe, {"of": np.zeros(len(seeds))}, found.params, test)["accuracy"]
    return (found.probes != y).sum(-1), accuracy


def measure(options: RandomLabels) -> dict[str, np.ndarray]:
    """Write networks down for all images, then train others on a few."""
    found: dict[str, np.ndarray] = {}
    for name in SETS:
        x = pixels(data.load(name), options.written)
        rows = [written_down(x, FIRST_SEED + seed) for seed in range(min(options.seeds, 3))]
        found |= {f"{name}_{key}": np.array([row[key] for row in rows]) for key in rows[0]}
        found[f"{name}_images"] = np.array(len(x))
    wrong, accuracy = zip(*(trained(options, *case, options.units) for case in CASES))
    found["wrong"], found["accuracy"] = np.array(wrong), np.array(accuracy)  # (cases, looks, seeds), …
    narrow = [trained(options, *CASES[0], units)[0][-1] for units in options.narrow]
    found["narrow_wrong"] = np.array(narrow).reshape(len(options.narrow), options.seeds)
    found["narrow"], found["units"] = np.array(options.narrow), np.array(options.units)
    found["trained_images"], found["steps"] = np.array(options.images), np.array(options.steps)
    return found


def first_fit(m: Measured, case: int) -> np.ndarray:
    """Steps until a look finds no training image wrong, each seed; the whole training where none does."""
    none = m["wrong"][case] == 0
    looks = np.where(none.any(0), none.argmax(0), LOOKS)
    return np.maximum(looks, 1) * (m["steps"] // LOOKS)


def draw(options: RandomLabels, m: Measured) -> Plot:
    """Training images still wrong against steps, and against the number of weights."""
    figure = new_figure(9.6, 4.0)
    left, right = figure.subplots(1, 2)
    n = int(m["trained_images"])
    steps = np.arange(LOOKS + 1) * (options.steps // LOOKS)
    labels = ("MNIST, random labels", "Fashion-MNIST, random labels", "MNIST, true labels")
    table: dict[str, Any] = {"step": steps}
    for case, (label, color) in enumerate(zip(labels, (BLUE, ORANGE, GREEN))):
        low, middle, high = 100 * np.quantile(m["wrong"][case] / n, [0, 0.5, 1], axis=1)
        left.fill_between(steps, low, high, color=color, alpha=0.2, lw=0)
        left.plot(steps, middle, "os^"[case] + "-", color=color, label=label)
        table[f"wrong_percent_{case}"] = middle
    left.set(xlabel="steps", ylabel=f"of {n:,} training images wrong (%)")
    left.legend(fontsize=8.5)
    pixels = 784
    widths = np.append(m["narrow"], m["units"])
    weights = widths * (pixels + 1 + CLASSES) + CLASSES
    wrong = 100 * np.vstack([m["narrow_wrong"], m["wrong"][0, -1]]) / n
    right.plot(weights, wrong.mean(1), "o-", color=BLUE, label="trained, MNIST, random labels")
    for x, y, units in zip(weights, wrong.mean(1), widths):
        right.annotate(f"{units} units", (x, y), xytext=(4, 6), textcoords="offset points", fontsize=8)
    right.plot(2 * n + pixels, 0, "D", color=GRAY, label=f"written down, {n:,} units: 2n + d weights")
    right.set(xscale="log", xlabel="weights", ylabel=f"of {n:,} training images wrong (%)", ylim=(-4, 100))
    right.legend(fontsize=8.5)
    images = [int(m[f"{name}_images"]) for name in SETS]
    set_title(
        figure,
        f"One hidden layer has every random label of {images[0]:,} digits and of {images[1]:,} clothes with "
        f"2n + d weights, written down; trained networks fit {n:,} images",
    )
    return Plot(figure, table)


SECTION = "diseño de la arquitectura"
ENOUGH = notes(SECTION, "a neural network with only one hidden layer is enough to fit a training set")

CLAIM = Claim(
    id="F4.8",
    statement="A network with only one hidden layer is enough to fit a training set, whatever its labels.",
    source="notes, «diseño de la arquitectura»; Zhang et al. 2017",
    options=RandomLabels,
    measure=measure,
    draw=draw,
    method="Data: MNIST and Fashion-MNIST with labels drawn at random. For {options.written} different "
    "training images, or all, a network of one hidden layer with 2n + d weights is written down by the "
    "construction of Zhang et al. (2017) and evaluated without rounding, in whole numbers and fractions, "
    "for three draws of labels. Networks of {options.units} ReLU units are trained on {options.images} "
    "images by Adam at a falling rate, {options.steps} steps of {options.batch_size} images, with random and "
    "with true labels; {options.seeds} seeds. Images that occur twice are taken once.",
    parts=(
        *(
            Part(
                f"written down, {title}",
                f"A network of one hidden layer with 2n + d weights has the random label of every image of "
                f"{title} exactly.",
                what="images whose value is not their label, without rounding",
                effect=lambda m, name=name: exact(
                    m[f"{name}_wrong"].max() + np.abs(m[f"{name}_weights"]).max(),
                    int(m[f"{name}_images"]) * len(m[f"{name}_wrong"]),
                ),
                rule=Within(0, 0),
                source=ENOUGH,
            )
            for name, title in zip(SETS, TITLES)
        ),
        *(
            Part(
                f"trained, {title}",
                f"A network of {{options.units}} hidden units learns the random labels of all images of "
                f"{title}.",
                what="training images that are answered wrongly at the end, the most of any seed",
                effect=lambda m, case=case: exact(m["wrong"][case, -1].max(), m["wrong"].shape[-1]),
                rule=Within(0, 0),
                source=ENOUGH,
            )
            for case, title in enumerate(TITLES)
        ),
        Part(
            "true labels generalize",
            "The same network, trained in the same way on the true labels, is right on most test images.",
            what="test accuracy after training on true labels, %, MNIST",
            effect=lambda m: mean(100 * m["accuracy"][2]),
            rule=Above(80.0),
            source=paper(
                "Zhang et al. 2017",
                "networks that generalize well also fit random labels, so their size "
                "alone does not explain that they generalize",
            ),
        ),
        Part(
            "random labels do not",
            "Trained on random labels it is right as often as chance on the test images.",
            what="test accuracy after training on random labels, %, MNIST",
            effect=lambda m: mean(100 * m["accuracy"][0]),
            rule=Within(7.0, 13.0),
            source=paper("Zhang et al. 2017", "with random labels there is nothing to generalize"),
        ),
        Part(
            "random labels take longer",
            "Random labels take more steps than true labels until all training images are right.",
            what="steps until all are right, random over true labels, MNIST",
            effect=lambda m: ratio(first_fit(m, 0), first_fit(m, 2)),
            rule=Above(1.0),
            source=paper("Zhang et al. 2017", "random labels slow training down by a constant factor"),
        ),
        Part(
            "too narrow to be trained",
            "A network with fewer units than classes does not learn the random labels.",
            what="share of training images wrong at the end, the narrowest network, MNIST",
            effect=lambda m: mean(m["narrow_wrong"][0] / m["trained_images"]),
            rule=Above(0.1),
            source=ours("how wide a layer must be that is trained, where 2n + d weights are enough written"),
        ),
    ),
    facts=lambda m: _facts(m),
    reading="That one hidden layer is enough is a statement on what exists, and says nothing of images that "
    "were not seen: with random labels {facts[random]}% of the test images are right, with the true ones "
    "{facts[true]}%. The network that is written down has as many units as there are images, and needs "
    "precise weights: rounded to single precision it gets {facts[single]}% of ten thousand labels wrong.",
)


def _facts(m: Measured) -> dict[str, Any]:
    largest = [n for n in SIZES if f"mnist_single_{n}" in m][-1]
    return {
        "random": f"{100 * m['accuracy'][0].mean():.1f}",
        "true": f"{100 * m['accuracy'][2].mean():.1f}",
        "single": f"{100 * m[f'mnist_single_{largest}'].mean():.0f}",
    }
