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


def of_few(y: np.ndarray, labels: int, others: bool, tasks: Sequence[str]) -> Callable[[Any], data.Examples]:
    """``examples(seeds)`` of members, their inputs the numbers of images.

    Args:
      y: classes of the images to learn from.
      labels: how many have one.
      others: whether all images are there too, without a label; then half of the rows are labeled ones.
      tasks: that have every row as an example, beside "class".
    """

    def examples(seeds: Any) -> data.Examples:
        rows, targets = [], []
        for seed in seeds:
            own = drawn(y, labels, int(seed))
            times = len(y) // labels if others else 1
            every = np.arange(len(y) if others else 0)
            rows.append(np.concatenate([every, np.tile(own, times)]))
            targets.append(np.concatenate([np.full(len(every), -1), np.tile(y[own], times)]))
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
    Arm("with denoising", True, False, points((0.001,), (0.25, 0.5), (3.0, 10.0, 30.0), (0.0,))),
    Arm(
        "with denoising and own answers", True, True, points((0.001,), (0.25, 0.5), (10.0,), (0.3, 1.0, 3.0))
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
      errors: ``(half of the steps and all, seeds)``, %.
      chosen: the numbers of `NUMBERS`.
    """

    errors: np.ndarray
    chosen: np.ndarray


def learn(arm: Arm, images: Images, labels: int, options: Any) -> Learned:
    """Choose an arm's numbers on validation images, then train it.

    Args:
      arm: what is learned.
      images: to learn from, to choose by, to test on.
      labels: how many images have one.
      options: sizes of the experiment.
    """
    recipe_of = recipes(arm, images.x, options.width)
    others = arm.denoises or arm.own
    y = images.y[: images.pool]
    valid = np.arange(images.pool, len(images.x), dtype=np.int32)
    nothing = {name: np.zeros(len(valid), np.int32) for name in tasks_of(arm)[1:]}
    own = {"class": images.y[valid].astype(np.int32)} | nothing
    tuned = tune_briefly_and_train(
        lambda steps: recipe_of,
        of_few(y, labels, others, tasks_of(arm)[1:]),
        data.Examples(valid, outputs.Targets(own)),
        {"arm": [0]},
        dict(zip(NUMBERS, arm.grid.T)),
        steps=options.steps,
        tuning_steps=options.tuning_steps,
        seeds=options.seeds,
        tuning_seeds=options.tuning_seeds,
        first_seed=FIRST_SEED,
        batch_size=(2 if others else 1) * min(options.batch_size, labels),
        every=options.steps // 2,
        probe=error_on(options.width, images.test_x, images.test_y),
        record=options.steps,
        score="log_likelihood",
    )
    return Learned(100 * tuned.fit.probes[1:], arm.grid[tuned.chosen[0]])


def error_on(width: int, x: np.ndarray, y: np.ndarray) -> Callable[[Any], Array]:
    """``error(params)`` of the classes of test images."""
    whole, x, y = network(width, 0.0), jnp.asarray(x), jnp.asarray(y)

    def error(params: Any) -> Array:
        logits = whole.apply(params, x)["class"]
        return jnp.mean((jnp.argmax(logits, -1) != y).astype(jnp.float32))

    return error


Both = Mapping[str, Images]
"""Two sets of images by name."""

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


def pair(width: int, names: Sequence[str]) -> models.Model:
    """One trunk, and a linear head of ten classes for each name."""
    heads = {name: models.head(width, (), CLASSES) for name in names}
    return models.shared(models.mlp(PIXELS, (width,), width), heads)


def learn_both(both: Both, names: Sequence[str], width: int, options: Any) -> np.ndarray:
    """Test errors of a network of one or two tasks, each with ``options.pair_labels`` labels.

    Returns:
      ``(tasks, half of the steps and all, seeds)``, %.
    """
    model = pair(width, names)
    x = np.concatenate([both[name].x for name in names])
    first = np.cumsum([0, *(len(both[name].x) for name in names)])
    shown = jnp.asarray(x)

    def targets(rows: Mapping[str, np.ndarray]) -> data.Examples:
        """Examples of several tasks, each of which knows its own images only."""
        every = np.concatenate([first[k] + rows[name] for k, name in enumerate(names)])
        y = {}
        for k, name in enumerate(names):
            own = np.full(len(every), -1, np.int32)
            start = sum(len(rows[n]) for n in names[:k])
            own[start : start + len(rows[name])] = both[name].y[rows[name]]
            y[name] = own
        return data.Examples(every.astype(np.int32), outputs.Targets(y))

    def train(seeds: Any) -> data.Examples:
        found = [
            targets({n: drawn(both[n].y[: both[n].pool], options.pair_labels, int(seed)) for n in names})
            for seed in seeds
        ]
        return jax.tree.map(lambda *a: np.stack(a), *found)

    def recipe_of(hyper: Hyperparams) -> Recipe:
        def apply(params: Any, rows: Array, /, *, key: PRNGKey | None = None, mask: Any = None) -> Any:
            return model.apply(params, shown[rows])

        def likelihood(output: Any, y: Any) -> outputs.PerExample:
            return outputs.joint_loss(dict.fromkeys(names, log_likelihood))(output, y)

        return Recipe(
            models.Model(model.init, apply),
            outputs.joint_loss(dict.fromkeys(names, outputs.cross_entropy)),
            {"log_likelihood": likelihood},
            optimizer("adam", hyper["rate"]),
        )

    def probe(params: Any) -> Array:
        return jnp.stack([
            jnp.mean((jnp.argmax(model.apply(params, jnp.asarray(both[n].test_x))[n], -1) != both[n].test_y)
                     .astype(jnp.float32))
            for n in names
        ])  # fmt: skip

    tuned = tune_briefly_and_train(
        lambda steps: recipe_of,
        train,
        targets({n: np.arange(both[n].pool, len(both[n].x)) for n in names}),
        {"arm": [0]},
        {"rate": RATES},
        steps=options.pair_steps,
        tuning_steps=options.tuning_steps,
        seeds=options.seeds,
        tuning_seeds=options.tuning_seeds,
        first_seed=FIRST_SEED,
        batch_size=len(names) * min(options.batch_size, options.pair_labels),
        every=options.pair_steps // 2,
        probe=probe,
        record=options.pair_steps,
        score="log_likelihood",
    )
    return 100 * np.moveaxis(np.asarray(tuned.fit.probes)[1:], -1, 0)
