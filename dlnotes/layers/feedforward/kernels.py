"""The kernel trick: ``k(x, z) = φ(x)ᵀφ(z)``, explicit φ for it, and ridge regression in both forms.

Source: notes, «funcionamiento básico» (F1.6); Goodfellow et al. 2016, 5.7.2 and 6.
"""

from __future__ import annotations

from itertools import combinations_with_replacement
from math import comb, factorial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import cho_factor, cho_solve

from dlnotes.checks import positive
from dlnotes.layers.feedforward.rbf import squared_distances
from dlnotes.typing import Array, PRNGKey, Weight

MOST_FEATURES = 1_000_000
"""Features that `polynomial_features` makes at most; the kernel has no such limit."""


class FourierFeatures(NamedTuple):
    """Parameters of ``φ_j(x) = √(2/D) cos(ω_jᵀx + b_j)``.

    Attributes:
      frequencies: ``(inputs, D)``, ω_j as columns, in radians over the unit of the inputs.
      phases: ``(D,)`` b_j in [0, 2π).
    """

    frequencies: Weight
    phases: Weight


def rbf_kernel(x: Array, z: Array, gamma: float | Array) -> Array:
    """``k(x, z) = exp(−γ ‖x − z‖²)``, whose φ has infinitely many dimensions.

    Args:
      x: ``(n, inputs)``.
      z: ``(m, inputs)``.
      gamma: γ > 0, over the squared unit of the inputs; may be traced.

    Returns:
      ``(n, m)``, each in [0, 1].

    Raises:
      ValueError: on shapes that do not fit, or γ that is not positive.

    Example:
      >>> [round(float(k), 4) for k in rbf_kernel(jnp.array([[0.0], [1.0]]), jnp.array([[0.0]]), 0.5)[:, 0]]
      [1.0, 0.6065]
    """
    _rows("z", z, _rows("x", x))
    _above_zero(gamma=gamma)
    return jnp.exp(-gamma * squared_distances(x, z.T))


def polynomial_kernel(x: Array, z: Array, degree: int = 2, offset: float | Array = 1.0) -> Array:
    """``k(x, z) = (xᵀz + c)^p``: all products of up to p inputs, for the price of one inner product.

    Args:
      x: ``(n, inputs)``.
      z: ``(m, inputs)``.
      degree: p, at least 1.
      offset: c ≥ 0; with 0 only products of exactly p inputs.

    Returns:
      ``(n, m)``; the inner products of `polynomial_features`.

    Raises:
      ValueError: on shapes that do not fit, a degree below 1 or a negative offset.
    """
    _rows("z", z, _rows("x", x))
    positive(degree=degree)
    _not_negative(offset=offset)
    inner = jnp.matmul(x, z.T, precision=lax.Precision.HIGHEST)
    return (inner + offset) ** degree


def polynomial_features(x: Array, degree: int = 2, offset: float | Array = 1.0) -> Array:
    """The explicit φ of `polynomial_kernel`: ``φ(x)ᵀφ(z) = (xᵀz + c)^p``.

    One feature for each monomial of degree p in the inputs and √c, ``√(p!/∏ k_i!) ∏ x_i^{k_i}``:
    ``C(inputs + p, p)`` of them.

    Args:
      x: ``(n, inputs)``.
      degree: p, at least 1.
      offset: c ≥ 0.

    Returns:
      ``(n, features)``.

    Raises:
      ValueError: on a shape, degree or offset that is not allowed, or more than a million features.

    Example:
      >>> x, z = jnp.array([[1.0, 2.0]]), jnp.array([[3.0, -1.0]])
      >>> phi, psi = polynomial_features(x), polynomial_features(z)
      >>> phi.shape, round(float(phi[0] @ psi[0]), 4), float(polynomial_kernel(x, z)[0, 0])
      ((1, 6), 4.0, 4.0)
    """
    inputs = _rows("x", x)
    positive(degree=degree)
    _not_negative(offset=offset)
    if (n := comb(inputs + degree, degree)) > MOST_FEATURES:
        raise ValueError(
            f"degree: got {degree}, {n} features of {inputs} inputs; allowed are {MOST_FEATURES}, "
            "and polynomial_kernel needs none"
        )
    chosen = np.array(list(combinations_with_replacement(range(inputs + 1), degree)))
    counts = [np.unique(row, return_counts=True)[1] for row in chosen]
    weight = [np.sqrt(factorial(degree) / np.prod([float(factorial(k)) for k in c])) for c in counts]
    last = jnp.broadcast_to(jnp.sqrt(jnp.asarray(offset, x.dtype)), (x.shape[0], 1))
    whole = jnp.concatenate([x, last], axis=1)
    product = jnp.broadcast_to(jnp.asarray(np.array(weight), x.dtype), (x.shape[0], len(weight)))
    for j in range(degree):
        product = product * whole[:, chosen[:, j]]
    return product


