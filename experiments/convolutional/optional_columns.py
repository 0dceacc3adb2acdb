"""Where convolution makes no sense: inputs whose size varies because other kinds of observations are in them.

The notes: convolution over inputs of varying size makes sense only where they hold varying amounts of the
same kind of thing, recordings of different length, say. It makes none where optional kinds of observations
may be
there: when some applicants for a university have test scores and others do not, it makes no sense to apply
the same weights to the marks and to the test scores.

Measured on two tables with optional columns, medical and chemical: every second column is always there, each
of the others with a chance of one half. A convolutional network gets the values that are there, side by side;
a dense one gets all columns, 0 where nothing is there, and which are there. A third network, a convolution of
one value that is told beside each value which column it is of, shows what the first one lacks. And, for
contrast, on
speech of 7 to 29 steps, where longer inputs hold more of the same: a convolution over the steps, and a dense
network on all 29 places with a presence mask. Each network has its own learning rate of Adam, chosen by
validation accuracy on seeds of their own. Each seed has a split of the tables, columns that are there,
weights and an order of its own, the same for all networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import data, models, outputs
from dlnotes.claims import (
    Above,
    Claim,
    Interval,
    Measured,
    Options,
    Part,
    Plateau,
    Plot,
    notes,
    ours,
    over_cases,
    resplit,
)
from dlnotes.plotting import BLUE, GREEN, ORANGE, new_figure, set_title
from dlnotes.training import Fit, Hyperparams, Recipe, fit, optimizer, schedules
from dlnotes.typing import Array, Params

from ._optional import (
    CONVOLUTION,
    DENSE,
    NAMES,
    SERIES,
    TABLES,
    TOLD,
    Observed,
    given,
    network,
    series,
    table,
)

FIRST_SEED = 7600
"""Judged seeds: nobody has seen a training of these before the rules were written."""
RATES = (0.0003, 0.001, 0.003, 0.01)
COLORS = (BLUE, ORANGE, GREEN)
SHOWN = ("breast cells", "wines", "speech")


class OptionalColumns(Options):
    """Sizes of the experiment."""

    seeds: int = Field(20, ge=2, le=10_000, description="trainings of each network that count")
    steps: int = Field(2000, ge=2, description="steps of each training")
    batch: int = Field(32, ge=1, description="examples of a step")
    width: int = Field(48, ge=1, description="maps of each convolution, units of each dense layer")
    copies: int = Field(4, ge=1, description="draws of the columns that are there, of each row of a table")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each learning rate, to choose one")
    tuning_steps: int = Field(500, ge=1, description="steps of those trainings")


def train(model: models.Model, sets: data.Examples, seeds: Any, rates: Any, steps: int, o: Any) -> Fit:
    """Adam, a member per seed on examples of its own; the rate falls to 0 along a cosine over each half."""

    def recipe_of(hyper: Hyperparams) -> Recipe:
        adam = optimizer("adam", hyper["rate"], factor=schedules.cosine_restarts(steps, cycles=2))
        return Recipe(model, outputs.cross_entropy, {}, adam)

    return fit(
        recipe_of,
        sets,
        steps=steps,
        batch_size=min(o.batch, sets.y.shape[1]),
        seeds=seeds,
        hyperparams={"rate": np.broadcast_to(np.asarray(rates, np.float32), len(seeds))},
        every=max(1, steps // 2),
        probe=lambda params: params,
        record=max(1, steps // 2),
        data_per_member=True,
        convolutions=sets.mask is not None,
    )


def stacked(which: int, parts: Sequence[Observed]) -> data.Examples:
    """The examples of each member, leaves ``(members, n, ...)``."""
    made = [given(which, part) for part in parts]
    mask = None if made[0].mask is None else np.stack([m.mask for m in made])
    return data.Examples(np.stack([m.x for m in made]), np.stack([m.y for m in made]), mask)


def right(model: models.Model, params: Params, sets: data.Examples) -> np.ndarray:
    """Whether every member is right on each of its examples, ``(members, n)``."""

    def one(member: tuple[Params, Any, Any, Any]) -> Array:
        p, x, y, mask = member
        return model.apply(p, x, mask=mask).argmax(-1).astype(jnp.int32) == y

    return np.asarray(jax.jit(lambda all: jax.lax.map(one, all))((params, *sets)))


def judged(which: int, splits: dict[int, tuple[Observed, ...]], o: OptionalColumns) -> dict[str, Any]:
    """The best rate, and whether each seed's network is right on its test examples; also half-way."""
    own = FIRST_SEED + np.arange(o.seeds)
    others = FIRST_SEED + o.seeds + np.arange(o.tuning_seeds)
    first = splits[int(own[0])][0]
    classes = int(max(part.y.max() for part in splits[int(own[0])])) + 1
    _, places, channels = first.x.shape
    model = network(which, places, channels, classes, o.width)
    many = np.tile(others, len(RATES))
    sets, held = (stacked(which, [splits[int(s)][i] for s in many]) for i in (0, 1))
    tried = train(model, sets, many, np.repeat(RATES, o.tuning_seeds), o.tuning_steps, o)
    score = right(model, tried.params, held).mean(1)
    score = np.where(tried.stopped_at >= 0, 0.0, score).reshape(len(RATES), -1).mean(1)
    rate = RATES[int(np.argmax(score))]
    sets, unseen = (stacked(which, [splits[int(s)][i] for s in own]) for i in (0, 2))
    found = train(model, sets, own, rate, o.steps, o)
    half = jax.tree.map(lambda a: a[1], found.probes)
    return {
        "rate": rate,
        "parameters": sum(a[0].size for a in jax.tree.leaves(found.params)),
        "half": right(model, half, unseen),
        "right": right(model, found.params, unseen),
    }


