"""Forward and backward pass of a multilayer perceptron, line by line as the notes' algorithms.

Examples stand in rows here, so that ``a = h W + b`` where the notes write ``a = W h + b`` for one
column; the gradients by W are those of the notes, transposed and summed over the examples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

from dlnotes.autodiff.derivatives import ELEMENTWISE, derivative
from dlnotes.checks import chosen
from dlnotes.layers.activations import absolute
from dlnotes.layers.feedforward.dense import Dense, dense
from dlnotes.outputs.losses import LOSSES, mean_of, target_count
from dlnotes.typing import IGNORE, Array

Layers = tuple[Dense, ...]

Kind = Literal["l2", "l1"]


class Penalty(NamedTuple):
    """The regularizer ``λ Ω(θ)`` added to the loss.

    Attributes:
      kind: "l2" is ``Ω = ½ Σ θ²`` and "l1" is ``Ω = Σ |θ|``.
      strength: λ ≥ 0; may be traced.
      biases: whether θ holds the biases too. True is the notes' Ω, over all parameters; False leaves
        them alone, as weight decay in `dlnotes.training.optimizers` does.
    """

    kind: Kind
    strength: float | Array
    biases: bool = True


class Trace(NamedTuple):
    """What the forward pass leaves for the backward pass.

    Attributes:
      h: ``(batch, width)`` of each layer, from the input ``h⁰ = x`` to the output ``hˡ = ŷ``.
      a: ``(batch, width)`` pre-activations of the layers 1 … l.
    """

    h: tuple[Array, ...]
    a: tuple[Array, ...]


def forward(layers: Layers, x: Array, activations: Sequence[str]) -> Trace:
    """``h⁰ = x``, then ``aᵏ = hᵏ⁻¹ Wᵏ + bᵏ``, ``hᵏ = fᵏ(aᵏ)`` for k = 1 … l.

    Args:
      layers: a `Dense` per layer; of ``models.mlp`` they are ``(*params.hidden, params.output)``.
      x: ``(batch, inputs)``.
      activations: a name in ``autodiff.DERIVATIVES`` per layer; the last one is "identity" for a
        network that ends in logits or a mean.

    Raises:
      ValueError: on an unknown name, or a number of names that is not the number of layers.

    Source: notes F5.3.
    """
    if len(activations) != len(layers):
        raise ValueError(f"activations: got {len(activations)} names for {len(layers)} layers")
    h, a = [x], []
    for layer, name in zip(layers, activations):
        a.append(dense(layer, h[-1]))
        h.append(chosen("activations", name, ELEMENTWISE)(a[-1]))
    return Trace(tuple(h), tuple(a))


def penalty_of(layers: Layers, penalty: Penalty) -> Array:
    """``λ Ω(θ)``, a scalar; see `Penalty`."""
    _check(penalty)
    # `absolute` rather than jnp.abs, whose derivative at 0 is 1: a bias that starts at 0 would move.
    size = (lambda w: 0.5 * jnp.sum(w * w)) if penalty.kind == "l2" else (lambda w: jnp.sum(absolute(w)))
    parts = [size(layer.W) + (size(layer.b) if penalty.biases else 0.0) for layer in layers]
    return penalty.strength * sum(parts[1:], parts[0])


def penalty_gradient(layer: Dense, penalty: Penalty) -> Dense:
    """``λ ∇Ω`` by one layer's parameters: λθ for "l2", λ sign θ for "l1" (0 at 0)."""
    _check(penalty)
    slope = (lambda w: w) if penalty.kind == "l2" else jnp.sign
    b = penalty.strength * slope(layer.b) if penalty.biases else jnp.zeros_like(layer.b)
    return Dense(penalty.strength * slope(layer.W), b)


def cross_entropy_gradient(logits: Array, y: Array) -> Array:
    """``softmax(z) − 1_y`` for each example, 0 where it has no target (``y = IGNORE``)."""
    one_hot = jax.nn.one_hot(y, logits.shape[-1], dtype=logits.dtype)
    return jnp.where((y != IGNORE)[:, None], jax.nn.softmax(logits) - one_hot, 0)


