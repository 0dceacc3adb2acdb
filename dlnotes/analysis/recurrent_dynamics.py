"""What becomes of a state when the same map, or one like it, is applied again and again.

Linear maps in closed form (powers of a matrix by its eigenvalues), products of different weights, and
the section of a non-linear map composed with itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.checks import positive
from dlnotes.jax_internals import is_traced
from dlnotes.typing import Array, PRNGKey


class Spectrum(NamedTuple):
    """``W = Qᵀ Λ Q`` of a symmetric W, and a state in its coordinates.

    Attributes:
      values: (n,) the eigenvalues Λ, the largest in magnitude first.
      Q: (n, n), its rows are the eigenvectors.
      components: (..., n), ``Q h_0``: what of the state lies along each eigenvector.
    """

    values: Array
    Q: Array
    components: Array


def linear_states(W: Array, h0: Array, steps: int) -> Array:
    """``h_t = W h_{t-1}`` step by step, for any square W: the power method without its scaling.

    Args:
      W: (n, n). It acts on columns as in the notes; a state here is still the last axis of an array.
      h0: (..., n).
      steps: how many.

    Returns:
      (steps + 1, ..., n), from ``h_0``.

    Source: notes R12.1.
    """
    _square(W)
    positive(steps=steps)
    _, later = jax.lax.scan(lambda h, _: (h @ W.T, h @ W.T), h0, length=steps)
    return jnp.concatenate([h0[None], later])


def spectrum(W: Array, h0: Array) -> Spectrum:
    """Eigenvalues and eigenvectors of a symmetric W, and the state's components along them.

    Args:
      W: (n, n), symmetric.
      h0: (..., n).

    Raises:
      ValueError: when W is not square, or (known at this point) not symmetric.

    Source: notes R12.1.

    Example:
      >>> found = spectrum(jnp.array([[0.0, 0.5], [0.5, 0.0]]), jnp.array([1.0, 0.0]))
      >>> sorted(round(float(v), 3) for v in found.values)
      [-0.5, 0.5]
    """
    _square(W)
    if not is_traced(W):
        apart = float(np.max(np.abs(np.asarray(W) - np.asarray(W).T), initial=0.0))
        if apart > 1e-5 * float(np.max(np.abs(np.asarray(W)), initial=0.0)):
            raise ValueError(
                f"W: got a matrix {apart:.3g} away from its transpose, allowed is a symmetric one"
            )
    values, columns = jnp.linalg.eigh(W)
    order = jnp.argsort(-jnp.abs(values))
    Q = columns[:, order].T
    return Spectrum(values[order], Q, h0 @ Q.T)


def states_by_spectrum(found: Spectrum, steps: int) -> Array:
    """``h_t = Qᵀ Λᵗ Q h_0`` for t = 0 … steps, (steps + 1, ..., n): what `linear_states` gives.

    Source: notes R12.1.
    """
    positive(steps=steps)
    return components_over_time(found, steps) @ found.Q


def components_over_time(found: Spectrum, steps: int) -> Array:
    """``λ_iᵗ (Q h_0)_i``: each component by itself fades (``|λ_i| < 1``) or explodes (``> 1``).

    Returns:
      (steps + 1, ..., n).

    Source: notes R12.1.
    """
    # By repeated products: a power of a negative number is not real for a float exponent.
    first = found.components[None]
    factors = found.values.reshape(*(1,) * found.components.ndim, -1)
    return jnp.cumprod(jnp.concatenate([first, jnp.broadcast_to(factors, (steps, *first.shape[1:]))]), 0)


def lost(found: Spectrum, steps: int) -> Array:
    """The share of ``‖h_t‖`` that is not along the first eigenvector, in [0, 1].

    ``sqrt(1 − (λ_1ᵗ c_1)² / Σ_i (λ_iᵗ c_i)²)`` with ``c = Q h_0``, computed from ``λ_i/λ_1``, so that
    neither end overflows; it falls as ``|λ_2/λ_1|ᵗ``: what h_0 was, other than its component ``c_1``, is
    forgotten whether the state fades or explodes.

    Returns:
      (steps + 1, ...).

    Source: notes R12.1.
    """
    scaled = found._replace(values=found.values / found.values[0])
    squares = components_over_time(scaled, steps) ** 2
    rest = jnp.sum(squares[..., 1:], -1)
    return jnp.sqrt(rest / (squares[..., 0] + rest))


def factor_variance(target: float | Array, n: int) -> float | Array:
    """``v = (v*)^{1/n}``: the variance of each of n factors whose product is to have variance v*.

    Source: notes R12.2.

    Example:
      >>> round(factor_variance(0.5, 100), 4)
      0.9931
    """
    positive(n=n)
    return target ** (1 / n)


def products_of_weights(key: PRNGKey, n: int, variance: float | Array, samples: int) -> Array:
    """``∏_{t ≤ k} w_t`` for k = 1 … n of independent normal weights with mean 0: variance ``vᵏ``.

    Args:
      key: one key.
      n: factors.
      variance: v of each.
      samples: products drawn.

    Returns:
      (n, samples).

    Source: notes R12.2.
    """
    positive(n=n, samples=samples)
    weights = jnp.sqrt(jnp.asarray(variance, jnp.float32)) * jax.random.normal(key, (n, samples))
    return jnp.cumprod(weights, 0)


def section(
    step: Callable[[Array], Array],
    h0: Array,
    direction: Array,
    along: Array,
    onto: Array,
    times: int,
) -> Array:
    """A one-dimensional section of ``f ∘ … ∘ f``: ``y_t(s) = ⟨onto, fᵗ(h_0 + s · direction)⟩``.

    Args:
      step: ``f(h) -> h``, of states with any leading axes.
      h0: (n,), the point that the line goes through.
      direction: (n,), the line's direction in the space of states.
      along: (points,) the places s.
      onto: (n,), the direction that states are projected on.
      times: how often f is composed at most.

    Returns:
      (times + 1, points); the first row is the line itself, t = 0.

    Source: notes R12.3; Goodfellow et al., 2016, figure 10.15.

    Example:
      >>> one = jnp.ones(1)
      >>> section(jnp.square, 0 * one, one, jnp.array([0.0, 1.0, 2.0]), one, 2)
      Array([[ 0.,  1.,  2.],
             [ 0.,  1.,  4.],
             [ 0.,  1., 16.]], dtype=float32)
    """
    positive(times=times)
    line = h0[None] + along[:, None] * direction[None]
    _, later = jax.lax.scan(lambda h, _: (step(h), step(h) @ onto), line, length=times)
    return jnp.concatenate([(line @ onto)[None], later])


def turning_points(values: Array) -> Array:
    """How often a sampled curve changes between rising and falling, along the last axis; (...,) int32.

    Flat pieces are left out, so that a curve which rises, rests and rises again does not turn.

    Example:
      >>> int(turning_points(jnp.array([0.0, 1.0, 1.0, 2.0, 1.0, 0.0, 3.0])))
      2
    """
    signs = jnp.sign(jnp.diff(values, axis=-1))

    def count(state: tuple[Array, Array], sign: Array):
        last, turns = state
        turns = turns + (sign * last < 0).astype(jnp.int32)
        return (jnp.where(sign == 0, last, sign), turns), None

    start = jnp.zeros(values.shape[:-1], values.dtype), jnp.zeros(values.shape[:-1], jnp.int32)
    return jax.lax.scan(count, start, jnp.moveaxis(signs, -1, 0))[0][1]


def _square(W: Array) -> None:
    if W.ndim != 2 or W.shape[0] != W.shape[1]:
        raise ValueError(f"W: got shape {W.shape}, allowed is (n, n)")
