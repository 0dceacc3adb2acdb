"""Checkpoints: orbax writes them, a SHA-256 manifest makes damage visible.

A step's folder counts only once its manifest stands beside the data, and only while every file
still has the digest written there. So a process killed while saving leaves nothing that looks
whole, and one flipped byte is found, named, and the checkpoint before it is used.

What was saved is read back and compared before it counts and before an older one is removed: a writer
that loses something without a word must not cost a training.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

MANIFEST = "manifest.json"
_EXTRA = "extra.json"


_PLAIN = re.compile(r"[A-Za-z0-9 ._/~+=@:,-]{1,3000}" if os.sep == "/" else r"[^\[\]*?]{1,200}")
"""Paths that orbax and tensorstore are given as they are. They take ``[`` and a backslash for a pattern."""


class DamagedCheckpoint(ValueError):
    """A checkpoint whose files are not those that were written."""


class LostCheckpoint(OSError):
    """A checkpoint that could not be read back just after it was written."""


def flatten(tree: Any) -> dict[str, np.ndarray]:
    """A pytree as a flat mapping from leaf path to host array, the form that is saved."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    arrays = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}
    return {name: a for name, a in arrays.items() if a.size}  # orbax refuses empty arrays


def unflatten(arrays: dict[str, np.ndarray], like: Any) -> Any:
    """The pytree of the structure, shapes and dtypes of ``like`` from saved arrays.

    Raises:
      DamagedCheckpoint: naming the first leaf that is missing, left over, or of another shape or dtype.
    """
    leaves, treedef = jax.tree_util.tree_flatten_with_path(like)
    expected = {jax.tree_util.keystr(path): leaf for path, leaf in leaves}
    arrays = arrays | {k: np.zeros(a.shape, a.dtype) for k, a in expected.items() if 0 in a.shape}
    for name in [*(expected.keys() - arrays.keys()), *(arrays.keys() - expected.keys())]:
        state = "missing from" if name in expected else "only in"
        raise DamagedCheckpoint(f"{name}: {state} the checkpoint; was the config or the code changed?")
    for name, leaf in expected.items():
        got = arrays[name]
        if got.shape != tuple(leaf.shape) or got.dtype != leaf.dtype:
            raise DamagedCheckpoint(
                f"{name}: the checkpoint has {got.dtype}{list(got.shape)}, "
                f"the run needs {leaf.dtype}{list(leaf.shape)}"
            )
    return jax.tree_util.tree_unflatten(treedef, [arrays[name] for name in expected])


class Checkpoints:
    """The checkpoints of a run, newest last.

    Args:
      folder: holds one sub-folder per saved step.
      keep: how many of the newest stay.
    """

    def __init__(self, folder: str | Path, *, keep: int = 2):
        self.folder = Path(folder).absolute()
        self.keep = keep

    def save(self, step: int, state: Any, extra: dict[str, Any]) -> None:
        """Save a host state and a JSON-able ``extra``; older ones beyond ``keep`` are removed.

        Raises:
          OSError: when the disk is full or not writable, or what was written cannot be read back; earlier
            checkpoints are untouched.
        """
        import orbax.checkpoint as ocp

        path = self.folder / str(step)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._remove_unfinished()
        if path.exists():
            shutil.rmtree(path)
        arrays = flatten(state)
        _ignore_late_writers()
        try:
            with _silent_log(), _within_reach(self.folder) as folder, _checkpointer() as writer:
                writer.save(folder / str(step), args=ocp.args.PyTreeSave(arrays))
        except Exception as error:
            if "No space left" in str(error) or "ENOSPC" in str(error):
                raise OSError(28, "No space left on device", str(path)) from error
            raise
        _write(path / _EXTRA, json.dumps(extra))
        _write(path / MANIFEST, json.dumps(_digests(path), indent=0))
        self._read_back(step, arrays)
        for old in self.steps()[: -self.keep]:
            shutil.rmtree(self.folder / str(old))

    def steps(self) -> list[int]:
        """Steps with a finished checkpoint, oldest first (not yet verified)."""
        if not self.folder.is_dir():
            return []
        return sorted(
            int(p.name) for p in self.folder.iterdir() if p.name.isdigit() and (p / MANIFEST).is_file()
        )

    def _unfinished(self) -> list[int]:
        """Steps whose checkpoint was never finished, or has lost its manifest."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(int(p.name) for p in found if p.name.isdigit() and not (p / MANIFEST).is_file())

    def newest_extra(self) -> dict[str, Any]:
        """The extra of the newest checkpoint whose extra is as it was written; empty without any."""
        for step in reversed(self.steps()):
            folder = self.folder / str(step)
            try:
                content = (folder / _EXTRA).read_bytes()
                written = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
                if written[_EXTRA] == hashlib.sha256(content).hexdigest():
                    return json.loads(content)
            except (OSError, ValueError, LookupError, TypeError, RecursionError):
                continue
        return {}

    def verify(self, step: int) -> None:
        """Hold every file of a checkpoint against the manifest.

        Raises:
          DamagedCheckpoint: naming the first file that is missing, new or changed.
        """
        path = self.folder / str(step)
        try:
            written = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
            found = _digests(path)
        except (OSError, ValueError, RecursionError) as error:
            raise DamagedCheckpoint(f"{path / MANIFEST}: cannot be read ({error})") from None
        if not isinstance(written, dict):
            raise DamagedCheckpoint(f"{path / MANIFEST}: is not a manifest")
        for name in sorted(written.keys() | found.keys()):
            if written.get(name) != found.get(name):
                state = (
                    "is missing" if name not in found
                    else "was added" if name not in written
                    else "has changed since it was written"
                )  # fmt: skip
                raise DamagedCheckpoint(f"{path / name}: {state}")

    def load(self, step: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The saved arrays and the extra of one checkpoint, verified.

        Raises:
          DamagedCheckpoint: see `verify`.
        """
        import orbax.checkpoint as ocp

        self.verify(step)
        path = self.folder / str(step)
        try:
            with _silent_log(), _within_reach(self.folder) as folder, _checkpointer() as reader:
                names = reader.metadata(folder / str(step)).item_metadata.tree
                restore = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), dict(names))
                arrays = reader.restore(folder / str(step), args=ocp.args.PyTreeRestore(restore_args=restore))
            extra = json.loads((path / _EXTRA).read_text(encoding="utf-8"))
        except Exception as error:  # its files are those of the manifest, and still they hold no checkpoint
            raise DamagedCheckpoint(f"{path}: cannot be read ({type(error).__name__}: {error})") from error
        return {k: np.asarray(v) for k, v in arrays.items()}, extra

    def newest(
        self, report: Callable[[str], None] = lambda message: None
    ) -> tuple[int, dict[str, np.ndarray], dict[str, Any]] | None:
        """The newest checkpoint that is whole, as (step, arrays, extra); ``None`` without any.

        Args:
          report: told of each damaged checkpoint that is passed over.
        """
        steps = self.steps()
        for step in self._unfinished():
            if not steps or step > steps[-1]:
                report(f"checkpoint at step {step} has no manifest, using the one before it")
        for step in reversed(steps):
            try:
                return (step, *self.load(step))
            except DamagedCheckpoint as error:
                report(f"damaged checkpoint at step {step}, using the one before it: {error}")
        return None

    def set_aside_after(self, step: int | None) -> None:
        """Rename checkpoints newer than ``step`` (all, for ``None``): training goes on from there."""
        for newer in self.steps():
            if step is None or newer > step:
                target = self.folder / f"{newer}.damaged"
                shutil.rmtree(target, ignore_errors=True)
                os.replace(self.folder / str(newer), target)

    def _read_back(self, step: int, arrays: dict[str, np.ndarray]) -> None:
        """Hold what the files give against what was saved.

        Raises:
          LostCheckpoint: when they differ; then the checkpoint does not count any more.
        """
        path = self.folder / str(step)
        try:
            found = self.load(step)[0]
            differing = [
                name
                for name in sorted(arrays.keys() | found.keys())
                if name not in arrays or name not in found or not _same(arrays[name], found[name])
            ]
            if not differing:
                return
            why = f"{differing[0]} is not what was saved"
        except DamagedCheckpoint as error:
            why = str(error)
        (path / MANIFEST).unlink(missing_ok=True)
        raise LostCheckpoint(f"{path}: the checkpoint cannot be read back after it was written: {why}")

    def _remove_unfinished(self) -> None:
        """Delete what a killed process left: folders without a manifest."""
        for path in self.folder.iterdir():
            if path.is_dir() and not path.name.endswith(".damaged") and not (path / MANIFEST).is_file():
                shutil.rmtree(path)


