"""Where a run's step executes: one device, pmap, or a named mesh, by dividing members or batches.

The chunk of `dlnotes.training.loop` is the same function under every strategy: `dlnotes.training.parallel`
wraps it, and this module moves data to where it expects them. Outside the wrapped call the state always
has the same layout, so checkpoints, evaluation and selection never know the strategy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

Strategy = Literal["single", "pmap", "mesh"]
Shard = Literal["none", "members", "batch"]

AXIS = "devices"
"""Name of the device axis under pmap and in the mesh."""


@dataclass(frozen=True)
class Placement:
    """A strategy, its devices, and what is divided between them.

    Attributes:
      strategy: "single", "pmap" or "mesh".
      devices: those used, of all processes.
      shard: "none" (one device), "members" (seeds and settings, no communication) or "batch"
        (rows of each batch, gradients summed over devices).
    """

    strategy: Strategy
    devices: tuple[Any, ...]
    shard: Shard

    def division(self, accumulate: int = 1) -> Division:
        """How the rows of one batch are divided."""
        if self.shard == "batch":
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
        if self.shard == "none":
            return f"single {kind} device"
        what = "seeds" if self.shard == "members" else "each batch"
        return f"{self.strategy}, {what} over {len(self.devices)} {kind} devices"


def place(
    strategy: str,
    *,
    members: int,
    devices: Sequence[Any] | None = None,
    count: int | None = None,
    batch_over: int = 1,
) -> Placement:
    """Choose devices and what to divide between them.

    Args:
      strategy: "single", "pmap", "mesh", or "auto": one device when there is one; else members over
        devices when there are at least two members, else each batch over ``batch_over`` devices.
      members: trainings run at once.
      devices: candidates; by default all of jax's.
      count: use this many of them.
      batch_over: the number of devices by which a step of one training is expected to be fastest.

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
    if strategy == "auto":
        available = available[:batch_over]
        if len(available) == 1:
            return Placement("single", tuple(available), "none")
    return Placement(kind, tuple(available), "batch")


def put(placement: Placement, tree: Any, spec: P | None = None) -> Any:
    """Copy host arrays to the placement's devices.

    Args:
      placement: where to.
      tree: numpy arrays, the same in every process.
      spec: which axis is divided over the devices; ``None`` puts all of it on each.
    """
    if placement.shard == "none":
        # Of a copy: device_put may alias host memory, which donation would then overwrite.
        return jax.device_put(jax.tree.map(lambda a: np.array(a), tree), placement.devices[0])
    sharding = NamedSharding(placement.mesh, P() if spec is None else spec)

    def leaf(a):
        a = np.asarray(a)
        return jax.make_array_from_callback(a.shape, sharding, lambda index: np.array(a[index]))

    return jax.tree.map(leaf, tree)


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


def agree(placement: Placement, stop: bool, save: bool, steps: int) -> tuple[bool, bool, int]:
    """The same decision in every process: stop if any must, save if any wants, the fewest steps.

    Args:
      placement: with one process this returns its own wishes.
      stop: whether this process was told to stop.
      save: whether a checkpoint is due by this process's clock.
      steps: how many steps this process would take next.
    """
    if placement.processes == 1:
        return stop, save, steps
    from jax.experimental import multihost_utils

    wishes = np.array([stop, save, -steps], np.int32)
    most = np.asarray(multihost_utils.process_allgather(wishes)).reshape(-1, 3).max(axis=0)
    return bool(most[0]), bool(most[1]), int(-most[2])


def meet(placement: Placement) -> None:
    """Wait until every process is here."""
    agree(placement, False, False, 0)


class Division(NamedTuple):
    """How the rows of a batch are shared between devices.

    Attributes:
      parts: number of devices that share a batch.
      axis_name: the mapped axis they lie on, or ``None`` where one device has all rows.
      multiple: each device's rows are a multiple of this (gradient accumulation divides them).
      wrap: what the rows of weight 0 are that fill up a batch: copies of one example, or with ``wrap`` more
        examples, from the first of the epoch on. A model with batch statistics needs the latter: they
        are then those of as many real examples in every part of every batch, the last one included.
    """

    parts: int = 1
    axis_name: str | None = None
    multiple: int = 1
    wrap: bool = False

    def rows_per_part(self, batch_size: int) -> int:
        """Rows of each part; the last parts are filled with rows of weight 0 if need be."""
        unit = self.parts * self.multiple
        return -(-batch_size // unit) * self.multiple
