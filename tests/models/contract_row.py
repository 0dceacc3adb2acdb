"""What one line of the model contract (test_contract.py) is made of.

A new model joins by one row: in a file ``tests/models/rows_<family>.py`` define
``ROWS: list[Row]``. Every such file is found by name; nothing else has to be edited. Example::

    from contract_row import Row, cross_entropy
    from dlnotes import models
    from dlnotes.typing import Batch

    def batch():                                  # numpy or jax arrays, the same on each call
        ...
        return Batch(x, y, mask, weight)          # at least 4 examples, weight all ones

    ROWS = [Row("mlp", lambda: models.mlp(6, (8,), 3, dropout=0.3), batch, cross_entropy, random=True)]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from dlnotes.models.model import Model
from dlnotes.typing import IGNORE, Array, Batch


class Row(NamedTuple):
    """One model under the contract.

    Attributes:
      name: the test id.
      model: makes the model. Called without a key it must be deterministic; its dropout, where it
        has one, is only active with a key.
      batch: makes a small `Batch`, every weight 1, random and non-constant.
      loss: ``loss(output, batch) -> (batch,)`` float32, one value per example, padding ignored.
      random: True when the model has dropout, so that a key must change its output.
      smooth: a variant without kinks (tanh for ReLU) for finite differences; default ``model``.
      pad: ``pad(batch) -> batch`` with further positions masked out and filled with garbage (finite,
        valid indices), for models that take a mask; the loss and its gradient must not move.
      per_example_keys: False when the model reduces ``(batch,)`` keys to one (foreign modules).
      slow: True for a variant whose parts other rows have too: it is only held against with ``-m slow``.
      learning_rate, steps, overfit: Adam at that rate must bring the mean loss below ``overfit``.
    """

    name: str
    model: Callable[[], Model]
    batch: Callable[[], Batch]
    loss: Callable[[Array, Batch], Array]
    random: bool = False
    smooth: Callable[[], Model] | None = None
    pad: Callable[[Batch], Batch] | None = None
    per_example_keys: bool = True
    slow: bool = False
    learning_rate: float = 1e-2
    steps: int = 200
    overfit: float = 0.05


def cross_entropy(output: Array, batch: Batch) -> Array:
    """Softmax cross-entropy per example; ``(batch, time)`` labels are summed, those at IGNORE skipped."""
    y = jnp.asarray(batch.y)
    real = y != IGNORE
    logits = jnp.asarray(output, jnp.float32)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.where(real, y, 0))
    loss = jnp.where(real, loss, 0.0)
    return loss.reshape(loss.shape[0], -1).sum(-1)


def squared_error(output: Array, batch: Batch) -> Array:
    """Half the squared distance per example, for ``y`` of the shape of the output."""
    difference = jnp.asarray(output, jnp.float32) - jnp.asarray(batch.y, jnp.float32)
    return 0.5 * (difference**2).reshape(difference.shape[0], -1).sum(-1)


def take(batch: Any, rows: Any) -> Any:
    """Some rows of every array of a batch (``None`` leaves stay)."""
    import jax

    return jax.tree.map(lambda a: a[rows], batch)
