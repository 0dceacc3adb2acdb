"""A perceptron of rectifiers as the network of maxout units that gives the same outputs."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp

from dlnotes.jax_internals import is_traced
from dlnotes.layers.feedforward.dense import Dense
from dlnotes.models.feedforward.mlp import MLP, MaxoutMLP
from dlnotes.typing import Array

SLOPES = {"relu": 0.0, "leaky_relu": 0.01, "abs": -1.0, "identity": 1.0}
"""The slope α of ``max(z, α z)`` below 0, by activation."""


def as_maxout(params: MLP, activation: str | Sequence[str] = "relu") -> MaxoutMLP:
    """The maxout network with two pieces, ``max(z, α z)`` in every unit, that is the given perceptron.

    ``h_j = max((h W + b)_{2j}, (h W + b)_{2j+1})`` with ``W_{2j} = w_j`` and ``W_{2j+1} = α_j w_j``. Both are
    the same function of x, but not of their parameters: a maxout unit has two rows of weights to learn.

    Args:
      params: of ``models.mlp``, all hidden layers `Dense`.
      activation: of its hidden layers, as it was given to ``models.mlp``: "relu", "leaky_relu", "abs",
        "identity" or "prelu" (whose learned slopes must be at most 1), for all or one for each.

    Returns:
      Parameters for ``models.maxout_mlp(..., pieces=2)`` of the same widths.

    Raises:
      ValueError: on other activations, factored layers, and slopes above 1, which no maximum gives.

    Example:
      >>> from dlnotes import models
      >>> net, x = models.mlp(3, (4,), 2), jnp.array([[1.0, -2.0, 0.5]])
      >>> params = net.init(jax.random.key(0))
      >>> same = models.maxout_mlp(3, (4,), 2, pieces=2).apply(as_maxout(params), x)
      >>> bool(jnp.allclose(net.apply(params, x), same))
      True

    Source: notes F3.3.
    """
    n = len(params.hidden)
    names = (activation,) * n if isinstance(activation, str) else tuple(activation)
    if len(names) != n:
        raise ValueError(f"activation: got {len(names)} names for {n} hidden layers, one each is needed")
    hidden = []
    for i, (layer, learned, name) in enumerate(zip(params.hidden, params.slopes, names)):
        if not isinstance(layer, Dense):
            raise ValueError(
                f"params.hidden[{i}]: got a {type(layer).__name__}, allowed is a Dense: a whole matrix"
            )
        hidden.append(_doubled(layer, _slope(name, learned, i, layer)))
    return MaxoutMLP(tuple(hidden), params.output)


def _slope(name: str, learned: Array | None, i: int, layer: Dense) -> Array:
    if (name == "prelu") != (learned is not None):
        raise ValueError(
            f"activation: got {name!r} for layer {i}, whose params have "
            f"{'no learned slopes' if learned is None else 'learned slopes'}"
        )
    if learned is not None:
        if not is_traced(learned) and not bool(jnp.all(learned <= 1)):
            raise ValueError(f"params.slopes[{i}]: got a slope above 1, allowed are at most 1: max(z, αz)")
        return learned
    if name not in SLOPES:
        raise ValueError(f"activation: got {name!r}, allowed are {', '.join(SLOPES)}, prelu")
    return jnp.full(layer.b.shape, SLOPES[name], layer.b.dtype)


def _doubled(layer: Dense, slope: Array) -> Dense:
    """Pieces side by side: ``(inputs, units)`` becomes ``(inputs, 2·units)``."""
    inputs, units = layer.W.shape
    W = jnp.stack([layer.W, layer.W * jnp.broadcast_to(slope, layer.W.shape)], axis=-1)
    return Dense(W.reshape(inputs, 2 * units), jnp.stack([layer.b, slope * layer.b], axis=-1).reshape(-1))
