"""Errors of an encoder-decoder by the length of what it reads, of one run or of several beside each other."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dlnotes.experiment.figures.common import good_members, shown_point, styled
from dlnotes.experiment.figures.predictions import shown_split
from dlnotes.experiment.intervals import share_interval
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.plotting import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    STYLE,
    new_figure,
    save,
    set_title,
    write_table,
)

if TYPE_CHECKING:
    from dlnotes.experiment.evaluator import Evaluator
    from dlnotes.experiment.result import Result

FEWEST = 20
"""Examples of a length, or of it and longer ones, that make a point."""

COLUMNS = ("from_length", "to_length", "examples", "sequence_error", "token_error")


class ByLength(NamedTuple):
    """Error rates of the examples whose lengths lie between two, both included."""

    first: int
    last: int
    examples: int
    sequence: float
    token: float


def length_groups(lengths: np.ndarray, fewest: int = FEWEST) -> list[tuple[int, int]]:
    """Ranges of lengths, ascending, each of one length or of as many as give ``fewest`` examples.

    >>> length_groups(np.array([3] * 5 + [4] * 2 + [6] * 3 + [9]), 4)
    [(3, 3), (4, 9)]
    """
    groups, first, held = [], None, 0
    for length, count in zip(*np.unique(lengths, return_counts=True)):
        first, held = int(length) if first is None else first, held + int(count)
        if held >= fewest:
            groups.append((first, int(length)))
            first, held = None, 0
    if first is not None:  # too few are left: they go with those before
        groups.append((groups.pop()[0] if groups else first, int(np.max(lengths))))
    return groups


@styled
def errors_by_length(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """Share of wrong outputs, and of wrong symbols, by the length of the source: the first seed."""
    import jax

    from dlnotes.experiment.decoding import references_of, write
    from dlnotes.outputs.edit_distance import error_rates
    from dlnotes.training.state import evaluated_params

    dataset = result.dataset
    _, g, _, title = shown_point(result)
    split, examples = shown_split(dataset)
    shown = good_members(result)[0]
    params = jax.tree.map(lambda a: a[shown], evaluated_params(result.states[g].members, best=True))
    source, mask = np.asarray(examples.x.source), np.asarray(examples.mask)
    symbols = write(dataset, params, source, mask, result.config.decoding).symbols[:, 0]
    references, lengths = references_of(dataset, split), mask.sum(1)
    found = []
    for first, last in length_groups(lengths):
        rows = np.flatnonzero((first <= lengths) & (lengths <= last))
        rates = error_rates(symbols[rows], [references[i] for i in rows])
        found.append(ByLength(first, last, len(rows), rates.sequence, rates.token))
    table = write_table(kept.figures / "errors_by_length.csv", COLUMNS, found)
    return [_drawn({title: found}, f"{title}\n{split}, by the length of the source", table), table]


def compare_runs(folders: Sequence[str | Path], path: str | Path) -> Path:
    """Draw ``errors_by_length`` of several runs in one picture, a run a curve.

    Args:
      folders: of runs that have the figure.
      path: of the PNG to be written; a CSV of the same name is written beside it.

    Raises:
      ValueError: when one has not.
    """
    import matplotlib

    runs: dict[str, list[ByLength]] = {}
    for folder in map(RunFolder, folders):
        table = folder.figures / "errors_by_length.csv"
        if not table.is_file():
            raise ValueError(f"folders: {folder.path} has no {table.name}, allowed are runs of pairs")
        with open(table, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        name = folder.config().name
        name = name if name not in runs else f"{name} {folder.path.name}"
        runs[name] = [
            ByLength(*(int(row[c]) for c in COLUMNS[:3]), *(float(row[c]) for c in COLUMNS[3:]))
            for row in rows
        ]
    path = Path(path).with_suffix(".csv")
    write_table(path, ("run", *COLUMNS), [(name, *row) for name, rows in runs.items() for row in rows])
    with matplotlib.rc_context(STYLE):
        return _drawn(runs, "Errors by the length of the source", path)


def _drawn(runs: dict[str, list[ByLength]], title: str, table: Path) -> Path:
    """The picture beside its table: wrong sequences, wrong symbols, and how many examples there are."""
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(10.4, 4.2)
    left, right = figure.subplots(1, 2)
    for (name, rows), color in zip(runs.items(), (BLUE, ORANGE, GREEN, PURPLE)):
        place = [np.mean([row.first, row.last]) for row in rows]
        share = np.array([row.sequence for row in rows])
        ends = np.array([share_interval(row.sequence, row.examples) for row in rows]).T
        error = np.stack([share - ends[0], ends[1] - share]).clip(0)
        left.errorbar(place, 100 * share, 100 * error, color=color, marker="o", capsize=2, label=name)
        right.plot(place, [100 * row.token for row in rows], color=color, marker="o", label=name)
    rows = next(iter(runs.values()))
    counts = left.twinx()
    counts.bar([np.mean([r.first, r.last]) for r in rows], [r.examples for r in rows], color=GRAY, alpha=0.18)
    counts.set(ylabel="examples (bars)")
    counts.grid(visible=False)
    left.set_zorder(counts.get_zorder() + 1)
    left.patch.set_visible(False)
    for axes, what in ((left, "wrong outputs (%), 95% interval"), (right, "wrong symbols (%)")):
        axes.set(xlabel="length of the source", ylabel=what)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(runs) > 1:
        right.legend(loc="best")
    set_title(figure, title)
    return save(figure, table.with_suffix(".png"))
