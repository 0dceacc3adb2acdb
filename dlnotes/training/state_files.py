"""The files of one saved state: orbax writes them, a SHA-256 manifest makes damage visible.

What was saved is read back and compared before it counts: a writer that loses something without a word must
not cost a training.
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
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import jax
import numpy as np

MANIFEST = "manifest.json"
EXTRA = "extra.json"

_PLAIN = re.compile(r"[A-Za-z0-9 ._/~+=@:,-]{1,3000}" if os.sep == "/" else r"[^\[\]*?]{1,200}")
"""Paths that orbax and tensorstore are given as they are. They take ``[`` and a backslash for a pattern."""


class DamagedCheckpoint(ValueError):
    """A checkpoint whose files are not those that were written."""


class LostCheckpoint(OSError):
    """A checkpoint that could not be read back just after it was written."""


def write_state(path: Path, arrays: dict[str, np.ndarray], extra: dict[str, Any]) -> None:
    """Write a folder of arrays and a JSON-able ``extra``; what was there before is lost.

    Raises:
      OSError: when the disk is full or not writable.
      LostCheckpoint: when what was written cannot be read back.
    """
    import orbax.checkpoint as ocp

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        shutil.rmtree(path)
    _ignore_late_writers()
    try:
        if arrays:
            with _silent_log(), _within_reach(path.parent) as parent, _checkpointer() as writer:
                writer.save(parent / path.name, args=ocp.args.PyTreeSave(arrays))
        else:
            path.mkdir()
    except Exception as error:
        if "No space left" in str(error) or "ENOSPC" in str(error):
            raise OSError(28, "No space left on device", str(path)) from error
        raise
    _write(path / EXTRA, json.dumps(extra))
    _write(path / MANIFEST, json.dumps(_digests(path), indent=0))
    _read_back(path, arrays)


def verify_state(path: Path) -> None:
    """Hold every file of a folder against its manifest.

    Raises:
      DamagedCheckpoint: naming the first file that is missing, new or changed.
    """
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


def read_state(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the extra of a folder, verified.

    Raises:
      DamagedCheckpoint: see `verify_state`.
    """
    verify_state(path)
    try:
        arrays = dict(_arrays(path))
        extra = json.loads((path / EXTRA).read_text(encoding="utf-8"))
    except Exception as error:  # its files are those of the manifest, and still they hold no checkpoint
        raise DamagedCheckpoint(f"{path}: cannot be read ({type(error).__name__}: {error})") from error
    return arrays, extra


def _arrays(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Names and arrays of a folder, read some at a time: whoever compares them never holds all of them."""
    import orbax.checkpoint as ocp

    if all(p.name in (EXTRA, MANIFEST) for p in path.iterdir()):
        return
    with _silent_log(), _within_reach(path.parent) as parent, _checkpointer() as reader:
        folder = parent / path.name
        for names in _together(dict(reader.metadata(folder).item_metadata.tree)):
            some = ocp.args.PyTreeRestore(
                dict.fromkeys(names, 0),
                restore_args=dict.fromkeys(names, ocp.RestoreArgs(restore_type=np.ndarray)),
                partial_restore=True,
            )
            yield from ((name, np.asarray(a)) for name, a in reader.restore(folder, args=some).items())


def _together(arrays: dict[str, Any]) -> Iterator[list[str]]:
    """Names of arrays, given by their shapes, in groups of at most 64 MiB or of one."""
    names, size = [], 0
    for name, a in arrays.items():
        own = prod(a.shape) * np.dtype(a.dtype).itemsize
        if names and size + own > 2**26:
            yield names
            names, size = [], 0
        names.append(name)
        size += own
    yield names


def read_extra(path: Path) -> dict[str, Any] | None:
    """The extra of a folder, ``None`` where it is not as it was written; nothing else is read."""
    try:
        content = (path / EXTRA).read_bytes()
        written = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        if written[EXTRA] == hashlib.sha256(content).hexdigest():
            return json.loads(content)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        pass
    return None


def _read_back(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Hold what the files give against what was saved.

    Raises:
      LostCheckpoint: when they differ; then the folder does not count any more.
    """
    missing, why = set(arrays), ""
    try:
        for name, found in _arrays(path):
            if name not in missing or not _same(arrays[name], found):
                why = f"{name} is not what was saved"
                break
            missing.remove(name)
        why = why or (f"{min(missing)} is not what was saved" if missing else "")
    except Exception as error:  # whatever a damaged file makes the reader raise
        why = f"{type(error).__name__}: {error}"
    if not why:
        return
    (path / MANIFEST).unlink(missing_ok=True)
    raise LostCheckpoint(f"{path}: the checkpoint cannot be read back after it was written: {why}")


@contextmanager
def _checkpointer() -> Iterator[Any]:
    """Orbax's checkpointer for this process alone: the others neither write nor are waited for.

    It is told meanwhile that this process is the first, for of another it does not write numpy's arrays.
    """
    import orbax.checkpoint as ocp
    from orbax.checkpoint._src.multihost import multihost

    alone = ocp.options.MultiprocessingOptions(
        primary_host=0, active_processes={0}, barrier_sync_key_prefix=f"p{jax.process_index()}"
    )
    # Parameters do not become smaller by compression, and it would share the processors with the training.
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone, use_compression=False)
    own, multihost.process_index = multihost.process_index, lambda: 0
    try:
        with ocp.Checkpointer(handler, multiprocessing_options=alone) as checkpointer:
            yield checkpointer
    finally:
        multihost.process_index = own


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
    return {p.relative_to(path).as_posix(): _digest(p) for p in files}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, text: str) -> None:
    """Write a file so that it is either whole or absent, also after a power cut."""
    partial = path.with_name(path.name + ".partial")
    with open(partial, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
