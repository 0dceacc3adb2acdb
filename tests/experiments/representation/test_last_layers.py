"""Parts of claim P14.7 against numpy, scipy and scikit-learn."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiment_module import experiment
from scipy.special import log_softmax
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import NearestCentroid

from dlnotes import layers

claim = experiment("representation/last_layer")
parts = sys.modules[claim.train.__module__]
RNG = np.random.default_rng(4)


def table(n=60, units=5):
    y = np.concatenate([np.arange(10), RNG.integers(0, 10, n - 10)]).astype(np.int32)
    h = RNG.normal(size=(10, units))[y] + 0.7 * RNG.normal(size=(n, units))
    return h.astype(np.float32), y


def test_the_nearest_mean_loss_leaves_an_example_out_of_its_own_mean():
    h, y = table()
    y[1] = 0
    y[y == 7] = 3  # a class without any example
    lonely = np.bincount(y, minlength=10)[y] == 1
    got = parts.nearest_mean_loss(jnp.asarray(h), jnp.asarray(y))
    for i in range(len(y)):
        others = np.arange(len(y)) != i
        logits = np.full(10, -np.inf)
        for k in range(10):
            rows = (y == k) & others
            if rows.any():
                logits[k] = -((h[i] - h[rows].mean(0)) ** 2).sum()
        want = 0.0 if lonely[i] else -log_softmax(logits)[y[i]]
        assert float(got.total[i]) == pytest.approx(want, abs=2e-4), i


def test_the_rbf_loss_has_a_class_at_a_fixed_distance():
    h, y = table()
    head = layers.init_rbf(jax.random.key(0), 5, 10)
    z = np.log(np.asarray(layers.rbf(head, jnp.asarray(h)), np.float64))
    np.testing.assert_allclose(parts.rbf_logits(head, jnp.asarray(h)), z, rtol=1e-3, atol=1e-3)
    with_none = np.concatenate([z, np.full((len(z), 1), -parts.REJECTED)], 1)
    want = -log_softmax(with_none, -1)[np.arange(len(y)), y]
    got = parts.rbf_loss(parts.rbf_logits(head, jnp.asarray(h)), jnp.asarray(y)).total
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)


def test_scatter_adds_up_to_the_variance():
    h, y = table()
    found = parts.scatter(h, y)
    assert found.within + found.between == pytest.approx(h.astype(np.float64).var(0).sum())
    means = np.stack([h[y == k].mean(0) for k in range(10)])
    assert found.within == pytest.approx(float(((h - means[y]) ** 2).sum(1).mean()), rel=1e-5)


def test_classifiers_are_scikit_learns():
    h, y = table(300)
    values, classes = [jnp.asarray(h[:200])] * 2 + [jnp.asarray(h[200:])], [jnp.asarray(y[:200])] * 2
    classes.append(jnp.asarray(y[200:]))
    centroid = NearestCentroid().fit(h[:200], y[:200])
    assert parts.mean_accuracy(values, classes) == pytest.approx(100 * centroid.score(h[200:], y[200:]))
    bayes = GaussianNB(priors=np.full(10, 0.1)).fit(h[:200], y[:200])
    bayes.var_ = np.broadcast_to(bayes.var_.mean(1, keepdims=True), bayes.var_.shape)
    assert parts.rbf_accuracy(values, classes) == pytest.approx(100 * bayes.score(h[200:], y[200:]))


def test_ranks_are_the_area_under_the_curve():
    a, b = RNG.normal(size=30) + 0.5, RNG.normal(size=20)
    want = roc_auc_score(np.repeat([1, 0], [30, 20]), np.concatenate([a, b]))
    assert parts.ranked_above(a, b) == pytest.approx(want)


def test_bodies_start_alike_under_every_head():
    first, *others = (parts.network(head, 6, 4).init(jax.random.key(3)).body for head in parts.heads(4))
    for other in others:
        jax.tree.map(np.testing.assert_array_equal, first, other)
