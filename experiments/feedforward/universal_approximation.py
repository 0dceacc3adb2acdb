"""One hidden layer approximates a continuous function, and its derivative, the better the wider it is.

The notes: a network with a linear output and one hidden layer of units that squash their input
approximates any continuous function on a closed and bounded set with any error above 0, given enough
units; its derivatives approximate those of the function; other theorems say the same of ReLU.

Measured on random functions on [−1, 1], one for each seed: sums of four sines and four cosines with
random weights. The theorem says that good parameters exist, so it is decided without training. The hidden
units are random and the output weights are solved for; or, for ReLU, 2,048 units bend at even distances
and the network meets the function wherever it bends. "Any error" is tested as: less than 1% with enough
units. ReLU has more units because its derivative is a staircase, whose error falls only as 1/width at
best. Between finite sets networks are exact: all 256 truth tables of three bits are written down. With a
polynomial as the activation, which the theorems exclude, no width is enough.

Beside it, sigmoid and ReLU networks of one hidden layer are trained on the function's values only. Each
width of each kind has the learning rate of a grid that ends with the least loss on other functions, and
is trained for half of the steps too. The errors are those of the function and of its derivative, in the
mean square over [−1, 1], relative to the function and to the derivative.

Width and kind are numbers of the program: all networks train in one.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, layers, models, outputs
from dlnotes.claims import (
    Below,
    Claim,
    Measured,
    Options,
    Part,
    Plateau,
    Plot,
    mean,
    notes,
    ours,
)
from dlnotes.models.feedforward.graph import Graph
from dlnotes.plotting import BLUE, GREEN, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, fit, optimizer, schedules
from dlnotes.typing import Array

from ._finite_and_polynomial import CUBE, PARTS, polynomial_errors, wrong_tables

KINDS = ("sigmoid", "ReLU")
WIDTHS = (2, 4, 8, 16, 32, 64)
SOLVED_WIDTHS = (2, 4, 8, 16, 32, 64, 128, 256)
RATES = np.array([0.003, 0.01, 0.03, 0.1, 0.3])
STAIRS = 2048
"""ReLU units set by hand: a staircase of that many steps is within 1% of the steepest derivatives here."""
POINTS = 128
STEEPNESS = 6.0
"""Standard deviation of a sigmoid's slope at the start; ReLU does not depend on it, up to a scale."""


class UniversalApproximation(Options):
    """Sizes of the experiment."""

    steps: int = Field(6000, ge=20, description="steps of each training")
    tuning_functions: int = Field(3, ge=1, description="functions on which the rates are chosen")


