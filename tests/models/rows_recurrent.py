"""Rows of the model contract: recurrent nets with an answer per position, other cells, and over images."""

from functools import partial

import numpy as np
from contract_row import Row, cross_entropy
from rows_sequence import features, longer, pad

from dlnotes import layers, models
from dlnotes.typing import Batch


def labeled():
    """Each position's class is that of the next one, which only the net from the right can know."""
    base = features()
    y = np.argmax(np.roll(base.x, -1, axis=1), -1).astype(np.int32)
    return base._replace(y=np.where(base.mask, y, -1))


def images():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(4, 4, 3, 2)).astype(np.float32)
    mask = np.zeros((4, 4, 3), bool)
    for n, (rows, columns) in enumerate([(4, 3), (2, 3), (3, 2), (4, 1)]):
        mask[n, :rows, :columns] = True
    return Batch(x, np.array([0, 1, 2, 1]), mask, np.ones(4, np.float32))


def pad_images(batch):
    wider = np.concatenate([batch.x, np.full((4, 4, 2, 2), 7.0, np.float32)], 2)
    mask = np.concatenate([batch.mask, np.zeros((4, 4, 2), bool)], 2)
    return batch._replace(x=longer(wider, 7.0), mask=longer(mask, False))


ROWS = [
    Row(
        "labeler in both directions, lstm with peepholes and norms",
        lambda: models.sequence_labeler(
            3,
            8,
            3,
            cell=layers.lstm_variant(peepholes=True, layer_norm=True),
            bidirectional=True,
            dropout=0.3,
        ),
        labeled,
        cross_entropy,
        random=True,
        pad=pad,
        learning_rate=3e-2,
        slow=True,
    ),
    Row(
        "leaky units with learned time constants",
        lambda: models.sequence_classifier(3, 8, 3, cell=layers.leaky((1.0, 3.0), learned=True), dropout=0.3),
        features,
        cross_entropy,
        random=True,
        pad=pad,
        learning_rate=3e-2,
        slow=True,
    ),
    Row(
        "deep in every block",
        lambda: models.deep_output(
            partial(
                models.sequence_classifier,
                3,
                6,
                cell=layers.deep_input(layers.deep_transition((5,), skip=True), (4,)),
                dropout=0.3,
            ),
            (5,),
            3,
        ),
        features,
        cross_entropy,
        random=True,
        pad=pad,
        learning_rate=3e-2,
        slow=True,
    ),
    Row(
        "recurrent in four directions",
        lambda: models.grid_recurrent((None, None, 2), 3, hidden=5, channels=6, dropout=0.3),
        images,
        cross_entropy,
        random=True,
        pad=pad_images,
        learning_rate=3e-2,
    ),
]
