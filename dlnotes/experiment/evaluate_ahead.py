"""A run's forecasts measured from every origin, for the command line and for Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dlnotes.config import ConfigError
from dlnotes.data.time_series.csv_series import series_form
from dlnotes.experiment.forecasts import good_seeds
from dlnotes.experiment.intervals import mean_interval
from dlnotes.experiment.predict import _opened
from dlnotes.experiment.result import Trained
from dlnotes.experiment.rolling_origin import PARTS, errors_ahead, roll
from dlnotes.formatting import metric_in_words, value_in_words


def rolling_origin(
    run: str | Path | Trained,
    *,
    split: str = "test",
    data_path: str | Path | None = None,
    point: Any = None,
) -> list[dict[str, Any]]:
    """The errors of a run's forecasts by how far ahead they look, from every origin of a part.

    The network is that of the run: it is not trained anew at each origin.

    Args:
      run: its folder, or what `open_run` returned.
      split: "train", "validation" or "test".
      data_path: take every origin of this table instead.
      point: of a sweep, as of `dlnotes.experiment.evaluate_run`.

    Returns:
      A record for each target and distance: "target", "ahead", "origins", and ``{"mean", "low", "high",
      "values"}`` over the seeds that did not fail of what `errors_ahead` says.

    Raises:
      ConfigError: when the run does not forecast a table, or its file is gone or another one.
    """
    trained = _opened(run, point)
    name, dataset = str(trained.folder.path), trained.dataset
    if series_form(dataset) is None:
        raise ConfigError(name, [f"rolling: is for data.kind 'csv_series', got {trained.config.data.kind!r}"])
    if split not in PARTS:
        raise ConfigError(name, [f"split: got {split!r}, allowed are {', '.join(PARTS)}"])
    if data_path is None and dataset.missing:
        raise ConfigError(
            name, [f"rolling: the examples of {dataset.name} are not at hand, {dataset.missing}"]
        )
    path = next(iter(dataset.sources)) if data_path is None else data_path
    try:
        members = good_seeds(trained)
        part = split if data_path is None else None
        rolled = roll(trained.evaluator, members, path, split=part, config=trained.config)
        records = errors_ahead(rolled, trained.config.training.quantiles)
    except (ValueError, OSError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(str(path), [str(error)]) from None
    plain = ("target", "ahead", "origins")
    return [{k: v if k in plain else mean_interval(v) for k, v in one.items()} for one in records]


def told_ahead(records: list[dict[str, Any]]) -> list[str]:
    """`rolling_origin` as lines of a table, means over seeds."""
    names = [k for k in records[0] if k not in ("target", "ahead", "origins")]
    wide = max(len("target"), *(len(r["target"]) for r in records))
    heads = [metric_in_words(name) for name in names]
    lines = [f"{'target':<{wide}}  ahead  origins  " + "  ".join(heads)]
    for r in records:
        cells = [f"{value_in_words(name, r[name]['mean']):>{len(head)}}" for name, head in zip(names, heads)]
        lines.append(f"{r['target']:<{wide}}  {r['ahead']:>5}  {r['origins']:>7}  " + "  ".join(cells))
    return lines
