"""What the claims on hidden units compute by themselves, against numbers by hand and the library's
networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import data, layers, models
from experiments.feedforward import deep_sigmoids as deep
from experiments.feedforward import low_rank as rank
from experiments.feedforward import rbf_starts as radial
from experiments.feedforward import soft_memory as memory
from experiments.feedforward import softplus_units as softplus


@pytest.mark.parametrize(
    ("kind", "name"), [(deep.SIGMOID, "sigmoid"), (deep.TANH, "tanh"), (deep.RELU, "relu")]
)
def test_a_deep_network_is_the_perceptron_of_its_layers(key, kind, name):
    model = deep.network(3, deep.unit(jnp.asarray(kind)))
    params = jax.tree.map(lambda a: a + 0.01, model.init(key))
    hidden = (params.first, *(layers.Dense(W, b) for W, b in zip(*params.rest.hidden)))
    plain = models.mlp(deep.INPUTS, (deep.WIDTH,) * 3, deep.CLASSES, activation=name)
    like = jax.tree.unflatten(
        jax.tree.structure(plain.init(key)), jax.tree.leaves((hidden, params.rest.output))
    )
    x = jax.random.normal(key, (4, deep.INPUTS))
    np.testing.assert_allclose(model.apply(params, x), plain.apply(like, x), rtol=1e-4, atol=1e-4)


def test_glorots_start_and_the_saturated_one():
    hyper = {"kind": np.array([0, 0, 2]), "factor": np.array([1.0, 10.0, 1.0])}
    first, rest = deep.starts(3, hyper, np.array([5, 5, 5]))
    glorot = (2 / (deep.INPUTS + deep.WIDTH)) ** 0.5
    np.testing.assert_allclose(first.W[0].std(), glorot, rtol=0.02)
    np.testing.assert_allclose(first.W[2].std(), (2 / deep.INPUTS) ** 0.5, rtol=0.02)
    np.testing.assert_allclose(rest.hidden.W[0].std(), (1 / deep.WIDTH) ** 0.5, rtol=0.04)
    np.testing.assert_allclose(first.W[1], 10 * first.W[0], rtol=1e-5)
    np.testing.assert_array_equal(rest.output.W[1], rest.output.W[0])


def test_the_flat_part_of_the_sigmoids_domain():
    # σ' = σ(1 − σ) is a tenth of 1/4 at σ = (1 ± √0.9)/2, that is |z| = log((1 + √0.9)/(1 − √0.9))
    edge = np.log((1 + 0.9**0.5) / (1 - 0.9**0.5))
    np.testing.assert_allclose(deep.curves()["flat_domain"], 1 - edge / 20, atol=1e-4)


def test_least_rank_within_a_point():
    seeds = np.zeros((2, 5)) + 0.001 * np.arange(5)
    lost = np.array([[9, 5, 3, 2, 1.5, 0.8, 0.6, 0.5], [9, 5, 0.5, 2, 1.5, 1.4, 1.3, 1.2]]) / 100
    m = {
        "accuracy_whole": 0.98 + seeds,
        "accuracy": 0.98 + seeds[:, None] - lost[..., None],
        "counted": (rank.INPUTS + rank.UNITS) * np.array(rank.RANKS),
        "counted_whole": np.array(rank.INPUTS * rank.UNITS),
    }
    assert rank.RANKS[rank.least(m, 0)] == 24
    np.testing.assert_allclose(rank.share(m, 0), 912 * 24 / (784 * 128))
    assert rank.least(m, 1) is None
    assert rank.share(m, 1) == 1.0
    assert rank.cost(m, 0, 0).value == pytest.approx(9)


def test_a_sharp_switch_reads_what_a_hard_choice_reads(key):
    params = memory.ADDRESS.init(key)
    sharp = params._replace(output=layers.Dense(1e4 * params.output.W, params.output.b))
    x = jax.random.normal(key, (5, 64))
    beside = memory.with_memory(data.Examples(np.asarray(x), np.arange(5)), 3).x
    soft, hard = (memory.reader(hard).apply(sharp, beside) for hard in (0.0, 1.0))
    np.testing.assert_allclose(soft, hard, atol=1e-4)


def test_gaps_are_of_the_named_arms():
    right = np.zeros((3, 2, 4), bool)
    right[radial.POINTS] = True
    found = radial.accuracy_gap({"right": right}, radial.POINTS, radial.RANDOM)
    assert (found.value, found.n) == (100, 8)
    accuracy = np.zeros((1, 4, 4))
    accuracy[0, softplus.RELU], accuracy[0, softplus.SOFTPLUS] = [90, 91, 92, 94], [89, 89.5, 91, 91.5]
    gap = softplus.gap({"accuracy": accuracy}, 0, softplus.RELU, softplus.SOFTPLUS)
    assert gap.value == pytest.approx(1.5)
