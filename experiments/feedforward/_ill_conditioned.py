"""Least squares in single precision as the condition number grows: normal equations, QR and SGD."""

from __future__ import annotations

import jax
import numpy as np

from dlnotes.training import linear_descent, normal_equations, qr_least_squares, start_descent

CONDITIONS = 10.0 ** np.arange(9)
WAYS = ("normal equations", "QR", "SGD")
NORMAL, QR, DESCENT = range(3)
ROWS, INPUTS, BATCH = 400, 10, 50
WRONG = 0.01
"""Share of the targets' squares from which predictions count as wrong."""
MOST = 1e6
"""An error that is larger, or no number, counts as this."""


def table(condition: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """``X = √n U S Vᵀ`` with singular values S from 1 down to 1/κ, and ``y = X w``, w normal; float32."""
    rng = np.random.default_rng([seed, round(np.log10(condition))])
    left = np.linalg.qr(rng.normal(size=(ROWS, INPUTS)))[0]
    right = np.linalg.qr(rng.normal(size=(INPUTS, INPUTS)))[0]
    x = ((np.sqrt(ROWS) * left * np.geomspace(1, 1 / condition, INPUTS)) @ right.T).astype(np.float32)
    return x, (x.astype(np.float64) @ rng.normal(size=INPUTS)).astype(np.float32)


def excess_errors(seeds: int, steps: int, first_seed: int) -> np.ndarray:
    """Squared error over the targets' squares beyond the optimum, ``(ways, conditions, seeds)``.

    The optimum of each table in single precision is numpy's in double precision.
    """
    ways = (
        jax.jit(normal_equations),
        jax.jit(qr_least_squares),
        lambda x, y: (
            linear_descent(start_descent(INPUTS), x, y, steps=steps, rate=0.1, batch_size=BATCH).average
        ),
    )
    found = np.zeros((len(ways), len(CONDITIONS), seeds))
    for j, condition in enumerate(CONDITIONS):
        for i in range(seeds):
            x, y = table(condition, first_seed + i)
            wide, target = x.astype(np.float64), y.astype(np.float64)
            best = np.linalg.lstsq(wide, target)[0]
            least = np.sum((wide @ best - target) ** 2)
            for k, way in enumerate(ways):
                w = np.asarray(way(x, y), np.float64)
                if not np.isfinite(w).all():
                    found[k, j, i] = MOST
                    continue
                error = np.sum((wide @ w - target) ** 2)
                found[k, j, i] = min((error - least) / np.sum(target**2), MOST)
    return found
