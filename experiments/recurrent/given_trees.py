"""Where the tree comes from: given by a parse, the same for all data, or found by the learner.

The notes call it an open question how best to structure the tree, and rank nothing: it may not depend on the
data, as a balanced binary tree; outside methods may give a fitting one; ideally the learner would find by
itself the tree that suits its input. What is judged is a finding of Nangia and Bowman (2018) on nested lists
of digits: with the true trees a net does better than along a chain, and better than with trees that it finds.

Measured on ListOps: nested lists of digits under MIN, MAX, MED and SM, brackets and all, whose tree is known
because it decides the answer. One Tree-LSTM with as many parameters each time, trained and tested on four
kinds of trees over the same symbols: the given ones, balanced ones, chains (from left to right, which makes
of it a recurrent net), and those it builds itself, by choosing in every step which neighbors to
compose (straight-through Gumbel-softmax). Each kind has its own best learning rate of three, chosen by the
right answers of other seeds in shorter trainings. How alike trees are is measured by the brackets they
share, without the one around everything: F1, averaged over test expressions.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, models, outputs
from dlnotes.claims import (
    Above,
    Below,
    Claim,
    Level,
    Measured,
    Options,
    Part,
    Plot,
    mean,
    ours,
    paired,
    paper,
)
from dlnotes.data.trees.batching import arrange
from dlnotes.data.trees.list_ops import CLASSES, SYMBOLS, to_trees, values
from dlnotes.data.trees.list_ops import draw as draw_lists
from dlnotes.data.trees.shapes import chain_parents, random_parents
from dlnotes.experiment.figures.latent_trees import draw_tree
from dlnotes.outputs.bracket_f1 import brackets
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, PURPLE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, fit, optimizer, schedules
from dlnotes.typing import Params

STRUCTURES = ("given", "balanced", "chain", "found")
GIVEN, BALANCED, CHAIN, FOUND = range(4)
COLORS = (BLUE, GREEN, ORANGE, PURPLE)
BLIND = ("random", "balanced", "from the left", "from the right")
"""Trees that do not look at the symbols."""
DEPTH, ARGUMENTS = 5, 3
"""Most lists inside one another, and most arguments of a list."""
RATES = np.array([3e-3, 1e-2, 3e-2])
FIRST_SEED, TUNING_SEED = 5000, 6000
"""First seeds of the nets that are judged, and of those that choose a rate."""


class GivenTrees(Options):
    """Sizes of the experiment."""

    hidden: int = Field(32, ge=1, description="units of the Tree-LSTM")
    shortest: int = Field(6, ge=4, description="fewest symbols of an expression")
    longest: int = Field(14, ge=4, description="most symbols")
    examples: int = Field(50_000, ge=10, description="training expressions")
    test: int = Field(1000, ge=10, description="test expressions")
    steps: int = Field(3000, ge=1, description="steps of each training")
    batch: int = Field(32, ge=1, description="expressions of a step")
    tuning_seeds: int = Field(3, ge=1, description="other trainings of each kind of trees with each rate")
    tuning_steps: int = Field(700, ge=1, description="steps of those")


def expressions(o: GivenTrees) -> np.ndarray:
    """Different expressions of the lengths asked for, (examples + 2 test, longest) symbol numbers."""
    rng = np.random.default_rng(FIRST_SEED)
    found = np.zeros((0, o.longest), np.uint8)
    while len(found) < o.examples + 2 * o.test:
        more = draw_lists(rng, 50_000, max_depth=DEPTH, max_args=ARGUMENTS, max_length=o.longest)
        more = more[(more > 0).sum(1) >= o.shortest]
        found = np.concatenate([found, more])
        found = found[np.sort(np.unique(found, axis=0, return_index=True)[1])]
    return found[: o.examples + 2 * o.test]


def examples_of(rows: np.ndarray, structure: str) -> data.Examples:
    """Expressions as trees of a structure, or for "found" as symbols without any."""
    y = values(rows).astype(np.int32)
    if structure == "found":
        return data.Examples(rows.astype(np.int32), y, rows > 0)
    trees, mask = to_trees(rows, structure, nodes=2 * rows.shape[1] - 1)  # pyright: ignore[reportArgumentType]
    return data.Examples(trees, y, mask)


def blind_trees(rows: np.ndarray, shape: str) -> np.ndarray:
    """Children of trees that depend on the number of symbols only, or on nothing."""
    rng = np.random.default_rng(1)
    lengths = (rows > 0).sum(1)
    if shape == "balanced":
        return np.asarray(to_trees(rows, "balanced", nodes=2 * rows.shape[1] - 1)[0].children)
    parents = {
        "random": lambda n: random_parents(n, rng),
        "from the left": chain_parents,
        "from the right": lambda n: chain_parents(n, "right"),
    }[shape]
    parent = np.concatenate([parents(int(n)) for n in lengths])
    return np.asarray(arrange(np.full(len(parent), -1), parent, 2 * lengths - 1).trees.children)


def networks(hidden: int) -> tuple[models.Model, ...]:
    """For each structure a Tree-LSTM; the last one scores pairs, with ``hidden`` parameters more."""
    # One slot after the other, so that all seeds are one program.
    given = models.tree_net(len(SYMBOLS), hidden, len(CLASSES), schedule="sequential")
    return (given, given, given, models.gumbel_tree(len(SYMBOLS), hidden, len(CLASSES)))


def correct(model: models.Model, params: Params, examples: data.Examples) -> np.ndarray:
    """Share of right answers of every member."""
    x, mask, y = jax.tree.map(jnp.asarray, (examples.x, examples.mask, examples.y))

    @jax.jit
    def run(params: Params):
        return jax.lax.map(lambda p: jnp.mean(jnp.argmax(model.apply(p, x, mask=mask), -1) == y), params)

    return np.asarray(run(params))


def found_trees(params: Params, examples: data.Examples) -> np.ndarray:
    """The trees that every member builds, (members, examples, nodes, 2) children."""
    x, mask = jnp.asarray(examples.x), jnp.asarray(examples.mask)
    return np.asarray(
        jax.jit(lambda all: jax.lax.map(lambda p: models.gumbel_parse(p, x, mask), all))(params)
    )


def each_f1(found: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The F1 of every expression, for each of the members' trees; (members, expressions)."""
    return np.stack([outputs.bracket_f1(trees, other) for trees in found])


