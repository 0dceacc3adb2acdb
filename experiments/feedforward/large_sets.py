"""Linear regression and linear support vector machines by SGD, where the training set is very large.

The notes: gradient descent can be applied to linear regression and support vector machines too, the case
where the training set is very large.

Measured: the time that SGD, and the time that a solver take to come to an objective at most 1% above the
optimum, for sets of 1,000 to 1,000,000 rows: normal equations for linear regression, liblinear's coordinate
descent for the linear support vector machine. Beside them the same solver on as many of the rows as it needs
to come as near, which an expert would try first.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from pydantic import Field

from dlnotes.claims import Above, Below, Claim, Interval, Measured, Options, Part, Plot, notes, ours, ratio
from dlnotes.formatting import number
from dlnotes.plotting import BLUE, GRAY, ORANGE, new_figure, set_title

from ._large_sets import (
    BATCH,
    PROBLEMS,
    best_rate,
    descend,
    loosest,
    objective,
    rows_needed,
    seconds,
    solve,
    steps_needed,
)
from ._large_sets import (
    draw as drawn,
)

REGRESSION, MACHINE = range(2)
SGD, SOLVER, SOME = range(3)
ARMS = ("SGD", "solver, all rows", "solver, as many rows as needed")
FIRST_SEED = 2110


class LargeSets(Options):
    """Sizes of the experiment."""

    rows: tuple[int, ...] = Field((1000, 10_000, 100_000, 1_000_000), min_length=2, description="of the sets")
    inputs: int = Field(50, ge=2, le=500, description="of each row")
    steps: int = Field(3000, ge=100, description="of SGD after which it has failed")
    tuning_seeds: int = Field(3, ge=1, description="sets of each size that choose rate and tolerance")
    spent: float = Field(0.05, gt=0, description="seconds for which short calls are repeated")


def measure(options: LargeSets) -> dict[str, np.ndarray]:
    """Seconds of each arm, and what it needed; each seed is a set of rows of its own."""
    shape = (len(PROBLEMS), len(options.rows))
    time = np.zeros((*shape, len(ARMS), options.seeds))
    needed, excess, chosen = np.zeros((*shape, 2, options.seeds)), np.zeros_like(time), np.zeros((*shape, 2))
    for kind in range(shape[0]):
        for j, n in enumerate(options.rows):
            own = FIRST_SEED + options.seeds + np.arange(options.tuning_seeds)
            tuning = [drawn(kind, n, options.inputs, int(seed)) for seed in own]
            rate, tolerance = best_rate(tuning, options.steps), loosest(tuning)
            del tuning  # a large set at a time is enough
            chosen[kind, j] = rate, tolerance
            for i in range(options.seeds):
                problem = drawn(kind, n, options.inputs, FIRST_SEED + i)
                steps = steps_needed(problem, rate, options.steps)
                rows = rows_needed(problem, tolerance)
                needed[kind, j, :, i] = steps, rows
                count = int(min(steps, options.steps))
                calls = (
                    lambda p=problem, r=rate, s=count: descend(p, r, s).average,
                    lambda p=problem, t=tolerance: solve(p, t),
                    lambda p=problem, t=tolerance, m=rows: solve(p, t, m),
                )
                for turn in range(len(ARMS)):
                    arm = (turn + i) % len(ARMS)
                    excess[kind, j, arm, i] = objective(problem, calls[arm]()) / problem.optimum - 1
                    time[kind, j, arm, i] = seconds(calls[arm], options.spent)
    return {
        "time": time,  # (problems, sizes, arms, seeds), s
        "needed": needed,  # (problems, sizes, steps of SGD and rows of the solver, seeds)
        "excess": excess,  # objective over the optimum, minus 1
        "chosen": chosen,  # (problems, sizes, rate and tolerance)
        "rows": np.array(options.rows),
        "device": np.array(_device(), np.str_),
    }


def _device() -> str:
    """The name of the processor that jax uses, as the system says it."""
    if jax.default_backend() != "cpu":
        return jax.devices()[0].device_kind
    import platform
    from pathlib import Path

    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def slower(m: Measured, kind: int, size: int, arm: int = SOLVER) -> Interval:
    """Time of SGD over that of an arm, on the same sets."""
    reached = np.where(np.isfinite(m["needed"][kind, size, 0]), m["time"][kind, size, SGD], np.nan)
    return ratio(reached, m["time"][kind, size, arm])


def growth(m: Measured, kind: int) -> Interval:
    """Time of SGD over that of the solver: on the largest sets over on the smallest."""
    of = [m["time"][kind, j, SGD] / m["time"][kind, j, SOLVER] for j in (0, -1)]
    return ratio(of[1], of[0])


def draw(options: LargeSets, m: Measured) -> Plot:
    """Time to 1% by the number of rows, one panel for each problem."""
    figure = new_figure(10.5, 4.2)
    table: dict[str, list] = {"problem": [], "rows": [], "way": [], "seconds": [], "excess_percent": []}
    for kind, axes in enumerate(figure.subplots(1, 2, sharey=True)):
        for arm, (name, color, mark) in enumerate(zip(ARMS, (BLUE, ORANGE, GRAY), ("o-", "s-", "^--"))):
            times = m["time"][kind, :, arm]
            axes.plot(m["rows"], times, mark[0], color=color, alpha=0.3, ms=4)
            axes.plot(m["rows"], np.median(times, -1), mark, color=color, ms=5, label=name)
            for j, n in enumerate(m["rows"]):
                excess = 100 * float(np.median(m["excess"][kind, j, arm]))
                for column, value in zip(
                    table.values(), (PROBLEMS[kind], int(n), name, float(np.median(times[j])), excess)
                ):
                    column.append(value)
        axes.set(xscale="log", yscale="log", xlabel="rows", title=PROBLEMS[kind])
        axes.set_xticks(m["rows"], [f"{n:,}" for n in m["rows"]], fontsize=9)
        axes.minorticks_off()
        if kind == 0:
            axes.set_ylabel("time to 1% above the optimum (s)")
            axes.legend(fontsize=9)
    found = [1 / slower(m, kind, -1).value for kind in range(2)]
    set_title(
        figure,
        f"On {m['rows'][-1]:,} rows SGD is {found[0]:,.0f} times as fast as normal equations, "
        f"{found[1]:,.0f} times as fast as liblinear",
    )
    return Plot(figure, table)


def _facts(m: Measured) -> dict[str, Any]:
    def taken(kind: int, size: int, arm: int) -> str:
        value = float(np.median(m["time"][kind, size, arm]))
        return f"{number(1e3 * value, 2)} ms" if value < 1 else f"{number(value, 2)} s"

    told: dict[str, Any] = {
        "device": str(m["device"]),
        "batch": str(BATCH),
    }
    for kind, problem in enumerate(("regression", "machine")):
        for size, where in ((0, "small"), (-1, "large")):
            for arm, way in enumerate(("sgd", "solver", "some")):
                told[f"{problem}, {where}, {way}"] = taken(kind, size, arm)
        told[f"{problem}, steps"] = f"{np.median(m['needed'][kind, -1, 0]):.0f}"
        told[f"{problem}, rows"] = f"{np.median(m['needed'][kind, -1, 1]):.0f}"
    return told


SECTION = "aprendizaje basado en el descenso de gradiente"
LARGE = notes(
    SECTION,
    "Gradient descent can be applied to linear regression and support vector machines too, the case where "
    "the training set is very large.",
)


def _largest(kind: int, name: str, solver: str) -> Part:
    return Part(
        name,
        f"On the largest sets SGD comes to 1% of the optimum sooner than {solver}.",
        what=f"time to 1% of the optimum, {PROBLEMS[kind]}, SGD over {solver}, largest sets",
        effect=lambda m: slower(m, kind, -1),
        rule=Below(1.0),
        source=LARGE,
    )


def _more(kind: int, name: str) -> Part:
    return Part(
        name,
        "The larger the set, the more SGD gains on the solver.",
        what=f"time of SGD over that of the solver, {PROBLEMS[kind]}, largest sets over smallest",
        effect=lambda m: growth(m, kind),
        rule=Below(1.0),
        source=LARGE,
    )


CLAIM = Claim(
    id="F2.11",
    statement="Gradient descent can be applied to linear regression and support vector machines too, where "
    "the training set is very large.",
    source="notes, «aprendizaje basado en el descenso de gradiente»; Bottou & Bousquet 2008",
    options=LargeSets,
    measure=measure,
    draw=draw,
    method="Sets of {options.rows} rows with {options.inputs} inputs, whose variances run from 1 to 0.1, as "
    "much noise as signal; the support vector machine learns the sign, with a penalty λ = 0.0001. SGD takes "
    f"{BATCH} rows a step in the order of the file and averages its weights; its rate, and the tolerance of "
    "liblinear, are those that come to 1% of the optimum soonest on {options.tuning_seeds} other sets of the "
    "size. How many steps are needed is counted before anything is timed, so that looking at the objective "
    "costs no arm time; compiling is not timed. Linear regression is solved by normal equations. "
    "{options.seeds} sets for each size; the arms are timed one after another, in another order on each.",
    parts=(
        _largest(REGRESSION, "linear regression, largest sets", "normal equations"),
        _largest(MACHINE, "support vector machine, largest sets", "liblinear"),
        _more(REGRESSION, "linear regression, growth"),
        _more(MACHINE, "support vector machine, growth"),
        Part(
            "linear regression, smallest sets",
            "On the smallest sets normal equations are sooner there.",
            what="time to 1% of the optimum, linear regression, SGD over normal equations, smallest sets",
            effect=lambda m: slower(m, REGRESSION, 0),
            rule=Above(1.0),
            source=ours("the notes name large sets only"),
        ),
        Part(
            "linear regression, part of the rows",
            "On the largest sets SGD is sooner than normal equations on as many rows as they need.",
            what="time to 1% of the optimum, linear regression, SGD over the solver on part of the rows",
            effect=lambda m: slower(m, REGRESSION, -1, SOME),
            rule=Below(1.0),
            source=ours("SGD reads a part of the rows only, and so may a solver"),
        ),
        Part(
            "support vector machine, part of the rows",
            "And sooner than liblinear on as many rows as it needs.",
            what="time to 1% of the optimum, linear SVM, SGD over the solver on part of the rows",
            effect=lambda m: slower(m, MACHINE, -1, SOME),
            rule=Below(1.0),
            source=ours("SGD reads a part of the rows only, and so may a solver"),
        ),
    ),
    facts=_facts,
    reading="Measured on {facts[device]}. Linear regression on the smallest sets takes SGD "
    "{facts[regression, small, sgd]} and normal equations {facts[regression, small, solver]}, on the largest "
    "{facts[regression, large, sgd]} and {facts[regression, large, solver]}; the support vector machine "
    "{facts[machine, small, sgd]} and {facts[machine, small, solver]}, then {facts[machine, large, sgd]} and "
    "{facts[machine, large, solver]}. On the largest sets SGD needs {facts[regression, steps]} and "
    "{facts[machine, steps]} steps of {facts[batch]} rows. The solvers come as near from "
    "{facts[regression, rows]} and {facts[machine, rows]} rows, in {facts[regression, large, some]} and "
    "{facts[machine, large, some]}: what SGD gains is above all that it need not read all rows.",
)
