"""How long a dependency each kind of recurrent net learns by plain stochastic gradient descent.

The notes: as the span of the dependencies grows, gradient-based training becomes hard; the probability of
training a traditional recurrent net by stochastic gradient descent falls to 0 rapidly for sequences of
length 10 or 20.

Measured on two tasks of Bengio, Simard and Frasconi (1994): the latch (a bit is shown for three steps, noise
follows, and the bit is asked for at the end) and parity (is the number of ones odd? asked at the end). As
there, descent is plain: one sequence at a time, without momentum and without clipping. The traditional net
has tanh units and recurrent weights uniform in ±1/√n, n units. Each net, task and length has its own best
rate of one grid, the one by which most trainings of other seeds succeed. A training is a success when 99%
of the test sequences are answered right.

Six changes of the net are measured beside, on the latch, for the book and papers recommend them, and the
text of the notes does not: the gradient clipped to norm 1; an orthogonal start; leaky units with time
constants 1, 4 and 16; connections that skip 8 steps; a GRU; an LSTM. The last two start with gates that keep
a state for 1 to T steps (the chrono start), T the length.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field, field_validator

from dlnotes import data, layers
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
    book,
    notes,
    paired,
    paper,
    share,
)
from dlnotes.data.time_series.long_term import draw_parity
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, PURPLE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, evaluate, initial_params, tune_and_train
from dlnotes.typing import Array, Params, PRNGKey

from ._reader import reader, recipe

NEVER = 1e30
DELAY, TIME_CONSTANTS = 8, (1.0, 4.0, 16.0)
RATES = np.array([0.01, 0.03, 0.1, 0.3])
SUCCESS = 0.99
FIRST_SEED = 5000
"""Of the trainings that are judged, and of the sequences that are drawn."""
TASKS = ("latch", "parity")
TaskName = Literal["latch", "parity"]
JUDGED_LENGTH = 20
"""The longest of the lengths that the notes name."""


def usual(cell: layers.Cell) -> layers.Cell:
    """The cell with recurrent weights that start uniform in ±1/√n."""

    def init(key: PRNGKey, inputs: int, hidden: int, *, init_scale: float = 1.0) -> Any:
        params = cell.init(key, inputs, hidden, init_scale=init_scale)
        size = hidden**-0.5
        W = jax.random.uniform(jax.random.fold_in(key, 1), params.W.shape, minval=-size, maxval=size)
        return params._replace(W=W)

    return cell._replace(init=init)


def chrono(cell: layers.Cell, keep: int, write: int | None, length: int) -> layers.Cell:
    """The cell with gates that start by keeping a unit's state for u steps, u uniform in 1 … length − 1.

    Args:
      cell: a gated one, whose bias ``b`` holds a block of ``hidden`` numbers for each gate.
      keep: place of the gate that keeps the state; its bias starts at ``log u``.
      write: place of the gate that writes to it, whose bias starts at ``−log u``; ``None`` where it is the
        same gate.
      length: of the sequences.

    Source: Tallec and Ollivier, 2018.
    """

    def init(key: PRNGKey, inputs: int, hidden: int, *, init_scale: float = 1.0) -> Any:
        params = cell.init(key, inputs, hidden, init_scale=init_scale)
        top = max(length - 1.0, 1.0 + 1e-3)
        log = jnp.log(jax.random.uniform(jax.random.fold_in(key, 2), (hidden,), minval=1.0, maxval=top))

        def put(b: Array, gate: int, values: Array) -> Array:
            return b.at[gate * hidden : (gate + 1) * hidden].set(values)

        b = put(params.b, keep, log)
        return params._replace(b=b if write is None else put(b, write, -log))

    return cell._replace(init=init)


class Net(NamedTuple):
    """One of the nets.

    Attributes:
      name: in the figure.
      color, marker: likewise.
      cell: its recurrent cell for sequences of a length.
      clip: norm that the gradient is clipped to.
    """

    name: str
    color: str
    marker: str
    cell: Callable[[int], layers.Cell]
    clip: float = NEVER


PLAIN = usual(layers.rnn)
NETS = (
    Net("plain", "black", "o", lambda length: PLAIN),
    Net("gradient clipped", GRAY, "X", lambda length: PLAIN, 1.0),
    Net("orthogonal start", ORANGE, "s", lambda length: layers.plain_cell("tanh", start="orthogonal")),
    Net("leaky units", GREEN, "^", lambda length: usual(layers.leaky(TIME_CONSTANTS))),
    Net("skips over 8 steps", PURPLE, "v", lambda length: usual(layers.delayed(DELAY))),
    Net("GRU", "#56B4E9", "D", lambda length: chrono(usual(layers.gru), 1, None, length)),
    Net("LSTM", BLUE, "P", lambda length: chrono(usual(layers.lstm), 1, 0, length)),
)


class LengthLimits(Options):
    """Sizes of the experiment."""

    seeds: int = Field(40, ge=2, le=10_000, description="trainings of each net and length")
    latch_lengths: tuple[int, ...] = Field((5, 10, 15, 20, 50, 100), min_length=1, description="plain net")
    parity_lengths: tuple[int, ...] = Field((3, 5, 10, 20), min_length=1, description="plain net")
    long_lengths: tuple[int, ...] = Field(
        (50,), min_length=1, description="of the latch, where the changed nets are trained too"
    )
    hidden: int = Field(12, ge=3, description="hidden units of each net")
    examples: int = Field(2000, ge=32, description="training sequences")
    test: int = Field(500, ge=10, description="validation and test sequences each")
    steps: int = Field(6000, ge=2, description="steps of each training")
    batch: int = Field(1, ge=1, description="sequences of a step")
    tuning_seeds: int = Field(5, ge=1, description="trainings of each net and length with each rate")

    @field_validator("latch_lengths", "parity_lengths")
    @classmethod
    def _judged_length(cls, lengths: tuple[int, ...]) -> tuple[int, ...]:
        if JUDGED_LENGTH not in lengths:
            raise ValueError(f"got {list(lengths)}, needed is {JUDGED_LENGTH} among them: it is judged")
        return lengths


def sequences(task: TaskName, rng: np.random.Generator, n: int, length: int) -> data.Examples:
    """Sequences (n, length, 1) of a task with the class that is asked for at the end; bits are ±1."""
    if task == "latch":
        drawn = data.draw_latch(rng, n, min_length=length, max_length=length)
        return data.Examples(drawn.x, drawn.y)
    drawn = draw_parity(rng, n, min_length=length, max_length=length)
    return data.Examples((2 * drawn.x[..., None] - 1).astype(np.float32), drawn.y)


def train(net: Net, task: TaskName, length: int, options: LengthLimits) -> tuple[np.ndarray, float]:
    """Test accuracy after half of the steps and after all, (2, seeds), and the chosen rate."""
    rng = np.random.default_rng([FIRST_SEED, TASKS.index(task), length])
    sizes = (options.examples, options.test, options.test)
    train, validation, test = (sequences(task, rng, n, length) for n in sizes)
    model = reader(net.cell(length), 1, options.hidden, 2)

    def of(hyper: Hyperparams) -> Recipe:
        return recipe(model, hyper, "sgd", clip_norm=hyper["clip_norm"])

    trained = tune_and_train(
        of,
        train,
        validation,
        {"clip_norm": np.array([net.clip])},
        {"learning_rate": RATES},
        start=lambda _, seeds: initial_params(model, seeds),
        seeds=options.seeds,
        tuning_seeds=options.tuning_seeds,
        first_seed=FIRST_SEED,
        score="accuracy",
        steps=options.steps,
        batch_size=options.batch,
        record=options.steps,
        every=options.steps // 2,
        probe=lambda params: params,
    )
    snapshots: list[Params] = [jax.tree.map(lambda leaf, i=i: leaf[i], trained.fit.probes) for i in (1, 2)]
    found = [evaluate(of, trained.hyperparams, params, test)["accuracy"] for params in snapshots]
    return np.stack(found), float(RATES[trained.chosen[0]])


def measure(options: LengthLimits) -> dict[str, np.ndarray]:
    """Test accuracy of the plain net on each task (lengths, halves, seeds) and of all nets on the long latch
    (lengths, nets, halves, seeds), with lengths and chosen rates.
    """

    @cache
    def on_latch(net: int, length: int) -> tuple[np.ndarray, float]:
        return train(NETS[net], "latch", length, options)

    measured = {"long_length": np.array(options.long_lengths)}
    plain = {
        "latch": [on_latch(0, length) for length in options.latch_lengths],
        "parity": [train(NETS[0], "parity", length, options) for length in options.parity_lengths],
    }
    for (task, found), lengths in zip(plain.items(), (options.latch_lengths, options.parity_lengths)):
        measured |= {f"{task}_length": np.array(lengths)}
        measured |= {f"{task}_accuracy": np.stack([a for a, _ in found])}
        measured |= {f"{task}_rate": np.array([rate for _, rate in found])}
    found = [[on_latch(i, length) for i in range(len(NETS))] for length in options.long_lengths]
    measured["long_accuracy"] = np.stack([np.stack([a for a, _ in row]) for row in found])
    measured["long_rate"] = np.array([[rate for _, rate in row] for row in found])
    return measured


HALF, END = 0, 1


def solved(m: Measured, task: str, length: int, when: int = END) -> np.ndarray:
    """Whether each training of the plain net on sequences of a length was a success, (seeds,).

    Raises:
      ValueError: when the length was not measured.
    """
    lengths = m[f"{task}_length"].tolist()
    if length not in lengths:
        raise ValueError(f"length: got {length}, measured on the {task} are {lengths}")
    return m[f"{task}_accuracy"][lengths.index(length), when] >= SUCCESS


def at(length: int, task: str, when: int = END) -> Callable[[Measured], Interval]:
    """Effect: the share of the plain net's trainings that succeed at a length; see `solved`."""
    return lambda m: share(solved(m, task, length, when))


