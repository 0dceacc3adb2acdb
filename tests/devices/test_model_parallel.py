"""Layers in parts and stages in a pipeline against the same network whole."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from dlnotes.devices.model_parallel import bubble, column_then_row, pipeline

IN, HIDDEN, OUT, ROWS = 5, 16, 3, 8


def mesh(n, name):
    return Mesh(np.array(jax.devices()[:n]), (name,))


def close(got, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5), got, expected)


def first(a, x):
    return jnp.tanh(x @ a["w"] + a["b"][None])


def second(b, h):
    return h @ b


@pytest.fixture
def layers(key):
    k = jax.random.split(key, 5)
    a = {"w": jax.random.normal(k[0], (IN, HIDDEN)), "b": jax.random.normal(k[1], (HIDDEN,))}
    return (a, jax.random.normal(k[2], (HIDDEN, OUT))), jax.random.normal(k[3], (ROWS, IN))


def whole(params, x):
    return second(params[1], first(params[0], x))


@pytest.mark.parametrize("n", [1, 2, 4, 8])
def test_two_layers_in_parts(n, layers):
    params, x = layers

    def loss(f):
        return lambda p, x: jnp.sum(jnp.sin(f(p, x)))

    def split(p, x):
        return column_then_row(first, second, p, x, mesh=mesh(n, "parts"))

    close(jax.jit(split)(params, x), whole(params, x))
    close(jax.jit(jax.grad(loss(split), (0, 1)))(params, x), jax.grad(loss(whole), (0, 1))(params, x))


def test_ten_steps_of_gradient_descent(layers):
    params, x = layers

    def ten(f):
        def step(p, _):
            g = jax.grad(lambda p: jnp.mean(jnp.square(f(p, x) - 1.0)))(p)
            return jax.tree.map(lambda a, d: a - 0.05 * d, p, g), None

        return jax.jit(lambda p: jax.lax.scan(step, p, length=10)[0])

    got = ten(lambda p, x: column_then_row(first, second, p, x, mesh=mesh(4, "parts")))(params)
    expected = ten(whole)(params)
    close(got, expected)
    assert np.abs(expected[1] - params[1]).max() > 0.05


def test_filters_are_divided_too(key):
    k = jax.random.split(key, 3)
    x = jax.random.normal(k[0], (2, 6, 6, 3))
    kernels = (jax.random.normal(k[1], (3, 3, 3, 8)), jax.random.normal(k[2], (3, 3, 8, 5)))

    def convolve(w, x):
        return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    got = column_then_row(
        lambda a, x: jax.nn.relu(convolve(a, x)), convolve, kernels, x, mesh=mesh(4, "parts"), rows=-2
    )
    close(got, convolve(kernels[1], jax.nn.relu(convolve(kernels[0], x))))


def test_heads_of_attention_are_divided_too(key):
    k = jax.random.split(key, 3)
    x = jax.random.normal(k[0], (7, IN))
    weights = jax.random.normal(k[1], (3, IN, 4, 6))  # queries, keys and values of four heads
    back = jax.random.normal(k[2], (4, 6, IN))

    def heads(w, x):
        q, key, v = jnp.einsum("ti,jihd->jthd", x, w)
        return jnp.einsum("hts,shd->thd", jax.nn.softmax(jnp.einsum("thd,shd->hts", q, key)), v)

    def mix(b, h):
        return jnp.einsum("thd,hdi->ti", h, b)

    got = column_then_row(heads, mix, (weights, back), x, mesh=mesh(2, "parts"), columns=2)
    close(got, mix(back, heads(weights, x)))


def exchanged(function, *args):
    """Shapes of what the devices add up, the only thing that they send."""
    text = jax.jit(function).lower(*args).compile().as_text()
    assert not re.search(r" (all-gather|all-to-all|collective-permute|reduce-scatter)\(", text)
    found = re.findall(r"= f32\[([\d,]+)\]\S* all-reduce\(", text)
    return [tuple(map(int, shape.split(","))) for shape in found]


def test_one_exchange_forward_and_one_backward(layers):
    params, x = layers
    m = mesh(4, "parts")

    def split(p, x):
        return column_then_row(first, second, p, x, mesh=m)

    where = ({"w": P(None, "parts"), "b": P("parts")}, P("parts", None))
    laid = jax.tree.map(lambda p, s: jax.device_put(p, NamedSharding(m, s)), params, where)
    x = jax.device_put(x, NamedSharding(m, P()))
    assert exchanged(split, laid, x) == [(ROWS, OUT)]

    def gradient(p, x):
        return jax.grad(lambda p, x: jnp.sum(jnp.sin(split(p, x))), (0, 1))(p, x)

    assert sorted(exchanged(gradient, laid, x)) == [(ROWS, OUT), (ROWS, IN)]
    # The compiler's own division of the unsplit layers gives the same.
    close(jax.jit(split)(laid, x), jax.jit(whole)(laid, x))


def test_a_mesh_made_by_jax_will_do(layers):
    params, x = layers
    made = jax.make_mesh((2,), ("parts",), devices=jax.devices()[:2])
    close(column_then_row(first, second, params, x, mesh=made), whole(params, x))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"n": 3}, "A: got a width of 16 on 3 devices, needed is a multiple of 3"),
        ({"rows": 1, "n": 2}, "B: got a width of 3 on 2 devices"),
        ({"axis": "part"}, r"axis: got 'part', the mesh has \['parts'\]"),
        ({"columns": 1}, r"A: got an array of shape \(16,\), it has no axis 1"),
    ],
)
def test_what_cannot_be_divided(changed, said, layers):
    n = changed.pop("n", 2)
    with pytest.raises(ValueError, match=said):
        column_then_row(first, second, *layers, mesh=mesh(n, "parts"), **changed)


def stage(p, x):
    return x + jnp.tanh(x @ p["w"] + p["b"][None])


def stages(key, n):
    k = jax.random.split(key, 3)
    p = {"w": jax.random.normal(k[0], (n, IN, IN)), "b": jax.random.normal(k[1], (n, IN))}
    return p, jax.random.normal(k[2], (ROWS, IN))


def sequential(p, x):
    for i in range(len(p["b"])):
        x = stage(jax.tree.map(lambda a, i=i: a[i], p), x)
    return x


@pytest.mark.parametrize(("n", "microbatches"), [(1, 2), (2, 4), (4, 2), (4, 8), (8, 1)])
def test_a_pipeline_is_its_stages(n, microbatches, key):
    p, x = stages(key, n)

    def piped(p, x):
        return pipeline(stage, p, x, mesh=mesh(n, "stages"), microbatches=microbatches)

    def both(f):
        return jax.jit(lambda p, x: (f(p, x), jax.grad(lambda p, x: jnp.sum(jnp.sin(f(p, x))), (0, 1))(p, x)))

    close(both(piped)(p, x), both(sequential)(p, x))


def test_each_device_works_in_its_turn(key):
    """Counted in the program: as many ticks as microbatches and stages less one."""
    p, x = stages(key, 4)
    program = jax.make_jaxpr(lambda p, x: pipeline(stage, p, x, mesh=mesh(4, "stages"), microbatches=8))(p, x)
    assert "length=11" in str(program)
    assert bubble(4, 8) == pytest.approx(3 / 11)
    assert bubble(1, 5) == 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"microbatches": 3}, "microbatches: got 3 for 8 rows"),
        ({"microbatches": 0}, "microbatches: got 0"),
        ({"n": 2}, r"params: got leading axes \[\(4,\)\], needed is 2"),
        ({"axis": "stage"}, r"axis: got 'stage', the mesh has \['stages'\]"),
        ({"stage": lambda p, x: x[:, :2]}, r"stage: got float32\[4, 2\] from float32\[4, 5\]"),
    ],
)
def test_what_is_no_pipeline(changed, said, key):
    p, x = stages(key, 4)
    n, f = changed.pop("n", 4), changed.pop("stage", stage)
    with pytest.raises(ValueError, match=said):
        pipeline(f, p, x, mesh=mesh(n, "stages"), **{"microbatches": 2} | changed)
