"""Two processes that classify images as they arrive: one a stage, or both both stages.

The processes share arrays in files: when each image arrives, when each service began and ended, what the
first stage said. There is no queue between them: an image waits in the arrays until its process comes to it.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from inspect import getsourcefile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

WORKERS = 2
SPLIT, SHARED = 0, 1
"""One stage a process; both stages in both, every image in the one that is drawn for it."""
_CONTROL = ("round", "kind", "images", "start", "seconds", "ready 0", "ready 1", "done 0", "done 1", "stop")
_ARRAYS = {
    "arrival": np.float64,
    "image": np.int64,
    "owner": np.int64,
    "passed": np.int64,  # 0 not known yet, 1 rejected, 2 passed
    "begin 0": np.float64,
    "end 0": np.float64,
    "begin 1": np.float64,
    "end 1": np.float64,
}
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


class Round(NamedTuple):
    """What happened in a time, in seconds from its start; NaN for what did not happen in it.

    Attributes:
      arrival: ``(n,)``.
      owner: ``(n,)`` process of each image, where both have both stages.
      passed: ``(n,)`` whether the first stage kept it.
      begin, end: ``(2, n)`` of the services of both stages.
      seconds: how long it was.
    """

    arrival: np.ndarray
    owner: np.ndarray
    passed: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    seconds: float


class Workers:
    """Two processes with the stages in them; a context manager, which ends them.

    Args:
      stages: of one image each, to whether it is kept; pure functions.
      images: ``(n, ...)``.
      most: images that arrive in a round.
      patience: seconds to wait for a process.
    """

    def __init__(
        self, stages: tuple[Callable, Callable], images: np.ndarray, most: int, patience: float = 120
    ):
        self.patience = patience
        self.folder = tempfile.TemporaryDirectory(prefix="dlnotes-workers-")
        path = Path(self.folder.name)
        import jax

        for i, stage in enumerate(stages):
            exported = jax.export.export(jax.jit(stage), platforms=["cpu"])(images[0])
            (path / f"stage-{i}").write_bytes(exported.serialize())
        np.save(path / "images.npy", images)
        np.zeros(len(_CONTROL)).tofile(path / "control")
        for name, dtype in _ARRAYS.items():
            np.zeros(most, dtype).tofile(path / name)
        self.control, self.arrays = shared(path)
        environment = os.environ | {"XLA_FLAGS": ONE_THREAD, "JAX_PLATFORMS": "cpu"}
        script = str(getsourcefile(work))
        self.processes = [
            subprocess.Popen(
                [sys.executable, script, str(path), str(i)], env=environment, stderr=subprocess.PIPE
            )
            for i in range(WORKERS)
        ]

    def __enter__(self) -> Workers:
        try:
            self._wait("ready")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        self.control[_CONTROL.index("stop")] = 1
        for process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stderr is not None:
                process.stderr.close()
        del self.control, self.arrays
        self.folder.cleanup()

    def run(
        self, kind: int, arrival: np.ndarray, image: np.ndarray, owner: np.ndarray, seconds: float
    ) -> Round:
        """Let images arrive for some seconds and see what becomes of them."""
        n = len(arrival)
        for name, values in (("arrival", arrival), ("image", image), ("owner", owner)):
            self.arrays[name][:n] = values
        for name in list(_ARRAYS)[3:]:
            self.arrays[name][:n] = 0 if name == "passed" else np.nan
        for i in range(WORKERS):
            self.control[_CONTROL.index(f"done {i}")] = 0
        start = time.perf_counter() + 0.05
        for name, value in (("kind", kind), ("images", n), ("start", start), ("seconds", seconds)):
            self.control[_CONTROL.index(name)] = value
        self.control[0] += 1
        self._wait("done")
        found = {name: self.arrays[name][:n].copy() for name in _ARRAYS}
        begin, end = (np.stack([found[f"{of} {k}"] for k in range(2)]) - start for of in ("begin", "end"))
        return Round(arrival.copy(), owner.copy(), found["passed"] == 2, begin, end, seconds)

    def _wait(self, what: str) -> None:
        end = time.monotonic() + self.patience
        while not all(self.control[_CONTROL.index(f"{what} {i}")] for i in range(WORKERS)):
            for i, process in enumerate(self.processes):
                if process.poll() is not None:
                    told = process.stderr.read().decode(errors="replace") if process.stderr else ""
                    raise RuntimeError(
                        f"process {i} of the cascade ended with {process.returncode}: {told[-2000:]}"
                    )
            if time.monotonic() > end:
                raise RuntimeError(f"the processes of the cascade are not {what} after {self.patience:g} s")
            time.sleep(0.005)


def shared(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The arrays that processes share."""
    control = np.memmap(path / "control", np.float64, "r+")
    return control, {name: np.memmap(path / name, dtype, "r+") for name, dtype in _ARRAYS.items()}


def work(folder: str, index: int) -> None:
    """The loop of a process, until it is told to stop or its parent is gone."""
    parent = os.getppid()
    if hasattr(os, "sched_setaffinity") and len(cores := sorted(os.sched_getaffinity(0))) >= WORKERS:
        os.sched_setaffinity(0, {cores[index]})
    import jax

    path = Path(folder)
    stages = [
        jax.jit(jax.export.deserialize(bytearray((path / f"stage-{i}").read_bytes())).call) for i in range(2)
    ]
    images = np.load(path / "images.npy")
    for _ in range(50):
        for stage in stages:
            bool(stage(images[0]))
    control, arrays = shared(path)
    control[_CONTROL.index(f"ready {index}")] = 1
    seen = 0.0
    while not control[_CONTROL.index("stop")] and os.getppid() == parent:
        if control[0] == seen:
            time.sleep(0.001)
            continue
        seen = float(control[0])
        kind, n, start, seconds = (control[_CONTROL.index(k)] for k in ("kind", "images", "start", "seconds"))
        serve(int(kind), int(n), float(start), float(start + seconds), index, stages, images, arrays)
        control[_CONTROL.index(f"done {index}")] = 1


def serve(
    kind: int,
    n: int,
    start: float,
    end: float,
    index: int,
    stages: list[Callable],
    images: np.ndarray,
    arrays: dict[str, np.ndarray],
) -> None:
    """Process what arrives in a round, in its order, until the round ends.

    Times are kept in lists until then, so that what lies between two services takes no time to speak of.
    """
    now, nothing = time.perf_counter, float("nan")
    arrival, image = (arrays["arrival"][:n] + start).tolist(), arrays["image"][:n].tolist()
    mine = range(n) if kind == SPLIT else np.flatnonzero(arrays["owner"][:n] == index).tolist()
    begun, ended = ([[nothing] * n for _ in stages] for _ in range(2))
    passed = arrays["passed"]
    of_last = kind == SPLIT and index == 1
    gc.disable()
    for i in mine:
        t = now()
        while t < end and (not passed[i] if of_last else t < arrival[i]):
            t = now()
        if t >= end:
            break
        if not of_last:
            begun[0][i] = t
            kept = bool(stages[0](images[image[i]]))
            passed[i] = 2 if kept else 1
            t = ended[0][i] = now()
            if not kept or kind == SPLIT:
                continue
        elif passed[i] == 1:
            continue
        else:
            t = now()  # the time above may be from before the first stage had ended
        begun[1][i] = t
        bool(stages[1](images[image[i]]))
        ended[1][i] = now()
    gc.enable()
    for k in range(len(stages)):
        for name, values in (("begin", begun), ("end", ended)):
            own = np.array(values[k])
            done = ~np.isnan(own)
            arrays[f"{name} {k}"][:n][done] = own[done]


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]))
