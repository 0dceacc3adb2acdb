"""Affine and convolutional layers in whole numbers of 8 bits or fewer, for inference.

A weight is ``s_o q`` with a whole number q and a scale s_o of its output. An input is ``s_x (q_x − z)``, with
a scale and a zero point known from a calibration, or ``s_x q_x`` with the scale of its example. Products and
sums are exact whole numbers of 32 bits. Only the result is scaled back, once for each output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from dlnotes.jax_internals import is_traced
from dlnotes.layers.convolutional.convolution import Convolution, _pads, _per_axis, _Steps, _taps
from dlnotes.layers.feedforward.dense import Dense, add_bias
from dlnotes.typing import Array, Weight

MOST_TERMS = (2**31 - 1) // (255 * 127)
"""Products of an input and a weight that a sum of 32 bits holds, whatever they are: 66,311."""

LOWEST = -128
"""The smallest number of 8 bits."""


class InputScale(NamedTuple):
    """How inputs of a layer are written in 8 bits: ``x ≈ scale · (q − zero)``, q in −128 … 127.

    Attributes:
      scale: ``()`` float32, positive.
      zero: ``()`` int32, the q of 0. It is −128 where no input is negative, as after a ReLU: then all 256
        numbers are used, and none of them for a sign.
    """

    scale: Array
    zero: Array


class QuantizedDense(NamedTuple):
    """Parameters of ``z = s_x s_o (q_x − zero) q + b``.

    Attributes:
      q: ``(inputs, outputs)`` int8.
      scale: ``(outputs,)`` float32, s_o; one number repeated where all outputs share it.
      b: ``(outputs,)`` float32, or ``None`` for 0.
      sums: ``(outputs,)`` int32, ``Σ_i q_io``.
      inputs: how inputs are written; ``None`` takes the scale of each example as it comes.
    """

    q: Array
    scale: Array
    b: Array | None
    sums: Array
    inputs: InputScale | None


class QuantizedConvolution(NamedTuple):
    """Parameters of a convolution likewise.

    Attributes:
      q: ``(*window, in, out)`` int8.
      scale, b, sums, inputs: as of `QuantizedDense`.
    """

    q: Array
    scale: Array
    b: Array | None
    sums: Array
    inputs: InputScale | None


def most(bits: int) -> int:
    """The largest whole number of so many bits: ``2^{bits−1} − 1``, the smallest is its negative.

    Raises:
      ValueError: when it is not 2 to 8.

    >>> most(8), most(2)
    (127, 1)
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"bits: got {bits}, allowed are 2 to 8")
    return 2 ** (bits - 1) - 1


def to_whole(x: Array, scale: Array, bits: int = 8) -> Array:
    """``round(x / s)`` in the range of so many bits, int8; half goes to the even number."""
    top = most(bits)
    return jnp.clip(jnp.round(x / scale), -top, top).astype(jnp.int8)


def scale_of(x: Array, bits: int = 8, *, axis: int | tuple[int, ...] | None = None) -> Array:
    """``s = max |x| / (2^{bits−1} − 1)`` over some axes, which keep the length 1; 1 where all are zero."""
    return _positive(jnp.max(jnp.abs(x), axis=axis, keepdims=axis is not None) / most(bits))


def _positive(scale: Array) -> Array:
    """Scales in float32; 1 where one is 0, or so small that nothing can be divided by it. NaN stays NaN."""
    return jnp.where(scale < np.finfo(np.float32).tiny, 1.0, scale).astype(jnp.float32)


def calibrated(x: Array, *, share: float = 0.999) -> InputScale:
    """How the inputs of a layer are written in 8 bits, from examples of them.

    The 256 numbers are spread from the smaller of 0 and the value with a share of the examples above it, to
    the larger of 0 and the value with that share below it. What lies beyond is cut off. Zero is always one of
    them, so padding costs nothing.

    Args:
      x: inputs of the layer, any shape, not empty.
      share: in (0.5, 1].

    Raises:
      ValueError: when there are none, or the share is not allowed.

    Example:
      >>> import jax.numpy as jnp
      >>> scale, zero = calibrated(jnp.array([0.0, 51.0, 255.0]), share=1.0)
      >>> float(scale), int(zero)
      (1.0, -128)

    Source: notes L13.1; Jacob et al., 2018, 2.1.
    """
    if not x.size:
        raise ValueError("x: got no numbers, examples are needed for a calibration")
    if not 0.5 < share <= 1:
        raise ValueError(f"share: got {share}, allowed is above 0.5 and at most 1")
    x = x.astype(jnp.float32).reshape(-1)
    low, high = jnp.quantile(x, jnp.array([1 - share, share], jnp.float32))
    low, high = jnp.minimum(low, 0.0), jnp.maximum(high, 0.0)
    scale = _positive((high - low) / 255)
    zero = jnp.clip(jnp.round(LOWEST - low / scale), LOWEST, -LOWEST - 1)
    return InputScale(scale, zero.astype(jnp.int32))


