"""Compiled programs on disk by what they are made of: a later process does not even trace them.

jax's own cache of compiled programs is asked with the program itself, which must be traced and lowered first:
most of a second run's start, of a recurrent or recursive network. Here the key is a text, without tracing.
"""

from __future__ import annotations

import hashlib
import os
import platform as python_platform
import re
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dlnotes.devices.checked_cache import machine_kind
from dlnotes.devices.compiler import compilation_cache
from dlnotes.jax_internals import compile_and_write, read_program

MOST_BYTES = 2**30
"""What the programs of one folder may take; those not used for the longest time go first."""

_LIBRARIES = ("jax", "jaxlib", "numpy", "optax")
_DIVIDING = {"Sharding", "SPMDFullToShardShape", "SPMDShardToFullShape"}
"""Calls that only tell the compiler how arrays are divided."""

_LENGTH = hashlib.sha256().digest_size


class StoredProgram:
    """A jitted function whose compiled programs are kept: the first call of a later process loads them.

    It is called like the function. Where nothing is kept, or what is kept cannot be loaded, the function is
    traced and compiled as ever, and kept. The results are the same: it is the same program.

    Args:
      function: of ``jax.jit``.
      key: names all that decides the program, apart from the shapes of the arguments, dlnotes' own code, the
        versions of the libraries, jax's options, the devices and the kind of processor, which are added.
      folder: of the programs; by default beside those of jax's own cache.
    """

    def __init__(self, function: Any, key: str, folder: str | Path | None = None):
        self.function, self.key = function, key
        self.folder = Path(folder) if folder is not None else compilation_cache().with_name("programs")
        self._compiled: dict[str, Callable] = {}

    def __call__(self, *args: Any) -> Any:
        shapes = _shapes(args)
        if shapes not in self._compiled:
            self._compiled[shapes] = self._find(shapes, args)
        return self._compiled[shapes](*args)

    def _find(self, shapes: str, args: tuple[Any, ...]) -> Callable:
        path = self.folder / hashlib.sha256(f"{self.key}\n{shapes}\n{surroundings()}".encode()).hexdigest()
        if (found := _loaded(path)) is not None:
            return found
        lowered = self.function.lower(*args)
        if calls_libraries(lowered.as_text()):
            return lowered.compile()
        try:
            made, written = compile_and_write(lowered)
        except Exception:  # it cannot be written: constants in it, a backend that cannot
            return lowered.compile()
        _keep(path, written)
        return made


def calls_libraries(program: str) -> bool:
    """Whether a program calls functions outside of it, such as LAPACK's.

    They are made ready when the program is lowered; in a process that only loads it they are not, and calling
    them ends it.

    Args:
      program: in StableHLO.
    """
    return bool(set(re.findall(r"custom_call\s*@([\w.]+)", program)) - _DIVIDING)


def can_be_stored(function: Any) -> bool:
    """Whether a function is one of ``jax.jit``, in the only process, and programs are kept at all."""
    return (
        hasattr(function, "lower")
        and jax.process_count() == 1
        and bool(jax.config.jax_enable_compilation_cache)  # pyright: ignore[reportAttributeAccessIssue]
        and jax.config.jax_compilation_cache_dir is not None  # pyright: ignore[reportAttributeAccessIssue]
    )


def surroundings() -> str:
    """All that decides a program beside its key: code, versions, options, devices and processor."""
    options = {k: v for k, v in sorted(jax.config.values.items()) if "cache" not in k and "log" not in k}
    devices = [(d.id, d.platform, d.device_kind) for d in jax.devices()]
    flags = os.environ.get("XLA_FLAGS", "")
    return repr((code_digest(), _versions(), options, devices, flags, machine_kind()))


@cache
def _versions() -> tuple[str, ...]:
    return (python_platform.python_version(), *(version(name) for name in _LIBRARIES))


@cache
def code_digest() -> str:
    """A checksum of dlnotes' own code."""
    root, found = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        found.update(f"{path.relative_to(root)}\n".encode())
        found.update(path.read_bytes())
    return found.hexdigest()


def _shapes(args: tuple[Any, ...]) -> str:
    """Structure, shapes, types and places of the arguments."""
    leaves, tree = jax.tree.flatten(args)
    return repr((str(tree), [_shape(leaf) for leaf in leaves]))


def _shape(leaf: Any) -> tuple[Any, ...]:
    if isinstance(leaf, jax.Array):
        where = str(leaf.sharding) if leaf.committed else ""
        return leaf.shape, str(leaf.dtype), leaf.weak_type, where
    known = np.asarray(leaf)
    return known.shape, str(known.dtype), type(leaf).__name__


def _loaded(path: Path) -> Callable | None:
    """What is kept, ``None`` where nothing is, or where it is damaged or cannot be loaded."""
    try:
        found = zlib.decompress(path.read_bytes())
        value, digest = found[:-_LENGTH], found[-_LENGTH:]
        if hashlib.sha256(value).digest() != digest:
            return None
        os.utime(path)
        return read_program(value)
    except Exception:  # not there, damaged, or of what is not here any more: it is made anew
        return None


def _keep(path: Path, value: bytes) -> None:
    """Write a program; where there is no space or no permission, nothing is lost but that."""
    packed = zlib.compress(value + hashlib.sha256(value).digest(), 1)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_room(path.parent, len(packed))
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(packed)
        os.replace(file.name, path)


def _make_room(folder: Path, needed: int) -> None:
    """Remove the programs that were not used for the longest time, until `MOST_BYTES` hold all."""
    kept = sorted((file.stat().st_mtime, file.stat().st_size, file) for file in folder.iterdir())
    size = needed + sum(size for _, size, _ in kept)
    for _, taken, file in kept:
        if size <= MOST_BYTES:
            return
        file.unlink(missing_ok=True)
        size -= taken
