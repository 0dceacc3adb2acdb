"""How strongly a state depends on an earlier one: Jacobians of a recurrent net through its steps.

``∂h_t/∂h_{t-k} = J_t J_{t-1} … J_{t-k+1}``, a product of k matrices: it fades or grows exponentially
in k, and with it the gradient that reaches back k steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from dlnotes.layers.recurrent.unroll import Cell
from dlnotes.typing import Array, Params


class Steps(NamedTuple):
    """What a cell does along one sequence, step by step.

    Attributes:
      states: (time + 1, n), the whole carry as one vector, before the first step and after each.
      jacobians: (time, n, n), ``J_t = ∂s_t/∂s_{t-1}``, a row for each element of ``s_t``.
    """

    states: Array
    jacobians: Array


def step_jacobians(cell: Cell, params: Params, xs: Array, *, carry: Any = None) -> Steps:
    """The Jacobian of each step of a cell along one sequence, by automatic differentiation.

    For the plain cell it is ``diag(1 − h_t²) W`` in the notes' columns.

    Args:
      cell: any `Cell`; of one with more than a hidden state (an LSTM) the whole carry is the state.
      params: its parameters.
      xs: (time, inputs), one sequence.
      carry: the state before the first step, without a batch axis; by default zero.

    Raises:
      ValueError: when ``xs`` is not one sequence.

    Source: notes R12.4.
    """
    if xs.ndim != 2:
        raise ValueError(f"xs: got shape {xs.shape}, allowed is (time, inputs); vmap over a batch")
    start, unravel = ravel_pytree(cell.carry(params, ()) if carry is None else carry)

    def step(state: Array, x: Array) -> Array:
        return ravel_pytree(cell.step(params, unravel(state), x)[0])[0]

    def along(state: Array, x: Array):
        new = step(state, x)
        return new, (new, jax.jacrev(step)(state, x))

    _, (states, jacobians) = jax.lax.scan(along, start, xs)
    return Steps(jnp.concatenate([start[None], states]), jacobians)


def back_from_the_end(jacobians: Array) -> Array:
    """``∂s_τ/∂s_{τ-k}`` for k = 0 … τ, the products from the last step backwards.

    Args:
      jacobians: (time, n, n), of `step_jacobians`.

    Returns:
      (time + 1, n, n); the first is the identity.

    Source: notes R12.4.
    """
    start = jnp.eye(jacobians.shape[-1], dtype=jacobians.dtype)

    def back(product: Array, J: Array):
        product = product @ J
        return product, product

    _, products = jax.lax.scan(back, start, jacobians, reverse=True)
    return jnp.concatenate([start[None], products[::-1]])


def norms_back(jacobians: Array) -> Array:
    """``log ‖∂s_τ/∂s_{τ-k}‖`` for k = 0 … τ, spectral norms, (time + 1,).

    The product is scaled back to norm one after every factor and the logarithms are added up, so that
    hundreds of steps neither overflow nor fade to 0 in float32.

    Args:
      jacobians: (time, n, n), of `step_jacobians`.

    Source: notes R12.4.

    Example:
      >>> norms_back(jnp.full((3, 1, 1), 0.5)) / jnp.log(2.0)
      Array([ 0., -1., -2., -3.], dtype=float32)
    """

    def back(state: tuple[Array, Array], J: Array):
        product, log = state
        product = product @ J
        norm = jnp.linalg.norm(product, 2)
        log = log + jnp.log(norm)
        safe = jnp.where(norm > 0, norm, 1.0)
        return (product / safe, log), log

    n = jacobians.shape[-1]
    start = jnp.eye(n, dtype=jacobians.dtype), jnp.zeros((), jacobians.dtype)
    _, logs = jax.lax.scan(back, start, jacobians, reverse=True)
    return jnp.concatenate([jnp.zeros(1, logs.dtype), logs[::-1]])


def rate_per_step(logs: Array, first: int = 1) -> Array:
    """The slope of ``log ‖∂s_τ/∂s_{τ-k}‖`` in k by least squares, from k = ``first`` on.

    Below 0 the gradient vanishes, by the factor ``exp(slope)`` a step; above 0 it explodes.

    Args:
      logs: (..., time + 1), of `norms_back`.
      first: the first k that counts.
    """
    k = jnp.arange(first, logs.shape[-1], dtype=logs.dtype)
    k = k - jnp.mean(k)
    return (logs[..., first:] @ k) / jnp.sum(k * k)
