"""Random graphs of every kind of operation, for property-based tests."""

import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

from dlnotes.autodiff import OPERATIONS, forward, graph

SHAPES = [(), (3,), (2, 3), (2, 1)]
SMOOTH = ["tanh", "sigmoid", "softplus", "silu", "gelu", "identity", "negative"]
BINARY = ["add", "subtract", "multiply", "matmul"]


@st.composite
def random_graphs(draw):
    """A graph, values for its inputs, and the name of its scalar output.

    Values stay small: products are followed by tanh, and functions with a kink or a pole get
    arguments that are far from it almost surely (inputs are continuous).
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_inputs, n_nodes = draw(st.integers(1, 3)), draw(st.integers(1, 8))
    inputs = {f"x{i}": jnp.asarray(rng.normal(size=draw(st.sampled_from(SHAPES)))) for i in range(n_inputs)}
    values, nodes = dict(inputs), {}

    def add(*rule):
        name = f"u{len(nodes)}"
        nodes[name] = rule
        values[name] = OPERATIONS[rule[0]].value(*(values[p] for p in rule[1:]))
        return name

    for _ in range(n_nodes):
        kind = draw(
            st.sampled_from([*SMOOTH, *BINARY, "divide", "log", "exp", "relu", "sum", "mean", "softmax"])
        )
        a, b = (draw(st.sampled_from(list(values))) for _ in range(2))
        if kind == "matmul" and not fit_matmul(values[a].shape, values[b].shape):
            kind = "multiply"
        if kind in BINARY:
            add("tanh", add(kind, a, b))
        elif kind in ("divide", "log"):  # of something above 1
            above = add("exp", add("sigmoid", b))
            add("divide", a, above) if kind == "divide" else add("log", above)
        elif kind == "softmax" and values[a].ndim == 0:
            add("relu", a)
        else:
            add(kind, add("tanh", a) if kind == "exp" else a)
    ends = [add("sum", name) for name in list(values) if draw(st.booleans()) or name == f"u{len(nodes) - 1}"]
    total = ends[0]
    for end in ends[1:]:
        total = add("add", total, end)
    made = graph(tuple(inputs), draw(st.permutations(list(nodes.items())).map(dict)))
    assert set(forward(made, inputs)) == set(values)
    return made, inputs, total


def fit_matmul(a, b):
    return len(a) > 0 and len(b) > 0 and a[-1] == (b[-2:][0])
