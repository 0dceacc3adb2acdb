"""What a run was made with: an edited config is refused, a longer duration is taken where it can be."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from dlnotes.config import Config, ConfigError, load, parse, to_toml
from dlnotes.config.toml import FILES
from dlnotes.experiment.durations import Durations, durations
from dlnotes.experiment.groups import Group
from dlnotes.experiment.kept_files import DamagedFile, read_json, write_json, write_text
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.experiment.setup import Setup
from dlnotes.formatting import in_shell
from dlnotes.training.checkpoints import Checkpoints

_log = logging.getLogger(__name__)

FREE = ("name", "devices", "checkpoint", "output", "decoding")
"""Sections that do not change what is trained."""

TEACHERS = ("runs", "extra")
"""Options of [teacher] that are paths: what the teachers answer is compared with what is kept of it."""

WHOLE = ("cosine", "linear", "one_cycle")
"""Schedules that are laid over the whole duration."""

MOST = 6
"""Differences that a message tells."""


def made_with(config: Config) -> dict[str, Any]:
    """The config as a checkpoint keeps it."""
    return config.model_dump(mode="json", exclude_none=True)


def trained_by(config: Config) -> str:
    """A line for each option that changes what is trained, for a comparison of processes."""
    flat = _flat(made_with(config))
    return "\n".join(f"{path} = {value!r}" for path, value in sorted(flat.items()) if not _free(path))


def refuse_edits(kept: RunFolder, config: Config) -> None:
    """Check that a folder's config is what its checkpoints were made with.

    Args:
      kept: the run folder.
      config: as it is there now.

    Raises:
      ConfigError: naming every option that differs, what it is and what it was.
    """
    for one in _known(kept):
        if problems := _edits(one, config, extensions(kept)):
            told = problems[:MOST]
            told += [f"and {len(problems) - MOST} more"] if len(problems) > MOST else []
            longer = f'dlnotes resume {in_shell(kept.path)} training.duration="40 epochs"'
            told[-1] += f"\n  (put it back; a run is trained for longer by: {longer})"
            raise ConfigError(f"{kept.config_path} is not what the run was made with", told)


def _known(kept: RunFolder) -> list[Mapping[str, Any]]:
    """The configs that checkpoints were made with; before the first one, that of the start."""
    saved = [extra["config"] for extra in kept.extras() if "config" in extra]
    if saved:
        return saved
    try:
        environment = read_json(kept.environment_path) or {}
    except DamagedFile as error:
        told = "so config.toml is not compared with it; nothing has been trained yet"
        _log.warning("%s %s; %s", error.source, error.problems[0], told)
        return []
    return [environment["config"]] if "config" in environment else []


def _edits(saved: Mapping[str, Any], config: Config, known: Sequence[Mapping[str, Any]]) -> list[str]:
    try:
        before = _flat(made_with(parse(saved)))
    except ConfigError:  # of a version whose options are not those of today: nothing can be compared
        return []
    now = _flat(made_with(config))
    if now["training.duration"] in [e["to"] for e in known]:
        before["training.duration"] = now["training.duration"]
    return [
        f"{path}: got {_told(now, path)}, the run was made with {_told(before, path)}"
        for path in sorted(before.keys() | now.keys())
        if before.get(path) != now.get(path) and not _free(path)
    ]


def _free(path: str) -> bool:
    section, _, option = path.partition(".")
    # The files may have moved: what they hold is compared with what is kept of the data.
    if section == "teacher" and option in TEACHERS:
        return True
    return section in FREE or (section == "data" and option in FILES)


def _told(values: Mapping[str, Any], path: str) -> str:
    return repr(values[path]) if path in values else "nothing"


def _flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in node.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return found


def extensions(kept: RunFolder) -> list[dict[str, Any]]:
    """The times that a run was made longer: ``{"from", "to", "steps", "time"}``, the first one first."""
    return read_json(kept.path / "extended.json") or []


def with_overrides(kept: RunFolder, config: Config, overrides: Sequence[str]) -> Config:
    """A folder's config with the options given to ``dlnotes resume``.

    Raises:
      ConfigError: when one of them would change what has been trained.
    """
    if not overrides:
        return config
    wanted = load(kept.config_path, overrides)
    before, now = (_flat(made_with(c)) for c in (config, wanted))
    wrong = [
        path
        for path in sorted(before.keys() | now.keys())
        if before.get(path) != now.get(path) and path != "training.duration" and not _free(path)
    ]
    if wrong:
        allowed = "training.duration, devices.*, checkpoint.*, output.*"
        told = [f"{path}: a run cannot be resumed with another; allowed are {allowed}" for path in wrong]
        raise ConfigError(str(kept.path), told)
    return wanted


def extend(
    kept: RunFolder,
    config: Config,
    wanted: Config,
    before: Sequence[Group],
    setups: Sequence[Setup],
    *,
    write: bool,
) -> None:
    """Make a run longer (or end it sooner), and note it in its folder.

    Args:
      kept: its folder.
      config: as it was.
      wanted: the same with another duration.
      before: groups of ``config``.
      setups: of the groups of ``wanted``.
      write: whether this process writes.

    Raises:
      ConfigError: when what has been trained is not the beginning of a run of that duration.
    """
    if wanted.training.duration == config.training.duration:
        return
    steps, problems = [], []
    for index, (group, setup) in enumerate(zip(before, setups, strict=True)):
        taken = Checkpoints(kept.group(index, len(setups)) / "checkpoints").steps()
        steps.append(taken[-1] if taken else 0)
        old = durations(group.config, setup.dataset, setup.order)
        problems += _obstacles(group, setup, old, steps[-1])
    if problems:
        given, was = wanted.training.duration, config.training.duration
        told = [f"training.duration: got {given!r}, it was {was!r}"]
        raise ConfigError(str(kept.path), [*told, *dict.fromkeys(problems)])
    if write:
        record = {
            "from": config.training.duration,
            "to": wanted.training.duration,
            "steps": steps,
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        # First the note: a config that differs from the checkpoint without one is refused.
        write_json(kept.path / "extended.json", [*extensions(kept), record])
        training = config.training.model_copy(update={"duration": wanted.training.duration})
        write_text(kept.config_path, to_toml(config.model_copy(update={"training": training})))


def _obstacles(group: Group, setup: Setup, old: Durations, taken: int) -> list[str]:
    """Why the steps that a group has taken are not those of a run of the new duration."""
    if taken == 0:
        return []
    found, new, config = [], setup.lengths, group.config
    if "training.duration" in group.points[0].values:
        found.append("training.duration: is swept, its points have durations of their own")
    kind = config.optimizer.schedule.kind
    if kind in WHOLE and new.total != old.total:
        found.append(
            f"optimizer.schedule: {kind!r} is laid over the whole duration, a run of another one has other "
            "rates from its first step; start a new run (constant, step and exponential can go on)"
        )
    if new.total < taken:
        found.append(f"the run has taken {taken} steps already, that would be {new.total}")
    if setup.keep_best and taken == old.total < new.total and old.total % new.evaluate_every:
        found.append(
            f"training.evaluate_every: the evaluation at the end, step {old.total}, is none of the longer "
            f"run's (every {new.evaluate_every} steps), and the best parameters are chosen by evaluations"
        )
    return found
