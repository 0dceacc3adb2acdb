"""How good predicted classes are, beside the accuracy: of each member, computed once over a whole part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from dlnotes.config import ConfigError
from dlnotes.data.dataset import Dataset, Examples
from dlnotes.experiment.decision import positive_of
from dlnotes.experiment.intervals import mean_interval
from dlnotes.experiment.kept_files import read_json
from dlnotes.experiment.members import failed_members
from dlnotes.experiment.objective import loss_name
from dlnotes.outputs.class_scores import (
    best_threshold,
    class_report,
    class_scores,
    decided,
    probabilities,
)
from dlnotes.outputs.segmentation import class_iou, confusion
from dlnotes.training.state import Member
from dlnotes.typing import IGNORE

if TYPE_CHECKING:
    from dlnotes.experiment.evaluator import Evaluator
    from dlnotes.experiment.result import Trained

MOST_OUTPUTS = 2**26
"""Numbers predicted at once (256 MiB of float32)."""


def class_quality(evaluator: Evaluator, members: Member, examples: Examples) -> dict[str, np.ndarray]:
    """Macro F1, balanced accuracy, AUC, log loss and calibration error of every member, each ``(members,)``.

    Args:
      evaluator: of the members.
      members: trained ones.
      examples: with a class each.

    Returns:
      As of `dlnotes.outputs.class_scores.class_scores`; empty where the targets are no plain classes (those
      of a student beside its teacher's answers).
    """
    y = examples.y
    if not isinstance(y, np.ndarray) or y.ndim != 1:
        return {}
    config, dataset = evaluator.setup.group.config, evaluator.setup.dataset
    as_probabilities = loss_name(config, dataset) != "hinge"
    there = y != IGNORE
    found = [
        class_scores(outputs[:, there], y[there], of_probabilities=as_probabilities)
        for outputs in _outputs(evaluator, members, examples)
    ]
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def _outputs(evaluator: Evaluator, members: Member, examples: Examples) -> Iterator[np.ndarray]:
    """Outputs ``(some members, n, K)``, of so many members at once as the memory allows."""
    count = len(np.asarray(members.stopped_at))
    most = max(1, MOST_OUTPUTS // max(1, examples.size * evaluator.setup.dataset.outputs))
    if most >= count:
        yield evaluator.predict(members, examples)
        return
    for first in range(0, count, most):
        yield evaluator.predict(jax.tree.map(lambda a, i=first: a[i : i + most], members), examples)


def thresholds(evaluator: Evaluator, members: Member) -> np.ndarray:
    """The threshold of every member, ``(members,)``, as [decision] says; NaN of those that failed."""
    config, dataset = evaluator.setup.group.config, evaluator.setup.dataset
    decision = config.decision
    assert decision is not None
    count = len(np.asarray(members.stopped_at))
    if not isinstance(decision.threshold, str):
        return np.full(count, float(decision.threshold))
    examples, positive = dataset.split("validation"), positive_of(config, dataset)
    is_positive = np.asarray(examples.y) == positive
    found = []
    for outputs in _outputs(evaluator, members, examples):
        for logits in outputs:
            there = np.isfinite(logits).all()
            scores = probabilities(logits)[:, positive] if there else None
            found.append(
                np.nan if scores is None else best_threshold(scores, is_positive, decision.threshold)
            )
    return np.array(found)


def threshold_quality(
    evaluator: Evaluator, members: Member, examples: Examples, at: np.ndarray
) -> dict[str, np.ndarray]:
    """What the thresholds make of a part: "threshold", "accuracy_at_threshold" …, each ``(members,)``.

    Args:
      evaluator: of the members.
      members: trained ones.
      examples: with one of two classes each.
      at: ``(members,)`` as of `thresholds`.
    """
    config, dataset = evaluator.setup.group.config, evaluator.setup.dataset
    positive = positive_of(config, dataset)
    is_positive = np.asarray(examples.y) == positive
    rows = []
    for outputs in _outputs(evaluator, members, examples):
        for logits in outputs:
            t = at[len(rows)]
            scores = probabilities(np.nan_to_num(logits))[:, positive]
            measured = decided(scores, is_positive, 0.5 if np.isnan(t) else t)
            rows.append({name: np.nan if np.isnan(t) else value for name, value in measured.items()})
    found = {f"{name}_at_threshold": np.array([row[name] for row in rows]) for name in rows[0]}
    return {"threshold": at} | found


def kept_thresholds(trained: Trained) -> np.ndarray:
    """The thresholds of the members of the chosen point, as the run's summary has them, or chosen anew.

    Raises:
      ConfigError: when the run has not ended and its validation part is not at hand.
    """
    config, chosen = trained.config, trained.chosen
    assert config.decision is not None
    if not isinstance(config.decision.threshold, str):
        return np.full(chosen.members.stop - chosen.members.start, float(config.decision.threshold))
    summary: dict[str, Any] = read_json(trained.folder.summary_path) or {}
    for record in summary.get("points", ()):
        kept = record["metrics"].get("validation", {}).get("threshold")
        if record["point"] == chosen.point and kept is not None:
            return np.array([np.nan if v is None else v for v in kept["values"]])
    try:
        members = jax.tree.map(lambda a: a[chosen.members], trained.state.members)
        return thresholds(trained.evaluator, members)
    except ValueError as error:
        raise ConfigError(str(trained.folder.path), [f"decision.threshold: {error}"]) from None


def decided_classes(trained: Trained, member: int, p: np.ndarray) -> np.ndarray:
    """The classes of probabilities ``(n, K)``: the most probable, or as [decision] says.

    Args:
      trained: the run.
      member: which predicts, counted in its group.
      p: probabilities.
    """
    if trained.config.decision is None:
        return p.argmax(-1)
    positive = positive_of(trained.config, trained.dataset)
    at = kept_thresholds(trained)[member - trained.chosen.members.start]
    return np.where(p[:, positive] >= at, positive, 1 - positive)


def class_table(
    evaluator: Evaluator, members: Member, examples: Examples
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Precision, recall and F1 of each class with intervals over seeds; of pixels the overlap of each class.

    Args:
      evaluator: of the members.
      members: trained ones; those that failed are left out.
      examples: with a class each, or a class for each pixel.

    Returns:
      The header, and a row a class: its name, its examples (or pixels), and mean, low and high of each
      measure, ``None`` where there is none.

    Raises:
      ValueError: for other targets.
    """
    dataset = evaluator.setup.dataset
    if dataset.task not in ("classification", "pixels"):
        raise ValueError(f"per class: {dataset.name} has {dataset.task} targets, which have no classes")
    good = ~failed_members(members)
    members = jax.tree.map(lambda a: a[good], members)
    if dataset.task == "pixels":
        return class_rows(dataset, evaluator.predict(members, examples, classes=True), examples.y)
    taken = np.concatenate([o.argmax(-1) for o in _outputs(evaluator, members, examples)])
    return class_rows(dataset, taken, examples.y)


def class_rows(dataset: Dataset, taken: np.ndarray, y: Any) -> tuple[list[str], list[tuple[Any, ...]]]:
    """What `class_table` tells, of predicted classes.

    Args:
      dataset: with names of classes.
      taken: ``(members, n, …)`` predicted classes.
      y: ``(n, …)`` true ones.
    """
    y, k = np.asarray(y), dataset.outputs
    if dataset.task == "pixels":
        measures = {"iou": np.array([class_iou(confusion(each, y, k)) for each in taken])}
        support = np.bincount(y[y >= 0], minlength=k)
        counted = "pixels"
    else:
        report = class_report(taken, y, k)
        measures = {"precision": report.precision, "recall": report.recall, "f1": report.f1}
        support, counted = report.support, "examples"
    header = ["class", counted]
    header += [name for measure in measures for name in (measure, f"{measure}_low", f"{measure}_high")]
    rows = []
    for c, name in enumerate(dataset.classes):
        row: list[Any] = [name, int(support[c])]
        for values in measures.values():
            found = mean_interval(values[:, c], limits=(0.0, 1.0))
            row += [found["mean"], found["low"], found["high"]]
        rows.append(tuple(row))
    return header, rows
