"""What is said of a network beside its baselines: a line or two after a run, a table when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlnotes.experiment.summary import better
from dlnotes.formatting import bare_metric, value_in_words

FEW = 1000
"""Examples below which their number is said beside a comparison, which a few of them may decide."""


def comparison_in_words(record: Mapping[str, Any]) -> list[str]:
    """The baselines of a run in a line, best first, and a second line where the net is not ahead of them.

    Args:
      record: of `compare`, as in summary.json under "baselines".
    """
    metric = record.get("metric")
    if metric is None:
        return [f"no baselines: {record.get('why') or _reasons(record)}"]
    sign = 1 if better(metric) == "max" else -1
    able = [row for row in record["baselines"] if metric in row["metrics"]]
    able.sort(key=lambda row: -sign * row["metrics"][metric])
    told = ", ".join(f"{row['name']} {value_in_words(metric, row['metrics'][metric])}" for row in able)
    lines = [f"baselines, {record['split']} {metric.replace('_', ' ')}: {told}{_drawn_in_words(record)}"]
    if reasons := _reasons(record):
        lines.append(f"baselines not computed: {reasons}")
    if record["ahead"] is False:
        value = value_in_words(metric, record["net"])
        best = next(row for row in able if row["name"] == record["best"])
        other = value_in_words(metric, best["metrics"][metric])
        few = f" ({n} examples)" if (n := record["measured_on"]) < FEW else ""
        lines.append(f"not ahead of its baselines: {best['name']} {other}, the net {value}{few}")
    return lines


def _reasons(record: Mapping[str, Any]) -> str:
    return "; ".join(f"{row['name']} ({row['why']})" for row in record["baselines"] if row.get("why"))


def _drawn_in_words(record: Mapping[str, Any]) -> str:
    told = []
    if record["fitted_on"] < record["training_examples"]:
        told.append(f"fitted on {record['fitted_on']:,} of {record['training_examples']:,} examples")
    if record["measured_on"] < record["examples"]:
        told.append(f"measured on {record['measured_on']:,} of {record['examples']:,}")
    return f" ({', '.join(told)})" if told else ""


def table_in_words(record: Mapping[str, Any]) -> str:
    """All metrics of all baselines, the best first, and whether the net is ahead of them.

    Args:
      record: of `dlnotes.experiment.baselines.compare`.
    """
    metric = record.get("metric")
    sign = 0 if metric is None else 1 if better(metric) == "max" else -1
    able = [row for row in record["baselines"] if row["metrics"]]
    able.sort(key=lambda row: -sign * row["metrics"].get(metric, 0.0))
    names = list(dict.fromkeys(name for row in able for name in row["metrics"]))
    names.sort(key=lambda name: (name != metric, bare_metric(name) == "loss"))
    lines = [["baseline", *(name.replace("_", " ") for name in names), "what it is"]]
    lines += [
        [row["name"], *(value_in_words(n, row["metrics"].get(n)) for n in names), row["about"]]
        for row in able
    ]
    widths = [max(map(len, column)) for column in zip(*lines)]
    told = ["  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths)).rstrip() for line in lines if able]
    return "\n".join([*told, *_below(record)])


def _below(record: Mapping[str, Any]) -> list[str]:
    if record.get("metric") is None:
        return comparison_in_words(record)
    lines = [note] if (note := _drawn_in_words(record).strip(" ()")) else []
    if reasons := _reasons(record):
        lines.append(f"not computed: {reasons}")
    return [*lines, *(ahead_in_words(record) if record["ahead"] else comparison_in_words(record)[-1:])]


def ahead_in_words(record: Mapping[str, Any]) -> list[str]:
    """A line that says by how much the net is ahead of the best baseline."""
    metric = record["metric"]
    best = next(row for row in record["baselines"] if row["name"] == record["best"])
    value, other = (value_in_words(metric, v) for v in (record["net"], best["metrics"][metric]))
    name = metric.replace("_", " ")
    return [f"ahead of its baselines: {name} {value}, the best of them ({best['name']}) {other}"]
