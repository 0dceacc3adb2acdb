"""What the arguments of the layers must fulfill: shapes that fit together, and a batch axis where one is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import Any

import jax.numpy as jnp

from dlnotes.door.given import as_array
from dlnotes.door.opening import Fit, opened
from dlnotes.door.shapes import fit_together
from dlnotes.layers.recurrent.cell import Cell
from dlnotes.layers.recurrent.lstm_gru import GRUParams, LSTMParams
from dlnotes.layers.recurrent.rnn import LinearRNNParams, ReluRNNParams, RNNParams
from dlnotes.layers.recursive.cells import TreeCell

ELEMENTWISE = (
    "absolute", "cosine", "elu", "erf", "gelu", "hard_tanh", "identity", "leaky_relu", "odd_bump", "prelu",
    "relu", "relu_with_slope", "sigmoid", "silu", "sine_plus", "smooth_unit", "softplus", "tanh",
)  # fmt: skip
"""Functions of numbers on a scale, for which a whole number is one too."""

_AFFINE = {"params.W": "inputs outputs", "params.b": ("outputs", ""), "x": "... inputs"}
_KERNEL = {"params.K": "+window inputs outputs", "params.b": ("outputs", "")}
_MASKED = {"x": "batch *sizes channels", "mask": "batch *sizes"}


def _one_size_each(size: str) -> Callable[[Mapping[str, Any]], None]:
    """A check that signals (batch, positions, channels) are told from an image without its batch axis.

    Args:
      size: the argument that is one number for all axes, or a number for each.
    """

    def check(given: Mapping[str, Any]) -> None:
        x, value = given["x"], given.get(size, 2)
        if x.ndim < 3:
            raise ValueError(f"x: got shape {x.shape}, allowed is (batch, at least one size, channels)")
        if x.ndim == 3 and isinstance(value, int):
            raise ValueError(
                f"x: got shape {x.shape}, an image without its batch axis or a batch of signals; allowed is "
                f"x[None] for one image, {size}=({value},) for signals (batch, positions, channels)"
            )

    return check


def _images_only(given: Mapping[str, Any]) -> None:
    x = given["x"]
    if x.ndim < 4:
        raise ValueError(
            f"x: got shape {x.shape}, allowed is (batch, two or more sizes, channels): x[None] of one image, "
            "x[:, :, None] of signals (batch, positions, channels)"
        )


def _kernel(given: Mapping[str, Any]) -> None:
    """The kernel's rank tells the number of sizes; the rest is checked by the convolution itself."""
    fit_together({"kernel": "+window inputs outputs", "x": "batch ~window channels"}, given)


def _convolution(given: Mapping[str, Any]) -> None:
    fit_together({**_KERNEL, "x": "batch ~window channels"}, given)


def _locally_connected(given: Mapping[str, Any]) -> None:
    params, x = given["params"], given["x"]
    n = params.b.ndim - 1
    if params.K.ndim != 2 * n + 2 or params.K.shape[:n] + params.K.shape[-1:] != params.b.shape:
        raise ValueError(
            f"params.K: got shape {params.K.shape}, allowed is (*sizes, *window, inputs, outputs) for b "
            f"(*sizes, outputs) of shape {params.b.shape}"
        )
    sizes = tuple(m + k - 1 for m, k in zip(params.b.shape, params.K.shape[n : 2 * n]))
    fit_together({"x": " ".join(["batch", *map(str, (*sizes, params.K.shape[-2]))])}, {"x": x})


def _unrolled(given: Mapping[str, Any]) -> None:
    check_cell(given["params"])
    of_params = getattr(given["params"], "U", None)
    if getattr(of_params, "ndim", 0) != 2:
        return
    inputs = str(of_params.shape[0])  # pyright: ignore[reportOptionalMemberAccess]
    if given.get("embedding") is not None:
        fit_together({"embedding": f"vocabulary {inputs}", "xs": "batch time"}, given)
    else:
        fit_together({"xs": f"batch time {inputs}"}, given)


_GATES = {RNNParams: 1, ReluRNNParams: 1, LinearRNNParams: 1, LSTMParams: 4, GRUParams: 3}


_GATES = {RNNParams: 1, ReluRNNParams: 1, LinearRNNParams: 1, LSTMParams: 4, GRUParams: 3}


def check_cell(params: Any) -> None:
    """Compare the parameters of a recurrent cell that has the fields U, W and b with each other."""
    if not all(hasattr(getattr(params, field, None), "shape") for field in ("U", "W", "b")):
        return
    if type(params) not in _GATES or params.W.ndim != 2:
        fit_together(
            {"params.U": "inputs gates", "params.W": "_ gates", "params.b": "gates"}, {"params": params}
        )
        return
    gates = _GATES[type(params)] * params.W.shape[0]
    shapes = {"W": f"hidden {gates}", "U": f"inputs {gates}", "b": f"{gates}", "b_n": "hidden"}
    fit_together({f"params.{field}": shape for field, shape in shapes.items()}, {"params": params})


