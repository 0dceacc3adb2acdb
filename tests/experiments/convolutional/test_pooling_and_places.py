"""What the claims on pooling as a prior and in autoencoders measure with, against what it should give."""

import jax
import numpy as np
import pytest
from experiment_module import experiment
from pydantic import ValidationError
from scipy.ndimage import center_of_mass
from sklearn.decomposition import PCA

from dlnotes.data.dataset import Examples

prior = experiment("convolutional/pooling_prior")
autoencoders = experiment("convolutional/pooled_autoencoders")


@pytest.mark.parametrize("side", [14, 28])
def test_a_digit_stands_at_the_place_that_is_its_answer(side):
    rng = np.random.default_rng(0)
    images = np.zeros((60, 28, 28, 1), np.float32)
    images[:, 12:16, 10:14] = rng.uniform(0.5, 1.0, (60, 1, 1, 1))
    x, place = prior.on_canvas(images, side, rng)
    step = side // 14
    assert x.shape == (60, side + 6 * step, side + 6 * step, 1)
    np.testing.assert_allclose(x.sum((1, 2, 3)) * (28 // side) ** 2, images.sum((1, 2, 3)), rtol=1e-5)
    middle = np.array([center_of_mass(image[..., 0]) for image in x])
    start = middle.min(0)
    np.testing.assert_allclose((middle - start) / step, np.stack([place // 7, place % 7], 1), atol=1e-4)


def test_training_sets_are_nested_and_the_same_images_for_both_tasks():
    rng = np.random.default_rng(0)
    part = Examples(rng.uniform(size=(50, 28, 28, 1)).astype(np.float32), rng.integers(0, 10, 50))
    seeds, numbers = np.array([5, 5, 8]), np.array([4, 12, 12])
    tasks = (prior.WHAT, prior.WHERE)
    what, where = (prior.examples_of(part, seeds, numbers, task, 14, 12) for task in tasks)
    np.testing.assert_array_equal(what.x, where.x)
    np.testing.assert_array_equal(what.x[0, :4], what.x[1, :4])
    np.testing.assert_array_equal(what.x[0, :4], what.x[0, 4:8])
    assert len(np.unique(what.x[1].reshape(12, -1), axis=0)) == 12
    assert not np.array_equal(what.x[1], what.x[2])
    assert where.y.max() < 49
    assert set(what.y[1]) <= set(part.y)


def test_pooling_and_strides_have_as_many_parameters():
    sizes = []
    for which in (prior.POOLED, prior.STRIDED, prior.WHOLE):
        params = jax.eval_shape(prior.network(which, prior.WHAT, 14, 6).init, jax.random.key(0))
        sizes.append(sum(a.size for a in jax.tree.leaves(params)))
    assert sizes[0] == sizes[1] == 6 * 26 + 2 * 2 * 6 * 64 + 64 + 650
    assert sizes[2] == 6 * 26 + 20 * 20 * 6 * 64 + 64 + 650


def test_the_ratio_of_examples_has_a_sign():
    """Curves ``a + b log n`` and the same moved by a factor of two in n, either way."""
    n = np.array([100, 200, 400, 800])
    line = 0.1 * np.log(n)[:, None] + np.array([[0.0, 0.02, 0.01]])
    ahead = line + 0.1 * np.log(2)
    m = {"examples": n, "accuracy": np.array([[line, ahead, line], [ahead, line, line]])}
    assert prior.times_more(m, 0, 0, 1).value == pytest.approx(2)
    assert prior.times_more(m, 1, 0, 1).value == pytest.approx(0.5)
    assert prior.times_more(m, 0, 0, 2).value == pytest.approx(1)


def test_sizes_must_increase():
    with pytest.raises(ValidationError, match="two or more, increasing"):
        prior.PoolingPrior(seeds=2, examples=(20, 10))


def test_components_are_those_of_sklearn():
    rng = np.random.default_rng(0)
    train, test = (rng.normal(size=(n, 12)) @ np.diag(np.arange(1, 13)) for n in (200, 50))
    pca = PCA(4).fit(train)
    want = np.square(test - pca.inverse_transform(pca.transform(test))).sum(-1).mean()
    assert autoencoders.components(train, test, 4) == pytest.approx(want, rel=1e-6)


def test_targets_are_the_middle_of_the_images():
    x = np.random.default_rng(0).uniform(0, 1, (9, 28, 28, 1)).astype(np.float32)
    got = autoencoders.examples(Examples(x, np.zeros(9)), 7)
    assert got.x.shape == (7, 12, 12, 1)
    assert got.x[3, 2, 5, 0] == pytest.approx(x[3, 6:8, 12:14].mean(), rel=1e-5)
    np.testing.assert_array_equal(got.y, got.x.reshape(7, -1))
