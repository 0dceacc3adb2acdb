"""Rows of the model contract: networks with an answer for every pixel."""

import numpy as np
from contract_row import Row, cross_entropy

from dlnotes import models
from dlnotes.typing import Batch


def labeled():
    """Sides that no pooling divides, and some pixels without a target."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(4, 7, 6, 2)).astype(np.float32)
    y = (x[..., 0] + np.roll(x[..., 1], 1, axis=1) > 0).astype(np.int32)
    return Batch(x, np.where(rng.random(y.shape) < 0.1, -1, y), None, np.ones(4, np.float32))


def labeler(form, activation="relu", **options):
    options = {"channels": (6, 8, 10), "activation": activation} | options
    return models.pixel_labeler((7, 6, 2), 2, form=form, **options)


def refinement(activation="relu", **options):
    return models.recurrent_refinement((7, 6, 2), 2, hidden=12, kernel=3, activation=activation, **options)


# Losses are sums over 42 pixels.
ROWS = [
    Row(
        "encoder_decoder",
        lambda: labeler("encoder_decoder", dropout=0.3, normalization="layer"),
        labeled,
        cross_entropy,
        random=True,
        smooth=lambda: labeler("encoder_decoder", "tanh", normalization="layer"),
        steps=500,
        overfit=1.0,
    ),
    Row(
        "full_size",
        lambda: labeler("full_size", mean_field=2),
        labeled,
        cross_entropy,
        smooth=lambda: labeler("full_size", "tanh", mean_field=2),
        steps=400,
        overfit=1.0,
        slow=True,
    ),
    Row(
        "refinement",
        lambda: refinement(steps=3, dropout=0.2),
        labeled,
        cross_entropy,
        random=True,
        smooth=lambda: refinement("tanh", steps=3),
        steps=500,
        overfit=1.0,
    ),
]
