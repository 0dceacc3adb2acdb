"""From rates to medians of paired ratios, verdicts and a Markdown page. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple


class Spread(NamedTuple):
    """Median, smallest and largest of some values."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """Of the values, ``None`` when there are none."""
    return Spread(median(values), min(values), max(values)) if values else None


def paired_ratios(rates: Sequence[float], reference: Sequence[float]) -> list[float]:
    """``rates[i] / reference[i]``, round by round.

    Raises:
      ValueError: when both were measured, in a different number of rounds.
    """
    if not rates or not reference:
        return []
    if len(rates) != len(reference):
        raise ValueError(f"rates: got {len(rates)} rounds, the reference has {len(reference)}")
    return [a / b for a, b in zip(rates, reference)]


def ratio_to(results: dict[str, Any], variant: str, peer: str) -> Spread | None:
    """Spread of ``variant`` over ``peer``, ``None`` when one of them was not measured."""
    rates, reference = (results.get(name, {}).get("rates", []) for name in (variant, peer))
    return spread(paired_ratios(rates, reference))


def number(value: float) -> str:
    """Three significant digits or the whole part, without exponents."""
    if value >= 999.5:
        return f"{value:,.0f}".replace(",", " ")
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{digits}f}"


def spread_text(value: Spread | None) -> str:
    """``median [low–high]``."""
    if value is None:
        return "—"
    return f"{number(value.median)} [{number(value.low)}–{number(value.high)}]"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, the others to the right."""
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def summarize(results: dict[str, Any], reference: str) -> dict[str, Any]:
    """Add ``rate`` and ``ratio`` (`Spread` as dicts or ``None``) to each variant of a case."""
    for name, result in results.items():
        for key, value in (("rate", spread(result["rates"])), ("ratio", ratio_to(results, name, reference))):
            result[key] = value._asdict() if value else None
    return results


def keep(document: dict[str, Any], earlier: dict[str, Any]) -> None:
    """Take the results of an earlier run into ``document``, each with when it was measured."""
    then = {"date": earlier["date"], "load": earlier["machine"]["load"], "cpu": earlier["machine"]["cpu"]}
    then |= {k: earlier["settings"][k] for k in ("rounds", "seconds")}
    names = [*earlier["cases"], *(["first_step"] if earlier["first_step"] else [])]
    document["measured"] = {name: then for name in names} | earlier.get("measured", {})
    for key in ("cases", "first_step", "versions"):
        document[key] = dict(earlier[key])


def _when(document: dict[str, Any], name: str) -> list[str]:
    """A line for a case that an earlier run measured."""
    then = document.get("measured", {}).get(name)
    now = {"date": document["date"], "load": document["machine"]["load"], "cpu": document["machine"]["cpu"]}
    now |= {k: document["settings"][k] for k in ("rounds", "seconds")}
    if then is None or then == now:
        return []
    return [
        f"Measured on {then['date']}, {then['cpu']}: {then['rounds']} rounds of {then['seconds']:g} s, "
        f"load before {then['load']:.2f}.\n"
    ]


def judge(bars: Sequence[Any], cases: dict[str, Any], first_step: dict[str, Any]) -> list[dict[str, Any]]:
    """A verdict per bar: "met", "missed" or "not measured".

    The median decides; the spread is there for the reader.
    """
    verdicts = []
    for bar in bars:
        if bar.kind == "ratio":
            value = ratio_to(cases.get(bar.case, {}), "ours", bar.peer)
            met = value is not None and value.median >= bar.value
            text = f"{bar.case}: ours ≥ {bar.value:g} × {bar.peer}"
        else:
            ours = first_step.get(bar.case, {}).get("ours", {})
            value = None if ours.get("error") else spread(ours.get("warm", []))
            met = value is not None and value.median <= bar.value
            text = f"{bar.case}: first step, warm cache, ≤ {bar.value:g} s"
        verdicts.append(
            {
                "bar": text,
                "value": value._asdict() if value else None,
                "verdict": "not measured" if value is None else "met" if met else "missed",
            }
        )
    return verdicts


