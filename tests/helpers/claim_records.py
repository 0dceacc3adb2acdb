"""Made-up records of measured claims, as the summaries of claim runs hold them."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from dlnotes.claims import Above, Below, Within
from dlnotes.plotting import BLUE, ORANGE, new_figure, set_title

VERDICTS = {
    "F1.2": "holds",
    "F1.4": "fails",
    "F1.5": "open",
    "F2.1": "holds",
    "F2.8": "holds",
    "F2.9": "fails",
    "F3.3": "holds",
    "F3.4": "open",
    "F4.3": "holds",
    "F4.5b": "fails",
    "F5.2": "holds",
    "own_claim": "holds",
}


def part(name: str, rule: Above | Below | Within, value, low, high, **changes) -> dict[str, Any]:
    """One part, judged by its rule."""
    return {
        "name": name,
        "statement": f"What is held to be true of {name}, in a sentence that is long enough to be broken.",
        "source": {"who": "notes", "where": "funcionamiento básico", "says": "It depends on the start."},
        "decides": True,
        "rule": str(rule),
        "verdict": "holds",
        "why": "",
        "what": "share of starts that solve the task, width 2, plain descent",
        "effect": {"value": value, "low": low, "high": high, "n": 4096, "method": "Wilson, 95%"},
        "learned": None,
    } | changes


def record(id: str = "F1.4", **changes) -> dict[str, Any]:
    """One record; ``changes`` replace keys."""
    verdict = VERDICTS.get(id, "holds")
    why = "the interval crosses the threshold" if verdict == "open" else ""
    learned = {
        "what": "training accuracy, %",
        "effect": {"value": 99.2, "low": 99.2, "high": 99.2, "n": 1, "method": "exact"},
        "rule": str(Above(95)),
        "holds": True,
    }
    parts = [
        part(
            "two units are not enough",
            Below(0.95),
            0.6123,
            0.5912,
            0.6203,
            verdict=verdict,
            why=why,
            learned=learned,
        ),
        part("more units help", Within(0.9, 1.0), 0.97, 0.93, 0.99),
        part(
            "it agrees with the closed form",
            Below(1e-5),
            2.4e-7,
            2.4e-7,
            2.4e-7,
            what="largest deviation",
            source={"who": "ours", "where": "", "says": "Rounding must not decide."},
            decides=False,
            effect={"value": 2.4e-7, "low": 2.4e-7, "high": 2.4e-7, "n": 1, "method": "exact"},
        ),
    ]
    return {
        "kind": "claim",
        "id": id,
        "title": f"Whether {id} is learned depends on where descent starts",
        "section": "funcionamiento básico",
        "statement": "The point of convergence depends on the initial values of the parameters.",
        "source": "notes, «funcionamiento básico»; Goodfellow et al. 2016, 6.1",
        "verdict": verdict,
        "why": why,
        "decided_by": "notes",
        "parts": parts,
        "method": "Networks of two to 16 units, plain descent on XOR from 4,096 starts.",
        "reading": "Wide nets solve it from nearly every start & narrow ones do not.",
        "revised": "",
        "name": f"{id}_starts",
        "config": f"configs/claims/{id}_starts.toml",
        "module": "experiments/feedforward/starts.py",
        "options": {"seeds": 10, "starts": 4096, "rates": [0.1, 0.3], "noise": 1e-5},
        "seeds": 10,
        "seconds": 31.2,
        "budget": "full",
        "measured": "2026-11-24T02:40:00+00:00",
        "figure": f"figures/{id}_starts.png",
        "numbers": f"figures/{id}_starts.csv",
        "commit": "0123456789abcdef",
        "fingerprint": "abc",
        "versions": {"python": "3.11.2", "jax": "0.10.2"},
        "platform": "Linux-6.1-x86_64",
        "processors": 2,
    } | changes


def records() -> list[dict[str, Any]]:
    """A dozen, of every verdict."""
    return [record(id) for id in VERDICTS]


def draw_figures(folder: Path, found: list[dict[str, Any]]) -> None:
    """A figure and a table for each, where the records say they are."""
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for i, each in enumerate(found):
        rng = np.random.default_rng(i)
        widths = np.array([2, 3, 4, 8, 16])
        shares = np.sort(rng.uniform(0.3, 1.0, (2, 5)), axis=1)
        figure = new_figure(7, 4)
        axes = figure.add_subplot()
        for label, color, y in zip(("SGD", "Adam"), (BLUE, ORANGE), shares):
            axes.plot(widths, y, "o-", color=color, label=label)
            axes.fill_between(widths, y - 0.05, y + 0.05, color=color, alpha=0.2)
        axes.set(xlabel="hidden units", ylabel="share of starts that solve it", ylim=(0, 1.1))
        axes.legend(loc="lower right")
        set_title(figure, f"{each['id']}: a made-up figure")
        figure.savefig(folder / each["figure"], dpi=120)
        with open(folder / each["numbers"], "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["width", "optimizer", "share", "<odd> & name"])
            for name, y in zip(("sgd", "adam"), shares):
                writer.writerows([w, name, f"{v:.7g}", "<b>"] for w, v in zip(widths, y))


def finder(folder: Path):
    """``files`` of the report, for records whose paths are relative to one folder."""

    def files(each, which):
        return folder / each[which] if each.get(which) else None

    return files
