"""Whole networks: a factory from plain hyperparameters to a `Model`, one file a family.

Each name is loaded on first use. To add one, add a line to ``_HOME``: public name, module. The
modules are named apart from the factories, so that ``models.mlp`` is always the factory.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "Model": "model",
    "WithState": "model",
    "linear": "feedforward",
    "mlp": "feedforward",
    "maxout_mlp": "feedforward",
    "rbf_network": "radial_basis",
    "graph": "layer_graph",
    "cnn": "convolutional",
    "Stage": "convolution_stages",
    "conv_net": "convolution_stages",
    "pixel_labeller": "pixel_labels",
    "recurrent_refinement": "refinement",
    "deep_output": "deep_readout",
    "from_flax": "flax_module",
    "mirrored": "mirrored_answers",
    "sequence_classifier": "sequence",
    "sequence_labeller": "sequence",
    "grid_recurrent": "grid_recurrent_net",
    "character_model": "sequence",
    "sequence_distribution": "ended_sequences",
    "write_sequences": "ended_sequences",
    "aligned_sequences": "aligned",
    "write_aligned": "aligned",
    "seq2seq": "encoder_decoder",
    "greedy_decode": "pair_decoding",
    "sample_decode": "pair_decoding",
    "mixed_targets": "pair_decoding",
    "mixed_inputs": "sequence",
    "beam_decode": "pair_decoding",
    "tree_net": "tree",
    "gumbel_tree": "found_trees",
    "gumbel_parse": "found_trees",
    "chart_tree": "found_trees",
    "chart_parse": "found_trees",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
