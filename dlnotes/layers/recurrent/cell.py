"""What a recurrent cell is, and the parts that most cells share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.checks import chosen, positive
from dlnotes.layers.initializers import orthogonal
from dlnotes.layers.recurrent.bptt import written_out
from dlnotes.typing import Array, Params, PRNGKey


class Cell(NamedTuple):
    """One step of a recurrent net as pure functions.

    Attributes:
      init: ``init(key, inputs, hidden, *, init_scale=1.0) -> params``.
      carry: ``carry(params, batch_shape) -> carry``, the zero state.
      step: ``step(params, carry, x) -> (carry, output)``, ``x`` (..., inputs), output (..., hidden).
      hidden: ``hidden(carry) -> h``, the part of the carry that is the output.
      project: ``project(params, x) -> z``, the part of a step that does not need the carry; it runs
        once for all steps. A cell has it and ``resume``, or neither.
      advance: ``advance(params, carry, z, r) -> (carry, output)``, the element-wise rest of a step,
        where ``r = hidden(carry) @ params.W`` is the recurrent product; ``None`` where it is another.
      fused: ``fused(params, carry, z, active) -> (carry, hs)``, all steps over time-major ``z``
        with the gradient written out; ``active`` is (time, batch, 1) booleans or ``None``.
      resume: ``resume(params, carry, z) -> (carry, output)``, a step from its projected input.
    """

    init: Callable[..., Params]
    carry: Callable[[Params, tuple[int, ...]], Any]
    step: Callable[[Params, Any, Array], tuple[Any, Array]]
    hidden: Callable[[Any], Array] = lambda carry: carry
    project: Callable[[Params, Array], Array] | None = None
    advance: Callable[[Params, Any, Array, Array], tuple[Any, Array]] | None = None
    fused: Callable[[Params, Any, Array, Array | None], tuple[Any, Array]] | None = None
    resume: Callable[[Params, Any, Array], tuple[Any, Array]] | None = None


def itself(carry: Array) -> Array:
    """The hidden state of a cell whose carry is nothing else."""
    return carry


def project(params: Params, x: Array) -> Array:
    """The input's part of a step, ``z = x U + b``; ``x`` (..., inputs)."""
    # As a product of two matrices, or the gradient of U would begin with a transposed copy.
    z = x.reshape(-1, x.shape[-1]) @ params.U + params.b[None]
    return z.reshape(*x.shape[:-1], z.shape[-1])


def split_cell(
    init: Callable[..., Params],
    carry: Callable[[Params, tuple[int, ...]], Any],
    advance: Callable[[Any, Any, Array, Array], tuple[Any, Array]],
    *,
    hidden: Callable[[Any], Array] = itself,
    read: Callable[[Any], Array] | None = None,
    project: Callable[[Any, Array], Array] = project,
    fused: Callable[[Any, Any, Array, Array | None], tuple[Any, Array]] | None = None,
) -> Cell:
    """A `Cell` with one recurrent product, ``r = read(carry) W``, from the element-wise rest of its step.

    Args:
      init, carry, advance, hidden, project: as in `Cell`; ``params`` have fields U, W and b, and
        ``advance`` does not read them.
      read: the rows that W multiplies; by default the hidden state.
      fused: as in `Cell`; by default `dlnotes.layers.recurrent.bptt.written_out`.
    """
    rows = hidden if read is None else read

    def resume(params, carry, z):
        return advance(params, carry, z, rows(carry) @ params.W)

    def step(params, carry, x):
        return resume(params, carry, project(params, x))

    return Cell(
        init,
        carry,
        step,
        hidden,
        project,
        advance if read is None else None,
        fused or written_out(advance, rows),
        resume,
    )


def zeros(params: Params, batch_shape: tuple[int, ...]) -> Array:
    """(*batch_shape, hidden) zeros; ``W`` has a row for each hidden unit."""
    return jnp.zeros((*batch_shape, params.W.shape[0]), params.W.dtype)


def row(a: Array, like: Array) -> Array:
    """``a`` (n,) with as many axes as ``like`` (..., n)."""
    return jnp.expand_dims(a, tuple(range(like.ndim - 1)))


def weights(
    key: PRNGKey,
    inputs: int,
    hidden: int,
    gates: int,
    init_scale: float | Array,
    start: Callable[[PRNGKey, tuple[int, int]], Array] = orthogonal,
) -> tuple[Array, Array]:
    """U (Glorot uniform) and W (by ``start``), each gate drawn by itself, times ``init_scale``."""
    positive(inputs=inputs, hidden=hidden)
    key_U, key_W = jax.random.split(key)
    glorot = jax.nn.initializers.glorot_uniform()
    U = [glorot(k, (inputs, hidden), jnp.float32) for k in jax.random.split(key_U, gates)]
    W = [start(k, (hidden, hidden)) for k in jax.random.split(key_W, gates)]
    scale = jnp.asarray(init_scale, jnp.float32)
    return scale * jnp.concatenate(U, 1), scale * jnp.concatenate(W, 1)


def _identity(key: PRNGKey, shape: tuple[int, int]) -> Array:
    return jnp.eye(*shape, dtype=jnp.float32)


STARTS: dict[str, Callable[..., Array]] = {
    "orthogonal": orthogonal,
    "identity": _identity,
    "glorot_uniform": jax.nn.initializers.glorot_uniform(),
    "glorot_normal": jax.nn.initializers.glorot_normal(),
}
"""Where the recurrent matrix of a plain cell starts, by name."""


def start_of(name: str, scale: float | Array = 1.0) -> Callable[[PRNGKey, tuple[int, int]], Array]:
    """``start(key, shape)``: a recurrent matrix drawn by the rule ``name``, times ``scale``.

    Raises:
      ValueError: when there is no such rule.

    Source: Saxe et al., 2014 (orthogonal); Le, Jaitly and Hinton, 2015 (identity).
    """
    draw = chosen("start", name, STARTS)

    def start(key: PRNGKey, shape: tuple[int, int]) -> Array:
        return jnp.asarray(scale, jnp.float32) * draw(key, shape)

    return start