def init_fourier_features(key: PRNGKey, inputs: int, features: int, gamma: float | Array) -> FourierFeatures:
    """`FourierFeatures` of the RBF kernel: ``ω ~ N(0, 2γ I)``, ``b ~ U[0, 2π)``.

    Args:
      key: of the draw.
      inputs: size of x.
      features: D.
      gamma: γ of `rbf_kernel`; may be traced.

    Raises:
      ValueError: on sizes or γ that are not positive.
    """
    positive(inputs=inputs, features=features)
    _above_zero(gamma=gamma)
    key_w, key_b = jax.random.split(key)
    scale = jnp.sqrt(2 * jnp.asarray(gamma, jnp.float32))
    w = scale * jax.random.normal(key_w, (inputs, features), jnp.float32)
    return FourierFeatures(w, jax.random.uniform(key_b, (features,), jnp.float32, 0, 2 * np.pi))


def fourier_features(params: FourierFeatures, x: Array) -> Array:
    """A random φ of D dimensions whose inner products approach the RBF kernel: ``√(2/D) cos(ωᵀx + b)``.

    ``φ(x)ᵀφ(z)`` has mean k(x, z) and the deviation that `fourier_deviation` says, which falls as 1/√D.

    Args:
      params: `FourierFeatures`.
      x: ``(n, inputs)``.

    Returns:
      ``(n, D)``.

    Raises:
      ValueError: when shapes do not fit.

    Source: Rahimi and Recht, 2007.

    Example:
      >>> x = jax.random.normal(jax.random.key(1), (2, 3))
      >>> phi = fourier_features(init_fourier_features(jax.random.key(0), 3, 100_000, 0.2), x)
      >>> bool(jnp.abs(phi @ phi.T - rbf_kernel(x, x, 0.2)).max() < 0.02)
      True
    """
    inputs = _rows("x", x)
    if params.frequencies.shape != (inputs, *params.phases.shape):
        raise ValueError(
            f"x: got shape {tuple(x.shape)}, frequencies {tuple(params.frequencies.shape)} and phases "
            f"{tuple(params.phases.shape)}; allowed are (n, inputs), (inputs, D) and (D,)"
        )
    angle = jnp.matmul(x, params.frequencies, precision=lax.Precision.HIGHEST)
    angle = angle + jnp.broadcast_to(params.phases, angle.shape)
    return (2 / angle.shape[1]) ** 0.5 * jnp.cos(angle)


def fourier_deviation(kernel: Array, features: int) -> Array:
    """Standard deviation of ``φ(x)ᵀφ(z)`` over draws of `FourierFeatures`: ``√((1 + k⁴/2 − k²)/D)``.

    Because ``2 cos(ωᵀx + b) cos(ωᵀz + b) = cos(ωᵀ(x − z)) + cos(ωᵀ(x + z) + 2b)``, where the second has
    mean 0 and variance ½ whatever ω, and ``E cos² (ωᵀδ) = ½(1 + k(2δ)) = ½(1 + k⁴)``.

    Args:
      kernel: k, any shape, in [0, 1].
      features: D.
    """
    positive(features=features)
    squared = kernel * kernel
    return jnp.sqrt((1 + 0.5 * squared * squared - squared) / features)