def falls(task: str) -> Callable[[Measured], Interval]:
    """Effect: by how much fewer trainings succeed at the longest length than at the shortest, points."""

    def effect(m: Measured) -> Interval:
        first, last = (int(f(m[f"{task}_length"])) for f in (min, max))
        return paired(*(100 * solved(m, task, length) for length in (first, last)))

    return effect


def long_success(m: Measured, net: int) -> np.ndarray:
    """Trainings of a net that succeed on the long latch, %, mean over its lengths, (seeds,)."""
    return 100 * (m["long_accuracy"][:, net, END] >= SUCCESS).mean(0)


def draw(options: LengthLimits, m: Measured) -> Plot:
    """Success of the plain net against length on both tasks, and of all nets on the long latch."""
    figure = new_figure(10, 4.4)
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
    table: dict[str, list] = {name: [] for name in ("task", "net", "length", "rate", "succeed_percent")}

    def put(task: str, net: str, length: Any, rate: Any, percent: float) -> None:
        for column, value in zip(table, (task, net, int(length), float(rate), percent)):
            table[column].append(value)

    for task, color in zip(TASKS, ("black", ORANGE)):
        lengths = m[f"{task}_length"]
        shares = [share(solved(m, task, int(n))) for n in lengths]
        rates = 100 * np.array([(s.value, s.low, s.high) for s in shares]).T
        left.plot(lengths, rates[0], "o-", color=color, label=task)
        left.vlines(lengths, rates[1], rates[2], color=color, lw=1.5, alpha=0.6)
        for length, rate, percent in zip(lengths, m[f"{task}_rate"], rates[0]):
            put(task, NETS[0].name, length, rate, percent)
    left.axvspan(10, 20, color="#EFEFEF", lw=0, zorder=0)
    left.text(14.1, 103.5, "the notes", color=GRAY, fontsize=9, ha="center")
    left.set(xscale="log", xlabel="length of the sequence", ylim=(-3, 109))
    left.set(ylabel="trainings of the plain net that succeed (%)")
    ticks = sorted({*m["latch_length"].tolist(), *m["parity_length"].tolist()})
    left.set_xticks(ticks, [str(n) for n in ticks])
    left.minorticks_off()
    left.legend(fontsize=9)
    places = np.arange(len(NETS))
    width = 0.8 / len(m["long_length"])
    for j, (length, fill) in enumerate(zip(m["long_length"], (BLUE, GREEN, PURPLE, GRAY) * 9)):
        percents = 100 * (m["long_accuracy"][j, :, END] >= SUCCESS).mean(-1)
        shift = width * (j - (len(m["long_length"]) - 1) / 2)
        right.barh(places + shift, percents, 0.9 * width, color=fill, alpha=0.8, label=f"{length} steps")
        for i, (net, percent) in enumerate(zip(NETS, percents)):
            right.text(percent + 1, i + shift, f"{percent:.0f}", va="center", fontsize=8)
            put("latch", net.name, length, m["long_rate"][j, i], percent)
    right.set_yticks(places, [net.name for net in NETS])
    right.invert_yaxis()
    where = f"latch of {m['long_length'][0]} steps" if len(m["long_length"]) == 1 else "latch"
    right.set(xlabel=f"trainings that succeed on the {where} (%)", xlim=(0, 112))
    if len(m["long_length"]) > 1:
        right.legend(fontsize=9, loc="lower right")
    said = [
        ", ".join(f"{n}: {100 * solved(m, task, int(n)).mean():.0f}%" for n in m[f"{task}_length"])
        for task in TASKS
    ]
    set_title(
        figure,
        f"Trainings of a plain recurrent net that succeed, by length: latch {said[0]}; parity {said[1]}",
    )
    return Plot(figure, table)


