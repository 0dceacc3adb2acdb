"""Waiting lines before one server: their closed forms, and the waiting times of given arrivals."""

from __future__ import annotations

from typing import Any

import numpy as np


def utilization(rate: float, service: float) -> float:
    """Share of the time that a server is busy, ``ρ = λ E[S]``; from 1 on it never catches up.

    Args:
      rate: λ, arrivals in a second.
      service: E[S], mean seconds of a service.

    Raises:
      ValueError: when a number is negative.

    Example:
      >>> utilization(100.0, 0.005)
      0.5
    """
    if not (rate >= 0 and service >= 0):
        raise ValueError(f"rate, service: got {rate} and {service}, allowed are numbers from 0 on")
    return rate * service


def mean_waiting(rate: float, service: float, second_moment: float | None = None) -> float:
    """Mean seconds until service begins, ``λ E[S²] / (2(1 − ρ))``, for random arrivals (Poisson).

    Without a second moment services take equally long: ``ρ s / (2(1 − ρ))``. Infinite for ρ ≥ 1.

    Args:
      rate, service: as in `utilization`.
      second_moment: E[S²], at least E[S]².

    Raises:
      ValueError: when a number is not possible.

    Example:
      >>> mean_waiting(100.0, 0.005)
      0.0025

    Source: Pollaczek 1930, Khinchine 1932; notes L13.15.
    """
    busy = utilization(rate, service)
    square = service**2 if second_moment is None else second_moment
    if not square >= service**2 * (1 - 1e-9):
        raise ValueError(f"second_moment: got {square}, allowed is at least service², {service**2}")
    return float("inf") if busy >= 1 else rate * square / (2 * (1 - busy))


def waiting_times(arrivals: Any, services: Any) -> np.ndarray:
    """Seconds until each service begins, of one at a time: ``w_{n+1} = max(0, w_n + s_n − (a_{n+1} − a_n))``.

    Args:
      arrivals: ``(n,)`` times, rising.
      services: ``(n,)`` seconds, or one number for all.

    Raises:
      ValueError: when times fall or a service is negative.

    Example:
      >>> waiting_times([0.0, 1.0, 5.0], 2.0).tolist()
      [0.0, 1.0, 0.0]

    Source: Lindley 1952.
    """
    a = np.asarray(arrivals, np.float64)
    s = np.broadcast_to(np.asarray(services, np.float64), a.shape)
    if a.ndim != 1 or (np.diff(a) < 0).any() or (s < 0).any():
        raise ValueError("arrivals, services: allowed are rising times (n,) and services from 0 on")
    if not a.size:
        return np.zeros(0)
    # w is how far the walk of s − gap lies above its lowest point so far
    walk = np.concatenate([[0.0], np.cumsum(s[:-1] - np.diff(a))])
    return walk - np.minimum.accumulate(walk)
