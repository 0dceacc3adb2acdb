"""Patterns of connections, and that moving them is shuffling the pixels."""

import jax
import numpy as np

from dlnotes.training import initial_params
from experiments.feedforward import sparse_patterns as sparse


def test_every_unit_has_25_pixels_in_every_pattern():
    for kind in range(len(sparse.KINDS)):
        found = sparse.pattern(kind, 3)
        assert found.shape == (784, 196)
        assert (found.sum(0) == 25).all()


def test_windows_are_squares_of_neighbors_that_cover_the_image():
    found = sparse.local_pattern().reshape(28, 28, 196)
    rows, columns = (found.max(axis) for axis in (1, 0))
    for seen in (rows, columns):
        assert (seen.sum(0) == 5).all()
        assert (np.abs(np.diff(seen, axis=0)).sum(0) <= 2).all()
    assert (found.sum(-1) > 0).all()


def test_moved_connections_are_shuffled_pixels():
    """A network with windows on shuffled images is the network with moved windows on the images."""
    x = np.random.default_rng(0).normal(size=(3, 784)).astype(np.float32)
    model, seeds = sparse.masked_network(), np.array([5])
    params = sparse.starts({"kind": np.array([sparse.SHUFFLED])}, seeds)
    params = jax.tree.map(lambda a: a[0], params)
    order = np.random.default_rng([sparse.FIRST_SEED, 5]).permutation(784)
    back = np.argsort(order)
    np.testing.assert_array_equal(params.mask[back], sparse.local_pattern())
    (hidden,) = params.net.hidden
    windows = params._replace(
        net=params.net._replace(hidden=(hidden._replace(W=hidden.W[back]),)), mask=params.mask[back]
    )
    np.testing.assert_allclose(model.apply(params, x), model.apply(windows, x[:, back]), rtol=1e-4, atol=1e-5)


def test_units_start_with_the_variance_of_all_connections():
    params = sparse.starts({"kind": np.array([0, 1])}, np.array([1, 1]))
    whole = initial_params(sparse.WHOLE, [1], "he").hidden[0].W
    size = (params.net.hidden[0].W ** 2).sum(1)
    np.testing.assert_allclose(size.mean(-1), (whole**2).sum(1).mean(), rtol=0.05)


def test_a_layer_with_fewer_units_has_as_many_parameters():
    found = sparse.counted()
    assert abs(found[2, 0] / found[0, 0] - 1) < 0.06
    assert found[0, 0] == 196 * (25 + 1 + 10) + 10
    assert found[0, 1] == 196 * (25 + 10)
