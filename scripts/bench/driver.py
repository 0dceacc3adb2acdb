"""Starts the workers, compares their losses, then times them in interleaved rounds."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from scripts.bench.inputs import make_data, make_weights, per_unit, save_inputs
from scripts.bench.spec import TOLERANCE, Case

ROOT = Path(__file__).resolve().parents[2]


class WorkerError(RuntimeError):
    """A worker could not do what it was asked."""


def environment() -> dict[str, str]:
    """Environment of a worker: every core, CPU only, everything else as its users have it."""
    cores = str(len(os.sched_getaffinity(0)))
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XLA_", "OMP_", "KMP_", "GOMP_"))
    }
    return kept | {
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "OMP_NUM_THREADS": cores,
        "PYTHONWARNINGS": "ignore",
        "TOKENIZERS_PARALLELISM": "false",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


class Worker:
    """A process that runs one variant of one case."""

    def __init__(
        self,
        variant: str,
        case: str,
        inputs: Path,
        python: str,
        log: Path,
        extra: dict[str, str] | None = None,
        first_step: bool = False,
    ):
        self.variant, self.log, self.versions = variant, log, {}
        command = [python, "-m", "scripts.bench.worker", "--variant", variant, "--case", case]
        command += ["--inputs", str(inputs)] + (["--first-step"] if first_step else [])
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment() | (extra or {}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )

    def receive(self, timeout: float) -> dict[str, Any]:
        """The next answer.

        Raises:
          WorkerError: when the variant failed, its process ended, or nothing came in time.
        """
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            raise WorkerError(f"no answer in {timeout:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            raise WorkerError(f"process ended with code {self.process.wait()}, see {self.log.name}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        self.versions |= answer.get("versions", {})
        return answer

    def ask(self, timeout: float, **request) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(f"process is gone, see {self.log.name}") from None
        return self.receive(timeout)

    def cpu_seconds(self) -> float:
        """Processor time used so far (0 where the system does not say)."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End the process."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def loss_difference(losses: Any, reference: Any) -> float:
    """Largest relative difference of two lists of losses."""
    a, b = np.asarray(losses, np.float64), np.asarray(reference, np.float64)
    if a.shape != b.shape:
        raise WorkerError(f"losses have shape {a.shape}, the reference's {b.shape}")
    difference = float(np.max(np.abs(a - b) / np.maximum(np.abs(b), 1e-12)))
    return difference if np.isfinite(difference) else float("inf")


def measure(
    case: Case,
    variants: list[str],
    python: Callable[[str], str],
    rounds: int,
    seconds: float,
    timeout: float,
    logs: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Time the variants of a case.

    Every variant is set up, checked and warmed up before the first round; a round runs each once, in
    the same order, while the others wait for a line on their standard input.

    Returns:
      ``{variant: {"rates": [...], "losses": ..., "difference": d, "error": text or None, …}}``.
    """
    logs.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    workers: dict[str, Worker] = {}
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs.npz"
        data = make_data(case)
        unit = per_unit(case, data)
        save_inputs(inputs, make_weights(case), data)
        try:
            reference = None
            for name in variants:
                result = results[name] = {"rates": [], "losses": None, "difference": None, "error": None}
                worker = Worker(name, case.name, inputs, python(name), logs / f"{case.name}-{name}.txt")
                workers[name] = worker
                try:
                    worker.receive(timeout)
                    losses = worker.ask(timeout, op="check")["losses"]
                    reference = losses if reference is None else reference
                    result["difference"] = loss_difference(losses, reference)
                    if result["difference"] > TOLERANCE:
                        numbers = f": {losses}, not {reference}" if case.trains else ""
                        raise WorkerError(f"losses differ by {result['difference']:.1e}{numbers}")
                    if case.trains:  # else a probability of each class of each example: not to keep
                        result["losses"] = losses
                    worker.ask(timeout + seconds, op="run", seconds=min(seconds, 1.0))
                    say(f"{case.name}: {name} ready, losses within {result['difference']:.1e}")
                except WorkerError as error:
                    _drop(name, str(error), workers, result, say, case)
                result["versions"] = worker.versions
            idle = {name: 0.0 for name in workers}
            waited = dict(idle)
            for turn in range(rounds):
                for name in list(workers):
                    others = {n: w.cpu_seconds() for n, w in workers.items() if n != name}
                    start = time.perf_counter()
                    try:
                        got = workers[name].ask(timeout + seconds, op="run", seconds=seconds)
                        results[name]["rates"].append(got["examples"] / got["seconds"] / unit)
                    except WorkerError as error:
                        _drop(name, str(error), workers, results[name], say, case)
                    for other, before in others.items():
                        idle[other] += workers[other].cpu_seconds() - before
                        waited[other] += time.perf_counter() - start
                say(f"{case.name}: round {turn + 1} of {rounds}")
            for name in workers:
                results[name]["idle_cpu"] = idle[name] / waited[name] if waited[name] else 0.0
        finally:
            for worker in workers.values():
                worker.close()
    return results


def _drop(name: str, why: str, workers: dict[str, Worker], result: dict, say: Callable, case: Case) -> None:
    result["error"], result["rates"] = why, []
    workers.pop(name).close()
    say(f"{case.name}: {name} left out: {why}")


def measure_first_step(
    case: Case,
    variants: list[str],
    python: Callable[[str], str],
    repeats: int,
    timeout: float,
    logs: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Time the import and the first step in fresh processes, with an empty cache and then with that cache.

    Returns:
      ``{variant: {"import": [...], "cold": [...], "warm": [...], "error": text or None}}`` in seconds.
    """
    logs.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        name: {"import": [], "cold": [], "warm": [], "loss": None, "error": None, "versions": {}}
        for name in variants
    }
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs.npz"
        save_inputs(inputs, make_weights(case), make_data(case))
        for _ in range(repeats):
            for name in variants:
                result = results[name]
                if result["error"]:
                    continue
                cache = Path(folder) / "cache"
                for kind in ("cold", "warm"):
                    worker = Worker(
                        name,
                        case.name,
                        inputs,
                        python(name),
                        logs / f"first-step-{case.name}-{name}.txt",
                        cache_environment(cache),
                        first_step=True,
                    )
                    try:
                        got = worker.receive(timeout)
                        result["import"].append(got["import_s"])
                        result[kind].append(got["first_step_s"])
                        result["loss"], result["versions"] = got["losses"][0], worker.versions
                    except WorkerError as error:
                        result["error"] = str(error)
                        say(f"first step of {case.name}: {name} left out: {error}")
                        break
                    finally:
                        worker.close()
                shutil.rmtree(cache, ignore_errors=True)
        losses = [(name, r["loss"]) for name, r in results.items() if not r["error"]]
        for name, loss in losses:
            difference = loss_difference(loss, losses[0][1])
            if difference > TOLERANCE:
                results[name]["error"] = f"losses differ: {loss}, not {losses[0][1]}"
    say(f"first step of {case.name}: {repeats} cold and warm")
    return results


def cache_environment(cache: Path) -> dict[str, str]:
    """Every library's variables for a persistent compilation cache in one folder."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(cache / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "DLNOTES_CACHE": str(cache / "dlnotes"),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
    }


def machine() -> dict[str, Any]:
    """The processor, the cores this process may use, and the load before anything runs."""
    import platform

    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(
            (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model
        )
    except OSError:
        pass
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "load": os.getloadavg()[0],
        "driver_python": sys.version.split()[0],
    }
