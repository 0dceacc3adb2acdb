"""Trees drawn: nothing overlaps, parents stand above their children, and nodes say what the net says."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from dlnotes.data.dataset import Dataset, Examples
from dlnotes.data.trees.brackets import parse_brackets
from dlnotes.data.trees.tree import Tree, batch_trees, nested_tree, tree_at, vocabulary
from dlnotes.experiment.figures import trees as tree_figures
from dlnotes.experiment.figures.trees import draw_trees, subtrees, tree_layout
from dlnotes.experiment.run_folder import RunFolder


def random_tree(rng, nodes):
    parent = np.array([-1] + [int(rng.integers(max(0, i - 4), i)) for i in range(1, nodes)])
    nested = {i: [f"n{i}"] for i in range(nodes)}
    for i in range(nodes - 1, 0, -1):
        nested[parent[i]].insert(1, nested[i])
    return nested_tree(nested[0], "label")


@pytest.mark.parametrize("seed", range(5))
def test_layout(seed):
    rng = np.random.default_rng(seed)
    tree = random_tree(rng, int(rng.integers(2, 40)))
    widths = rng.uniform(0.2, 2.0, len(tree.label))
    x = tree_layout(tree, widths, gap=0.1)
    depth = tree_figures._depths(tree)
    for level in range(depth.max() + 1):
        nodes = np.flatnonzero(depth == level)
        nodes = nodes[np.argsort(x[nodes])]
        assert sorted(nodes) == nodes.tolist()  # from left to right as in preorder
        gaps = (x[nodes] - widths[nodes] / 2)[1:] - (x[nodes] + widths[nodes] / 2)[:-1]
        assert (gaps > 0.1 - 1e-9).all()
    assert np.isclose((x - widths / 2).min(), 0)
    for node, below in enumerate(tree.children):
        if below:
            assert np.isclose(x[node], (x[below[0]] + x[below[-1]]) / 2)
    twice = Tree(
        ("", *tree.label, *tree.label),
        np.concatenate([[-1], np.where(tree.parent < 0, 0, tree.parent + 1),
                        np.where(tree.parent < 0, 0, tree.parent + 1 + len(x))]),
    )  # fmt: skip
    both = tree_layout(twice, [0.2, *widths, *widths], gap=0.1)[1:].reshape(2, -1)
    np.testing.assert_allclose(both[0] - both[0, 0], x - x[0])
    np.testing.assert_allclose(both[1] - both[1, 0], x - x[0])


def test_the_tree_below_every_node():
    tree = parse_brackets("(s (np (d the) cat) (vp sat))", "label")
    assert [" ".join(part.label) for part in subtrees(tree)] == [
        *("s np d the cat vp sat", "np d the cat", "d the", "the", "cat", "vp sat", "sat")
    ]
    for part in subtrees(tree):
        assert part.parent[0] == -1
        assert all(0 <= up < node for node, up in enumerate(part.parent[1:], 1))


def test_a_drawing_has_every_name_inside_the_figure():
    rng = np.random.default_rng(0)
    trees = [random_tree(rng, int(n)) for n in (3, 12, 25, 1, 30)]
    notes = [[f"p{i}" for i in range(len(t.label))] for t in trees]
    figure = draw_trees(trees, notes=notes, titles=list("abcde"), legend={"p": "#aaaaaa"})
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    axes = figure.axes[0]
    texts = [t for t in axes.texts if t.get_text() not in tuple("abcde")]
    assert [t.get_text() for t in texts] == [
        f"{n}\n{p}" for t, o in zip(trees, notes) for n, p in zip(t.label, o)
    ]
    boxes = [t.get_bbox_patch().get_window_extent(renderer) for t in texts]
    whole = figure.bbox
    for i, a in enumerate(boxes):
        assert whole.x0 <= a.x0
        assert a.x1 <= whole.x1
        assert whole.y0 <= a.y0
        assert a.y1 <= whole.y1
        assert not any(a.overlaps(b) for b in boxes[:i])


def made_run(tmp_path, task, predict):
    """Trees whose class is their number of leaves, and a net that counts them, but for trees of four."""
    rng = np.random.default_rng(0)
    trees = [random_tree(rng, int(n)) for n in rng.integers(1, 9, 60)]
    trees = [Tree(tuple("abc"[i % 3] for i in range(len(t.label))), t.parent) for t in trees]
    made = batch_trees(trees, vocabulary(trees), arity=8)
    below = [[len(part.leaves) for part in subtrees(tree)] for tree in trees]
    y = np.array([b[0] for b in below]) if task == "classification" else made.placed(np.concatenate(below))
    part = Examples(made.trees, y.astype(np.int32), made.mask)
    dataset = Dataset("made", part, None, part, "tree", task, (4,), 9, tuple("012345678"), vocabulary(trees))
    config = SimpleNamespace(name="made", training=SimpleNamespace(seeds=2))
    result = SimpleNamespace(
        config=config,
        summary={"points": [{"point": 0, "values": {}, "metrics": {}}]},
        dataset=dataset,
        groups=(SimpleNamespace(indices=(0,)),),
        states=(SimpleNamespace(members=np.arange(2)),),
        pretrained=((),),
    )
    kept = RunFolder(tmp_path)
    kept.figures.mkdir()
    return kept, result, [SimpleNamespace(predict=predict)]


def counted(members, examples):
    """Logits of the number of leaves below each node, or below the root; trees of four leaves have three."""
    leaf = np.asarray(examples.x.children)[:, :, 0] < 0
    count = (leaf & examples.mask).astype(int)
    for slot in range(count.shape[1]):
        children = examples.x.children[:, slot]
        under = np.take_along_axis(count, np.maximum(children, 0), 1) * (children >= 0)
        count[:, slot] = np.where(children[:, 0] >= 0, under.sum(1), count[:, slot])
    count = np.where(count == 4, 3, count)
    if np.ndim(examples.y) == 1:
        count = count[np.arange(len(count)), examples.mask.sum(1) - 1]
    return np.stack([5.0 * np.eye(9)[count]] * len(members))


@pytest.mark.parametrize("task", ["classification", "tokens"])
def test_what_the_net_says_at_every_node(tmp_path, task):
    run = made_run(tmp_path, task, counted)
    files = tree_figures.predicted_trees(*run) + tree_figures.accuracy_by_nodes(*run)
    assert all(path.stat().st_size > 0 for path in files)
    with open(tmp_path / "figures" / "predicted_trees.csv") as file:
        rows = list(csv.DictReader(file))
    part = run[1].dataset.test
    shown = sorted({int(row["test_example"]) for row in rows})
    assert 2 <= len(shown) <= tree_figures.SHOWN
    for i in shown:
        tree = tree_at(part.x, i, run[1].dataset.symbols)
        own = [row for row in rows if int(row["test_example"]) == i]
        leaves = [len(below.leaves) for below in subtrees(tree)]
        assert [row["name"] for row in own] == list(tree.label)
        assert [int(row["predicted"]) for row in own] == [3 if n == 4 else n for n in leaves]
        assert own[0]["true"] == str(leaves[0])
        assert [row["true"] for row in own[1:]] == (
            [""] * (len(own) - 1) if task == "classification" else list(map(str, leaves[1:]))
        )
    with open(tmp_path / "figures" / "accuracy_by_nodes.csv") as file:
        table = list(csv.DictReader(file))
    sizes = part.mask.sum(1)
    roots = part.y if task == "classification" else part.y[np.arange(60), sizes - 1]
    assert sum(int(row["trees"]) for row in table) == 60
    right = sum(float(row["accuracy"]) * int(row["trees"]) for row in table) / 100
    assert np.isclose(right, (roots != 4).sum())
