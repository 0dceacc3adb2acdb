"""What a worker computes: the update of one batch as a pure function of the parameters, a flat vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from dlnotes.data.dataset import Examples
from dlnotes.devices.placement import Division
from dlnotes.models.model import Model, WithState
from dlnotes.outputs.losses import LossFn
from dlnotes.training.loop import resident_batches
from dlnotes.training.state import RUNNING, Member, Recipe, init_member
from dlnotes.training.step import train_step
from dlnotes.typing import Array, Params

Update = Callable[[Any, Any, Any, Any], tuple[Array, Array, Array]]
"""``update(vector, count, number, data) -> (change, metrics, reason)``; see `update_of`."""


class Work(NamedTuple):
    """What workers train, in a form that can be sent to another process.

    Attributes:
      build: gives the recipe; a function of a module, or a `functools.partial` of one.
      train: the examples.
      batch_size: rows of a batch, at most as many as there are examples.
      seed: decides the start, the order of the examples and all that is random, as in `dlnotes.run`.
    """

    build: Callable[[], Recipe]
    train: Examples
    batch_size: int
    seed: int


def recipe(
    model: Callable[[], Model],
    loss: LossFn,
    metrics: dict[str, LossFn],
    optimizer: Callable[[], optax.GradientTransformation],
) -> Recipe:
    """A recipe of parts that can be sent, for `Work.build`.

    Example:
      >>> from functools import partial
      >>> from dlnotes import models, outputs, training
      >>> net = partial(models.mlp, 4, (8,), 3)
      >>> sgd = partial(training.optimizer, "sgd", 0.1)
      >>> partial(recipe, net, outputs.cross_entropy, {}, sgd)().accumulate
      1
    """
    return Recipe(model(), loss, metrics, optimizer())


def check(recipe: Recipe) -> None:
    """Refuse what workers cannot share without a lock.

    Raises:
      ValueError: naming the option, what was got and what is allowed.
    """
    params = jax.eval_shape(recipe.model.init, jax.random.key(0))
    if isinstance(params, WithState):
        raise ValueError(
            "model: keeps a state beside its parameters, allowed with asynchronous workers is one without"
        )
    kinds = {str(a.dtype) for a in jax.tree.leaves(params)}
    if kinds - {"float32"}:
        raise ValueError(f"model: has parameters of {', '.join(sorted(kinds))}, allowed is float32")
    state = jax.eval_shape(recipe.optimizer.init, params)
    if any(a.ndim for a in jax.tree.leaves(state)):
        raise ValueError(
            "optimizer: keeps arrays from step to step (momentum, moments of gradients), which workers "
            "cannot share without a lock; allowed are sgd without momentum, and sign_sgd"
        )
    for name, value in (("training.ema", recipe.ema), ("training.max_norm", recipe.project)):
        if value is not None:
            raise ValueError(f"{name}: is no sum of the workers' updates, allowed is none")


def start_of(work: Work) -> Member:
    """The training before its first update, as `dlnotes.run` begins it."""
    recipe = work.build()
    check(recipe)
    return init_member(lambda hyper: recipe, jnp.asarray(work.seed, jnp.int32), {}, keep_best=False)


def flat(params: Params) -> np.ndarray:
    """Parameters as one float32 vector of this process's memory."""
    return np.array(ravel_pytree(params)[0], np.float32)


def unflat(vector: np.ndarray, like: Params) -> Params:
    """The parameters whose `flat` is ``vector``, in the structure and shapes of ``like``.

    Raises:
      ValueError: when it has another length.
    """
    leaves, structure = jax.tree.flatten(like)
    sizes = [int(np.prod(a.shape)) for a in leaves]
    if len(vector) != sum(sizes):
        raise ValueError(f"vector: got {len(vector)} numbers, the parameters are {sum(sizes)}")
    parts = np.split(np.asarray(vector), np.cumsum(sizes)[:-1])
    return jax.tree.unflatten(structure, [p.reshape(a.shape) for p, a in zip(parts, leaves)])


class Kept(NamedTuple):
    """An optimizer's state, and the updates that it gave last."""

    state: Any
    updates: Any


def keeping(inner: optax.GradientTransformation) -> optax.GradientTransformation:
    """The same transformation, which notes its updates: the one training step does not give them away."""

    def init(params: Params) -> Kept:
        return Kept(inner.init(params), jax.tree.map(jnp.zeros_like, params))

    def update(updates: Any, state: Any, params: Params | None = None) -> tuple[Any, Kept]:
        found, after = inner.update(updates, state.state, params)
        return found, Kept(after, found)

    return optax.GradientTransformation(init, update)


def update_of(work: Work) -> Update:
    """The change that a batch makes, from parameters that may be old by the time that it is added.

    ``change = −η(count)·∇J(vector; batch(seed, number))``, by the library's one training step: with the
    clipping, decay, schedule, dropout and augmentation of the recipe.

    Args:
      work: what is trained.

    Returns:
      A jitted function of ``vector`` ``(parameters,)`` float32, ``count`` updates made so far (for
      schedules), ``number`` of the batch in the order of the run, and the examples on the device. It gives
      the change ``(parameters,)``, the loss and the recipe's metrics on the batch, ``(metrics,)``, and ``()``
      int32 a code of `dlnotes.training.state.REASONS`, not 0 where a loss or gradient is not finite.

    Raises:
      ValueError: as `check`.
    """
    recipe = work.build()
    check(recipe)
    recipe = recipe._replace(optimizer=keeping(recipe.optimizer))
    first = init_member(lambda hyper: recipe, jnp.asarray(work.seed, jnp.int32), {}, keep_best=False)
    _, structured = ravel_pytree(first.params)
    n = work.train.size
    division = Division(multiple=recipe.accumulate)
    batch_at = resident_batches(n, work.batch_size, division)
    names = metric_names(recipe)

    def update(vector: Array, count: Array, number: Array, data: Any) -> tuple[Array, Array, Array]:
        state = jax.tree.map(lambda a: a if a.ndim else count.astype(a.dtype), first.opt_state)
        member = first._replace(params=structured(vector), opt_state=state)
        batch = batch_at(data, member, number, jnp.array(0, jnp.int32))
        after, metrics = train_step(recipe, member, batch, number)
        change, _ = ravel_pytree(after.opt_state.updates)
        return change, jnp.stack([metrics[name] for name in names]), after.reason

    return jax.jit(update)


def metric_names(recipe: Recipe) -> tuple[str, ...]:
    """Of the numbers that `update_of` measures on a batch, in their order."""
    return ("loss", *recipe.metrics, "grad_norm")


def measured(work: Work) -> Callable[[np.ndarray, int, int], tuple[np.ndarray, np.ndarray, int]]:
    """`update_of` with the examples on the device, from host numbers to host numbers; compiled here.

    Args:
      work: what is trained.
    """
    update = update_of(work)
    data = jax.device_put(work.train)

    def step(vector: np.ndarray, count: int, number: int) -> tuple[np.ndarray, np.ndarray, int]:
        change, metrics, reason = update(vector, np.int32(count), np.int32(number), data)
        return np.asarray(change), np.asarray(metrics), int(reason)

    return step


def is_finite(reason: int) -> bool:
    """Whether an update may be added."""
    return reason == RUNNING
