"""Memory against computation in the backward pass of a deep chain.

The notes: whatever computes the gradient can store the parts that it needs again or compute them again;
back-propagation stores without regard for memory, and to compute twice saves memory at the price of more
computing time.

Measured on a chain ``h_t = tanh(h_{t−1} W_t)`` of n layers. Three schedules: store every layer; store √n
of them and recompute one segment at a time; store none and walk the chain again for every layer. What
decides is counted, so that it is the same on every machine: the bytes that the compiled program needs
besides its arguments and results, as the compiler reports them; how often a layer is computed while the
gradient runs; and the matrix products of the compiled program, because a compiler may notice that the
same is computed twice, and undo the schedule. Times are shown beside. For them the layers are wide, so
that arithmetic outweighs memory traffic, and they are taken in turns, with new inputs each time.
"""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import autodiff
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
    median,
    notes,
    ours,
    paper,
    ratio,
)
from dlnotes.jax_internals import operations
from dlnotes.plotting import BLUE, GREEN, ORANGE, new_figure, set_title

WAYS = {
    "store all": autodiff.store_all,
    "√n segments": autodiff.recompute_segments,
    "store none": autodiff.recompute_all,
}
COLORS = {"store all": BLUE, "√n segments": ORANGE, "store none": GREEN}


class StoreOrRecompute(Options):
    """Sizes of the experiment."""

    seeds: int = Field(12, ge=2, description="repetitions of all timings")
    width: int = Field(192, ge=8, description="units of a layer, and examples of the batch")
    memory_depths: tuple[int, ...] = Field((16, 64, 256, 1024), min_length=3, description="squares")
    time_depths: tuple[int, ...] = Field((16, 64, 256), min_length=2, description="squares")
    deepest_quadratic: int = Field(64, ge=4, description="last depth at which storing none is timed")


def step(W, h):
    """One layer of the chain."""
    return jnp.tanh(h @ W)


def gradient_of(way):
    """The gradient of a scalar at the chain's end by all its weights."""
    return jax.grad(lambda Ws, h: jnp.sum(jnp.square(way(step, Ws, h))))


def shapes(depth: int, width: int) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    """Of the weights of all layers, and of the input."""
    return (
        jax.ShapeDtypeStruct((depth, width, width), jnp.float32),
        jax.ShapeDtypeStruct((width, width), jnp.float32),
    )


def products_per_layer(way, width: int) -> float:
    """Matrix products of the compiled gradient for each layer.

    The compiler counts what stands in a loop once, and here every product stands in loops that together
    run once per layer, so its count of operations is that of one layer.
    """
    compiled = jax.jit(gradient_of(way)).lower(*shapes(16, width)).compile()
    return operations(compiled) / (2 * width**3)


def layers_computed(way, depth: int) -> int:
    """How often a layer's forward step runs in one gradient of a chain of ``depth`` layers."""
    taken = 0

    def tick(_) -> None:
        nonlocal taken
        taken += 1

    def counted(W, h):
        jax.debug.callback(tick, h[0, 0])  # of the layer's input: else it would run once for the whole loop
        return step(W, h)

    arrays = [jnp.full(s.shape, 0.5) for s in shapes(depth, 2)]
    gradient = jax.jit(jax.grad(lambda Ws, h: jnp.sum(way(counted, Ws, h))))
    jax.block_until_ready(gradient(*arrays))
    jax.effects_barrier()
    return taken


