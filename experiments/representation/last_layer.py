"""What the layer below the last learns, by the kind of the last layer.

The notes: depending on the type of the last layer, the hidden units of the layer below it must learn
different properties.

Measured: one body is trained under three last layers: softmax, which needs planes between the classes; the
nearest class mean, which needs every image closest to the mean of its own class; and radial basis functions,
which need it near a center in absolute terms. What the layer below gives for unseen pictures of clothes is
compared by how far a class spreads against how far the classes lie apart, and by how well the other
classifiers do on it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

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
    notes,
    ours,
    paired,
    ratio,
)
from dlnotes.plotting import BLUE, GREEN, ORANGE, new_figure, set_title

from ._last_layers import (
    FIRST_SEED,
    RATES,
    below,
    class_means,
    confidence,
    heads,
    linear_accuracy,
    mean_accuracy,
    own_accuracy,
    ranked_above,
    rbf_accuracy,
    scatter,
    train,
)

NAMES = ("softmax", "nearest mean", "RBF")
SOFTMAX, NEAREST, RBF = range(3)
START, HALF, END = range(3)
CLASSIFIERS = (linear_accuracy, mean_accuracy, rbf_accuracy)
"""Of each representation: by planes, by the nearest class mean, by a radial basis unit for each class."""


class LastLayer(Options):
    """Sizes of the experiment."""

    images: int = Field(10_000, ge=500, description="training images")
    validation: int = Field(2000, ge=50, description="images that choose rates and penalties")
    test: int = Field(10_000, ge=100, description="test images")
    width: int = Field(256, ge=2, description="units of the first hidden layer")
    units: int = Field(64, ge=2, description="units of the layer below the last")
    steps: int = Field(8000, ge=4, description="of each training")
    batch_size: int = Field(100, ge=20, description="images of a step")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each rate, to choose one")
    tuning_steps: int = Field(400, ge=2, description="steps of those trainings")


def measure(options: LastLayer) -> dict[str, np.ndarray]:
    """Train the body under each last layer; spread, separation and the classifiers' accuracies below it."""
    sets = data.parts_of(data.load("fashion_mnist"), options.images, options.validation, options.test)
    x, y = [jnp.asarray(part.x) for part in sets], [jnp.asarray(part.y) for part in sets]
    rng = np.random.default_rng(FIRST_SEED)
    strange = jnp.asarray(rng.permuted(sets[2].x, axis=1))
    n, states = options.seeds, 3
    spread = np.zeros((len(NAMES), states, n, 2))
    crossed = np.full((len(NAMES), states, n, len(CLASSIFIERS)), np.nan)
    own, known = np.zeros((len(NAMES), states, n)), np.zeros((len(NAMES), states, n))
    rates = np.zeros(len(NAMES))
    shown = []
    for k, head in enumerate(heads(options.units)):
        trained, rates[k] = train(
            head,
            sets,
            width=options.width,
            units=options.units,
            seeds=n,
            tuning_seeds=options.tuning_seeds,
            tuning_steps=options.tuning_steps,
            steps=options.steps,
            batch_size=options.batch_size,
        )
        for state in range(states):
            for i in range(n):
                params = jax.tree.map(lambda a, i=i, s=state: jnp.asarray(a[s, i]), trained.probes)
                values = [below(options.width, options.units, params.body, part) for part in x]
                spread[k, state, i] = scatter(np.asarray(values[2]), sets[2].y)
                if state != START:
                    crossed[k, state, i] = [accuracy(values, y) for accuracy in CLASSIFIERS]
                own[k, state, i] = own_accuracy(head, params.head, values, y)
                means, _ = class_means(values[0], y[0])
                far = below(options.width, options.units, params.body, strange)
                known[k, state, i] = ranked_above(
                    confidence(head, params.head, means, values[2]),
                    confidence(head, params.head, means, far),
                )
                if (state, i) == (END, 0):
                    shown.append(_plane(np.asarray(values[2]), 1000))
    return {
        "spread": spread,  # (last layers, states, seeds, within and between classes), squared distances
        "crossed": crossed,  # (last layers, states, seeds, classifiers), test accuracy after training, %
        "own": own,  # (last layers, states, seeds), test accuracy, %
        "known": known,  # (last layers, states, seeds), area under the ROC curve
        "rates": rates,
        "shown": np.array(shown),  # (last layers, images, 2), of the first seed
        "shown_classes": np.asarray(sets[2].y[:1000]),
    }


def _plane(h: np.ndarray, count: int) -> np.ndarray:
    """The first images along the two directions of most variance, over its root mean square."""
    centered = (h - h.mean(0)).astype(np.float64)
    turned = centered @ np.linalg.eigh(centered.T @ centered)[1][:, :-3:-1]
    return (turned / max(np.sqrt((turned**2).mean()), 1e-12))[:count]


def within(m: Measured, k: int, state: int) -> np.ndarray:
    """Spread within classes over that between them, ``(seeds,)``."""
    return m["spread"][k, state, :, 0] / np.maximum(m["spread"][k, state, :, 1], 1e-12)


