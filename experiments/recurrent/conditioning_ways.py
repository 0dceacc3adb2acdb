"""One vector that conditions a sequence: as an input at every step, as the initial state, or both.

The notes: a distribution over sequences becomes one that is conditioned on a vector x by giving x as an extra
input at every step, as the initial state, or both; the first is the most common. The product of x and R is
then in effect a new bias of the hidden units, while the weights stay independent of x.

Measured on sequences that end with an answer, which is a function of x: three signs, and the answer names
which of the eight combinations they are. Before it come letters drawn at random and a mark. So all that a net
needs of x is needed at the last step, and nothing that was written before tells it. The nets are
distributions over sequences, trained by their likelihood, each with the vector given in one of the three
ways, for sequences of several lengths: a plain tanh net, and a GRU. What is judged is the answer alone: the
eight sequences that differ in it only are scored, and the scores give the net's probability of each answer.
"""

from __future__ import annotations

from functools import partial
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
    Interval,
    Level,
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
from dlnotes.models.recurrent.stopping import Given
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, initial_params, optimizer, tune_and_train
from dlnotes.typing import Array, Params

SIGNS, LETTERS = 3, 4
ANSWERS = 2**SIGNS
MARK = LETTERS
FIRST_ANSWER = LETTERS + 1
SYMBOLS = LETTERS + 1 + ANSWERS
CHANCE = np.log(ANSWERS)
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
WAYS = ("input", "initial", "both")
INPUT, INITIAL, BOTH = range(3)
LABELS = ("extra input at each step", "initial state", "both")
COLORS = (BLUE, ORANGE, GREEN)
CELLS = ("rnn", "gru")
PLAIN, GATED = range(2)
CELL_NAMES = ("plain tanh net", "GRU")
FIRST_SEED = 200
HALF, END = 0, 1


class ConditioningWays(Options):
    """Sizes of the experiment."""

    hidden: int = Field(32, ge=1, description="units of the state")
    lengths: tuple[int, ...] = Field((4, 16, 64), min_length=2, description="symbols of a sequence")
    examples: int = Field(4000, ge=8, description="training sequences of a seed")
    test: int = Field(500, ge=8, description="new sequences, and sequences for the choice of rates")
    steps: int = Field(2000, ge=2, description="steps of each training")
    batch: int = Field(32, ge=1, description="sequences of a step")
    tuning_seeds: int = Field(3, ge=1, description="trainings of each net with each learning rate")


def sequences(n: int, length: int, rng: np.random.Generator) -> Given:
    """Random letters, the mark and the answer, (n, length), with the signs that it names, (n, SIGNS)."""
    answer = rng.integers(0, ANSWERS, n)
    y = rng.integers(0, LETTERS, (n, length))
    y[:, -2], y[:, -1] = MARK, FIRST_ANSWER + answer
    signs = 2.0 * (answer[:, None] >> np.arange(SIGNS) & 1) - 1
    return Given(y.astype(np.int32), signs.astype(np.float32))


def examples(given: Given) -> data.Examples:
    """What the nets train on: the likelihood needs no target beside the sequence."""
    return data.Examples(given, np.zeros(given.symbols.shape[:-1], np.int32))


def many(seeds: np.ndarray, n: int, length: int) -> data.Examples:
    """Training sequences of each seed, with a members axis."""
    drawn = [sequences(n, length, np.random.default_rng([12, int(s)])) for s in seeds]
    return examples(jax.tree.map(lambda *a: np.stack(a), *drawn))


def surprise(log_p: Array, y: Array) -> outputs.PerExample:
    """``−log P`` of each sequence."""
    return outputs.PerExample(-log_p, jnp.ones(log_p.shape[0], jnp.float32))


def recipe_of(hyper: Hyperparams, *, model: models.Model) -> Recipe:
    """Adam on −log P."""
    return Recipe(model, surprise, {}, optimizer("adam", hyper["rate"], clip_norm=1.0))


