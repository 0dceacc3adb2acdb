"""Autoencoders: every option against a closed form, another library, or the option left out."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from learner_loop import fitted
from scipy.linalg import subspace_angles
from scipy.special import rel_entr
from sklearn.decomposition import PCA

from dlnotes import layers
from dlnotes.pretraining.autoencoder import autoencoder
from dlnotes.pretraining.corruption import corrupt
from dlnotes.pretraining.reconstruction import (
    OUTPUTS,
    AutoencoderParams,
    Penalties,
    bernoulli_kl,
    objective,
    squared_jacobian,
    value_and_gradient,
)

RNG = np.random.default_rng(20)
X = RNG.random((12, 7)).astype(np.float32)


def params_of(tied, inputs=7, units=5):
    def draw(*shape):
        return jnp.asarray(RNG.normal(size=shape), jnp.float32)

    return AutoencoderParams(
        draw(inputs, units), draw(inputs), draw(units), None if tied else draw(units, inputs)
    )


def started(learner, x=X, seed=0):
    return learner.init(jax.random.key(seed), jnp.asarray(x.mean(0)), x.shape[1])


def steps(learner, x=X, n=3, seed=0):
    """The state after some steps on the same batch."""
    state, step = started(learner, x, seed), jax.jit(learner.step)
    for i in range(n):
        state, metrics = step(state, jnp.asarray(x), jax.random.key(i), jnp.float32(i / n))
    return state, metrics


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "free"])
@pytest.mark.parametrize("output", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("penalized", [False, True], ids=["plain", "penalized"])
def test_the_gradient_is_that_of_the_objective(tied, output, penalized):
    """Written out, against jax's of the whole and against differences."""
    params, seen = params_of(tied), jnp.asarray(0.7 * X)
    penalties = Penalties("kl" if tied else "l1", 0.3, 0.2, 0.5) if penalized else Penalties("none", 0, 0, 0)
    arguments = seen, jnp.asarray(X), layers.sigmoid, OUTPUTS[output], penalties
    value, want = jax.value_and_grad(objective)(params, *arguments)
    got, metrics = value_and_gradient(params, *arguments)
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6), got, want)
    mean = OUTPUTS[output].mean(
        layers.sigmoid(seen @ params.W + params.c[None]) @ (params.W.T if tied else params.V) + params.b[None]
    )
    np.testing.assert_allclose(metrics["reconstruction"], np.square(mean - X).sum() / 12, rtol=1e-5)
    along = jax.tree.map(lambda p: jnp.asarray(RNG.normal(size=p.shape), jnp.float32), params)

    def moved(by):
        return objective(jax.tree.map(lambda p, d: p + by * d, params, along), *arguments)

    slope = sum(float(jnp.sum(g * d)) for g, d in zip(jax.tree.leaves(got), jax.tree.leaves(along)))
    np.testing.assert_allclose((moved(1e-2) - moved(-1e-2)) / 2e-2, slope, rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("output", ["bernoulli", "gaussian"])
def test_the_cost_is_the_negative_log_likelihood_of_the_output(output):
    from scipy.stats import norm

    params = params_of(True)
    W, b, c = (np.asarray(p, np.float64) for p in params[:3])
    h = 1 / (1 + np.exp(-(X @ W + c)))
    z = h @ W.T + b
    if output == "bernoulli":
        p = 1 / (1 + np.exp(-z))
        want = -(X * np.log(p) + (1 - X) * np.log1p(-p)).sum(1).mean()
    else:
        want = -(norm.logpdf(X, z) - norm.logpdf(0)).sum(1).mean()
    none = Penalties("none", 0, 0, 0)
    got = objective(params, jnp.asarray(X), jnp.asarray(X), layers.sigmoid, OUTPUTS[output], none)
    np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus", "relu", "identity"])
def test_the_contraction_is_the_squared_norm_of_the_jacobian(name):
    g, params, x = layers.ACTIVATIONS[name], params_of(True), jnp.asarray(X)

    def encode(x):
        a = x @ params.W
        return g(a + jnp.broadcast_to(params.c, a.shape))

    J = jax.vmap(jax.jacobian(encode))(x)
    a = x @ params.W + params.c[None]
    got = squared_jacobian(g, a, params.W)
    np.testing.assert_allclose(got, np.square(J).sum((1, 2)), rtol=1e-5)
    if name == "sigmoid":
        h = np.asarray(encode(x))
        closed = np.square(h * (1 - h)) @ np.square(params.W).sum(0)
        np.testing.assert_allclose(got, closed, rtol=1e-5)
    plain, with_it = (
        objective(params, x, x, g, OUTPUTS["gaussian"], Penalties("none", 0, 0, c)) for c in (0.0, 0.7)
    )
    np.testing.assert_allclose(with_it - plain, 0.7 * np.square(J).sum((1, 2)).mean(), rtol=1e-4)


def test_the_divergence_is_scipys_and_finite_where_units_are_dead():
    p, q = RNG.random(9), RNG.random(9)
    got = bernoulli_kl(jnp.asarray(p, jnp.float32), jnp.asarray(q, jnp.float32))
    np.testing.assert_allclose(got, rel_entr(p, q) + rel_entr(1 - p, 1 - q), rtol=1e-4, atol=1e-6)
    ends = jnp.array([0.0, 1.0, 1e-30])
    value, slope = jax.value_and_grad(lambda q: bernoulli_kl(jnp.float32(0.1), q).sum())(ends)
    assert np.isfinite(value)
    assert np.isfinite(slope).all()


def test_sparsity_is_of_the_mean_activity_or_of_each():
    params, x = params_of(True), jnp.asarray(X)
    h = np.asarray(layers.sigmoid(x @ params.W + params.c[None]), np.float64)

    def added(*penalties):
        parts = (Penalties(*p) for p in (("none", 0, 0, 0), penalties))
        plain, more = (objective(params, x, x, layers.sigmoid, OUTPUTS["gaussian"], p) for p in parts)
        return more - plain

    np.testing.assert_allclose(added("l1", 0.5, 0.1, 0), 0.5 * np.abs(h).sum(1).mean(), rtol=1e-4)
    q = h.mean(0)
    want = (rel_entr(0.1, q) + rel_entr(0.9, 1 - q)).sum()
    np.testing.assert_allclose(added("kl", 2.0, 0.1, 0), 2 * want, rtol=1e-4)


@pytest.mark.parametrize("noise", [0.0, 0.2, 0.77, 1.0])
def test_corruption_rates_are_as_asked(noise):
    x = jnp.full((300, 1000), 0.5)  # 300,000 numbers: a standard error of at most 0.0009
    key = jax.random.key(3)
    masked = corrupt(key, x, corruption="mask", noise=noise)
    assert set(np.unique(masked)) <= {0.0, 0.5}
    np.testing.assert_allclose((masked == 0).mean(), noise, atol=0.004)
    salted = corrupt(key, x, corruption="salt_and_pepper", noise=noise)
    assert set(np.unique(salted)) <= {0.0, 0.5, 1.0}
    for value in (0, 1):
        np.testing.assert_allclose((salted == value).mean(), noise / 2, atol=0.004)
    shaken = corrupt(key, x, corruption="gaussian", noise=noise) - x
    np.testing.assert_allclose([shaken.mean(), shaken.std()], [0, noise], atol=0.004)
    rows = np.asarray(masked == 0, np.float64)
    if 0 < noise < 1:  # no two numbers, rows or columns go together
        assert abs(np.corrcoef(rows[:, ::2].ravel(), rows[:, 1::2].ravel())[0, 1]) < 0.01
        assert abs(np.corrcoef(rows[:-1].ravel(), rows[1:].ravel())[0, 1]) < 0.01
    traced = jax.jit(lambda p: corrupt(key, x, corruption="mask", noise=p))(jnp.float32(noise))
    np.testing.assert_array_equal(traced, masked)


def test_noise_enters_the_encoder_only_and_is_new_at_every_step():
    """All inputs masked: the encoder learns nothing but its bias, the output bias learns the mean."""
    learner = autoencoder(4, corruption="mask", noise=1.0, tied=False)
    start, (state, _) = started(learner), steps(learner)
    np.testing.assert_array_equal(state.params.W, start.params.W)
    assert np.abs(state.params.V - start.params.V).max() > 0
    learner = autoencoder(4, corruption="mask", noise=0.5)
    one = [
        learner.step(start, jnp.asarray(X), jax.random.key(i), jnp.float32(0))[1]["loss"] for i in (0, 0, 1)
    ]
    assert one[0] == one[1] != one[2]


NOTHING = [
    {"corruption": "mask", "noise": 0.0},
    {"corruption": "salt_and_pepper", "noise": 0.0},
    {"corruption": "gaussian", "noise": 0.0},
    {"sparsity": "l1", "sparsity_weight": 0.0},
    {"sparsity": "kl", "sparsity_weight": 0.0},
    {"contraction": 0.0},
]


@pytest.mark.parametrize("options", NOTHING, ids=str)
def test_an_option_of_zero_is_the_plain_autoencoder_bit_for_bit(options):
    want, _ = steps(autoencoder(4))
    for given in (options, {k: jnp.float32(0) if v == 0 else v for k, v in options.items()}):
        got, _ = steps(autoencoder(4, **given))
        jax.tree.map(np.testing.assert_array_equal, got, want)


CASES = [
    {},
    {"tied": False, "output": "gaussian", "corruption": "gaussian", "activation": "tanh"},
    {"corruption": "mask", "sparsity": "kl", "optimizer": "adam", "learning_rate": 0.01},
    {"corruption": "salt_and_pepper", "contraction": 0.1, "momentum": 0.9, "schedule": "cosine"},
    {"sparsity": "l1", "weight_decay": 0.1, "schedule": "linear", "optimizer": "rmsprop"},
]


@pytest.mark.parametrize("options", CASES, ids=str)
def test_compiled_is_eager_and_seeds_together_are_seeds_alone(options):
    learner = autoencoder(4, **options)
    x, progress = jnp.asarray(X), jnp.float32(0.3)
    keys = jax.random.split(jax.random.key(1), 3)

    def trained(key):
        state = learner.init(key, x.mean(0), 7)
        for i in range(2):
            state, metrics = learner.step(state, x, jax.random.fold_in(key, i), progress)
        return state, metrics

    compiled = jax.jit(trained)
    alone = [trained(keys[0]), compiled(keys[1]), compiled(keys[2])]
    together = jax.jit(jax.vmap(trained))(keys)
    for i, want in enumerate(alone):
        got = jax.tree.map(lambda a: a[i], together)  # noqa: B023
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6), got, want)
    h = learner.encode(alone[0][0].params, x)
    both = jax.vmap(learner.encode, (0, None))(together[0].params, x)
    np.testing.assert_allclose(both[0], h, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "free"])
