"""Where descent on XOR ends, from thousands of starts.

The notes: a gradient optimizer can find parameters with little error; besides the solution set by hand
there are equivalent ones that descent can reach; and where it converges depends on the initial values.

Measured: networks with one hidden layer of 2, 3, 4 or 8 units of three activations, a linear output and
the notes' squared error J, trained on all four points by SGD, SGD with momentum and Adam. Weights start
normal with deviation 1, biases at 0. Each setting has the learning rate of a grid that solves most of
its own tuning starts; it is judged on other starts. Solved is J < 0.01. Some of the failures are trained
ten times as long; then gradient and smallest eigenvalue of the Hessian tell a minimum from a saddle and
from descent that is still under way, and J tells which minimum.

Width and activation are numbers of the program: all settings of an optimizer train in one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from pydantic import Field

from dlnotes import layers, models, outputs
from dlnotes.claims import Above, Claim, Measured, Options, Part, Plot, share
from dlnotes.models.feedforward.graph import Graph
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, PURPLE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, fit, optimizer
from dlnotes.typing import Array

from ._xor_points import EXAMPLES

WIDTHS = (2, 3, 4, 8)
ACTIVATIONS = ("ReLU", "tanh", "sigmoid")
OPTIMIZERS = ("SGD", "momentum 0.9", "Adam")
RATES = np.array([[0.01, 0.03, 0.1, 0.3, 1], [0.001, 0.003, 0.01, 0.03, 0.1], [0.003, 0.01, 0.03, 0.1, 0.3]])
"""Learning rates to choose from, one row an optimizer."""
SOLVED = 0.01
STILL, FLAT = 1e-3, 1e-3
"""A gradient below `STILL` is none; an eigenvalue above −`FLAT` is no way down."""
VALUES = {"1/4": 1 / 4, "1/6": 1 / 6, "1/8": 1 / 8}
"""J where all four points, three of them, or two share one answer: the mean of their targets."""
NEAR = 2e-3
RELU = SGD = NOTES_SETTING = 0  # the notes' network and plain descent come first in every list
FURTHER = 9
"""Failures are trained on for so many times the steps."""


class XorStarts(Options):
    """Sizes of the experiment."""

    starts: int = Field(4096, ge=10, description="trainings of each setting")
    tuning_starts: int = Field(64, ge=10, description="trainings of each setting and learning rate")
    steps: int = Field(1000, ge=10, description="steps of each training")
    examined: int = Field(128, ge=10, description="failures of each setting that are followed further")


class Grid(NamedTuple):
    """Settings as flat arrays, one entry a member."""

    width: np.ndarray
    activation: np.ndarray
    optimizer: np.ndarray
    learning_rate: np.ndarray


def network(width: Array, activation: Array) -> models.Model:
    """One hidden layer of the widest width, in which the units from ``width`` on are cut off.

    A unit that is cut off gives 0 and gets no gradient, so the rest is a network of that width.
    """

    def unit(z: Array) -> Array:
        g = jnp.where(
            activation == RELU, layers.relu(z), jnp.where(activation == 1, layers.tanh(z), layers.sigmoid(z))
        )
        return jnp.where(jnp.arange(WIDTHS[-1], dtype=jnp.float32) < width, g, 0.0)

    def hidden(z: Array) -> Array:
        return jax.vmap(unit)(z)

    nodes = [
        models.Layer("z", ["x"], WIDTHS[-1]),
        models.Function("h", ["z"], hidden),
        models.Layer("y", ["h"], 1),
    ]
    return models.graph(2, nodes)


def recipe_of(kind: str):
    """What is trained, by a member's numbers."""

    def build(hyper: Hyperparams) -> Recipe:
        options: dict[str, Any] = {"momentum": hyper["momentum"]} if kind == "sgd" else {}
        model = network(hyper["width"], hyper["activation"])
        return Recipe(model, outputs.squared_error, {}, optimizer(kind, hyper["learning_rate"], **options))

    return build


def random_starts(rng: np.random.Generator, count: int) -> Graph:
    """Weights normal with deviation 1, biases 0, ``(count, ...)``."""
    n = WIDTHS[-1]
    shapes = {"z": ((2, n), (n,)), "y": ((n, 1), (1,))}
    return Graph(
        {
            name: layers.Dense(
                rng.standard_normal((count, *W)).astype(np.float32), np.zeros((count, *b), np.float32)
            )
            for name, (W, b) in shapes.items()
        }
    )


