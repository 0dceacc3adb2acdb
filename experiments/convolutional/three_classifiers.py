"""Three shapes of convolutional classifier, on images of many sizes.

The notes draw three: (a) the maps laid out flat, then dense layers, for one size of image; (b) the maps
pooled over a fixed number of regions that grow with the image, then dense layers; (c) convolutions
only, the last one a map for each class, whose mean is the class's logit. Of (c) they add: presumably it
learns a map of the probability of the class at each place.

Measured on Fashion-MNIST, each image made smaller to one of five sizes. All three have the same three
stages of convolution and pooling, and each its own best learning rate of Adam, chosen by another seed on
validation images. (b) and (c) see every image at its own size (batches are padded and masked, which does
not change an answer); (a), which takes one size only, sees all of them resized to the middle one, in
training and in testing. Test images have the five sizes, sizes between them and sizes beyond them.
Each seed has its own training and test images, weights and order, the same for all three.

What the maps of (c) say about places is measured on canvases with two objects of different classes side
by side; the network was trained on single objects and with one label for an image.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
from pydantic import Field

from dlnotes import data, models, outputs
from dlnotes.claims import Above, Below, Claim, Measured, Options, Part, Plot, Within, exact, mean, paired
from dlnotes.data.images.mnist import FASHION_MNIST
from dlnotes.plotting import BLUE, GREEN, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, fit, optimizer, schedules
from dlnotes.typing import Array, Params

TRAINED = (12, 14, 16, 18, 20)
BETWEEN = (13, 15, 17, 19)
BEYOND = (10, 24, 28)
SIZES = tuple(sorted(TRAINED + BETWEEN + BEYOND))
ONE_SIZE, CANVAS, LARGEST = 16, max(TRAINED), max(SIZES)
CLASSES = 10
STAGES = (models.Stage(8, pool=2), models.Stage(16, pool=2), models.Stage(32))
STEP = 4
"""Pixels from one place of the maps to the next."""
SCENE = 36
FLAT, GRID, MAPS = range(3)
NAMES = ("(a) flat, dense", "(b) regions, dense", "(c) class maps")
COLORS = (BLUE, ORANGE, GREEN)
RATES = np.array([0.003, 0.01, 0.03])


class ThreeClassifiers(Options):
    """Sizes of the experiment."""

    images: int = Field(4000, ge=10, multiple_of=len(TRAINED), description="training images of a seed")
    steps: int = Field(400, ge=1, description="steps of each training")
    batch: int = Field(64, ge=1, description="examples of a step")
    test: int = Field(1000, ge=10, description="test images of a seed, and validation images")
    scenes: int = Field(300, ge=2, description="canvases with two objects of a seed")


def network(which: int) -> models.Model:
    """One of the three; their convolutions are alike."""
    if which == FLAT:
        return models.conv_net((ONE_SIZE, ONE_SIZE, 1), CLASSES, stages=STAGES, head="flatten", dense=(64,))
    if which == GRID:
        return models.conv_net((None, None, 1), CLASSES, stages=STAGES, head="grid", grid=2, dense=(64,))
    return models.conv_net((None, None, 1), CLASSES, stages=STAGES, head="average")


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Square images ``(..., m, m, 1)`` at another size, by linear interpolation with antialiasing."""
    m = images.shape[-2]
    # The resizing is linear, so that of the unit vectors is its matrix.
    rule = Image.fromarray(np.eye(m, dtype=np.float32)).resize((m, size), Image.Resampling.BILINEAR)
    W = np.asarray(rule)
    return (W @ images[..., 0] @ W.T)[..., None].astype(np.float32)


