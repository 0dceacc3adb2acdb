"""Counts of parameters and multiply-adds against closed forms and against the compiler's own count."""

from functools import partial

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import models
from dlnotes.analysis.counting import by_layer, count, multiply_adds, parameters
from dlnotes.jax_internals import operations
from dlnotes.layers import avg_pool, connections, convolve

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


def test_an_answer_at_every_step_and_a_net_over_images():
    model = models.sequence_labeler(2, 4, 3, cell="gru", bidirectional=True)
    products = 2 * (2 * 12 + 4 * 12) + 8 * 3
    want = (products + 2 * (12 + 4) + 3, B * T * products)
    assert count(model, np.zeros((B, T, 2), np.float32)) == want
    model = models.grid_recurrent((4, 5, 1), 3, hidden=6, channels=2)
    taps, read, step, out = 9 * 2, 4 * 2 * 6, 4 * 12 * 6, 24 * 3
    # A step of the wavefront runs all rows: 4 + 5 - 1 diagonals of 4.
    work = 20 * taps + 20 * read + 8 * 4 * step + out
    got = count(model, np.zeros((B, 4, 5, 1), np.float32))
    assert got == (taps + 2 + read + step + 24 + out + 3, B * work)


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
    assert operations(jax.jit(function).lower(a, b).compile()) == 2 * multiply_adds(function, a, b)


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


def test_a_convolutional_net_layer_by_layer():
    model = models.cnn((8, 8, 2), 3, channels=(4, 6), kernel=3, convolutions=2, pool=2, dense=(10,))
    rows = by_layer(model, np.zeros((B, 8, 8, 2), np.float32))
    # k² · in · out weights, each used at every output; each 3-convolution adds 2 steps of its input's stride.
    assert rows == (
        ("convolutions[0][0]", (B, 8, 8, 4), 9 * 2 * 4 + 4, B * 64 * 9 * 2 * 4, (3, 3)),
        ("convolutions[0][1]", (B, 8, 8, 4), 9 * 4 * 4 + 4, B * 64 * 9 * 4 * 4, (5, 5)),
        ("convolutions[1][0]", (B, 4, 4, 6), 9 * 4 * 6 + 6, B * 16 * 9 * 4 * 6, (10, 10)),
        ("convolutions[1][1]", (B, 4, 4, 6), 9 * 6 * 6 + 6, B * 16 * 9 * 6 * 6, (14, 14)),
        ("hidden[0]", (B, 10), 24 * 10 + 10, B * 24 * 10, None),
        ("output", (B, 3), 10 * 3 + 3, B * 10 * 3, None),
    )


def test_layers_against_flaxs_own_table():
    class Net(flax.linen.Module):
        @flax.linen.compact
        def __call__(self, x, train=False):
            x = flax.linen.Conv(6, (3, 3), strides=2, name="first")(x)
            x = flax.linen.Conv(8, (5, 3), padding="VALID", name="second")(flax.linen.relu(x))
            return flax.linen.Dense(4, name="last")(x.mean((1, 2)))

    x = jnp.ones((1, 16, 16, 3))
    rows = {row.name: row for row in by_layer(models.from_flax(Net(), x), x)}
    table = flax.linen.summary._get_module_table(
        Net(), depth=1, show_repeated=False, compute_flops=False, compute_vjp_flops=False
    )
    for theirs in table({"params": jax.random.key(0)}, x):
        if theirs.path:
            (ours,) = (row for name, row in rows.items() if theirs.path[-1] in name)
            assert ours.output == theirs.outputs.shape
            assert ours.parameters == parameters(theirs.counted_variables)
    assert [r.sees for r in rows.values()] == [(3, 3), (11, 7), None]


def test_a_recurrent_nets_steps_and_an_embedding_without_products():
    model = models.sequence_classifier(6, 7, 2, cell="lstm", embedding=3)
    rows = by_layer(model, np.zeros((B, T), np.int32), mask=np.ones((B, T), bool))
    assert sum(r.parameters for r in rows) == parameters(model.init(jax.random.key(0)))
    assert {r.name: r.parameters for r in rows}["E"] == 6 * 3
    cell = next(r for r in rows if r.name == "forward[0]")
    assert cell.output[0] == T
    assert cell.multiply_adds == B * T * 4 * 7 * 7


@pytest.mark.parametrize("padding", ["SAME", "VALID", 2])
def test_what_a_layer_sees_is_the_support_of_its_gradient(padding):
    kernels = [jnp.ones((k, 1, 1)) for k in (3, 5, 2)]

    def init(key, /):
        return [(k,) for k in kernels]

    def apply(params, x, /, *, key=None, mask=None):
        h = convolve(x, params[0][0], dilation=2, padding=padding)
        h = avg_pool(h, (3,), 2, "EDGE")
        h = jnp.pad(convolve(h, params[1][0], padding="VALID"), ((0, 0), (1, 0), (0, 0))) + jnp.ones(())
        h = avg_pool(h, (2,))
        return convolve(h, params[2][0], padding="VALID")

    x = jnp.ones((1, 64, 1))
    rows = by_layer(models.Model(init, apply), x)
    y = apply(init(jax.random.key(0)), x)
    middle = y.shape[1] // 2
    seen = np.flatnonzero(jax.grad(lambda x: apply(init(jax.random.key(0)), x)[0, middle, 0])(x)[0, :, 0])
    assert rows[-1].sees == (seen[-1] - seen[0] + 1,)


def test_a_skip_sees_what_the_longer_way_sees_a_mean_is_left_out_and_what_moves_is_unknown():
    def init(key, /):
        return [(jnp.ones(shape),) for shape in ((3, 3, 2, 2), (3, 3, 2, 2), (2,), (2, 5))]

    def apply(params, x, /, *, key=None, mask=None, then=None):
        h = x + jax.nn.relu(convolve(x, params[0][0]))
        h = h + convolve(h, params[1][0])
        h = h if then is None else then(h)
        return (h * params[2][0][None, None, None]) @ params[3][0]

    def sees(then):
        net = models.Model(init, partial(apply, then=then))
        return [row.sees for row in by_layer(net, jnp.ones((1, 9, 9, 2)))]

    assert sees(None) == [(3, 3), (5, 5), (5, 5), (5, 5)]
    assert sees(lambda h: h - h.mean((1, 2), keepdims=True)) == [(3, 3), (5, 5), (5, 5), (5, 5)]
    assert sees(lambda h: h + jnp.flip(h, 1)) == [(3, 3), (5, 5), None, None]


def test_products_of_activations_stand_apart():
    def apply(W, x, /, *, key=None, mask=None):
        return jnp.einsum("btd,bsd->bts", x @ W, x)

    rows = by_layer(models.Model(lambda key, /: jnp.ones((4, 4)), apply), jnp.ones((2, 5, 4)))
    assert [(r.parameters, r.multiply_adds) for r in rows] == [(16, 2 * 5 * 16), (0, 2 * 25 * 4)]
    assert rows[1].name == ""
