"""Trained runs as the stages of a cascade for one class: thresholds from validation, costs by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.analysis.counting import count
from dlnotes.checks import did_you_mean
from dlnotes.config import ConfigError
from dlnotes.data.dataset import Examples
from dlnotes.experiment.kept_files import write_json
from dlnotes.experiment.members import good_member
from dlnotes.experiment.one_task import require_one_task
from dlnotes.experiment.result import Trained
from dlnotes.experiment.run import open_run
from dlnotes.models import (
    CascadeCount,
    cascade_counts,
    cascade_thresholds,
    one_against_rest,
)

ROWS = 1024
"""Examples that a stage computes at once: always as many, so that it is one program."""


@dataclass(frozen=True)
class RunCascade:
    """What `fit_cascade` returns.

    Attributes:
      runs: folders of the stages.
      positive: name of the class.
      thresholds: ``(stages,)`` log-odds of the class against all others.
      multiply_adds: of each stage for one example.
      counts: by part ("validation", "test") what each stage saw, kept and cost.
    """

    runs: tuple[str, ...]
    positive: str
    thresholds: np.ndarray
    multiply_adds: tuple[int, ...]
    counts: dict[str, tuple[CascadeCount, ...]]

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return {
            "runs": list(self.runs),
            "positive": self.positive,
            "thresholds": [float(t) for t in self.thresholds],
            "multiply_adds": list(self.multiply_adds),
            "stages": {part: [row._asdict() for row in rows] for part, rows in self.counts.items()},
        }

    def write(self, path: Path) -> Path:
        """Write it as JSON, with a checksum."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, self.as_json())
        return path

    def in_words(self) -> str:
        """A table of the stages on each part, and what the cascade costs beside its last stage."""
        lines = []
        for part, rows in self.counts.items():
            first = rows[0]
            lines.append(
                f"{part}: {first.reached:.0f} examples, {first.positives_reached:.0f} of {self.positive}"
            )
            for row, threshold, cost in zip(rows, self.thresholds, self.multiply_adds):
                lines.append(
                    f"  {row.name}: threshold {threshold:.4g}, {cost:,} multiply-adds, computes "
                    f"{row.reached:.0f}, keeps {row.kept:.0f}; recall {row.recall:.2%} (up to here "
                    f"{row.overall_recall:.2%}), precision {row.precision:.2%}, false positives "
                    f"{row.false_positive_rate:.3%}"
                )
            total = sum(row.multiply_adds for row in rows)
            share = total / self.multiply_adds[-1]
            lines.append(f"  {total:,.0f} multiply-adds for an example, {share:.1%} of the last stage alone")
        return "\n".join(lines)


def fit_cascade(
    runs: Sequence[str | Path | Trained],
    positive: str | int,
    *,
    recall: float | Sequence[float] = 0.99,
    given: Sequence[float | None] | None = None,
) -> RunCascade:
    """Make trained classifiers the stages of a cascade for one class, the first run being the first stage.

    Each gives an example the log-odds of the class (see `dlnotes.models.one_against_rest`). Thresholds come
    from the validation part only; each stage computes what the stages before it kept. Of each run the first
    good member of its best point is used.

    Args:
      runs: folders, or what `open_run` returned; trained on the same examples.
      positive: the class, by its name or number.
      recall: of the validation positives that the cascade keeps, or of each stage those that reach it.
      given: thresholds that are set, ``None`` for those to be chosen.

    Raises:
      ConfigError: when a run does not classify, the runs have other examples, there is no such class or no
        validation part, or a stage keeps no positive.

    Source: notes L13.7.
    """
    if not runs:
        raise ConfigError("cascade", ["runs: got none, at least one is needed"])
    opened = [run if isinstance(run, Trained) else open_run(run) for run in runs]
    for one in opened:
        require_one_task(one, "a stage of a cascade")
    names = [str(one.folder.path) for one in opened]
    parts = {name: found for name in ("validation", "test") if (found := _part(opened, name)) is not None}
    which = _class_of(opened[0], positive)
    costs = tuple(_cost(one, of) for one, of in zip(opened, parts["validation"]))
    every = np.arange(parts["validation"][0].size)
    scores = [_scores(one, of, every, which) for one, of in zip(opened, parts["validation"])]
    truth = {name: np.asarray(of[0].y) == which for name, of in parts.items()}
    try:
        thresholds = cascade_thresholds(
            np.stack(scores), truth["validation"], recall=recall, given=given, names=names
        )
    except ValueError as error:
        raise ConfigError("cascade", [str(error)]) from None
    stages = [f"stage {k + 1}" for k in range(len(opened))]
    counts = {}
    for name, of_stages in parts.items():
        passed = _passed(opened, of_stages, thresholds, which)
        counts[name] = cascade_counts(passed, truth[name], costs, names=stages)
    classes = opened[0].dataset.classes
    return RunCascade(tuple(names), classes[which] if classes else str(which), thresholds, costs, counts)


