"""Layout of data and vector instructions: the speed of one network, and the accuracy that a time allows.

The notes: besides the kind of arithmetic, implementations gain from structures of data that avoid misses of
the cache and from vector instructions. Many researchers ignore such details; but where the speed of an
implementation restricts the size of the model, its accuracy becomes worse.

Measured: one perceptron, written once as loops and compiled four ways: the weights of an input together in
memory or apart, vector instructions or none. All four add in the same order and give the same answer. The
naive way has neither: a layout that does not fit the loop, one number at a time. Then perceptrons of many
widths learn MNIST, and for a fixed time for each image the best of those that each way can afford is tested.
"""

from __future__ import annotations

import platform
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from pydantic import Field

from dlnotes import data, layers, models, outputs
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
    exact,
    median,
    notes,
    ours,
    paired,
)
from dlnotes.devices import rates, timed
from dlnotes.devices.roofline import Timed
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, new_figure, set_title
from dlnotes.training import Hyperparams, Recipe, evaluate, initial_params, optimizer, tune_briefly_and_train

from ._loop_networks import LAYOUTS, loops, random_perceptron, scalar_code
from ._processor import device_name, vector_instructions

INPUTS, CLASSES = 784, 10
RATES = (0.001, 0.003, 0.01)
FIRST_SEED = 13_160
CHANCE = 1 / CLASSES
WAYS = ("fast", "naive", "library")
COLORS = dict(zip(WAYS, (BLUE, ORANGE, GREEN)))
LABELED = 32
"""Units from which on a point of the figure is labeled: smaller networks lie too close together."""


class DataLayout(Options):
    """Sizes of the experiment."""

    images: int = Field(20_000, ge=100, description="training images")
    validation: int = Field(5000, ge=50, description="images by which rates and widths are chosen")
    test: int = Field(10_000, ge=50, description="test images")
    steps: int = Field(3000, ge=2, description="of each training, with 64 images each")
    tuning_steps: int = Field(600, ge=1, description="steps of the trainings that choose a learning rate")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each learning rate, to choose one")
    units: tuple[int, ...] = Field(
        (2, 4, 8, 16, 32, 64, 128, 256), min_length=2, description="hidden units of the networks that learn"
    )
    wide: int = Field(2048, ge=16, description="units of the network whose layouts are compared")
    asked: int = Field(16, ge=1, description="images that are answered one after another in one call")
    rounds: int = Field(15, ge=2, description="in each, everything is timed once")
    spent: float = Field(0.02, gt=0, description="seconds that each part runs in a round, at least once")


def library(params: models.MLP, x: Any) -> Timed:
    """The network as the library has it, whose products the compiler chooses, on all images at once."""
    model = models.mlp(INPUTS, (len(params.hidden[0].b),), CLASSES)  # pyright: ignore[reportAttributeAccessIssue]
    return timed("library", model.apply, params, x, work=len(x))


def beside(x: Any, wide: int) -> list[Timed]:
    """The library's own choices: batch, dtype and the place of the channels. Work: examples."""
    params = random_perceptron(INPUTS, wide, CLASSES)
    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), params)
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.standard_normal((len(x), 28, 28, 32), np.float32))
    kernel = jnp.asarray(rng.standard_normal((3, 3, 32, 32), np.float32))

    def first_channels(x: Any, k: Any) -> Any:
        return lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=("NCHW", "HWIO", "NCHW"))

    return [
        library(params, x[:1]),
        library(params, x),
        library(half, x.astype(jnp.bfloat16)),
        timed("channels last", lambda x, k: layers.convolve(x, k), images, kernel, work=len(x)),
        timed("channels first", first_channels, images.transpose(0, 3, 1, 2), kernel, work=len(x)),
    ]


