"""Convolution in one, two and three dimensions, channels last.

On CPU the gradient is the trap: the weight gradient that plain autodiff derives keeps unusual
dimension numbers inside a compiled loop and runs an order of magnitude slower. There the gradient
is written as two more convolutions of the canonical kind (channels last, kernel (k, k, in, out)),
and so is the gradient of the gradient. Elsewhere the compiler's own convolution is used as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dlnotes.layers.dense_layer import add_bias
from dlnotes.layers.initializers import initializer as rule
from dlnotes.typing import Array, PRNGKey

Pads = tuple[tuple[int, int], ...]
_LAYOUT = {1: ("NHC", "HIO", "NHC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}


class Convolution(NamedTuple):
    """Parameters of ``z[i, j, o] = Σ_{m, n, c} x[i + m, j + n, c] K[m, n, c, o] + b[o]``.

    Attributes:
      K: ``(height, width, in, out)`` kernel (one axis fewer for 1-D, one more for 3-D).
      b: ``(out,)``.
    """

    K: Array
    b: Array


def init_convolution(
    key: PRNGKey,
    window: Sequence[int],
    inputs: int,
    outputs: int,
    *,
    initializer: str = "he_normal",
    init_scale: float | Array = 1.0,
) -> Convolution:
    """`Convolution` with a kernel (*window, inputs, outputs) drawn by ``initializer`` and ``b = 0``."""
    K = rule(initializer, init_scale)(key, (*window, inputs, outputs))
    return Convolution(K, jnp.zeros((outputs,), jnp.float32))


def conv(params: Convolution, x: Array, **how: Any) -> Array:
    """A convolutional layer, ``convolve(x, K) + b``; ``how`` as in `convolve`."""
    return add_bias(convolve(x, params.K, **how), params.b)


def convolve(
    x: Array,
    kernel: Array,
    *,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[tuple[int, int]] = "SAME",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    flip: bool = False,
) -> Array:
    """Cross-correlation, or with ``flip`` convolution proper, of a batch of signals with a kernel.

    ``y[i, j, o] = Σ_{m, n, c} x[S·i + D·m − P, S·j + D·n − P, c] K[m, n, c, o]``, of size
    ``⌊(size − D·(k − 1) − 1 + 2P) / S⌋ + 1`` along each axis. The number of dimensions is read off ``x``.

    Reverse-mode gradients of any order, vmap and bfloat16 work on every platform. On CPU with
    stride, dilation and groups of 1 there is no forward mode (``jax.jvp``).

    Args:
      x: ``(batch, *sizes, in)`` with one, two or three sizes.
      kernel: ``(*window, in // groups, out)``, of the dtype of ``x``.
      stride: S, one for all axes or one per axis.
      padding: "SAME", "VALID", "CIRCULAR" (as much as "SAME", the signal repeated periodically), a number
        for both sides of every axis, or a (before, after) pair per axis.
      dilation: D, the step between the kernel's taps, one for all axes or one per axis.
      groups: the channels are split into so many groups that do not mix.
      flip: True for convolution proper, in which the kernel is reversed along every axis.

    Returns:
      ``(batch, *new sizes, out)``.

    Raises:
      ValueError: on ranks, channels, dtypes or options that do not fit, and where nothing would be left.

    Source: notes C6.1, C6.2.
    """
    n = x.ndim - 2
    if n not in _LAYOUT:
        raise ValueError(f"x: got shape {x.shape}, allowed is (batch, 1 to 3 sizes, channels)")
    if kernel.ndim != x.ndim:
        raise ValueError(f"kernel: got shape {kernel.shape}, x of shape {x.shape} needs {n} sizes, in, out")
    if x.dtype != kernel.dtype:
        raise ValueError(f"kernel: got dtype {kernel.dtype}, x has {x.dtype}; the two must be the same")
    if groups < 1 or x.shape[-1] != kernel.shape[-2] * groups or kernel.shape[-1] % groups:
        raise ValueError(
            f"groups: got {groups} with {x.shape[-1]} channels and a kernel of {kernel.shape[-2]} in, "
            f"{kernel.shape[-1]} out; channels must be groups * in, and groups must divide out"
        )
    strides, dilations = _per_axis("stride", stride, n), _per_axis("dilation", dilation, n)
    window = kernel.shape[:n]
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilations, window))
    pads = _pads("SAME" if padding == "CIRCULAR" else padding, x.shape[1:-1], reach, strides)
    if padding == "CIRCULAR":
        if any(max(pad) > size for pad, size in zip(pads, x.shape[1:-1])):
            raise ValueError(f"padding: 'CIRCULAR' cannot repeat an input of {x.shape[1:-1]} to fill {pads}")
        x = jnp.pad(x, ((0, 0), *pads, (0, 0)), mode="wrap")
        pads = ((0, 0),) * n
    if any(size + sum(pad) < r for size, pad, r in zip(x.shape[1:-1], pads, reach)):
        raise ValueError(
            f"kernel: got window {window}, larger than the padded input {x.shape[1:-1]} + {pads}"
        )
    if flip:
        kernel = lax.rev(kernel, tuple(range(n)))
    general = partial(
        lax.conv_general_dilated,
        window_strides=strides,
        padding=pads,
        rhs_dilation=dilations,
        dimension_numbers=_LAYOUT[n],
        feature_group_count=groups,
    )
    if set(strides + dilations) != {1} or groups != 1:
        return general(x, kernel)
    # Branches are chosen when the program is lowered for a platform: nothing is decided at run time.
    return lax.platform_dependent(x, kernel, cpu=partial(_canonical, pads), default=general)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _canonical(pads: Pads, x: Array, kernel: Array) -> Array:
    """Cross-correlation of stride 1 whose gradients are again calls of this function."""
    return _one_by_one(pads)(x, kernel)


def _forward(pads: Pads, x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return _canonical(pads, x, kernel), (x, kernel)


def _backward(pads: Pads, saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel = saved
    n = x.ndim - 2
    sizes = tuple(range(n))
    # dx: g against the kernel turned round, in and out exchanged ("full" where forward was "valid").
    full = tuple((k - 1 - before, k - 1 - after) for k, (before, after) in zip(kernel.shape, pads))
    dx: Any = _canonical(full, g, jnp.swapaxes(lax.rev(kernel, sizes), -1, -2))
    # dK: x against g, with the channels as the batch and the batch as the channels.
    dK: Any = _canonical(pads, jnp.swapaxes(x, 0, -1), jnp.moveaxis(g, 0, -2))
    return dx, jnp.moveaxis(dK, 0, -2)


_canonical.defvjp(_forward, _backward)


def _one_by_one(pads: Pads) -> Any:
    """The convolution with its own rule for vmap: a grouped convolution, the usual one, is slow on CPU."""

    @jax.custom_batching.custom_vmap
    def convolution(x: Array, kernel: Array) -> Array:
        return lax.conv_general_dilated(
            x, kernel, (1,) * len(pads), pads, dimension_numbers=_LAYOUT[len(pads)]
        )

    @convolution.def_vmap
    def rule(size: int, batched: list[bool], x: Array, kernel: Array) -> tuple[Array, bool]:
        if all(batched):
            return lax.map(lambda pair: convolution(*pair), (x, kernel)), True
        if batched[0]:
            y = convolution(x.reshape(-1, *x.shape[2:]), kernel)
            return y.reshape(size, -1, *y.shape[1:]), True
        # One input, several kernels: one convolution with all their output channels.
        y = convolution(x, jnp.moveaxis(kernel, 0, -2).reshape(*kernel.shape[1:-1], -1))
        return jnp.moveaxis(y.reshape(*y.shape[:-1], size, -1), -2, 0), True

    return convolution


def _per_axis(name: str, value: int | Sequence[int], n: int) -> tuple[int, ...]:
    values = (value,) * n if isinstance(value, int) else tuple(value)
    if len(values) != n or any(v < 1 for v in values):
        raise ValueError(f"{name}: got {value}, allowed is a positive integer or {n} of them")
    return values


def _pads(
    padding: str | int | Sequence[tuple[int, int]],
    sizes: tuple[int, ...],
    reach: tuple[int, ...],
    strides: tuple[int, ...],
) -> Pads:
    n = len(sizes)
    if isinstance(padding, str):
        if padding not in ("SAME", "VALID"):
            raise ValueError(
                f"padding: got {padding!r}, allowed are 'SAME', 'VALID', 'CIRCULAR', a number, {n} pairs"
            )
        return tuple(lax.padtype_to_pads(sizes, reach, strides, padding))
    if isinstance(padding, int):
        padding = ((padding, padding),) * n
    pairs = tuple((int(before), int(after)) for before, after in padding)
    if len(pairs) != n or any(p < 0 for pair in pairs for p in pair):
        raise ValueError(f"padding: got {padding}, allowed are 'SAME', 'VALID', a number >= 0, {n} pairs")
    return pairs
