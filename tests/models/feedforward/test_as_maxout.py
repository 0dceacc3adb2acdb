"""A perceptron and its twin of maxout units: one function, other derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import models

ORACLES = {
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "abs": np.abs,
    "identity": lambda z: z,
    "prelu": lambda z: np.where(z > 0, z, 0.25 * z),
}


def random_like(tree, seed):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), jnp.float32), tree)


@pytest.mark.parametrize("name", ORACLES)
def test_it_gives_what_the_perceptron_gives(key, name):
    net = models.mlp(4, (5, 3), 2, activation=name)
    params = net.init(key)
    params = params._replace(hidden=random_like(params.hidden, 1), output=random_like(params.output, 2))
    x = np.random.default_rng(3).normal(size=(7, 4)).astype(np.float32)
    h = x
    for layer in params.hidden:
        h = ORACLES[name](h @ np.asarray(layer.W) + np.asarray(layer.b))
    want = h @ np.asarray(params.output.W) + np.asarray(params.output.b)
    twin = models.as_maxout(params, name)
    assert twin.hidden[0].W.shape == (4, 10)
    np.testing.assert_allclose(
        models.maxout_mlp(4, (5, 3), 2, pieces=2).apply(twin, x), want, rtol=1e-5, atol=1e-5
    )


def test_activations_may_differ_and_members_go_together(key):
    net = models.mlp(4, (5, 3), 2, activation=("abs", "prelu"))
    params = jax.vmap(net.init)(jax.random.split(key, 3))
    twins = jax.jit(jax.vmap(lambda p: models.as_maxout(p, ("abs", "prelu"))))(params)
    x = jax.random.normal(key, (6, 4))
    same = jax.vmap(lambda p: models.maxout_mlp(4, (5, 3), 2, pieces=2).apply(p, x))(twins)
    np.testing.assert_allclose(same, jax.vmap(lambda p: net.apply(p, x))(params), rtol=1e-4, atol=1e-5)


def test_what_is_refused(key):
    params = models.mlp(2, (3,), 1).init(key)
    with pytest.raises(ValueError, match=r"activation: got 'tanh', allowed are relu.*prelu"):
        models.as_maxout(params, "tanh")
    with pytest.raises(ValueError, match="got 2 names for 1 hidden layers"):
        models.as_maxout(params, ("relu", "relu"))
    with pytest.raises(ValueError, match="'prelu' for layer 0, whose params have no learned slopes"):
        models.as_maxout(params, "prelu")
    learned = models.mlp(2, (3,), 1, activation="prelu").init(key)
    with pytest.raises(ValueError, match="'relu' for layer 0, whose params have learned slopes"):
        models.as_maxout(learned)
    steep = learned._replace(slopes=(jnp.array([0.1, 1.5, 0.0]),))
    with pytest.raises(ValueError, match=r"params.slopes\[0\]: got a slope above 1"):
        models.as_maxout(steep, "prelu")
    factored = models.mlp(2, (3,), 1, rank=1).init(key)
    with pytest.raises(ValueError, match=r"params.hidden\[0\]: got a Factored"):
        models.as_maxout(factored)
