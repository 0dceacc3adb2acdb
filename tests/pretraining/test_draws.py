"""Bits drawn in bulk: uniform, independent of each other, of the place and of the key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from dlnotes.pretraining.draws import bits, words

N = 400_000


def drawn(seed, n=N):
    return np.asarray(words(jax.random.key(seed), (n,)))


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_uniform_in_every_byte(seed):
    u = drawn(seed)
    for byte in (u >> 8, u & 255):
        assert stats.chisquare(np.bincount(byte, minlength=256)).pvalue > 1e-4
    every = np.bincount(u, minlength=65536)
    assert stats.chisquare(every).pvalue > 1e-4


def test_neighbors_and_halves_are_independent():
    u = drawn(3) >> 12
    for lag in (1, 2, 3, 500, 784, 1000, 78_400):  # within a row, of the next row, of the next array
        pairs = np.bincount(16 * u[:-lag].astype(int) + u[lag:], minlength=256)
        assert stats.chisquare(pairs).pvalue > 1e-4, lag


def test_keys_are_independent_though_their_numbers_are_near():
    step = jax.random.key(7)
    u = np.stack([words(jax.random.fold_in(step, i), (20_000,)) for i in range(24)]) / 65536
    z = (u - 0.5) * 12**0.5
    correlation = (z @ z.T / 20_000)[np.triu_indices(24, 1)] * 20_000**0.5
    assert stats.kstest(correlation, "norm").pvalue > 1e-3
    column = u.sum(0)  # of one place over steps: mean 12, variance 2
    assert abs(column.mean() - 12) < 5 * (2 / 20_000) ** 0.5
    assert abs(column.var() / 2 - 1) < 0.06


def test_one_bit_of_the_key_moves_half_of_the_bits():
    words_of = jax.jit(lambda k: words(jax.random.wrap_key_data(k), (4096,)))
    base = np.array([123, 456], np.uint32)
    before = np.asarray(words_of(base))
    for word in range(2):
        for bit in range(0, 32, 5):
            moved = base.copy()
            moved[word] ^= np.uint32(1 << bit)
            changed = np.unpackbits((np.asarray(words_of(moved)) ^ before).view(np.uint8)).mean()
            assert abs(changed - 0.5) < 0.02, (word, bit)


def test_bits_have_their_probabilities():
    p = jnp.array([0.0, 1e-3, 0.2, 0.5, 0.999, 1.0])
    u = words(jax.random.key(5), (200_000, 6))
    found = np.asarray(bits(u, jnp.broadcast_to(p, u.shape))).mean(0)
    assert (found[0], found[-1]) == (0, 1)
    np.testing.assert_allclose(found, p, atol=5 * 0.5 / 200_000**0.5)
    exact = np.asarray(bits(jnp.arange(65536, dtype=jnp.uint16), jnp.full(65536, 0.3)))
    assert exact.sum() == round(0.3 * 65536)
    assert bits(u[:2], jnp.zeros((2, 6), jnp.bfloat16)).dtype == jnp.bfloat16


def test_shapes_and_members():
    key = jax.random.key(1)
    np.testing.assert_array_equal(words(key, (3, 5)).reshape(-1), words(key, (15,)))
    np.testing.assert_array_equal(words(key, (9,)), words(key, (15,))[:9])
    assert words(key, (0, 4)).shape == (0, 4)
    assert words(key, ()).shape == ()
    keys = jax.random.split(key, 3)
    mapped = jax.vmap(lambda k: words(k, (7,)))(keys)
    for i in range(3):
        np.testing.assert_array_equal(mapped[i], words(keys[i], (7,)))
    other = jax.random.key(1, impl="rbg")
    assert words(other, (5,)).shape == (5,)
