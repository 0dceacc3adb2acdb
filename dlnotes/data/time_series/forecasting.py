"""A time series as examples: windows of the past, and the values some steps after each."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from dlnotes.data.assemble import assemble, consecutive
from dlnotes.data.dataset import Dataset, Forecast
from dlnotes.data.split import part_sizes


def windows_of(series: np.ndarray, window: int) -> np.ndarray:
    """``(n, window, columns)``: all windows of a ``(time, columns)`` series, the last one ends it.

    >>> windows_of(np.arange(4)[:, None], 3)[..., 0].tolist()
    [[0, 1, 2], [1, 2, 3]]
    """
    return np.moveaxis(sliding_window_view(series, window, axis=0), -1, 1)


def forecast(
    name: str,
    series: np.ndarray,
    *,
    features: tuple[str, ...],
    targets: tuple[str, ...],
    window: int,
    horizon: int,
    validation: float | int,
    test: float | int,
    standardize: bool,
    sources: dict[str, str] | None = None,
) -> Dataset:
    """Windows ``x_{t−window+1} … x_t`` of a series, with the target columns of ``x_{t+horizon}``.

    The series is cut in the order of time, training first, then validation, then test. Every value to be
    forecast is of one part only, and no window of a part begins before the last value that the part before
    it forecasts, so nothing that is tested has been trained on, and no training window has seen what is
    tested. With ``standardize``, mean and deviation are those of the training part.

    Args:
      name: of the data set.
      series: ``(time, columns)`` finite numbers.
      features: names of the columns.
      targets: names of those that are forecast.
      window: steps that are seen, at least 1.
      horizon: how many steps after the last one seen, at least 1.
      validation: share or number of the examples for validation.
      test: the same for the test part.
      standardize: whether inputs and targets are standardized.
      sources: see `Dataset`.

    Raises:
      ValueError: when an option is out of range or the series is too short.
    """
    if window < 1:
        raise ValueError(f"window: got {window}, allowed is at least 1 step")
    if horizon < 1:
        raise ValueError(f"horizon: got {horizon}, allowed is at least 1 step ahead")
    unknown = [target for target in targets if target not in features]
    if unknown:
        raise ValueError(f"target: got {unknown[0]!r}, allowed are {', '.join(features)}")
    reach = window + horizon - 1  # steps from a window's first value to the one that is forecast
    blocks = 1 + (validation != 0) + (test != 0)
    examples = len(series) - blocks * reach
    if examples < blocks:
        raise ValueError(
            f"{name}: {len(series)} steps are too few for windows of {window}, {horizon} steps ahead, in "
            f"each of {blocks} parts"
        )
    try:
        sizes = part_sizes(examples, validation=validation, test=test)
    except ValueError as error:
        raise ValueError(f"{name}: of {examples} examples: {error}") from None
    columns = [features.index(target) for target in targets]
    x, y, first = [], [], 0
    for size in sizes:
        if size == 0:
            continue
        block = series[first : first + size + reach]
        x.append(windows_of(block[: len(block) - horizon], window))
        y.append(block[reach:, columns])
        first += len(block)
    return assemble(
        name,
        np.concatenate(x),
        np.concatenate(y),
        consecutive(*sizes),
        input="sequence",
        task="regression",
        outputs=len(targets),
        standardize=standardize,
        features=features,
        sources=sources,
        forecast=Forecast(targets, horizon),
    )
