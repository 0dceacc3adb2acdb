"""Rows of the model contract: convolutional autoencoders."""

import numpy as np
from contract_row import Row

from dlnotes import models, outputs
from dlnotes.typing import Batch


def images(examples=5):
    x = np.random.default_rng(6).normal(size=(examples, 4, 8, 2)).astype(np.float32)
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
