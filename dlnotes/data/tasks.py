"""Data of several tasks: the same inputs with a target for each, some of them missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from dlnotes.checks import did_you_mean
from dlnotes.data.assemble import take
from dlnotes.data.dataset import Dataset, Examples, Standardize
from dlnotes.data.in_file import is_in_file
from dlnotes.data.own_files import OwnDataset, reading_of
from dlnotes.data.split import split_indices
from dlnotes.outputs.targets import Targets, known
from dlnotes.typing import IGNORE

Kind = Literal["classification", "regression", "reconstruction"]
INPUTS = "inputs"


class Wanted(NamedTuple):
    """What a config asks of a task's targets.

    Attributes:
      target: "inputs", a column's name, or ``None`` for the data set's own target.
      kind: of a column: "auto", "classification", "regression" or "counts".
      labels: share or number of the training examples that keep it, ``None`` for all.
      repeat: how often the training part has each example with it.
    """

    target: str | None = None
    kind: Literal["auto", "classification", "regression", "counts"] = "auto"
    labels: int | float | None = None
    repeat: int = 1


class TaskFacts(NamedTuple):
    """What a network must know of a task.

    Attributes:
      name: of the task.
      kind: classes ``(n,)``, numbers ``(n, outputs)``, or the inputs themselves, flattened.
      outputs: classes or numbers.
      classes: their names, empty for numbers.
      standardize_y: how the numbers were standardized, or ``None``.
      column: of the table that holds it, "" where it is none.
    """

    name: str
    kind: Kind
    outputs: int
    classes: tuple[str, ...] = ()
    standardize_y: Standardize | None = None
    column: str = ""


@dataclass(frozen=True)
class TaskDataset(OwnDataset):
    """A data set whose ``y`` are `dlnotes.outputs.Targets`; ``task``, ``outputs`` … are those of the data.

    Attributes:
      tasks: what is known of each, in order.
    """

    tasks: tuple[TaskFacts, ...] = ()

    def facts(self, name: str) -> TaskFacts:
        """Of the task called ``name``.

        Raises:
          ValueError: when there is none.
        """
        for found in self.tasks:
            if found.name == name:
                return found
        names = [t.name for t in self.tasks]
        raise ValueError(f"task: got {name!r}{did_you_mean(name, names)}, allowed are {', '.join(names)}")


def with_targets(dataset: Dataset, facts: tuple[TaskFacts, ...], **changed: Any) -> TaskDataset:
    """A data set with other targets."""
    own = {f.name: getattr(dataset, f.name) for f in fields(Dataset)}
    return TaskDataset(**(own | changed), reading=reading_of(dataset), tasks=facts)


def of_tasks(dataset: Dataset, wanted: Mapping[str, Wanted], *, seed: int = 0) -> TaskDataset:
    """The data set with a target for each task.

    Args:
      dataset: with a class or numbers for each example.
      wanted: of each task, by name. A column of numbers among the inputs becomes a target, and is an input no
        longer.
      seed: of the examples that keep their targets.

    Raises:
      ValueError: naming the task, when its target is not there or does not fit.
    """
    if dataset.task not in ("classification", "regression"):
        raise ValueError(
            f"tasks: {dataset.name} has {dataset.task} targets, allowed are those with one answer an example"
        )
    columns = {
        name: _column(dataset, name, task)
        for name, task in wanted.items()
        if task.target not in (None, INPUTS)
    }
    parts = [part for part in (dataset.train, dataset.validation, dataset.test) if part is not None]
    left = int(np.prod(dataset.inputs)) - len(set(columns.values()))
    facts = tuple(_facts(dataset, name, task, columns.get(name), left) for name, task in wanted.items())

    def targets(part: Examples) -> Targets:
        found = {}
        for name, task in wanted.items():
            if task.target == INPUTS:
                found[name] = np.zeros(part.size, np.int32)
            elif name in columns:
                found[name] = np.ascontiguousarray(np.asarray(part.x[:, [columns[name]]]), np.float32)
            else:
                found[name] = part.y
        return Targets(found)

    made = {id(part): part._replace(y=targets(part)) for part in parts}
    changed: dict[str, Any] = {
        name: None if (part := getattr(dataset, name)) is None else made[id(part)]
        for name in ("train", "validation", "test")
    }
    if columns:
        changed |= _without(dataset, sorted(columns.values()), changed)
    return keep_targets(with_targets(dataset, facts, **changed), wanted, seed=seed)


def _column(dataset: Dataset, name: str, task: Wanted) -> int:
    where = f"tasks.{name}.target: got {task.target!r}"
    if dataset.input != "vector" or not dataset.features:
        raise ValueError(f"{where}, {dataset.name} has no named columns; allowed are 'inputs' and none")
    if task.target not in dataset.features:
        hint = did_you_mean(task.target, dataset.features)
        raise ValueError(f"{where}, the columns of {dataset.name} are {', '.join(dataset.features)}{hint}")
    if task.kind == "classification":
        raise ValueError(
            f"tasks.{name}.kind: got 'classification', the columns of {dataset.name} hold numbers"
        )
    return dataset.features.index(task.target)


def _facts(dataset: Dataset, name: str, task: Wanted, column: int | None, left: int) -> TaskFacts:
    """Of a task; ``left`` inputs are no targets."""
    if task.target == INPUTS:
        if dataset.input not in ("vector", "image", "volume", "sequence") or dataset.train.mask is not None:
            raise ValueError(
                f"tasks.{name}.target: got 'inputs', {dataset.name} has inputs ({dataset.input}) that are no "
                "numbers of one shape"
            )
        return TaskFacts(name, "reconstruction", left)
    if column is not None:
        scale = dataset.standardize
        if scale is not None:
            scale = Standardize(scale.mean[[column]], scale.scale[[column]])
        return TaskFacts(name, "regression", 1, (), scale, dataset.features[column])
    kind: Kind = "classification" if dataset.task == "classification" else "regression"
    return TaskFacts(name, kind, dataset.outputs, dataset.classes, dataset.standardize_y)


def _without(dataset: Dataset, columns: list[int], parts: Mapping[str, Any]) -> dict[str, Any]:
    """The data set's fields without some columns of its inputs; tasks that reconstruct do so without them."""
    kept = [j for j in range(dataset.inputs[0]) if j not in columns]
    if not kept:
        raise ValueError(f"tasks: no column of {dataset.name} is left for the inputs")
    scale = dataset.standardize
    return {
        "inputs": (len(kept),),
        "features": tuple(dataset.features[j] for j in kept),
        "standardize": None if scale is None else Standardize(scale.mean[kept], scale.scale[kept]),
    } | {
        name: None if part is None else part._replace(x=np.ascontiguousarray(np.asarray(part.x)[:, kept]))
        for name, part in parts.items()
    }


