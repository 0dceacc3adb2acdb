"""A sweep whose groups are trained as tasks of an engine, each in a folder of its own."""

from __future__ import annotations

from dlnotes.config import Config
from dlnotes.devices.compiler import enable_compilation_cache
from dlnotes.experiment.engines import Engine, Lost, Task, each
from dlnotes.experiment.groups import groups
from dlnotes.experiment.kept_data import load_data
from dlnotes.experiment.kept_start import keep_starts, kept_starts
from dlnotes.experiment.kept_teaching import keep_teachings, kept_teachings, teachings
from dlnotes.experiment.lock import locked
from dlnotes.experiment.placing import prepare_devices
from dlnotes.experiment.progress import Progress, Watch
from dlnotes.experiment.result import Result
from dlnotes.experiment.run import (
    Interrupted,
    RunFailed,
    _alone_in,
    _named_in_errors,
    _trainers,
    record_of,
    resume,
)
from dlnotes.experiment.run_folder import RunFolder, keep_metadata
from dlnotes.experiment.start import in_scales_of, starts, with_start_found
from dlnotes.experiment.start_scales import as_started
from dlnotes.experiment.teacher import with_teachers_found
from dlnotes.formatting import in_shell


def run_on(
    config: Config, engine: Engine, *, watch: Watch | None = None, command: list[str] | None = None
) -> Result:
    """`dlnotes.experiment.run.run`, whose groups are trained in other processes; the result is the same.

    A group whose process dies goes on from its checkpoint. When the engine fails, `resume` goes on alone.

    Args:
      config: of a sweep; one without is one task.
      engine: where.
      watch: told when a group has been trained, then of what follows.
      command: recorded in environment.json.

    Raises:
      ConfigError, Interrupted, RunFailed: as `run`.
      ValueError: when the engine cannot be used.
    """
    config = with_start_found(with_teachers_found(config))
    plan, said = groups(config), watch or (lambda progress: None)
    prepare_devices(config, plan)
    dataset = load_data(config)
    begun = starts(plan, dataset)
    dataset = in_scales_of(begun, config, dataset)
    taught = teachings(plan, dataset)
    _trainers(
        config, plan, dataset, None, taught, begun
    )  # what does not fit shows here, before anything is written
    kept = RunFolder.create(config, command)
    tasks = [Task(train_group, (str(kept.path), i), f"group {i}") for i in range(len(plan))]
    members = sum(group.members for group in plan)
    with _named_in_errors(kept), _alone_in(kept):
        keep_metadata(kept, dataset)
        keep_teachings(kept, plan, taught)
        keep_starts(kept, plan, begun)
        try:
            for count, (index, _) in enumerate(each(engine, tasks), 1):
                told = f"group {index} is trained ({count} of {len(plan)})"
                said(Progress(count, len(plan), 0.0, {}, 0.0, members, members, told))
        except KeyboardInterrupt:
            raise Interrupted(kept.path) from None
        except Lost as error:
            raise RunFailed(f"{error}; go on here with: dlnotes resume {in_shell(kept.path)}") from None
    return resume(kept.path, watch=watch)


def train_group(folder: str, index: int) -> None:
    """Train one group of a run to its end, from its newest checkpoint if there is one; the task of `run_on`.

    Args:
      folder: of the run.
      index: which of its groups.

    Raises:
      ConfigError: when another process trains that group.
    """
    kept = RunFolder.open(folder)
    config = kept.config()
    plan = groups(config)
    prepare_devices(config, plan)
    unscaled = load_data(config)
    dataset = as_started(kept, config, unscaled)
    enable_compilation_cache()
    own_group = [plan[index]]
    taught = kept_teachings(kept, own_group, dataset, write=False)
    begun = kept_starts(kept, own_group, unscaled, write=False)
    (trainer,) = _trainers(config, own_group, dataset, None, taught, begun)
    own = kept.group(index, len(plan))
    own.mkdir(parents=True, exist_ok=True)
    record = record_of(config, dataset, trainer.setup)

    def train() -> None:
        trainer.train(folder=own, watch=lambda progress: None, stop=lambda: False, record=record)

    if own == kept.path:  # which the run itself has locked
        return train()
    with locked(own):
        train()
