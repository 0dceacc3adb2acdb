"""The scales of a run that starts from another: inputs are scaled as its first layers know them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dlnotes.config import Config
from dlnotes.data.dataset import Dataset, Examples, Standardize
from dlnotes.data.in_file import InFile
from dlnotes.data.reconstruction import inputs_as_targets
from dlnotes.experiment.kept_files import DamagedFile, read_json
from dlnotes.experiment.run_folder import RunFolder

Scales = dict[str, Standardize | None]
"""What takes the place of ``standardize`` and ``standardize_y`` of a data set."""

_ROWS = 4096  # rescaled together, in float64


def same_scale(a: Standardize | None, b: Standardize | None) -> bool:
    """Whether two scales have the same numbers."""
    if a is None or b is None:
        return a is b
    return type(a) is type(b) and all(np.array_equal(p, q) for p, q in zip(a, b))


def replaceable(a: Standardize | None, b: Standardize | None) -> bool:
    """Whether inputs can be taken from one scale into the other."""
    if any(one is not None and type(one) is not Standardize for one in (a, b)):
        return False  # of a kind that only its reader can apply
    return a is None or b is None or np.shape(a.mean) == np.shape(b.mean)


def scaled_by(dataset: Dataset, scales: Scales) -> Dataset:
    """A data set in other scales; as it is where they are its own.

    Args:
      dataset: any.
      scales: new ones; what is not named stays.
    """
    inputs = scales.get("standardize", dataset.standardize)
    targets = scales.get("standardize_y", dataset.standardize_y)
    moved = not same_scale(inputs, dataset.standardize)
    moved_y = not same_scale(targets, dataset.standardize_y)
    if not moved and not moved_y:
        return dataset
    found: dict[str, Any] = {"standardize": inputs, "standardize_y": targets}
    for name in ("train", "validation", "test"):
        part = getattr(dataset, name)
        if part is not None and not dataset.missing:
            x = _rescaled(part.x, dataset.standardize, inputs, part.mask) if moved else part.x
            y = _rescaled(part.y, dataset.standardize_y, targets, None) if moved_y else part.y
            found[name] = Examples(x, y, part.mask)
    return replace(dataset, **found)


def as_started(kept: RunFolder, config: Config, dataset: Dataset) -> Dataset:
    """The data of a run that started from another, in the scales that its folder keeps.

    Where no file of the folder can say them, the data are as they are.
    """
    if config.start is None or config.start.standardize == "own":
        return dataset
    scales = _kept_scales(kept)
    if config.model.reconstructs and "standardize" in scales:
        return inputs_as_targets(scaled_by(dataset, {"standardize": scales["standardize"]}))
    return scaled_by(dataset, scales)


def scales_to_json(scales: Scales) -> dict[str, Any]:
    """Scales as what JSON can hold."""
    return {
        name: one and {"mean": one.mean.tolist(), "scale": one.scale.tolist(), "dtype": str(one.mean.dtype)}
        for name, one in scales.items()
    }


def scales_of_json(kept: dict[str, Any]) -> Scales:
    """What `scales_to_json` gave, and what is kept of a data set."""

    def of(one: dict[str, Any] | None) -> Standardize | None:
        return None if not one else Standardize(*(np.array(one[p], one["dtype"]) for p in ("mean", "scale")))

    return {name: of(one) for name, one in kept.items()}


def _kept_scales(kept: RunFolder) -> Scales:
    from dlnotes.training.state_files import read_extra  # loads jax

    try:
        if facts := read_json(kept.metadata_path):
            return scales_of_json({name: facts[name] for name in ("standardize", "standardize_y")})
    except DamagedFile:
        pass
    for folder in sorted(kept.metadata_path.parent.glob("start-*")):
        if note := read_extra(folder):
            return scales_of_json(note["scales"])
    return {}


def _rescaled(x: Any, before: Standardize | None, after: Standardize | None, mask: Any) -> Any:
    """Numbers in another scale, with 0 where the mask leaves them out."""
    if isinstance(x, InFile):
        return InFile(x._raw, x._rows, after)
    x = np.asarray(x)
    found = np.empty(x.shape, np.float32)
    for start in range(0, len(x), _ROWS):
        rows = x[start : start + _ROWS].astype(np.float64)
        rows = rows if before is None else before.inverse(rows)
        rows = rows if after is None else after(rows)
        if mask is not None:
            real = np.asarray(mask[start : start + _ROWS])
            rows = np.where(real.reshape(*real.shape, *(1,) * (rows.ndim - real.ndim)), rows, 0.0)
        found[start : start + _ROWS] = rows
    return found