HERE = "largo plazo"
ON = {"latch": "the latch", "parity": "parity"}
CURES = (
    book("10.11.1", "clipping the gradient helps against gradients that explode"),
    paper("Saxe, McClelland & Ganguli 2014", "orthogonal weights keep gradients from vanishing at the start"),
    book("10.9.2", "leaky units with several time constants reach further back"),
    book("10.9.1", "connections through time with longer delays carry longer dependencies"),
    book("10.10.2", "gated recurrent units make paths through time whose derivatives do not vanish"),
    book("10.10.1", "the LSTM learns long-term dependencies more easily than simple recurrent nets"),
)


def _near_zero(task: str, learned: Plateau | None) -> Part:
    return Part(
        f"length {JUDGED_LENGTH}, {task}",
        f"On {ON[task]} at a length of {JUDGED_LENGTH} training the plain net hardly ever succeeds.",
        what=f"share of trainings of the plain net that succeed on {ON[task]} at length {JUDGED_LENGTH}",
        effect=at(JUDGED_LENGTH, task),
        rule=Below(0.25),
        source=notes(HERE, "the probability that SGD trains an RNN falls to 0 rapidly at lengths of 10, 20"),
        learned=learned,
    )


def _falls(task: str) -> Part:
    return Part(
        f"longer, {task}",
        f"On {ON[task]} fewer trainings of the plain net succeed the longer the sequence is.",
        what=f"trainings that succeed on {ON[task]}, shortest minus longest length, percentage points",
        effect=falls(task),
        rule=Above(0.0),
        source=notes(HERE, "the longer the dependencies, the harder the optimization by gradients becomes"),
    )


