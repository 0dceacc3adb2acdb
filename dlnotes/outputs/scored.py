"""A training output that was drawn, and the gradient in the probability of the draw."""

from __future__ import annotations

from functools import wraps
from typing import Any, NamedTuple

from jax import lax

from dlnotes.outputs.losses import LossFn, PerExample
from dlnotes.typing import Array


class Scored(NamedTuple):
    """The output that a random choice u led to.

    Attributes:
      output: ``(batch, ...)``.
      log_probability: ``(batch,)`` of the choice, ``log p(u_i | x_i)``.
      baseline: ``(batch,)`` what is expected of the loss before the choice is known.
    """

    output: Any
    log_probability: Array
    baseline: Array


def scored(loss: LossFn) -> LossFn:
    """A loss that takes a `Scored` output: its value is the loss, its gradient also that of the choice.

    The gradient of ``E[C(u)]`` in the probabilities of u is estimated by ``(C_i − b_i) ∇ log p(u_i | x_i)``,
    example by example; it is unbiased for any baseline b that does not depend on u. The baseline is fitted
    by ``(C_i − b_i)² / 2``. Both are added with the value 0. A plain output is measured as it is.

    Args:
      loss: of the output.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from dlnotes.outputs import squared_error
      >>> def of(log_p):
      ...     drawn = Scored(jnp.array([[3.0]]), log_p, jnp.array([0.5]))
      ...     return scored(squared_error)(drawn, jnp.array([[1.0]])).total.sum()
      >>> value, slope = jax.value_and_grad(of)(jnp.array([-0.7]))
      >>> float(value), slope.tolist()
      (4.0, [3.5])

    Source: Williams, 1992; notes L13.11.
    """

    @wraps(loss, updated=())
    def measure(output: Any, y: Array) -> PerExample:
        if not isinstance(output, Scored):
            return loss(output, y)
        found = loss(output.output, y)
        cost = lax.stop_gradient(found.total)
        baseline = output.baseline.astype(cost.dtype)
        of_choice = lax.stop_gradient(cost - baseline) * output.log_probability.astype(cost.dtype)
        only_slopes = found.count.clip(max=1) * (of_choice + (cost - baseline) ** 2 / 2)
        return PerExample(found.total + only_slopes - lax.stop_gradient(only_slopes), found.count)

    return measure


def unscored(metric: LossFn) -> LossFn:
    """A metric of the output alone, where that is a `Scored`.

    Args:
      metric: of the output.

    Example:
      >>> import jax.numpy as jnp
      >>> from dlnotes.outputs import squared_error
      >>> output = Scored(jnp.array([[1.0]]), jnp.array([-0.7]), jnp.array([0.5]))
      >>> unscored(squared_error)(output, jnp.array([[3.0]])).total.tolist()
      [4.0]
    """

    @wraps(metric, updated=())
    def measure(output: Any, y: Array) -> PerExample:
        return metric(output.output if isinstance(output, Scored) else output, y)

    return measure
