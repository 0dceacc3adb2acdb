"""Few labels among many images, and networks of equal size."""

import sys

import jax
import numpy as np
import pytest
from experiment_module import experiment

claim = experiment("representation/shared_representation")
networks = sys.modules[claim.learn.__module__]
Y = np.arange(400) % 10


@pytest.mark.parametrize("labels", [10, 100])
def test_each_seed_has_its_own_labels_as_many_of_each_class(labels):
    first, again, other = (networks.drawn(Y, labels, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(np.bincount(Y[first]), labels // 10)
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


def test_half_of_the_rows_have_a_label():
    made = networks.few_and_more(Y, (40, 100), True, ("image",))([3, 4, 3, 4])
    y = made.y["class"]
    assert made.x.shape == y.shape == (4, 800)
    np.testing.assert_array_equal((y >= 0).sum(1), 400)
    labeled = y >= 0
    np.testing.assert_array_equal(y[labeled], Y[made.x[labeled]])
    assert [len(np.unique(x[own])) for x, own in zip(made.x, labeled)] == [40, 40, 100, 100]
    alone = networks.few_and_more(Y, (40, 100), False, ())([3, 4, 3, 4])
    assert alone.x.shape == (4, 100)
    np.testing.assert_array_equal(np.unique(alone.x[0]), np.unique(made.x[0][labeled[0]]))


def sets():
    rng = np.random.default_rng(0)
    x = rng.random((60, 784), np.float32)
    one = networks.Images(x, np.arange(60) % 10, 40, x[:20], np.arange(20) % 10)
    return {"mnist": one, "fashion_mnist": one._replace(y=(np.arange(60) + 3) % 10)}


def test_each_task_knows_the_images_of_its_own_set():
    both = sets()
    made = networks.of_sets(both, {"mnist": np.array([4, 7]), "fashion_mnist": np.array([5])})
    assert made.x.tolist() == [4, 7, 65]
    assert made.y["mnist"].tolist() == [4, 7, -1]
    assert made.y["fashion_mnist"].tolist() == [-1, -1, 8]
    assert networks.of_sets(both, {"fashion_mnist": np.array([5])}).y["mnist"].tolist() == [-1]


def test_sizes_are_those_that_are_counted():
    width, head = networks.separate_width(256), 10 * networks.separate_width(256) + 10
    counts = [
        sum(a.size for a in jax.tree.leaves(jax.eval_shape(networks.pair(w).init, jax.random.key(0))))
        for w in (256, width)
    ]
    assert counts == [networks.parameters(256, 2), networks.parameters(width, 1) + head]  # one is not used
    assert 2 * networks.parameters(width, 1) <= counts[0] < 2 * networks.parameters(width + 1, 1)


def test_own_answers_are_targets_where_they_are_sure():
    clean = np.log(np.array([[0.95, 0.05], [0.6, 0.4]], np.float32))
    noisy = np.log(np.array([[0.5, 0.5], [0.5, 0.5]], np.float32))
    found = networks.agreement((noisy, clean), np.zeros(2, np.int32))
    np.testing.assert_allclose(found.total, [np.log(2), 0], rtol=1e-6)
    slope = jax.grad(lambda c: networks.agreement((noisy, c), np.zeros(2, np.int32)).total.sum())(clean)
    assert not np.any(slope)


def test_effects_are_differences_of_errors():
    errors = np.zeros((3, 2, 2, 10))
    errors[claim.ALONE, claim.FEW, claim.END] = 20 + np.arange(10)
    errors[claim.DENOISED, claim.FEW, claim.END] = 13 + np.arange(10)
    pair = np.zeros((2, 2, 2, 10))
    pair[claim.SHARED, :, claim.END] = np.array([[4.0], [9.0]])
    pair[claim.APART, :, claim.END] = np.array([[3.0], [11.0]])
    m = {"errors": errors, "pair": pair}
    assert claim.fall(m, claim.DENOISED, claim.FEW).value == pytest.approx(7)
    assert claim.worse(m, slice(0, 2)).value == pytest.approx(-0.5)
    assert claim.worse(m, slice(0, 1)).value == pytest.approx(1)
