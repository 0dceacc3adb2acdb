"""The networks for XOR of every width, activation and optimizer, as members of one program."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from dlnotes import layers, models, outputs
from dlnotes.models.feedforward.graph import Graph
from dlnotes.training import Hyperparams, Recipe, fit, optimizer
from dlnotes.typing import Array

from ._xor_points import EXAMPLES

WIDTHS = (2, 3, 4, 8)
ACTIVATIONS = ("ReLU", "tanh", "sigmoid")
OPTIMIZERS = ("SGD", "momentum 0.9", "Adam")
RATES = np.array([[0.01, 0.03, 0.1, 0.3, 1], [0.001, 0.003, 0.01, 0.03, 0.1], [0.003, 0.01, 0.03, 0.1, 0.3]])
"""Learning rates to choose from, one row an optimizer."""
RELU = SGD = 0  # the notes' choices come first in every list


class Grid(NamedTuple):
    """Settings as flat arrays, one entry a member."""

    width: np.ndarray
    activation: np.ndarray
    optimizer: np.ndarray
    learning_rate: np.ndarray


def network(width: Array, activation: Array) -> models.Model:
    """One hidden layer of the widest width, in which the units from ``width`` on are cut off.

    A unit that is cut off gives 0 and gets no gradient, so the rest is a network of that width.
    """

    def unit(z: Array) -> Array:
        g = jnp.where(
            activation == RELU, layers.relu(z), jnp.where(activation == 1, layers.tanh(z), layers.sigmoid(z))
        )
        return jnp.where(jnp.arange(WIDTHS[-1], dtype=jnp.float32) < width, g, 0.0)

    def hidden(z: Array) -> Array:
        return jax.vmap(unit)(z)

    nodes = [
        models.Layer("z", ["x"], WIDTHS[-1]),
        models.Function("h", ["z"], hidden),
        models.Layer("y", ["h"], 1),
    ]
    return models.graph(2, nodes)


def recipe_of(kind: str):
    """What is trained, by a member's numbers."""

    def build(hyper: Hyperparams) -> Recipe:
        options: dict[str, Any] = {"momentum": hyper["momentum"]} if kind == "sgd" else {}
        model = network(hyper["width"], hyper["activation"])
        return Recipe(model, outputs.squared_error, {}, optimizer(kind, hyper["learning_rate"], **options))

    return build


def random_starts(rng: np.random.Generator, count: int) -> Graph:
    """Weights normal with deviation 1, biases 0, ``(count, ...)``."""
    n = WIDTHS[-1]
    shapes = {"z": ((2, n), (n,)), "y": ((n, 1), (1,))}
    return Graph(
        {
            name: layers.Dense(
                rng.standard_normal((count, *W)).astype(np.float32), np.zeros((count, *b), np.float32)
            )
            for name, (W, b) in shapes.items()
        }
    )


def train(grid: Grid, start: Graph, steps: int) -> Graph:
    """Parameters of every member of the grid: one program for SGD and momentum, one for Adam."""
    ends = []
    for kind, chosen in (("sgd", grid.optimizer < 2), ("adam", grid.optimizer == 2)):
        places = np.flatnonzero(chosen)
        if len(places) == 0:
            continue
        hyperparams = {
            "width": grid.width[places],
            "activation": grid.activation[places],
            "learning_rate": grid.learning_rate[places],
            "momentum": np.where(grid.optimizer[places] == 1, 0.9, 0.0),
        }
        result = fit(
            recipe_of(kind),
            EXAMPLES,
            steps=steps,
            # Nothing is drawn: the starts are given, the batch is everything.
            seeds=np.zeros(len(places), np.int32),
            hyperparams=hyperparams,
            start=take(start, places),
            record=20,
        )
        ends.append((places, result.params))
    if not ends:
        return start
    order = np.argsort(np.concatenate([places for places, _ in ends]))
    return jax.tree.map(lambda *a: np.concatenate(a)[order], *(params for _, params in ends))


def take(tree, rows: np.ndarray):
    """Some members of a tree of arrays ``(members, ...)``."""
    return jax.tree.map(lambda a: np.asarray(a)[rows], tree)


def grid_of(rates: np.ndarray, repeats: int) -> Grid:
    """Every setting with each of its rates ``(widths, activations, optimizers, rates)``, repeated."""
    shape = (len(WIDTHS), len(ACTIVATIONS), len(OPTIMIZERS), rates.shape[-1], repeats)
    axes = (WIDTHS, *(range(n) for n in shape[1:3]))
    w, a, o = np.meshgrid(*(np.array(axis, np.float32) for axis in axes), indexing="ij")
    width, activation, chosen = (np.broadcast_to(v[..., None, None], shape).ravel() for v in (w, a, o))
    return Grid(width, activation, chosen, np.broadcast_to(rates[..., None], shape).ravel())


@jax.jit
def answers(params: Graph, width: Array, activation: Array) -> Array:
    """Outputs at the four points, ``(members, 4)``."""
    return jax.vmap(lambda p, w, a: network(w, a).apply(p, EXAMPLES.x)[:, 0])(params, width, activation)


@jax.jit
def curvature(params: Graph, width: Array, activation: Array) -> tuple[Array, Array]:
    """Norm of the gradient of J, ``(members,)``, and its Hessian, ``(members, n, n)``."""

    def one(p: Graph, w: Array, a: Array) -> tuple[Array, Array]:
        flat, unravel = ravel_pytree(p)

        def loss(v: Array) -> Array:
            return jnp.mean((network(w, a).apply(unravel(v), EXAMPLES.x) - EXAMPLES.y) ** 2)

        return jnp.linalg.norm(jax.grad(loss)(flat)), jax.hessian(loss)(flat)

    return jax.vmap(one)(params, width, activation)


def distance_from_hand(params: Graph) -> np.ndarray:
    """How far ReLU networks of two units are from the one set by hand, units exchanged and scaled freely.

    A ReLU unit may be scaled if its output weight is scaled inversely: each is taken with incoming
    weights of norm 1, and the units in the order of their output weights.
    """
    (W, c), (v, b) = params.layers["z"], params.layers["y"]
    into = np.concatenate([W[:, :, :2], c[:, None, :2]], axis=1)  # (members, 3, 2)
    norm = np.linalg.norm(into, axis=1, keepdims=True)
    units = np.concatenate([into / norm, v[:, None, :2, 0] * norm], axis=1)
    units = np.take_along_axis(units, np.argsort(-units[:, 3:], axis=2), axis=2)
    n1, n2 = np.sqrt(2), np.sqrt(3)  # the norms of (1, 1, 0) and (1, 1, −1)
    hand = np.array([[1 / n1, 1 / n2], [1 / n1, 1 / n2], [0, -1 / n2], [n1, -2 * n2]])
    return np.sqrt(np.sum((units - hand) ** 2, axis=(1, 2)) + b[:, 0] ** 2)
