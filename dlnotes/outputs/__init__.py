"""Output units as distributions, and the losses and metrics derived from them."""

from dlnotes.outputs.distributions import Bernoulli, Categorical, Normal
from dlnotes.outputs.losses import (
    LOSSES,
    METRICS,
    Measure,
    PerExample,
    absolute_error,
    accuracy,
    binary_cross_entropy,
    cross_entropy,
    exact_match,
    gaussian_nll,
    mean_of,
    squared_error,
    target_count,
)

__all__ = [
    "LOSSES",
    "METRICS",
    "Bernoulli",
    "Categorical",
    "Measure",
    "Normal",
    "PerExample",
    "absolute_error",
    "accuracy",
    "binary_cross_entropy",
    "cross_entropy",
    "exact_match",
    "gaussian_nll",
    "mean_of",
    "squared_error",
    "target_count",
]
