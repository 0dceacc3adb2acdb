"""An epoch of a restricted Boltzmann machine: ``python -m scripts.bench.rbm_epoch``.

784-500, batches of 100 of 20,000 rows, one Gibbs step in each update, all random bits drawn: ours (CD-1),
PyTorch (CD-1, updates in place), scikit-learn (BernoulliRBM: PCD-1, as many products). Each runs in a
process of its own, in interleaved rounds; the fastest product of square matrices is measured in the same
rounds. A ratio is the median over rounds of the ratio within a round, with the smallest and the largest.

PyTorch may be in another folder: ``--torch PATH`` is put before its process's PYTHONPATH. On a machine where
others work, ``--one-core`` keeps each way to one core and counts its seconds of that core, not of a clock.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROWS, INPUTS, UNITS, BATCH, MEMBERS = 20_000, 784, 500, 100, 10
RATE, MOMENTUM, DECAY = 0.05, 0.9, 2e-4
OPERATIONS = 5 * 2 * INPUTS * UNITS * ROWS
"""Of an epoch's products: v₀ W, h Wᵀ, v₁ W and the two of the statistics, two for each multiply-add."""
WAYS = ("ours", "torch", "scikit-learn", "ours, ten seeds", "ours, ten seeds, a device a core", "product")
SEEDS = tuple(way for way in WAYS if "seeds" in way)
PEERS = ("torch", "scikit-learn")


ONE_CORE = "DLNOTES_BENCH_ONE_CORE"
"""Set in the processes of ``--one-core``."""


def clock() -> float:
    """Seconds: of a clock, or those that this process computed on its one core."""
    return time.process_time() if os.environ.get(ONE_CORE) else time.perf_counter()


def pixels() -> np.ndarray:
    """``(20,000, 784)`` in [0, 1], a fifth of it not 0, as of handwritten digits."""
    rng = np.random.default_rng(0)
    bright = rng.random((ROWS, INPUTS), np.float32)
    return np.where(rng.random((ROWS, INPUTS)) < 0.2, bright, np.float32(0)).astype(np.float32)


def ours(members: int, devices: int = 1) -> Callable[[], None]:
    """The library's training, one call an epoch; over several devices members are divided."""
    import jax

    jax.config.update("jax_num_cpu_devices", devices)
    from dlnotes.pretraining.rbm_learner import rbm
    from dlnotes.pretraining.train import LayerTraining

    learner = rbm(UNITS, learning_rate=RATE, momentum=MOMENTUM, final_momentum=MOMENTUM, weight_decay=DECAY)
    training = LayerTraining(learner, pixels(), seeds=range(members), epochs=1000, batch_size=BATCH)
    state = [training.initial()]

    def epoch() -> None:
        state[0] = training.advance(state[0], training.per_epoch)
        jax.block_until_ready(state[0])

    return epoch


