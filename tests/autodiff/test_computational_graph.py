"""The graph engine against jax.grad on random graphs, and its errors by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from random_graphs import random_graphs

from dlnotes.autodiff import (
    OPERATIONS,
    Operation,
    backward,
    forward,
    graph,
    naive_gradient,
    value_and_gradients,
)
from dlnotes.autodiff.computational_graph import ancestors

quick = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


@quick
@given(random_graphs())
@pytest.mark.slow
def test_random_graphs_against_jax(drawn):
    made, inputs, output = drawn
    table, products = backward(made, forward(made, inputs), output)
    want = jax.grad(lambda inputs: forward(made, inputs)[output])(inputs)
    for name, gradient in want.items():
        assert table[name].shape == inputs[name].shape
        np.testing.assert_allclose(table[name], gradient, rtol=2e-5, atol=2e-5)
    leading = ancestors(made, output)
    assert products == sum(child.name in leading for _, child, _ in made.edges)


@quick
@given(random_graphs())
def test_only_what_is_wanted_and_without_a_table(drawn):
    made, inputs, output = drawn
    values, first = forward(made, inputs), made.inputs[0]
    every, some = backward(made, values, output), backward(made, values, output, [first])
    np.testing.assert_array_equal(some.table[first], every.table[first])
    assert some.products <= every.products
    gradient, products = naive_gradient(made, values, output, first)
    np.testing.assert_allclose(gradient, every.table[first], rtol=2e-5, atol=2e-5)
    assert products >= some.products


def network():
    """``J = mean((tanh(x W + c) w − y)²)``, its nodes given in no particular order."""
    return graph(
        ["x", "W", "c", "w", "y"],
        {
            "J": ("mean", "e²"),
            "h": ("tanh", "a"),
            "a": ("add", "xW", "c"),
            "xW": ("matmul", "x", "W"),
            "e": ("subtract", "ŷ", "y"),
            "ŷ": ("matmul", "h", "w"),
            "e²": ("square", "e"),
        },
    )


def numbers(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"x": (5, 3), "W": (3, 4), "c": (4,), "w": (4,), "y": (5,)}
    return {name: jnp.asarray(rng.normal(size=shape), jnp.float32) for name, shape in shapes.items()}


def test_forward_against_numpy():
    v = {name: np.asarray(value, np.float64) for name, value in numbers().items()}
    want = np.mean((np.tanh(v["x"] @ v["W"] + v["c"]) @ v["w"] - v["y"]) ** 2)
    np.testing.assert_allclose(forward(network(), numbers())["J"], want, rtol=1e-5)


def test_under_jit_and_vmap():
    step = jax.jit(lambda v: value_and_gradients(network(), v, "J", ["W", "c", "w"]))
    many = jax.vmap(step)(jax.tree.map(lambda *a: jnp.stack(a), numbers(0), numbers(1)))
    for i in range(2):
        alone = value_and_gradients(network(), numbers(i), "J", ["W", "c", "w"])
        for got, want in zip(jax.tree.leaves(many), jax.tree.leaves(alone)):
            np.testing.assert_allclose(got[i], want, rtol=1e-4, atol=1e-6)


def test_an_operation_of_ones_own():
    cube = Operation("cube", lambda a: a**3, (lambda g, a: g * 3 * a**2,))
    made = graph(["x"], {"y": (cube, "x"), "J": ("sum", "y")})
    got = value_and_gradients(made, {"x": jnp.asarray([1.0, -2.0])}, "J", ["x"])
    np.testing.assert_allclose(got[1]["x"], [3.0, 12.0])


def test_what_the_output_does_not_depend_on_has_gradient_zero():
    made = graph(["x", "z"], {"J": ("square", "x"), "other": ("multiply", "x", "z")})
    table, products = backward(made, forward(made, {"x": 3.0, "z": 2.0}), "J")
    assert (float(table["x"]), float(table["z"]), products) == (6.0, 0.0, 1)


@pytest.mark.parametrize(
    ("inputs", "nodes", "message"),
    [
        (
            ["x"],
            {"a": ("add", "x", "b"), "b": ("tanh", "a")},
            r"cycle 'a' -> 'b' -> 'a'|cycle 'b' -> 'a' -> 'b'",
        ),
        (["x"], {"a": ("tanh", "a")}, r"cycle 'a' -> 'a'"),
        (["x"], {"a": ("tanh", "y")}, r"node 'a': got the parent 'y'"),
        (["x"], {"a": ("tahn", "x")}, r"node 'a': operation: got 'tahn'.*did you mean 'tanh'"),
        (["x"], {"a": ("add", "x")}, r"node 'a': got 1 parents, add takes 2"),
        (["x"], {"x": ("tanh", "x")}, r"got 'x' twice"),
        (["x", "x"], {"a": ("tanh", "x")}, r"got 'x' twice"),
    ],
)
def test_wrong_graphs_are_named(inputs, nodes, message):
    with pytest.raises(ValueError, match=message):
        graph(inputs, nodes)


def test_wrong_values_are_named():
    good = numbers()
    with pytest.raises(ValueError, match=r"node 'xW': matmul does not take x \(5, 3\), W \(2, 4\)"):
        forward(network(), good | {"W": jnp.ones((2, 4))})
    with pytest.raises(ValueError, match=r"node 'a': add does not take xW \(5, 4\), c \(3,\)"):
        forward(network(), good | {"c": jnp.ones(3)})
    with pytest.raises(ValueError, match=r"inputs: 'y' is missing"):
        forward(network(), {name: good[name] for name in "xWcw"})
    with pytest.raises(ValueError, match=r"inputs: got 'v'"):
        forward(network(), good | {"v": 1.0})
    with pytest.raises(ValueError, match=r"inputs: got 'y' of dtype int32"):
        forward(network(), good | {"y": jnp.arange(5)})
    values = forward(network(), good)
    with pytest.raises(ValueError, match=r"node 'h': got shape \(5, 4\), allowed as output is a scalar"):
        backward(network(), values, "h")
    with pytest.raises(ValueError, match=r"node 'k': unknown"):
        backward(network(), values, "J", ["k"])


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_each_operation_against_jax(name):
    rng = np.random.default_rng(7)
    f = OPERATIONS[name]
    shapes = [(2, 4, 3), (3, 5)] if name == "matmul" else [(4, 3), (3,)]
    parents = [jnp.asarray(rng.uniform(0.5, 3, size=s), jnp.float32) for s in shapes[: len(f.products)]]
    y, pull = jax.vjp(f.value, *parents)
    g = jnp.asarray(rng.normal(size=y.shape), jnp.float32)
    for product, want in zip(f.products, pull(g)):
        np.testing.assert_allclose(product(g, *parents), want, rtol=1e-4, atol=1e-5)


def test_multiplications_without_a_table_double_with_every_level():
    for depth in (1, 4, 7):
        nodes = {f"u{k + 1}": ("multiply", f"u{k}", f"u{k}") for k in range(depth)}
        made = graph(["u0"], nodes)
        values = forward(made, {"u0": 1.01})
        assert backward(made, values, f"u{depth}").products == 2 * depth
        assert naive_gradient(made, values, f"u{depth}", "u0")[1] == 2 * (2**depth - 1)
