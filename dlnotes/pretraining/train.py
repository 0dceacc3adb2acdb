"""One layer trained without labels: many seeds at once, an epoch or a part of one in one compiled program.

The number of steps is an argument of the program. What a step draws follows from (seed, layer, step) and the
order of the data from (seed, layer, epoch), so a training that goes on from a state is bit for bit the one
that never stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from dlnotes.data.order import batch_rows, steps_per_epoch
from dlnotes.devices import placement as placing
from dlnotes.devices.compiler import compiler_options, single_use_options
from dlnotes.devices.placement import AXIS, Placement
from dlnotes.devices.platform import platform
from dlnotes.pretraining.learner import Encoder, Learner
from dlnotes.typing import Array

RUNNING, BAD_PARAMS, DIVERGED, BAD_METRIC = 0, 1, 2, 3
"""Why a member stopped; `BAD_METRIC` + i says that of the i-th metric by name."""

SMALL = 2**20
"""Multiply-adds of a product, batch · inputs · units, up to which a CPU takes all members in one product."""


class LayerMember(NamedTuple):
    """One seed of a layer in training.

    Attributes:
      state: the learner's own; its field ``params`` is what is learned.
      key: ``(2,)`` uint32 words that everything random follows from.
      sums: by name the sum of a metric over the steps of this epoch, each ``()`` float32.
      stopped_at: ``()`` int32 step at which it stopped, -1 while it runs.
      reason: ``()`` int32, see `BAD_METRIC`.
    """

    state: Any
    key: Array
    sums: dict[str, Array]
    stopped_at: Array
    reason: Array


class LayerState(NamedTuple):
    """All of a layer's training that changes: the steps taken, and members with a leading axis."""

    step: Array
    members: LayerMember


class TrainedLayer(NamedTuple):
    """What `train` returns; everything has a members axis.

    Attributes:
      encoder: params with leaves ``(members, ...)`` in numpy, and the learner.
      history: by name the mean of a metric over each epoch that ended, ``(epochs, members)`` float32, NaN
        from the epoch on in which a member stopped.
      stopped: for each stopped member its index, step and reason; it keeps its last finite state.
      state: all of it, on the host; `train` goes on from there.
    """

    encoder: Encoder
    history: dict[str, np.ndarray]
    stopped: list[dict[str, Any]]
    state: LayerState


