"""A run beside boring methods: the same training part, the same examples, the same metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np

from dlnotes.analysis.baselines import QUICK, WHOLE, Answered, Effort, answers, baselines_of
from dlnotes.analysis.baselines.baseline import LEAST, drawn_rows, rows_of
from dlnotes.config import Config, ConfigError
from dlnotes.data.dataset import Dataset, Examples
from dlnotes.data.own_files import reading_of
from dlnotes.data.tasks import TaskDataset, labeled
from dlnotes.experiment.decoding import answers_of, references_of
from dlnotes.experiment.evaluate import _examples, evaluate_run
from dlnotes.experiment.final_metrics import label_quality, regression_quality
from dlnotes.experiment.fine_tuning import with_labels
from dlnotes.experiment.members import PointName
from dlnotes.experiment.objective import loss_name, loss_of, metrics_of
from dlnotes.experiment.predict import _opened
from dlnotes.experiment.result import Trained
from dlnotes.experiment.summary import best_point, better, headline
from dlnotes.experiment.tasks import view
from dlnotes.outputs.edit_distance import error_rates

MEASURED = Effort(20_000_000, 50_000, math.inf)
"""Of the examples that baselines answer: of more some are drawn."""

_COMPARED = ("cross_entropy", "squared_error", "absolute_error")
"""Losses that a baseline's answers have too."""


def wanted(config: Config) -> bool:
    """Whether a run is compared with baselines when it has ended."""
    asked = config.output.baselines
    return asked == "yes" or (asked == "auto" and config.output.figures)


def beside(config: Config, dataset: Dataset, points: list[dict[str, Any]]) -> dict[str, Any]:
    """The record of a finished run's baselines; what cannot be computed is said in it, and nothing raises.

    Args:
      config: of the run.
      dataset: that it was trained on.
      points: the records of summary.json, of which the best is compared.

    Returns:
      See `compare`.
    """
    try:
        position = best_point(points)
        found = None if position is None else headline(points[position])
        if position is None or found is None:
            return {"baselines": [], "why": "no seed has a result to compare them with"}
        split = found[0]
        return compare(config, dataset, split, dataset.split(split), points[position]["metrics"][split])
    except KeyboardInterrupt:
        return {"baselines": [], "why": "interrupted"}
    except Exception as error:
        return {"baselines": [], "why": f"{type(error).__name__}: {error}"}


