"""One, two and three stacked recurrent layers on spelling, and what a plane can tell from each of them.

The notes: experiments show that enough depth is needed. Graves and others, 2013, were the first to show the
benefits of a state of several layers. The lower layers can be seen as transforming the raw input into a
representation that is more appropriate for the layers above.

Measured on the CMU Pronouncing Dictionary: a bidirectional GRU of one, two or three layers names for each
letter of a word the phonemes that it stands for. Those were found by aligning letters and phonemes of the
training words. All nets have about as many parameters, so that the deeper ones are narrower. A test word is
right when the phonemes of its letters, one after another, are a pronunciation of the dictionary. Then linear
classifiers are fitted to what each layer gives for a letter, and to the letter itself; they name its phonemes
on other words.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from dlnotes import analysis, data, models, outputs
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
    paired,
)
from dlnotes.plotting import BLUE, GRAY, GREEN, new_figure, set_title
from dlnotes.training import (
    Hyperparams,
    Recipe,
    fit,
    initial_params,
    optimizer,
    schedules,
    tune_briefly_and_train,
)
from dlnotes.typing import Array, Params, PRNGKey

from ._spelling import Spelling, Words, words, wrong_words

DEPTHS = (1, 2, 3)
ONE, TWO, THREE = range(3)
NAMES = ("one layer", "two layers", "three layers")
COLORS = (GRAY, BLUE, GREEN)
RATES = np.array([2e-3, 5e-3, 1e-2, 2e-2])
HALF, END = 0, 1
FIRST_SEED = 560
DECAYS = (1e-4, 1e-3, 1e-2, 1e-1)


class StackedLayers(Options):
    """Sizes of the experiment."""

    hidden: int = Field(72, ge=2, description="units of the single layer in each direction")
    embedding: int = Field(16, ge=1, description="numbers of a letter's vector")
    longest: int = Field(10, ge=3, le=20, description="letters of a word at most")
    words: int = Field(30_000, ge=10, description="training words")
    validation: int = Field(
        2000, ge=4, description="words for the choice of rates and depths, and for probes"
    )
    test: int = Field(5000, ge=4, description="test words")
    probed: int = Field(2000, ge=4, description="training words on which probes are fitted")
    steps: int = Field(4000, ge=2, description="steps of each training")
    tuning_steps: int = Field(600, ge=1, description="steps of the trainings that choose rates")
    batch: int = Field(64, ge=1, description="words of a step")
    tuning_seeds: int = Field(3, ge=1, description="trainings of each net with each learning rate")


def labeler(letters: int, hidden: int, outputs: int, depth: int, embedding: int) -> models.Model:
    """A bidirectional GRU that labels each letter; its input is 0 behind a word's end."""
    model = models.sequence_labeler(
        letters, hidden, outputs, cell="gru", layers=depth, embedding=embedding, bidirectional=True
    )

    def apply(params: Params, x: Array, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        return model.apply(params, x, key=key, mask=x > 0)

    return models.Model(model.init, apply)


def size(model: models.Model) -> int:
    """How many parameters a net has."""
    return sum(a.size for a in jax.tree.leaves(jax.eval_shape(model.init, jax.random.key(0))))


def networks(o: StackedLayers, letters: int, classes: int) -> list[models.Model]:
    """A net of each depth, with about as many parameters as one layer of ``hidden`` units."""

    def made(depth: int, hidden: int) -> models.Model:
        return labeler(letters, hidden, classes, depth, o.embedding)

    most, nets = size(made(1, o.hidden)), []
    for depth in DEPTHS:
        widths = range(1, o.hidden + 1)
        above = widths[bisect_left(widths, most, hi=o.hidden - 1, key=lambda n, d=depth: size(made(d, n)))]
        near = [made(depth, n) for n in (above, max(1, above - 1))]
        nets.append(min(near, key=lambda net: abs(size(net) - most)))
    return nets


def recipe_of(hyper: Hyperparams, *, model: models.Model, steps: int) -> Recipe:
    """Adam at a rate that falls along a cosine, on the cross-entropy of all letters."""
    optimize = optimizer("adam", hyper["rate"], factor=schedules.cosine(steps), clip_norm=1.0)
    return Recipe(model, outputs.cross_entropy, {"accuracy": outputs.accuracy}, optimize)


def named(model: models.Model, params: Params, x: np.ndarray) -> np.ndarray:
    """The label that every member gives every letter, (members, words, longest)."""
    run = jax.jit(lambda all: jax.lax.map(lambda p: jnp.argmax(model.apply(p, x), -1).astype(jnp.int16), all))
    return np.asarray(run(params))


def representations(model: models.Model, params: Params, part: Spelling) -> list[np.ndarray]:
    """Of each word's letters: the letter as one of many, and what each layer gives in both directions."""
    found = models.activations(model, params, jnp.asarray(part.examples.x))
    layers = [v for name, v in found.items() if "backward" in name]
    letter = np.eye(27, dtype=np.float32)[part.examples.x]
    return [letter, *map(np.asarray, layers)]


def probes(model: models.Model, params: Params, all_words: Words, o: StackedLayers) -> np.ndarray:
    """Accuracy on other words of a linear classifier of the letter and of each layer, (depth + 1,)."""
    half = all_words.validation.examples.size // 2
    parts = [
        _rows(all_words.train, slice(o.probed)),
        _rows(all_words.validation, slice(half)),
        _rows(all_words.validation, slice(half, None)),
    ]
    each = [representations(model, params, part) for part in parts]
    labeled = [part.examples.y != -1 for part in parts]
    classes = len(all_words.labels)
    found = []
    for layer in zip(*each):
        rows = [
            (jnp.asarray(values[there]), jnp.asarray(part.examples.y[there]))
            for values, there, part in zip(layer, labeled, parts)
        ]
        probe = analysis.linear_probe(*rows[0], classes, kind="ridge", decays=DECAYS, validation=rows[1])
        found.append(float(analysis.probe_accuracy(probe, *rows[2])))
    return np.array(found)


def _rows(part: Spelling, rows: slice) -> Spelling:
    return Spelling(jax.tree.map(lambda a: a[rows], part.examples), part.said[rows])


def measure(options: StackedLayers) -> dict[str, np.ndarray]:
    """Wrong words of each net after trainings of half the steps and of all, and the probes of its layers."""
    o = options
    dictionary = data.load("cmudict")
    every = words(dictionary, (o.words, o.validation, o.test), o.longest)
    train, held = (
        data.Examples(part.examples.x, part.examples.y) for part in (every.train, every.validation)
    )
    made = networks(o, every.letters, len(every.labels))
    seeds = FIRST_SEED + np.arange(o.seeds)
    rate, sizes = np.zeros(len(DEPTHS)), np.zeros(len(DEPTHS))
    wrong = np.zeros((len(DEPTHS), 2, o.seeds, every.test.examples.size), bool)
    held_loss = np.zeros((len(DEPTHS), 2, o.seeds))
    probed = np.full((len(DEPTHS), 2, o.seeds, len(DEPTHS) + 1), np.nan)
    for d, model in enumerate(made):
        build = partial(partial, recipe_of, model=model)
        tuned = tune_briefly_and_train(
            lambda steps, build=build: build(steps=steps),
            train,
            held,
            {"one": np.zeros(1)},
            {"rate": RATES},
            start=lambda _, members, model=model: initial_params(model, members),
            seeds=o.seeds,
            tuning_seeds=o.tuning_seeds,
            first_seed=FIRST_SEED,
            steps=o.steps,
            tuning_steps=o.tuning_steps,
            batch_size=min(o.batch, train.size),
            record=o.steps,
        )
        rate[d], sizes[d] = RATES[tuned.chosen[0]], size(model)
        half = fit(
            build(steps=o.steps // 2),
            train,
            steps=o.steps // 2,
            batch_size=min(o.batch, train.size),
            seeds=seeds,
            hyperparams={"rate": np.full(o.seeds, rate[d])},
            start=initial_params(model, seeds),
            record=o.steps // 2,
        )
        for when, params in ((HALF, half.params), (END, tuned.fit.params)):
            found = named(model, params, every.test.examples.x)
            wrong[d, when] = [wrong_words(one, every.test, every.labels) for one in found]
            right = named(model, params, held.x) == held.y
            held_loss[d, when] = 1 - right[:, held.y >= 0].mean(1)
        start = initial_params(model, seeds)
        for kind, params in ((0, start), (1, tuned.fit.params)):
            for s in range(o.seeds):
                one = jax.tree.map(lambda a, s=s: jnp.asarray(a[s]), params)
                probed[d, kind, s, : DEPTHS[d] + 1] = probes(model, one, every, o)
    return {
        "wrong": wrong,
        "held_wrong": held_loss,
        "probed": probed,
        "rate": rate,
        "parameters": sizes,
        "classes": np.array(len(every.labels)),
    }


def draw(options: StackedLayers, m: Measured) -> Plot:
    """Wrong words of each net on the left; probes of the layers on the right."""
    figure = new_figure(9.5, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.3))
    errors = 100 * m["wrong"][:, END].mean(-1)
    for d, color in enumerate(COLORS):
        left.plot(np.full(len(errors[d]), DEPTHS[d]), errors[d], "o", color=color, alpha=0.4)
        left.plot(DEPTHS[d], errors[d].mean(), "s", color=color, ms=8, mec="white")
        for kind, style in ((1, "s-"), (0, "s:")):
            values = 100 * m["probed"][d, kind, :, : DEPTHS[d] + 1]
            label = f"{NAMES[d]}, {'trained' if kind else 'at the start'}"
            right.plot(np.arange(DEPTHS[d] + 1), values.mean(0), style, color=color, mec="white", label=label)
    left.set(xticks=DEPTHS, xlabel="stacked layers, equal parameters", xlim=(0.5, 3.5))
    left.set_ylabel("test words wrong (%)\n(each seed; square: mean)")
    right.set(xticks=range(4), ylabel="labels of other words right\nby a linear classifier (%)")
    right.set_xticklabels(["letter", "layer 1", "layer 2", "layer 3"])
    right.legend(fontsize=8.5)
    set_title(
        figure,
        "Words wrong of one, two and three layers: "
        + ", ".join(f"{e:.1f}%" for e in errors.mean(1))
        + "; read off the layers of three: "
        + ", ".join(f"{100 * a:.0f}%" for a in m["probed"][THREE, 1].mean(0)[1:]),
    )
    rows = [(d, kind) for d in range(len(DEPTHS)) for kind in (1, 0)]
    table: dict[str, Any] = {
        "layers": [DEPTHS[d] for d, _ in rows],
        "trained": [bool(kind) for _, kind in rows],
        "parameters": [m["parameters"][d] for d, _ in rows],
        "rate": [m["rate"][d] for d, _ in rows],
        "words_wrong": [m["wrong"][d, END].mean() if kind else None for d, kind in rows],
    }
    for layer in range(len(DEPTHS) + 1):
        name = f"probe_layer_{layer}" if layer else "probe_letter"
        table[name] = [m["probed"][d, kind, :, layer].mean() for d, kind in rows]
    return Plot(figure, table)


def fewer_wrong(m: Measured, more: int, fewer: int, when: int = END) -> Interval:
    """Test words wrong, the shallower net minus the deeper one, percentage points."""
    wrong = 100.0 * m["wrong"][:, when]
    return over_cases(wrong[fewer] - wrong[more])


def deeper(m: Measured) -> int:
    """The one of two and three layers with fewer validation letters wrong."""
    return TWO if m["held_wrong"][TWO, END].mean() <= m["held_wrong"][THREE, END].mean() else THREE


def climb(m: Measured, layer: int) -> Interval:
    """Labels right from a layer of three minus from what is below it, percentage points."""
    found = 100 * m["probed"][THREE, 1]
    return paired(found[:, layer], found[:, layer - 1])


WHERE = "profundidad y recursividad"
REPRESENTATION = notes(
    WHERE,
    "the lower layers transform the raw input into a representation that is more appropriate for the layers "
    "above",
)


def _against(name: str, statement: str, what: str, more: Any, fewer: int, source: Any) -> Part:
    def which(m: Measured) -> Any:
        return more(m) if callable(more) else more

    return Part(
        name,
        statement,
        what=f"test words wrong, {what}, percentage points; the interval covers seeds and test words",
        effect=lambda m: fewer_wrong(m, which(m), fewer),
        rule=Above(0.0),
        source=source,
        learned=Plateau(lambda m: fewer_wrong(m, which(m), fewer, HALF)),
    )


CLAIM = Claim(
    id="R11.5",
    statement="Stacking recurrent layers helps at equal numbers of parameters, and the lower layers "
    "transform the input into a representation from which more can be read off.",
    source="notes, «profundidad y recursividad»; Graves et al. 2013; Yao and Zweig 2015, arXiv:1506.00196; "
    "Goodfellow et al. 2016, 10.5",
    options=StackedLayers,
    measure=measure,
    draw=draw,
    parts=(
        _against(
            "stacked",
            "Several stacked layers pronounce more words right than one layer of as many parameters.",
            "one layer minus two or three (the depth with fewer validation letters wrong)",
            deeper,
            ONE,
            notes(WHERE, "Graves and others, 2013, showed the benefits of a state of several layers"),
        ),
        Part(
            "first layer",
            "More labels can be read off the first of three layers by a plane than off the letter itself.",
            what="labels of other words' letters right, linear classifier of the first layer minus of the "
            "letter, percentage points",
            effect=lambda m: climb(m, 1),
            rule=Above(0.0),
            source=REPRESENTATION,
            # A better representation of a net that has not converged is one all the same.
            learned=None,
        ),
        Part(
            "second layer",
            "More labels can be read off the second of three layers than off the first.",
            what="labels of other words' letters right, linear classifier of the second layer minus of the "
            "first, percentage points",
            effect=lambda m: climb(m, 2),
            rule=Above(0.0),
            source=REPRESENTATION,
            learned=None,
        ),
        Part(
            "third layer",
            "More labels can be read off the third layer than off the second.",
            what="labels of other words' letters right, linear classifier of the third layer minus of the "
            "second, percentage points",
            effect=lambda m: climb(m, 3),
            rule=Above(0.0),
            source=ours("the notes speak of the lower layers; the third is the top one, next to the output"),
            learned=None,
        ),
        Part(
            "training makes it",
            "More labels can be read off the first layer after training than at the start.",
            what="labels of other words' letters right, linear classifier of the first of three layers, "
            "trained minus untrained, percentage points",
            effect=lambda m: paired(100 * m["probed"][THREE, 1, :, 1], 100 * m["probed"][THREE, 0, :, 1]),
            rule=Above(0.0),
            source=ours("random states know the neighboring letters too; the gain must come from training"),
            learned=None,
        ),
        _against(
            "two against one",
            "Two layers pronounce more words right than one.",
            "one layer minus two",
            TWO,
            ONE,
            ours("each depth for itself"),
        ),
        _against(
            "three against two",
            "Three layers pronounce more words right than two.",
            "two layers minus three",
            THREE,
            TWO,
            ours("each depth for itself"),
        ),
    ),
    method="CMU Pronouncing Dictionary: {options.words} training words of at most {options.longest} "
    "letters, {options.validation} for validation and {options.test} for the test. The phonemes of each "
    "letter are found by aligning words with their pronunciations (expectation and maximization), which "
    "gives {facts[classes]} labels. Networks: bidirectional GRUs of one, two and three layers with about "
    "{facts[parameters]} parameters each. Training: Adam, {options.steps} steps of {options.batch} words, a "
    "cosine schedule, gradient norm clipped at 1; the rate of a grid of four that has the least validation "
    "loss of {options.tuning_seeds} other seeds after {options.tuning_steps} steps. All trainings are "
    "repeated with half of the steps. Probes: ridge classifiers of a letter's label, fitted on "
    "{options.probed} training words, judged on validation words. {options.seeds} seeds.",
    reading="One, two and three layers have {facts[one]}, {facts[two]} and {facts[three]}% of the test "
    "words wrong. The nets are small and all label letters, so these numbers are not those of published "
    "systems, which have some hundred times as many parameters. A linear classifier reads {facts[letter]}% "
    "of the labels off the letter itself, and {facts[first]}, {facts[second]} and {facts[third]}% off the "
    "three layers. The first layer of an untrained net gives {facts[untrained]}%.",
    revised="The first judged nets had 28,000 parameters, 48 units in one layer, and 2000 steps: layers "
    "of three were narrow, and the advantage of two over one was open. Nets were made larger, "
    "and then three layers had not learned all they can after 2500 steps: there are 4000. Each "
    "time the seeds were fresh. No rule was changed.",
    facts=lambda m: {
        "classes": str(int(m["classes"])),
        "parameters": f"{round(float(m['parameters'].mean()), -2):,.0f}",
        **{name: float(100 * m["wrong"][d, END].mean()) for d, name in enumerate(("one", "two", "three"))},
        **{
            name: float(100 * m["probed"][THREE, 1, :, layer].mean())
            for layer, name in enumerate(("letter", "first", "second", "third"))
        },
        "untrained": float(100 * m["probed"][THREE, 0, :, 1].mean()),
    },
)
