"""Linear problems of any number of rows, and what each way needs to come to 1% of the optimum."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.training import (
    Descent,
    linear_descent,
    linear_objective,
    normal_equations,
    start_descent,
)

PROBLEMS = ("linear regression", "linear SVM")
LOSSES = ("squared", "hinge")
PENALTIES = (0.0, 1e-4)
"""λ of each problem."""
NEAR = 1.01
"""An objective of at most so many times the optimum counts as reached."""
RATES = ((0.01, 0.03, 0.1, 0.2, 0.4), (0.03, 0.1, 0.3, 1.0))
TOLERANCES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.001)
"""Of the SVM's solver, the loosest first."""
TIGHT = 1e-3
"""Tolerance of the solver that finds an optimum."""
BATCH = 100
LOOK = 10
"""Steps between two looks at the objective, while steps are counted."""


class Problem(NamedTuple):
    """A problem with its rows.

    Attributes:
      kind: index in `PROBLEMS`.
      x: ``(n, inputs)`` float32, on the device.
      y: ``(n,)`` numbers, or −1 and 1.
      wide: x in double precision, which the SVM's solver works in, or ``None``.
      optimum: least objective.
    """

    kind: int
    x: jax.Array
    y: jax.Array
    wide: np.ndarray | None
    optimum: float


def draw(kind: int, n: int, inputs: int, seed: int) -> Problem:
    """Inputs whose variances run from 1 to 0.1 along random directions; as much noise as signal."""
    rng = np.random.default_rng([seed, n, kind])
    turn = np.linalg.qr(rng.normal(size=(inputs, inputs)))[0].astype(np.float32)
    scale = np.geomspace(1, 0.1, inputs).astype(np.float32) ** 0.5
    x = (rng.standard_normal((n, inputs), np.float32) * scale) @ turn
    w = (turn.T / scale) @ rng.standard_normal(inputs, np.float32) / np.float32(np.sqrt(inputs))
    score = x @ w + rng.standard_normal(n, np.float32)
    y = score if kind == 0 else np.where(score > 0, 1, -1).astype(np.float32)
    wide = None if kind == 0 else x.astype(np.float64)
    problem = Problem(kind, jnp.asarray(x), jnp.asarray(y), wide, 0.0)
    best = solve(problem) if kind == 0 else solve(problem, TIGHT)
    return problem._replace(optimum=objective(problem, best))


_objective = jax.jit(linear_objective, static_argnames="loss")


def objective(problem: Problem, w: Any) -> float:
    """Of weights, over all rows."""
    w = jnp.asarray(w, jnp.float32)
    kind = problem.kind
    return float(_objective(w, problem.x, problem.y, loss=LOSSES[kind], penalty=PENALTIES[kind]))


_solve_squares = jax.jit(normal_equations)


def solve(problem: Problem, tolerance: float = 0.0, rows: int | None = None) -> Any:
    """By the solver, over all rows or the first so many: normal equations, or liblinear for the SVM."""
    x, y = problem.x[:rows], problem.y[:rows]
    if problem.kind == 0:
        return jax.block_until_ready(_solve_squares(x, y))
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    assert problem.wide is not None
    n = len(y)
    told = {"fit_intercept": False, "max_iter": 100_000, "random_state": 0}
    machine = LinearSVC(loss="hinge", C=1 / (PENALTIES[1] * n), tol=tolerance, **told)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the objective says how near it came
        return machine.fit(problem.wide[:n], np.asarray(y)).coef_[0]


def descend(problem: Problem, rate: float, steps: int, state: Descent | None = None) -> Descent:
    """So many steps of SGD."""
    return linear_descent(
        start_descent(problem.x.shape[1]) if state is None else state,
        problem.x,
        problem.y,
        steps=steps,
        rate=rate,
        batch_size=BATCH,
        loss=LOSSES[problem.kind],
        penalty=PENALTIES[problem.kind],
    )


def steps_needed(problem: Problem, rate: float, most: int) -> float:
    """Steps of SGD until its average first is `NEAR` the optimum at a look; infinite if it is not."""
    state = None
    for done in range(LOOK, most + 1, LOOK):
        state = descend(problem, rate, LOOK, state)
        if objective(problem, state.average) <= NEAR * problem.optimum:
            return done
    return np.inf


def rows_needed(problem: Problem, tolerance: float) -> int:
    """Rows, a power of two times the inputs or all, over which the solver comes `NEAR` the optimum of all."""
    n, rows = len(problem.y), 2 * problem.x.shape[1]
    while rows < n:
        if objective(problem, solve(problem, tolerance, rows)) <= NEAR * problem.optimum:
            return rows
        rows *= 2
    return n


def loosest(problems: list[Problem]) -> float:
    """The largest tolerance with which the solver comes `NEAR` the optimum on each problem."""
    if problems[0].kind == 0:
        return 0.0
    for tolerance in TOLERANCES:
        if all(objective(p, solve(p, tolerance)) <= NEAR * p.optimum for p in problems):
            return tolerance
    return TIGHT


def best_rate(problems: list[Problem], most: int) -> float:
    """The rate with the fewest steps to 1%, mean over problems; what fails counts as twice the most."""
    steps = [
        np.mean([min(steps_needed(p, rate, most), 2 * most) for p in problems])
        for rate in RATES[problems[0].kind]
    ]
    return RATES[problems[0].kind][int(np.argmin(steps))]


def seconds(call: Callable[[], Any], least: float) -> float:
    """Of one call: the least of three means over calls, each of ``least`` seconds or more."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    once = time.perf_counter() - start
    if once > 10 * least:  # long enough to be timed once
        return once
    found = []
    for _ in range(3):
        count, start = 0, time.perf_counter()
        while (spent := time.perf_counter() - start) < least or count == 0:
            jax.block_until_ready(call())
            count += 1
        found.append(spent / count)
    return min(found)
