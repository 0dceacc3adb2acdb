"""Products with the Jacobian of the basic operations, forward (J v) and backward (Jᵀ g), by hand.

For ``y = f(x)`` with Jacobian ``J = ∂y/∂x``, ``f_jvp`` gives ``J v``, the change of y when x changes by
v, and ``f_vjp`` gives ``Jᵀ g``, the gradient by x of a scalar whose gradient by y is g. The Jacobian
itself, one row per element of y, is never built. An operation of two arguments adds their parts up in
``f_jvp`` and returns one part for each in ``f_vjp``.

Source: notes F5.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product as every

import jax
import jax.numpy as jnp

from dlnotes.autodiff.derivatives import derivative
from dlnotes.checks import positive
from dlnotes.typing import Array


def sum_to(g: Array, shape: tuple[int, ...]) -> Array:
    """Jᵀ g of broadcasting: the sum over every axis along which ``shape`` was repeated.

    Args:
      g: a gradient by the broadcast value.
      shape: what it was broadcast from.

    Example:
      >>> sum_to(jnp.ones((2, 3)), (3,))
      Array([2., 2., 2.], dtype=float32)
    """
    if g.shape == shape:
        return g
    extra = g.ndim - len(shape)
    repeated = tuple(extra + i for i, size in enumerate(shape) if size == 1 and g.shape[extra + i] != 1)
    return jnp.sum(g, axis=(*range(extra), *repeated)).reshape(shape)


def matmul_jvp(A: Array, B: Array, dA: Array, dB: Array) -> Array:
    """``dY = dA B + A dB`` of ``Y = A B``; shapes as `matmul_vjp`."""
    return dA @ B + A @ dB


def matmul_vjp(A: Array, B: Array, G: Array) -> tuple[Array, Array]:
    """``(G Bᵀ, Aᵀ G)`` of ``Y = A B``.

    Args:
      A: ``(..., n, k)``, or a vector ``(k,)``.
      B: ``(..., k, m)``, or a vector ``(k,)``.
      G: of the shape of ``A @ B``.

    Returns:
      Gradients of the shapes of ``A`` and ``B``; leading axes along which one of them was repeated
      are summed.

    Example:
      >>> A, B = jnp.array([[1.0, 2.0]]), jnp.array([[3.0], [4.0]])
      >>> [g.tolist() for g in matmul_vjp(A, B, jnp.array([[1.0]]))]
      [[[3.0, 4.0]], [[1.0], [2.0]]]
    """
    rows = A[None, :] if A.ndim == 1 else A
    columns = B[:, None] if B.ndim == 1 else B
    G = jnp.expand_dims(G, tuple(axis for axis, v in ((-1, B), (-2, A)) if v.ndim == 1))
    by_A = sum_to(G @ jnp.swapaxes(columns, -1, -2), rows.shape)
    by_B = sum_to(jnp.swapaxes(rows, -1, -2) @ G, columns.shape)
    return by_A.reshape(A.shape), by_B.reshape(B.shape)


def bias_jvp(dz: Array, db: Array) -> Array:
    """``dy = dz + db`` of ``y = z + b`` (``dz``: (..., n), ``db``: (n,))."""
    return dz + jnp.broadcast_to(db, dz.shape)


def bias_vjp(g: Array) -> tuple[Array, Array]:
    """``(g, Σ g over all axes but the last)`` of ``y = z + b`` (``g``: (..., n))."""
    return g, sum_to(g, g.shape[-1:])


def elementwise_jvp(name: str, z: Array, dz: Array) -> Array:
    """``dy = f'(z) ⊙ dz``: the Jacobian of an element-wise function is diagonal.

    Args:
      name: of the function, in `dlnotes.autodiff.DERIVATIVES`.
      z: any shape.
      dz: of the same shape.

    Raises:
      ValueError: on a name that is not in the table.
    """
    return derivative(name)(z) * dz


def elementwise_vjp(name: str, z: Array, g: Array) -> Array:
    """``f'(z) ⊙ g``, the same as `elementwise_jvp`: a diagonal matrix is its own transpose."""
    return derivative(name)(z) * g


