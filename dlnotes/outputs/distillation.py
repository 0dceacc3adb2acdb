"""What a student learns from: the answers of a teacher beside the targets of the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.outputs.losses import LossFn, PerExample, _numbers, _sum_positions, cross_entropy, target_count
from dlnotes.typing import IGNORE, Array


def distillation(
    logits: Array,
    y: Array,
    teacher: Array,
    *,
    temperature: float | Array = 1.0,
    share: float | Array = 1.0,
    label_smoothing: float | Array = 0.0,
) -> PerExample:
    """``a·T²·KL(softmax(t/T) ‖ softmax(z/T)) + (1 − a)·(−log softmax(z)_y)`` for logits z, the teacher's t.

    ``T²`` keeps the size of the gradient, ``a·T·(softmax(z/T) − softmax(t/T))``, whatever the temperature. As
    T grows it becomes ``a·(z − t)/K`` with z and t centered: the matching of logits.

    Args:
      logits: ``(batch, ..., K)`` of the student.
      y: ``(batch, ...)`` int classes; at `IGNORE` (-1) the teacher alone counts.
      teacher: ``(batch, ..., K)`` logits, or logarithms of probabilities; no gradient goes to them.
      temperature: T > 0; may be traced.
      share: a in [0, 1]; may be traced. At 0 it is `cross_entropy`, at 1 labels do not count.
      label_smoothing: of the labels' part, as in `cross_entropy`.

    Returns:
      The sum over positions, and how many there are; an example without a label counts too.

    Raises:
      ValueError: on shapes that differ, or a plain temperature or share that is not allowed.

    Source: notes L13.6; Hinton, Vinyals and Dean, 2015.

    Example:
      >>> import jax.numpy as jnp
      >>> z, y = jnp.array([[2.0, 0.0, -1.0]]), jnp.array([0])
      >>> abs(float(distillation(z, y, z + 5.0, temperature=3.0).total[0])) < 1e-5  # it has learned all
      True
    """
    if teacher.shape != logits.shape:
        raise ValueError(f"teacher: got shape {teacher.shape}, allowed is that of the logits, {logits.shape}")
    if isinstance(temperature, (int, float)) and temperature <= 0:
        raise ValueError(f"temperature: got {temperature}, allowed is above 0")
    _check_share(share)
    T, a = jnp.asarray(temperature, jnp.float32), jnp.asarray(share, jnp.float32)
    log_p = jax.nn.log_softmax(jax.lax.stop_gradient(teacher).astype(jnp.float32) / T, axis=-1)
    log_q = jax.nn.log_softmax(logits.astype(jnp.float32) / T, axis=-1)
    p = jnp.exp(log_p)
    divergence = _sum_positions(jnp.sum(jnp.where(p > 0, p * (log_p - log_q), 0.0), axis=-1))
    labels = cross_entropy(logits, y, label_smoothing=label_smoothing)
    count = jnp.full(y.shape[:1], float(np.prod(y.shape[1:])), jnp.float32)
    return PerExample(a * T**2 * divergence + (1 - a) * labels.total, count)


def imitation(prediction: Array, y: Array, teacher: Array, *, share: float | Array = 1.0) -> PerExample:
    """``a·mean_j (ŷ_j − t_j)² + (1 − a)·mean_j (ŷ_j − y_j)²`` for the teacher's predictions t.

    Args:
      prediction, teacher: ``(batch, outputs)``; no gradient goes to the teacher.
      y: ``(batch, outputs)``; where it is not a number the teacher alone counts.
      share: a in [0, 1]; may be traced.

    Raises:
      ValueError: on shapes that differ, or a plain share that is not allowed.

    Source: notes L13.6.

    Example:
      >>> import jax.numpy as jnp
      >>> y, t = jnp.array([[0.0]]), jnp.array([[1.0]])
      >>> [float(imitation(jnp.array([[v]]), y, t, share=0.75).total[0]) for v in (0.0, 0.75, 1.0)]
      [0.75, 0.1875, 0.25]
    """
    if teacher.shape != prediction.shape:
        allowed = f"allowed is that of the prediction, {prediction.shape}"
        raise ValueError(f"teacher: got shape {teacher.shape}, {allowed}")
    _check_share(share)
    prediction, y = _numbers(prediction, y)
    a, known = jnp.asarray(share, jnp.float32), jnp.isfinite(y)
    own = jnp.where(known, jnp.square(prediction - jnp.where(known, y, 0.0)), 0.0)
    taught = jnp.square(prediction - jax.lax.stop_gradient(teacher).astype(jnp.float32))
    total = _sum_positions(a * taught + (1 - a) * own) / (y.size / y.shape[0])
    return PerExample(total, target_count(y))


def _check_share(share: float | Array) -> None:
    if isinstance(share, (int, float)) and not 0 <= share <= 1:
        raise ValueError(f"share: got {share}, allowed is 0 <= share <= 1")


def join_answers(y: Any, answers: Any) -> Any:
    """Targets and a teacher's answers as one array of targets, which any training takes.

    Args:
      y: ``(n,)`` int classes below 2²⁴, or ``(n, outputs)`` numbers; numpy or jax.
      answers: ``(n, K)`` of the teacher.

    Returns:
      ``(n, 1 + K)`` or ``(n, outputs + K)`` float32.

    Example:
      >>> join_answers(np.array([2, -1]), np.array([[0.5, 0.5], [1.0, 0.0]])).tolist()
      [[2.0, 0.5, 0.5], [-1.0, 1.0, 0.0]]
    """
    xp = np if isinstance(y, np.ndarray) and isinstance(answers, np.ndarray) else jnp
    return xp.concatenate([y.reshape(len(y), -1).astype(np.float32), answers.astype(np.float32)], axis=-1)


def targets_of(y: Array, *, classes: bool, outputs: int) -> tuple[Array, Array | None]:
    """The data's targets and the teacher's answers (``None`` in targets that have none).

    Args:
      y: of `join_answers`, or targets of the data.
      classes: whether the targets are classes.
      outputs: of the network.

    Example:
      >>> y, answers = targets_of(jnp.array([[2.0, 0.5, 0.5, 0.0]]), classes=True, outputs=3)
      >>> y.tolist(), answers.tolist()
      ([2], [[0.5, 0.5, 0.0]])
    """
    own = 1 if classes else outputs
    if y.ndim != 2 or y.shape[1] != own + outputs:
        return y, None
    labels, answers = y[:, :own], y[:, own:]
    return (labels[:, 0].astype(jnp.int32) if classes else labels), answers


def without_answers(measure: LossFn, *, classes: bool, outputs: int) -> LossFn:
    """A loss or metric of the data's targets, for targets that may have a teacher's answers beside them.

    An example whose target is not known, `IGNORE` or not a number, does not count.
    """

    def of_targets(output: Array, y: Array) -> PerExample:
        own, answers = targets_of(y, classes=classes, outputs=outputs)
        if answers is None or classes:
            return measure(output, own)
        known = jnp.all(jnp.isfinite(own), axis=-1)
        found = measure(output, jnp.where(known[:, None], own, 0.0))
        return PerExample(jnp.where(known, found.total, 0.0), jnp.where(known, found.count, 0.0))

    return of_targets


def with_answers(loss: Callable[[Array, Array, Array], PerExample], *, classes: bool, outputs: int) -> LossFn:
    """``loss(output, y, answers)`` as a loss of targets that `join_answers` made."""

    def of_both(output: Array, y: Array) -> PerExample:
        own, answers = targets_of(y, classes=classes, outputs=outputs)
        if answers is None:
            raise ValueError(f"y: got shape {y.shape}, needed are targets with a teacher's answers")
        return loss(output, own, answers)

    return of_both


UNKNOWN = {True: IGNORE, False: np.nan}
"""The target of an example that the teacher alone answers: of classes, and of numbers."""
