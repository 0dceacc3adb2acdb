"""The backward pass as a graph, against jax.grad and jax.hessian; its nodes and arcs counted."""

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
    backward_graph,
    forward,
    graph,
    hessian_vector_graph,
    operation_counts,
    second_derivatives,
)
from dlnotes.autodiff.backward_graph import between
from dlnotes.autodiff.graph_rules import rules_of

quick = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))


def hessian(made, inputs, output):
    return jax.jit(jax.hessian(lambda values: forward(made, values)[output]))(inputs)


def twice(made, inputs, output, wanted):
    """`second_derivatives`, compiled as one program."""
    return jax.jit(lambda values: second_derivatives(made, values, output, wanted))(inputs)


@quick
@given(random_graphs())
def test_gradients_are_those_of_the_table_and_arcs_are_as_many(drawn):
    made, inputs, output = drawn
    found, values = backward_graph(made, output), forward(made, inputs)
    table, products = backward(made, values, output)
    got = forward(found.graph, inputs)
    assert set(found.gradients) == {*made.inputs, *(node.name for node in made.nodes)}
    assert len(set(found.gradients.values())) == len(found.gradients)
    for name, want in table.items():
        np.testing.assert_allclose(got[found.gradients[name]], want, rtol=2e-5, atol=2e-5)
        assert got[found.gradients[name]].shape == values[name].shape
    assert len(found.products) == products
    assert set(found.products) == {
        (a, child.name, i) for a, child, i in between(made, found.gradients, output)
    }


@quick
@given(random_graphs())
@pytest.mark.slow
def test_second_derivatives_against_jax(drawn):
    made, inputs, output = drawn
    got, want = twice(made, inputs, output, made.inputs), hessian(made, inputs, output)
    for a in inputs:
        for b in inputs:
            assert got[a][b].shape == want[a][b].shape
            np.testing.assert_allclose(got[a][b], want[a][b], rtol=1e-4, atol=1e-4)


def network():
    """``J = mean((gelu(x W + c) w − y)²)``."""
    return graph(
        ["x", "W", "c", "w", "y"],
        {
            "xW": ("matmul", "x", "W"),
            "a": ("add", "xW", "c"),
            "h": ("gelu", "a"),
            "ŷ": ("matmul", "h", "w"),
            "e": ("subtract", "ŷ", "y"),
            "e²": ("square", "e"),
            "J": ("mean", "e²"),
        },
    )


def numbers(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"x": (5, 3), "W": (3, 4), "c": (4,), "w": (4,), "y": (5,)}
    return {name: jnp.asarray(rng.normal(size=shape), jnp.float32) for name, shape in shapes.items()}


def test_second_derivatives_of_a_network_against_jax():
    made, inputs, wanted = network(), numbers(), ["W", "c", "w"]
    got = twice(made, inputs, "J", wanted)
    want = hessian(made, inputs, "J")
    for a in wanted:
        for b in wanted:
            np.testing.assert_allclose(got[a][b], want[a][b], rtol=1e-4, atol=1e-5)


def test_the_reverse_of_the_graph():
    """B's arcs lead from the gradient of a child to that of its parent: those of G, turned round."""
    made = network()
    found = backward_graph(made, "J", ["W", "c", "w"])
    parents = {node.name: node.parents for node in found.graph.nodes}
    gradients = {name: node for node, name in found.gradients.items()}

    def behind(name):
        """Gradients that a node of B takes, directly or through helping nodes."""
        out = set()
        for parent in parents.get(name, ()):
            out |= {gradients[parent]} if parent in gradients else behind(parent)
        return out

    arcs = {(child, node) for node, name in found.gradients.items() for child in behind(name)}
    assert arcs == {(child.name, a) for a, child, _ in between(made, ["W", "c", "w"], "J")}


def test_the_cost_of_a_product_with_the_hessian_is_a_multiple_of_the_gradients():
    """``tanh`` again and again: nodes of each graph are a constant times the depth."""

    def sizes(depth):
        nodes = {f"u{k + 1}": ("tanh", f"u{k}") for k in range(depth)}
        made = graph(["u0"], nodes)
        first = backward_graph(made, f"u{depth}", ["u0"]).graph
        second = hessian_vector_graph(made, f"u{depth}", ["u0"]).graph
        return np.array([len(made.nodes), len(first.nodes), len(second.nodes)])

    steps = [sizes(d + 1) - sizes(d) for d in (4, 9, 20)]
    assert all((step == steps[0]).all() for step in steps)
    assert steps[0][2] <= 6 * steps[0][1]


