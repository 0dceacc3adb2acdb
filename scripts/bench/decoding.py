"""How long a training waits for pictures that are decoded as they are used.

    python scripts/bench/decoding.py                     # folder and shards, in threads and in processes

20,000 pictures (PNG, 32 × 32, color) train a CNN for two epochs: once held in memory, then read from their
files. Told are the milliseconds of a step, by how much that is more than from memory (the decoding takes the
same cores), and the share of the time in which the training does nothing but wait for its next batches. Each
way runs in a process of its own, several times in turn; medians are compared.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PICTURES, SIZE, CLASSES = 20_000, 32, 10
BATCH, EPOCHS = 128, 2
WAYS = {
    "memory": ("image_folder", True, 0),
    "folder, threads": ("image_folder", False, 0),
    "shards, threads": ("image_shards", False, 0),
    "folder, 2 processes": ("image_folder", False, 2),
    "shards, 2 processes": ("image_shards", False, 2),
}
"""Of each: kind of data, whether they are held in memory, and worker processes."""


def make(work: Path) -> None:
    """The pictures as a folder and as ten shards: a bright square on noise, its place tells the class."""
    rng = np.random.default_rng(0)
    names = [work / f"shard-{i}.tar" for i in range(10)]
    with ExitStack() as opened:
        write(work, rng, [opened.enter_context(tarfile.open(name, "w")) for name in names])


def write(work: Path, rng: np.random.Generator, shards: list[tarfile.TarFile]) -> None:
    """Each picture into its folder and one of the shards."""
    for name in range(CLASSES):
        (work / "folder" / str(name)).mkdir(parents=True)
    for i in range(PICTURES):
        label = i % CLASSES
        pixels = rng.integers(0, 160, (SIZE, SIZE, 3), dtype=np.uint8)
        row, column = divmod(label, 4)
        pixels[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += 90
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "png")
        (work / "folder" / str(label) / f"{i:05}.png").write_bytes(buffer.getvalue())
        for ending, content in ((".png", buffer.getvalue()), (".cls", str(label).encode())):
            info = tarfile.TarInfo(f"{i:05}{ending}")
            info.size = len(content)
            shards[i % 10].addfile(info, io.BytesIO(content))


def measured(work: Path, way: str) -> tuple[float, float]:
    """Seconds of a step once the training runs, and the share of them that it waits."""
    from dlnotes.config import parse
    from dlnotes.data import in_file
    from dlnotes.experiment.run import run
    from dlnotes.training.ahead import Ahead

    kind, held, workers = WAYS[way]
    if not held:
        in_file.MOST = 0
    steps = EPOCHS * (PICTURES * 8 // 10) // BATCH
    every = steps // 6
    times: list[tuple[int, float]] = []
    waits: list[tuple[float, float]] = []  # when each ended, and its seconds
    take = Ahead.take

    def timed(self: Any, *arguments: Any, **options: Any) -> Any:
        begun = time.perf_counter()
        found = take(self, *arguments, **options)
        waits.append((time.perf_counter(), time.perf_counter() - begun))
        return found

    Ahead.take = timed  # type: ignore[method-assign]

    def watch(progress: Any) -> None:
        if not times or progress.step > times[-1][0]:
            times.append((progress.step, time.perf_counter()))

    path = work / "folder" if kind == "image_folder" else work / "shard-*.tar"
    data = {"kind": kind, "path": str(path), "size": [SIZE, SIZE], "validation": 0.1, "test": 0.1}
    training = {"duration": f"{steps} steps", "evaluate_every": f"{steps} steps", "log_every": every}
    sections = {
        "name": "decoding",
        "data": data,
        "model": {"kind": "cnn", "channels": [32, 64], "dense": [128]},
        "optimizer": {"kind": "adam", "learning_rate": 0.001},
        "training": {**training, "batch_size": BATCH},
        "devices": {"workers": workers},
        "output": {"figures": False, "directory": str(work / "runs")},
    }
    run(parse(sections), watch=watch)
    inner = [t for t in times if every <= t[0] < steps]
    begin, end = inner[0][1], inner[-1][1]
    waited = sum(wait for at, wait in waits if begin < at <= end)
    return (end - begin) / (inner[-1][0] - inner[0][0]), waited / (end - begin)


def main() -> None:
    """Measure every way in turn and print what the files cost."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--rounds", type=int, default=3, help="of all ways")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print("RESULT", json.dumps(measured(Path(options.one[0]), options.one[1])))
        return
    with tempfile.TemporaryDirectory(prefix="dlnotes-decoding-") as work:
        make(Path(work))
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
        for _ in range(options.rounds):
            for way in WAYS:
                command = [sys.executable, __file__, "--one", work, way]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                last = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
                if not last:
                    raise RuntimeError(f"{way}: {done.stderr[-2000:]}")
                found[way].append(json.loads(last[0].removeprefix("RESULT ")))
    base = statistics.median(step for step, _ in found["memory"])
    for way, runs in found.items():
        steps, waits = zip(*runs)
        middle = statistics.median(steps)
        spread = f"{1000 * min(steps):.1f} to {1000 * max(steps):.1f}"
        print(
            f"{way:20} {1000 * middle:6.1f} ms a step ({spread}), {middle / base - 1:+6.1%}, "
            f"waiting {statistics.median(waits):5.1%} of the time"
        )


if __name__ == "__main__":
    main()
