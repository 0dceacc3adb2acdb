"""The training of one group of members: chunks, evaluations, checkpoints, until the end or a stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dlnotes.config import ConfigError
from dlnotes.data.buckets import rows_of
from dlnotes.data.in_file import is_in_file
from dlnotes.devices import placement as placing
from dlnotes.devices.compiler import single_use_options
from dlnotes.devices.mesh import MeshPlacement, bytes_per_device, check_rules
from dlnotes.devices.placement import agree, meet
from dlnotes.experiment.durations import waves_of
from dlnotes.experiment.evaluator import Evaluator
from dlnotes.experiment.fine_tuning import CARRIED, started
from dlnotes.experiment.metrics_log import MetricsLog
from dlnotes.experiment.programs import stored
from dlnotes.experiment.progress import Watch, _Watcher
from dlnotes.experiment.routing import routing_metrics
from dlnotes.experiment.setup import Setup, state_shapes, stays_resident
from dlnotes.training import loop
from dlnotes.training.checkpoints import Checkpoints, unflatten
from dlnotes.training.loader import Loader
from dlnotes.training.saver import Saver
from dlnotes.training.sharded import (
    compile_chunk,
    gather,
    initial_state,
    put_state,
    rows_over_mesh,
    state_shardings,
)
from dlnotes.training.state import REASONS, Member, TrainState, init_state, note_evaluation
from dlnotes.training.state_files import DamagedCheckpoint
from dlnotes.training.state_parts import held, lies_apart

CHUNK_SECONDS = 0.25
"""Aim for the length of a compiled call: short enough for a live display and a prompt stop."""


@dataclass
class Outcome:
    """How a group's training ended.

    Attributes:
      state: on the host.
      interrupted: whether it was stopped from outside and can be resumed.
      seconds: training time, resumed parts included.
      first_step_seconds: from the start of this process's training to its first finished chunk.
      examples_per_second: over all steps of this process after the first chunk.
      state_bytes: of the state, on the device of this process that holds most of it.
      stopped: for each stopped member its index, step, reason and metric.
      asynchronous: of workers that do not wait for one another: their number, how many ended early, the
        updates of each and their staleness; else empty.
    """

    state: TrainState
    interrupted: bool
    seconds: float
    first_step_seconds: float
    examples_per_second: float
    state_bytes: int = 0
    stopped: list[dict[str, Any]] = field(default_factory=list)
    asynchronous: dict[str, Any] = field(default_factory=dict)


class Trainer:
    """A group of members on a placement: compiled functions, data and state.

    Args:
      setup: of the group.
      placement: where its members are trained.

    Attributes:
      pretrained: what encoders gave for the start, leaves ``(members, ...)``; ``None`` for the network's own.

    Raises:
      ConfigError: when an array of the state cannot be divided as the config says.
    """

    def __init__(self, setup: Setup, placement: placing.Placement):
        self.setup, self.placement = setup, placement
        self.pretrained: Any = None
        if isinstance(placement, MeshPlacement):
            try:
                check_rules(placement, state_shapes(setup).members)
            except ValueError as error:
                raise ConfigError("config", [str(error)]) from None
        self.evaluator = Evaluator(setup, placement)
        self.names = (*setup.metric_names, "grad_norm")
        division = placement.division(setup.group.config.training.accumulate)
        self.division = division._replace(wrap=setup.keeps_state)

    def initial(self) -> TrainState:
        """The state before the first step, on the placement's devices."""
        init = partial(init_state, self.setup.recipe_of, keep_best=self.setup.keep_best)
        group = self.setup.group
        starting = self.setup.starting
        if starting is not None:
            begin, parts = (
                started(self.setup.recipe_of, starting.onto, init),
                starting.parts(len(group.points)),
            )
            return initial_state(self.placement, begin, group.seeds, group.hyperparams, parts)
        if self.pretrained is None and not isinstance(self.placement, MeshPlacement):
            program = jax.jit(init, compiler_options=single_use_options())
            draw = stored(program, self.setup, self.placement, "initial")
            return put_state(self.placement, jax.device_get(draw(group.seeds, group.hyperparams)))
        if self.pretrained is None:
            return initial_state(self.placement, init, group.seeds, group.hyperparams)
        begin = started(self.setup.recipe_of, CARRIED[group.config.model.kind].onto, init)
        return initial_state(self.placement, begin, group.seeds, group.hyperparams, self.pretrained)

    def train(
        self,
        *,
        folder: Path | None,
        watch: Watch,
        stop: Callable[[], bool],
        first: bool = True,
        writers: tuple = (),
        record: dict[str, Any] | None = None,
    ) -> Outcome:
        """Train to the end, from the newest checkpoint in ``folder`` if there is one.

        Args:
          folder: for metrics and checkpoints; ``None`` keeps nothing.
          watch: told of progress after each chunk.
          stop: asked before each chunk; true saves and returns interrupted.
          first: whether this process writes.
          writers: see `MetricsLog`.
          record: kept in every checkpoint, in its extra.
        """
        started = time.perf_counter()
        config, lengths, placement = self.setup.group.config, self.setup.lengths, self.placement
        store = Checkpoints(folder / "checkpoints", keep=config.checkpoint.keep) if folder else None
        log = MetricsLog(
            folder / "metrics.jsonl" if folder and first else None,
            self.names,
            every=lengths.log_every,
            per_epoch=lengths.per_epoch,
            writers=writers,
        )
        watcher = _Watcher(watch, lengths, self.setup.group.members)
        if self.setup.buckets is not None:
            count = len(self.setup.buckets.shapes)
            watcher.say(f"{self.setup.buckets.describe()}; the training step is compiled for {count} shapes")
        if (waves := waves_of(config, self.setup.dataset, lengths.batch_size)) is not None:
            watcher.say(waves.describe())
        if config.devices.workers and not is_in_file(self.setup.dataset.train):
            watcher.say("devices.workers: the data are in memory, no processes are started")
        if self.setup.teaching is not None:
            watcher.say(f"teacher: {self.setup.teaching.told}")
        if self.setup.starting is not None:
            for line in self.setup.starting.told:
                watcher.say(line)
        restored = restore(self.setup, store, watcher.say) if store else None
        if store and first:
            store.set_aside_after(int(restored[0].step) if restored else None)
            store.remove_unfinished()
        extra = restored[1] if restored else {}
        state = put_state(placement, restored[0]) if restored else self.initial()
        step, announced = int(gather(state.step)), gather(state.members.stopped_at) >= 0
        if told := log.rewind(extra.get("log"), longer=step < lengths.total and not announced.all()):
            watcher.say(told)
        seconds_before = float(extra.get("seconds", 0.0))
        loader, chunk = self.compiled(gather(jax.jit(jax.vmap(loop.order_key_data))(state.members)))
        size, examples, busy, first_seconds = 1, 0, 0.0, 0.0
        interrupted, saved_at, state_bytes = False, time.perf_counter(), bytes_per_device(state)
        wanted = False
        apart = lies_apart(state)

        def save() -> None:
            nonlocal saved_at
            elapsed = seconds_before + time.perf_counter() - started
            kept = {"log": log.position(), "seconds": elapsed} | (record or {})
            if apart:
                saver.wait()
                meet(placement)  # until no process writes an older one any more
                if store and first:
                    store.prune()
                saver.save_part(step, held(state), kept if first else {})
            else:
                whole = gather(state)
                if first:
                    saver.save(step, whole, kept)
            saved_at = time.perf_counter()

        with closing(loader), Saver(store) as saver:
            watcher.at(step, {}, 0.0, announced)
            while step < lengths.total and not announced.all():
                saver.check()
                late = time.perf_counter() - saved_at >= config.checkpoint.every_seconds and step > 0
                # The training does not wait for a checkpoint that is being written: the next comes after it.
                due = (wanted or late) and not saver.busy()
                interrupted, due, n = agree(placement, stop(), due, min(size, loader.capacity))
                if interrupted:
                    break
                if due:
                    save()
                    wanted = False
                n = min(n, self._until_boundary(step))
                begun = time.perf_counter()
                state, metrics = chunk(
                    state, loader.prepare(step, n, more=step + n < lengths.total), np.int32(n)
                )
                metrics = gather(metrics)[:n]
                took = time.perf_counter() - begun
                known, announced = announced, self._announce(state, announced, watcher)
                last = lengths.total
                if announced.all():
                    # The chunk's length depends on the clock: end where the last member stopped instead.
                    last = step + self._taken(state, known, step, n)
                    n, state = last - step, state._replace(step=placing.put(placement, np.int32(last)))
                    metrics = metrics[:n]
                log.steps(step, metrics, last=last)
                step += n
                if first_seconds == 0.0:
                    first_seconds = time.perf_counter() - started
                else:
                    examples, busy = examples + n * lengths.batch_size * self.setup.group.members, busy + took
                    # Grow slowly: the first chunks also fill caches and are not typical.
                    size = int(np.clip(n * CHUNK_SECONDS / max(took, 1e-6), 1, 4 * n))
                rate = n * lengths.batch_size * self.setup.group.members / took
                watcher.at(step, _means(self.names, metrics[-1]), rate, announced)
                if step % lengths.evaluate_every == 0 or step == lengths.total or announced.all():
                    state = self._evaluate_and_note(state, step, log, watcher)
                    announced = self._announce(state, announced, watcher)
                    log.flush()
                if lengths.checkpoint_every and step % lengths.checkpoint_every == 0:
                    wanted = True
            log.flush()
            if restored is None or step > int(restored[0].step):
                save()
        if apart:
            meet(placement)
            if store and first:
                store.prune()
        host = gather(state)
        return Outcome(
            state=host,
            interrupted=interrupted,
            seconds=seconds_before + time.perf_counter() - started,
            first_step_seconds=first_seconds,
            examples_per_second=examples / busy if busy else 0.0,
            state_bytes=state_bytes,
            stopped=_stopped(host.members),
        )

    def compiled(self, words: np.ndarray, memory: int | None = None) -> tuple[Loader, Callable]:
        """What gives each chunk of steps its data, and the jitted chunk.

        Args:
          words: ``(members, 2)`` uint32 words of each member's order of examples.
          memory: bytes of a device's memory; by default they are asked for.
        """
        config = self.setup.group.config
        train, buckets = self.setup.dataset.train, self.setup.buckets
        if buckets is not None:
            train = rows_of(train, np.argsort(buckets.index, kind="stable"))
        loader = Loader(
            train,
            self.placement,
            self.division,
            batch_size=self.setup.lengths.batch_size,
            words=words,
            resident=stays_resident(self.setup, self.placement, memory),
            order=self.setup.order,
            workers=config.devices.workers,
        )
        chunk = loop.train_chunk(
            self.setup.recipe_of,
            rows_over_mesh(self.placement, loader.batch_at),
            metric_names=self.names,
            capacity=loader.capacity,
            division=self.division,
            rows_per_part=loader.rows_per_part,
            data_per_member=loader.per_member,
            bucket_at=loader.bucket_at,
        )
        program = compile_chunk(
            self.placement,
            chunk,
            state_shapes(self.setup),
            data_axis=loader.data_axis,
            convolutions=config.model.convolutional,
        )
        laid = (loader.capacity, loader.rows_per_part, loader.per_member, loader.data_axis, self.division)
        return loader, stored(program, self.setup, self.placement, "chunk", *laid)

    def _until_boundary(self, step: int) -> int:
        """Steps until something is due: an evaluation, a checkpoint, the end."""
        lengths = self.setup.lengths
        left = [lengths.total - step, lengths.evaluate_every - step % lengths.evaluate_every]
        if lengths.checkpoint_every:
            left.append(lengths.checkpoint_every - step % lengths.checkpoint_every)
        return min(left)

    def _evaluate_and_note(self, state: TrainState, step: int, log: MetricsLog, watcher: _Watcher):
        if self.setup.dataset.validation is None:
            return state
        metrics = self.evaluator.evaluate(state.members, "validation", best=False)
        routed = routing_metrics(self.evaluator, state.members, self.setup.dataset.validation, best=False)
        log.evaluation(
            step, "validation", metrics | routed, at_end=step % self.setup.lengths.evaluate_every != 0
        )
        means = _means(tuple(metrics), np.stack([*metrics.values()]))
        watcher.keep({f"validation {k}": v for k, v in means.items()})
        if self.setup.keep_best:
            losses = placing.put(self.placement, np.asarray(metrics["loss"], np.float32))
            state = TrainState(state.step, self._note(state.members, losses, np.int32(step)))
        return state

    @cached_property
    def _note(self) -> Callable[[Member, Any, Any], Member]:
        """`note_evaluation` of all members, compiled once."""
        stopping = self.setup.group.config.training.early_stopping
        note = partial(
            note_evaluation,
            patience=stopping.patience if stopping else None,
            min_delta=stopping.min_delta if stopping else 0.0,
        )
        where = None
        if isinstance(self.placement, MeshPlacement):
            where = state_shardings(self.placement, state_shapes(self.setup)).members
        return jax.jit(jax.vmap(note, in_axes=(0, 0, None)), donate_argnums=0, out_shardings=where)

    def _taken(self, state: TrainState, known: np.ndarray, step: int, n: int) -> int:
        """Of the ``n`` steps after ``step``, those up to the one at which the last member stopped."""
        stopped_at = gather(state.members.stopped_at)
        return int(min(n, stopped_at[~known].max(initial=step) - step + 1))

    def _announce(self, state: TrainState, known: np.ndarray, watcher: _Watcher) -> np.ndarray:
        """Tell of members that have stopped since the last look; return who has."""
        stopped_at, reason = gather((state.members.stopped_at, state.members.reason))
        for m in np.flatnonzero((stopped_at >= 0) & ~known):
            watcher.say(f"member {m} stopped at step {stopped_at[m]}: {REASONS[int(reason[m])]}")
        return stopped_at >= 0


def restore(
    setup: Setup, checkpoints: Checkpoints, report: Callable[[str], None]
) -> tuple[TrainState, dict[str, Any]] | None:
    """The newest whole checkpoint as a host state with its extra, ``None`` without any."""
    found = checkpoints.newest(report)
    if found is None:
        return None
    _, arrays, extra = found
    try:
        return unflatten(arrays, state_shapes(setup)), extra
    except DamagedCheckpoint as error:  # whole, but of another config, network or data set
        raise ConfigError(str(checkpoints.folder), [str(error)]) from None


def _stopped(members: Member) -> list[dict[str, Any]]:
    stopped_at, reason = np.asarray(members.stopped_at), np.asarray(members.reason)
    return [
        {"member": int(m), "step": int(stopped_at[m]), "reason": REASONS[int(reason[m])]}
        for m in np.flatnonzero(stopped_at >= 0)
    ]


def _means(names: tuple[str, ...], row: np.ndarray) -> dict[str, float]:
    """Mean over running members of each metric (NaN marks those that have stopped)."""
    return {
        name: float(np.mean(v[np.isfinite(v)])) if np.isfinite(v).any() else float("nan")
        for name, v in zip(names, row)
    }
