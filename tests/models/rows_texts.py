"""Rows of the model contract: convolutions over symbols, with one answer or one at every position."""

import numpy as np
from contract_row import Row, cross_entropy

from dlnotes import models
from dlnotes.models import Stage
from dlnotes.typing import Batch

SYMBOLS = 12


def symbols(examples=6, time=9):
    rng = np.random.default_rng(3)
    x = rng.integers(0, SYMBOLS, (examples, time), dtype=np.int32)
    mask = np.arange(time) < rng.integers(4, time + 1, examples)[:, None]
    return Batch(x, (np.arange(examples) % 3).astype(np.int32), mask, np.ones(examples, np.float32))


def labels():
    base = symbols()
    return base._replace(y=np.where(base.mask, (base.x + np.roll(base.x, 1, 1)) % 3, -1).astype(np.int32))


def wider(batch):
    """More positions, masked out and filled with garbage."""
    by = [(0, 0), (0, 4)]
    mask = np.pad(batch.mask, by)
    garbage = np.random.default_rng(5).integers(0, SYMBOLS, mask.shape, dtype=np.int32)
    y = batch.y if batch.y.ndim == 1 else np.pad(batch.y, by, constant_values=-1)
    return batch._replace(x=np.where(mask, np.pad(batch.x, by), garbage), y=y, mask=mask)


def one_answer(activation="relu"):
    stages = [Stage(8, kernel=3, pool=2), Stage(8)]
    signals = models.conv_net(
        (None, 6), 3, stages=stages, head="average", activation=activation, normalization="layer", dropout=0.2
    )
    return models.embedded(SYMBOLS, 6, signals)


def largest():
    signals = models.conv_net((None, 6), 8, stages=[Stage(8)], head="maps", dropout=0.2)
    return models.embedded(SYMBOLS, 6, models.largest(signals, 8, 3, dropout=0.2))


def every_position(activation="relu"):
    stages = [Stage(12, kernel=5), Stage(12, dilation=2, residual=True)]
    signals = models.conv_net((None, 6), 3, stages=stages, head="maps", activation=activation, dropout=0.2)
    return models.embedded(SYMBOLS, 6, signals)


ROWS = [
    Row(
        "symbols-average", one_answer, symbols, cross_entropy,
        random=True, smooth=lambda: one_answer("tanh"), pad=wider, slow=True,
    ),
    Row(
        "symbols-largest", largest, symbols, cross_entropy,
        random=True, smooth=lambda: one_answer("tanh"), pad=wider,
    ),
    Row(
        "symbols-maps", every_position, labels, cross_entropy,
        random=True, smooth=lambda: every_position("tanh"), pad=wider,
    ),
]  # fmt: skip
