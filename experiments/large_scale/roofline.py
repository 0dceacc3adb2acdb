"""Bandwidth and arithmetic: what limits the speed of each kind of layer.

The notes: networks need large buffers of parameters, activations and gradients, too large for the caches of a
computer, so that the bandwidth of its memory usually becomes a limiting factor. On a CPU algorithms are made
to find in the cache what they need; on a GPU, where memory is not in caches, computing the same value twice
can be faster than to read it.

Measured in one run, in turns: the machine's peak of matrix products, the bandwidth of its memory by a triad
on long arrays, and layers of each kind for batches of 1 to 4096 examples. The roofline gives what each may
attain, min(peak, bandwidth · intensity), from the operations and the bytes of the layer in closed form. In
the same rounds: a gradient whose backward pass reads what the forward pass stored, and one whose backward
pass computes it again, for a chain of layers by element and for one of dense layers.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
from pydantic import Field

from dlnotes.claims import (
    Above,
    Below,
    Claim,
    Interval,
    Measured,
    Options,
    Part,
    Plot,
    Within,
    median,
    notes,
    ours,
)
from dlnotes.devices import product, rates, triad
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, PURPLE, new_figure, set_title

from ._processor import device_name, vector_instructions
from ._timed_layers import KINDS, layer, ways_to_a_gradient, weights

COLORS = dict(zip(KINDS, (BLUE, ORANGE, GREEN, PURPLE, "#E69F00", GRAY)))
FEW = (2, 16)
"""Examples of a small batch: at one example another routine runs, of a matrix and a vector."""
CHAINS = ("by element", "dense")
MIB = 2**20


class Roofline(Options):
    """Sizes of the experiment."""

    seeds: int = Field(12, ge=2, description="rounds; in each, everything is timed once")
    batches: tuple[int, ...] = Field(
        (1, 2, 4, 8, 16, 64, 256, 1024, 4096), min_length=4, description="examples, of each layer"
    )
    products: tuple[int, ...] = Field((512, 1024, 2048), min_length=1, description="sizes of matrices")
    width: int = Field(4096, ge=32, description="units of a dense layer that caches do not hold")
    small: int = Field(1024, ge=16, description="units of a dense layer that they do hold")
    outside: float = Field(56.0, gt=0, description="MiB that a layer moves at least if caches do not hold it")
    triad: int = Field(128, ge=1, description="MiB of each array of the triad")
    chain: int = Field(16, ge=1, description="millions of numbers in the chain by element")
    chain_width: int = Field(1024, ge=16, description="units of the dense chain, and examples")
    spent: float = Field(0.03, gt=0, description="seconds that each part runs in a round, at least once")


def measure(options: Roofline) -> dict[str, np.ndarray]:
    """Rates of all parts in each round; operations and bytes of the layers."""
    limits = [*(product(n) for n in options.products), triad(options.triad * MIB)]
    made = [layer(kind, n, options.width) for kind in KINDS for n in options.batches]
    inside = layer("dense", 1, options.small)
    chains = [
        ways_to_a_gradient(CHAINS[0], options.chain * 10**6),
        ways_to_a_gradient(CHAINS[1], options.chain_width),
    ]
    ways = [way for chain in chains for way in chain.values()]
    # The last kind does not depend on the batch.
    shape = (len(KINDS), len(options.batches))
    differ = [one.make() for one in made[: len(made) + 1 - shape[1]]]
    parts = [*limits, *differ, inside.make(), *ways]
    weights.cache_clear()
    found = rates(parts, rounds=options.seeds, seconds=options.spent)
    first, last = len(limits), len(limits) + len(differ)
    of_layers = np.concatenate([found[:, first:last], *[found[:, last - 1 : last]] * (shape[1] - 1)], axis=1)
    return {
        "batches": np.array(options.batches),
        "products": found[:, : first - 1],  # (rounds, sizes)
        "bandwidth": found[:, first - 1],
        "rates": of_layers.reshape(-1, *shape),  # operations a second
        "operations": np.array([one.operations for one in made]).reshape(shape),
        "bytes": np.array([one.bytes for one in made]).reshape(shape),
        "small_rate": found[:, last],
        "small_cost": np.array([inside.operations, inside.bytes]),
        "ways": 1 / found[:, last + 1 :].reshape(-1, len(CHAINS), 2, 2),  # seconds; store or not, pass
        "outside": np.array(options.outside * MIB),
        "device": np.array(device_name(), np.str_),
        "instructions": np.array(vector_instructions(), np.str_),
        "platform": np.array(jax.default_backend(), np.str_),
    }


def peak(m: Measured) -> np.ndarray:
    """Operations a second of the fastest size of products, by round."""
    return m["products"][:, np.median(m["products"], 0).argmax()]


def intensity(m: Measured) -> np.ndarray:
    """Operations for each byte, ``(kinds, batches)``."""
    return m["operations"] / m["bytes"]


def attainable(m: Measured) -> np.ndarray:
    """What the roofline leaves to each layer, ``(rounds, kinds, batches)``."""
    return np.minimum(peak(m)[:, None, None], m["bandwidth"][:, None, None] * intensity(m))


def large(m: Measured) -> np.ndarray:
    """Which layers move more than caches hold, ``(kinds, batches)``."""
    return m["bytes"] >= m["outside"]


def seconds(m: Measured) -> np.ndarray:
    """Of a layer, ``(rounds, kinds, batches)``."""
    return m["operations"] / m["rates"]


def outside_caches(m: Measured) -> Interval:
    """Seconds for each byte of the large layer for one example over those of the small one."""
    of_large = seconds(m)[:, KINDS.index("dense"), 0] / m["bytes"][KINDS.index("dense"), 0]
    operations, moved = m["small_cost"]
    return median(of_large / (operations / m["small_rate"] / moved))


def slope(m: Measured, kind: str, first: int, last: int) -> Interval:
    """Slope of log seconds in log examples, in each round."""
    chosen = (m["batches"] >= first) & (m["batches"] <= last)
    x, y = np.log(m["batches"][chosen]), np.log(seconds(m)[:, KINDS.index(kind), chosen])
    x = x - x.mean()
    return median((x * y).sum(1) / (x**2).sum())


def of_peak(m: Measured, batch: int) -> Interval:
    """A dense layer's rate over the peak."""
    return median(m["rates"][:, KINDS.index("dense"), list(m["batches"]).index(batch)] / peak(m))