def measure(options: StoreOrRecompute) -> dict[str, np.ndarray]:
    """Bytes, layers computed (ways, depths); seconds (ways, depths, repetitions), NaN where not timed."""
    held = [
        [autodiff.temporary_bytes(gradient_of(way), *shapes(n, options.width)) for n in options.memory_depths]
        for way in WAYS.values()
    ]
    seconds = np.full((len(WAYS), len(options.time_depths), options.seeds), np.nan)
    apart = np.zeros(len(options.time_depths))
    for j, n in enumerate(options.time_depths):
        timed = [
            (i, jax.jit(gradient_of(way)))
            for i, way in enumerate(WAYS.values())
            if way is not autodiff.recompute_all or n <= options.deepest_quadratic
        ]
        for repetition in range(-1, options.seeds):  # the first round compiles
            rng = np.random.default_rng([n, repetition + 1])
            arrays = [jnp.asarray(rng.standard_normal(s.shape, np.float32)) for s in shapes(n, options.width)]
            Ws, h = arrays[0] / options.width**0.5, arrays[1]
            jax.block_until_ready((Ws, h))
            results = []
            for i, gradient in timed[repetition % len(timed) :] + timed[: repetition % len(timed)]:
                start = time.perf_counter()
                results.append(jax.block_until_ready(gradient(Ws, h)))
                if repetition >= 0:
                    seconds[i, j, repetition] = time.perf_counter() - start
            if repetition < 0:
                largest = float(jnp.max(jnp.abs(results[0])))
                apart[j] = max(float(jnp.max(jnp.abs(r - results[0]))) for r in results) / largest
    return {
        "memory_depths": np.array(options.memory_depths),
        "time_depths": np.array(options.time_depths),
        "bytes": np.array(held),
        "layer_bytes": np.array(4 * options.width**2),
        "computed": np.array(
            [[layers_computed(way, n) for n in options.time_depths] for way in WAYS.values()]
        ),
        "seconds": seconds,
        "apart": apart,
        "products": np.array(
            [
                products_per_layer(way, options.width)
                for way in (autodiff.store_all, autodiff.recompute_segments)
            ]
        ),
    }


def memory_slope(way: str):
    """Effect: slope of log bytes in log depth."""

    def effect(m):
        y = np.log(m["bytes"][list(WAYS).index(way)])
        return exact(np.polyfit(np.log(m["memory_depths"]), y, 1)[0], len(y))

    return effect


def time_slope(way: str):
    """Effect: slope of log seconds in log depth over the timed depths, per repetition."""

    def effect(m):
        found = m["seconds"][list(WAYS).index(way)]
        timed = ~np.isnan(found[:, 0])
        return median(np.polyfit(np.log(m["time_depths"][timed]), np.log(found[timed]), 1)[0])

    return effect


def slower(m):
    """Effect: seconds of √n segments over those of storing all, at the deepest chain."""
    return ratio(m["seconds"][1, -1], m["seconds"][0, -1])


def draw(options: StoreOrRecompute, m: Measured) -> Plot:
    """Memory on the left, time on the right, against depth."""
    figure = new_figure(9, 3.9)
    left, right = figure.subplots(1, 2)
    depths = m["memory_depths"]
    for i, name in enumerate(WAYS):
        left.plot(depths, m["bytes"][i] / m["layer_bytes"], "o-", color=COLORS[name], label=name)
        timed = ~np.isnan(m["seconds"][i, :, 0])
        low, middle, high = 1e3 * np.quantile(m["seconds"][i, timed], [0.1, 0.5, 0.9], axis=1)
        right.fill_between(m["time_depths"][timed], low, high, color=COLORS[name], alpha=0.25, lw=0)
        right.plot(m["time_depths"][timed], middle, "o-", color=COLORS[name], label=name)
    left.set(ylabel="temporary memory (activations of one layer)")
    right.set(ylabel="time of a gradient (ms; median, 10 to 90%)")
    for axes, ticks in ((left, depths), (right, m["time_depths"])):
        axes.set(xscale="log", yscale="log", xlabel="layers, n")
        axes.set_xticks(ticks, [str(n) for n in ticks])
        axes.minorticks_off()
        axes.legend()
    saved = m["bytes"][0, -1] / m["bytes"][1, -1]
    set_title(
        figure,
        f"√n segments: {saved:.0f} times less memory at {depths[-1]:,} layers for "
        f"{m['products'][1] / m['products'][0]:.2f} times the matrix products",
    )
    table = {name.replace(" ", "_") + "_bytes": m["bytes"][i] for i, name in enumerate(WAYS)}
    return Plot(figure, {"layers": depths, **table})


WHERE = "back-propagation"
LOADED = "a time depends on the machine and its load, and is shown beside what was counted"
TRADE = "to compute the same expression twice can reduce the memory at the cost of more computing time"


