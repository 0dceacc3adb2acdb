"""Memory against time in the backward pass of a deep chain.

The notes: whatever computes the gradient can store the parts that it needs again or compute them again;
back-propagation stores without regard for memory, and to compute twice saves memory at the price of time.

Measured on a chain ``h_t = tanh(h_{t−1} W_t)`` of n layers: bytes that the compiled program needs
besides its arguments and results, as the compiler reports them, and the time of a gradient. Three
schedules: store every layer; store √n of them and recompute one segment at a time; store none and walk
the chain again for every layer. The layers are wide, so that arithmetic outweighs what is read and
written; times are taken in turns, with new inputs each time.

The arithmetic of the first two is counted too, in the compiled program: a compiler may notice that
the same is computed twice, and undo the schedule.
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
    """Sizes of the experiment; a seed is one repetition of all timings."""

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


def measure(options: StoreOrRecompute) -> dict[str, np.ndarray]:
    """Bytes as (ways, depths); seconds as (ways, depths, repetitions), NaN where not timed."""
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
        f"√n segments: {saved:.0f} times less memory at {depths[-1]} layers, "
        f"{slower(m).value:.2f} times the time at {m['time_depths'][-1]}",
    )
    table = {name.replace(" ", "_") + "_bytes": m["bytes"][i] for i, name in enumerate(WAYS)}
    return Plot(figure, {"layers": depths, **table})


CLAIM = Claim(
    id="F5.5",
    statement="The gradient's parts can be stored or computed again: back-propagation stores them without "
    "regard for memory; to compute twice saves memory at the price of time.",
    source="notes, «back-propagation»; Chen et al. 2016, «Training deep nets with sublinear memory cost»",
    options=StoreOrRecompute,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "storing all is linear",
            "With every layer stored, memory grows as n.",
            what="slope of log temporary bytes in log n",
            effect=memory_slope("store all"),
            rule=Within(0.9, 1.1),
        ),
        Part(
            "segments are a root",
            "With √n segments memory grows as √n.",
            what="slope of log temporary bytes in log n",
            effect=memory_slope("√n segments"),
            rule=Within(0.4, 0.6),
        ),
        Part(
            "storing none is constant",
            "With nothing stored memory does not grow.",
            what="slope of log temporary bytes in log n",
            effect=memory_slope("store none"),
            rule=Within(-0.1, 0.1),
        ),
        Part(
            "segments compute more",
            "Recomputing the segments takes about a third more matrix products: four per layer, not three.",
            what="matrix products per layer with √n segments / with all stored",
            effect=lambda m: exact(m["products"][1] / m["products"][0]),
            rule=Within(1.2, 1.4),
        ),
        Part(
            "segments cost time",
            "Computing each layer twice takes longer than storing it.",
            what="time of √n segments / of storing all, deepest chain",
            effect=slower,
            rule=Above(1.0),
        ),
        Part(
            "but only one more pass",
            "What it costs is at most half of the time again (a third, by counting matrix products).",
            what="time of √n segments / of storing all, deepest chain",
            effect=slower,
            rule=Below(1.5),
        ),
        Part(
            "storing none is quadratic",
            "With nothing stored the time grows nearly as n² (n²/2 layers are computed).",
            what="slope of log seconds in log n, median repetition",
            effect=time_slope("store none"),
            rule=Within(1.6, 2.2),
        ),
        Part(
            "the same gradient",
            "All three find the same gradient.",
            what="largest deviation, relative to the largest entry",
            effect=lambda m: exact(m["apart"].max(), m["apart"].size),
            rule=Below(1e-4),
        ),
    ),
    reading="Four matrix products per layer instead of three would take a third longer. The time grows by "
    "less: storing has a price too, for what is stored is written to memory and read back, which may be "
    "what makes up for it (not measured apart). On a busy machine the difference is lost in noise.",
    revised=(
        "The slope without stored values is the median over repetitions instead of the mean; the part "
        "that counts products was added after the ratio of times had come out unclear, and counts "
        "them in the scanned programs, since without a loop the compiler merges the recomputation."
    ),
)
