"""Rows of the model contract: a foreign network that keeps running averages."""

import jax.numpy as jnp
import numpy as np
from contract_row import Row, cross_entropy
from flax import nnx

from dlnotes import models
from dlnotes.typing import Batch


class Normalized(nnx.Module):
    """Batch normalization and dropout between two layers."""

    def __init__(self, *, rngs):
        self.hidden = nnx.Linear(4, 16, rngs=rngs)
        self.norm = nnx.BatchNorm(16, rngs=rngs)
        self.dropout = nnx.Dropout(0.3, rngs=rngs)
        self.output = nnx.Linear(16, 3, rngs=rngs)

    def __call__(self, x):
        return self.output(self.dropout(nnx.tanh(self.norm(self.hidden(x)))))


def vectors():
    rng = np.random.default_rng(2)
    y = (np.arange(6) % 3).astype(np.int32)
    return Batch(rng.normal(size=(6, 4)).astype(np.float32), y, None, np.ones(6, np.float32))


ROWS = [
    Row(
        "from_flax-batch_norm",
        lambda: models.from_flax(Normalized, jnp.zeros((1, 4))),
        vectors,
        cross_entropy,
        random=True,
        per_example_keys=False,
    )
]
