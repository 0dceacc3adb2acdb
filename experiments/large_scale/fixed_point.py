"""Inference in whole numbers of 8 bits and fewer: speed gained, accuracy lost.

The notes: an implementation was proposed that was faster with fixed-point arithmetic than with floating
point; every new processor has other characteristics, so that some implementations in floating point can be
faster; what counts is that careful specialization of numerical routines can bring large rewards.

Measured: perceptrons and a convolutional net learn MNIST and pictures of clothes in float32. Their weights
and activations are then written in whole numbers, with scales of the activations that are found from training
images. The time of a forward pass is measured for two implementations: routines that are written by hand for
each family of processors (onnxruntime), and what a compiler makes of the same arithmetic (XLA).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from dlnotes.claims import (
    Above,
    Below,
    Claim,
    Interval,
    Machine,
    Measured,
    Options,
    Part,
    Plateau,
    Plot,
    Within,
    exact,
    mean,
    notes,
    ours,
    over_cases,
    paired,
    ratio,
)
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, new_figure, set_title

from ._fixed_point_networks import BATCH, BITS, CASES, RATES, SCALES, measure_case
from ._fixed_point_speed import (
    BATCHES,
    IMPLEMENTATIONS,
    KINDS,
    by_hand,
    compiled,
    installed,
    times,
)
from ._processor import processor_name, whole_number_instructions

FIRST_SEED = 13_100


class FixedPoint(Options):
    """Sizes of the experiment."""

    images: int = Field(10_000, ge=BATCH, description="training images")
    validation: int = Field(2000, ge=20, description="images by which the learning rate is chosen")
    test: int = Field(10_000, ge=20, description="test images")
    epochs: int = Field(6, ge=1, description="of training")
    tuning_epochs: int = Field(2, ge=1, description="of a training that chooses a learning rate")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each learning rate, to choose one")
    calibration: int = Field(256, ge=2, description="training images by which activations are scaled")
    sweep: int = Field(2000, ge=20, description="test images for fewer than 8 bits")
    rounds: int = Field(30, ge=2, description="timings of each network")


def measure(options: FixedPoint) -> dict[str, np.ndarray]:
    """All cases, then the speed of the perceptron of clothes."""
    found, networks, images = [], {}, np.zeros(0)
    for i, case in enumerate(CASES):
        measured, params, x = measure_case(options, case, FIRST_SEED + 100 * i)
        found.append(measured)
        if case.name == "clothes, perceptron":
            images = x
            networks = {("XLA", kind): f for kind, f in compiled(params, case.model, x[:256]).items()}
            if installed():
                flat = x[:256].reshape(len(x[:256]), -1)
                networks |= {("onnxruntime", kind): f for kind, f in by_hand(params, flat).items()}
    shaped = {
        which: (f if which[0] == "XLA" else lambda x, f=f: f(x.reshape(len(x), -1)))
        for which, f in networks.items()
    }
    seconds = times(shaped, images, options.rounds)
    return {name: np.stack([one[name] for one in found]) for name in found[0]} | {
        "seconds": seconds,  # (implementations, kinds, batches, rounds)
        "by_hand": np.array(installed()),
        "instructions": np.array(whole_number_instructions(), dtype=np.str_),
        "processor": np.array(processor_name()),
    }


def points_lost(m: Measured, case: int, when: str = "") -> Interval:
    """Points of accuracy that 8 bits lose, over seeds and test images."""
    return over_cases(100.0 * (m[f"float{when}"][case].astype(float) - m[f"int8{when}"][case]))


def lost_at(m: Measured, bits: int) -> Interval:
    """Points lost with so many bits and a scale of each output, in the mean over the cases."""
    return mean((m["sweep_float"] - m["sweep"][:, 0, BITS.index(bits)]).mean(0))


def scales_gain(m: Measured, bits: int) -> Interval:
    """Points by which a scale of each output is better than one of all, in the mean over the cases."""
    each, all_of = (m["sweep"][:, i, BITS.index(bits)].mean(0) for i in range(2))
    return paired(each, all_of)


def bytes_saved(m: Measured) -> Interval:
    """The ratio of bytes that is farthest from 4."""
    ratios = m["bytes"][:, 0] / m["bytes"][:, 1]
    return exact(ratios[np.argmax(np.abs(ratios - 4))], len(ratios))


def of_rounds(m: Measured, implementation: str, kind: str, batch: int | None = None) -> np.ndarray:
    """Seconds of each round, of one size of the batch or the geometric mean over all."""
    seconds = m["seconds"][IMPLEMENTATIONS.index(implementation), KINDS.index(kind)]
    return np.exp(np.log(seconds).mean(0)) if batch is None else seconds[BATCHES.index(batch)]


def faster(m: Measured, implementation: str, batch: int | None = None) -> Interval:
    """How many times as fast whole numbers are."""
    return ratio(of_rounds(m, implementation, "float32", batch), of_rounds(m, implementation, "int8", batch))


def specialized(m: Measured) -> Interval:
    """How many times as long the compiler's whole numbers take as those written by hand."""
    return ratio(of_rounds(m, "XLA", "int8"), of_rounds(m, "onnxruntime", "int8"))


