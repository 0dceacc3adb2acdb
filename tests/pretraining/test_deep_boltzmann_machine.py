"""The deep Boltzmann machine against sums over all of its states, in numpy."""

import itertools
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, logit, logsumexp

from dlnotes import pretraining
from dlnotes.pretraining import (
    annealed_importance_dbm,
    dbm,
    doubled_rbm,
    doubled_stack,
    greedy,
    member_of,
    train,
)
from dlnotes.pretraining import deep_boltzmann_machine as machine
from dlnotes.pretraining.deep_boltzmann_machine import DBMParams
from dlnotes.pretraining.rbm import RBMParams, log_likelihood

rng = np.random.default_rng(11)


def draw(units, scale=1.0):
    def normal(*shape):
        return (scale * rng.normal(size=shape)).astype(np.float32)

    return DBMParams(
        tuple(normal(*pair) for pair in itertools.pairwise(units)), tuple(normal(n) for n in units)
    )


def states(n):
    return np.array(list(itertools.product([0.0, 1.0], repeat=n)))


def minus_energies(params, v):
    """``−E`` of rows of v with all hidden states: ``(rows, states)``, and the states of each layer."""
    sizes = [len(b) for b in params.b[1:]]
    every = np.split(states(sum(sizes)), np.cumsum(sizes)[:-1], axis=1)
    layers = [np.repeat(v[:, None], len(every[0]), 1), *(np.repeat(h[None], len(v), 0) for h in every)]
    total = sum(np.einsum("nsi,ij,nsj->ns", a, W, b) for a, W, b in zip(layers, params.W, layers[1:]))
    return total + sum(x @ b for x, b in zip(layers, params.b)), every


def log_z(params):
    return logsumexp(minus_energies(params, states(len(params.b[0])))[0])


def log_p(params, v):
    return logsumexp(minus_energies(params, v)[0], axis=1) - log_z(params)


def bits(n, units):
    return rng.integers(0, 2, (n, units)).astype(np.float32)


SLOW = [pytest.param(units, marks=pytest.mark.slow) for units in ((4, 3, 3), (2, 3, 2, 2, 2))]
DEEP = [(5, 2, 4), (3, 2, 3, 2), (5, 4), *SLOW]


@pytest.mark.parametrize("units", DEEP)
def test_log_prob_and_log_partition_add_up_all_states(units):
    params, v = draw(units), bits(6, units[0])
    np.testing.assert_allclose(machine.log_partition(params), log_z(params), rtol=2e-6, atol=2e-5)
    np.testing.assert_allclose(machine.log_prob(params, v), log_p(params, v), atol=5e-5)
    layers = [bits(6, n) for n in units]
    pairs = zip(layers, params.W, layers[1:])
    energy = -sum(np.einsum("ni,ij,nj->n", a, W, b) for a, W, b in pairs)
    energy = energy - sum(x @ b for x, b in zip(layers, params.b))
    np.testing.assert_allclose(machine.energy(params, layers), energy, rtol=1e-5, atol=1e-5)


def test_one_hidden_layer_is_a_restricted_machine():
    params, v = draw((5, 4)), bits(6, 5)
    same = RBMParams(params.W[0], *params.b)
    np.testing.assert_allclose(machine.log_prob(params, v), log_likelihood(same, v), atol=2e-5)
    np.testing.assert_allclose(
        machine.free_energy(params, (v, None)), pretraining.free_energy(same, v), atol=1e-5
    )
    (means,) = machine.mean_field(params, v, sweeps=1)
    np.testing.assert_allclose(means, pretraining.hidden_means(same, v), atol=1e-6)


@pytest.mark.parametrize("units", DEEP)
def test_the_bound_is_below_log_prob_and_never_falls(units):
    params, v = draw(units), bits(8, units[0])
    z = log_z(params)
    bounds = [
        machine.lower_bound(params, v, machine.mean_field(params, v, sweeps=n), z) for n in (0, 1, 2, 5, 40)
    ]
    assert (np.asarray(bounds[-1]) <= log_p(params, v) + 3e-5).all()
    for low, high in itertools.pairwise(bounds[0 if len(units) == 2 else 1 :]):
        assert (np.asarray(high) >= np.asarray(low) - 2e-5).all()


def test_the_bound_is_tight_without_the_upper_weights():
    params, v = draw((5, 3, 3)), bits(8, 5)
    params = params._replace(W=(params.W[0], 0 * params.W[1]))
    bound = machine.lower_bound(params, v, machine.mean_field(params, v, sweeps=1), log_z(params))
    np.testing.assert_allclose(bound, log_p(params, v), atol=3e-5)