def keep_targets(dataset: TaskDataset, wanted: Mapping[str, Wanted], *, seed: int = 0) -> TaskDataset:
    """The data set whose training part keeps some of its targets only, and has some examples several times.

    Args:
      dataset: with targets.
      wanted: of each task: ``labels`` and ``repeat``.
      seed: of the examples that are drawn.

    Raises:
      ValueError: naming the task, and the class that no training example would have.
    """
    train, found = dataset.train, {}
    for facts in dataset.tasks:
        y = np.asarray(train.y[facts.name])
        if facts.kind == "reconstruction":
            found[facts.name] = y
            continue
        found[facts.name] = _kept(facts, y, wanted[facts.name].labels, seed)
    y = Targets(found)
    rows = np.arange(train.size)
    times = np.ones(train.size, np.int64)
    for name, task in wanted.items():
        if task.repeat > 1:
            times = np.maximum(times, np.where(known(found[name]), task.repeat, 1))
    if times.max() > 1:
        if is_in_file(train):
            raise ValueError(f"tasks: the inputs of {dataset.name} stay in their file, allowed is repeat = 1")
        rows = np.repeat(rows, times)
        mask = None if train.mask is None else train.mask[rows]
        return replace(dataset, train=Examples(take(train.x, rows), y[rows], mask))
    return replace(dataset, train=train._replace(y=y))