def test_third_derivatives_in_closed_form():
    """``x⁴`` as a square of a square: 4 x³, 12 x², 24 x."""
    made = graph(["x"], {"a": ("square", "x"), "J": ("square", "a")})
    output, got = "J", []
    for _ in range(3):
        found = backward_graph(made, output, ["x"])
        made, output = found.graph, found.gradients["x"]
        got.append(float(forward(made, {"x": 1.5})[output]))
    assert got == [4 * 1.5**3, 12 * 1.5**2, 24 * 1.5]


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_each_rule_twice_against_jax(name):
    f, rng = OPERATIONS[name], np.random.default_rng(3)
    shapes = [(2, 4, 3), (3, 5)] if name == "matmul" else [(4, 3), (3,)]
    names = [f"x{i}" for i in range(len(f.products))]
    inputs = {n: jnp.asarray(rng.uniform(0.5, 3, size=s), jnp.float32) for n, s in zip(names, shapes)}
    made = graph(names, {"y": (name, *names), "z": ("sigmoid", "y"), "J": ("sum", "z")})
    found = backward_graph(made, "J", names)
    first = forward(found.graph, inputs)
    want = jax.grad(lambda values: forward(made, values)["J"])(inputs)
    got, second = twice(made, inputs, "J", names), hessian(made, inputs, "J")
    for a in names:
        np.testing.assert_allclose(first[found.gradients[a]], want[a], rtol=1e-4, atol=1e-5)
        for b in names:
            np.testing.assert_allclose(got[a][b], second[a][b], rtol=1e-3, atol=1e-5)


def test_every_operation_has_rules_for_all_parents():
    for f in OPERATIONS.values():
        assert len(rules_of(f)) == len(f.products)


def test_an_operation_of_ones_own_twice():
    cube = Operation("cube", lambda a: a**3, (lambda g, a: g * 3 * a**2,))
    made = graph(["x"], {"y": (cube, "x"), "J": ("sum", "y")})
    got = second_derivatives(made, {"x": jnp.asarray([1.0, -2.0])}, "J", ["x"])
    np.testing.assert_allclose(got["x"]["x"], np.diag([6.0, -12.0]))


def test_under_jit_and_in_double_precision():
    made, inputs = network(), numbers()
    found = hessian_vector_graph(made, "J", ["W"])
    given = inputs | {found.vectors["W"]: jnp.ones((3, 4))}
    eager, jitted = (
        f(given)[found.products["W"]]
        for f in (lambda v: forward(found.graph, v), jax.jit(lambda v: forward(found.graph, v)))
    )
    np.testing.assert_allclose(eager, jitted, rtol=1e-4, atol=1e-6)
    with jax.enable_x64(True):
        double = {name: jnp.asarray(np.asarray(value, np.float64)) for name, value in inputs.items()}
        got, want = twice(made, double, "J", ["W"]), hessian(made, double, "J")
        assert got["W"]["W"].dtype == jnp.float64
        np.testing.assert_allclose(got["W"]["W"], want["W"]["W"], rtol=1e-10, atol=1e-12)


def test_what_the_output_does_not_depend_on_and_names_that_are_taken():
    made = graph(["x", "z", "∂J/∂x"], {"J": ("multiply", "x", "∂J/∂x"), "o": ("tanh", "z")})
    found = backward_graph(made, "J", ["x", "z"])
    got = forward(found.graph, {"x": 3.0, "z": 2.0, "∂J/∂x": 5.0})
    assert (float(got[found.gradients["x"]]), float(got[found.gradients["z"]])) == (5.0, 0.0)
    assert operation_counts(found.graph)["zeros_like"] == 1


def test_wrong_names():
    made = network()
    with pytest.raises(ValueError, match=r"node 'k': unknown"):
        backward_graph(made, "k")
    with pytest.raises(ValueError, match=r"node 'V': unknown"):
        backward_graph(made, "J", ["V"])
    with pytest.raises(ValueError, match=r"wanted: got none"):
        hessian_vector_graph(made, "J", [])
    with pytest.raises(ValueError, match=r"node 'h': got shape \(5, 4\), allowed as output is a scalar"):
        second_derivatives(made, numbers(), "h", ["W"])
