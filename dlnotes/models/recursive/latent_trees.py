"""Recursive networks that find the tree themselves: by choices from the leaves up, or by a soft chart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.checks import chosen, positive, shares
from dlnotes.layers.random import dropout as drop
from dlnotes.layers.random import fold_in
from dlnotes.layers.recurrent.bptt import LSTMCarry
from dlnotes.layers.recurrent.cell import row
from dlnotes.layers.recurrent.lstm_gru import LSTMParams, lstm
from dlnotes.layers.recurrent.unroll import unroll
from dlnotes.layers.recursive.cells import TreeCell, tree_cell, tree_cell_of
from dlnotes.layers.recursive.chart import Chart, most_probable_trees, soft_chart
from dlnotes.layers.recursive.gumbel import FoundTree, compose_pairs, found_children, gumbel_noise
from dlnotes.models.model import Model
from dlnotes.models.recursive.tree_net import TreeCellName
from dlnotes.typing import Array, Params, PRNGKey

Leaf = Literal["cell", "lstm"]

LEAVES: dict[str, bool] = {"cell": False, "lstm": True}
"""What makes a leaf's state, and whether it reads the leaves before it."""


class FoundTreeParams(NamedTuple):
    """Leaves from ``E[symbol]``, nodes from pairs by the cell, ``score = h · q``, ``o = h_root V + c``.

    Attributes:
      E: (vocabulary, hidden).
      leaf: of the LSTM that reads the leaves from left to right and whose states they start with; ``None``
        where a leaf is the cell's node without children.
      cell: parameters of the tree cell, for two children.
      q: (hidden,), the query.
      V: (hidden, outputs).
      c: (outputs,).
    """

    E: Array
    leaf: LSTMParams | None
    cell: Params
    q: Array
    V: Array
    c: Array


def _model(
    vocabulary: int,
    hidden: int,
    outputs: int,
    cell: str,
    leaf: str,
    dropout: float | Array,
    init_scale: float | Array,
    compose: Callable[[FoundTreeParams, Array, Array, PRNGKey | None], Array],
) -> Model:
    """A net of which only the way from leaves and lengths to the root's state is open."""
    positive(vocabulary=vocabulary, hidden=hidden, outputs=outputs)
    shares(dropout=dropout)
    kind, reads = tree_cell(cell), chosen("leaf", leaf, LEAVES)

    def init(key: PRNGKey) -> FoundTreeParams:
        key_E, key_leaf, key_cell, key_q, key_V = jax.random.split(key, 5)
        scale = jnp.asarray(init_scale, jnp.float32)
        E = scale * jax.random.normal(key_E, (vocabulary, hidden), jnp.float32)
        q = scale * jax.random.normal(key_q, (hidden,), jnp.float32) / hidden**0.5
        V = scale * jax.nn.initializers.glorot_uniform()(key_V, (hidden, outputs), jnp.float32)
        reader = lstm.init(key_leaf, hidden, hidden, init_scale=scale) if reads else None
        node = kind.init(key_cell, hidden, hidden, 2, init_scale=scale)
        if reads:  # then no node has an input of its own
            node = node._replace(U=None)
        return FoundTreeParams(E, reader, node, q, V, jnp.zeros(outputs))

    def apply(params: FoundTreeParams, x: Any, *, key: PRNGKey | None = None, mask: Array | None = None):
        keys = [None if key is None else fold_in(key, i) for i in range(3)]
        symbols, lengths = leaf_symbols(x, mask)
        leaves = _leaf_states(params, drop(keys[0], params.E[symbols], dropout), lengths)
        h = kind.hidden(compose(params, leaves, lengths, keys[1]))
        return drop(keys[2], h, dropout) @ params.V + params.c[None]

    return Model(init, apply)


