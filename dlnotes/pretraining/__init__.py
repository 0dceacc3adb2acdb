"""Representations learned layer by layer without labels: learners of one layer, and what stacks them."""

from dlnotes.door import open_package
from dlnotes.pretraining.learner import Encoder, Learner
from dlnotes.pretraining.rbm import RBMParams, free_energy, hidden_means, visible_means

__all__ = [
    "Encoder",
    "Learner",
    "RBMParams",
    "free_energy",
    "hidden_means",
    "visible_means",
]

open_package(globals())
