"""Counts of parameters and multiply-adds against closed forms and against the compiler's own count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import models
from dlnotes.layers import connections
from dlnotes.models.counting import count, multiply_adds, parameters

B, T = 3, 5


def vectors(n):
    return np.zeros((B, n), np.float32)


def test_feed_forward():
    assert count(models.linear(6, 2), vectors(6)) == (6 * 2 + 2, B * 6 * 2)
    products = 6 * 8 + 8 * 4 + 4 * 3
    assert count(models.mlp(6, (8, 4), 3), vectors(6)) == (products + 8 + 4 + 3, B * products)
    learned = models.mlp(6, (8, 4), 3, activation="prelu")
    assert count(learned, vectors(6)) == (products + 15 + 12, B * products)
    products = 6 * 8 * 5 + 8 * 3
    assert count(models.maxout_mlp(6, (8,), 3, pieces=5), vectors(6)) == (products + 40 + 3, B * products)


def test_convolutions():
    model = models.cnn((8, 8, 2), 3, channels=(4, 6), kernel=3, pool=2, dense=(10,))
    taps = 3 * 3 * 2 * 4, 3 * 3 * 4 * 6
    dense = 2 * 2 * 6 * 10 + 10 * 3
    want = sum(taps) + 4 + 6 + dense + 10 + 3, B * (64 * taps[0] + 16 * taps[1] + dense)
    assert count(model, np.zeros((B, 8, 8, 2), np.float32)) == want


@pytest.mark.parametrize(("cell", "gates"), [("lstm", 4), ("gru", 3), ("rnn", 1)])
def test_recurrent_nets_count_every_step(cell, gates):
    model = models.sequence_classifier(6, 7, 2, cell=cell)
    per_step = gates * 7 * (6 + 7)
    got = count(model, np.zeros((B, T, 6), np.float32), mask=np.ones((B, T), bool))
    assert got.multiply_adds == B * (T * per_step + 7 * 2)
    assert got.parameters == parameters(model.init(jax.random.key(0)))
    longer = count(model, np.zeros((B, 2 * T, 6), np.float32), mask=np.ones((B, 2 * T), bool))
    assert longer.multiply_adds - got.multiply_adds == B * T * per_step


def test_only_connections_that_exist_count():
    model = models.mlp(12, (8, 6), 3, connectivity=0.25)
    products = 3 * 8 + 2 * 6 + 6 * 3
    assert count(model, vectors(12)) == (products + 8 + 6 + 3, B * products)
    dense = count(models.mlp(12, (8, 6), 3), vectors(12))
    assert parameters(model.init(jax.random.key(0))) == dense.parameters  # stored as a dense layer


def test_a_parameter_that_is_also_used_without_the_mask_counts_whole():
    M = connections(4, 4, 0.5)

    def init(key, /):
        return jax.random.normal(key, (4, 4))

    masked = models.Model(init, lambda W, x, /, *, key=None, mask=None: x @ (W * M))
    both = models.Model(init, lambda W, x, /, *, key=None, mask=None: x @ (W * M) @ W)
    assert count(masked, vectors(4)) == (8, B * 8)
    assert count(both, vectors(4)) == (16, B * (8 + 16))


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: jnp.einsum("bij,bjk->bik", a, b),
        lambda a, b: jax.jit(lambda a, b: a @ b)(a, b),
        lambda a, b: jnp.tensordot(a, b, axes=([0, 2], [0, 1])),
    ],
)
def test_products_against_the_compilers_own_count(function):
    a, b = jnp.zeros((4, 5, 6)), jnp.zeros((4, 6, 7))
    cost = jax.jit(function).lower(a, b).compile().cost_analysis()
    assert cost is not None
    assert cost["flops"] == 2 * multiply_adds(function, a, b)


def test_control_flow():
    a = jnp.eye(3) + 1.0

    def repeated(x):
        return jax.lax.scan(lambda h, _: (h @ a, None), x, None, length=7)[0]

    def either(x):
        return jax.lax.cond(x[0, 0] > 0, lambda x: x @ a, lambda x: x @ a @ a, x)

    def until(x):
        return jax.lax.while_loop(lambda h: h[0, 0] < 9, lambda h: h @ a, x)

    assert multiply_adds(repeated, jnp.ones((2, 3))) == 7 * 18
    assert multiply_adds(jax.checkpoint(repeated), jnp.ones((2, 3))) == 7 * 18
    assert multiply_adds(either, jnp.ones((2, 3))) == 36  # the larger branch
    with pytest.raises(ValueError, match="until a condition holds"):
        multiply_adds(until, jnp.ones((2, 3)))


def test_grouped_and_strided_convolution():
    x, K = jnp.zeros((2, 9, 9, 4)), jnp.zeros((3, 3, 2, 6))

    def conv(x, K):
        names = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            x, K, (2, 2), "VALID", dimension_numbers=names, feature_group_count=2
        )

    assert multiply_adds(conv, x, K) == 2 * 4 * 4 * 6 * (3 * 3 * 2)
