"""The road from a config to a result: run, resume, evaluate, predict, export."""

from __future__ import annotations

import errno
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dlnotes.config import Config, ConfigError, load, parse, to_toml
from dlnotes.data.buckets import Buckets
from dlnotes.data.dataset import Dataset
from dlnotes.devices.compiler import enable_compilation_cache
from dlnotes.devices.distributed import NotTogether, agree
from dlnotes.devices.placement import place
from dlnotes.experiment.asynchronous import AsynchronousTrainer
from dlnotes.experiment.baselines import beside, wanted
from dlnotes.experiment.evaluator import Evaluator
from dlnotes.experiment.extension import extend, extensions, made_with, refuse_edits, with_overrides
from dlnotes.experiment.final_metrics import final_metrics
from dlnotes.experiment.groups import Group, groups
from dlnotes.experiment.kept_data import check_data, data_digest, load_data
from dlnotes.experiment.kept_files import read_json, write_json, write_text
from dlnotes.experiment.kept_start import keep_starts, kept_starts
from dlnotes.experiment.kept_teaching import keep_teachings, kept_teachings, teachings
from dlnotes.experiment.lock import locked
from dlnotes.experiment.loggers.loggers import Loggers, logging_to
from dlnotes.experiment.loggers.needs import refuse_missing, refuse_unreachable
from dlnotes.experiment.notebook import watch_here
from dlnotes.experiment.opening import open_run as open_run  # where it was before
from dlnotes.experiment.placing import placement_of, prepare_devices
from dlnotes.experiment.pretraining import Pretrained, Pretrainings
from dlnotes.experiment.progress import Watch
from dlnotes.experiment.result import Result
from dlnotes.experiment.run_folder import RunFolder, keep_metadata
from dlnotes.experiment.scaling import with_scaling
from dlnotes.experiment.setup import Setup, prepare
from dlnotes.experiment.stack import Stack, stack_of
from dlnotes.experiment.start import in_scales_of, starts, with_start_found
from dlnotes.experiment.start_scales import as_started
from dlnotes.experiment.starting import Starting
from dlnotes.experiment.summary import summarize_group
from dlnotes.experiment.tasks import with_tasks
from dlnotes.experiment.teacher import with_teachers_found
from dlnotes.experiment.teaching import Teaching
from dlnotes.experiment.trainer import Outcome, Trainer
from dlnotes.formatting import in_shell
from dlnotes.models.model import Model
from dlnotes.training import workers
from dlnotes.training.state_files import LostCheckpoint


