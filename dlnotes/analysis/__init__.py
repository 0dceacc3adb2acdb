"""What is known of a network as it is.

Its parameters, multiply-adds and the bytes that they move are counted, its linear regions and receptive
fields found, its gradients followed through time, linear classifiers fitted to what its layers give.
"""

from dlnotes.analysis import boolean_functions, recurrent_dynamics, region_bounds, sorted_structures
from dlnotes.analysis.counting import Counts, LayerCounts, by_layer, count, multiply_adds, parameters
from dlnotes.analysis.curvature import cosine_between, curvature_along, hessian_product
from dlnotes.analysis.exact_fit import ExactFit, RationalFit, exact_fit, rational_fit
from dlnotes.analysis.gradient_by_step import gradient_by_step, variance_shares
from dlnotes.analysis.gradient_flow import back_from_the_end, norms_back, step_jacobians
from dlnotes.analysis.linear_probe import (
    LinearProbe,
    linear_probe,
    probe_accuracy,
    separable,
    separating_margin,
)
from dlnotes.analysis.linear_regions import Slice, on_line, on_slice
from dlnotes.analysis.queues import mean_waiting, utilization, waiting_times
from dlnotes.analysis.region_bounds import maxout_regions, relu_regions
from dlnotes.analysis.traffic import LayerTraffic, bytes_moved, traffic
from dlnotes.door import open_package

__all__ = [
    "Counts",
    "ExactFit",
    "LayerCounts",
    "LayerTraffic",
    "LinearProbe",
    "RationalFit",
    "Slice",
    "back_from_the_end",
    "boolean_functions",
    "by_layer",
    "bytes_moved",
    "cosine_between",
    "count",
    "curvature_along",
    "exact_fit",
    "gradient_by_step",
    "hessian_product",
    "linear_probe",
    "maxout_regions",
    "mean_waiting",
    "multiply_adds",
    "norms_back",
    "on_line",
    "on_slice",
    "parameters",
    "probe_accuracy",
    "rational_fit",
    "recurrent_dynamics",
    "region_bounds",
    "relu_regions",
    "separable",
    "separating_margin",
    "sorted_structures",
    "step_jacobians",
    "traffic",
    "utilization",
    "variance_shares",
    "waiting_times",
]

open_package(globals())
