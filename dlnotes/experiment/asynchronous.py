"""The training of one network by workers that do not wait for one another ([training.asynchronous])."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.config import Config, ConfigError
from dlnotes.config.training import Asynchronous
from dlnotes.data.dataset import Dataset
from dlnotes.data.in_file import is_in_file
from dlnotes.devices.placement import place
from dlnotes.devices.prepare import cpu_count
from dlnotes.experiment.durations import Durations
from dlnotes.experiment.metrics_log import MetricsLog
from dlnotes.experiment.progress import Watch, _Watcher
from dlnotes.experiment.recipe import recipe_of
from dlnotes.experiment.setup import Setup
from dlnotes.experiment.trainer import Outcome, Trainer, _means, _stopped, restore
from dlnotes.training.asynchronous.on_ray import OnRay
from dlnotes.training.asynchronous.server import Served
from dlnotes.training.asynchronous.shared import Shared
from dlnotes.training.asynchronous.team import Look, Lost, Team
from dlnotes.training.asynchronous.work import Work, check, flat, unflat
from dlnotes.training.checkpoints import Checkpoints
from dlnotes.training.saver import Saver
from dlnotes.training.sharded import gather, put_state
from dlnotes.training.state import Recipe, TrainState

LOOK_SECONDS = 0.25
"""Between two looks at the workers."""


def built(config: Config, dataset: Dataset, lengths: Durations, hyper: dict[str, float]) -> Recipe:
    """The recipe of a group's only member, made in a worker."""
    return recipe_of(config, dataset, lengths=lengths, flatten_small=True)(hyper)  # pyright: ignore[reportArgumentType]


