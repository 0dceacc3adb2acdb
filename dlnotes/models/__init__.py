"""Whole networks: a factory from plain hyperparameters to a `Model`, one file a family."""

from dlnotes.models.activations import activations
from dlnotes.models.convolutional.autoencoder import (
    ConvAutoencoder,
    ConvHalves,
    Encoded,
    conv_autoencoder,
    conv_autoencoder_halves,
)
from dlnotes.models.convolutional.branched import Branch, Branches, branched_net
from dlnotes.models.convolutional.cnn import CNN, cnn
from dlnotes.models.convolutional.conv_net import Stage, conv_net
from dlnotes.models.convolutional.embedded import Embedded, embedded
from dlnotes.models.convolutional.largest import Largest, largest
from dlnotes.models.convolutional.mirrored import mirrored
from dlnotes.models.convolutional.refinement import recurrent_refinement
from dlnotes.models.convolutional.segmentation import pixel_labeler
from dlnotes.models.door import forward_mode, open_models
from dlnotes.models.feedforward.as_maxout import as_maxout
from dlnotes.models.feedforward.deep_autoencoder import (
    DeepAutoencoder,
    Halves,
    autoencoder_halves,
    deep_autoencoder,
)
from dlnotes.models.feedforward.graph import Function, Layer, graph
from dlnotes.models.feedforward.mlp import MLP, MaxoutMLP, linear, maxout_mlp, mlp
from dlnotes.models.feedforward.rbf_network import RBFNetwork, rbf_network
from dlnotes.models.flax_module import from_flax
from dlnotes.models.large_scale.cascade import (
    CascadeCount,
    CascadePassage,
    cascade_counts,
    cascade_multiply_adds,
    cascade_ranking,
    cascade_thresholds,
    one_against_rest,
    recall_at,
    run_cascade,
)
from dlnotes.models.large_scale.ensemble import ensemble, finite_members, sample_outputs
from dlnotes.models.large_scale.gated_mlp import GatedMLP, gated_mlp, open_blocks
from dlnotes.models.large_scale.hard_attention import Glimpse, HardAttention, glimpse, hard_attention
from dlnotes.models.large_scale.mixture_of_experts import Experts, gate_weights, mixture_of_experts
from dlnotes.models.large_scale.quantized import Quantized, QuantizedNetwork, parameter_bytes, quantized
from dlnotes.models.large_scale.soft_tree import SoftTree, path_probabilities, soft_tree
from dlnotes.models.model import Apply, Init, Model, WithState
from dlnotes.models.recurrent.aligned import aligned_sequences, write_aligned
from dlnotes.models.recurrent.decoding import (
    attention_weights,
    beam_decode,
    greedy_decode,
    mixed_targets,
    sample_decode,
)
from dlnotes.models.recurrent.deep_output import deep_output
from dlnotes.models.recurrent.encoder_decoder import seq2seq
from dlnotes.models.recurrent.generation import beam_search, log_probability, own_inputs
from dlnotes.models.recurrent.grid import grid_recurrent
from dlnotes.models.recurrent.infilling import exact_fillings, sampled_fillings
from dlnotes.models.recurrent.sequence import (
    character_model,
    mixed_inputs,
    sequence_classifier,
    sequence_labeler,
)
from dlnotes.models.recurrent.stack_machine import stack_net
from dlnotes.models.recurrent.stopping import sequence_distribution, write_sequences
from dlnotes.models.recurrent.turing_machine import turing_net
from dlnotes.models.recursive.latent_trees import chart_parse, chart_tree, gumbel_parse, gumbel_tree
from dlnotes.models.recursive.tree_net import tree_net
from dlnotes.models.representation.shared import Noise, Shared, head, shared

__all__ = [
    "CNN",
    "MLP",
    "Apply",
    "Branch",
    "Branches",
    "CascadeCount",
    "CascadePassage",
    "ConvAutoencoder",
    "ConvHalves",
    "DeepAutoencoder",
    "Embedded",
    "Encoded",
    "Experts",
    "Function",
    "GatedMLP",
    "Glimpse",
    "Halves",
    "HardAttention",
    "Init",
    "Largest",
    "Layer",
    "MaxoutMLP",
    "Model",
    "Noise",
    "Quantized",
    "QuantizedNetwork",
    "RBFNetwork",
    "Shared",
    "SoftTree",
    "Stage",
    "WithState",
    "activations",
    "aligned_sequences",
    "as_maxout",
    "attention_weights",
    "autoencoder_halves",
    "beam_decode",
    "beam_search",
    "branched_net",
    "cascade_counts",
    "cascade_multiply_adds",
    "cascade_ranking",
    "cascade_thresholds",
    "character_model",
    "chart_parse",
    "chart_tree",
    "cnn",
    "conv_autoencoder",
    "conv_autoencoder_halves",
    "conv_net",
    "deep_autoencoder",
    "deep_output",
    "embedded",
    "ensemble",
    "exact_fillings",
    "finite_members",
    "forward_mode",
    "from_flax",
    "gate_weights",
    "gated_mlp",
    "glimpse",
    "graph",
    "greedy_decode",
    "grid_recurrent",
    "gumbel_parse",
    "gumbel_tree",
    "hard_attention",
    "head",
    "largest",
    "linear",
    "log_probability",
    "maxout_mlp",
    "mirrored",
    "mixed_inputs",
    "mixed_targets",
    "mixture_of_experts",
    "mlp",
    "one_against_rest",
    "open_blocks",
    "own_inputs",
    "parameter_bytes",
    "path_probabilities",
    "pixel_labeler",
    "quantized",
    "rbf_network",
    "recall_at",
    "recurrent_refinement",
    "run_cascade",
    "sample_decode",
    "sample_outputs",
    "sampled_fillings",
    "seq2seq",
    "sequence_classifier",
    "sequence_distribution",
    "sequence_labeler",
    "shared",
    "soft_tree",
    "stack_net",
    "tree_net",
    "turing_net",
    "write_aligned",
    "write_sequences",
]

open_models(globals())
