"""Training data on their way to the device: whole and once, or a chunk of batches at a time."""

from __future__ import annotations

from functools import cached_property
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P

from dlnotes.data.buckets import divide
from dlnotes.data.dataset import Examples
from dlnotes.data.in_file import is_in_file
from dlnotes.data.order import BucketOrder
from dlnotes.data.steps import Rows, Steps
from dlnotes.devices.mesh import MEMBERS, MeshPlacement
from dlnotes.devices.placement import AXIS, Division, Placement, put, put_local
from dlnotes.jax_internals import device_memory
from dlnotes.training.ahead import Ahead
from dlnotes.training.flat_rows import flat_rows, flat_shapes, shape_of
from dlnotes.training.loop import (
    resident_batches,
    resident_buckets,
    streamed_batches,
    streamed_buckets,
)
from dlnotes.training.sharded import ROWS, put_rows, state_shardings
from dlnotes.training.state import TrainState
from dlnotes.training.workers import Workers
from dlnotes.typing import Batch

CHUNK_BYTES = 64 * 2**20
"""How much a streamed chunk of batches may hold."""


LARGE = 2**26
"""Bytes of a split from which on no copy of it is made."""

METRIC_ROWS = 2**20
"""Steps times members whose metrics one chunk may hold."""


def size_of(examples: Any) -> int:
    """Bytes of all arrays in a tree, or of arrays of those shapes."""
    return sum(prod(np.shape(a)) * np.dtype(a.dtype).itemsize for a in jax.tree.leaves(examples))


def fits_on_device(examples: Examples, placement: Placement, memory: int | None = None) -> bool:
    """Whether the whole training part may lie on the device: a quarter of its memory, or 2 GiB.

    Args:
      examples: the training part.
      placement: its devices.
      memory: bytes of one of them; by default it is asked for.
    """
    return size_of(examples) <= (memory or device_memory(placement.devices[0]) or 8 * 2**30) // 4


def batch_spec(placement: Placement) -> P:
    """How batches that are laid out for a chunk of steps lie, leaves ``(members, steps, rows, …)``."""
    if isinstance(placement, MeshPlacement):
        return P(MEMBERS, None, ROWS)
    return {"none": P(), "members": P(AXIS), "batch": P(None, None, AXIS)}[placement.shard]


def shapes_on(placement: Placement, tree: Any, spec: P | None = None) -> Any:
    """`jax.ShapeDtypeStruct` of arrays as they lie on a placement's devices.

    Args:
      placement: where they would lie.
      tree: arrays or shapes, of all processes.
      spec: which axis is divided over the devices; ``None`` where all of it lies on each.
    """
    if placement.shard == "none":
        sharding: Any = SingleDeviceSharding(placement.devices[0])
    else:
        sharding = NamedSharding(placement.mesh, P() if spec is None else spec)

    def leaf(a: Any) -> jax.ShapeDtypeStruct:
        dtype = jax.dtypes.canonicalize_dtype(a.dtype)
        return jax.ShapeDtypeStruct(np.shape(a), dtype, sharding=sharding)

    return jax.tree.map(leaf, tree)


def state_on(placement: Placement, state: TrainState) -> TrainState:
    """The shapes of a state as it lies on a placement's devices."""
    if isinstance(placement, MeshPlacement):
        return jax.tree.map(
            lambda a, sharding: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding),
            state,
            state_shardings(placement, state),
        )
    members = P(AXIS) if placement.shard == "members" else P()
    return TrainState(shapes_on(placement, state.step), shapes_on(placement, state.members, members))


