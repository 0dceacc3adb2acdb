"""A convolutional autoencoder, whose maps grow smaller on the way to the code in one of several ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp

from dlnotes.checks import all_positive, chosen, positive
from dlnotes.layers import random
from dlnotes.layers.activations import activation as activation_named
from dlnotes.layers.convolutional.convolution import Convolution, conv, init_convolution
from dlnotes.layers.convolutional.convolution_variants import transposed_convolve
from dlnotes.layers.convolutional.pooling import max_pool, upsample
from dlnotes.layers.convolutional.unpooling import max_unpool, switched_max_pool
from dlnotes.layers.feedforward.dense import Dense, add_bias, dense, init_dense
from dlnotes.models.model import Model
from dlnotes.typing import Array, PRNGKey

FORMS = ("nearest", "switches", "strided", "whole")
Form = Literal["nearest", "switches", "strided", "whole"]


class ConvAutoencoder(NamedTuple):
    """Parameters of a convolutional autoencoder, the same shapes for "nearest", "switches" and "strided".

    Attributes:
      encoder: the convolutions, of the first stage first.
      code: `Dense` from the maps, laid out flat, to the code.
      maps: `Dense` from the code to the maps.
      decoder: the convolutions back, of the last stage first; the kernel of a transposed one is (*window,
        out, in).
      output: the convolution from the last maps to the channels of the input.
    """

    encoder: tuple[Convolution, ...]
    code: Dense
    maps: Dense
    decoder: tuple[Convolution, ...]
    output: Convolution


class Encoded(NamedTuple):
    """What an encoder gives.

    Attributes:
      code: ``(batch, units)``.
      switches: the places of the maxima, of each stage, with the form "switches"; else none.
    """

    code: Array
    switches: tuple[Array, ...] = ()


class ConvHalves(NamedTuple):
    """A convolutional autoencoder in parts, each a function of `ConvAutoencoder` parameters.

    Attributes:
      encode: ``encode(params, x) -> Encoded``.
      decode: ``decode(params, encoded) -> logits (batch, inputs)``; with the form "switches" of any switches,
        those of another example too.
    """

    encode: Callable[[ConvAutoencoder, Any], Encoded]
    decode: Callable[[ConvAutoencoder, Encoded], Array]


def conv_autoencoder(
    inputs: Sequence[int],
    code: int,
    *,
    form: Form = "nearest",
    channels: Sequence[int] = (8, 16),
    kernel: int = 3,
    activation: str = "relu",
    initializer: str = "he_normal",
    init_scale: float | Array = 1.0,
) -> Model:
    """An autoencoder of convolutions, ``x → maps → code → maps → x̂``; parameters: `ConvAutoencoder`.

    After each convolution of the encoder the maps are halved along every axis, and in the decoder doubled
    before each convolution but the last, which gives the output:

    * "nearest": max-pooling, and back by repeating every position: where a maximum was is lost;
    * "switches": max-pooling, and back to the place where each maximum was, which the encoder passes on
      beside the code (more than the code: see `switch_bits`);
    * "strided": convolutions of stride 2, and transposed ones back;
    * "whole": no change of size.

    Its output is what an output unit takes, one number for each input.

    Args:
      inputs: shape of an example, (*sizes, channels); but for "whole" the sizes are halved once a stage
        and must be divisible so often.
      code: units of the code, linear.
      form: see above.
      channels: maps of each stage.
      kernel: width of every kernel along every axis, odd.
      activation: of every layer but the code and the output.
      initializer: a name in ``layers.INITIALIZERS``.
      init_scale: multiplier of every initial weight; may be a traced scalar.

    Returns:
      A model with output ``(batch, inputs)``.

    Raises:
      ValueError: on sizes or names that are not allowed.

    Source: notes C6.13; Masci et al., 2011; Zhao et al., 2015 (switches).

    Example:
      >>> import jax
      >>> model = conv_autoencoder((8, 8, 1), 5)
      >>> params = model.init(jax.random.key(0))
      >>> model.apply(params, jnp.ones((2, 8, 8, 1))).shape
      (2, 64)
    """
    shape, widths, left = _shapes(inputs, channels, form, kernel)
    positive(code=code)
    window = (kernel,) * (len(shape) - 1)
    encode, decode = conv_autoencoder_halves(
        inputs, form=form, channels=channels, kernel=kernel, activation=activation
    )
    how: dict[str, Any] = {"initializer": initializer, "init_scale": init_scale}
    flat = prod(left) * widths[-1]

    def init(key: PRNGKey, /) -> ConvAutoencoder:
        up, down, last, two = random.split(key, 4)
        encoder = tuple(
            init_convolution(k, window, a, b, **how)
            for k, a, b in zip(random.split(up, len(widths)), (shape[-1], *widths), widths)
        )
        decoder = []
        for k, a, b in zip(random.split(down, len(widths)), widths[::-1], (*widths[-2::-1], widths[0])):
            drawn = init_convolution(k, window, a, b, **how)
            if form == "strided":
                drawn = drawn._replace(K=jnp.swapaxes(drawn.K, -1, -2))
            decoder.append(drawn)
        one, other = random.split(two, 2)
        return ConvAutoencoder(
            encoder,
            init_dense(one, flat, code, **how),
            init_dense(other, code, flat, **how),
            tuple(decoder),
            init_convolution(last, window, widths[0], shape[-1], **how),
        )

    def apply(
        params: ConvAutoencoder, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None
    ) -> Array:
        if mask is not None:
            raise ValueError("mask: an autoencoder takes inputs of one size only, allowed is None")
        return decode(params, encode(params, x))

    return Model(init, apply)


def conv_autoencoder_halves(
    inputs: Sequence[int],
    *,
    form: Form = "nearest",
    channels: Sequence[int] = (8, 16),
    kernel: int = 3,
    activation: str = "relu",
) -> ConvHalves:
    """The encoder and the decoder of a `conv_autoencoder` with the same arguments.

    Args:
      inputs, form, channels, kernel, activation: as there.

    Raises:
      ValueError: as there.
    """
    shape, widths, left = _shapes(inputs, channels, form, kernel)
    g = activation_named(activation)

    def encode(params: ConvAutoencoder, x: Any) -> Encoded:
        if x.shape[1:] != shape:
            raise ValueError(f"x: got shape {x.shape}, allowed is (batch, {', '.join(map(str, shape))})")
        h, switches = x, []
        for layer in params.encoder:
            stride = 2 if form == "strided" else 1
            h = g(conv(layer, h, stride=stride, padding=kernel // 2))
            if form == "nearest":
                h = max_pool(h, 2)
            elif form == "switches":
                h, where = switched_max_pool(h, 2)
                switches.append(where)
        return Encoded(dense(params.code, h.reshape(len(h), -1)), tuple(switches))

    def decode(params: ConvAutoencoder, encoded: Encoded) -> Array:
        n = encoded.code.shape[0]
        h = g(dense(params.maps, encoded.code)).reshape(n, *left, widths[-1])
        for i, layer in enumerate(params.decoder):
            if form == "strided":
                h = transposed_convolve(h, layer.K, stride=2, padding=kernel // 2, output_padding=1)
                h = add_bias(h, layer.b)
            else:
                if form == "nearest":
                    h = upsample(h, 2)
                elif form == "switches":
                    h = max_unpool(h, encoded.switches[-1 - i], 2)
                h = conv(layer, h, padding=kernel // 2)
            h = g(h)
        return conv(params.output, h, padding=kernel // 2).reshape(n, -1)

    return ConvHalves(encode, decode)


def _shapes(
    inputs: Sequence[int], channels: Sequence[int], form: str, kernel: int
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The shape of an example, the maps of each stage and the sizes after the last, all checked."""
    chosen("form", form, dict.fromkeys(FORMS))
    shape = all_positive("inputs", inputs)
    widths = all_positive("channels", channels)
    positive(kernel=kernel)
    if not 2 <= len(shape) <= 4:
        raise ValueError(f"inputs: got {inputs}, allowed are 1 to 3 sizes and the channels")
    if not widths:
        raise ValueError("channels: got none, allowed is at least one stage")
    if kernel % 2 == 0:
        raise ValueError(f"kernel: got {kernel}, allowed is an odd width")
    by = 1 if form == "whole" else 2 ** len(widths)
    if any(m % by for m in shape[:-1]):
        raise ValueError(
            f"inputs: got sizes {shape[:-1]}, allowed with {len(widths)} stages are multiples of {by}"
        )
    return shape, widths, tuple(m // by for m in shape[:-1])