def torch_epoch() -> Callable[[], None]:
    """CD-1 as one writes it for speed: no gradients, products added to the velocity in place."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.manual_seed(0)
    x = torch.from_numpy(pixels())
    W = 0.01 * torch.randn(INPUTS, UNITS)
    b, c = torch.zeros(INPUTS), torch.zeros(UNITS)
    dW, db, dc = (torch.zeros_like(p) for p in (W, b, c))
    v0, v1 = torch.empty(BATCH, INPUTS), torch.empty(BATCH, INPUTS)
    h = torch.empty(BATCH, UNITS)

    @torch.no_grad()
    def epoch() -> None:
        order = torch.randperm(ROWS)
        error = torch.zeros(())
        for i in range(0, ROWS, BATCH):
            rows = x[order[i : i + BATCH]]
            torch.bernoulli(rows, out=v0)
            p0 = torch.addmm(c, v0, W).sigmoid_()
            torch.bernoulli(p0, out=h)
            means = torch.addmm(b, h, W.T).sigmoid_()
            torch.bernoulli(means, out=v1)
            p1 = torch.addmm(c, v1, W).sigmoid_()
            dW.mul_(MOMENTUM).add_(W, alpha=-RATE * DECAY)
            dW.addmm_(v0.T, p0, alpha=RATE / BATCH).addmm_(v1.T, p1, alpha=-RATE / BATCH)
            db.mul_(MOMENTUM).add_((v0 - v1).mean(0), alpha=RATE)
            dc.mul_(MOMENTUM).add_((p0 - p1).mean(0), alpha=RATE)
            W.add_(dW)
            b.add_(db)
            c.add_(dc)
            error += (rows - means).square().sum() / BATCH
        if not torch.isfinite(W).all() or not error < 1e6 * ROWS:
            raise RuntimeError("torch: the weights are not finite")

    return epoch


def sklearn_epoch() -> Callable[[], None]:
    """``fit`` of one iteration; it takes the rows in order and has neither momentum nor decay."""
    from sklearn.neural_network import BernoulliRBM

    x = pixels()
    machine = BernoulliRBM(n_components=UNITS, learning_rate=RATE, batch_size=BATCH, n_iter=1, random_state=0)

    def epoch() -> None:
        machine.fit(x)

    return epoch


def product() -> Callable[[], dict[str, float]]:
    """The fastest product of square matrices, in operations a second."""
    import jax

    from dlnotes.devices import roofline

    parts = [roofline.product(size) for size in roofline.SIZES]

    def measure() -> dict[str, float]:
        calls = [max(1, round(5e9 / part.work)) for part in parts]
        best = 0.0
        for part, n in zip(parts, calls):
            start = clock()
            for _ in range(n):
                jax.block_until_ready(part.run())
            best = max(best, n * part.work / (clock() - start))
        return {"rate": best}

    return measure


MAKE: dict[str, Callable[[], Callable[[], Any]]] = {
    "ours": lambda: ours(1),
    "torch": torch_epoch,
    "scikit-learn": sklearn_epoch,
    "ours, ten seeds": lambda: ours(MEMBERS),
    "ours, ten seeds, a device a core": lambda: ours(MEMBERS, len(os.sched_getaffinity(0))),
    "product": product,
}


def work(way: str) -> None:
    """One way in this process: a line on standard input runs it once, its answer is a line of JSON."""
    if os.environ.get(ONE_CORE):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # before any library counts the cores
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    run = MAKE[way]()
    run()  # compiles
    answers.write("{}\n")
    for _ in sys.stdin:
        start = clock()
        found = run() or {}
        answers.write(json.dumps({"seconds": clock() - start, **found}) + "\n")


class Worker:
    """A process that runs one way when it is told to."""

    def __init__(self, way: str, torch: str, one_core: bool = False):
        # A kernel that the system chose for older versions of OpenBLAS would slow down numpy.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        if torch and way == "torch":
            environment["PYTHONPATH"] = os.pathsep.join([torch, environment.get("PYTHONPATH", "")])
        if one_core:
            environment |= {ONE_CORE: "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scripts.bench.rbm_epoch", "--one", way],
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
            raise RuntimeError(f"{self.way}: its process ended with status {self.process.wait()}")
        return json.loads(line)

    def once(self) -> dict[str, float]:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def measure(
    ways: tuple[str, ...], *, rounds: int, torch: str = "", one_core: bool = False
) -> dict[str, list[float]]:
    """Seconds of an epoch of each way in each round; of "product", operations a second."""
    workers: dict[str, Worker] = {}
    try:
        for way in ways:
            workers[way] = Worker(way, torch, one_core)
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


def judge(found: dict[str, list[float]]) -> list[Verdict]:
    """The bars that can be judged by the ways that were measured."""
    took = {way: np.array(values) for way, values in found.items()}
    verdicts = []
    if peers := [took[way] for way in PEERS if way in took]:
        ratio = spread(np.min(peers, 0) / took["ours"])
        verdicts.append(Verdict("≥ 1.6 × as fast as the faster peer", ratio, ratio[0] >= 1.6))
    if "product" in took:
        share = spread(OPERATIONS / took["ours"] / took["product"])
        verdicts.append(Verdict("≥ 70% of the fastest product", share, share[0] >= 0.7))
    if seeds := [took[way] for way in SEEDS if way in took]:
        ratio = spread(np.min(seeds, 0) / took["ours"])
        verdicts.append(Verdict("ten seeds ≤ 9 × one", ratio, ratio[0] <= 9))
    return verdicts


def report(found: dict[str, list[float]], cores: int | None) -> str:
    """Tables, as Markdown."""
    lines = [
        "# An epoch of a restricted Boltzmann machine",
        "",
        f"{INPUTS}-{UNITS}, {ROWS:,} rows in batches of {BATCH}; {platform.machine()}, "
        f"cores: {cores}, rounds: {len(found['ours'])}. Median [smallest–largest].",
        "",
        "| way | seconds an epoch | GFLOP/s |",
        "|---|---:|---:|",
    ]
    for way, values in found.items():
        middle, low, high = spread(np.array(values))
        if way == "product":
            lines.append(f"| {way} | | {middle / 1e9:.0f} [{low / 1e9:.0f}–{high / 1e9:.0f}] |")
        else:
            members = MEMBERS if way in SEEDS else 1
            rate = members * OPERATIONS / middle / 1e9
            lines.append(f"| {way} | {middle:.2f} [{low:.2f}–{high:.2f}] | {rate:.0f} |")
    lines += ["", "| bar | measured | verdict |", "|---|---:|---|"]
    for bar, (middle, low, high), met in judge(found):
        lines.append(f"| {bar} | {middle:.2f} [{low:.2f}–{high:.2f}] | {'met' if met else 'missed'} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write the numbers where it is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--one-core", action="store_true", help="and its seconds, where others work")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--torch", default="", help="folder that PyTorch is installed in")
    parser.add_argument("--json", type=Path, help="where to write every round's seconds")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        work(given.one)
        return
    if "ours" not in given.ways:
        parser.error("--ways: ours is what all others are compared with")
    found = measure(tuple(given.ways), rounds=given.rounds, torch=given.torch, one_core=given.one_core)
    print(report(found, 1 if given.one_core else os.cpu_count()))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
