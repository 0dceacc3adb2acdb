"""A network's output in training with a penalty that belongs to it, as for an uneven use of its parts."""

from __future__ import annotations

from functools import wraps
from typing import Any, NamedTuple

from dlnotes.outputs.losses import LossFn, PerExample
from dlnotes.typing import Array


class Penalized(NamedTuple):
    """What ``update`` of such a network gives.

    Attributes:
      output: ``(batch, ...)``, what ``apply`` gives.
      penalty: ``(batch,)`` the part of each example in the penalty, which is the mean over the examples.
    """

    output: Any
    penalty: Array


def penalized(loss: LossFn) -> LossFn:
    """A loss that takes a `Penalized` output and adds its penalty, ``loss_i + penalty_i``.

    The penalty is reduced as the loss is, over examples that count. So neither padding, nor the number of
    devices, nor accumulation changes it. A plain output, as in evaluation, has none.

    Args:
      loss: of the output.

    Example:
      >>> import jax.numpy as jnp
      >>> from dlnotes.outputs import squared_error
      >>> output, y = jnp.array([[1.0], [2.0]]), jnp.array([[1.0], [4.0]])
      >>> penalized(squared_error)(Penalized(output, jnp.array([0.5, 0.25])), y).total.tolist()
      [0.5, 4.25]
    """

    @wraps(loss, updated=())
    def measure(output: Any, y: Array) -> PerExample:
        if not isinstance(output, Penalized):
            return loss(output, y)
        found = loss(output.output, y)
        return PerExample(found.total + found.count * output.penalty.astype(found.total.dtype), found.count)

    return measure


def unpenalized(metric: LossFn) -> LossFn:
    """A metric of the output alone, where that is a `Penalized`.

    Args:
      metric: of the output.

    Example:
      >>> import jax.numpy as jnp
      >>> from dlnotes.outputs import squared_error
      >>> output = Penalized(jnp.array([[1.0]]), jnp.array([0.5]))
      >>> unpenalized(squared_error)(output, jnp.array([[3.0]])).total.tolist()
      [4.0]
    """

    @wraps(metric, updated=())
    def measure(output: Any, y: Array) -> PerExample:
        return metric(output.output if isinstance(output, Penalized) else output, y)

    return measure
