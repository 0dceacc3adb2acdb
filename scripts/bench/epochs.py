"""Epochs of learners 784-500 against peers: each way in a process of its own, in interleaved rounds.

A ratio is the median over rounds of the ratio within a round, with the smallest and the largest. The fastest
product of square matrices is measured in the same rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scripts.bench.driver import machine

ROWS, INPUTS, UNITS, BATCH, MEMBERS = 20_000, 784, 500, 100, 10
OPERATIONS = 5 * 2 * INPUTS * UNITS * ROWS
"""Of the five products of each step over an epoch, two for each multiply-add."""
MANY = "ours, ten seeds"


class Bench(NamedTuple):
    """What is compared.

    Attributes:
      module: whose ``--one WAY`` runs one way, for ``python -m``.
      title: of the report.
      make: by its name what makes a way ready; what that gives runs one epoch. The first is "ours".
      peers: who is to be beaten.
    """

    module: str
    title: str
    make: dict[str, Callable[[], Callable[[], Any]]]
    peers: tuple[str, ...]


def pixels() -> np.ndarray:
    """``(20,000, 784)`` in [0, 1], a fifth of it not 0, as of handwritten digits."""
    rng = np.random.default_rng(0)
    bright = rng.random((ROWS, INPUTS), np.float32)
    return np.where(rng.random((ROWS, INPUTS)) < 0.2, bright, np.float32(0)).astype(np.float32)


def ours(learner: Any, members: int) -> Callable[[], None]:
    """The library's training of a learner, one call an epoch; several seeds on a device for each core.

    ``dlnotes`` divides seeds over so many devices too: a seed's products are then of one core, and no core
    waits for another between them.
    """
    from dlnotes.devices.prepare import cpu_count, prepare

    prepare(cpu_count() if members > 1 else None)
    import jax

    from dlnotes.pretraining.train import LayerTraining

    training = LayerTraining(learner, pixels(), seeds=range(members), epochs=1000, batch_size=BATCH)
    state = [training.initial()]

    def epoch() -> None:
        state[0] = training.advance(state[0], training.per_epoch)
        jax.block_until_ready(state[0])

    return epoch


def product() -> Callable[[], dict[str, float]]:
    """The fastest product of square matrices, in operations a second."""
    from dlnotes.devices import roofline

    parts = [roofline.product(size) for size in roofline.SIZES]

    def measure() -> dict[str, float]:
        rates = np.median(roofline.rates(parts, rounds=3, seconds=0.05), 0)
        return {"rate": float(rates.max())}

    return measure


def work(bench: Bench, way: str) -> None:
    """One way in this process: a line on standard input runs it once, its answer is a line of JSON."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    run = bench.make[way]()
    run()  # compiles
    answers.write("{}\n")
    for _ in sys.stdin:
        start = time.perf_counter()
        found = run() or {}
        answers.write(json.dumps({"seconds": time.perf_counter() - start, **found}) + "\n")


class Worker:
    """A process that runs one way when it is told to."""

    def __init__(self, bench: Bench, way: str, torch: str):
        # A kernel that the system chose for older versions of OpenBLAS would slow down numpy.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        if torch and way.startswith("torch"):
            environment["PYTHONPATH"] = os.pathsep.join([torch, environment.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-m", bench.module, "--one", way],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.way = way
        self.answer()

    def answer(self) -> dict[str, float]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.way}: its process ended with status {self.end()}")
        return json.loads(line)

    def once(self) -> dict[str, float]:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self) -> int:
        """Its status, once it has ended, which it does when its input is closed."""
        with self.process:
            pass
        return self.process.returncode


def measure(bench: Bench, ways: tuple[str, ...], *, rounds: int, torch: str = "") -> dict[str, list[float]]:
    """Seconds of an epoch of each way in each round; of "product", operations a second."""
    workers: dict[str, Worker] = {}
    try:
        for way in ways:
            workers[way] = Worker(bench, way, torch)
        found: dict[str, list[float]] = {way: [] for way in ways}
        for i in range(rounds):
            for k in range(len(ways)):
                way = ways[(i + k) % len(ways)]
                answer = workers[way].once()
                found[way].append(answer.get("rate", answer["seconds"]))
        return found
    finally:
        for worker in workers.values():
            worker.end()


class Verdict(NamedTuple):
    """A bar, what was measured (median over rounds, smallest, largest), and whether it is met."""

    bar: str
    value: tuple[float, float, float]
    met: bool


def spread(values: np.ndarray) -> tuple[float, float, float]:
    """Median, smallest, largest."""
    return float(np.median(values)), float(values.min()), float(values.max())


def judge(bench: Bench, found: dict[str, list[float]]) -> list[Verdict]:
    """The bars that can be judged by the ways that were measured."""
    took = {way: np.array(values) for way, values in found.items()}
    verdicts = []
    if peers := [took[way] for way in bench.peers if way in took]:
        ratio = spread(np.min(peers, 0) / took["ours"])
        verdicts.append(Verdict("≥ 1.6 × as fast as the faster peer", ratio, ratio[0] >= 1.6))
    if "product" in took:
        share = spread(OPERATIONS / took["ours"] / took["product"])
        verdicts.append(Verdict("≥ 70% of the fastest product", share, share[0] >= 0.7))
    if MANY in took:
        ratio = spread(took[MANY] / took["ours"])
        verdicts.append(Verdict("ten seeds ≤ 9 × one", ratio, ratio[0] <= 9))
    return verdicts


def report(bench: Bench, found: dict[str, list[float]]) -> str:
    """Tables, as Markdown."""
    lines = [
        f"# {bench.title}",
        "",
        f"{INPUTS}-{UNITS}, {ROWS:,} rows in batches of {BATCH}; {machine()['cpu']}, "
        f"{os.cpu_count()} cores, {len(found['ours'])} rounds. Median [smallest–largest].",
        "",
        "| way | seconds an epoch | GFLOP/s |",
        "|---|---:|---:|",
    ]
    for way, values in found.items():
        middle, low, high = spread(np.array(values))
        if way == "product":
            lines.append(f"| {way} | | {middle / 1e9:.0f} [{low / 1e9:.0f}–{high / 1e9:.0f}] |")
        else:
            members = MEMBERS if way == MANY else 1
            rate = members * OPERATIONS / middle / 1e9
            lines.append(f"| {way} | {middle:.2f} [{low:.2f}–{high:.2f}] | {rate:.0f} |")
    lines += ["", "| bar | measured | verdict |", "|---|---:|---|"]
    for bar, (middle, low, high), met in judge(bench, found):
        lines.append(f"| {bar} | {middle:.2f} [{low:.2f}–{high:.2f}] | {'met' if met else 'missed'} |")
    return "\n".join(lines)


def main(bench: Bench, description: str | None) -> None:
    """Measure, print, and write the numbers where it is asked for."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--ways", nargs="+", choices=bench.make, default=tuple(bench.make))
    parser.add_argument("--torch", default="", help="folder that PyTorch is installed in")
    parser.add_argument("--json", type=Path, help="where to write every round's seconds")
    parser.add_argument("--one", choices=bench.make, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        work(bench, given.one)
        return
    if "ours" not in given.ways:
        parser.error("--ways: ours is what all others are compared with")
    found = measure(bench, tuple(given.ways), rounds=given.rounds, torch=given.torch)
    print(report(bench, found))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
