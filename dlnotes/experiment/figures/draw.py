"""The figures of a run, each with the numbers behind it in a file of the same name."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlnotes.data.tasks import TaskDataset
from dlnotes.experiment.figures import autoencoded, latent_trees
from dlnotes.experiment.figures import baselines as baseline_figures
from dlnotes.experiment.figures import forecast as forecast_figures
from dlnotes.experiment.figures import labels as label_figures
from dlnotes.experiment.figures import pairs as pair_figures
from dlnotes.experiment.figures import pixels as pixel_figures
from dlnotes.experiment.figures import predictions as predicted_figures
from dlnotes.experiment.figures import pretraining as pretraining_figures
from dlnotes.experiment.figures import tasks as task_figures
from dlnotes.experiment.figures import text as text_figures
from dlnotes.experiment.figures import trees as tree_figures
from dlnotes.experiment.figures.common import Draw, metric_title, shown_point, styled
from dlnotes.experiment.intervals import limits_of, mean_interval
from dlnotes.experiment.metrics_log import read_metrics
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.experiment.summary import best_point, better, headline
from dlnotes.formatting import PERCENT, bare_metric, choice_in_words, measured_in_words, value_in_words
from dlnotes.plotting import BLUE, GRAY, ORANGE, new_figure, save, set_title, write_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dlnotes.experiment.evaluator import Evaluator
    from dlnotes.experiment.result import Result


def draw(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """Draw every figure that fits the run's task and inputs.

    A figure that cannot be drawn is warned of by name and does not fail the run.

    Args:
      kept: the run folder.
      result: of the run.
      evaluators: one a group, which predict.

    Returns:
      The files written, pictures and numbers.
    """
    chosen: list[tuple[str, Draw]] = [("learning_curve", learning_curve)]
    if len(result.summary["points"]) > 1:
        chosen.append(("sweep", sweep))
    chosen += pretraining_figures.fitting(result)
    told = autoencoded.fitting(result) or predicted_figures.fitting(result.dataset)
    chosen += forecast_figures.fitting(result.dataset)
    chosen += told + text_figures.fitting(result.dataset) + label_figures.fitting(result.dataset)
    chosen += tree_figures.fitting(result.dataset)
    chosen += latent_trees.fitting(result.dataset, result.config.model.kind)
    if isinstance(result.dataset, TaskDataset):
        chosen = chosen[: 2 if len(result.summary["points"]) > 1 else 1] + task_figures.fitting(
            result.dataset
        )
    if result.dataset.input == "pair":
        attention = getattr(result.config.model, "attention", "none") != "none"
        chosen += pair_figures.fitting(result.dataset, attention)
    if result.dataset.task == "pixels":
        chosen += [("pixel_labels", pixel_figures.pixel_labels), ("class_iou", pixel_figures.class_overlap)]
    chosen += baseline_figures.fitting(result)
    kept.figures.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name, function in chosen:
        try:
            written += function(kept, result, evaluators)
        except Exception as error:
            warnings.warn(
                f"figure {name} could not be drawn: {type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=2,
            )
    return written


@styled
def learning_curve(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """Loss and metrics against epochs: mean over seeds, 95% interval, each seed where they are few."""
    position, g, members, title = shown_point(result)
    records = read_metrics(kept.group(g, len(result.groups)) / "metrics.jsonl")
    metrics = [m for m in evaluators[g].setup.metric_names if any(m in r for r in records)]
    figure = new_figure(4.6 * len(metrics), 3.6)
    rows = []
    for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics):
        drawn, limits = [], limits_of(metric, result.groups[g].config.training.loss)
        for split, color in (("train", BLUE), ("validation", ORANGE)):
            found = [r for r in records if r["split"] == split and metric in r]
            if not found:
                continue
            epochs = np.array([r["epoch"] for r in found])
            # JSON has null where a seed was not finite or had stopped.
            values = np.array([[np.nan if v is None else v for v in r[metric]][members] for r in found])
            values = values.astype(np.float64)
            measured = [mean_interval(row, limits=limits) for row in values]
            factor = 100 if bare_metric(metric) in PERCENT else 1
            _curve(axes, epochs, values, measured, split, color, factor)
            drawn.append(values)
            for record, row, m in zip(found, values, measured):
                rows.append(
                    (record["step"], record["epoch"], split, metric, m["mean"], m["low"], m["high"], *row)
                )
        everything = np.concatenate([d[np.isfinite(d)] for d in drawn])
        if bare_metric(metric) == "loss" and everything.size and 0 < 10 * everything.min() < everything.max():
            _logarithmic(axes)
        axes.set(xlabel="epoch", ylabel=metric_title(metric))
        axes.set_xlim(left=0)
        axes.legend(loc="best")
    found = headline(result.summary["points"][position])
    told = (
        f"\n{found[0]} {found[1].replace('_', ' ')} {measured_in_words(found[1], found[2])}" if found else ""
    )
    figure.suptitle(title + told, x=0.01, ha="left", fontsize=11)
    header = ["step", "epoch", "split", "metric", "mean", "low", "high"]
    header += [f"seed_{s}" for s in result.groups[g].seeds[members]]
    return [
        save(figure, kept.figures / "learning_curve.png"),
        write_table(kept.figures / "learning_curve.csv", header, rows),
    ]


def _logarithmic(axes: Axes) -> None:
    """A log scale whose numbers are written out, 1-2-5 where there is room."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 1e3 else (1,)))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _curve(
    axes: Axes,
    epochs: np.ndarray,
    values: np.ndarray,
    measured: list[dict[str, Any]],
    label: str,
    color: str,
    factor: float,
) -> None:
    seeds = values.shape[1]
    if seeds < 4:  # an interval of two or three is wider than the picture
        measured = [m | _range(row) for m, row in zip(measured, values)]
    mean, low, high = (
        factor * np.array([np.nan if m[k] is None else m[k] for m in measured], np.float64)
        for k in ("mean", "low", "high")
    )
    if 1 < seeds <= 8:
        axes.plot(epochs, factor * values, color=color, linewidth=0.6, alpha=0.35)
    if seeds > 1:
        axes.fill_between(epochs, low, high, color=color, alpha=0.18, linewidth=0)
        label += f" (mean of {seeds}, {'range' if seeds < 4 else '95% interval'})"
    axes.plot(epochs, mean, color=color, label=label, marker="o" if len(epochs) <= 3 else "")


