"""Representations learned layer by layer without labels: learners of one layer, and what stacks them."""

from dlnotes.door import open_package
from dlnotes.pretraining.annealed_importance import (
    LogPartition,
    annealed_importance,
    base_rates,
    salakhutdinov_betas,
)
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

__all__ = [
    "Chains",
    "Encoder",
    "GaussianRBMParams",
    "Learner",
    "LogPartition",
    "RBMParams",
    "RBMState",
    "annealed_importance",
    "base_rates",
    "energy",
    "free_energy",
    "hidden_means",
    "log_likelihood",
    "log_partition",
    "pseudo_log_likelihood",
    "rbm",
    "salakhutdinov_betas",
    "sample",
    "visible_means",
]

open_package(globals())
