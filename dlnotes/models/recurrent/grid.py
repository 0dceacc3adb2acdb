"""A recurrent net in four directions over an image, with a convolution below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from dlnotes.checks import all_positive, positive, shares
from dlnotes.layers import random
from dlnotes.layers.activations import relu
from dlnotes.layers.convolutional.convolution import Convolution, conv, init_convolution
from dlnotes.layers.convolutional.masked import masked_mean, only
from dlnotes.layers.feedforward.dense import Dense, dense, init_dense
from dlnotes.layers.recurrent.grid import GridRNN, grid_rnn, init_grid_rnn
from dlnotes.models.feedforward.mlp import keys_or_none
from dlnotes.models.model import Model
from dlnotes.typing import Array, PRNGKey


class GridRecurrent(NamedTuple):
    """``x' = relu(x ∗ K + b)``, then layers ``h^l = grid(h^{l-1})`` from ``h^0 = x'``, and ``o = h V + c``.

    The answer of an image reads the mean of the states over all positions; that of a pixel its own.

    Attributes:
      convolution: `Convolution` (kernel, kernel, channels, maps).
      layers: `GridRNN` of each layer; each gives 4·hidden maps.
      output: `Dense` (4·hidden, outputs).
    """

    convolution: Convolution
    layers: tuple[GridRNN, ...]
    output: Dense


def grid_recurrent(
    inputs: Sequence[int | None],
    outputs: int,
    *,
    hidden: int = 16,
    layers: int = 1,
    channels: int = 16,
    kernel: int = 3,
    per_pixel: bool = False,
    dropout: float | Array = 0.0,
    init_scale: float | Array = 1.0,
) -> Model:
    """A convolution, then recurrent nets that cross the image from its four corners.

    Every position's states depend on the whole image, whatever its size: two distant features of the same
    map can be compared, which a few convolutions cannot.

    Args:
      inputs: shape of an example, (height, width, channels); only the channels matter.
      outputs: number of classes, or of regression outputs.
      hidden: width of each direction's state.
      layers: how many recurrent layers; from the second on each reads all four directions.
      channels: maps of the convolution below.
      kernel: height and width of its kernel, odd.
      per_pixel: an answer for every pixel, instead of one for the image.
      dropout: share dropped of what the output reads.
      init_scale: factor on the initial weights.

    Returns:
      A `Model` of `GridRecurrent`: ``x`` (batch, height, width, channels), ``mask`` (batch, height, width)
      or ``None``; output (batch, outputs), or (batch, height, width, outputs).

    Raises:
      ValueError: on sizes that are not allowed.

    Example:
      >>> import jax.numpy as jnp
      >>> model = grid_recurrent((8, 8, 1), 3, hidden=4)
      >>> model.apply(model.init(jax.random.key(0)), jnp.ones((2, 8, 8, 1))).shape
      (2, 3)

    Source: notes R10.2; Graves et al., 2007; Visin et al., 2015.
    """
    if len(inputs) != 3 or inputs[-1] is None:
        raise ValueError(f"inputs: got {tuple(inputs)}, allowed is (height, width, channels)")
    (features,) = all_positive("inputs", [inputs[-1]])
    positive(outputs=outputs, hidden=hidden, layers=layers, channels=channels, kernel=kernel)
    if kernel % 2 == 0:
        raise ValueError(f"kernel: got {kernel}, allowed is an odd number (the maps keep their size)")
    shares(dropout=dropout)

    def init(key: PRNGKey, /) -> GridRecurrent:
        key_K, key_V, *keys = jax.random.split(key, 2 + layers)
        convolution = init_convolution(
            key_K, (kernel, kernel), features, channels, initializer="he_normal", init_scale=init_scale
        )
        widths = (channels, *(4 * hidden,) * (layers - 1))
        recurrent = tuple(init_grid_rnn(k, n, hidden, init_scale=init_scale) for k, n in zip(keys, widths))
        output = init_dense(key_V, 4 * hidden, outputs, initializer="glorot_uniform", init_scale=init_scale)
        return GridRecurrent(convolution, recurrent, output)

    def apply(
        params: GridRecurrent, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None
    ) -> Array:
        if x.ndim != 4 or x.shape[-1] != features:
            raise ValueError(f"x: got shape {x.shape}, allowed is (batch, height, width, {features})")
        (drop,) = keys_or_none(key, 1)
        h = relu(conv(params.convolution, only(x, mask)))
        for layer in params.layers:
            h = grid_rnn(layer, h, mask=mask)
        if not per_pixel:
            h = masked_mean(h, mask)
        return dense(params.output, random.dropout(drop, h, dropout))

    return Model(init, apply)
