"""Rows of the model contract: several tasks on one trunk, their answers side by side."""

import jax.numpy as jnp
import numpy as np
from contract_row import Row, squared_error

from dlnotes import models
from dlnotes.models.model import Model
from dlnotes.typing import Batch


def batch():
    rng = np.random.default_rng(8)
    x = rng.normal(size=(6, 6)).astype(np.float32)
    y = np.concatenate([rng.normal(size=(6, 3)), x], axis=1).astype(np.float32)
    return Batch(x, y, None, np.ones(6, np.float32))


def both(activation, dropout=0.0, corruption=None):
    """A network of two tasks that answers with an array: three numbers, and its input again."""
    heads = {
        "number": models.head(16, (), 3, activation=activation),
        "input": models.head(16, (12,), 6, activation=activation),
    }
    trunk = models.mlp(6, (24,), 16, activation=activation)
    model = models.shared(
        trunk,
        heads,
        activation=activation,
        dropout=dropout,
        reconstructs=["input"],
        corruption=corruption,
    )

    def apply(params, x, /, *, key=None, mask=None):
        found = model.apply(params, x, key=key, mask=mask)
        return jnp.concatenate([found["number"], found["input"].output], axis=-1)

    return Model(model.init, apply)


ROWS = [
    Row(
        "shared",
        lambda: both("relu", 0.3, {"input": models.Noise("mask", 0.4)}),
        batch,
        squared_error,
        random=True,
        smooth=lambda: both("tanh"),
        steps=400,
    ),
]
