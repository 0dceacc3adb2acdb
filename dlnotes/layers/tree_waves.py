"""The states of a batch of trees in waves, with the gradient written out.

A wave takes the longest run of nodes, in the order of the plan, whose children are all done. It computes a
window of fixed width that begins with them: what lies beyond is computed too, from states that are not yet
there, and overwritten by the waves that follow, so a wave needs no padding. Backwards a window ends with the
nodes of its wave, and what lies before them has the gradient zero until its own wave comes. Each node has one
parent, so it gathers its gradient from there.

The number of waves is not known to the compiler, and under vmap it differs from member to member: there the
members are computed one after another.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.layers.tree_cells import TreeCell
from dlnotes.layers.tree_schedule import Plan, margin_of, wave_widths
from dlnotes.typing import Array, Params

Inputs = Literal["leaves", "nodes"]


class Done(NamedTuple):
    """What the forward pass leaves behind.

    Attributes:
      states: (rows, width).
      ends: (R + 1,) the row behind the leaves, then that behind each wave.
      waves: their number.
    """

    states: Array
    ends: Array
    waves: Array


def _window(a: Array, start: Array, size: int) -> Array:
    return jax.lax.dynamic_slice_in_dim(a, start, size, 0)


def _at(a: Array, rows: Array) -> Array:
    """Some rows of ``a``, all known to be there."""
    return a.at[rows].get(mode="promise_in_bounds", wrap_negative_indices=False)


def _put(a: Array, part: Array, start: Array) -> Array:
    return jax.lax.dynamic_update_slice_in_dim(a, part, start, 0)


def _one_by_width(
    widths: tuple[int, ...],
    size: Callable[[Any], Array],
    more: Callable[[Any], Array],
    step: Callable[[int, Any], Any],
    carry: Any,
) -> Any:
    """``step(width, carry)`` while there is ``more``, with the smallest width that holds ``size(carry)``.

    A loop for each width inside a loop over all: branches would copy the buffers that they change.
    """

    def fits(below: int, width: int, carry: Any) -> Array:
        return more(carry) & (size(carry) > below) & (size(carry) <= width)

    def over_widths(carry: Any) -> Any:
        for below, width in zip((0, *widths), widths):
            carry = jax.lax.while_loop(partial(fits, below, width), partial(step, width), carry)
        return carry

    return jax.lax.while_loop(more, over_widths, carry)


class _Node(NamedTuple):
    """A cell as the two passes use it: with its matrix taken out where it has one.

    Attributes:
      join: ``join(rest, children, z, r) -> state``.
      rows: ``rows(children)``, or ``None``.
    """

    join: Callable[..., Array]
    rows: Callable[[Array], Array] | None


def _node(cell: TreeCell) -> _Node:
    if cell.advance is not None:
        return _Node(cell.advance, cell.rows)
    return _Node(lambda params, children, z, r: cell.join(params, children, z), None)


def _parts(cell: TreeCell, params: Params) -> tuple[Params, Array | None]:
    """What `_Node.join` reads, and W."""
    if cell.advance is None:
        return params, None
    return params._replace(U=None, W=None, b=None), params.W


def _product(node: _Node, W: Array | None, children: Array) -> Array | None:
    return None if node.rows is None or W is None else node.rows(children) @ W


def _leaf(
    cell: TreeCell, node: _Node, params: Params, rest: Params, W: Array | None, arity: int, z: Array
) -> Array:
    """The states of nodes without children."""
    children = jnp.zeros((z.shape[0], arity, cell.width(params)), z.dtype)
    r = jax.eval_shape(partial(_product, node), W, children)
    return node.join(rest, children, z, None if r is None else jnp.zeros(r.shape, r.dtype))


def _few_symbols(table: Array, p: Plan) -> bool:
    """Whether there are so few different inputs that a leaf's state is computed for each and looked up."""
    n, nodes = table.shape[0], p.node.shape[0]
    return isinstance(n, int) and (not isinstance(nodes, int) or 4 * n <= nodes)


