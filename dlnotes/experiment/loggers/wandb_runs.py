"""Tracks as runs of Weights & Biases: those of one training are a group there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dlnotes.config import Config
from dlnotes.experiment.loggers.tracks import Row, Track

MOST_TAG, MOST_NAME = 64, 128
"""Letters of a tag and of a name."""

_EXIT = {"done": 0, "interrupted": 130, "failed": 1}


def mode_of(config: Config) -> str:
    """``"offline"`` or ``"online"``: what the config says, else ``WANDB_MODE``, else offline."""
    chosen = config.output.wandb
    return chosen if isinstance(chosen, str) else os.environ.get("WANDB_MODE") or "offline"


class WandbRuns:
    """Writes tracks as runs of Weights & Biases.

    Args:
      mode: ``"offline"`` or ``"online"``.
      project: of the runs.
      folder: of the run; what is offline lies in its ``wandb/``.
      known: track's key → id of its run, of the processes before.

    Attributes:
      ids: as ``known``, with what was made since.
    """

    def __init__(self, mode: str, project: str, folder: Path, known: Mapping[str, str]):
        self.mode, self.project, self.folder, self.ids = mode, project, folder, dict(known)
        self.runs: dict[str, Any] = {}

    def open(self, track: Track) -> None:
        """Begin a track's run, or go on with it under the same id."""
        if self.mode == "offline":  # nothing leaves the machine
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb  # pyright: ignore[reportMissingImports]

        self.ids.setdefault(track.key, secrets.token_hex(8))
        settings = wandb.Settings(silent=True, console="off", disable_git=True, save_code=False)
        run = wandb.init(
            project=self.project,
            dir=str(self.folder),
            id=self.ids[track.key],
            name=track.title[:MOST_NAME],
            group=self.folder.name[:MOST_NAME],
            job_type=track.kind,
            config={**track.params, **track.tags},
            tags=_tags(track),
            mode=self.mode,  # pyright: ignore[reportArgumentType]
            # Offline nothing is known of a run's beginning; its parts are put together by their id.
            resume="allow" if self.mode == "online" else None,
            reinit="create_new",
            allow_val_change=True,
            settings=settings,
        )
        run.define_metric("step", hidden=True)
        run.define_metric("*", step_metric="step")
        self.runs[track.key] = run

    def write(self, key: str, rows: Sequence[Row]) -> None:
        """Add rows of numbers to a track."""
        for row in rows:
            self.runs[key].log({"step": row.step, **row.values})

    def measured(self, key: str, row: Row) -> None:
        """Put a track's final metrics into its summary."""
        self.runs[key].summary.update(row.values)

    def note(self, key: str, tags: Mapping[str, str]) -> None:
        """Add to what is told of a track."""
        self.runs[key].config.update(dict(tags), allow_val_change=True)

    def keep(self, key: str, files: Iterable[tuple[Path, str]]) -> None:
        """Keep files as one artifact of a track; pictures are shown too."""
        import wandb  # pyright: ignore[reportMissingImports]

        run = self.runs[key]
        artifact = wandb.Artifact(f"results-{self.ids[key]}", type="results")
        for path, folder in files:
            name = f"{folder}/{path.name}" if folder else path.name
            artifact.add_file(str(path), name=name)
            if path.suffix == ".png":
                run.log({f"figures/{path.stem}": wandb.Image(str(path))})
        run.log_artifact(artifact)

    def close(self, key: str, status: str) -> None:
        """End a track: ``"done"``, ``"interrupted"`` or ``"failed"``."""
        self.runs.pop(key).finish(exit_code=_EXIT[status])


def _tags(track: Track) -> list[str]:
    told = {
        f"dlnotes {track.tags.get('dlnotes.version', '')}",
        f"commit {track.tags['dlnotes.commit'][:12]}" if "dlnotes.commit" in track.tags else "",
        "uncommitted changes" if track.tags.get("dlnotes.uncommitted") == "yes" else "",
        track.tags.get("dlnotes.placement", ""),
    }
    return sorted(tag[:MOST_TAG].strip() for tag in told if tag.strip())
