"""Output units as distributions, and the losses and metrics derived from them."""

from dlnotes.door import open_class, open_package
from dlnotes.outputs import door, segmentation
from dlnotes.outputs.bracket_f1 import bracket_f1, self_agreement
from dlnotes.outputs.dependence import dependence, distance_correlations
from dlnotes.outputs.distillation import distillation, imitation
from dlnotes.outputs.distributions import (
    Bernoulli,
    Categorical,
    DiagonalNormal,
    FullNormal,
    Laplace,
    Mixture,
    Normal,
)
from dlnotes.outputs.edit_distance import error_rates
from dlnotes.outputs.frames import frames_nll
from dlnotes.outputs.full_mixture import (
    FullMixture,
    full_mixture,
    full_mixture_nll,
    full_mixture_size,
    shared_precision,
    shared_precision_nll,
)
from dlnotes.outputs.losses import (
    LOSSES,
    LossFn,
    PerExample,
    absolute_error,
    binary_cross_entropy,
    brier,
    clipped_linear_nll,
    cross_entropy,
    full_covariance_nll,
    gaussian_nll,
    heteroscedastic_nll,
    hinge,
    laplace_nll,
    likelihood,
    mean_of,
    mixture_nll,
    over_steps,
    pinball,
    squared_error,
    target_count,
)
from dlnotes.outputs.metrics import METRICS, accuracy, exact_match
from dlnotes.outputs.penalized import Penalized, penalized, unpenalized
from dlnotes.outputs.scored import Scored, scored, unscored
from dlnotes.outputs.segmentation import boundary_f, confusion, mean_iou
from dlnotes.outputs.soft_bits import SoftBernoulli, bernoulli_nll
from dlnotes.outputs.targets import Reconstruction, Targets, joint_loss, of_task
from dlnotes.outputs.units import UNITS, Unit, full_covariance, heteroscedastic, mixture, unit

__all__ = [
    "LOSSES",
    "METRICS",
    "UNITS",
    "Bernoulli",
    "Categorical",
    "DiagonalNormal",
    "FullMixture",
    "FullNormal",
    "Laplace",
    "LossFn",
    "Mixture",
    "Normal",
    "Penalized",
    "PerExample",
    "Reconstruction",
    "Scored",
    "SoftBernoulli",
    "Targets",
    "Unit",
    "absolute_error",
    "accuracy",
    "bernoulli_nll",
    "binary_cross_entropy",
    "boundary_f",
    "bracket_f1",
    "brier",
    "clipped_linear_nll",
    "confusion",
    "cross_entropy",
    "dependence",
    "distance_correlations",
    "distillation",
    "error_rates",
    "exact_match",
    "frames_nll",
    "full_covariance",
    "full_covariance_nll",
    "full_mixture",
    "full_mixture_nll",
    "full_mixture_size",
    "gaussian_nll",
    "heteroscedastic",
    "heteroscedastic_nll",
    "hinge",
    "imitation",
    "joint_loss",
    "laplace_nll",
    "likelihood",
    "mean_iou",
    "mean_of",
    "mixture",
    "mixture_nll",
    "of_task",
    "over_steps",
    "penalized",
    "pinball",
    "scored",
    "segmentation",
    "self_agreement",
    "shared_precision",
    "shared_precision_nll",
    "squared_error",
    "target_count",
    "unit",
    "unpenalized",
    "unscored",
]

open_package(globals(), door.FITS, real=door.REAL)
for _kind in (
    Bernoulli,
    Categorical,
    DiagonalNormal,
    FullMixture,
    FullNormal,
    Laplace,
    Mixture,
    Normal,
    SoftBernoulli,
):
    open_class(_kind)