@pytest.mark.parametrize("output", ["bernoulli", "gaussian"])
def test_its_two_layers_are_what_it_says(tied, output):
    learner = autoencoder(4, tied=tied, output=output, activation="tanh")
    params = steps(learner)[0].params
    x = jnp.asarray(X)
    h = layers.tanh(layers.dense(learner.dense_of(params), x))
    np.testing.assert_allclose(learner.encode(params, x), h, rtol=1e-6)
    z = layers.dense(learner.decoder_of(params), h)
    np.testing.assert_allclose(learner.decode(params, h), OUTPUTS[output].mean(z), rtol=1e-6)
    assert learner.activation == "tanh"
    assert (params.V is None) == tied


def test_a_linear_tied_autoencoder_spans_the_principal_components():
    x = RNG.normal(size=(200, 8)) @ np.diag([4, 3, 2, 0.5, 0.4, 0.3, 0.2, 0.1]) @ RNG.normal(size=(8, 8))
    x = (x / x.std() + RNG.normal(size=8)).astype(np.float32)
    learner = autoencoder(
        3, activation="identity", output="gaussian", learning_rate=0.01, momentum=0.9, schedule="cosine"
    )
    state, metrics = fitted(learner, x, epochs=2000)
    pca = PCA(3).fit(x)
    assert subspace_angles(np.asarray(state.params.W), pca.components_.T).max() < 1e-3
    best = np.square(x - pca.inverse_transform(pca.transform(x))).sum(1).mean()
    np.testing.assert_allclose(metrics["reconstruction"][-1], best, rtol=1e-3)


