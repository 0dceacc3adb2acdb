"""Regions found by clustering against scikit-learn's k-means, and pooling over them against loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from sklearn.cluster import KMeans

from dlnotes import layers

clustered_pool = jax.jit(layers.clustered_pool, static_argnums=(1, 2), static_argnames="threshold")
cluster_locations = jax.jit(
    layers.cluster_locations, static_argnums=1, static_argnames=("steps", "threshold")
)
RNG = np.random.default_rng(0)


def places(sizes):
    return np.stack([i.ravel() for i in np.indices(sizes)], -1).astype(float)


def greedy_start(w, points, k):
    """The strongest point, then always the one that costs most."""
    centers = [points[np.argmax(w)]]
    for _ in range(k - 1):
        nearest = np.min([((points - c) ** 2).sum(1) for c in centers], axis=0)
        centers.append(points[np.argmax(w * nearest)])
    return np.array(centers)


@pytest.mark.parametrize("sizes", [(30,), (11, 9), (5, 4, 6)], ids=str)
@pytest.mark.parametrize("threshold", [0.0, 0.2])
def test_centers_are_those_of_scikit_learn(sizes, threshold):
    strength = RNG.gamma(1.0, size=(2, *sizes)).astype(np.float32)
    got = cluster_locations(strength, 4, steps=50, threshold=threshold)
    points = places(sizes)
    for image, centers, labels in zip(strength, *got):
        w = np.where(image >= threshold * image.max(), image, 0).ravel().astype(float)
        kmeans = KMeans(4, init=greedy_start(w, points, 4), n_init=1, max_iter=50, tol=0, algorithm="lloyd")
        kmeans.fit(points, sample_weight=w)
        order = np.lexsort(kmeans.cluster_centers_.T[::-1])
        np.testing.assert_allclose(centers, kmeans.cluster_centers_[order], atol=1e-4)
        want = np.argsort(order)[kmeans.predict(points)]
        np.testing.assert_array_equal(labels.ravel(), want)


def test_each_step_lowers_the_cost():
    strength = RNG.gamma(0.3, size=(1, 12, 12)).astype(np.float32)
    points, costs = places((12, 12)), []
    for steps in (1, 2, 4, 16):
        centers = np.asarray(cluster_locations(strength, 5, steps=steps, threshold=0.0).centers[0])
        nearest = ((points[:, None] - centers) ** 2).sum(-1).min(1)
        costs.append((strength.ravel() * nearest).sum())
    assert np.all(np.diff(costs) <= 1e-4)
    assert costs[-1] < costs[0]


def test_blobs_are_found_wherever_they_are():
    """Three spots on nothing: their places are the centers, in the order from top to bottom."""
    image = np.zeros((2, 20, 24, 2), np.float32)
    spots = np.array([[3, 15], [9, 4], [16, 18]])
    for shift in (0, 1):
        for value, (i, j) in zip((2.0, 3.0, 2.5), spots + shift):
            image[shift, i - 1 : i + 2, j - 1 : j + 2] = value
    strength = np.linalg.norm(image, axis=-1)
    centers = cluster_locations(strength, 3).centers
    np.testing.assert_allclose(centers, np.stack([spots, spots + 1]), atol=1e-5)
    pooled = clustered_pool(jnp.asarray(image), 3)
    np.testing.assert_array_equal(pooled, np.tile(np.array([2.0, 3.0, 2.5])[:, None], (2, 1, 2)))


@pytest.mark.parametrize("kind", ["max", "mean"])
def test_pooling_against_loops(kind):
    x = RNG.normal(size=(2, 8, 7, 3)).astype(np.float32)
    got = clustered_pool(jnp.asarray(x), 4, kind)
    labels = np.asarray(cluster_locations(np.linalg.norm(x, axis=-1), 4).labels)
    for b in range(2):
        for r in range(4):
            inside = x[b][labels[b] == r]
            np.testing.assert_allclose(got[b, r], getattr(inside, kind)(0), rtol=1e-5)


@pytest.mark.parametrize("kind", ["max", "mean"])
def test_padding_changes_nothing(kind):
    x = RNG.normal(size=(3, 6, 7, 2)).astype(np.float32)
    big = 9 * RNG.normal(size=(3, 9, 11, 2)).astype(np.float32)
    big[:, :6, :7] = x
    mask = np.zeros((3, 9, 11), bool)
    mask[:, :6, :7] = True

    def f(x, mask):
        return clustered_pool(x, 3, kind, mask=mask)

    np.testing.assert_allclose(f(jnp.asarray(big), mask), f(jnp.asarray(x), None), rtol=1e-5)
    assert np.all(np.asarray(cluster_locations(np.abs(big[..., 0]), 3, mask=mask).labels)[~mask] == -1)
    gradient = jax.jit(jax.grad(lambda x: f(x, mask).sum()))(jnp.asarray(big))
    assert np.all(np.asarray(gradient)[~mask] == 0)


@pytest.mark.parametrize("kind", ["max", "mean"])
def test_gradient_and_vmap(kind):
    x = jnp.asarray(RNG.permutation(60).reshape(2, 6, 5, 1) / 6, jnp.float32)
    weights = jnp.asarray(RNG.normal(size=(2, 3, 1)), jnp.float32)

    @jax.jit
    def f(x):
        return jnp.sum(weights * clustered_pool(x, 3, kind))

    check_grads(jax.jit(f), (x,), 1, ["rev"], eps=1e-3, rtol=2e-2, atol=1e-2)
    many = jnp.stack([x, x[:, ::-1]])
    g = jax.jit(jax.grad(f))
    np.testing.assert_allclose(jax.jit(jax.vmap(g))(many), jnp.stack([g(a) for a in many]), rtol=1e-5)


def test_images_with_fewer_strong_places_than_regions():
    one = np.zeros((2, 4, 4, 1), np.float32)
    one[0, 1, 2] = 2.0  # one strong place; the second image is empty
    for kind in ("max", "mean"):
        both = jax.jit(jax.value_and_grad(lambda x, kind=kind: clustered_pool(x, 3, kind).sum()))
        assert all(np.all(np.isfinite(a)) for a in both(jnp.asarray(one)))
    assert clustered_pool(jnp.asarray(one), 3)[0].max() == 2.0
    assert clustered_pool(jnp.asarray(one, jnp.bfloat16), 3).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: clustered_pool(jnp.ones((1, 4, 4, 1)), 0), "k: got 0"),
        (lambda: clustered_pool(jnp.ones((1, 4, 4, 1)), 2, "median"), "kind: got 'median'"),
        (lambda: clustered_pool(jnp.ones((1, 4, 4, 1)), 2, threshold=2.0), "threshold: got 2.0"),
        (lambda: cluster_locations(jnp.ones(4), 2), r"strength: got shape \(4,\)"),
        (lambda: cluster_locations(jnp.ones((1, 4)), 2, mask=jnp.ones((1, 5), bool)), "mask: got shape"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
