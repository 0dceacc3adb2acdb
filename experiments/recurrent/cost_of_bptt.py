"""What back-propagation through time costs by the length of the sequence, and what teacher forcing saves.

The notes: the running time is O(τ) and cannot be reduced by parallelization, for each step waits for the
one before; the states are kept until the backward pass uses them, so the memory is O(τ) too. A net whose
only recurrence is from its output can be trained with the true outputs instead: then all steps are
decoupled.

Measured: the gradient of the summed cross-entropy by all parameters, in three ways of one size. Hidden
recurrence by back-propagation through time; output recurrence on its own outputs, likewise; output
recurrence by teacher forcing, all steps at once. What decides is counted, so that it is the same on every
machine: the steps of the gradient's program that wait for one another, its multiply-adds, and the bytes
that the compiled program needs besides arguments and results, as the compiler reports them. Times are
taken in turns and shown beside. As the last two ways are one net, the gradient by teacher forcing is held
against that of the same net run step by step.
"""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import analysis, autodiff, layers
from dlnotes.claims import (
    Above,
    Below,
    Claim,
    Measured,
    Options,
    Part,
    Plot,
    Within,
    exact,
    notes,
    ours,
    ratio,
)
from dlnotes.claims import median as median_of
from dlnotes.jax_internals import every_equation, program_of, scan_parts
from dlnotes.plotting import BLUE, GREEN, ORANGE, new_figure, set_title
from dlnotes.typing import Array, Params

from ._reader import read_out

INPUTS, CLASSES = 16, 16
WAYS = ("hidden recurrence", "output recurrence, own outputs", "output recurrence, teacher forcing")
COLORS = (BLUE, ORANGE, GREEN)
HIDDEN, OWN, FORCED = range(3)


class CostOfBptt(Options):
    """Sizes of the experiment."""

    seeds: int = Field(20, ge=2, description="repetitions of all timings")
    hidden: int = Field(64, ge=1, description="hidden units")
    batch: int = Field(16, ge=1, description="sequences of a batch")
    lengths: tuple[int, ...] = Field((32, 64, 128, 256, 512, 1024), min_length=3, description="τ, doubling")


def loss(logits: Array, y: Array) -> Array:
    """``−Σ log softmax(o)_y``; ``y`` is one-hot."""
    return -jnp.sum(y * jax.nn.log_softmax(logits))


def losses(hidden: int) -> tuple[Any, ...]:
    """``f(params, x, y)`` of each way."""
    outer = layers.output_recurrent(CLASSES)

    def by_hidden(params: Params, x: Array, y: Array) -> Array:
        cell, V, c = params
        return loss(read_out(layers.unroll(layers.rnn, cell, x)[1], V, c), y)

    def by_own(params: Params, x: Array, y: Array) -> Array:
        return loss(layers.unroll(outer, params, x)[1], y)

    def by_forcing(params: Params, x: Array, y: Array) -> Array:
        return loss(layers.teacher_forced(params, x, y), y)

    return by_hidden, by_own, by_forcing


def step_by_step(params: Params, x: Array, y: Array) -> Array:
    """The loss by teacher forcing, written as a loop over the steps."""

    def step(before: Array, inputs: tuple[Array, Array]):
        x, y = inputs
        h = jnp.tanh(params.b[None] + before @ params.W + x @ params.U)
        return y, params.c[None] + h @ params.V

    _, o = jax.lax.scan(step, jnp.zeros_like(y[:, 0]), (jnp.swapaxes(x, 0, 1), jnp.swapaxes(y, 0, 1)))
    return loss(jnp.swapaxes(o, 0, 1), y)


def drawn(options: CostOfBptt, seed: int) -> tuple[tuple[Any, ...], Array, Array]:
    """Parameters of the three ways and the longest batch."""
    keys = jax.random.split(jax.random.key(seed), 5)
    cell = layers.rnn.init(keys[0], INPUTS, options.hidden)
    V = jax.random.normal(keys[1], (options.hidden, CLASSES)) / options.hidden**0.5
    out = layers.output_recurrent(CLASSES).init(keys[2], INPUTS, options.hidden)
    shape = (options.batch, max(options.lengths))
    x = jax.random.normal(keys[3], (*shape, INPUTS))
    y = jax.nn.one_hot(jax.random.randint(keys[4], shape, 0, CLASSES), CLASSES)
    return ((cell, V, jnp.zeros(CLASSES)), out, out), x, y


def steps_in_turn(function: Any, *arguments: Any) -> int:
    """How many steps of the function's loops wait for one another, where no loop is inside another.

    Raises:
      ValueError: for a loop whose length the program does not say.
    """
    equations = list(every_equation(program_of(function, *arguments)))
    if any(equation.name == "while" for equation in equations):
        raise ValueError("function: got a while loop, allowed are scans")
    return sum(scan_parts(equation).length for equation in equations if equation.name == "scan")


