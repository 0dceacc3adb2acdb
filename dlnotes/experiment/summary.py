"""summary.json: every seed's final metrics, their mean and its 95% interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlnotes.experiment.groups import Group
from dlnotes.experiment.intervals import limits_of, mean_interval
from dlnotes.experiment.trainer import Outcome
from dlnotes.formatting import LARGER, bare_metric


def summarize_group(
    group: Group, outcome: Outcome, measured: dict[str, dict[str, np.ndarray]]
) -> list[dict[str, Any]]:
    """One record per sweep point of a group.

    Args:
      group: the members.
      outcome: of its training.
      measured: split → metric → ``(members,)``.
    """
    seeds, loss = group.config.training.seeds, group.config.training.loss
    failed = [s for s in outcome.stopped if s["reason"].startswith("non-finite")]
    records = []
    for p, (index, point) in enumerate(zip(group.indices, group.points)):
        mine = slice(p * seeds, (p + 1) * seeds)
        bad = {s["member"] - mine.start for s in failed if mine.start <= s["member"] < mine.stop}

        def finished(values: np.ndarray, mine: slice = mine, bad: set[int] = bad) -> np.ndarray:
            own = np.array(values[mine], np.float64)
            own[list(bad)] = np.nan
            return own

        best = outcome.state.members.best
        records.append(
            {
                "point": index,
                "values": point.values,
                "metrics": {
                    split: {
                        name: mean_interval(finished(v), limits=limits_of(name, loss))
                        for name, v in metrics.items()
                    }
                    for split, metrics in measured.items()
                },
                "seeds": [int(s) for s in group.seeds[mine]],
                "stopped": [
                    s | {"member": s["member"] - mine.start, "seed": int(group.seeds[s["member"]])}
                    for s in outcome.stopped
                    if mine.start <= s["member"] < mine.stop
                ],
                "best_step": None if best is None else [int(s) for s in np.asarray(best.step)[mine]],
            }
        )
    return records


_STRICTEST = ("sequence_error", "exact_match", "mean_iou", "entity_f1", "accuracy", "label_accuracy") + (
    "absolute_error",
)
"""Metrics that a run is told by, the strictest first."""


def headline(record: dict[str, Any]) -> tuple[str, str, dict[str, Any]] | None:
    """The split and metric to show first: test before validation, the strictest metric first."""
    for split in ("test", "validation", "train"):
        metrics = record["metrics"].get(split)
        if metrics:
            tasks = dict.fromkeys(name.rpartition(".")[0] for name in metrics)
            for task in (t for t in tasks if t):  # of several tasks the first that has more than a loss
                for name in _STRICTEST:
                    if (whole := f"{task}.{name}") in metrics:
                        return split, whole, metrics[whole]
            for name in (*_STRICTEST, "loss"):
                if name in metrics:
                    return split, name, metrics[name]
    return None


def better(name: str) -> str:
    """Whether larger ("max") or smaller ("min") values of a metric are better."""
    return "max" if bare_metric(name) in LARGER else "min"


def chosen_on(points: Sequence[Mapping[str, Any]]) -> str | None:
    """The split on which a point of a sweep is chosen: never the test, which would make its number too good.

    Args:
      points: the records of summary.json.

    Returns:
      "validation", "train" where there is no such part, ``None`` where only a test was measured.
    """
    return next((s for s in ("validation", "train") if any(p["metrics"].get(s) for p in points)), None)


def best_point(points: Sequence[Mapping[str, Any]]) -> int | None:
    """Which sweep point is best, by the mean over its seeds that did not fail; of equals, by the loss.

    Args:
      points: the records of summary.json.

    Returns:
      Position in ``points``, ``None`` when no point has a finite value on the split of `chosen_on`.
    """
    split = chosen_on(points)
    found: list[tuple[float, float, int]] = []
    for i, point in enumerate(points):
        metrics = {} if split is None else {split: point["metrics"].get(split, {})}
        shown = headline({"metrics": metrics})
        if shown is None or (value := _finite(shown[2])) is None:
            continue
        loss = _finite(metrics[split].get("loss", {})) if split is not None else None
        sign = -1 if better(shown[1]) == "max" else 1
        found.append((sign * value, math.inf if loss is None else loss, i))
    return min(found)[2] if found else None


def _finite(measured: Mapping[str, Any]) -> float | None:
    mean = measured.get("mean")
    return mean if mean is not None and math.isfinite(mean) else None
