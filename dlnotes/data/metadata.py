"""What a trained model must know of its data, without the data: kept in the run's folder as JSON.

Vocabularies, class names, the scales of inputs and targets, shapes, and the SHA-256 of every file. With them
a run predicts where its data are gone or have changed since, and says so where examples are needed.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from dlnotes.data.dataset import Dataset, Examples, Forecast, Pair, Standardize, Trees
from dlnotes.data.levels import known_levels
from dlnotes.data.own_files import OwnDataset, reading_of

_PLAIN = (
    "name",
    "input",
    "task",
    "inputs",
    "outputs",
    "classes",
    "symbols",
    "features",
    "sources",
    "notation",
)
_SPLITS = ("train", "validation", "test")
TASKS = "Targets"
_TUPLES = {kind.__name__: kind for kind in (Pair, Trees)}


def metadata_of(dataset: Dataset) -> dict[str, Any]:
    """The metadata as what JSON can hold."""
    metadata = {name: getattr(dataset, name) for name in _PLAIN}
    for name in ("standardize", "standardize_y"):
        metadata[name] = _scale(getattr(dataset, name))
    if tasks := getattr(dataset, "tasks", ()):  # of a TaskDataset, whose module loads jax
        metadata["tasks"] = [t._asdict() | {"standardize_y": _scale(t.standardize_y)} for t in tasks]
    metadata["forecast"] = dataset.forecast and dataset.forecast._asdict()
    levels = known_levels(dataset)
    metadata["reading"] = dict(reading_of(dataset)) | ({} if levels is None else {"levels": levels})
    metadata["splits"] = {name: _shapes(getattr(dataset, name)) for name in _SPLITS}
    metadata["records"] = {
        name: hashlib.sha256(text.encode()).hexdigest() for name, text in dataset.records.items()
    }
    return metadata


def dataset_of(metadata: dict[str, Any], *, missing: str) -> Dataset:
    """A data set of those metadata whose examples are all zero and take no memory.

    Args:
      metadata: of `metadata_of`, as read back from JSON.
      missing: why the examples are not there; `Dataset.split` says so.
    """
    kept: dict[str, Any] = {
        name: tuple(v) if isinstance(v := metadata.get(name, ""), list) else v for name in _PLAIN
    }
    for name in ("standardize", "standardize_y"):
        kept[name] = _standardize(metadata[name])
    if forecast := metadata["forecast"]:
        kept["forecast"] = Forecast(tuple(forecast["targets"]), forecast["horizon"])
    kept |= {name: _zeros(metadata["splits"][name]) for name in _SPLITS}
    kept |= {"reading": metadata.get("reading", {}), "missing": missing}
    if "tasks" not in metadata:
        return OwnDataset(**kept)
    from dlnotes.data.tasks import TaskDataset, TaskFacts  # loads jax

    tasks = [
        TaskFacts(**(t | {"classes": tuple(t["classes"]), "standardize_y": _standardize(t["standardize_y"])}))
        for t in metadata["tasks"]
    ]
    return TaskDataset(**kept, tasks=tuple(tasks))


def _scale(scale: Standardize | None) -> dict[str, Any] | None:
    return scale and {
        "mean": scale.mean.tolist(),
        "scale": scale.scale.tolist(),
        "dtype": str(scale.mean.dtype),
    }


def _standardize(scale: dict[str, Any] | None) -> Standardize | None:
    if not scale:
        return None
    return Standardize(*(np.array(scale[part], scale["dtype"]) for part in ("mean", "scale")))


def changes(metadata: dict[str, Any], dataset: Dataset) -> list[str]:
    """In what a data set differs from the metadata that were kept, in words; paths of files do not count."""
    import json

    now = json.loads(json.dumps(metadata_of(dataset)))
    found = []
    if sorted(metadata["sources"].values()) != sorted(now["sources"].values()):
        known = set(metadata["sources"].values())
        changed = [path for path, digest in now["sources"].items() if digest not in known]
        found.append(f"{', '.join(changed) or 'a file'} is not the file that the run was trained on")
    older = {"notation": "", "reading": now["reading"]}  # what runs of older versions did not keep
    differing = [name for name in now if name != "sources" and (older | metadata).get(name) != now[name]]
    if differing and not found:
        found.append(f"its {', '.join(differing)} are no longer what the run was trained on")
    return found


def _shapes(examples: Examples | None) -> dict[str, Any] | None:
    if examples is None:
        return None

    def of(a: Any) -> Any:
        if a is None:
            return None
        if type(a).__name__ == TASKS:  # whose module loads jax
            return {"of": TASKS, "leaves": {name: of(leaf) for name, leaf in a.items()}}
        if isinstance(a, tuple):
            leaves = {name: of(leaf) for name, leaf in a._asdict().items()}  # pyright: ignore[reportAttributeAccessIssue]
            return {"of": type(a).__name__, "leaves": leaves}
        return {"shape": list(a.shape), "dtype": str(a.dtype)}

    return {name: of(getattr(examples, name)) for name in ("x", "y", "mask")}


def _zeros(shapes: dict[str, Any] | None) -> Examples | None:
    if shapes is None:
        return None

    def of(shape: dict[str, Any] | None) -> Any:
        if shape is None:
            return None
        if shape.get("of") == TASKS:
            from dlnotes.outputs.targets import Targets

            return Targets({name: of(leaf) for name, leaf in shape["leaves"].items()})
        if "of" in shape:
            return _TUPLES[shape["of"]](**{name: of(leaf) for name, leaf in shape["leaves"].items()})
        dtype = np.dtype(shape["dtype"])
        return np.broadcast_to(
            np.ones((), dtype) if dtype.kind == "b" else np.zeros((), dtype), shape["shape"]
        )

    return Examples(*(of(shapes[name]) for name in ("x", "y", "mask")))