def _helps(net: int) -> Part:
    name = NETS[net].name
    return Part(
        name,
        f"On long sequences of the latch more trainings succeed with one change of the net: {name}.",
        what="trainings that succeed on the latch of {options.long_lengths[0]} steps or more, "
        "minus the plain net's, percentage points",
        effect=lambda m: paired(long_success(m, net), long_success(m, 0)),
        rule=Above(0.0),
        source=CURES[net - 1],
    )


def facts(m: Measured) -> dict[str, Any]:
    """Shares of success in % by task and length, and the rates that were chosen."""
    found: dict[str, Any] = {}
    for task in TASKS:
        lengths, rates = m[f"{task}_length"], m[f"{task}_rate"]
        found[task] = ", ".join(f"{n}: {100 * solved(m, task, int(n)).mean():.0f}%" for n in lengths)
        found[f"{task} rates"] = ", ".join(f"{n}: {rate:g}" for n, rate in zip(lengths, rates))
    return found


CLAIM = Claim(
    id="R12.5",
    statement="The probability that stochastic gradient descent trains a plain recurrent net falls with the "
    "length of the dependency, to about 0 at lengths of 10 to 20.",
    source="notes, «largo plazo»; Bengio, Simard and Frasconi 1994; Goodfellow et al. 2016, 10.7",
    options=LengthLimits,
    measure=measure,
    draw=draw,
    parts=(
        *map(_falls, TASKS),
        # More steps cannot undo a success; that more steps bring none is shown where there is none.
        _near_zero("latch", None),
        _near_zero("parity", Plateau(at(JUDGED_LENGTH, "parity", HALF))),
        *(_helps(net) for net in range(1, len(NETS))),
    ),
    method="Two tasks of Bengio, Simard and Frasconi (1994): the latch (a bit for three steps, then noise of "
    "deviation 0.2) and parity of bits, {options.examples} training and {options.test} test sequences of "
    "each length. Nets of {options.hidden} units are trained by plain descent, without momentum, in "
    "{options.steps} steps of {options.batch} sequence. The rate is one of 0.01, 0.03, 0.1 and 0.3, chosen "
    "for each net, task and length by the validation accuracy of {options.tuning_seeds} other seeds. A "
    "success is 99% of the test sequences right; {options.seeds} seeds.",
    reading="How fast success falls depends on the task. Parity, where every bit counts, is not learned at "
    "the lengths that the notes name ({facts[parity]}). The latch, where one strong bit has to be kept, is "
    "learned in most trainings at every length ({facts[latch]}), so for it the sentence is too strong. The "
    "chosen rates of the latch ({facts[latch rates]}) reach the end of the grid; higher ones can only make "
    "its part fail more clearly. Hochreiter and Schmidhuber (1996) solved the latch by guessing weights at "
    "random. An expert would ask next for a weaker bit, more noise and other starts of the weights.",
    facts=facts,
    revised="The first version used momentum, rates up to 1 and batches, with three or four seeds that chose "
    "the rate by loss. An audit showed that this choice decided more than the net. Redone: plain descent, "
    "ten seeds that choose the rate by success, rates up to 0.3, gates that start by the chrono rule, parity "
    "besides the latch, and a length that was not measured is refused. A pilot of ten seeds on other "
    "sequences (the plain net on both tasks) was seen before the sizes were set: most trainings succeeded on "
    "the latch at length 20 and none on parity at 10. The thresholds stayed. All judged seeds and sequences "
    "were fresh. To save time, five seeds choose the rate now, with fresh seeds and sequences once more.",
)
