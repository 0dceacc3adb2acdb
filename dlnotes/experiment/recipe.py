"""From a checked config and a data set to what is trained: the recipe as a function of swept numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from dlnotes import models
from dlnotes.config import Config
from dlnotes.config.fields import steps_in
from dlnotes.data.augment import augment, augment_labels
from dlnotes.data.dataset import Dataset
from dlnotes.experiment.durations import Durations, durations
from dlnotes.experiment.fine_tuning import at_rest, moving_only, projected_only, stays_of
from dlnotes.experiment.network import model_of
from dlnotes.experiment.objective import loss_name, loss_of, metrics_of, unit_of
from dlnotes.experiment.tasks import is_random, task_loss, task_metrics
from dlnotes.experiment.teaching import Teaching, is_noisy, taught_change, taught_loss, untaught
from dlnotes.experiment.weighting import has_weights, plain_measure, training_loss
from dlnotes.models.model import Model
from dlnotes.outputs import (
    cross_entropy,
    penalized,
    pinball,
    scored,
    unpenalized,
    unscored,
)
from dlnotes.training import schedules
from dlnotes.training.optimizers import max_norm, optimizer
from dlnotes.training.state import Hyperparams, Recipe, RecipeOf
from dlnotes.typing import Array, Params, PRNGKey


def recipe_of(
    config: Config,
    dataset: Dataset,
    model: Model | None = None,
    *,
    lengths: Durations | None = None,
    flatten_small: bool = False,
    teaching: Teaching | None = None,
) -> RecipeOf:
    """What is trained, as a function of the swept numbers.

    Args:
      config: of a group; its own numbers are replaced by those the function is given.
      dataset: for sizes and the task.
      model: trains this network instead of the one [model] describes.
      lengths: of the run, for schedules; by default those without buckets.
      flatten_small: treat a small network as one vector (only a matter of speed).
      teaching: what a teacher gives, of whose data set ``dataset`` is; without, [teacher] changes nothing.

    Raises:
      ValueError: when sections and data do not fit, before anything is compiled.
    """
    lengths = durations(config, dataset) if lengths is None else lengths
    factory = model_of(config, dataset) if model is None else None
    several = config.tasks is not None
    evaluation_loss = task_loss(config, dataset, {}) if several else loss_of(config, dataset)
    metrics = task_metrics(config, dataset) if several else metrics_of(dataset, unit_of(config, dataset))
    smoothed = not several and loss_name(config, dataset) == "cross_entropy"
    if config.training.label_smoothing and not smoothed:
        raise ValueError("training.label_smoothing: only cross_entropy can be smoothed")
    if config.augment is not None and dataset.input != "image":
        raise ValueError(f"augment: is for images, {dataset.name} has {dataset.input} inputs")
    if config.augment is not None and dataset.train.mask is not None:
        raise ValueError(f"augment: is for images of one size, those of {dataset.name} have their own")
    augmenter, sample_inputs = _augmenter(config, dataset), _own_symbols(config, lengths)
    stays, weighs = stays_of(config), has_weights(config)

    def build(hyper: Hyperparams) -> Recipe:
        options = {name: _options(config, name, hyper) for name in ("model", "optimizer", "training")}
        smoothing = options["training"]["label_smoothing"]
        limit = options["training"]["max_norm"]
        measured = task_loss(config, dataset, hyper) if several else evaluation_loss
        if config.training.loss == "pinball":
            measured = partial(pinball, quantile=options["training"]["quantile"])
        loss, change = partial(cross_entropy, label_smoothing=smoothing) if smoothed else measured, augmenter
        measures = metrics
        if teaching is not None:
            taught = _options(config, "teacher", hyper)
            noise = taught["noise"] if is_noisy(config, hyper) else None
            loss = taught_loss(dataset, taught, smoothing)
            change = taught_change(teaching, augmenter, noise)
            measured = untaught(dataset, measured)
            measures = {name: untaught(dataset, metric) for name, metric in metrics.items()}
        if weighs:
            loss, measured = training_loss(config, dataset, loss), plain_measure(dataset, measured)
            measures = {name: plain_measure(dataset, metric) for name, metric in measures.items()}
        rates = [v for k, v in options["model"].items() if k.endswith("dropout")]
        network: Model = model if factory is None else factory(options["model"], hyper)  # type: ignore[assignment]
        if network.update is not None:  # it may penalize how its parts are used, or draw them
            loss = penalized(scored(loss))
            measures = {name: unpenalized(unscored(metric)) for name, metric in measures.items()}
        moves = _optimizer(options["optimizer"], config, lengths, flatten_small)
        project = None if limit is None else partial(max_norm, limit=limit)
        if stays is not None:
            network, moves = at_rest(network, stays), moving_only(moves, stays)
            project = None if project is None else projected_only(project, stays)
        return Recipe(
            model=network,
            loss=loss,
            evaluation_loss=measured,
            metrics=measures,
            optimizer=moves,
            augment=change,
            project=project,
            compute_dtype=jnp.dtype(config.training.compute_dtype),
            accumulate=config.training.accumulate,
            ema=config.training.ema,
            flatten_small=flatten_small,
            sample_inputs=sample_inputs,
            random=model is not None
            or change is not None
            or sample_inputs is not None
            or config.model.random
            or (several and is_random(config, hyper))
            or any(not isinstance(r, (int, float)) or r > 0 for r in rates),
        )

    return build


def _own_symbols(config: Config, lengths: Durations) -> Callable[..., Any] | None:
    """What [training] scheduled_sampling feeds the network, as ``Recipe.sample_inputs``.

    Raises:
      ValueError: for a network that does not read its own symbols.
    """
    chosen = config.training.scheduled_sampling
    if chosen is None:
        return None
    mix = {"seq2seq": models.mixed_targets, "character_model": models.mixed_inputs}.get(config.model.kind)
    if mix is None:
        raise ValueError(
            f"training.scheduled_sampling: got it with {config.model.kind!r}, which does not read its own "
            "symbols; allowed are seq2seq, character_model"
        )
    if chosen.kind == "linear":
        given = schedules.linear(_steps(chosen.over, lengths), final=0.0)
    else:
        given = schedules.inverse_sigmoid(_steps(chosen.half, lengths))

    def sample_inputs(params: Params, x: Any, *, key: PRNGKey, mask: Any, step: Array) -> Any:
        share = chosen.final * (1 - given(step))
        return mix(params, x, share, key, mask)

    return sample_inputs


def _augmenter(config: Config, dataset: Dataset) -> Callable[[PRNGKey, Array, Any], tuple[Array, Any]] | None:
    """The random changes of [augment] as ``augment(key, x, y)``; ``None`` when nothing is changed."""
    if config.augment is None:
        return None
    options = config.augment.model_dump()
    fill = options.pop("fill")
    if not any(options.values()):
        return None
    scale = dataset.standardize
    black = None
    if fill != "mean" and scale is not None:
        black = np.asarray(-scale.mean / scale.scale, np.float32)

    def change(key: PRNGKey, x: Array, y: Any) -> tuple[Array, Any]:
        if dataset.task == "pixels":
            y = augment_labels(key, y, **options)
        if black is None:
            return augment(key, x, **options), y
        shift = jnp.broadcast_to(jnp.asarray(black, x.dtype), x.shape)
        return augment(key, x - shift, **options) + shift, y

    return change


def _options(config: Config, section: str, hyper: Hyperparams) -> dict[str, Any]:
    """A section's options with the swept numbers in their places."""
    part = getattr(config, section)
    values = {name: getattr(part, name) for name in type(part).model_fields}
    return values | {
        path.split(".", 1)[1]: number for path, number in hyper.items() if path.startswith(f"{section}.")
    }