def times(options: DataLayout) -> dict[str, np.ndarray]:
    """Seconds for each image, by round, of all ways; and how far their answers lie apart."""
    scalar = scalar_code(platform.machine())
    x = jnp.asarray(np.random.default_rng(1).random((options.asked, INPUTS), np.float32))
    parts: list[Timed] = []
    for width in options.units:
        params = random_perceptron(INPUTS, width, CLASSES)
        parts += [
            loops(params, x, "together", vectors=True),
            loops(params, x, "apart", vectors=not scalar),
            library(params, x),
        ]
    wide = random_perceptron(INPUTS, options.wide, CLASSES)
    four = [loops(wide, x, of, vectors=v or not scalar) for of in LAYOUTS for v in (True, False)]
    answers = np.stack([np.asarray(part.run()) for part in [*four, library(wide, x)]])
    more = beside(x, options.wide)
    seconds = 1 / rates([*parts, *four, *more], rounds=options.rounds, seconds=options.spent)
    n = len(parts)
    return {
        "seconds": seconds[:, :n].reshape(-1, len(options.units), len(WAYS)),
        "wide": seconds[:, n : n + 4].reshape(-1, 2, 2),  # (rounds, layouts, vectors or not)
        "beside": seconds[:, n + 4 :],
        "apart": np.array(np.ptp(answers, 0).max() / np.abs(answers).max()),
        "scalar": np.array(scalar),
        "device": np.array(device_name(), np.str_),
        "instructions": np.array(vector_instructions(), np.str_),
    }


