"""Several targets for each example, one a task; what is missing adds nothing to a loss or a metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.checks import did_you_mean
from dlnotes.outputs.losses import LossFn, PerExample
from dlnotes.typing import IGNORE, Array


@jax.tree_util.register_pytree_with_keys_class
class Targets:
    """The targets of some examples by the name of their task, a pytree.

    It stands where an array of targets stands: in `dlnotes.data.Examples`, in a batch, under jit. A target
    that an example does not have is `IGNORE` (-1) in whole numbers and not a number (NaN) in floats; of
    several numbers of a task, all are missing where one is.

    ``y["digit"]`` is the array of a task, ``y[rows]`` are some of the examples, ``len(y)`` is their number.

    Args:
      tasks: arrays ``(examples, ...)`` by name; numpy or jax.

    Raises:
      ValueError: when there is no task, or their numbers of examples differ.

    Example:
      >>> y = Targets({"digit": np.array([3, IGNORE, 7]), "slant": np.array([[0.5], [1.0], [np.nan]])})
      >>> len(y), y[1:]["digit"].tolist(), known(y["slant"]).tolist()
      (3, [-1, 7], [True, True, False])
    """

    __slots__ = ("_arrays",)
    __iter__ = None
    """Not iterated: by task or by example?"""

    dtype = np.dtype(np.float32)
    """So that each example counts once, whichever of its tasks it has a target of."""

    def __init__(self, tasks: Mapping[str, Any]):
        self._arrays = dict(tasks)
        if not self._arrays:
            raise ValueError("tasks: got none, at least one is needed")
        sizes = {name: np.shape(a)[:1] for name, a in self._arrays.items()}
        if len(set(sizes.values())) > 1 or () in sizes.values():
            told = ", ".join(f"{name} {np.shape(a)}" for name, a in self._arrays.items())
            raise ValueError(f"tasks: got arrays of shapes {told}, allowed is the same number of examples")

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks, in order."""
        return tuple(self._arrays)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(examples,)``."""
        return np.shape(next(iter(self._arrays.values())))[:1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: Any) -> Any:
        if not isinstance(which, str):
            return Targets({name: a[which] for name, a in self._arrays.items()})
        if which not in self._arrays:
            hint = did_you_mean(which, self.names)
            raise ValueError(f"task: got {which!r}{hint}, there are targets of {', '.join(self.names)}")
        return self._arrays[which]

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and arrays."""
        return self._arrays.items()

    def __repr__(self) -> str:
        return f"Targets({self._arrays!r})"

    def tree_flatten_with_keys(self):
        """For jax."""
        return [(jax.tree_util.DictKey(n), a) for n, a in self._arrays.items()], self.names

    @classmethod
    def tree_unflatten(cls, names: tuple[str, ...], arrays: Iterable[Any]) -> Targets:
        """For jax, which also puts in what is no array."""
        made = object.__new__(cls)
        made._arrays = dict(zip(names, arrays))
        return made


class Reconstruction(NamedTuple):
    """What a network that is asked for its own input gives: `models.shared` with ``reconstructs``.

    Attributes:
      output: ``(batch, ...)``.
      target: ``(batch, ...)`` the input, before anything corrupted it.
    """

    output: Array
    target: Array


def known(y: Array) -> Array:
    """``(examples,)`` booleans: whether an example has a target, of one task.

    Args:
      y: ``(examples, ...)`` whole numbers, of which one that is not `IGNORE` is enough, or floats, all of
        which must be finite.
    """
    xp = np if isinstance(y, np.ndarray) else jnp
    rows = y.reshape(y.shape[0], -1)
    if jnp.issubdtype(y.dtype, jnp.floating):
        return xp.all(xp.isfinite(rows), axis=-1)
    return xp.any(rows != IGNORE, axis=-1)