def quantize_dense(
    params: Dense, *, bits: int = 8, per_output: bool = True, inputs: InputScale | None = None
) -> QuantizedDense:
    """An affine layer in whole numbers: ``q_io = round(W_io / s_o)``, ``s_o = max_i |W_io| / most(bits)``.

    Args:
      params: `Dense`, of any floating dtype.
      bits: 2 to 8, of the weights.
      per_output: one scale for each output, or one for all.
      inputs: from `calibrated`; ``None`` finds a scale for each example when it comes.

    Raises:
      ValueError: when a weight is not finite, or a sum of 32 bits might not hold the products.

    Source: notes L13.1; Vanhoucke, Senior and Mao, 2011.

    Example:
      >>> import jax.numpy as jnp
      >>> from dlnotes.layers import Dense
      >>> quantize_dense(Dense(jnp.array([[1.0], [-0.5]]), jnp.zeros(1))).q.ravel().tolist()
      [127, -64]
    """
    q, scale, sums = quantize_weights(params.W, bits, per_output)
    return QuantizedDense(q, scale, jnp.asarray(params.b, jnp.float32), sums, inputs)


def quantize_convolution(
    params: Convolution, *, bits: int = 8, per_output: bool = True, inputs: InputScale | None = None
) -> QuantizedConvolution:
    """A convolution in whole numbers; arguments and errors as of `quantize_dense`.

    Example:
      >>> import jax.numpy as jnp
      >>> from dlnotes.layers import Convolution
      >>> quantize_convolution(Convolution(jnp.array([[[2.0]], [[-1.0]]]), jnp.zeros(1))).q.ravel().tolist()
      [127, -64]
    """
    q, scale, sums = quantize_weights(params.K, bits, per_output)
    return QuantizedConvolution(q, scale, jnp.asarray(params.b, jnp.float32), sums, inputs)


def quantize_weights(W: Weight, bits: int, per_output: bool) -> tuple[Array, Array, Array]:
    """The q, scale and sums of weights ``(…, outputs)``.

    Raises:
      ValueError: as `quantize_dense`.
    """
    W = jnp.asarray(W, jnp.float32)
    terms = int(np.prod(W.shape[:-1]))
    most(bits)
    if terms > MOST_TERMS:
        raise ValueError(f"params: {terms} inputs of an output, allowed are at most {MOST_TERMS}")
    if not is_traced(W) and not bool(jnp.isfinite(W).all()):
        raise ValueError("params: hold a weight that is not finite")
    axes = tuple(range(W.ndim - 1))
    scale = scale_of(W, bits, axis=axes if per_output else None)
    q = to_whole(W, scale, bits)
    scale = jnp.broadcast_to(scale.reshape(-1), W.shape[-1:])
    return q, scale, q.astype(jnp.int32).sum(axes)