def _kept(facts: TaskFacts, y: np.ndarray, labels: int | float | None, seed: int) -> np.ndarray:
    """Targets of which some are kept, as many of each class as it has."""
    there = np.flatnonzero(known(y))  # pyright: ignore[reportArgumentType]
    option = f"tasks.{facts.name}.labels"
    if not len(there):
        raise ValueError(f"tasks.{facts.name}: no training example has its target")
    if labels is not None:
        size = int(np.floor(labels * len(there) + 0.5)) if labels < 1 else int(labels)
        if not 1 <= size <= len(there):
            raise ValueError(
                f"{option}: got {labels}, allowed is 1 to {len(there)}, the training examples with a target"
            )
        if size < len(there):
            classes = y[there] if facts.kind == "classification" else None
            if classes is not None and (least := len(np.unique(classes))) > size:
                rarest = facts.classes[int(np.bincount(classes, minlength=facts.outputs).argmin())]
                raise ValueError(
                    f"{option}: got {labels}, class {rarest!r} and others would have none; allowed is at "
                    f"least {least}, one for each class"
                )
            rows = there[split_indices(len(there), validation=size, test=0, seed=seed, stratify=classes)[1]]
            kept = np.full_like(y, IGNORE if facts.kind == "classification" else np.nan)
            kept[rows] = y[rows]
            y, there = kept, rows
    if facts.kind == "classification" and (absent := _absent(facts, y[there])) is not None:
        told = f"got {labels}, " if labels is not None else ""
        raise ValueError(
            f"{option}: {told}class {absent!r} has no example with a target among the {len(y)} of the "
            f"training part ({len(there)} have one)"
        )
    return y


def _absent(facts: TaskFacts, y: np.ndarray) -> str | None:
    """The first class that no target is of."""
    counts = np.bincount(y, minlength=facts.outputs)
    empty = np.flatnonzero(counts == 0)
    return facts.classes[empty[0]] if len(empty) else None


def own_targets(dataset: TaskDataset, y: np.ndarray) -> Targets:
    """Targets of examples of which only the data set's own target is known.

    Raises:
      ValueError: for a task whose target is a column.
    """
    found = {}
    for facts in dataset.tasks:
        if facts.column:
            raise ValueError(
                f"tasks.{facts.name}: its target is the column {facts.column!r}, which other files than "
                "tables do not have"
            )
        found[facts.name] = np.zeros(len(y), np.int32) if facts.kind == "reconstruction" else y
    return Targets(found)


def labeled(dataset: TaskDataset, part: Examples, name: str) -> Examples | None:
    """The examples of a part that have a task's target, with that alone; ``None`` where there are none.

    Args:
      dataset: of the part.
      part: its examples.
      name: of a task that does not reconstruct its inputs.
    """
    dataset.facts(name)
    y = part.y[name]
    rows = np.flatnonzero(known(np.asarray(y)))  # pyright: ignore[reportArgumentType]
    if not len(rows):
        return None
    if len(rows) == part.size:
        return part._replace(y=y)
    return Examples(take(part.x, rows), y[rows], None if part.mask is None else part.mask[rows])


def of_one(dataset: TaskDataset, name: str) -> Dataset:
    """The data set of one task alone; examples without its target have `IGNORE` or NaN."""
    facts = dataset.facts(name)
    parts = {
        split: None if (part := getattr(dataset, split)) is None else part._replace(y=part.y[name])
        for split in ("train", "validation", "test")
    }
    plain = {f.name: getattr(dataset, f.name) for f in fields(OwnDataset)}
    return OwnDataset(**(  # pyright: ignore[reportArgumentType]
        plain
        | parts
        | {
            "name": f"{dataset.name}, {name}",
            "task": "regression" if facts.kind == "reconstruction" else facts.kind,
            "outputs": facts.outputs,
            "classes": facts.classes,
            "standardize_y": facts.standardize_y,
        }
    ))  # fmt: skip
