"""Pure functions of arrays: the layers from which the models are put together."""

from dlnotes.door import forward_mode, open_module, open_package
from dlnotes.layers import door, random
from dlnotes.layers.activations import (
    ACTIVATIONS,
    absolute,
    activation,
    elu,
    gelu,
    hard_tanh,
    identity,
    leaky_relu,
    prelu,
    relu,
    sigmoid,
    silu,
    softplus,
    tanh,
)
from dlnotes.layers.convolutional.clustered_pooling import Regions, cluster_locations, clustered_pool
from dlnotes.layers.convolutional.continuous import averaged_variance, convolve_functions
from dlnotes.layers.convolutional.convolution import Convolution, conv, convolve, init_convolution
from dlnotes.layers.convolutional.convolution_variants import (
    LocallyConnected,
    conv_maxout,
    depthwise,
    init_locally_connected,
    locally_connected,
    transposed_convolve,
)
from dlnotes.layers.convolutional.crf import MeanField, connected_regions, init_mean_field, mean_field
from dlnotes.layers.convolutional.geometry import (
    Geometry,
    ReceptiveField,
    Window,
    output_size,
    receptive_field,
    stack_geometry,
)
from dlnotes.layers.convolutional.learned_pooling import LearnedPooling, init_learned_pooling, learned_pool
from dlnotes.layers.convolutional.masked import masked_adaptive_pool, masked_group_norm, masked_mean
from dlnotes.layers.convolutional.neighborhood import neighborhood_pool
from dlnotes.layers.convolutional.pooling import (
    adaptive_pool,
    avg_pool,
    channel_max_pool,
    distance_weighted_pool,
    global_avg_pool,
    l2_pool,
    max_pool,
    upsample,
)
from dlnotes.layers.convolutional.stage import POOLINGS, conv_stage
from dlnotes.layers.convolutional.toeplitz import (
    circulant,
    circulant_eigenvalues,
    doubly_block_circulant,
    periodic_convolution,
    toeplitz,
)
from dlnotes.layers.convolutional.unpooling import Switched, max_unpool, switch_bits, switched_max_pool
from dlnotes.layers.corruption import CORRUPTIONS, corrupt
from dlnotes.layers.feedforward.dense import Dense, dense, init_dense
from dlnotes.layers.feedforward.factored import Factored, factored_dense, init_factored
from dlnotes.layers.feedforward.kernels import (
    FourierFeatures,
    dual_ridge,
    fourier_deviation,
    fourier_features,
    init_fourier_features,
    polynomial_features,
    polynomial_kernel,
    primal_ridge,
    rbf_kernel,
)
from dlnotes.layers.feedforward.maxout import dense_maxout, maxout
from dlnotes.layers.feedforward.other_units import (
    SmoothUnit,
    cosine,
    erf,
    init_smooth_unit,
    odd_bump,
    relu_with_slope,
    sine_plus,
    smooth_unit,
)
from dlnotes.layers.feedforward.rbf import RBF, init_rbf, rbf
from dlnotes.layers.feedforward.sparse import connections, init_masked_dense, masked_dense
from dlnotes.layers.feedforward.switch import soft_read, soft_switch
from dlnotes.layers.initializers import INITIALIZERS, initializer
from dlnotes.layers.large_scale.crops import bilinear_crop, crop
from dlnotes.layers.large_scale.gates import Gate, bernoulli_gate, gated_dense
from dlnotes.layers.large_scale.grouped import Groups, grouped_dense, sort_by_group
from dlnotes.layers.large_scale.hard_read import HardRead, hard_read
from dlnotes.layers.large_scale.quantized import (
    InputScale,
    Multiplier,
    QuantizedConvolution,
    QuantizedDense,
    calibrated,
    multiplier,
    quantize_convolution,
    quantize_dense,
    quantized_conv,
    quantized_dense,
    requantize,
)
from dlnotes.layers.random import bernoulli, dropout, fold_in
from dlnotes.layers.recurrent.attention import additive_scores, local_window, masked_softmax
from dlnotes.layers.recurrent.cell import Cell
from dlnotes.layers.recurrent.deep import deep_input, deep_transition
from dlnotes.layers.recurrent.echo_state import Readout, free_run, memory_curve, reservoir, ridge_readout
from dlnotes.layers.recurrent.grid import grid_rnn, init_grid_rnn
from dlnotes.layers.recurrent.leaky import delayed, leaky
from dlnotes.layers.recurrent.lstm_variants import lstm_variant
from dlnotes.layers.recurrent.rnn import (
    OutputRNNParams,
    RNNParams,
    output_recurrent,
    plain_cell,
    teacher_forced,
)
from dlnotes.layers.recurrent.unroll import cell_of, gru, lstm, recurrent_cell, rnn, unroll
from dlnotes.layers.recursive.cells import TreeCell, affine_tree, tensor_tree, tree_cell, tree_lstm
from dlnotes.layers.recursive.chart import soft_chart
from dlnotes.layers.recursive.gumbel import compose_pairs
from dlnotes.layers.recursive.schedule import count_waves
from dlnotes.layers.recursive.states import node_states

