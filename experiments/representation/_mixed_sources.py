"""Linear mixtures of independent sources: a penalized linear autoencoder against FastICA."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import numpy as np

from dlnotes.data.dataset import Examples
from dlnotes.training import fit

from ._independent_codes import coder, recipe_of

SOURCES, MIXTURE_WEIGHTS, MIXTURE_RATE = 3, (0.0, 1.0), 0.05
STARTS = 8
"""Of a linear code on a mixture: some end where only part of the sources are found, with a larger loss."""


def mixtures(seeds: np.ndarray, sources: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Independent sources and whitened linear mixtures of them, each ``(seeds, n, sources)``.

    The sources are peaked (Laplace), flat (uniform), skewed (exponential) and of two heaps, in turn.
    """

    def drawn(rng: np.random.Generator, kind: int) -> np.ndarray:
        if kind == 0:
            return rng.laplace(size=n)
        if kind == 1:
            return rng.uniform(-1, 1, n)
        if kind == 2:
            return rng.exponential(size=n)
        return rng.choice([-1.0, 1.0], n) + 0.4 * rng.normal(size=n)

    s, x = [], []
    for seed in seeds:
        rng = np.random.default_rng(int(seed))
        s.append(np.stack([drawn(rng, i % 4) for i in range(sources)], axis=1))
        mixed = s[-1] @ rng.normal(size=(sources, sources))
        mixed -= mixed.mean(0)
        u, _, _ = np.linalg.svd(mixed, full_matrices=False)
        x.append(u * np.sqrt(n) @ np.linalg.qr(rng.normal(size=(sources, sources)))[0])
    return np.array(s), np.array(x, np.float32)


def recovered(sources: np.ndarray, found: np.ndarray) -> float:
    """Mean |correlation| of each source with the column that is matched to it, all matched at best."""
    from scipy.optimize import linear_sum_assignment

    k = sources.shape[1]
    spread = np.concatenate([sources, found], axis=1)
    varies = spread.std(0) > 0
    both = np.zeros((2 * k, 2 * k))
    both[np.ix_(varies, varies)] = np.corrcoef(spread[:, varies].T)
    alike = np.abs(both[:k, k:])
    return float(alike[linear_sum_assignment(-alike)].mean())


def fast_ica(x: np.ndarray, seed: int) -> np.ndarray:
    """What scikit-learn's FastICA takes for the sources of ``x``."""
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return FastICA(whiten="unit-variance", random_state=seed, max_iter=1000).fit_transform(x)  # pyright: ignore[reportReturnType]


def of_mixtures(seeds: np.ndarray, samples: int, steps: int) -> dict[str, np.ndarray]:
    """Linear autoencoders on linear mixtures, and FastICA: how well the sources come back.

    Args:
      seeds: of the mixtures, one each.
      samples: of a mixture, all of which are in each step.
      steps: of a training.

    Returns:
      sources: ``(2, weights, seeds)`` mean |correlation| with the sources, after half of the steps and after
        all.
      fast_ica: ``(seeds,)`` that of FastICA.
    """
    sources, mixed = mixtures(seeds, SOURCES, samples)
    arms, starts = len(MIXTURE_WEIGHTS), STARTS * len(seeds)
    x = np.tile(np.repeat(mixed, STARTS, axis=0), (arms, 1, 1))
    half = steps // 2
    trained = fit(
        recipe_of(SOURCES, (), SOURCES, float(SOURCES), 2 * half),
        Examples(x, x),
        steps=2 * half,
        seeds=np.tile((STARTS * seeds[:, None] + np.arange(STARTS)).ravel(), arms),
        hyperparams={
            "weight": np.repeat(MIXTURE_WEIGHTS, starts),
            "linear": np.zeros(arms * starts),
            "rate": np.full(arms * starts, MIXTURE_RATE),
        },
        every=half,
        probe=lambda params: params,
        data_per_member=True,
    )
    model = coder(SOURCES, (), SOURCES)
    encode: Any = jax.jit(jax.vmap(lambda p, x: model.apply(p, x).code))  # pyright: ignore[reportAttributeAccessIssue]
    # Of the starts the one with the least loss, which knows nothing of the sources.
    loss = trained.history["loss"][[half - 1, 2 * half - 1]].reshape(2, arms, len(seeds), STARTS)
    found = np.zeros((2, arms, len(seeds)))
    for moment in range(2):
        params = jax.tree.map(lambda a: a[moment + 1], trained.probes)  # noqa: B023
        codes = np.asarray(encode(params, x)).reshape(arms, len(seeds), STARTS, *x.shape[1:])
        for arm, seed in np.ndindex(*found.shape[1:]):
            best = codes[arm, seed, np.argmin(loss[moment, arm, seed])]
            found[moment, arm, seed] = recovered(sources[seed], best)
    ica = [recovered(s, fast_ica(x, int(seed))) for s, x, seed in zip(sources, mixed, seeds)]
    return {"sources": found, "fast_ica": np.array(ica)}
