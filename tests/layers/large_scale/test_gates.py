"""Gates against all their settings, enumerated; products of the blocks that are on against numpy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from dlnotes.layers import Dense, bernoulli_gate, dense, gated_dense
from dlnotes.layers.large_scale import gates
from dlnotes.outputs import PerExample
from dlnotes.outputs.scored import Scored, scored

RNG = np.random.default_rng(23)
K = 8
Z = RNG.normal(size=K)
EVERY = np.array(list(itertools.product((0.0, 1.0), repeat=K)))
"""All 2⁸ settings."""
A, B, CURVE = RNG.normal(size=K), RNG.normal(size=(K, 3)), RNG.normal(size=3)
DRAWS = 20_000


def cost(u, of=np):
    """A cost that is far from linear in the setting."""
    return u @ A + of.tanh(u @ B) @ CURVE + 3.0


def linear(u, of=np):
    return u @ A - 1.0


def exact(c):
    """``E[C]`` and its gradient in z by enumeration: ``Σ_u p(u) C(u)``, ``Σ_u p(u) C(u) (u − π)``."""
    pi = special.expit(Z)
    p = np.prod(np.where(EVERY == 1, pi, 1 - pi), axis=1)
    return p @ c(EVERY), (p * c(EVERY)) @ (EVERY - pi)


def estimates(c, gradient, baseline=0.0, **options):
    """Gradient in z of each of many draws ``(draws, K)``, by the loss that training uses."""

    @jax.jit
    @jax.vmap
    def one(key):
        def loss(z):
            gate = bernoulli_gate(key, z[None], gradient, **options)
            value = c(gate.u, jnp)
            if gradient != "score":
                return value.sum()
            measure = scored(lambda output, y: PerExample(output, jnp.ones(1)))
            drawn = Scored(value, gate.log_probability, jnp.full(1, baseline))
            return measure(drawn, jnp.zeros(1)).total.sum()

        return jax.value_and_grad(loss)(jnp.asarray(Z, jnp.float32))

    return map(np.asarray, one(jax.random.split(jax.random.key(5), DRAWS)))


def errors(found, want):
    """Distance of a mean over draws from what it must be, in standard errors."""
    return np.abs(found.mean(0) - want) / (found.std(0) / np.sqrt(len(found)) + 1e-6)


@pytest.mark.parametrize("baseline", [0.0, 3.0])
def test_the_score_estimate_is_unbiased(baseline):
    value, gradient = exact(cost)
    costs, found = estimates(cost, "score", baseline)
    assert errors(costs, value).max() < 4
    assert errors(found, gradient).max() < 4


def test_a_baseline_of_the_mean_cost_lowers_the_variance():
    (_, far), (_, near) = (estimates(cost, "score", b) for b in (0.0, float(exact(cost)[0])))
    assert near.var(0).sum() < 0.5 * far.var(0).sum()


def test_straight_through_is_exact_for_a_linear_cost():
    pi = special.expit(Z)
    _, found = estimates(linear, "straight_through")
    np.testing.assert_allclose(found, np.broadcast_to(exact(linear)[1], found.shape), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(exact(linear)[1], A * pi * (1 - pi))


@pytest.mark.parametrize(
    ("gradient", "options"), [("straight_through", {}), ("gumbel", {"temperature": 2.0})]
)
def test_the_others_are_biased_for_other_costs(gradient, options):
    _, found = estimates(cost, gradient, **options)
    assert errors(found, exact(cost)[1]).max() > 10


def test_every_estimator_draws_the_same():
    drawn = [bernoulli_gate(jax.random.key(1), jnp.asarray(Z), g) for g in gates.GRADIENTS]
    assert set(np.unique(drawn[0].u)) == {0.0, 1.0}
    for other in drawn[1:]:
        np.testing.assert_array_equal(other.u, drawn[0].u)
        np.testing.assert_array_equal(other.log_probability, drawn[0].log_probability)
    u, pi = np.asarray(drawn[0].u), special.expit(Z)
    want = np.log(np.where(u == 1, pi, 1 - pi)).sum()
    np.testing.assert_allclose(drawn[0].log_probability, want, rtol=1e-5)


def test_gates_that_are_sure():
    found = bernoulli_gate(jax.random.key(1), jnp.array([[1e6, -1e6]]), "gumbel", temperature=1e-3)
    assert found.u.tolist() == [[1.0, 0.0]]
    assert found.log_probability.tolist() == [0.0]
    slope = jax.grad(lambda z: bernoulli_gate(jax.random.key(1), z).log_probability)(jnp.array([1e6, -1e6]))
    assert np.isfinite(slope).all()


def test_a_row_draws_by_its_own_key():
    keys, z = jax.random.split(jax.random.key(2), 6), jnp.asarray(RNG.normal(size=(6, K)), jnp.float32)
    whole = bernoulli_gate(keys, z).u
    np.testing.assert_array_equal(bernoulli_gate(keys[2:4], z[2:4]).u, whole[2:4])
    with pytest.raises(ValueError, match="key: got 5 keys"):
        bernoulli_gate(keys[:5], z)


def test_half_precision_keeps_its_type_and_draws_as_float32():
    z = jnp.asarray(Z, jnp.bfloat16)
    found = bernoulli_gate(jax.random.key(4), z)
    assert found.u.dtype == jnp.bfloat16
    assert found.log_probability.dtype == jnp.float32
    np.testing.assert_array_equal(
        found.u.astype(jnp.float32), bernoulli_gate(jax.random.key(4), z.astype(jnp.float32)).u
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gradient": "reinforce"}, "gradient: got 'reinforce'"),
        ({"temperature": 0.0}, "temperature: got 0.0"),
    ],
)
def test_what_is_not_allowed_is_named(options, words):
    with pytest.raises(ValueError, match=words):
        bernoulli_gate(jax.random.key(0), jnp.zeros(2), **options)


N, INPUTS, UNITS, BLOCKS = 37, 6, 12, 4


def states():
    """Blocks on: some, all, none, one block never, one block alone."""
    some = (RNG.random((N, BLOCKS)) < 0.4).astype(np.float32)
    never, alone = some.copy(), np.zeros_like(some)
    never[:, 1], alone[:, 2] = 0, 1
    return {"some": some, "all": np.ones_like(some), "none": 0 * some, "never": never, "alone": alone}


STATES = states()


def layer():
    return Dense(*(jnp.asarray(RNG.normal(size=s), jnp.float32) for s in ((INPUTS, UNITS), (UNITS,))))


@pytest.mark.parametrize("tile", [1, 8, 64])
@pytest.mark.parametrize("name", STATES)
def test_only_blocks_that_are_on(name, tile, monkeypatch):
    monkeypatch.setattr(gates, "TILE", tile)
    params, u = layer(), STATES[name]
    x = jnp.asarray(RNG.normal(size=(N, INPUTS)), jnp.float32)
    W, b = (np.asarray(p, np.float64) for p in params)
    want = (np.asarray(x, np.float64) @ W + b).reshape(N, BLOCKS, -1) * u[..., None]
    for grouped in (False, True):
        got = gated_dense(params, x, jnp.asarray(u), grouped=grouped)
        np.testing.assert_allclose(got, want.reshape(N, -1), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(got).reshape(N, BLOCKS, -1)[u == 0], 0.0)
    if name == "all":
        np.testing.assert_allclose(got, dense(params, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", STATES)
def test_gradients_are_those_of_the_masked_product(name):
    params, u = layer(), jnp.asarray(STATES[name])
    x = jnp.asarray(RNG.normal(size=(N, INPUTS)), jnp.float32)
    weights = jnp.asarray(RNG.normal(size=(N, UNITS)), jnp.float32)

    def gradients(grouped):
        loss = jax.grad(
            lambda p, x: jnp.sum(weights * jnp.sin(gated_dense(p, x, u, grouped=grouped))), (0, 1)
        )
        return jax.jit(loss)(params, x)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), gradients(True), gradients(False)
    )


def test_other_blocks_are_the_same_program():
    params, x = layer(), jnp.asarray(RNG.normal(size=(N, INPUTS)), jnp.float32)
    f = jax.jit(lambda p, x, u: gated_dense(p, x, u, grouped=True))
    for u in STATES.values():
        f(params, x, jnp.asarray(u))
    assert f._cache_size() == 1


def test_over_members():
    params = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), layer())
    x = jnp.asarray(RNG.normal(size=(N, INPUTS)), jnp.float32)
    u = jnp.stack([jnp.asarray(STATES["some"]), jnp.asarray(STATES["alone"])])
    both = [jax.vmap(lambda p, u, g=g: gated_dense(p, x, u, grouped=g))(params, u) for g in (False, True)]
    np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("u", "words"),
    [
        (jnp.ones((N, 5)), "blocks: got 5 for 12 units"),
        (jnp.ones((N, 0)), "blocks: got 0 for 12 units"),
        (jnp.ones((N + 1, 4)), "u: got shape"),
        (jnp.ones(4), "u: got shape"),
    ],
)
def test_blocks_that_do_not_fit_are_named(u, words):
    with pytest.raises(ValueError, match=words):
        gated_dense(layer(), jnp.ones((N, INPUTS)), u)
