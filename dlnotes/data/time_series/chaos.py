"""Two chaotic series: the Mackey-Glass delay equation and the Lorenz system."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from dlnotes.data.dataset import Dataset
from dlnotes.data.time_series.forecasting import forecast


def mackey_glass_series(
    n: int,
    *,
    tau: float = 17.0,
    spacing: float = 1.0,
    substeps: int = 10,
    discard: int = 1000,
    start: Any = 1.2,
    method: Literal["rk4", "euler"] = "rk4",
    beta: float = 0.2,
    gamma: float = 0.1,
    power: float = 10.0,
) -> np.ndarray:
    """``dx/dt = β x(t−τ) / (1 + x(t−τ)^p) − γ x(t)``, sampled at equal distances; chaotic from τ = 16.8.

    Integrated with steps of ``h = spacing/substeps``, of which τ must be a multiple. ``rk4`` is the classical
    Runge-Kutta method, the delayed value in the middle of a step from the cubic through the values and
    slopes at its ends: the error falls with h⁴. ``euler`` is ``x ← x + h·(…)``, the error falls with h:
    the published echo-state results are for this series with h = 0.1 and are met on their own terms so.

    Args:
      n: samples.
      tau: the delay.
      spacing: time from a sample to the next.
      substeps: integration steps from a sample to the next.
      discard: samples before the first one returned.
      start: ``x(t) = start`` for t ≤ 0, one number, or ``(series,)`` for several series at once.
      method: how it is integrated.
      beta, gamma, power: β, γ and p.

    Returns:
      ``(n,)`` float64, or ``(n, series)``; sample k is at time ``(discard + k)·spacing``, the very first
      one (k = discard = 0) is ``start``.

    Raises:
      ValueError: when a number is out of range.

    Source: Mackey and Glass, 1977; Jaeger and Haas, 2004 (τ = 17 and 30, one sample a unit of time).
    """
    for name, value, least in (("n", n, 1), ("substeps", substeps, 1), ("discard", discard, 0)):
        if value < least:
            raise ValueError(f"{name}: got {value}, allowed is at least {least}")
    if method not in ("rk4", "euler"):
        raise ValueError(f"method: got {method!r}, allowed are rk4, euler")
    if spacing <= 0:
        raise ValueError(f"spacing: got {spacing}, allowed is above 0")
    h = spacing / substeps
    delay = round(tau / h)
    if delay < 1 or abs(delay * h - tau) > 1e-9 * tau:
        raise ValueError(f"tau: got {tau}, allowed is a positive multiple of the step {h} (spacing/substeps)")
    first = np.asarray(start, np.float64)
    if first.ndim > 1 or not np.isfinite(first).all():
        raise ValueError(f"start: got shape {first.shape}, allowed is a finite number or (series,) of them")

    def slope(x, delayed):
        return beta * delayed / (1 + delayed**power) - gamma * x

    steps = (discard + n - 1) * substeps
    # Row k is at time (k − delay)·h; middle[k] is half a step later.
    x = np.empty((delay + steps + 1, *first.shape))
    middle = np.empty((delay + steps, *first.shape))
    x[: delay + 1] = middle[:delay] = first
    for k in range(delay, delay + steps):
        now, past, later = x[k], x[k - delay], x[k - delay + 1]
        k1 = slope(now, past)
        if method == "euler":
            x[k + 1] = now + h * k1
            continue
        between = middle[k - delay]
        k2 = slope(now + h / 2 * k1, between)
        k3 = slope(now + h / 2 * k2, between)
        k4 = slope(now + h * k3, later)
        x[k + 1] = following = now + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        middle[k] = (now + following) / 2 + h / 8 * (k1 - slope(following, later))
    return x[delay::substeps][discard:]


def lorenz_series(
    n: int,
    *,
    spacing: float = 0.02,
    discard: int = 1000,
    start: tuple[float, float, float] = (1.0, 1.0, 1.0),
    sigma: float = 10.0,
    rho: float = 28.0,
    beta: float = 8 / 3,
) -> np.ndarray:
    """``ẋ = σ(y − x)``, ``ẏ = x(ρ − z) − y``, ``ż = xy − βz``, sampled at equal distances.

    Integrated by scipy's DOP853 with a relative tolerance of 1e-10. The largest Lyapunov exponent is about
    0.906 at the usual parameters: what differs by ε differs by ``ε·exp(0.906 t)`` a time t later.

    Args:
      n: samples.
      spacing: time from a sample to the next.
      discard: samples before the first one returned.
      start: (x, y, z) at time 0.
      sigma, rho, beta: the parameters.

    Returns:
      ``(n, 3)`` float64; sample k is at time ``(discard + k)·spacing``.

    Raises:
      ValueError: when a number is out of range.

    Source: Lorenz, 1963, Deterministic nonperiodic flow.
    """
    for name, value, least in (("n", n, 1), ("discard", discard, 0)):
        if value < least:
            raise ValueError(f"{name}: got {value}, allowed is at least {least}")
    if spacing <= 0:
        raise ValueError(f"spacing: got {spacing}, allowed is above 0")
    if len(start) != 3 or not np.isfinite(start).all():
        raise ValueError(f"start: got {start}, allowed are three finite numbers")
    from scipy.integrate import solve_ivp

    def flow(_, state):
        x, y, z = state
        return sigma * (y - x), x * (rho - z) - y, x * y - beta * z

    times = spacing * np.arange(discard + n)
    if len(times) == 1:
        return np.array([start], np.float64)
    solved = solve_ivp(flow, (0, times[-1]), start, method="DOP853", t_eval=times, rtol=1e-10, atol=1e-10)
    return solved.y.T[discard:]


def mackey_glass(
    *,
    tau: float = 17.0,
    n: int = 5000,
    spacing: float = 1.0,
    window: int = 50,
    horizon: int = 1,
    validation: float | int = 0.1,
    test: float | int = 0.2,
    standardize: bool = True,
) -> Dataset:
    """Windows of the Mackey-Glass series and the value ``horizon`` samples after each.

    Input "sequence" ``(window, 1)``, task "regression"; training, validation and test follow each other in
    time.

    Args:
      tau: the delay.
      n: samples of the series (see `mackey_glass_series`).
      spacing: time from a sample to the next.
      window: samples seen.
      horizon: how many samples ahead.
      validation: share or number of examples for validation.
      test: the same for the test part.
      standardize: whether inputs and targets are standardized.
    """
    return forecast(
        "mackey_glass",
        mackey_glass_series(n, tau=tau, spacing=spacing)[:, None],
        features=("x",),
        targets=("x",),
        window=window,
        horizon=horizon,
        validation=validation,
        test=test,
        standardize=standardize,
    )


def lorenz(
    *,
    n: int = 5000,
    spacing: float = 0.02,
    window: int = 25,
    horizon: int = 1,
    observed: tuple[Literal["x", "y", "z"], ...] = ("x", "y", "z"),
    validation: float | int = 0.1,
    test: float | int = 0.2,
    standardize: bool = True,
) -> Dataset:
    """Windows of the Lorenz system's coordinates and their values ``horizon`` samples after each.

    Input "sequence" ``(window, observed)``, task "regression"; training, validation and test follow each
    other in time.

    Args:
      n: samples of the series (see `lorenz_series`).
      spacing: time from a sample to the next.
      window: samples seen.
      horizon: how many samples ahead.
      observed: the coordinates that are seen and forecast.
      validation: share or number of examples for validation.
      test: the same for the test part.
      standardize: whether inputs and targets are standardized.
    """
    names = ("x", "y", "z")
    if not observed or any(o not in names for o in observed) or len(set(observed)) < len(observed):
        raise ValueError(f"observed: got {observed}, allowed are different ones of x, y, z")
    columns = [names.index(o) for o in observed]
    return forecast(
        "lorenz",
        lorenz_series(n, spacing=spacing)[:, columns],
        features=tuple(observed),
        targets=tuple(observed),
        window=window,
        horizon=horizon,
        validation=validation,
        test=test,
        standardize=standardize,
    )
