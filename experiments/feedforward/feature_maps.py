"""Three ways to choose the features φ of y = φ(x)ᵀw, and the linear model, on handwritten digits.

The notes: a generic φ of very many dimensions, such as that of an RBF kernel, always has the capacity to
fit the training set, yet generalizes poorly; features made by hand take expertise and transfer little;
deep learning learns φ(x; θ), and has the generality of the first and the fitness of the second.

Measured: the accuracy on digits of a support vector machine with an RBF kernel, of a linear classifier on
pixels, of one on features made by hand for 8 × 8 digits (ink by zone, row and column; directions of
strokes by quadrant; all in the window that holds most ink), and of a network with one hidden layer of 64
ReLU units. Each is tuned on validation. Then the images grow: once around the digit with noise, pixels
drawn from all pixels of the data, which are irrelevant; once empty with the digit at a random place,
so that what pixels mean depends on others.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np
from pydantic import Field

from dlnotes import data, models, outputs
from dlnotes.claims import Above, Claim, Measured, Options, Part, Plot, mean, paired
from dlnotes.layers import Dense
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, fit, optimizer, predict
from dlnotes.typing import Params

MODELS = ("linear", "RBF kernel", "hand-made", "learned")
LINEAR, KERNEL, HAND, LEARNED = range(4)
SETTINGS = (("plain", 8), ("noise", 12), ("noise", 16), ("moved", 12), ("moved", 16))
PLAIN, NOISE, MOVED = 0, 2, 4  # the plain digits and the largest of each kind
RATES, DROPOUTS = np.array([0.001, 0.003, 0.01]), np.array([0.0, 0.5])
WIDTHS_OF_KERNEL = np.array([0.3, 1.0, 3.0])
"""γ times the median squared distance."""
SOFTNESS = np.array([1.0, 10.0])
"""C of the support vector machine."""


class FeatureMaps(Options):
    """Sizes of the experiment."""

    train: int = Field(800, ge=50, description="training images")
    validation: int = Field(300, ge=50, description="images to tune on")
    steps: int = Field(400, ge=10, description="steps of Adam, 32 images each")
    units: int = Field(64, ge=2, description="hidden units of the network")


class Split(NamedTuple):
    """One seed's images of one setting as vectors ``(images, pixels)``, with labels."""

    train: data.Examples
    validation: data.Examples
    test: data.Examples


def on_canvas(images: np.ndarray, kind: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Images ``(n, 8, 8)`` on larger ones ``(n, size, size)``.

    Args:
      images: in [0, 1].
      kind: "noise" puts them in the middle of pixels drawn from all images' pixels, "moved" at a
        random place of an empty image, "plain" leaves them as they are.
      size: of the larger ones.
      rng: draws noise and places.
    """
    n, side = len(images), images.shape[1]
    room = size - side
    canvas = np.zeros((n, size, size), images.dtype)
    if kind == "noise":
        canvas = rng.choice(images.reshape(-1), canvas.shape)
    top, left = rng.integers(0, room + 1, (2, n)) if kind == "moved" else np.full((2, n), room // 2)
    rows = top[:, None, None] + np.arange(side)[:, None]
    columns = left[:, None, None] + np.arange(side)
    canvas[np.arange(n)[:, None, None], rows, columns] = images
    return canvas


def made_by_hand(images: np.ndarray) -> np.ndarray:
    """Features ``(n, 64)`` of images ``(n, size, size)``, as one would make them for digits of 8 × 8.

    In the 8 × 8 window with most ink: the ink of 16 zones, 8 rows and 8 columns, and by quadrant how much
    the ink changes in each of 8 directions.
    """
    window = most_ink(images, 8)
    n = len(window)
    zones = window.reshape(n, 4, 2, 4, 2).sum((2, 4)).reshape(n, 16)
    down, right = np.gradient(window, axis=(1, 2))
    strength, direction = np.hypot(down, right), np.arctan2(down, right)
    bins = np.floor((direction + np.pi) / (np.pi / 4)).astype(int) % 8
    by_direction = strength[..., None] * (bins[..., None] == np.arange(8))
    strokes = by_direction.reshape(n, 2, 4, 2, 4, 8).sum((2, 4)).reshape(n, 32)
    return np.concatenate([zones, window.sum(1), window.sum(2), strokes], axis=1)


def most_ink(images: np.ndarray, side: int) -> np.ndarray:
    """The square window ``(n, side, side)`` of each image that has the largest sum."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (side, side), axis=(1, 2))
    ink = windows.sum((3, 4))
    top, left = np.unravel_index(ink.reshape(len(images), -1).argmax(1), ink.shape[1:])
    return windows[np.arange(len(images)), top, left]


def splits(setting: tuple[str, int], options: FeatureMaps, features: bool) -> list[Split]:
    """Each seed's split of a setting, scaled by the training part; pixels or features made by hand."""
    digits = data.load("digits", standardize=False)
    parts = [digits.split(part) for part in ("train", "validation", "test")]
    x, y = (np.concatenate([part[i] for part in parts]) for i in range(2))
    found = []
    for seed in range(options.seeds):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(y))
        images = on_canvas(x[order, :, :, 0], *setting, rng)
        z = made_by_hand(images) if features else images.reshape(len(images), -1)
        train = z[: options.train]
        axis = 0 if features else None  # pixels are all of one unit, features are not
        z = ((z - train.mean(axis)) / (train.std(axis) + 1e-6)).astype(np.float32)
        edges = [options.train, options.train + options.validation]
        found.append(Split(*map(data.Examples, np.split(z, edges), np.split(y[order], edges))))
    return found