class LayerTraining:
    """The training of one layer, compiled: a state is advanced by any number of steps.

    Args:
      learner: of the layer.
      x: ``(n, inputs)``; with ``data_per_member`` ``(members, n, inputs)``.
      seeds: of the members.
      epochs: of the whole training, which schedules are laid over.
      batch_size: rows of a step; at most all.
      layer: number of the layer in its stack, from 0: layers of one seed draw other numbers.
      data_per_member: whether each member has data of its own.
      placement: where the members are; by default they are divided over the devices.

    Raises:
      ValueError: when the data do not fit the learner, before anything is compiled.
    """

    def __init__(
        self,
        learner: Learner,
        x: np.ndarray,
        *,
        seeds: Sequence[int] | np.ndarray,
        epochs: int,
        batch_size: int = 100,
        layer: int = 0,
        data_per_member: bool = False,
        placement: Placement | None = None,
    ):
        self.learner, self.layer = learner, layer
        self.seeds = np.asarray(list(seeds), np.int32)
        x = np.asarray(x, np.float32)
        _check(learner, x, self.seeds, epochs, batch_size, data_per_member)
        self.n, self.inputs = x.shape[-2:]
        self.batch_size = min(batch_size, self.n)
        self.per_epoch = steps_per_epoch(self.n, self.batch_size)
        self.epochs, self.total = epochs, epochs * self.per_epoch
        members = len(self.seeds)
        if placement is None:
            placement = placing.place("auto", members=members, devices=jax.local_devices())
        self.placement = placement
        self._split = placement.shard == "members"
        self._mean = x.mean(axis=-2, dtype=np.float64).astype(np.float32)
        self._per_member = data_per_member
        self.names = tuple(sorted(layer_shapes(learner, self.inputs, members, self.batch_size).members.sums))
        here = members // len(placement.devices) if self._split else members
        self._advance = _compiled(
            learner,
            self.n,
            self.batch_size,
            data_per_member,
            placement,
            here == 1 or side_by_side(self.batch_size, self.inputs, learner.units),
        )
        spec = P(AXIS) if self._split and data_per_member else None
        self._data = placing.put(placement, x, spec)

    def initial(self) -> LayerState:
        """The state before the first step."""
        start = _starter(self.learner, self.batch_size, self._per_member)
        members = start(self.seeds, self._mean, np.int32(self.layer))
        return self.put(LayerState(jnp.array(0, jnp.int32), jax.device_get(members)))

    def put(self, state: LayerState) -> LayerState:
        """A host state on the devices."""
        spec = P(AXIS) if self._split else None
        return LayerState(
            placing.put(self.placement, np.asarray(state.step)),
            placing.put(self.placement, state.members, spec),
        )

    def advance(self, state: LayerState, steps: int) -> LayerState:
        """The state after some more steps, at most to the end of its epoch; the old one is donated."""
        return self._advance(state, self._data, np.int32(steps), np.float32(max(self.total, 1)))

    def left(self, step: int) -> int:
        """Steps to the end of the epoch that a step is in, 0 at the end of the training."""
        return min(self.per_epoch - step % self.per_epoch, self.total - step)

    def measured(self, state: LayerState) -> dict[str, np.ndarray]:
        """The mean of each metric over the steps taken of the epoch, ``(members,)`` each."""
        step, sums = jax.device_get((state.step, state.members.sums))
        count = np.float32((int(step) - 1) % self.per_epoch + 1)
        return {name: np.asarray(sums[name], np.float32) / count for name in self.names}

    def stopped(self, state: LayerState) -> list[dict[str, Any]]:
        """For each stopped member its index, step and reason."""
        at, reason = jax.device_get((state.members.stopped_at, state.members.reason))
        words = [
            "running",
            "non-finite parameter",
            "diverged",
            *(f"non-finite {name}" for name in self.names),
        ]
        return [
            {"member": int(m), "step": int(at[m]), "reason": words[int(reason[m])]}
            for m in np.flatnonzero(np.asarray(at) >= 0)
        ]


def layer_shapes(learner: Learner, inputs: int, members: int, batch_size: int) -> LayerState:
    """The shapes of a layer's state.

    Args:
      learner: of the layer.
      inputs: of the layer.
      members: how many there are.
      batch_size: rows of a step.
    """
    seed, mean = jax.ShapeDtypeStruct((), jnp.int32), jax.ShapeDtypeStruct((inputs,), jnp.float32)
    one = jax.eval_shape(partial(_first, learner, batch_size, layer=0), seed, mean)
    many = jax.tree.map(lambda a: jax.ShapeDtypeStruct((members, *a.shape), a.dtype), one)
    return LayerState(jax.ShapeDtypeStruct((), jnp.int32), many)  # type: ignore[arg-type]


@lru_cache(maxsize=64)
def _starter(learner: Learner, batch_size: int, per_member: bool) -> Callable[..., LayerMember]:
    """``start(seeds, mean, layer)``, jitted: members before their first step."""
    one = partial(_first, learner, batch_size)
    many = jax.vmap(one, in_axes=(0, 0 if per_member else None, None))
    return jax.jit(many, compiler_options=single_use_options())


