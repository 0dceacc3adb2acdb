"""Networks that can represent a target exactly, trained from many starts: how many reach it.

The notes: a large enough network can represent any function, but training is not guaranteed to learn it.
It may not find the parameters of the function, or may choose a wrong function by overfitting.

Measured on four targets that a ReLU network represents with parameters that are written down here:

* XOR: two units of one layer;
* parity of five bits: five units, for a sawtooth of the number of ones;
* a teacher: a random network of five inputs and six units, a student of the same shape, 256 examples;
  every start has a teacher of its own;
* a sawtooth of 16 pieces: four layers of two units, each folding the line once more.

Each is trained from many random starts by Adam with the learning rate, of a grid, at which most of other
starts reach the target, and again with half of the steps. A start has reached it when the mean squared
error on the training examples is below 1% of the target's variance. Networks four times as wide, which
represent the same, are drawn beside them. For overfitting, the student has 24 examples for its 43
parameters; starts that reach its target are tested on 1,000 more examples, where a wrong function is one
with an error above 10% of the variance.
"""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import jax
import numpy as np
from pydantic import Field

from dlnotes import data, layers, models, outputs
from dlnotes.claims import (
    Above,
    Below,
    Claim,
    Interval,
    Measured,
    Options,
    Part,
    Plateau,
    Plot,
    exact,
    notes,
    share,
)
from dlnotes.plotting import BLUE, GRAY, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, fit, optimizer, predict, schedules

from .sawtooth import as_float32, deep, random_start, sawtooth

RATES = np.array([1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1])
REACHED, WRONG = 0.01, 0.1
"""Shares of the target's variance."""
TARGETS = ("XOR", "parity of 5 bits", "teacher", "sawtooth, 16 pieces")
WIDTHS = ((2,), (5,), (6,), (2, 2, 2, 2))
WIDER = 4
TEACHER, XOR, PARITY, SAW = 2, 0, 1, 3
FEW, FEW_STARTS = 24, 100
INPUTS, UNITS = 5, 6


class RepresentingIsNotLearning(Options):
    """Sizes of the experiment."""

    starts: int = Field(300, ge=10, description="trainings that count, of each network as wide as needed")
    wide_starts: int = Field(40, ge=0, description="trainings that count, of each wider network; 0: none")
    tuning_starts: int = Field(20, ge=2, description="trainings of each network and rate, to choose the rate")
    steps: int = Field(2000, ge=20, description="steps of each training")


class Task(NamedTuple):
    """A target and parameters that represent it, leaves with a leading members axis."""

    x: np.ndarray
    y: np.ndarray
    exact: models.MLP


def bits(n: int, members: int) -> Task:
    """Parity of all vectors of n bits, by n units: the number of ones goes up and down between 0 and 1."""
    x = np.array(list(product([0, 1], repeat=n)), np.float32)
    jumps = 2.0 * (-1.0) ** np.arange(n)
    jumps[0] = 1
    layer = layers.Dense(np.ones((n, n)), -np.arange(n, dtype=float))
    params = models.MLP((layer,), (None,), layers.Dense(jumps[:, None], np.zeros(1)))
    return _for_all(x, x.sum(1, keepdims=True) % 2, params, members)


def folds(n: int, members: int) -> Task:
    """The sawtooth of n folds at 128 points, by n layers of two units."""
    x = (np.arange(128, dtype=np.float32)[:, None] + 0.5) / 128
    return _for_all(x, sawtooth(x, n), deep(n), members)


def teachers(examples: int, members: int, seed: int = 1000) -> Task:
    """A random network for each member, and what it answers to normal inputs."""
    rng = np.random.default_rng(seed)
    W, b = rng.normal(size=(members, INPUTS, UNITS)), rng.normal(size=(members, UNITS))
    v = rng.normal(size=(members, UNITS, 1))
    params = models.MLP((layers.Dense(W, b),), (None,), layers.Dense(v, np.zeros((members, 1))))
    x = rng.normal(size=(members, examples, INPUTS)).astype(np.float32)
    y = np.maximum(np.einsum("mni,mio->mno", x, W) + b[:, None], 0) @ v
    # One scale for all: variance 1, so that the same rates fit.
    scale = y.std(axis=(1, 2), keepdims=True)
    params = params._replace(output=layers.Dense(v / scale, np.zeros((members, 1))))
    return Task(x, (y / scale).astype(np.float32), as_float32(params))


