"""Contrastive divergence and persistent chains against exact gradients, exact expectations, scikit-learn."""

import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit
from sklearn.datasets import load_digits
from sklearn.neural_network import BernoulliRBM

from dlnotes.layers import dense
from dlnotes.pretraining import draws, train
from dlnotes.pretraining.rbm import (
    GaussianRBMParams,
    RBMParams,
    free_energy,
    hidden_means,
    log_likelihood,
    visible_means,
)
from dlnotes.pretraining.rbm_learner import RBMState, rbm, statistics

RNG = np.random.default_rng(41)
START = jnp.float32(0)


def states(n):
    return np.array(list(itertools.product([0.0, 1.0], repeat=n)))


def machine(visible, hidden, scale=1.0):
    shapes = (visible, hidden), (visible,), (hidden,)
    return RBMParams(*(jnp.asarray(scale * RNG.standard_normal(s), jnp.float32) for s in shapes))


def gaussian(visible, hidden):
    sigma = jnp.asarray(RNG.uniform(0.5, 2.0, visible), jnp.float32)
    return GaussianRBMParams(*machine(visible, hidden, 0.5), sigma)


def resting(params, chains=None):
    return RBMState(params, jax.tree.map(jnp.zeros_like, params), chains)


def bare(units, **options):
    """A learner whose step is its gradient: rate 1, no momentum, no decay."""
    return rbm(
        units,
        learning_rate=1.0,
        momentum=0.0,
        final_momentum=0.0,
        weight_decay=0.0,
        rate_decay=False,
        **options,
    )


def gradient(learner, state, x, key):
    new, metrics = jax.jit(learner.step)(state, x, key, START)
    return jax.tree.map(jnp.subtract, new.params, state.params), new, metrics


def bits(rows, inputs):
    return jnp.asarray(RNG.integers(0, 2, (rows, inputs)), jnp.float32)


def close(got, want, atol):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=atol), got, want)


def test_statistics_are_the_gradient_of_the_free_energies():
    for params, v0, v1 in (
        (machine(5, 3), bits(7, 5), bits(4, 5)),
        (gaussian(5, 3), jnp.asarray(RNG.standard_normal((7, 5)), jnp.float32), bits(4, 5)),
    ):

        def difference(p, v0=v0, v1=v1):
            return free_energy(p, v1).mean() - free_energy(p, v0).mean()

        want = jax.grad(difference)(params)
        got = statistics(
            params, (v0, hidden_means(params, v0)), (v1, hidden_means(params, v1)), of_sigma=True
        )
        if isinstance(params, GaussianRBMParams):
            want = want._replace(sigma=want.sigma * params.sigma)  # of log σ
        close(got, want, 1e-5)


def test_a_step_of_many_rows_is_the_exact_expectation_of_cd_1(key):
    """From the matrix of transitions between all 2^V states."""
    params, rows = machine(5, 4), bits(6, 5)
    W, b, c = (np.asarray(p, np.float64) for p in params)
    v, h = states(5), states(4)
    p_h = expit(v @ W + c)
    to_h = np.prod(np.where(h[None] == 1, p_h[:, None], 1 - p_h[:, None]), -1)
    p_v = expit(h @ W.T + b)
    to_v = np.prod(np.where(v[None] == 1, p_v[:, None], 1 - p_v[:, None]), -1)
    transition = to_h @ to_v
    start = np.bincount((np.asarray(rows) @ [16, 8, 4, 2, 1]).astype(int), minlength=32) / len(rows)
    after = start @ transition
    for k in (1, 3):
        learner = bare(4, steps=k)
        got, _, _ = gradient(learner, resting(params), jnp.tile(rows, (10_000, 1)), key)
        want = RBMParams(
            v.T @ ((start - after)[:, None] * p_h), v.T @ (start - after), p_h.T @ (start - after)
        )
        close(got, want, 5 * 0.5 / 60_000**0.5)
        after = after @ transition @ transition


