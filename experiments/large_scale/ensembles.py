"""Ensembles of independent trainings, and one larger network with dropout in their place.

The notes: in most cases the model with the least generalization error is an ensemble of several models
trained independently. Evaluating all of them is costly, and sometimes a single larger model generalizes
better, regularized by dropout, say.

Measured: the test error on MNIST of eight small perceptrons, one by one and by their mean probabilities,
and of one perceptron that costs about as much as the eight, with dropout and without. All learn the same few
thousand images. Members differ by their starts and orders; beside them, in another ensemble, also by the
images that each has drawn with replacement (bagging).
"""

from __future__ import annotations

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
    Within,
    exact,
    mean,
    notes,
    ours,
    paired,
    paper,
)
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, PURPLE, new_figure, set_title

from ._ensemble_networks import (
    DROPOUT,
    INPUT_DROPOUT,
    INPUTS,
    RATES,
    Lengths,
    error,
    joined,
    moments,
    network,
    nll,
    train,
    train_bagged,
)

MEMBERS = 8
STARTS, BAGS = 0, 1
KINDS = ("random starts", "bagging")
PLAIN, DROPPED = 0, 1
HALF, END = 0, 1


class Ensembles(Options):
    """Sizes of the experiment."""

    images: int = Field(5000, ge=100, description="training images")
    validation: int = Field(2000, ge=50, description="images by which rates are chosen")
    test: int = Field(10_000, ge=100, description="test images")
    width: int = Field(100, ge=2, description="units of each of the two hidden layers of a member")
    wide: int = Field(512, ge=2, description="units of each of those of the larger network")
    steps: int = Field(1600, ge=2, description="of each training of a member")
    wide_steps: int = Field(6400, ge=2, description="of each training of the larger network")
    batch_size: int = Field(50, ge=1, description="images of a step")
    tuning_seeds: int = Field(3, ge=1, description="trainings at each rate, to choose one")
    tuning_steps: int = Field(400, ge=2, description="steps of those trainings, of a member")
    wide_tuning_steps: int = Field(1600, ge=2, description="steps of those of the larger network")


def measure(options: Ensembles) -> dict[str, np.ndarray]:
    """Train all members and the larger networks; their errors, alone and together, and their costs."""
    sets = data.parts_of(data.load("mnist"), options.images, options.validation, options.test)
    lengths = Lengths(options.steps, options.batch_size, options.tuning_steps, options.tuning_seeds)
    y, n = sets[2].y, options.seeds
    found: dict[str, list] = {k: [] for k in ("member", "together", "member_nll", "together_nll")}
    one, wide = network(options.width), network(options.wide)
    starts, rate = train(one, lengths, sets, n * MEMBERS)
    for trained in (starts, train_bagged(one, lengths, sets, n * MEMBERS, rate)):
        logits = moments(one, trained, sets[2].x)
        each = logits.reshape(2, n, MEMBERS, *logits.shape[2:])
        found["member"].append(error(each, y))
        found["together"].append(
            np.stack([error(joined(each[:, :, :k]), y) for k in range(1, MEMBERS + 1)], axis=-1)
        )
        found["member_nll"].append(nll(each, y).mean(-1))
        found["together_nll"].append(nll(joined(each), y))
    large, rates = [], [rate]
    longer = lengths._replace(steps=options.wide_steps, tuning_steps=options.wide_tuning_steps)
    for model in (wide, network(options.wide, dropout=True)):
        trained, rate = train(model, longer, sets, n, random=model is not wide)
        large.append(error(moments(model, trained, sets[2].x), y))
        rates.append(rate)
    x = np.zeros((1, INPUTS), np.float32)
    counts = [analysis.count(model, x) for model in (one, models.ensemble(one, MEMBERS), wide)]
    return {
        **{k: np.array(v) for k, v in found.items()},  # (kinds, moments, seeds, …)
        "large": np.array(large),  # (dropout, moments, seeds)
        "rates": np.array(rates),
        "multiply_adds": np.array([c.multiply_adds for c in counts]),  # of a member, of eight, of the larger
        "parameters": np.array([c.parameters for c in counts]),
    }


def against_mean(m: Measured, when: int) -> Interval:
    """Test error of the ensemble minus the mean of its members', percentage points."""
    return paired(m["together"][STARTS, when, :, -1], m["member"][STARTS, when].mean(-1))


def against_best(m: Measured, when: int) -> Interval:
    """Test error of the ensemble minus that of its best member on the test images."""
    return paired(m["together"][STARTS, when, :, -1], m["member"][STARTS, when].min(-1))


def larger(m: Measured, when: int) -> Interval:
    """Test error of the larger network with dropout minus the mean of the members'."""
    return paired(m["large"][DROPPED, when], m["member"][STARTS, when].mean(-1))


def dropped(m: Measured, when: int) -> Interval:
    """Test error of the larger network with dropout minus that without."""
    return paired(m["large"][DROPPED, when], m["large"][PLAIN, when])


