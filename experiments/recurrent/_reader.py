"""A recurrent cell with a linear read-out: the small nets of these claims, and their tuned training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, layers, models, outputs
from dlnotes.training import Hyperparams, Recipe, Tuned, initial_params, optimizer, tune_and_train
from dlnotes.typing import Array, Params, PRNGKey


class Reader(NamedTuple):
    """``h = unroll(cell, x)``, ``o = c + h V``.

    Attributes:
      cell: the cell's parameters.
      V: (hidden, outputs).
      c: (outputs,).
    """

    cell: Params
    V: Array
    c: Array


def read_out(h: Array, V: Array, c: Array) -> Array:
    """``o = c + h V`` for h with any leading axes."""
    return h @ V + jnp.expand_dims(c, tuple(range(h.ndim - 1)))


def glorot(key: PRNGKey, *shape: int) -> Array:
    """Weights drawn by Glorot's uniform rule."""
    return jax.nn.initializers.glorot_uniform()(key, shape, jnp.float32)


def real(x: Array) -> Array:
    """``(batch, time)`` where a position holds something: padding is rows of zeros."""
    return jnp.any(x != 0, -1)


def reader(
    cell: layers.Cell,
    inputs: int,
    hidden: int,
    classes: int,
    *,
    at: Literal["end", "every step"] = "end",
    length: Array | None = None,
) -> models.Model:
    """A cell that answers at the end of a sequence, or at every step.

    Args:
      cell: any cell.
      inputs, hidden, classes: sizes.
      at: where it answers.
      length: read so many steps of every sequence only (may be traced); by default up to its padding.
    """

    def init(key: PRNGKey, /) -> Reader:
        key_cell, key_V = jax.random.split(key)
        return Reader(cell.init(key_cell, inputs, hidden), glorot(key_V, hidden, classes), jnp.zeros(classes))

    def apply(params: Reader, x: Array, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        if length is None:
            mask = real(x)
        else:
            mask = jnp.broadcast_to(jnp.arange(x.shape[1], dtype=jnp.float32)[None] < length, x.shape[:2])
        carry, hs = layers.unroll(cell, params.cell, x, mask=mask)
        return read_out(cell.hidden(carry) if at == "end" else hs, params.V, params.c)

    return models.Model(init, apply)


def recipe(model: models.Model, hyper: Hyperparams, kind: str = "adam", **options: Any) -> Recipe:
    """Cross-entropy, accuracy, and an optimizer with the swept "learning_rate"."""
    metrics = {"accuracy": outputs.accuracy}
    return Recipe(model, outputs.cross_entropy, metrics, optimizer(kind, hyper["learning_rate"], **options))


def train_tuned(
    model: models.Model,
    train: data.Examples,
    validation: data.Examples,
    rates: np.ndarray,
    *,
    seeds: int,
    tuning_seeds: int,
    **how: Any,
) -> Tuned:
    """One net trained by Adam at the rate of a grid that is best on other seeds; see `tune_and_train`."""
    return tune_and_train(
        lambda hyper: recipe(model, hyper, clip_norm=1.0),
        train,
        validation,
        {"one": np.zeros(1)},
        {"learning_rate": rates},
        start=lambda _, members: initial_params(model, members),
        seeds=seeds,
        tuning_seeds=tuning_seeds,
        **how,
    )


def accuracy(model: models.Model, params: Params, examples: data.Examples) -> np.ndarray:
    """The share of right answers of every member, ``(members,)``."""

    def one(p: Params) -> Array:
        measured = outputs.accuracy(model.apply(p, jnp.asarray(examples.x)), jnp.asarray(examples.y))
        return outputs.mean_of(measured, jnp.ones(examples.size, jnp.float32))

    return np.asarray(jax.jit(lambda all: jax.lax.map(one, all))(params))


def chosen_rates(rates: np.ndarray, found: Mapping[str, Tuned]) -> dict[str, float]:
    """Of each net the learning rate that its tuning chose."""
    return {name: float(rates[trained.chosen[0]]) for name, trained in found.items()}
