"""Convolution in one, two and three dimensions, channels last.

On CPU the gradient is the trap: the weight gradient that plain autodiff derives keeps unusual
dimension numbers inside a compiled loop and runs an order of magnitude slower. There the gradient
is written as two more convolutions of the canonical kind (channels last, kernel (k, k, in, out)),
and so is the gradient of the gradient: a stride of one is a dilation of the others. In three
dimensions the taps along the first axis become channels of a 2-D convolution, and channels that do
not mix are sums of shifted products or convolutions of their own. Elsewhere the compiler's own
convolution is used as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dlnotes.layers.feedforward.dense import add_bias
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

    Reverse-mode gradients of any order, vmap and bfloat16 work on every platform. On CPU there is no
    forward mode (``jax.jvp``), unless each channel is a group of its own.

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
    steps = _Steps(strides, pads, (1,) * n, dilations)
    # Branches are chosen when the program is lowered for a platform: nothing is decided at run time.
    return lax.platform_dependent(
        x, kernel, cpu=partial(_on_cpu, steps, groups), default=partial(_compilers_own, steps, groups)
    )


class _Steps(NamedTuple):
    """How a window walks: ``spread`` is the distance of the input's values, ``dilations`` of the kernel's."""

    strides: tuple[int, ...]
    pads: Pads
    spread: tuple[int, ...]
    dilations: tuple[int, ...]


def _compilers_own(steps: _Steps, groups: int, x: Array, kernel: Array) -> Array:
    """The reference formulation, and the fast one wherever the compiler knows better than on CPU."""
    return lax.conv_general_dilated(
        x,
        kernel,
        *steps,
        dimension_numbers=_LAYOUT[x.ndim - 2],
        feature_group_count=groups,
    )


def _on_cpu(steps: _Steps, groups: int, x: Array, kernel: Array) -> Array:
    if groups > 1 and kernel.shape[-2] == 1:
        return _channel_by_channel(steps, x, kernel)
    if groups > 1:
        parts = zip(jnp.split(x, groups, -1), jnp.split(kernel, groups, -1))
        return jnp.concatenate([_on_cpu(steps, 1, *part) for part in parts], -1)
    if x.ndim == 5:
        return _plane_by_plane(steps, x, kernel)
    return _canonical(steps, x, kernel)


def _taps(x: Array, steps: _Steps, window: Sequence[int]) -> list[Array]:
    """For each tap of the window along the first axes, what it meets in ``x`` at all places."""
    n = len(window)
    x = jnp.pad(x, ((0, 0), *steps.pads[:n], *((0, 0),) * (x.ndim - 1 - n)))
    walks = []
    for size, k, s, d in zip(x.shape[1:], window, steps.strides, steps.dilations):
        places = (size - d * (k - 1) - 1) // s + 1
        walks.append([slice(d * t, d * t + s * (places - 1) + 1, s) for t in range(k)])
    return [x[(slice(None), *tap)] for tap in product(*walks)]


def _channel_by_channel(steps: _Steps, x: Array, kernel: Array) -> Array:
    """Depthwise: nothing is summed over channels, so it is a sum of shifted products."""
    each = kernel.shape[-1] // x.shape[-1]
    taps = _taps(x if each == 1 else jnp.repeat(x, each, -1), steps, kernel.shape[:-2])
    weights = kernel.reshape(-1, 1, kernel.shape[-1])
    total = taps[0] * jnp.broadcast_to(weights[0], taps[0].shape)
    for tap, weight in zip(taps[1:], weights[1:]):
        total = total + tap * jnp.broadcast_to(weight, tap.shape)
    return total


def _plane_by_plane(steps: _Steps, x: Array, kernel: Array) -> Array:
    """3-D: the planes that a kernel spans are laid side by side as channels, then each is a 2-D image."""
    stacked = jnp.concatenate(_taps(x, steps, kernel.shape[:1]), -1)
    flat = jnp.moveaxis(kernel, 0, 2).reshape(*kernel.shape[1:3], -1, kernel.shape[-1])
    planes = stacked.reshape(-1, *stacked.shape[2:])
    strides, pads, spread, dilations = steps
    y: Any = _canonical(_Steps(strides[1:], pads[1:], spread[1:], dilations[1:]), planes, flat)
    return y.reshape(*stacked.shape[:2], *y.shape[1:])


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _canonical(steps: _Steps, x: Array, kernel: Array) -> Array:
    """Cross-correlation whose gradients are again calls of this function."""
    return _one_by_one(steps)(x, kernel)


def _forward(steps: _Steps, x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return _canonical(steps, x, kernel), (x, kernel)


def _backward(steps: _Steps, saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel = saved
    axes = tuple(range(x.ndim - 2))
    full, same = [], []
    for i, (stride, (before, _), spread, dilation) in enumerate(zip(*steps)):
        size = spread * (x.shape[1 + i] - 1) + 1
        reach = dilation * (kernel.shape[i] - 1) + 1
        out = stride * (g.shape[1 + i] - 1) + 1
        full.append((reach - 1 - before, size + before - out))
        # A negative number where the last windows did not reach the end.
        same.append((before, out + reach - 1 - size - before))
    strides, _, spreads, dilations = steps
    # dx: g against the kernel turned round, in and out exchanged ("full" where forward was "valid").
    turned = jnp.swapaxes(lax.rev(kernel, axes), -1, -2)
    dx: Any = _canonical(_Steps(spreads, tuple(full), strides, dilations), g, turned)
    # dK: x against g, with the channels as the batch and the batch as the channels.
    across = _Steps(dilations, tuple(same), spreads, strides)
    dK: Any = _canonical(across, jnp.swapaxes(x, 0, -1), jnp.moveaxis(g, 0, -2))
    return dx, jnp.moveaxis(dK, 0, -2)


_canonical.defvjp(_forward, _backward)


def _one_by_one(steps: _Steps) -> Any:
    """The convolution with its own rule for vmap: a grouped convolution, the usual one, is slow on CPU."""

    @jax.custom_batching.custom_vmap
    def convolution(x: Array, kernel: Array) -> Array:
        return _compilers_own(steps, 1, x, kernel)

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
