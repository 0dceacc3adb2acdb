"""Small networks in series, each trained on what those before it accepted; for the claim on cascades."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dlnotes import data, models, outputs
from dlnotes.training import Recipe, fit, optimizer, predict, schedules
from dlnotes.typing import Params

from ._stages import Parts, cost_of, on_small, shrunk

SIDE, UNITS, RATE = 14, 4, 0.003
MEMBER = models.mlp(SIDE * SIDE, (UNITS,), 1)
EXAMPLES = 8000
"""That a member is trained on, half of them positive."""


def member_cost() -> int:
    """Multiply-adds of a member for one image."""
    return cost_of(on_small(MEMBER, SIDE))


class Series(NamedTuple):
    """Test results of each seed, ``(seeds,)``.

    Attributes:
      recall: of the series.
      series: its false positive rate.
      best: the false positive rate of the best member that was trained alone, at the recall of the series.
      total: that of the sum of all members trained alone, at this recall.
      wide: that of one network with as many units as all members together, at this recall.
      multiply_adds: of the series for one image on average, at the prevalence of the test images.
    """

    recall: np.ndarray
    series: np.ndarray
    best: np.ndarray
    total: np.ndarray
    wide: np.ndarray
    multiply_adds: np.ndarray


def measure_series(
    parts: Parts, *, seeds: np.ndarray, members: int, recall: float, steps: int, batch: int
) -> Series:
    """Train members one after another, and as many alone, and compare them on the test part.

    Args:
      parts: images.
      seeds: of the members.
      members: of a series.
      recall: that the series keeps on the validation part; each member keeps its root.
      steps, batch: of each training.
    """
    x = {name: np.asarray(shrunk(part.x, SIDE)) for name, part in parts._asdict().items()}
    y = {name: part.y == 1 for name, part in parts._asdict().items()}
    rngs = [np.random.default_rng([seed, 1]) for seed in seeds]
    left = {name: np.ones((len(seeds), len(of)), bool) for name, of in y.items()}
    every = np.ones_like(left["train"])
    passed = np.zeros(left["test"].shape, int)
    alone = {name: [] for name in ("validation", "test")}
    share = recall ** (1 / members)
    so_far, thresholds = [], [[] for _ in seeds]
    for member in range(members):
        for kind, accepted in (("series", left["train"]), ("alone", every)):
            rows = np.stack([drawn(rng, y["train"], of, EXAMPLES) for rng, of in zip(rngs, accepted)])
            own = seeds + 1000 * member + (500 if kind == "alone" else 0)
            params = train(MEMBER, x["train"][rows], y["train"][rows], own, steps, batch)
            found = {name: predict(MEMBER, params, x[name])[..., 0] for name in x}
            if kind == "alone":
                for name, kept in alone.items():
                    kept.append(found[name])
                continue
            so_far.append(found["validation"])
            for i, own in enumerate(thresholds):
                scores = np.stack([s[i] for s in so_far])
                own[:] = models.cascade_thresholds(
                    scores, y["validation"], recall=[share] * len(scores), given=[*own, None]
                )
                for name, kept in left.items():
                    kept[i] &= found[name][i] > own[-1]
            passed += left["test"]
    wide = models.mlp(SIDE * SIDE, (members * UNITS,), 1)
    rows = np.stack([drawn(rng, y["train"], every[0], 2 * EXAMPLES) for rng in rngs])
    params = train(wide, x["train"][rows], y["train"][rows], seeds + 900, members * steps, batch)
    return compared(passed, alone, predict(wide, params, x["test"])[..., 0], y, members)


def train(
    model: models.Model, x: np.ndarray, y: np.ndarray, seeds: np.ndarray, steps: int, batch: int
) -> Params:
    """Members by Adam, each on examples ``(members, n, ...)`` of its own."""
    adam = optimizer("adam", RATE, factor=schedules.cosine(steps))
    return fit(
        Recipe(model, outputs.binary_cross_entropy, {}, adam),
        data.Examples(x, y.astype(np.int32)),
        steps=steps,
        batch_size=batch,
        seeds=seeds,
        data_per_member=True,
        record=steps,
    ).params


def drawn(rng: np.random.Generator, positive: np.ndarray, accepted: np.ndarray, n: int) -> np.ndarray:
    """Rows of training images: half positives, half negatives that were accepted so far."""
    negatives = np.flatnonzero(~positive & accepted)
    negatives = negatives if len(negatives) else np.flatnonzero(~positive)
    return np.concatenate([rng.choice(np.flatnonzero(positive), n // 2), rng.choice(negatives, n // 2)])


def compared(
    passed: np.ndarray,
    alone: dict[str, list[np.ndarray]],
    wide: np.ndarray,
    y: dict[str, np.ndarray],
    members: int,
) -> Series:
    """False positive rates on the test part, those of the rivals at the recall of the series.

    Args:
      passed: ``(seeds, n)`` members that kept each test image.
      alone: scores ``(seeds, n)`` of each member trained alone, by part.
      wide: scores ``(seeds, n)`` of the wide network for each test image.
      y: which images are positive, by part.
      members: of the series.
    """
    rows = []
    for i, kept in enumerate(passed):
        last = models.cascade_counts(kept, y["test"], [member_cost()] * members)
        recall, rate = last[-1].overall_recall, last[-1].false_positive_rate
        first = [rate_at(s[i], y["validation"], recall) for s in alone["validation"]]
        best = rate_at(alone["test"][int(np.argmin(first))][i], y["test"], recall)
        total = rate_at(np.sum([s[i] for s in alone["test"]], 0), y["test"], recall)
        as_wide = rate_at(wide[i], y["test"], recall)
        rows.append((recall, rate, best, total, as_wide, sum(row.multiply_adds for row in last)))
    return Series(*np.array(rows).T)


def rate_at(scores: np.ndarray, positive: np.ndarray, recall: float) -> float:
    """Share of negatives that are accepted with the largest threshold that keeps a recall."""
    own = np.sort(scores[positive])[::-1]
    lowest = own[max(0, int(np.ceil(recall * len(own) - 1e-9)) - 1)]
    return float((scores[~positive] >= lowest).mean())