def measure(options: CostOfBptt) -> dict[str, np.ndarray]:
    """Bytes, steps and multiply-adds (ways, lengths), seconds (ways, lengths, repetitions), deviations."""
    params, x, y = drawn(options, 0)
    gradients = [jax.grad(f) for f in losses(options.hidden)]
    held = np.zeros((len(WAYS), len(options.lengths)))
    in_turn, work = np.zeros_like(held), np.zeros_like(held)
    seconds = np.zeros((*held.shape, options.seeds))
    apart = np.zeros(len(options.lengths))
    for j, n in enumerate(options.lengths):
        xs, ys = jnp.asarray(x[:, :n]), jnp.asarray(y[:, :n])
        held[:, j] = [autodiff.temporary_bytes(g, p, xs, ys) for g, p in zip(gradients, params)]
        in_turn[:, j] = [steps_in_turn(g, p, xs, ys) for g, p in zip(gradients, params)]
        work[:, j] = [analysis.multiply_adds(g, p, xs, ys) for g, p in zip(gradients, params)]
        compiled = [jax.jit(g) for g in gradients]
        want = jax.jit(jax.grad(step_by_step))(params[FORCED], xs, ys)
        got = compiled[FORCED](params[FORCED], xs, ys)
        largest = max(float(jnp.max(jnp.abs(a))) for a in want)
        apart[j] = max(float(jnp.max(jnp.abs(a - b))) for a, b in zip(want, got)) / largest
        # The sooner one is done, the more often it runs: each timing takes some milliseconds.
        runs = max(1, 1024 // n)
        for repetition in range(-1, options.seeds):  # the first round compiles
            for k in range(len(WAYS)):
                i = (k + repetition) % len(WAYS)
                start = time.perf_counter()
                for _ in range(runs):
                    found = compiled[i](params[i], xs, ys)
                jax.block_until_ready(found)
                if repetition >= 0:
                    seconds[i, j, repetition] = (time.perf_counter() - start) / runs
    return {
        "lengths": np.array(options.lengths),
        "bytes": held,
        "seconds": seconds,
        "steps_in_turn": in_turn,
        "multiply_adds": work,
        "apart": apart,
        "state_bytes": np.array(4 * options.hidden * options.batch),
    }


def slope(name: str, way: int):
    """Effect: slope of a log count in log τ, from the second length on (the first has constant parts)."""

    def effect(m):
        y = np.log(m[name][way, 1:])
        return exact(np.polyfit(np.log(m["lengths"][1:]), y, 1)[0], len(y))

    return effect


def time_slope(way: int):
    """Effect: the median over repetitions of the slope of log seconds in log τ."""

    def effect(m):
        found = np.log(m["seconds"][way, 1:])
        return median_of(np.polyfit(np.log(m["lengths"][1:]), found, 1)[0])

    return effect


def speed_up(against: int, place: int = -1):
    """Effect: seconds of a way over those of teacher forcing."""
    return lambda m: ratio(m["seconds"][against, place], m["seconds"][FORCED, place])


def draw(options: CostOfBptt, m: Measured) -> Plot:
    """Memory, time and the speed-up against τ."""
    figure = new_figure(11, 4)
    left, middle, right = figure.subplots(1, 3)
    lengths = m["lengths"]
    for i, (name, color) in enumerate(zip(WAYS, COLORS)):
        left.plot(lengths, m["bytes"][i] / 2**20, "o-", color=color, label=name)
        low, half, high = 1e3 * np.quantile(m["seconds"][i], [0.1, 0.5, 0.9], axis=-1)
        middle.fill_between(lengths, low, high, color=color, alpha=0.25, lw=0)
        middle.plot(lengths, half, "o-", color=color)
        if i != FORCED:
            low, half, high = np.quantile(m["seconds"][i] / m["seconds"][FORCED], [0.1, 0.5, 0.9], axis=-1)
            right.fill_between(lengths, low, high, color=color, alpha=0.25, lw=0)
            right.plot(lengths, half, "o-", color=color)
    left.set(ylabel="temporary memory (MiB)", yscale="log")
    middle.set(ylabel="time of a gradient (ms)", yscale="log")
    right.set(ylabel="time / that of teacher forcing", ylim=(0, None))
    for axes in (left, middle, right):
        axes.set(xscale="log", xlabel="steps, τ")
        axes.set_xticks(lengths, [str(n) for n in lengths])
        axes.minorticks_off()
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    fast, waiting = speed_up(HIDDEN)(m).value, int(m["steps_in_turn"][HIDDEN, -1])
    set_title(
        figure,
        f"A gradient at τ = {lengths[-1]:,} takes {waiting:,} steps one after the other by hidden "
        f"recurrence and none by teacher forcing,\nwhich is {fast:.1f} times as fast here",
    )
    table = {"steps": lengths}
    for i, name in enumerate(("hidden", "own", "forced")):
        table |= {f"{name}_bytes": m["bytes"][i], f"{name}_seconds": np.median(m["seconds"][i], axis=-1)}
    return Plot(figure, table)


WHERE = "arquitecturas recurrentes"
LOADED = "a time depends on the machine and its load, and is shown beside what was counted"

CLAIM = Claim(
    id="R9.3",
    statement="Back-propagation through time takes time and memory in proportion to the length τ, step after "
    "step. The output-recurrent net, trained with the true outputs, runs all steps at once.",
    source="notes, «arquitecturas recurrentes»; Goodfellow et al. 2016, 10.2.1",
    options=CostOfBptt,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "memory",
            "The memory of back-propagation through time grows as τ.",
            what="slope of log temporary bytes in log τ, hidden recurrence (1 is proportional)",
            effect=slope("bytes", HIDDEN),
            rule=Within(0.9, 1.1),
            source=notes(WHERE, "states are stored until back-propagation uses them: the memory is O(τ) too"),
        ),
        Part(
            "steps in turn",
            "The steps that wait for one another grow as τ.",
            what="slope of the log number of steps that wait for one another in log τ, hidden recurrence",
            effect=slope("steps_in_turn", HIDDEN),
            rule=Within(0.9, 1.1),
            source=notes(
                WHERE,
                "the running time is O(τ) and parallelization cannot reduce it, as each step can only be "
                "computed after the one before",
            ),
        ),
        Part(
            "multiply-adds",
            "The multiply-adds of a gradient grow as τ.",
            what="slope of the log number of multiply-adds of a gradient in log τ, hidden recurrence",
            effect=slope("multiply_adds", HIDDEN),
            rule=Within(0.9, 1.1),
            source=notes(WHERE, "the running time of the gradient is O(τ)"),
        ),
        Part(
            "all steps at once",
            "With teacher forcing no step waits for another.",
            what="steps that wait for one another in the gradient by teacher forcing, the most over all τ",
            effect=lambda m: exact(m["steps_in_turn"][FORCED].max(), m["lengths"].size),
            rule=Below(0.5),
            source=notes(
                WHERE,
                "without recurrence between hidden units all time steps are decoupled, so that training "
                "can be parallelized",
            ),
        ),
        Part(
            "the same gradient",
            "It is the gradient of the net run step by step with the true outputs.",
            what="largest deviation of a gradient, relative to its largest entry, over all τ",
            effect=lambda m: exact(m["apart"].max(), m["apart"].size),
            rule=Below(1e-4),
            source=ours("all steps at once must not be another gradient"),
        ),
        Part(
            "time",
            "The time of back-propagation through time grows as τ.",
            what="slope of log seconds in log τ, hidden recurrence, median repetition",
            effect=time_slope(HIDDEN),
            rule=Within(0.8, 1.2),
            source=ours(LOADED),
        ),
        Part(
            "against hidden recurrence",
            "Teacher forcing is faster than hidden recurrence of the same size.",
            what="time of a gradient, hidden recurrence / teacher forcing, longest τ",
            effect=speed_up(HIDDEN),
            rule=Above(1.0),
            source=ours(LOADED),
        ),
        Part(
            "against own outputs",
            "Teacher forcing is faster than the same net on its own outputs.",
            what="time of a gradient, own outputs / teacher forcing, longest τ",
            effect=speed_up(OWN),
            rule=Above(1.0),
            source=ours(LOADED),
        ),
    ),
    method="Data: random sequences, batches of {options.batch}, lengths τ from 32 to 1,024. Networks: "
    "{options.hidden} tanh units with hidden or with output recurrence; nothing is trained. Counted are "
    "the steps of the gradient's program that wait for one another, its multiply-adds, and the temporary "
    "memory that the compiler reports. Times are medians of {options.seeds} repetitions, with the three "
    "ways in turns.",
    reading="Counts decide, because a time depends on the machine. By teacher forcing the output-recurrent "
    "net takes {facts[own]} times the multiply-adds that it takes on its own outputs, and {facts[hidden]} "
    "times those of hidden recurrence, which has a larger recurrent matrix. What it saves beside is "
    "waiting, so its gain in time depends on the processors; in this measurement it is "
    "{parts[against hidden recurrence]}-fold.",
    facts=lambda m: {
        name: float(m["multiply_adds"][FORCED, -1] / m["multiply_adds"][way, -1])
        for name, way in (("own", OWN), ("hidden", HIDDEN))
    },
    revised="An audit of all rows found that two parts depended on the load of the machine. Steps that "
    "wait for one another and multiply-adds are counted since, and the times no longer decide.",
)
