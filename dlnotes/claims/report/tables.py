"""The results as files to keep in the repository: a table to read, and the records for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dlnotes.claims.errata import ERRATA
from dlnotes.claims.fingerprint import marked
from dlnotes.claims.report.wording import (
    MARKS,
    OTHER_CODE,
    chapter_of,
    claims_of,
    in_order,
    in_repository,
    machines,
    rule_sign,
)
from dlnotes.claims.rows import ROWS, SECTIONS, Row
from dlnotes.claims.rules import VERDICTS
from dlnotes.experiment.run_folder import read_json, write_json, write_text
from dlnotes.formatting import Record, duration_in_words, effect_text

COMMAND = "dlnotes report --results experiments"
"""What makes these files, unless told otherwise."""


def write(
    records: Iterable[Record], folder: str | Path, rows: Sequence[Row] = ROWS, *, command: str = COMMAND
) -> tuple[Path, Path]:
    """Write ``RESULTS.md`` and ``results.json``.

    Claims in a ``results.json`` that is there already are kept where they were not measured again; one
    of a full measurement does not give way to a quick one.

    Args:
      records: of measured claims; other kinds are left out.
      folder: where the files go.
      rows: the catalog, which gives the order.
      command: that made them, for the header.

    Returns:
      Both paths.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text, data = folder / "RESULTS.md", folder / "results.json"
    earlier = {record["name"]: record for record in read_json(data) or []}
    fresh = {record["name"]: record for record in in_order(records, rows)}
    fresh = {
        name: record
        for name, record in fresh.items()
        if record["budget"] == "full" or earlier.get(name, record)["budget"] != "full"
    }
    found = marked(in_order((earlier | fresh).values(), rows), folder)
    write_text(text, markdown(found, rows, command=command))
    write_json(data, [portable(record) for record in found])
    return text, data


def markdown(records: Iterable[Record], rows: Sequence[Row] = ROWS, *, command: str = COMMAND) -> str:
    """The verdicts as a table, what fails or stays open with its reading, and the disagreements.

    The same records give the same text: nothing in it depends on when it is written.
    """
    found = in_order(records, rows)
    return (
        "\n\n".join(
            [_header(found, rows, command), *_tables(found), _open(found), *_revised(found), _disagreements()]
        )
        + "\n"
    )


def portable(record: Record) -> dict[str, Any]:
    """A record without paths of the machine that measured it: from the repository's root, or names alone."""
    kept = dict(record)
    for key in ("config", "module"):
        if kept.get(key):
            kept[key] = in_repository(kept[key])
    for key in ("figure", "numbers"):
        if kept.get(key):
            kept[key] = Path(kept[key]).name
    return {key: value for key, value in kept.items() if key not in ("folder", "command", "current")}


def _header(records: Sequence[Record], rows: Sequence[Row], command: str) -> str:
    measured, claims = claims_of(records, rows)
    counts = Counter(record["verdict"] for record in records)
    words = ", ".join(f"{counts[v]} {v}" for v in VERDICTS)
    days = sorted(str(record["measured"])[:10] for record in records if record.get("measured"))
    between = f"{days[0]} to {days[-1]}" if days and days[0] != days[-1] else "".join(days[:1])
    budgets = sorted({str(record["budget"]) for record in records if record.get("budget")})
    lines = [
        "# Results",
        "",
        f"Made by `{command}`; do not edit by hand.",
        "",
        f"- **Claims**: {measured} of the notes' {claims} measured: {words}",
        *_stale(records),
        f"- **Measured**: {between or 'not yet'}, {' and '.join(budgets) or 'no'} budget, "
        f"{duration_in_words(sum(record['seconds'] for record in records))} in all",
        *(f"- **Machine**: {machine}" for machine in machines(records)),
        "",
        "Effects are given with their 95% intervals; a number without one is exact. A part holds when its "
        "whole interval lies where its rule says, fails when none of it does. A claim holds when all its "
        "parts do, and fails when one does. Rules were written before measuring; what was changed after a "
        "first look is listed below.",
    ]
    return "\n".join(lines)


def _stale(records: Sequence[Record]) -> list[str]:
    """How many records were measured by code that has changed since."""
    stale = sum(not record.get("current", True) for record in records)
    if not stale:
        return []
    return [f"- **Code**: {stale} of {len(records)} were {OTHER_CODE} than this; they are marked †"]


def _revised(records: Sequence[Record]) -> list[str]:
    changed = [record for record in records if record.get("revised")]
    if not changed:
        return []
    lines = [f"- **{_text(record['id'])}** {_text(record['revised'])}" for record in changed]
    return ["\n".join(["## Changed after a first look", "", *lines])]


def _tables(records: Sequence[Record]) -> list[str]:
    tables = []
    for chapter in [*SECTIONS, ""]:
        inside = [record for record in records if chapter_of(record) == chapter]
        if not inside:
            continue
        title = f"{chapter} {SECTIONS[chapter]}" if chapter else "Claims of other sources"
        lines = [
            f"## {title}",
            "",
            "| | claim | verdict | parts: effect, 95% interval; rule | seeds | time | config |",
            "|---|---|---|---|--:|--:|---|",
            *(_line(record) for record in inside),
        ]
        tables.append("\n".join(lines))
    return tables


def _line(record: Record) -> str:
    parts = "<br>".join(_part(part) for part in record["parts"])
    config = in_repository(record.get("config"))
    link = f"[{Path(config).stem}](../{config})" if config else ""
    seeds = record.get("seeds")
    cells = [
        _cell(str(record["id"])),
        _cell(record.get("title") or record["statement"]),
        _verdict(record),
        parts,
        "" if seeds is None else str(seeds),
        duration_in_words(record["seconds"]),
        link,
    ]
    return "| " + " | ".join(cells) + " |"


def _part(part: Record) -> str:
    effect, rule = effect_text(part["effect"]), _cell(rule_sign(part["rule"]))
    return f"{MARKS[part['verdict']]} {_cell(part['name'])}: **{effect}** ({rule})"


def _open(records: Sequence[Record]) -> str:
    lines = ["## What fails, or stays open", ""]
    for record in records:
        if record["verdict"] == "holds":
            continue
        names = [
            f"{_cell(p['name'])} ({p['verdict']}: {effect_text(p['effect'])})"
            for p in record["parts"]
            if p["verdict"] != "holds"
        ]
        lines += [
            f"- **{_cell(str(record['id']))}** {_verdict(record)}: “{_text(record['statement'])}”",
            f"  Not held: {'; '.join(names)}.",
            f"  {_text(record.get('reading') or 'No reading has been written yet.')}",
        ]
    return "\n".join(lines if len(lines) > 2 else [*lines, "Nothing."])


def _disagreements() -> str:
    lines = [
        "## Where the notes' print and the mathematics disagree",
        "",
        "The library follows the mathematics.",
        "",
    ]
    for d in ERRATA:
        evidence = ", ".join(f"`{e}`" if e.startswith("tests/") else e for e in d.evidence)
        lines += [f"- **{d.section}** «{_text(d.printed)}»", f"  {_text(d.correct)} ({evidence})"]
    return "\n".join(lines)


def _verdict(record: Record) -> str:
    return f"{MARKS[record['verdict']]} {record['verdict']}" + ("" if record.get("current", True) else " †")


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|")


def _text(text: str) -> str:
    """Plain words for Markdown: on one line, without its signs."""
    words = " ".join(text.split())
    for sign in ("\\", "`", "*", "_", "<", ">", "[", "]"):
        words = words.replace(sign, f"\\{sign}")
    return words
