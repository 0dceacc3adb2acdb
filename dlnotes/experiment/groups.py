"""A sweep as groups of trainings that share one compiled program."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlnotes.config import Config, Point, dynamic_paths, points


@dataclass(frozen=True)
class Group:
    """Members that share one compiled program: settings of swept numbers, times seeds.

    Attributes:
      config: of the group, without a sweep.
      points: the sweep's points in this group (one without values when nothing is swept).
      indices: where those points stand in the whole sweep.
      seeds: ``(members,)`` the training seed of each member.
      hyperparams: swept number by path, each ``(members,)`` float32.
    """

    config: Config
    points: tuple[Point, ...]
    indices: tuple[int, ...]
    seeds: np.ndarray
    hyperparams: dict[str, np.ndarray]

    @property
    def members(self) -> int:
        """Number of trainings: points times seeds, the seeds of a point side by side."""
        return len(self.seeds)


def groups(config: Config) -> list[Group]:
    """Divide a sweep into groups of points that differ only in numbers a program takes as input."""
    found: dict[str, list[tuple[int, Point]]] = {}
    for index, point in enumerate(points(config)):
        numbers = dynamic_paths(point.config) & set(point.values)
        # A whole number where a sweep has fractions must not make a program of its own; None must.
        static = {k: v for k, v in point.values.items() if k not in numbers}
        found.setdefault(repr(sorted(static.items())), []).append((index, point))
    return [_group(members) for members in found.values()]


def _group(indexed: list[tuple[int, Point]]) -> Group:
    own = tuple(p for _, p in indexed)
    config = own[0].config  # not the whole sweep's: the seed and the number of seeds may be swept
    numbers = sorted(dynamic_paths(config) & set(own[0].values))
    seeds = np.arange(config.seed, config.seed + config.training.seeds, dtype=np.int32)
    return Group(
        config=config,
        points=own,
        indices=tuple(i for i, _ in indexed),
        seeds=np.tile(seeds, len(own)),
        hyperparams={
            path: np.repeat(np.array([p.values[path] for p in own], np.float32), len(seeds))
            for path in numbers
        },
    )