def _for_all(x: np.ndarray, y: np.ndarray, params: models.MLP, members: int) -> Task:
    def repeated(a: Any) -> np.ndarray:
        return np.broadcast_to(np.asarray(a, np.float32), (members, *np.shape(a)))

    return Task(repeated(x), repeated(y), jax.tree.map(repeated, params))


def task(target: int, members: int) -> Task:
    """The target by its place in `TARGETS`."""
    if target == TEACHER:
        return teachers(256, members)
    return folds(4, members) if target == SAW else bits((2, 5)[target], members)


def left(widths: tuple[int, ...], params: models.MLP, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Share of the target's variance that is left, each member; infinite where training broke down."""
    answers = predict(models.mlp(x.shape[-1], widths, 1), params, x, per_member=True).astype(np.float64)
    error = np.mean((answers - y) ** 2, axis=(1, 2)) / np.var(y.astype(np.float64), axis=(1, 2))
    return np.where(np.isfinite(error), error, np.inf)


def train(steps: int, given: Task, widths: tuple[int, ...], rates: np.ndarray, seed: int) -> models.MLP:
    """Parameters of every member; ``rates`` (members,)."""
    members, _, inputs = given.x.shape
    factor = schedules.cosine(steps)
    model = models.mlp(inputs, widths, 1)

    def recipe(hyper: Hyperparams) -> Recipe:
        return Recipe(model, outputs.squared_error, {}, optimizer("adam", hyper["rate"], factor=factor))

    return fit(
        recipe,
        data.Examples(given.x, given.y),
        steps=steps,
        seeds=np.zeros(members, np.int32),  # nothing is drawn: the starts are given, the batch is everything
        hyperparams={"rate": rates},
        start=random_start(np.random.default_rng(seed), (inputs, *widths), members),
        record=steps,
        data_per_member=True,
    ).params


class Search(NamedTuple):
    """What the starts of a network came to.

    Attributes:
      left: (starts,) share of the variance left.
      half: likewise after a training of half the steps; the same array where there was none.
      rate: that the tuning starts chose.
      params: parameters, leaves (starts, ...), of the whole and of the half training.
    """

    left: np.ndarray
    half: np.ndarray
    rate: float
    params: tuple[models.MLP, models.MLP]


def search(
    options: RepresentingIsNotLearning,
    given: Task,
    widths: tuple[int, ...],
    starts: int,
    seed: int,
    *,
    half: bool = True,
) -> Search:
    """Train the starts that count at the rate which is best for others.

    The first ``starts`` members of the task count, the others are for choosing the rate.
    """
    tuning = Task(*jax.tree.map(lambda a: a[starts:], given))
    rates = np.resize(RATES, len(tuning.x))
    error = left(widths, train(options.steps, tuning, widths, rates, seed), tuning.x, tuning.y)
    error = error.reshape(-1, len(RATES))
    best = max(range(len(RATES)), key=lambda i: (np.mean(error[:, i] < REACHED), -np.median(error[:, i])))
    judged = Task(*jax.tree.map(lambda a: a[:starts], given))
    rate = np.full(starts, RATES[best])
    whole = train(options.steps, judged, widths, rate, seed + 1)
    shorter = train(options.steps // 2, judged, widths, rate, seed + 1) if half else whole
    errors = (left(widths, params, judged.x, judged.y) for params in (whole, shorter))
    return Search(*errors, float(RATES[best]), (whole, shorter))  # pyright: ignore[reportCallIssue]


def measure(options: RepresentingIsNotLearning) -> dict[str, np.ndarray]:
    """Every target, as wide as needed and wider; then the student with few examples."""
    tuning = len(RATES) * options.tuning_starts
    names = ("left", "half", "rates", "wide_left", "wide_rates", "representing")
    found: dict[str, list] = {name: [] for name in names}
    for target, widths in enumerate(WIDTHS):
        given = task(target, options.starts + tuning)
        found["representing"].append(left(widths, given.exact, given.x, given.y).max())
        needed = search(options, given, widths, options.starts, seed=1000 + 10 * target)
        found["left"].append(needed.left)
        found["half"].append(needed.half)
        found["rates"].append(needed.rate)
        if options.wide_starts == 0:
            continue
        wider = tuple(WIDER * w for w in widths)
        given = task(target, options.wide_starts + tuning)
        wide = search(options, given, wider, options.wide_starts, seed=1000 + 10 * target + 5, half=False)
        found["wide_left"].append(wide.left)
        found["wide_rates"].append(wide.rate)
    more = teachers(FEW + 1000, FEW_STARTS + tuning, seed=1001)
    few = Task(more.x[:, :FEW], more.y[:, :FEW], more.exact)
    student = search(options, few, (UNITS,), FEW_STARTS, seed=1099)
    x, y = more.x[:FEW_STARTS, FEW:], more.y[:FEW_STARTS, FEW:]
    test, half_test = (left((UNITS,), params, x, y) for params in student.params)
    return {name: np.array(values) for name, values in found.items()} | {
        "few_left": student.left,
        "few_test": test,
        "few_left_half": student.half,
        "few_test_half": half_test,
    }


def draw(options: RepresentingIsNotLearning, m: Measured) -> Plot:
    """Shares that reach each target on the left, training and test error of few examples on the right."""
    figure = new_figure(9.5, 4.0)
    axis, right = figure.subplots(1, 2, width_ratios=[1.3, 1])
    table: dict[str, list] = {
        "target": [],
        "width": [],
        "learning_rate": [],
        "reached": [],
        "low": [],
        "high": [],
    }
    for wide, (label, color) in enumerate((("as wide as needed", BLUE), (f"{WIDER} times as wide", ORANGE))):
        if wide and len(m["wide_left"]) == 0:
            continue
        places = np.arange(len(TARGETS)) + 0.2 * (2 * wide - 1)
        reached = [share(row < REACHED) for row in m["wide_left" if wide else "left"]]
        value, low, high = (100 * np.array([i[k] for i in reached]) for k in range(3))
        axis.barh(places, value, 0.38, color=color, label=label)
        axis.errorbar(value, places, xerr=[value - low, high - value], fmt="none", ecolor=GRAY, capsize=3)
        rates = m["wide_rates" if wide else "rates"]
        for target, interval in enumerate(reached):
            width = WIDTHS[target][0] * (WIDER if wide else 1)
            row = (TARGETS[target], width, float(rates[target]), *interval[:3])
            for name, entry in zip(table, row):
                table[name].append(entry)
    axis.set(yticks=range(len(TARGETS)), yticklabels=TARGETS, xlim=(0, 100))
    axis.set_xlabel("starts that reach the target (%)")
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.legend(loc="upper center", bbox_to_anchor=(0.4, 1.14), ncols=2, fontsize=9)
    fits, test = m["few_left"], m["few_test"]
    floor = 1e-9
    right.plot(100 * np.maximum(fits, floor), 100 * test, "o", color=BLUE, ms=4, alpha=0.7, label="a start")
    right.axvline(100 * REACHED, color=GRAY, ls="--", lw=1, label="left of it: reached")
    right.axhline(100 * WRONG, color=ORANGE, ls="--", lw=1, label="above it: a wrong function")
    right.set(xscale="log", yscale="log", xlabel=f"variance left on the {FEW} training examples (%)")
    right.set_ylabel("variance left on others (%)")
    right.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
    reached = (m["left"] < REACHED).mean(-1)
    worst = int(np.argmin(reached))
    set_title(
        figure,
        f"Of networks that can represent their target {100 * reached[worst]:.0f}% "
        f"({TARGETS[worst].split(',')[0]}) to {100 * reached.max():.0f}% reach it",
    )
    return Plot(figure, table)


def wrong_share(when: str = ""):
    """Effect: wrong functions among those that fit their few examples."""

    def effect(m: Measured) -> Interval:
        fits = m[f"few_left{when}"] < REACHED
        return share(int((fits & (m[f"few_test{when}"] > WRONG)).sum()), max(1, int(fits.sum())))

    return effect


WHERE = "diseño de la arquitectura"
NOT_FOUND = notes(
    WHERE,
    "it is not guaranteed that training learns the function: it may fail to find the parameters that "
    "correspond to it",
)


def _not_guaranteed(target: int) -> Part:
    return Part(
        TARGETS[target],
        f"More than one start in twenty does not reach it: {TARGETS[target]}, with {_shape(WIDTHS[target])}.",
        what="share of starts that leave less than 1% of the target's variance",
        effect=lambda m: share(m["left"][target] < REACHED),
        rule=Below(0.95),
        source=NOT_FOUND,
        learned=Plateau(lambda m: share(m["half"][target] < REACHED)),
    )


def _shape(widths: tuple[int, ...]) -> str:
    return f"{widths[0]} units" if len(widths) == 1 else f"{len(widths)} layers of {widths[0]} units"


def _reached_percent(m: Measured) -> dict[str, float]:
    """Percent of starts that reach a target: of wider networks (NaN where there are none), the teacher."""
    names = ("XOR", "parity", "teacher", "sawtooth")
    wide = m["wide_left"] if len(m["wide_left"]) else np.full((len(names), 1), np.nan)
    found = {name: np.where(np.isnan(row), np.nan, row < REACHED) for name, row in zip(names, wide)}
    found |= {"half": m["half"][TEACHER] < REACHED, "whole": m["left"][TEACHER] < REACHED}
    return {name: float(100 * np.mean(reached)) for name, reached in found.items()}


CLAIM = Claim(
    id="F4.2",
    statement="That a network can represent a function does not guarantee that training learns it: it may "
    "not find the parameters, or may choose a wrong function by overfitting.",
    source="notes, «diseño de la arquitectura»; Goodfellow et al. 2016, 6.4.1",
    options=RepresentingIsNotLearning,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "they can represent",
            "With the parameters written down every network is its target, but for rounding.",
            what="largest share of the variance left, over the four targets",
            effect=lambda m: exact(m["representing"].max(), len(TARGETS)),
            rule=Below(1e-10),
            source=notes(WHERE, "a large MLP is able to represent the function that one wants to learn"),
        ),
        *(_not_guaranteed(target) for target in range(len(TARGETS))),
        Part(
            "a wrong function",
            f"With {FEW} examples most students that reach the teacher on these are wrong elsewhere.",
            what="share, of the students that fit their examples, with more than 10% of the variance left "
            "on new ones",
            effect=wrong_share(),
            rule=Above(0.5),
            source=notes(WHERE, "or a wrong function may be chosen because of overfitting"),
            learned=Plateau(wrong_share("_half")),
        ),
    ),
    method="Data: XOR, parity of five bits, random teachers of six units with 256 examples (24 for the "
    "last part), and a sawtooth of 16 pieces at 128 points. Networks: ReLU networks just large enough for "
    "parameters that are written down here. Training: Adam on all examples, {options.steps} steps, a "
    "cosine schedule, the rate of a grid of six at which most of {options.tuning_starts} other starts "
    "reach the target. {options.starts} random starts of each count; intervals cover starts.",
    reading="These networks have no spare units. Of networks four times as wide, drawn beside them, "
    "{facts[XOR]}% of the starts reach XOR, {facts[parity]}% parity, {facts[teacher]}% the teacher and "
    "{facts[sawtooth]}% the sawtooth: the failures of small networks say little about large ones. The "
    "teacher is the closest case: with half of the steps {facts[half]}% of the starts reach it, with all "
    "of them {facts[whole]}%, so that still longer training may bring it above the threshold, which is "
    "ours.",
    facts=_reached_percent,
    revised=(
        "The teacher's share was 0.91 (up to 0.952, open) with 100 starts and 0.86 to 0.91 with more; "
        "after that the number of starts was set to 300 and the seeds to fresh ones, once. After an audit "
        "of all rows the grid of rates is wider, and trainings of half the length say whether training was "
        "long enough."
    ),
)
