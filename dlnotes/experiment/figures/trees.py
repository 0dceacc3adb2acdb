"""Trees drawn with what a net says at every node, and how well it does on small and large ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlnotes.data.dataset import Dataset, Examples
from dlnotes.data.trees.tree import Tree, batch_trees, tree_at
from dlnotes.experiment.figures.common import Draw, shown_point, styled
from dlnotes.experiment.figures.lengths import length_groups
from dlnotes.experiment.figures.predictions import predictions
from dlnotes.experiment.intervals import share_interval
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.plotting import BLUE, new_figure, save, set_title, write_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dlnotes.experiment.evaluator import Evaluator
    from dlnotes.experiment.result import Result

SHOWN, LARGEST, DEEPEST = 6, 33, 12
"""Trees in the picture of predictions; nodes, and steps down, of those that fit into it well."""

FONT = 8
_LETTER, _LINE = 0.62 * FONT / 72, 1.25 * FONT / 72
_GAP, _LEVEL = 0.09, 0.2
"""Inches: a letter's width, a line's height, between neighbors, between levels."""

PALETTE = (
    "#9ecae1", "#fdae6b", "#a1d99b", "#d4b9da", "#fee391",
    "#fc9272", "#bdbdbd", "#99d8c9", "#c7b299", "#c6dbef",
)  # fmt: skip
"""Colors of classes, light enough for black letters."""
EDGE: dict[str, Any] = {"edgecolor": "#666666", "linewidth": 0.6}


def tree_layout(tree: Tree, widths: Sequence[float], *, gap: float = _GAP) -> np.ndarray:
    """``(nodes,)`` horizontal places: a parent in the middle above its children, no two nodes overlapping.

    Trees of siblings are pushed together until at some depth they are ``gap`` apart, so that a subtree
    looks the same wherever it is. The leftmost edge of the drawing is at 0.

    Args:
      tree: nodes in preorder.
      widths: of each node.
      gap: between neighbors of one depth.

    Source: Reingold and Tilford, 1981, Tidier drawings of trees.
    """
    below, n = tree.children, len(tree.label)
    shift = np.zeros(n)  # of a node against its parent
    left: list[np.ndarray] = [np.zeros(0)] * n  # edges of the subtree by depth, against its root
    right: list[np.ndarray] = [np.zeros(0)] * n
    for node in reversed(range(n)):  # children come behind their parent
        places: list[float] = []
        outer_left, outer_right = np.zeros(0), np.zeros(0)
        for child in below[node]:
            shared = min(len(outer_right), len(left[child]))
            place = float(np.max(outer_right[:shared] - left[child][:shared] + gap)) if places else 0.0
            places.append(place)
            outer_left = np.concatenate([outer_left, left[child][len(outer_left) :] + place])
            outer_right = np.concatenate([right[child] + place, outer_right[len(right[child]) :]])
        middle = (places[0] + places[-1]) / 2 if places else 0.0
        shift[below[node]] = np.array(places) - middle
        half = np.array([widths[node] / 2])
        left[node] = np.concatenate([-half, outer_left - middle])
        right[node] = np.concatenate([half, outer_right - middle])
        for child in below[node]:  # no longer needed
            left[child] = right[child] = np.zeros(0)
    x = np.zeros(n)
    x[0] = -left[0].min()
    for node in range(1, n):
        x[node] = x[tree.parent[node]] + shift[node]
    return x


def draw_trees(
    trees: Sequence[Tree],
    *,
    notes: Sequence[Sequence[str]] | None = None,
    colors: Sequence[Sequence[str | None]] | None = None,
    titles: Sequence[str] | None = None,
    width: float = 11.0,
    legend: dict[str, str] | None = None,
    heading: str = "",
) -> Figure:
    """A figure of trees side by side, as many in a row as fit.

    Args:
      trees: to be drawn; a node's name stands in it.
      notes: a second line in each node of each tree, a prediction say.
      colors: of each node of each tree, ``None`` for white.
      titles: above each tree.
      width: of the figure in inches; it grows with a tree that is wider.
      legend: what colors mean.
      heading: above everything, one line.
    """
    from matplotlib.patches import Patch

    lines = 1 if notes is None else 2
    drawn = []
    for i, tree in enumerate(trees):
        texts = [
            [part for part in (name, notes[i][node] if notes else "") if part] or [" "]
            for node, name in enumerate(tree.label)
        ]
        widths = [max(max(map(len, parts)) * _LETTER + 0.12, 0.2) for parts in texts]
        x, depth = tree_layout(tree, widths), _depths(tree)
        title = titles[i] if titles else ""
        wide = max(float((x + np.array(widths) / 2).max()), max(map(len, title.split("\n"))) * _LETTER)
        drawn.append((tree, texts, x, depth, wide, title))
    box = lines * _LINE + 0.06
    level = box + _LEVEL
    width = max(width, *(d[4] + 0.4 for d in drawn))
    rows: list[list[int]] = [[]]
    used = 0.0
    for i, entry in enumerate(drawn):
        if rows[-1] and used + entry[4] + 0.7 > width:
            rows.append([])
            used = 0.0
        rows[-1].append(i)
        used += entry[4] + 0.4
    head = [
        max((d[5].count("\n") + 1) * _LINE if d[5] else 0 for d in (drawn[i] for i in row)) for row in rows
    ]
    tall = [h + 0.3 + level * (1 + max(drawn[i][3].max() for i in row)) for h, row in zip(head, rows)]
    foot = 0.35 if legend else 0.0
    height = sum(tall) + foot + (0.4 if heading else 0.0)
    figure = new_figure(width, height)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    if heading:
        axes.text(0.2, height - 0.1, heading, ha="left", va="top", fontsize=FONT + 2)
    top = sum(tall) + foot
    for row, h, high in zip(rows, head, tall):
        start = 0.2
        for i in row:
            tree, texts, x, depth, wide, title = drawn[i]
            if title:
                axes.text(start, top - 0.06, title, ha="left", va="top", fontsize=FONT)
            y = top - h - 0.15 - box / 2 - level * depth
            for node, up in enumerate(tree.parent):
                if up >= 0:
                    axes.plot(
                        [start + x[up], start + x[node]], [y[up], y[node]], color="#999999", lw=0.8, zorder=1
                    )
            for node, parts in enumerate(texts):
                face = (colors[i][node] if colors else None) or "white"
                axes.text(
                    start + x[node], y[node], "\n".join(parts), ha="center", va="center", fontsize=FONT,
                    linespacing=1.05, zorder=2, bbox=EDGE | {"boxstyle": "round,pad=0.18", "facecolor": face},
                )  # fmt: skip
            start += wide + 0.4
        top -= high
    if legend:
        handles = [Patch(facecolor=c, label=name, **EDGE) for name, c in legend.items()]
        axes.legend(handles=handles, loc="lower left", ncols=len(handles), fontsize=FONT, frameon=False,
                    handlelength=1.0, columnspacing=1.2)  # fmt: skip
    return figure


def _depths(tree: Tree) -> np.ndarray:
    depth = np.zeros(len(tree.label), int)
    for node in range(1, len(depth)):
        depth[node] = depth[tree.parent[node]] + 1
    return depth


def subtrees(tree: Tree) -> list[Tree]:
    """The tree below every node, that of the root first."""
    ends = np.arange(1, len(tree.label) + 1)
    for node in reversed(range(1, len(ends))):  # in preorder a subtree is a run of nodes
        ends[tree.parent[node]] = max(ends[tree.parent[node]], ends[node])
    found = []
    for node, end in enumerate(ends.tolist()):
        parent = tree.parent[node:end] - node
        parent[0] = -1
        found.append(Tree(tree.label[node:end], parent, tree.target[node:end]))
    return found


def fitting(dataset: Dataset) -> list[tuple[str, Draw]]:
    """The figures of trees with classes, by name."""
    if dataset.input != "tree" or dataset.task not in ("classification", "tokens"):
        return []
    return [("predicted_trees", predicted_trees), ("accuracy_by_nodes", accuracy_by_nodes)]


@styled
def predicted_trees(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """Some trees of the test, and at every node the class that is predicted for the tree below it.

    Of a class for the whole tree, what a node says is what the net answers for its subtree by itself; the
    probabilities are means over seeds.
    """
    split, examples, outputs, title = predictions(result, evaluators)
    dataset, y = result.dataset, np.asarray(examples.y)
    chosen = _chosen(dataset, examples, outputs)
    shown = [tree_at(examples.x, i, dataset.symbols) for i in chosen]
    if dataset.task == "tokens":
        p = [_mean_probabilities(outputs[:, i]) for i in chosen]
        slots = [_slots(examples, i) for i in chosen]
        p = [own[order] for own, order in zip(p, slots)]
        truth = [y[i][order] for i, order in zip(chosen, slots)]
    else:
        p = _of_subtrees(result, evaluators, shown, examples)
        truth = [np.array([y[i]] + [-1] * (len(tree.label) - 1)) for i, tree in zip(chosen, shown)]
    names = dataset.classes
    said = [[int(k) for k in own.argmax(-1)] for own in p]
    colors = [[PALETTE[k % len(PALETTE)] for k in own] for own in said]
    short = [name if len(name) < 6 else name[:4].rstrip(" -") + "." for name in names]
    notes = [[short[k] for k in own] for own in said]
    titles, rows = [], []
    for i, own, true in zip(chosen, p, truth):
        k = int(own[0].argmax())
        asked = true >= 0
        told = f"{split} {i}: {names[k]} ({100 * own[0, k]:.0f}%)"
        told += ", right" if k == true[0] else f", is {names[true[0]]}" if true[0] >= 0 else ""
        right = int((own.argmax(-1) == true)[asked].sum())
        titles.append(told + (f"\n{right} of {asked.sum()} nodes right" if asked.sum() > 1 else ""))
    for i, tree, own, true in zip(chosen, shown, p, truth):
        for node, name in enumerate(tree.label):
            k = int(own[node].argmax())
            rows.append((i, node, int(tree.parent[node]), name, names[k], own[node, k],
                         names[true[node]] if true[node] >= 0 else ""))  # fmt: skip
    seen = sorted({int(k) for own in p for k in own.argmax(-1)})
    legend = {names[k]: PALETTE[k % len(PALETTE)] for k in seen} if len(seen) <= len(PALETTE) else None
    heading = f"{title}: in each node its name, and what the net says of the tree below it"
    figure = draw_trees(shown, notes=notes, colors=colors, titles=titles, legend=legend, heading=heading)
    header = [f"{split}_example", "node", "parent", "name", "predicted", "probability", "true"]
    return [
        save(figure, kept.figures / "predicted_trees.png"),
        write_table(kept.figures / "predicted_trees.csv", header, rows),
    ]


def _mean_probabilities(logits: np.ndarray) -> np.ndarray:
    """``(seeds, ..., classes)`` logits as probabilities, mean over seeds."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return (shifted / shifted.sum(-1, keepdims=True)).mean(0)


