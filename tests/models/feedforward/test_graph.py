"""Networks as graphs of named nodes: equations against numpy, chains against `mlp`, and what they refuse."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import data, models
from dlnotes.config import ConfigError, parse
from dlnotes.experiment.recipe import recipe_of
from dlnotes.models.feedforward.graph import Function, Graph, Layer
from dlnotes.models.feedforward.mlp import MLP

CHAIN = (
    Layer("first", ["x"], 4, "relu"),
    Layer("second", ["first"], 5, "tanh"),
    Layer("third", ["second"], 6, "softplus"),
    Layer("y", ["third"]),
)
NUMPY = (lambda z: np.maximum(z, 0), np.tanh, lambda z: np.logaddexp(0, z), lambda z: z)


def chain_and_mlp(dropout=0.0):
    graph = models.graph((2, 3), CHAIN, 2, dropout=dropout, init_bias=0.1)
    mlp = models.mlp(
        (2, 3), (4, 5, 6), 2, activation=("relu", "tanh", "softplus"), dropout=dropout, init_bias=0.1
    )
    return graph, mlp


def random_params(model, key):
    """The model's parameters with no bias left at its start."""
    params = model.init(key)
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    return structure.unflatten([a + 0.3 * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys)])


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_a_chain_is_an_mlp(key, dropout):
    graph, mlp = chain_and_mlp(dropout)
    params = random_params(graph, key)
    layers = [params.layers[node.name] for node in CHAIN]
    same = MLP(tuple(layers[:-1]), (None,) * 3, layers[-1])
    x = jax.random.normal(key, (7, 2, 3))
    for k in (None, jax.random.key(1), jax.random.split(key, 7)):
        np.testing.assert_array_equal(graph.apply(params, x, key=k), mlp.apply(same, x, key=k))


def test_a_chain_draws_the_start_of_an_mlp(key):
    graph, mlp = chain_and_mlp()
    drawn, want = graph.init(key), mlp.init(key)
    for node, layer in zip(CHAIN, (*want.hidden, want.output)):
        chex.assert_trees_all_equal(drawn.layers[node.name], layer)


def affine_then(g, W, b):
    return lambda h: g(h @ np.asarray(W, np.float64) + np.asarray(b))


def test_an_mlp_is_the_composition_of_its_layers(key):
    _, mlp = chain_and_mlp()
    params = random_params(mlp, key)
    x = jax.random.normal(key, (7, 6))
    functions = [affine_then(g, *layer) for layer, g in zip((*params.hidden, params.output), NUMPY)]
    h = np.asarray(x, np.float64)
    for f in functions:
        h = f(h)
    np.testing.assert_allclose(mlp.apply(params, x), h, rtol=1e-5, atol=1e-5)


def branches():
    return models.graph(
        3,
        [
            Layer("a", ["x"], 4, "tanh"),
            Layer("b", ["x", "a"], 4, "sigmoid"),
            Function("gated", ["a", "b"], "product"),
            Function("sum", ["gated", "a", "b"], "sum"),
            Function("sine", ["x"], jnp.sin),
            Function("both", ["sum", "sine"], "concatenate"),
            Layer("y", ["both", "x"], 2),
        ],
    )


def test_branches_and_merges_against_numpy(key):
    model = branches()
    params = random_params(model, key)
    x = np.asarray(jax.random.normal(key, (5, 3)))
    (Wa, ba), (Wb, bb), (Wy, by) = (tuple(map(np.asarray, params.layers[n])) for n in ("a", "b", "y"))
    a = np.tanh(x @ Wa + ba)
    b = 1 / (1 + np.exp(-(np.hstack([x, a]) @ Wb + bb)))
    y = np.hstack([a * b + a + b, np.sin(x), x]) @ Wy + by
    np.testing.assert_allclose(model.apply(params, x), y, rtol=1e-5, atol=1e-5)
    assert isinstance(params, Graph)
    assert Wy.shape == (10, 2)


def test_a_shared_node_gets_the_gradient_of_every_path(key):
    # y = h·h with h = x w: dy/dw is twice what one path carries.
    model = models.graph(1, [Layer("h", ["x"], 1), Function("y", ["h", "h"], "product")])
    params = model.init(key)
    x, w = jnp.array([[1.5]]), params.layers["h"].W
    gradient = jax.grad(lambda p: model.apply(p, x).sum())(params)
    np.testing.assert_allclose(gradient.layers["h"].W, 2 * 1.5**2 * w, rtol=1e-6)


