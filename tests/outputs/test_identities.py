"""What the notes say of sigmoid, softmax, costs and mixtures, as functions: against scipy, numpy and jax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from dlnotes import outputs


def draw(seed, *shapes, scale=1.0):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(scale * rng.normal(size=shape), jnp.float32) for shape in shapes]


def test_logit_is_scipys_and_undoes_the_sigmoid():
    p = np.concatenate([np.geomspace(1e-30, 0.4, 50), np.linspace(0.4, 0.999, 50)]).astype(np.float32)
    np.testing.assert_allclose(outputs.logit(p), special.logit(p.astype(np.float64)), rtol=1e-4, atol=1e-5)
    z = np.linspace(-60, 12, 97, dtype=np.float32)
    np.testing.assert_allclose(outputs.logit(jax.nn.sigmoid(z)), z, rtol=2e-2, atol=1e-2)
    np.testing.assert_array_equal(outputs.logit([0.0, 1.0]), [-np.inf, np.inf])
    assert np.isnan(outputs.logit(1.5))


def test_identities_of_the_sigmoid_are_scipys():
    z = np.linspace(-80, 80, 161, dtype=np.float32)
    wide = z.astype(np.float64)
    np.testing.assert_allclose(outputs.complement(z), special.expit(-wide), rtol=1e-5)
    slope = special.expit(wide) * special.expit(-wide)
    np.testing.assert_allclose(outputs.sigmoid_slope(z), slope, rtol=1e-5)
    near = jnp.linspace(-6.0, 6.0, 25)
    by_jax = jax.vmap(jax.grad(jax.nn.sigmoid))(near)
    np.testing.assert_allclose(outputs.sigmoid_slope(near), by_jax, rtol=1e-4)
    # 1 − σ(z) has lost all its digits where σ(−z) has them.
    assert float(1 - jax.nn.sigmoid(jnp.float32(20.0))) == 0 < float(outputs.complement(20.0))


@pytest.mark.parametrize("scale", [0.1, 3.0, 300.0])
def test_log_normalizer_lies_between_maximum_and_log_n_above_it(scale):
    (z,) = draw(1, (200, 7), scale=scale)
    got = np.asarray(outputs.above_maximum(z), np.float64)
    wide = np.asarray(z, np.float64)
    np.testing.assert_allclose(got, special.logsumexp(wide, -1) - wide.max(-1), rtol=1e-4, atol=1e-6)
    assert got.min() >= 0
    assert got.max() <= np.log(7) + 1e-6
    np.testing.assert_allclose(outputs.above_maximum(np.full((1, 7), -5.0)), np.log(7), rtol=1e-6)


def test_share_of_the_strongest_wrong_class_by_the_gradient():
    (z,) = draw(2, (50, 5), scale=3)
    y = jnp.asarray(np.random.default_rng(3).integers(0, 5, 50))
    slope = np.asarray(jax.grad(lambda z: outputs.cross_entropy(z, y).total.sum())(z))
    wrong = np.where(np.arange(5) == np.asarray(y)[:, None], 0, slope)
    got = outputs.strongest_wrong_share(z, y)
    np.testing.assert_allclose(got, wrong.max(1) / wrong.sum(1), rtol=1e-3)
    assert got.min() >= 1 / 4
    assert got.max() <= 1
    np.testing.assert_array_equal(outputs.strongest_wrong_share(z[:2], [-1, -1]), [0, 0])


def test_cold_softmax_is_the_argmax_within_the_bound():
    (z,) = draw(4, (300, 6))
    for temperature in (3.0, 1.0, 0.3, 0.1, 0.01):
        p = special.softmax(np.asarray(z, np.float64) / temperature, -1)
        np.testing.assert_allclose(outputs.tempered_softmax(z, temperature), p, rtol=2e-4, atol=1e-6)
        bound = np.asarray(outputs.argmax_error_bound(z, temperature), np.float64)
        assert np.all(1 - p.max(-1) <= bound * (1 + 1e-5) + 1e-12)
        ordered = np.sort(np.asarray(z, np.float64), -1)
        want = 5 * np.exp(-(ordered[:, -1] - ordered[:, -2]) / temperature)
        np.testing.assert_allclose(bound, want, rtol=1e-3, atol=1e-30)
    np.testing.assert_array_equal(outputs.argmax_error_bound(np.ones((3, 1)), 0.1), 0)


def test_minimum_of_the_functional_is_the_pointwise_statistic():
    """Mean, median and quantile of each point's distribution, and no change of f lowers the cost."""
    rng = np.random.default_rng(5)
    y = rng.normal(size=9).astype(np.float32)
    p = rng.exponential(size=(4, 9)).astype(np.float32)
    for cost, quantile in (("squared", 0.5), ("absolute", 0.5), ("pinball", 0.2), ("pinball", 0.9)):
        options = {"cost": cost, "quantile": quantile}
        best = outputs.functional_minimum(y, p, **options)
        if cost == "squared":
            want = [np.average(y, weights=w) for w in p]
            slope = jax.grad(outputs.cost_functional)(best, y, p, **options)
            np.testing.assert_allclose(slope, 0, atol=1e-4)
        else:
            level = quantile if cost == "pinball" else 0.5
            want = [np.quantile(y, level, weights=w, method="inverted_cdf") for w in p]
        np.testing.assert_allclose(best, want, rtol=1e-5)
        least = float(outputs.cost_functional(best, y, p, **options))
        grid = np.linspace(-3, 3, 301, dtype=np.float32)
        for i in range(4):
            others = np.tile(np.asarray(best), (301, 1))
            others[:, i] = grid
            costs = jax.vmap(lambda f, o=options: outputs.cost_functional(f, y, p, **o))(others)
            assert least <= float(costs.min()) + 1e-5


