"""Simplified graphs: the same values to the last bit, fewer nodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from random_graphs import random_graphs

from dlnotes.autodiff import (
    backward_graph,
    forward,
    graph,
    hessian_vector_graph,
    naive_gradient,
    operation_counts,
    product_count,
    simplify,
)

quick = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))


@quick
@given(random_graphs())
def test_random_graphs_keep_their_values_to_the_last_bit(drawn):
    made, inputs, output = drawn
    found = backward_graph(made, output)
    wanted = list(found.gradients.values())
    before = forward(found.graph, inputs)
    for shapes in (None, inputs):
        smaller = simplify(found.graph, wanted, shapes=shapes)
        after = forward(smaller.graph, inputs)
        assert len(smaller.graph.nodes) <= len(found.graph.nodes)
        assert product_count(smaller.graph) <= product_count(found.graph)
        for name in wanted:
            np.testing.assert_array_equal(after[smaller.names[name]], before[name])
            assert after[smaller.names[name]].dtype == before[name].dtype


def test_a_naive_expression_becomes_as_small_as_the_table():
    """The gradient written as a sum over paths, each expanded: 2^d products; shared, a few for each level."""
    depth = 6
    nodes = {f"u{k + 1}": ("multiply", f"u{k}", f"u{k}") for k in range(depth)}
    made = graph(["u0"], nodes)
    rules = dict(nodes)

    def expand(level):
        """The name of ∂u_depth/∂u_level, each of its paths with nodes of its own."""
        if level == depth:
            return "one"
        parts = []
        for _ in range(2):
            rest = expand(level + 1)
            name = f"p{len(rules)}"
            rules[name] = ("multiply", rest, f"u{level}")
            parts.append(name)
        total = f"s{len(rules)}"
        rules[total] = ("add", *parts)
        return total

    top = expand(0)
    naive = graph(["u0", "one"], rules)
    before = product_count(naive) - depth
    assert before == naive_gradient(made, forward(made, {"u0": 1.01}), f"u{depth}", "u0")[1]
    smaller = simplify(naive, [top], known={"one": 1.0})
    assert product_count(smaller.graph) <= 2 * depth
    got = forward(smaller.graph, {"u0": 1.01})[smaller.names[top]]
    assert got == forward(naive, {"u0": 1.01, "one": 1.0})[top]
    np.testing.assert_allclose(got, 2**depth * 1.01 ** (2**depth - 1), rtol=1e-5)


def test_constants_are_worked_out_once():
    made = graph(
        ["x", "a", "b"],
        {"ab": ("multiply", "a", "b"), "e": ("exp", "ab"), "y": ("multiply", "x", "e"), "z": ("tanh", "y")},
    )
    known = {"a": 2.0, "b": jnp.asarray([0.5, -1.0])}
    smaller = simplify(made, ["y"], known=known)
    assert operation_counts(smaller.graph) == {"constant": 1, "multiply": 1}  # z leads to no output
    x = jnp.asarray([3.0, 4.0])
    np.testing.assert_array_equal(
        forward(smaller.graph, {"x": x})[smaller.names["y"]], forward(made, {"x": x, **known})["y"]
    )


def test_what_has_no_effect():
    made = graph(
        ["x", "one", "zero"],
        {
            "a": ("multiply", "one", "x"),
            "b": ("add", "a", "zero"),
            "c": ("negative", "b"),
            "d": ("negative", "c"),
            "e": ("divide", "d", "one"),
            "f": ("subtract", "e", "zero"),
            "g": ("identity", "f"),
        },
    )
    smaller = simplify(made, ["g"], known={"one": 1.0, "zero": 0.0})
    assert smaller.names == {"g": "x"}
    assert not smaller.graph.nodes
    # Ones of a shape would spread x; without x's shape they must stay.
    ones = jnp.ones(3)
    stays = simplify(made, ["a"], known={"one": ones})
    assert product_count(stays.graph) == 1
    assert (
        product_count(simplify(made, ["a"], known={"one": ones}, shapes={"x": 0.5, "zero": 0.0}).graph) == 1
    )
    gone = simplify(made, ["a"], known={"one": ones}, shapes={"x": jnp.ones(3), "zero": 0.0})
    assert gone.names == {"a": "x"}


def test_two_orders_of_a_product_are_one_and_of_a_difference_are_two():
    rule = {
        "p": ("multiply", "x", "y"),
        "q": ("multiply", "y", "x"),
        "d": ("subtract", "x", "y"),
        "e": ("subtract", "y", "x"),
    }
    smaller = simplify(graph(["x", "y"], rule), list(rule))
    assert smaller.names["p"] == smaller.names["q"]
    assert operation_counts(smaller.graph) == {"multiply": 1, "subtract": 2}


def test_second_derivatives_take_fewer_products():
    made = graph(["w", "x"], {"z": ("multiply", "w", "x"), "h": ("sigmoid", "z"), "J": ("sum", "h")})
    twice = hessian_vector_graph(made, "J", ["w"])
    inputs = {"w": jnp.asarray([0.3, -1.0]), "x": jnp.asarray([2.0, 0.7]), twice.vectors["w"]: jnp.ones(2)}
    smaller = simplify(twice.graph, twice.products.values(), shapes=inputs)
    assert product_count(smaller.graph) < product_count(twice.graph)
    name = twice.products["w"]
    after, before = forward(smaller.graph, inputs), forward(twice.graph, inputs)
    np.testing.assert_array_equal(after[smaller.names[name]], before[name])
    s = jax.nn.sigmoid(inputs["w"] * inputs["x"])
    np.testing.assert_allclose(before[name], inputs["x"] ** 2 * s * (1 - s) * (1 - 2 * s), rtol=1e-5)


def test_wrong_names():
    made = graph(["x"], {"y": ("tanh", "x")})
    with pytest.raises(ValueError, match=r"node 'w': unknown"):
        simplify(made, ["w"])
    with pytest.raises(ValueError, match=r"inputs: got 'y'"):
        simplify(made, ["y"], known={"y": 1.0})
    with pytest.raises(ValueError, match=r"'x' is missing"):
        simplify(made, ["y"], shapes={})
