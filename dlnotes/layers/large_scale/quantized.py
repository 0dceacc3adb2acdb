"""Affine and convolutional layers in whole numbers of 8 bits or fewer, for inference.

A weight is ``s · q`` with a whole number q and a scale s of its output; an activation likewise, with a scale
of its example or one known from a calibration. Products and sums are exact whole numbers of 32 bits. Only
the result is scaled back, once for each output.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from dlnotes.jax_internals import is_traced
from dlnotes.layers.convolutional.convolution import Convolution
from dlnotes.layers.feedforward.dense import Dense, add_bias
from dlnotes.typing import Array

MOST_TERMS = (2**31 - 1) // 127**2
"""Products of two numbers of 8 bits that a sum of 32 bits holds, whatever they are: 133,144."""


class QuantizedDense(NamedTuple):
    """Parameters of ``z = s_x s_o (q_x q) + b``.

    Attributes:
      q: ``(inputs, outputs)`` int8.
      scale: ``(outputs,)`` float32, s_o; one number repeated where all outputs share it.
      b: ``(outputs,)`` float32.
      input_scale: ``()`` float32, s_x of every input; ``None`` takes that of each example as it comes.
    """

    q: Array
    scale: Array
    b: Array
    input_scale: Array | None


class QuantizedConvolution(NamedTuple):
    """Parameters of a convolution likewise.

    Attributes:
      q: ``(*window, in, out)`` int8.
      scale, b: ``(out,)`` float32.
      input_scale: ``()`` float32, or ``None``.
    """

    q: Array
    scale: Array
    b: Array
    input_scale: Array | None


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
    largest = jnp.max(jnp.abs(x), axis=axis, keepdims=axis is not None)
    return jnp.where(largest > 0, largest / most(bits), 1.0).astype(jnp.float32)


def calibrated_scale(x: Any, bits: int = 8, *, share: float = 0.999) -> Array:
    """The scale of the inputs of a layer, from examples: that of the value below which a share of them lie.

    Args:
      x: inputs of the layer, any shape.
      bits: of the whole numbers.
      share: in (0, 1]; the few larger ones are cut off.

    Raises:
      ValueError: when there are none, or the share is not allowed.
    """
    x = np.abs(np.asarray(x, np.float32))
    if not x.size:
        raise ValueError("x: got no numbers, examples are needed for a calibration")
    if not 0 < share <= 1:
        raise ValueError(f"share: got {share}, allowed is above 0 and at most 1")
    largest = float(np.quantile(x, share))
    return jnp.asarray(largest / most(bits) if largest > 0 else 1.0, jnp.float32)


def _checked(W: Array, bits: int, terms: int) -> None:
    most(bits)
    if terms > MOST_TERMS:
        raise ValueError(f"params: {terms} inputs of an output, allowed are at most {MOST_TERMS}")
    if not is_traced(W) and not bool(jnp.isfinite(W).all()):
        raise ValueError("params: hold a weight that is not finite")


def quantize_dense(
    params: Dense, *, bits: int = 8, per_output: bool = True, input_scale: Array | None = None
) -> QuantizedDense:
    """An affine layer in whole numbers: ``q_io = round(W_io / s_o)``, ``s_o = max_i |W_io| / most(bits)``.

    Args:
      params: `Dense`, of any floating dtype.
      bits: 2 to 8.
      per_output: one scale for each output, or one for all.
      input_scale: from `calibrated_scale`; ``None`` finds that of each example when it comes.

    Raises:
      ValueError: when a weight is not finite, or a sum of 32 bits might not hold the products.

    Source: notes L13.1; Vanhoucke, Senior and Mao, 2011.

    Example:
      >>> import jax.numpy as jnp
      >>> from dlnotes.layers import Dense
      >>> quantize_dense(Dense(jnp.array([[1.0], [-0.5]]), jnp.zeros(1))).q.ravel().tolist()
      [127, -64]
    """
    W: Any = params.W
    b: Any = params.b
    W = W.astype(jnp.float32)
    _checked(W, bits, W.shape[0])
    scale = scale_of(W, bits, axis=0 if per_output else None)
    q = to_whole(W, scale, bits)
    return QuantizedDense(
        q, jnp.broadcast_to(scale.reshape(-1), W.shape[1:]), b.astype(jnp.float32), input_scale
    )


def quantize_convolution(
    params: Convolution, *, bits: int = 8, per_output: bool = True, input_scale: Array | None = None
) -> QuantizedConvolution:
    """A convolution in whole numbers; arguments and errors as of `quantize_dense`."""
    K = params.K.astype(jnp.float32)
    _checked(K, bits, int(np.prod(K.shape[:-1])))
    scale = scale_of(K, bits, axis=tuple(range(K.ndim - 1)) if per_output else None)
    q = to_whole(K, scale, bits)
    return QuantizedConvolution(
        q, jnp.broadcast_to(scale.reshape(-1), K.shape[-1:]), params.b.astype(jnp.float32), input_scale
    )


def _whole_inputs(x: Array, scale: Array | None, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Inputs as whole numbers, and the scale of each example."""
    s = scale_of(x, axis=axes) if scale is None else scale.reshape((1,) * x.ndim)
    return to_whole(x, s), s


