"""The read of one slot against numpy, against the soft read, and its gradients against an enumeration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from dlnotes import layers
from dlnotes.layers import hard_read, soft_read
from dlnotes.outputs import PerExample, Scored, scored

RNG = np.random.default_rng(31)
N, K, SIZE = 5, 6, 3
Z = RNG.normal(size=K)
M = RNG.normal(size=(K, SIZE))
CURVE = RNG.normal(size=SIZE)
DRAWS = 20_000


def f32(a):
    return jnp.asarray(a, jnp.float32)


@pytest.mark.parametrize("own", [False, True])
def test_it_is_the_soft_read_of_a_cold_switch(own):
    memory, z = RNG.normal(size=(N, K, SIZE) if own else (K, SIZE)), RNG.normal(size=(N, K))
    read = hard_read(f32(memory), f32(z))
    np.testing.assert_array_equal(read.slot, z.argmax(1))
    want = memory[np.arange(N), z.argmax(1)] if own else memory[z.argmax(1)]
    np.testing.assert_array_equal(read.value, f32(want))
    np.testing.assert_allclose(read.value, soft_read(f32(memory), f32(1e4 * z)), rtol=1e-4)
    np.testing.assert_allclose(
        read.log_probability, special.log_softmax(z, axis=1)[np.arange(N), z.argmax(1)], rtol=1e-5
    )


def test_slots_are_drawn_by_their_probabilities():
    drawn = hard_read(f32(M), jnp.broadcast_to(f32(Z), (DRAWS, K)), jax.random.key(0)).slot
    p = special.softmax(Z)
    found = np.bincount(drawn, minlength=K) / DRAWS
    assert (np.abs(found - p) < 4 * np.sqrt(p * (1 - p) / DRAWS)).all()


def test_a_slot_without_a_chance_is_not_read():
    z = jnp.where(jnp.arange(K) == 2, 0.0, -jnp.inf)
    for gradient in ("score", "straight_through", "gumbel"):
        read = hard_read(f32(M), z, jax.random.key(1), gradient)
        assert int(read.slot) == 2
        slope = jax.grad(lambda z, g=gradient: hard_read(f32(M), z, jax.random.key(1), g).value.sum())(z)
        assert np.isfinite(slope).all()


def estimates(cost, gradient, **options):
    @jax.jit
    @jax.vmap
    def one(key):
        def loss(z):
            read = hard_read(f32(M), z[None], key, gradient, **options)
            value = cost(read.value)
            if gradient != "score":
                return value.sum()
            measure = scored(lambda output, y: PerExample(output, jnp.ones(1)))
            return measure(Scored(value, read.log_probability, jnp.full(1, 0.5)), jnp.zeros(1)).total.sum()

        return jax.grad(loss)(f32(Z))

    return np.asarray(one(jax.random.split(jax.random.key(3), DRAWS)), np.float64)


def exact(cost):
    """``∇ Σ_j p_j C(M_j)``."""
    return np.asarray(jax.grad(lambda z: jax.nn.softmax(z) @ cost(f32(M)))(f32(Z)))


def curved(value):
    return jnp.tanh(2 * value) @ f32(CURVE) + 1.0


def linear(value):
    return value @ f32(CURVE)


def errors(found, want):
    return np.abs(found.mean(0) - want) / (found.std(0) / np.sqrt(len(found)) + 1e-6)


def test_the_score_estimate_is_unbiased():
    for cost in (curved, linear):
        assert errors(estimates(cost, "score"), exact(cost)).max() < 4


def test_straight_through_is_exact_for_a_linear_cost_and_biased_for_another():
    found = estimates(linear, "straight_through")
    np.testing.assert_allclose(found, np.broadcast_to(exact(linear), found.shape), rtol=1e-3, atol=1e-5)
    for gradient in ("straight_through", "gumbel"):
        assert errors(estimates(curved, gradient), exact(curved)).max() > 10


@pytest.mark.parametrize("own", [False, True])
def test_derivatives_are_those_of_one_hot_weights_that_pass_straight_through(own):
    memory, z = f32(RNG.normal(size=(N, K, SIZE) if own else (K, SIZE))), f32(RNG.normal(size=(N, K)))
    weights = f32(RNG.normal(size=(N, SIZE)))

    def written_out(memory, z):
        a = jax.nn.softmax(z, axis=-1)
        w = jax.nn.one_hot(z.argmax(-1), K) + (a - jax.lax.stop_gradient(a))
        return jnp.sum(weights * jnp.einsum("nk,nks->ns" if own else "nk,ks->ns", w, memory))

    def ours(memory, z):
        return jnp.sum(weights * hard_read(memory, z).value)

    got, want = (jax.grad(f, (0, 1))(memory, z) for f in (ours, written_out))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), got, want)


def test_a_row_draws_by_its_own_key():
    keys, z = jax.random.split(jax.random.key(2), N), f32(RNG.normal(size=(N, K)))
    whole = hard_read(f32(M), z, keys).slot
    np.testing.assert_array_equal(hard_read(f32(M), z[1:3], keys[1:3]).slot, whole[1:3])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((jnp.ones((4, 2)), jnp.ones(3)), "memory: got shape"),
        ((jnp.ones((3, 2)), jnp.ones(3), None, "reinforce"), "gradient: got 'reinforce'"),
        ((jnp.ones((3, 2)), jnp.ones((4, 3)), jax.random.split(jax.random.key(0), 3)), "key: got 3 keys"),
    ],
)
def test_what_is_not_allowed_is_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        layers.hard_read(*arguments)
