"""What a person sees of claims: a line while each is measured, then verdicts with their effects."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from dlnotes.claims.report.wording import (
    beside_text,
    is_trial,
    learned_text,
    source_text,
    verdict_text,
)
from dlnotes.claims.rules import VERDICTS
from dlnotes.formatting import duration_in_words

if TYPE_CHECKING:
    from dlnotes.claims.measure import Opened
    from dlnotes.claims.reproduce import Done


def effect_in_words(effect: Mapping[str, Any]) -> str:
    """``"0.612 (0.597 to 0.627)"``, or ``"0.25 exactly"``; what is not finite is "not a number"."""
    value, low, high = (effect[k] for k in ("value", "low", "high"))
    if value is None:
        return "not a number"
    if effect["method"] == "exact":
        return f"{value:.4g} exactly"
    ends = ["unbounded" if v is None else f"{v:.4g}" for v in (low, high)]
    return f"{value:.4g} ({ends[0]} to {ends[1]})"


def record_text(record: Mapping[str, Any]) -> str:
    """A claim's record as plain text: its verdict, then each part with effect and rule."""
    lines = [f"{record['id']}  {record['title']}: {verdict_text(record)}"]
    for decides in (True, False):
        parts = [part for part in record["parts"] if part["decides"] == decides]
        if parts and not decides:
            lines.append(f"  {beside_text(record)}")
        for part in parts:
            lines += [
                f"  {part['verdict']:<6}  {part['statement']}",
                f"  {'':<6}  {part['what']}: {effect_in_words(part['effect'])}; holds if {part['rule']}",
                f"  {'':<6}  {source_text(part['source'])}",
            ]
            if part["why"]:
                lines.append(f"  {'':<6}  open: {part['why']}")
            if part["learned"]:
                lines.append(f"  {'':<6}  {learned_text(part['learned'])}")
    for name in ("method", "reading"):
        if record[name]:
            lines.append(f"  {name}: {record[name]}")
    budget = "options of its own" if record["budget"] == "own" else f"{record['budget']} budget"
    lines.append(f"{duration_in_words(record['seconds'])}, {budget}")
    if is_trial(record):
        lines.append("A trial: it shows that the claim can be measured, and decides nothing.")
    return "\n".join(lines)


def done_text(done: Done) -> str:
    """One line of a reproduction."""
    what = verdict_text(done.record) if done.record else done.state
    how = duration_in_words(done.seconds) if done.state == "measured" else done.state if done.record else ""
    return f"{done.opened.claim.id:<6} {what:<14}  {done.opened.name:<36} {how}".rstrip()


def summary_text(done: Sequence[Done], seconds: float) -> str:
    """How many claims had which verdict, and what could not be measured, with the reasons."""
    counts = Counter(d.record["verdict"] if d.record else d.state for d in done)
    parts = [f"{counts[v]} {v}" for v in (*VERDICTS, "no data", "failed") if counts[v]]
    trials = " (trials, no findings)" if any(d.record and is_trial(d.record) for d in done) else ""
    counted = f"{len(done)} claim{'' if len(done) == 1 else 's'}"
    lines = [f"{counted}: {', '.join(parts)}{trials}; {duration_in_words(seconds)}"]
    lines += [f"{d.opened.claim.id}: {d.message.strip().splitlines()[-1]}" for d in done if not d.record]
    return "\n".join(lines)


@contextmanager
def terminal(
    total: int, quiet: bool = False, stream: TextIO | None = None
) -> Iterator[tuple[Callable[[int, Opened], None], Callable[[Done], None]]]:
    """One display for all claims: a bar on a terminal, a line per claim elsewhere or when quiet.

    Yields:
      ``starting(index, claim)`` and ``ended(done)``.
    """
    out: TextIO = sys.stderr if stream is None else stream
    if quiet or not out.isatty():
        yield (lambda index, claim: None), lambda done: print(done_text(done), file=out, flush=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:.0f}/{task.total:.0f}  {task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=out), transient=True, redirect_stdout=False) as bars:
        task = bars.add_task("", total=total)

        def starting(index: int, claim: Opened) -> None:
            bars.update(task, completed=index, description=claim.name)

        def ended(done: Done) -> None:
            bars.console.print(done_text(done), highlight=False, markup=False)
            bars.advance(task)

        yield starting, ended