def measure(options: OptionalColumns) -> dict[str, np.ndarray]:
    """Train all networks on all data."""
    o = options
    seeds = FIRST_SEED + np.arange(o.seeds + o.tuning_seeds)
    measured: dict[str, np.ndarray] = {}
    for name in TABLES:
        splits = {int(s): table(name, int(s), o.copies) for s in seeds}
        found = [judged(which, splits, o) for which in (CONVOLUTION, DENSE, TOLD)]
        train_part, _, test_part = splits[int(seeds[0])]
        measured[f"{name} test over train"] = np.array(len(test_part.y) / len(train_part.y))
        for key in ("right", "half"):
            measured[f"{name} {key}"] = np.array([f[key].mean(1) for f in found])  # (networks, seeds)
        measured |= {f"{name} {key}": np.array([f[key] for f in found]) for key in ("rate", "parameters")}
    same = series()
    splits = {int(s): same for s in seeds}
    found = [judged(which, splits, o) for which in (CONVOLUTION, DENSE)]
    for key in ("right", "half", "rate", "parameters"):
        measured[f"{SERIES} {key}"] = np.array([f[key] for f in found])  # right: (networks, seeds, cases)
    return measured


def draw(options: OptionalColumns, m: Measured) -> Plot:
    """Test accuracy of the networks on the three data sets."""
    figure = new_figure(9.0, 4.4)
    axis = figure.subplots()
    table: dict[str, list] = {
        k: [] for k in ("data", "network", "parameters", "rate", "accuracy", "deviation", "half")
    }
    lowest = 100.0
    for d, name in enumerate((*TABLES, SERIES)):
        accuracy = m[f"{name} right"]
        accuracy = accuracy.reshape(*accuracy.shape[:2], -1).mean(-1)
        half = m[f"{name} half"]
        half = half.reshape(*half.shape[:2], -1).mean(-1)
        for which, values in enumerate(accuracy):
            place, v = d + 0.27 * (which - 1), 100 * values
            label = NAMES[which] if d == 0 else None
            axis.bar(place, v.mean(), 0.25, yerr=v.std(ddof=1), color=COLORS[which], capsize=3, label=label)
            axis.annotate(
                f"{v.mean():.1f}", (place, v.mean() + v.std(ddof=1)), xytext=(0, 4),
                textcoords="offset points", ha="center", fontsize=9,
            )  # fmt: skip
            lowest = min(lowest, v.mean() - v.std(ddof=1))
            row = (name, NAMES[which], m[f"{name} parameters"][which], m[f"{name} rate"][which])
            row = (*row, values.mean(), values.std(ddof=1), half[which].mean())
            for column, value in zip(table, row):
                table[column].append(value)
    axis.set_xticks(range(3), [f"{SHOWN[0]}, optional columns", f"{SHOWN[1]}, optional columns",
                               f"{SHOWN[2]}, 7 to 29 steps"])  # fmt: skip
    axis.set(
        ylabel="test accuracy (%), mean and deviation",
        ylim=(max(0, lowest - 6), 116),
        yticks=range(0, 101, 20),
    )
    axis.legend(fontsize=8.5, ncols=3, loc="upper center")
    gaps = [_gap(name, DENSE, CONVOLUTION)(m).value for name in TABLES]
    set_title(
        figure,
        f"A dense network ahead of a convolution: {gaps[0]:+.1f} and {gaps[1]:+.1f} points with optional "
        f"columns, {-_speech(m).value:+.1f} on speech",
    )
    return Plot(figure, table)


