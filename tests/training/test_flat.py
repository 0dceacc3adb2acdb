"""A small network as one vector: the same numbers as array by array."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.training.flat import SMALL, global_norm, is_small
from dlnotes.training.optimizers import optimizer


@pytest.fixture
def tree(key):
    a, b, c = jax.random.split(key, 3)
    return {
        "W": jax.random.normal(a, (7, 5)),
        "b": jax.random.normal(b, (5,)),
        "s": jax.random.normal(c, ()),
    }


@pytest.mark.parametrize("join", [False, True])
def test_global_norm(tree, join):
    numbers = np.concatenate([np.ravel(a) for a in jax.tree.leaves(tree)]).astype(np.float64)
    np.testing.assert_allclose(global_norm(tree, flatten_small=join), np.linalg.norm(numbers), rtol=1e-6)


@pytest.mark.parametrize("kind", ["adam", "adamw", "nadam", "rmsprop", "lion", "adagrad", "lamb"])
def test_joined_updates_are_the_same(kind, tree, key):
    plain, joined = (optimizer(kind, 0.1, weight_decay=0.01, flatten_small=join) for join in (False, True))
    states = [o.init(tree) for o in (plain, joined)]
    params = [tree, tree]
    for step in range(4):
        gradient = jax.tree.map(lambda p, s=step: jnp.sin(3 * p) + 0.1 * s, tree)
        for i, o in enumerate((plain, joined)):
            updates, states[i] = o.update(gradient, states[i], params[i])
            params[i] = jax.tree.map(jnp.add, params[i], updates)
    chex.assert_trees_all_close(*params, rtol=1e-6, atol=1e-7)


def test_large_or_mixed_trees_are_left_alone():
    assert is_small({"a": jnp.zeros(SMALL)})
    assert not is_small({"a": jnp.zeros(SMALL), "b": jnp.zeros(1)})
    assert not is_small({"a": jnp.zeros(2), "b": jnp.zeros(2, jnp.bfloat16)})
