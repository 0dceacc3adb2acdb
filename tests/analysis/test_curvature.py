"""Products with the Hessian and angles between directions, against closed forms in numpy."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import analysis, models, outputs


def test_the_hessian_of_logistic_regression():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(40, 5)), rng.integers(0, 2, 40)
    w, v = rng.normal(size=5), rng.normal(size=5)
    X, Y = jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.int32)

    def cost(p):
        logits = jnp.stack([jnp.zeros(40), X @ p["w"]], axis=-1)
        return jnp.mean(outputs.cross_entropy(logits, Y).total)

    share = 1 / (1 + np.exp(-x @ w))
    H = (x.T * (share * (1 - share))) @ x / 40
    params, direction = ({"w": jnp.asarray(a, jnp.float32)} for a in (w, v))
    np.testing.assert_allclose(
        analysis.hessian_product(cost, params, direction)["w"], H @ v, rtol=1e-4, atol=1e-5
    )
    along = analysis.curvature_along(cost, params, direction)
    np.testing.assert_allclose(along, v @ H @ v / (v @ v), rtol=1e-4)
    low, high = np.linalg.eigvalsh(H)[[0, -1]]
    assert low <= along <= high


def test_curvature_of_a_network_by_differences_of_its_cost(key):
    net = models.mlp(3, (4, 3), 2, activation="tanh")
    params, x = net.init(key), jax.random.normal(key, (6, 3))
    y, rng = np.array([0, 1, 0, 1, 1, 0]), np.random.default_rng(7)
    direction = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), jnp.float32), params)

    def cost(p):
        return jnp.mean(outputs.cross_entropy(net.apply(p, x), jnp.asarray(y)).total)

    def in_numpy(step):
        p = jax.tree.map(lambda a, v: np.float64(a) + step * np.float64(v), params, direction)
        h = np.asarray(x, np.float64)
        for layer in p.hidden:
            h = np.tanh(h @ layer.W + layer.b)
        logits = h @ p.output.W + p.output.b
        return np.mean(np.logaddexp(*logits.T) - logits[np.arange(6), y])

    step = 1e-3
    second = (in_numpy(-step) - 2 * in_numpy(0) + in_numpy(step)) / step**2
    want = second / sum(np.sum(np.float64(a) ** 2) for a in jax.tree.leaves(direction))
    np.testing.assert_allclose(analysis.curvature_along(cost, params, direction), want, rtol=1e-3)


def test_convolutions_have_a_curvature_too(key):
    """Whose written-out gradients have no forward mode: against the whole Hessian, with those left out."""
    net = models.cnn((4, 4, 1), 2, channels=(2,), kernel=3, dense=(), activation="tanh")
    params, x = net.init(key), jax.random.normal(key, (3, 4, 4, 1))
    flat, unravel = jax.flatten_util.ravel_pytree(params)
    direction = jnp.asarray(np.random.default_rng(4).normal(size=flat.shape), jnp.float32)

    def cost(p, of=net):
        return jnp.mean(outputs.cross_entropy(of.apply(p, x), jnp.array([0, 1, 1])).total)

    H = jax.jit(jax.hessian(lambda w: cost(unravel(w), models.forward_mode(net))))(flat)
    got = jax.jit(lambda p, v: analysis.hessian_product(cost, p, v))(params, unravel(direction))
    want = np.asarray(H, np.float64) @ np.asarray(direction, np.float64)
    np.testing.assert_allclose(jax.flatten_util.ravel_pytree(got)[0], want, atol=1e-4)


def test_angles_are_those_of_the_flattened_vectors():
    rng = np.random.default_rng(2)
    a, b = ([rng.normal(size=s).astype(np.float32) for s in ((3, 2), (4,), ())] for _ in range(2))
    flat_a, flat_b = (np.concatenate([v.ravel() for v in t]) for t in (a, b))
    want = flat_a @ flat_b / np.linalg.norm(flat_a) / np.linalg.norm(flat_b)
    np.testing.assert_allclose(analysis.cosine_between(a, b), want, rtol=1e-5)
    small, large = [v * np.float32(1e-15) for v in a], [v * np.float32(1e15) for v in b]
    np.testing.assert_allclose(analysis.cosine_between(small, large), want, rtol=1e-5)
    assert np.isnan(analysis.cosine_between(a, jax.tree.map(np.zeros_like, a)))


def test_directions_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"direction: got a tree of shapes .*3.* needed is one of .*2"):
        analysis.hessian_product(lambda w: jnp.sum(w**2), jnp.ones(2), jnp.ones(3))
    with pytest.raises(ValueError, match="b: got a tree"):
        analysis.cosine_between({"w": jnp.ones(2)}, jnp.ones(2))
