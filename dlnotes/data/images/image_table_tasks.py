"""A table of pictures with several columns to predict at once, of labels or numbers, cells may be empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from dlnotes.data.dataset import Examples
from dlnotes.data.images.image_table import _assembled, _listed, _read_like_it
from dlnotes.data.images.picture_set import Size
from dlnotes.data.task_table import _column, _standardized, _strata
from dlnotes.data.tasks import INPUTS, TaskDataset, Wanted, keep_targets, with_targets
from dlnotes.outputs.targets import Targets


def image_table_tasks(
    path: str | Path,
    wanted: Mapping[str, Wanted],
    *,
    image: str,
    target: str | Sequence[str],
    image_dir: str | Path | None = None,
    ending: str = "",
    task: str = "auto",
    split_column: str | None = None,
    size: Size = (32, 32),
    max_size: int = 256,
    channels: Literal[1, 3] = 3,
    delimiter: str = ",",
    decimal: str = ".",
    thousands: str = "",
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    standardize: bool = True,
) -> TaskDataset:
    """A table of pictures with a target for each task, of labels or numbers; empty cells are no targets.

    Args:
      path: of a CSV or Parquet file.
      wanted: of each task, by name; its column is ``target`` where it names none.
      image, image_dir, ending, task, split_column, size, max_size, channels, delimiter, decimal, thousands,
        validation, test, seed, standardize: as of `image_table`.
      target: one column, by which the split is stratified where it holds classes.

    Raises:
      FileNotFoundError, ValueError: as `image_table`; the message has the task, or the table and the line.
    """
    if not isinstance(target, str):
        raise ValueError(
            f"target: got {', '.join(target)} with [tasks], allowed is one column; each task names its own"
        )
    options = {"delimiter": delimiter, "decimal": decimal, "thousands": thousands}
    of = {n: target if w.target is None else w.target for n, w in wanted.items() if w.target != INPUTS}
    columns = tuple(dict.fromkeys((target, *of.values())))
    found = _listed(path, image, columns, split_column, image_dir, ending, options)
    targets = {
        n: _column(found.read, column, task if wanted[n].target is None else wanted[n].kind, ())
        for n, column in of.items()
    }
    main = next((targets[n] for n, w in wanted.items() if w.target is None), None)
    main = _column(found.read, target, task, ()) if main is None else main
    whole = _assembled(
        found,
        np.arange(len(found.files)),
        _strata(main[0]).astype(str) if main[1] == "classification" else None,
        size=size,
        max_size=max_size,
        channels=channels,
        split={"validation": validation, "test": test, "seed": seed},
        task="classification",
        outputs=2,
        standardize=standardize,
    )

    def rows_of(part: Examples | None) -> np.ndarray:
        return np.zeros(0, int) if part is None else np.asarray(part.y)

    parts = (rows_of(whole.train), rows_of(whole.validation), rows_of(whole.test))
    facts, arrays = _standardized(path, wanted, of, targets, parts, int(np.prod(whole.inputs)), standardize)
    made = _read_like_it(whole, found, image, columns, ending, options, max_size)

    def own(part: Examples | None) -> Examples | None:
        if part is None:
            return None
        rows = part.y
        return part._replace(
            y=Targets({n: np.zeros(len(rows), np.int32) if a is None else a[rows] for n, a in arrays.items()})
        )

    classes = main[2]
    several = with_targets(
        made,
        facts,
        train=own(made.train),
        validation=own(made.validation),
        test=own(made.test),
        task=main[1],
        outputs=len(classes) if main[1] == "classification" else 1,
        classes=classes,
    )
    return keep_targets(several, wanted, seed=seed)
