"""The network that [model] describes, with the sizes that the data set has."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from dlnotes import layers, models
from dlnotes.config import Config
from dlnotes.config.cells import CellTable
from dlnotes.config.models import ACCEPTS, GraphNode
from dlnotes.data.dataset import Dataset
from dlnotes.experiment.objective import unit_of
from dlnotes.models.feedforward.graph import Function, Layer
from dlnotes.models.model import Model

ModelOf = Callable[[dict[str, Any]], Model]
"""A model from the options of [model], some of which may be traced numbers."""


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
