"""Targets of a table that are more than a class or a number: several numbers, several labels, counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dlnotes.data import csv_table as table
from dlnotes.data.dataset import Dataset
from dlnotes.data.own_files import reading_of
from dlnotes.data.spelled_numbers import MISSING

LABELS, COUNTS, NUMBERS = "labels", "counts", "numbers"
"""What the targets of a table can be beside a class and a number."""

_TRUE, _FALSE = ("1", "true", "yes", "y", "t"), ("0", "false", "no", "n", "f")


class Targets(NamedTuple):
    """Targets of all rows.

    Attributes:
      y: ``(n, outputs)`` float64.
      names: of the outputs.
      reading: what is kept of how they are read: "targets" is one of `LABELS`, `COUNTS`, `NUMBERS`.
    """

    y: np.ndarray
    names: tuple[str, ...]
    reading: dict[str, Any]


def kind_of(dataset: Dataset) -> str:
    """`LABELS`, `COUNTS` or `NUMBERS` where the targets are of that kind, else ""."""
    return reading_of(dataset).get("targets", "")


def is_special(target: str | Sequence[str], task: str) -> bool:
    """Whether the targets are read by this module."""
    return task in (LABELS, COUNTS) or (not isinstance(target, str) and len(target) > 1)


def read_targets(read: table.Table, target: Sequence[str], task: str, separator: str) -> Targets:
    """Several columns of numbers, of labels or of counts.

    Args:
      read: the table.
      target: the columns; of labels one alone may list those that a row has.
      task: "labels", "counts", or "auto" and "regression" for numbers.
      separator: between the labels of a cell.

    Raises:
      ValueError: naming the line, for a cell that does not fit; for classes in several columns.
    """
    if len(set(target)) < len(target):
        raise ValueError(f"target: got {', '.join(target)}, each column is named once")
    if task == LABELS:
        names = _label_names(read, target, separator)
        y = _labels(read, target, names, separator)
        for name, share in zip(names, y.mean(axis=0)):
            if share in (0, 1):
                which = "no row has" if share == 0 else "every row has"
                raise ValueError(f"{read.path}: {which} the label {name!r}, which cannot be learned")
        return Targets(y, names, {"targets": LABELS, "separator": separator})
    if task == "classification":
        raise ValueError(
            f"target: got {len(target)} columns with task = 'classification'; allowed: task = \"labels\" for "
            "columns of 0 and 1, [tasks.NAME] for a class each"
        )
    y = np.stack([_numbers(read, name) for name in target], axis=1)
    if task == COUNTS:
        _check_counts(read, target, y)
    return Targets(y, tuple(target), {"targets": COUNTS if task == COUNTS else NUMBERS})


def _numbers(read: table.Table, name: str) -> np.ndarray:
    if not table.holds_numbers(read, name):
        i = next((i for i, c in enumerate(read.column(name)) if read.number(c) is None), 0)
        raise ValueError(
            f"{read.path}: {read.unit} {read.lines[i]}: target {name!r} holds {read.column(name)[i]!r}, a "
            "number is needed (columns of texts are classes: [tasks.NAME])"
        )
    return table.numbers(read, name, hint="every row needs a target")


def _check_counts(read: table.Table, target: Sequence[str], y: np.ndarray) -> None:
    wrong = (y < 0) | (y != np.floor(y))
    if wrong.any():
        i, j = map(int, np.argwhere(wrong)[0])
        raise ValueError(
            f"{read.path}: {read.unit} {read.lines[i]}: column {target[j]!r} holds "
            f"{read.column(target[j])[i]!r}, counts are whole numbers from 0"
        )


def _listed(cell: str, separator: str) -> list[str]:
    return [name for part in cell.split(separator) if (name := part.strip())]


def _label_names(read: table.Table, target: Sequence[str], separator: str) -> tuple[str, ...]:
    if len(target) > 1:
        return tuple(target)
    names = sorted({name for cell in read.column(target[0]) for name in _listed(cell, separator)})
    if len(names) < 2:
        told = f"only {names[0]!r}" if names else "none"
        raise ValueError(
            f"{read.path}: column {target[0]!r} holds {told} as labels, two are needed, with "
            f"{separator!r} between those of a row (separator)"
        )
    if len(names) > table.MAX_CATEGORIES:
        raise ValueError(
            f"{read.path}: column {target[0]!r} holds {len(names)} labels, allowed are "
            f"{table.MAX_CATEGORIES} (is separator = {separator!r} right?)"
        )
    return tuple(names)


def _labels(read: table.Table, target: Sequence[str], names: Sequence[str], separator: str) -> np.ndarray:
    y = np.zeros((len(read.rows), len(names)))
    if len(target) > 1:
        for j, name in enumerate(target):
            for i, cell in enumerate(read.column(name)):
                value = read.number(cell)
                if cell.lower() in _TRUE or value == 1:
                    y[i, j] = 1
                elif not (cell.lower() in _FALSE or value == 0):
                    holds = "is empty" if cell in MISSING else f"holds {cell!r}"
                    raise ValueError(
                        f"{read.path}: {read.unit} {read.lines[i]}: column {name!r} {holds}, a label is 1 or "
                        "0 (or true and false, yes and no)"
                    )
        return y
    index = {name: j for j, name in enumerate(names)}
    for i, cell in enumerate(read.column(target[0])):
        for name in _listed(cell, separator):
            if name not in index:
                raise ValueError(
                    f"{read.path}: {read.unit} {read.lines[i]}: label {name!r} is unknown, known are "
                    f"{', '.join(names)}"
                )
            y[i, index[name]] = 1
    return y


def targets_again(read: table.Table, dataset: Dataset) -> np.ndarray:
    """The targets ``(n, outputs)`` of another table, read as those of the data set were.

    Raises:
      ValueError: naming a column that is not there, or the line of a cell that does not fit.
    """
    reading: Mapping[str, Any] = reading_of(dataset)
    target = [reading["target"]] if isinstance(reading["target"], str) else list(reading["target"])
    for name in target:
        if name not in read.header:
            raise ValueError(f"target: {read.path} has no column {name!r}, it has {', '.join(read.header)}")
    if reading["targets"] == LABELS:
        return _labels(read, target, dataset.classes, reading["separator"])
    y = np.stack([_numbers(read, name) for name in target], axis=1)
    if reading["targets"] == COUNTS:
        _check_counts(read, target, y)
    return y