def _chosen(dataset: Dataset, examples: Examples, outputs: np.ndarray) -> list[int]:
    """Trees small enough to be drawn, at most a third of them such as are mostly answered wrongly."""
    sizes, y = np.asarray(examples.mask).sum(1), np.asarray(examples.y)
    if dataset.task == "tokens":
        root = outputs[:, np.arange(len(y)), sizes - 1]
        y = y[np.arange(len(y)), sizes - 1]
    else:
        root = outputs
    wrong = (root.argmax(-1) != y).mean(0) > 0.5
    inner = (np.asarray(examples.x.children)[:, :, 0] >= 0).sum(1)
    # Best are small ones that are not deep, then small ones, then those that are the smallest.
    small = (sizes <= LARGEST) & (inner > 1)
    order = np.lexsort((np.arange(len(y)), np.where(small, 0, sizes)))
    misses = _first(examples, order[wrong[order]], SHOWN // 3)
    return [*_first(examples, order[~wrong[order]], SHOWN - len(misses)), *misses]


def _first(examples: Examples, rows: np.ndarray, count: int) -> list[int]:
    """The first rows whose trees are not deep, and after them others, until there are ``count``."""
    flat: list[int] = []
    deep: list[int] = []
    for i in map(int, rows[: 50 * count]):
        fits = _depths(_numbered(examples, i)).max() <= DEEPEST
        (flat if fits else deep).append(i)
        if len(flat) == count:
            break
    return [*flat, *deep][:count]


def _numbered(examples: Examples, i: int) -> Tree:
    """A tree whose nodes are named after their slots."""
    slots = np.arange(examples.x.label.shape[1])
    one = examples.x._replace(label=slots[None], children=np.asarray(examples.x.children)[i : i + 1])
    return tree_at(one, 0, slots.astype(str).tolist())


def _slots(examples: Examples, i: int) -> np.ndarray:
    """The slot of each node in preorder."""
    return np.array([int(name) for name in _numbered(examples, i).label])


def _of_subtrees(
    result: Result, evaluators: list[Evaluator], trees: list[Tree], examples: Examples
) -> list[np.ndarray]:
    """For each tree ``(nodes, classes)`` probabilities of the trees below its nodes, mean over seeds."""
    import jax

    parts = [part for tree in trees for part in subtrees(tree)]
    x = examples.x
    made = batch_trees(parts, result.dataset.symbols, arity=x.children.shape[-1])
    y = np.zeros(len(parts), np.int32)
    _, g, members, _ = shown_point(result)
    states = jax.tree.map(lambda a: a[members], result.states[g].members)
    outputs = evaluators[g].predict(states, Examples(made.trees, y, made.mask))
    finite = np.isfinite(outputs.reshape(len(outputs), -1)).all(-1)
    p = _mean_probabilities(outputs[finite])
    return np.split(p, np.cumsum([len(tree.label) for tree in trees])[:-1])


@styled
def accuracy_by_nodes(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """Accuracy at the root by the number of nodes, with its 95% interval over trees, mean over seeds."""
    split, examples, outputs, title = predictions(result, evaluators)
    sizes, y = np.asarray(examples.mask).sum(1), np.asarray(examples.y)
    if y.ndim > 1:
        outputs, y = outputs[:, np.arange(len(y)), sizes - 1], y[np.arange(len(y)), sizes - 1]
    asked = y >= 0
    right = (outputs.argmax(-1) == y)[:, asked].mean(0)
    sizes = sizes[asked]
    rows = []
    for first, last in length_groups(sizes, max(20, len(sizes) // 12)):
        of = right[(sizes >= first) & (sizes <= last)]
        low, high = share_interval(of.mean(), len(of))
        rows.append((first, last, len(of), 100 * of.mean(), 100 * low, 100 * high))
    table = np.array(rows)
    figure = new_figure(6.4, 3.8)
    axes = figure.subplots()
    middle = table[:, :2].mean(1)
    axes.fill_between(middle, table[:, 4], table[:, 5], color=BLUE, alpha=0.18, linewidth=0)
    axes.plot(middle, table[:, 3], "o-", color=BLUE)
    axes.set(xlabel="nodes of the tree", ylabel="accuracy (%)", ylim=(min(95, table[:, 4].min() - 3), 100.5))
    set_title(figure, f"{title}\n{split}, {len(sizes)} trees; band: 95% interval over trees")
    header = ["from_nodes", "to_nodes", "trees", "accuracy", "low", "high"]
    return [
        save(figure, kept.figures / "accuracy_by_nodes.png"),
        write_table(kept.figures / "accuracy_by_nodes.csv", header, rows),
    ]
