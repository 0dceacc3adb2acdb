"""What a person sees of a run: progress while it goes, a table of results when it has ended."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

from dlnotes.cli.streams import Steady
from dlnotes.experiment.bars import Clock, bar_watch, columns, facts
from dlnotes.experiment.summary import best_point, chosen_on
from dlnotes.formatting import (
    LARGER,
    bare_metric,
    choice_in_words,
    duration_in_words,
    interval_in_words,
    measured_in_words,
    metric_in_words,
    value_in_words,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dlnotes.experiment.progress import Progress, Watch


PLAIN_SECONDS = 10.0
"""A plain line at least this often, and at an evaluation no sooner than a fifth of it."""

MOST_ROWS = 40
"""Sweep points shown in a table; summary.json has them all."""


@contextmanager
def terminal(quiet: bool = False, stream: TextIO | None = None, *, groups: int = 1) -> Iterator[Watch]:
    """A live bar on a terminal, plain lines elsewhere or when quiet.

    Args:
      quiet: plain lines even on a terminal.
      stream: where; stderr by default.
      groups: compiled programs that are trained one after another.

    Yields:
      A `Watch` for `dlnotes.experiment.run.run`.
    """
    out: TextIO = sys.stderr if stream is None else stream
    if quiet or not out.isatty():
        yield Plain(out, groups=groups)
        return
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(
        *columns(),
        console=Console(file=cast(TextIO, Steady(out))),
        transient=True,
        refresh_per_second=8,
        redirect_stdout=False,
    ) as bars:

        def message(text: str) -> None:
            bars.console.print(text, style="yellow", highlight=False, markup=False)

        yield bar_watch(bars, groups, message, width=lambda: bars.console.width)


class Plain:
    """A `Watch` that writes a line per evaluation, or every `PLAIN_SECONDS`, and every message.

    Args:
      stream: a text stream; when it is closed from the other side, nothing more is written.
      groups: compiled programs that are trained one after another.
      clock: seconds, for tests.
    """

    def __init__(self, stream: TextIO, *, groups: int = 1, clock: Callable[[], float] = time.monotonic):
        self.stream, self.clock, self.counted = stream, clock, Clock(groups)
        self.evaluated: dict[str, float] = {}
        self.written = -math.inf

    def __call__(self, progress: Progress) -> None:
        now = self.clock()
        begins = self.counted.see(progress, now)
        if progress.message:
            self._write(progress.message)
            return
        evaluated = {k: v for k, v in progress.metrics.items() if k.startswith("validation")}
        news = evaluated != self.evaluated
        silent = now - self.written
        end = progress.step == progress.total
        if not (begins or end or silent >= PLAIN_SECONDS or (news and silent >= PLAIN_SECONDS / 5)):
            return
        self.evaluated, self.written = evaluated, now
        which = f"group {self.counted.group}/{self.counted.groups}  " if self.counted.groups > 1 else ""
        stage = f"{progress.stage}  " if progress.stage else ""
        where = f"{which}{stage}step {progress.step}/{progress.total}  epoch {progress.epoch:.1f}"
        self._write("  ".join([where, *(facts(progress, self.counted) if progress.step else ["compiling"])]))

    def _write(self, line: str) -> None:
        try:
            print(line, file=self.stream, flush=True)
        except (OSError, ValueError):  # nobody reads: the run is worth more than its lines
            self.stream = _Nowhere()


class _Nowhere:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


def _table(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]], int | None]:
    """Header, rows and the position of the best row of a sweep's table."""
    from dlnotes.experiment.summary import headline

    points = summary["points"]
    best = best_point(points)
    parameters = list(points[0]["values"])
    shown = next((h for h in map(headline, points) if h is not None), None)
    split, metric = shown[:2] if shown else ("test", "loss")
    header = [*parameters, f"{split} {metric}", "95% interval", "seeds", f"{split} loss", "failed"]
    if metric == "loss":
        header.pop(-2)
    if parameters:
        header.insert(-1, "point")
    header = [h.replace("_", " ") if h not in parameters else h for h in header]
    order = list(range(len(points)))
    if len(order) > MOST_ROWS:
        order.sort(key=lambda i: (i != best, _rank(points[i], split, metric)))
        order = order[:MOST_ROWS]
    rows = []
    for i in order:
        measured = points[i]["metrics"].get(split, {}).get(metric)
        if measured is None:
            continue
        finite = [v for v in measured["values"] if v is not None and math.isfinite(v)]
        interval = interval_in_words(metric, measured)
        row = [choice_in_words(points[i]["values"][p]) for p in parameters]
        row += [value_in_words(metric, measured["mean"]), interval, str(len(finite))]
        if metric != "loss":
            row.append(value_in_words("loss", points[i]["metrics"][split]["loss"]["mean"]))
        if parameters:
            row.append(str(points[i].get("point", i)))
        rows.append([*row, str(len(measured["values"]) - len(finite) or "")])
    if not any(row[-1] for row in rows):
        header, rows = header[:-1], [row[:-1] for row in rows]
    return header, rows, order.index(best) if best is not None else None


