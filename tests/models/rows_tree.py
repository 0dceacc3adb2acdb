"""Rows of the model contract for recursive networks."""

from functools import partial

import numpy as np
from contract_row import Row, cross_entropy

from dlnotes import models
from dlnotes.data.dataset import Trees
from dlnotes.data.trees.batching import arrange
from dlnotes.typing import Batch

SIZES = [7, 4, 1, 6]
PARENTS = [[-1, 0, 0, 0, 1, 1, 4], [-1, 0, 0, 2], [-1], [-1, 0, 0, 1, 1, 2]]
LABELS = [[-1, 1, 0, 3, -1, 2, 4], [2, 0, -1, 3], [4], [-1, -1, 1, 3, 2, 0]]


def trees(arity, targets):
    found = arrange(np.concatenate(LABELS), np.concatenate(PARENTS), SIZES, arity=arity)
    y = np.array([0, 1, 2, 1])
    if targets == "nodes":
        y = found.placed(np.random.default_rng(0).integers(0, 3, sum(SIZES)))
        leaf = (found.trees.children < 0).all(-1) & found.mask
        y = np.where(leaf, found.trees.label % 3, y)  # a leaf knows nothing but its label
        y[0, :2] = -1  # not every node has a target
    return Batch(found.trees, y, found.mask, np.ones(4, np.float32))


def binary():
    """Labels at the leaves only; one node has one child."""
    parents = [[-1, 0, 0, 1, 1], [-1, 0, 0], [-1], [-1, 0, 0, 2, 3, 3]]
    labels = [[-1, -1, 0, 1, 2], [-1, 1, 3], [4], [-1, 3, -1, -1, 4, 2]]
    found = arrange(np.concatenate(labels), np.concatenate(parents), [5, 3, 1, 6])
    return Batch(found.trees, np.array([0, 1, 2, 1]), found.mask, np.ones(4, np.float32))


def longer(array, fill):
    return np.concatenate([array, np.full((4, 2, *array.shape[2:]), fill, array.dtype)], 1)


def pad(batch):
    x = Trees(longer(batch.x.label, 3), longer(batch.x.children, 1), longer(batch.x.order, 0))
    y = batch.y if batch.y.ndim == 1 else longer(batch.y, -1)
    return batch._replace(x=x, y=y, mask=longer(batch.mask, False))


def row(name, batch, *, slow=False, **options):
    model = partial(models.tree_net, 5, 6, 3, dropout=0.3, **options)
    return Row(name, model, batch, cross_entropy, random=True, pad=pad, slow=slow, steps=300)


ROWS = [
    row("tree lstm", binary),
    row(
        "tree lstm, targets at every node",
        partial(trees, 3, "nodes"),
        arity=3,
        embedding=4,
        targets="nodes",
        slow=True,
    ),
    row("tree tensor net", partial(trees, 3, "root"), cell="tensor", arity=3, slow=True),
    row("tree child sum", partial(trees, 4, "root"), cell="child_sum", arity=4, slow=True),
    row("tree gru, inputs at leaves", binary, cell="tree_gru", inputs="leaves", slow=True),
    row(
        "affine tree net, one slot after the other",
        partial(trees, 3, "nodes"),
        cell="affine",
        arity=3,
        targets="nodes",
        schedule="sequential",
        slow=True,
    ),
]
