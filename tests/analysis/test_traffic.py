"""Bytes moved by layers against closed forms, and against what the compiler reports."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import models
from dlnotes.analysis.counting import by_layer
from dlnotes.analysis.traffic import bytes_moved, traffic
from dlnotes.jax_internals import bytes_accessed, operations
from dlnotes.layers import convolve

B, T = 6, 5


def images(*shape):
    return np.zeros((B, *shape), np.float32)


@pytest.mark.parametrize("batch", [1, 7, 4096])
def test_dense_layers(batch):
    rows = traffic(models.mlp(6, (8, 4), 3), jax.ShapeDtypeStruct((batch, 6), jnp.float32))
    sizes = [(6, 8), (8, 4), (4, 3)]
    assert [r.operations for r in rows] == [2 * batch * n * m for n, m in sizes]
    assert [r.bytes for r in rows] == [4 * (n * m + batch * (n + m)) for n, m in sizes]
    assert rows[0].intensity == rows[0].operations / rows[0].bytes


def test_convolutions():
    rows = traffic(models.cnn((8, 8, 2), 3, channels=(4, 6), kernel=3, pool=2, dense=()), images(8, 8, 2))
    first, second, output = rows
    assert first.operations == 2 * B * 64 * 9 * 2 * 4
    assert first.bytes == 4 * (9 * 2 * 4 + B * 64 * 2 + B * 64 * 4)
    assert second.bytes == 4 * (9 * 4 * 6 + B * 16 * 4 + B * 16 * 6)
    assert output.bytes == 4 * (24 * 3 + B * 24 + B * 3)


def test_a_loop_moves_its_factors_at_each_repetition():
    model = models.sequence_classifier(6, 7, 2, cell="lstm")
    rows = traffic(model, images(T, 6), mask=np.ones((B, T), bool))
    once = 6 * 28 + B * T * 6 + B * T * 28  # of the input, for all steps together
    step = 7 * 28 + B * 7 + B * 28
    assert rows[0].bytes == 4 * (once + T * step)
    assert rows[0].operations == 2 * B * T * 28 * (6 + 7)


def test_rows_are_those_of_the_counts():
    model = models.cnn((8, 8, 1), 3, channels=(4,), dense=(5,))
    counted, moved = by_layer(model, images(8, 8, 1)), traffic(model, images(8, 8, 1))
    assert [r.name for r in moved] == [r.name for r in counted]
    assert [r.operations for r in moved] == [2 * r.multiply_adds for r in counted]


def test_numbers_of_two_bytes_double_the_intensity():
    model, x = models.mlp(6, (8,), 3), images(6)
    for single, half in zip(traffic(model, x), traffic(model, x, itemsize=2)):
        assert half.intensity == 2 * single.intensity


def test_a_layer_without_products_has_no_intensity():
    rows = traffic(models.sequence_classifier(6, 7, 2), images(T, 6), mask=np.ones((B, T), bool))
    [bias] = [r for r in rows if r.name == "c"]
    assert (bias.operations, bias.bytes, bias.intensity) == (0, 0, 0.0)


@pytest.mark.parametrize(("batch", "n", "m"), [(1, 96, 80), (32, 64, 48), (100, 10, 200)])
def test_a_product_as_the_compiler_counts_it(batch, n, m):
    x, W = jnp.zeros((batch, n)), jnp.zeros((n, m))
    compiled = jax.jit(jnp.matmul).lower(x, W)
    assert bytes_moved(jnp.matmul, x, W) == bytes_accessed(compiled)
    assert 2 * batch * n * m == operations(compiled)


def test_a_convolution_as_the_compiler_counts_it():
    x, kernel = jnp.zeros((4, 10, 9, 3)), jnp.zeros((3, 3, 3, 8))

    def convolved(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    ours = bytes_moved(lambda x, k: convolve(x, k, padding="VALID"), x, kernel)
    assert ours == bytes_moved(convolved, x, kernel) == bytes_accessed(jax.jit(convolved).lower(x, kernel))


def test_of_branches_that_which_moves_most():
    def chosen(a, b):
        return jax.lax.cond(a[0, 0] > 0, lambda: (a @ b) @ b, lambda: a @ b)

    a, b = jnp.zeros((2, 3)), jnp.zeros((3, 3))
    assert bytes_moved(chosen, a, b) == 2 * bytes_moved(jnp.matmul, a, b)
