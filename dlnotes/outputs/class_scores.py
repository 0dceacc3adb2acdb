"""Scores of predicted classes over a whole part: F1, balanced accuracy, AUC, log loss, calibration error.

They are of numpy arrays, of several members at once, and computed once at the end of a training. The tests
compare them with scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

BINS = 15
"""Of the calibration error."""

_TINY = 1e-300

Criterion = Literal["accuracy", "balanced_accuracy", "f1"]


class ClassReport(NamedTuple):
    """How each class is found, each ``(members, K)``; NaN where there is nothing to divide by.

    Attributes:
      precision: the share of those taken for the class that are of it.
      recall: the share of the class's examples that are taken for it.
      f1: their harmonic mean, 0 where the class is there and never found; NaN where it is neither there nor
        taken.
      support: ``(K,)`` examples of the class.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray


def probabilities(logits: np.ndarray) -> np.ndarray:
    """``softmax`` over the last axis in float64."""
    logits = logits.astype(np.float64)
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def _shares(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def class_report(taken: np.ndarray, y: np.ndarray, classes: int) -> ClassReport:
    """Precision, recall and F1 of each class.

    Args:
      taken: ``(members, n)`` whole numbers, the classes predicted.
      y: ``(n,)`` the true ones.
      classes: K.

    Example:
      >>> report = class_report(np.array([[0, 1, 1, 1]]), np.array([0, 0, 1, 1]), 2)
      >>> report.recall.tolist(), report.support.tolist()
      ([[0.5, 1.0]], [2, 2])
    """
    support = np.bincount(y, minlength=classes)
    found = np.stack([np.bincount(row, minlength=classes) for row in taken])
    hits = np.stack([np.bincount(y[row == y], minlength=classes) for row in taken])
    return ClassReport(
        _shares(hits, found),
        _shares(hits, np.broadcast_to(support, hits.shape)),
        _shares(2 * hits, found + support),
        support,
    )


def class_scores(
    logits: np.ndarray, y: np.ndarray, *, of_probabilities: bool = True
) -> dict[str, np.ndarray]:
    """What is reported of a classifier beside its accuracy, each ``(members,)``.

    A class that is not among ``y`` and is never predicted has no part in the means.

    Args:
      logits: ``(members, n, K)``; members with one that is not finite get NaN.
      y: ``(n,)`` classes.
      of_probabilities: whether the logits mean probabilities; else (after a hinge loss) there is no log loss
        and no calibration error.

    Returns:
      "macro_f1"; "balanced_accuracy", the mean recall of the classes that occur; "auc", the area under the
      receiver operating characteristic, of more than two classes the mean over each against the rest, absent
      where fewer than two classes occur; "log_loss"; "calibration_error", see `calibration_error`.

    Raises:
      ValueError: when the shapes do not fit.
    """
    if logits.ndim != 3 or y.shape != logits.shape[1:2]:
        raise ValueError(
            f"logits, y: got shapes {logits.shape}, {y.shape}, allowed are (members, n, K), (n,)"
        )
    members, n, k = logits.shape
    good = np.asarray(np.isfinite(logits.reshape(members, -1)).all(axis=-1))
    if not n:
        return {}
    values = np.where(good[:, None, None], logits, np.zeros((), logits.dtype))
    report = class_report(values.argmax(-1), y, k)
    there = report.support > 0
    found = {
        "macro_f1": np.nanmean(report.f1, axis=1),
        "balanced_accuracy": report.recall[:, there].mean(axis=1),
    }
    p = probabilities(values)
    if there.sum() > 1:
        found["auc"] = _mean_auc(p, y, there)
    if of_probabilities:
        own = p[:, np.arange(n), y]
        found["log_loss"] = -np.log(np.maximum(own, _TINY)).mean(axis=1)
        found["calibration_error"] = calibration_error(p, y)
    return {name: np.where(good, value, np.nan) for name, value in found.items()}


def _mean_auc(p: np.ndarray, y: np.ndarray, there: np.ndarray) -> np.ndarray:
    if p.shape[-1] == 2:
        return auc(p[..., 1], y == 1)
    return np.mean([auc(p[..., c], y == c) for c in np.flatnonzero(there)], axis=0)


def auc(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """The share of pairs of a positive and another example whose scores are in this order, equal ones half.

    Args:
      scores: ``(..., n)``.
      positive: ``(n,)`` booleans.

    Returns:
      ``(...)``, NaN where all examples or none are positive.

    Source: Hanley and McNeil, 1982.

    Example:
      >>> float(auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])))
      0.75
    """
    ones, n = int(positive.sum()), len(positive)
    if ones in (0, n):
        return np.full(scores.shape[:-1], np.nan)
    ranks = np.apply_along_axis(_ranks, -1, scores)
    above = ranks[..., positive].sum(axis=-1) - ones * (ones + 1) / 2
    return above / (ones * (n - ones))


def _ranks(scores: np.ndarray) -> np.ndarray:
    """The place of each from 1, equal ones have the mean of theirs."""
    _, which, count = np.unique(scores, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[which]


def calibration_error(p: np.ndarray, y: np.ndarray, *, bins: int = BINS) -> np.ndarray:
    """How far confidence is from accuracy: ``Σ_b n_b/n · |accuracy of b − mean confidence of b|``.

    The confidence of an example is the largest probability; bins divide [0, 1] evenly.

    Args:
      p: ``(members, n, K)`` probabilities.
      y: ``(n,)`` classes.
      bins: how many.

    Source: Guo et al., "On calibration of modern neural networks", 2017.

    Example:
      >>> p = np.array([[[0.8, 0.2], [0.8, 0.2], [0.3, 0.7], [0.3, 0.7]]])
      >>> calibration_error(p, np.array([0, 0, 1, 0])).round(3).tolist()
      [0.2]
    """
    confidence, right = p.max(-1), p.argmax(-1) == y
    # As in the reference a bin has its upper edge and not its lower one.
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = [np.bincount(b, r - c, bins) for b, r, c in zip(place, right.astype(np.float64), confidence)]
    return np.abs(gaps).sum(axis=1) / len(y)


def decided(scores: np.ndarray, positive: np.ndarray, threshold: float) -> dict[str, float]:
    """What a threshold makes of one member's scores of two classes.

    Args:
      scores: ``(n,)`` probabilities of the positive class.
      positive: ``(n,)`` booleans, whether an example is of it.
      threshold: from which on an example is taken for it.

    Returns:
      Accuracy, balanced accuracy, and precision, recall and F1 of the positive class; NaN where there is
      nothing to divide by.
    """
    taken = scores >= threshold
    hits, found, ones, n = (taken & positive).sum(), taken.sum(), positive.sum(), len(positive)
    rest = (~taken & ~positive).sum()
    recall, other = _ratio(hits, ones), _ratio(rest, n - ones)
    return {
        "accuracy": _ratio(hits + rest, n),
        "balanced_accuracy": float(np.nanmean([recall, other])) if n else float("nan"),
        "precision": _ratio(hits, found),
        "recall": recall,
        "f1": _ratio(2 * hits, found + ones),
    }


def _ratio(part: np.integer, whole: np.integer | int) -> float:
    return float(part / whole) if whole else float("nan")


def best_threshold(scores: np.ndarray, positive: np.ndarray, criterion: Criterion = "f1") -> float:
    """The threshold that makes a criterion largest, halfway between two scores; of equals that nearest 1/2.

    Args:
      scores: ``(n,)`` probabilities of the positive class.
      positive: ``(n,)`` booleans.
      criterion: accuracy, balanced accuracy, or F1 of the positive class.

    Raises:
      ValueError: when all examples or none are positive, or the criterion is unknown.

    Example:
      >>> best_threshold(np.array([0.1, 0.2, 0.3, 0.9]), np.array([False, False, True, True]))
      0.25
    """
    ones, n = int(positive.sum()), len(positive)
    if ones in (0, n):
        raise ValueError(f"threshold: got {ones} of {n} examples of the positive class, both are needed")
    values = np.unique(scores)
    # Never at a score itself, which another program may round to the other side.
    with_ends = np.concatenate([[0.0], values, [1.0]])
    edges = (with_ends[1:] + with_ends[:-1]) / 2
    order = np.sort(scores[positive]), np.sort(scores[~positive])
    hits, wrong = (len(side) - np.searchsorted(side, edges, side="left") for side in order)
    measures: dict[str, Callable[[], np.ndarray]] = {
        "accuracy": lambda: (hits + n - ones - wrong) / n,
        "balanced_accuracy": lambda: (hits / ones + 1 - wrong / (n - ones)) / 2,
        "f1": lambda: 2 * hits / (hits + wrong + ones),
    }
    if criterion not in measures:
        raise ValueError(f"criterion: got {criterion!r}, allowed are {', '.join(measures)}")
    found = measures[criterion]()
    best = np.flatnonzero(found >= found.max() - 1e-12)
    return float(edges[best[np.argmin(np.abs(edges[best] - 0.5))]])
