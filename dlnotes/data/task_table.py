"""A person's own table with several columns to predict, whose cells may be empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlnotes.data import csv_table as table
from dlnotes.data import standardize as standardizing
from dlnotes.data.assemble import Parts, assemble
from dlnotes.data.dataset import Dataset, Examples, Standardize
from dlnotes.data.download import sha256
from dlnotes.data.missing_cells import Strategy
from dlnotes.data.own_files import read_as
from dlnotes.data.spelled_numbers import MISSING, label
from dlnotes.data.split import split_of_file
from dlnotes.data.tables import _csv_target
from dlnotes.data.tasks import INPUTS, TaskDataset, TaskFacts, Wanted, keep_targets, with_targets
from dlnotes.data.used_columns import Columns
from dlnotes.outputs.targets import Targets
from dlnotes.typing import IGNORE


def csv_tasks(
    path: str | Path,
    wanted: Mapping[str, Wanted],
    *,
    target: str | Sequence[str],
    task: str = "auto",
    categorical: Sequence[str] = (),
    drop: Sequence[str] = (),
    dates: Sequence[str] = (),
    date_format: str = "",
    calendar: Sequence[str] = (),
    hashed: Mapping[str, int] | None = None,
    id: str | None = None,
    weight: str | None = None,
    separator: str = ";",
    impute: Strategy | None = None,
    delimiter: str = ",",
    decimal: str = ".",
    thousands: str = "",
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    standardize: bool = True,
) -> TaskDataset:
    """A table with a target for each task; columns of targets are no inputs.

    An empty cell in a column of targets (or "NA" and its like) is a target that the row does not have. The
    split is stratified by ``target`` where that holds classes.

    Args:
      path: of a CSV or Parquet file.
      wanted: of each task, by name; its column is ``target`` where it names none.
      target: one column.
      task, categorical, drop, dates, date_format, calendar, hashed, id, impute: as of `dlnotes.data.csv`.
      weight, separator: are not for tables of several tasks.
      delimiter, decimal, thousands, validation, test, seed, standardize: as there.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: when it cannot be used; the message has the task, or the file and the line.
    """
    if not isinstance(target, str) or task in ("labels", "counts") or weight is not None or separator != ";":
        raise ValueError(
            "tasks: with [tasks.NAME] data.target is one column of a class or a number, and data.weight and "
            'data.separator are left out; each further target is a task, counts have kind = "counts"'
        )
    options: dict[str, Any] = {"delimiter": delimiter, "decimal": decimal, "thousands": thousands}
    read = table.read_table(path, **options)
    of = {n: target if w.target is None else w.target for n, w in wanted.items() if w.target != INPUTS}
    every = list(dict.fromkeys((target, *of.values())))
    used = Columns(every, categorical, drop, dates, date_format, calendar, dict(hashed or {}), id, None)
    used.check()
    named = [(f"tasks.{n}.target", [w.target]) for n, w in wanted.items() if w.target not in (None, INPUTS)]
    for option, names in named:
        for name in names:
            if name not in read.header:
                raise ValueError(
                    f"{option}: got {name!r}, the columns of {path} are {', '.join(read.header)}"
                )
    made_of = used.made_of(read, used.inputs(path, read.header))
    found = {
        n: _column(read, column, task if wanted[n].target is None else wanted[n].kind, categorical)
        for n, column in of.items()
    }
    main = next((found[n] for n, w in wanted.items() if w.target is None), None)
    main = _column(read, target, task, categorical) if main is None else main
    parts = split_of_file(
        path,
        len(read.rows),
        _strata(main[0]) if main[1] == "classification" else None,
        lambda i: f"{read.unit} {read.lines[i]}",
        validation=validation,
        test=test,
        seed=seed,
    )
    features, encoding = used.encoding(read, made_of, parts[0], impute)
    made = assemble(
        Path(path).stem,
        table.encode(read, features, **encoding),
        np.arange(len(read.rows)),
        parts,
        input="vector",
        task="classification",
        outputs=2,
        standardize=standardize,
        features=features,
        sources={str(path): sha256(path)},
    )
    facts, arrays = _standardized(path, wanted, of, found, parts, len(features), standardize)
    kept = {} if id is None else {"id": id}
    made = read_as(made, form="table", target=target, table=options, encoding=encoding, **kept)

    def own(part: Examples | None) -> Examples | None:
        if part is None:
            return None
        rows = part.y
        return part._replace(
            y=Targets({n: np.zeros(len(rows), np.int32) if a is None else a[rows] for n, a in arrays.items()})
        )

    split = {name: own(getattr(made, name)) for name in ("train", "validation", "test")}
    classes = main[2]
    whole = with_targets(
        made,
        facts,
        **split,
        task=main[1],
        outputs=len(classes) if main[1] == "classification" else 1,
        classes=classes,
    )
    return keep_targets(whole, wanted, seed=seed)


Column = tuple[np.ndarray, str, tuple[str, ...]]
"""Targets of all rows, their kind, the classes."""


def _column(read: table.Table, name: str, kind: str, categorical: Sequence[str]) -> Column:
    """Targets of a column; where a cell is empty, `IGNORE` or NaN."""
    cells = read.column(name)
    there = [i for i, cell in enumerate(cells) if cell not in MISSING]
    if not there:
        raise ValueError(f"{read.path}: column {name!r} is empty in every row")
    some = read._replace(rows=[read.rows[i] for i in there], lines=[read.lines[i] for i in there])
    of = "regression" if kind == "counts" else kind
    y, job, classes = _csv_target(some, name, of, as_texts=name in categorical)
    whole = np.full((len(cells), *y.shape[1:]), IGNORE if job == "classification" else np.nan, y.dtype)
    whole[there] = y
    return whole, job, classes


def _strata(y: np.ndarray) -> np.ndarray:
    """Classes to divide evenly; rows without one are a class of their own where they are enough."""
    missing = y == IGNORE
    if 0 < missing.sum() < 3:
        return np.where(missing, np.bincount(y[~missing]).argmax(), y)
    return y


def _standardized(
    path: str | Path,
    wanted: Mapping[str, Wanted],
    of: Mapping[str, str],
    found: Mapping[str, Column],
    parts: Parts,
    features: int,
    standardize: bool,
) -> tuple[tuple[TaskFacts, ...], dict[str, np.ndarray | None]]:
    """Facts of every task, and its targets of all rows in the dtypes of training."""
    facts, arrays = [], {}
    for name, task in wanted.items():
        if task.target == INPUTS:
            facts.append(TaskFacts(name, "reconstruction", features))
            arrays[name] = None
            continue
        y, kind, classes = found[name]
        if kind == "classification":
            facts.append(TaskFacts(name, "classification", len(classes), classes, None, of[name]))
            arrays[name] = y.astype(np.int32)
            continue
        scale: Standardize | None = None
        if task.kind == "counts":
            wrong = np.isfinite(y) & ((y < 0) | (y != np.floor(y)))
            if wrong.any():
                raise ValueError(
                    f"{path}: column {of[name]!r} holds {y[wrong][0]:g}, counts are whole numbers from 0"
                )
        elif standardize:
            own = y[parts[0]]
            if not np.isfinite(own).any():
                raise ValueError(f"{path}: column {of[name]!r} is empty in every row of the training part")
            scale = standardizing.fit(own[np.isfinite(own).all(axis=1)])
        facts.append(TaskFacts(name, "regression", 1, (), scale, of[name]))
        arrays[name] = standardizing.apply(scale, y)
    return tuple(facts), arrays


def evaluated_table(path: str | Path, dataset: TaskDataset, x: np.ndarray) -> Examples:
    """Examples of a table like the one that was trained on, with the targets that it has.

    Args:
      path: of the table.
      dataset: that the network was trained on.
      x: its inputs, as of `dlnotes.data.read_inputs`.

    Raises:
      ValueError: with the line, for a class that is not known; when it has no column of a target.
    """
    read = table.read_table(path, **dataset.reading.get("table", {}))
    if not any(t.column in read.header for t in dataset.tasks if t.column):
        columns = ", ".join(t.column for t in dataset.tasks if t.column)
        raise ValueError(f"{path}: has no column of a target ({columns})")
    found: dict[str, Any] = {}
    for facts in dataset.tasks:
        if facts.kind == "reconstruction":
            found[facts.name] = np.zeros(len(x), np.int32)
        elif facts.column not in read.header:
            shape = (len(x),) if facts.kind == "classification" else (len(x), facts.outputs)
            missing = IGNORE if facts.kind == "classification" else np.nan
            found[facts.name] = np.full(
                shape, missing, np.int32 if facts.kind == "classification" else np.float32
            )
        elif facts.kind == "classification":
            found[facts.name] = _known_classes(read, facts)
        else:
            cells = read.column(facts.column)
            there = [i for i, cell in enumerate(cells) if cell not in MISSING]
            some = read._replace(rows=[read.rows[i] for i in there], lines=[read.lines[i] for i in there])
            y = np.full((len(cells), 1), np.nan)
            y[there, 0] = table.numbers(some, facts.column)
            found[facts.name] = standardizing.apply(facts.standardize_y, y)
    return Examples(x, Targets(found))


def _known_classes(read: table.Table, facts: TaskFacts) -> np.ndarray:
    index = {name: i for i, name in enumerate(facts.classes)}
    y = np.full(len(read.rows), IGNORE, np.int32)
    for i, cell in enumerate(read.column(facts.column)):
        if cell in MISSING:
            continue
        number = read.number(cell)
        name = cell if cell in index or number is None or not np.isfinite(number) else label(number)
        if name not in index:
            raise ValueError(
                f"{read.path}: {read.unit} {read.lines[i]}: column {facts.column!r} holds {cell!r}, known "
                f"are {', '.join(facts.classes)}"
            )
        y[i] = index[name]
    return y


def is_table(dataset: Dataset) -> bool:
    """Whether a data set of tasks was read from a table."""
    reading = dataset.reading if isinstance(dataset, TaskDataset) else {}
    return reading.get("form") == "table" or "column" in reading
