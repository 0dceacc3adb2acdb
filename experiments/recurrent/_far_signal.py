"""How much of a gradient's fluctuation is due to an input far back: a part of R12.4."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import analysis, layers
from dlnotes.typing import Array


def shares_back(Ws: np.ndarray, first_seed: int, *, steps: int, examples: int) -> np.ndarray:
    """Share of the variance of ``∇_U L`` that is due to the input of each step, from the last one back.

    The inputs are signs drawn at random, one a step, and the target is the first of them: what has to be
    learned lies ``steps − 1`` steps back, and all that comes after it is noise. L is the logistic loss of a
    random read-out.

    Args:
      Ws: (nets, n, n) recurrent matrices; input and read-out weights are drawn for each.
      first_seed: of the first net.
      steps: length of a sequence.
      examples: sequences over which the gradient fluctuates.

    Returns:
      (nets, steps).
    """
    n = Ws.shape[-1]

    def one(W: Array, U: Array, v: Array, xs: Array) -> Array:
        params = layers.RNNParams(U, W, jnp.zeros(n))

        def of(x: Array) -> Array:
            def loss(h: Array) -> Array:
                return jax.nn.softplus(-x[0, 0] * jnp.sum(h * v))

            return analysis.gradient_by_step(layers.rnn, params, x, loss).U

        return analysis.variance_shares(jax.vmap(of)(xs))[::-1]

    drawn = []
    for k in range(len(Ws)):
        rng = np.random.default_rng([first_seed + k, 4])
        U, v = rng.standard_normal((1, n)) / 2, rng.standard_normal(n) / n**0.5
        drawn.append((U, v, rng.choice([-1.0, 1.0], (examples, steps, 1))))
    Us, vs, xs = (jnp.asarray(np.stack(a), jnp.float32) for a in zip(*drawn))
    run = jax.jit(lambda all: jax.lax.map(lambda a: one(*a), all))
    return np.asarray(run((jnp.asarray(Ws, jnp.float32), Us, vs, xs)))
