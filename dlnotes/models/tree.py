"""Recursive networks: a label for a tree, computed from its leaves up."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.layers.arguments import positive, shares
from dlnotes.layers.random import dropout as drop
from dlnotes.layers.random import fold_in
from dlnotes.layers.tree import compose, tree_cell, tree_cell_of
from dlnotes.models.model import Model
from dlnotes.typing import Array, Params, PRNGKey

TreeCellName = Literal["tree_lstm", "affine"]


class TreeNetParams(NamedTuple):
    """State of a leaf from ``E[symbol]``, of a node from its children, ``o = h_root V + c``.

    Attributes:
      E: (vocabulary, hidden).
      cell: parameters of the tree cell.
      V: (hidden, outputs).
      c: (outputs,).
    """

    E: Array
    cell: Params
    V: Array
    c: Array


def tree_net(
    vocabulary: int,
    hidden: int,
    outputs: int,
    *,
    cell: TreeCellName = "tree_lstm",
    dropout: float | Array = 0.0,
    init_scale: float | Array = 1.0,
) -> Model:
    """A recursive net with one output at the root of a binary tree.

    Args:
      vocabulary: number of symbols at the leaves.
      hidden: width of a state.
      outputs: number of classes, or of regression outputs.
      cell: "tree_lstm" or "affine" (``p = tanh(W [l; r] + b)``).
      dropout: share dropped of the leaves' inputs and of the root's state; may be traced.
      init_scale: factor on every initial weight; may be traced.

    Returns:
      A `Model` of `TreeNetParams`: ``x`` has ``.label`` (batch, N) and ``.children`` (batch, N, 2), leaves
      first and the root last, ``mask`` is (batch, N), the output (batch, outputs).

    Raises:
      ValueError: for sizes below 1, an unknown cell, or a plain dropout rate outside [0, 1).

    Source: the notes on recursive networks; Tai, Socher and Manning, 2015.
    """
    positive(vocabulary=vocabulary, hidden=hidden, outputs=outputs)
    kind = tree_cell(cell)
    shares(dropout=dropout)

    def init(key: PRNGKey) -> TreeNetParams:
        key_E, key_cell, key_V = jax.random.split(key, 3)
        scale = jnp.asarray(init_scale, jnp.float32)
        E = scale * jax.random.normal(key_E, (vocabulary, hidden), jnp.float32)
        V = scale * jax.nn.initializers.glorot_uniform()(key_V, (hidden, outputs), jnp.float32)
        return TreeNetParams(E, kind.init(key_cell, hidden, hidden, init_scale=scale), V, jnp.zeros(outputs))

    def apply(params: TreeNetParams, x: Any, *, key: PRNGKey | None = None, mask: Array | None = None):
        leaf, root = (None, None) if key is None else (fold_in(key, 0), fold_in(key, 1))
        cell = tree_cell_of(params.cell)
        inputs = drop(leaf, params.E[jnp.maximum(x.label, 0)], dropout)
        state = compose(cell, params.cell, cell.leaf(params.cell, inputs), x.children, mask)
        return drop(root, cell.hidden(state), dropout) @ params.V + params.c[None]

    return Model(init, apply)
