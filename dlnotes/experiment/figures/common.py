"""What the figures of a run share: their style and the sweep point that they show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from dlnotes.experiment.evaluator import Evaluator
from dlnotes.experiment.members import failed_members
from dlnotes.experiment.result import Result
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.experiment.summary import best_point
from dlnotes.formatting import PERCENT, choice_in_words
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
    chosen = result.chosen(best_point(points) or 0)
    values = ", ".join(f"{k} = {choice_in_words(v)}" for k, v in chosen.values.items())
    title = result.config.name + (f", best of the sweep: {values}" if values else "")
    return chosen.point, chosen.group, chosen.members, title


def good_members(result: Result) -> np.ndarray:
    """The shown point's members that did not fail, counted in their group; all of them where all did."""
    _, g, mine, _ = shown_point(result)
    failed = failed_members(result.states[g].members)[mine]
    return mine.start + np.flatnonzero(~failed | failed.all())


def metric_title(metric: str) -> str:
    """A metric's name on an axis."""
    return metric.replace("_", " ") + (" (%)" if metric in PERCENT else "")
