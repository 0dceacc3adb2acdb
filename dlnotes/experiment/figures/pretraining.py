"""The layers that were learned without labels: their errors by epoch, filters, and reconstructions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dlnotes.data.dataset import Dataset
from dlnotes.experiment.figures.common import Draw, good_members, shown_point, styled
from dlnotes.experiment.figures.predictions import shown_split
from dlnotes.experiment.metrics_log import read_metrics
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.plotting import BLUE, new_figure, save, set_title, write_table
from dlnotes.pretraining.greedy import encode, member_of
from dlnotes.pretraining.learner import Encoder

if TYPE_CHECKING:
    from dlnotes.experiment.evaluator import Evaluator
    from dlnotes.experiment.result import Result

FILTERS, EXAMPLES = 100, 10
"""Filters and examples that are shown."""


def fitting(result: Result) -> list[tuple[str, Draw]]:
    """The figures of a run's pretraining, none without any."""
    if not any(result.pretrained):
        return []
    found: list[tuple[str, Draw]] = [("pretraining_error", pretraining_error)]
    if result.dataset.input == "image" and result.dataset.inputs[-1] in (1, 3):
        found += [("filters", filters), ("reconstructions", reconstructions)]
    return found


@styled
def pretraining_error(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """The reconstruction error of each layer by epoch, every seed and their mean."""
    g, title = shown_point(result)[1], result.config.name
    folder = kept.group(g, len(result.groups))
    records = [r for r in read_metrics(folder / "pretraining.jsonl") if "reconstruction" in r]
    layers = list(dict.fromkeys(r["split"] for r in records))
    kinds = [e.learner.kind for e in result.pretrained[g]]
    figure = new_figure(3.8 * len(layers) + 0.4, 3.4)
    rows = []
    for axes, layer in zip(figure.subplots(1, len(layers), squeeze=False)[0], layers):
        own = [r for r in records if r["split"] == layer]
        epochs = np.array([r["epoch"] for r in own])
        values = np.array(
            [[np.nan if v is None else v for v in r["reconstruction"]] for r in own], np.float64
        )
        good = np.isfinite(values)
        mean = np.where(good, values, 0).sum(1) / np.maximum(good.sum(1), 1)
        seeds = values.shape[1]
        if seeds > 1:
            axes.plot(epochs, values, color=BLUE, linewidth=0.7, alpha=0.4)
        axes.plot(epochs, np.where(good.any(1), mean, np.nan), color=BLUE, marker="o" * (len(epochs) <= 3))
        number = int(layer.split()[-1])
        axes.set(xlabel="epoch", title=f"{layer}: {kinds[number - 1]}")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        rows += [(layer, r["step"], r["epoch"], m, *v) for r, m, v in zip(own, mean, values)]
    figure.axes[0].set_ylabel("squared error of an example")
    count = f", mean of {seeds} seeds and each of them" if seeds > 1 else ""
    set_title(figure, f"{title}: reconstruction error of each layer's inputs{count}")
    header = ["layer", "step", "epoch", "mean", *(f"seed_{s}" for s in result.groups[g].seeds[:seeds])]
    return [
        save(figure, kept.figures / "pretraining_error.png"),
        write_table(kept.figures / "pretraining_error.csv", header, rows),
    ]


@styled
def filters(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """What the units of the first layer look for: their weights as images, blue negative, red positive."""
    encoders, seed = _shown_encoders(result)
    learner = encoders[0].learner
    if learner.dense_of is None:
        return []
    W = np.asarray(learner.dense_of(encoders[0].params).W, np.float32)
    shown = min(FILTERS, W.shape[1])
    chosen = np.sort(np.argsort(-np.linalg.norm(W, axis=0), kind="stable")[:shown])
    images = W[:, chosen].T.reshape(shown, *result.dataset.inputs)
    columns = min(shown, max(5, int(np.ceil(shown**0.5))))
    lines = -(-shown // columns)
    figure = new_figure(0.62 * columns + 0.3, 0.62 * lines + 0.8)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, image in zip(panels, images):
        most = max(float(np.abs(image).max()), 1e-12)
        if image.shape[-1] == 1:
            axes.imshow(image[..., 0], cmap="RdBu_r", vmin=-most, vmax=most)
        else:
            axes.imshow(0.5 + 0.5 * image / most)
    many = (
        f"the {shown} of {W.shape[1]} units with the largest weights" if shown < W.shape[1] else "all units"
    )
    set_title(
        figure,
        f"{result.config.name}: weights of layer 1 ({learner.kind}) after pretraining, {many}, seed {seed}; "
        "blue negative, red positive, each in its own scale",
    )
    table = [(int(u), *W[:, u]) for u in chosen]
    header = ["unit", *(f"input_{i}" for i in range(len(W)))]
    return [
        save(figure, kept.figures / "filters.png"),
        write_table(kept.figures / "filters.csv", header, table),
    ]


@styled
def reconstructions(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """Images beside what comes back from each layer, down through all the layers below it."""
    encoders, seed = _shown_encoders(result)
    split, examples = shown_split(result.dataset)
    x = np.asarray(examples.x[:EXAMPLES], np.float32)
    flat = x.reshape(len(x), -1)
    names, versions = ["original"], [flat]
    for k in range(1, len(encoders) + 1):
        if any(e.learner.decode is None for e in encoders[:k]):
            break
        names.append(f"layer {k}: {encoders[k - 1].learner.units}")
        versions.append(_decoded(encoders[:k], encode(encoders[:k], flat)))
    if len(versions) == 1:
        return []
    errors = [((v - flat) ** 2).sum(1) for v in versions]
    figure = new_figure(0.95 * len(x) + 1.3, 0.95 * len(versions) + 0.9)
    panels = figure.subplots(len(versions), len(x), squeeze=False)
    for row, (name, version) in enumerate(zip(names, versions)):
        for axes, image in zip(panels[row], _pictures(result.dataset, version.reshape(x.shape))):
            axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            axes.grid(False)
        error = f"\nerror {errors[row].mean():.3g}" if row else ""
        panels[row, 0].set_ylabel(name + error, rotation=0, ha="right", va="center", fontsize=9)
    set_title(
        figure,
        f"{result.config.name}: images of the {split} part, and what comes back from each layer after "
        f"pretraining (mean squared error of an image), seed {seed}",
    )
    rows = [
        (name, i, error[i], *version[i])
        for name, version, error in zip(names, versions, errors)
        for i in range(len(x))
    ]
    header = ["from", "example", "squared_error", *(f"input_{i}" for i in range(flat.shape[1]))]
    return [
        save(figure, kept.figures / "reconstructions.png"),
        write_table(kept.figures / "reconstructions.csv", header, rows),
    ]


def _shown_encoders(result: Result) -> tuple[tuple[Encoder, ...], int]:
    """The encoders of the shown point's first good seed, and the seed."""
    g = shown_point(result)[1]
    member = int(good_members(result)[0])
    group = result.groups[g]
    return member_of(result.pretrained[g], member % group.config.training.seeds), int(group.seeds[member])


def _decoded(encoders: Sequence[Encoder], h: np.ndarray) -> np.ndarray:
    for encoder in reversed(encoders):
        assert encoder.learner.decode is not None
        h = np.asarray(encoder.learner.decode(encoder.params, h))  # pyright: ignore[reportArgumentType]
    return h


def _pictures(dataset: Dataset, x: np.ndarray) -> np.ndarray:
    """Images in [0, 1] as they were before standardization."""
    raw = x if dataset.standardize is None else dataset.standardize.inverse(x)
    return np.clip(raw, 0, 1)
