"""How weights start, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from dlnotes.checks import chosen
from dlnotes.typing import Array, PRNGKey


def orthogonal(key: PRNGKey, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """A matrix with orthonormal rows or columns (whichever are fewer), uniformly distributed.

    Under vmap the matrices are drawn one after another: on CPU, batched QR decompositions that run
    side by side can each hold a thread that the other waits for, and the program never ends.

    Source: Saxe et al., 2014.
    """
    draw = jax.nn.initializers.orthogonal()
    return jax.custom_batching.sequential_vmap(lambda key: draw(key, shape, dtype))(key)


INITIALIZERS: dict[str, Callable[..., Array]] = {
    "he_normal": jax.nn.initializers.he_normal(),
    "he_uniform": jax.nn.initializers.he_uniform(),
    "glorot_normal": jax.nn.initializers.glorot_normal(),
    "glorot_uniform": jax.nn.initializers.glorot_uniform(),
    "lecun_normal": jax.nn.initializers.lecun_normal(),
    "normal": jax.nn.initializers.normal(1.0),
    "orthogonal": orthogonal,
    "zeros": jax.nn.initializers.zeros,
}
"""``init(key, shape)`` by name. Fans are read off ``(..., inputs, outputs)``: a kernel (k, k, in, out)
has fan-in k·k·in. "normal" has standard deviation 1, so that ``init_scale`` *is* the deviation."""


def initializer(name: str, init_scale: float | Array = 1.0) -> Callable[[PRNGKey, tuple[int, ...]], Array]:
    """``init(key, shape)``: float32 weights drawn by the rule ``name`` and multiplied by ``init_scale``.

    Args:
      name: a name in ``INITIALIZERS``.
      init_scale: multiplier of every weight, a number or a traced scalar, so that a sweep over
        scales is one program.

    Raises:
      ValueError: when the table has no such name.

    Source: He et al., 2015; Glorot and Bengio, 2010; LeCun et al., 1998; Saxe et al., 2014.
    """
    draw = chosen("initializer", name, INITIALIZERS)

    def init(key: PRNGKey, shape: tuple[int, ...]) -> Array:
        return jnp.asarray(init_scale, jnp.float32) * draw(key, shape, jnp.float32)

    return init
