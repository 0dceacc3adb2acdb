"""Cells of recursive nets: from the states of a node's children and its input to its own state.

A state is one array (..., width), so that the nodes of a batch of trees are one buffer. A child that is
not there has the state zero: then a leaf is a node without children, and one function does for all nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from dlnotes.checks import chosen, positive
from dlnotes.layers.activations import gate
from dlnotes.layers.recurrent.cell import project, row
from dlnotes.typing import Array, Params, PRNGKey

Parts: TypeAlias = tuple[Array, ...]


class TreeCell(NamedTuple):
    """A node of a tree as pure functions.

    Attributes:
      init: ``init(key, inputs, hidden, arity, *, init_scale=1.0) -> params``.
      project: ``project(params, x) -> z``, the input's part of a node, biases included; ``x`` (..., inputs),
        0 where a node has no input.
      combine: ``combine(params, children, z) -> state``, ``children`` (..., arity, width), zeros where there
        is no child; state (..., width).
      width: ``width(params)``, the length of a state.
      hidden: ``hidden(state) -> h``, (..., hidden), the part that is read out.
      rows: ``rows(children)``, what the matrix ``params.W`` multiplies, (..., n) or (..., arity, n). A
        cell has it and ``advance``, or neither; with them the gradient of W is a product over many nodes.
        Here children and states are tuples of ``parts`` arrays, side by side they are one.
      advance: ``advance(params, children, z, r) -> state``, the element-wise rest of ``combine``, where
        ``r = rows(children) @ params.W``; it does not read the fields U, W and b.
      parts: how many equal parts a state has, such as h and c.
    """

    init: Callable[..., Params]
    project: Callable[[Params, Array], Array]
    combine: Callable[[Params, Array, Array], Array]
    width: Callable[[Params], int]
    hidden: Callable[[Array], Array] = lambda state: state
    rows: Callable[[Parts], Array] | None = None
    advance: Callable[[Params, Parts, Array, Array], Parts] | None = None
    parts: int = 1


class AffineTreeParams(NamedTuple):
    """``h = tanh(x U + [h_1; …; h_A] W + b)``, A the arity.

    Attributes:
      U: (inputs, hidden); ``None`` where no node has an input.
      W: (A·hidden, hidden).
      b: (hidden,).
    """

    U: Array | None
    W: Array
    b: Array


class TensorTreeParams(NamedTuple):
    """``h = tanh(x U + p W + p V p + b)``, ``p = [h_1; …; h_A]``, ``(p V p)_k = Σ_ij p_i V_ijk p_j``.

    Attributes:
      U: (inputs, hidden); ``None`` where no node has an input.
      W: (A·hidden, hidden).
      V: (A·hidden, A·hidden, hidden), a bilinear form for each unit.
      b: (hidden,).
    """

    U: Array | None
    W: Array
    V: Array
    b: Array


class TreeLSTMParams(NamedTuple):
    """``i, o = σ(a_i), σ(a_o)``, ``g = tanh(a_g)``, a forget gate ``f_k = σ(a_k)`` for each child, then
    ``c = i g + Σ_k f_k c_k`` and ``h = o tanh(c)``, where ``a = x U + b + [h_1; …; h_A] W``.

    All forget gates have the same input part. A state is ``[h; c]``.

    Attributes:
      U: (inputs, 4·hidden), for i, f, o, g; ``None`` where no node has an input.
      W: (A·hidden, (3 + A)·hidden), for i, o, g, f_1, …, f_A.
      b: (4·hidden,), 1 for the forget gates at the start.
    """

    U: Array | None
    W: Array
    b: Array


class ChildSumParams(NamedTuple):
    """``i, o = σ(a_i), σ(a_o)``, ``g = tanh(a_g)``, each from ``a = x U + b + (Σ_k h_k) W``; a child's forget
    gate from its own state, ``f_k = σ(x U_f + b_f + h_k W_f)``; ``c = i g + Σ_k f_k c_k``, ``h = o tanh(c)``.

    Any number of children, in any order. A state is ``[h; c]``.

    Attributes:
      U: (inputs, 4·hidden), for i, f, o, g; ``None`` where no node has an input.
      W: (hidden, 4·hidden), likewise.
      b: (4·hidden,), 1 for the forget gates at the start.
    """

    U: Array | None
    W: Array
    b: Array


class TreeGRUParams(NamedTuple):
    """``r = σ(a_r)``, ``n = tanh(z_n + r ([h_1; …; h_A] W_n + b_n))``, and shares of the new and of the old,
    ``(s_0, …, s_A) = softmax(0, a_1, …, a_A)`` unit by unit: ``h = s_0 n + Σ_k s_k h_k``.

    ``a = z + [h_1; …; h_A] W``, ``z = x U + b``; all shares have the same input part. With one child it is
    the GRU, ``s_1`` its update gate.

    Attributes:
      U: (inputs, 3·hidden), for r, s, n; ``None`` where no node has an input.
      W: (A·hidden, (2 + A)·hidden), for r, n, s_1, …, s_A.
      b: (3·hidden,).
      b_n: (hidden,).
    """

    U: Array | None
    W: Array
    b: Array
    b_n: Array


def _glorot(key: PRNGKey, shape: tuple[int, int], blocks: int, init_scale: float | Array) -> Array:
    """``blocks`` matrices of one shape side by side, each drawn by itself."""
    draw = jax.nn.initializers.glorot_uniform()
    parts = [draw(k, shape, jnp.float32) for k in jax.random.split(key, blocks)]
    return jnp.asarray(init_scale, jnp.float32) * jnp.concatenate(parts, 1)


def _side_by_side(children: Array) -> Array:
    """(..., A, n) → (..., A·n)."""
    return children.reshape(*children.shape[:-2], -1)


# Gates are taken apart with split: its gradient puts them side by side, that of slices pads and adds each.


def _first_part(children: Parts) -> Array:
    return children[0]


def _first_side_by_side(children: Parts) -> Array:
    return _side_by_side(children[0])


def _first_half(state: Array) -> Array:
    return jnp.split(state, 2, -1)[0]


def _split_cell(init, rows, advance, width, *, parts: int = 1) -> TreeCell:
    def combine(params: Params, children: Array, z: Array) -> Array:
        apart = tuple(jnp.split(children, parts, -1))
        return jnp.concatenate(advance(params, apart, z, rows(apart) @ params.W), -1)

    hidden = _first_half if parts == 2 else lambda state: state
    return TreeCell(init, project, combine, width, hidden, rows, advance, parts)


def _affine_init(
    key: PRNGKey, inputs: int, hidden: int, arity: int, *, init_scale: float | Array = 1.0
) -> AffineTreeParams:
    positive(inputs=inputs, hidden=hidden, arity=arity)
    key_U, key_W = jax.random.split(key)
    U = _glorot(key_U, (inputs, hidden), 1, init_scale)
    return AffineTreeParams(U, _glorot(key_W, (arity * hidden, hidden), 1, init_scale), jnp.zeros(hidden))


def _affine_advance(params: AffineTreeParams, children: Parts, z: Array, r: Array) -> Parts:
    return (jnp.tanh(z + r),)


def _tensor_init(
    key: PRNGKey, inputs: int, hidden: int, arity: int, *, init_scale: float | Array = 1.0
) -> TensorTreeParams:
    key_affine, key_V = jax.random.split(key)
    U, W, b = _affine_init(key_affine, inputs, hidden, arity, init_scale=init_scale)
    n = arity * hidden
    # p V p has the variance of p W when its n² terms weigh as much as n terms do.
    scale = jnp.asarray(init_scale, jnp.float32) * (2 / (n + hidden)) ** 0.5 / n**0.5
    return TensorTreeParams(U, W, scale * jax.random.normal(key_V, (n, n, hidden), jnp.float32), b)


def _tensor_combine(params: TensorTreeParams, children: Array, z: Array) -> Array:
    p = _side_by_side(children)
    n, hidden = p.shape[-1], z.shape[-1]
    pV = (p @ params.V.reshape(n, n * hidden)).reshape(*p.shape, hidden)
    return jnp.tanh(z + p @ params.W + jnp.einsum("...jk,...j->...k", pV, p))


def _forget_one(hidden: int) -> Array:
    """Biases of i, f, o, g."""
    return jnp.zeros(4 * hidden).at[hidden : 2 * hidden].set(1.0)


def _lstm_init(
    key: PRNGKey, inputs: int, hidden: int, arity: int, *, init_scale: float | Array = 1.0
) -> TreeLSTMParams:
    positive(inputs=inputs, hidden=hidden, arity=arity)
    key_U, key_W = jax.random.split(key)
    U = _glorot(key_U, (inputs, hidden), 4, init_scale)
    W = _glorot(key_W, (arity * hidden, hidden), 3 + arity, init_scale)
    return TreeLSTMParams(U, W, _forget_one(hidden))


def _memory(i: Array, f: Array, o: Array, g: Array, children: Parts) -> Parts:
    """``h, c`` from the activated gates; ``f`` and the children's h and c are (..., A, hidden)."""
    c = i * g + (f * children[1]).sum(-2)
    return o * jnp.tanh(c), c


