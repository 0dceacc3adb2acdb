"""How dependent numbers are on each other: distance correlation, as a measure and as a penalty on a code."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from dlnotes.typing import Array


def distance_correlations(h: Array) -> Array:
    """Squared distance correlation of each pair of columns, ``(units, units)``, without bias.

    With ``a`` the distances of the rows in one column, ``a_rs = |h_r − h_s|``, centered for samples,
    ``A_rs = a_rs − a_r·/(n − 2) − a_·s/(n − 2) + a_··/((n − 1)(n − 2))`` off the diagonal and 0 on it, and B
    those of another column, it is ``⟨A, B⟩ / √(⟨A, A⟩⟨B, B⟩)``. Of whole distributions it lies from 0 to 1:
    it is 0 only where the two are independent, and 1 only where one is a multiple of the other and a
    constant, while a correlation sees straight lines only. Of a sample it can fall a little below 0, as its
    mean for independent columns is nearly 0. Neither scale nor place of a column changes it. A column that
    is constant is independent of all, of itself too.

    Args:
      h: ``(n, units)``, n at least 4; takes ``n² units`` numbers of memory.

    Raises:
      ValueError: when h is no matrix or has fewer than four rows.

    Source: Székely and Rizzo, 2014; Székely, Rizzo and Bakirov, 2007.

    Example:
      >>> x = jnp.linspace(-1.0, 1.0, 101)
      >>> float(jnp.corrcoef(x, x**2)[0, 1]) < 1e-6
      True
      >>> round(float(distance_correlations(jnp.stack([x, x**2], axis=1))[0, 1]), 1)
      0.2
    """
    if h.ndim != 2 or h.shape[0] < 4:
        raise ValueError(f"h: got shape {tuple(h.shape)}, allowed is (n, units) with n at least 4")
    n = h.shape[0]
    # Neither place nor scale changes the result; without them float32 is exact enough.
    h = h - jax.lax.stop_gradient(jnp.mean(h, axis=0, keepdims=True))
    spread = jax.lax.stop_gradient(jnp.max(jnp.abs(h), axis=0, keepdims=True))
    h = (h / jnp.where(spread > 0, spread, 1.0)).T
    a = jnp.abs(h[:, :, None] - h[:, None, :])  # (units, n, n)
    rows = jnp.sum(a, axis=2)
    total = jnp.sum(rows, axis=1)
    # ⟨A, B⟩ of all pairs, multiplied out: no centered copy of a is made.
    flat = a.reshape(a.shape[0], n * n)
    uncentered = _products(flat)
    products = (
        uncentered - 2 / (n - 2) * _products(rows) + total[:, None] * total[None, :] / ((n - 1) * (n - 2))
    )
    own = jnp.diagonal(products)
    varies = own > 1e-6 * jnp.diagonal(uncentered)  # less is rounding
    root = jnp.sqrt(jnp.where(varies, own, 1.0))
    both = varies[:, None] & varies[None, :]
    return jnp.where(both, products / (root[:, None] * root[None, :]), 0.0)


def _products(rows: Array) -> Array:
    """Of each row with each, ``(rows, rows)``, in full precision: small differences of them count."""
    return jnp.matmul(rows, rows.T, precision=jax.lax.Precision.HIGHEST)


def dependence(h: Array) -> Array:
    """Mean squared distance correlation over all pairs of columns, ``()``: 0 for independent columns.

    As a penalty on a batch of codes it asks for units that tell nothing of each other: see
    `distance_correlations`. It looks at pairs. Where a linear map of independent sources is sought, of which
    at most one is normal, pairs are enough (Comon, 1994); in general three columns can depend on each other
    while each two do not.

    Args:
      h: ``(n, units)``, n at least 4, units at least 2.

    Raises:
      ValueError: when h is no matrix or too small.

    Source: Matteson and Tsay, 2017, who find independent components by it.

    Example:
      >>> x = jnp.linspace(-1.0, 1.0, 50)
      >>> round(float(dependence(jnp.stack([x, -2 * x], axis=1))), 4)
      1.0
    """
    if h.ndim != 2 or h.shape[1] < 2:
        raise ValueError(f"h: got shape {tuple(h.shape)}, allowed is (n, units) with two units or more")
    found = distance_correlations(h)
    units = h.shape[1]
    return (jnp.sum(found) - jnp.sum(jnp.diagonal(found))) / (units * (units - 1))
