"""The loggers of a run: told of everything as it goes, and never the end of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from dlnotes.config import Config
from dlnotes.experiment.groups import Group
from dlnotes.experiment.kept_files import DamagedFile, read_json, write_json
from dlnotes.experiment.loggers.needs import in_one_line
from dlnotes.experiment.loggers.stores import store_of
from dlnotes.experiment.loggers.tags import project_of, tags_of
from dlnotes.experiment.loggers.tensorboard import tensorboard_writer
from dlnotes.experiment.loggers.tracks import (
    WHOLE,
    Row,
    Track,
    measured_of,
    point_key,
    point_tracks,
    rows_of,
    whole_track,
)
from dlnotes.experiment.loggers.wandb_runs import WandbRuns, mode_of
from dlnotes.experiment.metrics_log import read_metrics
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.experiment.summary import best_point
from dlnotes.formatting import choice_in_words, in_shell

_log = logging.getLogger(__name__)

SECONDS = 1.0
"""Metrics are sent together, no more often than this."""

SOURCES = ("pretraining.jsonl", "metrics.jsonl")
"""Files of a group whose records are sent."""


Writers = tuple[Callable[[dict[str, Any]], None], ...]
"""What is called with each record of metrics."""


class Logger(Protocol):
    """A program that is told of tracks; see `MlflowRuns` and `WandbRuns`."""

    ids: dict[str, str]

    def open(self, track: Track) -> None: ...
    def write(self, key: str, rows: Sequence[Row]) -> None: ...
    def measured(self, key: str, row: Row) -> None: ...
    def note(self, key: str, tags: Mapping[str, str]) -> None: ...
    def keep(self, key: str, files: Iterable[tuple[Path, str]]) -> None: ...
    def close(self, key: str, status: str) -> None: ...


class _Guarded:
    """A logger with what it has been sent, which fails once and is left alone from then on.

    Args:
      name: of it, as in [output].
      where: what tells one of its stores from another; what was sent to another does not count.
      make: it, from the ids that are known.
      kept: the run folder.
    """

    def __init__(self, name: str, where: str, make: Callable[[Mapping[str, str]], Logger], kept: RunFolder):
        self.name, self.where, self.kept = name, where, kept
        self.logger: Logger | None = None
        self.open_tracks: list[str] = []
        self.waiting: dict[str, list[Row]] = {}
        before = _sent(kept).get(name, {})
        before = before if isinstance(before, dict) and before.get("where") == where else {}
        self.sent: dict[str, dict[str, int]] = before.get("sent", {})
        known = before.get("runs", {})
        with self.guard():
            self.logger = make(known)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Let no error of the logger reach the training; the first is told."""
        try:
            yield
        except Exception as error:
            self.logger = None
            again = f"dlnotes resume {in_shell(self.kept.path)}"
            _log.warning(
                "output.%s: %s; the run goes on without it, its metrics are in metrics.jsonl; to send what "
                "is missing afterwards: %s",
                self.name,
                in_one_line(error),
                again,
            )

    def tell(self, act: Callable[[Logger], None]) -> None:
        """Have something done, if it still works."""
        if self.logger is not None:
            with self.guard():
                act(self.logger)

    def open(self, track: Track) -> None:
        """Begin a track, or go on with it."""

        def act(logger: Logger) -> None:
            logger.open(track)
            self.open_tracks.append(track.key)

        self.tell(act)

    def take(self, group: str, record: Mapping[str, Any], keys: Sequence[str], seeds: Sequence[int]) -> None:
        """A record of metrics, unless it was sent before: a resumed training repeats it exactly."""
        sent = self.sent.setdefault(group, {})
        if self.logger is None or record["step"] <= sent.get(record["split"], 0):
            return
        sent[record["split"]] = int(record["step"])
        for key, row in zip(keys, rows_of(record, len(keys), seeds), strict=True):
            self.waiting.setdefault(key, []).append(row)

    def send(self) -> None:
        """Send what waits, and note it."""
        waiting, self.waiting = self.waiting, {}

        def act(logger: Logger) -> None:
            for key, rows in waiting.items():
                logger.write(key, rows)
            known = _sent(self.kept)
            known[self.name] = {"where": self.where, "runs": logger.ids, "sent": self.sent}
            write_json(self.kept.path / "loggers.json", known)

        self.tell(act)

    def measured(self, key: str, row: Row) -> None:
        """Tell a track's final metrics."""
        self.tell(lambda logger: logger.measured(key, row))

    def end(self, notes: Mapping[str, str], files: Sequence[tuple[Path, str]]) -> None:
        """Tell of the whole run how it ended, and keep its files."""

        def act(logger: Logger) -> None:
            logger.note(WHOLE, notes)
            logger.keep(WHOLE, files)

        self.tell(act)

    def close(self, key: str, status: str) -> None:
        """End a track."""
        if key in self.open_tracks:
            self.open_tracks.remove(key)
            self.tell(lambda logger: logger.close(key, status))