def _measured(name: str, measure: LossFn, output: Any, y: Any) -> PerExample:
    """A measure of one task; its examples without a target add nothing to sum, count or gradient."""
    if not isinstance(output, Mapping) or not isinstance(y, Targets):
        got = f"{type(output).__name__} and {type(y).__name__}"
        raise ValueError(f"output, y: got {got}, allowed are a dict by task and Targets")
    if name not in output:
        raise ValueError(f"task: got {name!r}, the network has answers of {', '.join(output)}")
    own, there = output[name], known(y[name])
    if isinstance(own, Reconstruction):
        target = own.target.astype(jnp.float32).reshape(own.output.shape)
        found = measure(own.output, jax.lax.stop_gradient(target))
    else:
        target = y[name]
        if jnp.issubdtype(target.dtype, jnp.floating):  # NaN must not reach the gradient, which is 0 times it
            target = jnp.where(there.reshape(-1, *(1,) * (target.ndim - 1)), target, 0.0)
        found = measure(own, target)
    return PerExample(jnp.where(there, found.total, 0.0), jnp.where(there, found.count, 0.0))


def of_task(name: str, measure: LossFn) -> LossFn:
    """A loss or a metric of one task, over the examples that have its target.

    Args:
      name: of the task.
      measure: of its answer and its target.

    Example:
      >>> from dlnotes.outputs.metrics import accuracy
      >>> logits, y = {"digit": jnp.eye(3)}, Targets({"digit": jnp.array([0, IGNORE, 0])})
      >>> found = of_task("digit", accuracy)(logits, y)
      >>> found.total.tolist(), found.count.tolist()
      ([1.0, 0.0, 0.0], [1.0, 0.0, 1.0])
    """
    return partial(_measured, name, measure)


def joint_loss(losses: Mapping[str, LossFn], weights: Mapping[str, float | Array] | None = None) -> LossFn:
    """``Σ_k w_k ℓ_k`` of each example over the tasks k of which it has a target.

    An example counts once, whatever it has: the objective of a batch of B is ``(1/B) Σ_i Σ_k w_k ℓ_k(i)``, so
    that a task's share in it grows with the share of examples that have its target. A batch in which none has
    one adds nothing to it.

    Args:
      losses: of each task, by name.
      weights: ``w_k``, 1 where not given; may be traced, so that a sweep over them is one program.

    Returns:
      A loss of a dict of answers by task, as of `models.shared`, and `Targets`.

    Raises:
      ValueError: when there is no loss, for a weight of another task, below 0, or if all are 0.

    Source: notes, «pre-entrenamiento»; P14.6.

    Example:
      >>> from dlnotes.outputs import squared_error
      >>> loss = joint_loss({"a": squared_error, "b": squared_error}, {"b": 0.5})
      >>> y = Targets({"a": jnp.array([[1.0], [jnp.nan]]), "b": jnp.array([[2.0], [4.0]])})
      >>> loss({"a": jnp.zeros((2, 1)), "b": jnp.zeros((2, 1))}, y).total.tolist()
      [3.0, 8.0]
    """
    weights = dict(weights or {})
    if not losses:
        raise ValueError("losses: got none, at least one task is needed")
    for name in weights:
        if name not in losses:
            hint = did_you_mean(name, losses)
            raise ValueError(f"weights: got {name!r}{hint}, the tasks are {', '.join(losses)}")
    plain = [weights.get(name, 1.0) for name in losses]
    for name, w in zip(losses, plain):
        if isinstance(w, (int, float)) and not 0 <= w < float("inf"):
            raise ValueError(f"weights[{name!r}]: got {w}, allowed is a finite number of at least 0")
    if all(isinstance(w, (int, float)) and w == 0 for w in plain):
        raise ValueError("weights: got 0 for every task, one above 0 is needed")

    def loss(output: Any, y: Any) -> PerExample:
        total = jnp.zeros(y.shape, jnp.float32)
        for (name, measure), w in zip(losses.items(), plain):
            total = total + jnp.asarray(w, jnp.float32) * _measured(name, measure, output, y).total
        return PerExample(total, jnp.ones(y.shape, jnp.float32))

    return loss
