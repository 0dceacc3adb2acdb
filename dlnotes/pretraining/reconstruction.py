"""What an autoencoder lowers: the cost of a reconstruction, penalties on the code, and their gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.layers.feedforward.dense import add_bias
from dlnotes.pretraining.learner import Metrics
from dlnotes.typing import Array, Weight

SMALLEST_MEAN = 1e-12
"""Below it a mean activity counts as this much: the logarithm stays finite, and its slope too."""


class AutoencoderParams(NamedTuple):
    """Parameters of ``h = g(x W + c)``, ``x̂ = o(h V + b)``, with ``V = Wᵀ`` where they are tied.

    Attributes:
      W: ``(inputs, units)``.
      b: ``(inputs,)`` biases of the output.
      c: ``(units,)`` biases of the hidden units.
      V: ``(units, inputs)``, or ``None`` where the weights are tied.
    """

    W: Weight
    b: Weight
    c: Weight
    V: Weight | None = None


def decoding(params: AutoencoderParams) -> Array:
    """V, ``(units, inputs)``, which is ``Wᵀ`` where the weights are tied."""
    return jnp.asarray(params.W).mT if params.V is None else jnp.asarray(params.V)


class Output(NamedTuple):
    """What ``z = h V + b`` stands for; both are canonical, so that ``∂ cost/∂z = mean − x``.

    Attributes:
      mean: ``mean(z) -> x̂``.
      cost: ``cost(z, x̂, x) -> −log p(x | z)`` number by number, without the constant, of ``x̂ = mean(z)``.
    """

    mean: Callable[[Array], Array]
    cost: Callable[[Array, Array, Array], Array]


def cross_entropy(z: Array, mean: Array, x: Array) -> Array:
    """``ζ(z) − x z`` with the softplus ``ζ(z) = max(z, 0) − log max(p, 1 − p)`` of ``p = σ(z)``.

    It saves the exponential of the softplus, a tenth of a step of 784-500, and is right to 1e-6.
    """
    return jnp.maximum(z, 0) - jnp.log(jnp.maximum(mean, 1 - mean)) - x * z


OUTPUTS: dict[str, Output] = {
    "bernoulli": Output(jax.nn.sigmoid, cross_entropy),
    "gaussian": Output(lambda z: z, lambda z, mean, x: 0.5 * (mean - x) ** 2),
}
"""By name."""


class Penalties(NamedTuple):
    """What is added to the cost of a reconstruction, each a mean over the batch.

    Attributes:
      sparsity: "none", "l1" (``Σ_j |h_j|``) or "kl" (``Σ_j KL(ρ ‖ mean of h_j)``).
      weight: factor on the sparsity.
      target: ρ.
      contraction: factor on ``‖∂h/∂x‖²_F = Σ_j g'(a_j)² Σ_i W_ij²``.
    """

    sparsity: str
    weight: float | Array
    target: float | Array
    contraction: float | Array

    @property
    def any(self) -> bool:
        """Whether there is one: a plain 0 is none."""
        return (self.sparsity != "none" and not is_zero(self.weight)) or not is_zero(self.contraction)

    def __call__(self, g: Callable[[Array], Array], a: Array, W: Weight) -> Array:
        """The sum of the penalties, ``()``.

        Args:
          g: the activation.
          a: ``(batch, units)`` pre-activations.
          W: ``(inputs, units)``.
        """
        total = jnp.zeros((), jnp.float32)
        if self.sparsity != "none" and not is_zero(self.weight):
            h = g(a)
            if self.sparsity == "l1":
                amount = jnp.mean(jnp.sum(jnp.abs(h), axis=-1))
            else:
                amount = jnp.sum(bernoulli_kl(jnp.asarray(self.target, jnp.float32), jnp.mean(h, axis=0)))
            total = total + self.weight * amount
        if not is_zero(self.contraction):
            total = total + self.contraction * jnp.mean(squared_jacobian(g, a, W))
        return total


def bernoulli_kl(p: Array, q: Array) -> Array:
    """``KL(p ‖ q) = p log(p/q) + (1 − p) log((1 − p)/(1 − q))`` of probabilities, element by element.

    ``q`` may be 0 or 1: what is below 1e-12 there counts as 1e-12. ``p`` is between them.

    Example:
      >>> round(float(bernoulli_kl(jnp.array(0.5), jnp.array(0.25))), 4)
      0.1438
    """
    p = jnp.broadcast_to(p, q.shape)
    yes, no = jnp.maximum(q, SMALLEST_MEAN), jnp.maximum(1 - q, SMALLEST_MEAN)
    return p * (jnp.log(p) - jnp.log(yes)) + (1 - p) * (jnp.log1p(-p) - jnp.log(no))


def squared_jacobian(g: Callable[[Array], Array], a: Array, W: Weight) -> Array:
    """``‖∂h/∂x‖²_F = Σ_j g'(a_j)² Σ_i W_ij²`` of ``h = g(a)``, ``a = x W + c``; ``h_j(1 − h_j)`` is σ'.

    Args:
      g: acts element by element.
      a: ``(..., units)``.
      W: ``(inputs, units)``.

    Returns:
      ``(...)``.

    Source: Rifai et al., 2011, «Contractive auto-encoders».

    Example:
      >>> W, x = jnp.array([[1.0, 2.0], [0.5, 0.0]]), jnp.array([1.0, -1.0])
      >>> J = jax.jacobian(lambda x: jnp.tanh(x @ W))(x)
      >>> bool(jnp.allclose(squared_jacobian(jnp.tanh, x @ W, W), jnp.sum(J**2)))
      True
    """
    _, slope = jax.jvp(g, (a,), (jnp.ones_like(a),))
    return (slope * slope) @ jnp.sum(jnp.square(W), axis=0)


def is_zero(value: float | Array) -> bool:
    """Whether it is a plain 0, which is not traced."""
    return isinstance(value, (int, float)) and value == 0


def objective(
    params: AutoencoderParams,
    seen: Array,
    x: Array,
    g: Callable[[Array], Array],
    out: Output,
    penalties: Penalties,
) -> Array:
    """What `autoencoder` lowers, ``()``: the mean over the batch of costs and penalties.

    Args:
      params: see `AutoencoderParams`.
      seen: ``(batch, inputs)`` what is encoded, x with noise.
      x: ``(batch, inputs)`` what is to be reconstructed.
      g: the activation.
      out: the output.
      penalties: see `Penalties`.
    """
    a = add_bias(seen @ params.W, params.c)
    z = add_bias(g(a) @ decoding(params), params.b)
    cost = jnp.sum(out.cost(z, out.mean(z), x)) / x.shape[0]
    return cost + penalties(g, a, params.W) if penalties.any else cost  # pyright: ignore[reportArgumentType]


def value_and_gradient(
    params: AutoencoderParams,
    seen: Array,
    x: Array,
    g: Callable[[Array], Array],
    out: Output,
    penalties: Penalties,
) -> tuple[AutoencoderParams, Metrics]:
    """The gradient of `objective`, and the metrics of its step.

    Written out, so that one ``x̂`` serves for the cost, its gradient and the metrics: with canonical outputs
    ``δ_z = x̂ − x``, ``δ_a = g'(a) (δ_z Vᵀ)``, and of tied weights the gradient is ``x̃ᵀ δ_a + δ_zᵀ h``.
    """
    V, rows = decoding(params), x.shape[0]
    a = add_bias(seen @ params.W, params.c)
    h, back = jax.vjp(g, a)
    z = add_bias(h @ V, params.b)
    mean = out.mean(z)
    loss = jnp.sum(out.cost(z, mean, x)) / rows
    error = mean - x
    d_z = error / rows
    (d_a,) = back(d_z @ V.T)
    more = None
    if penalties.any:
        amount, (d_more, more) = jax.value_and_grad(lambda a, W: penalties(g, a, W), (0, 1))(a, params.W)
        loss, d_a = loss + amount, d_a + d_more
    d_W = seen.T @ d_a
    if params.V is None:
        d_W = d_W + d_z.T @ h
    gradient = AutoencoderParams(
        W=d_W if more is None else d_W + more,
        b=jnp.sum(d_z, axis=0),
        c=jnp.sum(d_a, axis=0),
        V=None if params.V is None else h.T @ d_z,
    )
    return gradient, {"reconstruction": jnp.sum(error * error) / rows, "loss": loss}