def answers(model: models.Model, params: Params, test: Given) -> np.ndarray:
    """Of every member the log-probability of each answer after the mark, (members, n, answers)."""
    y, x = jnp.asarray(test.symbols), jnp.asarray(test.vector)

    def scores(p: Params) -> Array:
        def of(answer: Array) -> Array:
            return model.apply(p, Given(y.at[:, -1].set(FIRST_ANSWER + answer), x))

        return jax.nn.log_softmax(jax.lax.map(of, jnp.arange(ANSWERS, dtype=jnp.int32)).T)

    return np.asarray(jax.jit(lambda all: jax.lax.map(scores, all))(params))


def as_a_bias(params: Any, hidden: int, test: Given) -> float:
    """Largest difference of a sequence's ``log P``: x as an input, and a bias ``b + x R`` in a net without x.

    Args:
      params: of one net with the vector as an extra input.
      hidden: its units.
      test: sequences with their vectors.
    """
    length = test.symbols.shape[1]
    with_x = models.sequence_distribution(SYMBOLS, hidden, length, cell="rnn", vector=SIGNS)
    without = models.sequence_distribution(SYMBOLS, hidden, length, cell="rnn")

    def alone(y: Array, x: Array) -> Array:
        cell = params.cell._replace(b=params.cell.b + x @ params.R)
        return without.apply(params._replace(cell=cell, R=None), y[None])[0]

    y, x = jnp.asarray(test.symbols), jnp.asarray(test.vector)
    one = jax.jit(jax.vmap(alone))(y, x)
    return float(jnp.abs(jax.jit(with_x.apply)(params, Given(y, x)) - one).max())


def measure(options: ConditioningWays) -> dict[str, np.ndarray]:
    """Nats and right answers, (cells, lengths, ways, half or all steps, seeds)."""
    o = options
    shape = (len(CELLS), len(o.lengths), len(WAYS))
    found = {what: np.zeros((*shape, 2, o.seeds)) for what in ("nats", "right")}
    rate, difference = np.zeros(shape), 0.0
    for c, k, w in np.ndindex(shape):
        length = o.lengths[k]
        rng = np.random.default_rng([11, length])
        held, test = (sequences(o.test, length, rng) for _ in range(2))
        way: Any = WAYS[w]
        model = models.sequence_distribution(SYMBOLS, o.hidden, length, cell=CELLS[c], vector=SIGNS, way=way)
        trained = tune_and_train(
            partial(recipe_of, model=model),
            lambda seeds, length=length: many(seeds, o.examples, length),
            examples(held),
            {"one": np.zeros(1)},
            {"rate": RATES},
            start=lambda _, seeds, model=model: initial_params(model, seeds),
            seeds=o.seeds,
            tuning_seeds=o.tuning_seeds,
            first_seed=FIRST_SEED,
            steps=o.steps,
            batch_size=min(o.batch, o.examples),
            record=o.steps,
            every=o.steps // 2,
            probe=lambda params: params,
        )
        rate[c, k, w] = RATES[trained.chosen[0]]
        right = test.symbols[:, -1] - FIRST_ANSWER
        for when in (HALF, END):
            params = jax.tree.map(lambda a, i=when + 1: a[i], trained.fit.probes)
            log_p = answers(model, params, test)
            found["nats"][c, k, w, when] = -log_p[:, np.arange(o.test), right].mean(1)
            found["right"][c, k, w, when] = (log_p.argmax(-1) == right).mean(1)
        if c == PLAIN and w == INPUT:
            one = jax.tree.map(lambda a: jnp.asarray(a[0]), trained.fit.params)
            difference = max(difference, as_a_bias(one, o.hidden, test))
    return {**found, "rate": rate, "bias_difference": np.array(difference), "lengths": np.array(o.lengths)}


