"""Time and memory of heavy loads, as curves: many seeds, points, classes, rows, steps, nodes, runs.

    python scripts/stress/load.py                         # all cases, about an hour on two cores
    python scripts/stress/load.py --only seeds classes    # some of them
    python scripts/stress/load.py --largest 100           # sizes up to this only

Each size runs in a process of its own. A line tells its seconds and the most memory that it had;
``--output FOLDER`` writes load.csv and load.png there. The case "long" trains for 20,000 steps and tells the
memory and the open files at several moments.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SIZES = {
    "seeds": (10, 100, 1000),
    "points": (5, 50, 500),
    "classes": (100, 1000, 10_000),
    "rows": (10_000, 100_000, 1_000_000),
    "steps": (50, 500, 5000),
    "nodes": (20, 200, 2000),
    "runs": (2, 20, 200),
    "long": (20_000,),
}
"""Sizes of each case."""

_CHILD = """
import json, os, resource, sys, time
sys.path.insert(0, {here!r})
import load
begun = time.perf_counter()
told = load.CASES[{case!r}]({size}, {work!r})
seconds = time.perf_counter() - begun
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print("RESULT " + json.dumps({{"seconds": seconds, "memory": most, "told": told}}))
"""


def _config(**sections: Any) -> dict[str, Any]:
    base = {
        "name": "load",
        "data": {"kind": "two_moons", "n": 400},
        "model": {"kind": "mlp", "widths": [16]},
        "training": {"duration": "200 steps", "batch_size": 32},
        "output": {"figures": False},
    }
    found = dict(base)
    for name, options in sections.items():  # another kind of data or model has other options
        found[name] = options if "kind" in options else {**base.get(name, {}), **options}
    return found


def _run(work: str, dataset: Any = None, **sections: Any) -> None:
    from dlnotes.config import parse
    from dlnotes.experiment.run import run

    raw = _config(**sections)
    raw["output"]["directory"] = f"{work}/runs"
    run(parse(raw), dataset=dataset)


def _seeds(size: int, work: str) -> None:
    _run(work, training={"seeds": size})


def _points(size: int, work: str) -> None:
    rates = [0.001 * 1.01**i for i in range(size)]
    _run(work, sweep={"kind": "grid", "parameters": {"optimizer.learning_rate": rates}})


def _classes(size: int, work: str) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    y = np.arange(4 * size) % size
    x = rng.normal(size=(len(y), 16)).astype(np.float32)
    np.savez(f"{work}/classes.npz", x=x, y=y)
    _run(work, data={"kind": "npz", "path": f"{work}/classes.npz"})


def _rows(size: int, work: str) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    table = rng.normal(size=(size, 8))
    label = np.where(table[:, 0] > 0, "yes", "no")
    with open(f"{work}/rows.csv", "w", encoding="utf-8") as file:
        file.write(",".join("abcdefgh") + ",label\n")
        for row, name in zip(table, label):
            file.write(",".join(f"{v:.4f}" for v in row) + f",{name}\n")
    _run(work, data={"kind": "csv", "path": f"{work}/rows.csv", "target": "label"})


def _steps(size: int, work: str) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.normal(size=(128, size, 2)).astype(np.float32)
    np.savez(f"{work}/steps.npz", x=x, y=np.arange(128) % 2)
    _run(
        work,
        data={"kind": "npz", "path": f"{work}/steps.npz"},
        model={"kind": "sequence_classifier", "hidden": 16},
        training={"duration": "20 steps"},
    )


def _nodes(size: int, work: str) -> None:
    lines = [f"{'(1 (2 x) ' * (size // 2)}(1 y){')' * (size // 2)}" for _ in range(32)]
    lines += ["(2 (1 x) (2 y))"] * 32
    Path(f"{work}/trees.txt").write_text("\n".join(lines) + "\n")
    _run(
        work,
        data={"kind": "tree_file", "path": f"{work}/trees.txt"},
        model={"kind": "tree_net", "hidden": 16},
        training={"duration": "20 steps"},
    )


def _runs(size: int, work: str) -> None:
    import shutil

    from dlnotes.experiment.run import summary_of

    _run(work, training={"duration": "5 steps"})
    (first,) = Path(work, "runs", "load").iterdir()
    for i in range(size):
        shutil.copytree(first, first.with_name(f"20260101-000000-{i:06x}"))
    command = [sys.executable, "-m", "dlnotes", "list"]
    subprocess.run(command, cwd=work, check=True, capture_output=True)
    for folder in first.parent.iterdir():
        summary_of(folder)


def _long(size: int, work: str) -> list[dict[str, float]]:
    import os

    told: list[dict[str, float]] = []
    page = os.sysconf("SC_PAGE_SIZE")

    def watch(progress: Any) -> None:
        if progress.step >= len(told) * size // 10:
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * page
            files = len(list(Path("/proc/self/fd").iterdir()))
            told.append({"step": progress.step, "memory": resident, "files": files})

    from dlnotes.config import parse
    from dlnotes.experiment.run import run

    raw = _config(training={"duration": f"{size} steps", "evaluate_every": "500 steps"})
    raw["checkpoint"] = {"every": "1000 steps"}
    raw["output"]["directory"] = f"{work}/runs"
    run(parse(raw), watch=watch)
    return told


CASES = {
    "seeds": _seeds,
    "points": _points,
    "classes": _classes,
    "rows": _rows,
    "steps": _steps,
    "nodes": _nodes,
    "runs": _runs,
    "long": _long,
}


def measured(case: str, size: int) -> dict[str, Any]:
    """Seconds, memory and what a case tells, of a process of its own."""
    with tempfile.TemporaryDirectory(prefix="dlnotes-load-") as work:
        code = _CHILD.format(here=str(Path(__file__).parent), case=case, size=size, work=work)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not lines:
        raise RuntimeError(f"{case} of {size} ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(lines[0].removeprefix("RESULT "))


def draw(rows: list[tuple[str, int, float, float]], folder: Path) -> None:
    """The table and the curves of seconds and memory against size."""
    import csv

    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "load.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("case", "size", "seconds", "megabytes"), *rows])
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axis, column, label in zip(axes, (2, 3), ("seconds", "most memory (MB)")):
        for case in dict.fromkeys(row[0] for row in rows):
            own = [row for row in rows if row[0] == case]
            axis.plot([row[1] for row in own], [row[column] for row in own], "o-", label=case)
        axis.set(xscale="log", yscale="log", xlabel="size", ylabel=label)
    axes[0].legend(fontsize=8)
    figure.savefig(folder / "load.png", dpi=120)


def main() -> int:
    """Measure the cases that are asked for."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--only", nargs="*", choices=list(SIZES), default=list(SIZES), help="cases")
    parser.add_argument("--largest", type=int, default=10**9, help="largest size that is tried")
    parser.add_argument("--output", type=Path, help="folder for load.csv and load.png")
    options = parser.parse_args()
    rows = []
    for case in options.only:
        for size in (size for size in SIZES[case] if size <= options.largest):
            found = measured(case, size)
            rows.append((case, size, round(found["seconds"], 2), round(found["memory"] / 1e6)))
            print(f"{case:8} {size:9,} {rows[-1][2]:9.2f} s {rows[-1][3]:7,} MB", flush=True)
            for moment in found["told"] or ():
                memory, files = f"{moment['memory'] / 1e6:.0f} MB", f"{moment['files']} open files"
                print(f"  step {moment['step']:6}: {memory}, {files}")
    if options.output:
        draw(rows, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
