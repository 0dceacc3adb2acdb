"""The training chunk and the evaluation compiled where they run: one device, pmap, or a named mesh."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from dlnotes.devices.compiler import compiler_options
from dlnotes.devices.placement import AXIS, Placement, Shard, put
from dlnotes.training.state import TrainState
from dlnotes.typing import Array


def _state_spec(shard: Shard) -> TrainState:
    return TrainState(P(), P(AXIS) if shard == "members" else P())  # type: ignore[arg-type]


def compile_chunk(
    placement: Placement, chunk: Callable, *, data_axis: int | None, convolutions: bool = False
) -> Callable:
    """Compile ``chunk(state, data, n_steps)`` for a placement; the state is donated.

    Args:
      placement: where it runs.
      chunk: of `dlnotes.training.loop.train_chunk`.
      data_axis: under a batch split, the axis of the data leaves that is divided; ``None`` where every
        device sees all data. Under a members split, data with a members axis give 0.
      convolutions: whether the network has any (see `compiler_options`).

    Returns:
      A function of the same arguments and results.
    """
    options = compiler_options(convolutions=convolutions)
    if placement.shard == "none":
        return jax.jit(chunk, donate_argnums=0, compiler_options=options)
    data_spec = P() if data_axis is None else P(*([None] * data_axis), AXIS)
    metrics_spec = P(None, None, AXIS) if placement.shard == "members" else P()
    spec = _state_spec(placement.shard)
    if placement.strategy == "mesh":
        mapped = jax.shard_map(
            chunk,
            mesh=placement.mesh,
            in_specs=(spec, data_spec, P()),
            out_specs=(spec, metrics_spec),
            check_vma=False,
        )
        return jax.jit(mapped, donate_argnums=0, compiler_options=options)
    return _pmapped(placement, chunk, data_axis)


def _pmapped(placement: Placement, chunk: Callable, data_axis: int | None) -> Callable:
    n = len(placement.devices)
    by_members = placement.shard == "members"
    state_axes = TrainState(None, 0 if by_members else None)  # type: ignore[arg-type]
    mapped = jax.pmap(
        lambda _, state, data, steps: chunk(state, data, steps),
        axis_name=AXIS,
        in_axes=(0, state_axes, data_axis, None),
        out_axes=(state_axes, 0 if by_members else None),  # type: ignore[arg-type]
        devices=placement.devices,
        donate_argnums=1,
    )
    index = np.arange(n, dtype=np.int32)

    @cache
    def divider(axis: int) -> Callable:
        def leaf(a):
            return a.reshape(*a.shape[:axis], n, a.shape[axis] // n, *a.shape[axis + 1 :])

        # pmap refuses arrays that do not lie as it would have laid them.
        sharding = NamedSharding(placement.mesh, P(*([None] * axis), AXIS))
        return jax.jit(lambda tree: jax.tree.map(leaf, tree), out_shardings=sharding)

    def divide(tree, axis):
        return divider(axis)(tree)

    @jax.jit
    def merge(members, metrics):
        members = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), members)
        return members, jnp.moveaxis(metrics, 0, 2).reshape(*metrics.shape[1:3], -1)

    def run(state: TrainState, data: Any, n_steps: Array):
        if data_axis is not None:
            data = divide(data, data_axis)
        if by_members:
            state = TrainState(state.step, divide(state.members, 0))
        state, metrics = mapped(index, state, data, n_steps)
        if by_members:
            members, metrics = merge(state.members, metrics)
            state = TrainState(state.step, members)
        return state, metrics

    return run


def compile_evaluation(placement: Placement, evaluate: Callable, *, convolutions: bool = False) -> Callable:
    """Compile ``evaluate(members, blocks) -> (metrics, 2, members)`` for a placement."""
    options = compiler_options(convolutions=convolutions)
    if placement.shard == "none":
        return jax.jit(evaluate, compiler_options=options)
    by_members = placement.shard == "members"
    mapped = jax.shard_map(
        evaluate,
        mesh=placement.mesh,
        in_specs=(P(AXIS) if by_members else P(), P() if by_members else P(None, AXIS)),
        out_specs=P(None, None, AXIS) if by_members else P(),
        check_vma=False,
    )
    return jax.jit(mapped, compiler_options=options)


def compile_prediction(placement: Placement, predict: Callable, *, convolutions: bool = False) -> Callable:
    """Compile ``predict(members, blocks) -> (members, blocks, rows, ...)`` for a placement.

    Under a batch split each device predicts its part of a block's rows, in their order; of several
    processes each is given all of them. Otherwise one device predicts.
    """
    options = compiler_options(convolutions=convolutions)
    if placement.shard != "batch":
        return jax.jit(predict, compiler_options=options)
    several = placement.processes > 1

    def part(members: Any, blocks: Any) -> Array:
        outputs = predict(members, blocks)
        return jax.lax.all_gather(outputs, AXIS, axis=2, tiled=True) if several else outputs

    mapped = jax.shard_map(
        part,
        mesh=placement.mesh,
        in_specs=(P(), P(None, AXIS)),
        out_specs=P() if several else P(None, None, AXIS),
        check_vma=False,
    )
    return jax.jit(mapped, compiler_options=options)


def put_state(placement: Placement, state: TrainState) -> TrainState:
    """A host state on the placement's devices."""
    spec = P(AXIS) if placement.shard == "members" and placement.strategy == "mesh" else None
    return TrainState(put(placement, state.step), put(placement, state.members, spec))