FITS: dict[str, Fit] = {
    "prelu": {"z": "... units", "alpha": ("units", "")},
    "relu_with_slope": {"at_zero": ""},
    "smooth_unit": {"params.frequencies": "waves", "params.phases": "waves"},
    "dense": _AFFINE,
    "dense_maxout": _AFFINE,
    "masked_dense": {**_AFFINE, "mask": "inputs outputs"},
    "factored_dense": {
        "params.U": "inputs rank",
        "params.V": "rank outputs",
        "params.b": ("outputs", ""),
        "x": "... inputs",
    },
    "quantize_dense": {"params.W": "inputs outputs", "params.b": ("outputs", "")},
    "quantize_convolution": {"params.K": "+window inputs outputs", "params.b": ("outputs", "")},
    "rbf": {"params.centers": "inputs units", "params.log_sigma": ("units", ""), "x": "... inputs"},
    "conv": _convolution,
    "conv_maxout": _convolution,
    "conv_stage": _convolution,
    "convolve": _kernel,
    "depthwise": _kernel,
    "transposed_convolve": _kernel,
    "locally_connected": _locally_connected,
    "max_pool": _one_size_each("window"),
    "avg_pool": _one_size_each("window"),
    "l2_pool": _one_size_each("window"),
    "distance_weighted_pool": _one_size_each("window"),
    "adaptive_pool": _one_size_each("grid"),
    "upsample": _one_size_each("factor"),
    "global_avg_pool": _images_only,
    "clustered_pool": _images_only,
    "masked_mean": _MASKED,
    "neighborhood_pool": _MASKED,
    "max_unpool": {"y": "batch *sizes channels", "switches": "batch *sizes channels"},
    "masked_adaptive_pool": _MASKED,
    "masked_group_norm": {
        "params.scale": "channels",
        "params.shift": "channels",
        **_MASKED,
    },
    "grid_rnn": {
        "params.U": "4 inputs hidden",
        "params.W": "4 _ hidden",
        "params.b": "4 hidden",
        "x": "batch height width inputs",
        "mask": "batch height width",
    },
    "teacher_forced": {
        "params.U": "inputs hidden",
        "params.W": "outputs hidden",
        "params.b": "hidden",
        "params.V": "hidden outputs",
        "params.c": "outputs",
        "xs": "batch time inputs",
        "ys": "batch time outputs",
        "first": "batch outputs",
    },
    "unroll": _unrolled,
    "mean_field": {"logits": "batch height width classes", "image": "batch height width channels"},
    "gated_dense": {
        "params.W": "inputs units",
        "params.b": ("units", ""),
        "x": "batch inputs",
        "u": "batch blocks",
    },
    "connected_regions": {"labels": "batch height width"},
    "cluster_locations": {"strength": "batch +sizes", "mask": "batch +sizes"},
}
"""What the arguments of a layer must fulfill, by its name; the others check themselves or take any shape."""

REAL = {
    **dict.fromkeys(ELEMENTWISE, ("z", "alpha")),
    **dict.fromkeys(("dense", "dense_maxout", "masked_dense", "factored_dense", "rbf"), ("x",)),
    **dict.fromkeys(("conv", "conv_maxout", "conv_stage", "locally_connected", "grid_rnn"), ("x",)),
    **dict.fromkeys(("convolve", "depthwise", "transposed_convolve"), ("x", "kernel")),
    **dict.fromkeys(("quantized_dense", "quantized_conv", "calibrated"), ("x",)),
    **dict.fromkeys(("avg_pool", "l2_pool", "distance_weighted_pool", "global_avg_pool"), ("x",)),
    "dropout": ("x",),
    "teacher_forced": ("xs", "ys", "first"),
    "softmax": ("scores",),
    "masked_softmax": ("scores",),
    "soft_switch": ("logits",),
    "soft_read": ("memory", "logits"),
    "bernoulli_gate": ("logits",),
    "hard_read": ("memory", "logits"),
    "gated_dense": ("x",),
    "additive_scores": ("v", "query", "keys"),
    **dict.fromkeys(("rbf_kernel", "polynomial_kernel"), ("x", "z")),
    **dict.fromkeys(("polynomial_features", "fourier_features"), ("x",)),
    "fourier_deviation": ("kernel",),
    "primal_ridge": ("features", "y"),
    "dual_ridge": ("kernel", "y"),
}
"""Parameters whose whole numbers are numbers on a scale."""


@cache
def opened_cell(cell: Cell) -> Cell:
    """A recurrent cell whose ``init`` takes any key, and whose ``step`` any numbers."""
    return cell._replace(init=_keyed(cell.init), step=_stepped(cell.step))


@cache
def opened_tree_cell(cell: TreeCell) -> TreeCell:
    """A cell of trees whose ``init`` takes any key."""
    return cell._replace(init=_keyed(cell.init))


def _keyed(init: Callable[..., Any]) -> Callable[..., Any]:
    return opened(init)


def _stepped(step: Callable[..., Any]) -> Callable[..., Any]:
    if getattr(step, "opened", False):
        return step

    @wraps(step)
    def door(params: Any, carry: Any, x: Any) -> Any:
        x = as_array(x, "x", real=not hasattr(x, "dtype") or jnp.issubdtype(x.dtype, jnp.bool_))
        check_cell(params)
        U = getattr(params, "U", None)
        if getattr(U, "ndim", 0) == 2:
            fit_together({"x": f"... {U.shape[0]}"}, {"x": x})  # pyright: ignore[reportOptionalMemberAccess]
        return step(params, carry, x)

    door.opened = True  # pyright: ignore[reportAttributeAccessIssue]
    return door
