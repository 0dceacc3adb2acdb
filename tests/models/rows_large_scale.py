"""Rows of the model contract: networks of which each input uses a part."""

import numpy as np
from contract_row import Row, cross_entropy, squared_error

from dlnotes import models
from dlnotes.typing import Batch


def clusters(examples=16, features=6, groups=4, classes=3, *, of_group=False):
    """Inputs far apart in groups, so that a gate that has learned nothing uses all of its experts.

    Labels are random, or those of the groups, which a small tree can learn.
    """
    rng = np.random.default_rng(12)
    group = np.arange(examples) % groups
    x = rng.normal(size=(examples, features)) + 6 * np.eye(groups, features)[group]
    y = (group if of_group else rng.permutation(examples)) % classes
    return Batch(x.astype(np.float32), y.astype(np.int32), None, np.ones(examples, np.float32))


def numbers():
    rng = np.random.default_rng(13)
    x = rng.normal(size=(8, 6)).astype(np.float32)
    return Batch(x, rng.normal(size=(8, 2)).astype(np.float32), None, np.ones(8, np.float32))


def experts(gate, activation="relu", **options):
    return models.mixture_of_experts(6, 3, 16, 3, gate=gate, activation=activation, **options)


ROWS = [
    Row(
        "hard experts",
        lambda: experts("hard", noise=1.0, dropout=0.1),
        clusters,
        cross_entropy,
        random=True,
        smooth=lambda: experts("hard", "tanh"),
        learning_rate=2e-2,
    ),
    Row(
        "soft experts",
        lambda: experts("soft", noise=1.0),
        clusters,
        cross_entropy,
        random=True,
        smooth=lambda: experts("soft", "tanh"),
        learning_rate=2e-2,
    ),
    Row(
        "soft experts of numbers",
        lambda: models.mixture_of_experts(
            6, 3, (16, 8), 2, gate="soft", mixture="outputs", activation="tanh"
        ),
        numbers,
        squared_error,
        learning_rate=2e-2,
        slow=True,
    ),
    Row(
        "gated mlp",
        lambda: models.gated_mlp(6, (16,), 3, blocks=4, share=0.5, inference="expected"),
        clusters,
        cross_entropy,
        random=True,
        smooth=lambda: models.gated_mlp(
            6, (16,), 3, blocks=4, share=0.5, inference="expected", activation="tanh"
        ),
        learning_rate=2e-2,
    ),
    Row(
        "gated mlp of two layers",
        lambda: models.gated_mlp(
            6, (16, 8), 2, blocks=4, share=0.5, gradient="gumbel", inference="expected", activation="tanh"
        ),
        numbers,
        squared_error,
        random=True,
        learning_rate=2e-2,
        slow=True,
    ),
    Row(
        "soft tree",
        lambda: models.soft_tree(6, 3, 3),
        lambda: clusters(of_group=True),
        cross_entropy,
        learning_rate=0.1,
    ),
    Row(
        "soft tree of nets",
        lambda: models.soft_tree(6, 2, 2, node=(8,), leaf="net", mixture="outputs", activation="tanh"),
        numbers,
        squared_error,
        learning_rate=2e-2,
        slow=True,
    ),
]