def train(grid: Grid, start: Graph, steps: int) -> Graph:
    """Parameters of every member of the grid: one program for SGD and momentum, one for Adam."""
    ends = []
    for kind, chosen in (("sgd", grid.optimizer < 2), ("adam", grid.optimizer == 2)):
        places = np.flatnonzero(chosen)
        if len(places) == 0:
            continue
        hyperparams = {
            "width": grid.width[places],
            "activation": grid.activation[places],
            "learning_rate": grid.learning_rate[places],
            "momentum": np.where(grid.optimizer[places] == 1, 0.9, 0.0),
        }
        result = fit(
            recipe_of(kind),
            EXAMPLES,
            steps=steps,
            seeds=np.zeros(len(places)),  # nothing is drawn: the starts are given, the batch is everything
            hyperparams=hyperparams,
            start=take(start, places),
            record=20,
        )
        ends.append((places, result.params))
    order = np.argsort(np.concatenate([places for places, _ in ends]))
    return jax.tree.map(lambda *a: np.concatenate(a)[order], *(params for _, params in ends))


def take(tree, rows: np.ndarray):
    """Some members of a tree of arrays ``(members, ...)``."""
    return jax.tree.map(lambda a: a[rows], tree)


def grid_of(rates: np.ndarray, repeats: int) -> Grid:
    """Every setting with each of its rates ``(widths, activations, optimizers, rates)``, repeated."""
    shape = (len(WIDTHS), len(ACTIVATIONS), len(OPTIMIZERS), rates.shape[-1], repeats)
    axes = (WIDTHS, *(range(n) for n in shape[1:3]))
    w, a, o = np.meshgrid(*(np.array(axis, np.float32) for axis in axes), indexing="ij")
    width, activation, chosen = (np.broadcast_to(v[..., None, None], shape).ravel() for v in (w, a, o))
    return Grid(width, activation, chosen, np.broadcast_to(rates[..., None], shape).ravel())


@jax.jit
def answers(params: Graph, width: Array, activation: Array) -> Array:
    """Outputs at the four points, ``(members, 4)``."""
    return jax.vmap(lambda p, w, a: network(w, a).apply(p, EXAMPLES.x)[:, 0])(params, width, activation)


@jax.jit
def curvature(params: Graph, width: Array, activation: Array) -> tuple[Array, Array]:
    """Norm of the gradient of J, ``(members,)``, and its Hessian, ``(members, n, n)``."""

    def one(p: Graph, w: Array, a: Array) -> tuple[Array, Array]:
        flat, unravel = ravel_pytree(p)

        def loss(v: Array) -> Array:
            return jnp.mean((network(w, a).apply(unravel(v), EXAMPLES.x) - EXAMPLES.y) ** 2)

        return jnp.linalg.norm(jax.grad(loss)(flat)), jax.hessian(loss)(flat)

    return jax.vmap(one)(params, width, activation)


def distance_from_hand(params: Graph) -> np.ndarray:
    """How far ReLU networks of two units are from the one set by hand, units exchanged and scaled freely.

    A ReLU unit may be scaled if its output weight is scaled inversely: each is taken with incoming
    weights of norm 1, and the units in the order of their output weights.
    """
    (W, c), (v, b) = params.layers["z"], params.layers["y"]
    into = np.concatenate([W[:, :, :2], c[:, None, :2]], axis=1)  # (members, 3, 2)
    norm = np.linalg.norm(into, axis=1, keepdims=True)
    units = np.concatenate([into / norm, v[:, None, :2, 0] * norm], axis=1)
    units = np.take_along_axis(units, np.argsort(-units[:, 3:], axis=2), axis=2)
    n1, n2 = np.sqrt(2), np.sqrt(3)  # the norms of (1, 1, 0) and (1, 1, −1)
    hand = np.array([[1 / n1, 1 / n2], [1 / n1, 1 / n2], [0, -1 / n2], [n1, -2 * n2]])
    return np.sqrt(np.sum((units - hand) ** 2, axis=(1, 2)) + b[:, 0] ** 2)


def loss_of(answered: np.ndarray) -> np.ndarray:
    """J of outputs ``(..., 4)``; infinite where training broke down."""
    loss = np.mean((answered.astype(np.float64) - EXAMPLES.y[:, 0]) ** 2, axis=-1)
    return np.where(np.isfinite(loss), loss, np.inf)