class Loader:
    """Gives each chunk of steps its data.

    Args:
      examples: the training part, in host memory.
      placement: where it goes.
      division: of each batch.
      batch_size: rows of a whole batch.
      words: ``(members, 2)`` uint32 order words.
      resident: whether the data lie on the device whole.
      order: of examples that lie sorted by bucket, or ``None``.
      workers: processes that read examples which are in a file; 0 reads them here.
    """

    def __init__(
        self,
        examples: Examples,
        placement: Placement,
        division: Division,
        *,
        batch_size: int,
        words: np.ndarray,
        resident: bool,
        order: BucketOrder | None = None,
        workers: int = 0,
    ):
        self.examples, self.placement, self.division = examples, placement, division
        self.batch_size, self.words, self.resident = batch_size, np.asarray(words), resident
        self.rows_per_part = division.rows_per_part(batch_size)
        self.per_member, self.order = not resident, order
        self.workers, self._workers = workers, None
        self.bucket_at = None if order is None else lambda step: order.at(step, xp=jnp)[0][0]
        if resident:
            like = Examples(*jax.tree.map(shape_of, tuple(examples)))
            if order is None:
                self.batch_at = resident_batches(examples.size, batch_size, division, like=like)
            else:
                self.batch_at = resident_buckets(order, division, like=like)
            self.capacity, self.data_axis = int(np.clip(METRIC_ROWS // len(self.words), 16, 4096)), None
        else:
            row = size_of(examples) / examples.size
            bytes_per_step = row * self.rows_per_part * division.parts * len(self.words)
            self.batch_at = streamed_batches() if order is None else streamed_buckets(order)
            self.capacity = int(np.clip(CHUNK_BYTES / max(bytes_per_step, 1), 1, 256))
            self.data_axis = {"none": None, "members": 0, "batch": 2}[placement.shard]

    @cached_property
    def _data(self) -> Examples:
        """All examples, on the placement's devices; one CPU device uses the host's arrays as they are."""
        examples = self.examples
        if is_in_file(examples):
            examples = examples._replace(x=np.asarray(examples.x))
        examples = flat_rows(examples, self.placement)
        if self.placement.shard == "none":
            return jax.device_put(examples, self.placement.devices[0])  # never donated
        return put(self.placement, examples)

    def shapes(self) -> Any:
        """The data argument as `jax.ShapeDtypeStruct`, each with the devices it lies on; nothing is moved."""
        if self.resident:
            return shapes_on(self.placement, flat_shapes(self.examples, self.placement))
        lead = (len(self.words), self.capacity, self.rows_per_part * self.division.parts)

        def leaf(a: Any, row: tuple[int, ...]) -> Any:
            return jax.ShapeDtypeStruct((*lead, *row), a.dtype)

        x, y, mask = jax.tree.map(lambda a: leaf(a, np.shape(a)[1:]), tuple(self.examples))
        batch = Batch(x, y, mask, leaf(np.float32(1), ()))
        return shapes_on(self.placement, batch, batch_spec(self.placement))

    def prepare(self, step: int, n_steps: int, *, more: bool = True) -> Any:
        """The data argument for the ``n_steps`` after ``step``; ``more``: whether others follow."""
        if self.resident:
            return self._data
        batch = Batch(*self._ahead.take(step, n_steps, more=more))
        if isinstance(self.placement, MeshPlacement):
            return self._put_own(batch)
        if self.placement.shard == "batch":
            return put_local(self.placement, batch, axis=2)
        if self.placement.shard == "members" and self.placement.strategy == "mesh":
            return put(self.placement, batch, P(AXIS))
        return put(self.placement, batch)

    @cached_property
    def _ahead(self) -> Ahead[Rows]:
        """Batches of a chunk, leaves ``(members, capacity, this process's rows, ...)``."""
        members, positions = self._own_members_and_rows()
        steps = Steps(
            self.examples,
            batch_size=self.batch_size,
            words=self.words[members],
            total=self.rows_per_part * self.division.parts,
            positions=positions,
            wrap=self.division.wrap,
            order=self.order,
        )
        if self.workers and is_in_file(self.examples):
            self._workers = Workers(steps, self.workers)
        return Ahead(
            lambda: steps.empty(self.capacity),
            steps.fill if self._workers is None else self._workers.fill,
            yields=self.placement.devices[0].platform == "cpu",
        )

    def close(self) -> None:
        """End the processes that make batches."""
        if self._workers is not None:
            self._ahead.close()
            self._workers.close()

    def _put_own(self, batch: Batch) -> Batch:
        """This process's members and rows, as parts of arrays over all processes."""
        sharding = NamedSharding(self.placement.mesh, batch_spec(self.placement))
        lead = (len(self.words), self.capacity, self.rows_per_part * self.division.parts)

        def leaf(a: np.ndarray) -> jax.Array:
            return jax.make_array_from_process_local_data(sharding, a, (*lead, *a.shape[3:]))

        return jax.tree.map(leaf, batch)

    def _own_members_and_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """The members, and the positions in their batches of the rows, that this process's devices take."""
        members = np.arange(len(self.words))
        if isinstance(self.placement, MeshPlacement):
            lead = (len(members), 1, self.rows_per_part * self.division.parts)
            sharding = NamedSharding(self.placement.mesh, batch_spec(self.placement))
            held = [i for i in sharding.addressable_devices_indices_map(lead).values() if i is not None]
            return _joined([i[0] for i in held], lead[0]), _joined([i[2] for i in held], lead[2])
        if self.placement.shard != "batch":
            return members, np.arange(self.rows_per_part)
        me = jax.process_index()
        parts = [i for i, d in enumerate(self.placement.devices) if d.process_index == me]
        rows = [np.arange(p * self.rows_per_part, (p + 1) * self.rows_per_part) for p in parts]
        return members, np.concatenate(rows)


def _joined(slices: list[slice], length: int) -> np.ndarray:
    """The positions in an axis that some slices hold, each once."""
    return np.unique(np.concatenate([np.arange(length)[s] for s in slices]))


def blocks_of(examples: Examples, rows: int, *, parts: int = 1) -> Batch:
    """A whole split as batches, leaves ``(blocks, rows, ...)``, the last filled up with weight 0.

    Args:
      examples: in host memory.
      rows: wanted rows of a block; rounded up to a multiple of ``parts``.
      parts: devices that share a block.
    """
    n = examples.size
    rows = -(-min(rows, n) // parts) * parts
    count = -(-n // rows)
    fill = count * rows - n

    def leaf(a: np.ndarray) -> np.ndarray:
        a = np.asarray(a)
        padded = np.concatenate([a, np.repeat(a[:1], fill, axis=0)]) if fill else a
        return padded.reshape(count, rows, *a.shape[1:])

    weight = np.concatenate([np.ones(n, np.float32), np.zeros(fill, np.float32)]).reshape(count, rows)
    x, y, mask = jax.tree.map(leaf, tuple(examples))
    return Batch(x, y, mask, weight)


def parts_of_blocks(examples: Examples, rows: int, *, parts: int = 1) -> list[Batch]:
    """`blocks_of` in two, the full blocks and the last: a large split is not copied to be filled up.

    A split that is small is one part, for each part is a loop to compile.
    """
    rows = -(-min(rows, examples.size) // parts) * parts
    full = examples.size // rows * rows
    if size_of(examples) < LARGE or full in (0, examples.size):
        return [blocks_of(examples, rows, parts=parts)]
    cut = (jax.tree.map(lambda a, s=s: a[s], examples) for s in (np.s_[:full], np.s_[full:]))
    first, last = (Examples(*part) for part in cut)
    return [blocks_of(part, rows, parts=parts) for part in (first, last)]


def bucketed_blocks_of(examples: Examples, rows: int, most: int, *, parts: int = 1) -> list[Batch]:
    """`blocks_of` each of at most ``most`` buckets, their arrays cut to the bucket's shape."""
    return [blocks_of(part, rows, parts=parts) for _, part in divide(examples, most)]


def joined(parts: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Outputs by bucket, ``(members, rows, ...)`` each, in the order of the rows; 0 where a bucket ends."""
    shape = np.max([outputs.shape[2:] for _, outputs in parts], axis=0).astype(int)
    members, n = parts[0][1].shape[0], sum(len(where) for where, _ in parts)
    joined = np.zeros((members, n, *shape), parts[0][1].dtype)
    for where, outputs in parts:
        inner = tuple(slice(0, s) for s in outputs.shape[2:])
        joined[(slice(None), where, *inner)] = outputs
    return joined


def put_blocks(placement: Placement, blocks: Batch) -> Batch:
    """Blocks where `compile_evaluation` expects them: rows over devices under a batch split."""
    if placement.shard == "none":
        return jax.device_put(blocks, placement.devices[0])  # never donated
    if isinstance(placement, MeshPlacement):
        return put_rows(placement, blocks)
    if placement.shard != "batch":
        return put(placement, blocks)
    me = jax.process_index()
    rows = blocks.weight.shape[1] // len(placement.devices)
    own = [i for i, d in enumerate(placement.devices) if d.process_index == me]

    def take(a: np.ndarray) -> np.ndarray:
        return np.concatenate([a[:, i * rows : (i + 1) * rows] for i in own], axis=1)

    return put_local(placement, jax.tree.map(take, blocks), axis=1)
