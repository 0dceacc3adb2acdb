"""Rows of the model contract: convolutional networks whose heads pool over found or learned regions."""

import jax.numpy as jnp
import numpy as np
from contract_row import Row, cross_entropy

from dlnotes import models
from dlnotes.typing import Batch


def images():
    """Strong spots on a faint ground: the regions are far from changing."""
    rng = np.random.default_rng(3)
    x = 0.1 * rng.normal(size=(6, 9, 8, 2)).astype(np.float32)
    for i in range(6):
        for row, column in ((i % 3, i % 2), (6 + i % 2, 5 + i % 3)):
            x[i, row : row + 2, column : column + 2] += rng.normal(3, 1, size=2)
    return Batch(x, (np.arange(6) % 3).astype(np.int32), np.ones((6, 9, 8), bool), np.ones(6, np.float32))


def padded(batch):
    """Three rows and two columns more, full of garbage."""
    x = jnp.pad(batch.x, ((0, 0), (0, 3), (0, 2), (0, 0)), constant_values=7.0)
    return batch._replace(x=x, mask=jnp.pad(batch.mask, ((0, 0), (0, 3), (0, 2))))


def pooled(head, **change):
    sizes = (9, 8) if head == "learned" else (None, None)
    options = dict(stages=[models.Stage(4), models.Stage(6)], head=head, dense=(16,), dropout=0.2)
    return models.conv_net((*sizes, 2), 3, **options | change)


ROWS = [
    Row(
        "conv_net-learned",
        lambda: pooled("learned"),
        images,
        cross_entropy,
        random=True,
        smooth=lambda: pooled("learned", activation="tanh"),
        learning_rate=2e-2,
        slow=True,
    ),
    Row(
        "conv_net-clustered",
        lambda: pooled("clustered"),
        images,
        cross_entropy,
        random=True,
        # The regions jump where a feature's strength crosses the threshold: finite differences see one.
        smooth=lambda: pooled("clustered", activation="tanh", grid=1, dense=(), dropout=0.0),
        pad=padded,
        learning_rate=2e-2,
        slow=True,
    ),
]
