"""Gradient descent in which each layer is updated as soon as its gradient is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp

from dlnotes.autodiff.derivatives import derivative
from dlnotes.autodiff.mlp_backprop import (
    OUTPUT_GRADIENTS,
    Layers,
    Penalty,
    backward,
    forward,
    penalty_gradient,
)
from dlnotes.checks import chosen
from dlnotes.layers.feedforward.dense import Dense
from dlnotes.outputs.losses import target_count
from dlnotes.typing import Array


def layer_gradients(
    layers: Layers,
    x: Array,
    y: Array,
    activations: Sequence[str],
    loss: str = "cross_entropy",
    penalty: Penalty | None = None,
) -> Iterator[tuple[int, Dense]]:
    """The gradients of `mlp_backprop.backward` one by one, from the last layer to the first.

    A gradient is computed when it is asked for, after the one before has been handed out: who drops each
    before the next holds one layer's gradient, never all. What is passed on to the layer below is computed
    from the weights given here, so a layer may be updated between two gradients.

    Args:
      layers, x, y, activations, loss, penalty: see `mlp_backprop.value_and_gradient`.

    Yields:
      The layer's place, from ``len(layers) − 1`` down to 0, and its gradient.

    Raises:
      ValueError: on names that are not in their tables.

    Source: notes F5.3.
    """
    trace = forward(layers, x, activations)
    targets = jnp.maximum(jnp.sum(target_count(y)), 1.0)
    g = chosen("loss", loss, OUTPUT_GRADIENTS)(trace.h[-1], y) / targets
    for k in reversed(range(len(layers))):
        g = g * derivative(activations[k])(trace.a[k])
        gradient = Dense(W=trace.h[k].T @ g, b=jnp.sum(g, axis=0))
        if penalty is not None:
            gradient = Dense(*map(jnp.add, gradient, penalty_gradient(layers[k], penalty)))
        yield k, gradient
        del gradient  # or it would be held while the next one is computed
        g = g @ layers[k].W.T


def descend_at_once(
    layers: Layers,
    x: Array,
    y: Array,
    activations: Sequence[str],
    rate: float | Array,
    loss: str = "cross_entropy",
    penalty: Penalty | None = None,
) -> Layers:
    """One step of gradient descent, ``θ − ε ∇J``, in which each layer is updated when its gradient is known.

    Plain gradient descent needs of a gradient only its own layer, so the result is that of `descend`, which
    updates after the whole backward pass. What needs all gradients first, such as clipping by their norm,
    cannot be done so.

    Args:
      layers, x, y, activations, loss, penalty: see `mlp_backprop.value_and_gradient`.
      rate: ε.

    Returns:
      The layers after the step.

    Raises:
      ValueError: on names that are not in their tables.

    Source: notes F5.3.

    Example:
      >>> layers = (Dense(jnp.array([[2.0]]), jnp.array([1.0])),)
      >>> x, y = jnp.array([[3.0]]), jnp.array([[5.0]])
      >>> (layer,) = descend_at_once(layers, x, y, ["identity"], 0.1, "squared_error")
      >>> print(f"{float(layer.W[0, 0]):.1f} {float(layer.b[0]):.1f}")  # 2 - 0.1 · 12, 1 - 0.1 · 4
      0.8 0.6
    """
    updated = list(layers)
    for k, gradient in layer_gradients(layers, x, y, activations, loss, penalty):
        updated[k] = jax.tree.map(lambda w, g: w - rate * g, layers[k], gradient)
        del gradient  # before the next one is computed
    return tuple(updated)


def descend(
    layers: Layers,
    x: Array,
    y: Array,
    activations: Sequence[str],
    rate: float | Array,
    loss: str = "cross_entropy",
    penalty: Penalty | None = None,
) -> Layers:
    """The same step after the whole backward pass, with all gradients before the first update.

    Run operation by operation it holds the gradients of all layers. Compiled it need not: the compiler puts
    each update behind its gradient by itself.

    Args:
      layers, x, y, activations, rate, loss, penalty: see `descend_at_once`.

    Raises:
      ValueError: on names that are not in their tables.

    Source: notes F5.3.
    """
    trace = forward(layers, x, activations)
    gradients = backward(layers, trace, y, activations, loss, penalty)
    return jax.tree.map(lambda w, g: w - rate * g, layers, gradients)
