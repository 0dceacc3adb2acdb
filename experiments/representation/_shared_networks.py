"""Networks of several tasks on one trunk, for images of which few have labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, models, outputs
from dlnotes.training import Hyperparams, Recipe, RecipeOf, optimizer, tune_briefly_and_train
from dlnotes.typing import Array, PRNGKey

PIXELS, CLASSES = 784, 10
FIRST_SEED = 14_600
SURE = 0.9
"""Probability from which on the network's own answer to a clean image is a target for a noisy one."""


class Images(NamedTuple):
    """Images by number: those to learn from, then those that choose, and test images apart.

    Attributes:
      x: ``(pool + validation, 784)`` gray levels in [0, 1].
      y: their classes.
      pool: how many there are to learn from.
      test_x, test_y: test images.
    """

    x: np.ndarray
    y: np.ndarray
    pool: int
    test_x: np.ndarray
    test_y: np.ndarray


def load(name: str, pool: int, validation: int, test: int) -> Images:
    """Images of a set, not standardized."""
    parts = data.parts_of(data.load(name, standardize=False), pool, validation, test)
    x, y = (np.concatenate([getattr(part, of) for part in parts[:2]]) for of in ("x", "y"))
    return Images(x.astype(np.float32), y, pool, parts[2].x.astype(np.float32), parts[2].y)


