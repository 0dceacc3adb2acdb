"""Annealed importance sampling against sums over all states."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.pretraining import annealed_importance as opened
from dlnotes.pretraining.annealed_importance import annealed_importance, base_rates, salakhutdinov_betas
from dlnotes.pretraining.rbm import GaussianRBMParams, RBMParams, log_partition

RNG = np.random.default_rng(8)


def machines(members, visible, hidden, scale, gaussian=False):
    """Several of one size, with a leading axis."""
    shapes = (visible, hidden), (visible,), (hidden,)
    params = RBMParams(
        *(jnp.asarray(scale * RNG.standard_normal((members, *s)), jnp.float32) for s in shapes)
    )
    if not gaussian:
        return params
    return GaussianRBMParams(*params, jnp.asarray(RNG.uniform(0.5, 2, (members, visible)), jnp.float32))


def member(params, i):
    return jax.tree.map(lambda p: p[i], params)


@pytest.mark.parametrize("gaussian", [False, True], ids=["bits", "real"])
@pytest.mark.parametrize("base", ["none", "data"])
def test_within_three_standard_errors_of_the_sum(gaussian, base):
    """Ten machines, of which one may be outside: 99.7% are inside where the weights' mean is normal."""
    params = machines(10, 12, 8, 0.4 if gaussian else 0.7, gaussian)
    exact = np.array([log_partition(member(params, i)) for i in range(10)])
    keys = jax.random.split(jax.random.key(3), 10)
    mean = jnp.asarray(RNG.random((10, 12)), jnp.float32) if base == "data" else None
    found = jax.vmap(
        lambda p, k, m: annealed_importance(p, k, mean=m, betas=300, chains=100),
        in_axes=(0, 0, None if mean is None else 0),
    )(params, keys, mean)
    inside = (np.asarray(found.low) <= exact) & (exact <= np.asarray(found.high))
    assert inside.sum() >= 9, (exact, found)
    assert np.asarray(found.standard_error).max() < 0.15
    assert np.abs(np.asarray(found.log_z) - exact).max() < 0.3


def test_twenty_hidden_units():
    params = member(machines(1, 30, 20, 0.3), 0)
    found = annealed_importance(params, jax.random.key(0), betas=500)
    assert found.low <= log_partition(params) <= found.high
    assert found.high - found.low < 0.5


def test_the_mean_of_the_weights_has_no_bias_with_few_betas():
    params = member(machines(1, 5, 4, 0.8), 0)
    found = annealed_importance(params, jax.random.key(1), betas=3, chains=100_000)
    np.testing.assert_allclose(found.log_z, log_partition(params), atol=5 * float(found.standard_error))
    assert found.standard_error < 0.02


def test_a_few_wild_weights_are_said_by_the_interval():
    params = member(machines(1, 20, 15, 2.0), 0)
    found = annealed_importance(params, jax.random.key(1), betas=2, chains=5)
    assert found.standard_error > 1 / 3
    assert found.low == -np.inf
    assert np.isfinite(found.high)
    alone = annealed_importance(params, jax.random.key(1), betas=2, chains=1)
    assert alone.standard_error == np.inf
    assert (alone.low, alone.high) == (-np.inf, np.inf)
    assert np.isfinite(alone.log_z)


def test_no_weights_is_exact_from_any_base():
    params = RBMParams(jnp.zeros((4, 3)), jnp.asarray(RNG.standard_normal(4), jnp.float32), jnp.ones(3))
    for mean in (None, jnp.array([0.0, 0.2, 0.5, 1.0])):
        found = annealed_importance(params, jax.random.key(0), mean=mean, betas=200, chains=50)
        assert found.low <= log_partition(params) <= found.high
    own = jax.nn.sigmoid(params.b)
    found = annealed_importance(params, jax.random.key(0), mean=own, betas=10, chains=5)
    np.testing.assert_allclose(found.log_z, log_partition(params), rtol=1e-5)
    assert found.standard_error < 1e-5


def test_one_program_for_any_betas_of_a_length_and_any_weights():
    params = machines(2, 6, 4, 0.5)
    annealed_importance(member(params, 0), jax.random.key(0), betas=20, chains=8)
    with jax.log_compiles(False):
        from dlnotes.pretraining.annealed_importance import _run

        before = _run._cache_size()
        betas = jnp.sort(jnp.asarray(np.r_[0.0, RNG.random(18), 1.0], jnp.float32))
        annealed_importance(member(params, 1), jax.random.key(5), betas=betas, chains=8)
        assert _run._cache_size() == before


def test_betas_of_the_paper():
    betas = np.asarray(salakhutdinov_betas())
    assert len(betas) == 14_501
    assert (betas[0], betas[-1]) == (0, 1)
    assert (np.diff(betas) > 0).all()
    np.testing.assert_allclose(betas[[500, 4500]], [0.5, 0.9], rtol=1e-6)
    assert len(salakhutdinov_betas(0.01)) == 146


def test_rates():
    x = jnp.array([[0.0, 1.0, 0.5], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(base_rates(x), [1e-4, 1 - 1e-4, 0.25])
    np.testing.assert_allclose(base_rates(x, "gaussian"), [0, 1, 0.25])


def test_refusals():
    params, key = member(machines(1, 4, 3, 0.5), 0), jax.random.key(0)
    with pytest.raises(ValueError, match="betas: got 1, allowed is a whole number of 2 or more"):
        annealed_importance(params, key, betas=1)
    for betas in ([0.0, 0.5], [0.1, 1.0], [0.0, 0.7, 0.5, 1.0]):
        with pytest.raises(ValueError, match="allowed are numbers that grow from 0 to 1"):
            annealed_importance(params, key, betas=jnp.array(betas))
    with pytest.raises(ValueError, match=r"mean: got shape \(3,\), allowed is \(4,\)"):
        annealed_importance(params, key, mean=jnp.zeros(3))
    with pytest.raises(ValueError, match="chains: got 0"):
        annealed_importance(params, key, chains=0)
    assert opened(params, 3, betas=[0.0, 0.5, 1.0], chains=2).log_weights.shape == (2,)