def gumbel_tree(
    vocabulary: int,
    hidden: int,
    outputs: int,
    *,
    cell: TreeCellName = "tree_lstm",
    leaf: Leaf = "cell",
    temperature: float | Array = 1.0,
    relaxed: bool = False,
    dropout: float | Array = 0.0,
    init_scale: float | Array = 1.0,
) -> Model:
    """A recursive net that builds a binary tree by choosing, in each step, the adjacent pair to compose.

    A pair's score is ``h · q`` of what it would become. With a key the choice is a draw from the softmax of
    the scores, without one it is the largest; the gradient is that of the softmax (see
    `dlnotes.layers.recursive.gumbel`). `gumbel_parse` gives the trees.

    Args:
      vocabulary: number of symbols.
      hidden: width of a state.
      outputs: number of classes, or of regression outputs.
      cell: "tree_lstm", "child_sum", "tree_gru", "affine" or "tensor".
      leaf: a leaf's state comes from its symbol ("cell": a node without children), or from an LSTM
        that has read the symbols up to it ("lstm").
      temperature: of the softmax, above 0; may be traced.
      relaxed: mix the pairs by their softmax instead of choosing one.
      dropout: share dropped of the leaves' inputs and of the root's state; may be traced.
      init_scale: factor on every initial weight; may be traced.

    Returns:
      A `Model` of `FoundTreeParams`: ``x`` is (batch, L) symbols with ``mask`` (batch, L), or `Trees` with
      ``mask`` (batch, N), of which only the leaves are read; the output is (batch, outputs).

    Raises:
      ValueError: for sizes below 1, unknown names, a plain temperature not above 0, or a plain dropout rate
        outside [0, 1).

    Source: notes R11.3; Choi, Yoo and Lee, 2018, Learning to compose task-specific tree structures.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> model = gumbel_tree(10, 8, 3)
      >>> model.apply(model.init(jax.random.key(0)), jnp.array([[1, 5, 7, 2]])).shape
      (1, 3)
    """
    if isinstance(temperature, (int, float)) and not temperature > 0:
        raise ValueError(f"temperature: got {temperature}, allowed is a number above 0")

    def compose(params: FoundTreeParams, leaves: Array, lengths: Array, key: PRNGKey | None) -> Array:
        return _chosen_pairs(params, leaves, lengths, key, temperature, relaxed).state

    return _model(vocabulary, hidden, outputs, cell, leaf, dropout, init_scale, compose)


def gumbel_parse(
    params: FoundTreeParams, x: Any, mask: Array | None = None, *, key: PRNGKey | None = None
) -> Array:
    """The trees that a `gumbel_tree` builds.

    Args:
      params, x, mask: as of the model.
      key: one, or one per example, for drawn trees; without it the best pair is chosen in every step.

    Returns:
      (batch, 2 L - 1, 2) int32 children as in `dlnotes.data.dataset.Trees`: leaves first, the root last.
    """
    symbols, lengths = leaf_symbols(x, mask)
    leaves = _leaf_states(params, params.E[symbols], lengths)
    return found_children(_chosen_pairs(params, leaves, lengths, key).pairs, lengths)


def _chosen_pairs(
    params: FoundTreeParams,
    leaves: Array,
    lengths: Array,
    key: PRNGKey | None,
    temperature: float | Array = 1.0,
    relaxed: bool = False,
) -> FoundTree:
    cell, z = _node_of(params)
    noise = None if key is None else gumbel_noise(key, *leaves.shape[:2])

    def combine(left: Array, right: Array) -> Array:
        return cell.combine(params.cell, jnp.stack([left, right], -2), row(z, left))

    return compose_pairs(
        combine, _score(params), leaves, lengths, noise=noise, temperature=temperature, relaxed=relaxed
    )


def chart_tree(
    vocabulary: int,
    hidden: int,
    outputs: int,
    *,
    cell: TreeCellName = "tree_lstm",
    leaf: Leaf = "cell",
    dropout: float | Array = 0.0,
    init_scale: float | Array = 1.0,
) -> Model:
    """A recursive net over all binary trees at once, weighted by its own scores.

    Every span of the sequence mixes its splits by the softmax of ``h · q`` of what they give (see
    `dlnotes.layers.recursive.chart`, also for the price: L (L² - 1) / 6 compositions for L symbols, and no
    more than 64 of these). `chart_parse` gives the most probable trees.

    Args:
      vocabulary, hidden, outputs, cell, leaf, dropout, init_scale: as of `gumbel_tree`.

    Returns:
      A `Model` of `FoundTreeParams`; inputs and output as of `gumbel_tree`.

    Raises:
      ValueError: for sizes below 1, unknown names, or a plain dropout rate outside [0, 1); when applied, for
        sequences that are too long.

    Source: notes R11.3; Maillard, Clark and Yogatama, 2017. Their score is a cosine, ours a product, as in
    `gumbel_tree`, so that the net sets by itself how sharp the choice is.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> model = chart_tree(10, 8, 3)
      >>> model.apply(model.init(jax.random.key(0)), jnp.array([[1, 5, 7, 2]])).shape
      (1, 3)
    """

    def compose(params: FoundTreeParams, leaves: Array, lengths: Array, key: PRNGKey | None) -> Array:
        return _chart(params, leaves, lengths).state

    return _model(vocabulary, hidden, outputs, cell, leaf, dropout, init_scale, compose)


