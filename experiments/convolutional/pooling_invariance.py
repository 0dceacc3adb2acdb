"""How far pooled maps change when the image moves by a pixel, and how much smaller the next layer is.

The notes: a pooled map is approximately invariant to small translations, which means that the values of
most of its outputs do not change; and with a step of k between the pooled regions the next layer has k
times fewer inputs, which saves work and, where that layer is dense, parameters too.

Measured on the maps of a 5 × 5 convolution with bias and ReLU, of random and of trained networks, on two
views of each test image of Fashion-MNIST that lie a pixel apart (cut from it, so nothing is filled in). The
maps are pooled by maximum, mean or L2 norm at every place; a step between the windows only takes some of
these. Every output counts, those that are 0 in both views too: they do not change. An output has changed
when its two values differ by more than a tolerance times the standard deviation of its map over places
and images: a quarter for the verdict, all from 0 to 1 in the figure. Beside it stands a stricter measure, a
tenth of the larger of the two values. The costs are counted in the library's own layers, in one and two
dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import analysis
from dlnotes.claims import (
    Below,
    Claim,
    Interval,
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
    ratio,
)
from dlnotes.layers import Convolution, Dense, avg_pool, conv, convolve, dense, l2_pool, max_pool, relu
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, new_figure, set_title
from dlnotes.typing import Array

from ._trained_networks import STATES, train_networks

KINDS = {"maximum": max_pool, "mean": avg_pool, "L2 norm": l2_pool}
WINDOWS = (2, 3, 5)
JUDGED = WINDOWS.index(3)
"""The notes' own example pools three at a time."""
TOLERANCES = np.array([0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0])
"""In standard deviations of an output's map."""
TOLERANCE = 5
"""The tolerance of the verdict, a quarter."""
STRICT = 0.1
"""The stricter tolerance beside it, as a share of the larger of the two values."""
STEPS = (2, 3, 4)
COLORS = (BLUE, ORANGE, GREEN)
RANDOM, HALF, TRAINED = range(len(STATES))


class PoolingInvariance(Options):
    """Sizes of the experiment."""

    steps: int = Field(1000, ge=2, description="steps of each training")
    images: int = Field(10000, ge=32, description="training images")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each learning rate, to choose one")
    tuning_steps: int = Field(250, ge=2, description="steps of those trainings")
    test: int = Field(500, ge=10, description="test images that are moved")


def changed(a: Array, b: Array) -> Array:
    """Shares of outputs that differ by more than each tolerance, ``(tolerances + 1,)``.

    Of all outputs ``(images, height, width, maps)``. The last is for the stricter tolerance.
    """
    spread = jnp.stack([a, b]).std((0, 1, 2, 3), keepdims=True)
    limits = jnp.asarray(TOLERANCES, jnp.float32).reshape(-1, 1, 1, 1, 1) * spread
    apart, larger = jnp.abs(a - b), jnp.maximum(a, b)
    return jnp.append((apart[None] > limits).mean((1, 2, 3, 4)), (apart > STRICT * larger).mean())


def shares(params: Convolution, x: Array) -> Array:
    """Shares that change when the view moves right, ``(1 + kinds · windows, tolerances + 1)``.

    Unpooled first.
    """
    views = [relu(conv(params, v, padding="VALID")) for v in (x[:, :, :-1], x[:, :, 1:])]
    pooled = [partial(pool, window=w, stride=1) for pool in KINDS.values() for w in WINDOWS]
    return jnp.stack([changed(*views), *(changed(*map(pool, views)) for pool in pooled)])


