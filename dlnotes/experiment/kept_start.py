"""What a run began with as its folder keeps it, so that it goes on when its source is gone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlnotes.config import ConfigError
from dlnotes.data.dataset import Dataset
from dlnotes.experiment.groups import Group, groups
from dlnotes.experiment.kept_files import digest
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.experiment.start import starts
from dlnotes.experiment.start_scales import scales_of_json, scales_to_json
from dlnotes.experiment.starting import Starting
from dlnotes.models.model import Model
from dlnotes.training.checkpoints import Checkpoints
from dlnotes.training.state_files import DamagedCheckpoint, read_state, verify_state, write_state

_log = logging.getLogger(__name__)


def keep_starts(kept: RunFolder, plan: Sequence[Group], found: Sequence[Starting | None]) -> None:
    """Write what the groups of a run begin with into its folder."""
    for folder, one in {_folder(kept, g): s for g, s in zip(plan, found) if s is not None}.items():
        if one.arrays is None or _is_whole(folder):
            continue
        note = {
            "run": one.run,
            "seeds": list(one.seeds),
            "which": list(one.which),
            "places": {k: {str(axis): list(at) for axis, at in p.items()} for k, p in one.places.items()},
            "scales": scales_to_json(one.scales),
            "told": list(one.told),
        }
        write_state(folder, one.arrays, note)


def kept_starts(
    kept: RunFolder,
    plan: Sequence[Group],
    dataset: Dataset,
    *,
    model: Model | None = None,
    write: bool,
) -> list[Starting | None]:
    """`dlnotes.experiment.start.starts` of a run that goes on: with what lies in its folder.

    Where that is damaged or gone, the run that it started from is opened again; where that is not what it
    was either, a checkpoint is enough.

    Args:
      kept: the run folder.
      plan, dataset, model: as there.
      write: whether this process writes what is taken over anew.

    Raises:
      ConfigError: when nothing has it any more, or it is not what the run began with.
    """
    if all(group.config.start is None for group in plan):
        return [None] * len(plan)
    known: dict[Path, Starting] = {}
    for group in plan:
        if group.config.start is None:
            continue
        folder, begun = _folder(kept, group), _begun(kept, group)
        if folder not in known:
            known[folder] = _read(folder) or _again(group, dataset, model, begun)
        if begun and known[folder].digest != begun:
            told = f"start.run: what {known[folder].run} gives is not what the run was begun with"
            raise ConfigError(str(kept.path), [told])
    found = [None if group.config.start is None else known[_folder(kept, group)] for group in plan]
    if write:
        keep_starts(kept, plan, found)
    return found


def _begun(kept: RunFolder, group: Group) -> str:
    """The digest of what a group began with, "" before its first checkpoint."""
    plan = groups(kept.config())
    index = next((i for i, one in enumerate(plan) if one.indices == group.indices), 0)
    store = Checkpoints(kept.group(index, len(plan)) / "checkpoints")
    return store.newest_extra().get("start", "")


def _folder(kept: RunFolder, group: Group) -> Path:
    config = group.config
    assert config.start is not None
    named = [config.start.model_dump(mode="json"), config.model.model_dump(mode="json")]
    key = digest([*named, config.seed, config.training.seeds])[:12]
    return kept.metadata_path.parent.absolute() / f"start-{key}"


def _is_whole(folder: Path) -> bool:
    try:
        verify_state(folder)
    except DamagedCheckpoint:
        return False
    return True


def _read(folder: Path) -> Starting | None:
    """What a folder keeps, ``None`` where it is damaged or gone."""
    try:
        arrays, note = read_state(folder)
    except DamagedCheckpoint as error:
        _log.warning("start: %s; the run that was started from is opened again", error)
        return None
    return _of(arrays, note)


def _of(arrays: dict[str, np.ndarray], note: dict[str, Any]) -> Starting:
    return Starting(
        run=note["run"],
        seeds=tuple(note["seeds"]),
        which=tuple(note["which"]),
        arrays=arrays,
        places={k: {int(axis): at for axis, at in p.items()} for k, p in note["places"].items()},
        scales=scales_of_json(note["scales"]),
        told=tuple(note["told"]),
    )


def _again(group: Group, dataset: Dataset, model: Model | None, begun: str) -> Starting:
    """The run that was started from once more, or nothing but its name where a checkpoint is enough.

    Raises:
      ConfigError: when it is gone too, and there is no checkpoint.
    """
    start = group.config.start
    assert start is not None
    try:
        found = starts([group], dataset, model)[0]
        if found is not None and (not begun or found.digest == begun):
            return found
        told = f"start.run: {start.run} is not what it was"
    except ConfigError as error:
        if not begun:
            raise
        told = error.problems[0]
    _log.warning("%s; the newest checkpoint is enough", told)
    return Starting(start.run, (), (), None, told=("start: what was taken over is gone",), known=begun)
