"""A label for every position: of a sequence, of a tree's nodes, of an image's pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlnotes.analysis.baselines.baseline import Answer, Baseline, Fitting, log_p, over_classes
from dlnotes.data.dataset import Examples
from dlnotes.typing import IGNORE

AROUND = 2
"""Symbols, or pixels, to each side that a label is told from."""

MOST_POSITIONS = 30_000
"""Positions of the training part that a classifier is fitted on."""

PATCH_TREES = 30

PARTS = 65_536
"""Positions that are classified at once."""


def most_frequent_label() -> Baseline:
    """The label that most positions of the training part have."""

    def fit(given: Fitting) -> Answer:
        y = np.asarray(given.train.y)
        shares = np.bincount(y[y != IGNORE], minlength=given.dataset.outputs) / max(1, (y != IGNORE).sum())

        def answer(examples: Examples) -> np.ndarray:
            return np.broadcast_to(log_p(shares), (*np.shape(examples.y), len(shares)))

        return answer

    return Baseline("most frequent label", "the label that most positions of the training part have", fit)


def label_of_symbol() -> Baseline:
    """The label that a position's own symbol has most often in the training part."""

    def fit(given: Fitting) -> Answer:
        k, kinds = given.dataset.outputs, len(given.dataset.symbols) + 1
        y, symbol = np.asarray(given.train.y), _symbols(given.train)
        real = y != IGNORE
        counts = np.zeros((kinds, k))
        np.add.at(counts, (symbol[real], y[real]), 1.0)
        total = counts.sum(0)
        table = log_p((counts + total / total.sum()) / (counts.sum(1, keepdims=True) + 1))
        return lambda examples: table[_symbols(examples)]

    about = "the label that the symbol has most often in the training part"
    return Baseline("most frequent label of the symbol", about, fit)


def _symbols(examples: Examples) -> np.ndarray:
    """``(n, time)``, the last number where there is none."""
    return np.asarray(examples.x.label if hasattr(examples.x, "label") else examples.x, np.int64)


def label_of_window() -> Baseline:
    """Logistic regression on the symbols from two before a position to two behind it."""

    def fit(given: Fitting) -> Answer:
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import OneHotEncoder

        y = np.asarray(given.train.y)
        where = _some(np.flatnonzero(y.ravel() != IGNORE), given.seed)
        windows = _windows(given.train)
        encoded = OneHotEncoder(handle_unknown="ignore", min_frequency=2)
        x, target = encoded.fit_transform(windows[where]), y.ravel()[where]
        if len(np.unique(target)) < 2:
            raise ValueError("the training positions have one label")
        model = LogisticRegression(C=1.0, max_iter=200).fit(x, target)

        def answer(examples: Examples) -> np.ndarray:
            own, k = _windows(examples), given.dataset.outputs
            found = [
                over_classes(model.predict_proba(encoded.transform(part)), model.classes_, k)
                for part in np.array_split(own, max(1, len(own) // PARTS))
            ]
            return np.concatenate(found).reshape(*np.shape(examples.x), k)

        return answer

    about = f"logistic regression on the symbol and {AROUND} to each side"
    return Baseline("linear, window of symbols", about, fit)


def _windows(examples: Examples) -> np.ndarray:
    """``(n · time, 2 · AROUND + 1)`` the symbols around each position, -1 where there are none."""
    x = np.asarray(examples.x, np.int64)
    x = x if examples.mask is None else np.where(np.asarray(examples.mask), x, -1)
    padded = np.pad(x, ((0, 0), (AROUND, AROUND)), constant_values=-1)
    time = x.shape[1]
    return np.stack([padded[:, j : j + time].ravel() for j in range(2 * AROUND + 1)], axis=1)


def _some(where: np.ndarray, seed: int) -> np.ndarray:
    if len(where) <= MOST_POSITIONS:
        return where
    return np.sort(np.random.default_rng(seed).choice(where, MOST_POSITIONS, replace=False))


def label_of_patch() -> Baseline:
    """Extremely randomized trees on the 5 × 5 pixels around a pixel and its place in the image."""

    def fit(given: Fitting) -> Answer:
        from sklearn.ensemble import ExtraTreesClassifier

        y, k = np.asarray(given.train.y), given.dataset.outputs
        where = _some(np.flatnonzero(y.ravel() != IGNORE), given.seed)
        model: Any = ExtraTreesClassifier(PATCH_TREES, random_state=given.seed)
        model.fit(_patches(np.asarray(given.train.x), where), y.ravel()[where])

        def answer(examples: Examples) -> np.ndarray:
            x = np.asarray(examples.x)
            every = np.arange(int(np.prod(x.shape[:3])))
            found = [
                over_classes(model.predict_proba(_patches(x, part)), model.classes_, k)
                for part in np.array_split(every, max(1, len(every) // PARTS))
            ]
            return np.concatenate(found).reshape(*x.shape[:3], k)

        return answer

    side = 2 * AROUND + 1
    return Baseline(
        "extra trees on patches", f"{PATCH_TREES} trees on the {side} × {side} pixels around each", fit
    )


def _patches(x: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The pixels around some, edges repeated, and their places: ``(len(where), features)``."""
    height, width = x.shape[1:3]
    image, rest = np.divmod(where, height * width)
    row, column = np.divmod(rest, width)
    step = np.arange(-AROUND, AROUND + 1)
    rows = np.clip(row[:, None] + step, 0, height - 1)
    columns = np.clip(column[:, None] + step, 0, width - 1)
    patch = x[image[:, None, None], rows[:, :, None], columns[:, None, :]]
    place = np.stack([row / height, column / width], axis=1)
    return np.concatenate([patch.reshape(len(where), -1), place], axis=1, dtype=np.float32)
