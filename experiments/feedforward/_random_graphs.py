"""Random computational graphs, for the claims on back-propagation."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from dlnotes import autodiff
from dlnotes.typing import Array

SHAPES = ((), (4,), (3, 4), (4, 4))
UNARY = ("tanh", "sigmoid", "softplus", "gelu", "exp", "mean", "softmax")
BINARY = ("add", "subtract", "multiply", "matmul")


def random_graph(rng: np.random.Generator, size: int) -> tuple[autodiff.Graph, dict[str, Array], str]:
    """A graph of at least ``size`` nodes with mixed shapes, values for its inputs, and its scalar output.

    A node takes one or two nodes that came before, often the same ones again; results of sums and
    products pass through tanh, so that values stay near 1 at any depth.
    """
    inputs = {f"x{i}": jnp.asarray(rng.normal(size=shape), jnp.float32) for i, shape in enumerate(SHAPES)}
    values, nodes = dict(inputs), {}

    def add(operation: str, *parents: str) -> str:
        name = f"u{len(nodes)}"
        nodes[name] = (operation, *parents)
        values[name] = autodiff.OPERATIONS[operation].value(*(values[p] for p in parents))
        return name

    while len(nodes) < size:
        a, b = rng.choice(list(values)[-8:], 2)
        if rng.random() < 0.5:
            kind = rng.choice(UNARY if values[a].ndim else UNARY[:-1])
            add(kind, add("tanh", a) if kind == "exp" else a)
        else:
            kind = rng.choice(BINARY)
            if kind == "matmul" and not _fit(values[a].shape, values[b].shape):
                kind = "multiply"
            if kind == "matmul" or _broadcast(values[a].shape, values[b].shape):
                add("tanh", add(kind, a, b))
    used = {p for _, *parents in nodes.values() for p in parents}
    ends = [add("mean", name) for name in list(values) if name not in used]
    total = ends[0]
    for end in ends[1:]:
        total = add("add", total, end)
    return autodiff.graph(tuple(inputs), nodes), inputs, total


def _fit(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return len(a) > 0 and len(b) > 0 and a[-1] == b[-2:][0]


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(m == n for m, n in zip(a[::-1], b[::-1]))


def layered_graph(
    rng: np.random.Generator, depth: int, width: int
) -> tuple[autodiff.Graph, dict[str, float]]:
    """``depth`` levels of ``width`` scalar nodes "u{level}_{i}", each of one or two of the level below."""
    inputs = {f"u0_{i}": float(v) for i, v in enumerate(rng.normal(size=width))}
    nodes = {}
    for level in range(1, depth + 1):
        for i in range(width):
            a, b = (f"u{level - 1}_{k}" for k in rng.integers(width, size=2))
            if rng.random() < 0.5:
                nodes[f"u{level}_{i}"] = (str(rng.choice(["tanh", "sigmoid", "softplus"])), a)
            else:
                nodes[f"u{level}_{i}"] = (str(rng.choice(["add", "multiply", "subtract"])), a, b)
    return autodiff.graph(tuple(inputs), nodes), inputs


def diamonds(depth: int) -> autodiff.Graph:
    """A chain of diamonds: "u0" splits into two nodes whose product is "u1", and so on to ``u{depth}``."""
    nodes = {}
    for k in range(depth):
        nodes |= {f"a{k}": ("tanh", f"u{k}"), f"b{k}": ("sigmoid", f"u{k}")}
        nodes[f"u{k + 1}"] = ("multiply", f"a{k}", f"b{k}")
    return autodiff.graph(("u0",), nodes)
