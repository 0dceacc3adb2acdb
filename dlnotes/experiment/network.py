"""The network that [model] describes, with the sizes that the data set has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from dlnotes import layers, models
from dlnotes.config import Config
from dlnotes.config.cells import CellTable
from dlnotes.config.models import FAMILIES, ConvStage, Family, GraphNode, that_fit
from dlnotes.data.dataset import Dataset
from dlnotes.experiment.objective import unit_of
from dlnotes.experiment.tasks import shared_model
from dlnotes.models.feedforward.graph import Function, Layer
from dlnotes.models.model import Model

Builder = Callable[..., Model]
"""``builder(dataset, outputs, **options) -> Model``."""

ModelOf = Callable[..., Model]
"""``model_of(options, hyper)``: a model from the options of [model], some of which may be traced numbers. Of
several tasks the swept numbers, by path, say what is not in [model]."""


def model_of(config: Config, dataset: Dataset) -> ModelOf:
    """The factory of the config's family, sizes of inputs and outputs filled in from the data.

    Raises:
      ValueError: when the family does not take this data set's inputs.
    """
    family = config.model
    if config.tasks is not None:
        return _shared_of(config, dataset)
    spread = unit_of(config, dataset)
    outputs = dataset.outputs if spread is None else spread.size
    _require_fit(family, dataset)
    if family.kind not in BUILDERS:
        raise ValueError("model.kind: 'given' needs the network itself: dlnotes.run(config, model=...)")
    builder = BUILDERS[family.kind]

    def build(options: dict[str, Any], hyper: Mapping[str, Any] | None = None) -> Model:
        return builder(dataset, outputs, **{k: v for k, v in options.items() if k != "kind"})

    return build


def _shared_of(config: Config, dataset: Dataset) -> ModelOf:
    """The factory of a network of several tasks: [model] gives the features."""
    family = config.model
    if family.kind not in BUILDERS:
        raise ValueError("model.kind: 'given' needs the network itself: dlnotes.run(config, model=...)")
    _require_fit(family, dataset)
    builder = BUILDERS[family.kind]

    def build(options: dict[str, Any], hyper: Mapping[str, Any] | None = None) -> Model:
        own = {k: v for k, v in options.items() if k != "kind"}
        return shared_model(config, dataset, lambda features: builder(dataset, features, **own), hyper or {})

    return build


def _plain(factory: Callable[..., Model]) -> Builder:
    """A family that takes the shape of an example and the number of outputs."""
    return lambda dataset, outputs, **options: factory(dataset.inputs, outputs=outputs, **options)


def _rbf_network(dataset: Dataset, outputs: int, *, units: int, centers: str, **options: Any) -> Model:
    start = center_candidates(dataset, units) if centers == "data" else None
    return models.rbf_network(dataset.inputs, outputs=outputs, units=units, centers=start, **options)


def _graph(dataset: Dataset, outputs: int, *, nodes: Sequence[GraphNode], **options: Any) -> Model:
    return models.graph(dataset.inputs, tuple(map(_graph_node, nodes)), outputs, **options)


def _mixture_of_experts(dataset: Dataset, outputs: int, **options: Any) -> Model:
    mixture = "likelihood" if dataset.task == "classification" else "outputs"
    return models.mixture_of_experts(dataset.inputs, outputs=outputs, mixture=mixture, **options)


def _soft_tree(dataset: Dataset, outputs: int, *, depth: int, **options: Any) -> Model:
    if 2**depth > (n := dataset.train.size):
        raise ValueError(
            f"model.depth: got {depth}, a tree with {2**depth} leaves for {n} training examples of "
            f"{dataset.name}; allowed is at most {n.bit_length() - 1}, a leaf for each example"
        )
    mixture = "likelihood" if dataset.task == "classification" else "outputs"
    return models.soft_tree(dataset.inputs, depth, outputs, mixture=mixture, **options)


def _deep_autoencoder(dataset: Dataset, outputs: int, **options: Any) -> Model:
    if dataset.task != "regression":
        raise ValueError(
            f"dataset: got {dataset.task} on {dataset.name} with 'deep_autoencoder', allowed are the "
            "inputs as targets: dlnotes.data.inputs_as_targets(dataset)"
        )
    if outputs != prod(dataset.inputs):
        raise ValueError(
            f"training.loss: takes {outputs} numbers for {prod(dataset.inputs)} inputs of {dataset.name}, "
            "allowed with 'deep_autoencoder' are losses of one number each, as bernoulli_nll, squared_error"
        )
    return models.deep_autoencoder(dataset.inputs, **options)


def _conv_net(
    dataset: Dataset,
    outputs: int,
    *,
    stages: Sequence[ConvStage],
    mirror: bool,
    head: str,
    embedding: int,
    **options: Any,
) -> Model:
    _require_head(dataset, head, stages)
    if mirror and (dataset.input != "image" or None in sizes_of(dataset)):
        raise ValueError(
            f"model.mirror: got true for {dataset.input} inputs of {dataset.name}, "
            "allowed for images of one size"
        )
    listed = [_stage_of(stage) for stage in stages]
    branched = any(stage.branches for stage in stages)
    symbols = dataset.input == "tokens"
    sizes = (None, embedding) if symbols else sizes_of(dataset)
    maps = _maps_of(stages[-1]) if head == "largest" else outputs
    scale = options["init_scale"]
    options["head"] = "maps" if head == "largest" else head
    network = (models.branched_net if branched else models.conv_net)(sizes, maps, stages=listed, **options)
    if head == "largest":
        network = models.largest(network, maps, outputs, dropout=options["dropout"], init_scale=scale)
    if symbols:
        network = models.embedded(dataset.inputs[0], embedding, network, init_scale=scale)
    return models.mirrored(network) if mirror else network


def _maps_of(stage: ConvStage) -> int:
    return stage.channels or sum(branch.channels for branch in stage.branches)


def _require_head(dataset: Dataset, head: str, stages: Sequence[ConvStage]) -> None:
    """Refuses a head that does not give what is asked for: one answer, or one at every position."""
    if dataset.task != "tokens":
        if head == "maps":
            raise ValueError(
                f"model.head: got 'maps' for {dataset.task} on {dataset.name}, allowed for one answer are "
                "the other heads"
            )
        if dataset.input == "tokens" and head in ("flatten", "learned"):
            raise ValueError(
                f"model.head: got {head!r} for texts of any length, allowed are average, clustered, grid, "
                "largest"
            )
        return
    if dataset.classes == dataset.symbols:
        raise ValueError(
            f"model.kind: 'conv_net' sees the symbols that follow, which are the targets of {dataset.name}; "
            "allowed: character_model, sequence_labeler"
        )
    if head != "maps":
        raise ValueError(
            f"model.head: got {head!r} for an answer at every position of {dataset.name}, allowed is 'maps'"
        )
    for i, stage in enumerate(stages):
        if stage.pool > 1 or stage.stride > 1:
            raise ValueError(
                f"model.stages: stage {i} has pool {stage.pool} and stride {stage.stride}, an answer at "
                f"every position of {dataset.name} needs 1 and 1"
            )


def _stage_of(section: ConvStage) -> Any:
    """A stage of convolutions or of branches, as the models take them."""
    options = section.model_dump()
    branches = tuple(models.Branch(**branch) for branch in options.pop("branches"))
    if branches:
        return models.Branches(branches, section.pool, section.pooling)
    return models.Stage(**options)


def _grid_recurrent(dataset: Dataset, outputs: int, **options: Any) -> Model:
    per_pixel = dataset.task == "pixels"
    return models.grid_recurrent(sizes_of(dataset), outputs, per_pixel=per_pixel, **options)


def _tree_net(dataset: Dataset, outputs: int, **options: Any) -> Model:
    arity, targets = dataset.train.x.children.shape[-1], "nodes" if dataset.task == "tokens" else "root"
    return models.tree_net(dataset.inputs[0], outputs=outputs, arity=arity, targets=targets, **options)


def _latent_tree(factory: Callable[..., Model]) -> Builder:
    return lambda dataset, outputs, **options: factory(dataset.inputs[0], outputs=outputs, **options)


def _recurrent(factory: Callable[..., Model]) -> Builder:
    """A sequence model with the layers that its config asks for below and above its states."""

    def build(
        dataset: Dataset,
        outputs: int,
        *,
        hidden: int,
        cell: str | CellTable,
        embedding: int,
        input_widths: Sequence[int],
        output_widths: Sequence[int],
        **options: Any,
    ) -> Model:
        symbols = embedding if dataset.input == "tokens" else None
        chosen = cell_of(cell)
        if input_widths:
            whole = layers.recurrent_cell(chosen) if isinstance(chosen, str) else chosen
            chosen = layers.deep_input(whole, input_widths)
        network = partial(factory, dataset.inputs[-1], hidden, cell=chosen, embedding=symbols, **options)
        if not output_widths:
            return network(outputs)
        return models.deep_output(network, output_widths, outputs, init_scale=options["init_scale"])

    return build


BUILDERS: dict[str, Builder] = {
    "linear": _plain(models.linear),
    "mlp": _plain(models.mlp),
    "maxout_mlp": _plain(models.maxout_mlp),
    "rbf_network": _rbf_network,
    "graph": _graph,
    "gated_mlp": _plain(models.gated_mlp),
    "mixture_of_experts": _mixture_of_experts,
    "soft_tree": _soft_tree,
    "deep_autoencoder": _deep_autoencoder,
    "cnn": _plain(models.cnn),
    "conv_net": _conv_net,
    "pixel_labeler": _plain(models.pixel_labeler),
    "recurrent_refinement": _plain(models.recurrent_refinement),
    "sequence_classifier": _recurrent(models.sequence_classifier),
    "sequence_labeler": _recurrent(models.sequence_labeler),
    "grid_recurrent": _grid_recurrent,
    "character_model": lambda dataset, _, **options: models.character_model(dataset.inputs[0], **options),
    "seq2seq": lambda dataset, outputs, **options: models.seq2seq(
        dataset.inputs[0], outputs=outputs, **options
    ),
    "tree_net": _tree_net,
    "gumbel_tree": _latent_tree(models.gumbel_tree),
    "chart_tree": _latent_tree(models.chart_tree),
}
"""What builds the network of each family, from the data set, the number of outputs and [model]'s options."""


