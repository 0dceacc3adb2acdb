"""Functions of bounded Fourier norm in any dimension, and networks that approximate them unit by unit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

WAVES, PLACES = 8, 64
"""Waves of a function, and places along each of their directions where a unit may switch."""
FEW = 2
"""Coordinates on which a wave depends: so its values spread as widely in any dimension."""


class Waves(NamedTuple):
    """``f(x) = Σ_j a_j cos(ω_jᵀx + φ_j)`` on the cube [−1, 1]^d.

    Attributes:
      a: ``(waves,)``.
      frequencies: ``(d, waves)``.
      phases: ``(waves,)``.
    """

    a: np.ndarray
    frequencies: np.ndarray
    phases: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """``(points, d)`` to ``(points,)``."""
        return np.cos(x @ self.frequencies + self.phases) @ self.a

    @property
    def norm(self) -> float:
        """Barron's C: ``Σ_j |a_j| sup_x |ω_jᵀx|``, the first moment of the Fourier transform."""
        return float(np.abs(self.a) @ np.abs(self.frequencies).sum(0))


def random_waves(rng: np.random.Generator, d: int) -> Waves:
    """A function whose C is 1, of waves along random directions of few coordinates."""
    frequencies = np.zeros((d, WAVES))
    for j in range(WAVES):
        frequencies[rng.choice(d, min(FEW, d), replace=False), j] = 2 * rng.normal(size=min(FEW, d))
    made = Waves(rng.normal(size=WAVES), frequencies, rng.uniform(0, 2 * np.pi, WAVES))
    return made._replace(a=made.a / made.norm)


class Units(NamedTuple):
    """Threshold units ``[directionᵀx > place]``: directions ``(d, units)``, places ``(units,)``."""

    directions: np.ndarray
    places: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """``(points, d)`` to ``(points, units)`` of 0 and 1."""
        return (x @ self.directions > self.places).astype(float)


def units_along(f: Waves) -> Units:
    """Units that switch at even places along the function's own directions."""
    reach = np.abs(f.frequencies).sum(0)
    places = np.linspace(-1, 1, PLACES + 2)[1:-1]
    return Units(np.repeat(f.frequencies, PLACES, axis=1), (reach[:, None] * places).ravel())


def random_units(rng: np.random.Generator, d: int, n: int) -> Units:
    """Units of directions of few coordinates as the functions' are, that do not know the function."""
    f = random_waves(rng, d)
    at = rng.integers(WAVES, size=n)
    directions = f.frequencies[:, at] * rng.normal(size=n)
    return Units(directions, np.abs(directions).sum(0) * rng.uniform(-1, 1, n))


def greedy(features: np.ndarray, y: np.ndarray, most: int) -> list[int]:
    """Which units are taken, one after the other: each time the one that lowers the squared error most.

    Args:
      features: ``(points, units)``.
      y: ``(points,)``.
      most: how many are taken.
    """
    left = features - features.mean(0)
    size = np.einsum("ij,ij->j", left, left)
    rest, taken = y - y.mean(), []
    for _ in range(most):
        gain = np.where(size > 1e-9 * len(y), (rest @ left) ** 2 / np.maximum(size, 1e-9), -1.0)
        gain[taken] = -1.0
        best = int(np.argmax(gain))
        q = left[:, best] / np.sqrt(size[best])
        rest = rest - q * (q @ rest)
        along = q @ left
        left -= q[:, None] * along
        size -= along**2
        taken.append(best)
    return taken


def left_over(units: Units, x: np.ndarray, y: np.ndarray, other: np.ndarray, wanted: np.ndarray) -> float:
    """Mean squared error at other points of these units with solved output weights and a constant."""
    v = np.linalg.lstsq(np.column_stack([np.ones(len(x)), units(x)]), y, rcond=1e-10)[0]
    return float(np.mean((v[0] + units(other) @ v[1:] - wanted) ** 2))
