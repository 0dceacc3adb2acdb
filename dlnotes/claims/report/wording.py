"""Records in words: numbers, effects with their intervals, machines, places in the repository."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import NamedTuple

from dlnotes.claims.rows import SECTIONS, Row
from dlnotes.formatting import Record, effect_text, number

MARKS = {"holds": "✓", "fails": "✗", "open": "?"}
"""A sign of each verdict, so that color is never the only one."""

OTHER_CODE = "measured on other code"
"""Said of a record whose fingerprint is not that of the code as it is."""

SAYS = {"notes": "the notes", "book": "the book that they follow", "paper": "a paper", "ours": "this project"}
"""Who says what a part says, in words."""

FINDINGS = ("full", "large")
"""Budgets whose verdicts count; any other measurement is a trial."""

HOW_TO_READ = (
    "Each part of a claim is a sentence with a number that was measured, its 95% interval, and a rule that "
    "was written before measuring. A part holds when the whole interval fits the rule, fails when none of it "
    "does, and is open otherwise. It is open too when the networks were not trained far enough to judge.",
    "A claim's verdict is that of the parts that the notes say: it holds when all of them hold, and fails "
    "when one fails. Parts that the notes do not say are measured beside and do not decide.",
    "An interval covers new random starts, data orders and draws of training data, called seeds. It covers "
    "new test cases only where a part says so. A number without an interval is exact.",
)
"""For a reader who sees the results for the first time, a paragraph each."""

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


def is_trial(record: Record) -> bool:
    """Whether a record's verdict counts for nothing: of the quick budget, or of options of one's own."""
    return record["budget"] not in FINDINGS


def verdict_text(record: Record) -> str:
    """The verdict of a record, with why it is open, and whether it is a trial.

    Example:
      >>> verdict_text({"verdict": "open", "why": "not trained far enough", "budget": "full"})
      'open: not trained far enough'
      >>> verdict_text({"verdict": "holds", "why": "", "budget": "quick"})
      'trial: holds'
    """
    return ("trial: " if is_trial(record) else "") + part_verdict(record)


def part_verdict(part: Record) -> str:
    """The verdict of a part, with why it is open."""
    return f"{part['verdict']}: {part['why']}" if part["why"] else part["verdict"]


def source_text(source: Record) -> str:
    """Who says a part's sentence, where, and what it says there.

    Example:
      >>> source_text({"who": "notes", "where": "unidades escondidas", "says": "Maxout needs k weights."})
      'Notes, «unidades escondidas»: Maxout needs k weights.'
      >>> source_text({"who": "ours", "where": "", "says": "What does the size do?"})
      'Ours: What does the size do?'
    """
    if source["who"] == "ours":
        return f"Ours: {source['says']}"
    where = f"Notes, «{source['where']}»" if source["who"] == "notes" else source["where"]
    return f"{where}: {source['says']}"


def decided_text(record: Record) -> str:
    """Whose parts the verdict is of, where they are not the notes'; "" otherwise."""
    who = record["decided_by"]
    return "" if who == "notes" else f"The notes do not say this. {SAYS[who].capitalize()} does."


def beside_text(record: Record) -> str:
    """What is said over the parts that decide nothing."""
    if record["decided_by"] == "notes":
        return "Measured beside. The notes do not say this, so it does not decide."
    return (
        f"Measured beside. The verdict is on what {SAYS[record['decided_by']]} says, so this does not decide."
    )


def learned_text(learned: Record) -> str:
    """The evidence that the networks of a part have learned, or have not; or what the machine has."""
    if learned.get("of") == "machine":
        begin = "The machine can tell" if learned["holds"] else "The machine cannot tell"
    else:
        begin = f"The networks {'have learned' if learned['holds'] else 'have not learned enough to judge'}"
    rule = rule_sign(learned["rule"])
    what = learned["what"]
    return f"{begin}: {what}, is {effect_text(learned['effect'])} (needed: {rule})."


def cases_text(effect: Record) -> str:
    """How many cases an effect was counted over; "" for an exact number."""
    return f"n = {effect['n']:,}" if effect["n"] > 1 else ""


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
    """The part that the verdict of a claim rests on: the first that decides and has the claim's verdict."""
    parts = [part for part in record["parts"] if part["decides"]]
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
