"""The models of the experiment on feature maps: support vector machines on a given φ, and networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from dlnotes import data, outputs
from dlnotes.models import Model
from dlnotes.training import Hyperparams, Recipe, fit, optimizer, schedules
from dlnotes.typing import Params

HARD = 1e4
"""C of a machine that has to fit its training part."""


class Split(NamedTuple):
    """Images of one seed in one setting, and those that a model is measured on."""

    train: data.Examples
    held: data.Examples


class Kernel(NamedTuple):
    """A kernel of a feature map φ, and the points among which tuning chooses.

    Attributes:
      features: of images ``(n, height, width)``: what the kernel is applied to.
      between: a matrix of two sets of rows of features, scaled by the training rows.
      gram: the kernel, from a point's number and that matrix.
      points: ``(points, 2)`` a number for the kernel, and C.
    """

    features: Callable[[np.ndarray], np.ndarray]
    between: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    gram: Callable[[float, np.ndarray], np.ndarray]
    points: np.ndarray


class Scores(NamedTuple):
    """Accuracies ``(settings, seeds)`` of a model, and which point tuning chose, ``(settings,)``."""

    train: np.ndarray
    test: np.ndarray
    half: np.ndarray
    chosen: np.ndarray


def pixels(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float64)


def products(a: np.ndarray, b: np.ndarray, train: np.ndarray) -> np.ndarray:
    """``aᵢᵀbⱼ`` over the mean squared length of a training row."""
    return a @ b.T / np.mean(np.sum(train.astype(np.float64) ** 2, axis=1))


def distances(a: np.ndarray, b: np.ndarray, train: np.ndarray) -> np.ndarray:
    """``‖aᵢ − bⱼ‖²`` over the median one of training rows."""
    return squared_distances(a, b) / np.median(squared_distances(train, train))


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``‖aᵢ − bⱼ‖²``, ``(len(a), len(b))``."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0.0)


def machine_accuracy(kernel: Kernel, split: Split, points: np.ndarray) -> np.ndarray:
    """Training and held-out accuracy ``(points, 2)`` of support vector machines."""
    from sklearn.svm import SVC

    train, held = (kernel.features(part.x[..., 0]) for part in split)
    within, other = (kernel.between(rows, train, train) for rows in (train, held))
    found = []
    for number, C in points:
        machine = SVC(kernel="precomputed", C=C).fit(kernel.gram(number, within), split.train.y)
        pairs = ((within, split.train.y), (other, split.held.y))
        found.append([machine.score(kernel.gram(number, matrix), y) for matrix, y in pairs])
    return np.array(found)


def machine(kernel: Kernel, tuning: list[list[Split]], judged: list[list[Split]]) -> Scores:
    """A machine tuned in each setting on splits of its own, then measured; there are no steps to halve."""
    points = kernel.points
    held = [np.mean([machine_accuracy(kernel, s, points)[:, 1] for s in splits], 0) for splits in tuning]
    chosen = np.argmax(held, axis=1)
    found = np.array(
        [
            [machine_accuracy(kernel, split, points[[c]])[0] for split in splits]
            for splits, c in zip(judged, chosen)
        ]
    )
    return Scores(found[..., 0], found[..., 1], found[..., 1], chosen)


def capacity(kernel: Kernel, judged: list[list[Split]], chosen: np.ndarray) -> np.ndarray:
    """Training accuracy ``(settings, seeds)`` of machines that have to fit their training part."""
    points = [np.array([[kernel.points[c, 0], HARD]]) for c in chosen]
    return np.array(
        [[machine_accuracy(kernel, s, p)[0, 0] for s in splits] for splits, p in zip(judged, points)]
    )


def stacked(splits: list[Split], part: int) -> data.Examples:
    """The training (0) or held-out (1) parts of splits, with a members axis."""
    x, y = zip(*(split[part][:2] for split in splits))
    return data.Examples(np.stack(x), np.stack(y))


def trained(
    model_of: Callable[[Hyperparams], Model],
    grid: dict[str, np.ndarray],
    members: list[Split],
    seeds: np.ndarray,
    *,
    steps: int,
    convolutions: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Accuracies of networks, one a member: on the training part, held out, and that after half the steps.

    The rate falls to 0 along a cosine over each half.
    """

    def recipe(hyper: Hyperparams) -> Recipe:
        fall = schedules.cosine_restarts(steps, cycles=2)
        descent = optimizer("adam", hyper["learning_rate"], factor=fall)
        return Recipe(model_of(hyper), outputs.cross_entropy, {}, descent, random=True)

    found = fit(
        recipe,
        stacked(members, 0),
        steps=steps,
        batch_size=32,
        seeds=seeds,
        hyperparams=grid,
        record=steps // 2,
        every=steps // 2,
        probe=lambda params: params,
        convolutions=convolutions,
        data_per_member=True,
    )
    model = model_of({name: values[0] for name, values in grid.items()})

    def accuracy(params: Params, part: int) -> np.ndarray:
        """Member by member: vmapped convolutions of one large batch are slow."""
        one = jax.jit(model.apply)
        right = []
        for i, split in enumerate(members):
            answer = one(jax.tree.map(lambda a: a[i], params), split[part].x)  # noqa: B023
            right.append(np.mean(np.asarray(answer).argmax(-1) == split[part].y))
        return np.array(right)

    half = jax.tree.map(lambda a: a[1], found.probes)
    return accuracy(found.params, 0), accuracy(found.params, 1), accuracy(half, 1)


def network(
    model_of: Callable[[Hyperparams], Model],
    points: dict[str, np.ndarray],
    tuning: list[list[Split]],
    judged: list[list[Split]],
    *,
    first_seed: int,
    steps: int,
    tuning_steps: int,
    convolutions: bool,
) -> Scores:
    """A network tuned in each setting on splits of its own (``tuning_steps``), trained on the judged."""
    settings, tries, seeds = len(tuning), len(next(iter(points.values()))), len(judged[0])
    own = len(tuning[0])
    members = [split for splits in tuning for _ in range(tries) for split in splits]
    grid = {name: np.tile(np.repeat(v, own), settings) for name, v in points.items()}
    after = np.tile(first_seed + seeds + np.arange(own), settings * tries)
    _, held, _ = trained(model_of, grid, members, after, steps=tuning_steps, convolutions=convolutions)
    chosen = held.reshape(settings, tries, own).mean(-1).argmax(1)
    grid = {name: np.repeat(v[chosen], seeds) for name, v in points.items()}
    members = [split for splits in judged for split in splits]
    now = np.tile(first_seed + np.arange(seeds), settings)
    found = trained(model_of, grid, members, now, steps=steps, convolutions=convolutions)
    train, test, half = (values.reshape(settings, seeds) for values in found)
    return Scores(train, test, half, chosen)