def _rank(point: Mapping[str, Any], split: str, metric: str) -> float:
    value = point["metrics"].get(split, {}).get(metric, {}).get("mean")
    if value is None or not math.isfinite(value):
        return math.inf
    return -value if bare_metric(metric) in LARGER else value


def _lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A single point's metrics, the headline's split first."""
    found = []
    for split in ("test", "validation", "train"):
        metrics = summary["points"][0]["metrics"].get(split, {})
        for metric, measured in sorted(metrics.items()):
            if metric.startswith("load_"):  # one an expert; "experts used" is what they come to
                continue
            found.append((f"{split} {metric_in_words(metric, metrics)}", measured_in_words(metric, measured)))
    return found


def _about(summary: Mapping[str, Any]) -> list[str]:
    """How the run ended, what failed, how long it took and where it ran."""
    lines = []
    for point in summary["points"]:
        at = "".join(f", {p} = {choice_in_words(v)}" for p, v in point["values"].items())
        for stop in point["stopped"]:
            if stop["reason"].startswith("non-finite"):
                lines.append(f"seed {stop['seed']}{at} failed at step {stop['step']}: {stop['reason']}")
    if len(lines) > 5:
        lines[5:] = [f"and {len(lines) - 5} more failed, see summary.json"]
    lines += _pretraining(summary)
    if record := summary.get("baselines"):
        from dlnotes.experiment.comparison import comparison_in_words

        lines += comparison_in_words(record)
    lines += dict.fromkeys(
        f"started from {one['run']}" for one in summary.get("start", ()) if one is not None
    )
    rate = max(summary["examples_per_second"], default=0.0)
    speed = [f"{rate:,.0f} examples/s"] if rate else []
    where = list(dict.fromkeys(summary["placement"]))
    lines.append("; ".join([duration_in_words(summary["seconds"]), *speed, *where]))
    return lines


def _pretraining(summary: Mapping[str, Any]) -> list[str]:
    """What was learned before the training: a line for each layer, of the first group that has any."""
    found = [one for one in summary.get("pretraining", ()) if one is not None]
    if not found:
        return []
    lines = [f"pretrained on {found[0]['examples']:,} examples in {duration_in_words(found[0]['seconds'])}"]
    for layer in found[0]["layers"]:
        measured = layer["metrics"].get("reconstruction")
        error = f", squared error {measured['mean']:.4g}" if measured and measured["mean"] is not None else ""
        gone = [f"seed {s['seed']} stopped at step {s['step']}: {s['reason']}" for s in layer["stopped"]]
        what = f"  layer {layer['layer']}: {layer['kind']}, {layer['inputs']} to {layer['units']}{error}"
        lines.append("; ".join([what, *gone[:3]]))
    return lines


def _chosen_on(summary: Mapping[str, Any]) -> str:
    split = chosen_on(summary["points"])
    return "the training part, there is none for validation" if split == "train" else str(split)


def results_text(summary: Mapping[str, Any]) -> str:
    """The results of a run as plain text.

    Args:
      summary: the content of summary.json.
    """
    if len(summary["points"]) == 1 and not summary["points"][0]["values"]:
        pairs = _lines(summary)
        width = max((len(name) for name, _ in pairs), default=0)
        return "\n".join([*(f"{name:<{width}}  {text}" for name, text in pairs), *_about(summary)])
    header, rows, best = _table(summary)
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    table = [
        mark + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths)).rstrip()
        for mark, row in [("  ", header), *(("* " if i == best else "  ", r) for i, r in enumerate(rows))]
    ]
    return "\n".join([*table, *_after_table(summary, len(rows)), *_about(summary)])


def _after_table(summary: Mapping[str, Any], shown: int) -> list[str]:
    count = len(summary["points"])
    more = f"; the {shown} best of {count} points" if shown < count else ""
    if best_point(summary["points"]) is None:
        return [f"no point can be called the best{more}"]
    return [f"* best of the sweep, chosen on {_chosen_on(summary)}{more}"]


def results_table(summary: Mapping[str, Any]) -> RenderableType:
    """The results of a run for a terminal.

    Args:
      summary: the content of summary.json.
    """
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    about = [Text(line, style="dim") for line in _about(summary)]
    if len(summary["points"]) == 1 and not summary["points"][0]["values"]:
        plain = Table(box=None, show_header=False, pad_edge=False)
        for i, (name, text) in enumerate(_lines(summary)):
            plain.add_row(Text(name), Text(text, style="bold" if i == 0 else ""))
        return Group(plain, *about)
    header, rows, best = _table(summary)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", *header):
        table.add_column(name)
    for i, row in enumerate(rows):
        mark = Text("*" if i == best else "")
        table.add_row(mark, *map(Text, row), style="bold green" if i == best else "")
    notes = [Text(line, style="dim") for line in _after_table(summary, len(rows))]
    return Group(table, *notes, *about)
