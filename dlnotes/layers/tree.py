"""Recursive nets: a cell that joins two states into one, and its run over trees of any shape.

A tree cell is ``init(key, inputs, hidden) -> params``, ``leaf(params, x) -> state`` and
``join(params, left, right) -> state``. A state is one array (..., width), so that the nodes of a
batch of trees are one buffer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.layers.arguments import chosen, positive
from dlnotes.typing import Array, Params, PRNGKey


class TreeCell(NamedTuple):
    """The two kinds of node as pure functions.

    Attributes:
      init: ``init(key, inputs, hidden, *, init_scale=1.0) -> params``.
      leaf: ``leaf(params, x) -> state``, ``x`` (..., inputs), state (..., width).
      join: ``join(params, left, right) -> state``, all (..., width).
      hidden: ``hidden(state) -> h``, (..., hidden), the part that is read out.
    """

    init: Callable[..., Params]
    leaf: Callable[[Params, Array], Array]
    join: Callable[[Params, Array, Array], Array]
    hidden: Callable[[Array], Array]


class AffineTreeParams(NamedTuple):
    """``p = tanh([l; r] W + b)`` at a node, ``p = tanh(x U)`` at a leaf.

    Attributes:
      U: (inputs, hidden).
      W: (2·hidden, hidden).
      b: (hidden,).
    """

    U: Array
    W: Array
    b: Array


class TreeLSTMParams(NamedTuple):
    """``a = x U + [h_l; h_r] W + b``, cut into i, f_l, f_r, o, g, then
    ``c = σ(f_l) c_l + σ(f_r) c_r + σ(i) tanh(g)`` and ``h = σ(o) tanh(c)``.

    A leaf has an input and no children, a node has children and no input. A state is ``[h; c]``.

    Attributes:
      U: (inputs, 3·hidden), for i, o, g: a leaf has nothing to forget.
      W: (2·hidden, 5·hidden).
      b: (5·hidden,), 1 for both forget gates at the start.
    """

    U: Array
    W: Array
    b: Array


def _glorot(key: PRNGKey, inputs: int, outputs: int, blocks: int, init_scale: float | Array) -> Array:
    draw = jax.nn.initializers.glorot_uniform()
    parts = [draw(k, (inputs, outputs), jnp.float32) for k in jax.random.split(key, blocks)]
    return jnp.asarray(init_scale, jnp.float32) * jnp.concatenate(parts, 1)


def _row(b: Array, like: Array) -> Array:
    return jnp.expand_dims(b, tuple(range(like.ndim - 1)))


def _affine_init(
    key: PRNGKey, inputs: int, hidden: int, *, init_scale: float | Array = 1.0
) -> AffineTreeParams:
    positive(inputs=inputs, hidden=hidden)
    key_U, key_W = jax.random.split(key)
    U = _glorot(key_U, inputs, hidden, 1, init_scale)
    return AffineTreeParams(U, _glorot(key_W, 2 * hidden, hidden, 1, init_scale), jnp.zeros(hidden))


def _affine_leaf(params: AffineTreeParams, x: Array) -> Array:
    return jnp.tanh(x @ params.U)


def _affine_join(params: AffineTreeParams, left: Array, right: Array) -> Array:
    a = jnp.concatenate([left, right], -1) @ params.W
    return jnp.tanh(a + _row(params.b, a))


def _lstm_init(key: PRNGKey, inputs: int, hidden: int, *, init_scale: float | Array = 1.0) -> TreeLSTMParams:
    positive(inputs=inputs, hidden=hidden)
    key_U, key_W = jax.random.split(key)
    b = jnp.zeros(5 * hidden).at[hidden : 3 * hidden].set(1.0)
    U = _glorot(key_U, inputs, hidden, 3, init_scale)
    return TreeLSTMParams(U, _glorot(key_W, 2 * hidden, hidden, 5, init_scale), b)


def _lstm_leaf(params: TreeLSTMParams, x: Array) -> Array:
    i_b, _, _, o_b, g_b = jnp.split(params.b, 5)
    a = x @ params.U
    i, o, g = jnp.split(a + _row(jnp.concatenate([i_b, o_b, g_b]), a), 3, -1)
    c = jax.nn.sigmoid(i) * jnp.tanh(g)
    return jnp.concatenate([jax.nn.sigmoid(o) * jnp.tanh(c), c], -1)


def _lstm_join(params: TreeLSTMParams, left: Array, right: Array) -> Array:
    h_l, c_l = jnp.split(left, 2, -1)
    h_r, c_r = jnp.split(right, 2, -1)
    a = jnp.concatenate([h_l, h_r], -1) @ params.W
    i, f_l, f_r, o, g = jnp.split(a + _row(params.b, a), 5, -1)
    c = jax.nn.sigmoid(f_l) * c_l + jax.nn.sigmoid(f_r) * c_r + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jnp.concatenate([jax.nn.sigmoid(o) * jnp.tanh(c), c], -1)


affine_tree = TreeCell(_affine_init, _affine_leaf, _affine_join, lambda state: state)
"""The plain recursive net; parameters `AffineTreeParams`.