class Loggers:
    """All loggers of a run; use `logging_to`.

    Args:
      config: of the run.
      kept: its folder; ``None`` tells nobody.
      groups: of the run.
      placements: of the groups, in words.

    Attributes:
      interrupted: set before a run stops that can be resumed.
    """

    def __init__(
        self, config: Config, kept: RunFolder | None, groups: Sequence[Group], placements: Sequence[str]
    ):
        self.config, self.kept, self.groups = config, kept, groups
        self.several = sum(len(g.points) for g in groups) > 1
        self.logged: list[_Guarded] = []
        self.due = 0.0
        self.interrupted = False
        if kept is None or not (config.output.mlflow or config.output.wandb):
            return
        self.tags = tags_of(kept, placements)
        if config.output.mlflow:
            self.logged.append(_Guarded("mlflow", *_mlflow(config, kept), kept))
        if config.output.wandb:
            self.logged.append(_Guarded("wandb", *_wandb(config, kept), kept))
        points = sum(len(g.points) for g in groups)
        self._each(lambda one: one.open(whole_track(kept.path.absolute().name, config, self.tags, points)))

    @contextmanager
    def of_group(self, index: int, folder: Path | None) -> Iterator[Writers]:
        """What is called with every record of a group's metrics.

        What earlier processes wrote and did not send is sent first.

        Args:
          index: of the group.
          folder: of the group.
        """
        if self.kept is None or folder is None:
            yield ()
            return
        group, name = self.groups[index], f"group-{index:03d}"
        seeds = [int(s) for s in group.seeds]
        keys = [point_key(i) for i in group.indices] if self.several else [WHOLE]

        def write(record: Mapping[str, Any]) -> None:
            self._each(lambda one: one.take(name, record, keys, seeds))
            if time.monotonic() >= self.due:
                self._each(_Guarded.send)
                self.due = time.monotonic() + SECONDS

        with _events(self.config, folder) as events:
            if not self.logged:
                yield events
                return
            if self.several:
                for track in point_tracks(self.kept.path.absolute().name, group, self.tags):
                    self._each(lambda one, track=track: one.open(track))
            for record in _written(folder):
                write(record)
            try:
                yield (*events, write)
            finally:
                self._each(_Guarded.send)

    def measured(self, points: Sequence[Mapping[str, Any]], step: int) -> None:
        """Tell the final metrics of a group's points, and end their tracks.

        Args:
          points: their records in summary.json.
          step: at which the group ended.
        """
        for point in points if self.several else ():
            gone = [s["reason"].startswith("non-finite") for s in point["stopped"]]
            status = "failed" if sum(gone) == len(point["seeds"]) else "done"
            key = point_key(point["point"])
            for one in self.logged:
                one.measured(key, Row(step, measured_of(point)))
                one.close(key, status)

    def ended(self, summary: Mapping[str, Any]) -> None:
        """Tell how the run ended: the metrics of the best (or only) point, summary, config and figures."""
        if not self.logged or self.kept is None:
            return
        points, step = summary["points"], max(summary["steps"], default=0)
        best = best_point(points) if self.several else 0
        notes = {"dlnotes.status": summary["status"], "dlnotes.seconds": f"{summary['seconds']:.1f}"}
        row = Row(step, {} if best is None else measured_of(points[best]))
        if self.several and best is not None:
            values = ", ".join(f"{p} = {choice_in_words(v)}" for p, v in points[best]["values"].items())
            notes |= {"dlnotes.best_point": str(points[best]["point"]), "dlnotes.best_values": values}
        files = [(p, "") for p in (self.kept.summary_path, self.kept.config_path, self.kept.environment_path)]
        files += [(p, "figures") for p in sorted(self.kept.figures.glob("*"))]
        files = [(p, folder) for p, folder in files if p.is_file()]
        for one in self.logged:
            one.measured(WHOLE, row)
            one.end(notes, files)

    def close(self, status: str) -> None:
        """End every track that is open."""
        for one in self.logged:
            for key in reversed(one.open_tracks[:]):
                one.close(key, status)

    def _each(self, act: Callable[[_Guarded], None]) -> None:
        for one in self.logged:
            act(one)


