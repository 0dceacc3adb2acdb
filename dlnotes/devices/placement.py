"""Where a run's step executes: one device, pmap, or a named mesh, by dividing members or batches.

The chunk of `dlnotes.training.loop` is the same function under every strategy; this module wraps it
and moves state and data to where it expects them. Outside the wrapped call the state always has the
same layout, so checkpoints, evaluation and selection never know the strategy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from dlnotes.devices.compiler import compiler_options
from dlnotes.training.loop import Division
from dlnotes.training.state import TrainState
from dlnotes.typing import Array

Strategy = Literal["single", "pmap", "mesh"]
Split = Literal["none", "members", "batch"]

AXIS = "devices"
"""Name of the device axis under pmap and in the mesh."""


@dataclass(frozen=True)
class Placement:
    """A strategy, its devices, and what is divided between them.

    Attributes:
      strategy: "single", "pmap" or "mesh".
      devices: those used, of all processes.
      split: "none" (one device), "members" (seeds and settings, no communication) or "batch"
        (rows of each batch, gradients summed over devices).
    """

    strategy: Strategy
    devices: tuple[Any, ...]
    split: Split

    def division(self, accumulate: int = 1) -> Division:
        """How the rows of one batch are divided."""
        if self.split == "batch":
            return Division(len(self.devices), AXIS, accumulate)
        return Division(multiple=accumulate)

    @property
    def mesh(self) -> Mesh:
        """The one-axis mesh of the devices."""
        return Mesh(np.array(self.devices), (AXIS,))

    @property
    def processes(self) -> int:
        """How many processes own these devices."""
        return len({d.process_index for d in self.devices})

    def describe(self) -> str:
        """A few words for a log: ``"mesh, 8 seeds over 2 cpu devices"``."""
        kind = self.devices[0].platform
        if self.split == "none":
            return f"single {kind} device"
        what = "seeds" if self.split == "members" else "each batch"
        return f"{self.strategy}, {what} over {len(self.devices)} {kind} devices"


def place(
    strategy: str,
    *,
    members: int,
    devices: Sequence[Any] | None = None,
    count: int | None = None,
    divide_batch: bool = False,
) -> Placement:
    """Choose devices and what to divide between them.

    Args:
      strategy: "single", "pmap", "mesh", or "auto": one device when there is one; else members over
        devices when there are at least two members, else the batch where ``divide_batch`` says that
        pays, and always on accelerators.
      members: trainings run at once.
      devices: candidates; by default all of jax's.
      count: use this many of them.
      divide_batch: whether dividing a batch over CPU devices is expected to pay.

    Raises:
      ValueError: when ``count`` devices do not exist, or pmap is asked for in several processes.
    """
    available = list(devices if devices is not None else jax.devices())
    several_processes = len({d.process_index for d in available}) > 1
    if count is not None:
        if count > len(available):
            raise ValueError(f"devices.count: got {count}, available are {len(available)}")
        if several_processes and count < len(available):
            raise ValueError(f"devices.count: got {count}, several processes use all {len(available)}")
        available = available[:count]
    if several_processes:
        if strategy == "pmap":
            raise ValueError("devices.strategy: got 'pmap', several processes need 'mesh' (or 'auto')")
        if strategy == "single":
            raise ValueError("devices.strategy: got 'single', several processes need 'mesh' (or 'auto')")
        return Placement("mesh", tuple(available), "batch")
    if strategy == "single" or (len(available) == 1 and strategy == "auto"):
        return Placement("single", tuple(available[:1]), "none")
    kind: Strategy = "pmap" if strategy == "pmap" else "mesh"
    if members >= len(available) > 1 or (strategy == "auto" and members > 1):
        most = min(len(available), members)
        n = next(d for d in range(most, 0, -1) if members % d == 0)
        if n > 1:
            return Placement(kind, tuple(available[:n]), "members")
    if strategy == "auto" and available[0].platform == "cpu" and not divide_batch:
        return Placement("single", tuple(available[:1]), "none")
    return Placement(kind, tuple(available), "batch")


def _state_spec(split: Split) -> TrainState:
    return TrainState(P(), P(AXIS) if split == "members" else P())  # type: ignore[arg-type]


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
    if placement.split == "none":
        return jax.jit(chunk, donate_argnums=0, compiler_options=options)
    data_spec = P() if data_axis is None else P(*([None] * data_axis), AXIS)
    metrics_spec = P(None, None, AXIS) if placement.split == "members" else P()
    spec = _state_spec(placement.split)
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
    by_members = placement.split == "members"
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
    """Compile ``evaluate(members, blocks) -> (metrics, members)`` for a placement."""
    options = compiler_options(convolutions=convolutions)
    if placement.split == "none":
        return jax.jit(evaluate, compiler_options=options)
    by_members = placement.split == "members"
    mapped = jax.shard_map(
        evaluate,
        mesh=placement.mesh,
        in_specs=(P(AXIS) if by_members else P(), P() if by_members else P(None, AXIS)),
        out_specs=P(None, AXIS) if by_members else P(),
        check_vma=False,
    )
    return jax.jit(mapped, compiler_options=options)


def put(placement: Placement, tree: Any, spec: P | None = None) -> Any:
    """Copy host arrays to the placement's devices.

    Args:
      placement: where to.
      tree: numpy arrays, the same in every process.
      spec: which axis is divided over the devices; ``None`` puts all of it on each.
    """
    if placement.split == "none":
        # Of a copy: device_put may alias host memory, which donation would then overwrite.
        return jax.device_put(jax.tree.map(lambda a: np.array(a), tree), placement.devices[0])
    sharding = NamedSharding(placement.mesh, P() if spec is None else spec)

    def leaf(a):
        a = np.asarray(a)
        return jax.make_array_from_callback(a.shape, sharding, lambda index: np.array(a[index]))

    return jax.tree.map(leaf, tree)


def put_state(placement: Placement, state: TrainState) -> TrainState:
    """A host state on the placement's devices."""
    spec = P(AXIS) if placement.split == "members" and placement.strategy == "mesh" else None
    return TrainState(put(placement, state.step), put(placement, state.members, spec))


def put_local(placement: Placement, tree: Any, *, axis: int) -> Any:
    """Each process's own rows as one array over all processes.

    Args:
      placement: with a batch split over the processes.
      tree: host arrays holding the rows of this process's devices only.
      axis: the axis the rows lie on.
    """
    spec = P(*([None] * axis), AXIS)
    sharding = NamedSharding(placement.mesh, spec)
    return jax.tree.map(lambda a: jax.make_array_from_process_local_data(sharding, np.asarray(a)), tree)


def fetch(tree: Any) -> Any:
    """Device arrays as numpy, in one transfer; replicated global arrays by this process's copy."""

    def local(a):
        return a if a.is_fully_addressable else a.addressable_data(0)

    return jax.device_get(jax.tree.map(lambda a: local(a) if isinstance(a, jax.Array) else a, tree))