class AsynchronousTrainer(Trainer):
    """A `Trainer` whose steps are taken by workers; this process looks, evaluates and saves.

    Args:
      setup: of the group.
      given: whether the network was given to `dlnotes.run` and is not the config's.

    Raises:
      ConfigError: naming what such workers cannot train.
    """

    def __init__(self, setup: Setup, *, given: bool = False):
        if setup.group.config.training.asynchronous is None:
            raise ValueError("training.asynchronous: is needed")
        self.chosen: Asynchronous = setup.group.config.training.asynchronous
        problem = _problem(setup, given)
        if problem:
            raise ConfigError("config", [f"training.asynchronous: {problem}"])
        try:
            check(setup.recipe_of({k: jnp.asarray(v[0]) for k, v in setup.group.hyperparams.items()}))
        except ValueError as error:
            raise ConfigError("config", [f"training.asynchronous: {error}"]) from None
        super().__init__(setup, place("single", members=1, devices=jax.local_devices()))

    def team(self, parameters: int) -> Team:
        """The workers, started."""
        group, workers = self.setup.group, self.chosen.workers
        hyper = {path: float(values[0]) for path, values in group.hyperparams.items()}
        dataset = replace(self.setup.dataset, validation=None, test=None, references={}, records={})
        build = partial(built, group.config, dataset, self.setup.lengths, hyper)
        work = Work(build, dataset.train, self.setup.lengths.batch_size, int(group.seeds[0]))
        sizes = {"parameters": parameters, "metrics": len(self.names)}
        if self.chosen.kind == "ray":
            return OnRay(work, workers, **sizes)
        kind = {"shared": Shared, "server": Served}[self.chosen.kind]
        # Alone they may have a processor each; where there are more processors others may use them too.
        return kind(work, workers, pin=workers == cpu_count(), **sizes)

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
        """See `Trainer.train`. Updates are its steps, and no two trainings are the same bit for bit.

        A worker that dies is counted, and the others go on. Where none is left, or the server of the
        parameters has died, what was seen last is saved and the training is interrupted.
        """
        started = time.perf_counter()
        config, lengths = self.setup.group.config, self.setup.lengths
        store = Checkpoints(folder / "checkpoints", keep=config.checkpoint.keep) if folder else None
        log = MetricsLog(
            folder / "metrics.jsonl" if folder else None,
            self.names,
            every=lengths.log_every,
            per_epoch=lengths.per_epoch,
            writers=writers,
        )
        watcher = _Watcher(watch, lengths, 1)
        if self.chosen.workers > cpu_count():
            watcher.say(f"{self.chosen.workers} workers share {cpu_count()} processors: more gain nothing")
        restored = restore(self.setup, store, watcher.say) if store else None
        if store:
            store.set_aside_after(int(restored[0].step) if restored else None)
            store.remove_unfinished()
        extra = restored[1] if restored else {}
        state: TrainState = gather(put_state(self.placement, restored[0]) if restored else self.initial())
        step, total = int(state.step), lengths.total
        ended = bool((state.members.stopped_at >= 0).all())
        if told := log.rewind(extra.get("log"), longer=step < total and not ended):
            watcher.say(told)
        before = extra.get("asynchronous", {})
        counts = np.array(before.get("updates", [0] * self.chosen.workers), np.int64)
        seconds_before, first_seconds, gone, lost = float(extra.get("seconds", 0.0)), 0.0, 0, ""
        seen = Look(flat(_alone(state)), counts, np.zeros_like(counts), np.zeros(len(self.names)))
        interrupted, saved_at, examples, busy = False, time.perf_counter(), 0, 0.0

        def facts() -> dict[str, Any]:
            return {
                "workers": self.chosen.workers,
                "ended_early": before.get("ended_early", 0) + gone,
                "updates": seen.counts.tolist(),
                "stale": before.get("stale", 0) + int(seen.stale.sum()),
            }

        def save() -> None:
            nonlocal saved_at
            elapsed = seconds_before + time.perf_counter() - started
            kept = {"log": log.position(), "seconds": elapsed, "asynchronous": facts()}
            saver.save(step, state, kept | (record or {}))
            saved_at = time.perf_counter()

        watcher.at(step, {}, 0.0, np.array([ended]))
        with Saver(store) as saver:
            if step < total and not ended:
                with self.team(len(seen.vector)) as team:
                    began = looked = time.perf_counter()
                    team.go(seen.vector, total, counts=counts)
                    running = True
                    while running:
                        saver.check()
                        running = team.running(LOOK_SECONDS)
                        interrupted = stop()
                        try:
                            if interrupted:
                                team.stop()
                                running = False
                            now = team.look()
                        except Lost as error:
                            lost, running, now = str(error), False, seen
                        if team.gone > gone:
                            gone = team.gone
                            left = self.chosen.workers - gone
                            watcher.say(f"{gone} of {self.chosen.workers} workers ended, {left} go on")
                        updates = min(now.updates, total)
                        n, clock = updates - step, time.perf_counter()
                        if n > 0:
                            means = (now.sums - seen.sums) / max(1, now.updates - seen.updates)
                            rows = np.repeat(means[None, :, None].astype(np.float32), n, axis=0)
                            log.steps(step, rows, last=total)
                            first_seconds = first_seconds or clock - started
                            rate = n * lengths.batch_size / (clock - looked)
                            examples, busy = examples + n * lengths.batch_size, clock - began
                            due = updates // lengths.evaluate_every > step // lengths.evaluate_every
                            every = lengths.checkpoint_every
                            due_save = every is not None and updates // every > step // every
                            seen, step, looked = now, updates, clock
                            state = self._seen(state, seen, step)
                            watcher.at(step, _means(self.names, means[:, None]), rate, _ended(state))
                            if due or step == total:
                                state = self._evaluate_and_note(state, step, log, watcher)
                                state = gather(state)
                                log.flush()
                            if due_save or clock - saved_at >= config.checkpoint.every_seconds:
                                save()
                        if now.reason:
                            state = _failed(state, step, now.reason)
                        if _ended(state).all():
                            running = False
                            self._announce(state, np.array([False]), watcher)
                            if not lost:
                                team.stop()
                if lost or (gone == self.chosen.workers and step < total):
                    watcher.say(lost or "no worker is left")
                    interrupted = True
            log.flush()
            if restored is None or step > int(restored[0].step):
                save()
        return Outcome(
            state=state,
            interrupted=interrupted and step < total,
            seconds=seconds_before + time.perf_counter() - started,
            first_step_seconds=first_seconds,
            examples_per_second=examples / busy if busy else 0.0,
            stopped=_stopped(state.members),
            asynchronous=facts() | {"staleness": facts()["stale"] / max(1, int(seen.counts.sum()))},
        )

    def _seen(self, state: TrainState, look: Look, step: int) -> TrainState:
        """The state with the parameters that were seen."""
        params = jax.tree.map(lambda a: a[None], unflat(look.vector, _alone(state)))
        counted = jax.tree.map(lambda a: np.full_like(a, step), state.members.opt_state)
        return TrainState(np.int32(step), state.members._replace(params=params, opt_state=counted))  # type: ignore[arg-type]


def _alone(state: TrainState) -> Any:
    return jax.tree.map(lambda a: np.asarray(a)[0], state.members.params)


def _ended(state: TrainState) -> np.ndarray:
    return np.asarray(state.members.stopped_at) >= 0


def _failed(state: TrainState, step: int, reason: int) -> TrainState:
    where, why = np.full(1, step, np.int32), np.full(1, reason, np.int32)
    return state._replace(members=state.members._replace(stopped_at=where, reason=why))  # type: ignore[arg-type]


def _problem(setup: Setup, given: bool) -> str:
    """What these workers cannot train, in words; "" where they can."""
    config, dataset = setup.group.config, setup.dataset
    if given or config.model.kind == "given":
        return "its workers build the network from the config, allowed is no network of your own"
    if jax.process_count() > 1:
        return f"got {jax.process_count()} processes of jax, allowed is one; workers are started by it"
    if setup.group.members > 1:
        return (
            f"trains one network at a time, got {setup.group.members} (training.seeds times swept numbers); "
            "allowed is 1"
        )
    if setup.buckets is not None:
        return f"training.buckets: got {config.training.buckets}, allowed is 1"
    if is_in_file(dataset.train):
        return f"needs examples in memory, those of {dataset.name} stay in their files"
    return ""