def _lstm_advance(params: TreeLSTMParams, children: Parts, z: Array, r: Array) -> Parts:
    z_i, z_f, z_o, z_g = jnp.split(z, 4, -1)
    n = z_i.shape[-1]
    r_i, r_o, r_g, own = jnp.split(r, [n, 2 * n, 3 * n], -1)
    f = gate(z_f[..., None, :] + own.reshape(*own.shape[:-1], -1, n))
    return _memory(gate(z_i + r_i), f, gate(z_o + r_o), jnp.tanh(z_g + r_g), children)


def _child_sum_init(
    key: PRNGKey, inputs: int, hidden: int, arity: int, *, init_scale: float | Array = 1.0
) -> ChildSumParams:
    positive(inputs=inputs, hidden=hidden, arity=arity)
    key_U, key_W = jax.random.split(key)
    U = _glorot(key_U, (inputs, hidden), 4, init_scale)
    return ChildSumParams(U, _glorot(key_W, (hidden, hidden), 4, init_scale), _forget_one(hidden))


def _child_sum_advance(params: ChildSumParams, children: Parts, z: Array, r: Array) -> Parts:
    z_i, z_f, z_o, z_g = jnp.split(z, 4, -1)
    r_i, r_f, r_o, r_g = jnp.split(r, 4, -1)
    i, o = gate(z_i + r_i.sum(-2)), gate(z_o + r_o.sum(-2))
    return _memory(i, gate(z_f[..., None, :] + r_f), o, jnp.tanh(z_g + r_g.sum(-2)), children)


