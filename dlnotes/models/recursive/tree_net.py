"""Recursive networks: an answer for a tree, or for each of its nodes, computed from its leaves up."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.checks import chosen, positive, shares
from dlnotes.layers.random import dropout as drop
from dlnotes.layers.random import fold_in
from dlnotes.layers.recurrent.cell import row
from dlnotes.layers.recursive.cells import TreeCell, tree_cell
from dlnotes.layers.recursive.states import Inputs, Schedule, compose, node_states
from dlnotes.models.model import Model
from dlnotes.typing import Array, Params, PRNGKey

TreeCellName = Literal["tree_lstm", "child_sum", "tree_gru", "affine", "tensor"]
Targets = Literal["root", "nodes"]


class TreeNetParams(NamedTuple):
    """State of a node from its children's and, where it has a symbol, ``E[symbol]``; ``o = h V + c``.

    Attributes:
      E: (vocabulary, embedding).
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
    cell: TreeCellName | TreeCell = "tree_lstm",
    arity: int = 2,
    embedding: int | None = None,
    inputs: Inputs = "nodes",
    targets: Targets = "root",
    dropout: float | Array = 0.0,
    init_scale: float | Array = 1.0,
    schedule: Schedule = "waves",
) -> Model:
    """A recursive net over trees of any shapes.

    Args:
      vocabulary: number of symbols.
      hidden: width of h.
      outputs: number of classes, or of regression outputs.
      cell: "tree_lstm", "child_sum" (any number of children, in any order), "tree_gru", "affine", "tensor",
        or a `TreeCell`.
      arity: most children of a node.
      embedding: width of the symbol vectors; without it, ``hidden``.
      inputs: "nodes", every node that has a symbol takes it in; "leaves", only those do.
      targets: "root", one output for each tree; "nodes", one for each node.
      dropout: share dropped of the symbol vectors and of the states that are read out; may be traced.
      init_scale: factor on every initial weight; may be traced.
      schedule: "waves" or "sequential", as of `dlnotes.layers.recursive.states.node_states`.

    Returns:
      A `Model` of `TreeNetParams`: ``x`` is `dlnotes.data.dataset.Trees` with ``.label`` and ``.order``
      (batch, N), ``.children`` (batch, N, arity), ``mask`` is (batch, N), the output (batch, outputs) or
      (batch, N, outputs).

    Raises:
      ValueError: for sizes below 1, an unknown cell or option, or a plain dropout rate outside [0, 1).

    Source: notes R11.2, R11.4 (inputs and targets at every node, or at the root only); Tai, Socher and
    Manning, 2015; Socher et al., 2013.

    Example:
      >>> from dlnotes.data.trees.batching import arrange
      >>> tree = arrange([-1, 5, -1, 6, 7], [-1, 0, 0, 2, 2], [5])  # (5 (6 7))
      >>> model = tree_net(8, 4, 3, targets="nodes")
      >>> model.apply(model.init(jax.random.key(0)), tree.trees, mask=tree.mask).shape
      (1, 5, 3)
    """
    kind = tree_cell(cell) if isinstance(cell, str) else cell
    wide = hidden if embedding is None else embedding
    positive(vocabulary=vocabulary, hidden=hidden, outputs=outputs, arity=arity, embedding=wide)
    shares(dropout=dropout)
    states = chosen("targets", targets, {"root": compose, "nodes": node_states})
    chosen("inputs", inputs, {"leaves": None, "nodes": None})
    chosen("schedule", schedule, {"waves": None, "sequential": None})

    def init(key: PRNGKey) -> TreeNetParams:
        key_E, key_cell, key_V = jax.random.split(key, 3)
        scale = jnp.asarray(init_scale, jnp.float32)
        E = scale * jax.random.normal(key_E, (vocabulary, wide), jnp.float32)
        V = scale * jax.nn.initializers.glorot_uniform()(key_V, (hidden, outputs), jnp.float32)
        return TreeNetParams(
            E, kind.init(key_cell, wide, hidden, arity, init_scale=scale), V, jnp.zeros(outputs)
        )

    def apply(params: TreeNetParams, x: Any, *, key: PRNGKey | None = None, mask: Array | None = None):
        below, above = (None, None) if key is None else (fold_in(key, 0), fold_in(key, 1))
        label = jnp.asarray(x.label)
        children, order = jnp.asarray(x.children), jnp.asarray(x.order)
        given, table = label, params.E
        if key is not None and not (isinstance(dropout, (int, float)) and dropout == 0):
            given = jnp.where((label >= 0)[:, :, None], params.E[jnp.maximum(label, 0)], 0)
            given, table = drop(below, given, dropout), None
        state = states(
            kind,
            params.cell,
            given,
            children,
            order,
            None if mask is None else jnp.asarray(mask),
            embedding=table,
            inputs=inputs,
            schedule=schedule,
        )
        h = drop(above, kind.hidden(state), dropout)
        return h @ params.V + row(params.c, h)

    return Model(init, apply)
