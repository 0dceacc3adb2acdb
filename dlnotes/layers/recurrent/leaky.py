"""Cells with slow paths through time: leaky units, and skips over several steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.checks import positive
from dlnotes.layers.recurrent.cell import Cell, row, split_cell, start_of, weights, zeros
from dlnotes.typing import Array, PRNGKey


class LeakyParams(NamedTuple):
    """``h_t = (1 − 1/τ) h_{t-1} + (1/τ) tanh(b + h_{t-1} W + x_t U)``, τ of each unit.

    Attributes:
      U: (inputs, hidden).
      W: (hidden, hidden).
      b: (hidden,).
      s: (hidden,) where τ is learned, as ``τ = 1 + e^s``; ``None`` where it is fixed.
    """

    U: Array
    W: Array
    b: Array
    s: Array | None


def leaky(
    time_constants: Sequence[float] = (1.0, 4.0, 16.0),
    *,
    learned: bool = False,
    start: str = "orthogonal",
    scale: float | Array = 1.0,
) -> Cell:
    """Leaky units: a running mean over about τ steps, ``h_t = (1 − 1/τ) h_{t-1} + (1/τ) tanh(a_t)``.

    Args:
      time_constants: τ of equal groups of units, each at least 1 (a unit with τ = 1 is a plain one).
      learned: start there and learn them; τ = 1 is then taken as 1.01, for learning needs ``τ > 1``.
      start: of W, a name in ``STARTS``.
      scale: factor on W alone at the start.

    Returns:
      A `Cell` of `LeakyParams`, carry (..., hidden).

    Raises:
      ValueError: for no constants or one below 1, or an unknown start; in ``init``, for fewer
        units than constants.

    Source: notes R12.7; Mozer, 1992; El Hihi and Bengio, 1996.
    """
    taus = np.asarray(list(time_constants), np.float32)
    if not taus.size or not np.all(np.isfinite(taus)) or taus.min() < 1:
        raise ValueError(f"time_constants: got {tuple(time_constants)}, allowed are numbers of at least 1")
    first = start_of(start, scale)

    def of_units(hidden: int) -> np.ndarray:
        return taus[np.arange(hidden) * len(taus) // hidden]

    def init(key: PRNGKey, inputs: int, hidden: int, *, init_scale: float | Array = 1.0) -> LeakyParams:
        U, W = weights(key, inputs, hidden, 1, init_scale, first)
        if hidden < len(taus):
            raise ValueError(f"hidden: got {hidden}, allowed is at least one unit for each of {len(taus)} τ")
        s = jnp.asarray(np.log(np.maximum(of_units(hidden) - 1, 0.01)), jnp.float32) if learned else None
        return LeakyParams(U, W, jnp.zeros(hidden), s)

    def advance(params: LeakyParams, carry: Array, z: Array, r: Array) -> tuple[Array, Array]:
        if params.s is None:
            rate = jnp.asarray(1 / of_units(carry.shape[-1]), carry.dtype)
        else:
            rate = jax.nn.sigmoid(-params.s)  # 1 / (1 + e^s)
        h = carry + row(rate, carry) * (jnp.tanh(z + r) - carry)
        return h, h

    return split_cell(init, zeros, advance)


class DelayedParams(NamedTuple):
    """``h_t = tanh(b + h_{t-1} W_1 + h_{t-d} W_d + x_t U)``, or without the term of step t−1.

    Attributes:
      U: (inputs, hidden).
      W: (2·hidden, hidden) W_1 above W_d; (hidden, hidden) where the short connections are removed.
      b: (hidden,).
    """

    U: Array
    W: Array
    b: Array


def delayed(delay: int, *, short: bool = True, start: str = "orthogonal", scale: float | Array = 1.0) -> Cell:
    """Skip connections through time: the state also depends on the one ``delay`` steps before.

    A gradient that fades per step it passes then fades ``delay`` times more slowly. With
    ``short=False`` the connections of one step are removed: only slow paths are left, and the net is
    ``delay`` nets that read every ``delay``-th step each.

    Args:
      delay: d, at least 2.
      short: keep the connections of one step.
      start: of each recurrent matrix, a name in ``STARTS``.
      scale: factor on them alone at the start; with both, each has half of it, so that the sum keeps
        the size that one has.

    Returns:
      A `Cell` of `DelayedParams`; its carry (..., delay, hidden) holds the last states, oldest first.

    Raises:
      ValueError: for a delay below 2 or an unknown start.

    Source: notes R12.7; Lin et al., 1996; El Hihi and Bengio, 1996.
    """
    positive(delay=delay)
    if delay < 2:
        raise ValueError(f"delay: got {delay}, allowed is at least 2 (a delay of 1 is the plain cell)")
    first = start_of(start, jnp.asarray(scale, jnp.float32) / (2 if short else 1))

    def init(key: PRNGKey, inputs: int, hidden: int, *, init_scale: float | Array = 1.0) -> DelayedParams:
        U, W = weights(key, inputs, hidden, 1, init_scale, first)
        if short:
            far = first(jax.random.fold_in(key, 1), (hidden, hidden))
            W = jnp.concatenate([W, jnp.asarray(init_scale, jnp.float32) * far])
        return DelayedParams(U, W, jnp.zeros(hidden))

    def carry(params: DelayedParams, batch_shape: tuple[int, ...]) -> Array:
        return jnp.zeros((*batch_shape, delay, params.W.shape[1]), params.W.dtype)

    def read(carry: Array) -> Array:
        return jnp.concatenate([carry[..., -1, :], carry[..., 0, :]], -1) if short else carry[..., 0, :]

    def advance(params: DelayedParams, carry: Array, z: Array, r: Array) -> tuple[Array, Array]:
        h = jnp.tanh(z + r)
        return jnp.concatenate([carry[..., 1:, :], h[..., None, :]], -2), h

    return split_cell(init, carry, advance, hidden=lambda carry: carry[..., -1, :], read=read)
