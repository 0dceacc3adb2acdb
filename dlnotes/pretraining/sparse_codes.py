"""Sparse codes for a given dictionary: iterative shrinkage, plain and accelerated."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from dlnotes.checks import chosen, positive
from dlnotes.pretraining.checked import not_negative
from dlnotes.typing import Array, Weight

SQUARINGS = 6
"""Of DᵀD, to bound its largest eigenvalue."""


def shrink(v: Array, threshold: float | Array, *, nonnegative: bool = False) -> Array:
    """Soft threshold ``S_t(v) = sign(v) · max(|v| − t, 0)``; of non-negative codes ``max(v − t, 0)``.

    Example:
      >>> shrink(jnp.array([-2.0, 0.5, 3.0]), 1.0).tolist()
      [-1.0, 0.0, 2.0]
    """
    t = jnp.broadcast_to(jnp.asarray(threshold, v.dtype), v.shape)
    if nonnegative:
        return jnp.maximum(v - t, 0)
    return v - jnp.clip(v, -t, t)


def largest_eigenvalue(D: Weight) -> Array:
    """The largest eigenvalue of ``DᵀD``, from above: at most ``n^{1/128}`` times it for n columns.

    ``λ ≤ ‖G^k‖_F^{1/k}`` with ``k = 64`` by six squarings: products alone, so that it runs inside a scan,
    under vmap and on an accelerator at their speed. A step of 1 over it never raises the objective.

    Args:
      D: ``(inputs, units)``.

    Example:
      >>> D = jnp.array([[3.0, 0.0], [0.0, 1.0]])
      >>> round(float(largest_eigenvalue(D)), 4)
      9.0
    """
    D = jnp.asarray(D)
    G = D.T @ D
    log_bound = jnp.zeros((), G.dtype)
    for i in range(SQUARINGS + 1):
        norm = jnp.maximum(jnp.sqrt(jnp.sum(G * G)), jnp.finfo(G.dtype).tiny)
        log_bound = log_bound + jnp.log(norm) / 2**i
        G = (G / norm) @ (G / norm) if i < SQUARINGS else G
    return jnp.exp(log_bound)


def sparse_objective(x: Array, z: Array, D: Weight, penalty: float | Array) -> Array:
    """``½ ‖x − D z‖² + λ ‖z‖₁`` of each row, ``(...)``."""
    error = x - z @ jnp.asarray(D).T
    return 0.5 * jnp.sum(error * error, axis=-1) + penalty * jnp.sum(jnp.abs(z), axis=-1)


def ista(
    x: Array,
    D: Weight,
    penalty: float | Array,
    *,
    iterations: int = 100,
    nonnegative: bool = False,
    start: Array | None = None,
) -> Array:
    """Codes ``argmin_z ½ ‖x − D z‖² + λ ‖z‖₁`` by iterative shrinkage and thresholding.

    ``z ← S_{λ/L}(z − Dᵀ(D z − x)/L)``, ``L`` the largest eigenvalue of ``DᵀD``. The objective is above its
    smallest value by at most ``L ‖z₀ − z*‖² / 2k`` after k iterations.

    Args:
      x: ``(..., inputs)``.
      D: ``(inputs, units)``, an atom a column.
      penalty: λ.
      iterations: how many, fixed.
      nonnegative: only codes ``z ≥ 0``.
      start: ``(..., units)`` where they begin, by default at 0.

    Returns:
      ``(..., units)``.

    Raises:
      ValueError: when sizes do not fit or numbers are not allowed.

    Source: Daubechies et al., 2004; Beck and Teboulle, 2009.

    Example:
      >>> D = jnp.eye(2)
      >>> ista(jnp.array([3.0, 0.5]), D, 1.0).tolist()
      [2.0, 0.0]
    """
    z, shrunk = _prepared(x, D, penalty, iterations, nonnegative, start)
    return lax.fori_loop(0, iterations, lambda _, z: shrunk(z), z)


def fista(
    x: Array,
    D: Weight,
    penalty: float | Array,
    *,
    iterations: int = 100,
    nonnegative: bool = False,
    start: Array | None = None,
) -> Array:
    """The same codes as `ista`, accelerated: within ``2 L ‖z₀ − z*‖² / (k + 1)²`` after k iterations.

    ``z_k = S_{λ/L}(y_k − Dᵀ(D y_k − x)/L)``, ``t_{k+1} = (1 + √(1 + 4 t_k²))/2``,
    ``y_{k+1} = z_k + (t_k − 1)/t_{k+1} · (z_k − z_{k−1})``.

    Args:
      x, D, penalty, iterations, nonnegative, start: as in `ista`.

    Returns:
      ``(..., units)``.

    Raises:
      ValueError: when sizes do not fit or numbers are not allowed.

    Source: Beck and Teboulle, 2009, «A fast iterative shrinkage-thresholding algorithm».

    Example:
      >>> D = jnp.eye(2)
      >>> fista(jnp.array([3.0, 0.5]), D, 1.0).tolist()
      [2.0, 0.0]
    """
    z, shrunk = _prepared(x, D, penalty, iterations, nonnegative, start)

    def iterate(_: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        z, y, t = carry
        new = shrunk(y)
        t_new = 0.5 * (1 + jnp.sqrt(1 + 4 * t * t))
        return new, new + ((t - 1) / t_new) * (new - z), t_new

    return lax.fori_loop(0, iterations, iterate, (z, z, jnp.ones((), z.dtype)))[0]


SOLVERS: dict[str, Callable[..., Array]] = {"ista": ista, "fista": fista}
"""By name."""


def solver(name: str) -> Callable[..., Array]:
    """`ista` or `fista`.

    Raises:
      ValueError: when there is no such solver.
    """
    return chosen("solver", name, SOLVERS)


def _prepared(
    x: Array,
    D: Weight,
    penalty: float | Array,
    iterations: int,
    nonnegative: bool,
    start: Array | None,
) -> tuple[Array, Callable[[Array], Array]]:
    """Where an iteration begins, and one step of shrinkage."""
    D = jnp.asarray(D)
    positive(iterations=iterations)
    not_negative(penalty=penalty)
    if D.ndim != 2 or x.shape[-1:] != D.shape[:1]:
        raise ValueError(f"x: got shape {x.shape}, D of shape {D.shape} takes (..., {D.shape[0]})")
    shape = (*x.shape[:-1], D.shape[1])
    if start is not None and start.shape != shape:
        raise ValueError(f"start: got shape {start.shape}, allowed is {shape}")
    # With DᵀD and Dᵀx an iteration is one product, (rows, units) by (units, units).
    G, correlation = D.T @ D, x @ D
    rate = 1 / jnp.maximum(largest_eigenvalue(D), jnp.finfo(D.dtype).tiny)

    def shrunk(z: Array) -> Array:
        return shrink(z - rate * (z @ G - correlation), rate * penalty, nonnegative=nonnegative)

    return (jnp.zeros(shape, x.dtype) if start is None else start), shrunk
