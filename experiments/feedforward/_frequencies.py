"""Fractions of the digits at each gray value of a pixel, learned by maximum likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from dlnotes import data, models, outputs
from dlnotes.training import Recipe, fit, optimizer, predict, schedules

GRAYS = 17
"""A pixel of digits is a count of 0 to 16."""


def measure_frequencies(n: int, all_steps: int) -> dict[str, Any]:
    """Distance of learned probabilities from observed fractions.

    Args:
      n: pixels.
      all_steps: of training; names that end in "_half" are after half of them.
    """
    digits = data.load("digits", standardize=False)
    gray = np.round(digits.train.x * (GRAYS - 1)).astype(int).reshape(-1, 64)
    y = digits.train.y
    varied = np.flatnonzero([len(np.unique(column)) >= GRAYS - 1 for column in gray.T])
    pixels = np.random.default_rng(0).choice(varied, n, replace=n > len(varied))
    counts = np.zeros((n, GRAYS, 10))
    for seed, pixel in enumerate(pixels):
        np.add.at(counts[seed], (gray[:, pixel], y), 1)
    seen = counts.sum(-1, keepdims=True)  # (seeds, grays, 1)
    observed = counts / np.maximum(seen, 1)
    # Columns of zeros make both models one program; their weights stay at 0.
    linear = np.zeros((GRAYS, GRAYS))
    linear[:, 0] = np.arange(GRAYS) / (GRAYS - 1) - 0.5
    x = np.repeat([np.eye(GRAYS), linear], n, axis=0).astype(np.float32)  # (members, grays, 17)
    examples = data.Examples(
        np.stack([x[i][gray[:, pixels[i % n]]] for i in range(len(x))]),
        np.broadcast_to(y, (len(x), len(y))),
    )
    found: dict[str, Any] = {"counts": counts, "pixels": pixels}
    for when, steps in (("_half", all_steps // 2), ("", all_steps)):
        learned = _learned_fractions(examples, x, steps).reshape(2, n, GRAYS, 10)
        for name, p in zip(("full", "limited"), learned):
            off = np.abs(p - observed) * (seen > 0)
            found[f"{name}_probabilities{when}"] = p
            found[f"{name}_largest{when}"] = off.max((1, 2))
            found[f"{name}_mean{when}"] = (off.sum(-1) / 2 * seen[..., 0]).sum(-1) / seen.sum((1, 2))
    return found


def _learned_fractions(examples: data.Examples, x: np.ndarray, steps: int) -> np.ndarray:
    """Probabilities of the digits at each ``x`` ``(members, grays, 17)`` after maximum likelihood."""
    model = models.linear(GRAYS, 10, init_scale=0.0)
    descent = optimizer("adam", 0.1, factor=schedules.cosine(steps))
    result = fit(
        Recipe(model, outputs.cross_entropy, {}, descent),
        examples,
        steps=steps,
        seeds=range(len(x)),
        record=steps,
        data_per_member=True,
    )
    z = predict(model, result.params, x, per_member=True)
    return special.softmax(z.astype(np.float64), axis=-1)
