"""The gradient of shared parameters, step by step, and how much of its fluctuation is due to each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from dlnotes.layers.recurrent.unroll import Cell
from dlnotes.typing import Array, Params


def gradient_by_step(
    cell: Cell, params: Params, xs: Array, loss: Callable[[Array], Array], *, carry: Any = None
) -> Params:
    """``∇_{θ^{(t)}} L`` for the copy θ^{(t)} of a cell's parameters that is used at step t only.

    Their sum over the steps is the gradient of the shared parameters, ``∇_θ L = Σ_t ∇_{θ^{(t)}} L``.

    Args:
      cell: any `Cell`.
      params: its parameters.
      xs: (time, inputs), one sequence; ``jax.vmap`` over several.
      loss: ``loss(h) -> ()`` of the last hidden state h, (hidden,).
      carry: the state before the first step, without a batch axis; by default zero.

    Returns:
      As ``params``, each leaf with a leading time axis.

    Raises:
      ValueError: when ``xs`` is not one sequence.

    Source: notes R9.2 (the copies W^{(t)}), R12.4.

    Example:
      >>> from dlnotes import layers
      >>> params = layers.rnn.init(jax.random.key(0), 2, 3)
      >>> gradient_by_step(layers.rnn, params, jnp.ones((5, 2)), jnp.sum).W.shape
      (5, 3, 3)
    """
    if xs.ndim != 2:
        raise ValueError(f"xs: got shape {xs.shape}, allowed is (time, inputs); vmap over a batch")
    start = cell.carry(params, ()) if carry is None else carry
    copies = jax.tree.map(lambda a: jnp.broadcast_to(a[None], (xs.shape[0], *a.shape)), params)

    def value(copies: Params) -> Array:
        def step(state: Any, inputs: tuple[Params, Array]) -> tuple[Any, None]:
            return cell.step(inputs[0], state, inputs[1])[0], None

        last, _ = jax.lax.scan(step, start, (copies, xs))
        return loss(cell.hidden(last))

    return jax.grad(value)(copies)


def variance_shares(by_step: Array) -> Array:
    """Of each step its part of the gradient's variance over examples, ``Σ Var(g_t) / Σ Var(Σ_t g_t)``.

    Sums go over the gradient's elements. Parts of steps that fluctuate independently add up to 1.

    Args:
      by_step: (examples, time, ...) of `gradient_by_step`, one leaf.

    Returns:
      (time,).

    Raises:
      ValueError: with fewer than two examples or no time axis.

    Source: notes R12.4.

    Example:
      >>> by_step = jax.random.normal(jax.random.key(0), (1000, 2, 50)) * jnp.array([2.0, 1.0])[None, :, None]
      >>> variance_shares(by_step).round(1)
      Array([0.8, 0.2], dtype=float32)
    """
    if by_step.ndim < 2 or by_step.shape[0] < 2:
        raise ValueError(f"by_step: got shape {by_step.shape}, needed is (examples, time, ...), two examples")
    flat = by_step.reshape(*by_step.shape[:2], -1)
    return jnp.var(flat, axis=0).sum(-1) / jnp.var(flat.sum(1), axis=0).sum()
