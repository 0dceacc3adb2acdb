"""Three ways through a deep chain: one gradient, different memory."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.autodiff import recompute_all, recompute_segments, store_all
from dlnotes.autodiff.checkpointing import square_root_divisor, temporary_bytes
from dlnotes.jax_internals import operations
from dlnotes.layers import Dense, dense

WAYS = (store_all, recompute_segments, recompute_all)


def step(params, h):
    return jnp.tanh(dense(params, h))


def chain(n, batch=8, width=4):
    k = iter(jax.random.split(jax.random.key(n), 3))
    W, b = jax.random.normal(next(k), (n, width, width)), jax.random.normal(next(k), (n, width))
    return Dense(W, b), jax.random.normal(next(k), (batch, width))


def gradient_of(way, **options):
    return jax.grad(lambda params, h: jnp.sum(jnp.sin(way(step, params, h, **options))), argnums=(0, 1))


@pytest.mark.parametrize("n", [1, 7, 12])
@pytest.mark.slow
def test_all_give_the_gradient_of_the_plain_loop(n):
    def plain(step, params, h):
        for i in range(n):
            h = step(jax.tree.map(lambda p, i=i: p[i], params), h)
        return h

    params, h = chain(n)
    want = jax.jit(gradient_of(plain))(params, h)
    for way in WAYS:
        np.testing.assert_allclose(way(step, params, h), plain(step, params, h), rtol=1e-5, atol=1e-6)
        got = jax.jit(gradient_of(way))(params, h)
        chex.assert_trees_all_close(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_every_number_of_segments():
    params, h = chain(12)
    want = gradient_of(store_all)(params, h)
    for segments in (1, 4, 12):
        got = gradient_of(recompute_segments, segments=segments)(params, h)
        chex.assert_trees_all_close(got, want, rtol=1e-4, atol=1e-5)


def test_memory_of_the_compiled_program():
    """Sizes where activations dwarf the weights: n, about 2√n and a constant number of them."""
    n, unit = 64, 4 * 512 * 4
    params, h = chain(n, batch=512)
    held = [temporary_bytes(gradient_of(way), params, h) / unit for way in WAYS]
    assert held[0] > n
    assert held[1] < held[0] / 2
    assert held[2] < 12
    one_segment = temporary_bytes(gradient_of(recompute_segments, segments=1), params, h) / unit
    assert one_segment > held[1]  # it recomputes everything at once: nothing is saved


def test_the_compiler_does_not_undo_the_recomputation():
    """Loop bodies are counted once: three products for each layer when stored, four when recomputed."""
    width = 16
    params, h = chain(16, batch=width, width=width)

    def products(way):
        compiled = jax.jit(gradient_of(way)).lower(params, h).compile()
        return operations(compiled) / (2 * width**3)

    np.testing.assert_allclose(products(recompute_segments) - products(store_all), 1, atol=0.3)


def test_arguments():
    params, h = chain(12)
    with pytest.raises(ValueError, match=r"segments: got 5, allowed is a divisor of the 12 layers"):
        recompute_segments(step, params, h, segments=5)
    with pytest.raises(ValueError, match=r"params: got leading axes \[11, 12\]"):
        recompute_all(step, params._replace(b=params.b[1:]), h)
    assert [square_root_divisor(n) for n in (1, 7, 12, 64)] == [1, 1, 3, 8]
