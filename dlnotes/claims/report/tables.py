"""The results as files to keep in the repository: a table to read, and the records for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dlnotes.claims.errata import ERRATA
from dlnotes.claims.fingerprint import marked
from dlnotes.claims.records import committed
from dlnotes.claims.report.wording import (
    HOW_TO_READ,
    MARKS,
    OTHER_CODE,
    beside_text,
    cases_text,
    chapter_of,
    claims_of,
    decided_text,
    in_order,
    in_repository,
    is_trial,
    learned_text,
    machines,
    part_verdict,
    rule_sign,
    source_text,
    verdict_text,
)
from dlnotes.claims.rows import ROWS, SECTIONS, Row
from dlnotes.claims.rules import VERDICTS
from dlnotes.experiment.kept_files import write_json, write_text
from dlnotes.formatting import Record, duration_in_words, effect_text

COMMAND = "dlnotes report --results experiments"
"""What makes these files, unless told otherwise."""


def write(
    records: Iterable[Record], folder: str | Path, rows: Sequence[Row] = ROWS, *, command: str = COMMAND
) -> tuple[Path, Path]:
    """Write ``RESULTS.md`` and ``results.json``.

    Claims in a ``results.json`` that is there already are kept where they were not measured again; one
    of a full measurement does not give way to a trial.

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
    earlier = {record["name"]: record for record in committed(folder)}
    fresh = {record["name"]: record for record in in_order(records, rows)}
    fresh = {
        name: record
        for name, record in fresh.items()
        if not is_trial(record) or is_trial(earlier.get(name, record))
    }
    found = marked(in_order((earlier | fresh).values(), rows), folder)
    write_text(text, markdown(found, rows, command=command))
    write_json(data, [portable(record) for record in found])
    return text, data


def markdown(records: Iterable[Record], rows: Sequence[Row] = ROWS, *, command: str = COMMAND) -> str:
    """The verdicts of a chapter as a table, then its claims one by one; at the end the disagreements.

    The same records give the same text: nothing in it depends on when it is written.
    """
    found = in_order(records, rows)
    pieces = [_header(found, rows, command), *_chapters(found), _disagreements()]
    return "\n\n".join(pieces) + "\n"


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
    counts = Counter(record["verdict"] for record in records if not is_trial(record))
    words = ", ".join(f"{counts[v]} {v}" for v in VERDICTS)
    days = sorted(str(record["measured"])[:10] for record in records if record.get("measured"))
    between = f"{days[0]} to {days[-1]}" if days and days[0] != days[-1] else "".join(days[:1])
    budgets = sorted({str(record["budget"]) for record in records})
    lines = [
        "# Results",
        "",
        f"Made by `{command}`; do not edit by hand.",
        "",
        f"- **Claims**: {measured} of the notes' {claims} measured: {words}",
        *_stale(records),
        *_trials(records),
        f"- **Measured**: {between or 'not yet'}, {' and '.join(budgets) or 'no'} budget, "
        f"{duration_in_words(sum(record['seconds'] for record in records))} in all",
        *(f"- **Machine**: {machine}" for machine in machines(records)),
        "",
        "\n\n".join(HOW_TO_READ),
    ]
    return "\n".join(lines)


def _stale(records: Sequence[Record]) -> list[str]:
    """How many records were measured by code that has changed since."""
    stale = sum(not record.get("current", True) for record in records)
    if not stale:
        return []
    return [f"- **Code**: {stale} of {len(records)} were {OTHER_CODE} than this; they are marked †"]


def _trials(records: Sequence[Record]) -> list[str]:
    """How many verdicts are trials."""
    trials = sum(map(is_trial, records))
    return [f"- **Trials**: {trials} of {len(records)} verdicts are trials and count for nothing"] * (
        trials > 0
    )


def _chapters(records: Sequence[Record]) -> list[str]:
    """Of each chapter a table of its verdicts, then its claims."""
    pieces = []
    for chapter in [*SECTIONS, ""]:
        inside = [record for record in records if chapter_of(record) == chapter]
        if not inside:
            continue
        title = f"{chapter} {SECTIONS[chapter]}" if chapter else "Claims of other sources"
        table = ["| | claim | verdict |", "|---|---|---|", *map(_line, inside)]
        pieces += [f"## {title}", "\n".join(table), *map(_claim, inside)]
    return pieces


def _line(record: Record) -> str:
    cells = [_cell(str(record["id"])), f"[{_cell(_title(record))}](#{_anchor(record)})", _verdict(record)]
    return "| " + " | ".join(cells) + " |"


def _title(record: Record) -> str:
    return str(record.get("title") or record["statement"])


def _heading(record: Record) -> str:
    title = _title(record)
    return str(record["id"]) if title == record["id"] else f"{record['id']} {title}"


def _anchor(record: Record) -> str:
    """What GitHub makes of a heading: lower case, without punctuation, spaces as hyphens."""
    return "".join("-" if c == " " else c for c in _heading(record).lower() if c.isalnum() or c in " -_")


def _claim(record: Record) -> str:
    """One claim: what is claimed, what was done, each part with its number, and what it means."""
    config = in_repository(record.get("config"))
    beside = [part for part in record["parts"] if not part["decides"]]
    facts = [f"[{Path(config).name}](../{config})" if config else "", duration_in_words(record["seconds"])]
    paragraphs = [
        f"### {_text(_heading(record))}",
        f"**{_verdict(record)}.** {_text(record['statement'])} {_text(decided_text(record))}".rstrip(),
        f"*What was done.* {_text(record['method'])}" if record["method"] else "",
        "\n".join(_part(part) for part in record["parts"] if part["decides"]),
        f"*{_text(beside_text(record))}*" if beside else "",
        "\n".join(map(_part, beside)),
        f"*Reading.* {_text(record['reading'])}" if record["reading"] else "",
        f"*Changed after a first look.* {_text(record['revised'])}" if record["revised"] else "",
        ", ".join(fact for fact in facts if fact),
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _part(part: Record) -> str:
    effect = part["effect"]
    needed = [f"needed: {rule_sign(part['rule'])}", cases_text(effect)]
    lines = [
        f"- {MARKS[part['verdict']]} **{_text(part['statement'])}**"
        + ("" if part["verdict"] == "holds" else f" ({part_verdict(part)})"),
        f"  {_text(part['what'])}: **{effect_text(effect)}** ({_text('; '.join(n for n in needed if n))}).",
        f"  {_text(source_text(part['source']))}",
    ]
    if part["learned"]:
        lines.append(f"  {_text(learned_text(part['learned']))}")
    return "  \n".join(lines)


def _disagreements() -> str:
    lines = [
        "## Where the notes' print and the mathematics disagree",
        "",
        "The library follows the mathematics.",
        "",
    ]
    for d in ERRATA:
        evidence = ", ".join(
            f"`{e}`" if isinstance(e, str) and e.startswith("tests/") else _text(str(e)) for e in d.evidence
        )
        lines += [
            f"- **{d.section}** «{_text(d.printed)}»  ",
            f"  *{d.kind_text()}* {_text(d.correct)} ({evidence})",
        ]
    return "\n".join(lines)


def _verdict(record: Record) -> str:
    mark = MARKS[record["verdict"]]
    return f"{mark} {verdict_text(record)}" + ("" if record.get("current", True) else " †")


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|")


def _text(text: str) -> str:
    """Plain words for Markdown: on one line, without its signs."""
    words = " ".join(text.split())
    for sign in ("\\", "`", "*", "_", "<", ">", "[", "]"):
        words = words.replace(sign, f"\\{sign}")
    return words