def train(
    model: models.Model,
    structure: int,
    examples: data.Examples,
    rates: np.ndarray,
    seeds: np.ndarray,
    steps: int,
    batch: int,
) -> Params:
    """A net of each seed, by Adam at its rate, which goes down to 0 along a cosine."""
    decay = schedules.cosine(steps)

    def of(hyper: Hyperparams) -> Recipe:
        adam = optimizer("adam", hyper["learning_rate"], factor=decay, clip_norm=1.0)
        return Recipe(model, outputs.cross_entropy, {}, adam, random=structure == FOUND)

    return fit(
        of,
        examples,
        steps=steps,
        batch_size=min(batch, examples.size),
        seeds=seeds,
        hyperparams={"learning_rate": rates},
        record=steps,
    ).params


def measure(options: GivenTrees) -> dict[str, np.ndarray]:
    """Accuracy by structure, the chosen rates, and how much the trees that were found share with others."""
    rows = expressions(options)
    train_rows, validation_rows, test_rows = np.split(
        rows, [options.examples, options.examples + options.test]
    )
    accuracy, rate = np.zeros((len(STRUCTURES), options.seeds)), np.zeros(len(STRUCTURES))
    found = np.zeros(0)
    own, others = np.arange(options.seeds), np.arange(options.tuning_seeds)
    for k, (structure, model) in enumerate(zip(STRUCTURES, networks(options.hidden))):
        examples, validation, test = (
            examples_of(r, structure) for r in (train_rows, validation_rows, test_rows)
        )
        tried, seeds = np.repeat(RATES, len(others)), np.tile(TUNING_SEED + others, len(RATES))
        params = train(model, k, examples, tried, seeds, options.tuning_steps, options.batch)
        right = correct(model, params, validation).reshape(len(RATES), -1).mean(1)
        rate[k] = RATES[np.argmax(right)]
        judged = np.full(options.seeds, rate[k])
        params = train(model, k, examples, judged, FIRST_SEED + own, options.steps, options.batch)
        accuracy[k] = correct(model, params, test)
        if k == FOUND:
            found = found_trees(params, test)
    true = np.asarray(to_trees(test_rows, "given")[0].children)
    blind = [blind_trees(test_rows, shape) for shape in BLIND]
    f1 = each_f1(found, true)
    agreement = np.zeros((options.seeds, options.seeds))
    agreement[np.triu_indices(options.seeds, 1)] = outputs.self_agreement(list(found))
    # The example: of middling length, and the first member's tree as good as its trees are on average.
    lengths = (test_rows > 0).sum(1)
    far = np.abs(f1[0] - f1[0].mean()) + (lengths != np.median(lengths))
    example = int(np.nanargmin(far))
    return {
        "accuracy": accuracy,
        "rate": rate,
        "most_frequent": np.array(np.bincount(values(test_rows)).max() / len(test_rows)),
        "f1": np.nanmean(f1, 1),
        "f1_with_blind": np.stack([np.nanmean(each_f1(found, trees), 1) for trees in blind]),
        "blind_f1": np.array([np.nanmean(outputs.bracket_f1(trees, true)) for trees in blind]),
        "agreement": (agreement + agreement.T).sum(0) / (options.seeds - 1),
        "example_symbols": test_rows[example],
        "example_true": true[example],
        "example_found": found[0, example],
    }