def quantized_dense(params: QuantizedDense, x: Array) -> Array:
    """``z = s_x s_o (q_x q) + b``, its product exact in 32 bits.

    ``|z − (x W + b)| ≤ Σ_i (|x_i| s_o + |W_io| s_x) / 2 + inputs · s_x s_o / 4``.

    Args:
      params: `QuantizedDense`.
      x: ``(..., inputs)`` floats.

    Returns:
      ``(..., outputs)`` float32.

    Raises:
      ValueError: when the last axis of ``x`` is not ``inputs``.
    """
    if x.shape[-1] != params.q.shape[0]:
        raise ValueError(
            f"x: got {x.shape[-1]} features, q of shape {params.q.shape} takes {params.q.shape[0]}"
        )
    q, s = _whole_inputs(x.astype(jnp.float32), params.input_scale, (-1,))
    total = lax.dot_general(q, params.q, (((q.ndim - 1,), (0,)), ((), ())), preferred_element_type=jnp.int32)
    return add_bias(_scaled(total, s, params.scale), params.b)


def _scaled(total: Array, s: Array, scale: Array) -> Array:
    z = total.astype(jnp.float32) * jnp.broadcast_to(s, total.shape)
    return z * jnp.broadcast_to(scale, total.shape)


def quantized_conv(
    params: QuantizedConvolution, x: Array, *, padding: str = "SAME", stride: int = 1
) -> Array:
    """A convolution of images in whole numbers, as one product of all windows with the kernel.

    Args:
      params: `QuantizedConvolution` with a window of two sizes.
      x: ``(batch, height, width, in)`` floats.
      padding: "SAME" or "VALID".
      stride: of both axes.

    Returns:
      ``(batch, height', width', out)`` float32.

    Raises:
      ValueError: when shapes or options do not fit.
    """
    *window, maps, out = params.q.shape
    if x.ndim != 4 or len(window) != 2 or x.shape[-1] != maps:
        raise ValueError(f"x: got shape {x.shape}, q of shape {params.q.shape} takes (batch, h, w, {maps})")
    if padding not in ("SAME", "VALID"):
        raise ValueError(f"padding: got {padding!r}, allowed are 'SAME' and 'VALID'")
    q, s = _whole_inputs(x.astype(jnp.float32), params.input_scale, (1, 2, 3))
    pads = lax.padtype_to_pads(x.shape[1:3], window, (stride, stride), padding)
    q = jnp.pad(q, ((0, 0), *pads, (0, 0)))
    sizes = [(n - k) // stride + 1 for n, k in zip(q.shape[1:3], window)]
    taps = [
        q[:, i : i + (sizes[0] - 1) * stride + 1 : stride, j : j + (sizes[1] - 1) * stride + 1 : stride]
        for i in range(window[0])
        for j in range(window[1])
    ]
    windows = jnp.concatenate(taps, axis=-1)
    kernel = params.q.reshape(-1, out)
    total = lax.dot_general(windows, kernel, (((3,), (0,)), ((), ())), preferred_element_type=jnp.int32)
    return add_bias(_scaled(total, s, params.scale), params.b)


class Multiplier(NamedTuple):
    """A positive factor in whole numbers, ``M₀ · 2^{−n}``.

    Attributes:
      M0: int32, in ``[2^30, 2^31)``.
      n: int32.
    """

    M0: Any
    n: Any


def multiplier(factor: Any) -> Multiplier:
    """Factors as whole numbers, to 31 bits.

    Raises:
      ValueError: when one is not positive and below 1.
    """
    factor = np.asarray(factor, np.float64)
    if not ((factor > 0) & (factor < 1)).all():
        raise ValueError(f"factor: got {factor}, allowed is above 0 and below 1")
    mantissa, exponent = np.frexp(factor)
    M0 = np.rint(mantissa * 2**31).astype(np.int64)
    over = M0 == 2**31
    return Multiplier(np.where(over, 2**30, M0), 31 - exponent - over)


def requantize(total: np.ndarray, factor: Multiplier, bits: int = 8) -> np.ndarray:
    """``round(total · M₀ · 2^{−n})`` in the range of so many bits, by whole numbers alone; half to even.

    What a processor without floating point does between two layers.

    Args:
      total: int32, any shape.
      factor: of each output, its last axis.
      bits: of the result.
    """
    top = most(bits)
    product = np.asarray(total, np.int64) * np.asarray(factor.M0, np.int64)
    n = np.asarray(factor.n, np.int64)
    low = np.right_shift(product, n)
    rest = product - np.left_shift(low, n)
    half = np.left_shift(np.int64(1), n - 1)
    up = (rest > half) | ((rest == half) & (low & 1 == 1))
    return np.clip(low + up, -top, top).astype(np.int8)