def test_mean_field_until_it_rests_solves_its_equations():
    params, v = draw((5, 4, 3)), bits(8, 5)
    means, sweeps = machine.mean_field_until(params, v, tolerance=1e-6)
    one, two = map(np.asarray, means)
    np.testing.assert_allclose(one, expit(v @ params.W[0] + two @ params.W[1].T + params.b[1]), atol=1e-5)
    np.testing.assert_allclose(two, expit(one @ params.W[1] + params.b[2]), atol=1e-5)
    assert 1 < int(sweeps) < 1000
    np.testing.assert_allclose(machine.mean_field(params, v, sweeps=int(sweeps))[0], one, atol=1e-6)
    first, fewer = machine.mean_field_until(params, v)
    assert int(fewer) <= int(sweeps)
    np.testing.assert_allclose(first[0], one, atol=1e-3)


def test_the_bottom_up_pass_is_a_network_and_a_start_for_one():
    params, v = draw((5, 4, 3)), bits(8, 5)
    one, two = map(np.asarray, machine.bottom_up(params, v))
    np.testing.assert_allclose(one, expit(2 * v @ params.W[0] + params.b[1]), atol=1e-6)
    np.testing.assert_allclose(two, expit(one @ params.W[1] + params.b[2]), atol=1e-6)
    down = machine.top_down(params, two)
    middle = expit(2 * two @ params.W[1].T + params.b[1])
    np.testing.assert_allclose(down, expit(middle @ params.W[0].T + params.b[0]), atol=1e-6)


def test_gradient_of_log_prob_is_the_difference_of_statistics():
    """Both expectations by enumeration, in numpy; the derivative by jax."""
    params, v = draw((4, 3, 2), 0.7), bits(5, 4)

    def expected(rows):
        """Means of each layer and of products of neighbors over all states, weighted."""
        minus, every = minus_energies(params, rows)
        return minus, [
            np.repeat(rows[:, None], minus.shape[1], 1),
            *(np.repeat(h[None], len(rows), 0) for h in every),
        ]

    minus, layers = expected(v)
    posterior = np.exp(minus - logsumexp(minus, axis=1, keepdims=True)) / len(v)
    all_minus, all_layers = expected(states(4))
    model = np.exp(all_minus - logsumexp(all_minus))

    def statistic(weights, layers):
        W = tuple(np.einsum("ns,nsi,nsj->ij", weights, a, b) for a, b in itertools.pairwise(layers))
        return DBMParams(W, tuple(np.einsum("ns,nsi->i", weights, a) for a in layers))

    exact = jax.tree.map(np.subtract, statistic(posterior, layers), statistic(model, all_layers))
    found = jax.grad(lambda p: jnp.mean(machine.log_prob(p, v)))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), found, exact)


def test_a_step_goes_along_the_gradient():
    """Without the upper weights mean field is exact: the step is the gradient, up to the chains' sampling."""
    params = draw((4, 3, 2), 0.7)
    params = params._replace(W=(params.W[0], 0 * params.W[1]))
    v = bits(12, 4)
    learner = dbm(
        (3, 2), chains=6000, gibbs_steps=10, momentum=0.0, weight_decay=0.0, start=params, learning_rate=1.0
    )
    state = learner.init(jax.random.key(0), jnp.full(4, 0.5), 4)
    new, _ = learner.step(state, jnp.asarray(v), jax.random.key(1), jnp.float32(0.75))
    moved = jax.tree.map(lambda a, b: 4 * (a - b), new.params, state.params)  # a quarter of the rate is left
    exact = jax.grad(lambda p: jnp.mean(machine.log_prob(p, v)))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=0.05), moved, exact)


def test_gibbs_leaves_the_distribution_as_it_is():
    params = draw((3, 2, 2), 0.8)
    chains = tuple(jnp.asarray(bits(20_000, n)) for n in (3, 2, 2))
    for k in range(20):
        chains = jax.jit(machine.gibbs)(params, jax.random.key(k), chains)
    counts = np.bincount(np.asarray(chains[0] @ jnp.array([4.0, 2.0, 1.0]), int), minlength=8) / 20_000
    np.testing.assert_allclose(counts, np.exp(log_p(params, states(3))), atol=0.015)


