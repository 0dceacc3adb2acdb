"""Representations learned layer by layer without labels: learners of one layer, and what stacks them."""

from dlnotes.door import open_module, open_package
from dlnotes.pretraining import deep_belief_net, deep_boltzmann_machine
from dlnotes.pretraining.annealed_importance import (
    LogPartition,
    annealed_importance,
    base_rates,
    salakhutdinov_betas,
)
from dlnotes.pretraining.autoencoder import AutoencoderState, autoencoder
from dlnotes.pretraining.corruption import corrupt
from dlnotes.pretraining.deep_annealing import annealed_importance_dbm
from dlnotes.pretraining.deep_autoencoder import Unrolled, by_blocks, squared_errors, unroll
from dlnotes.pretraining.deep_boltzmann_learner import dbm, doubled_rbm, doubled_stack, with_starts
from dlnotes.pretraining.deep_boltzmann_machine import DBMParams
from dlnotes.pretraining.greedy import dense_layers, encode, greedy, greedy_layers, member_of, to_mlp
from dlnotes.pretraining.learner import Encoder, Learner
from dlnotes.pretraining.principal_components import PCAParams, PCAState, pca
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
from dlnotes.pretraining.reconstruction import AutoencoderParams, bernoulli_kl, squared_jacobian
from dlnotes.pretraining.sparse_codes import fista, ista, largest_eigenvalue, shrink, sparse_objective
from dlnotes.pretraining.sparse_coding import (
    SparseCodingParams,
    SparseCodingState,
    dictionary_update,
    sparse_coding,
)
from dlnotes.pretraining.train import LayerState, LayerTraining, TrainedLayer, train

__all__ = [
    "AutoencoderParams",
    "AutoencoderState",
    "Chains",
    "DBMParams",
    "Encoder",
    "GaussianRBMParams",
    "LayerState",
    "LayerTraining",
    "Learner",
    "LogPartition",
    "PCAParams",
    "PCAState",
    "RBMParams",
    "RBMState",
    "SparseCodingParams",
    "SparseCodingState",
    "TrainedLayer",
    "Unrolled",
    "annealed_importance",
    "annealed_importance_dbm",
    "autoencoder",
    "base_rates",
    "bernoulli_kl",
    "by_blocks",
    "corrupt",
    "dbm",
    "deep_belief_net",
    "deep_boltzmann_machine",
    "dense_layers",
    "dictionary_update",
    "doubled_rbm",
    "doubled_stack",
    "encode",
    "energy",
    "fista",
    "free_energy",
    "greedy",
    "greedy_layers",
    "hidden_means",
    "ista",
    "largest_eigenvalue",
    "log_likelihood",
    "log_partition",
    "member_of",
    "pca",
    "pseudo_log_likelihood",
    "rbm",
    "salakhutdinov_betas",
    "sample",
    "shrink",
    "sparse_coding",
    "sparse_objective",
    "squared_errors",
    "squared_jacobian",
    "to_mlp",
    "train",
    "unroll",
    "visible_means",
    "with_starts",
]

open_package(globals())
open_module(deep_belief_net)
open_module(deep_boltzmann_machine)