def explained(m: Measured) -> Interval:
    """Measured over attainable rates of the large layers, geometric mean in each round."""
    return median(np.exp(np.log(m["rates"] / attainable(m))[:, large(m)].mean(1)))


def order(m: Measured) -> Interval:
    """Rank correlation between the rates that large layers have and may attain, in each round."""
    from scipy.stats import rankdata

    def correlation(a: np.ndarray, b: np.ndarray) -> float:
        if np.ptp(a) == 0 or np.ptp(b) == 0:  # nothing is told apart
            return 0.0
        return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])

    chosen = large(m)
    return median([correlation(a, b) for a, b in zip(m["rates"][:, chosen], attainable(m)[:, chosen])])


def recomputed(m: Measured, chain: str) -> Interval:
    """Seconds of a gradient that stores over those of one that computes again."""
    both = m["ways"][:, CHAINS.index(chain)].sum(2)
    return median(both[:, 0] / both[:, 1])


def draw(options: Roofline, m: Measured) -> Plot:
    """The roof with the layers under it, and the time of layers against the batch."""
    figure = new_figure(10.5, 4.6)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    top, bandwidth = float(np.median(peak(m))), float(np.median(m["bandwidth"]))
    where, rate = intensity(m), np.median(m["rates"], 0)
    x = np.geomspace(where.min() / 2, where.max() * 2, 200)
    left.plot(x, np.minimum(top, bandwidth * x) / 1e9, color="black", lw=1.5, label="roofline")
    left.axvline(top / bandwidth, ls=":", color=GRAY, lw=1)
    for i, kind in enumerate(KINDS):
        beyond = large(m)[i]
        left.plot(where[i], rate[i] / 1e9, "-", color=COLORS[kind], lw=0.8, alpha=0.5)
        left.plot(where[i][beyond], rate[i][beyond] / 1e9, "o", color=COLORS[kind], ms=5, label=kind)
        left.plot(where[i][~beyond], rate[i][~beyond] / 1e9, "o", color=COLORS[kind], ms=5, mfc="white")
        time = 1e3 * np.median(seconds(m)[:, i], 0)
        right.plot(m["batches"], time, "o-", color=COLORS[kind], ms=4)
    left.set(xscale="log", yscale="log", xlabel="operations for each byte", ylabel="10⁹ operations a second")
    left.legend(fontsize=8, title="hollow: caches may hold it", title_fontsize=8)
    right.set(xscale="log", yscale="log", xlabel="examples of a batch", ylabel="time (ms)")
    right.set_xticks(m["batches"], [str(n) for n in m["batches"]], fontsize=8)
    right.minorticks_off()
    set_title(
        figure,
        f"{top / 1e9:.0f}·10⁹ operations a second, {bandwidth / 1e9:.0f} GB/s: products limit from "
        f"{top / bandwidth:.1f} operations a byte on",
    )
    rows = [(i, j) for i in range(len(KINDS)) for j in range(len(m["batches"]))]
    table = {
        "kind": [KINDS[i] for i, _ in rows],
        "batch": [int(m["batches"][j]) for _, j in rows],
        "operations_per_byte": [float(where[i, j]) for i, j in rows],
        "rate": [float(rate[i, j]) for i, j in rows],
        "attainable": [float(np.median(attainable(m), 0)[i, j]) for i, j in rows],
    }
    return Plot(figure, table)


def _facts(m: Measured) -> dict[str, Any]:
    top, bandwidth = float(np.median(peak(m))), float(np.median(m["bandwidth"]))
    return {
        "device": str(m["device"]),
        "instructions": ", ".join(map(str, m["instructions"])) or "not told by the system",
        "peak": f"{top / 1e9:.0f}",
        "bandwidth": f"{bandwidth / 1e9:.1f}",
        "ridge": f"{top / bandwidth:.1f}",
        "share": f"{100 * (intensity(m) < top / bandwidth).mean():.0f}",
    }


