"""Convolutional classifiers: stages of convolution, pooling and activation, then dense layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from dlnotes.checks import all_positive, positive, shares
from dlnotes.layers import random
from dlnotes.layers.activations import MONOTONE
from dlnotes.layers.activations import activation as activation_named
from dlnotes.layers.convolutional.convolution import Convolution, convolve, init_convolution
from dlnotes.layers.convolutional.pooling import max_pool
from dlnotes.layers.feedforward.dense import Dense, add_bias
from dlnotes.layers.feedforward.dense import dense as affine
from dlnotes.layers.initializers import initializer as initializer_named
from dlnotes.layers.normalization import LayerNorm, layer_norm
from dlnotes.models.feedforward.mlp import chain, keys_or_none
from dlnotes.models.model import Model
from dlnotes.typing import Array, PRNGKey


class CNN(NamedTuple):
    """Parameters of a convolutional network.

    Each convolution is ``h = g(pool(norm(x ∗ K)) + b)``, pooled only where it is the last of its
    stage; the maps are flattened, ``h = g(h W + b)`` for each dense layer, ``output = h W + b``.

    Attributes:
      convolutions: for each stage, for each of its layers, a `Convolution` with ``K``
        (kernel, kernel, in, out) and ``b`` (out,).
      norms: for each stage, for each of its layers, a `LayerNorm` with ``scale`` and ``shift`` (out,), or
        ``None`` without normalization.
      hidden: the dense layers.
      output: `Dense`, (last width, outputs).
    """

    convolutions: tuple[tuple[Convolution, ...], ...]
    norms: tuple[tuple[LayerNorm | None, ...], ...]
    hidden: tuple[Dense, ...]
    output: Dense


def cnn(
    inputs: Sequence[int],
    outputs: int,
    *,
    channels: Sequence[int] = (32, 64),
    kernel: int = 3,
    convolutions: int = 1,
    pool: int = 2,
    dense: Sequence[int] = (128,),
    activation: str = "relu",
    dropout: float | Array = 0.0,
    initializer: str = "he_normal",
    init_scale: float | Array = 1.0,
    normalization: str = "none",
) -> Model:
    """A convolutional network; equation and parameters: `CNN`.

    Convolutions keep the size ("SAME"); each stage ends in max-pooling, which drops a smaller window at
    the edge. The bias and a monotone activation come after the pooling: the result is the
    same and they run on fewer numbers.

    Args:
      inputs: shape of an example, (height, width, channels).
      outputs: number of outputs (logits).
      channels: feature maps of each stage.
      kernel: height and width of every kernel.
      convolutions: convolutional layers per stage.
      pool: width and stride of the max-pooling that ends a stage; 1 for none.
      dense: units of each dense layer between the maps and the output; may be empty.
      activation: a name in ``layers.ACTIVATIONS``.
      dropout: share dropped of the flattened maps and of each dense layer, when a key is given; may be
        traced.
      initializer: a name in ``layers.INITIALIZERS``.
      init_scale: multiplier of every initial weight; may be a traced scalar.
      normalization: "none", or "layer": after each convolution, over the whole of each example.

    Raises:
      ValueError: on sizes, rates or names that are not allowed, or where a kernel or a pooling window is
        larger than the maps it is given.

    Source: notes C6.7, C6.11 (a).
    """
    shape = tuple(inputs) if not isinstance(inputs, int) else ()
    if len(shape) != 3 or any(not isinstance(n, int) or n < 1 for n in shape):
        raise ValueError(f"inputs: got {inputs}, allowed is (height, width, channels), all positive")
    channels = all_positive("channels", channels)
    widths = all_positive("dense", dense)
    for name, value in dict(outputs=outputs, kernel=kernel, convolutions=convolutions, pool=pool).items():
        positive(**{name: value})
    shares(dropout=dropout)
    initializer_named(initializer)
    if normalization not in ("none", "layer"):
        raise ValueError(f"normalization: got {normalization!r}, allowed are 'none', 'layer'")
    g = activation_named(activation)
    late = activation in MONOTONE
    height, width, maps = shape
    for i, count in enumerate(channels):
        for name, value in (("kernel", kernel), ("pool", pool)):
            if value > min(height, width):
                raise ValueError(
                    f"{name}: got {value}, larger than the {height} x {width} maps that stage {i} works on; "
                    f"allowed is at most {min(height, width)}, or fewer stages (channels)"
                )
        height, width, maps = height // pool, width // pool, count
    features = height * width * maps

    def init(key: PRNGKey, /) -> CNN:
        key_stages, key_dense = random.split(key, 2)
        stages = []
        before = shape[2]
        for stage, count in enumerate(channels):
            layers = []
            for k in random.split(random.fold_in(key_stages, stage), convolutions):
                drawn = init_convolution(
                    k, (kernel, kernel), before, count, initializer=initializer, init_scale=init_scale
                )
                layers.append(drawn)
                before = count
            stages.append(tuple(layers))
        norms = tuple(
            tuple(
                LayerNorm(jnp.ones(layer.b.shape), jnp.zeros(layer.b.shape))
                if normalization == "layer"
                else None
                for layer in layers
            )
            for layers in stages
        )
        *hidden, output = chain(key_dense, (features, *widths), widths, outputs, initializer, init_scale, 0.0)
        return CNN(tuple(stages), norms, tuple(hidden), output)

    def apply(params: CNN, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        if x.shape[1:] != shape:
            raise ValueError(f"x: got shape {x.shape}, allowed is (batch, {', '.join(map(str, shape))})")
        keys = keys_or_none(key, len(widths) + 1)
        h = x
        for layers, norms in zip(params.convolutions, params.norms):
            for i, (layer, norm) in enumerate(zip(layers, norms)):
                h = convolve(h, layer.K)
                if norm is not None:
                    h = layer_norm(norm, h, axes=(1, 2, 3))
                pooled = pool > 1 and i == convolutions - 1
                if late and pooled:
                    h = max_pool(h, pool)
                h = g(add_bias(h, layer.b))
                if pooled and not late:
                    h = max_pool(h, pool)
        h = random.dropout(keys[0], h.reshape(h.shape[0], features), dropout)
        for layer, key in zip(params.hidden, keys[1:]):
            h = random.dropout(key, g(affine(layer, h)), dropout)
        return affine(params.output, h)

    return Model(init, apply)