def _range(row: np.ndarray) -> dict[str, float | None]:
    finite = row[np.isfinite(row)]
    return {"low": float(finite.min()), "high": float(finite.max())} if finite.size else {}


@styled
def sweep(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """The headline metric against what was swept: a curve, a map, or one small picture a parameter."""
    points = result.summary["points"]
    found = [h for h in map(headline, points) if h is not None]
    split, metric = found[0][:2]
    records = [p["metrics"][split][metric] for p in points]
    names = list(points[0]["values"])
    values = {name: [p["values"][name] for p in points] for name in names}
    factor = 100 if bare_metric(metric) in PERCENT else 1
    means = np.array([np.nan if r["mean"] is None else factor * r["mean"] for r in records])
    best = best_point(points)
    label = f"{split} {metric_title(metric)}"
    grid = len(names) == 2 and len(points) == math.prod(len(_distinct(values[n])) for n in names) > 3
    if grid:
        figure = _map(names, values, means, label, metric, best)
    else:
        columns = min(3, len(names))
        lines = -(-len(names) // columns)
        figure = new_figure(5.2 if len(names) == 1 else 3.8 * columns, 3.8 if lines == 1 else 3.2 * lines)
        panels = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
        for axes, name in zip(panels, names):
            _against(axes, name, values[name], records, factor, best, interval=len(names) == 1)
        for axes in panels[::columns]:
            axes.set_ylabel(label)
        for axes in panels[len(names) :]:
            axes.set_visible(False)
    title = f"{result.config.name}: {label.removesuffix(' (%)')} over {len(points)} settings"
    if best is not None:
        at = ", ".join(f"{n.rsplit('.', 1)[-1]} {choice_in_words(values[n][best])}" for n in names)
        title += f"\nbest: {at} → {measured_in_words(metric, records[best])}"
    set_title(figure, title)
    header = [*names, "split", "metric", "mean", "low", "high", *(f"seed_{s}" for s in points[0]["seeds"])]
    rows = []
    for i, r in enumerate(records):
        chosen = [v if isinstance(v := values[n][i], float) else choice_in_words(v) for n in names]
        rows.append((*chosen, split, metric, r["mean"], r["low"], r["high"], *r["values"]))
    return [
        save(figure, kept.figures / "sweep.png"),
        write_table(kept.figures / "sweep.csv", header, rows),
    ]


def _numeric(values: Sequence[Any]) -> bool:
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)


def _distinct(values: Sequence[Any]) -> list[Any]:
    """Each value once: numbers in order, anything else as it came."""
    found = list(dict.fromkeys(tuple(v) if isinstance(v, list) else v for v in values))
    return sorted(found) if _numeric(found) else found


def _spans_decades(values: Sequence[Any]) -> bool:
    return _numeric(values) and min(values) > 0 and max(values) / min(values) > 10**1.5


def _against(
    axes: Axes,
    name: str,
    values: list[Any],
    records: list[Any],
    factor: float,
    best: int | None,
    *,
    interval: bool,
) -> None:
    numeric = _numeric(values)
    distinct = _distinct(values)
    keys = [tuple(v) if isinstance(v, list) else v for v in values]
    x = np.array(values, float) if numeric else np.array([distinct.index(v) for v in keys], float)
    order = np.argsort(x, kind="stable")
    each = np.array([[np.nan if v is None else factor * v for v in r["values"]] for r in records], float)
    mean, low, high = (
        np.array([np.nan if r[k] is None else factor * r[k] for r in records], float)
        for k in ("mean", "low", "high")
    )
    if each.shape[1] > 1:
        axes.plot(x, each, "o", color=GRAY, alpha=0.45, markersize=3.2, markeredgewidth=0, zorder=1)
    if interval:
        if np.isfinite(low).any():
            error = np.stack([mean - low, high - mean])[:, order]
            axes.errorbar(x[order], mean[order], error, color=BLUE, fmt="none", capsize=3, elinewidth=1.2)
        axes.plot(x[order], mean[order], "o-" if numeric else "o", color=BLUE, markersize=5)
    else:
        axes.plot(x, mean, "o", color=BLUE, markersize=4, alpha=0.8)
    if best is not None:
        axes.plot(
            x[best], mean[best], "o", markersize=11, markerfacecolor="none", markeredgecolor=ORANGE,
            markeredgewidth=1.8, label="best",
        )  # fmt: skip
    if _spans_decades(values):
        axes.set_xscale("log")
    if not numeric:
        axes.set_xticks(range(len(distinct)), [choice_in_words(v) for v in distinct])
        axes.set_xlim(-0.5, len(distinct) - 0.5)
    axes.set_xlabel(name)


def _map(
    names: list[str],
    values: dict[str, list[Any]],
    means: np.ndarray,
    label: str,
    metric: str,
    best: int | None,
) -> Figure:
    rows, columns = (_distinct(values[n]) for n in names)
    where = {
        (tuple(a) if isinstance(a, list) else a, tuple(b) if isinstance(b, list) else b): i
        for i, (a, b) in enumerate(zip(*(values[n] for n in names)))
    }
    image = np.array([[means[where[r, c]] for c in columns] for r in rows])
    figure = new_figure(max(4.8, 0.75 * len(columns) + 2.4), max(3.4, 0.5 * len(rows) + 1.8))
    axes = figure.subplots()
    axes.grid(False)
    axes.spines[:].set_visible(False)
    shown = axes.imshow(image, cmap="viridis" if better(metric) == "max" else "viridis_r", aspect="auto")
    axes.set_xticks(range(len(columns)), [choice_in_words(v) for v in columns])
    axes.set_yticks(range(len(rows)), [choice_in_words(v) for v in rows])
    axes.tick_params(length=0)
    axes.set(xlabel=names[1], ylabel=names[0])
    if image.size <= 144:
        for (i, j), value in np.ndenumerate(image):
            red, green, blue, _ = shown.cmap(shown.norm(value)) if np.isfinite(value) else (1, 1, 1, 1)
            dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.55
            text = f"{value:.1f}" if bare_metric(metric) in PERCENT else value_in_words(metric, value)
            axes.text(j, i, text, ha="center", va="center", color="white" if dark else "black", fontsize=9)
    if best is not None:
        i, j = next((i, j) for i, r in enumerate(rows) for j, c in enumerate(columns) if where[r, c] == best)
        from matplotlib.patches import Rectangle

        axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=ORANGE, linewidth=2.5))
    bar = figure.colorbar(shown, ax=axes, label=label)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return figure
