"""What the arguments of losses, metrics and output units must fulfill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlnotes.door.opening import Fit
from dlnotes.door.shapes import fit_together

_CLASSES = {"y": "batch *positions", "logits": "batch *positions classes"}


def _scores(given: Mapping[str, Any]) -> None:
    """One score for each target, or one for each class."""
    logits, y = given["logits"], given["y"]
    if logits.size != y.size or logits.shape[:1] != y.shape[:1]:
        fit_together(_CLASSES, given)
    else:
        fit_together({"y": "batch *positions"}, given)


def _one_score(name: str) -> Fit:
    def check(given: Mapping[str, Any]) -> None:
        z, y = given[name], given["y"]
        if z.size != y.size or z.shape[:1] != y.shape[:1] or not y.ndim:
            raise ValueError(
                f"{name}: got shape {tuple(z.shape)}, allowed is (batch,) or (batch, 1), one number for "
                f"each of the targets y of shape {tuple(y.shape)}"
            )

    return check


def _over_steps(given: Mapping[str, Any]) -> None:
    fit_together({"y": "batch *positions", "output": "batch *positions steps classes"}, given)


FITS: dict[str, Fit] = {
    "cross_entropy": _CLASSES,
    "accuracy": _CLASSES,
    "exact_match": _CLASSES,
    "hinge": _scores,
    "brier": _scores,
    "binary_cross_entropy": _one_score("logits"),
    "clipped_linear_nll": _one_score("z"),
    "distillation": _CLASSES | {"teacher": "batch *positions classes"},
    "imitation": {"prediction": "batch outputs", "y": "batch outputs", "teacher": "batch outputs"},
    "over_steps": _over_steps,
    "target_count": {"y": "batch ..."},
    "mean_of": {"weight": "batch", "measured.total": "batch", "measured.count": "batch"},
}
"""What the arguments of a function must fulfill, by its name; the others check themselves."""

REAL = {
    **dict.fromkeys(("cross_entropy", "accuracy", "exact_match", "hinge", "brier"), ("logits",)),
    "binary_cross_entropy": ("logits",),
    "distillation": ("logits", "teacher"),
    "imitation": ("prediction", "teacher"),
    **dict.fromkeys(("dependence", "distance_correlations"), ("h",)),
    "clipped_linear_nll": ("z",),
    "over_steps": ("output",),
    "mean_of": ("weight",),
    **dict.fromkeys(("laplace_nll", "gaussian_nll", "squared_error", "absolute_error"), ("prediction",)),
    "pinball": ("prediction",),
    "bernoulli_nll": ("logits", "y"),
    **dict.fromkeys(("heteroscedastic_nll", "full_covariance_nll", "mixture_nll", "likelihood"), ("raw",)),
    **dict.fromkeys(("heteroscedastic", "full_covariance", "mixture"), ("raw",)),
    **dict.fromkeys(("full_mixture", "full_mixture_nll"), ("raw",)),
    **dict.fromkeys(("shared_precision", "shared_precision_nll"), ("raw",)),
    "frames_nll": ("raw", "y"),
    "cost_functional": ("f", "y", "p"),
    "functional_minimum": ("y", "p"),
    "logit": ("p",),
    **dict.fromkeys(("complement", "sigmoid_slope"), ("z",)),
    **dict.fromkeys(("above_maximum", "strongest_wrong_share"), ("logits",)),
    **dict.fromkeys(("tempered_softmax", "argmax_error_bound"), ("logits",)),
    "mixture_gradients": ("logits", "location", "scale", "y"),
    "scale_gradient": ("x", "factor"),
    "scaled_mixture_nll": ("raw", "y"),
}
"""Parameters whose whole numbers are numbers on a scale."""