def _optimizer(options: dict[str, Any], config: Config, lengths: Durations, flatten_small: bool):
    options = dict(options)
    options.pop("schedule")
    ramp = options.pop("momentum_ramp")
    if ramp is not None:
        first, over = options["momentum"], _steps(ramp.over, lengths)
        share = schedules.linear(over)
        options["momentum"] = lambda t: ramp.final + (first - ramp.final) * share(t)
    return optimizer(factor=_factor(config, lengths), flatten_small=flatten_small, **options)


def _steps(duration: str, lengths: Durations) -> int:
    return steps_in(duration, lengths.per_epoch, lengths.per_epoch * lengths.batch_size)


def _factor(config: Config, lengths: Durations) -> schedules.Factor | None:
    """The config's schedule with its durations in steps; ``None`` for a plain constant."""
    chosen = config.optimizer.schedule
    if chosen.kind == "one_cycle":
        return schedules.one_cycle(lengths.total, rise=chosen.rise)
    warmup = _steps(chosen.warmup, lengths) if chosen.warmup is not None else 0
    if chosen.kind == "constant":
        return schedules.with_warmup(schedules.constant(), warmup) if warmup else None
    if chosen.kind == "cosine":
        factor = schedules.cosine(lengths.total, final=chosen.final)
    elif chosen.kind == "linear":
        factor = schedules.linear(lengths.total, final=chosen.final)
    elif chosen.kind == "step":
        boundaries = tuple(_steps(b, lengths) for b in chosen.boundaries)
        factor = schedules.step(boundaries, factor=chosen.factor)
    else:
        factor = schedules.exponential(_steps(chosen.every, lengths), factor=chosen.factor)
    return schedules.with_warmup(factor, warmup)
