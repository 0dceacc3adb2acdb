"""Mixture densities trained by momentum from many starts, with and without clipping: which blow up."""

from __future__ import annotations

import numpy as np

from dlnotes import data, outputs
from dlnotes.training import Hyperparams, Recipe, fit, initial_params, optimizer
from dlnotes.typing import Array

from ._mixture_rivals import network

WIDTH, COMPONENTS, BATCH = 40, 5, 100
CLIP_RATES = np.array([0.001, 0.003, 0.01, 0.03, 0.1, 0.3])
CLIP_NORM = 1.0
BLOWN_UP = 5.0
"""Nats above the first loss from which a training counts as blown up."""


def blow_ups(examples: data.Examples, *, starts: int, steps: int, first_seed: int) -> dict[str, np.ndarray]:
    """Which starts blow up and the mean loss of the last tenth, each ``(2, rates, starts)``.

    The starts are seeds from ``first_seed`` on. The best rate, without clipping and with it, is that of a
    quarter as many other starts.
    """
    model = network(COMPONENTS, WIDTH)

    def loss(raw: Array, y: Array) -> outputs.PerExample:
        return outputs.mixture_nll(raw, y, components=COMPONENTS)

    def recipe(hyper: Hyperparams) -> Recipe:
        change = optimizer("sgd", hyper["learning_rate"], momentum=0.9, clip_norm=hyper["clip_norm"])
        return Recipe(model, loss, {}, change)

    tuning = max(10, starts // 4)
    shape = (2, len(CLIP_RATES), starts + tuning)
    clip, rate, start = (a.ravel() for a in np.indices(shape))
    seeds = first_seed + start
    result = fit(
        recipe,
        examples,
        steps=steps,
        batch_size=BATCH,
        seeds=seeds,
        start=initial_params(model, seeds, "he"),
        hyperparams={
            "clip_norm": np.array([1e30, CLIP_NORM])[clip],  # the first never clips
            "learning_rate": CLIP_RATES[rate],
        },
    )
    history = result.history["loss"]
    broken = (result.stopped_at >= 0) | ~np.isfinite(history).all(0)
    worst = np.where(np.isfinite(history), history, np.inf).max(0)
    blown = broken | (worst > history[0] + BLOWN_UP)

    def end(first: int) -> np.ndarray:
        """Mean loss of the last tenth of so many steps."""
        return np.where(broken, np.inf, history[:first][-max(1, first // 10) :].mean(0)).reshape(shape)

    ends, n = end(steps), starts
    return {
        "blown": blown.reshape(shape)[..., :n],
        "end": ends[..., :n],
        "end_half": end(steps // 2)[..., :n],
        "best_rate": np.median(ends[..., n:], axis=-1).argmin(-1),  # (2,)
    }
