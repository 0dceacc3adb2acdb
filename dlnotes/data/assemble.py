"""From arrays and row numbers to a `Dataset`: the last step of every source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlnotes.data import standardize as standardizing
from dlnotes.data.dataset import Dataset, Examples, Forecast, InputKind, Task

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]


def take(x: Any, rows: np.ndarray) -> Any:
    """Rows of an array, or of every array of a NamedTuple."""
    if isinstance(x, tuple):
        return type(x)(*(take(leaf, rows) for leaf in x))  # pyright: ignore[reportCallIssue]
    return x[rows]


def assemble(
    name: str,
    x: Any,
    y: np.ndarray,
    parts: Parts,
    *,
    input: InputKind,
    task: Task,
    inputs: tuple[int, ...] | None = None,
    outputs: int,
    mask: np.ndarray | None = None,
    standardize: bool = False,
    classes: tuple[str, ...] = (),
    symbols: tuple[str, ...] = (),
    features: tuple[str, ...] = (),
    sources: dict[str, str] | None = None,
    references: dict[str, tuple[tuple[tuple[int, ...], ...], ...]] | None = None,
    records: dict[str, str] | None = None,
    forecast: Forecast | None = None,
    notation: str = "",
) -> Dataset:
    """Cuts, standardizes on the training part, and fixes the dtypes (float32, int32, bool).

    Args:
      x: raw inputs, an array or a NamedTuple of arrays, one row an example.
      y: raw targets; those of a regression are standardized too when ``standardize`` is true.
      parts: rows of the training, validation and test parts (see `split_indices`); an empty
        validation or test part becomes ``None``.
      standardize: whether float inputs (and regression targets) are standardized.

    The other arguments are fields of `Dataset`.
    """
    train = parts[0]
    floats = input in ("vector", "image", "volume", "sequence")
    scale = scale_y = None
    if floats:
        if standardize:
            scale = standardizing.fit(x[train], mask=None if mask is None else mask[train])
        x = standardizing.apply(scale, x, mask)
        inputs = tuple(x.shape[1:]) if inputs is None else inputs
    else:
        inputs = (len(symbols),) if inputs is None else inputs
    if task == "regression":
        if standardize:
            scale_y = standardizing.fit(y[train])
        y = standardizing.apply(scale_y, y)
    else:
        y = y.astype(np.int32)

    def part(rows: np.ndarray) -> Examples | None:
        if len(rows) == 0:
            return None
        return Examples(take(x, rows), y[rows], None if mask is None else mask[rows])

    first = part(train)
    if first is None:
        raise ValueError(f"{name}: the training part is empty")
    return Dataset(
        name=name,
        train=first,
        validation=part(parts[1]),
        test=part(parts[2]),
        input=input,
        task=task,
        inputs=inputs,
        outputs=outputs,
        classes=classes,
        symbols=symbols,
        standardize=scale,
        standardize_y=scale_y,
        features=features,
        sources=sources or {},
        references=references or {},
        records=records or {},
        forecast=forecast,
        notation=notation,
    )


def consecutive(*sizes: int) -> Parts:
    """Rows ``0..sizes[0]-1`` for training, the next ones for validation, the next for test."""
    edges = np.cumsum((0, *sizes))
    train, validation, test = (np.arange(edges[i], edges[i + 1]) for i in range(3))
    return train, validation, test


def pad(
    sequences: list[list[int]] | list[np.ndarray], length: int | None = None, value: int = 0
) -> np.ndarray:
    """``(n, length)`` int32, each row one sequence followed by ``value``."""
    length = max((len(s) for s in sequences), default=0) if length is None else length
    rows = np.full((len(sequences), length), value, np.int32)
    for row, sequence in zip(rows, sequences):
        row[: len(sequence)] = sequence
    return rows


def box_mask(sizes: Any, shape: tuple[int, ...]) -> np.ndarray:
    """``(n, *shape)`` booleans, True where every index is before the row's size along that axis.

    >>> box_mask([[1, 2]], (2, 3)).astype(int).tolist()
    [[[1, 1, 0], [0, 0, 0]]]
    """
    sizes = np.asarray(sizes)
    mask = np.ones((len(sizes), *shape), bool)
    for axis, length in enumerate(shape):
        line = length_mask(sizes[:, axis], length)
        mask &= line.reshape(len(sizes), *(length if a == axis else 1 for a in range(len(shape))))
    return mask


def pad_boxes(examples: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Arrays ``(*sizes, channels)`` of different sizes as one, zeros behind each, and its mask.

    Returns:
      ``(n, *largest sizes, channels)`` and ``(n, *largest sizes)`` booleans.
    """
    sizes = np.array([a.shape[:-1] for a in examples])
    shape = tuple(int(s) for s in sizes.max(axis=0))
    x = np.zeros((len(examples), *shape, examples[0].shape[-1]), examples[0].dtype)
    for row, a in zip(x, examples):
        row[tuple(slice(0, s) for s in a.shape)] = a
    return x, box_mask(sizes, shape)


def length_mask(lengths: Any, length: int) -> np.ndarray:
    """``(n, length)`` booleans, True at positions before each row's length."""
    return np.arange(length)[None, :] < np.asarray(lengths)[:, None]
