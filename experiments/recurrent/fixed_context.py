"""A context of fixed size against attention, by length of the source.

The notes: an encoder's last state may be too small to summarize a long sequence; then the context is made
a sequence of variable length, with a mechanism of attention that associates its elements to those of the
output.

Measured on repeating strings of random letters, of 1 to 20, backwards: all of the source is needed. An
encoder-decoder of GRUs whose context is the encoder's last state, fed at each step and as the first state,
against one with additive attention and as many parameters; each at its own best learning rate. Judged is the
share of new strings that are wholly right, by length. It is the share that greedy decoding gets right: with
the true symbols fed, every most probable symbol is right exactly when it is right with its own fed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, models, outputs
from dlnotes.claims import Above, Claim, Measured, Options, Part, Plot, mean, paired
from dlnotes.plotting import BLUE, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, initial_params, optimizer, schedules, tune_and_train
from dlnotes.typing import Array, Params, PRNGKey

LETTERS, LONGEST = 8, 20
SHORT, LONG = range(1, 6), range(16, LONGEST + 1)
FIXED, ATTENTION = 0, 1
NAMES = ("context of fixed size", "attention")
COLORS = (ORANGE, BLUE)
RATES = (3e-3, 1e-2)


class FixedContext(Options):
    """Sizes of the experiment."""

    hidden: int = Field(32, ge=2, description="units of each state of the net with attention")
    embedding: int = Field(8, ge=1, description="size of a symbol's vector")
    strings: int = Field(8000, ge=8, description="training strings of a seed")
    test: int = Field(100, ge=4, description="new strings of each length")
    steps: int = Field(2500, ge=1, description="steps of each training")
    batch: int = Field(32, ge=1, description="strings of a step")
    tuning_seeds: int = Field(1, ge=1, description="trainings of each net with each learning rate")


def strings(lengths: np.ndarray, rng: Any) -> data.Examples:
    """Random letters, 1 … , padded with 0, and the same backwards, with 0 the end."""
    n = len(lengths)
    real = np.arange(LONGEST) < lengths[:, None]
    source = np.where(real, rng.integers(1, LETTERS + 1, (n, LONGEST)), 0).astype(np.int32)
    places = lengths[:, None] - 1 - np.arange(LONGEST + 1)
    y = np.where(places >= 0, np.take_along_axis(source, np.maximum(places, 0), 1), -1)
    y[np.arange(n), lengths] = 0
    y = y.astype(np.int32)
    return data.Examples(data.Pair(source, data.shift_right(y, LETTERS + 1)), y)


def masked(model: models.Model) -> models.Model:
    """A network of pairs that takes its mask from the padding of the source."""

    def apply(params: Params, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        return model.apply(params, x, mask=x.source > 0)

    return models.Model(model.init, apply)


def networks(o: FixedContext) -> list[models.Model]:
    """With a context of fixed size, and with attention: of as many parameters."""

    def made(hidden: int, attention: Any) -> models.Model:
        return models.seq2seq(
            LETTERS + 1, LETTERS + 1, hidden, embedding=o.embedding, attention=attention, bidirectional=True
        )

    wanted = parameters(made(o.hidden, "additive"))
    widths = range(o.hidden, 2 * o.hidden + 1)
    nearest = min(widths, key=lambda width: abs(parameters(made(width, "none")) - wanted))
    return [masked(made(nearest, "none")), masked(made(o.hidden, "additive"))]


def parameters(model: models.Model) -> int:
    """How many numbers a network has."""
    return sum(a.size for a in jax.tree.leaves(jax.eval_shape(model.init, jax.random.key(0))))


def recipe_of(hyper: Hyperparams, *, model: models.Model, steps: int) -> Recipe:
    """Adam at a rate that falls along a cosine, on the cross-entropy with the true symbols fed."""
    optimize = optimizer("adam", hyper["rate"], factor=schedules.cosine(steps), clip_norm=1.0)
    return Recipe(model, outputs.cross_entropy, {}, optimize)


def many(seeds: np.ndarray, n: int) -> data.Examples:
    """Training strings of each seed, with a members axis."""
    generators = [np.random.default_rng([3, int(s)]) for s in seeds]
    found = [strings(rng.integers(1, LONGEST + 1, n), rng) for rng in generators]
    return jax.tree.map(lambda *a: np.stack(a), *found)


def measure(options: FixedContext) -> dict[str, np.ndarray]:
    """Both nets, each at its best rate, on new strings of every length."""
    o = options
    rng = np.random.default_rng(99)
    lengths = np.repeat(np.arange(1, LONGEST + 1), o.test)
    held, test = strings(lengths, rng), strings(lengths, rng)
    right, rate = np.zeros((2, o.seeds, LONGEST)), np.zeros(2)
    made, looked = networks(o), np.zeros(0)
    for net, model in enumerate(made):
        build = partial(recipe_of, model=model, steps=o.steps)
        found = tune_and_train(
            build,
            partial(many, n=o.strings),
            held,
            {"net": [net]},
            {"rate": RATES},
            start=lambda hyperparams, seeds, model=model: initial_params(model, seeds),
            seeds=o.seeds,
            tuning_seeds=o.tuning_seeds,
            steps=o.steps,
            batch_size=min(o.batch, o.strings),
            record=o.steps,
        )
        rate[net] = RATES[found.chosen[0]]
        whole = wholly_right(model, found.fit.params, test)
        right[net] = np.stack([whole[:, lengths == n].mean(1) for n in range(1, LONGEST + 1)], 1)
        if net == ATTENTION:
            first = jax.tree.map(lambda a: a[0], found.fit.params)
            x = jax.tree.map(lambda a: a[-1:], test.x)
            looked = np.asarray(models.attention_weights(first, x, x.source > 0))[0]
    counts = np.array([parameters(model) for model in made])
    return {"right": right, "rate": rate, "parameters": counts, "looked": looked}


def wholly_right(model: models.Model, params: Params, examples: data.Examples) -> np.ndarray:
    """Whether each example is without a mistake, ``(members, examples)``."""

    def one(p: Params) -> Array:
        return outputs.exact_match(model.apply(p, examples.x), jnp.asarray(examples.y)).total

    return np.asarray(jax.jit(lambda all: jax.lax.map(one, all))(params))


def at(m: Measured, net: int, lengths: range) -> np.ndarray:
    """Strings wholly right of each seed, percent, mean over some lengths."""
    return 100 * m["right"][net][:, np.array(lengths) - 1].mean(1)


def draw(options: FixedContext, m: Measured) -> Plot:
    """Strings right by length on the left; where the net with attention looks on the right."""
    figure = new_figure(10.5, 4.3)
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    lengths = np.arange(1, LONGEST + 1)
    for net in (FIXED, ATTENTION):
        found = 100 * m["right"][net]
        left.plot(lengths, found.mean(0), color=COLORS[net], marker="o", label=NAMES[net])
        left.fill_between(lengths, found.min(0), found.max(0), color=COLORS[net], alpha=0.15, linewidth=0)
    left.set(xlabel="letters of the source", ylabel="new strings wholly right (%)", ylim=(-3, 103))
    left.set_xticks(range(2, LONGEST + 1, 2))
    left.legend(loc="lower left")
    right.imshow(m["looked"], cmap="Blues", vmin=0, vmax=1, aspect="auto")
    right.grid(False)
    right.set(xlabel="place in the source", ylabel="symbol written")
    right.set_xticks(range(4, LONGEST, 5), range(5, LONGEST + 1, 5))
    right.set_yticks(range(4, LONGEST, 5), range(5, LONGEST + 1, 5))
    right.set_title("where attention looks, one string", fontsize=10)
    long = [at(m, net, LONG).mean() for net in (FIXED, ATTENTION)]
    set_title(
        figure,
        f"Of strings of {LONG[0]} to {LONG[-1]} letters a context of fixed size gets {long[0]:.0f}% right, "
        f"attention {long[1]:.0f}%, with as many parameters",
    )
    table = {"length": lengths}
    for net, name in enumerate(("fixed", "attention")):
        table[f"{name}_right"] = m["right"][net].mean(0)
        table[f"{name}_deviation"] = m["right"][net].std(0, ddof=1)
    return Plot(figure, table)


CLAIM = Claim(
    id="R10.4",
    statement="A context of fixed size is too small for long sources; a context as long as the source, read "
    "by attention, is not.",
    source="notes, «redes bidireccionales y arquitecturas de codificación-descodificación»; Bahdanau, Cho "
    "and Bengio 2015, arXiv:1409.0473",
    options=FixedContext,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "short sources",
            "A context of fixed size is enough for short sources.",
            what="strings of 1 to 5 letters wholly right, percent, fixed context",
            effect=lambda m: mean(at(m, FIXED, SHORT)),
            rule=Above(90.0),
        ),
        Part(
            "long sources",
            "It is too small for long ones.",
            what="strings wholly right, percentage points, fixed context, 1 to 5 letters minus 16 to 20",
            effect=lambda m: paired(at(m, FIXED, SHORT), at(m, FIXED, LONG)),
            rule=Above(30.0),
        ),
        Part(
            "attention",
            "Attention mends it, with as many parameters.",
            what="strings of 16 to 20 letters wholly right, percentage points, attention minus fixed context",
            effect=lambda m: paired(at(m, ATTENTION, LONG), at(m, FIXED, LONG)),
            rule=Above(30.0),
        ),
    ),
)
