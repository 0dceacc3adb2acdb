"""The rules that decide a claim: data, so that what is printed is what was applied."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import Literal

from dlnotes.claims.statistics import Interval

Verdict = Literal["holds", "fails", "open"]
VERDICTS: tuple[Verdict, ...] = ("holds", "fails", "open")


@dataclass(frozen=True)
class Above:
    """Holds when the whole interval lies above ``threshold``, fails when none of it does."""

    threshold: float

    def __call__(self, effect: Interval) -> Verdict:
        """The verdict on a measured effect; one that is not a number decides nothing."""
        if isnan(effect.low) or isnan(effect.high):
            return "open"
        if effect.low > self.threshold:
            return "holds"
        return "open" if effect.high > self.threshold else "fails"

    def __str__(self) -> str:
        return f"the interval lies above {self.threshold:g}"


@dataclass(frozen=True)
class Below:
    """Holds when the whole interval lies below ``threshold``, fails when none of it does."""

    threshold: float

    def __call__(self, effect: Interval) -> Verdict:
        """The verdict on a measured effect; one that is not a number decides nothing."""
        return Above(-self.threshold)(Interval(-effect.value, -effect.high, -effect.low, effect.n, ""))

    def __str__(self) -> str:
        return f"the interval lies below {self.threshold:g}"


@dataclass(frozen=True)
class Within:
    """Holds when the interval lies inside ``[low, high]``, fails when it lies outside."""

    low: float
    high: float

    def __call__(self, effect: Interval) -> Verdict:
        """The verdict on a measured effect; one that is not a number decides nothing."""
        if isnan(effect.low) or isnan(effect.high):
            return "open"
        if self.low <= effect.low and effect.high <= self.high:
            return "holds"
        return "fails" if effect.high < self.low or effect.low > self.high else "open"

    def __str__(self) -> str:
        return f"the interval lies between {self.low:g} and {self.high:g}"


Rule = Above | Below | Within


def verdict_of(parts: list[Verdict]) -> Verdict:
    """Of a row from the parts that decide it: it holds when all do, fails when one does, else is open."""
    if "fails" in parts:
        return "fails"
    return "open" if "open" in parts else "holds"