def test_learning_lowers_what_it_says_it_lowers():
    x = (RNG.random((100, 12)) < np.repeat(RNG.random((100, 3)) < 0.5, 4, 1) * 0.8 + 0.1).astype(np.float32)
    for options in ({}, {"corruption": "mask"}, {"sparsity": "kl"}, {"contraction": 0.1}):
        _, metrics = fitted(autoencoder(6, learning_rate=0.5, **options), x, epochs=60, batch=20)
        assert metrics["loss"][-5:].mean() < 0.95 * metrics["loss"][:5].mean(), options


def test_sparse_ones_are_sparse_and_contractive_ones_contract():
    x = RNG.random((60, 10)).astype(np.float32)
    plain, sparse, still = (
        fitted(autoencoder(6, **options), x, epochs=200)[0].params
        for options in (
            {},
            {"sparsity": "kl", "sparsity_weight": 5.0, "sparsity_target": 0.1},
            {"contraction": 3.0},
        )
    )
    encode = autoencoder(6).encode
    np.testing.assert_allclose(np.mean(encode(sparse, x), axis=0), 0.1, atol=0.03)
    norms = [squared_jacobian(layers.sigmoid, x @ p.W + p.c[None], p.W).mean() for p in (plain, still)]
    assert norms[1] < 0.5 * norms[0]


def test_where_it_starts():
    mean = np.array([0.0, 0.2, 1.0], np.float32)
    state = autoencoder(2).init(jax.random.key(0), jnp.asarray(mean), 3)
    np.testing.assert_allclose(layers.sigmoid(state.params.b), [1e-3, 0.2, 0.999], rtol=1e-4)
    state = autoencoder(2, output="gaussian").init(jax.random.key(0), jnp.asarray(mean), 3)
    np.testing.assert_array_equal(state.params.b, mean)
    wide = [
        autoencoder(300, activation=name).init(jax.random.key(0), jnp.zeros(300), 300).params.W
        for name in ("sigmoid", "tanh")
    ]
    np.testing.assert_allclose(np.abs(wide[0]).max(), 4 * (6 / 600) ** 0.5, rtol=1e-2)
    np.testing.assert_allclose(wide[0], 4 * wide[1], rtol=1e-6)


