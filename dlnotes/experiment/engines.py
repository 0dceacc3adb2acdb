"""Independent tasks (claims, groups of a sweep) on an engine for many machines: Ray, or SLURM by submitit.

An engine starts processes, watches them, and starts a task again whose process dies. What a task writes, it
writes into a folder that all machines share.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

ENGINES = {"ray": "ray", "slurm": "submitit"}
"""The engines, each with the package that drives it, whose extra of dlnotes has the engine's name."""

RETRIES = 3
"""How often a task is started again after its process has died."""

_POLL = 0.5
"""Seconds between two looks at the tasks of a cluster."""

_ASK = 10.0
"""Seconds between two looks at SLURM's queue."""

_GRACE = 30.0
"""Seconds that a result may take through a shared file system, after SLURM has forgotten its job."""


class Task(NamedTuple):
    """Something to be done in another process, perhaps on another machine.

    Attributes:
      function: of a module, so that it can be found there.
      arguments: that can be sent.
      name: for messages.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    name: str


class Lost(Exception):
    """A task's process died again and again; the message names the task."""


class Engine(NamedTuple):
    """Where tasks are done.

    Attributes:
      name: one of `ENGINES`.
      address: of a Ray cluster; by default one is started on this machine.
      cpus: processors of a task.
      gpus: accelerators of a task.
      options: further ones of SLURM, such as ``{"slurm_partition": "gpu", "timeout_min": 600}``.
      folder: where SLURM's own files go.
    """

    name: str
    address: str | None = None
    cpus: int = 1
    gpus: int = 0
    options: tuple[tuple[str, Any], ...] = ()
    folder: str = "runs/slurm"


def check(engine: Engine) -> None:
    """Refuse an engine that is not known or not installed.

    Raises:
      ValueError: saying what is allowed, or what to install.
    """
    if engine.name not in ENGINES:
        raise ValueError(f"--on: got {engine.name!r}, allowed are {', '.join(ENGINES)}")
    if not find_spec(ENGINES[engine.name]):
        raise ValueError(
            f"--on {engine.name}: needs the extra: python -m pip install 'dlnotes[{engine.name}]'"
        )
    if engine.address is not None and engine.name != "ray":
        raise ValueError(f"--address: is for ray, not {engine.name}")


def each(engine: Engine, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
    """Do all tasks; give the number and the result of each as it ends.

    Args:
      engine: where.
      tasks: independent of one another.

    Raises:
      ValueError: as `check`.
      Lost: when a task's process has died more than `RETRIES` times.
      Exception: what a task itself raised.
    """
    check(engine)
    yield from {"ray": _on_ray, "slurm": _on_slurm}[engine.name](engine, tasks)


def _here(directory: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Do a task in the folder that it was started from."""
    os.chdir(directory)
    return function(*arguments)


def _on_ray(engine: Engine, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
    # Ray would tell its makers of its use, and keep a password file in the home folder.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    import ray  # pyright: ignore[reportMissingImports]
    from ray import exceptions as errors  # pyright: ignore[reportMissingImports]

    own = not ray.is_initialized()
    if own:
        with warnings.catch_warnings():  # that it starts its processes by fork, which then are others
            warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
            where = engine.address or "local"
            ray.init(where, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        remote = ray.remote(num_cpus=engine.cpus, num_gpus=engine.gpus, max_retries=RETRIES)(_here)
        directory = os.getcwd()
        waiting = {remote.remote(directory, t.function, *t.arguments): i for i, t in enumerate(tasks)}
        while waiting:
            with redirect_stdout(sys.stderr):  # Ray's words about processes that died
                (done, *_), _ = ray.wait(list(waiting), num_returns=1)
            index = waiting.pop(done)
            try:
                found = ray.get(done)
            except (errors.WorkerCrashedError, errors.NodeDiedError):
                raise Lost(f"{tasks[index].name}: its process died {RETRIES + 1} times") from None
            except errors.RayTaskError as error:
                raise error.cause from None
            yield index, found
    finally:
        if own:
            ray.shutdown()


def _on_slurm(engine: Engine, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
    import submitit  # pyright: ignore[reportMissingImports]
    from submitit.core import utils as errors  # pyright: ignore[reportMissingImports]

    options = dict(engine.options)
    cluster = options.pop("cluster", "slurm")
    executor = submitit.AutoExecutor(folder=str(Path(engine.folder).absolute()), cluster=cluster)
    executor.update_parameters(
        name="dlnotes", cpus_per_task=engine.cpus, gpus_per_node=engine.gpus, **options
    )
    directory = os.getcwd()

    def start(index: int) -> Any:
        task = tasks[index]
        return executor.submit(_here, directory, task.function, *task.arguments)

    waiting, tries = {i: start(i) for i in range(len(tasks))}, dict.fromkeys(range(len(tasks)), 1)
    missed = _Missed()
    # Where SLURM keeps no accounts every look would warn; who is gone is then found in its queue.
    logging.getLogger("submitit").setLevel(logging.ERROR)
    try:
        while waiting:
            gone = missed.among(job.job_id for job in waiting.values()) if cluster == "slurm" else set()
            ended = [i for i, job in waiting.items() if job.done() or job.job_id in gone]
            for index in ended:
                job = waiting.pop(index)
                try:
                    if not job.done():
                        raise errors.UncompletedJobError(f"job {job.job_id} left the queue without a result")
                    yield index, job.result()
                except errors.FailedJobError:  # what the task raised is its own matter
                    raise
                except errors.UncompletedJobError:
                    if tries[index] > RETRIES:
                        name = tasks[index].name
                        raise Lost(
                            f"{name}: its process died {RETRIES + 1} times ({job.paths.stderr})"
                        ) from None
                    tries[index] += 1
                    waiting[index] = start(index)
            if not ended:
                time.sleep(_POLL)
    finally:
        for job in waiting.values():
            job.cancel()


class _Missed:
    """Since when jobs are in SLURM's queue no more; a SLURM without accounts tells nothing else of them."""

    def __init__(self) -> None:
        self.since: dict[str, float] = {}
        self.asked = -_ASK

    def among(self, jobs: Iterable[str]) -> set[str]:
        """Those of some jobs that have been missed for longer than a result takes to arrive."""
        now = time.monotonic()
        if now - self.asked < _ASK:
            return set()
        self.asked = now
        found = subprocess.run(["squeue", "--me", "-h", "-o", "%A"], capture_output=True, text=True)
        if found.returncode:  # the controller is busy, or away
            return set()
        queued = set(found.stdout.split())
        self.since = {job: self.since.get(job, now) for job in jobs if job not in queued}
        return {job for job, since in self.since.items() if now - since > _GRACE}