class Interrupted(Exception):
    """A run was stopped from outside, is saved, and can be resumed.

    Attributes:
      folder: of the run.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder
        how = f"resume with: dlnotes resume {in_shell(folder)}" if folder is not None else "nothing was kept"
        super().__init__(f"interrupted; {how}")


class RunFailed(Exception):
    """A run ended without a result; the message says why."""


def run(
    config: Config | Mapping[str, Any] | str | Path,
    overrides: tuple[str, ...] | list[str] = (),
    *,
    model: Model | None = None,
    dataset: Dataset | None = None,
    watch: Watch | None = None,
    folder: str | Path | None = None,
    keep: bool = True,
    command: list[str] | None = None,
) -> Result:
    """Train what a config describes and return what came of it.

    Args:
      config: the path of a TOML file, a mapping with the same sections, or a `Config`.
      overrides: such as ``["model.widths=[64]", "training.seeds=8"]``, for a path or a mapping.
      model: trains this network (say, of `dlnotes.models.from_flax`) instead of [model]'s.
      dataset: trains on this instead of [data]'s.
      watch: told of progress; see `dlnotes.experiment.progress.Progress`. By default a notebook shows a bar
        (``lambda progress: None`` shows none).
      folder: use this run folder (made by `RunFolder.create`) instead of a new one.
      keep: write a run folder; without, nothing is written.
      command: recorded in environment.json.

    Raises:
      ConfigError: when the config, the data or the devices do not fit; nothing has been written.
      Interrupted: after SIGTERM, SIGHUP or Ctrl-C, when the state has been saved.
      RunFailed: when every seed failed, or the disk is full.

    Example:
      ``result = dlnotes.run("configs/quickstart.toml"); result.metrics["test"]["accuracy"]["mean"]``
    """
    if isinstance(config, Mapping):
        config = parse(config, overrides)
    elif not isinstance(config, Config):
        config = load(config, overrides)
    elif overrides:
        raise ValueError("overrides: are for a config file or a mapping, change the Config itself instead")
    config = with_start_found(with_teachers_found(config))
    plan = groups(config)
    prepare_devices(config, plan)
    described = model is None and dataset is None
    refuse_missing(config)
    if keep and jax.process_index() == 0:
        refuse_unreachable(config)
    dataset = load_data(config) if dataset is None else _given(config, dataset)
    begun = starts(plan, dataset, model)
    dataset = in_scales_of(begun, config, dataset)
    _same_data(dataset)
    enable_compilation_cache()
    taught = teachings(plan, dataset)
    trainers = _trainers(config, plan, dataset, model, taught, begun, described=described)
    stacks = _stacks(plan, dataset)
    first = jax.process_index() == 0
    kept = None
    if keep or folder is not None:
        kept = RunFolder(folder) if folder is not None else None
        if kept is None and first:
            kept = RunFolder.create(config, command)
        kept = _same_folder(kept)
    with _alone_in(kept if first else None):
        if kept is not None and first:
            with _named_in_errors(kept):
                keep_metadata(kept, dataset)
                keep_teachings(kept, plan, taught)
                keep_starts(kept, plan, begun)
        return _train_all(config, dataset, trainers, stacks, kept, watch or _watch(plan, first), first=first)


def resume(
    folder: str | Path,
    overrides: tuple[str, ...] | list[str] = (),
    *,
    watch: Watch | None = None,
    model: Model | None = None,
    dataset: Dataset | None = None,
) -> Result:
    """Go on with an interrupted run, bit for bit as if it had not been; or with one that ended, for longer.

    Args:
      folder: of the run.
      overrides: a longer ``training.duration``, and options of [devices], [checkpoint] and [output]. The
        longer run is that which would have been trained from the start; it is noted in the folder.
      watch: told of progress.
      model, dataset: again, if the run was started with one.

    Raises:
      ConfigError: when it is no run folder, another process trains in it, or its checkpoints are not of this
        config, network or data; or when a run of the new duration would not have begun like this one (a
        cosine over the whole of it).

    Example:
      ``dlnotes.resume("runs/quickstart/…", ["training.duration='40 epochs'"])``
    """
    kept = RunFolder.open(folder)
    before = kept.config()
    refuse_edits(kept, before)
    config = with_overrides(kept, before, overrides)
    plan = groups(config)
    prepare_devices(config, plan)
    dataset = load_data(config) if dataset is None else _given(config, dataset)
    unscaled, dataset = dataset, as_started(kept, config, dataset)
    _same_data(dataset)
    first = jax.process_index() == 0
    with _alone_in(kept if first else None):
        check_data(kept, dataset, write=first)
        enable_compilation_cache()
        taught = kept_teachings(kept, plan, dataset, write=first)
        begun = kept_starts(kept, plan, unscaled, model=model, write=first)
        trainers = _trainers(config, plan, dataset, model, taught, begun)
        stacks = _stacks(plan, dataset)
        if first and not kept.config_path.is_file():
            write_text(kept.config_path, to_toml(config))
        if overrides:
            extend(kept, before, config, groups(before), [t.setup for t in trainers], write=first)
        return _train_all(config, dataset, trainers, stacks, kept, watch or _watch(plan, first), first=first)


def _watch(plan: list[Group], first: bool) -> Watch:
    """A bar in a notebook, nothing elsewhere."""
    return watch_here(len(plan)) if first else lambda progress: None


def _stacks(plan: list[Group], dataset: Dataset) -> list[Stack | None]:
    """What [pretraining] asks for of each group.

    Raises:
      ConfigError: when the data do not fit, before anything is compiled.
    """
    try:
        return [stack_of(group, dataset) for group in plan]
    except ValueError as error:
        raise ConfigError("config", [str(error)]) from None


def _trainers(
    config: Config,
    plan: list[Group],
    dataset: Dataset,
    model: Model | None,
    taught: Sequence[Teaching | None] | None = None,
    begun: Sequence[Starting | None] | None = None,
    *,
    described: bool = False,
) -> list[Trainer]:
    refuse_missing(config)
    chosen = config.training.asynchronous
    if chosen is not None and chosen.kind == "ray" and find_spec("ray") is None:
        needs = "needs the extra: python -m pip install 'dlnotes[ray]'"
        raise ConfigError("config", [f"training.asynchronous.kind: got 'ray', {needs}"])
    if config.devices.workers and (needs := workers.missing()):
        raise ConfigError("config", [f"devices.workers: {needs}"])
    known: dict[Any, dict[int, Buckets | None]] = {}
    try:
        setups = [
            prepare(
                group,
                dataset,
                model=model,
                known=known.setdefault(id(by), {}),
                teaching=by,
                starting=start,
                described=described,
            )
            for group, by, start in zip(plan, taught or [None] * len(plan), begun or [None] * len(plan))
        ]
        return [_trainer(setup, given=model is not None) for setup in setups]
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError("config", [str(error)]) from None


def _trainer(setup: Setup, *, given: bool) -> Trainer:
    if setup.group.config.training.asynchronous is not None:
        return AsynchronousTrainer(setup, given=given)
    return Trainer(setup, placement_of(setup))


@contextmanager
def _alone_in(kept: RunFolder | None) -> Iterator[None]:
    """Let no other process train in the run folder meanwhile."""
    if kept is None:
        yield
        return
    with _lost_files_are_said(kept), locked(kept.path):
        yield


@contextmanager
def _named_in_errors(kept: RunFolder | None) -> Iterator[None]:
    """Give an error the run folder that was being written, as its ``run_folder``."""
    try:
        yield
    except Exception as error:
        if kept is not None:
            error.run_folder = kept.path  # type: ignore[attr-defined]
        raise


def _given(config: Config, dataset: Dataset) -> Dataset:
    """A data set that was not loaded, with the targets of the config's tasks, in its scale."""
    try:
        return with_scaling(config, with_tasks(config, dataset))
    except ValueError as error:
        raise ConfigError("config", [str(error)]) from None


