"""Figures of a run of several tasks: those of each task alone, and reconstructions beside their originals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np

from dlnotes.data.dataset import Dataset
from dlnotes.data.tasks import TaskDataset, TaskFacts, labeled, of_one
from dlnotes.experiment.figures import predictions
from dlnotes.experiment.figures.common import Draw, shown_point, styled
from dlnotes.experiment.one_task import evaluator_of
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.plotting import BLUE, new_figure, save, set_title, write_table

if TYPE_CHECKING:
    from dlnotes.experiment.evaluator import Evaluator
    from dlnotes.experiment.result import Result

SHOWN = 10
"""Examples whose reconstructions are shown."""

MOST_COLUMNS = 40
"""Columns of a table whose reconstruction has a bar each."""


class _InFolder(RunFolder):
    """A run folder whose figures lie in a folder of the task's name."""

    def __init__(self, kept: RunFolder, name: str):
        super().__init__(kept.path)
        self._name = name

    @property
    def figures(self) -> Path:
        """Folder of figures and the numbers behind them."""
        return super().figures / self._name


def fitting(dataset: TaskDataset) -> list[tuple[str, Draw]]:
    """The figures that make sense for the tasks of a data set, by name."""
    chosen: list[tuple[str, Draw]] = []
    for facts in dataset.tasks:
        if facts.kind == "reconstruction":
            chosen.append((f"{facts.name}/reconstruction", styled(partial(_reconstruction, facts))))
            continue
        alone = predictions.fitting(of_one(dataset, facts.name))
        chosen += [(f"{facts.name}/{figure}", partial(_alone, facts, draw)) for figure, draw in alone]
    return chosen


def _alone(
    facts: TaskFacts, draw: Draw, kept: RunFolder, result: Result, evaluators: list[Evaluator]
) -> list[Path]:
    """A figure of one task, by the examples that have its target."""
    folder = _InFolder(kept, facts.name)
    folder.figures.mkdir(parents=True, exist_ok=True)
    own = replace(
        result,
        dataset=_labeled(result.dataset, facts),
        config=result.config.model_copy(update={"name": f"{result.config.name}, {facts.name}"}),
    )
    return draw(folder, own, [evaluator_of(e, facts.name) for e in evaluators])


def _labeled(dataset: Dataset, facts: TaskFacts) -> Dataset:
    assert isinstance(dataset, TaskDataset)
    own = {}
    for name in ("validation", "test"):
        part = getattr(dataset, name)
        own[name] = None if part is None else labeled(dataset, part, facts.name)
    return replace(of_one(dataset, facts.name), **own)


def _reconstruction(
    facts: TaskFacts, kept: RunFolder, result: Result, evaluators: list[Evaluator]
) -> list[Path]:
    """Inputs and what the first seed makes of them: images side by side, columns by their share explained."""
    folder, dataset = _InFolder(kept, facts.name), result.dataset
    folder.figures.mkdir(parents=True, exist_ok=True)
    _, g, members, title = shown_point(result)
    split, examples = predictions.shown_split(dataset)
    first = jax.tree.map(lambda a: a[members.start : members.start + 1], result.states[g].members)
    outputs = evaluator_of(evaluators[g], facts.name).predict(first, examples)[0]
    x = np.asarray(examples.x)
    outputs = outputs.reshape(x.shape)
    told = f"{title}\n{facts.name} on {split}, without noise, of the first seed"
    if dataset.input == "image":
        return _images(folder, dataset, split, x, outputs, told)
    return _columns(folder, dataset, x, outputs, told)


def _images(
    folder: RunFolder, dataset: Dataset, split: str, x: np.ndarray, outputs: np.ndarray, title: str
) -> list[Path]:
    """Originals above, reconstructions below."""
    error = np.square(outputs - x).reshape(len(x), -1).mean(axis=1)
    both = [x[:SHOWN], outputs[:SHOWN]]
    if dataset.standardize is not None:
        both = [dataset.standardize.inverse(a) for a in both]
    low, high = both[0].min(), both[0].max()
    n = len(both[0])
    figure = new_figure(1.0 * n + 1.0, 3.0)
    panels = figure.subplots(2, n, squeeze=False)
    for row, images, label in zip(panels, both, ("input", "output")):
        for axes, image in zip(row, images):
            shown = np.clip((image - low) / max(float(high - low), 1e-12), 0, 1)
            axes.imshow(shown[..., 0] if image.shape[-1] == 1 else shown, cmap="gray", vmin=0, vmax=1)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.grid(False)
            axes.spines[:].set_visible(False)
        row[0].set_ylabel(label)
    set_title(figure, f"{title}, mean squared error {error.mean():.3g}")
    rows = [(i, value) for i, value in enumerate(error)]
    return [
        save(figure, folder.figures / "reconstruction.png"),
        write_table(folder.figures / "reconstruction.csv", [f"{split}_example", "squared_error"], rows),
    ]


def _columns(
    folder: RunFolder, dataset: Dataset, x: np.ndarray, outputs: np.ndarray, title: str
) -> list[Path]:
    """The share of each input's variance that its reconstruction explains."""
    names: Sequence[str] = dataset.features or [f"x{j}" for j in range(dataset.inputs[-1])]
    flat, made = x.reshape(-1, x.shape[-1]), outputs.reshape(-1, x.shape[-1])
    spread = flat.var(axis=0)
    share = 1 - np.square(made - flat).mean(axis=0) / np.where(spread > 0, spread, np.nan)
    order = np.argsort(-np.nan_to_num(share, nan=-np.inf), kind="stable")
    shown = order[:MOST_COLUMNS]
    figure = new_figure(6.4, 0.24 * len(shown) + 1.4)
    axes = figure.subplots()
    axes.barh(range(len(shown)), share[shown], color=BLUE)
    axes.set_yticks(range(len(shown)), [names[j] for j in shown], fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="R² of the reconstruction", xlim=(min(0.0, float(np.nanmin(share[shown]))), 1))
    set_title(figure, title)
    return [
        save(figure, folder.figures / "reconstruction.png"),
        write_table(
            folder.figures / "reconstruction.csv", ["input", "r2"], [(names[j], share[j]) for j in order]
        ),
    ]
