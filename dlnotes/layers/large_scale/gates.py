"""Gates that switch blocks of units on and off for each input, and the products of the blocks that are on.

K gates have ``2^K`` settings, so that a mean over all of them cannot be computed. One setting is drawn, and
the gradient in the probabilities is estimated.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.devices.platform import platform
from dlnotes.layers.feedforward.dense import Dense, dense
from dlnotes.typing import Array, PRNGKey

GRADIENTS = ("score", "straight_through", "gumbel")
"""Estimators of the gradient of a draw."""

TILE = 128
"""Rows of a tile at most."""


class Gate(NamedTuple):
    """A draw of on and off.

    Attributes:
      u: ``(..., K)`` 0 or 1, of the dtype of the logits. Its derivative is that of the estimator; 0 with
        "score".
      log_probability: ``(...)`` at least float32, ``Σ_k log p(u_k)``.
    """

    u: Array
    log_probability: Array


def bernoulli_gate(
    key: PRNGKey,
    logits: Array,
    gradient: Literal["score", "straight_through", "gumbel"] = "score",
    *,
    temperature: float | Array = 1.0,
) -> Gate:
    """Draw ``u_k ~ Bernoulli(π_k)``, ``π = σ(z)``, with an estimator of the gradient of ``E[C(u)]`` in z.

    The draw of a key is the same for all of them: ``u = 1[z + l > 0]`` with l from a logistic distribution.

    * "score": none passes through u; ``(C(u) − b) ∇ log p(u)`` is unbiased for any b that does not depend on
      u. `dlnotes.outputs.scored` makes a loss of it.
    * "straight_through": ``∂u/∂π := 1``; exact for a C that is linear in u, else biased.
    * "gumbel": the derivative of ``σ((z + l) / T)``; biased, less so and with more variance for a small T.

    Args:
      key: one key, or one for each row.
      logits: ``(..., K)`` z.
      gradient: which estimator.
      temperature: T of "gumbel", above 0; may be traced.

    Raises:
      ValueError: for an estimator that does not exist, or a temperature that is not positive.

    Example:
      >>> import jax
      >>> gate = bernoulli_gate(jax.random.key(0), jnp.array([9.0, -9.0]))
      >>> gate.u.tolist(), round(float(gate.log_probability), 4)
      ([1.0, 0.0], -0.0002)

    Source: Bengio, Léonard and Courville, 2013; Jang, Gu and Poole, 2017; notes L13.11.
    """
    if gradient not in GRADIENTS:
        raise ValueError(f"gradient: got {gradient!r}, allowed are {', '.join(map(repr, GRADIENTS))}")
    if isinstance(temperature, (int, float)) and not 0 < temperature < float("inf"):
        raise ValueError(f"temperature: got {temperature}, allowed is above 0")
    z = logits if logits.dtype == jnp.float64 else logits.astype(jnp.float32)
    noisy = z + _logistic(key, z)
    u = (noisy > 0).astype(z.dtype)
    log_probability = jnp.sum(u * jax.nn.log_sigmoid(z) + (1 - u) * jax.nn.log_sigmoid(-z), axis=-1)
    if gradient != "score":
        smooth = jax.nn.sigmoid(z if gradient == "straight_through" else noisy / temperature)
        u = u + (smooth - jax.lax.stop_gradient(smooth))  # exactly 0 or 1
    return Gate(u.astype(logits.dtype), log_probability)


def _logistic(key: PRNGKey, like: Array) -> Array:
    """Logistic numbers of the shape of ``like``, a row by its own key where there is one each."""
    if key.ndim == 0:
        return jax.random.logistic(key, like.shape, like.dtype)
    if key.shape != like.shape[:1]:
        raise ValueError(
            f"key: got {key.shape[0]} keys, allowed are one, or one for each of {like.shape[0]} rows"
        )
    return jax.vmap(lambda k: jax.random.logistic(k, like.shape[1:], like.dtype))(key)


def gated_dense(params: Dense, x: Array, u: Array, *, grouped: bool = False) -> Array:
    """An affine layer whose units are switched in blocks, ``z = (x W + b) ⊙ repeat(u)``.

    Grouped, only the blocks that are on are computed: the pairs (example, block) are sorted by block into
    tiles, and each tile is one dense product. The result is the same, and so are the gradients in ``params``
    and ``x``. The gradient in u is 0, for it needs the blocks that are off too.

    Args:
      params: ``W`` ``(inputs, units)``, ``b`` ``(units,)``.
      x: ``(batch, inputs)``.
      u: ``(batch, K)`` 0 or 1 for each block of ``units / K`` units; not grouped, any numbers.
      grouped: compute only what is on. Platforms other than a CPU compute all, as do exported programs, whose
        batch size is left open.

    Returns:
      ``(batch, units)``.

    Raises:
      ValueError: when the blocks do not divide the units, or the shapes do not fit.

    Example:
      >>> layer = Dense(jnp.ones((1, 4)), jnp.arange(4.0))
      >>> gated_dense(layer, jnp.ones((1, 1)), jnp.array([[0.0, 1.0]]), grouped=True).tolist()
      [[0.0, 0.0, 3.0, 4.0]]

    Source: Bengio, Bacon, Pineau and Precup, 2015; notes L13.11.
    """
    W: Any = params.W
    b: Any = params.b
    if W.ndim != 2 or b.shape != W.shape[1:]:
        raise ValueError(
            f"params: got W of shape {W.shape} and b of {b.shape}, needed are (inputs, units) and (units,)"
        )
    if u.ndim != 2 or x.ndim != 2 or u.shape[0] != x.shape[0]:
        raise ValueError(
            f"u: got shape {u.shape} for x of shape {x.shape}, allowed are (batch, K) and (batch, inputs)"
        )
    width = units_of_block(W.shape[1], u.shape[1])
    if grouped and platform() == "cpu" and isinstance(x.shape[0], int):
        return _grouped(params, x, u, width)
    return dense(params, x) * repeat(u, width).astype(x.dtype)


def units_of_block(units: int, blocks: int) -> int:
    """Units of each block.

    Raises:
      ValueError: when the blocks do not divide the units.

    >>> units_of_block(12, 4)
    3
    """
    if blocks < 1 or units % blocks:
        raise ValueError(f"blocks: got {blocks} for {units} units, allowed is a divisor of the units")
    return units // blocks


def repeat(u: Array, width: int) -> Array:
    """``(batch, K)`` as ``(batch, K · width)``: a block's number for each of its units."""
    return jnp.broadcast_to(u[..., None], (*u.shape, width)).reshape(*u.shape[:-1], -1)