def test_many_steps_of_the_chain_give_the_gradient_of_the_likelihood(key):
    for params, visible in ((machine(5, 3, 0.7), "bernoulli"), (gaussian(4, 3), "gaussian")):
        inputs = len(params.b)
        x = (
            bits(8, inputs)
            if visible == "bernoulli"
            else jnp.asarray(RNG.standard_normal((8, 4)), jnp.float32)
        )
        want = jax.grad(lambda p, x=x: log_likelihood(p, x).mean())(params)
        if isinstance(want, GaussianRBMParams):
            want = want._replace(sigma=jnp.zeros(4))
        many = jnp.tile(x, (4000, 1))
        got, _, _ = gradient(bare(3, visible=visible, steps=25), resting(params), many, key)
        if isinstance(got, GaussianRBMParams):
            got = got._replace(sigma=jnp.zeros(4))
        close(got, want, 0.05 if visible == "gaussian" else 0.02)
        h = jnp.zeros((32_000, 3))
        learner = bare(3, visible=visible, steps=25, persistent=True)
        got, new, _ = gradient(learner, resting(params, h), x, key)
        got = got._replace(sigma=jnp.zeros(4)) if isinstance(got, GaussianRBMParams) else got
        close(got, want, 0.05 if visible == "gaussian" else 0.02)
        assert new.chains.shape == h.shape


def test_the_update_is_written_out(key):
    """Momentum, decay and rate: against numpy, with the bare step's gradient."""
    x = bits(6, 5)
    options = {"learning_rate": 0.3, "momentum": 0.4, "final_momentum": 0.8, "weight_decay": 0.01}
    params, velocity = machine(5, 3), machine(5, 3)
    for progress, m, share in ((0.0, 0.4, 1.0), (0.1, 0.6, 1.0), (0.5, 0.8, 1.0), (0.75, 0.8, 0.5)):
        state = RBMState(params, velocity, None)
        grown = statistics_of_a_step(params, x, key)
        grown = grown._replace(W=grown.W - 0.01 * params.W)
        new, _ = rbm(3, rate_decay=True, **options).step(state, x, key, jnp.float32(progress))
        want = jax.tree.map(lambda v, g, m=m, s=share: m * v + 0.3 * s * g, velocity, grown)
        close(new.velocity, want, 1e-5)
        close(new.params, jax.tree.map(jnp.add, params, want), 1e-5)
    new, _ = rbm(3, **options).step(RBMState(params, velocity, None), x, key, jnp.float32(0.75))
    want = jax.tree.map(lambda v, g: 0.8 * v + 0.3 * g, velocity, grown)
    close(new.velocity, want, 1e-5)  # without persistent chains the rate stays


def statistics_of_a_step(params, x, key):
    return gradient(bare(3), resting(params), x, key)[0]


def test_starts_at_the_logit_of_the_means(key):
    mean = jnp.array([0.0, 0.2, 1.0])
    state = rbm(4, persistent=True, chains=7).init(key, mean, 3)
    np.testing.assert_allclose(jax.nn.sigmoid(state.params.b), [1e-4, 0.2, 1 - 1e-4], rtol=1e-3)
    assert state.params.W.shape == (3, 4)
    assert state.chains.shape == (7, 4)
    real = rbm(4, visible="gaussian", sigma=0.5).init(key, mean, 3)
    np.testing.assert_array_equal(real.params.b, mean)
    np.testing.assert_array_equal(real.params.sigma, [0.5] * 3)
    assert real.chains is None


def test_values_between_are_drawn_and_bits_are_not(key):
    params = machine(5, 3)
    x = bits(6, 5)
    np.testing.assert_array_equal(draws.bits(draws.words(key, x.shape), x), x)
    grey = jnp.full((20_000, 5), 0.3)
    drawn, _, _ = gradient(bare(3), resting(params._replace(W=jnp.zeros((5, 3)))), grey, key)
    np.testing.assert_allclose(drawn.b, 0.3 - expit(np.asarray(params.b)), atol=0.02)
    again = bare(3).step(resting(params), grey[:4], key, START)[0]
    close(bare(3).step(resting(params), grey[:4], key, START)[0], again, 0)
    other = bare(3).step(resting(params), grey[:4], jax.random.key(1), START)[0]
    assert np.abs(np.asarray(other.params.W - again.params.W)).max() > 1e-3


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("persistent", [False, True])
def test_compiled_and_many_seeds_are_the_loop(visible, persistent):
    learner = rbm(
        4, visible=visible, persistent=persistent, chains=6, steps=2, learn_sigma=visible == "gaussian"
    )
    x = bits(6, 5)

    def trained(key):
        state = learner.init(key, jnp.full(5, 0.4), 5)
        for i in range(3):
            state, metrics = learner.step(state, x, jax.random.fold_in(key, i), jnp.float32(i / 3))
        return state, metrics

    keys = jax.random.split(jax.random.key(0), 3)
    mapped = jax.jit(jax.vmap(trained))(keys)
    for i in range(2):
        alone = trained(keys[i])
        close(jax.tree.map(lambda a, i=i: a[i], mapped), alone, 2e-6)