def _same_data(dataset: Dataset) -> None:
    """Check that all processes have loaded the same data.

    Raises:
      ConfigError: when another has others.
    """
    if jax.process_count() == 1:
        return
    try:
        agree(jax.process_index(), jax.process_count(), "data", data_digest(dataset))
    except NotTogether as error:
        raise ConfigError("processes", [str(error)]) from None


def _same_folder(kept: RunFolder | None) -> RunFolder:
    """The first process's folder, in every process."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        text = str(kept.path.absolute()) if kept is not None else ""
        encoded = np.zeros(4096, np.uint8)
        encoded[: len(text.encode())] = np.frombuffer(text.encode(), np.uint8)
        sent = np.asarray(multihost_utils.broadcast_one_to_all(encoded))
        return RunFolder(bytes(sent.tobytes()).rstrip(b"\0").decode())
    if kept is None:
        raise ValueError("folder: a run folder is needed")
    return kept


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Turn SIGTERM, SIGHUP and the first Ctrl-C into a question that the training asks between chunks.

    A hang-up is what a terminal sends that is closed; where it is ignored (nohup), it stays so.
    """
    told = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield told.is_set
        return

    def note(signum, frame):
        if told.is_set() and signum == signal.SIGINT:
            raise KeyboardInterrupt
        told.set()

    heard = [signal.SIGTERM, signal.SIGINT]
    hang_up = getattr(signal, "SIGHUP", None)  # which Windows does not have
    if hang_up is not None and signal.getsignal(hang_up) != signal.SIG_IGN:
        heard.append(hang_up)
    before = {s: signal.signal(s, note) for s in heard}
    try:
        yield told.is_set
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


def _train_all(
    config: Config,
    dataset: Dataset,
    trainers: list[Trainer],
    stacks: list[Stack | None],
    kept: RunFolder | None,
    watch: Watch,
    *,
    first: bool,
) -> Result:
    plan = [t.setup.group for t in trainers]
    where = [t.placement.describe() for t in trainers]
    with logging_to(config, kept if first else None, plan, where) as loggers:
        return _train_logged(config, dataset, trainers, stacks, kept, watch, loggers, first=first)


