"""The checkpoints of a run: which there are, and which of them are whole.

A step's folder counts only once its manifest stands beside the data, and only while every file
still has the digest written there. So a process killed while saving leaves nothing that looks
whole, and one flipped byte is found, named, and the checkpoint before it is used.

Where the state lies over several processes each writes the part that it holds, in a folder of its own with
its own manifest. The step counts once all of them are there. Whoever reads it joins the parts, in one
process or in any number.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dlnotes.training.state_files import MANIFEST, DamagedCheckpoint, read_extra, read_state, write_state
from dlnotes.training.state_parts import join

_PART = re.compile(r"part-(\d+)-of-(\d+)")
"""The folder of a process's part, within that of the step."""


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
        self.folder.mkdir(parents=True, exist_ok=True)
        self.remove_unfinished()
        write_state(self.folder / str(step), flatten(state), extra)
        self.prune()

    def save_part(
        self, step: int, held: dict[str, np.ndarray], extra: dict[str, Any], *, process: int, processes: int
    ) -> None:
        """Save what one process holds of a state. Nothing is removed (see `prune`).

        Args:
          step: the same in all processes, as ``processes`` is.
          held: of `dlnotes.training.state_parts.held`.
          extra: that of process 0 counts.
          process, processes: number of this process, and how many there are.

        Raises:
          OSError: as `save`.
        """
        write_state(self.folder / str(step) / f"part-{process}-of-{processes}", held, extra)

    def steps(self) -> list[int]:
        """Steps with a finished checkpoint, oldest first (not yet verified)."""
        return [step for step in self._all() if self._folders(step)]

    def newest_extra(self) -> dict[str, Any]:
        """The extra of the newest checkpoint whose extra is as it was written; empty without any."""
        for step in reversed(self.steps()):
            if (found := read_extra(self._folders(step)[0])) is not None:
                return found
        return {}

    def load(self, step: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The saved arrays and the extra of one checkpoint, verified.

        Raises:
          DamagedCheckpoint: naming the first file that is missing, new or changed.
        """
        folders = self._folders(step)
        if not folders:
            raise DamagedCheckpoint(f"{self.folder / str(step) / MANIFEST}: cannot be read (it is not there)")
        found = [read_state(folder) for folder in folders]
        if len(found) == 1:
            return found[0]
        try:
            return join([arrays for arrays, _ in found]), found[0][1]
        except ValueError as error:
            raise DamagedCheckpoint(f"{self.folder / str(step)}: {error}") from None

    def newest(
        self, report: Callable[[str], None] = lambda message: None
    ) -> tuple[int, dict[str, np.ndarray], dict[str, Any]] | None:
        """The newest checkpoint that is whole, as (step, arrays, extra); ``None`` without any.

        Args:
          report: told of each damaged checkpoint that is passed over.
        """
        steps = self.steps()
        for step in self._all():
            if step not in steps and (not steps or step > steps[-1]):
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

    def prune(self) -> None:
        """Remove the oldest finished checkpoints, beyond those that are kept."""
        for old in self.steps()[: -self.keep]:
            shutil.rmtree(self.folder / str(old))

    def remove_unfinished(self) -> None:
        """Delete what a killed process left: folders without a manifest, or without that of a part."""
        finished = {str(step) for step in self.steps()}
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path.is_dir() and not path.name.endswith(".damaged") and path.name not in finished:
                shutil.rmtree(path)

    def _all(self) -> list[int]:
        """Steps with a folder, finished or not, oldest first."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(int(p.name) for p in found if p.name.isdigit() and p.is_dir())

    def _folders(self, step: int) -> list[Path]:
        """The folders that together hold a finished checkpoint, that of process 0 first; none without it."""
        path = self.folder / str(step)
        if (path / MANIFEST).is_file():
            return [path]
        parts = [m for p in path.iterdir() if (m := _PART.fullmatch(p.name))] if path.is_dir() else []
        parts = sorted(parts, key=lambda m: int(m[1]))
        count = max((int(m[2]) for m in parts), default=0)
        found = [path / m[0] for m in parts if int(m[2]) == count and (path / m[0] / MANIFEST).is_file()]
        return found if len(found) == count else []
