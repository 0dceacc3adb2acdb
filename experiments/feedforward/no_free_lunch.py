"""No free lunch, exactly: every learner on every function of three bits.

The notes: by the no free lunch theorem no learning algorithm is better than all others; there is no
procedure that looks at a training set and chooses a function that generalizes to the points outside it.

Measured: all 256 functions of three bits and all 70 ways to take four of the eight points for training. A
learner sees the labels of the four points only, so it is run once for each of the 70 · 16 training sets,
and its answers at the other four points count against all 16 functions that agree with the labels. Errors
are whole numbers; their mean is exactly one half for every learner. What is told apart beside it is the
error on the 104 functions that one threshold unit computes, and on the other 152.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from pydantic import Field

from dlnotes import data, models, outputs
from dlnotes.claims import (
    Above,
    Below,
    Claim,
    Level,
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
from dlnotes.training import Recipe, fit, optimizer, predict

POINTS = np.array([[(i >> bit) & 1 for bit in (2, 1, 0)] for i in range(8)])
"""The eight inputs, ``(8, 3)``."""
FUNCTIONS = np.array([[(f >> i) & 1 for i in range(8)] for f in range(256)])
"""All functions as their values at the points, ``(256, 8)``."""
SPLITS = np.array(list(combinations(range(8), 4)))
"""Training points of every split, ``(70, 4)``; the rest is in order too."""
REST = np.array([[i for i in range(8) if i not in split] for split in SPLITS])
LABELS = np.array([[(k >> i) & 1 for i in range(4)] for k in range(16)])
"""All labels of four points, ``(16, 4)``."""
UNITS, RATE = 8, 0.03
FIRST_SEED = 41_000

Learner = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""From training inputs, labels and other inputs to labels of the others."""


class NoFreeLunch(Options):
    """Sizes of the experiment."""

    steps: int = Field(400, ge=10, description="steps of a network's training")


def nearest(x: np.ndarray, y: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The nearest training point's label; of several the first."""
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(1).fit(x, y).predict(other)


def opposite(x: np.ndarray, y: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The label that the nearest point has not."""
    return 1 - nearest(x, y, other)


def tree(x: np.ndarray, y: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A decision tree grown until it fits."""
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=0).fit(x, y).predict(other)


def rbf_machine(x: np.ndarray, y: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A support vector machine with radial basis kernels; where there is one label, that label."""
    from sklearn.svm import SVC

    if len(np.unique(y)) == 1:
        return np.full(len(other), y[0])
    return SVC(kernel="rbf", C=1e3, gamma="scale").fit(x, y).predict(other)


FIXED: dict[str, Learner] = {
    "nearest neighbor": nearest,
    "decision tree": tree,
    "RBF machine": rbf_machine,
    "opposite of the nearest neighbor": opposite,
}
"""Learners in which nothing is random."""
NAMES = ("MLP", *FIXED)


def answers(learner: Learner) -> np.ndarray:
    """Labels at all eight points for every training set, ``(70, 16, 8)``."""
    found = [[learner(POINTS[split], y, POINTS) for y in LABELS] for split in SPLITS]
    return np.array(found)


def mlp_answers(options: NoFreeLunch) -> np.ndarray:
    """The same of networks with one hidden layer, of every start: ``(seeds, 70, 16, 8)``."""
    sets = len(SPLITS) * len(LABELS)
    x = np.repeat(POINTS[SPLITS], len(LABELS), axis=0)
    y = np.tile(LABELS, (len(SPLITS), 1))
    members = options.seeds * sets
    model = models.mlp(3, (UNITS,), 2, activation="tanh")
    trained = fit(
        Recipe(model, outputs.cross_entropy, {}, optimizer("adam", RATE)),
        data.Examples(
            np.tile(2 * x - 1, (options.seeds, 1, 1)).astype(np.float32),
            np.tile(y, (options.seeds, 1)).astype(np.int32),
        ),
        steps=options.steps,
        # One start for all training sets of a seed: what a learner answers depends on what it saw alone.
        seeds=np.repeat(FIRST_SEED + np.arange(options.seeds), sets),
        record=options.steps,
        data_per_member=True,
    )
    assert len(trained.stopped_at) == members
    logits = predict(model, trained.params, (2 * POINTS - 1).astype(np.float32))
    return logits.argmax(-1).reshape(options.seeds, len(SPLITS), len(LABELS), len(POINTS))


def training_set_of() -> np.ndarray:
    """Which of the 16 labels each function gives the training points of each split, ``(70, 256)``."""
    return (FUNCTIONS[:, SPLITS] * 2 ** np.arange(4)).sum(-1).T


def wrong(found: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Wrong answers by split and function at the points ``where``, ``(70, 256)`` of whole numbers.

    Args:
      found: ``(70, 16, 8)`` answers for every training set.
      where: ``(70, 4)`` points that are looked at.
    """
    splits = np.arange(len(SPLITS))[:, None]
    answered = found[splits, training_set_of()]  # (70, 256, 8)
    at = np.broadcast_to(where[:, None], (len(SPLITS), len(FUNCTIONS), 4))
    return (np.take_along_axis(answered, at, -1) != FUNCTIONS[:, where].swapaxes(0, 1)).sum(-1)


def separable() -> np.ndarray:
    """Which functions one threshold unit computes, ``(256,)``: weights of −2 … 2 find all."""
    w = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), -1).reshape(-1, 3)
    sums = w @ POINTS.T
    found = {tuple(s > t) for s in sums for t in np.arange(-7, 7) + 0.5}
    return np.array([tuple(f == 1) in found for f in FUNCTIONS])