def test_chains_over_time_have_the_distribution_and_start_at_data():
    params, key = draw((3, 2, 2), 0.8), jax.random.key(2)
    seen = np.asarray(machine.chains_over_time(params, key, chains=4000, snapshots=6, every=10))
    assert seen.shape == (6, 4000, 3)
    exact = np.exp(log_p(params, states(3))) @ states(3)
    np.testing.assert_allclose(seen[1:].mean((0, 1)), exact, atol=0.015)
    with pytest.raises(ValueError, match=r"start: got shape \(2, 3\), allowed is \(4, 3\)"):
        machine.chains_over_time(params, key, chains=4, start=jnp.zeros((2, 3)))
    still = params._replace(W=tuple(20 * np.abs(W) for W in params.W), b=tuple(0 * b - 3 for b in params.b))
    ones = jnp.ones((4, 3))
    np.testing.assert_allclose(
        machine.chains_over_time(still, key, chains=4, snapshots=2, every=1, start=ones), 1, atol=0.2
    )


@pytest.mark.parametrize("units", [(6, 4, 3), (4, 3, 3, 2), pytest.param((6, 5), marks=pytest.mark.slow)])
def test_annealed_importance_is_within_its_interval(units):
    params = draw(units)
    found = annealed_importance_dbm(params, jax.random.key(5), chains=200, betas=300)
    assert found.low <= log_z(params) <= found.high
    assert found.high - found.low < 0.5
    other = annealed_importance_dbm(
        params,
        jax.random.key(6),
        chains=200,
        betas=300,
        mean=jnp.asarray(rng.uniform(0.2, 0.8, units[0]), jnp.float32),
    )
    assert other.low <= log_z(params) <= other.high


def test_doubled_machines_make_a_deep_one():
    """What each machine was trained with is half of what a unit of the deep one gets."""
    low, high = RBMParams(*draw((5, 4)).W, *draw((5, 4)).b), RBMParams(*draw((4, 3)).W, *draw((4, 3)).b)
    deep = machine.from_machines((low, high))
    np.testing.assert_array_equal(deep.b[1], (low.c + high.b) / 2)
    learners = doubled_stack((4, 3))
    v, h = bits(6, 5), bits(6, 3)
    up = jnp.asarray(learners[0].encode(low, v))
    down = learners[1].decode(high, h)
    total = machine.total_input(deep, (v, None, h), 1)
    np.testing.assert_allclose(total, (logit(up) + logit(down)) / 2, atol=1e-4)
    layer = learners[0].dense_of(low)
    np.testing.assert_allclose(up, expit(v @ np.asarray(layer.W) + np.asarray(layer.b)), atol=1e-6)
    back = learners[1].decoder_of(high)
    np.testing.assert_allclose(down, expit(h @ np.asarray(back.W) + np.asarray(back.b)), atol=1e-6)


def test_contrastive_divergence_of_a_single_machine():
    """With one copy each it is CD-1, whose mean step is known from the transition of all states."""
    params = RBMParams(*draw((3, 2), 0.7).W, *draw((3, 2), 0.7).b)
    learner = doubled_rbm(2, up=1, down=1, learning_rate=1.0, momentum=(0.0, 0.0), weight_decay=0.0)
    x = bits(4, 3)
    state = learner.init(jax.random.key(0), jnp.full(3, 0.5), 3)._replace(params=params)
    step = jax.jit(
        jax.vmap(lambda key: learner.step(state, jnp.asarray(x), key, jnp.float32(0.25))[0].params)
    )
    found = jax.tree.map(
        lambda a, b: (np.asarray(a) - b).mean(0), step(jax.random.split(jax.random.key(1), 4000)), params
    )
    hidden = expit(x @ params.W + params.c)
    expected = np.zeros((3, 2))
    for h in states(2):
        for v in states(3):
            mean = expit(h @ params.W.T + params.b)
            p = np.prod(hidden**h * (1 - hidden) ** (1 - h), 1) * np.prod(mean**v * (1 - mean) ** (1 - v))
            expected += np.sum(p) / len(x) * np.outer(v, expit(v @ params.W + params.c))
    np.testing.assert_allclose(found.W, x.T @ hidden / len(x) - expected, atol=0.01)


@cache
def bars():
    """Bits in bars: every row of a 3 × 3 picture on or off as a whole."""
    return np.repeat(rng.integers(0, 2, (200, 3)), 3, axis=1).astype(np.float32)


