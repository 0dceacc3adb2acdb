"""What the claims on outputs compute by themselves: closed forms, leads, falls, the logit that is fixed."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from experiment_module import experiment
from scipy import special, stats

from dlnotes import models

statistics = experiment("feedforward/mean_and_median")
likelihood = experiment("feedforward/unbounded_likelihood")
softmax = experiment("feedforward/softmax_outputs")
binary = experiment("feedforward/binary_outputs")
starts, logits = (sys.modules[m.__module__] for m in (binary.recover, softmax.measure_networks))


def test_true_mean_and_quantiles_are_scipys():
    x = np.random.default_rng(0).uniform(-1, 1, (7, 1))
    y = stats.lognorm(s=statistics.spread(x), scale=np.exp(statistics.location(x)))
    np.testing.assert_allclose(statistics.true_mean(x), y.mean())
    for q in (0.1, 0.5, 0.9):
        np.testing.assert_allclose(statistics.true_quantile(x, q), y.ppf(q))


def test_lead_of_the_wrong_answer_by_hand():
    z = np.array([[[2.0, 5.0, -1.0], [0.0, 1.0, 3.0]]])
    np.testing.assert_array_equal(starts.lead_of_wrong(z, np.array([0, 2])), [[3.0, -2.0]])
    one = np.array([[[2.0], [-3.0]]])
    np.testing.assert_array_equal(starts.lead_of_wrong(one, np.array([0, 0])), [[2.0, -3.0]])


def test_smoothing_is_the_mean_of_the_last_tenth():
    loss = np.random.default_rng(1).normal(size=(57, 3))
    got = likelihood.smoothed(loss)
    for i in (0, 5, 9, 19, 30, 56):
        np.testing.assert_allclose(got[i], loss[i + 1 - max(1, (i + 1) // 10) : i + 1].mean(0))


def test_changes_of_a_logarithm_are_equal():
    look = np.arange(1, 10_001)
    last, before = likelihood.over_last(look, 3 * np.log(look)[:, None])
    np.testing.assert_allclose([last[0], before[0]], 3 * np.log(10) / 2, rtol=1e-3)


def test_a_fixed_logit_keeps_the_distribution_and_gets_no_gradient():
    network = models.mlp(4, (5,), 10, activation="tanh")
    members = jax.vmap(lambda s: network.init(jax.random.key(s)))(jnp.arange(3))
    nine = logits.without_last(members)
    x = jnp.asarray(np.random.default_rng(2).normal(size=(6, 4)).astype(np.float32))
    model = logits.fixing(network, jnp.asarray(1.0))
    for i in range(3):
        ten, fixed = (jax.tree.map(lambda a: a[i], p) for p in (members, nine))  # noqa: B023
        z = model.apply(fixed, x)
        np.testing.assert_array_equal(z[:, 9], 0)
        np.testing.assert_allclose(
            special.softmax(z, axis=1), special.softmax(network.apply(ten, x), axis=1), rtol=1e-4
        )
        gradient = jax.grad(lambda p: jnp.sum(jax.nn.log_softmax(model.apply(p, x))[:, 2]))(fixed)
        np.testing.assert_array_equal(gradient.output.W[:, 9], 0)
        assert np.any(gradient.output.W[:, :9])