def _checkpointer() -> Any:
    """Orbax's checkpointer for this process alone: the others neither write nor are waited for."""
    import orbax.checkpoint as ocp

    me = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"p{me}"
    )
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


@contextmanager
def _within_reach(folder: Path) -> Iterator[Path]:
    """A path to a folder that orbax and tensorstore take as it is meant, whatever its name.

    They see other paths by a link in the folder for temporary files. Nothing is copied, so that a
    checkpoint still appears at once by a rename within its own folder.
    """
    if _PLAIN.fullmatch(str(folder)):
        yield folder
        return
    places = [p for p in (tempfile.gettempdir(), "/tmp", "/var/tmp") if _PLAIN.fullmatch(p)]
    place = next((p for p in places if os.access(p, os.W_OK)), None)
    if place is None:
        raise OSError(
            f"{folder}: checkpoints need a path without [ ] \\, or a folder for temporary files (TMPDIR)"
        )
    with tempfile.TemporaryDirectory(prefix="dlnotes-", dir=place) as beside:
        link = Path(beside) / "checkpoints"
        link.symlink_to(folder, target_is_directory=True)
        yield link


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays have the same bits."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    one, other = (np.ascontiguousarray(x).reshape(-1).view(np.uint8) for x in (a, b))
    return np.array_equal(one, other)


@contextmanager
def _silent_log() -> Iterator[None]:
    """Keep orbax from printing the traceback of an error that is raised to the caller anyway."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@cache
def _ignore_late_writers() -> None:
    """Keep the threads of a checkpoint that fails from printing tracebacks when they find it gone."""
    before, unraisable = sys.excepthook, sys.unraisablehook

    def hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if str(error) != "Event loop is closed":
            before(kind, error, trace)

    def late(found: Any) -> None:
        if str(found.exc_value) != "Event loop is closed":
            unraisable(found)

    sys.excepthook, sys.unraisablehook = hook, late


def _digests(path: Path) -> dict[str, str]:
    files = (p for p in sorted(path.rglob("*")) if p.is_file() and p != path / MANIFEST)
    return {p.relative_to(path).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _write(path: Path, text: str) -> None:
    """Write a file so that it is either whole or absent, also after a power cut."""
    partial = path.with_name(path.name + ".partial")
    with open(partial, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
