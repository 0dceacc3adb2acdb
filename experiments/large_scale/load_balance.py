"""A cascade in real time on two processes: one stage each, or both stages in both.

The notes: where examples are processed as they come, dividing the load can lead to problems of balance. If
one machine has the first step of a cascade and another the last, the first tends to be overloaded and the
last the other way round.

Measured: images of MNIST, one in a hundred of the digit that is looked for, arrive at random times (Poisson).
The early stages of the cascade of L13.7 are in one process and its last stage in another, or both processes
have all stages and each image goes to one of them by chance. At a moderate load utilization and waiting
times are compared with the closed form of a waiting line (Pollaczek and Khinchine, of which M/D/1 is the case
of equal services). At a high load, which both processes together can bear, it is counted what is still
waiting when the time is over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from pydantic import Field

from dlnotes import models, outputs
from dlnotes.analysis import mean_waiting
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
    mean,
    notes,
    ours,
    ratio,
)
from dlnotes.plotting import BLUE, GRAY, ORANGE, new_figure, set_title
from dlnotes.training import Recipe, fit, optimizer, schedules
from dlnotes.typing import Array, Params

from ._stages import PREVALENCE, STAGES, Parts, parts_of, score_of, scores
from ._workers import SHARED, SPLIT, Round, Workers

DIGIT = 9
FIRST_SEED = 13_150
RATE = 0.003
RECALLS = (0.9975, 0.98, 0.99)
MODERATE, HIGH = 0.7, 1.3
"""Load: arrivals in the time of a service of the early stages."""
LOADS = (MODERATE, HIGH)
MOST = 400_000
"""Images that arrive in a round."""
KINDS = ("a stage each", "both stages in both")


class Balance(Options):
    """Sizes of the experiment."""

    images: int = Field(10_000, ge=100, description="training images")
    validation: int = Field(5000, ge=100, description="images that thresholds come from")
    steps: int = Field(1000, ge=1, description="steps of each training")
    seconds: float = Field(2.0, gt=0, description="of a round, at each load and kind, for each seed")


def trained(options: Balance, parts: Parts) -> tuple[list[Params], np.ndarray]:
    """Parameters of the stages and their thresholds, which come from validation images."""
    found, of_validation = [], []
    for model in STAGES:
        adam = optimizer("adam", RATE, factor=schedules.cosine(options.steps))
        members = fit(
            Recipe(model, outputs.binary_cross_entropy, {}, adam),
            parts.train,
            steps=options.steps,
            batch_size=64,
            seeds=[FIRST_SEED],
            record=options.steps,
            convolutions=model is STAGES[-1],
        ).params
        of_validation.append(scores(model, members, parts.validation.x)[0])
        found.append(jax.tree.map(lambda a: a[0], members))
    thresholds = models.cascade_thresholds(np.stack(of_validation), parts.validation.y == 1, recall=RECALLS)
    return found, thresholds


def two_stages(params: list[Params], thresholds: np.ndarray) -> tuple[Callable, Callable]:
    """The early stages as one, and the last: of one image to whether it is kept."""

    def keeps(k: int, image: Array) -> Array:
        return score_of(STAGES[k])(params[k], image[None])[0] > float(thresholds[k])

    return jax.jit(lambda image: keeps(0, image) & keeps(1, image)), jax.jit(lambda image: keeps(2, image))


def stream(
    rng: np.random.Generator, y: np.ndarray, rate: float, seconds: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Arrival times, images and processes drawn for them."""
    n = rng.poisson(rate * seconds)
    arrival = np.sort(rng.uniform(0, seconds, n))
    positive = rng.random(n) < PREVALENCE
    of = [np.flatnonzero(y == v) for v in (0, 1)]
    image = np.where(positive, rng.choice(of[1], n), rng.choice(of[0], n))
    return arrival, image, rng.integers(2, size=n)