def _whole_inputs(x: Array, inputs: InputScale | None, axes: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Inputs as whole numbers, with the scale of each example and their zero."""
    if inputs is None:
        s = scale_of(x, axis=axes)
        return to_whole(x, s), s, jnp.zeros((), jnp.int8)
    q = jnp.round(x / inputs.scale) + inputs.zero.astype(jnp.float32)
    whole = jnp.clip(q, LOWEST, -LOWEST - 1).astype(jnp.int8)
    return whole, inputs.scale.reshape((1,) * x.ndim), inputs.zero.astype(jnp.int8)


def quantized_dense(params: QuantizedDense, x: Array) -> Array:
    """``z = s_x s_o (q_x − zero) q + b``, its product exact in 32 bits.

    For inputs that are not cut off, and weights that were ``W``,
    ``|z − (x W + b)| ≤ Σ_i (|x_i| s_o + |W_io| s_x) / 2 + inputs · s_x s_o / 4``.

    Args:
      params: `QuantizedDense`.
      x: ``(..., inputs)`` floats.

    Returns:
      ``(..., outputs)`` float32. With a scale known beforehand an input NaN is cut off like any other.

    Raises:
      ValueError: when the last axis of ``x`` is not ``inputs``.

    Example:
      >>> import jax.numpy as jnp
      >>> from dlnotes.layers import Dense
      >>> layer = quantize_dense(Dense(jnp.array([[2.0], [-1.0]]), jnp.ones(1)))
      >>> [round(float(z), 2) for z in quantized_dense(layer, jnp.array([[3.0, 1.0]]))[0]]
      [6.0]
    """
    if x.shape[-1] != params.q.shape[0]:
        raise ValueError(
            f"x: got {x.shape[-1]} features, q of shape {params.q.shape} takes {params.q.shape[0]}"
        )
    q, s, zero = _whole_inputs(x.astype(jnp.float32), params.inputs, (-1,))
    return _affine(params, params.q, q, s, zero)


def _affine(
    params: QuantizedDense | QuantizedConvolution, matrix: Array, q: Array, s: Array, zero: Array
) -> Array:
    """The product over the last axis, scaled back, and the bias."""
    over = (((q.ndim - 1,), (0,)), ((), ()))
    total = lax.dot_general(q, matrix, over, preferred_element_type=jnp.int32)
    if params.inputs is not None:
        total = total - jnp.broadcast_to(zero.astype(jnp.int32) * params.sums, total.shape)
    z = total.astype(jnp.float32) * jnp.broadcast_to(s, total.shape)
    z = z * jnp.broadcast_to(params.scale, total.shape)
    return z if params.b is None else add_bias(z, params.b)


def quantized_conv(
    params: QuantizedConvolution,
    x: Array,
    *,
    padding: str | int | Sequence[tuple[int, int]] = "SAME",
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
) -> Array:
    """A convolution in whole numbers, as one product of all windows with the kernel.

    Args:
      params: `QuantizedConvolution`.
      x: ``(batch, *sizes, in)`` floats, with one, two or three sizes.
      padding: "SAME", "VALID", a number for both sides of every axis, or a (before, after) pair per axis.
      stride, dilation: one for all axes or one per axis.

    Returns:
      ``(batch, *new sizes, out)`` float32.

    Raises:
      ValueError: when shapes or options do not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> from dlnotes.layers import Convolution
      >>> layer = quantize_convolution(Convolution(jnp.array([[[2.0]], [[-1.0]]]), jnp.ones(1)))
      >>> z = quantized_conv(layer, jnp.array([[[3.0], [1.0], [0.0]]]), padding="VALID")
      >>> [round(float(v), 1) for v in z.ravel()]
      [6.0, 3.0]
    """
    *window, maps, out = params.q.shape
    n = len(window)
    if x.ndim != n + 2 or x.shape[-1] != maps:
        sizes = ", ".join("size" for _ in window)
        raise ValueError(
            f"x: got shape {x.shape}, q of shape {params.q.shape} takes (batch, {sizes}, {maps})"
        )
    strides, dilations = _per_axis("stride", stride, n), _per_axis("dilation", dilation, n)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilations, window))
    pads = _pads(padding, x.shape[1:-1], reach, strides)
    if any(size + sum(pad) < r for size, pad, r in zip(x.shape[1:-1], pads, reach)):
        raise ValueError(
            f"params.q: got window {tuple(window)}, larger than the padded input {x.shape[1:-1]} + {pads}"
        )
    q, s, zero = _whole_inputs(x.astype(jnp.float32), params.inputs, tuple(range(1, x.ndim)))
    around = [(before, after, 0) for before, after in ((0, 0), *pads, (0, 0))]
    steps = _Steps(strides, ((0, 0),) * n, (1,) * n, dilations)
    windows = jnp.concatenate(_taps(lax.pad(q, zero, around), steps, window), axis=-1)
    return _affine(params, params.q.reshape(-1, out), windows, s, zero)


class Multiplier(NamedTuple):
    """A positive factor in whole numbers, ``M₀ · 2^{−n}``.

    Attributes:
      M0: int32, in ``[2^30, 2^31)``, or 0.
      n: int32.
    """

    M0: Any
    n: Any


def multiplier(factor: Any) -> Multiplier:
    """Factors as whole numbers, to 31 bits; what is below ``2^{−32}`` is 0, as whatever it multiplies.

    Raises:
      ValueError: when one is not positive and below 1.

    Example:
      >>> M0, n = multiplier(0.375)
      >>> float(M0 * 2.0**-n)
      0.375
    """
    factor = np.asarray(factor, np.float64)
    if not ((factor > 0) & (factor < 1)).all():
        raise ValueError(f"factor: got {factor}, allowed is above 0 and below 1")
    mantissa, exponent = np.frexp(factor)
    M0 = np.rint(mantissa * 2**31).astype(np.int64)
    over = M0 == 2**31
    M0, n = np.where(over, 2**30, M0), 31 - exponent - over
    return Multiplier(np.where(n > 62, 0, M0), np.minimum(n, 62))


def requantize(total: np.ndarray, factor: Multiplier, bits: int = 8) -> np.ndarray:
    """``round(total · M₀ · 2^{−n})`` in the range of so many bits, by whole numbers alone; half to even.

    What a processor without floating point does between two layers.

    Args:
      total: int32, any shape.
      factor: of each output, its last axis.
      bits: of the result.

    Example:
      >>> requantize(np.array([8, -8, 4, 1000]), multiplier(0.375)).tolist()
      [3, -3, 2, 127]
    """
    top = most(bits)
    product = np.asarray(total, np.int64) * np.asarray(factor.M0, np.int64)
    n = np.asarray(factor.n, np.int64)
    low = np.right_shift(product, n)
    rest = product - np.left_shift(low, n)
    half = np.left_shift(np.int64(1), n - 1)
    up = (rest > half) | ((rest == half) & (low & 1 == 1))
    return np.clip(low + up, -top, top).astype(np.int8)
