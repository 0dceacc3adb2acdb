"""From a checked config and a data set to what is trained: the recipe as a function of swept numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from dlnotes import layers, models
from dlnotes.data.augment import augment, augment_labels
from dlnotes.data.buckets import Buckets, buckets_for
from dlnotes.data.dataset import Dataset
from dlnotes.data.order import BucketOrder, steps_per_epoch
from dlnotes.experiment.config import Config, Point, dynamic_paths, points
from dlnotes.experiment.config.cells import CellTable
from dlnotes.experiment.config.fields import steps_in
from dlnotes.experiment.config.models import GraphNode
from dlnotes.layers.tree_schedule import Waves, count_waves
from dlnotes.models.layer_graph import Function, Layer
from dlnotes.models.model import Model
from dlnotes.outputs import (
    LOSSES,
    METRICS,
    UNITS,
    Measure,
    PerExample,
    Unit,
    cross_entropy,
    likelihood,
    pinball,
    unit,
)
from dlnotes.training import schedules
from dlnotes.training.optimizers import max_norm, optimizer
from dlnotes.training.state import Hyper, Recipe, RecipeOf
from dlnotes.typing import Array, Params, PRNGKey

ModelOf = Callable[[dict[str, Any]], Model]
"""A model from the options of [model], some of which may be traced numbers."""


@dataclass(frozen=True)
class Durations:
    """The lengths of a run in steps."""

    total: int
    evaluate_every: int
    log_every: int
    checkpoint_every: int | None
    batch_size: int
    per_epoch: int


@dataclass(frozen=True)
class Group:
    """Members that share one compiled program: settings of swept numbers, times seeds.

    Attributes:
      config: of the group, without a sweep.
      points: the sweep's points in this group (one without values when nothing is swept).
      indices: where those points stand in the whole sweep.
      seeds: ``(members,)`` the training seed of each member.
      hypers: swept number by path, each ``(members,)`` float32.
    """

    config: Config
    points: tuple[Point, ...]
    indices: tuple[int, ...]
    seeds: np.ndarray
    hypers: dict[str, np.ndarray]

    @property
    def members(self) -> int:
        """Number of trainings: points times seeds, the seeds of a point side by side."""
        return len(self.seeds)


def groups(config: Config) -> list[Group]:
    """Divide a sweep into groups of points that differ only in numbers a program takes as input."""
    found: dict[str, list[tuple[int, Point]]] = {}
    for index, point in enumerate(points(config)):
        numbers = dynamic_paths(point.config) & set(point.values)
        # A whole number where a sweep has fractions must not make a program of its own; None must.
        static = {k: v for k, v in point.values.items() if k not in numbers}
        found.setdefault(repr(sorted(static.items())), []).append((index, point))
    return [_group(members) for members in found.values()]


def _group(indexed: list[tuple[int, Point]]) -> Group:
    own = tuple(p for _, p in indexed)
    config = own[0].config  # not the whole sweep's: the seed and the number of seeds may be swept
    numbers = sorted(dynamic_paths(config) & set(own[0].values))
    seeds = np.arange(config.seed, config.seed + config.training.seeds, dtype=np.int32)
    return Group(
        config=config,
        points=own,
        indices=tuple(i for i, _ in indexed),
        seeds=np.tile(seeds, len(own)),
        hypers={
            path: np.repeat(np.array([p.values[path] for p in own], np.float32), len(seeds))
            for path in numbers
        },
    )


def durations(config: Config, dataset: Dataset) -> Durations:
    """The config's durations for this data set; a batch is never larger than the training part."""
    n = dataset.train.size
    batch_size = min(config.training.batch_size, n)
    order = bucket_order(buckets_of(config, dataset), batch_size)
    per_epoch = steps_per_epoch(n, batch_size) if order is None else order.per_epoch
    steps = partial(steps_in, steps_per_epoch=per_epoch, examples_per_epoch=n)
    total = steps(config.training.duration)
    every = config.checkpoint.every
    return Durations(
        total=total,
        evaluate_every=min(steps(config.training.evaluate_every), total),
        log_every=config.training.log_every or min(50, max(1, total // 50)),
        checkpoint_every=steps(every) if every is not None else None,
        batch_size=batch_size,
        per_epoch=per_epoch,
    )


def buckets_of(config: Config, dataset: Dataset) -> Buckets | None:
    """The buckets of the training part, ``None`` where everything is padded to the largest.

    Raises:
      ValueError: when buckets are asked for and the examples have no sizes of their own.
    """
    most, mask = config.training.buckets, dataset.train.mask
    if most == 1:
        return None
    if mask is None:
        raise ValueError(
            f"training.buckets: got {most}, {dataset.name} has examples of one size: allowed is 1"
        )
    return buckets_for(dataset.train, most)


def waves_of(config: Config, dataset: Dataset, batch_size: int) -> Waves | None:
    """What a batch of trees drawn from the training part costs; ``None`` where nothing goes in waves."""
    if config.model.kind != "tree_net" or config.model.schedule != "waves":
        return None
    n, train = dataset.train.size, dataset.train
    rows = np.random.default_rng(0).permutation(n)[: min(batch_size, n)]
    return count_waves(train.x.children[rows], train.x.order[rows], train.mask[rows])


def bucket_order(buckets: Buckets | None, batch_size: int) -> BucketOrder | None:
    """The order of the training part sorted by bucket, ``None`` without any."""
    return None if buckets is None else BucketOrder(buckets.shapes, buckets.counts, batch_size)


def model_of(config: Config, dataset: Dataset) -> ModelOf:
    """The factory of the config's family, sizes of inputs and outputs filled in from the data.

    Raises:
      ValueError: when the family does not take this data set's inputs.
    """
    kind = config.model.kind
    spread = unit_of(config, dataset)
    outputs = dataset.outputs if spread is None else spread.size
    if kind == "given":
        raise ValueError("model.kind: 'given' needs the network itself: dlnotes.run(config, model=...)")
    _require_fit(kind, dataset)

    def build(options: dict[str, Any]) -> Model:
        options = {k: v for k, v in options.items() if k != "kind"}
        if kind in ("linear", "mlp", "maxout_mlp"):
            factory = getattr(models, kind)
            return factory(dataset.inputs, outputs=outputs, **options)
        if kind == "rbf_network":
            centers = center_candidates(dataset, options["units"]) if options["centers"] == "data" else None
            return models.rbf_network(dataset.inputs, outputs=outputs, **options | {"centers": centers})
        if kind == "graph":
            nodes = tuple(_graph_node(section) for section in options.pop("nodes"))
            return models.graph(dataset.inputs, nodes, outputs, **options)
        if kind == "cnn":
            return models.cnn(dataset.inputs, outputs, **options)
        if kind == "conv_net":
            stages = [models.Stage(**section.model_dump()) for section in options.pop("stages")]
            mirror = options.pop("mirror")
            if mirror and (dataset.input != "image" or None in sizes_of(dataset)):
                raise ValueError(
                    f"model.mirror: got true for {dataset.input} inputs of {dataset.name}, "
                    "allowed for images of one size"
                )
            network = models.conv_net(sizes_of(dataset), outputs, stages=stages, **options)
            return models.mirrored(network) if mirror else network
        if kind in ("pixel_labeller", "recurrent_refinement"):
            return getattr(models, kind)(dataset.inputs, outputs, **options)
        if kind in ("sequence_classifier", "sequence_labeller"):
            return _recurrent(getattr(models, kind), dataset, outputs, options)
        if kind == "grid_recurrent":
            per_pixel = dataset.task == "pixels"
            return models.grid_recurrent(sizes_of(dataset), outputs, per_pixel=per_pixel, **options)
        if kind == "character_model":
            return models.character_model(dataset.inputs[0], **options)
        if kind == "seq2seq":
            return models.seq2seq(dataset.inputs[0], outputs, **options)
        if kind in ("gumbel_tree", "chart_tree"):
            return getattr(models, kind)(dataset.inputs[0], outputs=outputs, **options)
        arity, targets = dataset.train.x.children.shape[-1], "nodes" if dataset.task == "tokens" else "root"
        return models.tree_net(dataset.inputs[0], outputs=outputs, arity=arity, targets=targets, **options)

    return build


def _recurrent(
    factory: Callable[..., Model], dataset: Dataset, outputs: int, options: dict[str, Any]
) -> Model:
    """A sequence model with the layers that its config asks for below and above its states."""
    embedding = options.pop("embedding")
    options["embedding"] = embedding if dataset.input == "tokens" else None
    hidden, cell = options.pop("hidden"), cell_of(options.pop("cell"))
    below, above = options.pop("input_widths"), options.pop("output_widths")
    if below:
        cell = layers.deep_input(layers.recurrent_cell(cell) if isinstance(cell, str) else cell, below)
    network = partial(factory, dataset.inputs[-1], hidden, cell=cell, **options)
    if not above:
        return network(outputs)
    return models.deep_output(network, above, outputs, init_scale=options["init_scale"])


CELLS = {
    "rnn": layers.plain_cell,
    "lstm": layers.lstm_variant,
    "leaky": layers.leaky,
    "delayed": layers.delayed,
    "deep_transition": layers.deep_transition,
}
"""What makes the cells that have settings."""


def cell_of(chosen: str | CellTable) -> str | layers.Cell:
    """The recurrent cell of a config: its name, or the cell that its table describes."""
    if isinstance(chosen, str):
        return chosen
    options = chosen.model_dump()
    return CELLS[options.pop("kind")](**options)


def sizes_of(dataset: Dataset) -> tuple[int | None, ...]:
    """The shape of an example, its sizes ``None`` where examples have sizes of their own (a mask)."""
    if dataset.train.mask is None:
        return dataset.inputs
    return (*(None,) * (dataset.train.x.ndim - 2), dataset.inputs[-1])


def center_candidates(dataset: Dataset, units: int) -> np.ndarray:
    """Training examples ``(n, features)`` among which centres are drawn: spread evenly, 16 for each unit.

    A part only, for they become constants of the compiled start.

    Raises:
      ValueError: when there are fewer examples than units.
    """
    n = dataset.train.size
    if n < units:
        raise ValueError(f"model.units: got {units}, {dataset.name} has {n} training examples to start at")
    rows = np.linspace(0, n - 1, min(n, 16 * units)).astype(int)
    return np.asarray(dataset.train.x[rows], np.float32).reshape(len(rows), -1)


def _graph_node(section: GraphNode) -> Layer | Function:
    if section.kind == "layer":
        return Layer(section.name, section.of, section.width, section.activation)
    return Function(section.name, section.of, section.kind)


def _require_fit(kind: str, dataset: Dataset) -> None:
    from dlnotes.experiment.config.models import ACCEPTS

    inputs, tasks = ACCEPTS[kind]
    if dataset.input not in inputs or dataset.task not in tasks:
        fits = [k for k, (i, t) in ACCEPTS.items() if dataset.input in i and dataset.task in t]
        raise ValueError(
            f"model.kind: {kind!r} cannot be trained on {dataset.name} ({dataset.input} inputs, "
            f"{dataset.task}); allowed: {', '.join(fits) or 'none'}"
        )
    own_sizes = dataset.train.mask is not None and dataset.input in ("image", "volume")
    if own_sizes and kind not in ("conv_net", "grid_recurrent", "given"):
        raise ValueError(
            f"model.kind: {kind!r} takes {dataset.input}s of one size, those of {dataset.name} have sizes of "
            "their own; allowed: conv_net, grid_recurrent"
        )


def unit_of(config: Config, dataset: Dataset) -> Unit | None:
    """The output unit whose numbers the network gives, ``None`` where it gives the prediction itself."""
    name = config.training.loss.removesuffix("_nll")
    if name not in UNITS:
        return None
    components = config.training.components or 5
    return unit(name, dataset.outputs, components=components, floor=config.training.spread_floor)


OF_CLASSES = ("cross_entropy", "hinge", "brier")
"""The losses of classes; the others are of numbers."""


def loss_of(config: Config, dataset: Dataset) -> Measure:
    """The evaluation loss; ``auto`` is cross-entropy for classes and squared error for numbers.

    Raises:
      ValueError: when the loss and the task do not fit.
    """
    name = config.training.loss
    if name == "auto":
        name = "squared_error" if dataset.task == "regression" else "cross_entropy"
    if (name in OF_CLASSES) == (dataset.task == "regression"):
        raise ValueError(f"training.loss: got {name!r}, which does not fit {dataset.task} on {dataset.name}")
    quantile, spread = config.training.quantile, unit_of(config, dataset)
    if spread is not None:
        return partial(likelihood, spread.distribution)
    return LOSSES[name] if quantile is None else partial(pinball, quantile=quantile)


def metrics_of(dataset: Dataset, spread: Unit | None = None) -> dict[str, Measure]:
    """The metrics of a task by name; of the distribution's mean where the network gives one."""
    names = {
        "classification": ("accuracy",),
        "regression": ("absolute_error",),
        "pixels": ("accuracy",),
        "tokens": ("accuracy", "exact_match") if dataset.input == "pair" else ("accuracy",),
    }[dataset.task]
    if spread is None:
        return {name: METRICS[name] for name in names}
    mean = partial(_of_mean, spread.distribution)
    return {name: partial(mean, METRICS[name]) for name in names}


def _of_mean(distribution: Callable, metric: Measure, raw: Array, y: Array) -> PerExample:
    return metric(distribution(raw).mean, y)


def recipe_of(
    config: Config, dataset: Dataset, model: Model | None = None, *, join: bool = False
) -> RecipeOf:
    """What is trained, as a function of the swept numbers.

    Args:
      config: of a group; its own numbers are replaced by those the function is given.
      dataset: for sizes and the task.
      model: trains this network instead of the one [model] describes.
      join: treat a small network as one vector (only a matter of speed).

    Raises:
      ValueError: when sections and data do not fit, before anything is compiled.
    """
    lengths = durations(config, dataset)
    factory = model_of(config, dataset) if model is None else None
    evaluation_loss = loss_of(config, dataset)
    metrics = metrics_of(dataset, unit_of(config, dataset))
    if config.training.label_smoothing and evaluation_loss is not cross_entropy:
        raise ValueError("training.label_smoothing: only cross_entropy can be smoothed")
    if config.augment is not None and dataset.input != "image":
        raise ValueError(f"augment: is for images, {dataset.name} has {dataset.input} inputs")
    if config.augment is not None and dataset.train.mask is not None:
        raise ValueError(f"augment: is for images of one size, those of {dataset.name} have their own")
    augmenter, feed = _augmenter(config, dataset), _own_symbols(config, lengths)

    def build(hyper: Hyper) -> Recipe:
        options = {name: _options(config, name, hyper) for name in ("model", "optimizer", "training")}
        smoothing = options["training"]["label_smoothing"]
        limit = options["training"]["max_norm"]
        measured = evaluation_loss
        if config.training.loss == "pinball":
            measured = partial(pinball, quantile=options["training"]["quantile"])
        rates = [v for k, v in options["model"].items() if k.endswith("dropout")]
        return Recipe(
            model=model if factory is None else factory(options["model"]),  # type: ignore[arg-type]
            loss=partial(cross_entropy, label_smoothing=smoothing)
            if evaluation_loss is cross_entropy
            else measured,
            evaluation_loss=measured,
            metrics=metrics,
            optimizer=_optimizer(options["optimizer"], config, lengths, join),
            augment=augmenter,
            project=None if limit is None else partial(max_norm, limit=limit),
            compute_dtype=jnp.dtype(config.training.compute_dtype),
            accumulate=config.training.accumulate,
            ema=config.training.ema,
            join=join,
            feed=feed,
            random=model is not None
            or augmenter is not None
            or feed is not None
            or config.model.kind == "gumbel_tree"
            or any(not isinstance(r, (int, float)) or r > 0 for r in rates),
        )

    return build


def _own_symbols(config: Config, lengths: Durations) -> Callable[..., Any] | None:
    """What [training] scheduled_sampling feeds the network, as ``Recipe.feed``.

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

    def feed(params: Params, x: Any, *, key: PRNGKey, mask: Any, step: Array) -> Any:
        share = chosen.final * (1 - given(step))
        return mix(params, x, share, key, mask)

    return feed


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


def _options(config: Config, section: str, hyper: Hyper) -> dict[str, Any]:
    """A section's options with the swept numbers in their places."""
    part = getattr(config, section)
    values = {name: getattr(part, name) for name in type(part).model_fields}
    return values | {
        path.split(".", 1)[1]: number for path, number in hyper.items() if path.startswith(f"{section}.")
    }


def _optimizer(options: dict[str, Any], config: Config, lengths: Durations, join: bool):
    options = dict(options)
    options.pop("schedule")
    ramp = options.pop("momentum_ramp")
    if ramp is not None:
        first, over = options["momentum"], _steps(ramp.over, lengths)
        share = schedules.linear(over)
        options["momentum"] = lambda t: ramp.final + (first - ramp.final) * share(t)
    return optimizer(factor=_factor(config, lengths), join=join, **options)


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