def _passed(
    opened: Sequence[Trained], parts: Sequence[Examples], thresholds: np.ndarray, which: int
) -> np.ndarray:
    """How many stages keep each example; a stage computes what those before it kept."""
    passed = np.zeros(parts[0].size, np.int32)
    for k, (one, examples, threshold) in enumerate(zip(opened, parts, thresholds)):
        left = np.flatnonzero(passed == k)
        passed[left[_scores(one, examples, left, which) > threshold]] += 1
    return passed


def _scores(one: Trained, examples: Examples, rows: np.ndarray, which: int) -> np.ndarray:
    """The log-odds of a class for some rows of a part, gathered in tiles of one size."""
    member = good_member(one.chosen, one.state.members)
    members = jax.tree.map(lambda a: a[member : member + 1], one.state.members)
    size = min(ROWS, examples.size)
    found = np.zeros(len(rows), np.float32)
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        full = np.resize(some, size)  # the last tile repeats its rows
        tile = jax.tree.map(lambda a, full=full: a[full], examples)
        logits = one.evaluator.predict(members, tile)[0, : len(some)]
        found[start : start + size] = one_against_rest(jnp.asarray(logits), which)
    return found


def _cost(one: Trained, examples: Examples) -> int:
    """Multiply-adds of a run's network for one example."""
    model = one.evaluator.setup.recipe_of({}).model
    x, mask = (jax.tree.map(lambda a: a[:1], part) for part in (examples.x, examples.mask))
    return count(model, x, mask=mask).multiply_adds


def _part(opened: Sequence[Trained], name: str) -> list[Examples] | None:
    """A part as each stage sees it, checked to hold the same examples; ``None`` where there is no test part.

    Raises:
      ConfigError: naming the run that has no such part, does not classify, or has other examples.
    """
    found = []
    for one in opened:
        where = str(one.folder.path)
        if one.dataset.task != "classification":
            raise ConfigError(where, [f"its task is {one.dataset.task}, a stage of a cascade classifies"])
        try:
            found.append(one.dataset.split(name))
        except ValueError as error:
            if name == "test":
                return None
            raise ConfigError(where, [f"{error}; thresholds come from it"]) from None
        first, own = opened[0].dataset, one.dataset
        if own.classes != first.classes or not np.array_equal(
            np.asarray(found[-1].y), np.asarray(found[0].y)
        ):
            told = f"its {name} part does not have the examples of {opened[0].folder.path}"
            raise ConfigError(where, [f"{told}; stages are trained on the same data, split alike"])
    return found


def _drawn(one: Trained) -> dict[str, Any]:
    """The options of [data] that decide which examples a part holds."""
    options = one.config.data.model_dump()
    return {name: options[name] for name in ("kind", "path", "n", "seed", "validation") if name in options}


def _class_of(one: Trained, positive: str | int) -> int:
    """The number of a class, from its name or number."""
    classes, outputs = one.dataset.classes, one.dataset.outputs
    if str(positive) in classes:
        return classes.index(str(positive))
    if str(positive).isdecimal() and not classes and int(positive) < outputs:
        return int(positive)
    allowed = classes or tuple(map(str, range(outputs)))
    hint = did_you_mean(positive, allowed)
    told = f"positive: got {positive!r}, allowed are {', '.join(allowed)}{hint}"
    raise ConfigError(str(one.folder.path), [told])
