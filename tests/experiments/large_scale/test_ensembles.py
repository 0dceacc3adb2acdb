"""The parts of an ensemble's measurement, against numpy."""

import sys

import jax.numpy as jnp
import numpy as np
from experiment_module import experiment
from scipy.special import log_softmax, softmax

from dlnotes import data, outputs

claim = experiment("large_scale/ensembles")
networks = sys.modules[claim.train.__module__]
RNG = np.random.default_rng(2)


def test_members_are_joined_by_their_probabilities():
    logits, y = RNG.normal(size=(2, 3, 4, 6, 5)), RNG.integers(0, 5, 6)
    got = networks.joined(logits)
    np.testing.assert_allclose(np.exp(got), softmax(logits, -1).mean(-3))
    np.testing.assert_allclose(networks.error(logits, y), 100 * (logits.argmax(-1) != y).mean(-1))
    want = -log_softmax(logits, -1)[..., np.arange(6), y].mean(-1)
    np.testing.assert_allclose(networks.nll(logits, y), want)


def test_a_weight_is_as_good_as_a_repetition():
    """Bagging by weights: the gradient of weighted images is that of images drawn so often."""
    counts = networks.bags(7, 3)
    assert counts.shape == (7, 3)
    np.testing.assert_array_equal(counts.sum(0), 7)
    assert (counts > 1).any()
    z, labels = jnp.asarray(RNG.normal(size=(7, 5)), jnp.float32), RNG.integers(0, 5, 7)
    y = jnp.asarray(np.concatenate([labels[:, None], counts], 1), jnp.float32)
    got = networks.weighted(z, y, jnp.float32(1))
    rows = np.repeat(np.arange(7), counts[:, 1].astype(int))
    want = outputs.cross_entropy(z[rows], jnp.asarray(labels[rows])).total.sum()
    np.testing.assert_allclose(got.total.sum(), want, rtol=1e-5)
    np.testing.assert_array_equal(got.count, 1)


def test_one_training_seen_twice():
    """Half-way stands a training of half as many steps: its rate has fallen to zero there."""
    x, y = RNG.normal(size=(40, 784)).astype(np.float32), RNG.integers(0, 10, 40).astype(np.int32)
    examples = data.Examples(x, y)
    lengths = networks.Lengths(steps=8, batch_size=10, tuning_steps=2, tuning_seeds=1)
    model = networks.network(4)
    trained, rate = networks.train(model, lengths, (examples, examples, examples), 2)
    assert rate in networks.RATES
    assert networks.moments(model, trained, x).shape == (2, 2, 40, 10)
    half, whole = (networks.params_at(trained, when).output.W for when in (0, 1))
    assert half.shape == (2, 4, 10)
    assert not np.allclose(half, whole)


def test_effects_are_differences_of_the_same_seed():
    seeds, k = 5, claim.MEMBERS
    member = RNG.uniform(4, 6, (2, 2, seeds, k))
    m = {
        "member": member,
        "together": np.repeat((member.min(-1) - 1)[..., None], k, axis=-1),
        "large": np.stack([member[0].mean(-1) - 0.5, member[0].min(-1) - 1.1]),
    }
    np.testing.assert_allclose(claim.against_best(m, claim.END).value, -1)
    assert claim.against_mean(m, claim.END).high < -1
    np.testing.assert_allclose(claim.one_for_eight(m, claim.END).value, -0.1)
    assert claim.dropped(m, claim.END).value < 0
