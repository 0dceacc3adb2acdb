"""The one training step: loss, gradient, update, as a pure function of state and batch.

Everything else (loop, scan, vmap, pmap, mesh) only decides where and how often it runs.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from dlnotes.layers.random import fold_in
from dlnotes.models.model import WithState, learned_of, with_learned
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


def _computed(recipe: Recipe, params: Params, x: Any) -> tuple[Params, Any]:
    """Parameters and inputs in the precision of the computation; a state keeps its own."""
    learned, x = cast_floats((learned_of(params), x), recipe.compute_dtype)
    return with_learned(params, learned), x


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
) -> tuple[Array, tuple[Sums, Any]]:
    """``Σ w·loss / count`` over a batch or a part of one, with its metric sums and the model's new state.

    Args:
      recipe: what is trained.
      params: float32 parameters.
      batch: the examples, or a part of them. Rows of weight 0 add nothing to the sums, but a model that
        normalizes by the batch sees them as it sees the others.
      key: one per example, or ``None``.
      count: ``()`` number of targets of the *whole* batch, over all parts and devices, so that the
        parts' objectives and gradients add up.
      step: ``()`` int32 number of this step.

    Returns:
      The objective, and (metric sums, state); the state is ``None`` for a model without one.
    """
    model_key = None if key is None else fold_in(key, 1)
    before = params
    params, x = _computed(recipe, params, batch.x)
    if recipe.sample_inputs is not None and key is not None:
        x = recipe.sample_inputs(
            jax.lax.stop_gradient(params), x, key=fold_in(key, 2), mask=batch.mask, step=step
        )
    if recipe.model.update is None:
        output, state = recipe.model.apply(params, x, key=model_key, mask=batch.mask), None
    else:
        output, state = recipe.model.update(params, x, key=model_key, mask=batch.mask)
        state = _like(state, before.state)
    output = cast_floats(output, jnp.float32)
    sums = metric_sums(recipe, output, batch, training=True)
    return sums["loss"][0] / count, (sums, state)


def _like(state: Any, before: Any) -> Any:
    """A model's new state in the dtypes of the one before.

    Raises:
      ValueError: when it has another structure or other shapes.
    """
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (state, before)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"model.update: got a state of shapes {shapes[0]}, needed are {shapes[1]}")
    return jax.tree.map(lambda new, old: new.astype(old.dtype), state, before)


def _is_float(a: Array) -> bool:
    return jnp.issubdtype(a.dtype, jnp.floating)


def example_keys(words: Array, step: Array, first: Array | int, n: int) -> PRNGKey:
    """A key for each of the rows ``first … first + n`` of the batch at ``step``."""
    key = jax.random.fold_in(jax.random.wrap_key_data(words), step)
    rows = jnp.arange(n, dtype=jnp.int32) + jnp.asarray(first, jnp.int32)
    return jax.vmap(lambda row: jax.random.fold_in(key, row))(rows)


def _gradient(recipe: Recipe, params: Params, batch: Batch, key: PRNGKey | None, count: Array, step: Array):
    """Gradient, metric sums and state of the batch, computed in ``recipe.accumulate`` parts.

    The state is the mean over the parts, each of which begins from the one before the step; of whole
    numbers, such as counts of steps, it is the largest.
    """
    learned = learned_of(params)
    gradient = jax.grad(
        lambda p, b, k: objective(recipe, with_learned(params, p), b, k, count, step), has_aux=True
    )
    parts = recipe.accumulate
    if parts == 1:
        found, (sums, state) = gradient(learned, batch, key)
        return found, sums, state
    split = jax.tree.map(lambda a: a.reshape(parts, a.shape[0] // parts, *a.shape[1:]), (batch, key))
    shapes, (sums, _) = jax.eval_shape(lambda: gradient(learned, *jax.tree.map(lambda a: a[0], split)))
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), (shapes, sums))

    def add(total, part):
        found, (sums, state) = gradient(learned, *part)
        return jax.tree.map(jnp.add, total, (found, sums)), state

    (found, sums), states = jax.lax.scan(add, zeros, split)
    return found, sums, jax.tree.map(lambda a: a.mean(axis=0) if _is_float(a) else a.max(axis=0), states)


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

    A model's own state (see `dlnotes.models.model.Model`) is that of its forward pass, averaged over the
    parts of an accumulated batch and over the devices. With ``recipe.ema`` the average takes its floats
    in as it does the parameters, so that running statistics belong to the averaged network; whole
    numbers are the last ones.

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

    gradient, sums, state = _gradient(recipe, member.params, batch, key, count, step)
    if axis_name is not None:
        gradient, sums = jax.lax.psum((gradient, sums), axis_name)
        state = jax.tree.map(
            lambda a: jax.lax.pmean(a, axis_name) if _is_float(a) else jax.lax.pmax(a, axis_name), state
        )
    metrics = {name: total / jnp.maximum(n, 1.0) for name, (total, n) in sums.items()}
    metrics["grad_norm"] = global_norm(gradient, flatten_small=recipe.flatten_small)

    before = learned_of(member.params)
    updates, opt_state = recipe.optimizer.update(gradient, member.opt_state, before)
    params = optax.apply_updates(before, updates)
    if recipe.project is not None:
        params = recipe.project(params)
    if isinstance(member.params, WithState):
        params = WithState(params, state)

    running = member.stopped_at < 0
    good_loss = jnp.isfinite(metrics["loss"])
    good = good_loss & jnp.isfinite(metrics["grad_norm"])
    go = running & good

    def keep(new, old):
        return jax.tree.map(lambda n, o: jnp.where(go, n, o), new, old)

    # Kept before they are averaged: an average of the others would be a second array of them to write.
    params = keep(params, member.params)
    average = member.average
    if recipe.ema is not None and average is not None:
        decay = recipe.ema
        average = jax.tree.map(
            lambda a, p: decay * a + (1 - decay) * p if _is_float(p) else p, average, params
        )
    member = member._replace(
        params=params,
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
    params, x = _computed(recipe, params, batch.x)
    output = cast_floats(recipe.model.apply(params, x, mask=batch.mask), jnp.float32)
    return metric_sums(recipe, output, batch, training=False), output