def wider(m: Measured, k: int, state: int) -> Interval:
    """Spread within over between classes, under softmax over that under another last layer."""
    return ratio(np.maximum(within(m, SOFTMAX, state), 1e-12), np.maximum(within(m, k, state), 1e-12))


def lost(m: Measured, state: int) -> Interval:
    """Accuracy that planes have over the nearest mean: under softmax minus under the nearest mean."""
    gap = m["crossed"][:, state, :, 0] - m["crossed"][:, state, :, 1]
    return paired(gap[SOFTMAX], gap[NEAREST])


def lost_rbf(m: Measured, state: int) -> Interval:
    """Accuracy that planes have over radial basis units: under softmax minus under RBF."""
    gap = m["crossed"][:, state, :, 0] - m["crossed"][:, state, :, 2]
    return paired(gap[SOFTMAX], gap[RBF])


def stranger(m: Measured, state: int) -> Interval:
    """How well a last layer tells clothes from shuffled pixels: RBF minus softmax."""
    return paired(m["known"][RBF, state], m["known"][SOFTMAX, state])


def worst(m: Measured, state: int) -> Interval:
    """Least accuracy of a representation under any classifier: nearest mean minus softmax."""
    least = m["crossed"][:, state].min(-1)
    return paired(least[NEAREST], least[SOFTMAX])


def draw(options: LastLayer, m: Measured) -> Plot:
    """The three representations in the plane, and the accuracy of each classifier on each."""
    figure = new_figure(11.6, 6.6)
    grid = figure.add_gridspec(2, 3, height_ratios=[1.2, 1])
    for k, name in enumerate(NAMES):
        axes = figure.add_subplot(grid[0, k])
        axes.scatter(*m["shown"][k].T, c=m["shown_classes"], cmap="tab10", s=5, alpha=0.7, lw=0)
        value = within(m, k, END).mean()
        axes.set(title=f"{name}: within over between {value:.2f}", xticks=[], yticks=[])
        axes.set_aspect("equal", adjustable="datalim")
    left = figure.add_subplot(grid[1, 0])
    for k, color in enumerate((BLUE, ORANGE, GREEN)):
        for state, mark in ((START, "^"), (HALF, "s"), (END, "o")):
            values = within(m, k, state)
            left.plot(k + np.linspace(-0.15, 0.15, len(values)), values, mark, color=color, alpha=0.6, ms=4)
    left.set_xticks(range(3), NAMES)
    left.set(yscale="log", ylabel="spread within over\nbetween classes (test)")
    low, high = left.get_ylim()
    left.set_yticks([t for t in (0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5) if low < t < high])
    left.yaxis.set_major_formatter("{x:g}")
    left.minorticks_off()
    for mark, label in (("^", "untrained"), ("s", "half-way"), ("o", "trained")):
        left.plot([], [], mark, color="black", label=label)
    left.legend(fontsize=8)
    right = figure.add_subplot(grid[1, 1:])
    bars = ("planes", "nearest mean", "RBF unit of a class")
    for k, (name, color) in enumerate(zip(NAMES, (BLUE, ORANGE, GREEN))):
        for j in range(len(bars)):
            values = m["crossed"][k, END, :, j]
            at = j + 0.27 * (k - 1)
            right.bar(
                at, values.mean(), 0.24, color=color, alpha=0.5, label=f"under {name}" if j == 0 else None
            )
            right.plot(at + np.linspace(-0.06, 0.06, len(values)), values, ".", color=color, ms=4)
    low, high = m["crossed"][:, END].min(), m["crossed"][:, END].max()
    right.set_xticks(range(3), bars)
    right.set(ylabel="test accuracy (%)", ylim=(low - 0.15 * (high - low), high + 0.25 * (high - low)))
    right.legend(fontsize=8, ncols=3, loc="upper right")
    times = wider(m, NEAREST, END)
    set_title(
        figure,
        f"Below softmax a class spreads {times.value:.1f} [{times.low:.1f}, {times.high:.1f}] times as far, "
        "against the distance of the classes, as below a nearest class mean",
    )
    table: dict[str, list] = {"last_layer": list(NAMES)}
    table["within_over_between"] = [float(within(m, k, END).mean()) for k in range(3)]
    for j, name in enumerate(("planes", "nearest_mean", "rbf")):
        table[f"{name}_percent"] = [float(v) for v in m["crossed"][:, END, :, j].mean(1)]
    table["own_percent"] = [float(v) for v in m["own"][:, END].mean(1)]
    table["known_from_shuffled"] = [float(v) for v in m["known"][:, END].mean(1)]
    return Plot(figure, table)


def _facts(m: Measured) -> dict[str, str]:
    told = {"rates": ", ".join(f"{name} {rate:g}" for name, rate in zip(NAMES, m["rates"]))}
    for k, name in enumerate(("softmax", "nearest", "rbf")):
        told[f"{name}_within"] = f"{within(m, k, END).mean():.2f}"
        told[f"{name}_own"] = f"{m['own'][k, END].mean():.1f}"
        told[name] = ", ".join(f"{v:.1f}" for v in m["crossed"][k, END].mean(0))
        told[f"{name}_known"] = f"{m['known'][k, END].mean():.2f}"
    return told


