"""Depth inside a recurrent step: harder to train, and what a connection past the layer mends.

The notes: a network of its own in each block of a recurrent net gives it capacity, but depth can harm
learning, for the optimization becomes hard: with one layer between two states the shortest path from a
step to the next is twice as long. Skip connections from state to state mitigate that.

Measured on four tanh nets of as many parameters: the plain one; one with a hidden layer between two
states; the same with a skip past it, from state to state; and two plain cells stacked, which is not judged.
Two tasks at several lengths: a bit shown for three steps and asked for after noise; and real
images of digits, read as 8 rows or as 64 single pixels. Each net, task and length has
the same budget of steps of Adam and its own best learning rate and start, chosen among eight on other
seeds by validation loss. The matrices on the way from state to state start uniform by Glorot's rule, or
all orthogonal (those of the two ways that the skip makes over √2, so that no net's states grow or
fade at the start). Harder to train means a higher training loss at the end.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, NamedTuple

import jax
import numpy as np
from pydantic import Field
from scipy import stats

from dlnotes import data, layers, models
from dlnotes.claims import Above, Claim, Measured, Options, Part, Plot, paired
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, evaluate, tune_and_train
from dlnotes.training.optimizers import NOT_DECAYED, leaf_name
from dlnotes.typing import Params

from ._reader import recipe

NETS = ("plain", "deep transition", "with a skip", "stacked")
COLORS = (BLUE, ORANGE, GREEN, GRAY)
PLAIN, DEEP, SKIP, STACKED = range(4)
TASKS = ("latch", "digits")
CHANCE = (np.log(2), np.log(10))
STARTS = ("Glorot", "orthogonal")
RATES = np.array([1e-3, 3e-3, 1e-2, 3e-2])
SIDE = 8
"""Of the images of digits."""


class DeepTransitions(Options):
    """Sizes of the experiment."""

    hidden: int = Field(32, ge=2, description="units of the plain net; it sets the number of parameters")
    latch_lengths: tuple[int, ...] = Field((20, 40, 80), min_length=1, description="of the bit's sequences")
    digit_steps: tuple[int, ...] = Field((8, 64), min_length=1, description="an image is read in so many")
    examples: int = Field(1000, ge=10, description="training sequences of the bit; half as many for tests")
    steps: int = Field(500, ge=1, description="steps of each training")
    batch: int = Field(32, ge=1, description="sequences of a step")
    tuning_seeds: int = Field(2, ge=1, description="trainings of each net with each rate and start")


class Task(NamedTuple):
    """Sequences of one length in three parts, and how many classes they have."""

    train: data.Examples
    validation: data.Examples
    test: data.Examples
    classes: int


def latch(options: DeepTransitions, length: int) -> Task:
    """A bit for three steps, then noise."""
    rng = np.random.default_rng(length)
    sizes = (options.examples, options.examples // 2, options.examples // 2)
    drawn = [data.draw_latch(rng, n, min_length=length, max_length=length) for n in sizes]
    first, second, third = (data.Examples(part.x, part.y) for part in drawn)
    return Task(first, second, third, 2)


def digits(steps: int) -> Task:
    """The images row by row, cut into so many steps of as many pixels each."""
    dataset = data.load("digits")

    def cut(part: data.Examples) -> data.Examples:
        return data.Examples(part.x.reshape(len(part.y), steps, SIDE**2 // steps), part.y)

    first, second, third = (cut(dataset.split(name)) for name in ("train", "validation", "test"))
    return Task(first, second, third, 10)


def network(net: int, task: Task, hidden: int) -> models.Model:
    """One of the nets, with so many units in each state and layer."""
    inputs = np.shape(task.train.x)[-1]
    cell = layers.deep_transition((hidden,), skip=net == SKIP) if net in (DEEP, SKIP) else layers.rnn
    return models.sequence_classifier(
        inputs, hidden, task.classes, cell=cell, layers=2 if net == STACKED else 1
    )


def drawn_starts(model: models.Model, start: np.ndarray, seeds: np.ndarray) -> Params:
    """Starting parameters of every member, by the place of its start in STARTS; leaves (members, ...)."""
    shapes: Any = jax.eval_shape(model.init, jax.random.key(0))
    skips = getattr(shapes.forward[0], "S", None) is not None
    rngs = {seed: np.random.default_rng(seed) for seed in np.unique(seeds)}

    def leaf(path: Any, shape: Any) -> np.ndarray:
        if leaf_name(path) in NOT_DECAYED:
            return np.zeros((len(seeds), *shape.shape), np.float32)
        bound = (6 / sum(shape.shape)) ** 0.5
        own = {seed: rng.standard_normal(shape.shape) for seed, rng in rngs.items()}
        uniform = {seed: bound * (2 * stats.norm.cdf(a) - 1) for seed, a in own.items()}
        both = [uniform, uniform]
        if leaf_name(path) in ("W", "S"):  # on the way from state to state
            past = skips and "layers" not in jax.tree_util.keystr(path)
            both[1] = {seed: orthogonal(a) * (0.5**0.5 if past else 1.0) for seed, a in own.items()}
        return np.stack([both[i][seed] for i, seed in zip(start, seeds)]).astype(np.float32)

    return jax.tree_util.tree_map_with_path(leaf, shapes)


def orthogonal(a: np.ndarray) -> np.ndarray:
    """The orthogonal factor of a normal matrix, any rotation or reflection as likely as another."""
    q, r = np.linalg.qr(a)
    return q * np.sign(np.diag(r))


def size(net: int, task: Task, hidden: int) -> int:
    """Number of parameters."""
    shapes: Any = jax.eval_shape(network(net, task, hidden).init, jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def hidden_of(net: int, task: Task, hidden: int) -> int:
    """Units that give a net about as many parameters as the plain one has with ``hidden``."""
    sizes, most = range(1, hidden + 1), size(PLAIN, task, hidden)
    above = sizes[bisect_left(sizes, most, hi=hidden - 1, key=lambda n: size(net, task, n))]
    return min((above, max(1, above - 1)), key=lambda n: abs(size(net, task, n) - most))


def train(net: int, task: Task, options: DeepTransitions) -> dict[str, np.ndarray]:
    """Loss and accuracy on the training and test parts, (seeds,), and what was chosen."""
    hidden = hidden_of(net, task, options.hidden)
    model = network(net, task, hidden)

    def of(hyper: Hyperparams) -> Recipe:
        return recipe(model, hyper, clip_norm=1.0)

    trained = tune_and_train(
        of,
        task.train,
        task.validation,
        {"one": np.zeros(1)},
        {"learning_rate": np.tile(RATES, len(STARTS)), "start": np.repeat(range(len(STARTS)), len(RATES))},
        start=lambda hyperparams, seeds: drawn_starts(model, hyperparams["start"].astype(int), seeds),
        seeds=options.seeds,
        tuning_seeds=options.tuning_seeds,
        steps=options.steps,
        batch_size=options.batch,
        record=options.steps,
    )
    found = {}
    for name, part in (("train", task.train), ("test", task.test)):
        on = evaluate(of, trained.hyperparams, trained.fit.params, part)
        found |= {f"{name}_{what}": on[what] for what in ("loss", "accuracy")}
    start_chosen, rate_chosen = divmod(int(trained.chosen[0]), len(RATES))
    return found | {
        "rate": RATES[rate_chosen],
        "orthogonal": np.array(start_chosen),
        "hidden": np.array(hidden),
        "parameters": np.array(size(net, task, hidden)),
    }


def measure(options: DeepTransitions) -> dict[str, np.ndarray]:
    """Everything of `train`, (tasks' lengths, nets, …): the lengths of the latch, then those of digits."""
    tasks = [latch(options, n) for n in options.latch_lengths] + [digits(n) for n in options.digit_steps]
    found = [[train(net, task, options) for net in range(len(NETS))] for task in tasks]
    names = found[0][0]
    return {name: np.stack([np.stack([one[name] for one in row]) for row in found]) for name in names} | {
        "task": np.repeat([0, 1], [len(options.latch_lengths), len(options.digit_steps)]),
        "length": np.array([*options.latch_lengths, *options.digit_steps]),
    }


def draw(options: DeepTransitions, m: Measured) -> Plot:
    """Training loss against length, a panel for each task."""
    figure = new_figure(9.5, 4.2)
    panels: Any = figure.subplots(1, 2)
    for task, axes in enumerate(panels):
        rows = np.flatnonzero(m["task"] == task)
        places = np.arange(len(rows))
        for net, (name, color) in enumerate(zip(NETS, COLORS)):
            values = m["train_loss"][rows, net]
            shift = 0.07 * (net - 1.5)
            for place, points in zip(places, values):
                axes.plot(np.full(len(points), place + shift), points, "o", color=color, ms=4, alpha=0.3)
            axes.plot(places + shift, values.mean(-1), "s-", color=color, label=name)
        axes.axhline(CHANCE[task], color="#999999", lw=1, ls=":")
        axes.text(places[-1] + 0.3, CHANCE[task], "chance", ha="right", va="bottom", color=GRAY, fontsize=9)
        axes.set_xticks(places, [str(n) for n in m["length"][rows]])
        axes.set(xlabel=("length of the sequence", "steps in which an image is read")[task])
        axes.set(ylabel="training loss (each seed, mean)", xlim=(-0.4, len(rows) - 0.6), ylim=(0, None))
        axes.set_title(("a bit, asked for after noise", "images of digits")[task], fontsize=10)
    panels[1].legend(fontsize=9, loc="upper left", bbox_to_anchor=(0.0, 0.93))
    gaps = [[gap(m, task, DEEP).value, gap(m, task, SKIP).value] for task in range(2)]
    set_title(
        figure,
        "A layer between two states raises the training loss by "
        f"{gaps[0][0]:.2f} and {gaps[1][0]:.2f} nats; with a skip past it by {gaps[0][1]:.2f} and "
        f"{gaps[1][1]:.2f}",
    )
    columns = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
    table: dict[str, list] = {
        name: [] for name in ("task", "length", "net", "hidden", "parameters", "rate", "start", *columns)
    }
    for i, net in np.ndindex(m["rate"].shape):
        start = STARTS[int(m["orthogonal"][i, net])]
        row = (TASKS[m["task"][i]], m["length"][i], NETS[net], m["hidden"][i, net], m["parameters"][i, net])
        row += (m["rate"][i, net], start, *(m[c][i, net].mean() for c in columns))
        for name, value in zip(table, row):
            table[name].append(value)
    return Plot(figure, table)


def reached(m: Measured, task: int, net: int) -> np.ndarray:
    """Training loss at the end, mean over the task's lengths, (seeds,)."""
    return m["train_loss"][m["task"] == task, net].mean(0)


def gap(m: Measured, task: int, net: int) -> Any:
    """How much higher a net's loss is than the plain one's."""
    return paired(reached(m, task, net), reached(m, task, PLAIN))


def _harder(task: int) -> Part:
    return Part(
        f"harder, {TASKS[task]}",
        "With a layer between two states the net is harder to train than the plain one.",
        what="training loss, deep transition minus plain, mean over lengths, nats",
        effect=lambda m: gap(m, task, DEEP),
        rule=Above(0.0),
    )


def _mends(task: int) -> Part:
    return Part(
        f"the skip helps, {TASKS[task]}",
        "A skip from state to state makes it easier.",
        what="training loss, deep transition without the skip minus with it, mean over lengths, nats",
        effect=lambda m: paired(reached(m, task, DEEP), reached(m, task, SKIP)),
        rule=Above(0.0),
    )


CLAIM = Claim(
    id="R11.1",
    statement="A layer between a state and the next makes a recurrent net harder to train; a skip "
    "connection past it mends that.",
    source="notes, «profundidad y recursividad»; Pascanu et al. 2014; Goodfellow et al. 2016, 10.5",
    options=DeepTransitions,
    measure=measure,
    draw=draw,
    parts=(*map(_harder, range(2)), *map(_mends, range(2))),
    reading="The layer does make training harder, on both tasks. That the skip mends it is not seen: on the "
    "digits both end at the same loss, and on the latch the loss is that of single trainings that stay at "
    "chance, with the skip fewer, but not surely so. With as many parameters the stacked net, whose step "
    "from state to state is one layer, is as good as the plain one or better.",
    revised="For time, after single trainings had been timed (and their losses seen), the latch's lengths 50 "
    "and 100 became 40 and 80, and images are no longer read in 32 steps too. The parts stayed.",
)
