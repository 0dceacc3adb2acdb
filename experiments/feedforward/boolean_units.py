"""How many hidden units a function needs: every function of few bits, and functions of bounded Fourier norm.

The notes: Barron (1993) bounds the size of a network with one layer that approximates a large class of
functions; in the worst case an exponential number of hidden units is needed, possibly one for each
configuration of inputs that must be told apart. There are 2^(2^n) functions of n bits, and to choose one
takes 2^n bits, in general O(2^n) degrees of freedom.

Measured: the least number of threshold units, with a linear output, of every function of two, three and four
bits, by exhaustive search in fractions, and between which numbers it lies for random functions of five bits.
For more bits the functions are counted that k units can compute at most, which shows how many are needed.
Beside it, the error of networks that approximate functions of bounded Fourier norm, unit by unit, in 2 to 128
dimensions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from dlnotes.analysis import boolean_functions as boolean
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
    exact,
    mean,
    notes,
    ours,
    paper,
)
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, PURPLE, new_figure, set_title

from ._greedy_units import greedy, left_over, random_units, random_waves, units_along

FIRST_SEED = 49_000
UNITS = np.array([1, 2, 4, 8, 16, 32, 64, 128])
"""Hidden units of the networks that approximate."""
COUNTED = np.array([16, 32])
"""Bits at which functions are counted instead of networks."""


class BooleanUnits(Options):
    """Sizes of the experiment."""

    seeds: int = Field(20, ge=2, description="random functions of five bits, and of each dimension")
    exhaustive: int = Field(4, ge=3, le=4, description="bits up to which all functions are searched")
    beam: int = Field(200, ge=1, description="rests that the search for five bits keeps")
    dimensions: tuple[int, ...] = Field((2, 8, 32, 128), description="of functions of bounded Fourier norm")
    points: int = Field(1000, ge=100, description="points on which networks are fitted, and others to judge")


def counted_bound(n: np.ndarray) -> np.ndarray:
    """Units without which not all functions of n bits can be computed: ``(2ⁿ − 1) / n²``.

    There are at most 2^(n²) threshold functions, of which those that differ as hidden units are half; k of
    them and a constant span at most 2^(k + 1) functions of 0 and 1. So k units compute at most
    2^((n² − 1)k + k + 1) functions, and all 2^(2ⁿ) need k n² + 1 ≥ 2ⁿ.
    """
    n = np.asarray(n, float)
    return (2**n - 1) / n**2


def wrong_values(n: int) -> int:
    """Functions that one unit for each configuration does not compute, or needs over 2^(n − 1) units for."""
    x, wrong = boolean.inputs(n), 0
    for f in range(2 ** (2**n)):
        W, t, v, c = boolean.one_unit_each(f, n)
        wrong += bool(np.any(c + (x @ W > t) @ v != boolean.values(f, n))) or len(v) > 2 ** (n - 1)
    return wrong


def approximation(options: BooleanUnits) -> dict[str, np.ndarray]:
    """Squared errors by dimension, units and function, with units that are chosen and with random ones."""
    chosen, random = (np.zeros((len(options.dimensions), len(UNITS), options.seeds)) for _ in range(2))
    variance = np.zeros((len(options.dimensions), options.seeds))
    for i, d in enumerate(options.dimensions):
        for seed in range(options.seeds):
            rng = np.random.default_rng([FIRST_SEED, d, seed])
            f = random_waves(rng, d)
            x, other = rng.uniform(-1, 1, size=(2, options.points, d))
            y, wanted = f(x), f(other)
            variance[i, seed] = wanted.var()
            all, blind = units_along(f), random_units(rng, d, UNITS[-1])
            order = greedy(all(x), y, UNITS[-1])
            for j, n in enumerate(UNITS):
                taken = type(all)(all.directions[:, order[:n]], all.places[order[:n]])
                first = type(blind)(blind.directions[:, :n], blind.places[:n])
                chosen[i, j, seed] = left_over(taken, x, y, other, wanted)
                random[i, j, seed] = left_over(first, x, y, other, wanted)
    return {"chosen": chosen, "random": random, "variance": variance}


def measure(options: BooleanUnits) -> dict[str, np.ndarray]:
    """Search all functions of few bits, bound random ones of five, approximate in many dimensions."""
    bits = np.arange(2, options.exhaustive + 1)
    units = [boolean.least_units(int(n)) for n in bits]
    drawn = np.random.default_rng(FIRST_SEED).integers(2**32, size=options.seeds)
    between = np.array([boolean.units_between(int(f), 5, beam=options.beam) for f in drawn])
    return {
        "bits": bits,
        "histogram": np.array([np.bincount(u, minlength=8) for u in units]),  # (bits, units)
        "five": between,  # (functions, proven and found)
        "wrong": np.array([wrong_values(int(n)) for n in bits]),
        **approximation(options),
    }


def means(m: Measured) -> np.ndarray:
    """Mean least number of units over all functions of each number of bits."""
    return m["histogram"] @ np.arange(8) / m["histogram"].sum(1)


def most(m: Measured) -> np.ndarray:
    """Units of the function that needs most, of each number of bits."""
    return np.array([np.flatnonzero(row).max() for row in m["histogram"]])


def freedom(m: Measured) -> np.ndarray:
    """Weights of the least networks, mean over all functions, over 2ⁿ."""
    n = m["bits"]
    return (means(m) * (n + 2) + 1) / 2.0**n


def growth(m: Measured) -> Interval:
    """Factor per bit of the mean least number of units, from two bits to five as found."""
    found = mean(m["five"][:, 1])
    first, steps = means(m)[0], 5 - m["bits"][0]
    return found._replace(**{k: (getattr(found, k) / first) ** (1 / steps) for k in ("value", "low", "high")})


def rates(errors: np.ndarray) -> np.ndarray:
    """Exponent of the squared error in the units, from 8 on: ``(..., units, seeds)`` to ``(..., seeds)``."""
    late = UNITS >= 8
    u = np.log(UNITS[late]) - np.log(UNITS[late]).mean()
    return np.einsum("u,...us->...s", u, np.log(errors[..., late, :])) / np.sum(u**2)


def draw(options: BooleanUnits, m: Measured) -> Plot:
    """Units by bits on the left, errors by units on the right."""
    figure = new_figure(9.8, 4.2)
    left, right = figure.subplots(1, 2)
    bits = m["bits"]
    left.plot(bits, 2.0 ** (bits - 1), "v:", color=GRAY, label="enough for all: half of the configurations")
    left.plot(bits, most(m), "s-", color=ORANGE, label="the function that needs most, all searched")
    left.plot(bits, means(m), "o-", color=BLUE, label="mean of all functions")
    low, high = m["five"].mean(0)
    left.plot([5, 5], [low, high], "-", color=BLUE, lw=1)
    left.plot(5, high, "o", color=BLUE, mfc="white", label=f"{options.seeds} random functions, found")
    left.plot(5, low, "_", color=BLUE, ms=10, label="the same, proven to need")
    left.set(xlabel="bits", ylabel="hidden threshold units", yscale="log", xticks=range(2, 6))
    left.set_yticks([1, 2, 3, 4, 8], ["1", "2", "3", "4", "8"])
    left.minorticks_off()
    left.set_ylim(top=3 * left.get_ylim()[1])
    left.legend(fontsize=8, loc="upper left")
    table: dict[str, list] = {name: [] for name in ("dimension", "units", "chosen", "random")}
    for i, (d, color) in enumerate(zip(options.dimensions, (BLUE, ORANGE, GREEN, PURPLE))):
        for name, dash in (("chosen", "-"), ("random", ":")):
            share = np.median(m[name][i] / m["variance"][i], axis=1)
            label = f"{d} dimensions" if name == "chosen" else None
            right.plot(UNITS, share, "osD^"[i % 4] + dash, color=color, label=label)
        for j, n in enumerate(UNITS):
            row = (
                d,
                int(n),
                *(float(np.median(m[k][i, j] / m["variance"][i])) for k in ("chosen", "random")),
            )
            for column, value in zip(table, row):
                table[column].append(value)
    right.plot(UNITS, 1 / UNITS, color=GRAY, lw=1, label="1/n")
    right.set(xscale="log", yscale="log", xlabel="hidden units, n", ylabel="share of variance left")
    right.set_xticks(UNITS, [str(n) for n in UNITS])
    right.minorticks_off()
    right.legend(fontsize=8, title="chosen units (dotted: random ones)", title_fontsize=8)
    set_title(
        figure,
        f"Functions of {bits[-1]} bits need {means(m)[-1]:.1f} threshold units on average and up to "
        f"{most(m)[-1]}; for functions of bounded Fourier norm the squared error falls as n to the power "
        f"{max(float(r.mean()) for r in rates(m['chosen'])):.1f} or less in up to "
        f"{max(options.dimensions)} dimensions",
    )
    return Plot(figure, table)


SECTION = "diseño de la arquitectura"
BOUNDS = notes(
    SECTION,
    "Barron (1993) bounds the size of a one-layer network that approximates a large class of functions",
)

CLAIM = Claim(
    id="F4.9",
    statement="In the worst case a network of one layer needs exponentially many hidden units, possibly one "
    "for each configuration of inputs; a function of n bits takes 2^n bits to choose, in general O(2^n) "
    "degrees of freedom. For a large class of functions the size is bounded.",
    source="notes, «diseño de la arquitectura»; Barron 1993",
    options=BooleanUnits,
    measure=measure,
    draw=draw,
    method="All functions of up to {options.exhaustive} bits, and {options.seeds} random ones of five. "
    "Networks: threshold units with a linear output that equals the function at every input. The least "
    "number of units is found by exhaustive search over sets of threshold functions, in fractions; for "
    "five bits it lies between a number that is proven and one that is found. For 16 and 32 bits the "
    "functions are counted that k units can compute at most. {options.seeds} random sums of eight waves in "
    "each of several dimensions are approximated by units taken one by one, and by random ones, with solved "
    "output weights; the error is taken at other points.",
    parts=(
        Part(
            "one unit for each configuration",
            "Every function is computed by one unit for each input at which it is 1, or at which it is 0.",
            what="functions that are computed wrongly, or by more than half as many units as there are "
            "inputs",
            effect=lambda m: exact(m["wrong"].sum(), int(m["histogram"].sum())),
            rule=Within(0, 0),
            source=notes(
                SECTION, "possibly one hidden unit for each configuration of inputs that must be told apart"
            ),
        ),
        Part(
            "exponential in the worst case",
            "The units without which some function cannot be computed grow exponentially: by more than half "
            "for each bit, where even a fourth power of the bits would grow by a fifth.",
            what="factor per bit of the least number of units by counting, between 16 and 32 bits",
            effect=lambda m: exact(
                (counted_bound(COUNTED)[1] / counted_bound(COUNTED)[0]) ** (1 / np.diff(COUNTED)[0])
            ),
            rule=Above(1.5),
            source=notes(SECTION, "in the worst case an exponential number of hidden units is needed"),
        ),
        Part(
            "degrees of freedom",
            "The least networks have O(2^n) weights: fewer than twice 2^n on average for every n searched.",
            what="weights of the least network over 2^n, mean of all functions, the largest over n",
            effect=lambda m: exact(freedom(m).max(), int(m["histogram"].sum())),
            rule=Below(2.0),
            source=notes(
                SECTION, "to choose a function takes 2^n bits, in general O(2^n) degrees of freedom"
            ),
        ),
        Part(
            "Barron's bound",
            "Networks of n units are within Barron's bound (2C)²/n of functions whose Fourier norm is C.",
            what="squared error over (2C)²/n, the largest of all functions, units and dimensions",
            effect=lambda m: exact((m["chosen"] * UNITS[:, None] / 4).max(), m["chosen"].size),
            rule=Below(1.0),
            source=BOUNDS,
        ),
        Part(
            "1/n in any dimension",
            "The squared error falls as 1/n or faster, in every dimension measured.",
            what="exponent of the squared error in the units, from 8 to 128, the dimension where it falls "
            "slowest",
            effect=lambda m: max((mean(r) for r in rates(m["chosen"])), key=lambda r: r.value),
            rule=Below(-0.9),
            source=paper("Barron 1993", "the squared error falls as 1/n whatever the dimension"),
        ),
        Part(
            "units that are not chosen",
            "Units that do not depend on the function do worse: in the highest dimension the error falls "
            "more slowly than 1/n.",
            what="exponent of the squared error in random units, from 8 to 128, the highest dimension",
            effect=lambda m: mean(rates(m["random"])[-1]),
            rule=Above(-0.9),
            source=paper(
                "Barron 1993",
                "with fixed functions, of which only the weights are chosen, the error falls "
                "as a power 2/d at best",
            ),
        ),
        Part(
            "growth found",
            "The units of random functions grow by more than a fourth for each bit.",
            what="factor per bit of the mean least number of units, from two bits to five",
            effect=growth,
            rule=Above(1.25),
            source=ours("how fast the least number grows where it can be found"),
        ),
    ),
    facts=lambda m: _facts(m),
    reading="Nearly all functions are hard, for there are only so many networks: that is why the worst case "
    "is exponential. With few bits it is not yet to be seen: no function of {facts[bits]} bits needs more "
    "than {facts[most]} units, and the mean is {facts[mean]}; random functions of one bit more need between "
    "{facts[low]} and {facts[high]}. The functions whose Fourier norm is bounded are few among all, and "
    "there the number of units does not depend on the dimension, if the units are chosen for the function.",
)


def _facts(m: Measured) -> dict[str, Any]:
    words = {3: "three", 4: "four"}
    return {
        "bits": words[int(m["bits"][-1])],
        "most": int(most(m)[-1]),
        "mean": f"{means(m)[-1]:.2f}",
        "low": f"{m['five'][:, 0].mean():.1f}",
        "high": f"{m['five'][:, 1].mean():.1f}",
    }
