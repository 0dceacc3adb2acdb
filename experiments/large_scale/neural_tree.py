"""A decision tree whose nodes are networks: what one path costs, and how it compares with a flat network.

The notes: deep learning and dynamic structure can be joined by a decision tree in which each node uses a
network to divide the decision, although this has not been used much, not to slow the inference down.

Measured: soft trees learn MNIST by gradient descent, with linear nodes and with nodes of one hidden layer,
to several depths; perceptrons of several widths beside them. At the end a tree follows one path. Its
multiply-adds and times are held against those of the smallest perceptron of the grid that is as accurate.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import analysis, data, models, outputs
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
    median,
    notes,
    ours,
    paired,
    ratio,
)
from dlnotes.plotting import BLUE, GREEN, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, evaluate, optimizer, tune_briefly_and_train
from dlnotes.typing import Params

from ._timed import in_turns

INPUTS, CLASSES = 784, 10
NODE = 16
"""Hidden units of a node that is a network."""
RATES = (0.001, 0.003, 0.01, 0.03)
BALANCE = 0.1
BATCHES = (1, 256)
FIRST_SEED = 13_900


class NeuralTree(Options):
    """Sizes of the experiment."""

    images: int = Field(20_000, ge=256, description="training images")
    test: int = Field(10_000, ge=16, description="test images")
    steps: int = Field(3000, ge=2, description="of each training")
    batch_size: int = Field(64, ge=1, description="examples of a step")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each learning rate, to choose one")
    tuning_steps: int = Field(500, ge=1, description="steps of those trainings")
    rounds: int = Field(20, ge=2, description="repetitions of all timings")
    linear: tuple[int, ...] = Field(
        (4, 6, 8), min_length=1, description="depths of the trees with linear nodes, the deepest last"
    )
    nets: tuple[int, ...] = Field(
        (4, 6), min_length=1, description="depths of the trees with nets, the last is judged"
    )
    widths: tuple[int, ...] = Field(
        (8, 16, 32, 64, 128), min_length=1, description="units of the perceptrons, the smallest first"
    )


def tree(depth: int, node: tuple[int, ...], *, hard: bool = False, balance: Any = BALANCE) -> models.Model:
    """A tree with constant leaves."""
    return models.soft_tree(INPUTS, depth, CLASSES, node=node, hard=hard, balance=balance)


def trees(options: NeuralTree) -> list[tuple[int, tuple[int, ...]]]:
    """Depth and node widths of every tree."""
    return [*((d, ()) for d in options.linear), *((d, (NODE,)) for d in options.nets)]


def names(m: Measured) -> list[str]:
    """What the networks are, in the order in which they are measured."""
    return [
        *(f"tree of depth {d}, linear nodes" for d in m["linear"]),
        *(f"tree of depth {d}, nets of {NODE} units" for d in m["nets"]),
        *(f"perceptron of {w} units" for w in m["widths"]),
    ]


def deep(m: Measured) -> int:
    """Place of the deepest tree with linear nodes."""
    return len(m["linear"]) - 1


def judged(m: Measured) -> int:
    """Place of the deepest tree with nets at its nodes, which the notes' sentence is about."""
    return len(m["linear"]) + len(m["nets"]) - 1


def recipe_of(model: Callable[[Hyperparams], models.Model]) -> Callable[[Hyperparams], Recipe]:
    """Classes by Adam with a member's rate."""

    def of(hyper: Hyperparams) -> Recipe:
        return Recipe(
            model(hyper),
            outputs.penalized(outputs.cross_entropy),
            {"accuracy": outputs.unpenalized(outputs.accuracy)},
            optimizer("adam", hyper["learning_rate"]),
        )

    return of


