"""Many steps in one compiled call: the data on the device (or a chunk of batches), all members at once.

The number of steps is an argument of the compiled program, not a part of its shape. So a run cut
into other chunks — because it was interrupted, or a clock said so — executes the very same program
and gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp

from dlnotes.data.buckets import crop
from dlnotes.data.dataset import Examples
from dlnotes.data.order import BucketOrder, batch_rows
from dlnotes.devices.placement import Division
from dlnotes.training.state import (
    Member,
    RecipeOf,
    TrainState,
    evaluated_params,
)
from dlnotes.training.step import evaluate_batch, train_step
from dlnotes.typing import Array, Batch

BatchAt = Callable[[Any, Member, Array, Array], Batch]
"""``batch_at(data, member, step, i)``: this device's rows for ``step``, the i-th of the chunk."""


def order_key_data(member: Member) -> Array:
    """The two words that key a member's order of examples."""
    key = jax.random.fold_in(jax.random.wrap_key_data(member.key), 0x0DE4)
    return jax.random.key_data(key)


def resident_batches(n: int, batch_size: int, division: Division, *, like: Examples | None = None) -> BatchAt:
    """Batches gathered on the device from data that lie there whole.

    Args:
      n: number of examples.
      batch_size: rows of a whole batch; at most ``n``.
      division: of the batch over devices.
      like: arrays of the shapes that the examples have, where the data hold each as a vector
        (`dlnotes.training.flat_rows`); ``None`` where they lie as they are.
    """
    rows_here = division.rows_per_part(batch_size)

    def batch_at(data: Examples, member: Member, step: Array, i: Array) -> Batch:
        if division.parts == 1 and rows_here == batch_size == n:
            return Batch(*_shaped(tuple(data), like), jnp.ones(n, jnp.float32))  # pyright: ignore[reportCallIssue]
        words = order_key_data(member)
        rows, weight = batch_rows(
            step, n=n, batch_size=batch_size, key_data=words, xp=jnp, wrap=division.wrap
        )
        return _gathered(data, rows, weight, division, like)

    return batch_at


def _shaped(arrays: Any, like: Examples | None) -> Any:
    """Examples that lie as vectors in their own shapes, without the numbers that fill up a vector."""
    if like is None:
        return arrays
    return jax.tree.map(
        lambda a, of: a[:, : prod(of.shape[1:])].reshape(len(a), *of.shape[1:]) if of.ndim > 1 else a,
        arrays,
        tuple(like),
    )


def _gathered(data: Examples, rows: Array, weight: Array, division: Division, like: Examples | None) -> Batch:
    """This device's part of the batch of some rows."""
    rows_here = division.rows_per_part(len(rows))
    fill = rows_here * division.parts - len(rows)
    rows, weight = (
        jnp.pad(rows, (0, fill), "wrap" if division.wrap else "constant"),
        jnp.pad(weight, (0, fill)),
    )
    if division.axis_name is not None:
        first = jax.lax.axis_index(division.axis_name) * rows_here
        rows = jax.lax.dynamic_slice_in_dim(rows, first, rows_here)
        weight = jax.lax.dynamic_slice_in_dim(weight, first, rows_here)
    x, y, mask = _shaped(jax.tree.map(lambda a: a[rows], tuple(data)), like)
    return Batch(x, y, mask, weight)


def streamed_batches() -> BatchAt:
    """Batches that the host has laid out for this chunk: leaves ``(steps, rows, ...)`` per member."""

    def batch_at(data: Batch, member: Member, step: Array, i: Array) -> Batch:
        return jax.tree.map(lambda a: jax.lax.dynamic_index_in_dim(a, i, keepdims=False), data)

    return batch_at


def resident_buckets(
    order: BucketOrder, division: Division, *, like: Examples | None = None
) -> tuple[BatchAt, ...]:
    """For each bucket, its batches out of data that lie on the device whole, padded and sorted by bucket.

    For ``like`` see `resident_batches`.
    """

    def of(bucket: int) -> BatchAt:
        def batch_at(data: Examples, member: Member, step: Array, i: Array) -> Batch:
            own = order.at(step, xp=jnp)[1]
            words = order_key_data(member)
            rows, weight = order.rows(bucket, own, key_data=words, xp=jnp, wrap=division.wrap)
            return crop(_gathered(data, rows, weight, division, like), order.shapes[bucket])

        return batch_at

    return tuple(of(bucket) for bucket in range(len(order.counts)))


def streamed_buckets(order: BucketOrder) -> tuple[BatchAt, ...]:
    """For each bucket, its batches out of the padded ones that the host has laid out for this chunk."""
    padded = streamed_batches()

    def of(shape: tuple[int, ...]) -> BatchAt:
        return lambda data, member, step, i: crop(padded(data, member, step, i), shape)

    return tuple(of(shape) for shape in order.shapes)