def random_functions(rng: np.random.Generator, n: int):
    """``n`` functions: from places (points,) to values and derivatives there, ``(n, points)`` each.

    Weights are normal with deviation 1/k at frequency k/2, so four frequencies up to two waves on
    [−1, 1]; values are scaled to mean 0 and mean square 1.
    """
    k = np.arange(1, 5)
    a, b = rng.normal(size=(2, n, 4)) / k

    def waves(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sine, cosine = np.sin(np.pi * k[:, None] * x), np.cos(np.pi * k[:, None] * x)
        return a @ sine + b @ cosine, (a * np.pi * k) @ cosine - (b * np.pi * k) @ sine

    over, _ = waves(np.linspace(-1, 1, 1001))
    middle, scale = over.mean(1, keepdims=True), over.std(1, keepdims=True)

    def functions(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y, slope = waves(x)
        return (y - middle) / scale, slope / scale

    return functions


def network(width: Array, kind: Array) -> models.Model:
    """The widest hidden layer, in which the units from ``width`` on are cut off: they give 0."""

    def unit(z: Array) -> Array:
        g = jnp.where(kind == 0, layers.sigmoid(z), layers.relu(z))
        return jnp.where(jnp.arange(WIDTHS[-1], dtype=jnp.float32) < width, g, 0.0)

    nodes = [
        models.Layer("z", ["x"], WIDTHS[-1]),
        models.Function("h", ["z"], jax.vmap(unit)),
        models.Layer("y", ["h"], 1),
    ]
    return models.graph(1, nodes)


def random_units(rng: np.random.Generator, n: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Slopes and biases of hidden units, ``(n, width)``: they bend at random places of [−1, 1]."""
    W = STEEPNESS * rng.normal(size=(n, width))
    return W, -W * rng.uniform(-1, 1, size=(n, width))


def starts(rng: np.random.Generator, kind: np.ndarray, width: np.ndarray) -> Graph:
    """Parameters of every member; a ReLU unit's slope is 1 in the mean square."""
    n, most = len(width), WIDTHS[-1]
    W, b = random_units(rng, n, most)
    scale = np.where(kind == 0, 1.0, 1 / STEEPNESS)[:, None]
    v = rng.normal(size=(n, most, 1)) / np.sqrt(width)[:, None, None]
    hidden = layers.Dense((scale * W)[:, None].astype(np.float32), (scale * b).astype(np.float32))
    return Graph({"z": hidden, "y": layers.Dense(v.astype(np.float32), np.zeros((n, 1), np.float32))})


def train(steps: int, members: dict[str, np.ndarray], y: np.ndarray, seed: int) -> Graph:
    """Parameters of every member, trained on its own values ``(members, points)``."""
    factor = schedules.cosine(steps)

    def recipe(hyper: Hyperparams) -> Recipe:
        model = network(hyper["width"], hyper["kind"])
        return Recipe(model, outputs.squared_error, {}, optimizer("adam", hyper["rate"], factor=factor))

    n = len(y)
    x = np.broadcast_to(grid()[:, None], (n, POINTS, 1))
    return fit(
        recipe,
        data.Examples(x.astype(np.float32), y[..., None].astype(np.float32)),
        steps=steps,
        seeds=np.zeros(n, np.int32),  # nothing is drawn: the starts are given, the batch is everything
        hyperparams=members,
        start=starts(np.random.default_rng(seed), members["kind"], members["width"]),
        record=steps,
        data_per_member=True,
    ).params


def grid() -> np.ndarray:
    """The training points."""
    return np.linspace(-1, 1, POINTS)


def errors(params: Graph, members: dict[str, np.ndarray], y: np.ndarray, slope: np.ndarray, x: np.ndarray):
    """Relative errors of values and derivatives at ``x``, ``(2, members)``."""

    @jax.jit
    @jax.vmap
    def answer(p: Graph, width: Array, kind: Array) -> tuple[Array, Array]:
        def f(v: Array) -> Array:
            return network(width, kind).apply(p, v[None, None])[0, 0]

        return jax.vmap(jax.value_and_grad(f))(x.astype(np.float32))

    got = answer(params, *(np.asarray(members[k], np.float32) for k in ("width", "kind")))
    return np.stack([relative(a, b) for a, b in zip(got, (y, slope))])


def relative(got: Array | np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Root mean squared error over the root mean square wanted, of each row."""
    got = np.asarray(got, np.float64)
    return np.sqrt(np.mean((got - wanted) ** 2, axis=-1) / np.mean(wanted**2, axis=-1))


def solved_errors(rng: np.random.Generator, y: np.ndarray, slope: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Errors with random hidden units and solved output weights, ``(kinds, 2, widths, seeds)``."""
    found = np.zeros((len(KINDS), 2, len(SOLVED_WIDTHS), len(y)))
    for seed in range(len(y)):
        W, b = random_units(rng, 1, SOLVED_WIDTHS[-1])
        z = x[:, None] * W + b
        s = 1 / (1 + np.exp(-z))
        for kind, (h, dh) in enumerate(((s, s * (1 - s) * W), (np.maximum(z, 0), (z > 0) * W))):
            for i, width in enumerate(SOLVED_WIDTHS):
                features = np.column_stack([h[:, :width], np.ones(len(x))])
                v = np.linalg.lstsq(features, y[seed], rcond=1e-12)[0]
                found[kind, 0, i, seed] = relative(features @ v, y[seed])
                found[kind, 1, i, seed] = relative(dh[:, :width] @ v[:-1], slope[seed])
    return found


def built_errors(functions, x: np.ndarray) -> np.ndarray:
    """Errors of ReLU networks that meet the functions at ``STAIRS`` + 1 even places, ``(2, seeds)``.

    Args:
      functions: from places to values and derivatives there.
      x: where the errors are taken, inside (−1, 1).
    """
    bends = np.linspace(-1, 1, STAIRS + 1)
    y, _ = functions(bends)
    jumps = np.diff(np.diff(y) * STAIRS / 2, prepend=0.0)  # of the slope, the output weights
    z = x[:, None] - bends[:-1]
    got = y[:, :1] + jumps @ np.maximum(z, 0).T, jumps @ (z > 0).astype(float).T
    return np.stack([relative(a, b) for a, b in zip(got, functions(x))])


def measure(options: UniversalApproximation) -> dict[str, np.ndarray]:
    """Choose rates on other functions, train, and solve."""
    rng, x = np.random.default_rng(0), np.linspace(-1, 1, 1001)
    n, shape = options.seeds + options.tuning_functions, (len(KINDS), len(WIDTHS))
    functions = random_functions(rng, n)
    values, (dense_y, dense_slope) = functions(grid())[0], functions(x)

    def members(rates: np.ndarray, functions: int) -> dict[str, np.ndarray]:
        """Numbers of every member: kinds, widths, rates ``(kinds, widths, rates)``, functions."""
        full = (*shape, rates.shape[-1], functions)
        kind, width = np.meshgrid(np.arange(shape[0]), WIDTHS, indexing="ij")
        return {
            "kind": np.broadcast_to(kind[..., None, None], full).ravel(),
            "width": np.broadcast_to(width[..., None, None], full).ravel(),
            "rate": np.broadcast_to(rates[..., None], full).ravel(),
        }

    rates = np.broadcast_to(RATES, (*shape, len(RATES)))
    tuning = members(rates, options.tuning_functions)
    repeats = len(tuning["kind"]) // options.tuning_functions
    y = np.tile(values[options.seeds :], (repeats, 1))
    params = train(options.steps, tuning, y, seed=1)
    left = errors(params, tuning, y, y, grid())[0].reshape(*rates.shape, -1).mean(-1)
    best = np.nanargmin(left, axis=-1)[..., None]
    chosen = np.take_along_axis(rates, best, -1)

    final, repeats = members(chosen, options.seeds), shape[0] * shape[1]
    y, slope = (np.tile(v[: options.seeds], (repeats, 1)) for v in (dense_y, dense_slope))

    def trained(steps: int) -> np.ndarray:
        params = train(steps, final, np.tile(values[: options.seeds], (repeats, 1)), seed=2)
        return errors(params, final, y, slope, x).reshape(2, *shape, options.seeds).swapaxes(0, 1)

    found = {"trained": trained(options.steps), "trained_half": trained(options.steps // 2)}
    y, slope = (v[: options.seeds] for v in (dense_y, dense_slope))
    solved = solved_errors(np.random.default_rng(3), y, slope, x)
    built = built_errors(functions, np.linspace(-1, 1, 1501)[1:-1])[:, : options.seeds]
    found |= {"solved": solved, "built": built, "rates": chosen[..., 0], "wrong_tables": wrong_tables()}
    polynomial, floor = polynomial_errors(np.random.default_rng(4), y, x, SOLVED_WIDTHS)
    return found | {"polynomial": polynomial, "floor": floor}  # (degrees, widths, seeds), (degrees, seeds)


def slopes(errors: np.ndarray, widths: tuple[int, ...]) -> np.ndarray:
    """Of ``log2 error`` by ``log2 width``, least squares: ``(..., widths, seeds)`` to ``(..., seeds)``."""
    u = np.log2(widths) - np.mean(np.log2(widths))
    return np.einsum("w,...ws->...s", u, np.log2(errors)) / np.sum(u**2)


def draw(options: UniversalApproximation, m: Measured) -> Plot:
    """Errors by width: of the function on the left, of its derivative on the right."""
    figure = new_figure(9, 4.0)
    axes = figure.subplots(1, 2, sharey=True)
    table: dict[str, list] = {"kind": [], "how": [], "width": [], "value_error": [], "derivative_error": []}
    for what, (axis, name) in enumerate(zip(axes, ("the function", "its derivative"))):
        for kind, (label, color) in enumerate(zip(KINDS, (BLUE, ORANGE))):
            for how, widths, dash in (("trained", WIDTHS, "-"), ("solved", SOLVED_WIDTHS, ":")):
                low, middle, high = 100 * np.quantile(m[how][kind, what], [0, 0.5, 1], axis=1)
                axis.fill_between(widths, low, high, color=color, alpha=0.13, lw=0)
                words = "trained" if how == "trained" else "random units, outputs solved"
                axis.plot(widths, middle, color=color, ls=dash, marker="os"[kind], label=f"{label}, {words}")
        if what == 0:
            middle = 100 * np.median(m["polynomial"][CUBE], axis=1)
            label = "z³, random units, outputs solved"
            (cubes,) = axis.plot(SOLVED_WIDTHS, middle, color=GREEN, ls=":", marker="^", label=label)
            axis.legend(handles=[cubes], fontsize=8, loc="lower left")
        built = 100 * np.median(m["built"][what])
        axis.plot(STAIRS, built, "D", color=ORANGE, mfc="white", label=f"ReLU, {STAIRS:,} units set by hand")
        axis.set(xscale="log", yscale="log", xlabel="hidden units", title=f"error of {name}")
        ticks = (*SOLVED_WIDTHS[::2], 512, STAIRS)
        axis.set_xticks(ticks, [str(w) for w in ticks])
        axis.minorticks_off()
    axes[0].set_ylabel("relative error, root mean square (%)")
    axes[1].legend(fontsize=8, loc="lower left")
    for kind, label in enumerate(KINDS):
        for how, widths in (("trained", WIDTHS), ("solved", SOLVED_WIDTHS)):
            for i, width in enumerate(widths):
                errors = [float(np.median(m[how][kind, what, i])) for what in range(2)]
                for name, value in zip(table, (label, how, width, *errors)):
                    table[name].append(value)
    axes[0].set_ylim(bottom=1e-13)
    trained, solved = (100 * np.median(m[how][0, 0, 5]) for how in ("trained", "solved"))
    set_title(
        figure,
        f"Errors fall with width; training leaves {trained:.1f}% with 64 sigmoid units where solving leaves "
        f"{solved:.0e}%\n(median and range of {options.seeds} random functions)",
    )
    return Plot(figure, table)


WHERE = "diseño de la arquitectura"
EXISTENCE = ours("the theorem is about what exists; this asks whether training finds it")


def _falls(kind: int, what: int) -> Part:
    thing = ("error", "error of the derivative")[what]

    def falls(name: str):
        return lambda m: mean(slopes(m[name][kind, what], WIDTHS))

    return Part(
        f"{KINDS[kind]}: {('function', 'derivative')[what]}",
        f"The {thing} of trained networks of {KINDS[kind]} units falls as they become wider.",
        what=f"doublings of the {thing} for each doubling of the width, from 2 to 64 units",
        effect=falls("trained"),
        rule=Below(0.0),
        source=EXISTENCE,
        learned=Plateau(falls("trained_half")),
    )


def enough(m: Measured, what: int) -> np.ndarray:
    """Errors with the most units: the worse kind, each function."""
    return np.maximum(m["solved"][0, what, -1], m["built"][what])


CLAIM = Claim(
    id="F4.1",
    statement="A network with one hidden layer of units that squash their input, or of ReLU, approximates "
    "any continuous function on a closed and bounded set with any error above 0 if it has enough units, and "
    "its derivative approximates that of the function.",
    source="notes, «diseño de la arquitectura»; Hornik et al. 1989, Leshno et al. 1993",
    options=UniversalApproximation,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "any error: the function",
            "With enough units the error is below 1% for both kinds.",
            what=f"relative error of the worse kind, {SOLVED_WIDTHS[-1]} sigmoid or {STAIRS} ReLU units, "
            f"without training",
            effect=lambda m: mean(enough(m, 0)),
            rule=Below(0.01),
            source=notes(
                WHERE,
                "with enough units the network can approximate any such function with any error other than "
                "zero",
            ),
        ),
        Part(
            "any error: the derivative",
            "With enough units the error of the derivative is below 1% for both kinds.",
            what=f"relative error of the derivative, worse kind, {SOLVED_WIDTHS[-1]} sigmoid or {STAIRS} "
            f"ReLU units",
            effect=lambda m: mean(enough(m, 1)),
            rule=Below(0.01),
            source=notes(
                WHERE, "the network's derivatives can approximate those of the function arbitrarily well"
            ),
        ),
        *PARTS,
        Part(
            "solved weights",
            "All four errors fall with the width where the hidden units are random and the output weights "
            "solved.",
            what="doublings of the error for each doubling of the width, from 2 to 256 units, the slowest "
            "of the four",
            effect=lambda m: mean(slopes(m["solved"], SOLVED_WIDTHS).max(axis=(0, 1))),
            rule=Below(0.0),
            source=ours("shows how fast the error falls, which the theorem does not say"),
        ),
        *(_falls(kind, what) for kind in range(2) for what in range(2)),
    ),
    method="Data: {options.seeds} random functions on [−1, 1], sums of four sines and four cosines. "
    "Networks: one hidden layer of sigmoid or ReLU units. For the theorem nothing is trained: hidden units "
    "are random and output weights solved for, or all weights are set by hand, for the truth tables too. "
    "Beside it networks of 2 to 64 units are trained on 128 values of the function by Adam with a cosine "
    "schedule, {options.steps} steps, the rate of a grid of five with the least loss on "
    "{options.tuning_functions} other functions. Intervals cover functions.",
    reading="The three parts that decide need no training, as the theorem says only that such networks "
    "exist. Ten functions of one input are examples of it and no proof, and how many units are needed "
    "depends on the function. Training finds far worse networks of the same width: with the most sigmoid "
    "units that were trained it leaves an error of {facts[trained]}%, where solving for the output weights "
    "leaves {facts[solved]}%. Where a part beside is open, the errors still fall when the steps are "
    "doubled.",
    facts=lambda m: {
        "trained": float(100 * np.median(m["trained"][0, 0, -1])),
        "solved": float(100 * np.median(m["solved"][0, 0, SOLVED_WIDTHS.index(WIDTHS[-1])])),
    },
    revised=(
        "The error of the derivative was first asked of 256 ReLU units with random bends and failed (15.7% "
        "of the variance left against 1%); by the rate of 1/width even evenly spaced ones would leave "
        "about 3%, so the part now asks it of 2,048 units set by hand, and the first is drawn but not "
        "judged. Widths go to 64 instead of 32. The part without descent depends on the number of points: "
        "with 501 instead of 1,001 it was open (−0.15 per doubling, −0.30 to 0.10). After an audit of all "
        "rows the trained networks no longer decide, three functions choose the rates from a wider grid, "
        "and trainings of half the length were added."
    ),
)
