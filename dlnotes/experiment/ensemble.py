"""Several trained members as one: the mean of what they predict."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.data.dataset import Examples
from dlnotes.experiment.entities import f1_of, scheme_of
from dlnotes.experiment.evaluator import Evaluator
from dlnotes.experiment.members import failed_members
from dlnotes.experiment.objective import loss_name, loss_of, metrics_of, unit_of
from dlnotes.experiment.result import Trained
from dlnotes.models.large_scale.ensemble import mean_of_logs
from dlnotes.outputs import mean_of
from dlnotes.outputs.class_scores import class_scores
from dlnotes.outputs.entities import entity_counts
from dlnotes.training.state import Member
from dlnotes.typing import Array


def ensemble_metrics(evaluator: Evaluator, members: Member, examples: Examples) -> dict[str, np.ndarray]:
    """Loss and metrics of the mean of some members, each ``(1,)``.

    Of classes the probabilities are averaged, ``p = Σ_m softmax(z_m) / M``, of numbers the predictions.
    Of quantiles each is averaged. Where a network gives a distribution, its density is: the loss is
    ``−log Σ_m p_m(y) / M``. So the loss is at most the mean of the members' (Jensen).

    Args:
      evaluator: of the members.
      members: trained ones, none of which failed.
      examples: to measure on.

    Raises:
      ValueError: for an encoder-decoder, whose members do not decode the same symbols.

    Source: notes L13.13.
    """
    config, dataset = evaluator.setup.group.config, evaluator.setup.dataset
    if config.model.kind == "seq2seq":
        raise ValueError("ensemble: is for networks with one output for each input, not for 'seq2seq'")
    outputs = jnp.asarray(evaluator.predict(members, examples))
    y, spread = jax.tree.map(jnp.asarray, examples.y), unit_of(config, dataset)
    loss, metrics = loss_of(config, dataset), metrics_of(dataset, spread)
    weight = jnp.ones(examples.size, jnp.float32)
    if spread is not None and config.training.loss != "quantiles":
        each = jnp.stack([loss(output, y).total for output in outputs])
        found = {"loss": jnp.mean(jnp.log(jnp.float32(len(each))) - jax.nn.logsumexp(-each, axis=0))}
        plain = metrics_of(dataset)
        joined = jnp.mean(spread.distribution(outputs).mean, axis=0)
        return {n: np.asarray(v)[None] for n, v in (found | _measured(plain, joined, y, weight)).items()}
    if loss_name(config, dataset) in ("cross_entropy", "brier"):
        joined = mean_of_logs(outputs)
    else:
        joined = jnp.mean(outputs, axis=0)
    found = _measured({"loss": loss} | metrics, joined, y, weight)
    told = {name: np.asarray(value)[None] for name, value in found.items()}
    if scheme_of(dataset):
        labels = np.asarray(jnp.argmax(joined, axis=-1))
        told |= f1_of([entity_counts(labels, y, dataset.classes, scheme=scheme_of(dataset))])
    if dataset.task != "classification":
        return told
    as_probabilities = loss_name(config, dataset) != "hinge"
    return told | class_scores(
        np.asarray(joined)[None], np.asarray(examples.y), of_probabilities=as_probabilities
    )


def ensemble_in_words(trained: Trained) -> str:
    """How many members it has: ``"ensemble of 7 seeds (1 of 8 failed)"``."""
    failed = failed_members(trained.state.members)[trained.chosen.members]
    good = int((~failed).sum())
    return f"ensemble of {good} seeds" + (
        f" ({failed.sum()} of {failed.size} failed)" if failed.any() else ""
    )


def _measured(measures: dict, output: Array, y: Array, weight: Array) -> dict[str, Array]:
    return {name: mean_of(measure(output, y), weight) for name, measure in measures.items()}