def drawn(y: np.ndarray, labels: int, seed: int) -> np.ndarray:
    """Numbers of the images that have labels: as many of each class, drawn for a seed."""
    rng = np.random.default_rng([FIRST_SEED, seed])
    return np.concatenate([
        rng.choice(np.flatnonzero(y == c), labels // CLASSES, replace=False) for c in range(CLASSES)
    ])  # fmt: skip


def few_and_more(
    y: np.ndarray, labels: tuple[int, int], others: bool, tasks: Sequence[str]
) -> Callable[[Any], data.Examples]:
    """``examples(seeds)`` of members, their inputs the numbers of images.

    Args:
      y: classes of the images to learn from.
      labels: how many have one, of the first half of the members and of the others.
      others: whether all images are there too, without a label; then half of the rows are labeled ones.
      tasks: that have every row as an example, beside "class".
    """
    every = np.arange(len(y) if others else 0)
    room = len(y) if others else max(labels)

    def examples(seeds: Any) -> data.Examples:
        rows, targets = [], []
        for count, seed in zip(np.repeat(labels, len(seeds) // 2), seeds):
            own = np.resize(
                drawn(y, int(count), int(seed)), room
            )  # again from the first on, until it is full
            rows.append(np.concatenate([every, own]))
            targets.append(np.concatenate([np.full(len(every), -1), y[own]]))
        x, found = np.array(rows, np.int32), np.array(targets, np.int32)
        nothing = {name: np.zeros_like(found) for name in tasks}
        return data.Examples(x, outputs.Targets({"class": found} | nothing))

    return examples


class Arm(NamedTuple):
    """What is learned.

    Attributes:
      name: in words.
      denoises: whether images are reconstructed from noisy ones.
      own: whether the network's sure answers to clean images are targets for noisy ones.
      grid: rate, noise, and weights of the two, ``(points, 4)``.
    """

    name: str
    denoises: bool
    own: bool
    grid: np.ndarray


def points(rates: Sequence[float], noises: Sequence[float], image: Sequence[float], own: Sequence[float]):
    """Every combination, ``(points, 4)``."""
    return np.array([(r, n, i, o) for r in rates for n in noises for i in image for o in own], np.float32)


NUMBERS = ("rate", "noise", "image", "own")
ARMS = (
    Arm("labels alone", False, False, points((0.0005, 0.002), (0.0, 0.25, 0.5), (0.0,), (0.0,))),
    Arm("with denoising", True, False, points((0.001,), (0.25, 0.5), (30.0, 100.0, 300.0), (0.0,))),
    Arm(
        "with denoising and own answers", True, True, points((0.001,), (0.25, 0.5), (30.0,), (0.3, 1.0, 3.0))
    ),
)
ALONE, DENOISED, OWN = range(len(ARMS))


def network(width: int, noise: float | Array) -> models.Model:
    """784-width-width with ReLU; a linear head for the classes, and one for the pixels."""
    heads = {"class": models.head(width, (), CLASSES), "image": models.head(width, (), PIXELS)}
    how = models.Noise("mask", noise)
    return models.shared(
        models.mlp(PIXELS, (width,), width),
        heads,
        reconstructs=("image",),
        corruption={"class": how, "image": how},
    )


def agreement(answers: tuple[Array, Array], y: Array) -> outputs.PerExample:
    """Cross-entropy of the answer to a noisy image with the answer to the clean one, where that is sure."""
    noisy, clean = answers
    p = jax.nn.softmax(jax.lax.stop_gradient(clean).astype(jnp.float32))
    found = outputs.cross_entropy(noisy, jnp.argmax(p, axis=-1))
    sure = jnp.max(p, axis=-1) > SURE
    return outputs.PerExample(jnp.where(sure, found.total, 0.0), found.count)


def log_likelihood(logits: Array, y: Array) -> outputs.PerExample:
    """Of the right class, nats."""
    found = outputs.cross_entropy(logits, y)
    return outputs.PerExample(-found.total, found.count)


def recipes(arm: Arm, images: np.ndarray, width: int) -> RecipeOf:
    """What an arm trains, from a member's numbers; inputs are numbers of images."""
    x = jnp.asarray(images)

    def recipe_of(hyper: Hyperparams) -> Recipe:
        whole = network(width, hyper["noise"])

        def apply(params: Any, rows: Array, /, *, key: PRNGKey | None = None, mask: Any = None) -> Any:
            found = whole.apply(params, x[rows], key=key)
            if arm.own:
                clean = found["class"] if key is None else whole.apply(params, x[rows])["class"]
                found["own"] = (found["class"], clean)
            return {name: found[name] for name in tasks_of(arm)}

        losses = {"class": outputs.cross_entropy, "image": outputs.squared_error, "own": agreement}
        weights = {"image": hyper["image"], "own": hyper["own"]}
        own = tasks_of(arm)
        return Recipe(
            models.Model(whole.init, apply),  # pyright: ignore[reportArgumentType]
            outputs.joint_loss({k: losses[k] for k in own}, {k: w for k, w in weights.items() if k in own}),
            {"log_likelihood": outputs.of_task("class", log_likelihood)},
            optimizer("adam", hyper["rate"]),
            random=True,
        )

    return recipe_of


def tasks_of(arm: Arm) -> tuple[str, ...]:
    """The tasks of an arm, by name."""
    return ("class", *(("image",) if arm.denoises else ()), *(("own",) if arm.own else ()))


class Learned(NamedTuple):
    """Test errors of the trainings that count, and what was chosen.

    Attributes:
      errors: ``(few and more labels, half of the steps and all, seeds)``, %.
      chosen: ``(few and more labels, 4)`` of `NUMBERS`.
    """

    errors: np.ndarray
    chosen: np.ndarray


def learn(arm: Arm, images: Images, options: Any) -> Learned:
    """Choose an arm's numbers on validation images, then train it, with few labels and with more.

    Args:
      arm: what is learned.
      images: to learn from, to choose by, to test on.
      options: sizes of the experiment.
    """
    recipe_of = recipes(arm, images.x, options.width)
    others, tasks = arm.denoises or arm.own, tasks_of(arm)[1:]
    valid = np.arange(images.pool, len(images.x), dtype=np.int32)
    nothing = {name: np.zeros(len(valid), np.int32) for name in tasks}
    tuned = tune_briefly_and_train(
        lambda steps: recipe_of,
        few_and_more(images.y[: images.pool], (options.few, options.more), others, tasks),
        data.Examples(valid, outputs.Targets({"class": images.y[valid].astype(np.int32)} | nothing)),
        {"labels": [options.few, options.more]},
        dict(zip(NUMBERS, arm.grid.T)),
        steps=options.steps,
        tuning_steps=options.tuning_steps,
        seeds=options.seeds,
        tuning_seeds=options.tuning_seeds,
        first_seed=FIRST_SEED,
        batch_size=(2 if others else 1) * options.batch_size,
        every=options.steps // 2,
        probe=error_on(options.width, images.test_x, images.test_y),
        record=options.steps,
        score="log_likelihood",
    )
    errors = np.moveaxis(tuned.by_method(np.asarray(tuned.fit.probes)[1:]), 1, 0)
    return Learned(100 * errors, arm.grid[tuned.chosen])


def error_on(width: int, x: np.ndarray, y: np.ndarray) -> Callable[[Any], Array]:
    """``error(params)`` of the classes of test images."""
    whole, x, y = network(width, 0.0), jnp.asarray(x), jnp.asarray(y)  # pyright: ignore[reportAssignmentType]

    def error(params: Any) -> Array:
        logits = whole.apply(params, x)["class"]
        return jnp.mean((jnp.argmax(logits, -1) != y).astype(jnp.float32))

    return error


SETS = ("mnist", "fashion_mnist")
Both = Mapping[str, Images]
"""The two sets by name."""

RATES = (0.0005, 0.001, 0.002, 0.004)


def parameters(width: int, tasks: int) -> int:
    """Of a network 784-width-width with a head of ten classes for each task."""
    return PIXELS * width + width + width * width + width + tasks * (width * CLASSES + CLASSES)


def separate_width(width: int) -> int:
    """Units of each layer of two networks which together have as many parameters as one of two tasks."""
    found = 1
    while 2 * parameters(found + 1, 1) <= parameters(width, 2):
        found += 1
    return found


def pair(width: int) -> models.Model:
    """One trunk, and a linear head of ten classes for each of the two sets."""
    heads = {name: models.head(width, (), CLASSES) for name in SETS}
    return models.shared(models.mlp(PIXELS, (width,), width), heads)


def of_sets(both: Both, rows: Mapping[str, np.ndarray]) -> data.Examples:
    """Examples of two tasks, each of which knows the images of its own set only.

    Args:
      both: the sets; images are numbered through.
      rows: of each set that is there.
    """
    first = dict(zip(SETS, np.cumsum([0, len(both[SETS[0]].x)])))
    every = np.concatenate([first[name] + own for name, own in rows.items()])  # pyright: ignore[reportArgumentType]
    y = {name: np.full(len(every), -1, np.int32) for name in SETS}
    start = 0
    for name, own in rows.items():
        y[name][start : start + len(own)] = both[name].y[own]
        start += len(own)
    return data.Examples(every.astype(np.int32), outputs.Targets(y))


BOTH = 2
"""What tells a network of both sets from one of the first or the second, 0 and 1."""


def learn_sets(both: Both, width: int, sets: Sequence[int], options: Any) -> np.ndarray:
    """Test errors of networks, each with ``options.pair_labels`` labels of a set.

    Args:
      both: the sets.
      width: of the networks.
      sets: of each network which it learns: 0, 1, or `BOTH`.
      options: sizes of the experiment.

    Returns:
      ``(networks, tasks, half of the steps and all, seeds)``, %.
    """
    model = pair(width)
    shown = jnp.asarray(np.concatenate([both[name].x for name in SETS]))
    tests = {name: (jnp.asarray(both[name].test_x), jnp.asarray(both[name].test_y)) for name in SETS}

    def train(seeds: Any) -> data.Examples:
        found = []
        for which, seed in zip(np.repeat(sets, len(seeds) // len(sets)), seeds):
            names = SETS if which == BOTH else SETS[which : which + 1]
            rows = {n: drawn(both[n].y[: both[n].pool], options.pair_labels, int(seed)) for n in names}
            found.append(of_sets(both, rows))
        return jax.tree.map(lambda *a: np.stack(a), *found)

    def recipe_of(hyper: Hyperparams) -> Recipe:
        learned = {
            name: jnp.where((hyper["set"] == k) | (hyper["set"] == BOTH), 1.0, 0.0)
            for k, name in enumerate(SETS)
        }

        def apply(params: Any, rows: Array, /, *, key: PRNGKey | None = None, mask: Any = None) -> Any:
            return model.apply(params, shown[rows])

        return Recipe(
            models.Model(model.init, apply),
            outputs.joint_loss(dict.fromkeys(SETS, outputs.cross_entropy), learned),
            {"log_likelihood": outputs.joint_loss(dict.fromkeys(SETS, log_likelihood), learned)},
            optimizer("adam", hyper["rate"]),
        )

    def errors(params: Any) -> Array:
        found = [
            jnp.mean((jnp.argmax(model.apply(params, x)[name], -1) != y).astype(jnp.float32))  # pyright: ignore[reportArgumentType, reportCallIssue]
            for name, (x, y) in tests.items()
        ]
        return jnp.stack(found)

    several = 2 if BOTH in sets else 1
    tuned = tune_briefly_and_train(
        lambda steps: recipe_of,
        train,
        of_sets(both, {name: np.arange(both[name].pool, len(both[name].x)) for name in SETS}),
        {"set": sets},
        {"rate": RATES},
        steps=options.pair_steps,
        tuning_steps=options.tuning_steps,
        seeds=options.seeds,
        tuning_seeds=options.tuning_seeds,
        first_seed=FIRST_SEED,
        batch_size=several * options.batch_size,
        every=options.pair_steps // 2,
        probe=errors,
        record=options.pair_steps,
        score="log_likelihood",
    )
    found = np.asarray(tuned.fit.probes)[1:]  # (half and all, networks · seeds, tasks)
    return 100 * np.transpose(found.reshape(2, len(sets), -1, len(SETS)), (1, 3, 0, 2))
