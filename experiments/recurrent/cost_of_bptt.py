"""What back-propagation through time costs by the length of the sequence, and what teacher forcing saves.

The notes: the running time is O(τ) and no parallel machine shortens it, for each step waits for the one
before; the states are kept until the backward pass uses them, so the memory is O(τ) too. A net whose only
recurrence is from its output can be trained with the true outputs instead: then all steps are decoupled.

Measured: the gradient of the summed cross-entropy by all parameters, in three ways of one size. Hidden
recurrence by back-propagation through time; output recurrence fed with its own outputs, likewise; output
recurrence by teacher forcing, all steps at once. Bytes that the compiled program needs besides arguments
and results, as the compiler reports them; the loops in it; and times, taken in turns. As the last two
are one net, the gradient by teacher forcing is held against that of the same net run step by step.
"""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import autodiff, layers
from dlnotes.claims import Above, Below, Claim, Measured, Options, Part, Plot, Within, exact, ratio
from dlnotes.claims import median as median_of
from dlnotes.jax_internals import count_loops, program_of
from dlnotes.plotting import BLUE, GREEN, ORANGE, new_figure, set_title
from dlnotes.typing import Array, Params

from ._reader import read_out

INPUTS, CLASSES = 16, 16
WAYS = ("hidden recurrence", "output recurrence, own outputs", "output recurrence, teacher forcing")
COLORS = (BLUE, ORANGE, GREEN)
HIDDEN, OWN, FORCED = range(3)


class CostOfBptt(Options):
    """Sizes of the experiment; a seed is one repetition of all timings."""

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


def loops(function: Any, *arguments: Any) -> int:
    """How many loops the function's program has, inner ones included."""
    return count_loops(program_of(function, *arguments))


def measure(options: CostOfBptt) -> dict[str, np.ndarray]:
    """Bytes (ways, lengths), seconds (ways, lengths, repetitions), loops (ways,), deviations (lengths,)."""
    params, x, y = drawn(options, 0)
    gradients = [jax.grad(f) for f in losses(options.hidden)]
    held = np.zeros((len(WAYS), len(options.lengths)))
    seconds = np.zeros((*held.shape, options.seeds))
    apart = np.zeros(len(options.lengths))
    for j, n in enumerate(options.lengths):
        xs, ys = jnp.asarray(x[:, :n]), jnp.asarray(y[:, :n])
        held[:, j] = [autodiff.temporary_bytes(g, p, xs, ys) for g, p in zip(gradients, params)]
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
    shortest = x[:, : options.lengths[0]], y[:, : options.lengths[0]]
    return {
        "lengths": np.array(options.lengths),
        "bytes": held,
        "seconds": seconds,
        "loops": np.array([loops(g, p, *shortest) for g, p in zip(gradients, params)]),
        "apart": apart,
        "state_bytes": np.array(4 * options.hidden * options.batch),
    }


def memory_slope(way: int):
    """Effect: slope of log bytes in log τ, from the second length on (constant parts weigh on the first)."""

    def effect(m):
        y = np.log(m["bytes"][way, 1:])
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
    fast = [speed_up(way)(m).value for way in (HIDDEN, OWN)]
    set_title(
        figure,
        f"At τ = {lengths[-1]} teacher forcing, all steps at once, is {fast[0]:.1f} times as fast as hidden "
        f"recurrence and {fast[1]:.1f} times as fast as the same net on its own outputs",
    )
    table = {"steps": lengths}
    for i, name in enumerate(("hidden", "own", "forced")):
        table |= {f"{name}_bytes": m["bytes"][i], f"{name}_seconds": np.median(m["seconds"][i], axis=-1)}
    return Plot(figure, table)


CLAIM = Claim(
    id="R9.3",
    statement="Back-propagation through time takes time and memory in proportion to τ, step after step; "
    "the output-recurrent net, trained with the true outputs, runs all steps at once.",
    source="notes, «arquitecturas recurrentes»; Goodfellow et al. 2016, 10.2.1",
    options=CostOfBptt,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "memory",
            "The memory of back-propagation through time grows as τ.",
            what="slope of log temporary bytes in log τ, hidden recurrence",
            effect=memory_slope(HIDDEN),
            rule=Within(0.9, 1.1),
        ),
        Part(
            "time",
            "Its time grows as τ.",
            what="slope of log seconds in log τ, hidden recurrence, median repetition",
            effect=time_slope(HIDDEN),
            rule=Within(0.8, 1.2),
        ),
        Part(
            "all steps at once",
            "With teacher forcing no step waits for another: the program has no loop.",
            what="loops in the gradient's program by teacher forcing",
            effect=lambda m: exact(m["loops"][FORCED]),
            rule=Below(0.5),
        ),
        Part(
            "the same gradient",
            "It is the gradient of the net run step by step with the true outputs.",
            what="largest deviation, relative to the largest entry, over all τ",
            effect=lambda m: exact(m["apart"].max(), m["apart"].size),
            rule=Below(1e-4),
        ),
        Part(
            "faster than hidden recurrence",
            "Teacher forcing is faster than hidden recurrence of the same size.",
            what="time of hidden recurrence / of teacher forcing, longest τ",
            effect=speed_up(HIDDEN),
            rule=Above(1.0),
        ),
        Part(
            "faster than its own outputs",
            "It is faster than the same net fed with its own outputs.",
            what="time with own outputs / by teacher forcing, longest τ",
            effect=speed_up(OWN),
            rule=Above(1.0),
        ),
    ),
)