def draw(options: ConditioningWays, m: Measured) -> Plot:
    """Nats of the answer by length, a panel for each cell."""
    figure = new_figure(9.5, 4.2)
    panels: Any = figure.subplots(1, 2, sharey=True)
    lengths = m["lengths"]
    for c, (axes, name) in enumerate(zip(panels, CELL_NAMES)):
        for w, (label, color) in enumerate(zip(LABELS, COLORS)):
            values = m["nats"][c, :, w, END]
            place = lengths * 1.06 ** (w - 1)
            axes.plot(place, values, "o", color=color, ms=4, alpha=0.35)
            axes.plot(place, values.mean(-1), "s-", color=color, ms=7, mec="white", label=label)
        axes.axhline(CHANCE, color=GRAY, lw=1, ls=":")
        axes.text(lengths[0], CHANCE * 1.02, "chance", color=GRAY, fontsize=9)
        axes.set(xscale="log", xlabel="symbols of a sequence", title=name)
        axes.set_xticks(lengths, [str(n) for n in lengths])
        axes.minorticks_off()
    panels[0].set(ylabel="nats of the answer\n(each seed; square: mean)", ylim=(-0.08, 1.15 * CHANCE))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    longest = 100 * m["right"][PLAIN, -1, :, END].mean(-1)
    set_title(
        figure,
        f"Answers right at the end of {lengths[-1]} symbols, plain net: "
        + ", ".join(f"{label} {share:.0f}%" for label, share in zip(LABELS, longest)),
    )
    rows = list(np.ndindex(m["rate"].shape))
    table = {
        "cell": [CELLS[c] for c, _, _ in rows],
        "length": [lengths[k] for _, k, _ in rows],
        "way": [WAYS[w] for _, _, w in rows],
        "rate": [m["rate"][row] for row in rows],
        "nats": [m["nats"][row][END].mean() for row in rows],
        "right": [m["right"][row][END].mean() for row in rows],
    }
    return Plot(figure, table)


def worst_way(m: Measured) -> Interval:
    """Right answers of the worst way at the shortest length, %, both cells."""
    return mean(100 * m["right"][:, 0, :, END].min((0, 1)))


def _apart(cell: int, way: int, other: int, length: int = -1):
    """Effects at the end and after half of the steps: nats of one way minus another's at a length."""

    def after(when: int):
        return lambda m: paired(m["nats"][cell, length, way, when], m["nats"][cell, length, other, when])

    return after(END), Plateau(after(HALF))


def _fading(cell: int):
    """Effects as of `_apart`: how much more the initial state costs at the longest than at the shortest."""

    def after(when: int):
        def effect(m: Measured) -> Interval:
            cost = m["nats"][cell, :, INITIAL, when] - m["nats"][cell, :, INPUT, when]
            return paired(cost[-1], cost[0])

        return effect

    return after(END), Plateau(after(HALF))


WHERE = "arquitecturas recurrentes"
FADES = ours("the notes name the ways and which is the most common, not what they cost by length")


def _ours(name: str, statement: str, what: str, effect: Any, rule: Any, source: Any = FADES) -> Part:
    return Part(name, statement, what, effect[0], rule, source, effect[1])


