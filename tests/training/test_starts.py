"""Starting parameters of many members: the rules, and that a seed's do not depend on the others."""

import jax
import numpy as np
import pytest
from scipy import stats

from dlnotes import models
from dlnotes.training import along, initial_params

MLP = models.mlp(30, (40,), 3)
CNN = models.cnn((8, 8, 2), 3, channels=(6,), kernel=3, dense=())


@pytest.mark.parametrize("rule", ["model", "he", "he_convolution"])
def test_a_seed_s_start_is_its_own(rule):
    many = initial_params(MLP, [4, 7, 4], rule)
    alone = initial_params(MLP, [7], rule)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[1], b[0]), many, alone)
    jax.tree.map(lambda a: np.testing.assert_array_equal(a[0], a[2]), many)
    assert (many.hidden[0].W[0] != many.hidden[0].W[1]).any()
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(many))


def test_the_model_s_own_rule_is_its_init():
    drawn = initial_params(MLP, [3, 5])
    for i, seed in enumerate((3, 5)):
        own = MLP.init(jax.random.key(seed))
        jax.tree.map(lambda a, b, i=i: np.testing.assert_array_equal(a[i], b), drawn, own)


def test_he_s_deviation_by_inputs_and_zero_biases():
    W, b = initial_params(MLP, range(20), "he").hidden[0]
    assert not b.any()
    assert stats.kstest(np.ravel(W) / np.sqrt(2 / 30), "norm").pvalue > 1e-3


def test_the_inputs_of_a_kernel_are_those_of_its_window():
    plain = initial_params(CNN, range(30), "he")
    by_window = initial_params(CNN, range(30), "he_convolution")
    kernels = [w for w in jax.tree.leaves(by_window) if w.ndim == 5]
    assert kernels
    for kernel in kernels:
        inputs = np.prod(kernel.shape[1:-1])
        assert stats.kstest(np.ravel(kernel) / np.sqrt(2 / inputs), "norm").pvalue > 1e-3
    dense = [(a, b) for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(by_window)) if a.ndim == 3]
    assert dense
    for a, b in dense:
        np.testing.assert_array_equal(a, b)


def test_no_such_rule():
    with pytest.raises(ValueError, match=r"rule: got 'hee', allowed are model, he, he_convolution; did you"):
        initial_params(MLP, [0], "hee")  # type: ignore[arg-type]


def test_numbers_along_members():
    leaf = np.ones((3, 4, 5))
    np.testing.assert_array_equal(along([1, 2, 3], leaf) * leaf, leaf * np.array([1, 2, 3])[:, None, None])
