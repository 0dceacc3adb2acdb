"""A person's own pictures in a table: a column of paths, and columns of labels or numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from dlnotes.data import csv_table as table
from dlnotes.data.dataset import Dataset
from dlnotes.data.download import sha256
from dlnotes.data.given_parts import part_named, say_shared, split_by_parts
from dlnotes.data.images.picture_set import Size, assemble_pictures, check_size
from dlnotes.data.levels import PICTURES
from dlnotes.data.own_files import OwnDataset, read_as, reading_of
from dlnotes.data.tables import _csv_target

TABLES = (".csv", ".tsv", ".txt", ".parquet", ".pq")
"""Endings of files that are taken for tables of paths where pictures are read."""

_SHOWN = 3
"""Paths without a file that a message lists."""


def image_table(
    path: str | Path,
    *,
    image: str,
    target: str | Sequence[str],
    image_dir: str | Path | None = None,
    ending: str = "",
    task: Literal["auto", "classification", "regression"] = "auto",
    split_column: str | None = None,
    size: Size = (32, 32),
    max_size: int = 256,
    channels: Literal[1, 3] = 3,
    delimiter: str = ",",
    decimal: Literal[".", ","] = ".",
    thousands: str = "",
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    standardize: bool = True,
) -> Dataset:
    """A table with a row for each picture: its path, and what is to be predicted.

    Columns that are not named are left out.

    Args:
      path: of a CSV or Parquet file.
      image: the column of paths.
      target: the column of labels or of numbers, or several columns of numbers.
      image_dir: the folder that paths start from; by default the table's.
      ending: of the files, where the column holds their names without it (".jpg").
      task: "auto" takes texts, and up to 20 different whole numbers, for classes, other numbers and several
        columns for regression.
      split_column: the column that holds "train", "validation" or "test" in each row; a part that no row
        names is drawn from the training rows. Without it all rows are divided at random.
      size, max_size, channels: as of `dlnotes.data.image_folder`.
      delimiter, decimal, thousands: as of `dlnotes.data.csv`.
      validation, test, seed: as there.
      standardize: whether each channel, and numbers to predict, are standardized.

    Raises:
      FileNotFoundError: when there is no such table.
      ValueError: naming table and line, when a picture is not there or twice, or a target cannot be used;
        naming the file, when it is no readable image.
    """
    options = {"delimiter": delimiter, "decimal": decimal, "thousands": thousands}
    targets = (target,) if isinstance(target, str) else tuple(target)
    found = _listed(path, image, targets, split_column, image_dir, ending, options)
    y, job, classes = _targets(found.read, targets, task)
    made = _assembled(
        found,
        y,
        np.array(classes)[y] if job == "classification" else None,
        size=size,
        max_size=max_size,
        channels=channels,
        split={"validation": validation, "test": test, "seed": seed},
        task=job,
        outputs=len(classes) if job == "classification" else y.shape[1],
        classes=classes,
        standardize=standardize,
    )
    return _read_like_it(made, found, image, targets, ending, options, max_size)


class _Listed(NamedTuple):
    """A table of pictures: the table, their files, their parts where a column says so."""

    read: table.Table
    files: list[Path]
    parts: list[str] | None
    root: str


def _listed(
    path: str | Path,
    image: str,
    targets: Sequence[str],
    split_column: str | None,
    image_dir: str | Path | None,
    ending: str,
    options: Mapping[str, Any],
) -> _Listed:
    read = table.read_table(path, **options)
    if not targets:
        raise ValueError("target: got no column, one or several are needed")
    named = [("image", image), *(("target", name) for name in targets)]
    named += [] if split_column is None else [("split_column", split_column)]
    for option, name in named:
        if name not in read.header:
            raise ValueError(f"{option}: got {name!r}, the columns of {path} are {', '.join(read.header)}")
        if read.header.count(name) > 1:
            times = read.header.count(name)
            raise ValueError(f"{path}: {read.heading}column {name!r} appears {times} times")
    for option, name in named[1:]:
        if name == image:
            raise ValueError(f"{option}: got {name!r}, which is the column of paths")
    if len(set(targets)) < len(targets):
        raise ValueError(f"target: got {', '.join(targets)}, each column can be there once")
    folder = Path(path).parent if image_dir is None else Path(image_dir)
    if not folder.is_dir():
        raise ValueError(f"image_dir: got {str(image_dir)!r}, there is no such folder")
    files = picture_files(read, image, [folder], ending)
    _refuse_repeated(read, image, files)
    parts = None if split_column is None else _parts(read, split_column)
    return _Listed(read, files, parts, _inside(folder, Path(path).parent))


def _inside(folder: Path, of: Path) -> str:
    """A folder's path in another one, "" where it is not in it."""
    inner, outer = folder.resolve(), of.resolve()
    return inner.relative_to(outer).as_posix() if inner.is_relative_to(outer) and inner != outer else ""


