"""The restricted Boltzmann machine against tables of all states, numeric integrals and scikit-learn's."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, logsumexp
from sklearn.neural_network import BernoulliRBM

from dlnotes import pretraining
from dlnotes.pretraining.rbm import (
    GaussianRBMParams,
    RBMParams,
    energy,
    free_energy,
    hidden_means,
    log_likelihood,
    log_partition,
    pseudo_log_likelihood,
    sample,
    visible_means,
)

RNG = np.random.default_rng(14)


def states(n):
    return np.array(list(itertools.product([0.0, 1.0], repeat=n)))


def machine(visible, hidden, scale=1.0):
    shapes = (visible, hidden), (visible,), (hidden,)
    return RBMParams(*(jnp.asarray(scale * RNG.standard_normal(s), jnp.float32) for s in shapes))


def gaussian(visible, hidden):
    sigma = jnp.asarray(RNG.uniform(0.5, 2.0, visible), jnp.float32)
    return GaussianRBMParams(*machine(visible, hidden, 0.7), sigma)


def table(params):
    """-E of every (v, h), in numpy: ``(2^V, 2^H)``."""
    W, b, c = (np.asarray(p, np.float64) for p in params)
    v, h = states(len(b)), states(len(c))
    return (v @ b)[:, None] + (h @ c)[None] + np.einsum("vi,ij,hj->vh", v, W, h)


def as32(x):
    return jnp.asarray(x, jnp.float32)


@pytest.mark.parametrize(("visible", "hidden"), [(6, 4), (4, 6), (1, 1), (3, 13), (13, 2)])
def test_energies_and_likelihood_are_those_of_a_table_of_all_states(visible, hidden):
    params = machine(visible, hidden)
    log_joint = table(params)
    v, h = as32(states(visible)), as32(states(hidden))
    got = jax.vmap(lambda v: jax.vmap(lambda h: energy(params, v, h))(h))(v)
    np.testing.assert_allclose(got, -log_joint, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(free_energy(params, v), -logsumexp(log_joint, 1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(log_partition(params), logsumexp(log_joint), rtol=1e-5)
    log_p = logsumexp(log_joint, 1) - logsumexp(log_joint)
    np.testing.assert_allclose(log_likelihood(params, v), log_p, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        log_likelihood(params, v, log_z=0.0), logsumexp(log_joint, 1), rtol=1e-4, atol=1e-4
    )


def test_conditionals_are_those_of_the_table():
    params = machine(5, 4)
    joint = np.exp(table(params))
    v, h = states(5), states(4)
    np.testing.assert_allclose(
        hidden_means(params, as32(v)), joint @ h / joint.sum(1, keepdims=True), rtol=1e-4
    )
    np.testing.assert_allclose(visible_means(params, as32(h)), joint.T @ v / joint.sum(0)[:, None], rtol=1e-4)


def test_the_gradient_of_the_likelihood_is_data_minus_model():
    params, data = machine(5, 3), RNG.integers(0, 2, (7, 5)).astype(np.float32)
    got = jax.grad(lambda p: log_likelihood(p, data).mean())(params)
    joint = np.exp(table(params) - logsumexp(table(params)))
    v, h = states(5), states(3)
    p = expit(data @ np.asarray(params.W) + np.asarray(params.c))
    model = np.einsum("vh,vi,hj->ij", joint, v, h)
    np.testing.assert_allclose(got.W, data.T @ p / 7 - model, atol=1e-5)
    np.testing.assert_allclose(got.b, data.mean(0) - joint.sum(1) @ v, atol=1e-5)
    np.testing.assert_allclose(got.c, p.mean(0) - joint.sum(0) @ h, atol=1e-5)


def test_pseudo_likelihood_is_the_sum_of_the_conditionals_of_the_table():
    params = machine(5, 3)
    v = states(5)
    log_p = logsumexp(table(params), 1)
    flipped = log_p[[[k ^ (1 << (4 - i)) for i in range(5)] for k in range(32)]]
    want = np.sum(log_p[:, None] - np.logaddexp(log_p[:, None], flipped), 1)
    np.testing.assert_allclose(pseudo_log_likelihood(params, as32(v)), want, rtol=1e-4)
    drawn = jax.vmap(lambda key: pseudo_log_likelihood(params, as32(v), key=key))(
        jax.random.split(jax.random.key(0), 3000)
    )
    error = np.std(drawn, 0) / 3000**0.5
    assert (np.abs(np.mean(drawn, 0) - want) < 4.5 * error + 1e-4).all()


def test_scikit_learn_with_its_weights_here_gives_the_same():
    data = (RNG.random((60, 9)) < RNG.random(9)).astype(np.float32)
    theirs = BernoulliRBM(n_components=6, learning_rate=0.1, n_iter=5, random_state=0).fit(data)
    weights = theirs.components_.T, theirs.intercept_visible_, theirs.intercept_hidden_
    params = RBMParams(*(as32(p) for p in weights))
    np.testing.assert_allclose(free_energy(params, data), theirs._free_energy(data), rtol=1e-4)
    np.testing.assert_allclose(hidden_means(params, data), theirs.transform(data), rtol=1e-4, atol=1e-6)


def test_gaussian_machine_against_numeric_integrals():
    params = gaussian(2, 3)
    W, b, c, sigma = (np.asarray(p, np.float64) for p in params)
    axis = np.linspace(-14, 14, 561)
    v = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    h = states(3)
    E = (((v - b) / sigma) ** 2 / 2).sum(1)[:, None] - (h @ c)[None] - (v / sigma) @ W @ h.T
    joint = np.exp(-E) * (axis[1] - axis[0]) ** 2
    few = slice(100_000, 100_020)
    got = jax.vmap(lambda h: energy(params, as32(v[few]), jnp.broadcast_to(h, (20, 3))))(as32(h))
    np.testing.assert_allclose(got.T, E[few], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(log_partition(params), np.log(joint.sum()), rtol=1e-5)
    np.testing.assert_allclose(
        visible_means(params, as32(h)), joint.T @ v / joint.sum(0)[:, None], rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(
        hidden_means(params, as32(v[few])), (joint @ h / joint.sum(1, keepdims=True))[few], rtol=1e-4
    )
    density = np.exp(np.asarray(log_likelihood(params, as32(v)), np.float64))
    np.testing.assert_allclose(density.sum() * (axis[1] - axis[0]) ** 2, 1, rtol=1e-4)


def test_gaussian_machine_is_a_mixture_in_closed_form():
    """With one hidden unit: two normal densities, b and b + σ W apart."""
    params = gaussian(4, 1)
    W, b, c, sigma = (np.asarray(p, np.float64) for p in params)
    v = RNG.standard_normal((9, 4))
    log_weight = np.array([0.0, c[0] + (b / sigma) @ W[:, 0] + (W[:, 0] ** 2).sum() / 2])
    centers = np.stack([b, b + sigma * W[:, 0]])
    log_normal = -(((v[:, None] - centers) / sigma) ** 2 / 2 + np.log(sigma * (2 * np.pi) ** 0.5)).sum(-1)
    want = logsumexp(log_normal + log_weight - logsumexp(log_weight), 1)
    np.testing.assert_allclose(log_likelihood(params, as32(v)), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_chains_have_the_distribution_of_the_machine(visible, key):
    params = machine(4, 3) if visible == "bernoulli" else gaussian(3, 3)
    found = sample(params, key, chains=20_000, steps=20, every=10)
    v = np.asarray(found.v[-1], np.float64)
    if visible == "bernoulli":
        want = np.exp(logsumexp(table(params), 1) - logsumexp(table(params)))
        got = np.bincount((v @ [8, 4, 2, 1]).astype(int), minlength=16) / 20_000
        assert np.abs(got - want).max() < 5 * np.sqrt(0.25 / 20_000)
        return
    W, b, c, sigma = (np.asarray(p, np.float64) for p in params)
    h = states(3)
    log_weight = h @ c + (b / sigma) @ W @ h.T + ((h @ W.T) ** 2).sum(1) / 2
    weight = np.exp(log_weight - logsumexp(log_weight))
    centers = b + sigma * (h @ W.T)
    mean = weight @ centers
    covariance = np.diag(sigma**2) + (weight[:, None] * (centers - mean)).T @ (centers - mean)
    np.testing.assert_allclose(v.mean(0), mean, atol=5 * np.sqrt(np.diag(covariance).max() / 20_000))
    np.testing.assert_allclose(np.cov(v.T), covariance, atol=0.06 * np.diag(covariance).max())


def test_chains_over_time(key):
    params = machine(4, 3)
    start = as32(RNG.integers(0, 2, (5, 4)))
    found = sample(params, key, start=start, steps=7, every=2)
    assert found.v.shape == found.means.shape == (3, 5, 4)
    assert set(np.unique(found.v)) <= {0.0, 1.0}
    longer = sample(params, key, start=start, steps=6, every=6)
    np.testing.assert_array_equal(longer.v[-1], found.v[-1])  # a step's draws are its own


@pytest.mark.parametrize("params", [machine(5, 3), gaussian(5, 3)], ids=["bits", "real"])
def test_compiled_and_mapped_over_members(params):
    v = as32(RNG.integers(0, 2, (6, 5)))
    two = jax.tree.map(lambda p: jnp.stack([p, 1.1 * p]), params)
    for function in (free_energy, hidden_means, log_likelihood):
        want = function(params, v)
        np.testing.assert_allclose(jax.jit(function)(params, v), want, rtol=2e-6, atol=2e-6)
        mapped = jax.vmap(function, (0, None))(two, v)
        np.testing.assert_allclose(mapped[0], want, rtol=2e-6, atol=2e-6)


def test_refusals(key):
    with pytest.raises(ValueError, match=r"21 visible and 22 hidden .* at most 20 units of the smaller side"):
        log_partition(machine(21, 22))
    with pytest.raises(ValueError, match=r"3 visible and 21 hidden .* at most 20 hidden units"):
        log_partition(gaussian(3, 21))
    with pytest.raises(ValueError, match="pseudo_log_likelihood is of bits"):
        pseudo_log_likelihood(gaussian(3, 2), jnp.zeros((1, 3)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="every: got 9, allowed is at most steps = 5"):
        sample(machine(3, 2), key, steps=5, every=9)
    with pytest.raises(ValueError, match=r"start: got shape \(3,\), allowed is \(chains, 3\)"):
        sample(machine(3, 2), key, start=jnp.zeros(3))
    with pytest.raises(ValueError, match="chains: got 0"):
        sample(machine(3, 2), key, chains=0)


def test_lists_and_seeds_from_a_notebook():
    params = RBMParams([[0.5], [1.0]], [0.0, 0.0], [1.0])  # type: ignore[arg-type]
    assert pretraining.free_energy(params, [1.0, 0.0]).shape == ()
    assert pretraining.sample(params, 3, chains=2, steps=2).v.shape == (1, 2, 2)