def test_any_node_can_be_the_output_and_any_function_a_node(key):
    nodes = [Layer("h", ["x"], 3), Function("m", ["h"], lambda h: h.max(-1, keepdims=True))]
    x = jax.random.normal(key, (4, 2))
    model = models.graph(2, nodes, output="m")
    params = model.init(key)
    want = np.asarray(x) @ np.asarray(params.layers["h"].W)
    np.testing.assert_allclose(model.apply(params, x), want.max(-1, keepdims=True), rtol=1e-5)


H = Layer("h", ["x"], 3)


@pytest.mark.parametrize(
    ("nodes", "options", "message"),
    [
        ([], {}, "nodes: got none"),
        ([H, Layer("h", ["h"], 3)], {}, "got the name 'h', a node has it"),
        ([Layer("x", ["x"], 3)], {}, "got the name 'x', 'x' is the input"),
        ([Layer("", ["x"], 3)], {}, "it is empty"),
        ([H, Layer("y", ["g"], 3)], {}, "'y' takes 'g', unknown; allowed are 'x', 'h'"),
        ([Layer("hidden", ["x"], 3), Layer("y", ["hiden"], 3)], {}, "did you mean 'hidden'"),
        ([Layer("a", ["b"], 3), Layer("b", ["a"], 3)], {}, "'a' takes 'b', which stands after it"),
        ([Layer("a", ["x", "a"], 3)], {}, "'a' takes itself"),
        ([Layer("a", [], 3)], {}, "'a' takes nothing"),
        ([H, Layer("g", ["x"], 3)], {}, "output: got none where 2 nodes end, one of 'h', 'g'"),
        ([H, Layer("g", ["x"], 3)], {"output": "g"}, "'h' do not lead to the output 'g'"),
        ([H], {"output": "H"}, "output: got 'H', allowed are 'h'"),
        ([Layer("h")], {}, "width: 'h' has none and outputs is not given"),
        ([Layer("h")], {"outputs": 0}, "outputs: got 0"),
        ([Layer("h", ["x"], -1)], {}, "width of 'h': got -1"),
        ([Layer("h", ["x"], 3, "rleu")], {}, "did you mean 'relu'"),
        (
            [H, Function("y", ["h", "x"], "sum")],
            {},
            r"'y' cannot take h \(3,\), x \(2,\) .*allowed are equal",
        ),
        ([Function("y", ["x"], "mean")], {}, "f of 'y': got 'mean', allowed are sum"),
        ([H], {"dropout": 1.0}, "dropout: got 1.0"),
        ([H], {"initializer": "he"}, "initializer: got 'he'"),
    ],
)
def test_bad_arguments(nodes, options, message):
    with pytest.raises(ValueError, match=message):
        models.graph(2, nodes, **options)


BASE = {"data": {"kind": "tabular"}}


def graph_config(*nodes, **options):
    return BASE | {"model": {"kind": "graph", "nodes": list(nodes)} | options}


def test_a_config_builds_the_same_network(key):
    config = parse(
        graph_config(
            {"kind": "layer", "name": "a", "width": 4, "activation": "tanh"},
            {"kind": "layer", "name": "b", "of": ["x"], "width": 4, "activation": "sigmoid"},
            {"kind": "product", "name": "p", "of": ["a", "b"]},
            {"kind": "layer", "name": "y", "of": ["p", "x"]},
        )
    )
    table = data.load("tabular")
    built = recipe_of(config, table)({}).model
    nodes = [
        Layer("a", ["x"], 4, "tanh"),
        Layer("b", ["x"], 4, "sigmoid"),
        Function("p", ["a", "b"], "product"),
        Layer("y", ["p", "x"], 2),
    ]
    want = models.graph(30, nodes)
    x = table.train.x[:5]
    np.testing.assert_array_equal(built.apply(built.init(key), x), want.apply(want.init(key), x))


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([{"kind": "layer", "name": "y", "of": ["h"]}], ["model", "'y' takes 'h', unknown"]),
        ([{"kind": "layer", "name": "y", "widht": 3}], ["model.nodes[0].widht", "did you mean 'width'"]),
        ([{"kind": "summ", "name": "y", "of": ["x"]}], ["model.nodes[0].kind", "'summ'", "'sum'"]),
        ([{"kind": "sum", "name": "y"}], ["model.nodes[0].of", "missing"]),
        ([], ["model", "nodes: got none"]),
    ],
)
def test_a_config_is_answered_before_anything_is_built(nodes, words):
    with pytest.raises(ConfigError) as error:
        parse(graph_config(*nodes))
    (line,) = error.value.problems
    assert all(word in line for word in words), line