SECTION = "el aprendizaje de representación: pre-entrenamiento"
DIFFERENT = "depending on the type of the last layer, the units below it must learn different properties"

CLAIM = Claim(
    id="P14.7",
    statement="Depending on the type of the last layer, the hidden units of the layer below it must learn "
    "different properties.",
    source="notes, «el aprendizaje de representación: pre-entrenamiento»; Goodfellow et al. 2016, 15",
    options=LastLayer,
    measure=measure,
    draw=draw,
    method="A perceptron with layers of {options.width} and {options.units} ReLU units learns "
    "{options.images} pictures of clothes under three last layers, from the same start: softmax; the nearest "
    "class mean, a softmax of minus the squared distances to the means of the other images of the batch; and "
    "one radial basis unit for each class with its own center and width, where none of the classes stands at "
    "a fixed distance. All take {options.steps} steps of {options.batch_size} images by Adam; the rate falls "
    f"to zero half-way and again at the end, and is one of {len(RATES)}, chosen by the validation loss of "
    "{options.tuning_seeds} other seeds. On {options.test} test images the spread within classes is "
    "compared with that between them, and logistic regression, the nearest class mean and a radial basis "
    "unit for each class, all fitted to the training images, classify what the layer below the last gives. "
    "{options.seeds} seeds; intervals cover seeds, not images.",
    parts=(
        Part(
            "spread below softmax and nearest mean",
            "Below softmax a class spreads further, against the distance of the classes, than below the "
            "nearest class mean.",
            what="spread within over between classes, softmax over nearest mean, times",
            effect=lambda m: wider(m, NEAREST, END),
            rule=Above(1.0),
            source=notes(SECTION, DIFFERENT),
            learned=Plateau(half=lambda m: wider(m, NEAREST, HALF)),
        ),
        Part(
            "spread below softmax and RBF",
            "Below softmax a class spreads further, against the distance of the classes, than below radial "
            "basis units.",
            what="spread within over between classes, softmax over RBF, times",
            effect=lambda m: wider(m, RBF, END),
            rule=Above(1.0),
            source=notes(SECTION, DIFFERENT),
            learned=Plateau(half=lambda m: wider(m, RBF, HALF)),
        ),
        Part(
            "nearest mean on what softmax learned",
            "Below softmax the nearest class mean loses more against planes than where it was the last "
            "layer.",
            what="test accuracy of planes minus that of the nearest class mean, below softmax minus below "
            "the nearest mean, percentage points",
            effect=lambda m: lost(m, END),
            rule=Above(0.0),
            source=notes(SECTION, DIFFERENT),
            learned=Plateau(half=lambda m: lost(m, HALF)),
        ),
        Part(
            "RBF on what softmax learned",
            "Below softmax radial basis units lose more against planes than below radial basis units.",
            what="test accuracy of planes minus that of radial basis units, below softmax minus below RBF, "
            "percentage points",
            effect=lambda m: lost_rbf(m, END),
            rule=Above(0.0),
            source=ours(
                "the same for the third last layer, whose widths are fitted another way than learned"
            ),
            learned=Plateau(half=lambda m: lost_rbf(m, HALF)),
        ),
        Part(
            "one representation for all",
            "What is learned below the nearest mean serves its worst classifier better than what is learned "
            "below softmax serves its own worst.",
            what="least test accuracy of the three classifiers, below nearest mean minus below softmax, "
            "percentage points",
            effect=lambda m: worst(m, END),
            rule=Above(0.0),
            source=ours("which representation is safe to reuse"),
            learned=Plateau(half=lambda m: worst(m, HALF)),
        ),
        Part(
            "what is none of the classes",
            "Radial basis units tell clothes from shuffled pixels better than softmax does.",
            what="probability that a test image gets more confidence than one of shuffled pixels, RBF minus "
            "softmax",
            effect=lambda m: stranger(m, END),
            rule=Above(0.0),
            source=ours("a radial basis unit is active near a center only, a softmax is sure far away too"),
            learned=Plateau(half=lambda m: stranger(m, HALF)),
        ),
    ),
    facts=_facts,
    reading="On the test images the spread within classes over that between them is {facts[softmax_within]} "
    "below softmax, {facts[nearest_within]} below the nearest mean and {facts[rbf_within]} below RBF. "
    "Planes, the nearest mean and radial basis units are right for {facts[softmax]}% of the test images on "
    "what softmax learned, for {facts[nearest]}% on what the nearest mean learned and for {facts[rbf]}% on "
    "what RBF learned; the networks with their own last layers for {facts[softmax_own]}, "
    "{facts[nearest_own]} and {facts[rbf_own]}%. An image of clothes has more confidence than one of "
    "shuffled pixels with probability "
    "{facts[softmax_known]}, {facts[nearest_known]} and {facts[rbf_known]}. Rates: {facts[rates]}.",
    revised="After a pilot of three seeds, in which the spreads still moved when the steps were doubled, "
    "trainings are longer: twice as many steps of half as many images, on fresh seeds. At 4000 steps two "
    "effects of full size still moved by more than their intervals are wide: there are 8000, on "
    "fresh seeds again. No rule was changed.",
)
