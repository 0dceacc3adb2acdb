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

from dlnotes.layers.recursive.cells import Parts, TreeCell
from dlnotes.layers.recursive.schedule import Plan, margin_of, wave_widths
from dlnotes.typing import Array, Params

Inputs = Literal["leaves", "nodes"]


class Residuals(NamedTuple):
    """What the forward pass leaves behind.

    Attributes:
      states: each part (rows, width).
      ends: (R + 1,) the row behind the leaves, then that behind each wave.
      waves: their number.
    """

    states: Parts
    ends: Array
    waves: Array


def _window(a: Array, start: Array, size: int) -> Array:
    return jax.lax.dynamic_slice_in_dim(a, start, size, 0)


def _at(a: Any, rows: Array) -> Any:
    """Some rows of an array or of each of several, all known to be there."""
    options = {"mode": "promise_in_bounds", "wrap_negative_indices": False}
    return jax.tree.map(lambda a: a.at[rows].get(**options), a)


def _put(a: Any, part: Any, start: Array) -> Any:
    """Rows of an array or of each of several replaced."""
    return jax.tree.map(lambda a, b: jax.lax.dynamic_update_slice_in_dim(a, b, start, 0), a, part)


def _one_by_width(
    widths: tuple[int, ...],
    size: Callable[[Any], Array],
    more: Callable[[Any], Array],
    step: Callable[[int, Any], Any],
    carry: Any,
    rest: Callable[[Any], Any] | None = None,
) -> Any:
    """``step(width, carry)`` while there is ``more``, with the smallest width that holds ``size(carry)``.

    A loop for each width inside a loop over all: branches would copy the buffers that they change. A size
    of 0 is for ``rest(carry)``.
    """

    def fits(below: int, width: int, carry: Any) -> Array:
        return more(carry) & (size(carry) > below) & (size(carry) <= width)

    def over_widths(carry: Any) -> Any:
        for below, width in zip((0, *widths), widths):
            carry = jax.lax.while_loop(partial(fits, below, width), partial(step, width), carry)
        if rest is not None:
            carry = jax.lax.while_loop(partial(fits, -1, 0), rest, carry)
        return carry

    return jax.lax.while_loop(more, over_widths, carry)


class _Products(NamedTuple):
    """``Σ fedᵀ d`` over the rows of all waves, in products of many rows at a time.

    Attributes:
      total: (n, m), the sum so far.
      fed: (2·most, n), rows that are not yet in it, the last ones; those before ``top`` have ``d`` zero.
      d: (2·most, m).
      top: the first of them.
    """

    total: Array
    fed: Array
    d: Array
    top: Array

    @classmethod
    def none(cls, W: Array, most: int) -> _Products:
        """Room for at least one window of ``most`` rows."""
        fed, d = (jnp.zeros((2 * most, size), W.dtype) for size in W.shape)
        return cls(jnp.zeros_like(W), fed, d, jnp.asarray(2 * most, jnp.int32))

    def full(self) -> Array:
        return self.top < self.fed.shape[0] // 2

    def put(self, fed: Array, d: Array, own: Array) -> _Products:
        """With a window of which the ``own`` last rows count and the others have ``d`` zero."""
        start = self.top - fed.shape[0]
        return self._replace(fed=_put(self.fed, fed, start), d=_put(self.d, d, start), top=self.top - own)

    def summed(self) -> _Products:
        top = jnp.asarray(self.fed.shape[0], jnp.int32)
        return _Products(self.total + self.fed.T @ self.d, self.fed, jnp.zeros_like(self.d), top)


class _Node(NamedTuple):
    """A cell as the two passes use it: states in parts, its matrix taken out where it has one.

    Attributes:
      combine: ``combine(rest, children, z, r) -> state``.
      rows: ``rows(children)``, or ``None``.
      rest: the parameters that ``combine`` reads.
      W: the matrix, or ``None``.
      widths: of each part of a state.
    """

    combine: Callable[..., Parts]
    rows: Callable[[Parts], Array] | None
    rest: Params
    W: Array | None
    widths: tuple[int, ...]

    def product(self, children: Parts) -> Array | None:
        return None if self.rows is None or self.W is None else self.rows(children) @ self.W

    def leaf(self, rest: Params, z: Array, arity: int) -> Parts:
        """The states of nodes without children."""
        children = tuple(jnp.zeros((z.shape[0], arity, width), z.dtype) for width in self.widths)
        r = jax.eval_shape(self.product, children)
        return self.combine(rest, children, z, None if r is None else jnp.zeros(r.shape, r.dtype))


