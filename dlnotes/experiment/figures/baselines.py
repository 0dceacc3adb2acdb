"""The figure of a run beside its baselines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dlnotes.experiment.figures.common import Draw, metric_title, shown_point, styled
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.experiment.summary import better
from dlnotes.formatting import PERCENT, bare_metric, value_in_words
from dlnotes.plotting import BLUE, GRAY, ORANGE, new_figure, save, set_title, write_table

if TYPE_CHECKING:
    from dlnotes.experiment.evaluator import Evaluator
    from dlnotes.experiment.result import Result


def fitting(result: Result) -> list[tuple[str, Draw]]:
    """The figure by its name, where a run was compared."""
    record = result.summary.get("baselines")
    return [("baselines", baselines)] if record and record.get("metric") is not None else []


@styled
def baselines(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """The metric of the net, each seed and their mean with its interval, and of each baseline; best first."""
    record = result.summary["baselines"]
    metric, split = record["metric"], record["split"]
    position, _, _, title = shown_point(result)
    net = result.summary["points"][position]["metrics"][split][metric]
    factor = 100 if bare_metric(metric) in PERCENT else 1
    able = [(row["name"], row["metrics"][metric]) for row in record["baselines"] if metric in row["metrics"]]
    sign = -1 if better(metric) == "max" else 1
    rows = sorted([("the net", record["net"]), *able], key=lambda row: sign * row[1])
    figure = new_figure(6.4, 0.42 * len(rows) + 1.5)
    axes = figure.subplots()
    axes.grid(axis="y", visible=False)
    span = max(abs(factor * (a - b)) for _, a in rows for _, b in rows) or 1.0
    for y, (name, value) in enumerate(rows):
        own = name == "the net"
        if own:
            seeds = [factor * v for v in net["values"] if v is not None and np.isfinite(v)]
            axes.plot(seeds, [y] * len(seeds), "o", color=BLUE, alpha=0.35, markersize=5, markeredgewidth=0)
            if net["low"] is not None:
                axes.plot([factor * net["low"], factor * net["high"]], [y, y], color=BLUE, linewidth=2)
        axes.plot(factor * value, y, "D" if own else "o", color=BLUE if own else ORANGE, markersize=7)
        axes.annotate(
            value_in_words(metric, value), (factor * value, y), xytext=(0, 7), textcoords="offset points",
            ha="center", fontsize=8.5, color=BLUE if own else "black",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.8},
        )  # fmt: skip
    axes.axvline(factor * record["net"], color=GRAY, linewidth=0.8, linestyle=":", zorder=0)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.7)
    axes.margins(x=0.08)
    low, high = axes.get_xlim()
    axes.set_xlim(low - 0.03 * span, high + 0.03 * span)
    axes.set_xlabel(f"{split} {metric_title(metric)}")
    count = sum(v is not None and np.isfinite(v) for v in net["values"])
    seeds_told = "one seed" if count == 1 else f"{count} seeds and their mean"
    verdict = "ahead of" if record["ahead"] else "not ahead of"
    set_title(figure, f"{title}: {verdict} its baselines\nthe net ({seeds_told}) beside simple methods")
    header = ["method", "split", "metric", "value", "low", "high"]
    values = [
        (name, split, metric, value, *((net["low"], net["high"]) if name == "the net" else (None, None)))
        for name, value in rows
    ]
    return [
        save(figure, kept.figures / "baselines.png"),
        write_table(kept.figures / "baselines.csv", header, values),
    ]