def _input(table: Array, index: Array, inputs: Inputs, start: Array, size: int) -> Array:
    """z of inner nodes."""
    if inputs == "leaves":
        return jnp.broadcast_to(table[-1:], (size, table.shape[1]))
    return _at(table, _window(index, start, size))


def _by_row(values: Array, p: Plan, fill: Array | int) -> Array:
    """One value for each node of the flat batch → one for each row, ``fill`` where there is no node."""
    margin = margin_of(p)
    return jnp.pad(values[p.node], (margin, margin), constant_values=fill)


def _forward(cell: TreeCell, inputs: Inputs, params: Params, table: Array, index: Array, p: Plan) -> Done:
    margin, rows = margin_of(p), p.last.shape[0]
    node, (rest, W) = _node(cell), _parts(cell, params)
    index = _by_row(index, p, table.shape[0] - 1)
    leaf = partial(_leaf, cell, node, params, rest, W, p.children.shape[1])
    few = _few_symbols(table, p)
    by_symbol = leaf(table) if few else table

    def leaf_block(i: Array, states: Array) -> Array:
        start = margin + i * margin
        own = _at(by_symbol, _window(index, start, margin))
        return _put(states, own if few else leaf(own), start)

    states = jnp.zeros((rows, cell.width(params)), table.dtype)
    states = jax.lax.fori_loop(0, -(-p.leaves // margin), leaf_block, states)
    widths, first, end = wave_widths(p), margin + p.leaves, margin + p.nodes

    def ready(start: Array) -> Array:
        waits = _window(p.last, start, widths[-1]) >= start
        count = jnp.where(waits.any(), jnp.argmax(waits).astype(jnp.int32), widths[-1])
        # At least one, or keys that are wrong would never come to an end.
        return jnp.clip(count, 1, jnp.maximum(end - start, 1))

    def wave(size: int, carry):
        start, count, k, ends, states = carry
        children = _at(states, _window(p.children, start, size))
        z = _input(table, index, inputs, start, size)
        states = _put(states, node.join(rest, children, z, _product(node, W, children)), start)
        start = start + count
        return start, ready(start), k + 1, _put(ends, start[None], k + 1), states

    ends = jnp.zeros(p.node.shape[0] + 1, jnp.int32).at[0].set(first)
    carry = (first, ready(first), jnp.zeros((), jnp.int32), ends, states)
    _, _, waves, ends, states = _one_by_width(widths, lambda c: c[1], lambda c: c[0] < end, wave, carry)
    return Done(states, ends, waves)


def _backward(cell: TreeCell, inputs: Inputs, params, table, index, p: Plan, read, done: Done, cotangent):
    margin, A = margin_of(p), p.children.shape[1]
    rows, width = done.states.shape
    node, (rest, W) = _node(cell), _parts(cell, params)
    index = _by_row(index, p, table.shape[0] - 1)
    W_T = None if W is None else W.T  # copied once here, or it would be read column by column in every wave

    # From outside: the row of the cotangent that a node gets, the last one being 0.
    asked = cotangent.shape[0]
    cotangent = jnp.pad(cotangent, ((0, 1), (0, 0)))
    outside = jnp.full(p.node.shape[0], asked, jnp.int32).at[read].set(jnp.arange(asked, dtype=jnp.int32))
    outside = _by_row(outside, p, asked)

    def arriving(to_children: Array, start: Array, size: int, first: Array | int) -> Array:
        """Gradient of the states of a window, 0 before the row ``first``."""
        d = _at(to_children, _window(p.parent, start, size)) + _at(cotangent, _window(outside, start, size))
        own = start + jnp.arange(size, dtype=jnp.int32) >= first
        return jnp.where(own[:, None], d, 0)

    def to_input(dtable: Array, dz: Array, start: Array, size: int) -> Array:
        # Apart, or the gates would be computed again, number by number, where they are added up.
        dz = jax.lax.optimization_barrier(dz)
        return dtable.at[_window(index, start, size)].add(
            dz, mode="promise_in_bounds", wrap_negative_indices=False
        )

    def wave(size: int, carry):
        k, to_children, dtable, drest, dW = carry
        first, end = done.ends[k - 1], done.ends[k]
        start = end - size
        d = arriving(to_children, start, size, first)
        children = _at(done.states, _window(p.children, start, size))
        z = _input(table, index, inputs, start, size)
        r = _product(node, W, children)
        _, pull = jax.vjp(node.join, rest, children, z, r)
        more, dchildren, dz, dr = pull(d)
        if node.rows is not None:
            fed, pull_rows = jax.vjp(node.rows, children)
            dchildren = dchildren + pull_rows(dr @ W_T)[0]
            dW = dW + fed.reshape(-1, fed.shape[-1]).T @ dr.reshape(-1, dr.shape[-1])
        to_children = _put(to_children, dchildren.reshape(size * A, width), A * start)
        dtable = dtable.at[-1].add(dz.sum(0)) if inputs == "leaves" else to_input(dtable, dz, start, size)
        return k - 1, to_children, dtable, jax.tree.map(jnp.add, drest, more), dW

    def count(carry):
        return done.ends[carry[0]] - done.ends[carry[0] - 1]

    zeros = partial(jax.tree.map, jnp.zeros_like)
    carry = (done.waves, jnp.zeros((rows * A, width), table.dtype), zeros(table), zeros(rest), zeros(W))
    carry = _one_by_width(wave_widths(p), count, lambda c: c[0] > 0, wave, carry)
    _, to_children, dtable, drest, dW = carry

    def leaf(rest: Params, z: Array) -> Array:
        return _leaf(cell, node, params, rest, W, p.children.shape[1], z)

    def leaf_block(i: Array, carry):
        start = p.leaves - i * margin  # the window ends with the last leaf that is left
        own = arriving(to_children, start, margin, margin)
        if few:
            return to_input(carry, own, start, margin)
        dtable, drest = carry
        _, pull = jax.vjp(leaf, rest, _at(table, _window(index, start, margin)))
        more, dz = pull(own)
        return to_input(dtable, dz, start, margin), jax.tree.map(jnp.add, drest, more)

    blocks, few = -(-p.leaves // margin), _few_symbols(table, p)
    if few:
        by_symbol, pull = jax.vjp(leaf, rest, table)
        more, dz = pull(jax.lax.fori_loop(0, blocks, leaf_block, jnp.zeros_like(by_symbol)))
        dtable, drest = dtable + dz, jax.tree.map(jnp.add, drest, more)
    else:
        dtable, drest = jax.lax.fori_loop(0, blocks, leaf_block, (dtable, drest))
    if W is not None:
        drest = drest._replace(U=jnp.zeros_like(params.U), W=dW, b=jnp.zeros_like(params.b))
    return drest, dtable


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def waves(
    cell: TreeCell, inputs: Inputs, params: Params, table: Array, index: Array, p: Plan, read: Array
) -> Array:
    """The states of some nodes of a batch of trees.

    Args:
      cell, inputs, params: as of `dlnotes.layers.tree.node_states`.
      table: (n + 1, gates) projected inputs, the last one of a node that has none.
      index: (R,) row of the table for each node of the flat batch.
      p: when each node is computed.
      read: (M,) the nodes whose states are asked for, each once.

    Returns:
      (M, width).
    """
    return _run(cell, inputs, params, table, index, p, read)[0]


def _run(cell: TreeCell, inputs: Inputs, *arguments: Any) -> tuple[Array, Done]:
    @jax.custom_batching.sequential_vmap
    def run(params, table, index, p, read):
        done = _forward(cell, inputs, params, table, index, p)
        return _at(done.states, p.row[read]), done

    return run(*arguments)


def _waves_forward(cell, inputs, *arguments):
    states, done = _run(cell, inputs, *arguments)
    return states, (*arguments, done)


def _waves_backward(cell, inputs, kept, cotangent):
    run = jax.custom_batching.sequential_vmap(partial(_backward, cell, inputs))
    return *run(*kept, cotangent), None, None, None


waves.defvjp(_waves_forward, _waves_backward)
