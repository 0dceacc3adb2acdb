"""What the claims on gradients, kinks and unpublished units compute themselves, against numpy and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from dlnotes import data, layers, models
from experiments.feedforward import _image_networks as networks
from experiments.feedforward import gradient_norms as norms
from experiments.feedforward import slope_at_zero as slopes
from experiments.feedforward import unpublished_units as units
from experiments.feedforward import useful_gradients as useful


@pytest.fixture
def images():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(6, networks.INPUTS)).astype(np.float32)
    return data.Examples(x, rng.integers(0, 10, 6).astype(np.int32))


def test_a_perceptron_is_the_librarys(key, images):
    params = networks.perceptron(4, layers.tanh).init(key)
    plain = models.mlp(networks.INPUTS, (4, 4), 10, activation="tanh")
    like = plain.init(key)._replace(hidden=(params.first, params.second), output=params.output)
    got = networks.perceptron(4, layers.tanh).apply(params, images.x)
    np.testing.assert_allclose(got, plain.apply(like, images.x), rtol=1e-5, atol=1e-5)


def test_pre_activations_of_a_convolutional_network(key, images):
    params = networks.convolutional(layers.relu).init(key)
    params = params._replace(first=params.first._replace(b=jnp.arange(8, dtype=jnp.float32)))
    first, second, logits = networks.convolutional_outputs(params, jnp.asarray(images.x), layers.relu)
    padded = np.pad(images.x.reshape(-1, 28, 28), ((0, 0), (0, 1), (0, 1)))
    want = scipy.signal.correlate2d(padded[2], params.first.K[:, :, 0, 3], mode="valid")[::2, ::2] + 3
    np.testing.assert_allclose(first[2, :, :, 3], want, rtol=1e-4, atol=1e-5)
    assert second.shape == (6, 7, 7, 16)
    np.testing.assert_array_equal(logits, networks.convolutional(layers.relu).apply(params, images.x))


def test_the_whole_gradient_is_that_of_the_mean(key, images):
    model = networks.perceptron(3, layers.relu)
    params = model.init(key)
    loss, slope = jax.jit(lambda p: networks.whole_gradient(model, p, images, chunk=2))(params)
    want = jax.jit(jax.value_and_grad(networks.cost_of(model, *images[:2])))(params)
    np.testing.assert_allclose(loss, want[0], rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), slope, want[1])
    members = jax.tree.map(lambda a: jnp.stack([a, a]), params)
    losses, sizes = networks.losses_and_norms(model, members, images, chunk=3)
    norm = np.linalg.norm(np.concatenate([np.ravel(a) for a in jax.tree.leaves(want[1])]))
    np.testing.assert_allclose(sizes, [norm, norm], rtol=1e-4)
    np.testing.assert_allclose(losses, [want[0]] * 2, rtol=1e-5)


def test_exact_zeros_are_counted(key, images):
    params = networks.convolutional(layers.relu).init(key)
    blank = jnp.asarray(images.x).at[:3].set(0.0)
    assert float(slopes.exact_zeros(slopes.CONVOLUTIONAL, params, blank)) == pytest.approx(0.5)
    moved = params._replace(first=params.first._replace(b=jnp.full(8, 0.1)))
    assert float(slopes.exact_zeros(slopes.CONVOLUTIONAL, moved, blank)) == 0
    dense = networks.perceptron(4, layers.relu).init(key)
    dense = dense._replace(
        first=dense.first._replace(b=jnp.full(4, 1.0)),
        second=dense.second._replace(W=dense.second.W.at[:, 0].set(0.0), b=jnp.array([0.0, 1.0, 1.0, 1.0])),
    )
    assert float(slopes.exact_zeros(slopes.PERCEPTRON, dense, jnp.asarray(images.x))) == 1 / 8


def test_which_trainings_end_with_other_weights():
    W = np.ones((6, 2, 2))
    W[4, 1, 1] += 1e-6  # slope 1, the first seed
    found = slopes.differing((W, np.zeros((6, 3))))
    np.testing.assert_array_equal(found, [[False, False], [False, False], [True, False]])


def test_every_unit_starts_from_the_same_weights_and_random_ones_are_not_trained(images):
    seeds = np.array([7, 8])
    scale = np.array([1.0, 0.25])
    relu, own = (units.starts(name, 3, scale, seeds) for name in ("ReLU", "random smooth"))
    jax.tree.map(np.testing.assert_array_equal, relu, own.layers)
    whole = units.starts("ReLU", 3, np.ones(2), seeds)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], 0.25 * b[1]), relu, whole)
    assert not np.allclose(own.unit.phases[0], own.unit.phases[1])
    model, one = units.network("random smooth", 3), jax.tree.map(lambda a: jnp.asarray(a[0]), own)
    slope = jax.jit(jax.grad(networks.cost_of(model, *images[:2])))(one)
    assert all(not np.any(a) for a in slope.unit)
    assert np.any(slope.layers.first.W)
    w, p = (np.asarray(a[0]) for a in own.unit)

    def g(z):
        return (2 / len(w)) ** 0.5 * np.cos(z[..., None] * w + p).sum(-1)

    h = images.x
    for layer in (one.layers.first, one.layers.second):
        h = g(h @ np.asarray(layer.W) + np.asarray(layer.b))
    want = h @ np.asarray(one.layers.output.W) + np.asarray(one.layers.output.b)
    np.testing.assert_allclose(model.apply(one, images.x), want, rtol=1e-3, atol=1e-3)


def test_the_best_unpublished_unit_is_chosen_without_the_test_images():
    tuning = np.full((7, 4), 0.3)
    tuning[units.RELU], tuning[units.ERF, 2], tuning[units.COSINE, 1] = 0.01, 0.1, 0.2
    accuracy = 97 + np.zeros((7, 5)) + 0.01 * np.arange(5)
    accuracy[units.COSINE] += 2
    accuracy[units.BUMP] -= 1
    m = {"tuning": tuning, "accuracy": accuracy}
    assert units.best_unpublished(m) == units.ERF
    assert units.least_accurate(m) == units.BUMP
    assert units.gap(m, units.COSINE, units.RELU).value == pytest.approx(2)


def test_shares_that_are_left_of_loss_and_gradient():
    loss, norm = np.ones((4, 3, 5)), np.ones((4, 3, 5))
    loss[:, 0], norm[:, 0], norm[:, 1], norm[:, 2] = 4, 100, 2, 1
    m = {"loss": loss, "norm": norm, "batch_norm": np.linspace(1, 3, 20)[None, :, None] + np.zeros((4, 1, 5))}
    assert norms.fallen(m, 0).value == pytest.approx(1 / 4)
    assert norms.left(m, 0).value == pytest.approx(1 / 2)
    ends = np.linspace(1, 3, 20)
    assert norms.of_batches(m, 0).value == pytest.approx(ends[-2:].mean() / ends[:2].mean())
    parts = norms.over_parts(np.arange(250.0)[:, None])
    assert parts.shape == (100, 1)
    assert parts[0, 0] == 1.0  # of 0, 1, 2


def test_what_is_seen_of_a_gradient(key, images):
    model = networks.perceptron(3, useful.unit(jnp.asarray(useful.TANH)))
    now = model.init(key)
    cost = networks.cost_of(model, *images[:2])
    slope = jax.jit(jax.grad(cost))(now)
    last = jax.tree.map(lambda p, g: p - 0.3 * g, now, slope)
    found = jax.jit(lambda now, last: useful.seen(model, now, last, images))(now, last)
    assert float(found["cosine"]) == pytest.approx(1, abs=1e-5)
    assert 0 < float(found["progress"]) < 1
    half, step = networks.cost_of(model, images.x[:3], images.y[:3]), 0.005
    square = sum(np.sum(np.float64(g) ** 2) for g in jax.tree.leaves(slope))
    half = jax.jit(half)
    values = [
        float(half(jax.tree.map(lambda p, g: p + np.float32(t / square**0.5) * g, now, slope)))  # noqa: B023
        for t in (-step, 0, step)
    ]
    second = (values[0] - 2 * values[1] + values[2]) / step**2
    np.testing.assert_allclose(found["curvature"], second, rtol=0.1)
    want = 0.05 * float(cost(now)) * float(found["curvature"]) / square
    np.testing.assert_allclose(found["bend"], want, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "name"), [(useful.SIGMOID, "sigmoid"), (useful.TANH, "tanh"), (useful.RELU, "relu")]
)
def test_units_by_number_are_those_by_name(kind, name):
    z = jnp.linspace(-6, 6, 25)
    got = useful.unit(jnp.asarray(kind))(z)
    np.testing.assert_allclose(got, layers.activation(name)(z), atol=1e-6)


def test_starts_by_unit():
    hyper = {"kind": np.array([useful.RELU, useful.TANH, useful.SIGMOID])}
    found = useful.starts(16, hyper, np.array([3, 3, 3]))
    glorot = (784 / 800) ** 0.5
    np.testing.assert_allclose(found.first.W[1], glorot * found.first.W[0], rtol=1e-5)
    np.testing.assert_allclose(found.second.W[2], 4 * 0.5**0.5 * found.second.W[0], rtol=1e-5)
    np.testing.assert_array_equal(found.output.W[2], found.output.W[0])