def chart_parse(params: FoundTreeParams, x: Any, mask: Any = None) -> np.ndarray:
    """The most probable trees of a `chart_tree`, on the host.

    Args:
      params, x, mask: as of the model.

    Returns:
      (batch, 2 L - 1, 2) int32 children as in `dlnotes.data.dataset.Trees`: leaves first, the root last.
    """
    log_weights, lengths = _log_weights(params, x, mask)
    return most_probable_trees(log_weights, lengths)


@jax.jit
def _log_weights(params: FoundTreeParams, x: Any, mask: Array | None) -> tuple[tuple[Array, ...], Array]:
    symbols, lengths = leaf_symbols(x, mask)
    leaves = _leaf_states(params, params.E[symbols], lengths)
    return _chart(params, leaves, lengths).log_weights, lengths


def _chart(params: FoundTreeParams, leaves: Array, lengths: Array) -> Chart:
    cell, z = _node_of(params)
    rows, advance = cell.rows, cell.advance
    if rows is None or advance is None:

        def whole(left: Array, right: Array) -> Array:
            return cell.combine(params.cell, jnp.stack([left, right], -2), row(z, left))

        return soft_chart(whole, _score(params), leaves, lengths)

    def apart(left: Array, right: Array) -> tuple[Array, ...]:
        return tuple(jnp.split(jnp.stack([left, right], -2), cell.parts, -1))

    def part(place: int):
        def product(state: Array) -> tuple[Array, Array]:
            none = jnp.zeros_like(state)
            children = apart(state, none) if place == 0 else apart(none, state)
            return state, rows(children) @ params.cell.W

        return product

    def combine(left: tuple[Array, Array], right: tuple[Array, Array]) -> Array:
        # The product of two children is the sum of their own: a span's is computed once for all its parents.
        state = advance(params.cell, apart(left[0], right[0]), row(z, left[0]), left[1] + right[1])
        return jnp.concatenate(state, -1)

    return soft_chart(combine, _score(params), leaves, lengths, left=part(0), right=part(1))


def leaf_symbols(x: Any, mask: Array | None = None) -> tuple[Array, Array]:
    """The symbols at the leaves of `Trees`, or of sequences, and how many there are.

    Args:
      x: `Trees`, or (batch, L) symbols.
      mask: (batch, N) or (batch, L) booleans, True at real nodes or positions, which come first.

    Returns:
      (batch, L) symbols and (batch,) int32 lengths. L of trees is the most leaves that N nodes can have.
    """
    if not hasattr(x, "children"):
        x = jnp.asarray(x)
        real = jnp.ones(x.shape, bool) if mask is None else jnp.asarray(mask, bool)
        return x, real.sum(1, dtype=jnp.int32)
    N, arity = x.children.shape[1:]
    leaf = (jnp.asarray(x.children) < 0).all(2)
    if mask is not None:
        leaf = leaf & jnp.asarray(mask, bool)
    most = (1 + (arity - 1) * N) // arity
    return jnp.maximum(jnp.asarray(x.label)[:, :most], 0), leaf.sum(1, dtype=jnp.int32)


def _node_of(params: FoundTreeParams) -> tuple[TreeCell, Array]:
    """The cell, and the input's part of a node that has no input."""
    cell = tree_cell_of(params.cell)
    return cell, params.cell.b


def _score(params: FoundTreeParams) -> Callable[[Array], Array]:
    cell = tree_cell_of(params.cell)
    return lambda state: cell.hidden(state) @ params.q


def _leaf_states(params: FoundTreeParams, inputs: Array, lengths: Array) -> Array:
    """(batch, L, width): the cell's nodes without children, or the states of the LSTM that reads them."""
    cell = tree_cell_of(params.cell)
    width = cell.width(params.cell)
    if params.leaf is None:
        none = jnp.zeros((*inputs.shape[:2], 2, width), inputs.dtype)
        return cell.combine(params.cell, none, cell.project(params.cell, inputs))
    hidden = params.q.shape[0]
    _, states = unroll(_READER, params.leaf, inputs, lengths=lengths)
    return states if width == 2 * hidden else states[..., :hidden]


def _both(step: Callable[..., tuple[LSTMCarry, Array]]) -> Callable[..., tuple[LSTMCarry, Array]]:
    def with_memory(*args: Any) -> tuple[LSTMCarry, Array]:
        carry, h = step(*args)
        return carry, jnp.concatenate([h, carry.c], -1)

    return with_memory


_READER = lstm._replace(step=_both(lstm.step), resume=_both(lstm.resume), advance=None, fused=None)  # pyright: ignore[reportArgumentType]
"""The LSTM with the output ``[h; c]``, which is the state of a Tree-LSTM's node."""
