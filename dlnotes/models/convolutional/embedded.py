"""Networks of signals on symbols: a table of vectors below them."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.checks import positive
from dlnotes.models.model import Model
from dlnotes.typing import Array, Params, PRNGKey


class Embedded(NamedTuple):
    """Parameters of ``f(E[x])``.

    Attributes:
      E: (symbols, embedding), a vector for each symbol.
      network: of the network f above.
    """

    E: Array
    network: Params


def embedded(symbols: int, embedding: int, network: Model, *, init_scale: float | Array = 1.0) -> Model:
    """A network of signals ``(time, embedding)``, a `conv_net` say, that reads the vectors of symbols.

    Args:
      symbols: how many there are.
      embedding: width of each vector, the channels that the network takes.
      network: applied to ``(batch, time, embedding)``, with the mask.
      init_scale: factor on the initial vectors, of length 1 on average; may be traced.

    Returns:
      A `Model` of `Embedded`: ``x`` (batch, time) whole numbers, the output that of the network.

    Raises:
      ValueError: for sizes below 1.

    Example:
      >>> from dlnotes import models
      >>> signals = models.conv_net((None, 8), 2, stages=[models.Stage(16)], head="average")
      >>> model = embedded(100, 8, signals)
      >>> model.apply(model.init(jax.random.key(0)), jnp.ones((4, 7), int)).shape
      (4, 2)

    Source: Collobert et al., 2011; Kim, 2014.
    """
    positive(symbols=symbols, embedding=embedding)

    def init(key: PRNGKey, /) -> Embedded:
        key_E, key_network = jax.random.split(key)
        scale = jnp.asarray(init_scale, jnp.float32)
        E = scale / embedding**0.5 * jax.random.normal(key_E, (symbols, embedding), jnp.float32)
        return Embedded(E, network.init(key_network))

    def apply(params: Embedded, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        if x.ndim != 2 or not jnp.issubdtype(x.dtype, jnp.integer):
            raise ValueError(
                f"x: got shape {x.shape} of {x.dtype}, allowed is (batch, time) of whole numbers"
            )
        return network.apply(params.network, params.E[x], key=key, mask=mask)

    return Model(init, apply)
