"""Linear probes against scikit-learn's optima, a planted network and sets of known separability."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge

from dlnotes import models
from dlnotes.analysis import linear_probe, probe_accuracy, separable, separating_margin
from dlnotes.models import activations


def table(n=120, d=6, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(classes, d))
    y = rng.integers(0, classes, n)
    x = centers[y] + rng.normal(size=(n, d)) * np.linspace(0.3, 2.0, d) + 3
    return x.astype(np.float32), y.astype(np.int32)


def scaled(x):
    """As the docstring's equation has the features."""
    centered = x.astype(np.float64) - x.mean(0)
    return centered / np.sqrt((centered**2).mean())


@pytest.mark.parametrize("decay", [1e-3, 1e-1])
@pytest.mark.parametrize("shape", [(120, 6), (25, 40)])
def test_logistic_is_scikit_learns_optimum(decay, shape):
    x, y = table(*shape)
    probe = linear_probe(x, y, 3, decays=(decay,))
    want = LogisticRegression(C=1 / (len(x) * decay), tol=1e-9, max_iter=20_000).fit(scaled(x), y)
    got = jax.nn.softmax(x @ probe.W + probe.b[None])
    np.testing.assert_allclose(got, want.predict_proba(scaled(x)), atol=2e-3)
    W = np.asarray(probe.W, np.float64) * np.sqrt(((x - x.mean(0)).astype(np.float64) ** 2).mean())
    ours, best = (
        -np.log(p[np.arange(len(y)), y]).mean() + decay / 2 * (weights**2).sum()
        for p, weights in (
            (np.asarray(got, np.float64), W),
            (want.predict_proba(scaled(x)), want.coef_),
        )
    )
    assert ours == pytest.approx(best, abs=2e-6)


@pytest.mark.parametrize("shape", [(120, 6), (25, 40)])
def test_ridge_is_scikit_learns_optimum(shape):
    x, y = table(*shape)
    probe = linear_probe(x, y, 3, kind="ridge", decays=(0.03,))
    want = Ridge(alpha=0.03 * len(x)).fit(scaled(x), np.eye(3)[y]).predict(scaled(x))
    np.testing.assert_allclose(x @ probe.W + probe.b[None], want, atol=2e-4)


def test_components_are_the_principal_ones():
    x, y = table()
    probe = linear_probe(x, y, 3, kind="ridge", decays=(0.1,), components=2)
    z = PCA(2).fit_transform(scaled(x))
    want = Ridge(alpha=0.1 * len(x)).fit(z, np.eye(3)[y]).predict(z)
    np.testing.assert_allclose(x @ probe.W + probe.b[None], want, atol=2e-4)


@pytest.mark.parametrize("kind", ["logistic", "ridge"])
def test_the_decay_is_the_best_on_validation(kind):
    x, y = table()
    other = table(seed=1)
    decays = (1e-3, 1e-1, 10.0)
    probe = linear_probe(x, y, 3, kind=kind, decays=decays, validation=other)
    alone = [float(probe_accuracy(linear_probe(x, y, 3, kind=kind, decays=(d,)), *other)) for d in decays]
    np.testing.assert_allclose(probe.tried, alone[::-1], atol=1e-6)
    assert float(probe.decay) == pytest.approx(max(d for d, a in zip(decays, alone) if a == max(alone)))


def test_many_sets_of_features_together():
    sets = np.stack([table(seed=s)[0] for s in range(3)])
    y = table(seed=0)[1]

    def fit(x):
        return linear_probe(x, y, 3, decays=(1e-2,))

    together = jax.vmap(fit)(jnp.asarray(sets))
    for i in range(3):
        np.testing.assert_allclose(together.W[i], fit(sets[i]).W, atol=1e-4)


def test_a_planted_network_is_separable_at_its_layer_and_not_before():
    """Two bits; the hidden layer has the two units that Goodfellow et al. set by hand for XOR."""
    x = np.array(list(product([0, 1], repeat=2)), np.float32)
    y = (x[:, 0] != x[:, 1]).astype(np.int32)
    model = models.mlp(2, (2,), 2)
    params = model.init(jax.random.key(0))
    hidden = params.hidden[0]._replace(W=jnp.ones((2, 2)), b=jnp.array([0.0, -1.0]))
    found = activations(model, params._replace(hidden=(hidden,)), x)
    assert not separable(found["input"], y)
    assert separable(found["hidden[0]"], y)
    assert float(probe_accuracy(linear_probe(found["input"], y, 2, decays=(1e-4,)), found["input"], y)) < 1
    probe = linear_probe(found["hidden[0]"], y, 2, decays=(1e-4,))
    assert float(probe_accuracy(probe, found["hidden[0]"], y)) == 1


@pytest.mark.parametrize("seed", range(6))
def test_separability_is_that_of_the_convex_hulls(seed):
    """Two sets are separable exactly where no mean of one is a mean of the other (Farkas)."""
    rng = np.random.default_rng(seed)
    y = rng.permutation([0] * 6 + [1] * 7)
    x = rng.normal(size=(13, 3)) + 1.2 * y[:, None]
    a, b = x[y == 0], x[y == 1]
    both = np.block([[a.T, -b.T], [np.ones((1, 6)), np.zeros((1, 7))], [np.zeros((1, 6)), np.ones((1, 7))]])
    meet = linprog(np.zeros(13), A_eq=both, b_eq=[0, 0, 0, 1, 1]).status == 0
    assert separable(x, y) is not meet
    assert separable(x * 1e-4 + 100, y) is not meet


def test_more_dimensions_than_points_separate_anything():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(20, 30)), rng.permutation([0, 1] * 10)
    assert separable(x, y)
    assert separating_margin(x[:, :5], y) == 0.0


def test_the_same_point_in_both_classes_is_not_separable():
    assert not separable([[0.0, 1.0], [0.0, 1.0]], [0, 1])
    assert not separable(np.zeros((4, 3)), [0, 1, 0, 1])


def test_what_does_not_fit_is_said():
    x, y = table()
    for wrong, message in (
        (dict(kind="tree"), "kind: got 'tree'"),
        (dict(decays=()), "decays: got"),
        (dict(decays=(0.0,)), "decays: got"),
        (dict(), "validation: got none, is needed to choose among 5 decays"),
        (dict(components=0), "components: got 0"),
        (dict(validation=(x[:, :2], y)), "validation: got 2 features, needed are 6"),
    ):
        with pytest.raises(ValueError, match=message):
            linear_probe(x, y, 3, **wrong)
    with pytest.raises(ValueError, match="classes: got 1"):
        linear_probe(x, y, 1, decays=(1.0,))
    with pytest.raises(ValueError, match="features: got shape"):
        linear_probe(x, y[:3], 3, decays=(1.0,))
    with pytest.raises(ValueError, match="whole numbers"):
        linear_probe(x, y.astype(np.float32), 3, decays=(1.0,))
    with pytest.raises(ValueError, match="y: got 120 classes of 3 kinds"):
        separable(x, y)
    with pytest.raises(ValueError, match="not finite"):
        separable([[np.nan], [1.0]], [0, 1])