def one_for_eight(m: Measured, when: int) -> Interval:
    """Test error of the larger network with dropout minus that of the ensemble."""
    return paired(m["large"][DROPPED, when], m["together"][STARTS, when, :, -1])


def one_plain_for_eight(m: Measured, when: int) -> Interval:
    """Test error of the larger network without dropout minus that of the ensemble."""
    return paired(m["large"][PLAIN, when], m["together"][STARTS, when, :, -1])


def bagging(m: Measured, when: int) -> Interval:
    """Test error of the bagged ensemble minus that of random starts on all images."""
    return paired(m["together"][BAGS, when, :, -1], m["together"][STARTS, when, :, -1])


def draw(options: Ensembles, m: Measured) -> Plot:
    """Test error against the number of members, and of the larger networks."""
    figure = new_figure(9.6, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    sizes = np.arange(1, MEMBERS + 1)
    table: dict[str, list] = {k: [] for k in ("model", "multiply_adds", "error", "low", "high")}

    def row(name: str, cost: float, values: np.ndarray) -> Interval:
        shown = mean(values)
        for column, value in zip(table.values(), (name, cost, *shown[:3])):
            column.append(value)
        return shown

    for kind, color in ((STARTS, BLUE), (BAGS, ORANGE)):
        values = m["together"][kind, END]
        shown = [row(f"{KINDS[kind]}, {k}", k * m["multiply_adds"][0], values[:, k - 1]) for k in sizes]
        left.fill_between(sizes, [s.low for s in shown], [s.high for s in shown], color=color, alpha=0.2)
        left.plot(sizes, [s.value for s in shown], "o-", color=color, label=f"ensemble, {KINDS[kind]}")
    left.axhline(m["member"][STARTS, END].mean(), ls="--", color=GRAY, label="one member, mean")
    left.set(xlabel="members", ylabel="test error (%)")
    left.legend(fontsize=9)
    bars = (
        ("one\nmember", 1, m["member"][STARTS, END].mean(-1), GRAY),
        (f"{MEMBERS}\nmembers", MEMBERS, m["together"][STARTS, END, :, -1], BLUE),
        ("one larger", 0, m["large"][PLAIN, END], PURPLE),
        ("one larger,\ndropout", 0, m["large"][DROPPED, END], GREEN),
    )
    for i, (name, members, values, color) in enumerate(bars):
        cost = m["multiply_adds"][2] if not members else members * m["multiply_adds"][0]
        shown = row(name.replace("\n", " "), cost, values)
        right.plot(i + np.linspace(-0.2, 0.2, len(values)), values, "o", color=color, ms=3.5, alpha=0.5)
        ends = [[shown.value - shown.low], [shown.high - shown.value]]
        right.errorbar(i, shown.value, ends, color="black", marker="_", ms=16, capsize=4)
    right.set_xticks(range(len(bars)), [b[0] for b in bars], fontsize=9)
    right.set(xlim=(-0.5, len(bars) - 0.5), ylabel="test error (%)\none point per seed")
    gain = against_mean(m, END)
    set_title(
        figure,
        f"{MEMBERS} members together: {gain.value:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}] points of test "
        "error against one of them",
    )
    return Plot(figure, table)


def _facts(m: Measured) -> dict[str, str]:
    errors = {
        "member": m["member"][STARTS, END],
        "together": m["together"][STARTS, END, :, -1],
        "plain": m["large"][PLAIN, END],
        "dropped": m["large"][DROPPED, END],
    }
    cost = m["multiply_adds"][2] / m["multiply_adds"][1]
    rates = ", ".join(
        f"{name} {rate:g}" for name, rate in zip(("members", "larger", "with dropout"), m["rates"])
    )
    return {k: f"{v.mean():.2f}" for k, v in errors.items()} | {"cost": f"{cost:.2f}", "rates": rates}


SECTION = "aprendizaje profundo a gran escala"
SRIVASTAVA = "Srivastava et al. 2014, «Dropout: a simple way to prevent neural networks from overfitting»"
LEE = "Lee et al. 2015, «Why M heads are better than one»"

CLAIM = Claim(
    id="L13.13",
    statement="In most cases the model with the least generalization error is an ensemble of several models "
    "trained independently. Evaluating all of them is costly, and sometimes a single larger model with "
    "dropout generalizes better.",
    source="notes, «aprendizaje profundo a gran escala»; Goodfellow et al. 2016, 12.1.4",
    options=Ensembles,
    measure=measure,
    draw=draw,
    method="Perceptrons with two hidden layers of {options.width} ReLU units learn {options.images} images "
    "of MNIST. An ensemble is the mean of the probabilities of "
    f"{MEMBERS} of them, whose starts and orders differ; those of another also draw their images with "
    "replacement. Beside them stands one network with layers of {options.wide} units, which costs about as "
    f"much as all, without dropout and with it ({INPUT_DROPOUT:g} of the pixels, {DROPOUT:g} of the units). "
    "Members take {options.steps} steps of {options.batch_size} images by Adam, larger networks "
    "{options.wide_steps}; the rate falls to zero half-way "
    f"and again at the end. It is one of {len(RATES)}, chosen for each kind by the validation loss of "
    "{options.tuning_seeds} other seeds after a quarter of the steps. {options.seeds} ensembles and as "
    "many larger networks are judged on {options.test} test images; intervals cover seeds, not images.",
    parts=(
        Part(
            "below the mean member",
            "The ensemble has a smaller test error than its members have on the mean.",
            what="test error of the ensemble minus the mean of its members', percentage points",
            effect=lambda m: against_mean(m, END),
            rule=Below(0.0),
            source=notes(SECTION, "the model with the least generalization error is mostly an ensemble"),
            learned=Plateau(half=lambda m: against_mean(m, HALF)),
        ),
        Part(
            "below the best member",
            "The ensemble has a smaller test error than the best of its members, chosen on the test images.",
            what="test error of the ensemble minus that of its best member, percentage points",
            effect=lambda m: against_best(m, END),
            rule=Below(0.0),
            source=notes(SECTION, "the model with the least generalization error is mostly an ensemble"),
            learned=Plateau(half=lambda m: against_best(m, HALF)),
        ),
        Part(
            "cost",
            f"The ensemble costs {MEMBERS} times as much as one member.",
            what="multiply-adds of an answer of the ensemble over those of a member, times",
            effect=lambda m: exact(m["multiply_adds"][1] / m["multiply_adds"][0]),
            rule=Within(MEMBERS - 0.01, MEMBERS + 0.01),
            source=notes(SECTION, "evaluating all n of them is costly"),
        ),
        Part(
            "a larger network",
            "One larger network with dropout has a smaller test error than a small one.",
            what="test error of the larger network with dropout minus the mean of the members', percentage "
            "points",
            effect=lambda m: larger(m, END),
            rule=Below(0.0),
            source=notes(SECTION, "sometimes a single model generalizes better if it is larger"),
            learned=Plateau(half=lambda m: larger(m, HALF)),
        ),
        Part(
            "dropout",
            "The larger network has a smaller test error with dropout than without.",
            what="test error of the larger network with dropout minus that without, percentage points",
            effect=lambda m: dropped(m, END),
            rule=Below(0.0),
            source=notes(SECTION, "a single larger model that is regularized, with dropout for example"),
            learned=Plateau(half=lambda m: dropped(m, HALF)),
        ),
        Part(
            "one for all",
            "One larger network with dropout comes within a fifth of a point of the ensemble, or below it.",
            what="test error of the larger network with dropout minus that of the ensemble, percentage "
            "points",
            effect=lambda m: one_for_eight(m, END),
            rule=Below(0.2),
            source=ours("whether one network can take the place of the ensemble at about the same cost"),
            learned=Plateau(half=lambda m: one_for_eight(m, HALF)),
        ),
        Part(
            "size alone",
            "Without dropout the larger network has a larger test error than the ensemble.",
            what="test error of the larger network without dropout minus that of the ensemble, percentage "
            "points",
            effect=lambda m: one_plain_for_eight(m, END),
            rule=Above(0.0),
            source=ours("whether the ensemble gains by more than its number of parameters"),
            learned=Plateau(half=lambda m: one_plain_for_eight(m, HALF)),
        ),
        Part(
            "bagging",
            "Members that draw their images with replacement make a worse ensemble than those that see all.",
            what="test error of the bagged ensemble minus that of random starts, percentage points",
            effect=lambda m: bagging(m, END),
            rule=Above(0.0),
            source=paper(LEE, "random starts alone make better ensembles of networks than bagging"),
            learned=Plateau(half=lambda m: bagging(m, HALF)),
        ),
        Part(
            "likelihood",
            "The negative log-likelihood of the mean is at most the mean one, in each ensemble.",
            what="largest negative log-likelihood of an ensemble minus the mean of its members', nats",
            effect=lambda m: exact(
                (m["together_nll"] - m["member_nll"])[:, END].max(), m["together_nll"][:, END].size
            ),
            rule=Below(0.0),
            source=ours("it is a theorem (Jensen), and so a check of the measurement"),
        ),
    ),
    facts=_facts,
    reading="Test errors are {facts[member]}% for one member on the mean, {facts[together]}% for the "
    "ensemble, {facts[plain]}% for one larger network and {facts[dropped]}% for one with dropout, which "
    "costs {facts[cost]} times as much as the ensemble. Rates: {facts[rates]}. The notes say of the larger "
    "network that it is better sometimes; these are images of one kind and networks of one kind.",
    revised="At first larger networks took as many steps as members. With dropout the larger one was then "
    "worse "
    "than without: dropout needs many more steps before it helps. It takes four times as many since, and "
    "so does the one without. No rule was changed.",
)