def fewest(m: Measured) -> int:
    """The fewest bits that lose less than a point, in the mean."""
    good = [bits for bits in BITS if lost_at(m, bits).value < 1]
    return min(good, default=BITS[-1])


def draw(options: FixedPoint, m: Measured) -> Plot:
    """Accuracy against bits, and the speed of whole numbers by batch."""
    figure = new_figure(10.4, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    table: dict[str, list] = {"case": [], "scales": [], "bits": [], "accuracy": [], "float32": []}
    for c, (case, color) in enumerate(zip(CASES, (BLUE, ORANGE, GREEN))):
        wide = m["sweep_float"][c].mean()
        left.axhline(wide, color=color, lw=0.8, ls=":")
        for i, scales in enumerate(SCALES):
            accuracy = m["sweep"][c, i].mean(-1)
            label = case.name if i == 0 else None
            left.plot(BITS, accuracy, "o-" if i == 0 else "x--", color=color, label=label, ms=4)
            for bits, value in zip(BITS, accuracy):
                row = (case.name, scales, bits, float(value), float(wide))
                for name, cell in zip(table, row):
                    table[name].append(cell)
    left.plot([], [], "x--", color=GRAY, label="one scale for all outputs")
    left.plot([], [], ":", color=GRAY, label="float32")
    left.set(xlabel="bits of the weights", ylabel="test accuracy, %")
    left.legend(fontsize=8)
    where = np.arange(len(BATCHES))
    for k, (implementation, color) in enumerate(zip(IMPLEMENTATIONS, (BLUE, ORANGE))):
        if implementation == "onnxruntime" and not m["by_hand"]:
            continue
        speed = [faster(m, implementation, batch) for batch in BATCHES]
        errors = np.array([[s.value - s.low, s.high - s.value] for s in speed]).T
        values = [s.value for s in speed]
        right.bar(where + 0.38 * (k - 0.5), values, 0.36, yerr=errors, color=color, label=implementation)
    right.axhline(1, color=GRAY, lw=0.8)
    right.set_xticks(where, [str(b) for b in BATCHES])
    right.set(xlabel="images of a batch", ylabel="time in float32 / time in int8")
    right.set_ylim(top=1.25 * right.get_ylim()[1])
    right.legend(fontsize=8, loc="upper left", ncols=2)
    title = f"{fewest(m)} bits of the weights lose less than a point"
    if m["by_hand"]:
        title += f"; written by hand, 8 bits are {faster(m, 'onnxruntime').value:.1f} times as fast"
    set_title(figure, title)
    return Plot(figure, table)


def _facts(m: Measured) -> dict[str, Any]:
    names = [str(name) for name in m["instructions"]]
    facts = {
        "batches": ", ".join(map(str, BATCHES[:-1])) + f" and {BATCHES[-1]}",
        "processor": str(m["processor"]),
        "instructions": ", ".join(names) or "none",
        "fewest": fewest(m),
        "fewer": fewest(m) - 1,
        "lost": f"{lost_at(m, max(BITS[0], fewest(m) - 1)).value:.1f}",
    }
    for case, key in zip(range(len(CASES)), ("digits", "clothes", "convolutional")):
        facts[key] = f"{100 * m['float'][case].mean():.1f}"
    for implementation, key in zip(IMPLEMENTATIONS, ("hand", "compiler")):
        speeds = [f"{faster(m, implementation, batch).value:.2f}" for batch in BATCHES]
        facts[key] = ", ".join(speeds[:-1]) + " and " + speeds[-1]
    return facts


SECTION = "aprendizaje profundo a gran escala"
HAS_INSTRUCTION = Machine(
    what="processor with an instruction for products of 8 bits, and onnxruntime (1 for both, else 0)",
    effect=lambda m: exact(bool(m["by_hand"]) and m["instructions"].size > 0),
    rule=Above(0.5),
)
HAS_BY_HAND = Machine(
    what="routines written by hand, of onnxruntime (1 where it is installed, else 0)",
    effect=lambda m: exact(bool(m["by_hand"])),
    rule=Above(0.5),
)


def _lost_part(case: int, name: str) -> Part:
    return Part(
        f"lost, {name}",
        f"{name[0].upper()}{name[1:]} loses less than 0.2 points of accuracy by 8 bits.",
        what=f"test accuracy in float32 − in 8 bits, {CASES[case].name}, points",
        effect=lambda m: points_lost(m, case),
        rule=Below(0.2),
        source=ours("speed is of use where accuracy stays; 0.2 points are about a seed's difference"),
        learned=Plateau(lambda m: points_lost(m, case, "_half")),
    )


CLAIM = Claim(
    id="L13.1",
    statement="Inference with fixed-point arithmetic can be faster than with floating point, by routines "
    "that are specialized for the processor.",
    source="notes, «aprendizaje profundo a gran escala»; Vanhoucke, Senior and Mao 2011",
    options=FixedPoint,
    measure=measure,
    draw=draw,
    method="Perceptrons of 784-512-512-10 units learn {options.images} images of MNIST and of Fashion-MNIST, "
    "a convolutional net of 16 and 32 maps those of Fashion-MNIST, in float32, by Adam for {options.epochs} "
    f"epochs with batches of {BATCH}. Each has its own rate of {len(RATES)}, by the validation loss of "
    "{options.tuning_seeds} other seeds after {options.tuning_epochs} epochs. Weights are then whole numbers "
    "with a scale of each output, activations have 8 bits, with scales from {options.calibration} training "
    "images; accuracy is measured on {options.test} test images, with fewer bits on {options.sweep}. "
    "{options.seeds} seeds are judged. The perceptron is timed in {options.rounds} rounds in which float32 "
    "and int8 take turns, for batches of 1, 16 and 256 images: by onnxruntime on one core, and as XLA "
    "compiles it.",
    parts=(
        Part(
            "faster",
            "Written by hand for the processor, whole numbers are faster than floating point.",
            what="time of a forward pass in float32 / in int8, onnxruntime, geometric mean over the batches",
            effect=lambda m: faster(m, "onnxruntime"),
            rule=Above(1.0),
            source=notes(SECTION, "an implementation in fixed point was faster than in floating point"),
            learned=HAS_INSTRUCTION,
        ),
        Part(
            "specialization",
            "The same whole numbers take more than twice as long as a compiler writes them.",
            what="time of a forward pass in int8, XLA / onnxruntime, geometric mean over the batches",
            effect=specialized,
            rule=Above(2.0),
            source=notes(SECTION, "careful specialization of numerical routines can bring large rewards"),
            learned=HAS_BY_HAND,
        ),
        Part(
            "compiled",
            "As a compiler writes them, whole numbers are slower than floating point.",
            what="time of a forward pass in float32 / in int8, XLA, geometric mean over the batches",
            effect=lambda m: faster(m, "XLA"),
            rule=Below(1.0),
            source=ours("the notes: some implementations in floating point can be faster"),
        ),
        _lost_part(0, "a perceptron of digits"),
        _lost_part(1, "a perceptron of clothes"),
        _lost_part(2, "a convolutional net of clothes"),
        Part(
            "bytes",
            "Parameters take a fourth of the bytes, within 5%.",
            what="bytes of the parameters in float32 / in int8, the network farthest from 4",
            effect=bytes_saved,
            rule=Within(3.8, 4.2),
            source=ours("scales and biases must not eat up what is saved"),
        ),
        Part(
            "scales",
            "With 4 bits, a scale of each output is better than one scale of all.",
            what="test accuracy, scale of each output − one scale, 4 bits, mean of the networks, points",
            effect=lambda m: scales_gain(m, 4),
            rule=Above(0.0),
            source=ours("outputs whose weights are small would share the scale of the largest"),
        ),
        Part(
            "six bits",
            "Six bits of the weights lose less than half a point.",
            what="test accuracy in float32 − with 6 bits, mean of the networks, points",
            effect=lambda m: lost_at(m, 6),
            rule=Below(0.5),
            source=ours("how far 8 bits are from the edge"),
        ),
        Part(
            "two bits",
            "Two bits, which are −1, 0 and 1, lose more than ten points.",
            what="test accuracy in float32 − with 2 bits, mean of the networks, points",
            effect=lambda m: lost_at(m, 2),
            rule=Above(10.0),
            source=ours("without training for it, so few numbers cannot be enough"),
        ),
    ),
    facts=_facts,
    reading="On this processor ({facts[processor]}; instructions for eight bits: {facts[instructions]}) "
    "routines written by hand are {facts[hand]} times as fast in whole numbers for batches of "
    "{facts[batches]}; the same arithmetic as a compiler writes it is {facts[compiler]} times as fast as its "
    "own floating point. The networks have {facts[digits]}%, {facts[clothes]}% and {facts[convolutional]}% "
    "of the test images right in float32. In whole numbers of eight bits they lose {parts[lost, a perceptron "
    "of digits]}, {parts[lost, a perceptron of clothes]} and {parts[lost, a convolutional net of clothes]} "
    "points. Fewer than {facts[fewest]} bits of the weights lose more than a point: {facts[fewer]} lose "
    "{facts[lost]}.",
)