def measure(options: XorStarts) -> dict[str, np.ndarray]:
    """Choose each setting's rate, train, and follow some of the failures to where they end."""
    shape, rng = (len(WIDTHS), len(ACTIVATIONS), len(OPTIMIZERS)), np.random.default_rng(0)
    rates = np.broadcast_to(RATES, (*shape[:2], *RATES.shape))
    tuning = grid_of(rates, options.tuning_starts)
    start = take(random_starts(rng, options.tuning_starts), repeated(options.tuning_starts, tuning))
    tuned = loss_of(outputs_of(train(tuning, start, options.steps), tuning))
    solved = (tuned < SOLVED).reshape(*rates.shape, -1).mean(-1)
    best = np.argmax(solved, axis=-1)[..., None]

    grid = grid_of(np.take_along_axis(rates, best, -1), options.starts)
    start = take(random_starts(rng, options.starts), repeated(options.starts, grid))
    params = train(grid, start, options.steps)
    loss = loss_of(outputs_of(params, grid)).reshape(*shape, -1)
    notes = take(params, np.arange(options.starts) + options.starts * NOTES_SETTING)

    failed = loss.reshape(-1, options.starts) >= SOLVED
    some = np.flatnonzero(failed & (np.cumsum(failed, axis=1) <= options.examined))
    later = train(take(grid, some), take(params, some), FURTHER * options.steps)
    answered = outputs_of(later, take(grid, some))
    gradient, hessian = curvature(later, grid.width[some], grid.activation[some])
    return {
        "tuning": solved,
        "rate": np.take_along_axis(rates, best, -1)[..., 0],
        "loss": loss.astype(np.float32),
        "setting": some // options.starts,  # of each failure that was followed
        "failed_loss": loss_of(answered),
        "failed_outputs": answered,
        "failed_gradient": np.asarray(gradient),
        "failed_eigenvalue": np.linalg.eigvalsh(np.nan_to_num(np.asarray(hessian, np.float64)))[:, 0],
        "distance": distance_from_hand(notes)[loss[0, RELU, SGD] < SOLVED],
    }


def repeated(starts: int, grid: Grid) -> np.ndarray:
    """The start of each member: all settings have the same ones."""
    return np.arange(len(grid.width)) % starts


def outputs_of(params: Graph, grid: Grid) -> np.ndarray:
    return np.asarray(answers(params, grid.width, grid.activation))


def kinds(m: Measured) -> dict[str, np.ndarray]:
    """What became of each failure that was followed: booleans by name, one of each group of them true."""
    loss, slope, bend = m["failed_loss"], m["failed_gradient"], m["failed_eigenvalue"]
    late, still, flat = loss < SOLVED, slope < STILL, bend > -FLAT
    ends = {f"J = {name}": np.abs(loss - value) < NEAR for name, value in VALUES.items()}
    return {
        "solved late": late,
        **ends,
        "other": ~late & ~np.any(list(ends.values()), axis=0),
        "minimum": ~late & still & flat,
        "saddle": ~late & still & ~flat,
        "still descending": ~late & ~still,
    }


def of_notes(m: Measured) -> np.ndarray:
    """The followed failures of the notes' network under SGD that stay failures."""
    return (m["setting"] == NOTES_SETTING) & ~kinds(m)["solved late"]


def draw(options: XorStarts, m: Measured) -> Plot:
    """Success by width on the left, where the failures end on the right."""
    figure = new_figure(9.5, 4.6)
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.15])
    rate = solved_share(m)
    for a, (name, color) in enumerate(zip(ACTIVATIONS, (ORANGE, BLUE, GREEN))):
        for o, (marker, dash) in enumerate(zip("os^", ("-", "--", ":"))):
            found = [share(flags < SOLVED) for flags in m["loss"][:, a, o]]
            bars = np.abs(np.array([[i.low, i.high] for i in found]).T - rate[:, a, o])
            places = np.arange(len(WIDTHS)) + 0.04 * (o - 1)
            left.errorbar(
                places,
                100 * rate[:, a, o],
                100 * bars,
                color=color,
                marker=marker,
                ls=dash,
                lw=1.3,
                capsize=2,
            )
        left.plot([], [], color=color, label=name)
    for marker, dash, name in zip("os^", ("-", "--", ":"), OPTIMIZERS):
        left.plot([], [], color=GRAY, marker=marker, ls=dash, lw=1.3, label=name)
    left.set(xticks=range(len(WIDTHS)), xticklabels=WIDTHS, xlabel="hidden units", ylim=(0, 103))
    left.set_ylabel(f"starts that solve XOR in {options.steps} steps (%)")
    left.legend(fontsize=9)
    _draw_ends(right, m, rate)
    set_title(
        figure,
        f"From {100 * (1 - rate[0, RELU, SGD]):.0f}% of starts two ReLU units do not learn XOR by SGD; "
        f"from {100 * (1 - rate[-1, RELU, SGD]):.0f}% eight do not",
    )
    return Plot(figure, _table(m, rate))