def evaluate_baselines(
    run: str | Path | Trained,
    *,
    split: str = "test",
    data_path: str | Path | None = None,
    point: PointName = None,
    measured: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Boring methods fitted on a run's training part, measured as it is, and which of them it is ahead of.

    Args:
      run: its folder, or what `open_run` returned.
      split: "train", "validation" or "test".
      data_path: measure on this file or folder instead.
      point: of a sweep, see `evaluate_run`.
      measured: what `evaluate_run` gave; by default it is asked.

    Returns:
      See `compare`.

    Raises:
      ConfigError: as `evaluate_run`, or when the training examples are not at hand.

    Example:
      ``evaluate_baselines("runs/own_data/…")["ahead"]``
    """
    trained = _opened(run, point)
    if measured is None:
        measured = evaluate_run(trained, split=split, data_path=data_path)
    try:
        dataset = trained.dataset
        dataset.split("train")
        examples = dataset.split(split) if data_path is None else _examples(trained, data_path)
    except (ValueError, OSError) as error:
        raise ConfigError(str(data_path or trained.folder.path), [str(error)]) from None
    where = split if data_path is None else Path(data_path).name
    known = split if data_path is None else None
    return compare(trained.config, dataset, where, examples, measured, effort=WHOLE, known=known)


def compare(
    config: Config,
    dataset: Dataset,
    where: str,
    examples: Examples,
    measured: Mapping[str, Mapping[str, Any]],
    *,
    effort: Effort = QUICK,
    known: str | None = "",
) -> dict[str, Any]:
    """Baselines beside the metrics of a network.

    Args:
      config: of the run.
      dataset: of the run.
      where: name of the examples.
      examples: that are answered.
      measured: the network's metrics of them, each with its "mean".
      effort: that is allowed.
      known: the split that the examples are, whose further right answers count; ``None`` for a file.

    Returns:
      "split" (``where``), "metric" (what they are compared by), "net" (its mean), "baselines" (of each
      "name", "about", "metrics", "seconds", or "why" it was not computed), "best" (its name), "ahead"
      (whether the network is better than all of them, ``None`` where nothing can be compared), "fitted_on"
      and "training_examples", "measured_on" and "examples".
    """
    known = where if known == "" else known
    dataset = with_labels(config, dataset)
    rows: dict[str, dict[str, Any]] = {}
    counts: dict[str, int] = {}
    for prefix, own, view_of, part in _alone(config, dataset, examples):
        chosen = drawn_rows(part, _measured(dataset, effort), config.seed)
        used = part if chosen is None else rows_of(part, chosen)
        given, fitted_on = answers(
            baselines_of(view_of, code=_code(own)), view_of, used, effort=effort, seed=config.seed
        )
        counts = counts or {
            "fitted_on": fitted_on,
            "training_examples": view_of.train.size,
            "measured_on": used.size,
            "examples": part.size,
        }
        right = None
        if dataset.input == "pair":
            right = answers_of(part) if known is None else references_of(dataset, known)
            right = right if chosen is None else tuple(right[i] for i in chosen)
        for each in given:
            row = rows.setdefault(
                each.name, {"name": each.name, "about": each.about, "metrics": {}, "seconds": 0.0}
            )
            row["seconds"] += each.seconds
            if each.outputs is None:
                row["why"] = each.why
                continue
            try:
                found = _measure(own, view_of, used, each, right)
            except Exception as error:  # as of fitting: the others go on
                row["why"] = f"{type(error).__name__}: {error}"
                continue
            row["metrics"] |= {f"{prefix}{name}": value for name, value in found.items()}
    record: dict[str, Any] = {"split": where, "baselines": list(rows.values()), **counts}
    if not rows:
        record["why"] = f"there are none for {dataset.task} of {dataset.input} inputs"
    return record | _verdict(record, measured)


def _measured(dataset: Dataset, effort: Effort) -> Effort:
    """How many examples are answered: sources are each compared with all of the training part."""
    return MEASURED._replace(rows=effort.rows // 5) if dataset.input == "pair" else MEASURED


def _alone(
    config: Config, dataset: Dataset, examples: Examples
) -> Iterator[tuple[str, Config, Dataset, Examples]]:
    """Of every task its prefix, config, data set and examples; of one task these themselves."""
    if not isinstance(dataset, TaskDataset):
        yield "", config, dataset, examples
        return
    for facts in dataset.tasks:
        if facts.kind == "reconstruction":
            continue
        own, one = view(config, dataset, facts.name)
        parts = {
            name: None if (part := getattr(dataset, name)) is None else labeled(dataset, part, facts.name)
            for name in ("train", "validation", "test")
        }
        part = labeled(dataset, examples, facts.name)
        if part is not None:
            yield f"{facts.name}.", own, replace(one, **parts), part


def _code(config: Config) -> int | None:
    """Numbers of the code of a network that reconstructs its inputs."""
    widths = getattr(config.model, "widths", ())
    return int(widths[-1]) if config.model.reconstructs and widths else None


def _measure(
    config: Config, dataset: Dataset, examples: Examples, given: Answered, right: Any
) -> dict[str, float]:
    """The metrics of one baseline, by the functions that measure networks."""
    assert given.outputs is not None
    if dataset.input == "pair":
        rates = error_rates(given.outputs, right)
        return {"token_error": float(rates.token), "sequence_error": float(rates.sequence)}
    outputs = given.outputs
    if reading_of(dataset).get("targets") == "labels":  # of which the network gives the logits
        chance = np.clip(outputs, LEAST, 1 - LEAST)
        outputs = np.log(chance / (1 - chance))
    plain = config.model_copy(update={"training": config.training.model_copy(update={"loss": "auto"})})
    functions: dict[str, Callable] = dict(metrics_of(dataset))
    if loss_name(config, dataset) in _COMPARED and not _certain(dataset, outputs):
        functions["loss"] = loss_of(config, dataset)
    found = {name: _mean(function, outputs, np.asarray(examples.y)) for name, function in functions.items()}
    stand_in, one = cast(Any, _Answering(plain, dataset, outputs)), cast(Any, _One())
    if dataset.task == "pixels":
        found |= {n: float(v[0]) for n, v in label_quality(stand_in, one, examples).items()}
    if dataset.task == "regression":
        found |= {n: float(v[0]) for n, v in regression_quality(stand_in, one, examples).items()}
    return found


def _certain(dataset: Dataset, outputs: np.ndarray) -> bool:
    """Whether every answer is one class alone, which says nothing of probabilities (a nearest neighbor's)."""
    return dataset.task != "regression" and bool((outputs.max(-1) > -10 * LEAST).all())


def _mean(function: Callable, outputs: np.ndarray, y: np.ndarray) -> float:
    measured = function(outputs, y)
    total, count = (np.asarray(a, np.float64).sum() for a in (measured.total, measured.count))
    return float(total / max(count, 1.0))


class _One(NamedTuple):
    """The members of an `_Answering`."""

    stopped_at: np.ndarray = np.zeros(1, np.int32)


class _Answering:
    """A baseline in the place of an evaluator with one member, for metrics that need all outputs at once."""

    def __init__(self, config: Config, dataset: Dataset, outputs: np.ndarray):
        self.setup = SimpleNamespace(dataset=dataset, group=SimpleNamespace(config=config))
        self._outputs = outputs[None]

    def predict(self, members: Any, examples: Any, *, classes: bool = False) -> np.ndarray:
        """The outputs, or the most probable classes."""
        return self._outputs.argmax(-1) if classes else self._outputs


def _verdict(record: Mapping[str, Any], measured: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Which metric they are compared by, the net's, the best baseline, and whether the net is ahead of it."""
    nothing = {"metric": None, "net": None, "best": None, "ahead": None}
    shared = {name for row in record["baselines"] for name in row["metrics"]} & set(measured)
    found = headline({"metrics": {"test": {name: measured[name] for name in measured if name in shared}}})
    if found is None or (net := found[2]["mean"]) is None:
        return nothing
    metric, sign = found[1], 1 if better(found[1]) == "max" else -1
    able = [row for row in record["baselines"] if metric in row["metrics"]]
    best = max(able, key=lambda row: sign * row["metrics"][metric])
    ahead = sign * net > sign * best["metrics"][metric]
    return {"metric": metric, "net": net, "best": best["name"], "ahead": bool(ahead)}