def learn(
    options: NeuralTree,
    model: Callable[[Hyperparams], models.Model],
    hard: models.Model | None,
    parts: tuple[data.Examples, ...],
    methods: dict[str, list[float]],
) -> tuple[np.ndarray, np.ndarray, Params]:
    """Test accuracy ``(half-way and end, all paths and one, methods, seeds)``; rates; parameters."""
    train, validation, test = parts
    half = max(1, options.steps // 2)
    of = recipe_of(model)
    trained = tune_briefly_and_train(
        lambda _: of,
        train,
        validation,
        methods,
        {"learning_rate": RATES},
        seeds=options.seeds,
        tuning_seeds=options.tuning_seeds,
        first_seed=FIRST_SEED,
        steps=2 * half,
        tuning_steps=options.tuning_steps,
        batch_size=min(options.batch_size, train.size),
        record=50,
        every=half,
        probe=lambda params: params,
    )

    def accuracy(recipe: Callable[[Hyperparams], Recipe], moment: int) -> np.ndarray:
        params = jax.tree.map(lambda a: a[moment], trained.fit.probes)
        return evaluate(recipe, trained.hyperparams, params, test)["accuracy"]

    every = [accuracy(of, moment) for moment in (1, 2)]
    path = every
    if hard is not None:
        one_path = recipe_of(lambda hyper, hard=hard: hard)
        path = [accuracy(one_path, moment) for moment in (1, 2)]
    found = np.stack([every, path], axis=1)
    return trained.by_method(found), np.array(RATES)[trained.chosen], trained.fit.params


def leaves_used(params: Params, x: np.ndarray) -> np.ndarray:
    """Leaves of each member in which the most probable path of more than 0.1% of the images ends."""

    def ends(p: Params) -> Any:
        return jnp.argmax(models.path_probabilities(p, jnp.asarray(x)), axis=-1)

    found = np.asarray(jax.lax.map(jax.jit(ends), params))
    return np.array([(np.bincount(e) > 0.001 * len(x)).sum() for e in found])


def counted(options: NeuralTree) -> np.ndarray:
    """Multiply-adds of one example: a tree's on one path, a perceptron's as it is."""
    x = np.zeros((1, INPUTS), np.float32)
    networks = [tree(d, node, hard=True) for d, node in trees(options)]
    networks += [models.mlp(INPUTS, (w,), CLASSES) for w in options.widths]
    return np.array([analysis.count(network, x).multiply_adds for network in networks])


def timed(options: NeuralTree) -> np.ndarray:
    """Seconds for an example, one path of the judged tree first ``(batches, networks, rounds)``."""
    depth, node = trees(options)[-1]
    networks = [tree(depth, node, hard=True), *(models.mlp(INPUTS, (w,), CLASSES) for w in options.widths)]
    key, found = jax.random.key(FIRST_SEED), []
    for rows in BATCHES:
        x = jax.random.normal(key, (rows, INPUTS))
        calls = [partial(jax.jit(n.apply), n.init(key), x) for n in networks]
        found.append(in_turns(calls, options.rounds, runs=50 if rows == 1 else 10) / rows)
    return np.array(found)


def measure(options: NeuralTree) -> dict[str, np.ndarray]:
    """Count, take times, then train all networks."""
    parts = data.parts_of(data.load("mnist"), options.images, max(32, options.images // 10), options.test)
    work, seconds = counted(options), timed(options)
    accuracy, rates, leaves = [], [], []
    for depth, node in trees(options):
        last = (depth, node) == trees(options)[-1]
        balances = [BALANCE, 0.0] if last else [BALANCE]

        def model(hyper: Hyperparams, depth: int = depth, node: tuple[int, ...] = node) -> models.Model:
            return tree(depth, node, balance=hyper["balance"])

        a, rate, params = learn(options, model, tree(depth, node, hard=True), parts, {"balance": balances})
        accuracy.append(a[..., 0, :])
        rates.append(rate[0])
        if last:
            leaves = leaves_used(params, parts[2].x).reshape(2, options.seeds)
    for width in options.widths:
        flat = models.mlp(INPUTS, (width,), CLASSES)
        a, rate, _ = learn(options, lambda hyper, flat=flat: flat, None, parts, {"all": [1.0]})
        accuracy.append(a[..., 0, :])
        rates.append(rate[0])
    return {
        "work": work,  # (networks,)
        "seconds": seconds,  # (batches, judged tree and perceptrons, rounds)
        "accuracy": np.stack(accuracy, axis=2),  # (half-way and end, soft and one path, networks, seeds)
        "learning_rate": np.array(rates),
        "leaves": np.asarray(leaves),  # (with and without penalty, seeds)
        "linear": np.array(options.linear),
        "nets": np.array(options.nets),
        "widths": np.array(options.widths),
    }


def rival(m: Measured, network: int, moment: int = -1) -> int:
    """Place of the smallest perceptron that is on average as accurate as one path of a tree.

    The largest, where none is.
    """
    accuracy, first = m["accuracy"][moment, 1].mean(-1), judged(m) + 1
    able = np.flatnonzero(accuracy[first:] >= accuracy[network])
    return first + int(able[0]) if able.size else len(accuracy) - 1


def equal(m: Measured, network: int, moment: int = -1) -> np.ndarray:
    """Multiply-adds of a perceptron as accurate as one path of a tree, of each seed.

    Between two widths of the grid the logarithm of the work is linear in the accuracy; outside of it stands
    the nearest width.
    """
    first = judged(m) + 1
    accuracy = np.maximum.accumulate(m["accuracy"][moment, 1, first:], axis=0)  # (widths, seeds)
    log_work = np.log(m["work"][first:])
    path = m["accuracy"][moment, 1, network]
    return np.exp([np.interp(a, known, log_work) for a, known in zip(path, accuracy.T)])


def work(m: Measured, network: int, moment: int = -1) -> Interval:
    """Multiply-adds of a tree's path over those of a perceptron that is as accurate."""
    other = equal(m, network, moment)
    return ratio(np.full(len(other), m["work"][network]), other)


def slower(m: Measured, batch: int) -> Interval:
    """Median over rounds of the judged tree's time over its rival's."""
    seconds = m["seconds"][batch]
    return median(seconds[0] / seconds[rival(m, judged(m)) - judged(m)])


def matched(m: Measured) -> Interval:
    """Test accuracy of the rival minus that of the judged tree's path, percentage points."""
    accuracy = 100 * m["accuracy"][-1, 1]
    return paired(accuracy[rival(m, judged(m))], accuracy[judged(m)])


def lost(m: Measured, network: int, moment: int = -1) -> Interval:
    """Test accuracy of the mean over all paths minus that of one path, percentage points."""
    return paired(100 * m["accuracy"][moment, 0, network], 100 * m["accuracy"][moment, 1, network])


def draw(options: NeuralTree, m: Measured) -> Plot:
    """Accuracy against multiply-adds."""
    figure = new_figure(7.6, 4.6)
    axis = figure.subplots()
    accuracy = 100 * m["accuracy"][-1, 1]
    flat = judged(m) + 1
    groups = (
        ("tree, linear nodes", slice(0, deep(m) + 1), BLUE, "o", [f"depth {d}" for d in m["linear"]]),
        (
            f"tree, nets of {NODE} units",
            slice(deep(m) + 1, flat),
            ORANGE,
            "s",
            [f"depth {d}" for d in m["nets"]],
        ),
        ("perceptron", slice(flat, None), GREEN, "^", [f"{w} units" for w in m["widths"]]),
    )
    for label, which, color, marker, told in groups:
        x, y = m["work"][which], accuracy[which]
        axis.errorbar(x, y.mean(1), y.std(1), color=color, marker=marker, capsize=3, label=label)
        for place, name in zip(zip(x, y.mean(1)), told):
            axis.annotate(name, place, xytext=(5, -11), textcoords="offset points", fontsize=8, color=color)
    axis.set(xscale="log", xlabel="multiply-adds for one example", ylabel="test accuracy on one path (%)")
    axis.margins(y=0.25)
    axis.legend(fontsize=9, loc="upper left", ncols=3, title="mean and deviation of seeds")
    set_title(
        figure,
        f"One path of the tree with nets takes {work(m, judged(m)).value:.1f} times the work of a perceptron "
        f"as accurate",
    )
    table = {
        "network": names(m),
        "multiply_adds": [int(v) for v in m["work"]],
        "accuracy": [float(v) for v in m["accuracy"][-1, 1].mean(-1)],
        "all_paths": [float(v) for v in m["accuracy"][-1, 0].mean(-1)],
        "deviation": [float(v) for v in m["accuracy"][-1, 1].std(-1)],
        "learning_rate": [float(v) for v in m["learning_rate"]],
    }
    return Plot(figure, table)


def _facts(m: Measured) -> dict[str, Any]:
    accuracy, against = 100 * m["accuracy"][-1, 1].mean(-1), rival(m, judged(m))
    return {
        "rival": names(m)[against],
        "tree": f"{accuracy[judged(m)]:.1f}",
        "flat": f"{accuracy[against]:.1f}",
        "linear": f"{accuracy[deep(m)]:.1f}",
    }


SECTION = "aprendizaje profundo a gran escala"
SLOWER = "a network at each node of a decision tree is seldom used, not to slow the inference down"

CLAIM = Claim(
    id="L13.9",
    statement="A decision tree can have a network at each node. It is seldom used so, because it would slow "
    "down the inference.",
    source="notes, «aprendizaje profundo a gran escala»; Goodfellow et al. 2016, 12.1.6; Frosst "
    "& Hinton 2017",
    options=NeuralTree,
    measure=measure,
    draw=draw,
    method="Soft decision trees learn {options.images} images of MNIST by Adam with a constant rate, "
    "{options.steps} steps of {options.batch_size}: trees with linear nodes, trees with nodes of one hidden "
    f"layer of {NODE} units, of several depths, and perceptrons of several widths. Each has its own rate of "
    f"{len(RATES)}, chosen by the "
    "validation loss of {options.tuning_seeds} other seeds after {options.tuning_steps} steps. At the end a "
    "tree follows the more probable branch of each node. The deepest tree with nets is held against the "
    "smallest perceptron that is at least as accurate on average. Times are taken in turns in "
    "{options.rounds} rounds. {options.seeds} seeds are judged on {options.test} test images; intervals "
    "cover seeds, or rounds of timing, only.",
    parts=(
        Part(
            "work",
            "One path of the tree with nets takes more multiply-adds than a perceptron that is as accurate.",
            what="multiply-adds of one path over those of a perceptron as accurate, widths interpolated",
            effect=lambda m: work(m, judged(m)),
            rule=Above(1.0),
            source=notes(SECTION, SLOWER),
            learned=Plateau(half=lambda m: work(m, judged(m), 0)),
        ),
        *(
            Part(
                f"time, batch of {rows}",
                f"In batches of {rows} its inference takes longer.",
                what="time of one path over that of the smallest perceptron that is as accurate, times",
                effect=lambda m, i=i: slower(m, i),
                rule=Above(1.0),
                source=notes(SECTION, SLOWER),
            )
            for i, rows in enumerate(BATCHES)
        ),
        Part(
            "work, linear nodes",
            "With linear nodes one path takes fewer multiply-adds than such a perceptron.",
            what="multiply-adds of one path over those of a perceptron as accurate, widths interpolated",
            effect=lambda m: work(m, deep(m)),
            rule=Below(1.0),
            source=ours("the question is whether it is the networks that cost, or the tree"),
            learned=Plateau(half=lambda m: work(m, deep(m), 0)),
        ),
        Part(
            "as accurate",
            "The perceptron is no worse than the tree.",
            what="test accuracy of that perceptron minus that of one path, percentage points",
            effect=matched,
            rule=Above(-0.5),
            source=ours("the comparison is of networks that are as accurate"),
        ),
        *(
            Part(
                f"one path, {name}",
                f"Of the deepest tree with {name} one path is less than a point worse than all paths.",
                what="test accuracy of all paths minus that of one path, percentage points",
                effect=lambda m, of=of: lost(m, of(m)),
                rule=Below(1.0),
                source=ours("training is of all paths, inference of one"),
                learned=Plateau(half=lambda m, of=of: lost(m, of(m), 0)),
            )
            for name, of in (("linear nodes", deep), ("nets", judged))
        ),
        Part(
            "balance",
            "Without the penalty fewer leaves are in use.",
            what="leaves that more than 0.1% of the test images end in, with the penalty minus without",
            effect=lambda m: paired(m["leaves"][0], m["leaves"][1]),
            rule=Above(0.0),
            source=ours("Frosst and Hinton report that trees get stuck without it"),
        ),
    ),
    facts=_facts,
    reading="One path of the deepest tree with nets classifies {facts[tree]}% of the test images. The "
    "smallest perceptron of the grid that is as accurate is the {facts[rival]}, with {facts[flat]}%. The "
    "path takes {parts[work]} times its multiply-adds, and its inference is {parts[time, batch of 1]} times "
    "as long for a single image and {parts[time, batch of 256]} times in batches. One path of the deepest "
    "tree with linear nodes reaches {facts[linear]}% and takes {parts[work, linear nodes]} times the "
    "multiply-adds of a perceptron that is as accurate.",
)