def _draw_ends(axis, m: Measured, rate: np.ndarray) -> None:
    """Bars of the failing share of each network, SGD, by where its failures end."""
    every = kinds(m)
    names = ("J = 1/4", "J = 1/6", "J = 1/8", "other", "solved late")
    labels = []
    for row, (a, w) in enumerate(np.ndindex(len(ACTIVATIONS), len(WIDTHS))):
        here = m["setting"] == np.ravel_multi_index((w, a, SGD), rate.shape)
        labels.append(f"{ACTIVATIONS[a]} {WIDTHS[w]}")
        end = 0.0
        for name, color in zip(names, (ORANGE, PURPLE, BLUE, GRAY, "#D9D9D9")):
            size = 100 * (1 - rate[w, a, SGD]) * (every[name][here].mean() if here.any() else 0.0)
            axis.barh(row, size, left=end, color=color, label=name if row == 0 else None)
            end += size
    axis.set(yticks=range(len(labels)), yticklabels=labels, xlabel="share of starts (%), SGD")
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.legend(title=f"failures after {FURTHER + 1} times the steps", loc="lower right", fontsize=9)


def _table(m: Measured, rate: np.ndarray) -> dict[str, list]:
    every = kinds(m)
    columns = (
        "width",
        "activation",
        "optimizer",
        "learning_rate",
        "solved",
        "solved_low",
        "solved_high",
        "followed",
    )
    table: dict[str, list] = {name: [] for name in (*columns, *every)}
    for setting, (w, a, o) in enumerate(np.ndindex(rate.shape)):
        here, found = m["setting"] == setting, share(m["loss"][w, a, o] < SOLVED)
        values = (WIDTHS[w], ACTIVATIONS[a], OPTIMIZERS[o], m["rate"][w, a, o], *found[:3], int(here.sum()))
        for name, value in zip(columns, values):
            table[name].append(value)
        for name, flags in every.items():
            table[name].append(int(flags[here].sum()))
    return table


CLAIM = Claim(
    id="F1.4",
    statement="A gradient optimizer can find parameters of a small network that give little error on XOR. "
    "Besides the solution set by hand there are equivalent ones that descent can reach, and where it "
    "converges depends on the initial values.",
    source="notes, «funcionamiento básico»; Goodfellow et al. 2016, 6.1",
    options=XorStarts,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "descent can",
            "Descent solves XOR with the notes' network, two ReLU units, from more than one start in ten.",
            what="share of starts that solve XOR, two ReLU units, SGD",
            effect=lambda m: share(m["loss"][0, RELU, SGD] < SOLVED),
            rule=Above(0.1),
        ),
        Part(
            "it depends on the start",
            "With the optimizer that solves most, that network still fails from more than one start in ten.",
            what="share of starts that fail, two ReLU units, best optimizer",
            effect=lambda m: share(m["loss"][0, RELU, np.argmax(solved_share(m)[0, RELU])] >= SOLVED),
            rule=Above(0.1),
        ),
        Part(
            "equivalent solutions",
            "Most solutions are not the one set by hand, whatever the order and the scale of the units.",
            what="share of solutions of two ReLU units, SGD, further than 0.1 from it",
            effect=lambda m: share(m["distance"] > 0.1),
            rule=Above(0.5),
        ),
        Part(
            "width",
            "Eight ReLU units depend little on the start: nine in ten solve XOR.",
            what="share of starts that solve XOR, eight ReLU units, SGD",
            effect=lambda m: share(m["loss"][-1, RELU, SGD] < SOLVED),
            rule=Above(0.9),
        ),
        Part(
            "failures are minima",
            "The failures of two ReLU units, trained on, stand still where no direction leads down.",
            what=f"share with a gradient below {STILL:g} and no eigenvalue below −{FLAT:g}",
            effect=lambda m: share(kinds(m)["minimum"][of_notes(m)]),
            rule=Above(0.9),
        ),
        Part(
            "of three kinds",
            "There J is 1/4, 1/6 or 1/8: four, three or two of the points share one answer.",
            what=f"share with J within {NEAR:g} of one of these",
            effect=lambda m: share(~kinds(m)["other"][of_notes(m)]),
            rule=Above(0.9),
        ),
    ),
    revised=(
        "At first 85% of the failures of two ReLU units met the criterion of a minimum, the others "
        "were still descending when the steps ran out: failures are now followed for nine times the "
        "steps."
    ),
)


def solved_share(m: Measured) -> np.ndarray:
    """Share of starts that solve XOR, ``(widths, activations, optimizers)``."""
    return (m["loss"] < SOLVED).mean(-1)
