"""Conditional dropout: gates switch blocks of hidden units, so that most of them are not computed.

The notes: to select among all subsets of units a soft switch is impossible, because all settings of
the gater would have to be enumerated and computed. Combinatorial gaters have been trained by estimators
of the gradient in the probabilities, or by reinforcement learning, which learns conditional dropout
on blocks of hidden units: the computational cost falls and the quality does not.

Measured: perceptrons learn MNIST with 16 blocks of 16 units, a share of which is on for each image. The
gates are trained by the score function (reinforcement learning), by straight-through and by the Gumbel
estimator. Beside them stand the same perceptron with all blocks, one with blocks switched at random, and one
of as many units as are on. The trained gates then say which blocks are on where times are taken, in turns,
of a layer that computes these only. Of a small network all settings are enumerated: how far each estimator
is from the exact gradient, and how much it varies.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
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
    Within,
    mean,
    median,
    notes,
    ours,
    paired,
    ratio,
)
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, evaluate, optimizer, tune_briefly_and_train
from dlnotes.typing import Array, Params

from ._timed import in_turns

INPUTS, CLASSES, BLOCKS, WIDTH = 784, 10, 16, 16
UNITS = BLOCKS * WIDTH
TIMED_WIDTH = 64
"""Units of a block of the layer whose times are taken; the trained one is timed too."""
SHARE = 0.25
SHARES = (0.5, 0.25, 0.125)
ESTIMATORS = ("score", "straight_through", "gumbel")
IN_WORDS = ("score function", "straight-through", "Gumbel")
RATES = (0.0005, 0.001, 0.002, 0.004)
VARIANCE = (0.1, 0.3)
"""Weights of the reward for blocks that differ by image; chosen with the rate."""
NETWORKS = (
    "all blocks",
    *(f"score function, {share:g}" for share in SHARES),
    *(f"{words}, {SHARE:g}" for words in IN_WORDS[1:]),
    f"random blocks, {SHARE:g}",
    f"{int(UNITS * SHARE)} units",
)
ALL, HALF, SCORE, EIGHTH, THROUGH, GUMBEL, RANDOM, FEW = range(len(NETWORKS))
GATED = (HALF, SCORE, EIGHTH, THROUGH, GUMBEL)
MARKERS = "osv^DXP*"
PROGRAMS = ("all blocks", "masked", "grouped")
FIRST_SEED = 13_110
SMALL = 8
"""Gates of the network of which all settings are enumerated."""


class ConditionalDropout(Options):
    """Sizes of the experiment."""

    images: int = Field(20_000, ge=64, description="training images")
    test: int = Field(10_000, ge=16, description="test images")
    steps: int = Field(3000, ge=2, description="of each training")
    batch_size: int = Field(64, ge=1, description="examples of a step")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each point of the grid, to choose one")
    tuning_steps: int = Field(500, ge=1, description="steps of those trainings")
    rows: int = Field(2048, ge=16, description="examples of a batch whose time is taken")
    few_rows: int = Field(256, ge=16, description="examples of a smaller such batch")
    rounds: int = Field(20, ge=2, description="repetitions of all timings")
    draws: int = Field(20_000, ge=100, description="of the small network whose settings are enumerated")


def gated(gradient: Any, hyper: Hyperparams, inference: Any) -> models.Model:
    """Gates that learn."""
    return models.gated_mlp(
        INPUTS,
        (UNITS,),
        CLASSES,
        blocks=BLOCKS,
        share=hyper["share"],
        gradient=gradient,
        inference=inference,
        variance=hyper["variance"],
    )


def random_blocks() -> models.Model:
    """Blocks on by chance, as many as the gates have; at inference too."""
    plain = models.mlp(INPUTS, (UNITS,), CLASSES)

    def apply(params: Any, x: Any, /, *, key: Any = None, mask: Any = None) -> Array:
        drawn = jax.random.key(FIRST_SEED) if key is None else key
        u = layers.bernoulli(drawn, SHARE, (x.shape[0], BLOCKS)).astype(jnp.float32)
        z = layers.dense(params.hidden[0], x)
        on = jnp.repeat(u, WIDTH, axis=1)
        return layers.dense(params.output, jax.nn.relu(z) * on)

    return models.Model(plain.init, apply)


def network(which: int, hyper: Hyperparams, inference: Any) -> models.Model:
    """One of `NETWORKS`."""
    if which in GATED:
        gradient = "straight_through" if which == THROUGH else "gumbel" if which == GUMBEL else "score"
        return gated(gradient, hyper, inference)
    if which == RANDOM:
        return random_blocks()
    return models.mlp(INPUTS, (UNITS if which == ALL else int(UNITS * SHARE),), CLASSES)


def recipe_of(which: int, inference: Any = "likely") -> Callable[[Hyperparams], Recipe]:
    """Classes by Adam with a member's rate."""

    def of(hyper: Hyperparams) -> Recipe:
        return Recipe(
            network(which, hyper, inference),
            outputs.penalized(outputs.scored(outputs.cross_entropy)),
            {"accuracy": outputs.unpenalized(outputs.unscored(outputs.accuracy))},
            optimizer("adam", hyper["learning_rate"]),
            random=which in (*GATED, RANDOM),
            evaluation_loss=outputs.cross_entropy,
        )

    return of


