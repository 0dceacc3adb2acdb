"""Kin of the convolution: transposed, depthwise, and locally connected (without shared weights)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.layers.convolutional.convolution import Convolution, conv, convolve
from dlnotes.layers.convolutional.geometry import Window, output_size
from dlnotes.layers.feedforward.maxout import maxout
from dlnotes.layers.initializers import initializer as rule
from dlnotes.typing import Array, PRNGKey


def transposed_convolve(
    x: Array,
    kernel: Array,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    output_padding: int = 0,
) -> Array:
    """The transpose of `convolve` as a linear map: from its outputs back to the size of its inputs.

    ``Σ y·convolve(a, K) = Σ a·transposed_convolve(y, K)`` for every a and y. Along each axis the size
    is ``S(m − 1) − 2P + D(k − 1) + output_padding + 1``: with a stride it up-samples.

    Args:
      x: ``(batch, *sizes, out)``.
      kernel: ``(*window, in, out)``, as of the convolution that is transposed.
      stride: S of that convolution.
      padding: P of that convolution, on both sides.
      dilation: D of that convolution.
      output_padding: which of the S input sizes that give this output size is meant; less than S.

    Returns:
      ``(batch, *larger sizes, in)``.

    Raises:
      ValueError: on arguments that do not fit.

    Source: notes C7.1; Dumoulin and Visin, 2016.

    Example:
      >>> transposed_convolve(jnp.ones((1, 4, 4, 8)), jnp.ones((2, 2, 3, 8)), stride=2).shape
      (1, 8, 8, 3)
    """
    if not 0 <= output_padding < max(stride, 1):
        raise ValueError(f"output_padding: got {output_padding}, allowed is 0 to stride - 1 = {stride - 1}")
    if kernel.ndim != x.ndim or kernel.shape[-1] != x.shape[-1]:
        raise ValueError(f"kernel: got shape {kernel.shape}, x of shape {x.shape} needs (*window, in, out)")
    sizes = tuple(
        stride * (m - 1) - 2 * padding + dilation * (k - 1) + output_padding + 1
        for m, k in zip(x.shape[1:-1], kernel.shape)
    )
    like = jax.ShapeDtypeStruct((x.shape[0], *sizes, kernel.shape[-2]), x.dtype)

    def forward(a: Array) -> Array:
        return convolve(a, kernel, stride=stride, padding=padding, dilation=dilation)

    # The vjp rather than linear_transpose: on CPU the convolution brings its own rule for it.
    return jax.vjp(forward, jnp.zeros(like.shape, like.dtype))[1](x)[0]


def depthwise(x: Array, kernel: Array, **how: Any) -> Array:
    """Each channel convolved on its own: ``y[…, c·q + j] = x[…, c] ∗ K[…, c, j]``.

    Args:
      x: ``(batch, *sizes, channels)``.
      kernel: ``(*window, channels, q)``, q filters a channel.
      how: stride, padding, dilation, flip of `convolve`.

    Returns:
      ``(batch, *new sizes, channels·q)``.

    Raises:
      ValueError: when the kernel does not have a filter for each channel.
    """
    channels = x.shape[-1]
    if kernel.ndim != x.ndim or kernel.shape[-2] != channels:
        raise ValueError(
            f"kernel: got shape {kernel.shape}, x has {channels} channels: (*window, {channels}, q)"
        )
    K = kernel.reshape(*kernel.shape[:-2], 1, channels * kernel.shape[-1])
    return convolve(x, K, groups=channels, **how)


class LocallyConnected(NamedTuple):
    """Parameters of ``z[i, j, o] = Σ_{m, n, c} x[i + m, j + n, c] K[i, j, m, n, c, o] + b[i, j, o]``.

    A convolution whose kernel is a different one at every place: as sparse, but nothing is shared.

    Attributes:
      K: ``(*sizes, *window, in, out)``.
      b: ``(*sizes, out)``.
    """

    K: Array
    b: Array


def init_locally_connected(
    key: PRNGKey,
    sizes: Sequence[int],
    window: Sequence[int],
    inputs: int,
    outputs: int,
    *,
    initializer: str = "he_normal",
    init_scale: float | Array = 1.0,
) -> LocallyConnected:
    """`LocallyConnected` for inputs of ``sizes``, without padding; ``b = 0``.

    Args:
      key: of the random weights.
      sizes: of the input.
      window: of the kernels.
      inputs: channels in.
      outputs: channels out.
      initializer: a name in ``layers.INITIALIZERS``; the fan-in is that of one place.
      init_scale: multiplier of the weights.
    """
    places = tuple(output_size(m, Window(k)) for m, k in zip(sizes, window))
    draw = rule(initializer, init_scale)
    keys = jax.random.split(key, places)
    one = (*window, inputs, outputs)
    draw_all = lambda k: draw(k, one)  # noqa: E731
    for _ in places:
        draw_all = jax.vmap(draw_all)
    return LocallyConnected(draw_all(keys), jnp.zeros((*places, outputs), jnp.float32))


def locally_connected(params: LocallyConnected, x: Array) -> Array:
    """A layer of `LocallyConnected` units; equation there.

    Args:
      params: for inputs of the size of ``x``.
      x: ``(batch, *sizes, in)``.

    Returns:
      ``(batch, *(size − k + 1), out)``.

    Raises:
      ValueError: when ``x`` has another size than the parameters were made for.

    Source: notes C6.4.
    """
    n = x.ndim - 2
    places, window = params.b.shape[:-1], params.K.shape[n : 2 * n]
    if len(places) != n or tuple(m - k + 1 for m, k in zip(x.shape[1:-1], window)) != places:
        raise ValueError(
            f"x: got shape {x.shape}, the parameters are for {places} places of windows {window}"
        )
    z = params.b[None]
    for tap in product(*(range(k) for k in window)):
        shifted = x[(slice(None), *(slice(t, t + m) for t, m in zip(tap, places)))]
        weights = params.K[(slice(None),) * n + tap]
        z = z + jnp.einsum("b...c,...co->b...o", shifted, weights)
    return z


def conv_maxout(params: Convolution, x: Array, k: int, **how: Any) -> Array:
    """Convolutional maxout, ``h_i = max_j (x ∗ K + b)_{ik+j}`` at every place: groups of feature maps.

    Args:
      params: `Convolution` with ``K`` (*window, in, channels·k) and ``b`` (channels·k,).
      x: ``(batch, *sizes, in)``.
      k: pieces per unit.
      how: stride, padding … as in `convolve`.

    Returns:
      ``(batch, *new sizes, channels)``.

    Raises:
      ValueError: as `convolve` and `maxout` do.

    Source: Goodfellow et al., 2013; notes F3.3.
    """
    return maxout(conv(params, x, **how), k)
