"""Evidence without which a part is open, whatever it shows: that its networks have learned, say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dlnotes.claims.rules import Below, Rule
from dlnotes.claims.statistics import Interval, exact


@dataclass(frozen=True)
class Plateau:
    """Training is long enough when twice the steps move the effect by less than its interval is wide.

    Attributes:
      half: the part's effect after half of the steps.
    """

    half: Callable[[Mapping[str, np.ndarray]], Interval]


@dataclass(frozen=True)
class Level:
    """Training is long enough when the networks reach a level that is known.

    Attributes:
      what: the measured number, with its unit, and where the level is from.
      effect: from the measurements to the number and its interval.
      rule: on the number.
    """

    what: str
    effect: Callable[[Mapping[str, np.ndarray]], Interval]
    rule: Rule


@dataclass(frozen=True)
class Machine:
    """A part can be judged only where the machine has what it is about, such as an instruction.

    Attributes:
      what: the measured number, with its unit.
      effect: from the measurements to the number.
      rule: on the number.
    """

    what: str
    effect: Callable[[Mapping[str, np.ndarray]], Interval]
    rule: Rule


Learned = Plateau | Level | Machine


def evidence(
    learned: Learned, measured: Mapping[str, np.ndarray], effect: Interval
) -> tuple[str, Interval, Rule]:
    """What is looked at, its value, and the rule that says whether the networks have learned.

    Args:
      learned: the evidence.
      measured: all measurements.
      effect: of the part, after all steps.
    """
    if isinstance(learned, (Level, Machine)):
        return learned.what, learned.effect(measured), learned.rule
    half = learned.half(measured)
    moved, width = abs(effect.value - half.value), effect.high - effect.low
    share = 0.0 if moved == 0 else moved / width if width > 0 else float("inf")
    what = "how far the effect moves when the steps are doubled, as a share of its interval's width"
    share = share if np.isfinite(effect.value + half.value) else float("nan")
    return what, exact(share, effect.n), Below(1.0)
