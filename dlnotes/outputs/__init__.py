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
from dlnotes.outputs.functional import cost_functional, functional_minimum
from dlnotes.outputs.logistic import complement, logit, sigmoid_slope
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
from dlnotes.outputs.mixture_gradients import (
    MixtureGradients,
    mixture_gradients,
    scale_gradient,
    scaled_mixture_nll,
)
from dlnotes.outputs.penalized import Penalized, penalized, unpenalized
from dlnotes.outputs.scored import Scored, scored, unscored
from dlnotes.outputs.segmentation import boundary_f, confusion, mean_iou
from dlnotes.outputs.soft_bits import SoftBernoulli, bernoulli_nll
from dlnotes.outputs.softmax_limits import (
    above_maximum,
    argmax_error_bound,
    strongest_wrong_share,
    tempered_softmax,
)
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
    "MixtureGradients",
    "Normal",
    "Penalized",
    "PerExample",
    "Reconstruction",
    "Scored",
    "SoftBernoulli",
    "Targets",
    "Unit",
    "above_maximum",
    "absolute_error",
    "accuracy",
    "argmax_error_bound",
    "bernoulli_nll",
    "binary_cross_entropy",
    "boundary_f",
    "bracket_f1",
    "brier",
    "clipped_linear_nll",
    "complement",
    "confusion",
    "cost_functional",
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
    "functional_minimum",
    "gaussian_nll",
    "heteroscedastic",
    "heteroscedastic_nll",
    "hinge",
    "imitation",
    "joint_loss",
    "laplace_nll",
    "likelihood",
    "logit",
    "mean_iou",
    "mean_of",
    "mixture",
    "mixture_gradients",
    "mixture_nll",
    "of_task",
    "over_steps",
    "penalized",
    "pinball",
    "scale_gradient",
    "scaled_mixture_nll",
    "scored",
    "segmentation",
    "self_agreement",
    "shared_precision",
    "shared_precision_nll",
    "sigmoid_slope",
    "squared_error",
    "strongest_wrong_share",
    "target_count",
    "tempered_softmax",
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
