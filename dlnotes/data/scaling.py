"""Scaling inputs of numbers: by logarithms, each example by itself, by statistics of the training part.

The steps before the last one are kept in the data set's ``reading["scaling"]``: "log", the sizes c of the
channels or ``None``; "each"; "base", the scale that the readers of files give. The last step is
``dataset.standardize``, whose mean and scale are then a median and a distance, or a least number and a range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from dlnotes.data import standardize as standardizing
from dlnotes.data.dataset import Dataset, Examples, Standardize
from dlnotes.data.in_file import is_in_file
from dlnotes.data.levels import known_levels
from dlnotes.data.own_files import OwnDataset, read_as, reading_of

Each = Literal["no", "example", "channel"]
By = Literal["deviation", "quantiles", "range", "nothing"]

_ROWS = 4096
"""Examples that are scaled together."""


def scaled(
    dataset: Dataset,
    *,
    log: bool = False,
    each: Each = "no",
    by: By = "deviation",
    quantiles: tuple[float, float] = (0.25, 0.75),
    channels: Literal["own", "together"] = "own",
) -> Dataset:
    """The data set with inputs in another scale; one that has been scaled stays as it is.

    In this order, of the raw numbers: ``sign(x) log(1 + |x| / c)``, with c the median of ``|x|`` over a
    channel's numbers of the training part that are not 0; each example, or each channel of it, minus its own
    mean and divided by its own deviation; minus the training part's mean (median, least number), divided by
    its deviation (distance of quantiles, range). What is padded counts nowhere and stays 0. Where a distance
    of quantiles is 0 the deviation takes its place, and 1 where all numbers are equal.

    Args:
      dataset: with inputs of numbers.
      log, each: the first two steps.
      by: the last one.
      quantiles: shares, for ``by = "quantiles"``.
      channels: whether log and the last step have statistics of each channel (of each feature of a vector).

    Raises:
      ValueError: naming the option that does not fit the data.

    Example:
      >>> from dlnotes import data
      >>> iris = scaled(data.load("tabular", name="iris"), by="range")
      >>> float(iris.train.x.min()), float(iris.train.x.max())
      (0.0, 1.0)
    """
    if "scaling" in reading_of(dataset):
        return dataset
    _check(dataset, each)
    base = dataset.standardize
    train, mask = _raw(dataset.train, base), dataset.train.mask
    sizes = _sizes(train, mask, channels) if log else None
    steps = {"log": None if sizes is None else sizes.tolist(), "each": each, "base": _kept(base)}
    scale = _fitted(_stepped(train, mask, steps), mask, by, quantiles, channels)
    levels = known_levels(dataset)
    reading = dict(reading_of(dataset)) | ({} if levels is None else {"levels": levels}) | {"scaling": steps}

    def part(examples: Examples | None) -> Examples | None:
        if examples is None:
            return None
        return examples._replace(x=_moved(np.asarray(examples.x), examples.mask, steps, scale))

    parts: dict[str, Any] = {n: part(getattr(dataset, n)) for n in ("train", "validation", "test")}
    own = dataset if isinstance(dataset, OwnDataset) else read_as(dataset)
    return replace(own, **parts, standardize=scale, reading=reading)


def as_read(dataset: Dataset) -> Dataset:
    """The data set as readers of files must know it: with the scale of the readers."""
    steps = steps_of(dataset)
    return dataset if steps is None else replace(dataset, standardize=_base(steps))


def scaled_inputs(dataset: Dataset, x: Any, mask: np.ndarray | None) -> Any:
    """Inputs of a file, standardized as readers do it, in the scale of the data set."""
    steps = steps_of(dataset)
    return x if steps is None else _moved(np.asarray(x), mask, steps, dataset.standardize)


def steps_of(dataset: Dataset) -> Mapping[str, Any] | None:
    """The steps before the last one (see the module's docstring), ``None`` where nothing was scaled."""
    return reading_of(dataset).get("scaling")


def is_affine(dataset: Dataset) -> bool:
    """Whether raw inputs become those of the network by ``dataset.standardize`` alone."""
    steps = steps_of(dataset)
    return steps is None or (steps["log"] is None and steps["each"] == "no")


def raw_inputs(x: Any, dataset: Dataset) -> Any:
    """Inputs as they were before they were scaled, float64; those that are no numbers as they are.

    What an example's own mean and deviation were is not known: such inputs come back with mean 0 and
    deviation 1, which gives the network the same numbers.
    """
    scale, steps = dataset.standardize, steps_of(dataset)
    if scale is not None:
        x = np.asarray(x, np.float64) * scale.scale.astype(np.float64) + scale.mean.astype(np.float64)
    if steps is not None and steps["log"] is not None:
        x = np.sign(x) * np.array(steps["log"]) * np.expm1(np.abs(np.asarray(x, np.float64)))
    return x


def _check(dataset: Dataset, each: str) -> None:
    if dataset.input not in ("vector", "image", "volume", "sequence"):
        raise ValueError(
            f"scaling: is for inputs of numbers, those of {dataset.name} are {dataset.input} inputs"
        )
    if is_in_file(dataset.train):
        raise ValueError(
            f"scaling: the inputs of {dataset.name} stay in their file, allowed is data.standardize alone"
        )
    if each == "channel" and dataset.input == "vector":
        raise ValueError(
            f"scaling.each: got 'channel' for the vectors of {dataset.name}, which have none; allowed are "
            "'example', 'no'"
        )
    if each != "no" and dataset.forecast is not None:
        raise ValueError(
            f"scaling.each: got {each!r} for {dataset.name}, where what follows a window is forecast: its "
            "level would be lost; allowed is 'no'"
        )


def _kept(scale: Standardize | None) -> dict[str, Any] | None:
    if scale is None:
        return None
    return {"mean": scale.mean.tolist(), "scale": scale.scale.tolist(), "dtype": str(scale.mean.dtype)}


def _base(steps: Mapping[str, Any]) -> Standardize | None:
    base = steps["base"]
    return base and Standardize(*(np.array(base[part], base["dtype"]) for part in ("mean", "scale")))


def _raw(examples: Examples, base: Standardize | None) -> np.ndarray:
    x = np.asarray(examples.x, np.float64)
    return x if base is None else x * base.scale.astype(np.float64) + base.mean.astype(np.float64)


def _real(x: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """``(positions, channels)`` of an array, those that are not padded."""
    return (x if mask is None else x[np.asarray(mask)]).reshape(-1, x.shape[-1])


def _sizes(raw: np.ndarray, mask: np.ndarray | None, channels: str) -> np.ndarray:
    """The median size of each channel's numbers that are not 0; 1 where there is none."""
    values = np.abs(_real(raw, mask))
    columns = [values.ravel()] if channels == "together" else list(values.T)
    found = [float(np.median(column[column > 0])) if (column > 0).any() else 1.0 for column in columns]
    return np.broadcast_to(np.array(found), (raw.shape[-1],)).copy()


def _stepped(x: np.ndarray, mask: np.ndarray | None, steps: Mapping[str, Any]) -> np.ndarray:
    """Raw numbers after log and each."""
    if steps["log"] is not None:
        x = np.sign(x) * np.log1p(np.abs(x) / np.array(steps["log"]))
    if steps["each"] != "no":
        axes = tuple(range(1, x.ndim if steps["each"] == "example" else x.ndim - 1))
        where: Any = True if mask is None else np.asarray(mask)[..., None]
        mean = x.mean(axes, keepdims=True, where=where)
        scale = x.std(axes, keepdims=True, where=where)
        x = (x - mean) / np.where(scale <= EQUAL * np.abs(mean), 1.0, scale)
    return x


EQUAL = 1e-7
"""A deviation of so small a part of the mean is rounding: the numbers are equal."""


def _fitted(
    x: np.ndarray, mask: np.ndarray | None, by: str, quantiles: tuple[float, float], channels: str
) -> Standardize | None:
    if by == "nothing":
        return None
    values = _real(x, mask)
    width = values.shape[-1]
    values = values.reshape(-1, 1) if channels == "together" else values
    scale = standardizing.fit(values)
    if by == "quantiles":
        low, middle, high = np.quantile(values, (quantiles[0], 0.5, quantiles[1]), axis=0)
        scale = Standardize(middle, np.where(high > low, high - low, scale.scale))
    elif by == "range":
        low, high = values.min(axis=0), values.max(axis=0)
        scale = Standardize(low, np.where(high > low, high - low, 1.0))
    return Standardize(*(np.broadcast_to(a, (width,)).copy() for a in scale))


def _moved(
    x: np.ndarray, mask: np.ndarray | None, steps: Mapping[str, Any], scale: Standardize | None
) -> np.ndarray:
    """From the readers' scale to the data set's, some rows at a time, float32."""
    base, found = _base(steps), np.empty(x.shape, np.float32)
    for first in range(0, len(x), _ROWS):
        rows = slice(first, first + _ROWS)
        real = None if mask is None else np.asarray(mask[rows])
        raw = _raw(Examples(x[rows], None), base)
        found[rows] = standardizing.apply(scale, _stepped(raw, real, steps), real)
    return found
