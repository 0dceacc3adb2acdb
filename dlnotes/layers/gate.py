"""What opens and closes the gates of recurrent and recursive cells."""

from __future__ import annotations

import jax.numpy as jnp

from dlnotes.typing import Array


def gate(z: Array) -> Array:
    """The sigmoid of a gate, ``σ(z) = ½ tanh(½ z) + ½``: compilers have faster code for it than for e^{−z}.

    Right to a rounding of 1, so that a σ below it is 0.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> bool(jnp.allclose(gate(jnp.array([-3.0, 2.0])), jax.nn.sigmoid(jnp.array([-3.0, 2.0]))))
      True
    """
    return 0.5 * jnp.tanh(0.5 * z) + 0.5