def stacked(parts: list[data.Examples]) -> data.Examples:
    """Examples of several members, inputs filled up with zeros to one length: they change nothing."""
    widest = max(part.x.shape[1] for part in parts)
    x = np.stack([np.pad(part.x, ((0, 0), (0, widest - part.x.shape[1]))) for part in parts])
    return data.Examples(x, np.stack([part.y for part in parts]))


def accuracy(answer: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (answer == y).mean(-1)


def trained(model_of, start_of, grid: dict[str, np.ndarray], found: list[Split], options: FeatureMaps):
    """Training and test accuracy ``(splits, 2)`` of a network, each split tuned on its validation part.

    Splits of all sizes train in one program; ``start_of(rng, inputs)`` draws for the real inputs.
    """
    tries, n = len(next(iter(grid.values()))), len(found)
    members = [split for split in found for _ in range(tries)]
    widest = max(split.train.x.shape[1] for split in found)
    rng = np.random.default_rng(0)
    starts = [start_of(rng, widest, split.train.x.shape[1]) for split in members]

    def recipe(hyper: Hyperparams) -> Recipe:
        descent = optimizer("adam", hyper["learning_rate"])
        return Recipe(model_of(hyper), outputs.cross_entropy, {}, descent, random="dropout" in hyper)

    params = fit(
        recipe,
        stacked([split.train for split in members]),
        steps=options.steps,
        batch_size=32,
        seeds=np.arange(n * tries),
        hyperparams={name: np.tile(values, n) for name, values in grid.items()},
        start=jax.tree.map(lambda *a: np.stack(a), *starts),
        record=options.steps,
        data_per_member=True,
    ).params
    model = model_of({name: values[0] for name, values in grid.items()})

    def score(params: Params, examples: data.Examples) -> np.ndarray:
        return accuracy(predict(model, params, examples.x, per_member=True).argmax(-1), examples.y)

    validation = score(params, stacked([split.validation for split in members])).reshape(n, tries)
    best = np.arange(n) * tries + validation.argmax(1)
    chosen = jax.tree.map(lambda a: a[best], params)
    parts = ([split.train for split in found], [split.test for split in found])
    return np.stack([score(chosen, stacked(part)) for part in parts], axis=-1)


def linear_accuracy(found: list[Split], options: FeatureMaps) -> np.ndarray:
    """Of the linear classifier, see `trained`; a convex problem, started at zero."""
    widest = max(split.train.x.shape[1] for split in found)

    def start_of(rng: np.random.Generator, widest: int, inputs: int) -> Dense:
        return Dense(np.zeros((widest, 10), np.float32), np.zeros(10, np.float32))

    return trained(
        lambda hyper: models.linear(widest, 10), start_of, {"learning_rate": RATES}, found, options
    )


def learned_accuracy(found: list[Split], options: FeatureMaps) -> np.ndarray:
    """Of the network with one hidden layer, see `trained`; weights He normal for the inputs there are."""
    widest = max(split.train.x.shape[1] for split in found)

    def model_of(hyper: Hyperparams) -> models.Model:
        return models.mlp(widest, (options.units,), 10, dropout=hyper["dropout"])

    def start_of(rng: np.random.Generator, widest: int, inputs: int) -> models.MLP:
        layers = []
        for rows, real, columns in ((widest, inputs, options.units), (options.units, options.units, 10)):
            W = np.sqrt(2 / real) * rng.standard_normal((rows, columns))
            layers.append(Dense(W.astype(np.float32), np.zeros(columns, np.float32)))
        return models.MLP((layers[0],), (None,), layers[1])

    grid = {
        "learning_rate": np.repeat(RATES[1:], len(DROPOUTS)),
        "dropout": np.tile(DROPOUTS, len(RATES) - 1),
    }
    return trained(model_of, start_of, grid, found, options)


def kernel_accuracy(found: list[Split]) -> np.ndarray:
    """Training and test accuracy ``(splits, 2)`` of the RBF kernel machine, tuned on validation."""
    from sklearn.svm import SVC

    chosen = []
    for train, validation, test in found:
        distances = [squared_distances(part.x, train.x) for part in (train, validation, test)]
        scale = np.median(distances[0])
        scores = []
        for gamma in WIDTHS_OF_KERNEL / scale:
            kernels = [np.exp(-gamma * d) for d in distances]
            for C in SOFTNESS:
                machine = SVC(kernel="precomputed", C=C).fit(kernels[0], train.y)
                parts = zip(kernels, (train, validation, test))
                scores.append([accuracy(machine.predict(k), part.y) for k, part in parts])
        chosen.append(scores[int(np.argmax([s[1] for s in scores]))])
    return np.array(chosen)[:, [0, 2]]


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``‖aᵢ − bⱼ‖²``, ``(len(a), len(b))``."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0.0)


def measure(options: FeatureMaps) -> dict[str, np.ndarray]:
    """Accuracy ``(settings, models, seeds)`` on the training and the test part."""
    pixels, hand = (
        [split for setting in SETTINGS for split in splits(setting, options, features)]
        for features in (False, True)
    )
    linear = linear_accuracy(pixels + hand, options)
    by_model = (
        linear[: len(pixels)],
        kernel_accuracy(pixels),
        linear[len(pixels) :],
        learned_accuracy(pixels, options),
    )
    result = np.stack(by_model).reshape(len(MODELS), len(SETTINGS), options.seeds, 2).swapaxes(0, 1)
    return {"train": result[..., 0], "test": result[..., 1]}


def draw(options: FeatureMaps, m: Measured) -> Plot:
    """Test accuracy by size of the image, with noise on the left and at random places on the right."""
    figure = new_figure(9.5, 4.2)
    axes = figure.subplots(1, 2, sharey=True)
    titles = ("irrelevant inputs: noise around the digit", "structured inputs: digit at a random place")
    table: dict[str, list] = {"setting": [], "size": [], "model": [], "seed": [], "train": [], "test": []}
    for i, (kind, size) in enumerate(SETTINGS):
        for j, model in enumerate(MODELS):
            for seed in range(options.seeds):
                values = (kind, size, model, seed, m["train"][i, j, seed], m["test"][i, j, seed])
                for column, value in zip(table.values(), values):
                    column.append(value)
    for axis, title, kind in zip(axes, titles, ("noise", "moved")):
        here = [PLAIN, *(i for i, setting in enumerate(SETTINGS) if setting[0] == kind)]
        pixels = np.array([SETTINGS[i][1] ** 2 for i in here])
        for j, (name, color, marker) in enumerate(zip(MODELS, (GRAY, ORANGE, GREEN, BLUE), "sD^o")):
            found = [mean(100 * m["test"][i, j]) for i in here]
            bars = np.array([[max(0, f.value - f.low), max(0, f.high - f.value)] for f in found]).T
            values = [f.value for f in found]
            axis.errorbar(pixels, values, bars, color=color, marker=marker, ms=5, capsize=3, label=name)
        fitted = [100 * m["train"][i, KERNEL].mean() for i in here]
        axis.plot(pixels, fitted, color=ORANGE, ls=":", label="RBF kernel, training part")
        axis.set(xticks=pixels, xlabel="inputs (pixels)", title=title)
    axes[0].set_ylabel(f"test accuracy (%), {options.seeds} splits")
    axes[0].legend(fontsize=9, loc="lower left")
    kernel, learned = (100 * m["test"][[NOISE, MOVED], j].mean(1) for j in (KERNEL, LEARNED))
    set_title(
        figure,
        f"On new digits of 256 inputs the RBF kernel reaches {kernel[0]:.0f}% in noise and {kernel[1]:.0f}% "
        f"anywhere, learned features {learned[0]:.0f}% and {learned[1]:.0f}%",
    )
    return Plot(figure, table)


CLAIM = Claim(
    id="F1.5",
    statement="A generic φ of enough dimensions always fits the training set but generalizes poorly, more "
    "so as irrelevant or structured inputs are added; a φ made by hand takes expertise and transfers "
    "little; a φ that is learned has the generality of the one and the fitness of the other.",
    source="notes, «funcionamiento básico»; Goodfellow et al. 2016, chapter 6",
    options=FeatureMaps,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "generic features fit",
            "The RBF machine fits the training part whatever the inputs.",
            what="its training accuracy, the lowest of the five settings",
            effect=lambda m: mean(m["train"][:, KERNEL].min(0)),
            rule=Above(0.99),
        ),
        Part(
            "irrelevant inputs",
            "Its test accuracy falls when three quarters of the inputs are noise.",
            what="its test accuracy, plain digits minus digits within noise",
            effect=lambda m: paired(m["test"][PLAIN, KERNEL], m["test"][NOISE, KERNEL]),
            rule=Above(0.05),
        ),
        Part(
            "structured inputs",
            "Its test accuracy falls when the digit may be anywhere.",
            what="its test accuracy, plain digits minus digits at a random place",
            effect=lambda m: paired(m["test"][PLAIN, KERNEL], m["test"][MOVED, KERNEL]),
            rule=Above(0.05),
        ),
        Part(
            "learned against generic, irrelevant inputs",
            "With irrelevant inputs learned features generalize better than generic ones.",
            what="test accuracy within noise, learned minus RBF",
            effect=lambda m: paired(m["test"][NOISE, LEARNED], m["test"][NOISE, KERNEL]),
            rule=Above(0.0),
        ),
        Part(
            "learned against generic, structured inputs",
            "With structured inputs learned features generalize better than generic ones.",
            what="test accuracy at a random place, learned minus RBF",
            effect=lambda m: paired(m["test"][MOVED, LEARNED], m["test"][MOVED, KERNEL]),
            rule=Above(0.0),
        ),
        Part(
            "hand-made against linear",
            "Features made by hand for the plain digits serve a linear classifier better than pixels.",
            what="test accuracy on plain digits, hand-made minus linear",
            effect=lambda m: paired(m["test"][PLAIN, HAND], m["test"][PLAIN, LINEAR]),
            rule=Above(0.0),
        ),
        Part(
            "hand-made features transfer little",
            "Within noise, for which they were not made, they lose more than learned ones.",
            what="loss of test accuracy by noise, hand-made minus learned",
            effect=lambda m: paired(
                m["test"][PLAIN, HAND] - m["test"][NOISE, HAND],
                m["test"][PLAIN, LEARNED] - m["test"][NOISE, LEARNED],
            ),
            rule=Above(0.0),
        ),
        Part(
            "learned against linear",
            "Learned features serve better than pixels.",
            what="test accuracy on plain digits, learned minus linear",
            effect=lambda m: paired(m["test"][PLAIN, LEARNED], m["test"][PLAIN, LINEAR]),
            rule=Above(0.0),
        ),
    ),
    reading="On plain digits and in noise the generic φ generalizes best, and everywhere better than the "
    "network: 800 images are few, and fully connected layers know as little of images as the kernel does. "
    "What knows, the window of most ink made by hand, holds when the digit moves and breaks in noise. The "
    "gain that the notes promise needs a family φ(x; θ) that suits the data, such as convolutions. On "
    "plain digits the features made by hand are no better than the pixels.",
)
