"""A linen and an nnx network with batch statistics, of the size that the tests of this folder train."""

import flax.linen as nn
import jax.numpy as jnp
from flax import nnx

from dlnotes import models
from dlnotes.outputs import accuracy, cross_entropy
from dlnotes.training.optimizers import optimizer
from dlnotes.training.state import Recipe

WIDTH, FEATURES, CLASSES, MOMENTUM = 7, 5, 3, 0.9
SAMPLE = jnp.zeros((2, FEATURES))


class Linen(nn.Module):
    """A hidden layer with batch normalization and, where asked for, dropout."""

    dropout: float = 0.0

    @nn.compact
    def __call__(self, x, train: bool = False):
        x = nn.BatchNorm(use_running_average=not train, momentum=MOMENTUM)(nn.Dense(WIDTH, use_bias=False)(x))
        return nn.Dense(CLASSES)(nn.Dropout(self.dropout, deterministic=not train)(nn.tanh(x)))


class Nnx(nnx.Module):
    """The same in nnx."""

    def __init__(self, dropout: float = 0.0, *, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(FEATURES, WIDTH, use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(WIDTH, momentum=MOMENTUM, rngs=rngs)
        self.dropout = nnx.Dropout(dropout, rngs=rngs)
        self.output = nnx.Linear(WIDTH, CLASSES, rngs=rngs)

    def __call__(self, x):
        return self.output(self.dropout(nnx.tanh(self.norm(self.hidden(x)))))


def linen_model(dropout=0.0) -> models.Model:
    return models.from_flax(Linen(dropout), SAMPLE, train_argument="train")


def nnx_model(dropout=0.0) -> models.Model:
    return models.from_flax(lambda rngs: Nnx(dropout, rngs=rngs), SAMPLE)


MODELS = {"linen": linen_model, "nnx": nnx_model}


def recipe_with(model, kind="sgd", rate=0.2, options=None, **more):
    """``RecipeOf`` of a model; a swept "rate" takes the place of ``rate``."""

    def build(hyper):
        rule = optimizer(kind, hyper.get("rate", rate), **(options or {}))
        return Recipe(model, cross_entropy, {"accuracy": accuracy}, rule, **more)

    return build
