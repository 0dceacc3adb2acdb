"""A parameter server and workers as actors of Ray, on this machine or a cluster (the extra "ray").

Ray starts them where there are processors, carries the arrays and notices who dies; what they do is the
algorithm of `dlnotes.training.asynchronous.server`.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from contextlib import redirect_stdout
from typing import Any

import numpy as np

from dlnotes.devices.prepare import cpu_count
from dlnotes.training.asynchronous.server import ParameterServer, take_part
from dlnotes.training.asynchronous.team import ONE_THREAD, Look, Lost
from dlnotes.training.asynchronous.work import Work, measured


class _Worker:
    """An actor that computes updates."""

    def __init__(self, work: Work, parameters: int):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._step = measured(work)
        self._step(np.zeros(parameters, np.float32), 0, 0)

    def ready(self) -> int:
        """Answers when it has compiled, with its process."""
        return os.getpid()

    def take_part(self, server: Any, worker: int, numbers: tuple[int, int]) -> None:
        """A round; see `dlnotes.training.asynchronous.server.take_part`."""
        import ray  # pyright: ignore[reportMissingImports]

        def pull() -> Any:
            return ray.get(server.pull.remote())

        def push(*sent: Any) -> Any:
            return ray.get(server.push.remote(*sent))

        take_part(self._step, pull, push, worker, numbers)


class OnRay:
    """A parameter server and workers as actors of Ray; a `dlnotes.training.asynchronous.team.Team`.

    They join the Ray that this process is connected to, or that ``RAY_ADDRESS`` names; without, one is
    started on this machine.

    Args:
      work: what is trained.
      workers: how many, with one processor each.
      parameters: numbers of the vector.
      metrics: numbers measured on a batch.

    Raises:
      ValueError: when a cluster has fewer processors than workers.
    """

    def __init__(self, work: Work, workers: int, *, parameters: int, metrics: int):
        # Ray would tell its makers of its use, and keep a password file in the home folder.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        import ray  # pyright: ignore[reportMissingImports]
        from ray import exceptions  # pyright: ignore[reportMissingImports]

        self._ray, self._errors, self._own = ray, exceptions, not ray.is_initialized()
        if self._own:
            address = os.environ.get("RAY_ADDRESS", "local")
            here = {"num_cpus": max(cpu_count(), workers)} if address == "local" else {}
            with warnings.catch_warnings():  # that it starts its processes by fork, which then are others
                warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
                ray.init(address, include_dashboard=False, log_to_driver=False, logging_level="ERROR", **here)
        have = int(ray.cluster_resources().get("CPU", 0))
        if have < workers:
            self.close()
            raise ValueError(f"workers: got {workers}, Ray has {have} processors for them")
        one_thread = {"env_vars": {"XLA_FLAGS": ONE_THREAD, "JAX_PLATFORMS": "cpu", "NPROC": "1"}}
        self._server: Any = ray.remote(num_cpus=0)(ParameterServer).remote(workers, metrics)
        actor = ray.remote(num_cpus=1, runtime_env=one_thread)(_Worker)
        sent = ray.put(work)
        self._workers: list[Any] = [actor.remote(sent, parameters) for _ in range(workers)]
        self._rounds: dict[Any, int] = {}
        self._gone: set[int] = set()
        self.processes: list[int] = []

    def __enter__(self) -> OnRay:
        try:
            self.processes = self._ray.get([w.ready.remote() for w in self._workers])
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    @property
    def gone(self) -> int:
        """See `Team.gone`."""
        return len(self._gone)

    def go(self, vector: np.ndarray, total: int, *, counts: np.ndarray | None = None) -> None:
        """See `Team.go`."""
        counts = np.zeros(len(self._workers), np.int64) if counts is None else counts
        self._ask("begin", vector, total, counts)
        team = [w for w in range(len(self._workers)) if w not in self._gone]
        for place, worker in enumerate(team):
            numbers = (int(counts[worker]) * len(team) + place, len(team))
            told = self._workers[worker].take_part.remote(self._server, worker, numbers)
            self._rounds[told] = worker

    def look(self) -> Look:
        """See `Team.look`."""
        return self._ask("look")

    def running(self, seconds: float = 0.0) -> bool:
        """See `Team.running`.

        Raises:
          Exception: what a worker itself raised.
        """
        if self._rounds:
            with redirect_stdout(sys.stderr):  # Ray's words about processes that died
                ended, _ = self._ray.wait([*self._rounds], num_returns=1, timeout=seconds)
            for told in ended:
                worker = self._rounds.pop(told)
                try:
                    self._ray.get(told)
                except self._errors.RayActorError:  # its own end, or that of the server
                    self._gone.add(worker)
                except self._errors.RayTaskError as error:
                    raise error.cause from None
        return bool(self._rounds)

    def stop(self) -> None:
        """See `Team.stop`."""
        self._ask("stop")
        while self.running(0.1):
            pass

    def close(self) -> None:
        """End the actors, and a Ray that was started here."""
        for actor in (*getattr(self, "_workers", ()), *filter(None, [getattr(self, "_server", None)])):
            self._ray.kill(actor)
        if self._own:
            self._ray.shutdown()

    def _ask(self, name: str, *arguments: Any) -> Any:
        try:
            return self._ray.get(getattr(self._server, name).remote(*arguments))
        except self._errors.RayActorError:
            raise Lost("the parameter server has ended") from None