Source: the notes on recursive networks; Socher et al., 2011.
"""

tree_lstm = TreeCell(_lstm_init, _lstm_leaf, _lstm_join, lambda state: state[..., : state.shape[-1] // 2])
"""The binary Tree-LSTM, with one forget gate a child; parameters `TreeLSTMParams`.

Source: Tai, Socher and Manning, 2015, section 3.2 with N = 2.
"""

TREE_CELLS: dict[str, TreeCell] = {"tree_lstm": tree_lstm, "affine": affine_tree}
"""The tree cells by the name a config uses."""

_OF_PARAMS: dict[type, TreeCell] = {TreeLSTMParams: tree_lstm, AffineTreeParams: affine_tree}


def tree_cell(name: str) -> TreeCell:
    """The cell called ``name`` ("tree_lstm" or "affine").

    Raises:
      ValueError: when there is no such cell.
    """
    return chosen("cell", name, TREE_CELLS)


def tree_cell_of(params: Params) -> TreeCell:
    """The cell that parameters belong to, told by their type.

    Raises:
      ValueError: when they are not the parameters of a cell of this module.
    """
    if type(params) not in _OF_PARAMS:
        known = ", ".join(t.__name__ for t in _OF_PARAMS)
        raise ValueError(f"params: got {type(params).__name__}, allowed are {known}")
    return _OF_PARAMS[type(params)]


def _gather(buffer: Array, slot: Array) -> Array:
    """One slot of each example: (batch, slots, width), (batch,) → (batch, width)."""
    slot = jnp.maximum(slot, 0)[:, None, None]
    return jnp.take_along_axis(buffer, slot, 1, mode="promise_in_bounds")[:, 0]


def node_states(
    cell: TreeCell, params: Params, leaves: Array, children: Array, mask: Array | None = None
) -> Array:
    """The state of every node of a batch of trees, children before parents.

    One scan over the N slots: each step gathers the states of both children for the whole batch and joins
    them. Any mix of shapes is the same program.

    Args:
      cell: ``tree_lstm``, ``affine_tree`` or another `TreeCell`.
      params: the cell's parameters.
      leaves: (batch, N, width) states that the nodes have if they are leaves.
      children: (batch, N, 2) slots of the left and right child, each before the node's own; -1 at a leaf.
      mask: (batch, N) booleans, True where a node is real; other nodes become 0.

    Returns:
      (batch, N, width).

    Raises:
      ValueError: for shapes that do not fit.
    """
    batch, N, _ = leaves.shape
    if children.shape != (batch, N, 2):
        raise ValueError(f"children: got shape {children.shape}, allowed is ({batch}, {N}, 2)")
    if mask is not None:
        if mask.shape != (batch, N):
            raise ValueError(f"mask: got shape {mask.shape}, allowed is {(batch, N)}")
        leaves = jnp.where(mask[:, :, None], leaves, 0)

    def step(buffer, inputs):
        i, pair = inputs
        left, right = _gather(buffer, pair[:, 0]), _gather(buffer, pair[:, 1])
        state = jnp.where(pair[:, :1] >= 0, cell.join(params, left, right), buffer[:, i])
        return jax.lax.dynamic_update_slice_in_dim(buffer, state[:, None], i, 1), None

    return jax.lax.scan(step, leaves, (jnp.arange(N), jnp.swapaxes(children, 0, 1)))[0]


def compose(
    cell: TreeCell, params: Params, leaves: Array, children: Array, mask: Array | None = None
) -> Array:
    """The state at the root of each tree, its last real node; see `node_states` for the arguments.

    Returns:
      (batch, width).

    Raises:
      ValueError: for shapes that do not fit.
    """
    states = node_states(cell, params, leaves, children, mask)
    if mask is None:
        return states[:, -1]
    return _gather(states, jnp.sum(mask, 1, dtype=jnp.int32) - 1)