def softmax_jvp(z: Array, dz: Array) -> Array:
    """``ds = s ⊙ (dz − sᵀdz)`` of ``s = softmax(z)``, with ``J = diag(s) − s sᵀ``.

    Args:
      z: ``(..., K)``.
      dz: of the same shape.

    Example:
      >>> softmax_jvp(jnp.array([0.0, 0.0]), jnp.array([1.0, 0.0]))
      Array([ 0.25, -0.25], dtype=float32)
    """
    s = jax.nn.softmax(z)
    return s * (dz - jnp.sum(s * dz, axis=-1, keepdims=True))


def softmax_vjp(z: Array, g: Array) -> Array:
    """``s ⊙ (g − sᵀg)``, the same as `softmax_jvp`: J is symmetric."""
    return softmax_jvp(z, g)


def convolution_jvp(
    x: Array, K: Array, dx: Array, dK: Array, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Array:
    """``dy = dx ⋆ K + x ⋆ dK`` of the cross-correlation ``y = x ⋆ K``; arguments as `convolution_vjp`."""
    _check(x, K, stride, padding, dilation)
    change: Array | float = 0.0
    taps = _taps(_padded(x, padding).shape, K.shape, stride, dilation)
    for tap, window in taps:
        change = change + _padded(dx, padding)[window] @ K[tap] + _padded(x, padding)[window] @ dK[tap]
    return jnp.asarray(change)


def convolution_vjp(
    x: Array, K: Array, G: Array, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> tuple[Array, Array]:
    """Jᵀ G of the cross-correlation ``y[i] = Σ_m x[S·i + D·m − P] K[m]``, with channels and any dimension.

    A tap m of the kernel sees a shifted window of x, and ``y = Σ_m window_m(x) K[m]`` is a sum of
    matrix products over the channels, hence ``K̄[m] = window_m(x)ᵀ G`` and ``x̄`` is the sum of
    ``G K[m]ᵀ``, each put back where its window was taken from.

    Args:
      x: ``(batch, *sizes, in)``.
      K: ``(*window, in, out)``.
      G: ``(batch, *new sizes, out)``, of the shape of y.
      stride: S, the same along every axis.
      padding: P, zeros on both sides of every axis.
      dilation: D, the step between the kernel's taps.

    Returns:
      Gradients of the shapes of ``x`` and ``K``.

    Raises:
      ValueError: on ranks, channels or options that do not fit.

    Source: notes F5.4.
    """
    _check(x, K, stride, padding, dilation)
    padded = _padded(x, padding)
    by_x, by_K = jnp.zeros_like(padded), jnp.zeros_like(K)
    rows = G.reshape(-1, G.shape[-1])
    for tap, window in _taps(padded.shape, K.shape, stride, dilation):
        by_K = by_K.at[tap].set(padded[window].reshape(-1, x.shape[-1]).T @ rows)
        by_x = by_x.at[window].add(G @ K[tap].T)
    inside = tuple(slice(padding, padding + size) for size in x.shape[1:-1])
    return by_x[(slice(None), *inside)], by_K


Window = tuple[slice, ...]


def _taps(
    padded: tuple[int, ...], kernel: tuple[int, ...], stride: int, dilation: int
) -> Iterator[tuple[tuple[int, ...], Window]]:
    """Every tap of the kernel, and the window of the padded input that it sees."""
    sizes, window = padded[1:-1], kernel[:-2]
    new = [(size - dilation * (k - 1) - 1) // stride + 1 for size, k in zip(sizes, window)]
    for tap in every(*(range(k) for k in window)):
        firsts = [dilation * m for m in tap]
        yield tap, (slice(None), *(slice(f, f + stride * (n - 1) + 1, stride) for f, n in zip(firsts, new)))


def _padded(x: Array, padding: int) -> Array:
    return jnp.pad(x, ((0, 0), *((padding, padding),) * (x.ndim - 2), (0, 0)))


def _check(x: Array, K: Array, stride: int, padding: int, dilation: int) -> None:
    positive(stride=stride, dilation=dilation)
    if padding < 0:
        raise ValueError(f"padding: got {padding}, allowed is a number >= 0")
    if x.ndim < 3 or K.ndim != x.ndim or K.shape[-2] != x.shape[-1]:
        raise ValueError(
            f"K: got shape {K.shape}, x of shape {x.shape} needs {x.ndim - 2} sizes, {x.shape[-1]} in, out"
        )
    if any(size + 2 * padding < dilation * (k - 1) + 1 for size, k in zip(x.shape[1:-1], K.shape)):
        raise ValueError(f"K: got window {K.shape[:-2]}, larger than the padded input")
