"""Sparse connections depend on the problem: local and random patterns, on images and on shuffled pixels.

The notes: ways to have fewer connections lower the number of parameters and of operations, but they usually
depend strongly on the problem; convolutional networks, say, use special sparse patterns that are very
effective in computer vision.

Measured on MNIST and Fashion-MNIST: one hidden layer of 196 ReLU units, each of which sees 25 of the 784
pixels. They are a window of 5 × 5 pixels, or 25 random pixels; nothing is shared. Then the windows are taken
of images whose pixels are shuffled, in one order for all images of a seed. A network cannot tell that its
images are shuffled from its connections being moved, so the connections are moved. Beside them stands a
layer with all connections and as many parameters, that is with fewer units. Each has its own rate, which is
constant, so that half-way is a training of half as many steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from pydantic import Field

from dlnotes import analysis, data, layers, models, outputs
from dlnotes.claims import (
    Above,
    Claim,
    Interval,
    Measured,
    Options,
    Part,
    Plateau,
    Plot,
    Within,
    exact,
    notes,
    ours,
    paired,
)
from dlnotes.plotting import BLUE, ORANGE, new_figure, set_title
from dlnotes.training import (
    Recipe,
    evaluate,
    initial_params,
    optimizer,
    tune_briefly_and_train,
)
from dlnotes.typing import Array, PRNGKey

SETS = ("mnist", "fashion_mnist")
TITLES = ("MNIST", "Fashion-MNIST")
SIDE, WINDOW, STRIDE = 28, 5, 2
PIXELS, UNITS, CLASSES = SIDE**2, (SIDE // STRIDE) ** 2, 10
KINDS = ("local", "random", "local, shuffled")
LOCAL, RANDOM, SHUFFLED = range(3)
RATES = (0.0005, 0.0015, 0.005)
WHOLE = models.mlp(PIXELS, (UNITS,), CLASSES)
FIRST_SEED = 47_000


class SparsePatterns(Options):
    """Sizes of the experiment."""

    examples: int = Field(20_000, ge=100, description="training images")
    test: int = Field(10_000, ge=100, description="test images")
    steps: int = Field(1600, ge=10, description="of each training")
    batch_size: int = Field(64, ge=1, description="examples of a step")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each learning rate, to choose one")
    tuning_steps: int = Field(300, ge=1, description="steps of those trainings")


def local_pattern() -> np.ndarray:
    """Connections of units to windows of 5 × 5 pixels, ``(784, 196)`` of 0 and 1, all inside the image."""
    pattern = np.zeros((SIDE, SIDE, UNITS), np.float32)
    at = np.minimum(np.arange(SIDE // STRIDE) * STRIDE, SIDE - WINDOW)
    for unit, (row, column) in enumerate((r, c) for r in at for c in at):
        pattern[row : row + WINDOW, column : column + WINDOW, unit] = 1
    return pattern.reshape(PIXELS, UNITS)


class Masked(NamedTuple):
    """A perceptron and the connections of its hidden layer.

    Attributes:
      net: of `WHOLE`.
      mask: ``(784, 196)`` of 0 and 1; it has no gradient and stays as it is.
    """

    net: models.MLP
    mask: Array | np.ndarray


def pattern(kind: int, seed: int) -> np.ndarray:
    """The connections of a kind for a seed, ``(784, 196)``: 25 for each unit."""
    if kind == RANDOM:
        return layers.connections(PIXELS, UNITS, WINDOW**2 / PIXELS, seed=seed)
    order = np.arange(PIXELS)
    if kind == SHUFFLED:
        order = np.random.default_rng([FIRST_SEED, seed]).permutation(PIXELS)
    return local_pattern()[order]


def starts(hyperparams: dict[str, np.ndarray], seeds: np.ndarray) -> Masked:
    """He's start for units of 25 inputs, and each member's pattern."""
    net = initial_params(WHOLE, seeds, "he")
    kinds = hyperparams["kind"].astype(int)
    mask = np.stack([pattern(kind, int(seed)) for kind, seed in zip(kinds, seeds)])
    (hidden,) = net.hidden
    W = (hidden.W * mask * (PIXELS / WINDOW**2) ** 0.5).astype(np.float32)
    return Masked(net._replace(hidden=(hidden._replace(W=W),)), mask)


def masked_network() -> models.Model:
    """The perceptron that has only the connections of its mask."""

    def init(key: PRNGKey, /) -> Masked:
        return Masked(WHOLE.init(key), local_pattern())

    def apply(params: Masked, x: Any, /, **how: Any) -> Array:
        layer: Any = params.net.hidden[0]
        z = layers.masked_dense(layer, x, jax.lax.stop_gradient(params.mask))
        return layers.dense(params.net.output, layers.relu(z))

    return models.Model(init, apply)


def equal_units() -> int:
    """Units of a layer with all connections whose network has about as many parameters."""
    return round(UNITS * (WINDOW**2 + 1 + CLASSES) / (PIXELS + 1 + CLASSES))


def accuracies(
    options: SparsePatterns, sets: tuple[data.Examples, data.Examples, data.Examples]
) -> tuple[np.ndarray, np.ndarray]:
    """Test accuracy half-way and at the end ``(2, kinds and dense, seeds)``, and the rates."""
    train, validation, test = sets
    half = options.steps // 2

    def run(model: models.Model, **how: Any) -> tuple[np.ndarray, np.ndarray]:
        def recipe(hyper: Any) -> Recipe:
            adam = optimizer("adam", hyper["rate"])
            return Recipe(model, outputs.cross_entropy, {"accuracy": outputs.accuracy}, adam)

        trained = tune_briefly_and_train(
            lambda _: recipe,
            train,
            validation,
            grid={"rate": RATES},
            seeds=options.seeds,
            tuning_seeds=options.tuning_seeds,
            first_seed=FIRST_SEED,
            steps=2 * half,
            tuning_steps=options.tuning_steps,
            batch_size=min(options.batch_size, train.size),
            record=half,
            every=half,
            probe=lambda params: params,
            **how,
        )
        moments = [jax.tree.map(lambda a: a[i], trained.fit.probes) for i in (1, 2)]  # noqa: B023
        found = [evaluate(recipe, trained.hyperparams, p, test)["accuracy"] for p in moments]
        return trained.by_method(found), np.array(RATES)[trained.chosen]

    sparse, rates = run(masked_network(), methods={"kind": np.arange(len(KINDS))}, start=starts)
    few = models.mlp(PIXELS, (equal_units(),), CLASSES)
    dense, rate = run(few, methods={"all": [0]}, start=lambda _, seeds: initial_params(few, seeds, "he"))
    return np.concatenate([sparse, dense], axis=1), np.append(rates, rate)


def counted() -> np.ndarray:
    """Parameters and multiply-adds: sparse, with all connections, and with fewer units, ``(3, 2)``."""
    x = jax.ShapeDtypeStruct((1, PIXELS), np.float32)
    sparse = models.mlp(PIXELS, (UNITS,), CLASSES, connectivity=WINDOW**2 / PIXELS)
    rows = []
    for m in (sparse, WHOLE, models.mlp(PIXELS, (equal_units(),), CLASSES)):
        found = analysis.count(m, x)
        rows.append((found.parameters, found.multiply_adds))
    return np.array(rows)


def measure(options: SparsePatterns) -> dict[str, np.ndarray]:
    """Count, then train on both sets."""
    found = []
    for name in SETS:
        found.append(
            accuracies(options, data.parts_of(data.load(name), options.examples, 5000, options.test))
        )
    all = np.array([a for a, _ in found])  # (sets, 2, kinds and dense, seeds)
    return {
        "half": all[:, 0],
        "accuracy": all[:, 1],
        "rates": np.array([rates for _, rates in found]),
        "counted": counted(),
    }


def gap(m: Measured, s: int, a: int, b: int, when: str = "accuracy") -> Interval:
    """Test accuracy with pattern a minus that with b on a set, percentage points."""
    return paired(100 * m[when][s, a], 100 * m[when][s, b])


def draw(options: SparsePatterns, m: Measured) -> Plot:
    """Test accuracy of each pattern, and the patterns."""
    figure = new_figure(9.4, 4.0)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    labels = (
        "5 × 5 windows",
        "random pixels",
        "windows,\nshuffled pixels",
        f"all pixels,\n{equal_units()} units",
    )
    table: dict[str, list] = {name: [] for name in ("data", "connections", "accuracy", "deviation", "rate")}
    for s, (title, color) in enumerate(zip(TITLES, (BLUE, ORANGE))):
        values = 100 * m["accuracy"][s]
        places = np.arange(len(labels)) + 0.16 * (s - 0.5)
        for place, of in zip(places, values):
            left.plot(np.full(len(of), place), of, ".", color=color, alpha=0.4, ms=5)
        left.plot(places, values.mean(1), "os"[s], color=color, ms=8, mfc="white", ls="none", label=title)
        for label, of, rate in zip(labels, values, m["rates"][s]):
            row = (title, label.replace("\n", " "), of.mean(), of.std(), float(rate))
            for column, value in zip(table, row):
                table[column].append(value)
    left.set_xticks(range(len(labels)), labels)
    left.set(ylabel="test accuracy (%)")
    left.legend(loc="lower left")
    shown = np.zeros((SIDE, 3 * SIDE + 4))
    for kind, color in enumerate((1.0, 0.8, 0.6)):
        at = kind * (SIDE + 2)
        some = pattern(kind, 0).reshape(SIDE, SIDE, UNITS)[..., [60, 135]]
        shown[:, at : at + SIDE] = 0.12 + color * some.max(-1)
    right.imshow(shown, cmap="Greys", vmin=0, vmax=1.2, interpolation="nearest")
    right.set_xticks([SIDE * (k + 0.5) + 2 * k for k in range(3)], ("windows", "random", "shuffled"))
    right.set(yticks=[], title="pixels that two units see")
    right.grid(False)
    first, second = (gap(m, s, LOCAL, RANDOM).value for s in range(len(SETS)))
    set_title(
        figure,
        f"Windows instead of random pixels, at equal parameters, change the test accuracy by {first:+.1f} "
        f"points on MNIST and {second:+.1f} on Fashion-MNIST",
    )
    return Plot(figure, table)


SECTION = "diseño de la arquitectura"
DEPENDS = notes(
    SECTION,
    "ways to reduce the number of connections usually depend strongly on the problem; the sparse "
    "patterns of convolutional networks are very effective for problems of computer vision",
)


def _pair(name: str, statement: str, what: str, s: int, a: int, b: int, source: Any) -> Part:
    return Part(
        name,
        statement,
        what=what,
        effect=lambda m: gap(m, s, a, b),
        rule=Above(0.0),
        source=source,
        learned=Plateau(half=lambda m: gap(m, s, a, b, "half")),
    )


CLAIM = Claim(
    id="F4.7",
    statement="Fewer connections mean fewer parameters and operations, but which pattern is good depends on "
    "the problem: local patterns are effective for images.",
    source="notes, «diseño de la arquitectura»; Goodfellow et al. 2016, 6.4.2",
    options=SparsePatterns,
    measure=measure,
    draw=draw,
    method=f"Networks of one hidden layer of {UNITS} ReLU units on {{options.examples}} training images of "
    "MNIST and of Fashion-MNIST. Each unit sees 25 pixels: a window of 5 × 5, or random ones, or a window "
    f"of images with shuffled pixels. A layer of {equal_units()} units that see all pixels has as many "
    "parameters. Adam with a constant rate, {options.steps} steps of {options.batch_size} images; each has "
    "its own rate, chosen by the validation loss of {options.tuning_seeds} other seeds after "
    "{options.tuning_steps} steps. {options.seeds} seeds, on {options.test} test images; intervals cover "
    "seeds only.",
    parts=(
        Part(
            "fewer parameters",
            "A network with 25 connections a unit has less than a tenth of the parameters and multiply-adds.",
            what="parameters and multiply-adds over those with all connections, the larger",
            effect=lambda m: exact((m["counted"][0] / m["counted"][1]).max()),
            rule=Within(0.0, 0.1),
            source=notes(SECTION, "fewer connections reduce the number of parameters and of operations"),
        ),
        *(
            part
            for s, title in enumerate(TITLES)
            for part in (
                _pair(
                    f"local on {title}",
                    f"On {title} windows are better than random pixels.",
                    f"test accuracy with windows minus random pixels on {title}, percentage points",
                    s,
                    LOCAL,
                    RANDOM,
                    DEPENDS,
                ),
                _pair(
                    f"shuffled {title}",
                    f"The same windows are worse where the pixels of {title} are shuffled.",
                    f"test accuracy with windows on {title} minus on its shuffled pixels, percentage points",
                    s,
                    LOCAL,
                    SHUFFLED,
                    DEPENDS,
                ),
                _pair(
                    f"against fewer units, {title}",
                    f"On {title} windows are better than fewer units with all connections, at equal "
                    f"parameters.",
                    f"test accuracy with windows minus that of {equal_units()} units with all connections on "
                    f"{title}, percentage points",
                    s,
                    LOCAL,
                    len(KINDS),
                    ours("whether connections or units are better saved"),
                ),
            )
        ),
    ),
)
