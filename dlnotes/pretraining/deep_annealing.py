"""The partition function of a deep Boltzmann machine by annealed importance sampling."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from dlnotes.checks import positive
from dlnotes.pretraining.annealed_importance import LEAST_RATE, LogPartition, summary
from dlnotes.pretraining.deep_boltzmann_machine import (
    DBMParams,
    check_machine,
    draw_bits,
    free_energy,
    logit,
    total_input,
)
from dlnotes.typing import Array, PRNGKey


def annealed_importance_dbm(
    params: DBMParams, key: PRNGKey, *, mean: Array | None = None, chains: int = 100, betas: int = 1000
) -> LogPartition:
    """``log Z`` of a deep Boltzmann machine by annealed importance sampling, in nats.

        Between a machine without weights, whose partition function is known, and the one asked for lie
          machines with
        ``β W`` and visible biases ``(1 − β) b_A + β b``. Chains pass through them all, one Gibbs step at
          each; the odd layers
        are sampled and the even ones, the visible one among them, are summed out. ``Z / Z_A`` is the mean of
        ``exp Σ_k [F_{β_{k−1}}(x_k) − F_{β_k}(x_k)]`` over the chains.

        Args:
          params: of the machine.
          key: of all draws.
          mean: ``(visible,)`` means of the data, whose logits are b_A; without, b_A = b. See `base_rates`.
          chains: how many run side by side.
          betas: how many, from 0 to 1 in equal steps.

        Returns:
          `LogPartition`, with an interval of three standard errors to either side.

        Raises:
          ValueError: on numbers that are not allowed.

        Source: Salakhutdinov and Murray, 2008; Salakhutdinov and Hinton, 2009.

        Example:
          >>> from dlnotes.pretraining.annealed_importance import LEAST_RATE, LogPartition, summary
    from dlnotes.pretraining.deep_boltzmann_machine import init_machine
          >>> machine = init_machine(jax.random.key(0), (4, 3, 2), scale=0.0)  # all 2⁹ states have energy 0
          >>> found = annealed_importance_dbm(machine, jax.random.key(1), chains=5, betas=10)
          >>> round(float(found.log_z / jnp.log(2)), 4)
          9.0
    """
    check_machine(params)
    positive(chains=chains)
    if betas < 2:
        raise ValueError(f"betas: got {betas}, allowed is a whole number of 2 or more")
    visible = params.b[0].shape
    if mean is not None and mean.shape != visible:
        raise ValueError(f"mean: got shape {mean.shape}, allowed is {visible}, one for each visible unit")
    start = jnp.asarray(params.b[0] if mean is None else logit(mean, LEAST_RATE))
    log_w = _log_weights(params, key, start, chains, betas)
    return summary(log_w + sum(jnp.sum(jax.nn.softplus(b)) for b in (start, *params.b[1:])))


@partial(jax.jit, static_argnums=(3, 4))
def _log_weights(params: DBMParams, key: PRNGKey, base: Array, chains: int, betas: int) -> Array:
    """``Σ_k [F_{β_{k−1}}(x_k) − F_{β_k}(x_k)]`` of each chain, ``(chains,)``."""
    odd, even = range(1, len(params.b), 2), range(0, len(params.b), 2)

    def at(beta: Array) -> DBMParams:
        visible = (1 - beta) * base + beta * params.b[0]
        return DBMParams(tuple(beta * W for W in params.W), (visible, *params.b[1:]))

    def halfway(x: list[Array | None]) -> list[Array | None]:
        return [a if k in odd else None for k, a in enumerate(x)]

    def rung(carry, pair):
        x, total = carry
        (before, now), key = pair
        machine = at(now)
        total = total + free_energy(at(before), halfway(x)) - free_energy(machine, halfway(x))
        x = list(x)
        for k in (*even, *odd):
            x[k] = draw_bits(jax.random.fold_in(key, k), jax.nn.sigmoid(total_input(machine, x, k)))
        return (x, total), None

    first, rest = jax.random.split(key)
    keys = jax.random.split(first, len(params.b))
    biases = (base, *params.b[1:])
    x = [
        draw_bits(k, jnp.broadcast_to(jax.nn.sigmoid(b), (chains, b.shape[0]))) for k, b in zip(keys, biases)
    ]
    ladder = jnp.linspace(0.0, 1.0, betas, dtype=base.dtype)
    rungs = ((ladder[:-1], ladder[1:]), jax.random.split(rest, betas - 1))
    return jax.lax.scan(rung, (x, jnp.zeros(chains, base.dtype)), rungs)[0][1]
