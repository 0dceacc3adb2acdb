"""In which order the nodes of a batch of trees are computed, all levels of all trees together.

Everything is computed from the arrays of a batch inside the compiled program: other trees in arrays of the
same shape are the same program.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.devices.platform import platform
from dlnotes.typing import Array

WIDTHS = (16, 64, 128)
"""Rows that a wave may have: it takes the smallest that holds the nodes that are ready."""


class Plan(NamedTuple):
    """The nodes of a batch as rows of one buffer: leaves first, then inner nodes, then padding.

    Row ``margin + i`` is the i-th node; ``margin`` rows before and behind belong to no node, and row 0 is
    the state of a child that is not there. With R nodes, padding included, there are margin + R + margin
    rows.

    Attributes:
      node: (R,) which node of the flat batch comes i-th.
      row: (R,) the row of each node of the flat batch.
      children: (rows, A) the row of each child, 0 where there is none.
      last: (rows,) the largest of them.
      parent: (rows,) ``A · row of the parent + child's number``, 0 where there is none.
      leaves: how many nodes are leaves.
      nodes: how many nodes are real.
    """

    node: Array
    row: Array
    children: Array
    last: Array
    parent: Array
    leaves: Array
    nodes: Array


def _widths_of(nodes: int) -> tuple[int, ...]:
    """The widths of waves for so many nodes, padding included: none is much wider than them."""
    if not isinstance(nodes, int):  # jax.export leaves sizes open
        return WIDTHS
    return tuple(w for before, w in zip((0, *WIDTHS), WIDTHS) if before < nodes)


def margin_of(p: Plan) -> int:
    """Rows before and behind those of the nodes: a window may reach so far beyond them."""
    return _widths_of(p.node.shape[0])[-1]


def wave_widths(p: Plan) -> tuple[int, ...]:
    """The widths that a wave may have; only a CPU gains by small ones."""
    widths = _widths_of(p.node.shape[0])
    return widths if platform() == "cpu" else widths[-1:]


def _sorted_nodes(order: Array) -> Array:
    """The nodes in the order of their keys, those with equal keys in their own order."""
    nodes = order.shape[0]
    own = jnp.arange(nodes, dtype=jnp.int32)

    def in_pairs(order: Array) -> Array:
        return jax.lax.sort((order, own), num_keys=1)[1]

    if not isinstance(nodes, int):
        return in_pairs(order)
    bits = max(1, (nodes - 1).bit_length())

    def packed(order: Array) -> Array:
        # One number each, key before node, is sorted five times faster than pairs are.
        both = order.astype(jnp.uint32) << bits | own.astype(jnp.uint32)
        return (jnp.sort(both) & np.uint32(2**bits - 1)).astype(jnp.int32)

    return jax.lax.cond(jnp.max(order) < 2 ** (31 - bits), packed, in_pairs, order)


class Waves(NamedTuple):
    """What a batch of trees costs.

    Attributes:
      trees: how many.
      slots: the nodes with padding.
      nodes: the nodes.
      waves: how many there are after the leaves.
      rows: node states that are computed, leaves and waves in full blocks.
    """

    trees: int
    slots: int
    nodes: int
    waves: int
    rows: int

    def describe(self) -> str:
        """The cost in a sentence, for a log."""
        return (
            f"a batch of {self.trees} trees has {self.nodes} nodes in {self.slots} slots and is computed in "
            f"{self.waves} waves, {self.rows / max(1, self.nodes):.2f} states for each node"
        )


def count_waves(children: np.ndarray, order: np.ndarray, mask: np.ndarray) -> Waves:
    """The waves that a batch of trees takes on a CPU, counted on the host; arguments as of `plan`.

    Example:
      >>> children = np.array([[[-1, -1], [-1, -1], [0, 1]]] * 40)
      >>> count_waves(children, np.array([[0, 0, 1]] * 40), np.ones((40, 3), bool))
      Waves(trees=40, slots=120, nodes=120, waves=1, rows=192)
    """
    children, order, mask = (np.asarray(a) for a in (children, order, mask))
    trees, N, A = children.shape
    real = mask.reshape(-1)
    key = np.where(real, order.reshape(-1), order.max(initial=0) + 1)
    node = np.argsort(key, kind="stable")
    place = np.empty_like(node)
    place[node] = np.arange(len(node))
    below = np.where(children >= 0, children + N * np.arange(trees)[:, None, None], 0).reshape(-1, A)
    last = np.where(children.reshape(-1, A) >= 0, place[below], -1).max(1)[node]
    leaves, nodes = int((real & (key == 0)).sum()), int(real.sum())
    widths = np.array(_widths_of(len(node)))
    blocks, start, waves = -(-leaves // widths[-1]), leaves, 0
    rows = blocks * widths[-1]
    while start < nodes:
        waits = last[start : min(start + widths[-1], nodes)] >= start
        size = max(1, int(waits.argmax()) if waits.any() else len(waits))
        rows += widths[widths >= size][0]
        start, waves = start + size, waves + 1
    return Waves(trees, len(node), nodes, waves, int(rows))


@jax.custom_batching.sequential_vmap
def plan(children: Array, order: Array, real: Array) -> Plan:
    """Sort the nodes of a batch and find everyone's children and parent.

    Args:
      children: (batch, N, A) slots of the children, -1 where there is none.
      order: (batch, N) keys not below 0: a node's is larger than its children's; 0 at leaves only.
      real: (batch, N) booleans.
    """
    batch, N, A = children.shape
    R = batch * N
    margin = _widths_of(R)[-1]
    real, order = real.reshape(R), order.reshape(R)
    last_key = jnp.max(jnp.where(real, order, 0)) + 1
    node = _sorted_nodes(jnp.where(real, order, last_key))
    row = jnp.zeros(R, jnp.int32).at[node].set(margin + jnp.arange(R, dtype=jnp.int32), unique_indices=True)
    first = N * jnp.arange(batch, dtype=jnp.int32)[:, None, None]
    own = jnp.where((children >= 0) & real.reshape(batch, N, 1), row[jnp.maximum(children, 0) + first], 0)
    own = jnp.pad(own.reshape(R, A)[node], ((margin, margin), (0, 0)))
    rows = R + 2 * margin
    number = A * jnp.arange(rows, dtype=jnp.int32)[:, None] + jnp.arange(A, dtype=jnp.int32)[None]
    parent = jnp.zeros(rows, jnp.int32).at[own].set(number).at[0].set(0)
    leaves = jnp.sum(real & (order == 0), dtype=jnp.int32)
    return Plan(node, row, own, own.max(1), parent, leaves, jnp.sum(real, dtype=jnp.int32))
