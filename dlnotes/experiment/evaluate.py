"""Measure a trained run on a split or on examples of your own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dlnotes import data
from dlnotes.config import ConfigError
from dlnotes.data.dataset import Examples
from dlnotes.data.task_table import evaluated_table, is_table
from dlnotes.data.tasks import TaskDataset, labeled, own_targets
from dlnotes.experiment.class_quality import class_quality, class_table, kept_thresholds, threshold_quality
from dlnotes.experiment.decoding import answers_of, decoding_metrics, references_of
from dlnotes.experiment.ensemble import ensemble_metrics
from dlnotes.experiment.entities import entity_quality, scheme_of
from dlnotes.experiment.evaluator import Evaluator
from dlnotes.experiment.final_metrics import label_quality, number_quality, task_quality
from dlnotes.experiment.intervals import limits_of, mean_interval
from dlnotes.experiment.members import PointName, failed_members, require_good
from dlnotes.experiment.one_task import by_task, require_one_task
from dlnotes.experiment.predict import _opened
from dlnotes.experiment.result import Trained
from dlnotes.experiment.routing import routing_metrics
from dlnotes.training.state import Member


def evaluate_run(
    run: str | Path | Trained,
    *,
    split: str = "test",
    data_path: str | Path | None = None,
    point: PointName = None,
    ensemble: bool = False,
) -> dict[str, dict[str, Any]]:
    """Loss and metrics of a trained run over its seeds; of a regression in the target's own units.

    Args:
      run: its folder, or what `open_run` returned.
      split: "train", "validation" or "test".
      data_path: measure on this file or folder instead, read as the training data were.
      point: of a sweep, by its number from 0 or by its values; by default the best one on validation.
      ensemble: measure the mean of what the seeds that did not fail predict (see `ensemble_metrics`).

    Returns:
      ``{metric: {"mean", "low", "high", "values"}}`` of the point's seeds; those that failed are NaN and
      not in the mean.

    Raises:
      ConfigError: when the run, the split, the point or the file do not fit, or every seed failed.
    """
    trained = _opened(run, point)
    mine = trained.chosen.members
    try:
        require_good(trained.chosen, trained.state.members)
        members = jax.tree.map(lambda a: a[mine], trained.state.members)
        if data_path is None:
            examples = trained.dataset.split(split)
            measured = {} if ensemble else trained.evaluator.evaluate(members, split)
        else:
            examples = _examples(trained, data_path)
            measured = {} if ensemble else trained.evaluator.evaluate_examples(members, examples)
        failed, loss = failed_members(members), trained.config.training.loss
        if isinstance(whole := trained.dataset, TaskDataset):
            parts = partial(labeled, whole, examples)
            if ensemble:
                good = jax.tree.map(lambda a: a[~failed], members)
                return _intervals(_ensemble_of_tasks(trained, good, parts), None, loss)
            return _intervals(measured | task_quality(trained.evaluator, members, parts), failed, loss)
        if ensemble:
            good = jax.tree.map(lambda a: a[~failed], members)
            found = ensemble_metrics(trained.evaluator, good, examples)
            return {n: mean_interval(v, limits=limits_of(n, loss)) for n, v in found.items()}
        measured |= routing_metrics(trained.evaluator, members, examples)
        if trained.dataset.task == "pixels":
            measured |= label_quality(trained.evaluator, members, examples)
        if trained.dataset.task == "classification":
            measured |= class_quality(trained.evaluator, members, examples)
            if trained.config.decision is not None:
                at = kept_thresholds(trained)
                measured |= threshold_quality(trained.evaluator, members, examples, at)
        if trained.dataset.task == "regression":
            measured |= number_quality(trained.evaluator, members, examples)
        if scheme_of(trained.dataset):
            measured |= entity_quality(trained.evaluator, members, examples)
        if trained.config.model.kind == "seq2seq":
            known = data_path is None
            answers = references_of(trained.dataset, split) if known else answers_of(examples)
            how = trained.config.decoding
            measured |= decoding_metrics(trained.evaluator, members, examples, answers, how)
    except (ValueError, OSError) as error:
        raise ConfigError(str(data_path or trained.folder.path), [str(error)]) from None
    return _intervals(measured, failed, loss)


def evaluate_classes(
    run: str | Path | Trained,
    *,
    split: str = "test",
    data_path: str | Path | None = None,
    point: PointName = None,
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """How each class is found: precision, recall and F1, of pixels the overlap, with intervals over seeds.

    Args:
      run, split, data_path, point: as of `evaluate_run`.

    Returns:
      The header and a row a class, as of `dlnotes.experiment.class_quality.class_table`.

    Raises:
      ConfigError: as `evaluate_run`, and where the targets have no classes.
    """
    trained = _opened(run, point)
    try:
        require_one_task(trained, "a report of each class")
        require_good(trained.chosen, trained.state.members)
        members = jax.tree.map(lambda a: a[trained.chosen.members], trained.state.members)
        examples = trained.dataset.split(split) if data_path is None else _examples(trained, data_path)
        return class_table(trained.evaluator, members, examples)
    except (ValueError, OSError) as error:
        raise ConfigError(str(data_path or trained.folder.path), [str(error)]) from None


def _intervals(
    measured: dict[str, np.ndarray], failed: np.ndarray | None, loss: str
) -> dict[str, dict[str, Any]]:
    """Mean and interval of each metric over the members that did not fail."""
    return {
        name: mean_interval(
            v if failed is None else np.where(failed, np.nan, v), limits=limits_of(name, loss)
        )
        for name, v in measured.items()
    }


def _examples(trained: Trained, path: str | Path) -> Examples:
    """Examples with targets of a file, of all tasks where it is a table."""
    dataset = trained.dataset
    if is_table(dataset):
        inputs = data.read_inputs(path, dataset)
        return evaluated_table(path, dataset, inputs.x)  # pyright: ignore[reportArgumentType]
    target = trained.config.data.target if trained.config.data.kind == "csv" else None
    target = target if isinstance(target, str) else None  # several are kept with how the file is read
    examples = data.evaluate_inputs(path, dataset, target=target)
    if not isinstance(dataset, TaskDataset):
        return examples
    return examples._replace(y=own_targets(dataset, examples.y))


def _ensemble_of_tasks(
    trained: Trained, members: Member, parts: Callable[[str], Examples | None]
) -> dict[str, np.ndarray]:
    """`ensemble_metrics` of every task that does not reconstruct its inputs."""

    def measure(alone: Evaluator, name: str) -> Mapping[str, np.ndarray]:
        whole = trained.dataset
        assert isinstance(whole, TaskDataset)
        if whole.facts(name).kind == "reconstruction" or (part := parts(name)) is None:
            return {}
        return ensemble_metrics(alone, members, part)

    return by_task(measure, trained.evaluator)
