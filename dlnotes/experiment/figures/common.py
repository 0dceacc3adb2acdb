"""What the figures of a run share: their style and the sweep point that they show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from dlnotes.experiment.evaluator import Evaluator
from dlnotes.experiment.result import Result
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.experiment.summary import best_point
from dlnotes.formatting import PERCENT, bare_metric, choice_in_words
from dlnotes.plotting import STYLE

Draw = Callable[[RunFolder, "Result", "list[Evaluator]"], "list[Path]"]


def styled(function: Draw) -> Draw:
    """Run a drawing function with `STYLE`, leaving matplotlib's settings as they were."""

    def drawing(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
        import matplotlib

        with matplotlib.rc_context(STYLE):
            return function(kept, result, evaluators)

    return drawing


def shown_point(result: Result) -> tuple[int, int, slice, str]:
    """The sweep point that figures of one setting show: the best one.

    Returns:
      Its position in the summary, its group, its members in the group, and a title.
    """
    points = result.summary["points"]
    position = best_point(points) or 0
    index = points[position]["point"]
    seeds = len(points[position].get("seeds", ())) or result.config.training.seeds
    for g, group in enumerate(result.groups):
        if index in group.indices:
            p = group.indices.index(index)
            values = ", ".join(f"{k} = {choice_in_words(v)}" for k, v in points[position]["values"].items())
            title = result.config.name + (f", best of the sweep: {values}" if values else "")
            return position, g, slice(p * seeds, (p + 1) * seeds), title
    raise ValueError(f"points: no group has point {index}")


def good_members(result: Result) -> np.ndarray:
    """The shown point's members that did not fail, counted in their group; all of them where all did."""
    position, _, mine, _ = shown_point(result)
    stopped = result.summary["points"][position].get("stopped", ())
    failed = {s["member"] for s in stopped if s["reason"].startswith("non-finite")}
    every = range(mine.stop - mine.start)
    return mine.start + np.array([m for m in every if m not in failed] or list(every))


def metric_title(metric: str) -> str:
    """A metric's name on an axis."""
    return metric.replace("_", " ") + (" (%)" if bare_metric(metric) in PERCENT else "")
