"""Networks of two hidden layers that are compared on how much they forget, and what maxout costs."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import analysis, layers, models
from dlnotes.models.feedforward.mlp import keys_or_none
from dlnotes.typing import Array, Params, PRNGKey

KINDS = ("maxout", "ReLU", "tanh", "sigmoid")
MAXOUT, RELU = 0, 1
PIECES = 2
CLASSES = 10
HIDDEN_DROPOUT, INPUT_DROPOUT = 0.5, 0.2
UNITS = 60
"""Linear filters of a layer where costs are counted."""


def dense_network(inputs: int, width: int, kind: float | Array, dropout: bool) -> models.Model:
    """``models.mlp`` with two hidden layers, whose activation is a number: 1, 2 or 3 of `KINDS`."""

    def g(z: Array) -> Array:
        return jnp.where(
            kind == RELU, layers.relu(z), jnp.where(kind == RELU + 1, layers.tanh(z), layers.sigmoid(z))
        )

    def apply(
        params: models.MLP, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None
    ) -> Array:
        keys = keys_or_none(key if dropout else None, 3)
        h = layers.random.dropout(keys[0], x, INPUT_DROPOUT)
        for layer, key in zip(params.hidden, keys[1:]):
            z = layers.dense(layer, h)  # pyright: ignore[reportArgumentType] # none is factored
            h = layers.random.dropout(key, g(z), HIDDEN_DROPOUT)
        return layers.dense(params.output, h)

    return models.mlp(inputs, (width, width), CLASSES)._replace(apply=apply)


def maxout_network(inputs: int, width: int, dropout: bool) -> models.Model:
    """``models.maxout_mlp`` with two hidden layers."""
    rates = {"dropout": HIDDEN_DROPOUT, "input_dropout": INPUT_DROPOUT} if dropout else {}
    return models.maxout_mlp(inputs, (width, width), CLASSES, pieces=PIECES, **rates)  # pyright: ignore[reportArgumentType] # only rates


def maxout_width(inputs: int, width: int) -> int:
    """The width at which a maxout network has as many parameters as an MLP of ``width``, or nearly."""
    wanted = size(models.mlp(inputs, (width, width), CLASSES))
    widths = range(1, width + 1)
    return min(widths, key=lambda w: abs(size(maxout_network(inputs, w, False)) - wanted))


def size(model: models.Model) -> int:
    """Number of a network's parameters."""
    return analysis.parameters(jax.eval_shape(model.init, jax.random.key(0)))


def on_rows(model: models.Model, images: np.ndarray) -> models.Model:
    """The network on images that are given by their row: members share the images, not the choice."""

    def apply(params: Params, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        return model.apply(params, jnp.asarray(images)[x], key=key, mask=mask)

    return model._replace(apply=apply)


def permuted(params: Params, orders: np.ndarray) -> Params:
    """The network that sees pixel j of an image where this one sees pixel ``orders[member, j]``."""
    first, *rest = params.hidden
    W = np.take_along_axis(first.W, orders[(slice(None),) * 2 + (None,) * (first.W.ndim - 2)], axis=-2)
    return params._replace(hidden=(first._replace(W=W), *rest))


def costs(inputs: int) -> dict[str, np.ndarray]:
    """Sizes of maxout networks against one with a weight vector a unit, for k of 2, 3, 4 and 5.

    Returns:
      "pieces" ``(4,)``; "unit_cost" ``(4,)`` parameters of a hidden unit against those of one weight
      vector; "next_inputs" ``(4,)`` weights of each filter of the second layer, where the first has so many
      filters whatever k, against the same without maxout.
    """
    pieces = np.array([2, 3, 4, 5])
    plain = jax.eval_shape(models.mlp(inputs, (UNITS, UNITS), CLASSES).init, jax.random.key(0))
    cost, narrower = [], []
    for k in pieces.tolist():
        model = models.maxout_mlp(inputs, (UNITS // k, UNITS // k), CLASSES, pieces=k)
        params = jax.eval_shape(model.init, jax.random.key(0))
        per_unit = [
            analysis.parameters(p.hidden[0]) / units for p, units in ((params, UNITS // k), (plain, UNITS))
        ]
        per_filter = [p.hidden[1].W.size / p.hidden[1].b.size for p in (params, plain)]
        cost.append(per_unit[0] / per_unit[1])
        narrower.append(per_filter[1] / per_filter[0])
    return {"pieces": pieces, "unit_cost": np.array(cost), "next_inputs": np.array(narrower)}
