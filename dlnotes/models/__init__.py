"""Whole networks: a factory from plain hyperparameters to a `Model`, one file a family."""

from dlnotes.models.aligned import aligned_sequences, write_aligned
from dlnotes.models.convolution_stages import Stage, conv_net
from dlnotes.models.convolutional import cnn
from dlnotes.models.deep_readout import deep_output
from dlnotes.models.encoder_decoder import seq2seq
from dlnotes.models.ended_sequences import sequence_distribution, write_sequences
from dlnotes.models.feedforward import linear, maxout_mlp, mlp
from dlnotes.models.flax_module import from_flax
from dlnotes.models.found_trees import chart_parse, chart_tree, gumbel_parse, gumbel_tree
from dlnotes.models.grid_recurrent_net import grid_recurrent
from dlnotes.models.layer_graph import graph
from dlnotes.models.mirrored_answers import mirrored
from dlnotes.models.model import Model
from dlnotes.models.pair_decoding import beam_decode, greedy_decode, mixed_targets, sample_decode
from dlnotes.models.pixel_labels import pixel_labeller
from dlnotes.models.radial_basis import rbf_network
from dlnotes.models.refinement import recurrent_refinement
from dlnotes.models.sequence import character_model, mixed_inputs, sequence_classifier, sequence_labeller
from dlnotes.models.tree import tree_net

__all__ = [
    "Model",
    "Stage",
    "aligned_sequences",
    "beam_decode",
    "character_model",
    "chart_parse",
    "chart_tree",
    "cnn",
    "conv_net",
    "deep_output",
    "from_flax",
    "graph",
    "greedy_decode",
    "grid_recurrent",
    "gumbel_parse",
    "gumbel_tree",
    "linear",
    "maxout_mlp",
    "mirrored",
    "mixed_inputs",
    "mixed_targets",
    "mlp",
    "pixel_labeller",
    "rbf_network",
    "recurrent_refinement",
    "sample_decode",
    "seq2seq",
    "sequence_classifier",
    "sequence_distribution",
    "sequence_labeller",
    "tree_net",
    "write_aligned",
    "write_sequences",
]
