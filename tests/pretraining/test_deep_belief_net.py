"""The deep belief net against sums over all of its states, in numpy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, logsumexp
from scipy.stats import norm

from dlnotes import pretraining
from dlnotes.pretraining import deep_belief_net as net
from dlnotes.pretraining.learner import Encoder, Learner
from dlnotes.pretraining.rbm import GaussianRBMParams, RBMParams
from dlnotes.pretraining.rbm_learner import rbm

rng = np.random.default_rng(7)


def machine(visible, hidden, scale=1.0):
    def draw(*shape):
        return (scale * rng.normal(size=shape)).astype(np.float32)

    return RBMParams(draw(visible, hidden), draw(visible), draw(hidden))


def states(n):
    return np.array(list(itertools.product([0.0, 1.0], repeat=n)))


def log_machine(p, v):
    """``log p(v)`` of a restricted machine, all pairs of states added up."""
    W, b, c = (np.asarray(a, np.float64) for a in p)

    def minus_energy(v):
        return (v @ b)[:, None] + (states(len(c)) @ c)[None] + v @ W @ states(len(c)).T

    return logsumexp(minus_energy(v), axis=1) - logsumexp(minus_energy(states(len(b))))


def log_net(layers, v):
    """``log p(v)`` of a net: ``Σ_h p(v | h) p(h)``, from the top down."""
    known = log_machine(layers[-1], states(layers[-1].W.shape[0]))
    for i, p in reversed(list(enumerate(layers[:-1]))):
        low, high = v if i == 0 else states(p.W.shape[0]), states(p.W.shape[1])
        mean = expit(high @ np.asarray(p.W, np.float64).T + p.b)
        given = low @ np.log(mean).T + (1 - low) @ np.log1p(-mean).T
        known = logsumexp(given + known, axis=1)
    return known


def bits(n, units):
    return rng.integers(0, 2, (n, units)).astype(np.float32)


def test_with_mirrored_weights_it_is_the_restricted_machine():
    """With ``W² = W¹ᵀ`` and swapped biases, both have the same distribution."""
    low = machine(6, 5)
    v = states(6).astype(np.float32)
    found = net.log_prob((low, RBMParams(low.W.T, low.c, low.b)), v)
    np.testing.assert_allclose(found, log_machine(low, v), atol=3e-5)
    np.testing.assert_allclose(np.exp(found).sum(), 1, atol=1e-4)


@pytest.mark.parametrize("units", [(5, 4, 3), (4, 3, 5, 2), (5, 3)])
def test_log_prob_adds_up_all_states(units):
    layers = [machine(*pair) for pair in itertools.pairwise(units)]
    v = states(units[0]).astype(np.float32)
    np.testing.assert_allclose(net.log_prob(layers, v), log_net(layers, v), atol=3e-5)


def test_real_visible_units():
    low = GaussianRBMParams(*machine(3, 4), sigma=np.array([0.5, 1.0, 2.0], np.float32))
    top = machine(4, 3)
    v = rng.normal(size=(5, 3)).astype(np.float32)
    prior = log_machine(top, states(4))
    mean = low.b + low.sigma * (states(4) @ low.W.T)
    given = norm.logpdf(v[:, None], mean[None], low.sigma).sum(-1)
    np.testing.assert_allclose(net.log_prob((low, top), v), logsumexp(given + prior, axis=1), atol=3e-5)
    bounds = net.lower_bounds(
        (low, top), v, logsumexp(-np.asarray(net.free_energy(top, states(4).astype(np.float32)))),
        jax.random.key(0), draws=2000,
    )  # fmt: skip
    np.testing.assert_allclose(bounds.importance, net.log_prob((low, top), v), atol=0.15)


def test_bounds_lie_below_and_importance_gets_near():
    layers = (machine(5, 4), machine(4, 3), machine(3, 4))
    v = bits(6, 5)
    log_z = logsumexp(-np.asarray(net.free_energy(layers[-1], states(3).astype(np.float32))))
    exact = log_net(layers, v)
    found = net.lower_bounds(layers, v, log_z, jax.random.key(1), draws=4000)
    # The variational bound is the mean of what recognition draws: the same by enumeration.
    total = 0.0
    for one in states(4):
        for two in states(3):
            log_q = log_bits(v @ layers[0].W + layers[0].c, one)
            log_q = log_q + log_bits(one @ layers[1].W + layers[1].c, two)
            log_p = log_bits(one @ layers[0].W.T + layers[0].b, v) + log_bits(
                two @ layers[1].W.T + layers[1].b, one
            )
            log_p = log_p + two @ layers[2].b + np.logaddexp(0, two @ layers[2].W + layers[2].c).sum() - log_z
            total = total + np.exp(log_q) * (log_p - log_q)
    assert (total < exact).all()
    np.testing.assert_allclose(found.variational, total, atol=0.3)
    assert (found.importance >= found.variational).all()
    np.testing.assert_allclose(found.importance, exact, atol=0.15)


def log_bits(z, x):
    return (x * z - np.logaddexp(0, z)).sum(-1)


def test_one_layer_is_a_restricted_machine():
    layer, v = machine(5, 4), bits(7, 5)
    np.testing.assert_allclose(net.log_prob((layer,), v), log_machine(layer, v), atol=2e-5)
    log_z = logsumexp(-np.asarray(net.free_energy(layer, states(5).astype(np.float32))))
    found = net.lower_bounds((layer,), v, log_z, jax.random.key(0), draws=2)
    np.testing.assert_allclose(found.variational, log_machine(layer, v), atol=2e-5)
    np.testing.assert_allclose(found.importance, log_machine(layer, v), atol=2e-5)


def test_samples_have_the_distribution_of_the_net():
    layers = (machine(4, 3), machine(3, 3))
    means = net.sample(layers, jax.random.key(3), n=20_000, sweeps=30)
    assert means.shape == (20_000, 4)
    assert 0 <= float(means.min()) <= float(means.max()) <= 1
    drawn = np.asarray(means) > rng.uniform(size=means.shape)
    counts = np.bincount(drawn @ [8, 4, 2, 1], minlength=16) / 20_000
    np.testing.assert_allclose(counts, np.exp(log_net(layers, states(4))), atol=4 * 0.5 / np.sqrt(20_000))


def test_chains_over_time_start_at_data_and_repeat():
    layers = (machine(6, 5), machine(5, 4))
    v, key = bits(3, 6), jax.random.key(0)
    found = net.chains_over_time(layers, key, chains=3, snapshots=4, every=2, start=v)
    assert found.shape == (4, 3, 6)
    np.testing.assert_array_equal(
        found, net.chains_over_time(layers, key, chains=3, snapshots=4, every=2, start=v)
    )
    assert len(np.unique(np.asarray(found), axis=0)) == 4


def test_recognition_is_the_composition_of_encoders():
    learner = rbm(4)
    layers = (machine(6, 4), machine(4, 3))
    v = bits(5, 6)
    first, second = net.recognize(layers, v)
    np.testing.assert_allclose(first, expit(v @ layers[0].W + layers[0].c), atol=1e-6)
    np.testing.assert_allclose(second, expit(np.asarray(first) @ layers[1].W + layers[1].c), atol=1e-6)
    model, params = pretraining.to_mlp([Encoder(layer, rbm(n)) for layer, n in zip(layers, (4, 3))], 2)
    read_out = np.asarray(second) @ np.asarray(params.output.W) + np.asarray(params.output.b)
    np.testing.assert_allclose(model.apply(params, jnp.asarray(v)), read_out, atol=1e-6)
    built = net.belief_net([Encoder(layer, learner) for layer in layers])
    np.testing.assert_array_equal(net.recognize(built, v)[1], second)


def test_bad_input_is_named():
    layers = (machine(6, 5), machine(4, 3))
    with pytest.raises(ValueError, match=r"layers\[1\].W: got 4 visible units, allowed are the 5"):
        net.log_prob(layers, bits(2, 6))
    with pytest.raises(ValueError, match="layers: got none"):
        net.check(())
    many = jax.tree.map(lambda a: np.stack([a, a]), machine(6, 5))
    with pytest.raises(ValueError, match=r"layers\[0\].W: got shape \(2, 6, 5\).*member_of"):
        net.sample((many,), jax.random.key(0))
    other = Learner(3, init=None, step=None, encode=None, kind="autoencoder")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"encoders\[0\]: got a layer of kind 'autoencoder'"):
        net.belief_net([Encoder((np.zeros((3, 3)),), other)])
    with pytest.raises(ValueError, match=r"layers\[1\].W: got 30 units.*at most 20"):
        net.log_prob((machine(4, 30), machine(30, 3)), jnp.zeros((1, 4)))
    with pytest.raises(ValueError, match=r"start: got shape \(2, 6\), allowed is \(3, 6\)"):
        net.chains_over_time((machine(6, 5),), jax.random.key(0), chains=3, start=jnp.zeros((2, 6)))
    with pytest.raises(ValueError, match="draws: got 0"):
        net.lower_bounds((machine(6, 5),), jnp.zeros((1, 6)), 0.0, jax.random.key(0), draws=0)