def train_chunk(
    recipe_of: RecipeOf,
    batch_at: BatchAt | Sequence[BatchAt],
    *,
    metric_names: tuple[str, ...],
    capacity: int,
    division: Division,
    rows_per_part: int,
    data_per_member: bool = False,
    bucket_at: Callable[[Array], Array] | None = None,
) -> Callable[[TrainState, Any, Array], tuple[TrainState, Array]]:
    """Build ``chunk(state, data, n_steps) -> (state, metrics)``, not yet compiled.

    Args:
      recipe_of: see `RecipeOf`.
      batch_at: `resident_batches` or `streamed_batches`; with ``bucket_at`` one for each bucket.
      metric_names: in the order they take in the result.
      capacity: largest ``n_steps``.
      division: of a batch over devices.
      rows_per_part: rows of a batch that this device gets.
      data_per_member: whether the leaves of ``data`` have a members axis.
      bucket_at: ``bucket_at(step)``, the number of the bucket whose ``batch_at`` a step takes. Every
        bucket's step is compiled once, as a branch of the one program.

    Returns:
      A function whose metrics are ``(capacity, metrics, members)`` float32, the first ``n_steps`` filled.
    """

    def taken(batch_at: BatchAt, member: Member, data: Any, step: Array, i: Array) -> tuple[Member, Array]:
        batch = batch_at(data, member, step, i)
        first = 0 if division.axis_name is None else jax.lax.axis_index(division.axis_name) * rows_per_part
        member, metrics = train_step(
            recipe_of(member.hyper), member, batch, step, first_row=first, axis_name=division.axis_name
        )
        return member, jnp.stack([metrics[name] for name in metric_names])

    branches = [partial(taken, b) for b in ([batch_at] if callable(batch_at) else batch_at)]

    def one(member: Member, data: Any, step: Array, i: Array) -> tuple[Member, Array]:
        if bucket_at is None:
            return branches[0](member, data, step, i)
        # The bucket is not a matter of the member: under vmap this stays a branch, of which one is run.
        return jax.lax.switch(bucket_at(step), branches, member, data, step, i)

    def chunk(state: TrainState, data: Any, n_steps: Array) -> tuple[TrainState, Array]:
        count = state.members.stopped_at.shape[0]
        single = count == 1
        members, shared = state.members, data
        if single:  # without a members axis the layers meet their plain, unbatched shapes
            members = jax.tree.map(lambda a: a[0], members)
            shared = jax.tree.map(lambda a: a[0], data) if data_per_member else data
        many = jax.vmap(one, in_axes=(0, 0 if data_per_member else None, None, None))

        def body(i, carry):
            step, members, buffer = carry
            members, metrics = (one if single else many)(members, shared, step, i)
            metrics = metrics[:, None] if single else metrics.T
            return step + 1, members, jax.lax.dynamic_update_index_in_dim(buffer, metrics, i, 0)

        buffer = jnp.zeros((capacity, len(metric_names), count), jnp.float32)
        step, members, buffer = jax.lax.fori_loop(0, n_steps, body, (state.step, members, buffer))
        if single:
            members = jax.tree.map(lambda a: a[None], members)
        return TrainState(step, members), buffer

    return chunk


def total_blocks(
    recipe_of: RecipeOf, *, metric_names: tuple[str, ...], best: bool, axis_name: str | None = None
) -> Callable[[Member, Any], Array]:
    """Build ``evaluate(members, blocks) -> totals``, not yet compiled.

    ``blocks`` is a split, or a part of one, as batches, leaves ``(blocks, rows, ...)``, or a list of such,
    one a bucket. The result is ``(metrics, 2, members)`` float32: each metric's sum and count over it.
    """

    def one(member: Member, blocks: Batch | list[Batch]) -> Array:
        recipe = recipe_of(member.hyper)
        params = evaluated_params(member, best=best)

        def add(total, block):
            sums, _ = evaluate_batch(recipe, params, block)
            return total + jnp.stack([jnp.stack(sums[name]) for name in metric_names]), None

        total = jnp.zeros((len(metric_names), 2), jnp.float32)
        for part in blocks if isinstance(blocks, list) else [blocks]:
            total, _ = jax.lax.scan(add, total, part)
        if axis_name is not None:
            total = jax.lax.psum(total, axis_name)
        return total

    def evaluate(members: Member, blocks: Batch | list[Batch]) -> Array:
        if members.stopped_at.shape[0] == 1:
            return one(jax.tree.map(lambda a: a[0], members), blocks)[..., None]
        return jax.vmap(one, in_axes=(0, None), out_axes=-1)(members, blocks)

    return evaluate


def predict_blocks(
    recipe_of: RecipeOf, *, best: bool, classes: bool = False
) -> Callable[[Member, Batch], Array]:
    """Build ``predict(members, blocks) -> outputs`` ``(members, blocks, rows, ...)``, not yet compiled.

    Args:
      recipe_of: of the members.
      best: use the parameters that were best on validation.
      classes: give the most probable class, int32, instead of a number for each.
    """

    def one(member: Member, blocks: Batch) -> Array:
        recipe, params = recipe_of(member.hyper), evaluated_params(member, best=best)

        def outputs(block: Batch) -> Array:
            found = evaluate_batch(recipe, params, block)[1]
            return jnp.argmax(found, axis=-1).astype(jnp.int32) if classes else found

        return jax.lax.map(outputs, blocks)

    def predict(members: Member, blocks: Batch) -> Array:
        if members.stopped_at.shape[0] == 1:
            return one(jax.tree.map(lambda a: a[0], members), blocks)[None]
        return jax.vmap(one, in_axes=(0, None))(members, blocks)

    return predict
