"""Noise on the inputs of a learner: what a denoising autoencoder is asked to undo."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dlnotes.checks import chosen
from dlnotes.pretraining.draws import LEVELS, words
from dlnotes.typing import Array, PRNGKey


def threshold(p: float | Array) -> Array:
    """The number that a word of `words` is below with probability ``p``, to 1/65,536: ``()`` uint32."""
    return jnp.round(LEVELS * jnp.asarray(p, jnp.float32)).astype(jnp.uint32)


def mask(key: PRNGKey, x: Array, noise: float | Array) -> Array:
    """``x`` with each number set to 0 with probability ``noise``, independently."""
    return jnp.where(words(key, x.shape).astype(jnp.uint32) < threshold(noise), jnp.zeros((), x.dtype), x)


def salt_and_pepper(key: PRNGKey, x: Array, noise: float | Array) -> Array:
    """``x`` with each number set to 0 or to 1, with probability ``noise / 2`` each."""
    drawn, p = words(key, x.shape).astype(jnp.uint32), jnp.asarray(noise, jnp.float32)
    zero, one = jnp.zeros((), x.dtype), jnp.ones((), x.dtype)
    return jnp.where(drawn < threshold(p), jnp.where(drawn < threshold(p / 2), one, zero), x)


def gaussian(key: PRNGKey, x: Array, noise: float | Array) -> Array:
    """``x + noise · ε`` with ``ε ~ N(0, 1)``, independently for each number."""
    return x + jnp.asarray(noise, x.dtype) * jax.random.normal(key, x.shape, x.dtype)


def none(key: PRNGKey, x: Array, noise: float | Array) -> Array:
    """``x``."""
    return x


CORRUPTIONS: dict[str, Callable[[PRNGKey, Array, float | Array], Array]] = {
    "none": none,
    "mask": mask,
    "gaussian": gaussian,
    "salt_and_pepper": salt_and_pepper,
}
"""``corruption(key, x, noise)`` by name."""


def corrupt(key: PRNGKey, x: Array, *, corruption: str = "mask", noise: float | Array = 0.3) -> Array:
    """Inputs with noise, ``x̃ ~ q(x̃ | x)``.

    Args:
      key: one key.
      x: ``(...)`` floats.
      corruption: "mask" sets a number to 0 with probability ``noise``; "salt_and_pepper" to 0 or 1, with
        half that probability each; "gaussian" adds noise of standard deviation ``noise``; "none" is ``x``.
      noise: may be traced; a plain 0 draws nothing.

    Returns:
      Of the shape and dtype of ``x``.

    Raises:
      ValueError: on a name or a number that is not allowed.

    Source: Vincent et al., 2010, «Stacked denoising autoencoders».

    Example:
      >>> x = corrupt(jax.random.key(0), jnp.ones((100, 100)), corruption="mask", noise=0.25)
      >>> 0.74 < float(x.mean()) < 0.76
      True
    """
    check_noise(corruption, noise)
    if isinstance(noise, (int, float)) and noise == 0:
        return x
    return CORRUPTIONS[corruption](key, x, noise)


def check_noise(corruption: str, noise: float | Array) -> None:
    """Check a corruption's name and, where it is a plain number, its noise.

    Raises:
      ValueError: naming the value and what is allowed.
    """
    chosen("corruption", corruption, CORRUPTIONS)
    if not isinstance(noise, (int, float)):
        return
    if corruption == "gaussian":
        if not 0 <= noise < float("inf"):
            raise ValueError(f"noise: got {noise}, allowed is a standard deviation of 0 or more")
    elif not 0 <= noise <= 1:
        raise ValueError(f"noise: got {noise}, allowed is 0 <= noise <= 1 (the share of numbers replaced)")