def measure(options: NoFreeLunch) -> dict[str, np.ndarray]:
    """Wrong answers off the training set, of every learner, start, function: whole numbers of 280."""
    networks = mlp_answers(options)
    fixed = np.array([answers(learner) for learner in FIXED.values()])
    return {
        "mlp": np.array([wrong(found, REST).sum(0) for found in networks]),  # (seeds, 256)
        "fixed": np.array([wrong(found, REST).sum(0) for found in fixed]),  # (learners, 256)
        "mlp_training": np.array([wrong(found, SPLITS).sum() for found in networks]),
        "fixed_training": np.array([wrong(found, SPLITS).sum() for found in fixed]),
        "separable": separable(),
    }


TOTAL = SPLITS.size
"""Answers off the training set for one function."""


def errors(m: Measured, name: str) -> np.ndarray:
    """Share of wrong answers off the training set by function, ``(starts, 256)``."""
    return (m["mlp"] if name == "MLP" else m["fixed"][None, NAMES.index(name) - 1]) / TOTAL


def from_half(m: Measured, name: str) -> float:
    """Largest difference of wrong answers over all functions from one half of them, whole numbers."""
    counts = m["mlp"] if name == "MLP" else m["fixed"][None, NAMES.index(name) - 1]
    return float(np.abs(2 * counts.sum(1) - TOTAL * len(FUNCTIONS)).max()) / 2


def draw(options: NoFreeLunch, m: Measured) -> Plot:
    """Errors of every function in order, and the mean over groups of functions."""
    figure = new_figure(9.4, 4.0)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    colors = (BLUE, ORANGE, GREEN, PURPLE, GRAY)
    table: dict[str, list] = {name: [] for name in ("learner", "all", "threshold_functions", "others")}
    separable = m["separable"]
    for i, (name, color) in enumerate(zip(NAMES, colors)):
        of = errors(m, name).mean(0)
        left.plot(np.arange(1, 257), 100 * np.sort(of), color=color, label=name)
        groups = (of.mean(), of[separable].mean(), of[~separable].mean())
        for place, value in enumerate(groups):
            right.plot(100 * value, 2 - place + 0.3 - 0.15 * i, "os^Dv"[i], color=color, ms=6)
        for column, value in zip(table, (name, *groups)):
            table[column].append(value)
    left.axhline(50, color=GRAY, lw=0.8, ls=":")
    left.set(xlabel="functions of three bits, from the best to the worst of each learner", ylim=(-3, 118))
    left.set(ylabel="error off the training set (%)", yticks=range(0, 101, 25))
    left.legend(fontsize=8, ncols=2, loc="upper left")
    right.axvline(50, color=GRAY, lw=0.8, ls=":")
    labels = ("all 256", f"{separable.sum()} of one\nthreshold unit", f"the other {(~separable).sum()}")
    right.set_yticks([2, 1, 0], labels)
    right.set(xlabel="mean error off the training set (%)", ylim=(-0.6, 2.6))
    set_title(
        figure,
        "Over all functions of three bits every learner is wrong at exactly half of the points that it has "
        "not seen; what it gains on some functions it loses on others",
    )
    return Plot(figure, table)


