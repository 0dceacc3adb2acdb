"""A small network that learns from the answers of a large model in place of labels.

The notes: where the size of a model is needed only to prevent overfitting, a smaller one can take its place:
the function that the large one has learned answers any number of further points, and the smaller model learns
these answers. The points are best drawn near the data, by corrupting training examples or from a generative
model of them. Or the smaller model learns from the training points alone, to copy other features of the large
one, such as its distribution over the wrong classes.

Measured: the test error on MNIST of a perceptron with one small layer. It learns labels, or the answers of an
ensemble of large perceptrons with dropout, each to training images, corrupted copies of them, points of a
mixture of normal distributions, or uniform noise. All arms take equally many steps; each has its own rate,
and its own temperature where there is a teacher.
"""

from __future__ import annotations

import time
from typing import Any

import jax
import numpy as np
from pydantic import Field

from dlnotes import analysis, data, models
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
    mean,
    notes,
    ours,
    paired,
)
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, new_figure, set_title

from ._ensemble_networks import CLASSES, INPUTS, Lengths, error, network, params_at, train
from ._students import (
    ARMS,
    COPIED,
    FIRST_SEED,
    LABELS,
    NOISE,
    RATES,
    SMOOTHED,
    SOFT,
    SOFT_COPIED,
    SOFT_GENERATED,
    SOFT_NOISE,
    TEMPERATURES,
    USUAL_RATE,
    answered,
    inputs_of,
    train_students,
)

HALF, END = 0, 1
BATCHES = (1, 256)
"""Images of a batch that is timed."""


class Distillation(Options):
    """Sizes of the experiment."""

    images: int = Field(5000, ge=100, description="training images with labels")
    validation: int = Field(2000, ge=50, description="images by which rates and temperatures are chosen")
    test: int = Field(10_000, ge=100, description="test images")
    members: int = Field(4, ge=1, description="networks of a teacher")
    width: int = Field(256, ge=2, description="units of each of the two hidden layers of a member")
    teacher_steps: int = Field(3000, ge=2, description="of each training of a member")
    student: int = Field(64, ge=1, description="units of the student's one hidden layer")
    copies: int = Field(10, ge=1, description="further inputs of an arm, for each training image")
    steps: int = Field(12_000, ge=2, description="of each training of a student")
    batch_size: int = Field(50, ge=1, description="inputs of a step")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each pair of numbers, to choose one")
    tuning_steps: int = Field(12_000, ge=2, description="steps of those trainings of a student")