@pytest.mark.slow
def test_it_learns_a_small_set_from_a_doubled_start():
    x = bars()
    stack = greedy(doubled_stack((6, 4), learning_rate=0.1), x, seeds=[0], epochs=40, batch_size=20)
    share = x.mean(0)
    independent = np.mean(np.sum(x * np.log(share) + (1 - x) * np.log(1 - share), axis=1))
    start = machine.from_machines([e.params for e in member_of(stack, 0)])
    learner = dbm((6, 4), start=start, learning_rate=0.02, chains=50, weight_decay=0.0)
    trained = train(learner, x, seeds=[0, 1], epochs=60, batch_size=20)
    log_prob = jax.jit(lambda p: machine.log_prob(p, x).mean())
    for member in range(2):
        params = jax.tree.map(lambda a, m=member: a[m], trained.encoder.params)
        before, after = float(log_prob(start)), float(log_prob(params))
        assert after > before
        assert after > independent + 2  # of 6.2 nats; ideal is 3 log 2 = 2.1 below 0
        assert trained.encoder.learner.encode(params, x).shape == (200, 4)


def test_members_start_each_at_its_own_machine():
    x, learner = bars(), dbm((4, 3), chains=10, sweeps=2, gibbs_steps=1)
    own = jax.tree.map(lambda *a: np.stack(a), draw((9, 4, 3), 0.3), draw((9, 4, 3), 0.3))
    ready = train(learner, x, seeds=[3, 4], epochs=1, batch_size=100, steps=0).state
    begun = pretraining.with_starts(ready, own)
    jax.tree.map(np.testing.assert_array_equal, begun.members.state.params, own)
    assert len(np.unique(begun.members.state.chains[0].reshape(20, 9), axis=0)) > 10
    done = train(learner, x, seeds=[3, 4], epochs=1, batch_size=100, state=begun)
    for W, start in zip(done.encoder.params.W, own.W):
        assert 0 < np.abs(W - start).max() < 0.05
    with pytest.raises(ValueError, match="params: got arrays of shapes"):
        pretraining.with_starts(ready, draw((9, 4, 3)))


def test_training_goes_on_bit_for_bit():
    x, learner = bars(), dbm((4, 3), chains=10, sweeps=2, gibbs_steps=1)
    whole = train(learner, x, seeds=[3, 4], epochs=2, batch_size=50)
    part = train(learner, x, seeds=[3, 4], epochs=2, batch_size=50, steps=3)
    rest = train(learner, x, seeds=[3, 4], epochs=2, batch_size=50, state=part.state)
    jax.tree.map(np.testing.assert_array_equal, rest.encoder.params, whole.encoder.params)


def test_bad_input_is_named():
    params = draw((4, 3, 2))
    with pytest.raises(ValueError, match="units: got none"):
        dbm(())
    with pytest.raises(ValueError, match="learning_rate: got 0"):
        dbm((3,), learning_rate=0)
    with pytest.raises(ValueError, match="momentum: got 1"):
        dbm((3,), momentum=1.0)
    with pytest.raises(ValueError, match=r"start: got hidden layers of \[3, 2\] units, allowed are \[3, 3\]"):
        dbm((3, 3), start=params)
    with pytest.raises(ValueError, match="start: got 4 visible units, the data have 9"):
        train(dbm((3, 2), start=params), bars(), seeds=[0], epochs=1)
    with pytest.raises(ValueError, match=r"x: got values from 0 to 3.*0 to 1"):
        train(dbm((3, 2)), 3 * bars(), seeds=[0], epochs=1)
    with pytest.raises(ValueError, match="up: got 3, allowed are 1 and 2"):
        doubled_rbm(3, up=3)
    with pytest.raises(ValueError, match=r"params.W\[1\]: got shape \(3, 2\)"):
        machine.log_partition(params._replace(b=(params.b[0], params.b[1], np.zeros(5, np.float32))))
    with pytest.raises(
        ValueError, match=r"layers \[0, 2\].*got 42 units.*at most 20|layers \[1\].*got 40 units"
    ):
        machine.log_partition(draw((22, 40, 20)))
    with pytest.raises(ValueError, match="two neighbors that are None"):
        machine.free_energy(params, (None, None, np.zeros((1, 2), np.float32)))
    with pytest.raises(ValueError, match="mean: got shape"):
        annealed_importance_dbm(params, jax.random.key(0), mean=jnp.zeros(3))
    with pytest.raises(ValueError, match="betas: got 1"):
        annealed_importance_dbm(params, jax.random.key(0), betas=1)
    one = RBMParams(np.zeros((3, 2)), np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match=r"rbms\[1\]: got 3 visible units, allowed are the 2"):
        machine.from_machines((one, one))
    with pytest.raises(ValueError, match="tolerance: got 0"):
        machine.mean_field_until(params, np.zeros((1, 4), np.float32), tolerance=0)
