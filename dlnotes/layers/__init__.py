"""Pure functions of arrays: the layers from which the models are put together.

Each name is loaded on first use. To add one, add a line to ``_HOME``: public name, module.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    # activations
    "ACTIVATIONS": "activations",
    "absolute": "activations",
    "activation": "activations",
    "elu": "activations",
    "gelu": "activations",
    "hard_tanh": "activations",
    "identity": "activations",
    "leaky_relu": "activations",
    "prelu": "activations",
    "relu": "activations",
    "sigmoid": "activations",
    "silu": "activations",
    "softplus": "activations",
    "tanh": "activations",
    # initializers
    "INITIALIZERS": "initializers",
    "initializer": "initializers",
    # dense
    "Dense": "dense_layer",
    "dense": "dense_layer",
    "init_dense": "dense_layer",
    "Factored": "factored",
    "factored_dense": "factored",
    "init_factored": "factored",
    # sparse
    "connections": "sparse",
    "init_masked_dense": "sparse",
    "masked_dense": "sparse",
    # maxout
    "maxout": "maxout_unit",
    "dense_maxout": "maxout_unit",
    "conv_maxout": "maxout_unit",
    # radial basis
    "RBF": "rbf_unit",
    "init_rbf": "rbf_unit",
    "rbf": "rbf_unit",
    # softmax as a switch
    "soft_read": "switch",
    "soft_switch": "switch",
    # convolution
    "Convolution": "convolution",
    "conv": "convolution",
    "convolve": "convolution",
    "init_convolution": "convolution",
    "circulant": "convolution_matrix",
    "circulant_eigenvalues": "convolution_matrix",
    "doubly_block_circulant": "convolution_matrix",
    "periodic_convolution": "convolution_matrix",
    "toeplitz": "convolution_matrix",
    "LocallyConnected": "convolution_kinds",
    "depthwise": "convolution_kinds",
    "init_locally_connected": "convolution_kinds",
    "locally_connected": "convolution_kinds",
    "transposed_convolve": "convolution_kinds",
    "ReceptiveField": "geometry",
    "Geometry": "geometry",
    "Window": "geometry",
    "output_size": "geometry",
    "receptive_field": "geometry",
    "stack_geometry": "geometry",
    # padded signals of different sizes
    "masked_adaptive_pool": "masked",
    "masked_group_norm": "masked",
    "masked_mean": "masked",
    # recurrent cells, and what runs them
    "Cell": "cell",
    "cell_of": "recurrent",
    "deep_input": "deep_cells",
    "deep_transition": "deep_cells",
    "delayed": "slow_cells",
    "grid_rnn": "grid_recurrent",
    "gru": "recurrent",
    "init_grid_rnn": "grid_recurrent",
    "leaky": "slow_cells",
    "lstm": "recurrent",
    "lstm_variant": "lstm_variants",
    "output_recurrent": "plain_cells",
    "plain_cell": "plain_cells",
    "recurrent_cell": "recurrent",
    "reservoir": "echo_state",
    "ridge_readout": "echo_state",
    "rnn": "recurrent",
    "teacher_forced": "plain_cells",
    "unroll": "recurrent",
    # pooling
    "adaptive_pool": "pooling_kinds",
    "avg_pool": "pooling",
    "channel_max_pool": "pooling_kinds",
    "Regions": "clustered_pooling",
    "cluster_locations": "clustered_pooling",
    "clustered_pool": "clustered_pooling",
    "LearnedPooling": "learned_pooling",
    "init_learned_pooling": "learned_pooling",
    "learned_pool": "learned_pooling",
    "POOLINGS": "convolution_stage",
    "conv_stage": "convolution_stage",
    "distance_weighted_pool": "pooling_kinds",
    "global_avg_pool": "pooling",
    "l2_pool": "pooling",
    "max_pool": "pooling",
    "upsample": "pooling_kinds",
    # random
    "dropout": "random",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