def test_gradients_of_a_mixture_written_out_are_jaxs():
    logits, location, a, y = draw(6, (5, 3), (5, 3, 2), (5, 3, 2), (5, 2))
    scale = 0.2 + a * a

    def nll(z, m, s):
        return -outputs.Mixture(z, m, s).log_prob(y).sum()

    got = outputs.mixture_gradients(logits, location, scale, y)
    want = jax.grad(nll, (0, 1, 2))(logits, location, scale)
    for one, other in zip(got, want):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-4)
    r = np.asarray(outputs.Mixture(logits, location, scale).responsibilities(y))
    by_hand = -r[..., None] * (np.asarray(y)[:, None] - location) / np.asarray(scale) ** 2
    np.testing.assert_allclose(got.location, by_hand, rtol=1e-4)


def test_scaled_loss_has_the_value_and_the_scaled_gradients():
    raw, y = draw(7, (6, 10), (6, 2))
    n, d = 2, 2

    def total(raw):
        return outputs.scaled_mixture_nll(raw, y, components=n, floor=0.01).total.sum()

    plain = outputs.mixture_nll(raw, y, components=n, floor=0.01).total
    np.testing.assert_allclose(total(raw), plain.sum(), rtol=1e-5)
    given = outputs.mixture(raw, n, d, floor=0.01)
    slopes = outputs.mixture_gradients(*given, y)
    variance = np.asarray(given.scale) ** 2
    want = [
        slopes.logits,
        (slopes.location * variance).reshape(6, -1),
        (slopes.scale * variance).reshape(6, -1) * jax.nn.sigmoid(raw[:, 6:]),
    ]
    np.testing.assert_allclose(jax.grad(total)(raw), np.concatenate(want, 1), rtol=2e-3, atol=1e-4)


def test_what_is_not_allowed_is_named():
    z, y = np.zeros((2, 3)), np.zeros(2, int)
    wrong = {
        "temperature: got 0": lambda: outputs.tempered_softmax(z, 0),
        "logits, y: got": lambda: outputs.strongest_wrong_share(z[:, :1], y),
        "logits: got": lambda: outputs.above_maximum(1.0),
        "quantile: got 1": lambda: outputs.functional_minimum(z[0], z, cost="pinball", quantile=1),
        "cost: got 'cubed'": lambda: outputs.functional_minimum(z[0], z, cost="cubed"),
        "y, p: got": lambda: outputs.functional_minimum(z, z),
        "f: got": lambda: outputs.cost_functional(np.zeros(5), z[0], z),
        "factor: got": lambda: outputs.scale_gradient(z, z[0]),
        "logits, location, scale, y: got": lambda: outputs.mixture_gradients(z, z, z, z),
        "raw, y: got": lambda: outputs.scaled_mixture_nll(z, z[0], components=1),
    }
    for told, call in wrong.items():
        with pytest.raises(ValueError, match=told):
            call()
