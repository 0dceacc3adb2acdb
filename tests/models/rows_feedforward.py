"""Rows of the model contract: linear, mlp, maxout, graph, cnn, a flax module."""

import flax.linen as nn
import numpy as np
from contract_row import Row, cross_entropy, squared_error

from dlnotes import models
from dlnotes.models.feedforward.graph import Function, Layer
from dlnotes.typing import Batch


def vectors(examples=8, features=6, classes=3):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(examples, features)).astype(np.float32)
    y = (np.arange(examples) % classes).astype(np.int32)
    return Batch(x, y, None, np.ones(examples, np.float32))


def targets():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(5, 6)).astype(np.float32)
    return Batch(x, rng.normal(size=(5, 2)).astype(np.float32), None, np.ones(5, np.float32))


def images():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(6, 9, 8, 2)).astype(np.float32)
    return Batch(x, (np.arange(6) % 3).astype(np.int32), None, np.ones(6, np.float32))


def reconstructed():
    x = np.random.default_rng(5).normal(size=(5, 6)).astype(np.float32)
    return Batch(x, x, None, np.ones(5, np.float32))


class Module(nn.Module):
    """A flax network with dropout."""

    g: str = "relu"

    @nn.compact
    def __call__(self, x, train: bool = False):
        h = getattr(nn, self.g)(nn.Dense(16)(x))
        h = nn.Dropout(0.4)(h, deterministic=not train)
        return nn.Dense(3)(h)


def flax(g):
    return models.from_flax(Module(g), np.zeros((1, 6), np.float32), train_argument="train")


def gated(g="relu"):
    nodes = [
        Layer("value", ["x"], 8, g),
        Layer("gate", ["x"], 8, "sigmoid"),
        Function("gated", ["value", "gate"], "product"),
        Layer("deeper", ["gated"], 8, "tanh"),
        Function("both", ["gated", "deeper"], "sum"),
        Layer("logits", ["both", "x"], 3),
    ]
    return models.graph(6, nodes, dropout=0.3)


MIXED = dict(dropout=0.3, input_dropout=0.1, skip=True)

ROWS = [
    Row("linear", lambda: models.linear(6, 2), targets, squared_error, learning_rate=0.05),
    Row(
        "mlp",
        lambda: models.mlp((6,), (8, 16, 8), 3, activation=("relu", "tanh", "prelu"), **MIXED),
        vectors,
        cross_entropy,
        random=True,
        smooth=lambda: models.mlp((6,), (8, 16, 8), 3, activation=("softplus", "tanh", "silu"), **MIXED),
    ),
    Row(
        "deep autoencoder",
        lambda: models.deep_autoencoder(6, (16, 8), activation="tanh"),
        reconstructed,
        squared_error,
        steps=600,
    ),
    Row(
        "maxout",
        lambda: models.maxout_mlp(6, (8, 4), 3, pieces=3, dropout=0.5),
        vectors,
        cross_entropy,
        random=True,
        smooth=lambda: models.maxout_mlp(6, (8, 4), 3, pieces=1),
    ),
    Row(
        "mlp-factored",
        lambda: models.mlp(6, (16, 16), 3, rank=4, dropout=0.3),
        vectors,
        cross_entropy,
        random=True,
        smooth=lambda: models.mlp(6, (16, 16), 3, rank=4, activation="tanh"),
        slow=True,
    ),
    Row(
        "mlp-sparse",
        lambda: models.mlp(6, (24, 12), 3, connectivity=0.5, dropout=0.2),
        vectors,
        cross_entropy,
        random=True,
        smooth=lambda: models.mlp(6, (24, 12), 3, connectivity=0.5, activation="tanh"),
        slow=True,
    ),
    Row(
        "rbf_network",
        lambda: models.rbf_network(6, 16, 3, centers=np.random.default_rng(4).normal(size=(20, 6))),
        vectors,
        cross_entropy,
        learning_rate=3e-2,
    ),
    Row(
        "rbf_network-random",
        lambda: models.rbf_network(6, 24, 2),
        targets,
        squared_error,
        learning_rate=5e-2,
        slow=True,
    ),
    Row(
        "graph",
        gated,
        vectors,
        cross_entropy,
        random=True,
        smooth=lambda: gated("softplus"),
    ),
    Row(
        "cnn",
        lambda: models.cnn((9, 8, 2), 3, channels=(3, 4), dense=(16,), dropout=0.4),
        images,
        cross_entropy,
        random=True,
        smooth=lambda: models.cnn((9, 8, 2), 3, channels=(3, 4), dense=(16,), pool=1, activation="tanh"),
        learning_rate=2e-2,
        steps=100,
    ),
    Row(
        "cnn-normalized",
        lambda: models.cnn(
            (9, 8, 2), 3, channels=(4,), convolutions=2, dense=(), activation="gelu", normalization="layer"
        ),
        images,
        cross_entropy,
        smooth=lambda: models.cnn(
            (9, 8, 2),
            3,
            channels=(4,),
            convolutions=2,
            dense=(),
            pool=1,
            activation="gelu",
            normalization="layer",
        ),
        learning_rate=2e-2,
        steps=100,
        slow=True,
    ),
    Row(
        "ensemble",
        lambda: models.ensemble(models.mlp(6, (16,), 3, dropout=0.3), 3),
        vectors,
        cross_entropy,
        random=True,
        smooth=lambda: models.ensemble(models.mlp(6, (16,), 3, activation="tanh"), 3),
        learning_rate=2e-2,
        steps=400,
    ),
    Row(
        "ensemble-logits",
        lambda: models.ensemble(models.mlp(6, (8,), 3), 2, mean="logits"),
        vectors,
        cross_entropy,
        smooth=lambda: models.ensemble(models.mlp(6, (8,), 3, activation="tanh"), 2, mean="logits"),
        learning_rate=3e-2,
        slow=True,
    ),
    Row(
        "from_flax",
        lambda: flax("relu"),
        vectors,
        cross_entropy,
        random=True,
        smooth=lambda: flax("tanh"),
        per_example_keys=False,
    ),
]
