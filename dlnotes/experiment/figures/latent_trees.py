"""Figures of nets that find the tree themselves: what they found, beside the trees that were given."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlnotes.config.models import FAMILIES
from dlnotes.data.dataset import Dataset
from dlnotes.experiment.figures.common import Draw, good_members, shown_point, styled
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.outputs.bracket_f1 import Bracket, bracket_f1, brackets
from dlnotes.plotting import GRAY, GREEN, new_figure, save, set_title, write_table

if TYPE_CHECKING:
    from dlnotes.experiment.evaluator import Evaluator
    from dlnotes.experiment.result import Result

MOST_PARSED = 300
"""Examples whose trees are found and compared."""
DRAWN = 4
MOST_DRAWN = 24
"""Leaves of a tree that is drawn, where there are as short ones."""


def draw_tree(axes: Any, children: np.ndarray, names: Sequence[str], shared: set[Bracket]) -> None:
    """Draw a tree over its leaves, its nodes with a shared bracket in green.

    Args:
      axes: of matplotlib.
      children: ``(N, A)`` slots of each node's children, leaves first and in order, -1 for none.
      names: of the leaves.
      shared: the brackets of another tree, as `dlnotes.outputs.bracket_f1.brackets` gives them.
    """
    n = len(names)
    place, height = np.arange(len(children), dtype=float), np.zeros(len(children))
    first, last = np.arange(len(children)), np.arange(len(children)) + 1
    for slot in range(n, len(children)):
        below = children[slot][children[slot] >= 0]
        if not len(below):
            break
        first[slot], last[slot] = first[below].min(), last[below].max()
        # As high as it is wide: then no branch crosses another.
        place[slot] = (first[slot] + last[slot] - 1) / 2
        height[slot] = max(last[slot] - first[slot] - 1, height[below].max() + 1)
        for child in below:
            axes.plot(place[[slot, child]], height[[slot, child]], color=GRAY, lw=1, zorder=1)
        is_shared = (int(first[slot]), int(last[slot])) in shared
        axes.plot(place[slot], height[slot], "o", color=GREEN if is_shared else GRAY, ms=4.5, zorder=2)
    tall = max(1.0, height.max())
    size = min(9.0, 170 / max(n, 1))
    for i, name in enumerate(names):
        axes.text(i, -0.04 * tall, name, ha="center", va="top", fontsize=size, rotation=90 * (len(name) > 2))
    axes.set(ylim=(-0.28 * tall, 1.05 * tall), xlim=(-0.8, n - 0.2))
    axes.axis("off")


@styled
def found_trees(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """Given and found trees of some examples of the first seed, and how many brackets they share."""
    import jax

    from dlnotes.experiment.figures.predictions import shown_split
    from dlnotes.models import chart_parse, gumbel_parse
    from dlnotes.training.state import evaluated_params

    dataset = result.dataset
    _, g, _, title = shown_point(result)
    shown = good_members(result)[0]
    params = jax.tree.map(lambda a: a[shown], evaluated_params(result.states[g].members, best=True))
    split, examples = shown_split(dataset)
    rows = slice(0, MOST_PARSED)
    x, mask = jax.tree.map(lambda a: np.asarray(a)[rows], (examples.x, examples.mask))
    parse = chart_parse if result.config.model.kind == "chart_tree" else jax.jit(gumbel_parse)
    found, given = np.asarray(parse(params, x, mask)), np.asarray(x.children)
    f1 = bracket_f1(found, given)
    leaves = ((given < 0).all(2) & mask).sum(1)
    names = [[dataset.symbols[s] for s in label[:n]] for label, n in zip(np.asarray(x.label), leaves)]
    # Trees that are as large as can still be read, and of which some are alike.
    few = np.flatnonzero((leaves <= max(MOST_DRAWN, leaves.min())) & np.isfinite(f1))
    drawn = np.sort(few[np.argsort(-leaves[few], kind="stable")][: 5 * DRAWN : 5])
    figure = new_figure(11, 1 + 2.2 * max(1, len(drawn)))
    panels = figure.subplots(max(1, len(drawn)), 2, squeeze=False)
    brackets_of = partial(brackets, whole=True)
    for line, i in zip(panels, drawn):
        draw_tree(line[0], given[i], names[i], brackets_of(found[i : i + 1])[0])
        draw_tree(line[1], found[i], names[i], brackets_of(given[i : i + 1])[0])
    for axes, told in zip(panels[0], ("given", "found")):
        axes.set_title(told, fontsize=10)
    shared = f"{100 * np.nanmean(f1):.0f}% of the brackets" if np.isfinite(f1).any() else "no brackets"
    set_title(figure, f"{title}\n{split}: {shared} of the trees found are given ones (F1); in green here")
    table = [(i, " ".join(names[i]), None if np.isnan(f1[i]) else f1[i]) for i in range(len(f1))]
    return [
        save(figure, kept.figures / "found_trees.png"),
        write_table(kept.figures / "found_trees.csv", [f"{split}_example", "leaves", "bracket_f1"], table),
    ]


def fitting(dataset: Dataset, kind: str) -> list[tuple[str, Draw]]:
    """The figures of a net that finds trees where there are given ones to compare with."""
    finds = FAMILIES[kind].latent_trees and dataset.input == "tree"
    return [("found_trees", found_trees)] if finds else []
