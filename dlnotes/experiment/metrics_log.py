"""metrics.jsonl: one line per logged step, the same bytes however often the run was interrupted."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from dlnotes import bounded
from dlnotes.experiment.kept_files import finite


class MetricsLog:
    """Writes window means of training metrics, and evaluations, as JSON lines.

    A line is ``{"step", "epoch", "split", "<metric>": [one value per member], …}``; a training line
    holds the mean over the steps since the last one. Nothing in it depends on time.

    Args:
      path: of the file; ``None`` writes nothing (a process that is not the first).
      names: of the training metrics.
      every: steps per line.
      per_epoch: steps per epoch.
      writers: called with each line's record (TensorBoard).
    """

    def __init__(
        self, path: Path | None, names: tuple[str, ...], *, every: int, per_epoch: int, writers: tuple = ()
    ):
        self.path, self.names, self.every, self.per_epoch = path, names, every, per_epoch
        self.writers = writers
        self._sum: np.ndarray | None = None
        self._count = 0
        self._lines: list[str] = []
        self._before_end: dict[str, Any] | None = None
        self._hash = hashlib.sha256()

    def steps(self, first: int, metrics: np.ndarray, *, last: int) -> None:
        """Take the metrics ``(steps, metrics, members)`` of the steps ``first + 1 …``.

        Args:
          first: steps taken before these.
          metrics: float32.
          last: the run's last step, which is always logged.
        """
        for offset, row in enumerate(metrics.astype(np.float64)):
            step = first + offset + 1
            total = row if self._sum is None else self._sum + row
            self._sum, self._count = total, self._count + 1
            if step == last and step % self.every:
                self.ending()
            if step % self.every == 0 or step == last:
                self._write(step, "train", dict(zip(self.names, total / self._count)))
                self._sum, self._count = None, 0

    def evaluation(
        self, step: int, split: str, metrics: dict[str, np.ndarray], *, at_end: bool = False
    ) -> None:
        """Take the metrics of a split, each ``(members,)``.

        Args:
          step: at which it is evaluated.
          split: its name.
          metrics: by name.
          at_end: whether only the end of the run is the reason to evaluate.
        """
        if at_end:
            self.ending()
        line = self._write(step, split, metrics)
        if self._before_end is not None and not at_end:
            self._before_end["lines"].append(line)

    def ending(self) -> None:
        """Note where the file stands before lines that a longer run would not have."""
        if self._before_end is None:
            self._before_end = {**self.position(), "lines": []}

    def _write(self, step: int, split: str, metrics: dict[str, Any]) -> str:
        values = {name: [float(f"{v:.7g}") for v in np.atleast_1d(m)] for name, m in metrics.items()}
        record = {"step": step, "epoch": round(step / self.per_epoch, 4), "split": split, **values}
        self._lines.append(json.dumps(finite(record)))
        for writer in self.writers:
            writer(record)
        return self._lines[-1]

    def flush(self) -> None:
        """Write the lines taken so far."""
        if self._lines and self.path is not None:
            content = "".join(line + "\n" for line in self._lines).encode()
            self._hash.update(content)
            with open(self.path, "ab") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        self._lines = []

    def position(self) -> dict[str, Any]:
        """What a checkpoint must hold so that the file continues without gap or repeat."""
        self.flush()
        found = {
            "bytes": self.path.stat().st_size if self.path is not None and self.path.exists() else 0,
            "sha256": self._hash.hexdigest(),
            "sum": None if self._sum is None else self._sum.tolist(),
            "count": self._count,
        }
        return found if self._before_end is None else found | {"before_end": self._before_end}

    def rewind(self, position: dict[str, Any] | None, *, longer: bool = False) -> str:
        """Go back to a checkpoint's position; lines written after it will be written again.

        A file that is not what had been written is set aside, and a new one begins.

        Args:
          position: see `position`.
          longer: the run had ended there and goes on now: without the lines that only the end brought.

        Returns:
          What is damaged and what became of it, "" where all is well.
        """
        position = position or {"bytes": 0, "sum": None, "count": 0}
        self._before_end = position.get("before_end")
        if longer and self._before_end is not None:
            position, self._before_end = self._before_end, None
        self._sum = None if position["sum"] is None else np.array(position["sum"], np.float64)
        self._count = position["count"]
        if self.path is None:
            return ""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        told, kept = "", self._written(position)
        if kept is None:
            aside = self.path.with_name(self.path.name + ".damaged")
            told = f"{self.path} is damaged: it is not what was written; the log begins anew here"
            if os.path.lexists(self.path):
                _remove(aside)
                os.replace(self.path, aside)
                told += f", what was there is kept as {aside.name}"
            kept = b""
        more = "".join(f"{line}\n" for line in position.get("lines", ())).encode()
        self._hash = hashlib.sha256(kept + more)
        with open(self.path, "ab") as file:
            file.truncate(len(kept))
            file.write(more)
        return told

    def _written(self, position: dict[str, Any]) -> bytes | None:
        """The file up to a position, ``None`` where that is not what was written."""
        assert self.path is not None
        try:
            found = bounded.read_bytes(self.path)[: position["bytes"]]
        except FileNotFoundError:
            found = b""
        except (OSError, ValueError):
            return None
        same = position.get("sha256") in (None, hashlib.sha256(found).hexdigest())
        return found if same and len(found) == position["bytes"] else None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """The records of a metrics.jsonl; a last line cut off by a crash is left out.

    Raises:
      ValueError: naming the file and the line, when another line is no record.
    """
    records: list[dict[str, Any]] = []
    lines = bounded.read_bytes(path).split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            if number == len(lines):
                break
            raise ValueError(f"{path}: line {number} is damaged: it is no record of metrics") from None
        if not isinstance(record, dict) or not {"step", "epoch", "split"} <= record.keys():
            raise ValueError(f"{path}: line {number} is damaged: it is no record of metrics")
        records.append(record)
    return records
