"""A deep autoencoder from a stack of layers: the stack as encoder, and its mirror image as decoder.

Source: Hinton and Salakhutdinov, 2006; notes, pre-training, P14.3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.layers.feedforward.dense import Dense
from dlnotes.models.feedforward.deep_autoencoder import (
    DeepAutoencoder,
    Halves,
    autoencoder_halves,
    deep_autoencoder,
)
from dlnotes.models.model import Model
from dlnotes.pretraining.greedy import dense_layers
from dlnotes.pretraining.learner import Encoder
from dlnotes.typing import Array, Params

BLOCK = 4096
"""Rows that are encoded at once."""


class Unrolled(NamedTuple):
    """A deep autoencoder that begins where a stack ended.

    Attributes:
      model: for training; its output is what the output unit takes.
      params: `DeepAutoencoder`, with the members axis of the stack: the ``start`` of `dlnotes.training.fit`.
      halves: its encoder and decoder, for parameters of one member.
    """

    model: Model
    params: DeepAutoencoder
    halves: Halves


def unroll(encoders: Sequence[Encoder], *, code: str | None = None, output: str = "bernoulli") -> Unrolled:
    """A deep autoencoder that begins as the composition of a stack's layers, up and down again.

    Up by the encoders of the stack, down by their decoders in reverse order. The decoder of a layer that
    brings none is the transpose of its encoder, with biases 0. A layer above the lowest is taken to reconstruct
    by the activation of the layer below it, as a machine of bits or a logistic output does above sigmoid units.

    Args:
      encoders: of `dlnotes.pretraining.greedy`, the lowest first; with a members axis or without.
      code: activation of the code layer, "identity" for codes that are not bounded; by default that of the
        top encoder. With another one it does not begin as the composition.
      output: the output unit, "bernoulli" for data in [0, 1] or "gaussian".

    Raises:
      ValueError: naming the layer that has no form ``φ(x W + b)``, or whose size does not fit.

    Source: Hinton and Salakhutdinov, 2006.
    """
    up, down, names = autoencoder_layers(encoders)
    sizes, widths = up[0].W.shape[-2], [layer.W.shape[-1] for layer in up]
    options: dict[str, Any] = {"activation": names[:-1], "code": names[-1] if code is None else code}
    return Unrolled(
        deep_autoencoder(sizes, widths, **options),
        DeepAutoencoder(up, down),
        autoencoder_halves(sizes, widths, output=output, **options),
    )


def autoencoder_layers(
    encoders: Sequence[Encoder],
) -> tuple[tuple[Dense, ...], tuple[Dense, ...], tuple[str, ...]]:
    """The layers up, the layers down, and the activations of a stack; the arrays as they are.

    Raises:
      ValueError: as `unroll`.
    """
    if not len(encoders):
        raise ValueError("encoders: got none, allowed is at least one layer")
    up = dense_layers(encoders)
    for i, (below, above) in enumerate(pairwise(up)):
        if below.W.shape[-1] != above.W.shape[-2]:
            raise ValueError(
                f"encoders[{i + 1}]: got a layer of {above.W.shape[-2]} inputs, allowed are the "
                f"{below.W.shape[-1]} units of the one below"
            )
    down = [
        transposed(layer) if learner.decoder_of is None else _numpy(learner.decoder_of(params))
        for layer, (params, learner) in zip(up, encoders)
    ]
    names = tuple(encoder.learner.activation or "" for encoder in encoders)
    return tuple(up), tuple(reversed(down)), names


def carried_over(params: DeepAutoencoder, halves: Sequence[Sequence[Any]]) -> DeepAutoencoder:
    """Parameters of a deep autoencoder with other first layers, and last ones on the way back.

    Args:
      params: with as many layers or more.
      halves: layers up and layers down, as many of both.

    Raises:
      ValueError: naming the layer whose shape differs.
    """
    up, down = halves
    kept = len(params.encoder) - len(up)
    pairs = [(k, new, params.encoder[k], "encoder") for k, new in enumerate(up)]
    pairs += [(k, new, params.decoder[k], "decoder") for k, new in enumerate(down, kept)]
    for k, new, old, half in pairs:
        if np.shape(new.W) != np.shape(old.W):
            raise ValueError(
                f"{half}[{k}]: got a layer of shape {np.shape(new.W)}, allowed is {np.shape(old.W)}"
            )
    return DeepAutoencoder((*up, *params.encoder[len(up) :]), (*params.decoder[:kept], *down))


def transposed(layer: Dense) -> Dense:
    """The layer back from the units of another to its inputs: the transposed weights, biases 0."""
    W = np.swapaxes(np.asarray(layer.W), -1, -2)
    return Dense(W, np.zeros((*W.shape[:-2], W.shape[-1]), W.dtype))


def by_blocks(function: Callable[[Params, Array], Array], params: Params, x: np.ndarray) -> np.ndarray:
    """A function of a `Halves`, of many examples: codes, or reconstructions to be drawn beside the originals.

    Args:
      function: ``halves.encode`` or ``halves.reconstruct``; ``halves.decode`` of codes.
      params: of one member, or leaves ``(members, ...)``.
      x: ``(n, ...)``.

    Returns:
      ``(n, units)``, or ``(members, n, units)`` where there are members.
    """
    members = np.ndim(params.encoder[0].W) == 3
    run = jax.jit(jax.vmap(function, in_axes=(0, None)) if members else function)
    rows = range(0, len(x), BLOCK)
    parts = [np.asarray(run(params, jnp.asarray(x[i : i + BLOCK], jnp.float32))) for i in rows]
    return np.concatenate(parts, axis=-2)


def squared_errors(halves: Halves, params: Params, x: np.ndarray) -> np.ndarray:
    """``Σ_j (x̂_j − x_j)²`` of every example, as published tables have it: ``(n,)`` or ``(members, n)``."""
    flat = np.asarray(x, np.float32).reshape(len(x), -1)
    return np.square(by_blocks(halves.reconstruct, params, x) - flat).sum(axis=-1)


def _numpy(layer: Any) -> Dense:
    return Dense(np.asarray(layer.W), np.asarray(layer.b))
