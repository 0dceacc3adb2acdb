"""Whole processes, from the command to its end, files and figures included.

``python -m scripts.bench.whole``: what people type, beside the quickstart as one would write it by hand in
flax. All commands run in turn, a round after the other, each in a process of its own, with warm caches; the
first round, which fills them, is left out. A ratio is the median over rounds of that within a round, with
the smallest and the largest.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PLAIN, PLAIN_COLD = "plain flax", "plain flax, no cache"
SHORT = ("run", "quickstart", "training.duration=2 epochs")
OURS = {
    "quickstart, 2 epochs, 1 seed": (*SHORT, "training.seeds=1"),
    "quickstart, 2 epochs, 8 seeds": SHORT,
    "the same, 1 seed, no figures, no baselines": (
        *SHORT, "training.seeds=1", "output.figures=false", "output.baselines=no",
    ),
    "--help": ("--help",),
    "list": ("list",),
    "run quickstart": ("run", "quickstart"),
    "run own_data": ("run", "own_data"),
    "run families/lstm_reber": ("run", "families/lstm_reber"),
    "run families/tree_lstm_list_ops": ("run", "families/tree_lstm_list_ops"),
    "run families/mlp_breast_cancer": ("run", "families/mlp_breast_cancer"),
    "reproduce F1 --budget quick": ("reproduce", "F1", "--budget", "quick"),
}  # fmt: skip


class Bar(NamedTuple):
    """The time of ours over that of the plain script is at most ``most``."""

    ours: str
    peer: str
    most: float


BARS = (
    Bar("quickstart, 2 epochs, 1 seed", PLAIN, 1.0),
    Bar("quickstart, 2 epochs, 8 seeds", PLAIN, 1.2),
    Bar("quickstart, 2 epochs, 1 seed", PLAIN_COLD, 1.0),
    Bar("quickstart, 2 epochs, 8 seeds", PLAIN_COLD, 1.2),
)


def seconds(name: str, folder: Path) -> float:
    """Run a command in an empty folder; its caches are beside."""
    work = Path(tempfile.mkdtemp(dir=folder))
    env = os.environ | {"PYTHONPATH": str(ROOT), "DLNOTES_CACHE": str(folder / "cache")}
    if name in OURS:
        command = [sys.executable, "-c", "from dlnotes.cli.main import main; main()", *OURS[name]]
    else:
        command = [sys.executable, str(ROOT / "scripts/bench/peers/plain_flax.py"), str(work)]
        if name == PLAIN:
            env |= {"JAX_COMPILATION_CACHE_DIR": str(folder / "flax")}
            env |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    start = time.perf_counter()
    done = subprocess.run(command, cwd=work, env=env, capture_output=True, text=True)
    elapsed = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{name}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return elapsed


def told(values: list[float]) -> str:
    """Median and the ends, three digits."""
    return f"{statistics.median(values):.3g} [{min(values):.3g}–{max(values):.3g}]"


def page(found: dict[str, list[float]], load: float) -> str:
    """The results as Markdown."""
    lines = [
        "# Whole processes",
        "",
        f"{platform.processor() or platform.machine()}, {cpu()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}; load before {load:.2f}; {len(found[PLAIN])} rounds with warm caches. "
        "Made by `python -m scripts.bench.whole`. The plain script trains the quickstart's network for two "
        "epochs with one seed and draws one figure; it keeps no run folder, compares with no baseline and "
        f"draws no other figure. “{PLAIN}” has jax's cache of compiled programs, which one must turn on.",
        "",
        "| command | seconds |",
        "|---|---:|",
        *(f"| {name} | {told(values)} |" for name, values in found.items()),
        "",
        "| bar | measured | verdict |",
        "|---|---:|---|",
    ]
    for bar in BARS:
        ratio = [a / b for a, b in zip(found[bar.ours], found[bar.peer])]
        verdict = "met" if statistics.median(ratio) <= bar.most else "missed"
        lines.append(f"| {bar.ours} ≤ {bar.most:.1f} × {bar.peer} | {told(ratio)} | {verdict} |")
    return "\n".join(lines) + "\n"


def cpu() -> str:
    """The processor's name."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return "unknown processor"
    return next((line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line), "")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "scripts/bench")
    args = parser.parse_args()
    names, load = [PLAIN, PLAIN_COLD, *OURS], os.getloadavg()[0]
    found: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        for index in range(args.rounds + 1):
            for name in names:
                taken = seconds(name, Path(folder))
                print(f"round {index}: {name}: {taken:.2f} s", flush=True)
                if index:
                    found[name].append(taken)
    (args.out / "WHOLE.md").write_text(page(found, load), encoding="utf-8")
    (args.out / "whole.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
