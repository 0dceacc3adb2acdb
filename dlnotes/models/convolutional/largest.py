"""One answer from maps over any number of positions: each map's largest value, wherever it stands."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

from dlnotes.checks import positive, shares
from dlnotes.layers import random
from dlnotes.layers.feedforward.dense import Dense, dense, init_dense
from dlnotes.models.model import Model
from dlnotes.typing import Array, Params, PRNGKey


class Largest(NamedTuple):
    """Parameters of ``o = max_t relu(f(x)_t) V + c``.

    Attributes:
      network: of the network f, whose maps these are.
      output: `Dense` (maps, outputs).
    """

    network: Params
    output: Dense


def largest(
    network: Model,
    maps: int,
    outputs: int,
    *,
    dropout: float | Array = 0.0,
    init_scale: float | Array = 1.0,
) -> Model:
    """The largest value of each map over all positions, and a dense layer of them.

    A map then says whether something is in the input, and not where or how often.

    Args:
      network: gives ``(batch, *sizes, maps)``, 0 in padding, as a `conv_net` with the head "maps".
      maps: how many.
      outputs: number of outputs.
      dropout: share of the largest values that is dropped, when a key is given; may be traced.
      init_scale: factor on the initial weights of the dense layer; may be traced.

    Returns:
      A `Model` of `Largest` with output (batch, outputs).

    Raises:
      ValueError: for sizes below 1 or a plain dropout rate outside [0, 1).

    Example:
      >>> from dlnotes import models
      >>> signals = models.conv_net((None, 8), 16, stages=[models.Stage(16)], head="maps")
      >>> model = largest(signals, 16, 2)
      >>> model.apply(model.init(jax.random.key(0)), jnp.ones((4, 7, 8))).shape
      (4, 2)

    Source: Collobert et al., 2011 (max over time); Kim, 2014.
    """
    positive(maps=maps, outputs=outputs)
    shares(dropout=dropout)

    def init(key: PRNGKey, /) -> Largest:
        key_network, key_V = jax.random.split(key)
        V = init_dense(key_V, maps, outputs, initializer="glorot_uniform", init_scale=init_scale)
        return Largest(network.init(key_network), V)

    def apply(params: Largest, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        own = None if key is None else random.fold_in(key, 1)
        # Padding is 0, which no value after relu is below.
        h = jax.nn.relu(network.apply(params.network, x, key=key, mask=mask))
        h = h.max(axis=tuple(range(1, h.ndim - 1)))
        return dense(params.output, random.dropout(own, h, dropout))

    return Model(init, apply)
