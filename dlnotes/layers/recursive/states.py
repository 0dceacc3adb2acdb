"""Recursive nets: a cell's states at the nodes of a batch of trees of any shapes.

A tree is a list of node slots, leaves first, children before their parents, the root last and padding
behind it (see `dlnotes.data.dataset.Trees`). Trees of other shapes in arrays of the same sizes are the
same compiled program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from dlnotes.checks import chosen
from dlnotes.layers.recursive.cells import TreeCell
from dlnotes.layers.recursive.schedule import plan
from dlnotes.layers.recursive.wavefront import Inputs, waves
from dlnotes.typing import Array, Params

Schedule = Literal["waves", "sequential"]


def node_states(
    cell: TreeCell,
    params: Params,
    x: Array,
    children: Array,
    order: Array,
    mask: Array | None = None,
    *,
    embedding: Array | None = None,
    inputs: Inputs = "nodes",
    schedule: Schedule = "waves",
) -> Array:
    """The state of every node of a batch of trees: ``s_n = combine(params, [s_child …], x_n)``.

    Args:
      cell: ``tree_lstm`` or another `TreeCell`.
      params: the cell's parameters.
      x: (batch, N, inputs), 0 where a node has no input; with ``embedding`` (batch, N) whole numbers, -1
        where a node has none.
      children: (batch, N, A) slots of each node's children, all before its own; -1 where there is none.
      order: (batch, N) whole numbers, 0 at leaves, and at every other node more than at its children. By
        them the nodes of all trees are sorted for computing, so few and equal ones make wide waves.
      mask: (batch, N) booleans, True where a slot is a node, the leading ones; without it all are.
      embedding: (symbols, inputs) table, if ``x`` are symbols. It is projected before it is looked up,
        where it has fewer rows than the batch has slots.
      inputs: "nodes", or "leaves" to have no others looked at; then they need no input part.
      schedule: "waves" computes the nodes of all trees that are ready at once, with a written-out gradient;
        "sequential" one slot of all trees after the other, as a plain scan, which forward-mode derivatives
        can go through.

    Returns:
      (batch, N, width), 0 in padded slots.

    Raises:
      ValueError: for shapes that do not fit, or an unknown ``inputs`` or ``schedule``.

    Source: notes R11.2 (recursive networks).

    Example:
      >>> import jax
      >>> from dlnotes.layers.recursive.cells import tree_lstm
      >>> params = tree_lstm.init(jax.random.key(0), 3, 4, arity=2)
      >>> children, order = jnp.array([[[-1, -1], [-1, -1], [0, 1]]]), jnp.array([[0, 0, 1]])
      >>> node_states(tree_lstm, params, jnp.ones((1, 3, 3)), children, order).shape
      (1, 3, 8)
    """
    children, order = jnp.asarray(children, jnp.int32), jnp.asarray(order, jnp.int32)
    table, index, mask = _projected(cell, params, jnp.asarray(x), children, order, mask, embedding, inputs)
    run = chosen("schedule", schedule, _RUN)
    batch, N = order.shape
    read = jnp.arange(batch * N, dtype=jnp.int32)
    states = run(cell, params, table, index, children, order, mask, read, inputs)
    return jnp.where(mask[:, :, None], states.reshape(batch, N, -1), 0)


def compose(
    cell: TreeCell,
    params: Params,
    x: Array,
    children: Array,
    order: Array,
    mask: Array | None = None,
    *,
    embedding: Array | None = None,
    inputs: Inputs = "nodes",
    schedule: Schedule = "waves",
) -> Array:
    """The state at the root of each tree, the last real slot; see `node_states` for the arguments.

    Returns:
      (batch, width).

    Raises:
      ValueError: for shapes that do not fit, or an unknown ``inputs`` or ``schedule``.
    """
    children, order = jnp.asarray(children, jnp.int32), jnp.asarray(order, jnp.int32)
    table, index, mask = _projected(cell, params, jnp.asarray(x), children, order, mask, embedding, inputs)
    run = chosen("schedule", schedule, _RUN)
    batch, N = order.shape
    root = jnp.maximum(jnp.sum(mask, 1, dtype=jnp.int32) - 1, 0)
    read = N * jnp.arange(batch, dtype=jnp.int32) + root
    return run(cell, params, table, index, children, order, mask, read, inputs)


def _projected(cell, params, x, children, order, mask, embedding, inputs) -> tuple[Array, Array, Array]:
    """A table of projected inputs, the last row that of no input; each node's row in it; the mask."""
    chosen("inputs", inputs, {"leaves": None, "nodes": None})
    shape = order.shape
    if len(shape) != 2:
        raise ValueError(f"order: got shape {shape}, allowed is (batch, N)")
    if children.ndim != 3 or children.shape[:2] != shape:
        raise ValueError(f"children: got shape {children.shape}, allowed is (*{shape}, A)")
    if x.shape[:2] != shape or x.ndim != (3 if embedding is None else 2):
        allowed = f"(*{shape}, inputs)" if embedding is None else f"{shape} with an embedding"
        raise ValueError(f"x: got shape {x.shape}, allowed is {allowed}")
    mask = jnp.ones(shape, bool) if mask is None else jnp.asarray(mask, bool)
    if mask.shape != shape:
        raise ValueError(f"mask: got shape {mask.shape}, allowed is {shape}")
    slots = shape[0] * shape[1]
    if embedding is None:
        source = x.reshape(slots, x.shape[2])
        own, given = jnp.arange(slots, dtype=jnp.int32), mask.reshape(slots)
    else:
        source, own = embedding, x.reshape(slots).astype(jnp.int32)
        given = mask.reshape(slots) & (own >= 0)
        if isinstance(slots, int) and embedding.shape[0] > slots:  # jax.export leaves sizes open
            source = embedding[jnp.maximum(own, 0)]
            own = jnp.arange(slots, dtype=jnp.int32)
    index = jnp.where(given, own, source.shape[0])
    return cell.project(params, jnp.concatenate([source, jnp.zeros_like(source[:1])])), index, mask


def _in_waves(cell, params, table, index, children, order, mask, read, inputs) -> Any:
    return waves(cell, inputs, params, table, index, plan(children, order, mask), read)


def _one_by_one(cell, params, table, index, children, order, mask, read, inputs):
    batch, N, _ = children.shape
    width = cell.width(params)
    index = index.reshape(batch, N)
    if inputs == "leaves":
        index = jnp.where((children >= 0).any(-1), table.shape[0] - 1, index)

    def step(states, slot):
        at, own = slot
        # A child that is not there is slot N, which stays 0.
        below = jnp.where(children[:, at] >= 0, children[:, at], N)
        state = cell.combine(params, jnp.take_along_axis(states, below[:, :, None], 1), table[own])
        state = jnp.where(mask[:, at, None], state, 0)
        return jax.lax.dynamic_update_slice_in_dim(states, state[:, None], at, 1), None

    states = jnp.zeros((batch, N + 1, width), table.dtype)
    states, _ = jax.lax.scan(step, states, (jnp.arange(N), index.T))
    return states[:, :N].reshape(batch * N, width)[read]


_RUN: dict[str, Callable[..., Array]] = {"waves": _in_waves, "sequential": _one_by_one}
