"""Figures of pixel labels: images beside the true and the given labels, overlap and outlines by class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlnotes.data.dataset import Dataset, Examples
from dlnotes.experiment.figures.common import good_members, shown_point, styled
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.outputs.segmentation import class_iou, confusion, mean_iou
from dlnotes.plotting import BLUE, GRAY, new_figure, save, set_title, write_table
from dlnotes.typing import IGNORE

if TYPE_CHECKING:
    from dlnotes.experiment.evaluator import Evaluator
    from dlnotes.experiment.result import Result

SHOWN = 5
"""Images of each kind: the worst, and typical ones."""


def _labels(result: Result, evaluators: list[Evaluator]) -> tuple[str, Examples, np.ndarray, str]:
    """The split shown, its examples, each seed's labels ``(seeds, n, height, width)``, and a title."""
    import jax

    from dlnotes.experiment.figures.predictions import shown_split

    _, g, _, title = shown_point(result)
    split, examples = shown_split(result.dataset)
    chosen = jax.tree.map(lambda a: a[good_members(result)], result.states[g].members)
    return split, examples, evaluators[g].predict(chosen, examples, classes=True), title


@styled
def pixel_labels(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """Images with their true labels and those of the first seed: the worst five, and five about the median.

    The order is by mean intersection over union of each image.
    """
    split, examples, labels, title = _labels(result, evaluators)
    dataset, y, given = result.dataset, np.asarray(examples.y), labels[0]
    k = dataset.outputs
    scores = np.array([mean_iou(confusion(a, b, k)) if (b >= 0).any() else 1.0 for a, b in zip(given, y)])
    order = np.argsort(scores, kind="stable")
    shown = min(SHOWN, len(order))
    middle = max(0, len(order) // 2 - shown // 2)
    chosen = [*order[:shown], *order[middle : middle + shown]]
    colors = class_colors(k)
    figure = new_figure(1.25 * 2 * shown + 1.9, 4.6)
    panels = figure.subplots(3, 2 * shown, squeeze=False)
    images = _shown(dataset, np.asarray(examples.x[chosen]))
    for column, i in enumerate(chosen):
        image = images[column]
        truth, answer = (_painted(labels[i], colors) for labels in (y, given))
        panels[0, column].imshow(
            image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=1
        )
        panels[1, column].imshow(truth, interpolation="nearest")
        panels[2, column].imshow(answer, interpolation="nearest")
        panels[2, column].set_xlabel(f"{100 * scores[i]:.0f}%", fontsize=9)
    for axes in panels.ravel():
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for axes, name in zip(panels[:, 0], ("image", "true", "given")):
        axes.set_ylabel(name)
    for column, name in ((0, "the worst"), (shown, "about the median")):
        panels[0, column].set_title(name, fontsize=10)
    used = sorted({int(c) for i in chosen for c in (*np.unique(y[i]), *np.unique(given[i])) if c >= 0})
    _name_classes(figure, dataset, used, colors)
    set_title(figure, f"{title}\n{split}, mean intersection over union of each image below it")
    rows = [(f"{split} {i}", scores[i], float((given[i] == y[i])[y[i] >= 0].mean())) for i in order]
    return [
        save(figure, kept.figures / "pixel_labels.png"),
        write_table(kept.figures / "pixel_labels.csv", ["example", "mean_iou", "accuracy"], rows),
    ]


@styled
def class_overlap(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """Intersection over union of every class: mean over seeds, and each seed."""
    split, examples, labels, title = _labels(result, evaluators)
    dataset, y = result.dataset, np.asarray(examples.y)
    each = np.array([class_iou(confusion(given, y, dataset.outputs)) for given in labels])
    names = list(dataset.classes)
    mean = np.array([np.mean(v[np.isfinite(v)]) if np.isfinite(v).any() else np.nan for v in each.T])
    figure = new_figure(6.2, max(2.4, 0.28 * len(names) + 1.3))
    axes = figure.subplots()
    rows = np.arange(len(names))
    axes.barh(rows, 100 * mean, color=BLUE, alpha=0.85, height=0.7)
    if len(each) > 1:
        axes.plot(100 * each.T, np.tile(rows[:, None], len(each)), "o", color=GRAY, markersize=3)
    for row, value in enumerate(mean):
        if np.isfinite(value):
            color = "white" if value > 0.06 else "black"
            axes.text(1, row, f"{100 * value:.0f}", va="center", color=color, fontsize=8)
    axes.set_yticks(rows, names)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="intersection over union (%)", xlim=(0, 100))
    many = "one seed" if len(each) == 1 else f"{len(each)} seeds"
    average = 100 * np.mean([np.nanmean(v) for v in each])
    set_title(figure, f"{title}\n{split}, {many}, mean over classes {average:.1f}%")
    header = ["class", "pixels", "mean", *(f"seed_{s}" for s in range(len(each)))]
    table = [(n, int((y == i).sum()), mean[i], *each[:, i]) for i, n in enumerate(names)]
    return [
        save(figure, kept.figures / "class_iou.png"),
        write_table(kept.figures / "class_iou.csv", header, table),
    ]


def class_colors(classes: int) -> np.ndarray:
    """``(classes, 3)`` colors in [0, 1]; the first class, most often the background, is dark."""
    from matplotlib import colormaps

    table = np.array([colormaps["tab20"](i % 20)[:3] for i in np.r_[0:20:2, 1:20:2]])
    return np.concatenate([[[0.13, 0.13, 0.13]], np.resize(table, (max(classes - 1, 0), 3))])


def _painted(labels: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Labels as colors, white where a pixel has no target."""
    return np.where((labels == IGNORE)[..., None], 1.0, colors[np.maximum(labels, 0)])


def _shown(dataset: Dataset, images: np.ndarray) -> np.ndarray:
    """Images in [0, 1], each with the contrast of its own range."""
    if dataset.standardize is not None:
        images = dataset.standardize.inverse(images)
    low, high = (f(images, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    return (images - low) / np.maximum(high - low, 1e-12)


def _name_classes(figure: Any, dataset: Dataset, used: list[int], colors: np.ndarray) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=colors[i], label=dataset.classes[i]) for i in used]
    figure.legend(handles=handles, loc="outside right center", fontsize=8, handlelength=1.0)
