"""A binary Tree-LSTM in PyTorch: by recursion over one tree, and all nodes of one height at once."""
# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from scripts.bench.inputs import named_weights
from scripts.bench.interface import Data, Variant, Weights, repeated
from scripts.bench.networks import TreeLstm
from scripts.bench.peers.torch_training import eager_step, use_all_cores
from scripts.bench.spec import Case
from scripts.bench.trees import LABEL, children, count, heights


class Nodes(nn.Module):
    """The parameters and the two kinds of node; see `scripts.bench.networks.TreeLstm`."""

    def __init__(self, network: TreeLstm, weights: Weights):
        super().__init__()
        w = {name: torch.from_numpy(a) for name, a in named_weights(network, weights).items()}
        hidden = self.hidden = network.hidden
        self.embedding = nn.Embedding(network.symbols, hidden)
        self.leaf = nn.Linear(hidden, 3 * hidden, bias=False)
        self.join = nn.Linear(2 * hidden, 5 * hidden, bias=False)
        self.bias = nn.Parameter(w["b"].clone())  # the given weights stay as they are
        self.readout = nn.Linear(hidden, network.outputs)
        with torch.no_grad():
            self.embedding.weight.copy_(w["E"])
            self.leaf.weight.copy_(w["U"].T)
            self.join.weight.copy_(w["W"].T)
            self.readout.weight.copy_(w["V"].T)
            self.readout.bias.copy_(w["c"])

    def leaves(self, symbols: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``(h, c)`` of leaves."""
        b_i, b_o, _, b_g = self.bias.chunk(4)
        i, o, g = (self.leaf(self.embedding(symbols)) + torch.cat([b_i, b_o, b_g])).chunk(3, -1)
        c = torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def biases(self) -> torch.Tensor:
        """Those of the five gates of a node: both forget gates have one."""
        b_i, b_o, b_f, b_g = self.bias.chunk(4)
        return torch.cat([b_i, b_o, b_f, b_f, b_g])

    def node(self, b: torch.Tensor, h: torch.Tensor, *c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``(h, c)`` of nodes; ``h`` has the left and the right child's side by side, ``c`` are theirs."""
        n = self.hidden
        gates, g = functional.linear(h, self.join.weight, b).split([4 * n, n], -1)
        i, o, f_l, f_r = torch.sigmoid(gates).chunk(4, -1)
        new = f_l * c[0] + f_r * c[1] + i * torch.tanh(g)
        return o * torch.tanh(new), new


class Tree(NamedTuple):
    """One tree: the symbols of its leaves, which leaf each node is, or -1, and its children."""

    symbols: torch.Tensor
    leaf: list[int]
    children: list[list[int]]


class Recursive(Nodes):
    """Every tree by itself, a call a node."""

    @staticmethod
    def prepared(nodes: np.ndarray) -> list[Tree]:
        """What `forward` reads of a batch."""
        trees = []
        for tree, size in zip(nodes, count(nodes)):
            tree = tree[:size]
            leaf = tree[:, LABEL] >= 0
            places = np.where(leaf, np.cumsum(leaf) - 1, -1)
            symbols = torch.from_numpy(tree[leaf, LABEL]).long()
            trees.append(Tree(symbols, places.tolist(), children(tree).tolist()))
        return trees

    def forward(self, trees: list[Tree]) -> torch.Tensor:
        b = self.biases()
        return self.readout(torch.cat([self.root(b, tree) for tree in trees]))

    def root(self, b: torch.Tensor, tree: Tree) -> torch.Tensor:
        hs, cs = (a.split(1) for a in self.leaves(tree.symbols))

        def state(i: int) -> tuple[torch.Tensor, torch.Tensor]:
            if tree.leaf[i] >= 0:
                return hs[tree.leaf[i]], cs[tree.leaf[i]]
            left, right = tree.children[i]
            (h_l, c_l), (h_r, c_r) = state(left), state(right)
            return self.node(b, torch.cat([h_l, h_r], 1), c_l, c_r)

        return state(0)[0]


class Levels(NamedTuple):
    """All nodes of a batch of trees, by height.

    The nodes of one height stand in the order of the heights of their parents, so that the children of a
    height are slices of the heights below: a state is never searched for among those of all nodes.

    Attributes:
      symbols: of the leaves.
      parts: of each height, how many of its nodes have a parent of each height.
      children: of each height but 0, for the left and then for the right child of every node its place
        among those slices, one after another.
      roots: for each tree the place of its root among the slices that have no parent.
    """

    symbols: torch.Tensor
    parts: list[list[int]]
    children: list[torch.Tensor]
    roots: torch.Tensor


class Batched(Nodes):
    """All nodes of one height over the whole batch at once."""

    @staticmethod
    def prepared(nodes: np.ndarray) -> Levels:
        """The schedule of a batch."""
        labels, pairs, height, first, roots = [], [], [], 0, []
        for tree, size in zip(nodes, count(nodes)):
            tree = tree[:size]
            labels.append(tree[:, LABEL])
            pair = children(tree)
            pairs.append(np.where(pair >= 0, pair + first, -1))
            height.append(heights(tree))
            roots.append(first)
            first += size
        label, pair, level = (np.concatenate(a) for a in (labels, pairs, height))
        top = level.max() + 1
        used = np.full(len(level), top)  # the height of the parent, `top` at a root
        inner = pair[:, 0] >= 0
        used[pair[inner]] = level[inner, None]
        order = np.lexsort((used, level))
        parts = np.zeros((top, top + 1), int)
        np.add.at(parts, (level, used), 1)

        place = np.empty(len(level), int)  # among the slices that the parent's height reads
        for k in range(top + 1):
            read = order[used[order] == k]
            place[read] = np.arange(len(read))
        steps = []
        for k in range(1, top):
            here = order[level[order] == k]
            steps.append(torch.from_numpy(place[pair[here].T.reshape(-1)]))
        symbols = torch.from_numpy(label[order[level[order] == 0]]).long()
        return Levels(symbols, parts.tolist(), steps, torch.from_numpy(place[roots]))

    def forward(self, levels: Levels) -> torch.Tensor:
        b = self.biases()
        states: list[Any] = []  # of each height, the slices [h; c]
        new = torch.cat(self.leaves(levels.symbols), -1)
        for k, below in enumerate(levels.children, 1):
            states.append(new.split(levels.parts[k - 1]))
            read = torch.cat([slices[k] for slices in states if len(slices[k])])
            left, right = read.index_select(0, below).chunk(2)
            (h_l, c_l), (h_r, c_r) = left.chunk(2, -1), right.chunk(2, -1)
            new = torch.cat(self.node(b, torch.cat([h_l, h_r], -1), c_l, c_r), -1)
        states.append(new.split(levels.parts[-1]))
        roots = torch.cat([slices[-1] for slices in states]).index_select(0, levels.roots)
        return self.readout(roots[:, : self.hidden])


def training(case: Case, weights: Weights, data: Data, network: type[Recursive] | type[Batched]) -> Variant:
    """Training on the same batches in every epoch, in another order: what `prepared` does is not timed."""
    assert isinstance(case.network, TreeLstm)
    use_all_cores()
    model = network(case.network, weights)
    step = eager_step(model, case)

    def prepare(x: np.ndarray, y: np.ndarray) -> tuple[Any, torch.Tensor]:
        return model.prepared(x), torch.from_numpy(y).long()

    def check(fixed):
        return [float(step(*prepare(x, y))) for x, y in fixed]

    parts = np.arange(case.examples).reshape(-1, case.batch)
    batches: list[tuple[Any, torch.Tensor]] = []

    def forever():
        while True:
            for i in torch.randperm(len(batches)).tolist():
                yield batches[i]

    order = forever()
    timed = repeated(lambda: step(*next(order)), case.batch)

    def run(seconds: float) -> tuple[int, float]:
        if not batches:
            batches.extend(prepare(data.x[rows], data.y[rows]) for rows in parts)
        return timed(seconds)

    return Variant(check, run)