FIELDS = (
    "busy first",
    "busy second",
    "waited",
    "expected",
    "equal services",
    "left",
    "mean first",
    "mean last",
    "reached",
)
"""What is kept of a round: see `summary`."""


def summary(kind: int, of: Round) -> list[float]:
    """Numbers of a round.

    Share of the time that each process is busy; mean waiting time before the early stages, in seconds, and
    what the closed form gives for it with the services as they were, and with equal ones; share of the images
    that were not begun; mean services of both stages; share of the images that reach the last one.
    """
    service = np.nan_to_num(of.end - of.begin)
    begun = ~np.isnan(of.begin[0])
    waited = (of.begin[0] - of.arrival)[begun].mean()
    if kind == SPLIT:
        busy = service.sum(1) / of.seconds
        own, rate = service[0][begun], len(of.arrival) / of.seconds
    else:
        busy = np.array([service[:, of.owner == i].sum() for i in range(2)]) / of.seconds
        own, rate = service.sum(0)[begun], len(of.arrival) / of.seconds / 2
    expected = mean_waiting(rate, own.mean(), float((own**2).mean()))
    reached = ~np.isnan(of.end[1])
    last = service[1][reached].mean() if reached.any() else np.nan
    first = service[0][begun].mean()
    numbers = [
        *busy,
        waited,
        expected,
        mean_waiting(rate, own.mean()),
        1 - begun.mean(),
        first,
        last,
        reached.mean(),
    ]
    return [float(v) for v in numbers]


def measure(options: Balance) -> dict[str, np.ndarray]:
    """Rounds of both kinds at both loads, interleaved, with arrivals of their own for each seed."""
    parts = parts_of("mnist", DIGIT, options.images, options.validation, 10_000)
    stages = two_stages(*trained(options, parts))
    found = np.zeros((len(LOADS), len(KINDS), options.seeds, len(FIELDS)))
    with Workers(stages, parts.test.x, MOST) as workers:
        service = calibrated(workers, parts.test.y)
        for seed in range(options.seeds):
            for i, load in enumerate(LOADS):
                drawn = stream(
                    np.random.default_rng([FIRST_SEED, seed, i]),
                    parts.test.y,
                    load / service,
                    options.seconds,
                )
                for kind in (SPLIT, SHARED):
                    found[i, kind, seed] = summary(kind, workers.run(kind, *drawn, options.seconds))
    return {"rounds": found, "service": np.array(service)}


def calibrated(workers: Workers, y: np.ndarray, images: int = 500) -> float:
    """Seconds of a service of the early stages, with its loop: their median at a low load."""
    rng = np.random.default_rng(FIRST_SEED)
    n = len(y)
    found = workers.run(
        SPLIT, np.linspace(0, 0.5, images), rng.integers(n, size=images), np.zeros(images), 0.6
    )
    return float(np.nanmedian(found.end[0] - found.begin[0]))


def rounds(m: Measured, load: float, kind: int, name: str) -> np.ndarray:
    """A number of the rounds of a load and kind, ``(seeds,)``."""
    return m["rounds"][LOADS.index(load), kind, :, FIELDS.index(name)]


def busiest(m: Measured, kind: int) -> np.ndarray:
    """Utilization of the process that is busier, at the moderate load, ``(seeds,)``."""
    return np.maximum(rounds(m, MODERATE, kind, "busy first"), rounds(m, MODERATE, kind, "busy second"))


def first_over_last(m: Measured) -> Interval:
    """Utilization of the process of the early stages over that of the last stage."""
    return ratio(rounds(m, MODERATE, SPLIT, "busy first"), rounds(m, MODERATE, SPLIT, "busy second"))


def as_services_say(m: Measured) -> Interval:
    """The measured ratio of utilizations over that of services, ``s_1 / (p s_2)``."""
    first, last, p = (rounds(m, MODERATE, SPLIT, k) for k in ("mean first", "mean last", "reached"))
    own = rounds(m, MODERATE, SPLIT, "busy first") / rounds(m, MODERATE, SPLIT, "busy second")
    return ratio(own, first / (p * last))


