"""Layers of each kind with what they compute and move, and two ways to a gradient, made to be timed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import layers
from dlnotes.devices import timed
from dlnotes.devices.roofline import Timed
from dlnotes.typing import Array

KINDS = ("dense", "LSTM step", "convolution", "pooling", "ReLU", "momentum")
SIDE, CHANNELS = 14, 64
"""Of the images that the convolution and the pooling take."""
Arrays = tuple[Array, ...]
CHAIN = 4
"""Layers of the chain whose gradient stores or recomputes."""


class Layer(NamedTuple):
    """A layer for one size of the batch.

    Attributes:
      kind: one of `KINDS`.
      batch: examples.
      make: prepares it for timing; its work is ``operations``.
      operations: two for each multiply-add, one for each sum, product or comparison of other kinds.
      bytes: of weights, inputs and outputs, each once.
    """

    kind: str
    batch: int
    make: Callable[[], Timed]
    operations: int
    bytes: int


def layer(kind: str, batch: int, width: int) -> Layer:
    """A layer of ``width`` units, or as many as its kind has, in float32."""
    operations, numbers = cost(kind, batch, width)

    def make() -> Timed:
        function, arguments = _built(kind, batch, width)
        return timed(f"{kind}, {batch}", function, *arguments, work=operations)

    return Layer(kind, batch, make, operations, 4 * numbers)


def hidden_units(width: int) -> int:
    """Hidden units, and inputs, of the LSTM step: its weights are about as large as the dense layer's."""
    return max(1, int(width / 8**0.5) // 8 * 8)


def cost(kind: str, batch: int, width: int) -> tuple[int, int]:
    """Operations, and numbers moved, in closed form."""
    pixels, h = SIDE * SIDE, hidden_units(width)
    if kind == "dense":
        return 2 * batch * width**2, width**2 + 2 * batch * width
    if kind == "LSTM step":  # both products; inputs, both states before and after
        return 2 * batch * 8 * h**2, 8 * h**2 + 5 * batch * h
    if kind == "convolution":
        taps = 9 * CHANNELS * CHANNELS
        return 2 * batch * pixels * taps, taps + 2 * batch * pixels * CHANNELS
    if kind == "pooling":  # three comparisons for each quarter
        values = batch * pixels * CHANNELS
        return 3 * values // 4, values + values // 4
    if kind == "ReLU":
        return batch * width, 2 * batch * width
    return 4 * width**2, 5 * width**2  # m ← βm + g; w ← w − ηm; whatever the batch


def normal(seed: int, *shape: int) -> Array:
    """Standard normal numbers, drawn by numpy, which compiles nothing."""
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape, np.float32))


@cache
def weights(kind: str, width: int) -> Any:
    """What a layer has learned, the same arrays for all batches; `weights.cache_clear` gives them back."""
    if kind == "dense":
        return layers.Dense(normal(0, width, width), normal(1, width))
    if kind == "LSTM step":
        h = hidden_units(width)
        shapes = jax.eval_shape(lambda key: layers.recurrent_cell("lstm").init(key, h, h), jax.random.key(0))
        return jax.tree.map(lambda a: normal(2, *a.shape) / h**0.5, shapes)
    return normal(3, 3, 3, CHANNELS, CHANNELS)


def _built(kind: str, batch: int, width: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A layer as a function, and what it is called with."""
    if kind == "dense":
        return layers.dense, (weights(kind, width), normal(batch, batch, width))
    if kind == "LSTM step":
        cell, params, h = layers.recurrent_cell("lstm"), weights(kind, width), hidden_units(width)
        carry = cell.carry(params, (batch,))
        return lambda p, c, x: cell.step(p, c, x)[0], (params, carry, normal(batch, batch, h))
    if kind == "ReLU":
        return layers.relu, (normal(batch, batch, width),)
    if kind == "momentum":
        return _momentum, tuple(normal(i, width, width) for i in range(3))
    x = normal(batch, batch, SIDE, SIDE, CHANNELS)
    if kind == "pooling":
        return layers.max_pool, (x,)
    return lambda x, k: layers.convolve(x, k), (x, weights(kind, 0))


def _momentum(w: Array, m: Array, g: Array) -> tuple[Array, Array]:
    m = 0.9 * m + g
    return w - 0.01 * m, m


def cheap(params: Array, h: Array) -> Array:
    """A layer by element: two operations and a comparison."""
    return jnp.maximum(params * h + 0.01, 0.0)


def costly(params: Array, h: Array) -> Array:
    """A dense layer."""
    return jnp.maximum(h @ params, 0.0)


def ways_to_a_gradient(kind: str, size: int) -> dict[str, Timed]:
    """The forward and the backward pass of a chain, apart: what is stored between them, all layers or none.

    Args:
      kind: "by element" or "dense".
      size: numbers of the array that goes through the chain by element; of the dense one the width, and
        the examples.

    Returns:
      "store, forward", "store, backward", "recompute, forward", "recompute, backward"; the work of each is 1.
    """
    if kind == "by element":
        step, params = cheap, tuple(jnp.float32(1 + 0.1 * i) for i in range(CHAIN))
        x = normal(CHAIN, size)
    else:
        step = costly
        params = tuple(normal(i, size, size) * (2 / size) ** 0.5 for i in range(CHAIN))
        x = normal(CHAIN, size, size)
    g = jnp.ones_like(x)
    learned = kind == "dense"

    def all_layers(params: Arrays, x: Array) -> Arrays:
        found = []
        for p in params:
            found.append(x := step(p, x))
        return tuple(found)

    def from_stored(
        params: tuple[Array, ...], inputs: tuple[Array, ...], outputs: tuple[Array, ...], g: Array
    ):
        weights = []
        for p, before, after in zip(params[::-1], inputs[::-1], outputs[::-1]):
            g = jnp.where(after > 0, g, jnp.zeros_like(g))  # what is stored tells where the ReLU passes
            if learned:
                weights.append(before.T @ g)
            g = g @ p.T if learned else g * p
        return (g, *weights)

    def from_input(params: Arrays, x: Array, g: Array) -> Arrays:
        outputs = all_layers(params, x)
        return from_stored(params, (x, *outputs[:-1]), outputs, g)

    stored = jax.block_until_ready(jax.jit(all_layers)(params, x))
    name = f"{kind}: "
    return {
        "store, forward": timed(name + "store, forward", all_layers, params, x, work=1),
        "store, backward": timed(
            name + "store, backward", from_stored, params, (x, *stored[:-1]), stored, g, work=1
        ),
        "recompute, forward": timed(
            name + "recompute, forward", lambda p, x: all_layers(p, x)[-1], params, x, work=1
        ),
        "recompute, backward": timed(name + "recompute, backward", from_input, params, x, g, work=1),
    }