def saved(step: int, axes: int, following: str) -> tuple[float, float]:
    """By how much pooling with a step divides the next layer's multiply-adds and its parameters.

    Args:
      step: k, between windows of width k + 1; the smaller window at the edge is kept.
      axes: 1 for signals, 2 for images.
      following: "dense", or "convolution" of width 3.
    """
    channels, outputs = 4, 5
    size = 6 * step
    pooled = jax.eval_shape(
        lambda a: max_pool(a, (step + 1,) * axes, step, "EDGE"),
        jax.ShapeDtypeStruct((1, *(size,) * axes, channels), jnp.float32),
    )
    found = []
    for shape in ((1, *(size,) * axes, channels), pooled.shape):
        if following == "dense":
            n = int(np.prod(shape))
            layer = Dense(jnp.zeros((n, outputs)), jnp.zeros(outputs))
            work = analysis.multiply_adds(dense, layer, jnp.zeros((1, n)))
            learned = layer.W.size
        else:
            K = jnp.zeros((3,) * axes + (channels, outputs))
            work = analysis.multiply_adds(convolve, jnp.zeros(shape), K)
            learned = K.size
        found.append((work, learned))
    (work, learned), (less_work, less_learned) = found
    return work / less_work, learned / less_learned


def measure(options: PoolingInvariance) -> dict[str, np.ndarray]:
    """Train, move the images, count."""
    found = train_networks(
        seeds=options.seeds,
        tuning_seeds=options.tuning_seeds,
        steps=options.steps,
        tuning_steps=options.tuning_steps,
        images=options.images,
        test=max(options.test, 2000),
    )
    x = jnp.asarray(found.test.x[: options.test])
    compiled = jax.jit(lambda layers: jax.lax.map(lambda p: shares(p, x), layers))
    measured = []
    for params in found.params:
        ((first,), _) = params.convolutions
        measured.append(np.asarray(compiled(first)))
    measured = np.moveaxis(np.array(measured), 1, -1)  # (states, 1 + kinds · windows, tolerances + 1, seeds)
    cases = [(k, axes) for axes in (1, 2) for k in STEPS]
    by_layer = {
        f"saved_{name}": np.array([saved(k, axes, name) for k, axes in cases])
        for name in ("dense", "convolution")
    }
    by_kind = measured[:, 1:].reshape(len(STATES), len(KINDS), len(WINDOWS), -1, options.seeds)
    return {
        "unpooled": measured[:, 0, :-1],
        "pooled": by_kind[..., :-1, :],
        "unpooled_strict": measured[:, 0, -1],
        "pooled_strict": by_kind[..., -1, :],
        "factor": np.array([k**axes for k, axes in cases]),
        **by_layer,
        "accuracy": found.accuracy,
        "rate": np.array(found.rate),
        "tuning": found.tuning,
    }


def draw(options: PoolingInvariance, m: Measured) -> Plot:
    """Share of outputs that change against the tolerance, random networks left, trained ones right."""
    figure = new_figure(10.0, 4.6)
    axes = figure.subplots(1, 2, sharey=True)
    table: dict[str, list] = {k: [] for k in ("network", "pooling", "window", "tolerance", "changed")}
    for axis, s in zip(axes, (RANDOM, TRAINED)):
        axis.plot(TOLERANCES, 100 * m["unpooled"][s].mean(-1), color=GRAY, marker="D", label="not pooled")
        for kind, color, values in zip(KINDS, COLORS, m["pooled"][s]):
            for w, line, marker in zip(range(len(WINDOWS)), (":", "-", "--"), "^os"):
                axis.plot(TOLERANCES, 100 * values[w].mean(-1), color=color, ls=line, marker=marker, ms=3,
                          label=f"{kind}, {WINDOWS[w]} × {WINDOWS[w]}")  # fmt: skip
        axis.axvline(TOLERANCES[TOLERANCE], color=GRAY, lw=0.8, ls=":")
        axis.axhline(50, color=GRAY, lw=0.8, ls=":")
        axis.set(title=f"{STATES[s]} networks", xlabel="tolerance (standard deviations of the map)")
        axis.set(ylim=(0, 103))
        rows = [("none", 1, m["unpooled"][s], m["unpooled_strict"][s])]
        rows += [
            (k, w, v, strict)
            for k, vs, stricts in zip(KINDS, m["pooled"][s], m["pooled_strict"][s])
            for w, v, strict in zip(WINDOWS, vs, stricts)
        ]
        for kind, window, values, strict in rows:
            for t, v in zip((*TOLERANCES, "a tenth of the larger value"), (*values, strict)):
                for name, value in zip(table, (STATES[s], kind, window, t, v.mean())):
                    table[name].append(value)
    axes[0].set_ylabel("outputs that change (%), mean of seeds")
    axes[1].legend(fontsize=8, ncols=2, loc="upper right", handlelength=3.5)
    plain, best = (
        100 * values[TRAINED, ..., TOLERANCE, :].mean(-1)
        for values in (m["unpooled"], m["pooled"][:, :, JUDGED])
    )
    set_title(
        figure,
        f"Moved by a pixel, {plain:.0f}% of a trained convolution's outputs change by a quarter of their "
        f"deviation;\nof maxima over 3 × 3 it is {best[0]:.0f}%, of means {best[1]:.0f}%, of L2 norms "
        f"{best[2]:.0f}%",
    )
    return Plot(figure, table)