def on_canvas(images: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Images ``(..., m, m, 1)`` in the corner of a larger square, and where they are."""
    pad = side - images.shape[-2]
    x = np.pad(images, [(0, 0)] * (images.ndim - 3) + [(0, pad), (0, pad), (0, 0)])
    mask = np.zeros(x.shape[:-1], bool)
    mask[..., : images.shape[-2], : images.shape[-2]] = True
    return x, mask


def shown_to(which: int, images: np.ndarray, y: np.ndarray, side: int) -> data.Examples:
    """What a network sees of square images of one size."""
    if which == FLAT:
        return data.Examples(resized(images, ONE_SIZE), y)
    x, mask = on_canvas(images, side)
    return data.Examples(x, y, mask)


def training_images(which: int, clothes: data.Dataset, rows: np.ndarray) -> data.Examples:
    """The images ``rows`` (members, images) of the training part, in turn at each of the sizes."""
    groups = rows.reshape(len(rows), len(TRAINED), -1)
    parts = [
        shown_to(which, resized(clothes.train.x[groups[:, i]], size), clothes.train.y[groups[:, i]], CANVAS)
        for i, size in enumerate(TRAINED)
    ]
    return jax.tree.map(lambda *a: np.concatenate(a, 1), *parts)


def judged(model: models.Model, params: Params, examples: data.Examples) -> np.ndarray:
    """Mean cross-entropy and accuracy of each member on its own examples, ``(members, 2)``."""
    return np.asarray(_judge(model)(params, examples))


def _judge(model: models.Model) -> Any:
    def one(both: tuple[Params, data.Examples]) -> Array:
        params, examples = both
        logits = model.apply(params, examples.x, mask=examples.mask)
        measures = (outputs.cross_entropy(logits, examples.y), outputs.accuracy(logits, examples.y))
        return jnp.stack([jnp.mean(m.total) for m in measures])

    return jax.jit(lambda *both: jax.lax.map(one, both))


def train(
    which: int, examples: data.Examples, seeds: np.ndarray, rates: np.ndarray, o: ThreeClassifiers
) -> Params:
    """Adam with a rate that falls to 0 along a cosine; one member per seed and rate."""

    def recipe_of(hyper: Hyperparams) -> Recipe:
        fall = schedules.cosine(o.steps)
        return Recipe(
            network(which), outputs.cross_entropy, {}, optimizer("adam", hyper["rate"], factor=fall)
        )

    result = fit(
        recipe_of,
        examples,
        steps=o.steps,
        batch_size=min(o.batch, o.images),
        seeds=seeds,
        hyperparams={"rate": rates},
        record=o.steps,
        convolutions=True,
        data_per_member=True,
    )
    return result.params


def measure(options: ThreeClassifiers) -> dict[str, np.ndarray]:
    """Choose each network's rate, train it on every seed, and test it at every size."""
    clothes = data.load("fashion_mnist", standardize=False)  # black is 0, as what lies outside
    validation, test = clothes.split("validation"), clothes.split("test")
    seeds = np.arange(options.seeds)

    def some(seed: int, n: int, size: int) -> np.ndarray:
        return np.random.default_rng(seed).permutation(n)[:size]

    rows = np.stack([some(s, clothes.train.size, options.images) for s in seeds.tolist()])
    test_rows = np.stack([some(1000 + s, test.size, options.test) for s in seeds.tolist()])
    other = np.repeat(some(options.seeds, clothes.train.size, options.images)[None], len(RATES), 0)
    held = resized(np.repeat(validation.x[None, : options.test], len(RATES), 0), ONE_SIZE)
    held_y = np.repeat(validation.y[None, : options.test], len(RATES), 0)

    accuracy, tuning, rate, parameters, accepts = [], [], [], [], []
    params: Params = None
    for which in (FLAT, GRID, MAPS):
        model = network(which)
        own = np.full(len(RATES), options.seeds)
        tried = train(which, training_images(which, clothes, other), own, RATES, options)
        loss = judged(model, tried, shown_to(which, held, held_y, CANVAS))[:, 0]
        tuning.append(np.where(np.isfinite(loss), loss, np.inf))
        rate.append(RATES[np.argmin(tuning[-1])])
        rates = np.full(options.seeds, rate[-1])
        params = train(which, training_images(which, clothes, rows), seeds, rates, options)
        judge = _judge(model)
        accuracy.append(
            [
                np.asarray(
                    judge(params, shown_to(which, resized(test.x[test_rows], s), test.y[test_rows], LARGEST))
                )[:, 1]
                for s in SIZES
            ]
        )
        first = jax.tree.map(lambda leaf: leaf[0], params)
        parameters.append(sum(leaf.size for leaf in jax.tree.leaves(first)))
        accepts.append([_takes(model, first, s) for s in SIZES])
    return {
        "sizes": np.array(SIZES),
        "accuracy": np.array(accuracy),
        "parameters": np.array(parameters),
        "accepts": np.array(accepts),
        "tuning": np.array(tuning),
        "rate": np.array(rate),
        **look_at_maps(params, test, test_rows, options),
    }


def _takes(model: models.Model, params: Params, size: int) -> bool:
    try:
        jax.eval_shape(model.apply, params, jnp.zeros((1, size, size, 1)))
    except ValueError:
        return False
    return True


def scenes(
    test: data.Examples, rows: np.ndarray, n: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Canvases with two objects of different classes, one in each half.

    Returns:
      The images ``(n, side, side, 1)``; the classes ``(n, 2)``; and which places of the maps lie in the box
      of which object, ``(n, 2, places, places)``.
    """
    rng = np.random.default_rng(seed)
    x = np.zeros((n, SCENE, SCENE, 1), np.float32)
    y = np.zeros((n, 2), np.int32)
    middle = STEP * np.arange(SCENE // STEP) + (STEP - 1) / 2
    inside = np.zeros((n, 2, len(middle), len(middle)), bool)
    pictures, labels = resized(test.x[rows], ONE_SIZE), test.y[rows]
    half = SCENE // 2
    for i in range(n):
        left = rng.integers(len(rows))
        right = rng.choice(np.flatnonzero(labels != labels[left]))
        for j, k in enumerate((left, right)):
            top = rng.integers(SCENE - ONE_SIZE + 1)
            start = j * half + rng.integers(half - ONE_SIZE + 1)
            x[i, top : top + ONE_SIZE, start : start + ONE_SIZE] = pictures[k]
            y[i, j] = labels[k]
            down, along = ((middle >= o) & (middle < o + ONE_SIZE) for o in (top, start))
            inside[i, j] = down[:, None] & along[None, :]
    return x, y, inside


def look_at_maps(params: Params, test: data.Examples, rows: np.ndarray, o: ThreeClassifiers) -> dict:
    """What the class maps say inside each object's box, by seed, and three canvases of the first."""
    drawn = [scenes(test, r, o.scenes, 2000 + s) for s, r in enumerate(rows)]
    x = np.stack([d[0] for d in drawn])
    maps_of = models.conv_net((None, None, 1), CLASSES, stages=STAGES, head="maps")
    logits = jax.jit(lambda *both: jax.lax.map(lambda b: maps_of.apply(*b), both))(params, x)
    p = np.asarray(jax.nn.softmax(logits))  # (seeds, scenes, places, places, classes)
    found: dict[str, list] = {"own": [], "other": [], "elsewhere": [], "right": []}
    for of_seed, (_, y, inside) in zip(p, drawn):
        own, other, elsewhere, right = [], [], [], []
        for j in range(2):
            of_class = np.take_along_axis(of_seed, y[:, j, None, None, None], -1)[..., 0]
            own.append(of_class[inside[:, j]].mean())
            other.append(of_class[inside[:, 1 - j]].mean())
            elsewhere.append(of_class[~inside.any(1)].mean())
            hits = of_seed.argmax(-1) == y[:, j, None, None]
            right.append(hits[inside[:, j]].mean())
        for name, values in zip(found, (own, other, elsewhere, right)):
            found[name].append(np.mean(values))
    images, classes, _ = (a[:3] for a in drawn[0])
    shown = np.stack([np.moveaxis(p[0, i][..., classes[i]], -1, 0) for i in range(len(images))])
    return {
        **{f"map_{name}": np.array(v) for name, v in found.items()},
        "scene": images,
        "scene_classes": classes,
        "scene_maps": shown,
    }


def of_sizes(m: Measured, which: int, sizes: tuple[int, ...]) -> np.ndarray:
    """Test accuracy in points, averaged over some sizes, ``(seeds,)``."""
    return 100 * m["accuracy"][which][np.isin(m["sizes"], sizes)].mean(0)


def draw(options: ThreeClassifiers, m: Measured) -> Plot:
    """Accuracy by size on the left; canvases and their class maps on the right."""
    figure = new_figure(11.5, 4.8)
    halves: Any = figure.subfigures(1, 2, width_ratios=(1.15, 1))
    left, right = halves
    axis = left.subplots()
    axis.axvspan(min(TRAINED), max(TRAINED), color="#F2F2F2", zorder=0)
    for which, (name, color) in enumerate(zip(NAMES, COLORS)):
        found = [mean(100 * a) for a in m["accuracy"][which]]
        middle = np.array([f.value for f in found])
        bars = np.abs(np.array([[f.low, f.high] for f in found]).T - middle)
        label = f"{name}: {m['parameters'][which]:,} parameters"
        axis.errorbar(
            m["sizes"], middle, bars, color=color, marker="os^"[which], capsize=2, lw=1.4, label=label
        )
    axis.set(xlabel="side of the test images (pixels); gray: range trained on")
    axis.set(ylabel="test accuracy (%), mean and 95% interval")
    axis.set_xticks(m["sizes"][::1], [str(s) for s in m["sizes"]], fontsize=8)
    axis.legend(loc="lower center", fontsize=9)
    grid = right.subplots(3, len(m["scene"]))
    names = FASHION_MNIST.classes
    for i, (image, classes, maps) in enumerate(zip(m["scene"], m["scene_classes"], m["scene_maps"])):
        for row, picture in enumerate((image[..., 0], *maps)):
            cell = grid[row, i]
            cell.imshow(picture, cmap="gray" if row == 0 else "magma", vmin=0, vmax=1)
            cell.set_axis_off()
            if row:
                cell.set_title(f"p({names[classes[row - 1]]})", fontsize=8, loc="center", pad=2)
    grid[0, 0].set_title("two objects, and the map of each one's class", fontsize=9, pad=4)
    gap = (of_sizes(m, MAPS, TRAINED + BETWEEN) - of_sizes(m, FLAT, TRAINED + BETWEEN)).mean()
    set_title(
        figure,
        f"Class maps: {m['parameters'][FLAT] / m['parameters'][MAPS]:.1f} times fewer parameters, {gap:+.1f} "
        f"points of accuracy; they name the object at {100 * m['map_right'].mean():.0f}% of its places",
    )
    cells = [(w, s) for w in range(3) for s in range(len(m["sizes"]))]
    return Plot(
        figure,
        {
            "network": [NAMES[w] for w, _ in cells],
            "size": [m["sizes"][s] for _, s in cells],
            "trained": [bool(m["sizes"][s] in TRAINED) for _, s in cells],
            "takes_it": [bool(m["accepts"][w, s]) for w, s in cells],
            "parameters": [m["parameters"][w] for w, _ in cells],
            "rate": [m["rate"][w] for w, _ in cells],
            "accuracy": [m["accuracy"][w, s].mean() for w, s in cells],
            "accuracy_deviation": [m["accuracy"][w, s].std(ddof=1) for w, s in cells],
        },
    )


LEARNS, KEEPS = 70.0, 2.0
"""Accuracy, and points of it that may be lost, in percent."""


def _learns(which: int) -> Part:
    return Part(
        f"{NAMES[which]} learns",
        f"{NAMES[which]} is right on more than {LEARNS:.0f}% of test images.",
        what="test accuracy, mean over the five sizes of the training images, percent",
        effect=lambda m: mean(of_sizes(m, which, TRAINED)),
        rule=Above(LEARNS),
    )


def _keeps(which: int) -> Part:
    return Part(
        f"{NAMES[which]}, sizes never seen",
        "At sizes between those of the training images its accuracy is the same, within 2 points.",
        what="accuracy at the five trained sizes minus that at the four between them, points",
        effect=lambda m: paired(of_sizes(m, which, TRAINED), of_sizes(m, which, BETWEEN)),
        rule=Below(KEEPS),
    )


def _matches(which: int) -> Part:
    return Part(
        f"{NAMES[which]} against resizing",
        "Taking each image at its own size is no worse than resizing all to one for (a), within 2 points.",
        what=f"accuracy of {NAMES[which]} minus that of {NAMES[FLAT]}, sizes 12 to 20, points",
        effect=lambda m: paired(of_sizes(m, which, TRAINED + BETWEEN), of_sizes(m, FLAT, TRAINED + BETWEEN)),
        rule=Above(-KEEPS),
    )


CLAIM = Claim(
    id="C6.11",
    statement="Three classifiers: maps laid out flat and dense layers, for images of one size; images of any "
    "size pooled to a fixed number of regions, then dense layers; convolutions only, one map per class, "
    "averaged into the softmax. Presumably the last learns a map of the class's probability at each place.",
    source="notes, «operación de convolución y agrupación»; Goodfellow et al. 2016, figure 9.11",
    options=ThreeClassifiers,
    measure=measure,
    draw=draw,
    parts=(
        *map(_learns, (FLAT, GRID, MAPS)),
        Part(
            "(a) takes one size",
            "The network with flat maps refuses every other size.",
            what=f"sizes accepted, of the {len(SIZES)} that were tried",
            effect=lambda m: exact(m["accepts"][FLAT].sum(), m["accepts"][FLAT].size),
            rule=Within(1, 1),
        ),
        Part(
            "(b) and (c) take any size",
            "The other two accept them all with the same weights.",
            what="the smaller of their shares of sizes accepted",
            effect=lambda m: exact(m["accepts"][1:].mean(1).min(), m["accepts"][1:].size),
            rule=Within(1, 1),
        ),
        *map(_keeps, (GRID, MAPS)),
        *map(_matches, (GRID, MAPS)),
        Part(
            "(c) is smallest",
            "Without dense layers there are fewer parameters.",
            what="parameters of (a), or of (b) if fewer, over those of (c)",
            effect=lambda m: exact(m["parameters"][:MAPS].min() / m["parameters"][MAPS]),
            rule=Above(1.0),
        ),
        Part(
            "maps know the place",
            "A class is more probable where its object is than where an object of another class is.",
            what="probability of an object's class in its own box minus in the other's, points",
            effect=lambda m: paired(100 * m["map_own"], 100 * m["map_other"]),
            rule=Above(0.0),
        ),
        Part(
            "maps name the class",
            "At most places of an object's box its class has the largest map.",
            what="share of the places in a box where the largest map is that of its object's class, percent",
            effect=lambda m: mean(100 * m["map_right"]),
            rule=Above(50.0),
        ),
    ),
    reading="(a) is 8 points better, although it resizes: it has 2.7 and 6.3 times the parameters, and "
    "presumably resizing spares it what the other two have to learn, that clothes look alike at all sizes. "
    "The best rates of (b) and (c) lie at the upper end of the grid, and all train for 400 steps only: "
    "other rates or longer training may narrow the gap, which was not measured. Between the trained sizes "
    "accuracy falls most at 15, of which the two poolings drop three rows and columns; beyond them, at "
    "10 and 28, far more. The maps do tell places, a class being three times as probable at its own object "
    "as at the other, but at single places they are no labels: trained for their mean alone, most places of "
    "an object vote for other classes.",
)
