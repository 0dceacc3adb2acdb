"""A run as other programs see it: one of theirs for each sweep point, with parameters, tags and metrics."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dlnotes.config import Config
from dlnotes.experiment.extension import made_with
from dlnotes.experiment.groups import Group
from dlnotes.formatting import choice_in_words

WHOLE = "run"
"""The key of the track of a whole run; without a sweep it is the only one."""


class Track(NamedTuple):
    """What becomes one run in MLflow or Weights & Biases.

    Attributes:
      key: ``"run"``, or ``"point 3"`` of a sweep.
      title: shown there.
      params: option → value as text, of the resolved config.
      tags: what was run where, in words.
      kind: ``"run"``, ``"sweep"`` or ``"point"``.
    """

    key: str
    title: str
    params: dict[str, str]
    tags: dict[str, str]
    kind: str


class Row(NamedTuple):
    """Numbers of a track by name, measured at one step."""

    step: int
    values: dict[str, float]


def point_key(index: int) -> str:
    """The key of a sweep point's track."""
    return f"point {index}"


def flat_options(config: Config) -> dict[str, str]:
    """Every option of a resolved config as text, by its dotted path.

    Example:
      ``flat_options(load("configs/quickstart.toml"))["training.batch_size"]``
    """
    found: dict[str, str] = {}

    def walk(node: Mapping[str, Any], prefix: str) -> None:
        for name, value in node.items():
            if isinstance(value, Mapping) and value:
                walk(value, f"{prefix}{name}.")
            else:
                found[prefix + name] = value if isinstance(value, str) else json.dumps(value)

    walk(made_with(config), "")
    return found


def whole_track(name: str, config: Config, tags: Mapping[str, str], points: int) -> Track:
    """The track of a whole run.

    Args:
      name: of the run folder.
      config: as run.
      tags: of the run.
      points: how many settings a sweep has, 1 without one.
    """
    kind = "sweep" if points > 1 else "run"
    more = {"dlnotes.kind": kind} | ({"dlnotes.points": str(points)} if points > 1 else {})
    return Track(WHOLE, f"{config.name}/{name}", flat_options(config), {**tags, **more}, kind)


def point_tracks(name: str, group: Group, tags: Mapping[str, str]) -> list[Track]:
    """The tracks of the sweep points of a group, named by what was swept."""
    seeds = group.config.training.seeds
    tracks = []
    for p, (index, point) in enumerate(zip(group.indices, group.points)):
        values = ", ".join(f"{path} = {choice_in_words(value)}" for path, value in point.values.items())
        own = {
            "dlnotes.kind": "point",
            "dlnotes.point": str(index),
            "dlnotes.values": values,
            "dlnotes.seeds": seeds_in_words(group.seeds[p * seeds : (p + 1) * seeds]),
        }
        title = f"{point.config.name}/{name} point {index}: {values}"
        tracks.append(Track(point_key(index), title, flat_options(point.config), {**tags, **own}, "point"))
    return tracks


def seeds_in_words(seeds: Sequence[int] | np.ndarray) -> str:
    """``"0 … 31"`` of seeds that follow one another, ``"3"`` of one."""
    first, last = int(seeds[0]), int(seeds[-1])
    return str(first) if first == last else f"{first} … {last}"


def rows_of(record: Mapping[str, Any], points: int, seeds: Sequence[int]) -> list[Row]:
    """A record of metrics.jsonl for each sweep point of its group.

    With several seeds the mean over those with a finite value has the metric's name, and each seed's value
    the name with its seed. What is not finite is left out.

    Args:
      record: ``{"step", "epoch", "split", "<metric>": [one value per member]}``.
      points: in the group.
      seeds: of the members, point after point.

    Example:
      >>> record = {"step": 5, "epoch": 0.5, "split": "validation", "loss": [1.0, 3.0]}
      >>> rows_of(record, 1, [7, 8])[0].values
      {'validation/loss': 2.0, 'validation/loss/seed 7': 1.0, 'validation/loss/seed 8': 3.0}
    """
    each, split = len(seeds) // points, record["split"]
    rows = []
    for p in range(points):
        found = {"epoch": float(record["epoch"])} if split == "train" else {}
        for name, values in record.items():
            if name in ("step", "epoch", "split"):
                continue
            # A pretraining that the points share has its seeds once.
            mine = slice(p * each, (p + 1) * each) if len(values) == len(seeds) else slice(None)
            found |= named(f"{split}/{name}", list(zip(seeds[:each], values[mine])))
        rows.append(Row(int(record["step"]), found))
    return rows


def named(metric: str, values: Sequence[tuple[int, float | None]]) -> Iterator[tuple[str, float]]:
    """The mean over seeds under a metric's name, and each seed's value beside it."""
    good = [(seed, float(v)) for seed, v in values if v is not None and math.isfinite(v)]
    if good:
        yield metric, math.fsum(v for _, v in good) / len(good)
    if len(values) > 1:
        for seed, value in good:
            yield f"{metric}/seed {int(seed)}", value


def measured_of(point: Mapping[str, Any]) -> dict[str, float]:
    """The final metrics of a point of summary.json: mean, ends of the 95% interval, each seed.

    Args:
      point: its record.

    Returns:
      ``"final/<split>/<metric>"``, with ``"/low"`` and ``"/high"`` and ``"/seed <seed>"`` after it.
    """
    found: dict[str, float] = {}
    for split, metrics in point["metrics"].items():
        for name, measured in metrics.items():
            whole = f"final/{split}/{name}"
            numbers = {whole: measured.get("mean")}
            numbers |= {f"{whole}/{end}": measured.get(end) for end in ("low", "high")}
            if len(point["seeds"]) > 1:
                for seed, value in zip(point["seeds"], measured.get("values", ())):
                    numbers[f"{whole}/seed {seed}"] = value
            found |= {k: float(v) for k, v in numbers.items() if v is not None and math.isfinite(v)}
    return found
