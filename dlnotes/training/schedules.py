"""Schedules: the factor on the learning rate at each step, as pure functions of the step.

Every builder returns ``factor(step) -> multiplier`` with largest value 1, so the learning rate
itself can stay a traced number that a sweep varies.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from scipy.special import lambertw

from dlnotes.typing import Array

Factor = Callable[[Array], Array]


def constant() -> Factor:
    """1 at every step."""
    return lambda step: jnp.ones((), jnp.float32)


def cosine(total: int, *, final: float = 0.0) -> Factor:
    """``final + (1 − final)·½(1 + cos(π t/total))``."""
    return _float(optax.cosine_decay_schedule(1.0, max(total, 1), alpha=final))


def cosine_restarts(total: int, *, cycles: int) -> Factor:
    """`cosine` over each of ``cycles`` equal parts of the run; steps left over lengthen the last part.

    The rate is 0 at the end of each part, so what is measured there does not hang on the last few steps.

    Source: Loshchilov and Hutter, 2017.
    """
    part = max(total // cycles, 1)
    starts = [part * i for i in range(cycles)]
    lengths = [part] * (cycles - 1) + [max(total - starts[-1], 1)]
    return _float(optax.join_schedules([optax.cosine_decay_schedule(1.0, n) for n in lengths], starts[1:]))


def linear(total: int, *, final: float = 0.0) -> Factor:
    """``1 − (1 − final)·t/total``, then `final`."""
    return _float(optax.linear_schedule(1.0, final, max(total, 1)))


def step(boundaries: tuple[int, ...], *, factor: float) -> Factor:
    """``factor`` to the power of the number of boundaries that have been reached."""
    return _float(optax.piecewise_constant_schedule(1.0, dict.fromkeys(boundaries, factor)))


def exponential(every: int, *, factor: float) -> Factor:
    """``factor^(t/every)``."""
    return _float(optax.exponential_decay(1.0, max(every, 1), factor))


def inverse_sigmoid(half: int) -> Factor:
    """``k / (k + exp(t/k))``, which falls slowly, fast and slowly again; 1/2 where ``k ln k = half``.

    Source: Bengio, Vinyals, Jaitly and Shazeer, 2015.
    """
    t_half = max(float(half), 1.0)
    k = t_half / float(lambertw(t_half).real)
    return lambda t: k / (k + jnp.exp(t.astype(jnp.float32) / k))


def one_cycle(total: int, *, rise: float = 0.3) -> Factor:
    """Cosine from 1/25 up to 1 over the first ``rise·total`` steps, then down to 1/25·10⁻⁴."""
    return _float(optax.cosine_onecycle_schedule(max(total, 2), 1.0, pct_start=rise))


def with_warmup(factor: Factor, steps: int) -> Factor:
    """Rise in a straight line over ``steps``, then ``factor`` (which keeps its own clock)."""
    if steps <= 0:
        return factor
    return lambda t: factor(t) * jnp.minimum(1.0, (t.astype(jnp.float32) + 1) / steps)


def _float(schedule: optax.Schedule) -> Factor:
    def factor(t: Array) -> Array:
        with jax.numpy_dtype_promotion("standard"):  # optax mixes integer steps with floats
            return jnp.asarray(schedule(t), jnp.float32)

    return factor
