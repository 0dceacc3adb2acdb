"""Representations learned layer by layer without labels: learners of one layer, and what stacks them."""

from dlnotes.door import open_package
from dlnotes.pretraining.annealed_importance import (
    LogPartition,
    annealed_importance,
    base_rates,
    salakhutdinov_betas,
)
from dlnotes.pretraining.greedy import dense_layers, encode, greedy, greedy_layers, member_of, to_mlp
from dlnotes.pretraining.learner import Encoder, Learner
from dlnotes.pretraining.rbm import (
    Chains,
    GaussianRBMParams,
    RBMParams,
    energy,
    free_energy,
    hidden_means,
    log_likelihood,
    log_partition,
    pseudo_log_likelihood,
    sample,
    visible_means,
)
from dlnotes.pretraining.rbm_learner import RBMState, rbm
from dlnotes.pretraining.train import LayerState, LayerTraining, TrainedLayer, train

__all__ = [
    "Chains",
    "Encoder",
    "GaussianRBMParams",
    "LayerState",
    "LayerTraining",
    "Learner",
    "LogPartition",
    "RBMParams",
    "RBMState",
    "TrainedLayer",
    "annealed_importance",
    "base_rates",
    "dense_layers",
    "encode",
    "energy",
    "free_energy",
    "greedy",
    "greedy_layers",
    "hidden_means",
    "log_likelihood",
    "log_partition",
    "member_of",
    "pseudo_log_likelihood",
    "rbm",
    "salakhutdinov_betas",
    "sample",
    "to_mlp",
    "train",
    "visible_means",
]

open_package(globals())