def learn(
    options: ConditionalDropout, which: tuple[int, ...], parts: tuple[data.Examples, ...]
) -> tuple[np.ndarray, np.ndarray, Params]:
    """Test accuracy half-way and at the end ``(2, networks, seeds)``, what was chosen, and the parameters.

    ``which`` is one network, or those by the score function, which differ in the share.
    """
    train, validation, test = parts
    half = max(1, options.steps // 2)
    first = which[0]
    of = recipe_of(first)
    variance = VARIANCE if first in GATED else VARIANCE[:1]
    methods = {"share": [*SHARES] if len(which) > 1 else [SHARE]}
    points = np.array([(rate, weight) for rate in RATES for weight in variance])
    trained = tune_briefly_and_train(
        # Gates that have begun to learn are not sure yet: no block may be likely, and all are weighed.
        lambda steps: of if steps == 2 * half else recipe_of(first, "expected"),
        train,
        validation,
        methods,
        {"learning_rate": points[:, 0].tolist(), "variance": points[:, 1].tolist()},
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
    moments = [jax.tree.map(lambda a, i=i: a[i], trained.fit.probes) for i in (1, 2)]
    accuracy = [evaluate(of, trained.hyperparams, p, test)["accuracy"] for p in moments]
    return trained.by_method(accuracy), points[trained.chosen], trained.fit.params


def open_of(params: Params, x: np.ndarray) -> np.ndarray:
    """Blocks that are on ``(members, images, blocks)``."""
    look = jax.jit(lambda p, x: models.open_blocks(p, x)[0][:, 0] > 0.5)
    members = len(jax.tree.leaves(params)[0])
    return np.stack([look(jax.tree.map(lambda a, i=i: a[i], params), x) for i in range(members)])


def work_of(on: np.ndarray) -> np.ndarray:
    """Multiply-adds over those of the perceptron with all blocks, the gates' own included."""
    every = INPUTS * UNITS + UNITS * CLASSES
    return (on * every + INPUTS * BLOCKS) / every


def timed(options: ConditionalDropout, gate: layers.Dense, images: np.ndarray) -> np.ndarray:
    """Seconds of `PROGRAMS` ``(trained width and few rows, or wide and many; programs, rounds)``."""
    found = []
    for width, rows in ((WIDTH, options.few_rows), (TIMED_WIDTH, options.rows)):
        x = jnp.asarray(np.resize(images, (rows, INPUTS)))
        plain = models.mlp(INPUTS, (BLOCKS * width,), CLASSES)
        of_plain = plain.init(jax.random.key(FIRST_SEED))
        switched = [
            models.gated_mlp(INPUTS, (BLOCKS * width,), CLASSES, blocks=BLOCKS, grouped=grouped)
            for grouped in (False, True)
        ]
        params = models.GatedMLP((gate,), of_plain.hidden, of_plain.output, None)
        usage = switched[0].init(jax.random.key(0)).state
        calls = [partial(jax.jit(plain.apply), of_plain, x)]
        calls += [partial(jax.jit(m.apply), models.WithState(params, usage), x) for m in switched]
        found.append(in_turns(calls, options.rounds, runs=10 if rows < 1024 else 3))
    return np.array(found)


def enumerated(options: ConditionalDropout) -> dict[str, np.ndarray]:
    """Estimates of the gradient in the gates' logits, over the exact one.

    A network of `SMALL` blocks of four random units answers one random input; the exact gradient is the sum
    over all ``2^SMALL`` settings.
    """
    keys = jax.random.split(jax.random.key(FIRST_SEED), 5)
    x, z = jax.random.normal(keys[0], (1, 16)), jax.random.normal(keys[1], (SMALL,))
    model = models.mlp(16, (4 * SMALL,), CLASSES)
    params, y = model.init(keys[2]), jnp.array([3])
    h = jax.nn.relu(layers.dense(params.hidden[0], x))

    def cost(u: Array) -> Array:
        answer = layers.dense(params.output, h * jnp.repeat(u, 4)[None])
        return outputs.cross_entropy(answer, y).total[0]

    every = jnp.asarray(list(itertools.product((0.0, 1.0), repeat=SMALL)))
    costs = jax.vmap(cost)(every)

    def expected(z: Array) -> Array:
        pi = jax.nn.sigmoid(z)[None]
        return jnp.sum(jnp.prod(jnp.where(every == 1, pi, 1 - pi), axis=1) * costs)

    value, gradient = jax.value_and_grad(expected)(z)

    def estimate(z: Array, key: Array, how: Any) -> Array:
        gate = layers.bernoulli_gate(key, z, how)
        c = cost(gate.u)
        return jax.lax.stop_gradient(c - value) * gate.log_probability if how == "score" else c

    drawn = jax.random.split(keys[3], options.draws)
    found = [
        np.asarray(jax.jit(jax.vmap(jax.grad(partial(estimate, how=how)), (None, 0)))(z, drawn), np.float64)
        for how in ESTIMATORS
    ]
    want = np.asarray(gradient, np.float64)
    length = want @ want
    groups = [np.array_split(f, 20) for f in found]
    return {
        "along": np.stack(
            [f @ want / length for f in found]
        ),  # (estimators, draws), 1 on average if unbiased
        "variance": np.array(
            [[g.var(0).sum() / length for g in of] for of in groups]
        ),  # (estimators, groups)
    }


def measure(options: ConditionalDropout) -> dict[str, np.ndarray]:
    """Train all networks, look which blocks are on, take times, and enumerate."""
    parts = data.parts_of(data.load("mnist"), options.images, max(32, options.images // 10), options.test)
    accuracy, chosen, on = [], [], []
    gate, images = layers.Dense(np.zeros((INPUTS, BLOCKS)), np.zeros(BLOCKS)), parts[2].x
    for which in ((ALL,), (HALF, SCORE, EIGHTH), (THROUGH,), (GUMBEL,), (RANDOM,), (FEW,)):
        a, points, params = learn(options, which, parts)
        accuracy.append(a)
        chosen.append(points)
        if which[0] in GATED:
            u = open_of(params, parts[2].x).reshape(len(which), options.seeds, -1, BLOCKS)
            on.append(u.mean((2, 3)))
        if SCORE in which:
            gate = jax.tree.map(lambda a: jnp.asarray(a[options.seeds]), params.learned.gates[0])
    return enumerated(options) | {
        "accuracy": np.concatenate(accuracy, axis=1),  # (half-way and end, networks, seeds)
        "chosen": np.concatenate(chosen),  # (networks, rate and weight of the variance)
        "on": np.concatenate(on),  # (gated networks, seeds)
        "seconds": timed(options, gate, images),  # (small and large, programs, rounds)
    }


def lead(m: Measured, which: int, over: int, moment: int = -1) -> Interval:
    """Test accuracy of a network minus another's, percentage points."""
    accuracy = 100 * m["accuracy"][moment]
    return paired(accuracy[which], accuracy[over])


def share_on(m: Measured, which: int) -> np.ndarray:
    """Share of the blocks that are on for a test image, of each seed."""
    return m["on"][GATED.index(which)]


def times(m: Measured, case: int, program: str, over: str) -> Interval:
    """Median over rounds of a program's time over another's."""
    seconds = m["seconds"][case]
    return median(seconds[PROGRAMS.index(program)] / seconds[PROGRAMS.index(over)])


def draw(options: ConditionalDropout, m: Measured) -> Plot:
    """Accuracy against work; times; the estimators."""
    figure = new_figure(12.6, 4.2)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
    accuracy = 100 * m["accuracy"][-1]
    work = np.array([work_of(share_on(m, i)).mean() if i in GATED else 1.0 for i in range(len(NETWORKS))])
    work[RANDOM] = work[FEW] = SHARE
    for i, name in enumerate(NETWORKS):
        color = BLUE if i in GATED[:3] else GREEN if i in GATED else ORANGE if i == RANDOM else GRAY
        style = {"color": color, "marker": MARKERS[i], "ls": "", "capsize": 3, "label": name}
        left.errorbar(work[i], accuracy[i].mean(), accuracy[i].std(), **style)
    left.set(xlabel="multiply-adds, over those of all blocks", ylabel="test accuracy (%)", xlim=(0, 1.08))
    left.legend(fontsize=8, loc="lower right", title="mean and deviation of seeds")
    labels = (
        f"blocks of {WIDTH},\n{options.few_rows} rows",
        f"blocks of {TIMED_WIDTH},\n{options.rows} rows",
    )
    for k, (program, color) in enumerate(zip(PROGRAMS[1:], (GRAY, BLUE))):
        ratios = np.median(m["seconds"][:, 1 + k] / m["seconds"][:, 0], axis=-1)
        middle.bar(np.arange(2) + 0.36 * k, ratios, 0.34, color=color, label=program)
    middle.axhline(1, color=GRAY, lw=0.8, ls=":")
    middle.set_xticks(np.arange(2) + 0.18, labels, fontsize=9)
    middle.set(ylabel="time, over that of all blocks")
    middle.legend(fontsize=9)
    along = m["along"]
    right.bar(range(3), along.mean(1), 0.5, color=BLUE)
    for i, variance in enumerate(m["variance"].mean(1)):
        right.annotate(f"variance {variance:.3g}", (i, along[i].mean()), ha="center", va="bottom", fontsize=8)
    right.axhline(1, color=GRAY, lw=0.8, ls=":")
    right.margins(y=0.15)
    right.set_xticks(range(3), IN_WORDS, fontsize=9)
    right.set(ylabel="mean estimate along the exact gradient")
    set_title(
        figure,
        f"With {100 * share_on(m, SCORE).mean():.0f}% of the blocks on, accuracy changes by "
        f"{lead(m, SCORE, ALL).value:+.1f} points",
    )
    table = {
        "network": list(NETWORKS),
        "accuracy": [float(v) for v in accuracy.mean(1)],
        "deviation": [float(v) for v in accuracy.std(1)],
        "work": [float(v) for v in work],
        "learning_rate": [float(v) for v in m["chosen"][:, 0]],
        "weight_of_variance": [float(v) for v in m["chosen"][:, 1]],
    }
    return Plot(figure, table)


def _facts(m: Measured) -> dict[str, Any]:
    accuracy = 100 * m["accuracy"][-1].mean(1)
    return {
        "all": f"{accuracy[ALL]:.1f}",
        "score": f"{accuracy[SCORE]:.1f}",
        "random": f"{accuracy[RANDOM]:.1f}",
        "few": f"{accuracy[FEW]:.1f}",
        "on": f"{100 * share_on(m, SCORE).mean():.0f}",
        "settings": f"{2**BLOCKS:,}",
    }


SECTION = "aprendizaje profundo a gran escala"
REAL = "conditional dropout of blocks of hidden units is learned, with a real reduction of the cost"
SAME = "the reduction has no negative impact on the quality of the approximation"

CLAIM = Claim(
    id="L13.11",
    statement="A gater of all subsets of units cannot be a soft switch, which would enumerate all of its "
    "settings. Estimated gradients or reinforcement learning train it to switch blocks of hidden units: "
    "the cost falls, and the quality does not.",
    source="notes, «aprendizaje profundo a gran escala»; Bengio et al. 2013 and 2015; Goodfellow et al. "
    "2016, 12.1.6",
    options=ConditionalDropout,
    measure=measure,
    draw=draw,
    method=f"Perceptrons with {BLOCKS} blocks of {WIDTH} ReLU units learn {{options.images}} images of MNIST "
    "by Adam with a constant rate, {options.steps} steps of {options.batch_size}. For each image gates, a "
    "linear map and a sigmoid, draw the blocks that are on. They are trained by one of three estimators and "
    f"by penalties that keep the share of blocks at {', '.join(f'{s:g}' for s in SHARES)}. On test images "
    f"the blocks more likely on than off are. Each network has its own rate of {len(RATES)}, a gated one "
    f"also its own weight of {len(VARIANCE)} for the variance of the gates, chosen by the validation loss of "
    "{options.tuning_seeds} other seeds after {options.tuning_steps} steps. {options.seeds} seeds are judged "
    "on {options.test} test images. Times are taken in turns in {options.rounds} rounds, with the blocks "
    "that the trained gates switch on for test images, gates and sorting included: of the trained size with "
    f"{{options.few_rows}} images, and with {TIMED_WIDTH} units a block and {{options.rows}} images. The "
    f"estimators are compared where all settings of {SMALL} gates are enumerated. Intervals cover seeds, "
    "rounds of timing or draws, only.",
    parts=(
        Part(
            "quality",
            "With a quarter of the blocks on, a perceptron is at most one point worse than with all.",
            what="test accuracy with gates by the score function minus that with all blocks, "
            "percentage points",
            effect=lambda m: lead(m, SCORE, ALL),
            rule=Above(-1.0),
            source=notes(SECTION, SAME),
            learned=Plateau(half=lambda m: lead(m, SCORE, ALL, 0)),
        ),
        Part(
            "time",
            "Computing only the blocks that are on is faster than computing all.",
            what="time of the forward pass with gates over that with all blocks, "
            f"blocks of {TIMED_WIDTH} units",
            effect=lambda m: times(m, 1, "grouped", "all blocks"),
            rule=Below(1.0),
            source=notes(SECTION, REAL),
        ),
        Part(
            "learned",
            "Learned gates do better than as many blocks by chance.",
            what="test accuracy with gates by the score function minus that with random blocks, "
            "percentage points",
            effect=lambda m: lead(m, SCORE, RANDOM),
            rule=Above(0.0),
            source=notes(SECTION, "combinatorial gaters are trained, so that dropout depends on the input"),
            learned=Plateau(half=lambda m: lead(m, SCORE, RANDOM, 0)),
        ),
        Part(
            "work",
            "Gates and blocks take less than half of the multiply-adds of all blocks.",
            what="multiply-adds with gates by the score function over those of all blocks",
            effect=lambda m: mean(work_of(share_on(m, SCORE))),
            rule=Below(0.5),
            source=ours("the share of blocks is held by a penalty only, and the gates cost something too"),
        ),
        Part(
            "half the time",
            "The forward pass takes at most half of the time.",
            what="time of the forward pass with gates over that with all blocks, "
            f"blocks of {TIMED_WIDTH} units",
            effect=lambda m: times(m, 1, "grouped", "all blocks"),
            rule=Below(0.5),
            source=ours("it tells how much of the saved work is saved in time"),
        ),
        Part(
            "small blocks",
            f"Blocks of {WIDTH} units are too small to save time.",
            what=f"time of the forward pass with gates over that with all blocks, blocks of {WIDTH} units",
            effect=lambda m: times(m, 0, "grouped", "all blocks"),
            rule=Above(1.0),
            source=ours("a product of few columns is slow, and so is sorting"),
        ),
        Part(
            "as many units",
            "Blocks chosen by image do better than as many units that are always on.",
            what=f"test accuracy with gates by the score function minus that of {int(UNITS * SHARE)} units, "
            "percentage points",
            effect=lambda m: lead(m, SCORE, FEW),
            rule=Above(0.0),
            source=ours("a smaller perceptron is the simplest way to as little work"),
            learned=Plateau(half=lambda m: lead(m, SCORE, FEW, 0)),
        ),
        *(
            Part(
                f"quality, {words}",
                f"Gates by the {words} estimator lose at most one point too.",
                what=f"test accuracy with gates by the {words} estimator minus that with all blocks, "
                "percentage points",
                effect=lambda m, which=which: lead(m, which, ALL),
                rule=Above(-1.0),
                source=ours("the notes say it of reinforcement learning; these are other estimators"),
                learned=Plateau(half=lambda m, which=which: lead(m, which, ALL, 0)),
            )
            for which, words in ((THROUGH, IN_WORDS[1]), (GUMBEL, IN_WORDS[2]))
        ),
        Part(
            "an eighth",
            "With an eighth of the blocks on, more than one point is lost.",
            what="test accuracy with an eighth of the blocks minus that with all blocks, percentage points",
            effect=lambda m: lead(m, EIGHTH, ALL),
            rule=Below(-1.0),
            source=ours("where the saving begins to cost quality"),
            learned=Plateau(half=lambda m: lead(m, EIGHTH, ALL, 0)),
        ),
        Part(
            "score, unbiased",
            "The mean of the score function's estimates is the exact gradient.",
            what="mean estimate along the exact gradient, over its length",
            effect=lambda m: mean(m["along"][0]),
            rule=Within(0.8, 1.2),
            source=ours("the notes speak of estimators; all settings of few gates can be enumerated"),
        ),
        Part(
            "variance",
            "The score function's estimates vary more than straight-through's.",
            what="variance of the score function's estimates over that of straight-through's, times",
            effect=lambda m: ratio(m["variance"][0], m["variance"][1]),
            rule=Above(1.0),
            source=ours("what being unbiased costs"),
        ),
    ),
    facts=_facts,
    reading="{facts[settings]} settings of the gates are not enumerated: one is drawn. With {facts[on]}% of "
    "the blocks on, test accuracy is {facts[score]}%; with all it is {facts[all]}%, with as many blocks by "
    "chance {facts[random]}%, with as many units as are on {facts[few]}%. The work is {parts[work]} times "
    "that of all blocks, the time {parts[time]} times with wide blocks and {parts[small blocks]} times with "
    "those of the trained size. Where all settings are known, the score function's estimates are "
    "{parts[score, unbiased]} of the exact gradient on average and vary {parts[variance]} times as much as "
    "straight-through's.",
    revised="Rates, weights and sizes come from pilots on other seeds and the same test images. They showed "
    "that blocks of sixteen units in batches of 256 save no time; the part that decides asks for larger "
    "ones, and the small ones are shown beside.",
)