def primal_ridge(features: Array, y: Array, penalty: float | Array) -> Array:
    """``w = (ΦᵀΦ + λI)⁻¹ Φᵀy``, of least ``‖Φw − y‖² + λ‖w‖²``: a system of as many rows as features.

    Args:
      features: Φ ``(n, D)``.
      y: ``(n, outputs)``.
      penalty: λ > 0; may be traced.

    Returns:
      ``(D, outputs)``; predictions are ``φ(x)ᵀw``.

    Raises:
      ValueError: on shapes that do not fit, or λ that is not positive.
    """
    _targets("features", features, y)
    _above_zero(penalty=penalty)
    high = lax.Precision.HIGHEST
    gram = jnp.matmul(features.T, features, precision=high)
    return _solved(gram, jnp.matmul(features.T, y, precision=high), penalty)


def dual_ridge(kernel: Array, y: Array, penalty: float | Array) -> Array:
    """``α = (K + λI)⁻¹ y``, the same fit by inner products alone: a system of as many rows as examples.

    Since ``Φᵀ(ΦΦᵀ + λI)⁻¹ = (ΦᵀΦ + λI)⁻¹Φᵀ``, the predictions ``Σ_i α_i k(x_i, x)`` are those of
    `primal_ridge` with ``w = Φᵀα``, and φ is never made.

    Args:
      kernel: K ``(n, n)``, ``K_ij = k(x_i, x_j)``.
      y: ``(n, outputs)``.
      penalty: λ > 0; may be traced.

    Returns:
      ``(n, outputs)``.

    Raises:
      ValueError: on shapes that do not fit, or λ that is not positive.

    Source: Saunders, Gammerman and Vovk, 1998; notes F1.6.

    Example:
      >>> x, y = jnp.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), jnp.array([[0.0], [1], [1], [0]])
      >>> K = polynomial_kernel(x, x)
      >>> (K @ dual_ridge(K, y, 1e-4)).round(2)[:, 0].tolist()  # XOR
      [0.0, 1.0, 1.0, 0.0]
    """
    _targets("kernel", kernel, y)
    if kernel.shape[0] != kernel.shape[1]:
        raise ValueError(f"kernel: got shape {tuple(kernel.shape)}, allowed is (n, n)")
    _above_zero(penalty=penalty)
    return _solved(kernel, y, penalty)


def _solved(matrix: Array, right: Array, penalty: float | Array) -> Array:
    wide = matrix.dtype if matrix.dtype.itemsize >= 4 else jnp.float32  # the solve has no narrower kind
    whole = matrix.astype(wide) + penalty * jnp.eye(matrix.shape[0], dtype=wide)
    return cho_solve(cho_factor(whole), right.astype(wide)).astype(matrix.dtype)


def _rows(name: str, x: Array, inputs: int | None = None) -> int:
    if x.ndim != 2 or inputs not in (None, x.shape[1]):
        allowed = "(examples, inputs)" if inputs is None else f"(examples, {inputs})"
        raise ValueError(f"{name}: got shape {tuple(x.shape)}, allowed is {allowed}")
    return x.shape[1]


def _targets(name: str, left: Array, y: Array) -> None:
    if left.ndim != 2 or y.ndim != 2 or left.shape[0] != y.shape[0]:
        raise ValueError(
            f"{name}, y: got shapes {tuple(left.shape)} and {tuple(y.shape)}, allowed are (n, columns) and "
            "(n, outputs)"
        )


def _above_zero(**values: float | Array) -> None:
    for name, value in values.items():
        if isinstance(value, (int, float)) and not 0 < value < float("inf"):
            raise ValueError(f"{name}: got {value}, allowed is a positive number")


def _not_negative(**values: float | Array) -> None:
    for name, value in values.items():
        if isinstance(value, (int, float)) and not 0 <= value < float("inf"):
            raise ValueError(f"{name}: got {value}, allowed is at least 0")