def waiting(m: Measured, kind: int) -> Interval:
    """Measured mean waiting time over that of the closed form, at the moderate load."""
    return ratio(rounds(m, MODERATE, kind, "waited"), rounds(m, MODERATE, kind, "expected"))


def left_over(m: Measured, kind: int) -> Interval:
    """Images that were not begun in time, in percent, at the high load."""
    return mean(100 * rounds(m, HIGH, kind, "left"))


def draw(options: Balance, m: Measured) -> Plot:
    """Utilization, waiting times and what is left over, of both kinds."""
    figure = new_figure(10.5, 3.8)
    left, middle, right = figure.subplots(1, 3)
    for kind, color in ((SPLIT, ORANGE), (SHARED, BLUE)):
        for j, name in enumerate(("busy first", "busy second")):
            values = 100 * rounds(m, MODERATE, kind, name)
            left.plot(np.full(len(values), 3 * kind + j), values, "o", color=color, alpha=0.6)
        waited, expected = (1e6 * rounds(m, MODERATE, kind, name) for name in ("waited", "expected"))
        middle.plot(expected, waited, "o", color=color, alpha=0.6, label=KINDS[kind])
        over = 100 * rounds(m, HIGH, kind, "left")
        right.plot(np.full(len(over), kind), over, "o", color=color, alpha=0.6)
    left.set_xticks(
        [0, 1, 3, 4],
        ["early\nstages", "last\nstage", "both,\nfirst", "both,\nsecond"],
        fontsize=9,
    )
    left.set(ylabel=f"utilization of a process in %, load {MODERATE:g}", ylim=(0, 100))
    high = middle.get_xlim()[1]
    middle.plot([0, high], [0, high], "--", color=GRAY, label="equal")
    middle.set(
        xlabel="waiting time by the closed form, µs", ylabel="measured, µs", xlim=(0, None), ylim=(0, None)
    )
    middle.legend(fontsize=8)
    right.set_xticks([0, 1], ["a stage\neach", "both stages\nin both"], fontsize=9)
    right.set(ylabel=f"images not begun in time in %, load {HIGH:g}", xlim=(-0.5, 1.5), ylim=(0, None))
    times = first_over_last(m).value
    set_title(
        figure,
        f"With a stage each, the early stages' process is {times:.1f} times as busy as that of the last",
    )
    columns: dict[str, Any] = {"load": [], "kind": []}
    columns |= {name: [] for name in FIELDS}
    for load in LOADS:
        for kind in (SPLIT, SHARED):
            columns["load"].append(load)
            columns["kind"].append(KINDS[kind])
            for name in FIELDS:
                columns[name].append(float(np.nanmean(rounds(m, load, kind, name))))
    return Plot(figure, columns)


def _facts(m: Measured) -> dict[str, Any]:
    of = {name: rounds(m, MODERATE, SPLIT, name).mean() for name in FIELDS}
    return {
        "first": f"{1e6 * of['mean first']:.0f}",
        "last": f"{1e6 * of['mean last']:.0f}",
        "reached": f"{100 * of['reached']:.1f}",
        "busy_first": f"{100 * of['busy first']:.0f}",
        "busy_last": f"{100 * of['busy second']:.0f}",
        "busy_shared": f"{100 * busiest(m, SHARED).mean():.0f}",
        "waited": f"{1e6 * of['waited']:.0f}",
        "expected": f"{1e6 * of['expected']:.0f}",
        "equal": f"{1e6 * of['equal services']:.0f}",
    }


SECTION = "aprendizaje profundo a gran escala"
TENDS = notes(
    SECTION,
    "the machine of a cascade's first step tends to be overloaded, that of the last the other way round",
)