def teachers(
    options: Distillation, sets: tuple[data.Examples, data.Examples, data.Examples]
) -> tuple[models.Model, Any]:
    """The model of a teacher, and the parameters of each, leaves ``(seeds, members, …)``."""
    one = network(options.width, dropout=True)
    lengths = Lengths(
        options.teacher_steps, options.batch_size, max(2, options.teacher_steps // 4), options.tuning_seeds
    )
    count = options.seeds * options.members
    trained, _ = train(one, lengths, sets, count, random=True, first_seed=FIRST_SEED)
    shape = (options.seeds, options.members)
    params = jax.tree.map(lambda a: a.reshape(*shape, *a.shape[1:]), params_at(trained, END))
    return models.ensemble(network(options.width), options.members), params


def answers_of(model: models.Model, params: Any, x: np.ndarray, rows: int = 5000) -> np.ndarray:
    """Of each teacher, logarithms of probabilities ``(teachers, n, classes)``."""
    apply = jax.jit(lambda p, x: jax.lax.map(lambda one: model.apply(one, x), p))
    return np.concatenate(
        [np.asarray(apply(params, x[i : i + rows])) for i in range(0, len(x), rows)], axis=1
    )


def seconds(model: models.Model, params: Any, batch: int, repeats: int = 30) -> float:
    """Median time of an answer to a batch of images."""
    apply, x = jax.jit(model.apply), np.zeros((batch, INPUTS), np.float32)
    jax.block_until_ready(apply(params, x))
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        jax.block_until_ready(apply(params, x))
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def measure(options: Distillation) -> dict[str, np.ndarray]:
    """Train teachers, let them answer, train the students of all arms."""
    whole = data.load("mnist", standardize=False)
    sets = data.parts_of(whole, options.images, options.validation, options.test)
    model, params = teachers(options, sets)
    student = models.mlp(INPUTS, (options.student,), CLASSES)
    lengths = Lengths(options.steps, options.batch_size, options.tuning_steps, options.tuning_seeds)
    inputs = inputs_of(sets[0], options.copies)
    taught = {name: answered(e, answers_of(model, params, e.x)) for name, e in inputs.items()}
    found = [
        train_students(student, arm, taught[arm.inputs], sets[1:], lengths, options.seeds) for arm in ARMS
    ]
    x = np.zeros((1, INPUTS), np.float32)
    counts = [analysis.count(m, x) for m in (model, student)]
    first = jax.tree.map(lambda a: a[0], params)
    own = student.init(jax.random.key(0))
    return {
        "student": np.array([e for e, _, _ in found]),  # (arms, moments, seeds)
        "chosen": np.array([(rate, t) for _, rate, t in found]),  # (arms, rate and temperature)
        "teacher": error(answers_of(model, params, sets[2].x), sets[2].y),  # (seeds,)
        "on_copies": error(
            answers_of(model, params, inputs["copies"].x[: options.images]),
            inputs["copies"].y[: options.images],
        ),
        "parameters": np.array([c.parameters for c in counts]),  # of a teacher and of the student
        "seconds": np.array(
            [[seconds(m, p, b) for b in BATCHES] for m, p in ((model, first), (student, own))]
        ),
    }


def difference(m: Measured, a: int, b: int, when: int) -> Interval:
    """Test error of one arm minus that of another, percentage points."""
    return paired(m["student"][a, when], m["student"][b, when])


def past_half(m: Measured, arm: int, when: int) -> Interval:
    """Test error of an arm minus the middle between the student of labels and the teacher."""
    return paired(m["student"][arm, when], (m["student"][LABELS, when] + m["teacher"]) / 2)


def kept(m: Measured, arm: int) -> float:
    """Share of the teacher's gain over the student of labels that the student of an arm has; of the means."""
    both = m["student"][:, END].mean(-1)
    labels, student, teacher = both[LABELS], both[arm], m["teacher"].mean()
    return float((labels - student) / (labels - teacher)) if labels != teacher else float("nan")


def draw(options: Distillation, m: Measured) -> Plot:
    """Test error of each arm, seeds as points, between that of labels and that of the teacher."""
    figure = new_figure(9.6, 4.6)
    axis = figure.subplots()
    table: dict[str, list] = {k: [] for k in ("learns from", "rate", "temperature", "error", "low", "high")}
    colors = (GRAY, GRAY, ORANGE, BLUE, BLUE, BLUE, BLUE)
    rows = [(arm.name, m["student"][a, END], colors[a], m["chosen"][a]) for a, arm in enumerate(ARMS)]
    rows.append(("the teacher itself", m["teacher"], GREEN, (np.nan, np.nan)))
    for i, (name, values, color, (rate, temperature)) in enumerate(rows):
        shown = mean(values)
        for column, value in zip(table.values(), (name, rate, temperature, *shown[:3])):
            column.append(value)
        axis.plot(values, i + np.linspace(-0.2, 0.2, len(values)), "o", color=color, ms=4, alpha=0.5)
        ends = [[shown.value - shown.low], [shown.high - shown.value]]
        axis.errorbar(shown.value, i, xerr=ends, color="black", marker="|", ms=14, capsize=4)
    axis.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axis.invert_yaxis()
    axis.set_xscale("log")
    ticks = [
        t
        for t in (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 90)
        if axis.get_xlim()[0] < t < axis.get_xlim()[1]
    ]
    axis.set_xticks(ticks, [str(t) for t in ticks])
    axis.minorticks_off()
    axis.set_xlabel("test error (%), one point per seed, mean and 95% interval")
    for values, color in ((m["student"][LABELS, END], GRAY), (m["teacher"], GREEN)):
        axis.axvline(values.mean(), ls="--", color=color, lw=1)
    title = "Of the teacher's gain over labels its student on copies has {:.2f}, on the images alone {:.2f}"
    set_title(figure, title.format(kept(m, SOFT_COPIED), kept(m, SOFT)))
    return Plot(figure, table)


def _facts(m: Measured) -> dict[str, str]:
    errors = {f"error {arm.name}": m["student"][a, END] for a, arm in enumerate(ARMS)}
    errors |= {"error teacher": m["teacher"], "error on copies": m["on_copies"]}
    chosen = [f"{arm.name} {m['chosen'][a, 0]:g}" for a, arm in enumerate(ARMS)]
    warm = [f"{arm.name} {m['chosen'][a, 1]:g}" for a, arm in enumerate(ARMS) if arm.share]
    return {k: f"{v.mean():.2f}" for k, v in errors.items()} | {
        "rates": "; ".join(chosen),
        "temperatures": "; ".join(warm),
        "share": f"{kept(m, SOFT_COPIED):.2f}",
        "share of images": f"{kept(m, SOFT):.2f}",
        "smaller": f"{m['parameters'][0] / m['parameters'][1]:.0f}",
    }


def _part(name: str, statement: str, a: int, b: int, source: Any) -> Part:
    """An arm has a smaller test error than another."""
    return Part(
        name,
        statement,
        what=f"test error of “{ARMS[a].name}” minus that of “{ARMS[b].name}”, percentage points",
        effect=lambda m: difference(m, a, b, END),
        rule=Below(0.0),
        source=source,
        learned=Plateau(half=lambda m: difference(m, a, b, HALF)),
    )


SECTION = "aprendizaje profundo a gran escala"
NEAR = "points are best drawn from a distribution like that of the inputs to come"

CLAIM = Claim(
    id="L13.6",
    statement="A model that is large only against overfitting can be replaced by a smaller one that learns "
    "its answers, best to points near the data, corrupted or generated, or that copies its distribution over "
    "the wrong classes at the training points.",
    source="notes, «aprendizaje profundo a gran escala»; Goodfellow et al. 2016, 12.1.4",
    options=Distillation,
    measure=measure,
    draw=draw,
    method="A teacher is the mean probability of {options.members} perceptrons with two hidden layers of "
    "{options.width} ReLU units and dropout, which learn {options.images} images of MNIST for "
    "{options.teacher_steps} steps. The student has one hidden layer of {options.student} units. It "
    "learns labels, smoothed labels or its teacher's answers (T² times the divergence at temperature T), for "
    "{options.steps} steps of {options.batch_size} inputs by Adam; the rate falls to zero half-way and at "
    "the end. The inputs are the images, or for each of them {options.copies} corrupted copies "
    f"(noise of deviation {NOISE:g} on levels from 0 to 1), points of a "
    "mixture of normal distributions, or uniform noise. Of each arm the best of "
    f"{len(TEMPERATURES)} temperatures is chosen at the rate {USUAL_RATE:g}, then the best of {len(RATES)} "
    "rates, by {options.validation} validation images, in trainings of {options.tuning_steps} steps from "
    "{options.tuning_seeds} other starts, whose teachers are "
    "among those that count. {options.seeds} teachers with a student in each arm are judged on "
    "{options.test} test images; intervals cover seeds only.",
    parts=(
        _part(
            "compression",
            "The student of answers to corrupted copies has a smaller test error than the student of labels.",
            SOFT_COPIED,
            LABELS,
            notes(SECTION, "a smaller model that matches the large one at further points takes its place"),
        ),
        _part(
            "copies against noise",
            "Answers to corrupted copies of the images teach more than answers to noise.",
            SOFT_COPIED,
            SOFT_NOISE,
            notes(SECTION, f"{NEAR}: corrupted training examples"),
        ),
        _part(
            "generated points against noise",
            "Answers to points of a generative model teach more than answers to noise.",
            SOFT_GENERATED,
            SOFT_NOISE,
            notes(SECTION, f"{NEAR}: points of a generative model"),
        ),
        _part(
            "wrong classes",
            "At the training images the teacher's probabilities teach more than the labels.",
            SOFT,
            LABELS,
            notes(SECTION, "or from the training points alone, by the distribution over the wrong classes"),
        ),
        Part(
            "half of the gain",
            "The student of answers to corrupted copies has more than half of the teacher's gain over the "
            "student of labels.",
            what="test error minus the middle between that of labels and the teacher's, percentage points",
            effect=lambda m: past_half(m, SOFT_COPIED, END),
            rule=Below(0.0),
            source=ours("whether the small model can take the place of the large one"),
            learned=Plateau(half=lambda m: past_half(m, SOFT_COPIED, HALF)),
        ),
        _part(
            "labels on copies",
            "On the same corrupted copies the teacher's answers teach more than the labels of the originals.",
            SOFT_COPIED,
            COPIED,
            ours("the fair rival: it has as many inputs, without a teacher"),
        ),
        _part(
            "label smoothing",
            "At the training images the teacher's probabilities teach more than smoothed labels.",
            SOFT,
            SMOOTHED,
            ours("whether probabilities matter, or only that they are softer than labels"),
        ),
        Part(
            "smaller",
            "The student is more than twenty times smaller than its teacher.",
            what="parameters of a teacher over those of the student, times",
            effect=lambda m: exact(m["parameters"][0] / m["parameters"][1]),
            rule=Above(20.0),
            source=ours("how much memory is saved"),
        ),
        Part(
            "faster",
            f"An answer to {BATCHES[1]} images takes the student less than a fifth of its teacher's time.",
            what=f"time of a teacher's answer to {BATCHES[1]} images over the student's, times",
            effect=lambda m: exact(m["seconds"][0, 1] / m["seconds"][1, 1]),
            rule=Above(5.0),
            source=ours("how much time is saved"),
        ),
    ),
    facts=_facts,
    reading="Test errors are {facts[error labels]}% for the student of labels, "
    "{facts[error labels, copies]}% "
    "with labels on copies, {facts[error teacher, images]}% with the teacher's answers to the images, "
    "{facts[error teacher, copies]}% to copies, {facts[error teacher, generated]}% to generated "
    "points and {facts[error teacher, noise]}% to noise; {facts[error teacher]}% for the teacher "
    "itself, which is {facts[smaller]} times larger. Of its gain over labels the student has "
    "{facts[share]} with copies and {facts[share of images]} with the images alone. Of the copies the "
    "teacher classifies {facts[error on copies]}% wrongly. Temperatures: {facts[temperatures]}.",
    revised="Sizes and the kind of corruption come from pilots on other seeds, judged on validation images. "
    "In the first, a student of thirty-two units saw copies that were moved by a pixel and had "
    "twice the noise: of these the teacher itself classified one in seven wrongly, and the student "
    "was worse than that of labels. Noise alone, half as large, was best for labels; leaving out "
    "pixels and mixing near images were tried too. A student of sixty-four units came nearer to its "
    "teacher. A full run with two temperatures, chosen by trainings of a quarter of the length, was open: "
    "most students had the largest rate, those of answers to images and copies the temperature 1, "
    "and they became worse in the second half, and answers to the images (6.24% test errors) "
    "taught less than labels (5.67%). "
    "In new pilots (one teacher with 4.55% validation errors, batches of 100, 6,000 steps, rate 0.003, two "
    "students each; three of labels) labels gave 6.57% and answers to the images 6.12, 5.65 and 5.90% at the "
    "temperatures 1, 4 and 8. At the temperature 4, answers to copies gave 5.47% with noise alone, 5.50% "
    "mixed with near images and 5.40% moved by a pixel; of these the teacher classified 0.7, 2.4 and "
    "8.7% wrongly. Labels on moved copies gave 4.48%: that the "
    "class stays is knowledge that the teacher has not, so noise alone is kept. "
    "In 12,000 steps of 50 inputs, answers to its copies gave 5.42, 4.90 and 6.47% at the rates 0.003, 0.01 "
    "and 0.03; labels gave 6.22 and 5.53% at 0.003 and 0.01, answers to the images 5.80% at 0.01. "
    "Since then temperatures and rates are chosen by trainings of the full length, from four temperatures "
    "and from larger rates, and trainings are twice as long. No rule on errors "
    "was changed; that on sizes went with the student.",
)