def _first(learner: Learner, batch_size: int, seed: Array, mean: Array, layer: Array | int) -> LayerMember:
    """A member before its first step; all that is random in it follows from its seed and layer."""
    inputs = mean.shape[0]
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 0x9E7), layer)
    init, run = jax.random.split(key)
    state = learner.init(init, mean, inputs)
    batch, number = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((batch_size, inputs), ()))
    measured = jax.eval_shape(learner.step, state, batch, run, number)[1]
    return LayerMember(
        state=state,
        key=jax.random.key_data(run),
        sums={name: jnp.zeros((), jnp.float32) for name in sorted(measured.keys() - {"diverged"})},
        stopped_at=jnp.array(-1, jnp.int32),
        reason=jnp.array(RUNNING, jnp.int32),
    )


def side_by_side(batch_size: int, inputs: int, units: int) -> bool:
    """Whether members are computed together, in one product of all; else one after another.

    On a CPU a large product of one member keeps all cores busy by itself, and its weights stay in the cache.
    """
    return platform() != "cpu" or batch_size * inputs * units <= SMALL


def train(
    learner: Learner,
    x: np.ndarray,
    *,
    seeds: Sequence[int] | np.ndarray,
    epochs: int,
    batch_size: int = 100,
    layer: int = 0,
    data_per_member: bool = False,
    state: LayerState | None = None,
    steps: int | None = None,
    placement: Placement | None = None,
) -> TrainedLayer:
    """Train one layer without labels, one member per seed, all at once.

    Args:
      learner: of the layer.
      x: ``(n, inputs)`` float32; images are flattened. With ``data_per_member`` ``(members, n, inputs)``.
      seeds: of the members; start, order of the data and noise follow from them.
      epochs: of the whole training; 0 leaves the layer as it starts.
      batch_size: rows of a step, at most all. The last of an epoch is filled up with rows of the epoch.
      layer: its number in a stack, from 0.
      data_per_member: each member has data of its own.
      state: go on from this one of an earlier call, whose other arguments were the same.
      steps: take only so many of the steps that are left.
      placement: where the members are; by default they are divided over the devices.

    Raises:
      ValueError: when arguments do not fit each other, or the data the learner (the value and its range),
        before anything is compiled.

    Source: notes P14.1.
    """
    if steps is not None and steps < 0:
        raise ValueError(f"steps: got {steps}, allowed is at least 0")
    training = LayerTraining(
        learner,
        x,
        seeds=seeds,
        epochs=epochs,
        batch_size=batch_size,
        layer=layer,
        data_per_member=data_per_member,
        placement=placement,
    )
    now = training.initial() if state is None else training.put(state)
    step = int(now.step)
    end = training.total if steps is None else min(training.total, step + steps)
    history: list[dict[str, np.ndarray]] = []
    while step < end:
        n = min(training.left(step), end - step)
        now = training.advance(now, n)
        step += n
        if step % training.per_epoch == 0:
            history.append(training.measured(now))
    host = placing.fetch(now)
    empty = np.zeros((0, len(training.seeds)), np.float32)
    return TrainedLayer(
        encoder=Encoder(host.members.state.params, learner),
        history={k: np.stack([h[k] for h in history]) if history else empty for k in training.names},
        stopped=training.stopped(now),
        state=host,
    )