OUTPUT_GRADIENTS: dict[str, Callable[[Array, Array], Array]] = {
    "cross_entropy": cross_entropy_gradient,
    "squared_error": lambda prediction, y: 2 * (prediction - y) / y.shape[-1],
    "absolute_error": lambda prediction, y: jnp.sign(prediction - y) / y.shape[-1],
    "gaussian_nll": lambda prediction, y: prediction - y,
}
"""``∇_ŷ L`` of one example, for the losses of ``outputs.LOSSES`` by the same names; (batch, outputs)."""


def cost(
    layers: Layers,
    x: Array,
    y: Array,
    activations: Sequence[str],
    loss: str = "cross_entropy",
    penalty: Penalty | None = None,
) -> Array:
    """``J = L(ŷ, y) + λ Ω(θ)``, L the mean over the batch's targets; arguments: `value_and_gradient`."""
    return _cost(layers, forward(layers, x, activations), y, loss, penalty)


def _cost(layers: Layers, trace: Trace, y: Array, loss: str, penalty: Penalty | None) -> Array:
    J = mean_of(chosen("loss", loss, LOSSES)(trace.h[-1], y), jnp.ones(y.shape[0], jnp.float32))
    return J if penalty is None else J + penalty_of(layers, penalty)


def backward(
    layers: Layers,
    trace: Trace,
    y: Array,
    activations: Sequence[str],
    loss: str = "cross_entropy",
    penalty: Penalty | None = None,
) -> Layers:
    """The gradient of J by every layer's parameters, from the last layer to the first.

    ``g ← ∇_ŷ L``, then for k = l … 1: ``g ← g ⊙ f'(aᵏ)``, ``∇b = Σ g + λ∇Ω``,
    ``∇W = hᵏ⁻¹ᵀ g + λ∇Ω``, ``g ← g Wᵏᵀ``.

    Args:
      layers: see `forward`.
      trace: what `forward` returned.
      y, activations, loss, penalty: see `value_and_gradient`.

    Returns:
      A `Dense` of gradients per layer.

    Source: notes F5.3.
    """
    gradients = []
    targets = jnp.maximum(jnp.sum(target_count(y)), 1.0)
    g = chosen("loss", loss, OUTPUT_GRADIENTS)(trace.h[-1], y) / targets
    for layer, h, a, name in reversed(list(zip(layers, trace.h, trace.a, activations))):
        g = g * derivative(name)(a)
        gradient = Dense(W=h.T @ g, b=jnp.sum(g, axis=0))
        if penalty is not None:
            gradient = Dense(*map(jnp.add, gradient, penalty_gradient(layer, penalty)))
        gradients.append(gradient)
        g = g @ layer.W.T
    return tuple(reversed(gradients))


def value_and_gradient(
    layers: Layers,
    x: Array,
    y: Array,
    activations: Sequence[str],
    loss: str = "cross_entropy",
    penalty: Penalty | None = None,
) -> tuple[Array, Layers]:
    """J and its gradient by every parameter, what ``jax.value_and_grad`` of `cost` gives.

    Args:
      layers: a `Dense` per layer.
      x: ``(batch, inputs)``.
      y: ``(batch,)`` integer classes for "cross_entropy", else ``(batch, outputs)``.
      activations: a name per layer.
      loss: a name in `OUTPUT_GRADIENTS`.
      penalty: see `Penalty`; ``None`` is no regularizer.

    Raises:
      ValueError: on names that are not in their tables.

    Source: notes F5.3.

    Example:
      >>> layers = (Dense(jnp.array([[2.0]]), jnp.array([1.0])),)
      >>> x, y = jnp.array([[3.0]]), jnp.array([[5.0]])
      >>> J, (gradient,) = value_and_gradient(layers, x, y, ["identity"], "squared_error")
      >>> float(J), float(gradient.W[0, 0]), float(gradient.b[0])  # (2·3 + 1 − 5)² = 4
      (4.0, 12.0, 4.0)
    """
    trace = forward(layers, x, activations)
    return _cost(layers, trace, y, loss, penalty), backward(layers, trace, y, activations, loss, penalty)


def _check(penalty: Penalty) -> None:
    if penalty.kind not in get_args(Kind):
        raise ValueError(f"penalty.kind: got {penalty.kind!r}, allowed are 'l2', 'l1'")
