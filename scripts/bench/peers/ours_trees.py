"""Trees as dlnotes has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlnotes import models
from dlnotes.data.dataset import Examples, Trees
from dlnotes.data.trees.batching import arrange
from dlnotes.models import Model
from scripts.bench.inputs import named_weights
from scripts.bench.interface import Weights
from scripts.bench.networks import TreeLstm
from scripts.bench.trees import LABEL, NONE, PARENT, count


def build(network: TreeLstm, schedule: Any) -> Model:
    """A binary Tree-LSTM with symbols at the leaves and the answer at the root."""
    return models.tree_net(
        network.symbols, network.hidden, network.outputs, inputs="leaves", schedule=schedule
    )


def examples(x: np.ndarray, y: np.ndarray) -> Examples:
    """Trees of the bench, ``(..., trees, most nodes, 2)``, as those of the library."""
    nodes = x.reshape(-1, *x.shape[-2:])
    real = nodes[..., LABEL] != NONE
    laid = arrange(nodes[real][:, LABEL], nodes[real][:, PARENT], count(nodes), nodes=x.shape[-2], arity=2)

    def shaped(a: np.ndarray) -> np.ndarray:
        return a.reshape(*x.shape[:-2], *a.shape[1:])

    return Examples(Trees(*map(shaped, laid.trees)), y, shaped(laid.mask))


def given(network: TreeLstm, params: Any, weights: Weights) -> Any:
    """Parameters like ``params`` with the given weights."""
    w = named_weights(network, weights)
    i, o, g = np.split(w["U"], 3, 1)
    U = np.concatenate([i, np.zeros_like(i), o, g], 1)  # a leaf has nothing to forget
    i, o, f_l, f_r, g = np.split(w["W"], 5, 1)
    W = np.concatenate([i, o, g, f_l, f_r], 1)
    i, o, f, g = np.split(w["b"], 4)
    cell = params.cell._replace(U=U, W=W, b=np.concatenate([i, f, o, g]))
    return params._replace(E=w["E"], cell=cell, V=w["V"], c=w["c"])
