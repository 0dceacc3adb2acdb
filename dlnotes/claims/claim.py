"""A claim as data: what the notes say, how it is measured, and the rules that decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import Field

from dlnotes.claims.rules import Rule
from dlnotes.claims.statistics import Interval
from dlnotes.config.fields import Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Measured = Mapping[str, np.ndarray]
"""All that a measurement produced; it is kept as measurements.npz and is enough to judge and draw."""


class Options(Section):
    """Base of an experiment's typed options, its ``[options]``; unknown ones are errors."""

    seeds: int = Field(10, ge=2, le=10_000, description="repetitions, each with its own random numbers")


class Plot(NamedTuple):
    """A figure and the numbers behind it.

    Attributes:
      figure: of matplotlib.
      table: column name → values, all of one length.
    """

    figure: Figure
    table: Mapping[str, Sequence[Any] | np.ndarray]


@dataclass(frozen=True)
class Part:
    """One thing that a claim says, with the rule that decides it.

    Attributes:
      name: a few words.
      statement: what is held to be true.
      what: the measured effect, with its unit.
      effect: from the measurements to the effect and its interval.
      rule: on the effect; written before measuring.
    """

    name: str
    statement: str
    what: str
    effect: Callable[[Measured], Interval]
    rule: Rule


@dataclass(frozen=True)
class Claim:
    """What an experiment module gives as ``CLAIM``.

    Attributes:
      id: the row of the notes, or a name of your own.
      statement: what is claimed.
      source: the notes' section, and the paper if any.
      options: class of its options.
      measure: ``measure(options) -> arrays by name``; all the computing.
      draw: ``draw(options, measured) -> Plot``.
      parts: what is judged; see `Part`.
      reading: our explanation of parts that fail or are inconclusive.
      revised: what of the measurement or a rule was changed after a first look at its numbers, and why.
    """

    id: str
    statement: str
    source: str
    options: type[Options]
    measure: Callable[[Any], dict[str, np.ndarray]]
    draw: Callable[[Any, Measured], Plot]
    parts: tuple[Part, ...]
    reading: str = ""
    revised: str = ""

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"parts: got {names}, needed are one or more with different names")