def squares(rng=RNG, n=300):
    """Nine bits, a row or a column of three on, at random: structure that single units cannot hold."""
    found = np.zeros((n, 3, 3), np.float32)
    for image in found:
        where = rng.integers(0, 3)
        if rng.random() < 0.5:
            image[where] = 1
        else:
            image[:, where] = 1
    return found.reshape(n, 9)


def fitted(learner, x, steps, batch, seed=0):
    """A small loop of its own: rows drawn with their return."""
    x = jnp.asarray(x)
    key = jax.random.key(seed)

    @jax.jit
    def run(state):
        def body(i, carry):
            state, _ = carry
            of_rows, of_step = jax.random.split(jax.random.fold_in(key, i))
            rows = jax.random.randint(of_rows, (batch,), 0, len(x))
            return learner.step(state, x[rows], of_step, i.astype(jnp.float32) / steps)

        shapes = jax.eval_shape(learner.step, state, x[:batch], key, START)[1]
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        return jax.lax.fori_loop(0, steps, body, (state, zeros))

    return run(learner.init(key, x.mean(0), x.shape[1]))


def test_persistent_chains_learn_a_distribution_as_scikit_learns_do():
    x = squares()
    theirs = BernoulliRBM(n_components=8, learning_rate=0.1, batch_size=20, n_iter=100, random_state=0).fit(x)
    weights = theirs.components_.T, theirs.intercept_visible_, theirs.intercept_hidden_
    them = float(log_likelihood(RBMParams(*(jnp.asarray(w, jnp.float32) for w in weights)), x).mean())
    state, metrics = fitted(rbm(8, persistent=True, learning_rate=0.1, chains=50), x, 1500, 20)
    ours = float(log_likelihood(state.params, jnp.asarray(x)).mean())
    best, single = -np.log(6), float(np.mean(np.sum(np.where(x == 1, np.log(1 / 3), np.log(2 / 3)), 1)))
    assert single + 2 < ours < best
    assert ours > them - 0.1, (ours, them)
    assert metrics["diverged"] == 0


def test_gaussian_machine_learns_two_clusters():
    centers = np.array([[1.2, -1.2, 1.2], [-1.2, 1.2, -1.2]])
    x = centers[RNG.integers(0, 2, 400)] + 0.4 * RNG.standard_normal((400, 3))
    x = ((x - x.mean(0)) / x.std(0)).astype(np.float32)
    normal = -0.5 * 3 * (1 + np.log(2 * np.pi))
    found = {}
    for learn in (False, True):
        options = {"learning_rate": 0.02, "persistent": True, "steps": 5, "init_scale": 0.1}
        state, _ = fitted(rbm(2, visible="gaussian", learn_sigma=learn, **options), x, 2000, 50)
        found[learn] = float(log_likelihood(state.params, jnp.asarray(x)).mean())
    assert found[False] < found[True]
    assert found[True] > normal + 1.0, (found, normal)
    assert np.abs(np.asarray(state.params.sigma) - 0.32).max() < 0.12  # the clusters' spread


