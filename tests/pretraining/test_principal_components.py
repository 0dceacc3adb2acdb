"""Principal components by steps against scikit-learn's of all the data at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from learner_loop import fitted
from scipy.linalg import subspace_angles
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from dlnotes import layers
from dlnotes.pretraining.principal_components import pca

X = (load_digits().data[:1000] / 16).astype(np.float32)


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_subspace_is_scikit_learns(epochs):
    learner = pca(10)
    params = fitted(learner, X, epochs=epochs, batch=50)[0].params
    want = PCA(10).fit(X)
    assert subspace_angles(np.asarray(params.W), want.components_.T).max() < 1e-4
    np.testing.assert_allclose(params.W.T @ params.W, np.eye(10), atol=1e-5)
    np.testing.assert_allclose(params.variances, want.explained_variance_ * 999 / 1000, rtol=1e-4)
    h, theirs = np.asarray(learner.encode(params, jnp.asarray(X))), want.transform(X)
    np.testing.assert_allclose(np.abs(h), np.abs(theirs), atol=2e-3)
    x = learner.decode(params, jnp.asarray(h))
    np.testing.assert_allclose(x, want.inverse_transform(theirs), atol=2e-3)


def test_any_number_of_steps_ends_with_all_of_them():
    for rows in (50, 150, 350):
        params = fitted(pca(5), X[:rows], epochs=1, batch=50)[0].params
        assert subspace_angles(np.asarray(params.W), PCA(5).fit(X[:rows]).components_.T).max() < 1e-3, rows


def test_components_are_good_before_the_end():
    _, metrics = fitted(pca(10), X, epochs=1, batch=50)
    assert metrics["reconstruction"][1:].max() < 1.5 * metrics["reconstruction"][-1]


def test_members_under_vmap_compute_components_no_more_often():
    """A choice under vmap would compute them at every step; here all members share one branch."""
    learner = pca(3)
    x = jnp.stack([X[i : i + 40, 20:30] for i in (0, 100)]).reshape(2, 4, 10, 10)
    states = jax.vmap(lambda x: learner.init(jax.random.key(0), x.mean((0, 1)), 10))(x)
    states = states._replace(step=jnp.zeros(2, jnp.int32))

    def step(state, x, progress):
        return learner.step(state, x, jax.random.key(0), progress)

    together = jax.vmap(step, (0, 0, None))
    program = jax.make_jaxpr(together)(states, x[:, 0], jnp.float32(0))
    branches = [e for e in program.eqns if e.primitive.name == "cond"]
    assert [e.invars[0].aval.shape for e in branches] == [()]
    assert "eigh" not in {e.primitive.name for e in program.eqns}
    for t in range(4):
        states, _ = jax.jit(together)(states, x[:, t], jnp.float32(t / 4))
    for i in range(2):
        want = fitted(learner, x[i].reshape(40, 10), epochs=1, batch=10)[0]
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a[i], b, atol=1e-5), states, want)  # noqa: B023


def test_its_layer_and_signs():
    learner = pca(4)
    params = fitted(learner, X, epochs=1, batch=100)[0].params
    x = jnp.asarray(X)
    h = layers.dense(learner.dense_of(params), x)
    np.testing.assert_allclose(learner.encode(params, x), h, atol=1e-4)
    np.testing.assert_allclose(
        learner.decode(params, h), layers.dense(learner.decoder_of(params), h), atol=1e-5
    )
    assert learner.activation == "identity"
    W = np.asarray(params.W)
    assert (W[np.abs(W).argmax(0), range(4)] > 0).all()


def test_a_mean_that_is_not_the_datas_makes_no_difference():
    learner = pca(3)
    found = [
        learner.step(
            learner.init(jax.random.key(0), jnp.full(64, m), 64), jnp.asarray(X), None, jnp.float32(0)
        )
        for m in (0.0, 0.5)
    ]
    np.testing.assert_allclose(found[0][0].params.W, found[1][0].params.W, atol=1e-4)
    np.testing.assert_allclose(found[0][0].params.mean, X.mean(0), atol=1e-6)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="units: got 0"):
        pca(0)
    with pytest.raises(ValueError, match="units: got 9, allowed are at most 5, as many as inputs"):
        pca(9).init(jax.random.key(0), jnp.zeros(5), 5)
    with pytest.raises(ValueError, match="x: got inf in row 0, column 0"):
        pca(1).check(np.array([[np.inf]]))
    constant = fitted(pca(2), np.ones((6, 3)), epochs=1)[0].params
    assert all(np.isfinite(p).all() for p in constant)
