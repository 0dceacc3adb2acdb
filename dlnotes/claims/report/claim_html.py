"""One measured claim as a piece of the report's page."""

from __future__ import annotations

import base64
import csv
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any, Literal

from dlnotes.claims.report.interval_bar import interval_bar
from dlnotes.claims.report.wording import (
    MARKS,
    OTHER_CODE,
    beside_text,
    decided_text,
    in_repository,
    is_trial,
    learned_text,
    part_verdict,
    rule_text,
    source_text,
    verdict_text,
)
from dlnotes.claims.rows import Row
from dlnotes.formatting import Record, duration_in_words, effect_note, effect_text, number

Files = Callable[[Record, Literal["figure", "numbers"]], Path | None]
"""Where the figure (PNG) or the numbers (CSV) of a record are, ``None`` when there are none."""

SHOWN_ROWS = 200
"""Rows of a table of numbers that the page shows; the download has all of them."""


def badge(verdict: str, words: str, *, trial: bool = False) -> str:
    """A verdict in words, with its sign."""
    kind = f"badge {_name(verdict)}" + (" trial" if trial else "")
    return f'<span class="{kind}"><span aria-hidden="true">{MARKS[verdict]}</span> {escape(words)}</span>'


def verdict_badge(record: Record) -> str:
    """The verdict of a whole claim."""
    return badge(record["verdict"], verdict_text(record), trial=is_trial(record))


def stale(record: Record) -> str:
    """A word for a record that the code as it is now has not measured."""
    return "" if record.get("current", True) else f'<small class="stale">{OTHER_CODE}</small>'


def anchor(record: Record) -> str:
    """The id of a claim's element: the row's; with the run's name where it belongs to none."""
    return _name(str(record["id"]))


def claim_html(record: Record, row: Row | None, files: Files, key: str) -> str:
    """The article of one claim: statement, what was done, parts, figure, numbers, reading, how to repeat it.

    Args:
      record: of the claim.
      row: of the catalog, if it belongs to one.
      files: see `Files`.
      key: id of the element.
    """
    title = record.get("title") or (row.title if row else record["statement"])
    heading = f"claim-{key}"
    beside = [part for part in record["parts"] if not part["decides"]]
    return "\n".join(
        piece
        for piece in (
            f'<article class="claim" id="{key}" aria-labelledby="{heading}">',
            f'<header><p class="id">{escape(str(record["id"]))}</p>{verdict_badge(record)}{stale(record)}',
            f'<h3 id="{heading}">{escape(title)}</h3></header>',
            f'<p class="statement">{escape(record["statement"])}</p>',
            f'<p class="source">{escape(record.get("source") or "")}</p>' if record.get("source") else "",
            f'<p class="decided">{escape(decided_text(record))}</p>' if decided_text(record) else "",
            f'<p class="done"><strong>What was done.</strong> {escape(record["method"])}</p>'
            if record["method"]
            else "",
            _parts([part for part in record["parts"] if part["decides"]]),
            f'<p class="beside">{escape(beside_text(record))}</p>' if beside else "",
            _parts(beside),
            _aside("Reading", record.get("reading")),
            _aside("Changed after a first look", record.get("revised")),
            _figure(record, files, title),
            _numbers(record, files),
            _facts(record, row),
            "</article>",
        )
        if piece
    )


def _aside(title: str, text: str | None) -> str:
    return f'<div class="reading"><h4>{title}</h4><p>{escape(text)}</p></div>' if text else ""


def _parts(parts: Sequence[Record]) -> str:
    return '<ul class="parts">' + "".join(map(_part, parts)) + "</ul>" if parts else ""


def _part(part: Record) -> str:
    effect = part["effect"]
    learned = f'<p class="learned">{escape(learned_text(part["learned"]))}</p>' if part["learned"] else ""
    return (
        f'<li><div class="words"><h4>{escape(part["name"])}</h4>{badge(part["verdict"], part_verdict(part))}'
        f"<p>{escape(part['statement'])}</p>"
        f'<p class="said">{escape(source_text(part["source"]))}</p>'
        f'<p class="rule">Holds if {escape(rule_text(part["rule"]))}.</p>{learned}</div>'
        f'<div class="measure"><p class="effect"><strong>{escape(effect_text(effect))}</strong> '
        f"{escape(part['what'])}</p>{interval_bar(effect, part['rule'])}"
        f'<p class="method">{escape(effect_note(effect))}</p></div></li>'
    )


def _figure(record: Record, files: Files, title: str) -> str:
    path = files(record, "figure")
    if path is None or not path.is_file():
        return '<p class="missing">No figure was kept.</p>'
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    words = escape(f"Figure of {record['id']}: {title}", quote=True)
    return (
        f'<figure><button type="button" class="zoom" aria-label="{words}; show full size">'
        f'<img src="data:image/png;base64,{data}" alt="{words}" loading="lazy"></button></figure>'
    )


def _numbers(record: Record, files: Files) -> str:
    path = files(record, "numbers")
    if path is None or not path.is_file():
        return '<p class="missing">No numbers were kept.</p>'
    raw = path.read_bytes()
    lines = list(csv.reader(raw.decode("utf-8").splitlines()))
    head, body = (lines[0], lines[1:]) if lines else ([], [])
    cells = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(_cell(cell))}</td>" for cell in line) + "</tr>"
        for line in body[:SHOWN_ROWS]
    )
    more = f"<p>The first {SHOWN_ROWS} of {len(body)} rows.</p>" if len(body) > SHOWN_ROWS else ""
    data = base64.b64encode(raw).decode("ascii")
    name = escape(path.name, quote=True)
    return (
        f'<details class="numbers"><summary>Numbers behind the figure ({_count(len(body), "row")})</summary>'
        f'<p><a download="{name}" href="data:text/csv;charset=utf-8;base64,{data}">Download {name}</a></p>'
        f"{more}"
        f'<div class="scroll" tabindex="0" role="region" aria-label="Numbers of {escape(str(record["id"]))}">'
        f"<table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _cell(text: str) -> str:
    try:
        return number(float(text), 6) if not text.lstrip("-").isdigit() else text
    except ValueError:
        return text


def _facts(record: Record, row: Row | None) -> str:
    config = in_repository(record.get("config"))
    budget = record["budget"]
    command = f"dlnotes run {config}" + (f" --budget {budget}" if budget in ("quick", "large") else "")
    repeat = (
        f'<span class="command"><code>{escape(command)}</code>'
        f'<button type="button" class="copy" data-text="{escape(command, quote=True)}">Copy</button></span>'
        if config
        else ""
    )
    options = record.get("options") or {}
    measured = [
        str(record.get("measured") or "")[:16].replace("T", " "),
        duration_in_words(record["seconds"]),
        "options of its own" if budget == "own" else f"{budget} budget",
        f"commit {str(record['commit'])[:10]}" if record.get("commit") else "",
    ]
    facts = [
        ("Repeat", repeat),
        (
            "Options",
            ", ".join(f"{escape(str(k))}&nbsp;=&nbsp;{escape(_option(v))}" for k, v in options.items()),
        ),
        ("Experiment", _code([in_repository(record.get("module"))])),
        ("Functions", _code(row.functions if row else ())),
        ("Tests", _code(row.tests if row else ())),
        ("Measured", escape(", ".join(word for word in measured if word))),
    ]
    return (
        '<dl class="facts">'
        + "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in facts if v)
        + "</dl>"
    )


def _code(names: Sequence[str]) -> str:
    return " ".join(f"<code>{escape(name)}</code>" for name in names if name)


def _option(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(_option(v) for v in value) + ")"
    return str(value)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in text)
