"""Recurrent nets that give a density of the next frame: of speech, and of a ball that bounces off pegs."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from dlnotes import data, models, outputs
from dlnotes.data import Examples
from dlnotes.training import (
    Hyperparams,
    Recipe,
    RecipeOf,
    initial_params,
    optimizer,
    schedules,
    tune_briefly_and_train,
)

FIRST_SEED = 2120
RATES = (0.001, 0.003, 0.01)
LOOKS = 10
"""Snapshots of a training, of which the one with the best validation likelihood is kept."""
FLOORS = {"speech": 0.05, "motion": 0.02}
"""Least deviation of a component: of standardized frames, of steps of a length of about 1."""


class Frames(NamedTuple):
    """Sequences of frames and what follows each.

    Attributes:
      name: "speech" or "motion".
      train, validation, test: x ``(n, time, features)``, y ``(n, time, outputs)``, NaN where nothing follows.
      exact: ``−log p`` of the test frames ``(n,)``, summed over each sequence, or ``None`` where unknown.
      gaussian: the same under the best Gaussian of each frame, as expected.
    """

    name: str
    train: Examples
    validation: Examples
    test: Examples
    exact: np.ndarray | None
    gaussian: np.ndarray | None


class Arm(NamedTuple):
    """An output unit: a mixture of so many Gaussians, diagonal or full."""

    name: str
    components: int
    full: bool

    def size(self, d: int) -> int:
        return outputs.full_mixture_size(self.components, d) if self.full else self.components * (1 + 2 * d)

    def distribution(self, raw: Any, d: int, floor: float) -> Any:
        unit = outputs.full_mixture if self.full else outputs.mixture
        return unit(raw, self.components, d, floor=floor)


def speech(validation: float = 0.2) -> Frames:
    """Utterances of the Japanese vowels; told is the change of the twelve coefficients to the next frame."""
    vowels = data.load("japanese_vowels", validation=validation)

    def part(name: str) -> Examples:
        one = vowels.split(name)
        x, mask = np.asarray(one.x), np.asarray(one.mask)
        y = np.where(mask[:, 1:, None], np.diff(x, axis=1), np.nan).astype(np.float32)
        return Examples(x[:, :-1], y)

    return Frames("speech", part("train"), part("validation"), part("test"), None, None)


def motion(paths: int, held: int, frames: int) -> Frames:
    """Balls among pegs; told is the next step."""
    drawn = data.bouncing_paths(paths + 2 * held, frames + 2, seed=FIRST_SEED)
    seen, following = data.bouncing_frames(drawn)

    def part(rows: slice) -> Examples:
        return Examples(seen[rows].astype(np.float32), following[rows].astype(np.float32))

    test = slice(paths + held, None)
    exact = -data.bouncing_log_density(drawn[test]).sum(1)
    gaussian = data.bouncing_gaussian_entropy(drawn[test]).sum(1)
    parts = (part(slice(paths)), part(slice(paths, paths + held)), part(test))
    return Frames("motion", *parts, exact, gaussian)


class Scores(NamedTuple):
    """What came of an arm's trainings.

    Attributes:
      nll: ``(2, seeds, sequences)`` −log p of the test frames, summed by sequence: of the best snapshot of
        the first half of the steps, and of all.
      rate: chosen.
      looks: ``(snapshots, seeds)`` validation −log p of a frame.
      model: the network.
      params: of the best snapshots, leaves ``(seeds, ...)``.
    """

    nll: np.ndarray
    rate: float
    looks: np.ndarray
    model: models.Model
    params: Any


def train(
    arm: Arm,
    sets: Frames,
    *,
    hidden: int,
    dropout: float,
    steps: int,
    tuning_steps: int,
    batch_size: int,
    seeds: int,
    tuning_seeds: int,
) -> Scores:
    """A recurrent net with the arm's output unit, at its best rate, from its best snapshot held out."""
    d, floor = sets.train.y.shape[-1], FLOORS[sets.name]
    model = models.sequence_labeler(sets.train.x.shape[-1], hidden, arm.size(d), cell="gru", dropout=dropout)
    loss = partial(outputs.frames_nll, partial(arm.distribution, d=d, floor=floor))
    every = max(1, steps // LOOKS)

    def recipe_of(total: int) -> RecipeOf:
        fall = schedules.cosine_restarts(total, cycles=2)

        def of(hyper: Hyperparams) -> Recipe:
            adam = optimizer("adamw", hyper["rate"], factor=fall, weight_decay=0.01, clip_norm=1.0)
            return Recipe(model, loss, {}, adam)

        return of

    tuned = tune_briefly_and_train(
        recipe_of,
        sets.train,
        sets.validation,
        {"all": [0]},
        {"rate": RATES},
        start=lambda hyper, own: initial_params(model, own),
        seeds=seeds,
        tuning_seeds=tuning_seeds,
        first_seed=FIRST_SEED,
        steps=every * LOOKS,
        tuning_steps=tuning_steps,
        batch_size=min(batch_size, sets.train.size),
        every=every,
        probe=lambda params: params,
        record=every,
    )

    @jax.jit
    def score(params: Any, x: Any, y: Any) -> Any:
        return jax.lax.map(lambda p: loss(model.apply(p, x), y), params)

    snapshots, held = tuned.fit.probes, []
    for i in range(LOOKS + 1):
        found = score(jax.tree.map(lambda a, i=i: a[i], snapshots), *sets.validation[:2])
        held.append(np.asarray(found.total).sum(1) / np.asarray(found.count).sum(1))
    held = np.where(np.isfinite(held), held, np.inf)
    nll, best = [], None
    for last in (LOOKS // 2, LOOKS):
        chosen = held[: last + 1].argmin(0)
        best = jax.tree.map(lambda a, c=chosen: a[c, np.arange(seeds)], snapshots)
        nll.append(np.asarray(score(best, *sets.test[:2]).total))
    return Scores(np.array(nll), RATES[tuned.chosen[0]], held, model, best)


def per_frame(sets: Frames) -> np.ndarray:
    """How many test frames each sequence has, over their mean: weights of sequences."""
    return (~np.isnan(sets.test.y).any(-1)).sum(1).astype(np.float64)
