"""A small network finds the place, a second one looks only there: against one that sees everything.

The notes: another kind of cascade implements a hard attention: its first models locate the object, and
the last ones go on from its place.

Measured: digits of MNIST, made 14×14 pixels, at any place of a canvas of 30×30, among four pieces of other
digits. The first network sees means of 3×3 pixels and gives each of these cells a logit; the second sees
14×14 pixels around the best cell. Rivals see the whole canvas and find a digit wherever it is, for a class's
logit is the largest value of its map: a network of three times the cascade's multiply-adds, and a narrower
one with as many. Places are known in training (cross-entropy, and the classifier sees crops at places near
the right one), or they are not: then a cell is drawn and the score function's gradient tells the first
network what the second one lost there. The control looks at random places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, models, outputs
from dlnotes.analysis import count
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
    mean,
    notes,
    ours,
    paired,
)
from dlnotes.outputs import PerExample
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, PURPLE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, optimizer, schedules, tune_briefly_and_train
from dlnotes.typing import Array, Params

from ._canvases import CANVAS, CELLS, COARSE, DIGIT, PIECE, PIECES, Looked, canvases, looked

CLASSES = 10
RATES = (0.001, 0.003, 0.01)
FIRST_SEED = 13_800
SHOWN = 4
ENTROPY = 0.02
"""Factor of the bonus for the entropy of the places, where they are learned."""

LOCATOR = models.pixel_labeler((CELLS, CELLS, 1), 1, channels=(4,), convolutions=3)
CLOSE = models.cnn((DIGIT, DIGIT, 1), CLASSES, channels=(8, 16), kernel=3, dense=(64,))
ATTENTION = models.hard_attention(LOCATOR, CLOSE, coarse=COARSE, size=DIGIT)


def anywhere(*channels: int) -> models.Model:
    """Convolutions, all but the last with pooling, then a map for each class: its largest value is the logit.

    It takes images of any size, and finds a digit wherever it is.
    """
    stages = [models.Stage(n, pool=2) for n in channels[:-1]] + [models.Stage(channels[-1])]
    maps = models.conv_net((None, None, 1), CLASSES, stages=stages, head="maps")

    def apply(params: Params, x: Any, /, *, key: Any = None, mask: Any = None) -> Array:
        return maps.apply(params, x).max((1, 2))

    return models.Model(maps.init, apply)


WHOLE, CHEAP = anywhere(6, 12, 24, 24), anywhere(4, 6, 10, 10)
KNOWN, LEARNED, RANDOM, EVERYTHING, EQUAL = range(5)
ARMS = ("places known", "places learned", "random places", "whole canvas", "whole, equal cost")
COLORS = (BLUE, GREEN, GRAY, ORANGE, PURPLE)


class Attention(Options):
    """Sizes of the experiment."""

    images: int = Field(50_000, ge=100, description="training canvases")
    validation: int = Field(1000, ge=50, description="canvases by which learning rates are chosen")
    test: int = Field(5000, ge=50, description="test canvases")
    steps: int = Field(4000, ge=2, description="steps of each training")
    batch: int = Field(64, ge=2, description="examples of a step")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each learning rate, to choose one")
    tuning_steps: int = Field(300, ge=1, description="steps of those trainings")


def cost_of(model: models.Model) -> int:
    """Multiply-adds for one canvas."""
    return count(model, np.zeros((1, CANVAS, CANVAS, 1), np.float32)).multiply_adds


def network(which: int) -> models.Model:
    """A network of an arm. Its output begins with the logits of the classes; then comes what a loss needs.

    With a key, as in training, the first looks near the right place and the second at one that it draws;
    without one both look at the best.
    """

    def apply(params: Params, x: Looked, /, *, key: Any = None, mask: Any = None) -> Array:
        if which in (EVERYTHING, EQUAL):
            return (WHOLE if which == EVERYTHING else CHEAP).apply(params, x.canvas)
        cell = x.far if which == RANDOM else x.near if which == KNOWN and key is not None else None
        found = models.glimpse(
            LOCATOR, CLOSE, params, x.canvas, coarse=COARSE, size=DIGIT, key=key, cell=cell
        )
        log_p = jax.nn.log_softmax(found.places)
        right = jnp.take_along_axis(log_p, x.cell[:, None], axis=1)
        entropy = -jnp.sum(jnp.exp(log_p) * log_p, axis=1, keepdims=True)
        return jnp.concatenate([found.logits, right, found.log_prob[:, None], entropy], axis=1)

    init = {EVERYTHING: WHOLE, EQUAL: CHEAP}.get(which, ATTENTION).init
    return models.Model(init, apply)


def loss_of(which: int) -> Callable[[Array, Array], PerExample]:
    """Cross-entropy of the class, and what teaches the first network.

    Known places: cross-entropy of the cell. Learned: ``(C − b) log p(cell) − ε H``, in which C is the
    cross-entropy of the class at the cell that was drawn and b its mean over the other examples.
    """

    def loss(output: Array, y: Array) -> PerExample:
        found = outputs.cross_entropy(output[:, :CLASSES], y)
        cost = found.total
        if which == KNOWN:
            return PerExample(cost - output[:, CLASSES], found.count)
        if which == LEARNED:
            n = cost.shape[0]
            others = (jnp.sum(cost) - cost) / max(1, n - 1)
            advantage = jax.lax.stop_gradient(cost - others)
            cost = cost + advantage * output[:, CLASSES + 1] - ENTROPY * output[:, CLASSES + 2]
        return PerExample(cost, found.count)

    return loss


def accuracy(output: Array, y: Array) -> PerExample:
    """Of the classes."""
    return outputs.accuracy(output[:, :CLASSES], y)


def train(which: int, train: data.Examples, held: data.Examples, o: Attention) -> tuple[Params, float]:
    """Parameters ``(2, members, ...)`` after half of the steps and after all, and the chosen rate."""

    def recipe_of(steps: int) -> Callable[[Hyperparams], Recipe]:
        fall = schedules.cosine_restarts(steps, cycles=2)

        def of(hyper: Hyperparams) -> Recipe:
            adam = optimizer("adam", hyper["rate"], factor=fall)
            drawn = which in (KNOWN, LEARNED)
            return Recipe(network(which), loss_of(which), {"accuracy": accuracy}, adam, random=drawn)

        return of

    half = max(o.steps // 2, 1)
    tuned = tune_briefly_and_train(
        recipe_of,
        train,
        held,
        {"network": [which]},
        {"rate": RATES},
        seeds=o.seeds,
        tuning_seeds=o.tuning_seeds,
        first_seed=FIRST_SEED,
        score="accuracy",
        steps=2 * half,
        tuning_steps=o.tuning_steps,
        batch_size=o.batch,
        every=half,
        probe=lambda params: params,
        record=half,
        convolutions=True,
    )
    return jax.tree.map(lambda a: a[1:3], tuned.fit.probes), RATES[tuned.chosen[0]]


def right(which: int, params: Params, test: data.Examples, rows: int = 500) -> np.ndarray:
    """Share of test canvases that each member classifies rightly, ``(members,)``."""
    model = network(which)

    @jax.jit
    def some(params: Params, x: Looked, y: Array) -> Array:
        return jax.lax.map(lambda p: jnp.sum(jnp.argmax(model.apply(p, x)[:, :CLASSES], -1) == y), params)

    found = [
        np.asarray(some(params, jax.tree.map(lambda a, i=i: a[i : i + rows], test.x), test.y[i : i + rows]))
        for i in range(0, test.size, rows)
    ]
    return np.sum(found, axis=0) / test.size


def chosen_cells(params: Params, canvas: np.ndarray, rows: int = 500) -> np.ndarray:
    """The cells ``(members, n)`` that each member looks at."""

    @jax.jit
    def some(params: Params, x: Array) -> Array:
        look = lambda p: models.glimpse(LOCATOR, CLOSE, p, x, coarse=COARSE, size=DIGIT).cell  # noqa: E731
        return jax.lax.map(look, params)

    parts = [np.asarray(some(params, canvas[i : i + rows])) for i in range(0, len(canvas), rows)]
    return np.concatenate(parts, axis=1)


def measure(options: Attention) -> dict[str, np.ndarray]:
    """Train all arms on the same canvases and test them on the same others."""
    digits = data.load("mnist", standardize=False)
    sizes = {"train": options.images, "validation": options.validation, "test": options.test}
    made = {
        name: looked(canvases(digits.split(name), n, FIRST_SEED + i), FIRST_SEED + i)
        for i, (name, n) in enumerate(sizes.items())
    }
    test = made["test"]
    accuracies, rates, cells = [], [], {}
    for which in range(len(ARMS)):
        params, rate = train(which, made["train"], made["validation"], options)
        accuracies.append(
            [right(which, jax.tree.map(lambda a, when=when: a[when], params), test) for when in range(2)]
        )
        rates.append(rate)
        if which in (KNOWN, LEARNED):
            cells[which] = chosen_cells(jax.tree.map(lambda a: a[1], params), test.x.canvas)
    away = [
        np.abs(np.stack(np.divmod(c, CELLS)) - np.stack(np.divmod(test.x.cell, CELLS))[:, None]).max(0)
        for c in (cells[KNOWN], cells[LEARNED])
    ]
    return {
        "accuracy": np.array(accuracies),  # (arms, half and all steps, seeds)
        "rates": np.array(rates),
        "located": np.array([(a <= 1).mean(1) for a in away]),  # (places known and learned, seeds)
        "cost": np.array([cost_of(m) for m in (ATTENTION, ATTENTION, ATTENTION, WHOLE, CHEAP)]),
        "shown": np.asarray(test.x.canvas[:SHOWN, ..., 0]),
        "shown_cells": np.stack([cells[w][0, :SHOWN] for w in (KNOWN, LEARNED)]),
    }


def percent(m: Measured, which: int, when: int = 1) -> np.ndarray:
    """Accuracy of an arm, ``(seeds,)``."""
    return 100 * m["accuracy"][which, when]


def behind(m: Measured, when: int = 1) -> Interval:
    """Points of accuracy that the cascade is behind the network on the whole canvas."""
    return paired(percent(m, EVERYTHING, when), percent(m, KNOWN, when))


def of_the_gap(m: Measured) -> Interval:
    """How much of what known places gain over random ones is gained without knowing them, in percent."""
    gap = percent(m, KNOWN) - percent(m, RANDOM)
    return mean(100 * (percent(m, LEARNED) - percent(m, RANDOM)) / np.where(gap == 0, 1.0, gap))


def draw(options: Attention, m: Measured) -> Plot:
    """Accuracy against cost, and where the networks look."""
    from matplotlib.patches import Rectangle

    figure = new_figure(10.5, 4.0)
    grid = figure.add_gridspec(2, 2 + SHOWN // 2)
    left = figure.add_subplot(grid[:, :2])
    for which, (name, color) in enumerate(zip(ARMS, COLORS)):
        values, cost = percent(m, which), m["cost"][which] / 1e3
        left.plot(np.full(len(values), cost), values, "o", color=color, alpha=0.6, label=name)
    left.set(xlabel="thousand multiply-adds of a canvas", ylabel="test accuracy in %", xlim=(0, None))
    left.legend(fontsize=8, loc="lower right")
    for i, canvas in enumerate(m["shown"]):
        axis = figure.add_subplot(grid[i % 2, 2 + i // 2])
        axis.imshow(canvas, cmap="gray_r", vmin=0, vmax=1)
        for cell, color in zip(m["shown_cells"][:, i], (BLUE, GREEN)):
            top, across = (COARSE * v + COARSE // 2 - DIGIT // 2 for v in divmod(int(cell), CELLS))
            axis.add_patch(Rectangle((across, top), DIGIT, DIGIT, fill=False, ec=color, lw=1.4))
        axis.set(xticks=[], yticks=[], xlim=(-0.5, CANVAS - 0.5), ylim=(CANVAS - 0.5, -0.5))
        axis.grid(visible=False)
        axis.spines[:].set_visible(True)
    share = 100 * m["cost"][KNOWN] / m["cost"][EVERYTHING]
    set_title(
        figure,
        f"Looking only where a small network points: {percent(m, KNOWN).mean():.1f}% right with "
        f"{share:.0f}% of the multiply-adds of the network that sees everything ("
        f"{percent(m, EVERYTHING).mean():.1f}%)",
    )
    table = {
        "arm": list(ARMS),
        "multiply-adds": [int(c) for c in m["cost"]],
        "accuracy %": [float(percent(m, i).mean()) for i in range(len(ARMS))],
        "after half of the steps %": [float(percent(m, i, 0).mean()) for i in range(len(ARMS))],
        "rate": [float(r) for r in m["rates"]],
    }
    return Plot(figure, table)


def _facts(m: Measured) -> dict[str, Any]:
    names = ("known", "learned", "random", "everything", "equal")
    return {name: f"{percent(m, i).mean():.1f}" for i, name in enumerate(names)} | {
        "cost": f"{m['cost'][KNOWN]:,}",
        "whole": f"{m['cost'][EVERYTHING]:,}",
    }


SECTION = "aprendizaje profundo a gran escala"
LOCATES = notes(SECTION, "the first models locate the object, the last ones go on from its place")

CLAIM = Claim(
    id="L13.8",
    statement="In a cascade that is a hard attention the first models locate the object and the last ones "
    "process only its place.",
    source="notes, «aprendizaje profundo a gran escala»; Goodfellow et al. 2016, 12.1.5; Mnih et al. 2014",
    options=Attention,
    measure=measure,
    draw=draw,
    method=f"Digits of MNIST of {DIGIT}×{DIGIT} pixels at any place of {CANVAS}×{CANVAS}, with {PIECES} "
    f"pieces of {PIECE}×{PIECE} pixels of others. A net of three 3×3 convolutions sees means of "
    f"{COARSE}×{COARSE} pixels and gives each cell a logit; a convolutional classifier sees "
    f"{DIGIT}×{DIGIT} pixels around the best. The rivals are convolutional nets on the whole canvas, "
    "whose logits are the largest values of class maps, with three times the multiply-adds and with "
    "as many. Places are known in training, or learned by the score function's gradient; a control "
    "looks at random places. {options.images} canvases, {options.steps} steps of {options.batch} by "
    "Adam, at the rate with the best validation accuracy of {options.tuning_seeds} other seeds. "
    "{options.seeds} seeds are judged; intervals cover seeds only.",
    parts=(
        Part(
            "as good",
            "The cascade is less than one point behind a network that sees the whole canvas.",
            what="test accuracy of the network on the whole canvas minus that of the cascade, points",
            effect=behind,
            rule=Below(1.0),
            source=LOCATES,
            learned=Plateau(lambda m: behind(m, 0)),
        ),
        Part(
            "a third of the cost",
            "It needs at most a third of the multiply-adds.",
            what="multiply-adds of both networks, % of the network on the whole canvas",
            effect=lambda m: exact(100 * m["cost"][KNOWN] / m["cost"][EVERYTHING]),
            rule=Below(100 / 3),
            source=LOCATES,
        ),
        Part(
            "located",
            "The first network finds the place on more than 95% of the canvases.",
            what="share of canvases whose best cell is the right one or beside it, %",
            effect=lambda m: mean(100 * m["located"][0]),
            rule=Above(95.0),
            source=ours("the second network sees the digit only there"),
        ),
        Part(
            "than equal cost",
            "The cascade is better than a network on the whole canvas with as many multiply-adds.",
            what="test accuracy of the cascade minus that of the network of equal cost, points",
            effect=lambda m: paired(percent(m, KNOWN), percent(m, EQUAL)),
            rule=Above(0.0),
            source=ours("the fair rival where multiply-adds are what is scarce"),
        ),
        Part(
            "than random places",
            "It is more than 20 points better than the same networks that look at random places.",
            what="test accuracy of the cascade minus that at random places, points",
            effect=lambda m: paired(percent(m, KNOWN), percent(m, RANDOM)),
            rule=Above(20.0),
            source=ours("the control: what the place is worth"),
        ),
        Part(
            "learned places",
            "Without known places more than 80% of this gain is learned.",
            what="gain over random places of learned places, % of the gain of known ones",
            effect=of_the_gap,
            rule=Above(80.0),
            source=ours("places are seldom known; the score function needs only the class"),
        ),
    ),
    facts=_facts,
    reading="With {facts[cost]} multiply-adds the cascade classifies {facts[known]}% rightly, the network on "
    "the whole canvas {facts[everything]}% with {facts[whole]}, and a narrower one of equal cost "
    "{facts[equal]}%. Places learned from the classes alone give {facts[learned]}%, random ones "
    "{facts[random]}%.",
    revised="In pilots on other seeds, with digits and canvases twice as large, the rival laid its maps out "
    "flat before a dense layer and learned in many more steps than the cascade; now it is a network "
    "that finds a digit wherever it is, and everything is half as large, so that it can be trained "
    "far enough. The first network has three convolutions instead of two, so that it sees a whole "
    "digit. No rule was changed.",
)