def short(error: str, width: int = 160) -> str:
    """One line of an error for a table."""
    line = " ".join(error.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def _swept(document: dict[str, Any], title: str) -> list[str]:
    """One table for the cases of a sweep: the rates, and the ratio of ours to the first variant."""
    cases = {k: v for k, v in document["cases"].items() if document["sweeps"].get(k) == title}
    variants = list(dict.fromkeys(v for case in cases.values() for v in case))
    name = next(iter(cases))
    rows = []
    for key, case in cases.items():
        rates = [case.get(v, {}).get("rate") for v in variants]
        ratio = ratio_to(case, "ours", variants[0])
        rows.append(
            [
                document["titles"][key],
                *(number(rate["median"]) if rate else "—" for rate in rates),
                spread_text(ratio),
            ]
        )
    header = ("", *(f"{v}, {document['units'][name]}" for v in variants), f"ours / {variants[0]}")
    return [f"## {title}\n", *_when(document, name), table(header, rows)]


def markdown(document: dict[str, Any]) -> str:
    """The page of a whole run (``results.json``'s content)."""
    machine, settings = document["machine"], document["settings"]
    versions = ", ".join(f"{k} {v}" for k, v in sorted(document["versions"].items()))
    parts = [
        "# Benchmarks\n",
        f"{document['date']}. {machine['cpu']}, {machine['cores']} cores, {machine['system']}; {versions}. "
        f"float32, CPU only; load before the run {machine['load']:.2f}.\n",
        f"Each variant runs in its own process; {settings['rounds']} interleaved rounds of "
        f"{settings['seconds']:g} s. Forward, backward and update, data in memory. All start from the same "
        f"weights and gave the same first {settings['check_steps']} losses to {settings['tolerance']:g} "
        f"relative before they were timed. Ratios are to {settings['reference']}, round by round: median "
        "[smallest–largest].\n",
    ]
    if machine["load"] > 0.5:
        parts.append("**The machine was busy before the run: the ratios may be off.**\n")
    if settings["rounds"] < 5 or settings["seconds"] < 1:
        parts.append("**A short trial run: these are not measurements.**\n")
    if document["bars"]:
        rows = [
            [
                bar["bar"],
                spread_text(Spread(**bar["value"]) if bar["value"] else None),
                bar["verdict"],
            ]
            for bar in document["bars"]
        ]
        parts += ["## Bars\n", table(("bar", "measured", "verdict"), rows)]
    sweeps = document.get("sweeps", {})
    for name, case in document["cases"].items():
        if name in sweeps:
            continue
        parts.append(f"## {name}: {document['titles'][name]}\n")
        parts += _when(document, name)
        if name in document.get("notes", {}):
            parts.append(document["notes"][name] + "\n")
        rows = []
        for variant, result in case.items():
            if result["error"]:
                rows.append([variant, "—", "—", short(result["error"])])
                continue
            rate, ratio = (Spread(**result[k]) if result[k] else None for k in ("rate", "ratio"))
            rows.append(
                [
                    variant,
                    number(rate.median) if rate else "—",
                    spread_text(ratio),
                    f"{result['difference']:.0e}",
                ]
            )
        parts.append(table(("variant", document["units"][name], "ratio", "loss difference"), rows))
    for title in dict.fromkeys(sweeps[name] for name in document["cases"] if name in sweeps):
        parts += _swept(document, title)
    if document["first_step"]:
        parts.append("## First step\n")
        parts += _when(document, "first_step")
        parts.append(
            "Seconds from the call to the loss of the first step, in fresh processes: with an empty "
            "compilation cache, then with the one just filled. The import comes before and is not included.\n"
        )
        rows = []
        for case, results in document["first_step"].items():
            for variant, result in results.items():
                if result["error"]:
                    rows.append([f"{case} {variant}", "—", "—", short(result["error"])])
                else:
                    rows.append(
                        [f"{case} {variant}"]
                        + [spread_text(spread(result[k])) for k in ("import", "cold", "warm")]
                    )
        parts.append(table(("", "import", "cold", "warm"), rows))
    return "\n".join(parts)