def learn(options: DataLayout, width: int, sets: Any) -> dict[str, np.ndarray]:
    """Accuracies of perceptrons of one width: validation and test, the latter half-way too."""
    train, validation, test = sets
    model = models.mlp(INPUTS, (width,), CLASSES)
    half = max(1, options.steps // 2)

    def recipe_of(hyper: Hyperparams) -> Recipe:
        adam = optimizer("adam", hyper["learning_rate"])
        return Recipe(model, outputs.cross_entropy, {"accuracy": outputs.accuracy}, adam)

    trained = tune_briefly_and_train(
        lambda _: recipe_of,
        train,
        validation,
        {"all": [1]},
        {"learning_rate": RATES},
        start=lambda hyperparams, seeds: initial_params(model, seeds, "he"),
        steps=2 * half,
        tuning_steps=options.tuning_steps,
        tuning_seeds=options.tuning_seeds,
        seeds=options.seeds,
        first_seed=FIRST_SEED,
        batch_size=64,
        record=2 * half,
        every=half,
        probe=lambda params: params,
    )
    moments = [jax.tree.map(lambda a: a[i], trained.fit.probes) for i in (1, 2)]  # noqa: B023
    run = partial(evaluate, recipe_of, trained.hyperparams)
    return {
        "validation": run(moments[1], validation)["accuracy"],
        "half": run(moments[0], test)["accuracy"],
        "accuracy": run(moments[1], test)["accuracy"],
        "rate": np.array(RATES)[trained.chosen[0]],
    }


def measure(options: DataLayout) -> dict[str, np.ndarray]:
    """Time all ways, then train all widths."""
    found = times(options)
    sets = data.parts_of(data.load("mnist"), options.images, options.validation, options.test)
    learned = [learn(options, width, sets) for width in options.units]
    units = {"units": np.array(options.units)}
    return found | units | {k: np.array([one[k] for one in learned]) for k in learned[0]}


def given(m: Measured) -> float:
    """Seconds for each image that all are given: those of the last but one of the fast networks."""
    return float(np.median(m["seconds"], 0)[-2, WAYS.index("fast")])


def chosen(m: Measured, way: str, seconds: float) -> int | None:
    """The width, by its place, that a way reaches the best validation accuracy with in a time."""
    affordable = np.median(m["seconds"], 0)[:, WAYS.index(way)] <= seconds
    if not affordable.any():
        return None
    return int(np.where(affordable, m["validation"].mean(1), -1).argmax())


def reached(m: Measured, way: str, seconds: float, when: str = "accuracy") -> np.ndarray:
    """Test accuracies, in points, of the best network of a way within a time; by chance where none fits."""
    i = chosen(m, way, seconds)
    return np.full(m[when].shape[1], 100 * CHANCE) if i is None else 100 * m[when][i]


def gained(m: Measured, when: str = "accuracy") -> Interval:
    """Test accuracy in the given time, fast minus naive, points."""
    return paired(*(reached(m, way, given(m), when) for way in ("fast", "naive")))


def unknown(m: Measured) -> Interval | None:
    """The effect of vector instructions where the compiler cannot leave them out."""
    return None if m["scalar"] else Interval(np.nan, np.nan, np.nan, len(m["wide"]), "not measured")


def layout(m: Measured) -> Interval:
    """Times, weights apart over together, one number at a time if that can be."""
    return median(m["wide"][:, 1, 1] / m["wide"][:, 0, 1])


def vectors(m: Measured) -> Interval:
    """Times, without over with vector instructions, weights together."""
    return unknown(m) or median(m["wide"][:, 0, 1] / m["wide"][:, 0, 0])


def beside_ratio(a: int, b: int, m: Measured) -> Interval:
    """Times of two of the library's own choices."""
    return median(m["beside"][:, a] / m["beside"][:, b])


def draw(options: DataLayout, m: Measured) -> Plot:
    """Time of the four ways, and accuracy against time."""
    figure = new_figure(10.5, 4.3)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
    middle = 1e6 * np.median(m["wide"], 0)
    names = [f"{of},\n{what}" for of in LAYOUTS for what in ("vectors", "no vectors")]
    bars = left.bar(names, middle.reshape(-1), color=[BLUE, GRAY, GRAY, ORANGE])
    left.bar_label(bars, [f"{v:.0f}" for v in middle.reshape(-1)])
    left.set(ylabel="time of an image (µs)", title=f"{options.wide} units")
    left.tick_params(axis="x", labelsize=8)
    time = np.median(m["seconds"], 0)
    for j, way in enumerate(WAYS):
        right.plot(1e6 * time[:, j], 100 * m["accuracy"].mean(1), "o-", color=COLORS[way], label=way)
    for j in (0, 1):
        for i, width in enumerate(options.units):
            at = (1e6 * time[i, j], 100 * m["accuracy"][i].mean())
            if width >= LABELED:
                right.annotate(
                    str(width), at, xytext=(0, 5), textcoords="offset points", fontsize=7, ha="center"
                )
    right.axvline(1e6 * given(m), ls="--", color=GRAY, lw=1, label="given")
    right.set(xscale="log", xlabel="time of an image (µs)", ylabel="test accuracy (%)", title="units beside")
    ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200) if right.get_xlim()[0] < t < right.get_xlim()[1]]
    right.set_xticks(ticks, [str(t) for t in ticks])
    right.minorticks_off()
    right.legend(loc="lower right")
    slower = float(np.median(m["wide"][:, 1, 1] / m["wide"][:, 0, 0]))
    points = gained(m).value
    set_title(
        figure,
        f"The naive network takes {slower:.0f} times as long; in the time of {options.units[-2]} fast units "
        f"{points:.1f} points lie between the two",
    )
    table = {
        "units": list(options.units),
        **{f"{way}_seconds": [float(v) for v in time[:, j]] for j, way in enumerate(WAYS)},
        "accuracy": [float(v) for v in m["accuracy"].mean(1)],
    }
    return Plot(figure, table)


def _facts(m: Measured) -> dict[str, Any]:
    def units(way: str) -> str:
        i = chosen(m, way, given(m))
        return "no" if i is None else str(m["units"][i])

    return {
        "device": str(m["device"]),
        "instructions": ", ".join(map(str, m["instructions"])) or "not told by the system",
        "naive": units("naive"),
        "library": units("library"),
        "given": f"{1e6 * given(m):.0f}",
        "fast accuracy": f"{reached(m, 'fast', given(m)).mean():.1f}",
        "naive accuracy": f"{reached(m, 'naive', given(m)).mean():.1f}",
    }