__all__ = [
    "ACTIVATIONS",
    "CORRUPTIONS",
    "INITIALIZERS",
    "POOLINGS",
    "RBF",
    "Cell",
    "Convolution",
    "Dense",
    "Factored",
    "FourierFeatures",
    "Gate",
    "Geometry",
    "Groups",
    "HardRead",
    "InputScale",
    "LearnedPooling",
    "LocallyConnected",
    "MeanField",
    "Multiplier",
    "OutputRNNParams",
    "QuantizedConvolution",
    "QuantizedDense",
    "RNNParams",
    "Readout",
    "ReceptiveField",
    "Regions",
    "SmoothUnit",
    "Switched",
    "TreeCell",
    "Window",
    "absolute",
    "activation",
    "adaptive_pool",
    "additive_scores",
    "affine_tree",
    "averaged_variance",
    "avg_pool",
    "bernoulli",
    "bernoulli_gate",
    "bilinear_crop",
    "calibrated",
    "cell_of",
    "channel_max_pool",
    "circulant",
    "circulant_eigenvalues",
    "cluster_locations",
    "clustered_pool",
    "compose_pairs",
    "connected_regions",
    "connections",
    "conv",
    "conv_maxout",
    "conv_stage",
    "convolve",
    "convolve_functions",
    "corrupt",
    "cosine",
    "count_waves",
    "crop",
    "deep_input",
    "deep_transition",
    "delayed",
    "dense",
    "dense_maxout",
    "depthwise",
    "distance_weighted_pool",
    "doubly_block_circulant",
    "dropout",
    "dual_ridge",
    "elu",
    "erf",
    "factored_dense",
    "fold_in",
    "forward_mode",
    "fourier_deviation",
    "fourier_features",
    "free_run",
    "gated_dense",
    "gelu",
    "global_avg_pool",
    "grid_rnn",
    "grouped_dense",
    "gru",
    "hard_read",
    "hard_tanh",
    "identity",
    "init_convolution",
    "init_dense",
    "init_factored",
    "init_fourier_features",
    "init_grid_rnn",
    "init_learned_pooling",
    "init_locally_connected",
    "init_masked_dense",
    "init_mean_field",
    "init_rbf",
    "init_smooth_unit",
    "initializer",
    "l2_pool",
    "leaky",
    "leaky_relu",
    "learned_pool",
    "local_window",
    "locally_connected",
    "lstm",
    "lstm_variant",
    "masked_adaptive_pool",
    "masked_dense",
    "masked_group_norm",
    "masked_mean",
    "masked_softmax",
    "max_pool",
    "max_unpool",
    "maxout",
    "mean_field",
    "memory_curve",
    "multiplier",
    "neighborhood_pool",
    "node_states",
    "odd_bump",
    "output_recurrent",
    "output_size",
    "periodic_convolution",
    "plain_cell",
    "polynomial_features",
    "polynomial_kernel",
    "prelu",
    "primal_ridge",
    "quantize_convolution",
    "quantize_dense",
    "quantized_conv",
    "quantized_dense",
    "random",
    "rbf",
    "rbf_kernel",
    "receptive_field",
    "recurrent_cell",
    "relu",
    "relu_with_slope",
    "requantize",
    "reservoir",
    "ridge_readout",
    "rnn",
    "sigmoid",
    "silu",
    "sine_plus",
    "smooth_unit",
    "soft_chart",
    "soft_read",
    "soft_switch",
    "softplus",
    "sort_by_group",
    "stack_geometry",
    "switch_bits",
    "switched_max_pool",
    "tanh",
    "teacher_forced",
    "tensor_tree",
    "toeplitz",
    "transposed_convolve",
    "tree_cell",
    "tree_lstm",
    "unroll",
    "upsample",
]

open_module(random)
open_package(
    globals(),
    door.FITS,
    real=door.REAL,
    results={Cell: door.opened_cell, TreeCell: door.opened_tree_cell},
)