CLAIM = Claim(
    id="L13.15",
    statement="In real time, of two machines that share a cascade the one with the first step tends to be "
    "overloaded and the one with the last the other way round.",
    source="notes, «aprendizaje profundo a gran escala»; Goodfellow et al. 2016, 12.1.5",
    options=Balance,
    measure=measure,
    draw=draw,
    method="Two processes on one machine, each on one core where there are two, classify images of MNIST "
    f"that arrive at random times in rounds of {{options.seconds}} s; {100 * PREVALENCE:g}% are of the class."
    " One has the early stages of the cascade of L13.7, the other its last; or both have all stages, and each"
    " image goes to one by chance. The load, arrivals in a service of the early stages, is "
    f"{MODERATE:g} or {HIGH:g}. An image is classified by itself. "
    "Of {options.seeds} seeds each has arrivals of its own, the same for both kinds; intervals cover seeds "
    "only.",
    parts=(
        Part(
            "first against last",
            "With a stage each, the process of the early stages is busier than that of the last.",
            what=f"utilization of the first over that of the last process at a load of {MODERATE:g}, times",
            effect=first_over_last,
            rule=Above(1.0),
            source=TENDS,
        ),
        Part(
            "falls behind",
            "At a load that both together can bear, more than a tenth of the images is left over.",
            what=f"images not begun in time at a load of {HIGH:g}, a stage each, %",
            effect=lambda m: left_over(m, SPLIT),
            rule=Above(10.0),
            source=TENDS,
        ),
        Part(
            "the last has time",
            "At this load the process of the last stage is busy for less than half of the time.",
            what=f"utilization of the last process at a load of {HIGH:g}, %",
            effect=lambda m: mean(100 * rounds(m, HIGH, SPLIT, "busy second")),
            rule=Below(50.0),
            source=TENDS,
        ),
        Part(
            "both stages in both",
            "With both stages in both processes less than a hundredth is left over at this load.",
            what=f"images not begun in time at a load of {HIGH:g}, both stages in both, %",
            effect=lambda m: left_over(m, SHARED),
            rule=Below(1.0),
            source=ours("the cure: the load is bearable, it is only divided badly"),
        ),
        Part(
            "half as busy",
            "It makes the busiest process about half as busy.",
            what=f"utilization of the busiest process, both stages over one each, at a load of {MODERATE:g}",
            effect=lambda m: ratio(busiest(m, SHARED), busiest(m, SPLIT)),
            rule=Within(0.45, 0.75),
            source=ours("half where the last stage costs nothing on average, more where it does"),
        ),
        Part(
            "as services say",
            "The ratio of utilizations is that of services, the last weighted by the share that reaches it.",
            what="measured ratio of utilizations over mean services s₁ / (p s₂)",
            effect=as_services_say,
            rule=Within(0.9, 1.1),
            source=ours("where the last stage costs more than 1/p times the first, it is the overloaded one"),
        ),
        Part(
            "waiting, a stage each",
            "Waiting before the early stages is what the closed form says, within a quarter.",
            what="measured mean waiting time over Pollaczek and Khinchine's, a stage each",
            effect=lambda m: waiting(m, SPLIT),
            rule=Within(0.75, 1.25),
            source=ours("random arrivals at one server"),
        ),
        Part(
            "waiting, both stages",
            "So is waiting where both stages are in both processes.",
            what="measured mean waiting time over Pollaczek and Khinchine's, both stages in both",
            effect=lambda m: waiting(m, SHARED),
            rule=Within(0.75, 1.25),
            source=ours("random arrivals divided at random are random at each of two servers"),
        ),
    ),
    facts=_facts,
    reading="A service of the early stages takes {facts[first]} µs, one of the last {facts[last]} µs, and "
    "{facts[reached]}% of the images reach it. So with a stage each the first process is busy for "
    "{facts[busy_first]}% of the time and the last for {facts[busy_last]}%; with both stages in both the "
    "busier one for {facts[busy_shared]}%. Images wait {facts[waited]} µs; the closed form says "
    "{facts[expected]} µs with the services as they were, and {facts[equal]} µs with equal ones.",
)
