"""Rows of the model contract: convolutional networks in stages, over one to three dimensions."""

import numpy as np
from contract_row import Row, cross_entropy

from dlnotes import models
from dlnotes.models import Branch, Branches, Stage
from dlnotes.typing import Batch


def signals(*sizes, examples=6, channels=2, shortest=5):
    """Examples of random sizes, padded with zeros to ``sizes``."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(examples, *sizes, channels)).astype(np.float32)
    mask = np.zeros((examples, *sizes), bool)
    for m in mask:
        m[tuple(slice(0, rng.integers(shortest, size + 1)) for size in sizes)] = True
    x = np.where(mask[..., None], x, np.float32(0))
    return Batch(x, (np.arange(examples) % 3).astype(np.int32), mask, np.ones(examples, np.float32))


def wider(batch):
    """More positions along every axis, masked out and filled with garbage."""
    rng = np.random.default_rng(5)
    by = [(0, 0), *((0, 3) for _ in batch.mask.shape[1:])]
    mask = np.pad(batch.mask, by)
    x = np.pad(batch.x, [*by, (0, 0)])
    garbage = rng.normal(size=x.shape).astype(np.float32)
    return batch._replace(x=np.where(mask[..., None], x, garbage), mask=mask)


def whole(batch):
    return batch._replace(mask=None)


def residual(activation="relu"):
    stages = [Stage(8, pool=2), Stage(12, blocks=2, stride=2, residual=True, pooling="average", pool=2)]
    return models.conv_net(
        (11, 9, 2), 3, stages=stages, dense=(8,), normalization="group", groups=4, dropout=0.2,
        activation=activation,
    )  # fmt: skip


def over_time(activation="relu"):
    stages = [Stage(8, kernel=5, pool=2), Stage(8, dilation=2, residual=True)]
    return models.conv_net(
        (None, 2), 3, stages=stages, head="average", normalization="layer", activation=activation, dropout=0.2
    )


def volumes(activation="relu"):
    return models.conv_net(
        (None, None, None, 2), 3, stages=[Stage(6), Stage(8)], head="grid", grid=2, standardize_weights=True,
        activation=activation, dropout=0.2,
    )  # fmt: skip


def branches(activation="relu", pooling="max"):
    ways = (Branch(4), Branch(4, 3, reduce=4), Branch(4, 5), Branch(4, pool=3, pooling=pooling))
    stages = [Stage(4), Branches(ways, pool=2, pooling=pooling)]
    return models.branched_net(
        (None, None, 2), 3, stages=stages, head="average", dropout=0.2, activation=activation
    )


ROWS = [
    Row(
        "conv-net-branches",
        branches,
        lambda: signals(9, 8),
        cross_entropy,
        random=True,
        smooth=lambda: branches("tanh", "average"),
        pad=wider,
    ),
    Row(
        "conv-net-residual",
        residual,
        lambda: whole(signals(11, 9)),
        cross_entropy,
        random=True,
        smooth=lambda: residual("tanh"),
        slow=True,
    ),
    Row(
        "conv-net-signals",
        over_time,
        lambda: signals(14),
        cross_entropy,
        random=True,
        smooth=lambda: over_time("tanh"),
        pad=wider,
    ),
    Row(
        "conv-net-volumes",
        volumes,
        lambda: signals(5, 6, 4, shortest=3),
        cross_entropy,
        random=True,
        smooth=lambda: volumes("tanh"),
        pad=wider,
        slow=True,
    ),
]
