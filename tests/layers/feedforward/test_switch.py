"""The softmax switch and the soft read against scipy and a loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from jax.test_util import check_grads

from dlnotes import layers


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.slow
def test_read_is_a_weighted_mean(shared):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(2, 3, 4)).astype(np.float32)
    memory = rng.normal(size=(4, 5) if shared else (2, 3, 4, 5)).astype(np.float32)
    a = scipy.special.softmax(z, axis=-1)
    want = np.zeros((2, 3, 5))
    for i in np.ndindex(2, 3):
        want[i] = sum(a[i][k] * (memory if shared else memory[i])[k] for k in range(4))
    got = layers.soft_read(jnp.asarray(memory), jnp.asarray(z))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    check_grads(
        jax.jit(layers.soft_read), (jnp.asarray(memory), jnp.asarray(z)), order=2, rtol=1e-2, atol=1e-2
    )


def test_derivative_of_the_switch():
    z = jnp.asarray(np.random.default_rng(1).normal(size=5), jnp.float32)
    a = np.asarray(layers.soft_switch(z), np.float64)
    np.testing.assert_allclose(jax.jacobian(layers.soft_switch)(z), np.diag(a) - np.outer(a, a), atol=1e-6)


def test_a_large_logit_reads_one_slot():
    memory = jnp.asarray(np.random.default_rng(2).normal(size=(6, 3)), jnp.float32)
    logits = jnp.zeros(6).at[4].set(1e4)
    np.testing.assert_array_equal(layers.soft_read(memory, logits), memory[4])
    half = layers.soft_read(memory.astype(jnp.bfloat16), logits.astype(jnp.bfloat16))
    assert half.dtype == jnp.bfloat16


@pytest.mark.parametrize("memory", [(3, 4), (7, 2, 5), (5,)])
def test_memory_must_fit(memory):
    with pytest.raises(ValueError, match=r"memory: got shape"):
        layers.soft_read(jnp.zeros(memory), jnp.zeros((2, 5)))
