"""Figures of encoder-decoders: what they write beside what is right, and where they look meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlnotes.data.dataset import Dataset, Examples, Pair
from dlnotes.data.texts.number_words import shift_right
from dlnotes.experiment.decoding import references_of, text_of, write
from dlnotes.experiment.figures.common import good_members, shown_point, styled
from dlnotes.experiment.figures.lengths import errors_by_length
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.plotting import new_figure, save, set_title, write_table

if TYPE_CHECKING:
    from dlnotes.experiment.evaluator import Evaluator
    from dlnotes.experiment.result import Result

MOST_WRITTEN = 100
"""Examples in the table."""

ALIGNED = 6
"""Examples whose attention is drawn."""


def _shown(result: Result) -> tuple[str, Examples, Any, str]:
    """Split, examples, the parameters of the first seed of the shown point, and a title."""
    import jax

    from dlnotes.experiment.figures.predictions import shown_split
    from dlnotes.training.state import evaluated_params

    _, g, _, title = shown_point(result)
    split, examples = shown_split(result.dataset)
    shown = good_members(result)[0]
    params = jax.tree.map(lambda a: a[shown], evaluated_params(result.states[g].members, best=True))
    return split, examples, params, title


def decoded_examples(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """Sources, right answers and what the first seed of the shown point writes when it feeds itself."""
    from dlnotes.experiment.figures.predictions import symbols_of

    dataset = result.dataset
    split, examples, params, _ = _shown(result)
    rows = np.arange(min(examples.size, MOST_WRITTEN))
    mask = None if examples.mask is None else np.asarray(examples.mask)[rows]
    found = write(dataset, params, np.asarray(examples.x.source)[rows], mask, result.config.decoding)
    written, references = text_of(dataset, found.symbols[:, 0]), references_of(dataset, split)
    table = []
    for i in rows:
        source = symbols_of(dataset, examples.x.source[i], None if mask is None else mask[i])
        answers = [str(text_of(dataset, np.array([*answer, 0]))) for answer in references[i]]
        right = "yes" if written[i] in answers else "no"
        table.append((int(i), source, " | ".join(answers), str(written[i]), float(found.log_p[i, 0]), right))
    header = [f"{split}_example", "source", "target", "output", "log_p", "right"]
    return [write_table(kept.figures / "examples.csv", header, table)]


@styled
def alignments(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """Where the first seed looks for each symbol that it writes: the longest of some examples."""
    import jax

    from dlnotes.models.recurrent.decoding import attention_weights

    dataset = result.dataset
    split, examples, params, title = _shown(result)
    mask = np.ones(np.shape(examples.x.source), bool) if examples.mask is None else np.asarray(examples.mask)
    # Long enough to show an order, short enough to be read.
    lengths = mask.sum(1)
    few = np.flatnonzero(lengths <= max(30, lengths.min()))[: 5 * ALIGNED]
    rows = np.sort(few[np.argsort(-lengths[few], kind="stable")][:ALIGNED])
    source = np.asarray(examples.x.source)[rows]
    symbols = write(dataset, params, source, mask[rows], result.config.decoding).symbols[:, 0]
    target = shift_right(symbols, dataset.outputs)
    weights = np.asarray(jax.jit(attention_weights)(params, Pair(source, target), mask[rows]))
    columns = 3
    lines = -(-len(rows) // columns)
    # Tall enough for the longest text to have a line for each of its symbols.
    height = min(7.0, max(3.1, 0.1 * (symbols >= 0).sum(1).max()))
    figure = new_figure(11, 1.2 + height * lines)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    table = []
    for axes in panels[len(rows) :]:
        axes.set_axis_off()
    for axes, i, ids, real, written, looked in zip(panels, rows, source, mask[rows], symbols, weights):
        reads, writes = _names(dataset.symbols, ids[real]), _names(dataset.classes, written[written >= 0])
        looked = looked[: len(writes)][:, real]
        axes.imshow(looked, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.grid(False)
        axes.set_xticks(range(len(reads)), reads, fontsize=min(9.0, 190 / len(reads)))
        axes.set_yticks(range(len(writes)), writes, fontsize=min(9.0, 58 * height / len(writes)))
        axes.tick_params(length=0)
        table += [
            (int(i), t, symbol, s, read, looked[t, s])
            for t, symbol in enumerate(writes)
            for s, read in enumerate(reads)
        ]
    set_title(figure, f"{title}\nwhere each symbol written (down) looks in the source (across), {split}")
    header = [f"{split}_example", "step", "written", "place", "read", "weight"]
    return [
        save(figure, kept.figures / "alignments.png"),
        write_table(kept.figures / "alignments.csv", header, table),
    ]


def _names(names: tuple[str, ...], ids: np.ndarray) -> list[str]:
    return ["␣" if names[i] == " " else names[i] for i in ids]


def fitting(dataset: Dataset, attention: bool) -> list[tuple[str, Any]]:
    """The figures of a pair data set, by name."""
    found: list[tuple[str, Any]] = [("examples", decoded_examples), ("errors_by_length", errors_by_length)]
    return [*found, ("alignments", alignments)] if attention else found
