"""The folder of a run: what is written where, and how it is found again."""

from __future__ import annotations

import datetime
import logging
import os
import platform
import secrets
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from dlnotes.config import ClaimConfig, Config, ConfigError, load, parse, to_toml
from dlnotes.config.places import expanded
from dlnotes.data.dataset import Dataset
from dlnotes.data.metadata import metadata_of
from dlnotes.experiment.kept_files import read_json, write_json, write_text

_log = logging.getLogger(__name__)


class RunFolder:
    """Paths inside a run folder, and reading and writing its small files.

    Args:
      path: of the folder.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    @classmethod
    def create(cls, config: Config | ClaimConfig, command: list[str] | None = None) -> RunFolder:
        """A new folder ``<output.directory>/<name>/<time>-<id>`` holding config and environment.

        Raises:
          ConfigError: when it cannot be made.
        """
        stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        path = runs_of(config) / config.name / f"{stamp}-{secrets.token_hex(3)}"
        text = to_toml(config)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            name = text[max(0, error.start - 30) : error.end + 30]
            told = f"{name!r}: a name whose bytes are not UTF-8 cannot be kept in config.toml"
            raise ConfigError("config", [told]) from None
        try:
            path.mkdir(parents=True)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            given = config.output.directory
            told = f"output.directory: got {given!r}, no run folder can be made there: {reason}"
            raise ConfigError("config", [told]) from None
        folder = cls(path)
        write_text(folder.config_path, text)
        made_with = {"config": config.model_dump(mode="json", exclude_none=True)}
        write_json(folder.environment_path, environment(command) | made_with)
        return folder

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """An existing run folder.

        Raises:
          ConfigError: when there is none at ``path``.
        """
        folder = cls(path)
        if not folder.config_path.is_file() and not (folder.path.is_dir() and folder.extras()):
            raise ConfigError(str(path), ["is not a run folder: it has no config.toml"])
        return folder

    @property
    def config_path(self) -> Path:
        """The resolved config."""
        return self.path / "config.toml"

    @property
    def environment_path(self) -> Path:
        """Versions, machine and command at the start, and the config."""
        return self.path / "environment.json"

    @property
    def summary_path(self) -> Path:
        """Final metrics."""
        return self.path / "summary.json"

    @property
    def figures(self) -> Path:
        """Folder of figures and the numbers behind them."""
        return self.path / "figures"

    @property
    def metadata_path(self) -> Path:
        """What is known of the data: vocabulary, classes, scales, shapes, SHA-256 of files."""
        return self.path / "data" / "facts.json"

    def group(self, index: int, count: int) -> Path:
        """Where the metrics and checkpoints of a group of members are: here, if there is but one."""
        return self.path if count == 1 else self.path / f"group-{index:03d}"

    def config(self) -> Config:
        """The config that the run was started with.

        Where config.toml is damaged or gone, the one that the newest checkpoint keeps, with a warning.

        Raises:
          ConfigError: when neither can be read.
        """
        try:
            return load(self.config_path)
        except ConfigError as error:
            saved = [extra["config"] for extra in self.extras() if "config" in extra]
            if not saved:
                raise
            told = "; ".join(error.problems)
            _log.warning("%s %s; the config in the newest checkpoint is used", error.source, told)
            return parse(saved[0], source="the config in the newest checkpoint")

    def extras(self) -> list[dict[str, Any]]:
        """What the newest checkpoint of each group keeps beside its arrays; of those that have one.

        A group that is still pretrained has one of its layers, which says the same of config and data.
        """
        from dlnotes.training.checkpoints import Checkpoints  # loads jax, which a refusal does not need

        found = []
        for folder in (self.path, *sorted(self.path.glob("group-*"))):
            kept = (Checkpoints(folder / name).newest_extra() for name in ("checkpoints", "pretraining"))
            found += [extra for extra in kept if extra][:1]
        return found

    def summary(self) -> dict[str, Any] | None:
        """The summary, or ``None`` before the run has ended."""
        return read_json(self.summary_path)


def runs_of(config: Config | ClaimConfig) -> Path:
    """The folder of a config's runs, ``~`` and ``$VARIABLE`` replaced.

    Raises:
      ConfigError: when a variable is not set.
    """
    try:
        return expanded(config.output.directory)
    except ValueError as error:
        raise ConfigError("config", [f"output.directory: {error}"]) from None


def keep_metadata(folder: RunFolder, dataset: Dataset) -> None:
    """Write what is known of the data, and the texts that the data set gives for the record."""
    folder.metadata_path.parent.mkdir(exist_ok=True)
    write_json(folder.metadata_path, metadata_of(dataset))
    for name, text in dataset.records.items():
        write_text(folder.metadata_path.parent / name, text)


def environment(command: list[str] | None = None) -> dict[str, Any]:
    """Versions, machine, commit and command, for the record."""
    packages = ("dlnotes", "jax", "jaxlib", "optax", "flax", "numpy", "scikit-learn", "orbax-checkpoint")
    return {
        "versions": {"python": platform.python_version()} | {p: _version(p) for p in packages},
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "commit": _commit(),
        "uncommitted": _uncommitted(),
        "command": command or sys.argv,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    return _git("rev-parse", "HEAD") or None


def _uncommitted() -> bool | None:
    """Whether files that git follows are changed; ``None`` where there is no git."""
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return None if changed is None else bool(changed)


def _git(*arguments: str) -> str | None:
    """What git says in the package's folder, ``None`` where it says nothing of it."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
