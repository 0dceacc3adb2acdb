"""Windows of one series or several, and what follows them: the examples of a forecaster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dlnotes.data.split import part_sizes
from dlnotes.data.time_series.forecasting import windows_of
from dlnotes.data.time_series.series_table import MOST_NAMED, SeriesForm, SeriesRows


class Windows(NamedTuple):
    """Windows in the order of their series and rows.

    Attributes:
      x: ``(n, window, features)`` float64.
      y: ``(n, horizons · targets)`` float64, the targets of the first horizon first; NaN where the file does
        not say them.
      base: ``(n, columns)`` float64, what inputs and targets are distances from: the window's last row, or 0.
      which: ``(n,)`` number of each window's series.
      last: ``(n,)`` number of its last row in its series.
    """

    x: np.ndarray
    y: np.ndarray
    base: np.ndarray
    which: np.ndarray
    last: np.ndarray


def output_names(form: SeriesForm) -> tuple[str, ...]:
    """Names of the numbers that are forecast, "load" or of several horizons "load+1", "load+2".

    >>> output_names(SeriesForm(("load",), ("load",), horizons=(1, 2)))
    ('load+1', 'load+2')
    """
    if len(form.horizons) == 1:
        return form.targets
    return tuple(f"{name}+{h}" for h in form.horizons for name in form.targets)


def all_windows(series: Sequence[SeriesRows], form: SeriesForm, window: int) -> Windows:
    """Every window that lies within a series and its parts, with what is known of its later rows.

    Those at the end of a series have no targets: they forecast.
    """
    found = [_windows(one, i, form, window) for i, one in enumerate(series)]
    if not found:
        return _none(form, window)
    return Windows(*(np.concatenate(a) for a in zip(*found)))


def _none(form: SeriesForm, window: int) -> Windows:
    outputs = len(form.horizons) * len(form.targets)
    none = np.zeros(0, np.int64)
    base = np.zeros((0, len(form.columns)))
    return Windows(np.zeros((0, window, len(form.features))), np.zeros((0, outputs)), base, none, none)


def _windows(one: SeriesRows, number: int, form: SeriesForm, window: int) -> Windows:
    n = len(one.values)
    told = one.told
    # The last window ends where what is known of its later rows ends.
    n_last = min(n, len(told) - form.horizons[-1]) if told.shape[1] else n
    if n_last < window:
        return _none(form, window)
    channels = [one.values[:n_last]]
    if told.shape[1]:
        channels += [told[h : h + n_last] for h in form.horizons]
    if form.names:
        mine = np.array([name == one.name for name in form.names], np.float64)
        channels.append(np.broadcast_to(mine, (n_last, len(mine))))
    last = np.arange(window - 1, n_last)
    whole = one.part[last - window + 1] == one.part[last]
    y = np.full((len(last), len(form.horizons), len(form.targets)), np.nan)
    columns = [form.columns.index(name) for name in form.targets]
    values = np.where(one.observed, one.values, np.nan)[:, columns]
    for j, h in enumerate(form.horizons):
        there = last + h < n
        rows = np.minimum(last + h, n - 1)
        there &= one.part[rows] == one.part[last]
        y[there, j] = values[rows[there]]
    x = windows_of(np.concatenate(channels, axis=1), window)
    x, y, base = x[whole], y[whole], np.zeros((int(whole.sum()), len(form.columns)))
    if form.relative:
        base = one.values[last[whole]]
        x, y = relative_to(x, base), y - base[:, None, columns]
    return Windows(
        x,
        y.reshape(len(y), len(form.horizons) * len(form.targets)),
        base,
        np.full(len(x), number),
        last[whole],
    )


def relative_to(x: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Windows whose first features are distances from a row ``(n, columns)``; the others stay."""
    x, seen = x.copy(), base.shape[1]
    x[..., :seen] -= base[:, None]
    return x


def split_windows(
    name: str,
    windows: Windows,
    series: Sequence[SeriesRows],
    form: SeriesForm,
    window: int,
    *,
    validation: float | int,
    test: float | int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which windows are examples for training, validation and test.

    Each series is cut in the order of its rows, as `dlnotes.data.time_series.forecasting.forecast` does:
    every row that is forecast is of one part only, and no window of a part begins before the last row that
    the part before it forecasts. Windows without all of their targets are of none.

    Args:
      name: for messages.
      windows: of `all_windows`.
      series: likewise.
      form: likewise.
      window: rows seen.
      validation: share or number of each series' examples.
      test: the same.

    Raises:
      ValueError: naming the series that are too short, or a part that is empty.
    """
    reach, blocks = window + form.horizons[-1] - 1, 1 + (validation != 0) + (test != 0)
    short = [one for one in series if len(one.values) - blocks * reach < blocks]
    if short:
        lengths = ", ".join(f"{one.name!r} has {len(one.values)}" for one in short[:MOST_NAMED])
        more = f" and {len(short) - MOST_NAMED} more" if len(short) > MOST_NAMED else ""
        what = f"{lengths}{more}: these" if form.series else f"{len(short[0].values)}"
        raise ValueError(
            f"{name}: {what} steps are too few for windows of {window}, {form.horizons[-1]} "
            f"step{'s' if form.horizons[-1] > 1 else ''} ahead, in each of {blocks} parts: at least "
            f"{blocks * (reach + 1)} are needed"
        )
    usable = np.isfinite(windows.y).all(axis=1)
    parts: list[list[np.ndarray]] = [[], [], []]
    for i, one in enumerate(series):
        n = len(one.values)
        try:
            sizes = part_sizes(n - blocks * reach, validation=validation, test=test)
        except ValueError as error:
            of = f" of series {one.name!r}" if form.series else ""
            raise ValueError(f"{name}: of {n - blocks * reach} examples{of}: {error}") from None
        first = 0
        mine = usable & (windows.which == i)
        for part, size in zip(parts, sizes):
            if size:
                end = first + size + reach
                begins = windows.last - window + 1
                inside = (begins >= first) & (windows.last + form.horizons[-1] < end)
                part.append(np.flatnonzero(mine & inside))
                first = end
    found = [np.concatenate(p) if p else np.zeros(0, np.int64) for p in parts]
    for part, rows, wanted in zip(("training", "validation", "test"), found, (1, validation, test)):
        if wanted and not rows.size:
            raise ValueError(
                f"{name}: the {part} part has no window of {window} rows without a gap and with its targets"
            )
    return found[0], found[1], found[2]
