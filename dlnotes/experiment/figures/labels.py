"""Figures of labels of words: how many entities or labels of each kind are found, and the usual mistakes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dlnotes.data.dataset import Dataset
from dlnotes.data.own_files import reading_of
from dlnotes.experiment.entities import scheme_of
from dlnotes.experiment.figures.common import Draw, styled
from dlnotes.experiment.figures.predictions import predictions
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.outputs.entities import Counts, entity_counts, f1, types_of
from dlnotes.plotting import BLUE, GRAY, new_figure, save, set_title, write_table

if TYPE_CHECKING:
    from dlnotes.experiment.evaluator import Evaluator
    from dlnotes.experiment.result import Result

MOST_SHOWN = 40
"""Kinds in the picture, the most frequent ones; the table has all."""

MOST_MISTAKES = 500
"""Rows of the table of mistakes."""


def fitting(dataset: Dataset) -> list[tuple[str, Draw]]:
    """The figures of a data set with a label for each word, by name."""
    return [("label_f1", label_f1)] if reading_of(dataset).get("form") == "labeled_words" else []


@styled
def label_f1(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """F1 of each type of entity, or of each label where they mark none: mean over seeds, and each seed."""
    split, examples, logits, title = predictions(result, evaluators)
    dataset, y = result.dataset, np.asarray(examples.y)
    predicted, scheme = logits.argmax(-1), scheme_of(dataset)
    if scheme:
        counts = [entity_counts(each, y, dataset.classes, scheme=scheme) for each in predicted]
        names, of = types_of(dataset.classes, scheme), "entities"
    else:
        counts = [_label_counts(each, y, dataset.outputs) for each in predicted]
        names, of = dataset.classes, "words"
    each = np.array([f1(*found) for found in counts])
    true, mean = counts[0].true, each.mean(0)
    shown = np.sort(np.argsort(-true, kind="stable")[:MOST_SHOWN])
    figure = new_figure(6.2, max(2.0, 0.28 * len(shown) + 1.3))
    axes = figure.subplots()
    rows = np.arange(len(shown))
    axes.barh(rows, 100 * mean[shown], color=BLUE, alpha=0.85, height=0.7)
    if len(each) > 1:
        axes.plot(100 * each[:, shown].T, np.tile(rows[:, None], len(each)), "o", color=GRAY, markersize=3)
    for row, i in enumerate(shown):
        color = "white" if mean[i] > 0.06 else "black"
        axes.text(1, row, f"{100 * mean[i]:.0f}", va="center", color=color, fontsize=8)
    axes.set_yticks(rows, [f"{names[i]} ({true[i]:,})" for i in shown])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="F1 (%)", xlim=(0, 100))
    many = "one seed" if len(each) == 1 else f"{len(each)} seeds"
    left = "" if len(shown) == len(names) else f", {len(shown)} of {len(names)} kinds"
    set_title(figure, f"{title}\n{split}, {true.sum():,} {of}{left}, {many}")
    header = ["kind", of, "mean", *(f"seed_{s}" for s in range(len(each)))]
    table = [(name, int(true[i]), mean[i], *each[:, i]) for i, name in enumerate(names)]
    return [
        save(figure, kept.figures / "label_f1.png"),
        write_table(kept.figures / "label_f1.csv", header, table),
        write_table(
            kept.figures / "label_mistakes.csv",
            ["word", "label", "predicted", "times"],
            _mistakes(dataset, np.asarray(examples.x), y, predicted),
        ),
    ]


def _label_counts(predicted: np.ndarray, y: np.ndarray, classes: int) -> Counts:
    """How often each label is predicted, right and there."""
    labeled = y >= 0
    given, true = predicted[labeled], y[labeled]
    kinds = (true[given == true], given, true)
    return Counts(*(np.bincount(kind, minlength=classes) for kind in kinds))


def _mistakes(
    dataset: Dataset, x: np.ndarray, y: np.ndarray, predicted: np.ndarray
) -> list[tuple[str, str, str, int]]:
    """The mistakes that are made most often, over all seeds."""
    found: Counter[tuple[int, int, int]] = Counter()
    for labels in predicted:
        wrong = (y >= 0) & (labels != y)
        found.update(zip(x[wrong].tolist(), y[wrong].tolist(), labels[wrong].tolist()))
    return [
        (dataset.symbols[word], dataset.classes[true], dataset.classes[given], times)
        for (word, true, given), times in found.most_common(MOST_MISTAKES)
    ]