def draw(options: GivenTrees, m: Measured) -> Plot:
    """Accuracy by structure and F1 with the true trees above; one true tree and the found one below."""
    figure = new_figure(9.5, 6.4)
    grid = figure.add_gridspec(2, 2, height_ratios=[1.25, 1])
    left, right, one, two = (figure.add_subplot(grid[i, j]) for i in range(2) for j in range(2))
    accuracy = 100 * m["accuracy"]
    for k, color in enumerate(COLORS):
        left.plot(np.full(options.seeds, k), accuracy[k], "o", color=color, alpha=0.45)
        left.hlines(accuracy[k].mean(), k - 0.25, k + 0.25, color=color, lw=2.4)
        left.annotate(f"{accuracy[k].mean():.1f}", (k + 0.3, accuracy[k].mean()), va="center", fontsize=9)
    floor = 100 * float(m["most_frequent"])
    left.axhline(floor, color=GRAY, lw=1, ls=":")
    left.text(-0.45, floor, "the most frequent answer", va="bottom", color=GRAY, fontsize=8.5)
    left.set(ylabel="right answers (%)", ylim=(0, 103), xlim=(-0.5, 3.75), xticks=range(4))
    left.set_xticklabels(["given trees", "balanced", "chains", "found"])
    blind, f1 = 100 * m["blind_f1"], 100 * m["f1"]
    right.bar(range(len(BLIND)), blind, color=GRAY, alpha=0.5, width=0.6)
    right.bar(len(BLIND), f1.mean(), color=PURPLE, alpha=0.5, width=0.6)
    right.plot(np.full(options.seeds, len(BLIND)), f1, "o", color=PURPLE)
    right.plot(np.full(options.seeds, len(BLIND) + 1), 100 * m["agreement"], "o", color=PURPLE, mfc="none")
    right.set(ylabel="brackets shared (F1, %)", ylim=(0, 103), xticks=range(len(BLIND) + 2))
    right.set_xticklabels(
        ["random", "balanced", "from\nleft", "from\nright", "found", "found,\nseeds with\none another"]
    )
    right.tick_params(axis="x", labelsize=8.5)
    right.set_title("with the true trees", fontsize=9.5)
    names = [SYMBOLS[s] for s in m["example_symbols"] if s > 0]
    trees = [m["example_true"], m["example_found"]]
    titles = ["true (green: found, too)", "found by the first seed (green: true)"]
    for axes, title, tree, other in zip((one, two), titles, trees, reversed(trees)):
        draw_tree(axes, tree, names, brackets(other[None], whole=True)[0])
        axes.set_title(title, fontsize=9.5)
    found = accuracy.mean(1)
    set_title(
        figure,
        f"{found[GIVEN]:.1f}% right on given trees, {found[BALANCED]:.1f}% on balanced ones, "
        f"{found[CHAIN]:.1f}% on chains, {found[FOUND]:.1f}% on trees that the net finds, which share "
        f"{f1.mean():.0f}% of their brackets with the true ones",
    )
    table: dict[str, Any] = {"seed": np.arange(options.seeds)}
    table |= {f"accuracy_{name}": m["accuracy"][k] for k, name in enumerate(STRUCTURES)}
    table |= {"f1_true": m["f1"]}
    table |= {f"f1_{name.replace(' ', '_')}": m["f1_with_blind"][k] for k, name in enumerate(BLIND)}
    return Plot(figure, table | {"f1_other_seeds": m["agreement"]})


def gap(a: int, b: int):
    """Effect: right answers on one kind of trees minus on another, percentage points."""
    return lambda m: paired(100 * m["accuracy"][a], 100 * m["accuracy"][b])


NANGIA = "Nangia & Bowman 2018"
LEARNED = Level(
    what="right answers on given trees, %; Nangia and Bowman 2018 report 98.7 with longer training",
    effect=lambda m: mean(100 * m["accuracy"][GIVEN]),
    rule=Above(80.0),
)

