"""A label for every pixel: what keeps the output as large as the image, and how well outlines are followed.

The notes: a network may give a tensor of the probability of each class at each pixel, with which precise
masks that follow the outlines of objects can be drawn; but pooling with a large stride makes the output
smaller than the input. To avoid it one may leave pooling out, give a coarse table of labels, or pool with a
stride of one. They do not say which is best: that stride one pays against the coarse table is what is judged
here, and in addition (not from the notes) whether an encoder-decoder with skips needs it.

Measured on scenes of one or two digits of four classes over clutter. "Full size" has three stages of
3×3 convolutions with max-pooling of stride one between them, kernels dilated so that a unit sees as far as
with pooling; "coarse" is the same network with pooling of stride two, its 4×4 times smaller table of logits
enlarged linearly; the encoder-decoder goes back up with the maps of each size beside. Each at about the
parameters, and about the multiply-adds, of the full-size network. Mean intersection over union, and boundary
F (outlines within one pixel), on test scenes. Each network has its own best learning rate of Adam, chosen
by other seeds on validation scenes; each seed has its own training scenes, weights and order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from dlnotes import analysis, models
from dlnotes.claims import Above, Claim, Measured, Options, Part, Plot, mean, paired
from dlnotes.experiment.figures.pixels import class_colors
from dlnotes.plotting import BLUE, GREEN, ORANGE, new_figure, set_title

from ._scene_labels import Sizes, judge, small_scenes, table

NETWORKS = {
    "full size": ("full_size", (8, 16, 24)),
    "coarse, equal parameters": ("coarse", (8, 16, 24)),
    "coarse, equal compute": ("coarse", (24, 48, 72)),
    "encoder-decoder, equal parameters": ("encoder_decoder", (5, 10, 15)),
    "encoder-decoder, equal compute": ("encoder_decoder", (9, 18, 27)),
}
FULL, COARSE, COARSE_WIDE, DECODER, DECODER_WIDE = range(5)
COLORS = (BLUE, ORANGE, ORANGE, GREEN, GREEN)
RATES = (0.003, 0.01, 0.03)
CLASSES = 4
EXAMPLES = 4
"""Test scenes that are drawn."""


class PixelLabels(Options):
    """Sizes of the experiment."""

    side: int = Field(20, ge=12, description="height and width of a scene")
    scenes: int = Field(1500, ge=8, description="training scenes of a seed")
    pool: int = Field(5000, ge=8, description="scenes from which they are drawn")
    steps: int = Field(700, ge=1, description="steps of each training")
    batch: int = Field(16, ge=1, description="scenes of a step")
    tuning_seeds: int = Field(1, ge=1, description="trainings of each network with each learning rate")
    test: int = Field(500, ge=8, description="validation scenes, and test scenes")


def network(index: int, side: int) -> models.Model:
    """One of `NETWORKS`."""
    form, channels = list(NETWORKS.values())[index]
    return models.pixel_labeler((side, side, 1), CLASSES + 1, form=form, channels=channels)


def measure(options: PixelLabels) -> dict[str, np.ndarray]:
    """Every network at its best rate, on the same scenes."""
    o = options
    scenes = small_scenes(o.side, CLASSES, o.pool, o.test, o.test, most=2, clutter=2)
    sizes = Sizes(o.seeds, o.tuning_seeds, o.scenes, o.steps, o.batch)
    made = [network(i, o.side) for i in range(len(NETWORKS))]
    found = [judge(model, scenes, sizes, RATES) for model in made]
    one = np.zeros((1, o.side, o.side, 1), np.float32)
    counts = [analysis.count(model, one) for model in made]
    # Among the first test scenes, those with the most labeled pixels show the most.
    test = scenes.split("test")
    shown = np.argsort(-(test.y[:100] > 0).sum((1, 2)), kind="stable")[:EXAMPLES]
    return {
        "iou": np.array([f.iou for f in found]),
        "outlines": np.array([f.outlines for f in found]),
        "rate": np.array([f.rate for f in found]),
        "parameters": np.array([c.parameters for c in counts]),
        "multiply_adds": np.array([c.multiply_adds for c in counts]),
        "images": test.x[shown, ..., 0],
        "true": test.y[shown].astype(np.int8),
        "given": np.array([f.labels[0, shown] for f in found]),
    }


def draw(options: PixelLabels, m: Measured) -> Plot:
    """Both measures of every network, above some scenes with their labels."""
    names = list(NETWORKS)
    figure = new_figure(10.5, 7.4)
    panels: Any = figure.subfigures(2, 1, height_ratios=(1, 1.55))
    upper, lower = panels
    for axes, (measure, title) in zip(
        upper.subplots(1, 2, sharey=True),
        (("iou", "mean intersection over union (%)"), ("outlines", "outlines within a pixel, F (%)")),
    ):
        for i, (values, color) in enumerate(zip(m[measure], COLORS)):
            found = mean(100 * values)
            bars = [[found.value - found.low], [found.high - found.value]]
            axes.errorbar([found.value], [i], xerr=bars, color=color, marker="o", capsize=3)
            axes.plot(100 * values, np.full(len(values), i + 0.22), "|", color=color, alpha=0.5, markersize=6)
        axes.set(xlabel=title, ylim=(len(names) - 0.4, -0.6))
        axes.set_yticks(range(len(names)), names)
    colors = class_colors(CLASSES + 1)
    shown = (FULL, COARSE_WIDE, DECODER_WIDE)
    rows = [("image", None), ("true", m["true"]), *((names[i].split(",")[0], m["given"][i]) for i in shown)]
    panels = lower.subplots(EXAMPLES, len(rows)).T
    for column, (name, labels) in zip(panels, rows):
        for i, axes in enumerate(column):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if labels is None:
                axes.imshow(m["images"][i], cmap="gray")
            else:
                axes.imshow(colors[labels[i]], interpolation="nearest")
        column[0].set_title(name, fontsize=10, loc="center")
    gains = [100 * (m["outlines"][FULL] - m["outlines"][i]).mean() for i in (COARSE, COARSE_WIDE)]
    set_title(
        figure,
        f"Pooling of stride one instead of a coarse table: {gains[0]:+.1f} points of outline F at equal "
        f"parameters, {gains[1]:+.1f} at equal compute",
    )
    return Plot(figure, table(names, m))


def _part(name: str, statement: str, measure: str, first: int, second: int) -> Part:
    words = {"iou": "mean intersection over union", "outlines": "boundary F within a pixel"}[measure]
    a, b = (list(NETWORKS)[i] for i in (first, second))
    return Part(
        name,
        statement,
        what=f"{words}, percentage points, {a} minus {b}",
        effect=lambda m: paired(100 * m[measure][first], 100 * m[measure][second]),
        rule=Above(0.0),
    )


CLAIM = Claim(
    id="C7.1",
    statement="A convolutional network labels every pixel, so that masks can follow outlines; pooling of "
    "stride one keeps the size that a coarse table of labels loses.",
    source="notes, «variantes, datos y algoritmos»; skips: Ronneberger et al. 2015, arXiv:1505.04597",
    options=PixelLabels,
    measure=measure,
    draw=draw,
    parts=(
        _part(
            "outlines, equal parameters",
            "Pooling of stride one follows outlines better than the coarse table of the same network.",
            "outlines",
            FULL,
            COARSE,
        ),
        _part(
            "outlines, equal compute",
            "So they are against a coarse table of a network with as many multiply-adds.",
            "outlines",
            FULL,
            COARSE_WIDE,
        ),
        _part(
            "overlap, equal parameters",
            "With pooling of stride one the masks overlap better than the coarse table of the same network.",
            "iou",
            FULL,
            COARSE,
        ),
        _part(
            "overlap, equal compute",
            "So they do against a coarse table of a network with as many multiply-adds.",
            "iou",
            FULL,
            COARSE_WIDE,
        ),
        _part(
            "skips, outlines",
            "Not in the notes: going back up with skips gives the outlines that the coarse table loses, at "
            "equal compute.",
            "outlines",
            DECODER_WIDE,
            COARSE_WIDE,
        ),
        _part(
            "skips, overlap",
            "Not in the notes: it overlaps better than the coarse table, at equal compute.",
            "iou",
            DECODER_WIDE,
            COARSE_WIDE,
        ),
    ),
    reading="With the same parameters pooling of stride one is better by all measures (outlines +8.5 points, "
    "overlap +4.5), at eight times the work. With that work put into three times as many maps the coarse "
    "network is as good on these small digits, and going up again with skips is no better than enlarging "
    "its table. The overlaps stay below 45% and the seeds "
    "scatter: the encoder-decoders of few parameters had not learned much after 700 steps.",
    revised="The first full run, 300 steps on 24 x 24 scenes of one to three digits of five classes over "
    "four fragments, was too short for every network: mean overlap stayed below 25%, and the full-size "
    "network lost to the coarse one. Now 700 steps on 20 x 20 scenes of one or two digits of four classes "
    "over two fragments. Networks, rates, parts and thresholds stayed.",
)