def _gru_init(
    key: PRNGKey, inputs: int, hidden: int, arity: int, *, init_scale: float | Array = 1.0
) -> TreeGRUParams:
    positive(inputs=inputs, hidden=hidden, arity=arity)
    key_U, key_W = jax.random.split(key)
    U = _glorot(key_U, (inputs, hidden), 3, init_scale)
    W = _glorot(key_W, (arity * hidden, hidden), 2 + arity, init_scale)
    return TreeGRUParams(U, W, jnp.zeros(3 * hidden), jnp.zeros(hidden))


def _gru_advance(params: TreeGRUParams, children: Parts, z: Array, r: Array) -> Parts:
    z_r, z_s, z_n = jnp.split(z, 3, -1)
    n = z_r.shape[-1]
    r_r, inner, own = jnp.split(r, [n, 2 * n], -1)
    new = jnp.tanh(z_n + gate(z_r + r_r) * (inner + row(params.b_n, inner)))
    # The softmax over 0 and the a_k, by the new state and each child.
    a = z_s[..., None, :] + own.reshape(*own.shape[:-1], -1, n)
    largest = jax.lax.stop_gradient(jnp.maximum(a.max(-2), 0))
    fresh, kept = jnp.exp(-largest), jnp.exp(a - largest[..., None, :])
    return ((fresh * new + (kept * children[0]).sum(-2)) / (fresh + kept.sum(-2)),)


affine_tree = _split_cell(_affine_init, _first_side_by_side, _affine_advance, lambda p: p.W.shape[-1])
"""The plain recursive net; parameters `AffineTreeParams`.

Source: the notes on recursive networks; Socher et al., 2011.
"""

tensor_tree = TreeCell(_tensor_init, project, _tensor_combine, lambda p: p.W.shape[-1])
"""The recursive neural tensor network; parameters `TensorTreeParams`.

Source: the notes on recursive networks (tensor operations and bilinear forms); Socher et al., 2013.
"""

tree_lstm = _split_cell(_lstm_init, _first_side_by_side, _lstm_advance, lambda p: p.b.shape[-1] // 2, parts=2)
"""The N-ary Tree-LSTM, a forget gate for each child by its place; parameters `TreeLSTMParams`.

Source: Tai, Socher and Manning, 2015, section 3.2.
"""

child_sum = _split_cell(
    _child_sum_init, _first_part, _child_sum_advance, lambda p: p.b.shape[-1] // 2, parts=2
)
"""The child-sum Tree-LSTM, whose parameters do not depend on the arity; parameters `ChildSumParams`.

Source: Tai, Socher and Manning, 2015, section 3.1.
"""

tree_gru = _split_cell(_gru_init, _first_side_by_side, _gru_advance, lambda p: p.b_n.shape[-1])
"""A gated recursive net without a memory of its own; parameters `TreeGRUParams`.

Source: Cho et al., 2014, and Chen et al., 2015 (shares of the new and of each child's state), with the reset
gate after the product, as in PyTorch's GRU.
"""

TREE_CELLS: dict[str, TreeCell] = {
    "tree_lstm": tree_lstm,
    "child_sum": child_sum,
    "tree_gru": tree_gru,
    "affine": affine_tree,
    "tensor": tensor_tree,
}
"""The tree cells by the name a config uses."""

_OF_PARAMS: dict[type, TreeCell] = {
    TreeLSTMParams: tree_lstm,
    ChildSumParams: child_sum,
    TreeGRUParams: tree_gru,
    AffineTreeParams: affine_tree,
    TensorTreeParams: tensor_tree,
}


def tree_cell(name: str) -> TreeCell:
    """The cell called ``name`` ("tree_lstm", "child_sum", "tree_gru", "affine" or "tensor").

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
