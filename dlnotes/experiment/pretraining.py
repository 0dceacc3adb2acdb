"""The pretraining of a run: layers one after another, saved within and between them, resumed bit for bit."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dlnotes.config import Config, ConfigError
from dlnotes.devices import placement as placing
from dlnotes.devices.placement import Placement, agree, meet
from dlnotes.experiment.durations import Durations
from dlnotes.experiment.fine_tuning import CARRIED
from dlnotes.experiment.intervals import mean_interval
from dlnotes.experiment.kept_files import digest
from dlnotes.experiment.metrics_log import MetricsLog
from dlnotes.experiment.progress import Watch, _Watcher
from dlnotes.experiment.stack import Stack
from dlnotes.experiment.trainer import Trainer
from dlnotes.pretraining.greedy import encode
from dlnotes.pretraining.learner import Encoder
from dlnotes.pretraining.train import LayerState, LayerTraining, layer_shapes
from dlnotes.training.checkpoints import Checkpoints, unflatten
from dlnotes.training.saver import Saver
from dlnotes.training.state_files import DamagedCheckpoint

CHUNK_SECONDS = 0.25
"""Aim for the length of a compiled call, as in training."""

FLUSH_SECONDS = 2.0
"""How often the lines of pretraining.jsonl are written, at least."""


@dataclass(frozen=True)
class Pretrained:
    """How the pretraining of a group ended.

    Attributes:
      encoders: leaves ``(seeds, ...)``, fewer than layers where it was interrupted.
      interrupted: whether it was stopped from outside and can be resumed.
      report: of each layer what it is, how it ended, which seeds stopped.
      seconds: resumed parts included.
      examples: how many were learned from.
      parts: what the encoders give the network, leaves ``(members, ...)``.
    """

    encoders: tuple[Encoder, ...]
    interrupted: bool
    report: list[dict[str, Any]]
    seconds: float
    examples: int
    parts: Any = None


class Pretraining:
    """The pretraining of one group.

    Args:
      config: of the group.
      stack: what is asked for.
      engine: where the group is trained afterwards: its processes agree on when to stop.
    """

    def __init__(self, config: Config, stack: Stack, engine: Placement):
        self.config, self.stack, self.engine = config, stack, engine
        asked = config.devices
        local = jax.local_devices()
        count = None if asked.count is None else min(asked.count, len(local))
        strategy = "single" if asked.strategy == "single" else "auto"
        self.placement = placing.place(strategy, members=len(stack.seeds), devices=local, count=count)

    def train(
        self,
        *,
        folder: Path | None,
        watch: Watch,
        stop: Callable[[], bool],
        first: bool = True,
        writers: tuple = (),
        record: dict[str, Any] | None = None,
    ) -> Pretrained:
        """Train all layers, from the newest checkpoint in ``folder`` if there is one.

        Args:
          folder: for pretraining.jsonl and the checkpoints; ``None`` keeps nothing.
          watch: told of progress after each chunk.
          stop: asked before each chunk; true saves and returns interrupted.
          first: whether this process writes.
          writers: see `dlnotes.experiment.metrics_log.MetricsLog`.
          record: kept in every checkpoint, in its extra.

        Raises:
          ConfigError: when what a layer gives does not fit the layer above it.
        """
        stack, count = self.stack, len(self.stack.learners)
        store = None
        if folder is not None:
            store = Checkpoints(folder / "pretraining", keep=self.config.checkpoint.keep)
        log = MetricsLog(
            folder / "pretraining.jsonl" if folder is not None and first else None,
            (),
            every=1,
            per_epoch=stack.per_epoch,
            writers=writers,
        )
        found = _restored(stack, store, watch)
        begun = _Begun() if found is None else found
        if store is not None and first:
            store.set_aside_after(None if found is None else begun.saved)
            store.remove_unfinished()
        told = log.rewind(begun.log)
        with Saver(store if first else None) as saver:
            keeping = _Keeping(saver, log, begun, record or {}, self.config.checkpoint.every_seconds)
            below = encode(begun.encoders, stack.x) if begun.layer < count else stack.x
            state, interrupted = begun.state, False
            while begun.layer < count and not interrupted:
                watcher = self._watcher(watch, begun.layer)
                if told:
                    watcher.say(told)
                    told = ""
                training = self._layer(begun, below)
                now = training.initial() if state is None else training.put(state)
                state = None
                now, interrupted = self._through(training, now, watcher, stop, keeping, log)
                if interrupted:
                    keeping.save(stack.first_step(begun.layer) + int(now.step), placing.fetch(now))
                    break
                self._end(begun, training, now)
                keeping.save(stack.first_step(begun.layer), None)
                if begun.layer < count:
                    below = encode(begun.encoders[-1:], below, data_per_member=begun.layer > 1)
        return Pretrained(
            encoders=begun.encoders,
            interrupted=interrupted,
            report=begun.report,
            seconds=keeping.seconds,
            examples=len(stack.x),
            parts=None if interrupted else self.parts(begun.encoders),
        )

    def parts(self, encoders: Sequence[Encoder]) -> Any:
        """What the network takes over, the seeds side by side for each setting."""
        which = np.tile(np.arange(len(self.stack.seeds)), self.stack.settings)
        parts = CARRIED[self.config.model.kind].parts(encoders)
        return jax.tree.map(lambda a: np.asarray(a)[which], parts)

    def _watcher(self, watch: Watch, layer: int) -> _Watcher:
        stack = self.stack
        total = stack.epochs[layer] * stack.per_epoch
        lengths = Durations(total, 1, 1, None, min(stack.batch_size, len(stack.x)), stack.per_epoch)
        kind = stack.learners[layer].kind
        stage = f"layer {layer + 1} of {len(stack.learners)} ({kind})"
        return _Watcher(watch, lengths, len(stack.seeds), stage=stage)

    def _layer(self, begun: _Begun, below: np.ndarray) -> LayerTraining:
        stack, k = self.stack, begun.layer
        try:
            return LayerTraining(
                stack.learners[k],
                below,
                seeds=stack.seeds,
                epochs=stack.epochs[k],
                batch_size=stack.batch_size,
                layer=k,
                data_per_member=k > 0,
                placement=self.placement,
            )
        except ValueError as error:
            told = f"pretraining.learners[{k}] ({stack.learners[k].kind}): {error}"
            raise ConfigError("config", [told]) from None

    def _through(
        self,
        training: LayerTraining,
        state: LayerState,
        watcher: _Watcher,
        stop: Callable[[], bool],
        keeping: _Keeping,
        log: MetricsLog,
    ) -> tuple[LayerState, bool]:
        """A layer trained to its end, or until it is told to stop."""
        layer, members = training.layer, len(training.seeds)
        step, size, flushed = int(state.step), 1, time.perf_counter()
        known = {s["member"] for s in training.stopped(state)}
        watcher.at(step, {}, 0.0, _stopped(known, members))
        while step < training.total:
            interrupted, due, n = agree(
                self.engine, stop(), keeping.due() and step > 0, min(size, training.left(step))
            )
            if interrupted:
                return state, True
            if due:
                keeping.save(self.stack.first_step(layer) + step, placing.fetch(state))
            begun = time.perf_counter()
            state = training.advance(state, n)
            measured = training.measured(state)
            took = max(time.perf_counter() - begun, 1e-6)
            step += n
            # Grow slowly: the first chunk also compiles.
            size = int(np.clip(n * CHUNK_SECONDS / took, 1, 4 * n))
            for one in training.stopped(state):
                if one["member"] not in known:
                    known.add(one["member"])
                    seed = int(training.seeds[one["member"]])
                    watcher.say(
                        f"pretraining, layer {layer + 1}: seed {seed} stopped at step {one['step']}: "
                        f"{one['reason']}; it keeps what it had learned"
                    )
            if step % training.per_epoch == 0:
                log.evaluation(step, f"layer {layer + 1}", measured)
                if time.perf_counter() - flushed > FLUSH_SECONDS:
                    log.flush()
                    flushed = time.perf_counter()
            means = {name: _mean(values) for name, values in measured.items()}
            watcher.at(step, means, n * training.batch_size * members / took, _stopped(known, members))
        return state, False

    def _end(self, begun: _Begun, training: LayerTraining, state: LayerState) -> None:
        """Take a trained layer among those that are done."""
        learner = training.learner
        measured = training.measured(state) if training.total else {}
        stopped = [s | {"seed": int(training.seeds[s["member"]])} for s in training.stopped(state)]
        begun.report = [
            *begun.report,
            {
                "layer": training.layer + 1,
                "kind": learner.kind,
                "inputs": training.inputs,
                "units": learner.units,
                "epochs": training.epochs,
                "steps": training.total,
                "metrics": {k: mean_interval(np.asarray(v, np.float64)) for k, v in measured.items()},
                "stopped": stopped,
            },
        ]
        params = placing.fetch(state.members.state.params)
        begun.encoders = (*begun.encoders, Encoder(params, learner))
        begun.layer += 1


@dataclass
class _Begun:
    """Where a pretraining stands.

    Attributes:
      layer: the one that is trained, or the number of layers.
      encoders: of the layers before it.
      state: within the layer, ``None`` at its start.
      report: of the layers before it.
      log: position of pretraining.jsonl.
      seconds: of the processes before.
      saved: the number of its checkpoint.
    """

    layer: int = 0
    encoders: tuple[Encoder, ...] = ()
    state: LayerState | None = None
    report: list[dict[str, Any]] = field(default_factory=list)
    log: dict[str, Any] | None = None
    seconds: float = 0.0
    saved: int = 0


class _Keeping:
    """Saves the state of a pretraining with all that is needed to go on from it."""

    def __init__(
        self, saver: Saver, log: MetricsLog, begun: _Begun, record: dict[str, Any], every_seconds: float
    ):
        self._saver, self._log, self._begun, self._record = saver, log, begun, record
        self._every, self._started = every_seconds, time.perf_counter()
        self._saved = self._started

    @property
    def seconds(self) -> float:
        """Of this process and those before it."""
        return self._begun.seconds + time.perf_counter() - self._started

    def due(self) -> bool:
        """Whether the last one is older than the config allows, and none is being written."""
        self._saver.check()
        return time.perf_counter() - self._saved >= self._every and not self._saver.busy()

    def save(self, number: int, state: LayerState | None) -> None:
        """Save layers that are done, and the state of the one that is not."""
        begun = self._begun
        kept = {"below": [e.params for e in begun.encoders], "now": () if state is None else state}
        extra = {
            "layer": begun.layer,
            "within": state is not None,
            "report": begun.report,
            "log": self._log.position(),
            "seconds": self.seconds,
        }
        self._saver.save(number, kept, extra | self._record)
        self._saved = time.perf_counter()


def _restored(stack: Stack, store: Checkpoints | None, watch: Watch) -> _Begun | None:
    """The newest whole checkpoint, ``None`` without any."""
    said: list[str] = []
    found = None if store is None else store.newest(said.append)
    if found is None or store is None:
        return None
    number, arrays, extra = found
    layer, seeds = int(extra["layer"]), len(stack.seeds)
    shapes = partial(layer_shapes, members=seeds, batch_size=min(stack.batch_size, len(stack.x)))
    below = [shapes(stack.learners[k], stack.inputs(k)).members.state.params for k in range(layer)]
    now = shapes(stack.learners[layer], stack.inputs(layer)) if extra["within"] else ()
    try:
        tree = unflatten(arrays, {"below": below, "now": now})
    except DamagedCheckpoint as error:  # whole, but of another config or data set
        raise ConfigError(str(store.folder), [str(error)]) from None
    return _Begun(
        layer=layer,
        encoders=tuple(Encoder(params, stack.learners[k]) for k, params in enumerate(tree["below"])),
        state=tree["now"] or None,
        report=extra["report"],
        log=extra["log"],
        seconds=float(extra["seconds"]),
        saved=number,
    )


def _stopped(known: set[int], members: int) -> np.ndarray:
    return np.isin(np.arange(members), list(known))


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")


class Pretrainings:
    """The pretrainings of a run's groups, of which those that are the same are done once.

    A sweep over what comes after them, such as the number of labels, has a group for each value.
    """

    def __init__(self):
        self._ended: dict[str, tuple[Path | None, Pretrained]] = {}

    def start(self, trainer: Trainer, stack: Stack | None, **given: Any) -> Pretrained | None:
        """The pretraining of a group, whose end is the start of its training; ``None`` without any.

        Args:
          trainer: of the group; it is told where to start.
          stack: what is asked for.
          **given: of `Pretraining.train`.
        """
        folder = given["folder"]
        if stack is None or _goes_on_without(folder):
            return None
        config, key = trainer.setup.group.config, _key(trainer.setup.group.config)
        job = Pretraining(config, stack, trainer.placement)
        before = self._ended.get(key)
        if before is not None and folder is not None and before[0] is not None:
            if given["first"]:
                _take_over(before[0], folder)
            meet(trainer.placement)
        if before is not None and folder is None:
            learned = replace(before[1], parts=job.parts(before[1].encoders), seconds=0.0)
        else:
            learned = job.train(**given)
        if not learned.interrupted:
            self._ended.setdefault(key, (folder, learned))
        trainer.pretrained = learned.parts
        return learned


def _key(config: Config) -> str:
    """Names what a group's encoders follow from; the data are those of the run."""
    model = config.model.model_dump(mode="json", include={"kind", "widths", "activation", "code"})
    learned = None if config.pretraining is None else config.pretraining.model_dump(mode="json")
    devices = [config.devices.strategy, config.devices.count]
    return digest([model, learned, config.seed, config.training.seeds, devices])


def _goes_on_without(folder: Path | None) -> bool:
    """Whether a training has begun whose pretraining somebody removed."""
    if folder is None or not Checkpoints(folder / "checkpoints").steps():
        return False
    return not Checkpoints(folder / "pretraining").steps()


def _take_over(source: Path, folder: Path) -> None:
    """Copy what another group has learned, unless something of the kind is there."""
    if (folder / "pretraining").exists():
        return
    partial = folder / "pretraining.partial"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source / "pretraining", partial, ignore=shutil.ignore_patterns("*.damaged"))
    shutil.copyfile(source / "pretraining.jsonl", folder / "pretraining.jsonl")
    os.replace(partial, folder / "pretraining")