@contextmanager
def logging_to(
    config: Config, kept: RunFolder | None, groups: Sequence[Group], placements: Sequence[str]
) -> Iterator[Loggers]:
    """The loggers that [output] asks for, ended as the run ends.

    Args:
      config, kept, groups, placements: see `Loggers`.
    """
    loggers = Loggers(config, kept, groups, placements)
    try:
        yield loggers
    except KeyboardInterrupt:
        loggers.close("interrupted")
        raise
    except BaseException:
        loggers.close("interrupted" if loggers.interrupted else "failed")
        raise
    loggers.close("done")


def _mlflow(config: Config, kept: RunFolder) -> tuple[str, Callable[[Mapping[str, str]], Logger]]:
    project = project_of(config, "MLFLOW_EXPERIMENT_NAME")
    uri = store_of(config) or f"sqlite:///{(kept.path / 'mlflow.db').absolute()}"

    def make(known: Mapping[str, str]) -> Logger:
        from dlnotes.experiment.loggers.mlflow_runs import MlflowRuns

        return MlflowRuns(uri, project, known)

    # A store in the run folder stays the same when the folder is moved.
    return f"{store_of(config) or 'mlflow.db'} {project}", make


def _wandb(config: Config, kept: RunFolder) -> tuple[str, Callable[[Mapping[str, str]], Logger]]:
    mode, project = mode_of(config), project_of(config, "WANDB_PROJECT")

    def make(known: Mapping[str, str]) -> Logger:
        return WandbRuns(mode, project, kept.path.absolute(), known)

    return f"{mode} {project}", make


@contextmanager
def _events(config: Config, folder: Path) -> Iterator[Writers]:
    """TensorBoard's writer, if it is wanted."""
    if not config.output.tensorboard:
        yield ()
        return
    write, close = tensorboard_writer(folder)
    broken = False

    def guarded(record: dict[str, Any]) -> None:
        nonlocal broken
        if broken:
            return
        try:
            write(record)
        except Exception as error:
            broken = True
            _log.warning("output.tensorboard: %s; the run goes on without it", in_one_line(error))

    try:
        yield (guarded,)
    finally:
        try:
            close()
        except Exception as error:
            if not broken:
                _log.warning("output.tensorboard: %s", in_one_line(error))


def _written(folder: Path) -> Iterator[dict[str, Any]]:
    """The records that earlier processes wrote; of a damaged file none."""
    for name in SOURCES:
        try:
            yield from read_metrics(folder / name)
        except (OSError, ValueError):
            continue


def _sent(kept: RunFolder) -> dict[str, Any]:
    """loggers.json: the ids of each logger's runs, and how far they were sent."""
    try:
        known = read_json(kept.path / "loggers.json")
    except DamagedFile as error:
        _log.warning("%s %s; the loggers begin anew", error.source, error.problems[0])
        return {}
    return known if isinstance(known, dict) else {}