def test_encoders_as_layers():
    for params in (machine(5, 3), gaussian(5, 3)):
        learner = rbm(3, visible="gaussian" if len(params) == 4 else "bernoulli")
        x, h = bits(4, 5), bits(4, 3)
        np.testing.assert_allclose(
            jax.nn.sigmoid(dense(learner.dense_of(params), x)), hidden_means(params, x), rtol=1e-5
        )
        down = dense(learner.decoder_of(params), h)
        down = down if len(params) == 4 else jax.nn.sigmoid(down)
        np.testing.assert_allclose(down, visible_means(params, h), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(learner.encode(params, x), hidden_means(params, x))
        two = jax.tree.map(lambda p: jnp.stack([p, p]), params)
        assert learner.decoder_of(two).W.shape == (2, 3, 5)
        np.testing.assert_array_equal(learner.dense_of(two).W[1], learner.dense_of(params).W)


def test_data_that_do_not_fit():
    check = rbm(3).check
    x = RNG.random((8, 4)).astype(np.float32)
    check(x)
    with pytest.raises(ValueError, match="x: got values from -1.5 to .*, allowed for visible bits is 0 to 1"):
        check(np.concatenate([x, np.full((1, 4), -1.5, np.float32)]))
    with pytest.raises(ValueError, match="to 255, allowed for visible bits is 0 to 1"):
        check(np.array([[0, 255]], np.float32))
    with pytest.raises(ValueError, match="x: got NaN"):
        check(np.array([[0, np.nan]], np.float32))
    with pytest.raises(ValueError, match="x: got an infinite number"):
        check(np.array([[0, np.inf]], np.float32))
    with pytest.raises(ValueError, match=r"x: got shape \(0, 4\)"):
        check(x[:0])
    real = rbm(3, visible="gaussian").check
    with pytest.warns(UserWarning, match="x: got inputs with means up to .* is for standardized inputs"):
        real(10 * x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        still = np.concatenate([(x - x.mean(0)) / x.std(0), np.zeros((8, 1), np.float32)], 1)
        real(still)  # a constant input is no fault
    with pytest.raises(ValueError, match="x: got NaN"):
        real(np.array([[np.nan]], np.float32))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": 0}, "units: got 0"),
        ({"steps": 0}, "steps: got 0"),
        ({"chains": -1}, "chains: got -1"),
        ({"visible": "real"}, "visible: got 'real', allowed are 'bernoulli' and 'gaussian'"),
        ({"learning_rate": 0.0}, "learning_rate: got 0.0, allowed is a number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate: got nan"),
        ({"momentum": 1.0}, "momentum: got 1.0, allowed is 0 <= momentum < 1"),
        ({"weight_decay": -1.0}, "weight_decay: got -1.0"),
        ({"learn_sigma": True}, "learn_sigma: got True for bits"),
        ({"sigma": 0.0, "visible": "gaussian"}, "sigma: got 0.0"),
    ],
)
def test_arguments_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        rbm(**{"units": 3, **options})


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_a_rate_that_is_too_high_is_said(visible):
    """Weights that grow on and on: by the metric "diverged", or by numbers that are not finite."""
    x = load_digits().data[:400].astype(np.float32) / 16
    x = x if visible == "bernoulli" else (x - x.mean(0)) / np.maximum(x.std(0), 0.1)
    learner = rbm(32, visible=visible, learning_rate=20.0 if visible == "bernoulli" else 1.0)
    _, metrics = fitted(learner, x, 200, 100)
    assert metrics["diverged"] == 1 or not np.isfinite(metrics["reconstruction"])
    calm, metrics = fitted(rbm(32, visible=visible), x, 200, 100)
    assert metrics["diverged"] == 0
    assert np.isfinite(calm.params.W).all()


REAL = {"visible": "gaussian"}


@pytest.mark.parametrize("options", [{}, REAL, {**REAL, "learn_sigma": True}], ids=["bits", "real", "sigma"])
def test_a_training_with_too_high_a_rate_stops_with_its_reason(options):
    x = load_digits().data[:200].astype(np.float32) / 16
    x = (x - x.mean(0)) / np.maximum(x.std(0), 0.1) if options else x
    found = train(rbm(16, learning_rate=30.0, **options), x, seeds=[0, 1], epochs=40, batch_size=50)
    assert [(s["member"], s["reason"]) for s in found.stopped] == [(0, "diverged"), (1, "diverged")]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found.state.members.state))
