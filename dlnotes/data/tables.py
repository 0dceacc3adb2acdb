"""A person's own table: a CSV or Parquet file with a column to predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dlnotes.data import csv_table as table
from dlnotes.data import in_file, parquet, table_targets
from dlnotes.data.assemble import Parts, assemble
from dlnotes.data.dataset import Dataset, Examples
from dlnotes.data.download import sha256
from dlnotes.data.in_file import assemble_rows
from dlnotes.data.missing_cells import Strategy
from dlnotes.data.own_files import read_as
from dlnotes.data.spelled_numbers import label
from dlnotes.data.split import split_of_file
from dlnotes.data.used_columns import Columns
from dlnotes.data.weighted_rows import with_row_weights


def csv(
    path: str | Path,
    *,
    target: str | Sequence[str],
    task: Literal["auto", "classification", "regression", "labels", "counts"] = "auto",
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
    decimal: Literal[".", ","] = ".",
    thousands: str = "",
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    standardize: bool = True,
) -> Dataset:
    """A CSV file with a header row, or a Parquet file: one column is the target, the others are inputs.

    Columns of numbers become one input each. A column of texts (at most 100 different ones) becomes
    one input a text, named "color=red", 1 where the row has it and 0 elsewhere. Blank lines are left out.
    A Parquet file with more than `dlnotes.data.in_file.MOST` bytes of inputs is unpacked once in the cache
    and stays there, rows being read as they are used; then all inputs must be numbers, none missing.

    Args:
      path: the file; a CSV file in UTF-8.
      target: name of the column to predict, or of several columns of numbers, labels or counts.
      task: "auto" takes texts, and up to 20 different whole numbers, for classes; other numbers for
        regression. Classes keep their names. "labels": columns of 0 and 1 of which a row may have several, or
        one column that lists those of a row. "counts": whole numbers from 0, not standardized.
      categorical: columns of numbers to be taken as texts (post codes, say).
      drop: columns to leave out; "" is a column without a name.
      dates: columns of dates (2020-12-31, with a time or not), to be taken as days since 1970-01-01.
      date_format: of the dates, as of `datetime.strptime`; by default ISO 8601's.
      calendar: columns of dates that are also taken as their places in the year, the week and the day.
      hashed: columns of many texts, each with the number of inputs that its texts share by their hashes.
      id: column that names the rows, which predictions carry; no input.
      weight: column of numbers from 0 by which rows count in training; no input.
      separator: between the labels of a cell.
      impute: fill missing cells of the inputs with the training part's "median", "mean" or "most_frequent"
        number, in texts always the most frequent one; for each column with a missing cell in the training
        part an input named "age=" is 1 where one was. Without it they are refused.
      delimiter: between cells.
      decimal: before the decimals of a number.
      thousands: between groups of three digits of a number.
      validation: share or number of rows for validation.
      test: the same for the test part.
      seed: of the split.
      standardize: whether inputs, and a regression target, are standardized.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: when it cannot be used; the message has the file and the line.
    """
    options = {"delimiter": delimiter, "decimal": decimal, "thousands": thousands}
    targets = [target] if isinstance(target, str) else list(target)
    if not targets:
        raise ValueError("target: got no column, at least one is needed")
    single, special = targets[0], table_targets.is_special(target, task)
    used = Columns(targets, categorical, drop, dates, date_format, calendar, dict(hashed or {}), id, weight)
    used.check()

    def inputs_of(header: Sequence[str]) -> list[str]:
        return used.inputs(path, header)

    split: dict[str, Any] = {"validation": validation, "test": test, "seed": seed}
    if parquet.is_parquet(path) and 4 * prod(parquet.shape(path)) > in_file.MOST:
        header = parquet.column_names(path)
        columns = inputs_of(header)
        for option, given in (
            ("dates", dates),
            ("impute", impute),
            ("categorical", {*categorical} - {single}),
            ("calendar", calendar),
            ("hashed", hashed),
            ("id", id),
            ("weight", weight),
            ("target", special and targets),
        ):
            if given:
                raise ValueError(
                    f"{option}: is for tables that fit into the memory; {path} has more than "
                    f"{in_file.MOST / 2**30:.0f} GB of inputs, which must be numbers"
                )
        as_texts = single in categorical
        return _large_table(
            path, single, header, columns, task, split, options, as_texts=as_texts, scale=standardize
        )
    read = table.read_table(path, **options)
    columns = inputs_of(read.header)
    made_of = used.made_of(read, columns)
    found: table_targets.Targets | None = None
    if special:
        found = table_targets.read_targets(read, targets, task, separator)
        y, job, outputs = found.y, "regression", found.y.shape[1]
        classes = found.names if task == table_targets.LABELS else ()
    else:
        y, job, classes = _csv_target(read, single, task, as_texts=single in categorical)
        outputs = len(classes) if job == "classification" else 1
    weights = None if weight is None else used.weights(read)
    parts = split_of_file(
        path,
        len(y),
        np.array(classes)[y] if job == "classification" else None,
        lambda i: f"{read.unit} {read.lines[i]}",
        **split,
    )
    features, encoding = used.encoding(read, made_of, parts[0], impute)
    made = assemble(
        Path(path).stem,
        table.encode(read, features, **encoding),
        y,
        parts,
        input="vector",
        task=job,
        outputs=outputs,
        standardize=standardize,
        classes=classes,
        features=features,
        sources={str(path): sha256(path)},
    )
    kept: dict[str, Any] = {"target": single if len(targets) == 1 else targets}
    kept |= {} if id is None else {"id": id}
    kept |= {} if weight is None else {"weight": weight}
    kept |= {} if found is None else found.reading | {"outputs": list(found.names)}
    if found is not None and task in (table_targets.LABELS, table_targets.COUNTS):
        made = unscaled_targets(made, y, parts)
        if task == table_targets.COUNTS:
            kept["level"] = np.maximum(y[parts[0]].mean(axis=0), 1e-3).tolist()
    own = read_as(made, form="table", table=options, encoding=encoding, **kept)
    return own if weights is None else with_row_weights(own, mean_of_one(path, weights[parts[0]]))


def unscaled_targets(dataset: Dataset, y: np.ndarray, parts: Parts) -> Dataset:
    """The data set with its targets as they are, whatever is done to the inputs."""
    y = y.astype(np.float32)

    def own(part: Examples | None, rows: np.ndarray) -> Examples | None:
        return None if part is None else part._replace(y=y[rows])

    train, validation, test = map(own, (dataset.train, dataset.validation, dataset.test), parts)
    assert train is not None
    return replace(dataset, train=train, validation=validation, test=test, standardize_y=None)


def mean_of_one(path: str | Path, weights: np.ndarray) -> np.ndarray:
    """Weights of a training part divided by their mean, float32.

    Raises:
      ValueError: when all are 0.
    """
    if not weights.any():
        raise ValueError(f"{path}: weight: every row of the training part has the weight 0")
    return (weights / weights.mean()).astype(np.float32)


def _large_table(
    path: str | Path,
    target: str,
    header: list[str],
    columns: list[str],
    task: str,
    split: dict[str, Any],
    options: dict[str, Any],
    *,
    as_texts: bool,
    scale: bool,
) -> Dataset:
    """A Parquet file whose inputs stay on disk."""
    digest = sha256(path)
    read = table.of_parquet(path, [target], **options)
    table.check_names(read._replace(header=tuple(header)), columns)
    y, job, classes = _csv_target(read, target, task, as_texts=as_texts)
    labels = np.array(classes)[y] if job == "classification" else None
    kept = parquet.in_file(path, columns, digest)
    made = assemble_rows(
        Path(path).stem,
        in_file.Converted(kept, lambda rows: rows.astype(np.float64), np.float64),
        y,
        split_of_file(path, len(y), labels, lambda i: f"row {i}", **split),
        input="vector",
        task=job,
        outputs=len(classes) if job == "classification" else 1,
        standardize=scale,
        classes=classes,
        features=tuple(columns),
        sources={str(path): digest},
    )
    return read_as(made, form="table", target=target, table=options, encoding={})


def _csv_target(
    read: table.Table, target: str, task: str, *, as_texts: bool
) -> tuple[np.ndarray, Literal["classification", "regression"], tuple[str, ...]]:
    if task not in ("auto", "classification", "regression"):
        raise ValueError(f"task: got {task!r}, allowed are auto, classification, regression")
    cells = read.column(target)
    if read.header.count(target) > 1:
        raise ValueError(
            f"{read.path}: {read.heading}column {target!r} appears {read.header.count(target)} times"
        )
    if "" in cells:
        raise ValueError(
            f"{read.path}: {read.unit} {read.lines[cells.index('')]}: column {target!r} is empty, every row "
            "needs a target"
        )
    values = None
    if not as_texts and table.holds_numbers(read, target):
        values = table.numbers(read, target)
    if values is None and task == "regression":
        row = next((i for i, cell in enumerate(cells) if read.number(cell) is None), 0)
        raise ValueError(
            f"{read.path}: {read.unit} {read.lines[row]}: target {target!r} holds {cells[row]!r}, "
            "a number is needed"
        )
    if values is None:
        names = sorted(set(cells))
    else:
        whole = values == np.floor(values)
        if task == "regression" or (task == "auto" and not (whole.all() and len(set(values)) <= 20)):
            return values[:, None], "regression", ()
        if not whole.all() and len(set(values)) > 20:
            i = int(np.argmax(~whole))
            raise ValueError(
                f"{read.path}: {read.unit} {read.lines[i]}: label {cells[i]!r}, {len(set(values))} different "
                'numbers with decimals are no classes (task = "regression" takes any number)'
            )
        names = list(map(label, sorted(set(values.tolist()))))
        cells = list(map(label, values.tolist()))
    if len(names) < 2:
        raise ValueError(
            f"{read.path}: target {target!r} is {names[0]!r} in every row, two classes are needed"
        )
    index = {name: i for i, name in enumerate(names)}
    return np.array([index[cell] for cell in cells]), "classification", tuple(names)
