"""Records in words: numbers, effects with their intervals, machines, places in the repository."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import NamedTuple

from dlnotes.claims.rows import SECTIONS, Row
from dlnotes.formatting import Record, number

MARKS = {"holds": "✓", "fails": "✗", "inconclusive": "?"}
"""A sign of each verdict, so that color is never the only one."""

OTHER_CODE = "measured on other code"
"""Said of a record whose fingerprint is not that of the code as it is."""

_NUMBER = r"([-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf))"
_BETWEEN = re.compile(rf"\bbetween {_NUMBER} and {_NUMBER}", re.IGNORECASE)
_ONE_SIDED = re.compile(rf"\b(above|below) {_NUMBER}", re.IGNORECASE)


class Zone(NamedTuple):
    """Where a claim holds: between two numbers, one of which may be infinite."""

    low: float
    high: float


def zone_of(rule: str) -> Zone | None:
    """Where a claim holds, read from its rule as a record prints it.

    Args:
      rule: such as "the interval lies below 0.95".

    Returns:
      ``None`` for words that name no numbers.

    Example:
      >>> zone_of("the interval lies above 2.5")
      Zone(low=2.5, high=inf)
    """
    if found := _BETWEEN.search(rule):
        return Zone(float(found[1]), float(found[2]))
    if found := _ONE_SIDED.search(rule):
        threshold = float(found[2])
        return Zone(threshold, math.inf) if found[1].lower() == "above" else Zone(-math.inf, threshold)
    return None


def rule_text(rule: str) -> str:
    """A rule in words.

    Example:
      >>> rule_text("the interval lies below 1e-05"), rule_text("the interval lies between 2 and 2")
      ('the interval lies below 1 × 10⁻⁵', 'it is 2')
    """
    zone = zone_of(rule)
    if zone is None:
        return rule.rstrip(".")
    if zone.low == zone.high:
        return f"it is {number(zone.low)}"
    if math.isinf(zone.high):
        return f"the interval lies above {number(zone.low, 6)}"
    if math.isinf(zone.low):
        return f"the interval lies below {number(zone.high, 6)}"
    return f"the interval lies between {number(zone.low, 6)} and {number(zone.high, 6)}"


def rule_sign(rule: str) -> str:
    """A rule in signs.

    Example:
      >>> rule_sign("the interval lies below 0.95"), rule_sign("the interval lies between 0.9 and 1")
      ('< 0.95', 'in [0.9, 1]')
    """
    zone = zone_of(rule)
    if zone is None:
        return rule.rstrip(".")
    if zone.low == zone.high:
        return f"= {number(zone.low)}"
    if math.isinf(zone.high):
        return f"> {number(zone.low, 6)}"
    if math.isinf(zone.low):
        return f"< {number(zone.high, 6)}"
    return f"in [{number(zone.low, 6)}, {number(zone.high, 6)}]"


def deciding_part(record: Record) -> Record:
    """The part that the verdict of a claim rests on: the first that has the claim's own verdict."""
    parts = record["parts"]
    return next((part for part in parts if part["verdict"] == record["verdict"]), parts[0])


def chapter_of(record: Record) -> str:
    """The chapter of a record's id, "" for a claim that is none of the notes'."""
    chapter = str(record["id"]).split(".")[0]
    return chapter if chapter in SECTIONS else ""


def claims_of(records: Iterable[Record], rows: Iterable[Row]) -> tuple[int, int]:
    """How many rows have been measured, and how many could be: those that are claims, or were measured."""
    measured = {record["id"] for record in records}
    could = {row.id for row in rows if row.kind == "claim" or row.id in measured}
    return len(measured & could), len(could)


def in_order(records: Iterable[Record], rows: Sequence[Row]) -> list[Record]:
    """The claims among the records, in the order of the rows; those of no row at the end."""
    place = {row.id: i for i, row in enumerate(rows)}
    claims = [record for record in records if record.get("kind", "claim") == "claim"]
    return sorted(
        claims, key=lambda r: (place.get(r["id"], len(place)), str(r["id"]), str(r.get("name", "")))
    )


def in_repository(path: str | None) -> str:
    """A path as it reads from the root of the repository, whatever the machine it was measured on.

    Example:
      >>> in_repository("/home/someone/dlnotes/configs/claims/F1.4_xor_starts.toml")
      'configs/claims/F1.4_xor_starts.toml'
    """
    if not path:
        return ""
    pure = PureWindowsPath(path) if "\\" in path else PurePosixPath(path)
    for head in ("configs", "experiments"):
        if head in pure.parts:
            last = len(pure.parts) - 1 - pure.parts[::-1].index(head)
            return "/".join(pure.parts[last:])
    return pure.name if pure.is_absolute() else pure.as_posix()


def machines(records: Iterable[Record]) -> list[str]:
    """The machines that the records were measured on, in words, each once."""
    found = []
    for record in records:
        versions = record.get("versions") or {}
        processors = record.get("processors")
        parts = [
            str(record.get("platform") or "unknown machine"),
            f"{processors} processors" if processors else "",
            f"Python {versions['python']}" if versions.get("python") else "",
            f"jax {versions['jax']}" if versions.get("jax") else "",
        ]
        words = ", ".join(part for part in parts if part)
        if words not in found:
            found.append(words)
    return found
