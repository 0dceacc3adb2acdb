"""A look at this machine: what a run would find here, and what is missing."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

LIBRARIES = (
    "jax",
    "jaxlib",
    "optax",
    "flax",
    "numpy",
    "scipy",
    "scikit-learn",
    "orbax-checkpoint",
    "matplotlib",
)
EXTRAS = {
    "tensorboard": "tensorboardX",
    "mlflow": "mlflow",
    "wandb": "wandb",
    "text": "sacrebleu",
    "onnx": "jax2onnx",
}
"""Optional extras of dlnotes, each with a module that it brings."""


class Line(NamedTuple):
    """One thing looked at.

    Attributes:
      name: of it.
      found: what there is.
      good: whether it is as it should be.
      needed: whether nothing can be trained without it.
    """

    name: str
    found: str
    good: bool = True
    needed: bool = False


def examine() -> list[Line]:
    """Look at versions, devices, strategies, folders, data and extras. Starts jax."""
    return [*_versions(), *_devices(), *_folders(), *_data(), *_extras()]


def as_text(lines: list[Line]) -> str:
    """One line each; what is not as it should be is marked, and counted at the end."""
    width = max(len(line.name) for line in lines)
    text = [f"{'  ' if line.good else '! '}{line.name:<{width}}  {line.found}" for line in lines]
    missing = sum(not line.good for line in lines)
    blocked = any(line.needed and not line.good for line in lines)
    end = "runs cannot start here" if blocked else "ready to run"
    return "\n".join([*text, "", end + (f"; {missing} marked with !" if missing else "")])


def _versions() -> list[Line]:
    from dlnotes import __version__

    lines = [Line("dlnotes", f"{__version__} (Python {platform.python_version()}, {platform.platform()})")]
    for name in LIBRARIES:
        try:
            lines.append(Line(name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            lines.append(Line(name, f"missing: python -m pip install {name}", good=False, needed=True))
    return lines


def _devices() -> list[Line]:
    try:
        import jax

        from dlnotes.devices.prepare import cpu_count, prepare

        prepare(cpu_count())
        devices = jax.devices()
    except (ImportError, RuntimeError) as error:
        return [Line("devices", f"jax does not start: {error}", good=False, needed=True)]
    kinds = [f"{d.platform} ({d.device_kind})" if d.platform != "cpu" else "cpu" for d in devices]
    counted = ", ".join(f"{kinds.count(kind)} × {kind}" for kind in dict.fromkeys(kinds))
    several = "single, pmap, mesh" if len(devices) > 1 else "single (pmap and mesh need a second device)"
    lines = [Line("devices", counted, needed=True), Line("strategies", several)]
    nvidia = shutil.which("nvidia-smi") is not None or Path("/dev/nvidia0").exists()
    if nvidia and jax.default_backend() == "cpu":
        lines.append(Line("NVIDIA GPU", "not used by jax: python -m pip install 'dlnotes[cuda]'", good=False))
    return lines


def _folders() -> list[Line]:
    from dlnotes.devices.compiler import compilation_cache

    path = compilation_cache()
    existing = next((p for p in (path, *path.parents) if p.exists()), Path("/"))
    writable = existing.is_dir() and os.access(existing, os.W_OK)
    files = [f.stat().st_size for f in path.glob("*") if f.is_file()] if path.is_dir() else []
    held = f" ({len(files)} files, {sum(files) / 2**20:.0f} MiB)"
    told = f"{path}{held if writable else ': not writable, compiled programs are not kept'}"
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return [
        Line("compilation cache", told, good=writable),
        Line("free space here", f"{free:.1f} GiB", good=free > 0.5),
    ]


def _data() -> list[Line]:
    from dlnotes.data import catalog

    entries = catalog.available()
    here = [e["name"] for e in entries if e["found"] in ("bundled", "generated")]
    lines = [Line("data, always there", ", ".join(here))]
    for entry in entries:
        if entry["name"] not in here:
            found = entry["found"]
            lines.append(
                Line(f"data, {entry['name']}", found or f"not here: {entry['how']}", found is not None)
            )
    return lines


def _extras() -> list[Line]:
    return [
        Line(
            f"extra, {name}",
            "installed"
            if (spec := importlib.util.find_spec(module)) is not None and spec.origin is not None
            else f"not installed: python -m pip install 'dlnotes[{name}]'",
        )
        for name, module in EXTRAS.items()
    ]
