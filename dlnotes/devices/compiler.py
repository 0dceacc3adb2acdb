"""Compiler settings, chosen here and nowhere else."""

from __future__ import annotations

import os
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import jax

from dlnotes.devices.checked_cache import CheckedCache
from dlnotes.devices.platform import platform
from dlnotes.jax_internals import compiler_knows, wrap_compilation_cache

_EIGEN = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"}
_LEVEL = {"xla_backend_optimization_level": 1}
_QUICK = _LEVEL | {"xla_cpu_use_fusion_emitters": False}


@cache
def _known(options: tuple[tuple[str, Any], ...]) -> bool:
    """`compiler_knows`, asked once."""
    return compiler_knows(dict(options))


def compiler_options(*, convolutions: bool) -> dict[str, str]:
    """Options for ``jax.jit(..., compiler_options=...)``.

    On CPU the Eigen convolutions are about twice as fast as the default ones in training, while its
    matrix products are up to a tenth slower than the default: hence only for networks with
    convolutions.

    Args:
      convolutions: whether the program has any.
    """
    if not convolutions or platform() != "cpu" or not _known(tuple(_EIGEN.items())):
        return {}
    return _EIGEN


def single_use_options() -> dict[str, Any]:
    """Options for a program that runs but once, such as the drawing of initial parameters.

    On CPU it is compiled in a third of the time (0.4 s instead of 1.1 s for the start of a small CNN or
    Tree-LSTM), to slower code that draws the same bits.
    """
    if platform() != "cpu" or "xla_backend_optimization_level" in os.environ.get("XLA_FLAGS", ""):
        return {}
    return _QUICK if _known(tuple(_QUICK.items())) else _LEVEL


def enable_compilation_cache(directory: str | Path | None = None) -> Path | None:
    """Keep compiled programs on disk, so that the second run of a config starts at once.

    Where they cannot be kept nothing is lost but that: a warning says so, once for each folder.

    Args:
      directory: where; by default ``$DLNOTES_CACHE`` or ``dlnotes`` under the user's cache folder.

    Returns:
      The folder used, ``None`` where none can be written.
    """
    path = Path(directory) if directory is not None else compilation_cache()
    if (problem := _unwritable(path)) is not None:
        jax.config.update("jax_compilation_cache_dir", None)
        _warn_once(f"compiled programs are not kept for later runs: {path}: {problem} (see DLNOTES_CACHE)")
        return None
    wrap_compilation_cache(CheckedCache)
    jax.config.update("jax_compilation_cache_dir", str(path))
    # Small programs are most of what a small run compiles: by default they would not be kept.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return path


def compilation_cache() -> Path:
    """The folder of compiled programs, whether it exists or not."""
    own = os.environ.get("DLNOTES_CACHE")
    users = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(own or os.path.join(users, "dlnotes"))) / "compiled"


def _unwritable(path: Path) -> str | None:
    """Why no file can be written in a folder, which is made; ``None`` where it can."""
    if path.parts[0] == "~":
        return "this user has no home folder"
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"x")
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None


@cache
def _warn_once(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=3)
