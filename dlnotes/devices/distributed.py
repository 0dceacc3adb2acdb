"""Several processes, on one host or many, training together through ``jax.distributed``."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

TIMEOUT_SECONDS = 10
"""How soon the others notice that a process is gone."""

RESUMABLE = 75
"""Exit status of a run that was cut short and can be resumed."""


@dataclass(frozen=True)
class Processes:
    """A process's place among those that train together.

    Attributes:
      count: how many there are.
      index: this one's number, 0 the one that writes.
      coordinator: ``host:port`` of process 0.
      found: where these were read ("command line", "SLURM", …).
    """

    count: int
    index: int
    coordinator: str | None
    found: str


def detect(environ: Mapping[str, str] = os.environ) -> Processes | None:
    """What a launcher says in the environment, ``None`` when nothing does.

    Understood are torchrun's variables (``WORLD_SIZE``, ``RANK``, ``MASTER_ADDR``, ``MASTER_PORT``),
    SLURM's and Open MPI's (which jax resolves the coordinator from by itself).

    Raises:
      ValueError: when torchrun's variables are incomplete.
    """
    if "WORLD_SIZE" in environ and "RANK" in environ:
        count = int(environ["WORLD_SIZE"])
        missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if name not in environ]
        if count > 1 and missing:
            raise ValueError(f"WORLD_SIZE is {count} but {', '.join(missing)} is not set")
        if count > 1:
            address = f"{environ['MASTER_ADDR']}:{environ['MASTER_PORT']}"
            return Processes(count, int(environ["RANK"]), address, "torchrun")
        return None
    for name, size, rank in (
        ("SLURM", "SLURM_NTASKS", "SLURM_PROCID"),
        ("Open MPI", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ):
        if int(environ.get(size, "1")) > 1 and rank in environ:
            return Processes(int(environ[size]), int(environ[rank]), None, name)
    return None


def from_options(processes: int | None, process_id: int | None, coordinator: str | None) -> Processes | None:
    """The command line's options if given, else what `detect` finds.

    Raises:
      ValueError: when only some of the three are given, or the number is out of range.
    """
    given = {"--processes": processes, "--process-id": process_id, "--coordinator": coordinator}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == 3:
        return detect()
    if missing:
        raise ValueError(f"{', '.join(missing)}: missing; give all of {', '.join(given)}")
    if processes is None or process_id is None or processes < 1:
        raise ValueError(f"--processes: got {processes}, at least 1 is needed")
    if not 0 <= process_id < processes:
        raise ValueError(f"--process-id: got {process_id}, allowed is 0 to {processes - 1}")
    if coordinator is None or ":" not in coordinator:
        raise ValueError(f"--coordinator: got {coordinator!r}, must look like host:port")
    return Processes(processes, process_id, coordinator, "command line") if processes > 1 else None


def start(processes: Processes) -> None:
    """Join the other processes. Call before anything else uses jax's devices.

    Raises:
      RuntimeError: when they do not come together, or jax finds another number of them.
    """
    import jax

    options = {}
    if processes.coordinator is not None:
        options = {
            "coordinator_address": processes.coordinator,
            "num_processes": processes.count,
            "process_id": processes.index,
        }
    _leave_resumable_on_abort()
    jax.distributed.initialize(
        **options,
        heartbeat_timeout_seconds=TIMEOUT_SECONDS,
        shutdown_timeout_seconds=TIMEOUT_SECONDS,
    )
    if jax.process_count() != processes.count:
        raise RuntimeError(
            f"{processes.found}: {processes.count} processes were asked for, jax found {jax.process_count()}"
        )


def abandon(message: str) -> NoReturn:
    """Leave at once with `RESUMABLE`, because another process is gone.

    The usual way out of Python would wait for that process at the shutdown barrier.
    """
    print(f"dlnotes: {message}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(RESUMABLE)


_handlers: list[object] = []  # a C handler must outlive its installation


def _leave_resumable_on_abort() -> None:
    """Make jax's own reaction to a lost process, abort(), an exit with `RESUMABLE`.

    jax's coordination client aborts from a thread of its own, where no Python exception can be
    caught; the handler is therefore installed below Python's.
    """

    def leave(signum: int) -> None:
        os.write(2, b"dlnotes: another process of this run is gone; resume the run to go on\n")
        os._exit(RESUMABLE)

    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(leave)
    _handlers.append(handler)
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.signal.restype = ctypes.c_void_p
    libc.signal(int(signal.SIGABRT), ctypes.cast(handler, ctypes.c_void_p))