def _less(s: int, kind: int) -> Callable[[Measured], Interval]:
    return lambda m: ratio(m["pooled"][s, kind, JUDGED, TOLERANCE], m["unpooled"][s, TOLERANCE])


def _most(s: int, kind: int) -> Callable[[Measured], Interval]:
    return lambda m: mean(100 * m["pooled"][s, kind, JUDGED, TOLERANCE])


def _strict(s: int, kind: int) -> Callable[[Measured], Interval]:
    return lambda m: mean(100 * m["pooled_strict"][s, kind, JUDGED])


def _plateau(s: int, effect: Callable[[int, int], Callable[[Measured], Interval]], kind: int) -> Any:
    return Plateau(half=effect(HALF, kind)) if s == TRAINED else None


def _off(m: Measured) -> Interval:
    work = np.concatenate([m["saved_dense"][:, 0], m["saved_convolution"][:, 0]])
    off = np.abs(work - np.tile(m["factor"], 2))
    return exact(off.max(), off.size)


SECTION = "operación de convolución y agrupación"
INVARIANT = notes(
    SECTION,
    "pooling makes the representation approximately invariant to small translations: when the input moves "
    "a little, the values of most outputs do not change",
)
FEWER = notes(SECTION, "with k pixels between the pooled regions the next layer has k times fewer inputs")
MEMORY = notes(SECTION, "where its parameters depend on the size of the input, it needs fewer of them")
CLAIM = Claim(
    id="C6.8",
    statement="Pooling is approximately invariant to small shifts: the values of most pooled outputs do not "
    "change. With a step of k between the pooled regions the next layer has k times fewer inputs to process.",
    source="notes, «operación de convolución y agrupación»; Goodfellow et al. 2016, 9.3",
    options=PoolingInvariance,
    measure=measure,
    draw=draw,
    parts=(
        *(
            Part(
                f"{kind}, less than unpooled, {STATES[s]}",
                f"When the image moves by a pixel, fewer outputs change with pooling (3 x 3, {kind}) than "
                f"without, {STATES[s]} networks.",
                what="share of all outputs that change by more than a quarter of their map's standard "
                "deviation: pooled / not pooled",
                effect=_less(s, k),
                rule=Below(1.0),
                source=INVARIANT,
                learned=_plateau(s, _less, k),
            )
            for k, kind in enumerate(KINDS)
            for s in (RANDOM, TRAINED)
        ),
        *(
            Part(
                f"{kind}, most stay, {STATES[s]}",
                f"When the image moves by a pixel, most pooled outputs (3 x 3, {kind}) do not change, "
                f"{STATES[s]} networks.",
                what="share of all pooled outputs that change by more than a quarter of their map's standard "
                "deviation, %",
                effect=_most(s, k),
                rule=Below(50.0),
                source=INVARIANT,
                learned=_plateau(s, _most, k),
            )
            for k, kind in enumerate(KINDS)
            for s in (RANDOM, TRAINED)
        ),
        *(
            Part(
                f"{kind}, strict tolerance",
                f"Most pooled outputs (3 x 3, {kind}) change by less than a tenth of their value, trained "
                "networks.",
                what="share of all pooled outputs that change by more than 10% of the larger value, %",
                effect=_strict(TRAINED, k),
                rule=Below(50.0),
                source=ours(
                    "the notes do not say how small a change counts as none; this is a strict choice"
                ),
                learned=_plateau(TRAINED, _strict, k),
            )
            for k, kind in enumerate(KINDS)
        ),
        Part(
            "work of the next layer",
            "A step of k along each axis divides the next layer's work by k in a signal, by k² in an image.",
            what="largest difference from k or k², dense and convolutional next layers, k = 2, 3, 4",
            effect=_off,
            rule=Within(0.0, 0.0),
            source=FEWER,
        ),
        Part(
            "parameters of the next layer",
            "The parameters of a dense next layer fall by the same factor.",
            what="largest difference from k or k², k = 2, 3, 4",
            effect=lambda m: exact(np.abs(m["saved_dense"][:, 1] - m["factor"]).max(), m["factor"].size),
            rule=Within(0.0, 0.0),
            source=MEMORY,
        ),
    ),
    method="Fashion-MNIST: {options.images} training images, {options.test} test images in two views a pixel "
    "apart. Networks of two stages of convolution (8 and 16 maps, 5 x 5), max-pooling and ReLU and a linear "
    "output, {options.steps} steps of Adam in batches of 32; the rate falls to zero along a cosine over each "
    "half, from the best of four by validation accuracy over {options.tuning_seeds} other seeds after "
    "{options.tuning_steps} steps, and {options.seeds} seeds are judged. Compared are the maps of the first "
    "convolution after ReLU, as they are and pooled at every place. The intervals cover seeds, not the "
    "choice of test images.",
    reading="Most outputs stay with every kind of pooling: of a trained convolution {parts[maximum, most "
    "stay, trained]}% of the maxima, {parts[mean, most stay, trained]}% of the means and {parts[L2 norm, "
    "most stay, trained]}% of the L2 norms change by more than a quarter of their map's deviation. But "
    "without any pooling only {facts[unpooled]}% do. Open is whether taking the mean changes that at all: "
    "the ratio is {parts[mean, less than unpooled, trained]} in trained networks and {parts[mean, less than "
    "unpooled, random]} in random ones, because a mean has a smaller deviation as well as smaller changes; "
    "with a larger tolerance it changes less than the unpooled maps, with a smaller one more. The maximum "
    "helps most ({parts[maximum, less than unpooled, trained]}). How many outputs change depends on what "
    "counts as a change: with a tolerance of a tenth of the value itself the shares are {facts[unpooled "
    "strict]}% without pooling, {parts[maximum, strict tolerance]}%, {parts[mean, strict tolerance]}% and "
    "{parts[L2 norm, strict tolerance]}%, since a mean or a norm spreads an edge over many places, each of "
    "which changes a little. The trained networks are right on {facts[accuracy]}% of test images.",
    facts=lambda m: {
        "unpooled": float(100 * m["unpooled"][TRAINED, TOLERANCE].mean()),
        "unpooled strict": float(100 * m["unpooled_strict"][TRAINED].mean()),
        "accuracy": float(100 * m["accuracy"][TRAINED].mean()),
    },
    revised="An earlier experiment left outputs out that are 0 in both views and judged by a tenth of the "
    "larger value; it failed for means and L2 norms. An audit of all rows counted all outputs, which is what "
    "the sentence says, and measured changes against the spread of a unit; its numbers on the old seeds were "
    "seen (a quarter to a third of the outputs change). The tolerance is a choice: both are shown. Networks "
    "are trained five times as long, with a chosen rate and fresh seeds. Later, another row with "
    "convolutions came out otherwise on another number of devices, because at a constant rate its last steps "
    "decided. So the rate falls to zero here too, and seeds are fresh; no rule was changed. Then, to save "
    "time, shorter trainings choose the rate, on fresh seeds.",
)
