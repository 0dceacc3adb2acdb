"""The report: every measured claim on one HTML page that needs nothing but itself.

The page holds its figures, numbers, style and script; it opens from a file, on a phone, in the dark,
and prints. `wording` says how numbers read, `claim_html` makes one claim, `report.html`, `report.css`
and `report.js` beside this file are its form.
"""

from __future__ import annotations

import datetime
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import sha256
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from dlnotes.claims.errata import ERRATA, Erratum, Measured
from dlnotes.claims.report.claim_html import Files, anchor, claim_html, stale, verdict_badge
from dlnotes.claims.report.wording import (
    HOW_TO_READ,
    MARKS,
    OTHER_CODE,
    chapter_of,
    claims_of,
    deciding_part,
    in_order,
    is_trial,
    machines,
)
from dlnotes.claims.rows import ROWS, SECTIONS, Row
from dlnotes.claims.rules import VERDICTS
from dlnotes.experiment.kept_files import write_text
from dlnotes.formatting import Record, duration_in_words, effect_text

_VERBS = {"holds": ("holds", "hold"), "fails": ("fails", "fail"), "open": ("open",) * 2}
_OTHER = "Claims of other sources"


def write(records: Iterable[Record], path: str | Path, *, files: Files, rows: Sequence[Row] = ROWS) -> Path:
    """Write the page.

    Args:
      records: of measured claims, as the summaries of their runs hold them; other kinds are left out.
      path: of the HTML file.
      files: ``files(record, "figure")`` and ``files(record, "numbers")`` say where a record's PNG and
        CSV are; ``None``, or a path where nothing is, leaves them out.
      rows: the catalog.

    Returns:
      The path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page(records, files=files, rows=rows))
    return path


def page(records: Iterable[Record], *, files: Files, rows: Sequence[Row] = ROWS) -> str:
    """The text of the page; see `write`."""
    found = in_order(records, rows)
    by_id = {row.id: row for row in rows}
    keys, script = _keys(found), _read("report.js")
    return Template(_read("report.html")).substitute(
        style=_read("report.css"),
        script=script,
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        lead=_lead(found, rows),
        counts=_counts(found),
        warning=_trial_warning(found) + _stale_warning(found),
        how="".join(f"<p>{escape(paragraph)}</p>" for paragraph in HOW_TO_READ),
        chapters=_chapter_choices(found),
        verdicts=_verdict_choices(),
        table="".join(_line(record, key) for record, key in zip(found, keys)),
        claims=_claims(found, keys, by_id, files),
        disagreements=_disagreements(set(keys)),
        disagreement_count=str(len(ERRATA)),
        rest=_rest(found, rows),
        machine=escape("; ".join(machines(found)) or "no machine yet"),
        made=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _keys(records: Sequence[Record]) -> list[str]:
    """One element id per record; a claim measured twice gets a number."""
    seen: Counter[str] = Counter()
    keys = []
    for record in records:
        key = anchor(record)
        seen[key] += 1
        keys.append(key if seen[key] == 1 else f"{key}--{seen[key]}")
    return keys


def _lead(records: Sequence[Record], rows: Sequence[Row]) -> str:
    measured, claims = claims_of(records, rows)
    seconds = sum(record["seconds"] for record in records)
    return (
        f"{measured} of the {claims} claims in the notes have been measured, in "
        f"{duration_in_words(seconds)} of computing. Each claim says what was done, what was measured, which "
        "rule decides, and what was changed after a first look."
    )


def _counts(records: Sequence[Record]) -> str:
    counts = Counter(record["verdict"] for record in records if not is_trial(record))
    return "".join(
        f'<li class="{v}"><a href="#verdict={v}"><span class="sign" aria-hidden="true">{MARKS[v]}</span> '
        f"<strong>{counts[v]}</strong> {_VERBS[v][counts[v] != 1]}</a></li>"
        for v in VERDICTS
    )


def _stale_warning(records: Sequence[Record]) -> str:
    stale = sum(not record.get("current", True) for record in records)
    if not stale:
        return ""
    verb = "was" if stale == 1 else "were"
    return (
        f'<p class="warning">{stale} of {len(records)} {verb} {OTHER_CODE} than this: measured again, the '
        "verdict may be another.</p>"
    )


def _trial_warning(records: Sequence[Record]) -> str:
    trials = sum(map(is_trial, records))
    if not trials:
        return ""
    verb = "verdict is a trial" if trials == 1 else "verdicts are trials"
    return (
        f'<p class="warning">{trials} of {len(records)} {verb}, measured on the quick budget or under '
        "options of one’s own. That shows that everything runs; it decides nothing about the notes.</p>"
    )


def _chapter_choices(records: Sequence[Record]) -> str:
    present = [chapter for chapter in SECTIONS if any(chapter_of(r) == chapter for r in records)]
    choices = [(chapter, f"{chapter} {_short(SECTIONS[chapter])}") for chapter in present]
    if any(not chapter_of(record) for record in records):
        choices.append(("other", _OTHER))
    return "".join(f'<option value="{value}">{escape(words)}</option>' for value, words in choices)


def _verdict_choices() -> str:
    return "".join(
        f'<label class="{v}"><input type="checkbox" name="verdict" value="{v}" checked> '
        f'<span aria-hidden="true">{MARKS[v]}</span> {v}</label>'
        for v in VERDICTS
    )


def _line(record: Record, key: str) -> str:
    part = deciding_part(record)
    title = record.get("title") or record["statement"]
    return (
        f'<tr {_data(record, key)}><td class="id">{escape(str(record["id"]))}</td>'
        f'<td class="title"><a href="#{key}">{escape(title)}</a></td>'
        f'<td class="verdict">{verdict_badge(record)}{stale(record)}</td>'
        f'<td class="effect"><strong>{escape(effect_text(part["effect"]))}</strong>'
        f"<small>{escape(part['what'])}</small></td>"
        f'<td class="n" data-label="time">{escape(duration_in_words(record["seconds"]))}</td></tr>'
    )


def _data(record: Record, key: str) -> str:
    parts = " ".join(f"{p['name']} {p['statement']}" for p in record["parts"])
    words = " ".join(
        str(record.get(k) or "") for k in ("id", "title", "statement", "source", "name", "reading")
    )
    return (
        f'data-key="{key}" data-chapter="{chapter_of(record) or "other"}" '
        f'data-verdict="{escape(record["verdict"])}" '
        f'data-words="{escape(f"{words} {parts}".lower(), quote=True)}"'
    )


def _claims(records: Sequence[Record], keys: Sequence[str], by_id: dict[str, Row], files: Files) -> str:
    pieces = []
    for chapter in [*SECTIONS, ""]:
        inside = [(r, k) for r, k in zip(records, keys) if chapter_of(r) == chapter]
        if not inside:
            continue
        heading = (
            f'<span class="id">{chapter}</span> <span lang="es">{escape(SECTIONS[chapter])}</span>'
            if chapter
            else _OTHER
        )
        pieces.append(f'<section class="chapter" data-chapter="{chapter or "other"}"><h2>{heading}</h2>')
        pieces += [claim_html(record, by_id.get(record["id"]), files, key) for record, key in inside]
        pieces.append("</section>")
    return "\n".join(pieces)


def _disagreements(keys: set[str]) -> str:
    pieces = []
    for chapter, section in SECTIONS.items():
        inside = [d for d in ERRATA if d.section == chapter]
        if inside:
            items = "".join(_disagreement(d, keys) for d in inside)
            pieces.append(
                f'<h3><span class="id">{chapter}</span> <span lang="es">{escape(_short(section))}</span></h3>'
                f'<ul class="disagreements">{items}</ul>'
            )
    return "\n".join(pieces)


def _disagreement(d: Erratum, keys: set[str]) -> str:
    evidence = ", ".join(
        f'<a href="#{e.row}">{escape(str(e))}</a>'
        if isinstance(e, Measured) and e.row in keys
        else f"<span>{escape(str(e))}</span>"
        for e in d.evidence
    )
    return (
        f'<li><p class="printed"><span class="label">Printed</span> <q lang="es">{escape(d.printed)}</q></p>'
        f'<p class="kind"><span class="label">Kind</span> <span>{escape(d.kind_text())}</span></p>'
        f'<p class="correct"><span class="label">Correct</span> <span>{escape(d.correct)}</span></p>'
        f'<p class="evidence"><span class="label">Evidence</span> <span>{evidence}</span></p></li>'
    )


def _rest(records: Sequence[Record], rows: Sequence[Row]) -> str:
    """Rows without a measurement or not built, counted by chapter and folded."""
    measured = {record["id"] for record in records}
    pieces = []
    for chapter, section in SECTIONS.items():
        inside = [row for row in rows if row.id.split(".")[0] == chapter]
        claims = [row for row in inside if row.kind == "claim" and row.id not in measured]
        code = [row for row in inside if row.kind == "code" and not row.built]
        if not claims and not code:
            continue
        words = ", ".join(
            f"{len(left)} of {sum(row.kind == kind for row in inside)} {what}"
            for left, kind, what in (
                (claims, "claim", "claims not measured"),
                (code, "code", "code rows not built"),
            )
            if left
        )
        items = "".join(
            f"<li><span class='id'>{row.id}</span> {escape(row.title)}</li>" for row in claims + code
        )
        pieces.append(
            f'<details><summary><span class="id">{chapter}</span> '
            f'<span lang="es">{escape(_short(section))}</span>: {words}</summary>'
            f"<ul>{items}</ul></details>"
        )
    return "\n".join(pieces) or "<p>Every row of the notes is built, and every claim measured.</p>"


def _short(section: str) -> str:
    """A section's own title, without the chapter's name before the colon."""
    title = section.split(": ", 1)[-1]
    return title[:1].upper() + title[1:]


def _read(name: str) -> str:
    return resources.files("dlnotes.claims.report").joinpath(name).read_text(encoding="utf-8")
