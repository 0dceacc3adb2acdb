"""A recurrent net over a grid, from all four corners: every position sees the whole image.

A state needs those above it and to its left, so all positions of an anti-diagonal can be computed
at once: row i of the image is moved i places to the right, and the columns of the slanted image
are the steps of one scan (a wavefront). Height + width − 1 steps, whatever the direction.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.checks import positive
from dlnotes.layers.convolutional.masked import only
from dlnotes.layers.recurrent.bptt import written_out
from dlnotes.layers.recurrent.cell import weights
from dlnotes.typing import Array, PRNGKey

CORNERS = ((False, False), (False, True), (True, False), (True, True))
"""Where each of the four nets begins: (from below, from the right)."""


class GridRNN(NamedTuple):
    """``h_ij = tanh(b + h_{i,j-1} W_1 + h_{i-1,j} W_2 + x_ij U)``, and the same from the other corners.

    Attributes:
      U: (4, inputs, hidden), one for each of ``CORNERS``.
      W: (4, 2·hidden, hidden), W_1 (along a row) above W_2 (along a column).
      b: (4, hidden).
    """

    U: Array
    W: Array
    b: Array


def init_grid_rnn(key: PRNGKey, inputs: int, hidden: int, *, init_scale: float | Array = 1.0) -> GridRNN:
    """`GridRNN`: U Glorot uniform; W_1 and W_2 orthogonal, halved, for there are two of them."""
    positive(inputs=inputs, hidden=hidden)

    def one(key: PRNGKey) -> tuple[Array, Array]:
        key, other = jax.random.split(key)
        U, along = weights(key, inputs, hidden, 1, init_scale)
        _, down = weights(other, inputs, hidden, 1, init_scale)
        return U, 0.5 * jnp.concatenate([along, down])

    U, W = zip(*(one(k) for k in jax.random.split(key, len(CORNERS))))
    return GridRNN(jnp.stack(U), jnp.stack(W), jnp.zeros((len(CORNERS), hidden)))


def grid_rnn(params: GridRNN, x: Array, *, mask: Array | None = None) -> Array:
    """The states of a recurrent net that crosses the image from each corner, side by side.

    Args:
      params: `GridRNN`.
      x: (batch, height, width, inputs).
      mask: (batch, height, width) booleans, True on the real positions, a box from the first
        position; ``None`` where all are. A padded image gives what it gives alone, and 0 outside.

    Returns:
      (batch, height, width, 4·hidden), in the order of ``CORNERS``.

    Raises:
      ValueError: for wrong shapes.

    Example:
      >>> params = init_grid_rnn(jax.random.key(0), 3, 8)
      >>> grid_rnn(params, jnp.ones((2, 5, 7, 3))).shape
      (2, 5, 7, 32)

    Source: notes R10.2; Graves, Fernández and Schmidhuber, 2007; Goodfellow et al. 2016, 10.3.
    """
    if x.ndim != 4:
        raise ValueError(f"x: got shape {x.shape}, allowed is (batch, height, width, inputs)")
    if mask is not None and mask.shape != x.shape[:-1]:
        raise ValueError(f"mask: got shape {mask.shape}, allowed is {x.shape[:-1]}")
    turned = jnp.stack([_flip(x, corner) for corner in CORNERS])
    active = None if mask is None else jnp.stack([_flip(mask, corner) for corner in CORNERS])

    def one(params: GridRNN, x: Array, active: Array | None) -> Array:
        z = x.reshape(-1, x.shape[-1]) @ params.U + params.b[None]
        z = _slant(z.reshape(*x.shape[:-1], -1))
        here = jnp.ones(x.shape[:-1], bool) if active is None else active
        first = jnp.zeros((*x.shape[:2], z.shape[-1]), z.dtype)
        _, hs = _wavefront(params, first, z, _slant(here)[..., None])
        return _upright(hs, x.shape[2])

    hs = jax.vmap(one)(params, turned, active)
    return only(jnp.concatenate([_flip(h, corner) for h, corner in zip(hs, CORNERS)], -1), mask)


def _flip(x: Array, corner: tuple[bool, bool]) -> Array:
    """The image seen from a corner, of (batch, height, width, ...)."""
    axes = [axis for axis, turned in zip((1, 2), corner) if turned]
    return jnp.flip(x, axes) if axes else x


def _slant(x: Array) -> Array:
    """Diagonals first: entry (k, n, i) is ``x[n, i, k − i]``, or 0; (batch, height, width, ...)."""
    batch, height, width = x.shape[:3]
    wide = jnp.pad(x, ((0, 0), (0, 0), (0, height), *((0, 0),) * (x.ndim - 3)))
    flat = wide.reshape(batch, height * (width + height), *x.shape[3:])[:, : height * (width + height - 1)]
    slanted = flat.reshape(batch, height, width + height - 1, *x.shape[3:])
    return jnp.moveaxis(slanted, 2, 0)


def _upright(y: Array, width: int) -> Array:
    """`_slant` undone: (diagonals, batch, height, ...) to (batch, height, width, ...)."""
    slanted = jnp.moveaxis(y, 0, 2)
    batch, height, diagonals = slanted.shape[:3]
    flat = slanted.reshape(batch, height * diagonals, *y.shape[3:])
    flat = jnp.pad(flat, ((0, 0), (0, height), *((0, 0),) * (y.ndim - 3)))
    return flat.reshape(batch, height, diagonals + 1, *y.shape[3:])[:, :, :width]


def _neighbors(carry: Array) -> Array:
    """Of the diagonal before, (..., height, hidden): in row i its own state, then that of row i−1."""
    above = jnp.concatenate([jnp.zeros_like(carry[..., :1, :]), carry[..., :-1, :]], -2)
    return jnp.concatenate([carry, above], -1)


def _advance(params: GridRNN, carry: Array, z: Array, r: Array) -> tuple[Array, Array]:
    h = jnp.tanh(z + r)
    return h, h


_wavefront = written_out(_advance, _neighbors)
# A row holds its state before it begins (0) and after its end (read by nobody), so that where the real
# positions are a box, a state outside is 0 for all who read it.
