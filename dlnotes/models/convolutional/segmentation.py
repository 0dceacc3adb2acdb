"""Networks that label every pixel: an encoder–decoder, a coarse grid enlarged, or full size throughout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from dlnotes.checks import all_positive, chosen, positive, shares
from dlnotes.layers import random
from dlnotes.layers.activations import activation as activation_named
from dlnotes.layers.convolutional.convolution import Convolution, conv, convolve, init_convolution
from dlnotes.layers.convolutional.crf import MeanField, init_mean_field, mean_field
from dlnotes.layers.convolutional.pooling import max_pool, upsample
from dlnotes.layers.feedforward.dense import add_bias
from dlnotes.layers.initializers import initializer as initializer_named
from dlnotes.layers.normalization import LayerNorm, layer_norm
from dlnotes.models.feedforward.mlp import keys_or_none
from dlnotes.models.model import Model
from dlnotes.typing import Array, PRNGKey

FORMS = {
    "encoder_decoder": "stages with pooling; back up with the maps of each size beside",
    "coarse": "stages with pooling; the labels of the small grid are enlarged",
    "full_size": "stages with pooling of stride 1; dilated kernels see as far as with pooling",
}


class PixelLabeler(NamedTuple):
    """Parameters of a network with one answer per pixel.

    A layer is ``h = g(norm(x ∗ K) + b)``. Stage s, of maps ``h_s``, begins with ``pool(h_{s−1})``. In an
    encoder–decoder the way back is ``u_s = layers([up(u_{s+1}), h_s])`` from ``u_S = h_S``, the brackets
    putting maps side by side; the answer is ``z = u_0 ∗ V + c``, a 1×1 kernel. "coarse" answers
    ``z = up(h_S ∗ V + c)``. "full_size" answers ``z = h_S ∗ V + c``; its pooling has stride 1, and kernels
    of stage s are dilated by ``2^s``, the pooling windows (3×3) before it by ``2^(s−1)``.

    Attributes:
      encoder: for each stage, for each of its layers, a `Convolution` (kernel, kernel, in, out).
      decoder: likewise, the smallest maps first; empty but for an encoder–decoder.
      norms: for each stage of both, in that order, for each layer a `LayerNorm` or ``None``.
      output: `Convolution` V (1, 1, in, outputs) and c.
      field: the conditional random field that smooths the answers, or ``None``.
    """

    encoder: tuple[tuple[Convolution, ...], ...]
    decoder: tuple[tuple[Convolution, ...], ...]
    norms: tuple[tuple[LayerNorm | None, ...], ...]
    output: Convolution
    field: MeanField | None


def pixel_labeler(
    inputs: Sequence[int],
    outputs: int,
    *,
    form: str = "encoder_decoder",
    channels: Sequence[int] = (16, 32, 64),
    kernel: int = 3,
    convolutions: int = 1,
    activation: str = "relu",
    normalization: str = "none",
    dropout: float | Array = 0.0,
    mean_field: int = 0,
    initializer: str = "he_normal",
    init_scale: float | Array = 1.0,
) -> Model:
    """A network with the logits of every pixel's class; equation and parameters: `PixelLabeler`.

    Inside, the image is filled up with zeros below and to the right until its sides can be halved
    between all stages; the answer is cut back. The same parameters take images of any size.

    Args:
      inputs: shape of an example, (height, width, channels); only the channels matter to the parameters.
      outputs: number of classes.
      form: "encoder_decoder", "coarse" or "full_size".
      channels: maps of each stage; between two stages there is pooling.
      kernel: height and width of every kernel, odd.
      convolutions: layers per stage, on the way down and back.
      activation: a name in ``layers.ACTIVATIONS``.
      normalization: "none", or "layer" over all maps of an example.
      dropout: rate on the smallest maps (the last stage's).
      mean_field: updates of a mean-field approximation that smooths the answers; 0 for none. Its
        parameters are trained with the rest.
      initializer: a name in ``layers.INITIALIZERS``.
      init_scale: factor on the initial weights.

    Returns:
      ``Model(init, apply)``; ``apply`` takes ``(batch, height, width, channels)`` and returns
      ``(batch, height, width, outputs)``.

    Raises:
      ValueError: on sizes or names that are not allowed.

    Source: notes C7.1, C7.3; Ronneberger, Fischer and Brox, 2015; Giusti et al., 2013 (full size).

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> model = pixel_labeler((21, 30, 1), 5, channels=(4, 8))
      >>> model.apply(model.init(jax.random.key(0)), jnp.ones((2, 21, 30, 1))).shape
      (2, 21, 30, 5)
    """
    inputs, channels = all_positive("inputs", inputs), all_positive("channels", channels)
    if len(inputs) != 3:
        raise ValueError(f"inputs: got {inputs}, allowed is (height, width, channels)")
    if not channels:
        raise ValueError("channels: got none, allowed is the number of maps of at least one stage")
    positive(outputs=outputs, kernel=kernel, convolutions=convolutions)
    if kernel % 2 == 0:
        raise ValueError(f"kernel: got {kernel}, allowed is an odd number (the maps keep their size)")
    if isinstance(mean_field, bool) or not isinstance(mean_field, int) or mean_field < 0:
        raise ValueError(f"mean_field: got {mean_field!r}, allowed is a number of updates, 0 for none")
    shares(dropout=dropout)
    chosen("form", form, FORMS)
    chosen("normalization", normalization, {"none": None, "layer": None})
    initializer_named(initializer)
    g = activation_named(activation)
    stages = len(channels)
    factor = 1 if form == "full_size" else 2 ** (stages - 1)

    def init(key: PRNGKey, /) -> PixelLabeler:
        key_down, key_up, key_out = random.split(key, 3)

        def stage(key: PRNGKey, before: int, count: int) -> tuple[Convolution, ...]:
            sizes = [before, *[count] * convolutions]
            return tuple(
                init_convolution(k, (kernel, kernel), a, b, initializer=initializer, init_scale=init_scale)
                for k, a, b in zip(random.split(key, convolutions), sizes, sizes[1:])
            )

        down = tuple(
            stage(random.fold_in(key_down, s), a, b)
            for s, (a, b) in enumerate(zip((inputs[2], *channels), channels))
        )
        up = ()
        if form == "encoder_decoder":
            up = tuple(
                stage(random.fold_in(key_up, s), channels[s] + channels[s - 1], channels[s - 1])
                for s in range(stages - 1, 0, -1)
            )
        norms = tuple(
            tuple(_norm(layer) if normalization == "layer" else None for layer in layers)
            for layers in (*down, *up)
        )
        last = channels[0] if form == "encoder_decoder" else channels[-1]
        output = init_convolution(
            key_out, (1, 1), last, outputs, initializer=initializer, init_scale=init_scale
        )
        # Standardized gray levels: neighbors that differ by one deviation count as unlike.
        field = init_mean_field(outputs, width=1.0) if mean_field else None
        return PixelLabeler(down, up, norms, output, field)

    def layers_of(params, norms, h: Array, dilation: int = 1) -> Array:
        for layer, norm in zip(params, norms):
            h = _dilated(h, layer.K, dilation)
            if norm is not None:
                h = layer_norm(norm, h, axes=(1, 2, 3))
            h = g(add_bias(h, layer.b))
        return h

    def apply(
        params: PixelLabeler, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None
    ) -> Array:
        if x.ndim != 4 or x.shape[-1] != inputs[2]:
            raise ValueError(f"x: got shape {x.shape}, allowed is (batch, height, width, {inputs[2]})")
        height, width = x.shape[1:3]
        filled = jnp.pad(x, ((0, 0), (0, -height % factor), (0, -width % factor), (0, 0)))
        (drop,) = keys_or_none(key, 1)
        down, up = params.norms[:stages], params.norms[stages:]
        h, kept = filled, []
        for s, (layers, norms) in enumerate(zip(params.encoder, down)):
            if s and form == "full_size":
                h = _max_around(h, 2 ** (s - 1))
            elif s:
                kept.append(h)
                h = max_pool(h, 2)
            h = layers_of(layers, norms, h, 2**s if form == "full_size" else 1)
        h = random.dropout(drop, h, dropout)
        for layers, norms in zip(params.decoder, up):
            h = layers_of(layers, norms, jnp.concatenate([upsample(h, 2), kept.pop()], axis=-1))
        z = conv(params.output, h)
        if form == "coarse" and factor > 1:
            z = upsample(z, factor, "linear")
        z = z[:, :height, :width]
        if params.field is not None:
            z = smoothed(params.field, z, x, steps=mean_field)
        return z

    return Model(init, apply)


smoothed = mean_field


def _norm(layer: Convolution) -> LayerNorm:
    return LayerNorm(jnp.ones(layer.b.shape), jnp.zeros(layer.b.shape))


def _max_around(x: Array, distance: int) -> Array:
    """Max-pooling of stride 1: the largest of 3×3 values that lie ``distance`` pixels apart.

    Written as maxima of shifted maps: several times faster with its gradient than the window operation.
    """
    for axis in (1, 2):
        pads = [(0, 0)] * 4
        pads[axis] = (distance, distance)
        wide = jnp.pad(x, pads, constant_values=jnp.asarray(-jnp.inf, x.dtype))
        size = x.shape[axis]
        parts = [
            wide[(slice(None),) * axis + (slice(start, start + size),)]
            for start in (0, distance, 2 * distance)
        ]
        x = jnp.maximum(jnp.maximum(parts[0], parts[1]), parts[2])
    return x


def _dilated(x: Array, kernel: Array, dilation: int) -> Array:
    """``convolve(x, kernel, dilation=dilation)`` as plain convolutions of the ``dilation²`` sub-grids.

    A dilated kernel never mixes pixels of different sub-grids (every dilation-th row and column), and plain
    convolutions have the fast gradient on CPU.
    """
    if dilation == 1:
        return convolve(x, kernel)
    n, height, width, maps = x.shape
    d = dilation
    padded = jnp.pad(x, ((0, 0), (0, -height % d), (0, -width % d), (0, 0)))
    rows, columns = padded.shape[1] // d, padded.shape[2] // d
    grids = padded.reshape(n, rows, d, columns, d, maps).transpose(0, 2, 4, 1, 3, 5)
    y = convolve(grids.reshape(n * d * d, rows, columns, maps), kernel)
    y = y.reshape(n, d, d, rows, columns, -1).transpose(0, 3, 1, 4, 2, 5)
    return y.reshape(n, rows * d, columns * d, -1)[:, :height, :width]