CLAIM = Claim(
    id="R9.12",
    statement="A vector conditions a recurrent distribution over sequences as an extra input at each step, "
    "as the initial state, or as both. As an input it is a new bias. The initial state fades over long "
    "sequences.",
    source="notes, «arquitecturas recurrentes»; Goodfellow et al. 2016, 10.2.4",
    options=ConditioningWays,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "each way conditions",
            "At the shortest length a net learns to use the vector in each of the three ways.",
            what="answers right at {options.lengths[0]} symbols, %, the worst of three ways and two cells",
            effect=worst_way,
            rule=Above(99.0),
            source=notes(
                WHERE,
                "the most common ways to give a vector are an extra input at each step, the initial state, "
                "or both",
            ),
            # Nets that answer right show that such nets can.
            learned=None,
        ),
        Part(
            "the input is a bias",
            "A net with the vector as an input gives a sequence the probability that a net without it gives "
            "with the bias b + xᵀR.",
            what="largest difference of log P of a sequence, nats, over new sequences of all lengths",
            effect=lambda m: exact(float(m["bias_difference"])),
            rule=Below(1e-3),
            source=notes(
                WHERE,
                "xᵀR is in effect a new bias parameter of each hidden unit; the weights stay independent of "
                "x",
            ),
        ),
        _ours(
            "initial state, longest",
            "At the longest length the initial state alone tells a plain net less of the vector than the "
            "extra input.",
            "nats of the answer at the longest length, initial state minus extra input, plain net",
            _apart(PLAIN, INITIAL, INPUT),
            Above(0.0),
        ),
        _ours(
            "it fades",
            "What the initial state loses to the extra input grows with the length.",
            "nats of the answer, initial state minus extra input, the longest length minus the shortest, "
            "plain net",
            _fading(PLAIN),
            Above(0.0),
        ),
        _ours(
            "both, longest",
            "Both ways together do no worse than the extra input alone.",
            "nats of the answer at the longest length, both minus extra input, plain net",
            _apart(PLAIN, BOTH, INPUT),
            Below(0.05),
        ),
        Part(
            "gates hold it",
            "With gates the initial state fades less.",
            what="nats of the answer at the longest length, given as the initial state, plain net minus GRU",
            effect=lambda m: paired(m["nats"][PLAIN, -1, INITIAL, END], m["nats"][GATED, -1, INITIAL, END]),
            rule=Above(0.0),
            source=ours("fading is that of the plain net's states; a gated cell is made to hold them"),
            # More steps can only help the GRU here; it is the plain net that must not be cut short.
            learned=Level(
                what="nats of the answer that the plain net with the initial state gains at the longest "
                "length when the steps are doubled",
                effect=lambda m: paired(
                    m["nats"][PLAIN, -1, INITIAL, HALF], m["nats"][PLAIN, -1, INITIAL, END]
                ),
                rule=Below(0.1),
            ),
        ),
    ),
    method="Data: sequences drawn here, random letters and a mark, then an answer that names which of eight "
    "combinations of signs the vector has; {options.examples} for training, drawn anew for each seed, and "
    "{options.test} each for validation and for the test. Networks: distributions over sequences of a plain "
    "tanh net or a GRU of {options.hidden} units, with the vector given in one of three ways, trained "
    "separately for sequences of {facts[lengths]} symbols. Training: Adam on the likelihood of whole "
    "sequences, {options.steps} steps of {options.batch} sequences, gradient norm clipped at 1, the rate of "
    "a grid of four with the least validation loss of {options.tuning_seeds} other seeds. {options.seeds} "
    "seeds count; intervals cover seeds.",
    reading="The answer is due at the last step and nothing written before it tells it, so the initial state "
    "has to be carried through all letters, and the gradient that teaches it back through all of them. Real "
    "sequences tell of the vector as they go on, and a net can read it there: they fade less. At the longest "
    "length the plain net is right in {facts[right input]}% of sequences with the extra input, in "
    "{facts[right initial]}% with the initial state, and the GRU in {facts[right gated]}% with the initial "
    "state.",
    facts=lambda m: {
        "lengths": " and ".join([", ".join(str(n) for n in m["lengths"][:-1]), str(m["lengths"][-1])]),
        "right input": float(100 * m["right"][PLAIN, -1, INPUT, END].mean()),
        "right initial": float(100 * m["right"][PLAIN, -1, INITIAL, END].mean()),
        "right gated": float(100 * m["right"][GATED, -1, INITIAL, END].mean()),
    },
    revised="A trial with three seeds came before the first measurement. In it both ways together did "
    "better than the extra input alone, so that part asks now whether they do worse; and the GRU was still "
    "learning at the longest length, so its part asks whether the plain net is. No other rule was changed; "
    "the seeds are fresh.",
)
