"""The one training step: loss, gradient, update, as a pure function of state and batch.

Everything else (loop, scan, vmap, pmap, mesh) only decides where and how often it runs.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from dlnotes.layers.random import fold_in
from dlnotes.outputs.losses import target_count
from dlnotes.training.flat import global_norm
from dlnotes.training.state import BAD_GRADIENT, BAD_LOSS, Member, Recipe
from dlnotes.typing import Array, Batch, Params, PRNGKey

Sums = dict[str, tuple[Array, Array]]
"""A metric by name as (sum, count): additive over batches, devices and processes."""


def cast_floats(tree: Any, dtype: Any) -> Any:
    """Floating leaves in ``dtype``, everything else as it is."""
    return jax.tree.map(
        lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) and a.dtype != dtype else a, tree
    )


def metric_sums(recipe: Recipe, output: Array, batch: Batch, *, training: bool) -> Sums:
    """Loss and metrics of a batch as weighted sums and counts."""
    loss = recipe.loss if training or recipe.evaluation_loss is None else recipe.evaluation_loss
    measured = {"loss": loss(output, batch.y)}
    measured |= {name: metric(output, batch.y) for name, metric in recipe.metrics.items()}
    return {
        name: (jnp.sum(batch.weight * m.total), jnp.sum(batch.weight * m.count))
        for name, m in measured.items()
    }


def objective(
    recipe: Recipe, params: Params, batch: Batch, key: PRNGKey | None, count: Array, step: Array
) -> tuple[Array, Sums]:
    """``Σ w·loss / count`` over a batch or a part of one, with its metric sums.

    Args:
      recipe: what is trained.
      params: float32 parameters.
      batch: the examples, or a part of them.
      key: one per example, or ``None``.
      count: ``()`` number of targets of the *whole* batch, over all parts and devices, so that the
        parts' objectives and gradients add up.
      step: ``()`` int32 number of this step.
    """
    model_key = None if key is None else fold_in(key, 1)
    params, x = cast_floats((params, batch.x), recipe.compute_dtype)
    if recipe.feed is not None and key is not None:
        x = recipe.feed(jax.lax.stop_gradient(params), x, key=fold_in(key, 2), mask=batch.mask, step=step)
    output = recipe.model.apply(params, x, key=model_key, mask=batch.mask)
    output = cast_floats(output, jnp.float32)
    sums = metric_sums(recipe, output, batch, training=True)
    return sums["loss"][0] / count, sums


def example_keys(words: Array, step: Array, first: Array | int, n: int) -> PRNGKey:
    """A key for each of the rows ``first … first + n`` of the batch at ``step``."""
    key = jax.random.fold_in(jax.random.wrap_key_data(words), step)
    rows = jnp.arange(n, dtype=jnp.int32) + jnp.asarray(first, jnp.int32)
    return jax.vmap(lambda row: jax.random.fold_in(key, row))(rows)


def _gradient(recipe: Recipe, params: Params, batch: Batch, key: PRNGKey | None, count: Array, step: Array):
    """Gradient and metric sums of the batch, computed in ``recipe.accumulate`` parts."""
    gradient = jax.grad(lambda p, b, k: objective(recipe, p, b, k, count, step), has_aux=True)
    parts = recipe.accumulate
    if parts == 1:
        return gradient(params, batch, key)
    split = jax.tree.map(lambda a: a.reshape(parts, a.shape[0] // parts, *a.shape[1:]), (batch, key))
    shapes = jax.eval_shape(lambda: gradient(params, *jax.tree.map(lambda a: a[0], split)))
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

    def add(total, part):
        return jax.tree.map(jnp.add, total, gradient(params, *part)), None

    return jax.lax.scan(add, zeros, split)[0]


def train_step(
    recipe: Recipe,
    member: Member,
    batch: Batch,
    step: Array,
    *,
    first_row: Array | int = 0,
    axis_name: str | None = None,
) -> tuple[Member, dict[str, Array]]:
    """One update of one member.

    ``θ ← project(θ + update(∇ Σ w·loss / Σ w·count))``. A member that has stopped, or whose loss or
    gradient is not finite at this step, keeps its state; the latter stops it and notes why.

    Args:
      recipe: what is trained.
      member: the state, without a members axis.
      batch: the batch, or this device's part of it.
      step: ``()`` int32 number of this step.
      first_row: index in the whole batch of this part's first row, so that random numbers do not
        depend on the division.
      axis_name: the mapped device axis over which the batch is divided, if it is.

    Returns:
      The new member and ``{"loss", metrics…, "grad_norm"}``, each ``()`` float32 over the whole batch
      (NaN for a member that had stopped before).
    """
    rows = batch.weight.shape[0]
    key = example_keys(member.key, step, first_row, rows) if recipe.random else None
    if recipe.augment is not None and key is not None:
        x, y = recipe.augment(fold_in(key, 0), batch.x, batch.y)
        batch = batch._replace(x=x, y=y)
    count = jnp.sum(batch.weight * target_count(batch.y))
    if axis_name is not None:
        count = jax.lax.psum(count, axis_name)
    count = jnp.maximum(count, 1.0)

    gradient, sums = _gradient(recipe, member.params, batch, key, count, step)
    if axis_name is not None:
        gradient, sums = jax.lax.psum((gradient, sums), axis_name)
    metrics = {name: total / jnp.maximum(n, 1.0) for name, (total, n) in sums.items()}
    metrics["grad_norm"] = global_norm(gradient, join=recipe.join)

    updates, opt_state = recipe.optimizer.update(gradient, member.opt_state, member.params)
    params = optax.apply_updates(member.params, updates)
    if recipe.project is not None:
        params = recipe.project(params)
    average = member.average
    if recipe.ema is not None and average is not None:
        decay = recipe.ema
        average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)

    running = member.stopped_at < 0
    good_loss = jnp.isfinite(metrics["loss"])
    good = good_loss & jnp.isfinite(metrics["grad_norm"])
    go = running & good

    def keep(new, old):
        return jax.tree.map(lambda n, o: jnp.where(go, n, o), new, old)

    member = member._replace(
        params=keep(params, member.params),
        opt_state=keep(opt_state, member.opt_state),
        average=keep(average, member.average),
        stopped_at=jnp.where(running & ~good, step, member.stopped_at),
        reason=jnp.where(running & ~good, jnp.where(good_loss, BAD_GRADIENT, BAD_LOSS), member.reason).astype(
            jnp.int32
        ),
    )
    metrics = {name: jnp.where(running, value, jnp.nan) for name, value in metrics.items()}
    return member, metrics


def evaluate_batch(recipe: Recipe, params: Params, batch: Batch) -> tuple[Sums, Array]:
    """Metric sums of a batch without randomness, and the network's output (float32)."""
    params, x = cast_floats((params, batch.x), recipe.compute_dtype)
    output = cast_floats(recipe.model.apply(params, x, mask=batch.mask), jnp.float32)
    return metric_sums(recipe, output, batch, training=False), output