def _train_logged(
    config: Config,
    dataset: Dataset,
    trainers: list[Trainer],
    stacks: list[Stack | None],
    kept: RunFolder | None,
    watch: Watch,
    loggers: Loggers,
    *,
    first: bool,
) -> Result:
    started = time.perf_counter()
    points: list[dict[str, Any]] = []
    outcomes: list[Outcome] = []
    before = Pretrainings()
    learned: list[Pretrained | None] = []
    with _named_in_errors(kept), _lost_files_are_said(kept), _stoppable() as stop:
        for index, (trainer, stack) in enumerate(zip(trainers, stacks, strict=True)):
            folder = kept.group(index, len(trainers)) if kept is not None else None
            if folder is not None and first:
                folder.mkdir(parents=True, exist_ok=True)
            with loggers.of_group(index, folder) as writers:
                given: dict[str, Any] = {
                    "folder": folder,
                    "watch": watch,
                    "stop": stop,
                    "first": first,
                    "writers": writers,
                    "record": record_of(config, dataset, trainer.setup),
                }
                learned.append(before.start(trainer, stack, **given))
                outcome = None if _interrupted(learned[-1]) else trainer.train(**given)
            if outcome is None or outcome.interrupted:
                loggers.interrupted = True
                raise Interrupted(kept.path if kept is not None else None)
            outcomes.append(outcome)
            several = sum(len(t.setup.group.points) for t in trainers) > 1
            metrics = final_metrics(trainer.evaluator, outcome.state.members, chosen=several)
            records = summarize_group(trainer.setup.group, outcome, metrics)
            loggers.measured(records, int(outcome.state.step))
            points += records
    points.sort(key=lambda p: p["point"])
    summary = _summary(config, trainers, outcomes, points, time.perf_counter() - started)
    if any(learned):
        summary["pretraining"] = [
            None if one is None else {"layers": one.report, "seconds": one.seconds, "examples": one.examples}
            for one in learned
        ]
    if any(t.setup.starting is not None for t in trainers):
        summary["start"] = [t.setup.starting and t.setup.starting.summary() for t in trainers]
    if kept is not None and (longer := extensions(kept)):
        summary["extended"] = longer
    result = Result(
        folder=kept.path if kept is not None else None,
        config=config,
        summary=summary,
        dataset=dataset,
        groups=tuple(t.setup.group for t in trainers),
        states=tuple(o.state for o in outcomes),
        pretrained=tuple(() if one is None else one.encoders for one in learned) if any(learned) else (),
    )
    if kept is not None and first:
        with _named_in_errors(kept), _lost_files_are_said(kept):
            write_json(kept.summary_path, summary)
            if wanted(config) and summary["status"] == "done":
                summary["baselines"] = beside(config, dataset, points)
                write_json(kept.summary_path, summary)
            if config.output.figures:
                from dlnotes.experiment.figures import draw as figures

                figures.draw(kept, result, [_alone(t.evaluator) for t in trainers])
        loggers.ended(summary)
    if summary["status"] == "failed":
        reasons = "; ".join(
            f"seed {s['seed']}{_setting(p)}: {s['reason']} at step {s['step']}"
            for p in points
            for s in p["stopped"]
        )
        raise RunFailed(f"every seed failed ({reasons})" + (f"; run folder: {kept.path}" if kept else ""))
    return result


def _interrupted(learned: Pretrained | None) -> bool:
    return learned is not None and learned.interrupted


def _alone(evaluator: Evaluator) -> Evaluator:
    """One that this process can use without the others."""
    if evaluator.placement.processes == 1:
        return evaluator
    return Evaluator(evaluator.setup, place("single", members=1, devices=jax.local_devices()))


def _setting(point: dict[str, Any]) -> str:
    """A sweep point's values in words, nothing without a sweep."""
    return "".join(f", {path} = {value}" for path, value in point["values"].items())


@contextmanager
def _lost_files_are_said(kept: RunFolder | None) -> Iterator[None]:
    """Turn a full disk or a lost checkpoint into a `RunFailed` that says how to go on."""
    again = f"dlnotes resume {in_shell(kept.path)}" if kept else ""
    try:
        yield
    except LostCheckpoint as error:
        raise RunFailed(f"{error}; when the cause is mended, go on with: {again}") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RunFailed(
            f"no space left on device while writing {kept.path if kept else 'the run'}: free some, then "
            f"go on with: {again}"
        ) from error


def record_of(config: Config, dataset: Dataset, setup: Setup) -> dict[str, Any]:
    """What every checkpoint keeps beside the state: the config, checksums of what is learned from."""
    teacher = {} if setup.teaching is None else {"teacher": setup.teaching.digest}
    start = {} if setup.starting is None else {"start": setup.starting.digest}
    return {"config": made_with(config), "data": data_digest(dataset)} | teacher | start


def _summary(config, trainers, outcomes, points, seconds) -> dict[str, Any]:
    members = sum(t.setup.group.members for t in trainers)
    failed = sum(s["reason"].startswith("non-finite") for p in points for s in p["stopped"])
    workers = [o.asynchronous for o in outcomes if o.asynchronous]
    return ({"asynchronous": workers} if workers else {}) | {
        "status": "failed" if failed == members else "done",
        "name": config.name,
        "points": points,
        "failed_members": failed,
        "members": members,
        "steps": [int(o.state.step) for o in outcomes],
        "steps_planned": [t.setup.lengths.total for t in trainers],
        "batch_size": [t.setup.lengths.batch_size for t in trainers],
        "placement": [t.placement.describe() for t in trainers],
        "buckets": [None if t.setup.buckets is None else t.setup.buckets.describe() for t in trainers],
        "teacher": [None if t.setup.teaching is None else t.setup.teaching.told for t in trainers],
        "seconds": seconds,
        "training_seconds": [o.seconds for o in outcomes],
        "first_step_seconds": [o.first_step_seconds for o in outcomes],
        "examples_per_second": [o.examples_per_second for o in outcomes],
        "state_bytes_per_device": [o.state_bytes for o in outcomes],
    }


def summary_of(folder: str | Path) -> dict[str, Any] | None:
    """A run's summary, ``None`` before it has ended."""
    return read_json(RunFolder.open(folder).summary_path)
