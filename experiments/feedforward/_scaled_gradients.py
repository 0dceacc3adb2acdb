"""Mixture densities from many starts whose gradients are scaled component by component: which blow up."""

from __future__ import annotations

import numpy as np

from dlnotes import data, outputs
from dlnotes.training import Hyperparams, Recipe, fit, initial_params, optimizer
from dlnotes.typing import Array

from ._mixture_blow_ups import BATCH, BLOWN_UP, COMPONENTS, WIDTH
from ._mixture_rivals import network

SCALED_RATES = np.array([0.003, 0.01, 0.03, 0.1, 0.3, 1.0])
"""Larger than those without scaling: a variance is less than 1 here."""


def scaled_blow_ups(
    examples: data.Examples, *, starts: int, steps: int, first_seed: int
) -> dict[str, np.ndarray]:
    """As `blow_ups`, without clipping and with gradients scaled by σ²: arrays ``(rates, starts)``.

    Starts, steps and the choice of the best rate are the same.
    """
    model = network(COMPONENTS, WIDTH)

    def loss(raw: Array, y: Array) -> outputs.PerExample:
        return outputs.scaled_mixture_nll(raw, y, components=COMPONENTS)

    def recipe(hyper: Hyperparams) -> Recipe:
        return Recipe(model, loss, {}, optimizer("sgd", hyper["learning_rate"], momentum=0.9))

    tuning = max(10, starts // 4)
    shape = (len(SCALED_RATES), starts + tuning)
    rate, start = (a.ravel() for a in np.indices(shape))
    seeds = first_seed + start
    result = fit(
        recipe,
        examples,
        steps=steps,
        batch_size=BATCH,
        seeds=seeds,
        start=initial_params(model, seeds, "he"),
        hyperparams={"learning_rate": SCALED_RATES[rate]},
    )
    history = result.history["loss"]
    broken = (result.stopped_at >= 0) | ~np.isfinite(history).all(0)
    worst = np.where(np.isfinite(history), history, np.inf).max(0)
    blown = broken | (worst > history[0] + BLOWN_UP)

    def end(first: int) -> np.ndarray:
        last = history[:first][-max(1, first // 10) :].mean(0)
        return np.where(broken, np.inf, last).reshape(shape)

    ends, n = end(steps), starts
    return {
        "scaled_blown": blown.reshape(shape)[:, :n],
        "scaled_end": ends[:, :n],
        "scaled_end_half": end(steps // 2)[:, :n],
        "scaled_best_rate": np.median(ends[:, n:], axis=-1).argmin(-1),
    }