@lru_cache(maxsize=64)
def _compiled(
    learner: Learner, n: int, batch_size: int, per_member: bool, placement: Placement, together: bool
) -> Callable[[LayerState, Any, np.int32, np.float32], LayerState]:
    """``advance(state, x, steps, total)`` of all members where they are, jitted; the state is donated."""
    per_epoch = steps_per_epoch(n, batch_size)

    def one(member: LayerMember, x: Array, first: Array, steps: Array, total: Array) -> LayerMember:
        key = jax.random.wrap_key_data(member.key)
        order = jax.random.key_data(jax.random.fold_in(key, 0x0DE4))

        def body(i: Array, member: LayerMember) -> LayerMember:
            step = first + i
            batch = x
            if batch_size < n:
                rows, _ = batch_rows(step, n=n, batch_size=batch_size, key_data=order, xp=jnp, wrap=True)
                batch = x[rows]
            progress = step.astype(jnp.float32) / total
            state, metrics = learner.step(member.state, batch, jax.random.fold_in(key, step), progress)
            return _taken(member, state, metrics, step, step % per_epoch == 0)

        return jax.lax.fori_loop(0, steps, body, member)

    def advance(state: LayerState, x: Array, steps: Array, total: Array) -> LayerState:
        members = state.members
        if members.reason.shape[0] == 1:  # without a members axis the products are plain
            alone = jax.tree.map(lambda a: a[0], members)
            found = one(alone, x[0] if per_member else x, state.step, steps, total)
            members = jax.tree.map(lambda a: a[None], found)
        elif together:
            axes = (0, 0 if per_member else None, None, None, None)
            members = jax.vmap(one, in_axes=axes)(members, x, state.step, steps, total)
        elif per_member:
            members = jax.lax.map(lambda both: one(both[0], both[1], state.step, steps, total), (members, x))
        else:
            members = jax.lax.map(lambda member: one(member, x, state.step, steps, total), members)
        return LayerState(state.step + steps, members)

    if placement.shard == "members":
        spec = LayerState(P(), P(AXIS))  # type: ignore[arg-type]
        advance = jax.shard_map(
            advance,
            mesh=placement.mesh,
            in_specs=(spec, P(AXIS) if per_member else P(), P(), P()),
            out_specs=spec,
            check_vma=False,
        )
    return jax.jit(advance, donate_argnums=0, compiler_options=compiler_options(convolutions=False))


def _taken(
    member: LayerMember, state: Any, metrics: dict[str, Array], step: Array, begins: Array
) -> LayerMember:
    """The member after a step, or as it was where it has stopped or stops now."""
    metrics = dict(metrics)
    diverged = metrics.pop("diverged", None)
    if diverged is None:
        leaves = [a for a in jax.tree.leaves(state.params) if jnp.issubdtype(a.dtype, jnp.inexact)]
        good = jnp.stack([jnp.array(True), *(jnp.all(jnp.isfinite(leaf)) for leaf in leaves)]).all()
        reason = jnp.where(good, RUNNING, BAD_PARAMS)
    else:  # the learner answers for them: to look through large parameters at every step takes time
        reason = jnp.where(diverged == 0, RUNNING, DIVERGED)
    for i, name in reversed(list(enumerate(sorted(metrics)))):
        reason = jnp.where(jnp.isfinite(metrics[name]), reason, BAD_METRIC + i)
    running = member.stopped_at < 0
    go, stops = running & (reason == RUNNING), running & (reason != RUNNING)
    sums = {
        name: jnp.where(begins, jnp.zeros_like(total), total)
        + jnp.where(go, metrics[name].astype(jnp.float32), jnp.nan)
        for name, total in member.sums.items()
    }
    return LayerMember(
        state=jax.tree.map(lambda new, old: jnp.where(go, new, old), state, member.state),
        key=member.key,
        sums=sums,
        stopped_at=jnp.where(stops, step, member.stopped_at),
        reason=jnp.where(stops, reason, member.reason).astype(jnp.int32),
    )


def _check(
    learner: Learner, x: np.ndarray, seeds: np.ndarray, epochs: int, batch_size: int, per_member: bool
) -> None:
    for name, value, least in (("epochs", epochs, 0), ("batch_size", batch_size, 1)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(f"{name}: got {value!r}, allowed is a whole number, at least {least}")
    if len(seeds) < 1:
        raise ValueError("seeds: got none, at least one is needed")
    shape = "(members, n, inputs)" if per_member else "(n, inputs)"
    if x.ndim != 2 + per_member or 0 in x.shape:
        raise ValueError(f"x: got shape {x.shape}, allowed is {shape}; images are flattened")
    if per_member and len(x) != len(seeds):
        raise ValueError(f"x: got data of {len(x)} members for {len(seeds)} seeds")
    if not np.isfinite(x).all():
        raise ValueError("x: got numbers that are not finite")
    learner.check(x.reshape(-1, x.shape[-1]))