class _Pairs(NamedTuple):
    """Pairs (example, block) that are on, in tiles of one block each.

    Attributes:
      slot: ``(batch, K)`` place of each pair, one past the end where it is off.
      row: ``(tiles, tile)`` example at each place, the batch's size where there is none.
      block: ``(tiles,)`` block of each tile.
      used: ``()`` tiles that hold anything; they come first.
    """

    slot: Array
    row: Array
    block: Array
    used: Array


def _sorted_pairs(u: Array, tile: int) -> _Pairs:
    batch, blocks = u.shape
    on = u.astype(jnp.float32) > 0.5
    tiles = blocks * -(-batch // tile)
    counts = jnp.sum(on, axis=0, dtype=jnp.int32)
    ends = jnp.cumsum(-(-counts // tile))
    first = ends + counts // -tile
    within = jnp.cumsum(on, axis=0, dtype=jnp.int32) - 1
    slot = jnp.where(on, first[None] * tile + within, tiles * tile)
    rows = jnp.broadcast_to(jnp.arange(batch, dtype=jnp.int32)[:, None], slot.shape)
    row = jnp.full(tiles * tile, batch, jnp.int32).at[slot].set(rows, mode="drop")
    block = jnp.searchsorted(ends, jnp.arange(tiles, dtype=ends.dtype), side="right").astype(jnp.int32)
    return _Pairs(slot, row.reshape(tiles, tile), jnp.minimum(block, blocks - 1), ends[-1])


def _grouped(params: Dense, x: Array, u: Array, width: int) -> Array:
    batch, blocks = u.shape
    # Few enough for a block that is seldom on, which fills its last tile with zeros.
    pairs = _sorted_pairs(u, min(TILE, max(batch // 8, 8), batch))
    W = jnp.asarray(params.W).reshape(-1, blocks, width).transpose(1, 0, 2)
    b = jnp.broadcast_to(jnp.asarray(params.b), (blocks * width,)).reshape(blocks, width)
    z: Array = _products(x, W, b, pairs)
    return z.reshape(batch, blocks * width)


@partial(jax.custom_vjp)
def _products(x: Array, W: Array, b: Array, pairs: _Pairs) -> Array:
    """``(batch, K, width)``, zeros where a block is off; ``W`` is ``(K, inputs, width)``."""
    x = _and_zeros(x)

    def one(i: Array, z: Array) -> Array:
        k = pairs.block[i]
        return z.at[i].set(x[pairs.row[i]] @ W[k] + b[k][None])

    tiles, tile = pairs.row.shape
    z = jnp.zeros((tiles, tile, W.shape[2]), x.dtype)
    z = jax.lax.fori_loop(jnp.zeros_like(pairs.used), pairs.used, one, z)
    return _and_zeros(z.reshape(tiles * tile, -1))[pairs.slot]


def _and_zeros(x: Array) -> Array:
    """A row of zeros more, which places without a row point to."""
    return jnp.concatenate([x, jnp.zeros((1, *x.shape[1:]), x.dtype)])


def _forward(x: Array, W: Array, b: Array, pairs: _Pairs) -> tuple[Array, Any]:
    return _products(x, W, b, pairs), (x, W, pairs)


def _backward(kept: Any, dz: Array) -> tuple[Array, Array, Array, None]:
    x, W, pairs = kept
    x, dz = _and_zeros(x), _and_zeros(dz)

    def one(i: Array, total: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        dx, dW, db = total
        k, rows = pairs.block[i], pairs.row[i]
        d = dz[rows, k]
        return dx.at[rows].add(d @ W[k].T), dW.at[k].add(x[rows].T @ d), db.at[k].add(d.sum(0))

    zeros = jnp.zeros_like(x), jnp.zeros_like(W), jnp.zeros(W.shape[::2], W.dtype)
    dx, dW, db = jax.lax.fori_loop(jnp.zeros_like(pairs.used), pairs.used, one, zeros)
    return dx[:-1], dW, db, None


_products.defvjp(_forward, _backward)
