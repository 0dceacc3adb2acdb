"""Least squares in single precision as the condition number grows: normal equations, QR and SGD."""

from __future__ import annotations

import jax
import numpy as np

from dlnotes.training import linear_descent, normal_equations, qr_least_squares, start_descent

CONDITIONS = 10.0 ** np.arange(9)
WAYS = ("normal equations", "QR", "SGD")
NORMAL, QR, DESCENT = range(3)
ROWS, INPUTS, BATCH = 400, 10, 50
HARD = 5
"""Of `CONDITIONS`, where κ²ε is far above 1 and κε far below."""
WRONG_WEIGHTS, WRONG_PREDICTIONS = 0.1, 0.01
"""Relative error of the weights, and share of the targets' squares, from which they count as wrong."""
WEIGHTS, PREDICTIONS = range(2)
MOST = 1e6
"""An error that is larger, or no number, counts as this."""


def table(condition: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """``X = √n U S Vᵀ`` with singular values S from 1 down to 1/κ, and ``y = X w``, w normal; float32."""
    rng = np.random.default_rng([seed, round(np.log10(condition))])
    left = np.linalg.qr(rng.normal(size=(ROWS, INPUTS)))[0]
    right = np.linalg.qr(rng.normal(size=(INPUTS, INPUTS)))[0]
    x = ((np.sqrt(ROWS) * left * np.geomspace(1, 1 / condition, INPUTS)) @ right.T).astype(np.float32)
    return x, (x.astype(np.float64) @ rng.normal(size=INPUTS)).astype(np.float32)


def errors(seeds: int, steps: int, first_seed: int) -> np.ndarray:
    """Errors against numpy's weights in double precision, ``(2, ways, conditions, seeds)``.

    First ``‖w − w*‖/‖w*‖``, then the squared error beyond the optimum over the targets' squares.
    """
    ways = (
        jax.jit(normal_equations),
        jax.jit(qr_least_squares),
        lambda x, y: (
            linear_descent(start_descent(INPUTS), x, y, steps=steps, rate=0.1, batch_size=BATCH).average
        ),
    )
    found = np.full((2, len(ways), len(CONDITIONS), seeds), MOST)
    for j, condition in enumerate(CONDITIONS):
        for i in range(seeds):
            x, y = table(condition, first_seed + i)
            wide, target = x.astype(np.float64), y.astype(np.float64)
            best = np.linalg.lstsq(wide, target)[0]
            least = np.sum((wide @ best - target) ** 2)
            for k, way in enumerate(ways):
                w = np.asarray(way(x, y), np.float64)
                if not np.isfinite(w).all():
                    continue
                beyond = np.sum((wide @ w - target) ** 2) - least
                apart = np.linalg.norm(w - best) / np.linalg.norm(best)
                found[:, k, j, i] = min(apart, MOST), min(beyond / np.sum(target**2), MOST)
    return found