SECTION = "aprendizaje profundo a gran escala"
BUFFERS = (
    "buffers of parameters, activations and gradients are too large for a cache, so that bandwidth usually "
    "becomes a limiting factor"
)
TWICE = "on a GPU, whose memory is not in caches, it can be faster to compute the same value twice"

CLAIM = Claim(
    id="L13.14",
    statement="Networks need buffers that are too large for caches, so that the bandwidth of memory usually "
    "becomes a limiting factor.",
    source="notes, «aprendizaje profundo a gran escala»; Goodfellow et al. 2016, 12.1.2; Williams, Waterman "
    "& Patterson 2009",
    options=Roofline,
    measure=measure,
    draw=draw,
    method="Layers in float32, random weights and inputs: a dense layer of {options.width} units, an LSTM "
    "step with about as many weights, a convolution, a pooling, a ReLU layer and an update with momentum, "
    "for {options.batches} examples. Their operations and bytes are closed forms (weights, inputs and "
    "outputs, each once). Timed in turns with them, {options.seeds} rounds: products of matrices of "
    "{options.products} rows, of which the fastest is the peak, and the triad a = b + 3c on arrays of "
    "{options.triad} MiB. "
    "A layer is large where it moves {options.outside} MiB or more. Effects are medians over rounds; "
    "intervals cover rounds only, on one machine.",
    parts=(
        Part(
            "outside caches",
            "A layer whose weights caches do not hold takes longer for each byte of them.",
            what="time a byte, dense layer for one example, {options.width} units over {options.small}",
            effect=outside_caches,
            rule=Above(1.0),
            source=notes(SECTION, BUFFERS),
        ),
        Part(
            "dense, few examples",
            "From 2 to 16 examples the time of a large dense layer grows much less than its operations.",
            what="slope of log time in log examples, dense layer (1: products limit, 0: reading the weights)",
            effect=partial(slope, kind="dense", first=FEW[0], last=FEW[1]),
            rule=Below(0.5),
            source=notes(SECTION, BUFFERS),
        ),
        Part(
            "LSTM step, few examples",
            "So does that of a step of a large LSTM.",
            what="slope of log time in log examples, LSTM step (1: products limit, 0: reading the weights)",
            effect=partial(slope, kind="LSTM step", first=FEW[0], last=FEW[1]),
            rule=Below(0.5),
            source=notes(SECTION, BUFFERS),
        ),
        Part(
            "far from the peak",
            "For one example a large dense layer runs at less than half of the machine's peak of products.",
            what="rate of the dense layer for one example over the peak",
            effect=partial(of_peak, batch=1),
            rule=Below(0.5),
            source=notes(SECTION, BUFFERS),
        ),
        Part(
            "products in the end",
            "With the largest batch products limit: the dense layer comes near the peak.",
            what="rate of the dense layer with the largest batch over the peak",
            effect=lambda m: of_peak(m, int(m["batches"][-1])),
            rule=Above(0.7),
            source=ours("bandwidth limits no longer where each weight serves many examples"),
        ),
        Part(
            "explained",
            "The roofline tells the speed of large layers to within a factor of two.",
            what="measured over attainable rate, geometric mean over large layers",
            effect=explained,
            rule=Within(0.5, 2.0),
            source=ours("so that a speed can be explained by two numbers of the machine"),
        ),
        Part(
            "order",
            "It tells which of two large layers has the higher rate.",
            what="rank correlation between measured and attainable rates of large layers",
            effect=order,
            rule=Above(0.8),
            source=ours("as before, whatever the routines reach of the machine's limits"),
        ),
        Part(
            "cheap layers again",
            "A gradient through layers by element is faster when they are computed again than when they are "
            "stored.",
            what="time of both passes, stored over computed again, {options.chain} million numbers",
            effect=partial(recomputed, chain="by element"),
            rule=Above(1.0),
            source=ours(f"the notes say that {TWICE}; measured is the device at hand"),
        ),
        Part(
            "dense layers stored",
            "One through dense layers is faster when they are stored.",
            what="time of both passes, stored over computed again, {options.chain_width} units",
            effect=partial(recomputed, chain="dense"),
            rule=Below(1.0),
            source=ours("where products limit, memory is cheaper than computing again"),
        ),
    ),
    facts=_facts,
    reading="Measured on {facts[device]} (vector instructions: {facts[instructions]}): {facts[peak]} billion "
    "operations a second in products, {facts[bandwidth]} GB/s. Below {facts[ridge]} operations for each byte "
    "bandwidth limits; {facts[share]}% of the layers and batches here lie below. That GPUs have more "
    "bandwidth was not measured. The time of a gradient that stores, over that of one that computes again, "
    "is {parts[cheap layers again]} for layers by element and {parts[dense layers stored]} for dense ones.",
    revised="That slopes are taken from two examples on was chosen after a pilot, in which one example used "
    "another routine of the compiler.",
)