def as_expected(m) -> float:
    """Largest difference between the layers computed and n, 2n, n (n + 3) / 2 of the three schedules."""
    n = m["time_depths"]
    return np.abs(m["computed"] - np.stack([n, 2 * n, n * (n + 3) // 2])).max()


CLAIM = Claim(
    id="F5.5",
    statement="The parts of a gradient can be stored or computed again: back-propagation stores them without "
    "regard for memory; to compute them twice saves memory at the price of more computation.",
    source="notes, «back-propagation»; Chen et al. 2016, «Training deep nets with sublinear memory cost»",
    options=StoreOrRecompute,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "storing all is linear",
            "With every layer stored, memory grows in proportion to the number of layers n.",
            what="slope of log temporary bytes in log n, every layer stored (1 is proportional)",
            effect=memory_slope("store all"),
            rule=Within(0.9, 1.1),
            source=notes(
                WHERE,
                "back-propagation is designed without regard for memory: it stores what is needed again",
            ),
        ),
        Part(
            "memory saved",
            "To recompute in segments takes less than half of the memory.",
            what="temporary bytes, every layer stored / √n segments, deepest chain",
            effect=lambda m: exact(m["bytes"][0, -1] / m["bytes"][1, -1]),
            rule=Above(2.0),
            source=notes(WHERE, TRADE),
        ),
        Part(
            "more products",
            "Its price is about a third more matrix products: four per layer instead of three.",
            what="matrix products per layer of the compiled gradient, √n segments / every layer stored",
            effect=lambda m: exact(m["products"][1] / m["products"][0]),
            rule=Within(1.2, 1.4),
            source=notes(WHERE, TRADE),
        ),
        Part(
            "segments are a root",
            "With √n segments memory grows as √n.",
            what="slope of log temporary bytes in log n, √n segments",
            effect=memory_slope("√n segments"),
            rule=Within(0.4, 0.6),
            source=paper("Chen et al. 2016", "a chain of n layers can be trained with memory O(√n)"),
        ),
        Part(
            "storing none is constant",
            "With no layer stored memory does not grow.",
            what="slope of log temporary bytes in log n, no layer stored",
            effect=memory_slope("store none"),
            rule=Within(-0.1, 0.1),
            source=ours("the other end of the trade"),
        ),
        Part(
            "layers computed",
            "The three schedules compute a layer n, 2n and n (n + 3) / 2 times in a gradient.",
            what="largest difference between these numbers and the counted forward steps of a layer",
            effect=lambda m: exact(as_expected(m), m["computed"].size),
            rule=Within(0.0, 0.0),
            source=ours(
                "pins the cost of each schedule by counting, where a time would depend on the machine"
            ),
        ),
        Part(
            "the same gradient",
            "All three find the same gradient.",
            what="largest deviation of a gradient, relative to its largest entry",
            effect=lambda m: exact(m["apart"].max(), m["apart"].size),
            rule=Below(1e-4),
            source=ours("the schedules must differ in cost only"),
        ),
        Part(
            "segments cost time",
            "To compute each layer twice takes longer than to store it.",
            what="time of a gradient, √n segments / every layer stored, deepest timed chain",
            effect=slower,
            rule=Above(1.0),
            source=ours(LOADED),
        ),
        Part(
            "at most half more time",
            "It takes at most half of the time again (a third by counting products).",
            what="time of a gradient, √n segments / every layer stored, deepest timed chain",
            effect=slower,
            rule=Below(1.5),
            source=ours(LOADED),
        ),
        Part(
            "storing none takes long",
            "With no layer stored the time grows nearly as n².",
            what="slope of log seconds in log n, no layer stored, median repetition",
            effect=time_slope("store none"),
            rule=Within(1.6, 2.2),
            source=ours(LOADED),
        ),
    ),
    method="Data: random weights and inputs of a chain of tanh layers, {options.width} wide and with as "
    "many examples, {options.memory_depths} layers deep for memory and {options.time_depths} for counts "
    "and times; nothing is trained. Memory is what the compiler reports for the gradient's program; layers "
    "are counted while the gradient runs, products in the compiled program. Times are taken in turns, "
    "{options.seeds} repetitions.",
    reading="Counts decide, because a time depends on the machine. Four products instead of three would "
    "take a third longer; here the time grew {parts[segments cost time]}-fold. Storing has a price too, as "
    "what is stored is written to memory and read back; this was not measured apart.",
    revised=(
        "The slope without stored values is the median over repetitions instead of the mean; the part that "
        "counts products was added after the ratio of times had come out unclear, and counts them in the "
        "scanned programs, since without a loop the compiler merges the recomputation. After an audit of "
        "all rows the parts on times no longer decide; memory saved and layers computed are counted since."
    ),
)
