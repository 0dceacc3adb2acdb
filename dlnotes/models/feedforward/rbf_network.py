"""A network of radial basis units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from dlnotes.checks import positive
from dlnotes.layers import random
from dlnotes.layers.feedforward.dense import Dense, dense, init_dense
from dlnotes.layers.feedforward.rbf import RBF, init_rbf, rbf
from dlnotes.models.feedforward.mlp import count_inputs, flatten
from dlnotes.models.model import Model
from dlnotes.typing import Array, PRNGKey


class RBFNetwork(NamedTuple):
    """Parameters of ``h_i = exp(−‖W_i − x‖² / σ_i²)``, ``output = h W + b``.

    Attributes:
      hidden: `RBF`, centers (inputs, units).
      output: `Dense`, (units, outputs).
    """

    hidden: RBF
    output: Dense


def rbf_network(
    inputs: int | Sequence[int],
    units: int,
    outputs: int,
    *,
    sigma: float | Array | None = None,
    centers: np.ndarray | Array | None = None,
    init_scale: float | Array = 1.0,
) -> Model:
    """One hidden layer of radial basis units; equation and parameters: `RBFNetwork`.

    Centers, widths σ and the output are all learned.

    Args:
      inputs: size of an example, or its shape, which is flattened.
      units: number of radial basis units.
      outputs: number of outputs (logits).
      sigma: σ of every unit at the start, in units of the inputs; ``None`` is the root of the number of
        inputs. May be traced.
      centers: data points ``(n, ...)``, n at least ``units``: each start draws its centers from
        them, without repetition. ``None`` draws centers from a standard normal distribution.
      init_scale: multiplier of random centers and of the output's initial weights; may be a traced scalar.

    Raises:
      ValueError: on sizes that are not allowed, or points that do not fit them.

    Example:
      >>> points = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
      >>> model = rbf_network(2, 8, 3, centers=points)
      >>> model.apply(model.init(jax.random.key(0)), points).shape
      (30, 3)

    Source: Broomhead and Lowe, 1988; notes F3.8.
    """
    features = count_inputs(inputs)
    positive(units=units, outputs=outputs)
    if isinstance(sigma, (int, float)) and sigma <= 0:
        raise ValueError(f"sigma: got {sigma}, allowed is a positive number")
    if centers is not None:
        centers = flatten(jnp.asarray(centers, jnp.float32), features)
        if centers.shape[0] < units:
            raise ValueError(
                f"centers: got {centers.shape[0]} points, allowed are at least {units}, one a unit"
            )

    def init(key: PRNGKey, /) -> RBFNetwork:
        first, second = random.split(key, 2)
        layer = init_rbf(first, features, units, sigma=sigma, centers=centers, init_scale=init_scale)
        return RBFNetwork(layer, init_dense(second, units, outputs, init_scale=init_scale))

    def apply(
        params: RBFNetwork, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None
    ) -> Array:
        return dense(params.output, rbf(params.hidden, flatten(x, features)))

    return Model(init, apply)
