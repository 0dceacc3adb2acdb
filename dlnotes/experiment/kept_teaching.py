"""A teacher's answers as they are kept in the folder of a student's run, for a run that goes on."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dlnotes.config import ConfigError
from dlnotes.data.dataset import Dataset
from dlnotes.experiment.groups import Group, groups
from dlnotes.experiment.kept_files import DamagedFile, digest, read_json, write_json
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.experiment.teacher import Asked, checksum, joined, with_extra
from dlnotes.experiment.teaching import Teaching, asked_anew

_log = logging.getLogger(__name__)


def teachings(plan: Sequence[Group], dataset: Dataset) -> list[Teaching | None]:
    """What its teacher gives each group; ``None`` without one.

    All teachers are opened and checked before one of them is asked.

    Args:
      plan: the groups of a run.
      dataset: of the students.

    Raises:
      ConfigError: naming a teacher that is gone, has not ended, failed, or does not fit the data.
    """
    asked: dict[str, Asked] = {}
    for group in plan:
        if group.config.teacher is not None:
            asked.setdefault(_key(group), Asked(group, dataset))
    known = {key: one.teaching() for key, one in asked.items()}
    return [None if group.config.teacher is None else known[_key(group)] for group in plan]


def kept_teachings(
    kept: RunFolder, plan: Sequence[Group], dataset: Dataset, *, write: bool
) -> list[Teaching | None]:
    """`teachings` of a run that goes on: with the answers that lie in its folder, bit for bit.

    Where they are damaged or gone the teacher is asked again, and so it is where inputs change.

    Args:
      kept: the run folder.
      plan, dataset: as in `teachings`.
      write: whether this process writes answers anew.

    Raises:
      ConfigError: also when the teacher's answers are not those that the run began with.
    """
    found: list[Teaching | None] = []
    known: dict[str, Teaching] = {}
    for group in plan:
        if group.config.teacher is None:
            found.append(None)
            continue
        key = _key(group)
        if key not in known:
            known[key] = _read(kept, group, dataset) or _as_begun(kept, group, dataset)
            if write:
                _keep(kept, known[key], key)
        found.append(known[key])
    return found


def keep_teachings(kept: RunFolder, plan: Sequence[Group], found: Sequence[Teaching | None]) -> None:
    """Write the answers of teachers into a run's folder, and who they are."""
    for key, teaching in {_key(g): t for g, t in zip(plan, found) if t is not None}.items():
        _keep(kept, teaching, key)


def _key(group: Group) -> str:
    """Names a group's teacher and what it is asked; other numbers of [teacher] do not change its answers."""
    teacher = group.config.teacher
    assert teacher is not None
    named = {"runs": [Path(run).name for run in teacher.runs], "mean": teacher.mean}
    extra = None if teacher.extra is None else Path(teacher.extra).name
    return digest(named | {"extra": extra, "anew": asked_anew(group)})[:12]


def _paths(kept: RunFolder, key: str) -> tuple[Path, Path]:
    folder = kept.metadata_path.parent
    return folder / f"teacher-{key}.json", folder / f"teacher-{key}.npy"


def _keep(kept: RunFolder, teaching: Teaching, key: str) -> None:
    note, file = _paths(kept, key)
    if not teaching.answers:
        write_json(note, {"weights": teaching.weights, "told": teaching.told})
        return
    answers = _answers_in(teaching.dataset)
    before = _loaded(file, answers.shape)
    if before is not None and checksum(before) == teaching.answers and note.is_file():
        return
    partial = file.with_suffix(".partial")
    with open(partial, "wb") as f:
        np.save(f, answers, allow_pickle=False)
    os.replace(partial, file)
    write_json(note, {"weights": teaching.weights, "answers": teaching.answers, "told": teaching.told})


def _read(kept: RunFolder, group: Group, dataset: Dataset) -> Teaching | None:
    """What was kept of a teacher, ``None`` where it must be asked again."""
    if asked_anew(group):
        return None
    file, note, expected = _paths(kept, _key(group))[1], _note(kept, group), _expected(kept, group)
    if not expected:
        return None
    whole = with_extra(group.config, dataset)
    answers = _loaded(file, (whole.train.size, dataset.outputs))
    if answers is None or checksum(answers) != expected:
        _log.warning("%s is damaged or gone: the teacher is asked again", file)
        return None
    told = note.get("told", "a teacher whose answers were kept")
    return Teaching(joined(whole, answers), None, note.get("weights", ""), expected, told)


def _as_begun(kept: RunFolder, group: Group, dataset: Dataset) -> Teaching:
    """The teacher asked again, and found to be the one that the run began with."""
    teaching, expected = Asked(group, dataset).teaching(), _expected(kept, group)
    if expected and teaching.digest != expected:
        told = "teacher.runs: the teacher does not answer as the one that the run was begun with"
        raise ConfigError(str(kept.path), [told])
    return teaching


def _note(kept: RunFolder, group: Group) -> dict[str, str]:
    """What was written of a group's teacher, nothing where that is damaged or gone."""
    try:
        return read_json(_paths(kept, _key(group))[0]) or {}
    except DamagedFile as error:
        _log.warning("%s %s", error.source, error.problems[0])
        return {}


def _expected(kept: RunFolder, group: Group) -> str:
    """The checksum of the teacher that a group began with, "" where nobody knows it.

    It is that of the checkpoints; where a sweep has several teachers, that of the note beside the answers.
    """
    begun = {extra["teacher"] for extra in kept.extras() if "teacher" in extra}
    if len(begun) == 1 and len({_key(g) for g in groups(kept.config())}) == 1:
        return begun.pop()
    note = _note(kept, group)
    return note.get("answers") or note.get("weights", "")


def _loaded(file: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """Answers in a file, ``None`` where they are not there or not whole."""
    try:
        found = np.load(file, mmap_mode="r", allow_pickle=False)
        return np.array(found) if found.shape == shape and found.dtype == np.float32 else None
    except (OSError, ValueError, EOFError):
        return None


def _answers_in(dataset: Dataset) -> np.ndarray:
    return np.ascontiguousarray(dataset.train.y[:, -dataset.outputs :])
