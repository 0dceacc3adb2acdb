"""Annealed importance sampling: the log partition function of a machine too large to be enumerated."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.checks import positive
from dlnotes.pretraining.draws import bits, words
from dlnotes.pretraining.rbm import GaussianRBMParams, RBMParams, is_gaussian
from dlnotes.typing import Array, PRNGKey

LEAST_RATE = 1e-4
"""Rates of single bits are kept this far from 0 and 1, so that their logits are finite."""


class LogPartition(NamedTuple):
    """An estimate of log Z.

    Attributes:
      log_z: ``()``, log of the mean of the importance weights, plus log Z of the base.
      low: ``()``, log of that mean less 3 standard errors of it; −∞ where these are more than the mean.
      high: ``()``, log of that mean and 3 standard errors.
      standard_error: ``()``, of the mean of the weights, as a share of it: of ``log_z`` where it is small.
      log_weights: ``(chains,)``.
    """

    log_z: Array
    low: Array
    high: Array
    standard_error: Array
    log_weights: Array


class _Path(NamedTuple):
    """The base, independent visible units without hidden ones."""

    b: Array
    sigma: Array | None


def base_rates(x: Array, visible: str = "bernoulli") -> Array:
    """The mean of each visible unit over data, for ``mean`` of `annealed_importance`.

    Args:
      x: ``(n, visible)``.
      visible: "bernoulli", whose rates are kept off 0 and 1, or "gaussian".
    """
    mean = jnp.mean(x, 0)
    return mean if visible == "gaussian" else jnp.clip(mean, LEAST_RATE, 1 - LEAST_RATE)


def annealed_importance(
    params: RBMParams | GaussianRBMParams,
    key: PRNGKey,
    *,
    mean: Array | None = None,
    chains: int = 100,
    betas: int | Array = 1000,
) -> LogPartition:
    """log Z by annealed importance sampling, with an interval of ±3 standard errors.

    From a base of independent units, whose Z is known, to the machine: for β from 0 to 1,
    ``p_β(v) ∝ p_A(v)^{1−β} exp(−β E_v(v)) Π_j (1 + exp(β (c + v W)_j))``, where ``E_v`` is the energy's part
    of v alone. Chains go one Gibbs step at each β; each has the weight ``log w = Σ_k [log p_{β_k}(v_k) −
    log p_{β_{k−1}}(v_k)]``, and ``log Z = log Z_A + log mean w``.

    The mean of the weights has no bias, whatever the number of β; with few of them most of it comes from
    few chains, and the interval of an estimate that missed them is too narrow. More β narrow it; twice as
    many are a check.

    Args:
      params: of either kind.
      key: of all draws.
      mean: ``(visible,)`` means of the data, for the base; by default all ½ (real visible units: b). A base
        near the data takes far fewer β. See `base_rates`.
      chains: how many run side by side; all in one product.
      betas: how many, from 0 to 1 in equal steps; or the β themselves, growing from 0 to 1.

    Returns:
      `LogPartition`.

    Raises:
      ValueError: naming a number that is not positive, β that do not grow from 0 to 1, the shape of ``mean``.

    Source: Salakhutdinov and Murray 2008, «On the quantitative analysis of deep belief networks».

    Example:
      >>> params = RBMParams(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(2))  # 2⁵ states of energy 0
      >>> found = annealed_importance(params, jax.random.key(0), betas=10, chains=4)
      >>> round(float(found.log_z / jnp.log(2.0)), 5), float(found.standard_error)
      (5.0, 0.0)
    """
    positive(chains=chains)
    visible = params.W.shape[0]
    if isinstance(betas, int):
        if betas < 2:
            raise ValueError(f"betas: got {betas}, allowed is a whole number of 2 or more, or the β")
        betas = jnp.linspace(0.0, 1.0, betas)
    else:
        given = np.asarray(betas)
        if given.ndim != 1 or len(given) < 2 or given[0] != 0 or given[-1] != 1 or (np.diff(given) < 0).any():
            raise ValueError(f"betas: got shape {given.shape}, allowed are numbers that grow from 0 to 1")
    if mean is not None and mean.shape != (visible,):
        raise ValueError(f"mean: got shape {mean.shape}, allowed is ({visible},)")
    if isinstance(params, GaussianRBMParams):
        base = _Path(jnp.asarray(params.b if mean is None else mean), jnp.asarray(params.sigma))
    else:
        rate = jnp.full(visible, 0.5) if mean is None else jnp.clip(mean, LEAST_RATE, 1 - LEAST_RATE)
        base = _Path(jnp.log(rate) - jnp.log1p(-rate), None)
    return _run(params, base, key, jnp.asarray(betas, jnp.float32), chains=chains)


def salakhutdinov_betas(scale: float = 1.0) -> Array:
    """The β of the paper, ``(14,500,)``: 500 up to 0.5, 4,000 up to 0.9, 10,000 up to 1.

    Args:
      scale: of the three numbers; 0.1 takes a tenth of them.
    """
    n = [max(1, round(scale * k)) for k in (500, 4000, 10_000)]
    parts = (np.linspace(a, b, k, endpoint=False) for a, b, k in zip((0.0, 0.5, 0.9), (0.5, 0.9, 1.0), n))
    return jnp.asarray(np.concatenate([*parts, [1.0]]), jnp.float32)


@partial(jax.jit, static_argnames="chains")
def _run(params: Any, base: _Path, key: PRNGKey, betas: Array, *, chains: int) -> LogPartition:
    draw, change, log_z_base = _gaussian(params, base) if is_gaussian(params) else _bernoulli(params, base)
    W, c = jnp.asarray(params.W), jnp.asarray(params.c)
    visible, hidden = W.shape

    def scaled(v: Array) -> Array:
        return v / jnp.broadcast_to(params.sigma, v.shape) if is_gaussian(params) else v

    def weigh(v: Array, low: Array, high: Array) -> tuple[Array, Array]:
        """How much larger log p is at the higher β; and what drives the hidden units."""
        a = scaled(v) @ W + jnp.broadcast_to(c, (chains, hidden))
        grown = jax.nn.softplus(high * a) - jax.nn.softplus(low * a)  # small, unlike their sums
        return (high - low) * change(v) + jnp.sum(grown, -1), a

    def anneal(carry: tuple[Array, Array], step: tuple[Array, Array, Array]) -> tuple[Any, None]:
        (v, total), (low, high, i) = carry, step
        grown, a = weigh(v, low, high)
        of_h, of_v = jax.random.split(jax.random.fold_in(key, i))
        p = jax.nn.sigmoid(high * a)
        return (draw(of_v, bits(words(of_h, p.shape), p) @ W.T, high), total + grown), None

    first = draw(jax.random.fold_in(key, len(betas)), jnp.zeros((chains, visible)), jnp.zeros(()))
    numbers = jnp.arange(len(betas) - 1, dtype=jnp.int32)
    (_, total), _ = jax.lax.scan(anneal, (first, jnp.zeros(chains)), (betas[:-1], betas[1:], numbers))
    log_z_base = log_z_base + hidden * jnp.log(2.0)  # at β = 0 a hidden unit is a fair coin
    return summary(total + log_z_base)


def _bernoulli(params: RBMParams, base: _Path) -> tuple[Any, Any, Array]:
    """How v is drawn given h Wᵀ and β, what log p gains of v alone per β, and log Z of the base."""
    b = jnp.asarray(params.b)

    def draw(key: PRNGKey, down: Array, beta: Array) -> Array:
        logits = beta * down + jnp.broadcast_to((1 - beta) * base.b + beta * b, down.shape)
        return bits(words(key, down.shape), jax.nn.sigmoid(logits))

    return draw, lambda v: v @ (b - base.b), jnp.sum(jax.nn.softplus(base.b))


def _gaussian(params: GaussianRBMParams, base: _Path) -> tuple[Any, Any, Array]:
    """Likewise; base and machine have the same σ, so that it is σ at every β."""
    b, sigma = jnp.asarray(params.b), jnp.asarray(params.sigma)

    def draw(key: PRNGKey, down: Array, beta: Array) -> Array:
        spread = jnp.broadcast_to(sigma, down.shape)
        center = jnp.broadcast_to((1 - beta) * base.b + beta * b, down.shape)
        return center + spread * (beta * down + jax.random.normal(key, down.shape))

    def change(v: Array) -> Array:
        """−(v − b)²/(2σ²) + (v − m)²/(2σ²), without the squares that cancel."""
        middle = v - jnp.broadcast_to((b + base.b) / 2, v.shape)
        return middle @ ((b - base.b) / jnp.square(sigma))

    return draw, change, jnp.sum(jnp.log(sigma)) + len(sigma) / 2 * jnp.log(2 * jnp.pi)


def summary(log_weights: Array) -> LogPartition:
    """The mean of the weights and its standard error, in logs."""
    n = len(log_weights)
    top = jnp.max(log_weights)
    weights = jnp.exp(log_weights - top)
    mean = jnp.mean(weights)
    error = jnp.std(weights, ddof=1) / jnp.sqrt(jnp.float32(n)) / mean if n > 1 else jnp.asarray(jnp.inf)
    log_z = top + jnp.log(mean)
    low = log_z + jnp.where(3 * error < 1, jnp.log1p(-jnp.minimum(3 * error, 1.0)), -jnp.inf)
    return LogPartition(log_z, low, log_z + jnp.log1p(3 * error), error, log_weights)