SECTION = "aprendizaje profundo a gran escala"
DETAILS = "structures of data that avoid misses of the cache, and vector instructions, make networks faster"

CLAIM = Claim(
    id="L13.16",
    statement="Structures of data that avoid misses of the cache, and vector instructions, make a network "
    "faster; where its implementation restricts the size of a model, its accuracy becomes worse.",
    source="notes, «aprendizaje profundo a gran escala»; Goodfellow et al. 2016, 12.1.1",
    options=DataLayout,
    measure=measure,
    draw=draw,
    method="Perceptrons of one hidden layer are written as loops, z ← z + x_i W_i, one image after another, "
    "and compiled with the weights W_i of an input together in memory or apart, with vector instructions or "
    "without: fast has both, naive neither. {options.wide} units for the speed, timed in turns in "
    "{options.rounds} rounds of {options.asked} images. For the accuracy, networks of {options.units} units "
    "learn {options.images} images of MNIST by {options.steps} steps of Adam with 64 images, learning rates "
    "by {options.tuning_seeds} other seeds. All are given the time of an image that the last but one of the "
    "fast networks takes; of those that a way can afford, validation accuracy chooses. {options.seeds} "
    "seeds; intervals of times cover rounds, of accuracies seeds.",
    parts=(
        Part(
            "layout",
            "The network is faster where the weights that are used together lie together.",
            what="time of an image, weights apart over together, {options.wide} units, no vectors",
            effect=layout,
            rule=Above(1.0),
            source=notes(SECTION, DETAILS),
        ),
        Part(
            "vector instructions",
            "It is faster with vector instructions.",
            what="time of an image, without over with vector instructions, {options.wide} units, together",
            effect=vectors,
            rule=Above(1.0),
            source=notes(SECTION, DETAILS),
        ),
        Part(
            "accuracy in a fixed time",
            "In the same time for an image, the fast implementation allows a more accurate network.",
            what="test accuracy of the best network in the given time, fast − naive, points",
            effect=gained,
            rule=Above(0.0),
            source=notes(
                SECTION,
                "when the speed of the implementation restricts the size of the model, accuracy is worse",
            ),
            learned=Plateau(partial(gained, when="half")),
        ),
        Part(
            "the same answer",
            "All implementations give the same answer.",
            what="largest difference between outputs over the largest output",
            effect=lambda m: exact(m["apart"], 5),
            rule=Below(1e-5),
            source=ours("they must differ in speed only"),
        ),
        Part(
            "batch",
            "Many images at once take less time each than one by one.",
            what="time of an image, library, one at a time over {options.asked} at once",
            effect=partial(beside_ratio, 0, 1),
            rule=Above(1.0),
            source=ours("weights are then read once for all"),
        ),
        Part(
            "dtype",
            "Numbers of 16 bits are faster than those of 32.",
            what="time of an image, library, float32 over bfloat16, {options.asked} at once",
            effect=partial(beside_ratio, 1, 2),
            rule=Above(1.0),
            source=ours("half the bytes; whether it pays depends on the machine's instructions"),
        ),
        Part(
            "channels last",
            "Convolutions are faster where the channels of a pixel lie together.",
            what="time of an image, 32 channels first over last",
            effect=partial(beside_ratio, 4, 3),
            rule=Above(1.0),
            source=ours("the layout that this library uses"),
        ),
    ),
    facts=_facts,
    reading="Measured on {facts[device]} (vector instructions: {facts[instructions]}). Weights apart take "
    "{parts[layout]} times as long, no vectors {parts[vector instructions]} times. In {facts[given]} µs the "
    "naive network may have {facts[naive]} units and reaches {facts[naive accuracy]}% instead of "
    "{facts[fast accuracy]}%.",
)