def _node(cell: TreeCell, params: Params) -> _Node:
    if cell.advance is None:

        def combine(params: Params, children: Parts, z: Array, r: None) -> Parts:
            return (cell.combine(params, children[0], z),)

        return _Node(combine, None, params, None, (cell.width(params),))
    rest = params._replace(U=None, W=None, b=None)
    widths = (cell.width(params) // cell.parts,) * cell.parts
    return _Node(cell.advance, cell.rows, rest, params.W, widths)


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


def _forward(
    cell: TreeCell, inputs: Inputs, params: Params, table: Array, index: Array, p: Plan
) -> Residuals:
    margin, rows, arity = margin_of(p), *p.children.shape
    node = _node(cell, params)
    index = _by_row(index, p, table.shape[0] - 1)
    few = _few_symbols(table, p)
    by_symbol = node.leaf(node.rest, table, arity) if few else table

    def leaf_block(i: Array, states: Parts) -> Parts:
        start = margin + i * margin
        own = _window(index, start, margin)
        found = _at(by_symbol, own) if few else node.leaf(node.rest, _at(table, own), arity)
        return _put(states, found, start)

    states = tuple(jnp.zeros((rows, width), table.dtype) for width in node.widths)
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
        states = _put(states, node.combine(node.rest, children, z, node.product(children)), start)
        start = start + count
        return start, ready(start), k + 1, _put(ends, start[None], k + 1), states

    ends = jnp.zeros(p.node.shape[0] + 1, jnp.int32).at[0].set(first)
    carry = (first, ready(first), jnp.zeros((), jnp.int32), ends, states)
    _, _, waves, ends, states = _one_by_width(widths, lambda c: c[1], lambda c: c[0] < end, wave, carry)
    return Residuals(states, ends, waves)


def _backward(
    cell: TreeCell, inputs: Inputs, params, table, index, p: Plan, read, done: Residuals, cotangent
):
    margin, rows, arity = margin_of(p), *p.children.shape
    node = _node(cell, params)
    index = _by_row(index, p, table.shape[0] - 1)
    # Copied once here, or it would be read column by column in every wave.
    W_T = None if node.W is None else node.W.T

    # From outside: the row of the cotangent that a node gets, the last one being 0.
    asked = cotangent.shape[0]
    cotangent = jnp.split(jnp.pad(cotangent, ((0, 1), (0, 0))), len(node.widths), -1)
    outside = jnp.full(p.node.shape[0], asked, jnp.int32).at[read].set(jnp.arange(asked, dtype=jnp.int32))
    outside = _by_row(outside, p, asked)

    def arriving(to_children: Parts, start: Array, size: int, first: Array | int) -> Parts:
        """Gradient of the states of a window, 0 before the row ``first``."""
        parent, row = _window(p.parent, start, size), _window(outside, start, size)
        own = (start + jnp.arange(size, dtype=jnp.int32) >= first)[:, None]
        return tuple(
            jnp.where(own, _at(below, parent) + _at(given, row), 0)
            for below, given in zip(to_children, cotangent)
        )

    def to_input(d: Any, part: Any, start: Array, size: int) -> Any:
        # Apart, or the gates would be computed again, number by number, where they are added up.
        part, own = jax.lax.optimization_barrier(part), _window(index, start, size)
        options = {"mode": "promise_in_bounds", "wrap_negative_indices": False}
        return jax.tree.map(lambda a, b: a.at[own].add(b, **options), d, part)

    def wave(size: int, carry):
        k, to_children, dtable, drest, products = carry
        first, end = done.ends[k - 1], done.ends[k]
        start = end - size
        children = _at(done.states, _window(p.children, start, size))
        z = _input(table, index, inputs, start, size)
        _, pull = jax.vjp(node.combine, node.rest, children, z, node.product(children))
        more, dchildren, dz, dr = pull(arriving(to_children, start, size, first))
        if node.rows is not None:
            fed, pull_rows = jax.vjp(node.rows, children)
            dchildren = jax.tree.map(jnp.add, dchildren, pull_rows(dr @ W_T)[0])
            fed, dr = fed.reshape(-1, fed.shape[-1]), dr.reshape(-1, dr.shape[-1])
            products = products.put(fed, dr, (end - first) * (fed.shape[0] // size))
        dchildren = tuple(d.reshape(size * arity, -1) for d in dchildren)
        to_children = _put(to_children, dchildren, arity * start)
        dtable = dtable.at[-1].add(dz.sum(0)) if inputs == "leaves" else to_input(dtable, dz, start, size)
        return k - 1, to_children, dtable, jax.tree.map(jnp.add, drest, more), products

    def count(carry):
        own = done.ends[carry[0]] - done.ends[carry[0] - 1]
        return own if node.W is None else jnp.where(carry[-1].full(), 0, own)

    def sum_products(carry):
        return *carry[:-1], carry[-1].summed()

    zeros = partial(jax.tree.map, jnp.zeros_like)
    to_children = tuple(jnp.zeros((rows * arity, width), table.dtype) for width in node.widths)
    widths, products = wave_widths(p), None
    if node.W is not None and node.rows is not None:
        window = tuple(jnp.zeros((widths[-1], arity, width), table.dtype) for width in node.widths)
        products = _Products.none(node.W, jax.eval_shape(node.rows, window).size // node.W.shape[0])
    carry = (done.waves, to_children, zeros(table), zeros(node.rest), products)
    summing = None if products is None else sum_products
    carry = _one_by_width(widths, count, lambda c: c[0] > 0, wave, carry, summing)
    _, to_children, dtable, drest, products = carry

    def leaf_block(i: Array, carry):
        start = p.leaves - i * margin  # the window ends with the last leaf that is left
        own = arriving(to_children, start, margin, margin)
        if few:
            return to_input(carry, own, start, margin)
        dtable, drest = carry
        z = _at(table, _window(index, start, margin))
        _, pull = jax.vjp(partial(node.leaf, arity=arity), node.rest, z)
        more, dz = pull(own)
        return to_input(dtable, dz, start, margin), jax.tree.map(jnp.add, drest, more)

    blocks, few = -(-p.leaves // margin), _few_symbols(table, p)
    if few:
        by_symbol, pull = jax.vjp(partial(node.leaf, arity=arity), node.rest, table)
        more, dz = pull(jax.lax.fori_loop(0, blocks, leaf_block, zeros(by_symbol)))
        dtable, drest = dtable + dz, jax.tree.map(jnp.add, drest, more)
    else:
        dtable, drest = jax.lax.fori_loop(0, blocks, leaf_block, (dtable, drest))
    if products is not None:
        dW = products.summed().total
        drest = drest._replace(U=jnp.zeros_like(params.U), W=dW, b=jnp.zeros_like(params.b))
    return drest, dtable


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def waves(
    cell: TreeCell, inputs: Inputs, params: Params, table: Array, index: Array, p: Plan, read: Array
) -> Array:
    """The states of some nodes of a batch of trees.

    Args:
      cell, inputs, params: as of `dlnotes.layers.recursive.states.node_states`.
      table: (n + 1, gates) projected inputs, the last one of a node that has none.
      index: (R,) row of the table for each node of the flat batch.
      p: when each node is computed.
      read: (M,) the nodes whose states are asked for, each once.

    Returns:
      (M, width).
    """
    return _run(cell, inputs, params, table, index, p, read)[0]


def _run(cell: TreeCell, inputs: Inputs, *arguments: Any) -> tuple[Array, Residuals]:
    @jax.custom_batching.sequential_vmap
    def run(params, table, index, p, read):
        done = _forward(cell, inputs, params, table, index, p)
        return jnp.concatenate(_at(done.states, p.row[read]), -1), done

    return run(*arguments)


def _waves_forward(cell, inputs, *arguments):
    states, done = _run(cell, inputs, *arguments)
    return states, (*arguments, done)


def _waves_backward(cell, inputs, kept, cotangent):
    run = jax.custom_batching.sequential_vmap(partial(_backward, cell, inputs))
    return *run(*kept, cotangent), None, None, None


waves.defvjp(_waves_forward, _waves_backward)
