"""A person's own arrays: ``.npz`` and ``.npy``.

Every loader refuses damaged or mislabeled files with the file and the row in the message, splits
(stratified by class for classification), standardizes with the training part's statistics, and
records the SHA-256 of what it read. Rows count from 0.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dlnotes.data import arrays
from dlnotes.data.assemble import assemble
from dlnotes.data.dataset import Dataset, InputKind, Task
from dlnotes.data.download import sha256
from dlnotes.data.in_file import assemble_rows
from dlnotes.data.levels import levels_of
from dlnotes.data.own_files import read_as
from dlnotes.data.split import split_of_file


def npz(
    path: str | Path,
    *,
    x: str = "x",
    y: str = "y",
    mask: str = "mask",
    lengths: str = "lengths",
    input: Literal["auto", "vector", "image", "volume", "sequence", "tokens"] = "auto",
    task: Literal["auto", "classification", "regression", "tokens", "pixels"] = "auto",
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    standardize: bool = True,
) -> Dataset:
    """Arrays of one ``.npz`` file.

    Args:
      path: the file.
      x: name of the inputs: ``(n, features)``, ``(n, time, features)``, ``(n, height, width, channels)``,
        ``(n, depth, height, width, channels)``, or ``(n, time)`` whole numbers with ``input = "tokens"``.
        Images and volumes of bytes are divided by 255.
      y: name of the targets: ``(n,)`` labels, numbers or texts, ``(n,)`` or ``(n, outputs)`` floats, or
        ``(n, time)`` whole numbers with -1 where there is no target (``task = "tokens"``), or ``(n, height,
        width)`` for the class of each pixel, likewise.
      mask: name of ``(n, time)`` booleans for sequences and tokens, ``(n, height, width)`` for images of
        several sizes, one axis more for volumes; may be absent.
      lengths: name of ``(n,)`` lengths, or ``(n, axes)`` sizes, instead of a mask; may be absent.
      input: kind of input; "auto" tells vector, sequence, image and volume by the number of axes.
      task: "auto" takes floats for regression, whole numbers with three axes for classes of pixels, and
        everything else for classification.
      validation: share or number of examples for validation.
      test: the same for the test part.
      seed: of the split.
      standardize: whether float inputs and regression targets are standardized.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: when it cannot be used; the message has the file and the row.
    """
    found = arrays.read_npz(path)
    for name in (x, y):
        if name not in found:
            raise ValueError(f"{path}: holds no array {name!r}, it has {', '.join(found) or 'none'}")
    inner = {name: found[name] for name in (mask, lengths) if name in found}
    return _from_arrays(
        Path(path).stem,
        path,
        path,
        found[x],
        found[y],
        reading={"x": x, "y": y, "mask": mask, "lengths": lengths},
        inner=inner,
        mask=mask,
        lengths=lengths,
        input=input,
        task=task,
        validation=validation,
        test=test,
        seed=seed,
        standardize=standardize,
        sources={str(path): sha256(path)},
    )


def npy(
    x_path: str | Path,
    y_path: str | Path,
    *,
    input: Literal["auto", "vector", "image", "volume", "sequence", "tokens"] = "auto",
    task: Literal["auto", "classification", "regression", "tokens", "pixels"] = "auto",
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    standardize: bool = True,
) -> Dataset:
    """Inputs and targets in two ``.npy`` files; the rest as for `npz`.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: when one cannot be used; the message has the file and the row.
    """
    found = arrays.read_npy(x_path), arrays.read_npy(y_path)
    with ThreadPoolExecutor(1) as pool:  # while the numbers are looked at
        digests = pool.map(sha256, (x_path, y_path))
        made = _from_arrays(
            Path(x_path).stem,
            x_path,
            y_path,
            *found,
            reading={},
            inner={},
            mask="mask",
            lengths="lengths",
            input=input,
            task=task,
            validation=validation,
            test=test,
            seed=seed,
            standardize=standardize,
            sources={},
        )
        return replace(made, sources=dict(zip(map(str, (x_path, y_path)), digests)))


def _from_arrays(
    name: str,
    x_path: str | Path,
    y_path: str | Path,
    x: np.ndarray,
    y: np.ndarray,
    *,
    reading: dict[str, Any],
    inner: dict[str, np.ndarray],
    mask: str,
    lengths: str,
    input: str,
    task: str,
    validation: float | int,
    test: float | int,
    seed: int,
    standardize: bool,
    sources: dict[str, str],
) -> Dataset:
    kind: InputKind = arrays.guess_input(x_path, x) if input == "auto" else input  # pyright: ignore[reportAssignmentType]
    if inner and kind == "vector":
        raise ValueError(f"{x_path}: {', '.join(inner)} makes sense for sequences and grids, x is {kind!r}")
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise ValueError(
            f"{y_path}: y has shape {y.shape}, x has {x.shape}: one target for each row is needed"
        )
    axes = {"image": 2, "volume": 3}.get(kind, 1)
    real = arrays.read_mask(x_path, inner, x, mask=mask, lengths=lengths, axes=axes)
    raw = x
    x = arrays.check_inputs(x_path, x, kind, real)
    if kind in ("image", "volume"):
        reading["levels"] = levels_of(raw.reshape(x.shape), real)
    y, job, outputs, classes = targets(y_path, y, task, x=x)
    symbols = tuple(str(i) for i in range(int(x.max()) + 1)) if kind == "tokens" else ()
    rows = split_of_file(
        y_path,
        len(x),
        np.array(classes)[y] if job == "classification" else None,
        lambda i: f"row {i}",
        validation=validation,
        test=test,
        seed=seed,
    )
    known: dict[str, Any] = {"input": kind, "task": job, "outputs": outputs, "classes": classes}
    known |= {"standardize": standardize, "sources": sources}
    if real is None and kind != "tokens":
        made = assemble_rows(name, x, y, rows, **known)
    else:
        made = assemble(name, x, y, rows, mask=real, symbols=symbols, **known)
    return read_as(made, form="arrays", **reading)


def targets(
    path: str | Path, y: np.ndarray, task: str, *, x: np.ndarray
) -> tuple[np.ndarray, Task, int, tuple[str, ...]]:
    """Checked targets, the task they are for, the number of outputs, and the class names.

    Raises:
      ValueError: naming file and row.
    """
    if task == "auto" and y.dtype.kind in "biu" and y.ndim == 3:
        task = "pixels"
    if task == "auto":
        task = "regression" if y.dtype.kind == "f" else "classification"
    if task == "classification":
        y, classes = arrays.class_labels(path, y)
        return y, "classification", len(classes), classes
    if task == "regression":
        if y.dtype.kind not in "biuf" or y.ndim not in (1, 2):
            raise ValueError(
                f"{path}: y has shape {y.shape} and type {y.dtype}, (n,) or (n, outputs) numbers are needed"
            )
        arrays.check_finite(path, "y", y)
        y = y.astype(np.float64).reshape(len(y), -1)
        arrays.check_size(path, "y", y)
        return y, "regression", y.shape[1], ()
    if task in ("tokens", "pixels"):
        axes, what = (2, "symbol") if task == "tokens" else (3, "class")
        if y.dtype.kind not in "biu" or x.ndim < axes or y.shape != x.shape[:axes]:
            raise ValueError(
                f"{path}: y has shape {y.shape} and type {y.dtype}, {x.shape[:axes]} whole numbers are needed"
            )
        if int(y.min()) < -1:
            row = int(np.argmax(y.reshape(len(y), -1).min(axis=1) < -1))
            raise ValueError(
                f"{path}: y: row {row} holds {y[row].min()}, allowed is a {what} from 0, and -1 for none"
            )
        arrays.check_count(path, "y", y, what)
        if int(y.max()) < 1:
            raise ValueError(f"{path}: y: the largest {what} is {y.max()}, two are needed")
        return y, task, int(y.max()) + 1, tuple(str(i) for i in range(int(y.max()) + 1))
    raise ValueError(f"task: got {task!r}, allowed are auto, classification, regression, tokens, pixels")
