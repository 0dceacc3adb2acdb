"""Output units of counts: the Poisson and the negative binomial distribution of 0, 1, 2, …"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from dlnotes.checks import chosen, positive
from dlnotes.outputs.units import Unit
from dlnotes.typing import Array, PRNGKey

COUNTS = ("poisson", "negative_binomial")
"""Every name `count_unit` knows."""

LEAST = 1e-3
"""Of the dispersion: a smaller one is hardly to be told from a Poisson distribution's 0 in float32."""


class Poisson(NamedTuple):
    """Counts with ``p(y) = λ^y e^(−λ) / y!``, their variance as large as their mean.

    Attributes:
      log_rate: ``(..., d)`` log λ.
    """

    log_rate: Array

    def log_prob(self, y: Array) -> Array:
        """``y log λ − λ − log y!`` of each, ``(..., d)``.

        Example:
          >>> round(float(Poisson(jnp.log(jnp.array([2.0]))).log_prob(jnp.array([0.0]))[0]), 4)
          -2.0
        """
        return y * self.log_rate - jnp.exp(self.log_rate) - gammaln(y + 1)

    def sample(self, key: PRNGKey) -> Array:
        """Counts (int32), shape ``(..., d)``."""
        return jax.random.poisson(key, jnp.exp(self.log_rate)).astype(jnp.int32)

    @property
    def mean(self) -> Array:
        """λ."""
        return jnp.exp(self.log_rate)

    @property
    def variance(self) -> Array:
        """λ."""
        return jnp.exp(self.log_rate)

    @property
    def mode(self) -> Array:
        """The largest whole number below or at λ."""
        return jnp.floor(jnp.exp(self.log_rate))


class NegativeBinomial(NamedTuple):
    """Counts that scatter more than a Poisson distribution's: mean μ, variance ``μ + α μ²``.

    With ``r = 1/α``: ``p(y) = Γ(y + r) / (Γ(r) y!) · (r/(r + μ))^r · (μ/(r + μ))^y``.

    Attributes:
      log_mean: ``(..., d)`` log μ.
      dispersion: ``(..., d)`` α > 0.
    """

    log_mean: Array
    dispersion: Array

    def log_prob(self, y: Array) -> Array:
        """The logarithm of each one's probability, ``(..., d)``."""
        r, log_r = 1 / self.dispersion, -jnp.log(self.dispersion)
        log_sum = jnp.logaddexp(log_r, self.log_mean)
        choices = gammaln(y + r) - gammaln(r) - gammaln(y + 1)
        return choices + r * (log_r - log_sum) + y * (self.log_mean - log_sum)

    def sample(self, key: PRNGKey) -> Array:
        """Counts (int32), shape ``(..., d)``: of Poisson distributions whose rates are gamma-distributed."""
        first, second = jax.random.split(key)
        rate = jax.random.gamma(first, 1 / self.dispersion) * self.dispersion * self.mean
        return jax.random.poisson(second, rate).astype(jnp.int32)

    @property
    def mean(self) -> Array:
        """μ."""
        return jnp.exp(self.log_mean)

    @property
    def variance(self) -> Array:
        """``μ + α μ²``."""
        return self.mean + self.dispersion * jnp.square(self.mean)

    @property
    def mode(self) -> Array:
        """``⌊μ (1 − α)⌋``, 0 where α is at least 1."""
        return jnp.floor(jnp.maximum(self.mean * (1 - self.dispersion), 0.0))


def count_unit(name: str, outputs: int, *, level: Sequence[float] | None = None) -> Unit:
    """The output unit of counts: ``log μ = log level + raw[:d]``, and ``α = ζ(raw[d:]) + 0.001``.

    Args:
      name: "poisson" or "negative_binomial".
      outputs: d.
      level: ``(d,)`` means of the training part, from which the network starts; by default 1.

    Raises:
      ValueError: when the name is unknown, or a level is not positive.

    Source: Cameron and Trivedi, "Regression analysis of count data", 2013.

    Example:
      >>> count_unit("poisson", 1, level=[3.0]).distribution(jnp.zeros((1, 1))).mean.round(4).tolist()
      [[3.0]]
    """
    positive(outputs=outputs)
    at = np.ones(outputs) if level is None else np.asarray(level, np.float64)
    if at.shape != (outputs,) or not (at > 0).all():
        raise ValueError(f"level: got {level}, allowed are {outputs} numbers above 0")
    log_level = np.log(at).astype(np.float32)
    table = {
        "poisson": Unit(outputs, partial(_poisson, log_level)),
        "negative_binomial": Unit(2 * outputs, partial(_negative_binomial, log_level)),
    }
    return chosen("name", name, table)


def _shifted(raw: Array, log_level: np.ndarray) -> Array:
    return raw + jnp.asarray(log_level.reshape((1,) * (raw.ndim - 1) + (-1,)), raw.dtype)


def _poisson(log_level: np.ndarray, raw: Array) -> Poisson:
    return Poisson(_shifted(raw, log_level))


def _negative_binomial(log_level: np.ndarray, raw: Array) -> NegativeBinomial:
    location, a = jnp.split(raw, 2, axis=-1)
    return NegativeBinomial(_shifted(location, log_level), jax.nn.softplus(a) + LEAST)