def _gap(name: str, first: int, second: int, key: str = "right") -> Any:
    """Percentage points between two networks on a table, over random splits."""

    def effect(m: Measured) -> Interval:
        a = m[f"{name} {key}"]
        return resplit(100 * (a[first] - a[second]), float(m[f"{name} test over train"]))

    return effect


def _speech(m: Measured, key: str = "right") -> Interval:
    """Percentage points by which the convolution is ahead on speech, over seeds and test cases."""
    a = m[f"{SERIES} {key}"].astype(np.float64)
    return over_cases(100 * (a[CONVOLUTION] - a[DENSE]))


SECTION = "variantes, datos y algoritmos"
OTHER_KINDS = notes(
    SECTION,
    "convolution makes no sense if the input has varying size because it can include different kinds of "
    "observations optionally",
)


def _table(name: str, words: str) -> tuple[Part, ...]:
    return (
        Part(
            f"{words}, dense against convolution",
            f"On {words} with optional columns a dense network with a presence mask classifies better than a "
            "convolution over the values that are there.",
            what="test accuracy of the dense network minus that of the convolution, points",
            effect=_gap(name, DENSE, CONVOLUTION),
            rule=Above(0.0),
            source=OTHER_KINDS,
            learned=Plateau(half=_gap(name, DENSE, CONVOLUTION, "half")),
        ),
        Part(
            f"{words}, told the kind",
            f"On {words} the same weights for all columns classify better when they are told which column a "
            "value is of.",
            what="test accuracy of the convolution that is told the kind minus that of the other, points",
            effect=_gap(name, TOLD, CONVOLUTION),
            rule=Above(0.0),
            source=ours("it shows that what the convolution lacks is the kind of each value"),
            learned=Plateau(half=_gap(name, TOLD, CONVOLUTION, "half")),
        ),
    )


def facts(m: Measured) -> dict[str, Any]:
    """Mean test accuracies."""
    return {
        f"{name} {words}": float(100 * m[f"{name} right"][which].mean())
        for name in (*TABLES, SERIES)
        for which, words in ((CONVOLUTION, "convolution"), (DENSE, "dense"), (TOLD, "told"))
        if which < len(m[f"{name} right"])
    }


CLAIM = Claim(
    id="C7.6",
    statement="Convolution makes sense for inputs of varying size that hold varying amounts of the same "
    "kind of thing; it makes none where the size varies because optional kinds of observations may be there.",
    source="notes, «variantes, datos y algoritmos»; Goodfellow et al. 2016, 9.7",
    options=OptionalColumns,
    measure=measure,
    draw=draw,
    parts=(
        *_table(TABLES[0], SHOWN[0]),
        *_table(TABLES[1], SHOWN[1]),
        Part(
            "speech, convolution against dense",
            "On speech of varying length the convolution over the steps that are there classifies better "
            "than a dense network with a presence mask.",
            what="test accuracy of the convolution minus that of the dense network, points",
            effect=_speech,
            rule=Above(0.0),
            source=notes(
                SECTION,
                "convolution over inputs of varying size makes sense only for varying amounts of the same "
                "kind of thing, such as recordings of different length",
            ),
            learned=Plateau(half=lambda m: _speech(m, "half")),
        ),
    ),
    method="Tables: breast cancer (30 columns, 2 classes) and wine (13 columns, 3 classes) of scikit-learn, "
    "in random splits of 60% training, 10% validation and 30% test, {options.copies} draws of the columns "
    "that are there for each row. Speech: JapaneseVowels, 12 channels, its own test part. The convolutions "
    "have two layers of {options.width} maps (width 3; width 1 where the kind is told), the mean over what "
    "is there and a dense layer; the dense network has two layers of {options.width} units. Adam, "
    "{options.steps} steps in batches of {options.batch}, the rate falling to zero along a cosine over each "
    "half; the learning rate is the best of four by validation accuracy over {options.tuning_seeds} other "
    "seeds after {options.tuning_steps} steps. {options.seeds} seeds count. Intervals cover splits and "
    "seeds (tables) or seeds and test cases (speech).",
    reading="Of breast cells the dense network tells {facts[breast_cancer dense]}% and the convolution "
    "{facts[breast_cancer convolution]}%, of wines {facts[wine dense]}% and {facts[wine convolution]}%. "
    "Told the kind of each value, weights that are the same for all columns tell {facts[breast_cancer "
    "told]}% and {facts[wine told]}%: that much of the difference is the kind being unknown. On speech, "
    "where longer inputs hold more of the same, the convolution tells {facts[japanese_vowels convolution]}% "
    "and the dense network {facts[japanese_vowels dense]}%. Most columns of the breast cells grow with the "
    "same thing, the size and roughness of the nuclei, so that their mean says much whatever its parts are; "
    "those of the wines do not.",
    facts=facts,
)
