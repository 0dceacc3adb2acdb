"""The read of one slot of a memory: a switch that is hard, with estimators of the gradient of its choice."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.typing import Array, PRNGKey


class HardRead(NamedTuple):
    """What was read, of one slot.

    Attributes:
      value: ``(..., size)``, ``M_j``, of the dtype of the memory.
      slot: ``(...)`` int32, j.
      log_probability: ``(...)`` at least float32, ``log softmax(z)_j``.
    """

    value: Array
    slot: Array
    log_probability: Array


def hard_read(
    memory: Array,
    logits: Array,
    key: PRNGKey | None = None,
    gradient: Literal["score", "straight_through", "gumbel"] = "straight_through",
    *,
    temperature: float | Array = 1.0,
) -> HardRead:
    """The read of one slot, ``r = M_j``: ``j ~ softmax(z)`` with a key, ``j = argmax z`` without.

    The value of one slot is fetched, whatever their number; the logits still are one for each. The gradient
    in ``memory`` goes to slot j. That in z is estimated:

    * "score": none passes through the value; ``(C − b) ∇ log p(j)`` is unbiased: `dlnotes.outputs.scored`.
    * "straight_through": that of `soft_read`, ``Σ_i a_i M_i`` with ``a = softmax(z)``.
    * "gumbel": the same with ``a = softmax((z + g) / T)``, g the Gumbel noise by which j was drawn.

    Args:
      memory, logits: as of `soft_read`; a slot whose logit is −∞ is not read.
      key: one key, or one for each row of the logits.
      gradient: which estimator.
      temperature: T of "gumbel", above 0; may be traced.

    Raises:
      ValueError: as `soft_read`; and for another estimator, or a temperature that is not positive.

    Example:
      >>> memory = jnp.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
      >>> read = hard_read(memory, jnp.array([0.0, 1.0, 0.0]))
      >>> read.value.tolist(), int(read.slot)
      ([2.0, 20.0], 1)

    Source: notes L13.12; Bengio, Léonard and Courville, 2013; Jang, Gu and Poole, 2017.
    """
    if (
        memory.ndim < 2
        or memory.shape[-2] != logits.shape[-1]
        or memory.shape[:-2] not in ((), logits.shape[:-1])
    ):
        raise ValueError(
            f"memory: got shape {memory.shape}, allowed is (k, size) or (..., k, size) for logits (..., k) "
            f"of shape {logits.shape}"
        )
    if gradient not in ("score", "straight_through", "gumbel"):
        raise ValueError(f"gradient: got {gradient!r}, allowed are 'score', 'straight_through', 'gumbel'")
    if isinstance(temperature, (int, float)) and not 0 < temperature < float("inf"):
        raise ValueError(f"temperature: got {temperature}, allowed is above 0")
    z = logits if logits.dtype == jnp.float64 else logits.astype(jnp.float32)
    noisy = z if key is None else z + _gumbel(key, z)
    slot = jnp.argmax(noisy, axis=-1).astype(jnp.int32)
    log_p = jnp.take_along_axis(jax.nn.log_softmax(z, axis=-1), slot[..., None], axis=-1)[..., 0]
    smooth = noisy / temperature if gradient == "gumbel" else z
    if gradient == "score":
        smooth = jax.lax.stop_gradient(z)
    return HardRead(_fetch(memory, smooth, slot), slot, log_p)


def _gumbel(key: PRNGKey, like: Array) -> Array:
    if key.ndim == 0:
        return jax.random.gumbel(key, like.shape, like.dtype)
    if key.shape != like.shape[:1]:
        raise ValueError(
            f"key: got {key.shape[0]} keys, allowed are one, or one for each of {like.shape[0]} rows"
        )
    return jax.vmap(lambda k: jax.random.gumbel(k, like.shape[1:], like.dtype))(key)


@jax.custom_vjp
def _fetch(memory: Array, smooth: Array, slot: Array) -> Array:
    """One row of the memory; its derivative in ``smooth`` is that of a soft read."""
    if memory.ndim == 2:
        return memory[slot]
    return jnp.take_along_axis(memory, slot[..., None, None], axis=-2)[..., 0, :]


def _fetch_forward(memory: Array, smooth: Array, slot: Array) -> tuple[Array, Any]:
    return _fetch(memory, smooth, slot), (memory, smooth, slot)


def _fetch_backward(kept: Any, d: Array) -> tuple[Array, Array, None]:
    memory, smooth, slot = kept
    one = jax.nn.one_hot(slot, memory.shape[-2], dtype=memory.dtype)
    weights = jax.nn.softmax(smooth, axis=-1)
    if memory.ndim == 2:
        each = (d @ memory.T).astype(weights.dtype)
        d_memory = jnp.einsum("nk,ns->ks", one.reshape(-1, one.shape[-1]), d.reshape(-1, d.shape[-1]))
    else:
        each = jnp.einsum("...s,...ks->...k", d, memory).astype(weights.dtype)
        d_memory = one[..., None] * d[..., None, :]
    d_smooth = weights * (each - jnp.sum(weights * each, axis=-1, keepdims=True))
    return d_memory, d_smooth, None


_fetch.defvjp(_fetch_forward, _fetch_backward)