CELL_MAKERS = {
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
    return CELL_MAKERS[options.pop("kind")](**options)


def sizes_of(dataset: Dataset) -> tuple[int | None, ...]:
    """The shape of an example, its sizes ``None`` where examples have sizes of their own (a mask)."""
    if dataset.train.mask is None:
        return dataset.inputs
    return (*(None,) * (dataset.train.x.ndim - 2), dataset.inputs[-1])


def center_candidates(dataset: Dataset, units: int) -> np.ndarray:
    """Training examples ``(n, features)`` among which centers are drawn: spread evenly, 16 for each unit.

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


def _require_fit(family: Family, dataset: Dataset) -> None:
    fits = that_fit(dataset.input, dataset.task)
    if family.kind not in fits:
        raise ValueError(
            f"model.kind: {family.kind!r} cannot be trained on {dataset.name} ({dataset.input} inputs, "
            f"{dataset.task}); allowed: {', '.join(fits) or 'none'}"
        )
    own_sizes = dataset.train.mask is not None and dataset.input in ("image", "volume")
    if own_sizes and not family.own_sizes:
        allowed = ", ".join(k for k, f in FAMILIES.items() if f.own_sizes and k in BUILDERS)
        raise ValueError(
            f"model.kind: {family.kind!r} takes {dataset.input}s of one size, those of {dataset.name} have "
            f"sizes of their own; allowed: {allowed}"
        )
