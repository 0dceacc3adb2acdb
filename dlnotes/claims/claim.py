"""A claim as data: who says what, how it is measured, and the rules that decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import Field

from dlnotes.claims import texts
from dlnotes.claims.learned import Learned
from dlnotes.claims.rules import Rule
from dlnotes.claims.sources import Source, Speaker, deciding, ours
from dlnotes.claims.statistics import Interval
from dlnotes.config.fields import Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Measured = Mapping[str, np.ndarray]
"""All that a measurement produced; it is kept as measurements.npz and is enough to judge and draw."""


class Options(Section):
    """Base of an experiment's typed options, its ``[options]``; unknown ones are errors.

    Their defaults are the full budget: what `Claim.reading` is written for.
    """

    seeds: int = Field(10, ge=2, le=10_000, description="repetitions, each with its own random numbers")


class Plot(NamedTuple):
    """A figure and the numbers behind it.

    Attributes:
      figure: of matplotlib.
      table: column name → values, all of one length.
    """

    figure: Figure
    table: Mapping[str, Sequence[Any] | np.ndarray]


def no_facts(measured: Measured) -> Mapping[str, Any]:
    """A claim whose texts need no numbers but its effects and options."""
    return {}


_OWN = ours("measured for its own sake")


@dataclass(frozen=True)
class Part:
    """One thing that a claim says, with the rule that decides it.

    Attributes:
      name: a few words.
      statement: what is held to be true. It may name options, as in "after {options.steps} steps".
      what: the measured effect, with its unit; it may name options too.
      effect: from the measurements to the effect and its interval.
      rule: on the effect; written before measuring.
      source: who says it; see `dlnotes.claims.notes`, `book`, `paper` and `ours`.
      learned: evidence that the networks have learned, ``None`` where nothing is trained or where
        training itself is what is judged.
    """

    name: str
    statement: str
    what: str
    effect: Callable[[Measured], Interval]
    rule: Rule
    source: Source = _OWN
    learned: Learned | None = None


@dataclass(frozen=True)
class Claim:
    """What an experiment module gives as ``CLAIM``.

    A row's verdict comes from the parts of one speaker: the notes' where there are any, else the book's, a
    paper's, our own. The other parts are measured and shown beside.

    ``method`` and ``reading`` are texts with fields, which are filled in when a measurement is judged:
    ``{options.steps}``, ``{parts[name of a part]}`` (its effect with the interval) and ``{facts[name]}``.

    Attributes:
      id: the row of the notes, or a name of your own.
      statement: what is claimed.
      source: the notes' section, and the paper if any.
      options: class of its options.
      measure: ``measure(options) -> arrays by name``; all the computing.
      draw: ``draw(options, measured) -> Plot``.
      parts: what is judged; see `Part`.
      method: what was done, in two or three sentences: data, networks, optimizer, steps, how rates were
        chosen.
      reading: what the verdict means; shown only where the options are the defaults.
      facts: further numbers for the texts, from the measurements.
      revised: what of the measurement or a rule was changed after a first look at its numbers, and why.
    """

    id: str
    statement: str
    source: str
    options: type[Options]
    measure: Callable[[Any], dict[str, np.ndarray]]
    draw: Callable[[Any, Measured], Plot]
    parts: tuple[Part, ...]
    method: str = ""
    reading: str = ""
    facts: Callable[[Measured], Mapping[str, Any]] = no_facts
    revised: str = ""

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"parts: got {names}, needed are one or more with different names")
        written = {"method": self.method, "reading": self.reading}
        for part in self.parts:
            written |= {f"{part.name}: statement": part.statement, f"{part.name}: what": part.what}
        for where, text in written.items():
            texts.check(text, where, options=self.options.model_fields, parts=names)

    @property
    def decided_by(self) -> Speaker:
        """Whose parts decide the row."""
        return deciding(part.source for part in self.parts)
