"""A small recipe, state and batch that the tests of this folder train."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import models
from dlnotes.data.dataset import Examples
from dlnotes.outputs import accuracy, cross_entropy
from dlnotes.training.optimizers import optimizer
from dlnotes.training.state import Recipe, TrainState, init_state
from dlnotes.typing import Batch

NAMES = ("loss", "accuracy", "grad_norm")


def examples(n=22, features=5, classes=3, seed=0) -> Examples:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, features)).astype(np.float32)
    return Examples(x, (x @ rng.normal(size=(features, classes))).argmax(1).astype(np.int32))


def batch_of(data: Examples, weight=None) -> Batch:
    weight = np.ones(data.size, np.float32) if weight is None else np.asarray(weight, np.float32)
    return Batch(jnp.asarray(data.x), jnp.asarray(data.y), None, jnp.asarray(weight))


def recipe_of(kind="sgd", rate=0.3, dropout=0.0, features=5, **options: Any):
    """``RecipeOf`` of a small tanh network; a swept "rate" takes the place of ``rate``."""

    def build(hyper):
        model = models.mlp((features,), (6,), 3, activation="tanh", dropout=dropout)
        return Recipe(
            model=model,
            loss=options.get("loss", cross_entropy),
            metrics={"accuracy": accuracy},
            optimizer=optimizer(kind, hyper.get("rate", rate)),
            random=dropout > 0,
            **{k: v for k, v in options.items() if k != "loss"},
        )

    return build


def state_of(recipes, members=1, rates=None, first_seed=0, keep_best=False) -> TrainState:
    hyper = {} if rates is None else {"rate": jnp.asarray(rates, jnp.float32)}
    seeds = jnp.arange(first_seed, first_seed + members, dtype=jnp.int32)
    return init_state(recipes, seeds, hyper, keep_best=keep_best)


def member_of(state: TrainState, m=0):
    return jax.tree.map(lambda a: a[m], state.members)


def close(got, expected, tolerance=1e-6):
    chex.assert_trees_all_close(got, expected, rtol=tolerance, atol=tolerance)


def equal(got, expected):
    chex.assert_trees_all_equal(got, expected)
