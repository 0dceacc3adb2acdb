"""A penalty is reduced as its loss is: over the examples that count."""

import jax.numpy as jnp
import numpy as np

from dlnotes import outputs
from dlnotes.outputs import Penalized, cross_entropy, mean_of, penalized, unpenalized

RNG = np.random.default_rng(3)


def test_the_mean_over_examples_that_count_is_added():
    z, y = jnp.asarray(RNG.normal(size=(6, 3)), jnp.float32), jnp.array([0, 1, 2, 0, 1, 2])
    penalty, weight = RNG.random(6).astype(np.float32), np.array([1, 1, 0, 1, 0, 1], np.float32)
    got = mean_of(penalized(cross_entropy)(Penalized(z, jnp.asarray(penalty)), y), jnp.asarray(weight))
    want = mean_of(cross_entropy(z, y), jnp.asarray(weight)) + (penalty * weight).sum() / weight.sum()
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_an_example_without_a_target_has_no_penalty():
    z, y = jnp.zeros((2, 3)), jnp.array([1, -1])
    found = penalized(cross_entropy)(Penalized(z, jnp.array([0.5, 9.0])), y)
    np.testing.assert_allclose(found.total, [np.log(3) + 0.5, 0.0], rtol=1e-6)


def test_plain_outputs_and_metrics_are_left_alone():
    z, y = jnp.asarray(RNG.normal(size=(4, 3)), jnp.float32), jnp.array([0, 1, 2, 0])
    for f in (penalized(cross_entropy), unpenalized(outputs.accuracy)):
        plain = cross_entropy if f.__name__ == "cross_entropy" else outputs.accuracy
        np.testing.assert_array_equal(f(z, y).total, plain(z, y).total)
    kept = unpenalized(outputs.accuracy)(Penalized(z, jnp.ones(4)), y)
    np.testing.assert_array_equal(kept.total, outputs.accuracy(z, y).total)
