"""A sequence from a sequence without learning to write: the answer of the nearest source."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlnotes.analysis.baselines.baseline import Answer, Baseline, Fitting
from dlnotes.analysis.baselines.counts import grams_of
from dlnotes.data.dataset import Examples

ORDER = 3
"""The longest n-gram by which sources are compared."""


def nearest_source() -> Baseline:
    """The target of the training source with most n-grams in common (cosine of their TF-IDF)."""

    def fit(given: Fitting) -> Answer:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.neighbors import NearestNeighbors

        analyze: Any = lambda symbols: grams_of(symbols, ORDER)  # noqa: E731
        counted: Any = TfidfVectorizer(analyzer=analyze)
        known: Any = NearestNeighbors(n_neighbors=1, metric="cosine", algorithm="brute")
        known.fit(counted.fit_transform(_sources(given.train)))
        target = np.asarray(given.train.y, np.int32)

        def answer(examples: Examples) -> np.ndarray:
            nearest = known.kneighbors(counted.transform(_sources(examples)), return_distance=False)
            return target[nearest[:, 0]]

        return answer

    return Baseline("nearest source", "the target of the training source with most n-grams in common", fit)


def most_frequent_target() -> Baseline:
    """The target that the training part has most often."""

    def fit(given: Fitting) -> Answer:
        targets, counts = np.unique(np.asarray(given.train.y, np.int32), axis=0, return_counts=True)
        most = targets[counts.argmax()]
        return lambda examples: np.tile(most, (len(np.asarray(examples.x.source)), 1))

    return Baseline("most frequent target", "the target that the training part has most often", fit)


def _sources(examples: Examples) -> list[tuple[int, ...]]:
    source, mask = np.asarray(examples.x.source), examples.mask
    real = np.ones(source.shape, bool) if mask is None else np.asarray(mask)
    return [tuple(row[there].tolist()) for row, there in zip(source, real)]