CLAIM = Claim(
    id="R11.3",
    statement="A recursive net does better on the trees that decide the answers than along a chain, and "
    "better than on trees that it finds by itself.",
    source="the notes call it an open question, «profundidad y recursividad»; Nangia and Bowman 2018; "
    "Choi, Yoo and Lee 2018",
    options=GivenTrees,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "given against chain",
            "A net on the given trees answers more expressions right than one along a chain.",
            what="right answers on given trees minus chains, percentage points",
            effect=gap(GIVEN, CHAIN),
            rule=Above(0.0),
            source=paper(NANGIA, "98.7% right on the true trees, 73.3% for a recurrent net"),
            learned=LEARNED,
        ),
        Part(
            "given against found",
            "A net on the given trees answers more expressions right than one that finds its trees.",
            what="right answers on given minus found trees, percentage points",
            effect=gap(GIVEN, FOUND),
            rule=Above(0.0),
            source=paper(NANGIA, "98.7% right on the true trees, 57.6% with trees found by Gumbel-softmax"),
            learned=LEARNED,
        ),
        Part(
            "given against balanced",
            "A net on the given trees answers more expressions right than one on balanced trees.",
            what="right answers on given minus balanced trees, percentage points",
            effect=gap(GIVEN, BALANCED),
            rule=Above(0.0),
            source=ours("the notes name balanced trees as an option and rank nothing"),
            learned=LEARNED,
        ),
        Part(
            "balanced against chain",
            "A net on balanced trees answers more expressions right than one along a chain.",
            what="right answers on balanced trees minus chains, percentage points",
            effect=gap(BALANCED, CHAIN),
            rule=Above(0.0),
            source=ours("the notes name balanced trees as an option and rank nothing"),
            learned=LEARNED,
        ),
        Part(
            "found trees, true brackets",
            "The trees found share fewer brackets with the true ones than the best that look at no symbol.",
            what="F1 with the true trees, found minus the best of random, balanced, left, right; points",
            effect=lambda m: mean(100 * (m["f1"] - m["blind_f1"].max())),
            rule=Below(0.0),
            source=ours("it shows whether a net that finds its trees finds the true ones"),
            learned=LEARNED,
        ),
        Part(
            "found trees of other seeds",
            "Nets of different seeds find different trees.",
            what="brackets shared with the trees of the other seeds, F1, %",
            effect=lambda m: mean(100 * m["agreement"]),
            rule=Below(75.0),
            source=ours("Williams, Drozdov and Bowman (2018) saw such differences on sentences"),
            learned=LEARNED,
        ),
    ),
    method="{options.examples} nested lists of {options.shortest} to {options.longest} symbols, "
    "{options.test} for the test. A Tree-LSTM of {options.hidden} units is trained by Adam in "
    "{options.steps} steps of {options.batch}, its rate going down to 0, on each of four kinds of trees. "
    "Each kind has its best of three rates by the right answers of {options.tuning_seeds} other seeds "
    "after {options.tuning_steps} steps. {options.seeds} seeds.",
    reading="On these short lists given trees beat found ones by {parts[given against found]} points. "
    "The rest is ours and depends on the grammar of the lists: the true trees take in one argument after "
    "another from the left, so chains share {facts[chain f1]}% of their brackets, balanced trees "
    "{facts[balanced f1]}%. The trees found share {facts[found f1]}%, and {facts[other f1]}% with the "
    "trees of another seed.",
    facts=lambda m: {
        "chain f1": float(100 * m["blind_f1"][BLIND.index("from the left")]),
        "balanced f1": float(100 * m["blind_f1"][BLIND.index("balanced")]),
        "found f1": float(100 * m["f1"].mean()),
        "other f1": float(100 * m["agreement"].mean()),
    },
    revised="After short trainings of two seeds, to fit the time that all claims have: expressions are "
    "shorter (6 to 14 symbols, not 10 to 20), lists have up to 3 arguments, not 4, the training examples are "
    "50,000, not 10,000, for nets did better on those they had seen, and width and batch were set. After "
    "an audit: only what a paper found decides, the rate of each kind of trees is chosen with three seeds "
    "(it was one rate for all), and seeds and expressions are fresh. After 2,000 steps the nets on given "
    "trees had 78.0% right, short of the level that was asked for; steps are 4,000 again, on fresh seeds "
    "and expressions. Those had 91.9% right; with 3,000 steps, on fresh seeds and expressions, the row takes "
    "less time. The thresholds stayed.",
)