def picture_files(read: table.Table, image: str, folders: Sequence[Path], ending: str = "") -> list[Path]:
    """The file of each row of a table: the first that is there, looked for in some folders.

    Args:
      read: the table.
      image: its column of paths; a path with backslashes is taken as Windows means it.
      folders: that paths start from.
      ending: of the files, where the column leaves it out.

    Raises:
      ValueError: with the lines, when a cell is empty or a web address, or its file is not there.
    """
    files, missing = [], []
    for line, cell in zip(read.lines, read.column(image)):
        where = f"{read.path}: {read.unit} {line}: column {image!r}"
        if not cell:
            raise ValueError(f"{where} is empty, every row needs a picture")
        if "://" in cell:
            raise ValueError(f"{where} holds {cell!r}, files on this machine are read: download it first")
        names = [f"{cell}{ending}"]
        names += [names[0].replace("\\", "/")] if "\\" in cell else []
        places = [folder / name for folder in folders for name in names]
        file = next((place for place in places if place.exists()), None)
        if file is None:
            missing.append((line, cell))
        elif file.is_dir():
            raise ValueError(f"{where} holds {cell!r}, which is a folder, an image is needed")
        else:
            files.append(file)
    if missing:
        shown = ", ".join(f"{read.unit} {line} {cell!r}" for line, cell in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise ValueError(
            f"{read.path}: column {image!r}: no such file in {folders[0]}: {shown}{more}"
            + _why_missing(missing[0][1], folders[0], ending)
        )
    return files


def _why_missing(cell: str, folder: Path, ending: str) -> str:
    """What may be meant by a path that is not there: a name without its ending, or a file in a folder."""
    if not ending and not Path(cell).suffix:
        beside = sorted(p.suffix for p in (folder / cell).parent.glob(f"{Path(cell).name}.*") if p.suffix)
        if beside:
            return f' (ending = "{beside[0]}" in [data] adds it)'
    for inner in sorted(p for p in folder.iterdir() if p.is_dir()):
        if (inner / f"{cell}{ending}").exists():
            return f' (image_dir = "{inner}" in [data] is where paths start)'
    return ""


def _refuse_repeated(read: table.Table, image: str, files: Sequence[Path]) -> None:
    first: dict[Path, int] = {}
    for i, file in enumerate(files):
        if file in first:
            raise ValueError(
                f"{read.path}: {read.unit} {read.lines[i]}: column {image!r} holds "
                f"{read.column(image)[i]!r}, which is in {read.unit} {read.lines[first[file]]} too: the same "
                "picture would be in the training and the test part"
            )
        first[file] = i


def _parts(read: table.Table, column: str) -> list[str]:
    found = []
    for line, cell in zip(read.lines, read.column(column)):
        part = part_named(cell)
        if part is None:
            raise ValueError(
                f"{read.path}: {read.unit} {line}: column {column!r} holds {cell!r}, allowed are train, "
                "validation, test"
            )
        found.append(part)
    return found


def _targets(
    read: table.Table, targets: Sequence[str], task: str
) -> tuple[np.ndarray, Literal["classification", "regression"], tuple[str, ...]]:
    """Labels of one column, or ``(n, columns)`` numbers of one or several."""
    if len(targets) == 1:
        return _csv_target(read, targets[0], task, as_texts=False)
    if task == "classification" or not all(table.holds_numbers(read, name) for name in targets):
        tasks = ", ".join(f'[tasks.{name}] target = "{name}"' for name in targets[:2])
        raise ValueError(
            f"target: got {', '.join(targets)}, several columns are columns of numbers; a task for each "
            f"column takes labels too: {tasks} …, with one of them as target of [data]"
        )
    return np.stack([table.numbers(read, name) for name in targets], axis=1), "regression", ()


def _assembled(
    found: _Listed,
    y: np.ndarray,
    labels: np.ndarray | None,
    *,
    size: Size,
    max_size: int,
    channels: int,
    split: Mapping[str, Any],
    **known: Any,
) -> Dataset:
    check_size(size, max_size)
    path = found.read.path
    rows = split_by_parts(
        path,
        len(found.files),
        found.parts,
        labels,
        lambda i: f"{found.read.unit} {found.read.lines[i]}",
        **split,
    )
    digests = {str(file): sha256(file) for file in found.files}
    if found.parts is not None:
        say_shared(found.files, digests, found.parts)
    return assemble_pictures(
        path.stem,
        found.files,
        y,
        rows,
        size=size,
        max_size=max_size,
        channels=channels,
        sources={str(path): sha256(path)} | digests,
        **known,
    )


def _read_like_it(
    made: Dataset,
    found: _Listed,
    image: str,
    targets: Sequence[str],
    ending: str,
    options: Mapping[str, Any],
    max_size: int,
) -> OwnDataset:
    column = {"image": image, "root": found.root, "ending": ending, "targets": list(targets)}
    return read_as(
        made, form="images", max_size=max_size, levels=PICTURES, column=column, table=dict(options)
    )


def is_picture_table(path: Path, dataset: Dataset) -> bool:
    """Whether a file is a table of pictures like the one that a data set was read from."""
    return "column" in reading_of(dataset) and path.is_file() and path.suffix.lower() in TABLES


class Rows(NamedTuple):
    """Pictures of a new table.

    Attributes:
      read: the table.
      files: of each row.
      names: what each row is called, the path in the table.
    """

    read: table.Table
    files: list[Path]
    names: tuple[str, ...]


def new_rows(path: str | Path, dataset: Dataset) -> Rows:
    """The pictures of a new table, whose paths start from its folder, or where in it those of training did.

    Raises:
      ValueError: naming table and line, as of `picture_files`.
    """
    reading = reading_of(dataset)
    column = reading["column"]
    read = table.read_table(path, **reading.get("table", {}))
    image, folder = column["image"], Path(path).parent
    if image not in read.header:
        raise ValueError(f"{path}: column {image!r} is missing, it has {', '.join(read.header)}")
    folders = [folder / column["root"], folder] if column["root"] else [folder]
    return Rows(read, picture_files(read, image, folders, column["ending"]), tuple(read.column(image)))


def new_targets(rows: Rows, dataset: Dataset) -> np.ndarray | list[str]:
    """Targets of a new table: names of classes, or ``(n, outputs)`` numbers in the target's own units.

    Raises:
      ValueError: naming table and line, when a column is missing or a cell cannot be used.
    """
    read, targets = rows.read, reading_of(dataset)["column"]["targets"]
    for name in targets:
        if name not in read.header:
            raise ValueError(
                f"{read.path}: column {name!r} is missing, which holds the targets; it has "
                f"{', '.join(read.header)}"
            )
    if dataset.task == "regression":
        return np.stack([table.numbers(read, name) for name in targets], axis=1)
    return [_class_name(cell, read, dataset) for cell in read.column(targets[0])]


def _class_name(cell: str, read: table.Table, dataset: Dataset) -> str:
    """A label as the classes write it: "3.0" is the class "3" where numbers were labels."""
    value = read.number(cell)
    whole = cell not in dataset.classes and value is not None and np.isfinite(value) and value == int(value)
    return str(int(value)) if whole and value is not None else cell
