"""How good the labels are of examples that may have several: of each member, over a whole part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dlnotes.data.dataset import Examples
from dlnotes.experiment.intervals import mean_interval
from dlnotes.outputs.class_scores import auc
from dlnotes.training.state import Member

if TYPE_CHECKING:
    from dlnotes.experiment.evaluator import Evaluator


def multi_label_scores(logits: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """What is reported of labels, taken where their probability is at least 1/2, each ``(members,)``.

    Args:
      logits: ``(members, n, labels)``; members with one that is not finite get NaN.
      y: ``(n, labels)`` zeros and ones.

    Returns:
      "label_accuracy", over all labels of all examples; "exact_match", the share of examples all of whose
      labels are right; "macro_f1", the mean over labels that occur or are taken, and "micro_f1"; "auc", the
      mean over the labels that some examples have and others do not.
    """
    truth = y > 0.5
    good = np.asarray(np.isfinite(logits.reshape(len(logits), -1)).all(axis=-1))
    scores = np.where(good[:, None, None], logits, np.zeros((), logits.dtype))
    taken = scores >= 0
    hits, either = (taken & truth).sum(axis=1), taken.sum(axis=1) + truth.sum(axis=0)
    right = taken == truth
    with np.errstate(all="ignore"):
        f1 = np.where(either > 0, 2 * hits / np.maximum(either, 1), np.nan)
        micro = 2 * hits.sum(axis=1) / np.maximum(either.sum(axis=1), 1)
    found = {
        "label_accuracy": right.mean(axis=(1, 2)),
        "exact_match": right.all(axis=2).mean(axis=1),
        "micro_f1": micro,
    }
    if (either > 0).any(axis=1).all():
        found["macro_f1"] = np.nanmean(f1, axis=1)
    split = [j for j in range(y.shape[1]) if 0 < truth[:, j].sum() < len(y)]
    if split:
        found["auc"] = np.mean([auc(scores[..., j], truth[:, j]) for j in split], axis=0)
    return {name: np.where(good, value, np.nan) for name, value in found.items()}


def label_table(
    names: Sequence[str], logits: np.ndarray, y: np.ndarray
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Precision, recall and F1 of each label with intervals over members: a header, and a row a label.

    Args:
      names: of the labels.
      logits: ``(members, n, labels)``.
      y: ``(n, labels)`` zeros and ones.
    """
    truth, taken = y > 0.5, logits >= 0
    hits, found, ones = (taken & truth).sum(axis=1), taken.sum(axis=1), truth.sum(axis=0)
    with np.errstate(all="ignore"):
        measures = {
            "precision": np.where(found > 0, hits / found, np.nan),
            "recall": np.where(ones > 0, hits / ones, np.nan),
            "f1": np.where(found + ones > 0, 2 * hits / (found + ones), np.nan),
        }
    header = ["label", "examples"]
    header += [end for name in measures for end in (name, f"{name}_low", f"{name}_high")]
    rows = []
    for j, label in enumerate(names):
        row: list[Any] = [label, int(ones[j])]
        for values in measures.values():
            each = mean_interval(values[:, j], limits=(0.0, 1.0))
            row += [each["mean"], each["low"], each["high"]]
        rows.append(tuple(row))
    return header, rows


def multi_label_quality(evaluator: Evaluator, members: Member, examples: Examples) -> dict[str, np.ndarray]:
    """`multi_label_scores` of every member, each ``(members,)``.

    Args:
      evaluator: of the members.
      members: trained ones.
      examples: with zeros and ones as targets.
    """
    return multi_label_scores(evaluator.predict(members, examples), np.asarray(examples.y))
