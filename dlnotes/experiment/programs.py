"""Which compiled programs of a run are kept, and what they are known by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlnotes.devices.placement import Placement
from dlnotes.devices.program_store import StoredProgram, can_be_stored
from dlnotes.experiment.kept_data import data_digest
from dlnotes.experiment.setup import Setup

_BESIDE = ("name", "output", "checkpoint")
"""Sections that decide no program."""


def stored(function: Callable, setup: Setup, placement: Placement, *what: Any) -> Callable:
    """The jitted function, whose programs later processes load where config and data files alone decide them.

    Of a network or data set of one's own, of a teacher's answers and of a start from another run nothing is
    kept: no file says what they are.

    Args:
      function: of ``jax.jit``.
      setup: of the group.
      placement: where it runs.
      what: names of the program, and what decides it beside config, data and placement.
    """
    if not setup.described or not can_be_stored(function):
        return function
    group = setup.group
    config = group.config.model_dump_json(exclude=set(_BESIDE))
    shapes = None if setup.buckets is None else setup.buckets.shapes
    known = [*what, placement, config, data_digest(setup.dataset), setup.lengths, shapes]
    known += [[point.values for point in group.points]]
    return StoredProgram(function, "\n".join(map(repr, known)))