SECTION = "diseño de la arquitectura"
NO_LUNCH = notes(
    SECTION, "by the no free lunch theorem there is no machine learning algorithm that is universally better"
)
FITS = Level(
    what="share of the training points that networks answer wrongly, all training sets and starts",
    effect=lambda m: exact(m["mlp_training"].sum() / (m["mlp_training"].size * TOTAL * 256)),
    rule=Below(0.001),
)


def _half(name: str) -> Part:
    return Part(
        name if name == "MLP" else name[0].upper() + name[1:],
        f"Over all functions and training sets the error of {'an MLP' if name == 'MLP' else f'the {name}'} "
        "off the training set is exactly one half.",
        what=f"largest difference from one half of the {TOTAL * 256:,} answers, in answers",
        effect=lambda m: exact(from_half(m, name), len(errors(m, name)) * TOTAL * 256),
        rule=Within(0, 0),
        source=ours("a learner that is made to be wrong where others are right")
        if name.startswith("opposite")
        else NO_LUNCH,
        # The sum is one half for every answer, of trained networks or not; these have learned.
        learned=FITS if name == "MLP" else None,
    )


CLAIM = Claim(
    id="F4.10",
    statement="No learning algorithm is universally better: no procedure looks at a training set and chooses "
    "a function that generalizes to the points outside it.",
    source="notes, «diseño de la arquitectura»; Wolpert 1996",
    options=NoFreeLunch,
    measure=measure,
    draw=draw,
    method="Data: all 256 functions of three bits, and all 70 choices of four of the eight points for "
    f"training. Learners: a network with one hidden layer of {UNITS} tanh units trained by Adam, "
    "{options.steps} steps from {options.seeds} starts; the nearest neighbor, a decision tree and a support "
    "vector machine with radial basis kernels of scikit-learn; and the opposite of the nearest neighbor. "
    "Each learns every one of the 1,120 training sets; its answers at the four points outside count against "
    "all functions that agree with the training labels. Numbers of wrong answers are whole and exact.",
    parts=(
        *(_half(name) for name in NAMES[:4]),
        Part(
            "a function for each to lose",
            "Each of the four learners has a function on which it is wrong more often than a coin.",
            what="error off the training set on a learner's worst function, the least of the four learners",
            effect=lambda m: exact(min(errors(m, name).mean(0).max() for name in NAMES[:4]), 4 * 256),
            rule=Above(0.5),
            source=notes(
                SECTION,
                "there is no universal procedure to examine a training set and choose a function that will "
                "generalize to points outside of it",
            ),
            learned=FITS,
        ),
        _half(NAMES[4]),
        Part(
            "gained on threshold functions",
            "On the functions that one threshold unit computes a network is better than a coin.",
            what="error off the training set, mean over the functions of one threshold unit",
            effect=lambda m: mean(errors(m, "MLP")[:, m["separable"]].mean(1)),
            rule=Below(0.5),
            source=paper(
                "Wolpert 1996", "an algorithm that is better on some problems is worse on the others"
            ),
            learned=FITS,
        ),
        Part(
            "lost on the others",
            "On all other functions a network is worse than a coin.",
            what="error off the training set, mean over the other functions",
            effect=lambda m: mean(errors(m, "MLP")[:, ~m["separable"]].mean(1)),
            rule=Above(0.5),
            source=paper(
                "Wolpert 1996", "an algorithm that is better on some problems is worse on the others"
            ),
            learned=FITS,
        ),
    ),
    facts=lambda m: _facts(m),
    reading="The half is exact because every answer at a point outside is right for as many of the functions "
    "as it is wrong for. It says nothing about functions of practice, which are not drawn from all alike: on "
    "those of one threshold unit the network's error is {facts[gained]}%, on the others {facts[lost]}%. The "
    "opposite of the nearest neighbor is as good as the nearest neighbor.",
)


def _facts(m: Measured) -> dict[str, Any]:
    of = 100 * errors(m, "MLP").mean(0)
    return {"gained": f"{of[m['separable']].mean():.1f}", "lost": f"{of[~m['separable']].mean():.1f}"}