BAD = [
    ({"units": 0}, "units: got 0, allowed is a positive integer"),
    ({"units": 2.5}, "units: got 2.5"),
    ({"units": 3, "activation": "sigmoidal"}, "activation: got 'sigmoidal'.*did you mean 'sigmoid'"),
    ({"units": 3, "output": "binary"}, "output: got 'binary', allowed are bernoulli, gaussian"),
    ({"units": 3, "corruption": "masking"}, "corruption: got 'masking'.*did you mean 'mask'"),
    ({"units": 3, "corruption": "mask", "noise": 1.5}, "noise: got 1.5, allowed is 0 <= noise <= 1"),
    ({"units": 3, "corruption": "salt_and_pepper", "noise": -0.1}, "noise: got -0.1"),
    ({"units": 3, "corruption": "gaussian", "noise": -1.0}, "noise: got -1.0, allowed is a standard dev"),
    ({"units": 3, "corruption": "mask", "noise": float("nan")}, "noise: got nan"),
    ({"units": 3, "sparsity": "l2"}, "sparsity: got 'l2', allowed are none, l1, kl"),
    ({"units": 3, "sparsity_weight": -1.0}, "sparsity_weight: got -1.0, allowed is a number of 0 or more"),
    ({"units": 3, "contraction": -0.1}, "contraction: got -0.1"),
    ({"units": 3, "contraction": float("inf")}, "contraction: got inf"),
    ({"units": 3, "learning_rate": -0.1}, "learning_rate: got -0.1"),
    ({"units": 3, "weight_decay": -0.1}, "weight_decay: got -0.1"),
    ({"units": 3, "sparsity": "kl", "sparsity_target": 1.0}, "sparsity_target: got 1.0, allowed is 0 <"),
    ({"units": 3, "sparsity": "kl", "activation": "relu"}, "activation: got 'relu' with sparsity 'kl'"),
    ({"units": 3, "optimizer": "sdg"}, "kind: got 'sdg'.*did you mean 'sgd'"),
    ({"units": 3, "optimizer": "adam", "momentum": 0.9}, "momentum: got 0.9 with optimizer 'adam'"),
    ({"units": 3, "schedule": "cos"}, "schedule: got 'cos'"),
    ({"units": 3, "initializer": "xavier"}, "initializer: got 'xavier'"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=[m.split(",")[0] for _, m in BAD])
def test_what_is_not_allowed_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        autoencoder(**options)


def test_data_that_do_not_fit_are_named():
    pixels = np.array([[0, 255], [3, 4]], np.uint8)
    with pytest.raises(ValueError, match=r"x: got values from 0 to 255, allowed is \[0, 1\] for output 'ber"):
        autoencoder(3).check(pixels)
    autoencoder(3, output="gaussian").check(pixels)
    autoencoder(3).check(X)
    with pytest.raises(ValueError, match=r"got values from -1 to 1, allowed is \[0, 1\] for corruption 's"):
        autoencoder(3, output="gaussian", corruption="salt_and_pepper").check(np.array([[-1.0, 1.0]]))
    for bad, name in ((np.nan, "nan"), (np.inf, "inf")):
        x = X.copy()
        x[3, 4] = bad
        with pytest.raises(ValueError, match=f"x: got {name} in row 3, column 4; allowed are finite"):
            autoencoder(3).check(x)
    for x in (np.zeros(3), np.zeros((0, 3)), np.zeros((2, 2, 2))):
        with pytest.raises(ValueError, match="x: got shape"):
            autoencoder(3).check(x)
    with pytest.raises(ValueError, match="x: got dtype"):
        autoencoder(3).check(np.array([["a", "b"]]))


@pytest.mark.slow
def test_all_options_together():
    """Every combination takes a finite step."""
    choices = itertools.product(
        (True, False), ("bernoulli", "gaussian"), ("none", "mask", "gaussian", "salt_and_pepper"),
        ("none", "l1", "kl"), (0.0, 0.1), ("sgd", "adam"),
    )  # fmt: skip
    for tied, output, corruption, sparsity, contraction, optimizer in choices:
        learner = autoencoder(
            4,
            tied=tied,
            output=output,
            corruption=corruption,
            sparsity=sparsity,
            contraction=contraction,
            optimizer=optimizer,
        )
        state, metrics = steps(learner, n=1)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((state, metrics)))
