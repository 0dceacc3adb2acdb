"""Rows of the model contract: convolutional autoencoders."""

import numpy as np
from contract_row import Row

from dlnotes import models, outputs
from dlnotes.typing import Batch


def images(examples=5):
    """Squares of 2 × 2 pixels with a little noise: repeated positions can nearly give them."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=(examples, 2, 4, 2)).repeat(2, 1).repeat(2, 2)
    x = (x + 0.1 * rng.normal(size=x.shape)).astype(np.float32)
    return Batch(x, x.reshape(examples, -1), None, np.ones(examples, np.float32))


def errors(output, batch):
    return outputs.squared_error(output, batch.y).total


def of(form, activation="relu"):
    return models.conv_autoencoder((4, 8, 2), 24, form=form, channels=(6, 8), activation=activation)


ROWS = [
    Row(
        f"conv-autoencoder-{form}",
        lambda form=form: of(form),
        images,
        errors,
        smooth=lambda form=form: of("strided" if form == "nearest" else form, "tanh"),
        slow=form in ("switches", "whole"),
        overfit=0.25,
    )
    for form in ("nearest", "strided", "switches", "whole")
]
