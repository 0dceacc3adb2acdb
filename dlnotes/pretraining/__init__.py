"""Representations learned layer by layer without labels: learners of one layer, and what stacks them."""

from dlnotes.door import open_package
from dlnotes.pretraining.greedy import dense_layers, encode, greedy, greedy_layers, member_of, to_mlp
from dlnotes.pretraining.learner import Encoder, Learner
from dlnotes.pretraining.rbm import RBMParams, free_energy, hidden_means, visible_means
from dlnotes.pretraining.train import LayerState, LayerTraining, TrainedLayer, train

__all__ = [
    "Encoder",
    "LayerState",
    "LayerTraining",
    "Learner",
    "RBMParams",
    "TrainedLayer",
    "dense_layers",
    "encode",
    "free_energy",
    "greedy",
    "greedy_layers",
    "hidden_means",
    "member_of",
    "to_mlp",
    "train",
    "visible_means",
]

open_package(globals())
