"""Store or recompute: three ways to differentiate a deep chain, that differ in memory and time only.

``h_t = step(p_t, h_{t−1})`` for t = 1 … n. The backward pass needs ``h_{t−1}`` at every t, the last
one first, and the three functions differ in where it comes from.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from dlnotes import jax_internals
from dlnotes.checks import positive
from dlnotes.typing import Array, Params

Step = Callable[[Any, Array], Array]
"""``step(p, h) -> h`` of the same shape: one layer of the chain."""


def store_all(step: Step, params: Params, h: Array) -> Array:
    """The chain's end; its gradient reads what the forward pass has stored: O(n) memory, O(n) time.

    Args:
      step: one layer, see `Step`.
      params: leaves ``(n, ...)``, one entry per layer.
      h: ``h_0``.

    Returns:
      ``h_n``, of the shape of ``h``.

    Source: notes F5.5.
    """
    return lax.scan(lambda h, p: (step(p, h), None), h, params)[0]


def recompute_segments(step: Step, params: Params, h: Array, *, segments: int | None = None) -> Array:
    """As `store_all`, storing only where each segment begins: O(s + n/s) memory, one more forward pass.

    The backward pass recomputes one segment at a time from its beginning. With ``s = √n`` segments it
    holds √n beginnings and the √n layers of one segment.

    Args:
      step, params, h: see `store_all`.
      segments: s, a divisor of n; ``None`` is the largest one up to √n.

    Raises:
      ValueError: when ``segments`` does not divide the number of layers.

    Source: notes F5.5; Chen et al., 2016.

    Example:
      >>> chain = lambda h: recompute_segments(lambda p, h: jnp.sin(p * h), jnp.ones(9), h)
      >>> print(f"{jax.grad(chain)(0.5):.4f}")
      0.4112
    """
    n = length(params)
    segments = square_root_divisor(n) if segments is None else segments
    positive(segments=segments)
    if n % segments:
        raise ValueError(f"segments: got {segments}, allowed is a divisor of the {n} layers")
    split = jax.tree.map(lambda p: p.reshape(segments, n // segments, *p.shape[1:]), params)

    def segment(h: Array, params: Params) -> tuple[Array, None]:
        return store_all(step, params, h), None

    # Inside a scan the recomputed segment is in another loop than the first computation, so that the
    # compiler cannot merge the two, and the barriers of prevent_cse would only cost time. In a chain
    # written out without loops it can: on CPU it has been seen to do so in spite of the barriers.
    return lax.scan(jax.checkpoint(segment, prevent_cse=False), h, split)[0]


def recompute_all(step: Step, params: Params, h: Array) -> Array:
    """As `store_all`, storing nothing but ``h_0``: O(1) memory, O(n²) time.

    For every layer, the last one first, the backward pass walks the chain again from its beginning.

    Args:
      step, params, h: see `store_all`.

    Source: notes F5.5.
    """
    n = length(params)

    def at(params: Params, t: Array | int) -> Params:
        return jax.tree.map(lambda p: p[t], params)

    def prefix(params: Params, h: Array, t: Array | int) -> Array:
        return lax.fori_loop(0, t, lambda i, h: step(at(params, i), h), h)

    @jax.custom_vjp
    def chain(params: Params, h: Array) -> Array:
        return prefix(params, h, n)

    def keep(params: Params, h: Array) -> tuple[Array, tuple[Params, Array]]:
        return chain(params, h), (params, h)

    def gradient(kept: tuple[Params, Array], g: Array) -> tuple[Params, Array]:
        params, h = kept

        def layer(g: Array, t: Array) -> tuple[Array, Params]:
            by_params, by_h = jax.vjp(step, at(params, t), prefix(params, h, t))[1](g)
            return by_h, by_params

        by_h, by_params = lax.scan(layer, g, jnp.arange(n), reverse=True)
        return by_params, by_h

    chain.defvjp(keep, gradient)
    return chain(params, h)


def length(params: Params) -> int:
    """The number of layers n, the leading axis of every leaf.

    Raises:
      ValueError: when the leaves do not agree on it.
    """
    found = {p.shape[0] if p.ndim else 0 for p in jax.tree.leaves(params)}
    if len(found) != 1 or found == {0}:
        raise ValueError(f"params: got leading axes {sorted(found)}, allowed is one and the same length")
    return found.pop()


def square_root_divisor(n: int) -> int:
    """The largest divisor of n that is not above √n."""
    positive(n=n)
    return next(s for s in range(isqrt(n), 0, -1) if n % s == 0)


def temporary_bytes(function: Callable[..., Any], *arguments: Any) -> int:
    """Bytes that the compiled function needs besides its arguments and results, as the compiler reports.

    Args:
      function: to be compiled.
      arguments: arrays, or their shapes as ``jax.ShapeDtypeStruct``.

    Raises:
      ValueError: when the backend does not report it.
    """
    found = jax_internals.temporary_bytes(jax.jit(function).lower(*arguments).compile())
    if found is None:
        raise ValueError(f"the backend {jax.default_backend()!r} does not report the memory of its programs")
    return found
