"""Several processes, on one host or many, training together through ``jax.distributed``."""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from dlnotes.jax_internals import coordination_client

TIMEOUT_SECONDS = 10
"""How soon the others notice that a process is gone."""

WAIT_SECONDS = 300
"""How long processes wait for one another at the start."""

TPU_PORT = 8476
"""Where the hosts of a TPU slice meet, as they do in jax."""

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
    SLURM's and Open MPI's (which jax resolves the coordinator from by itself), and those of the hosts of a
    TPU slice (``TPU_WORKER_HOSTNAMES``, ``TPU_WORKER_ID``), the first of which coordinates.

    Raises:
      ValueError: when torchrun's variables are incomplete, or a TPU host's number is not one of the hosts'.

    >>> detect({"TPU_WORKER_HOSTNAMES": "t0,t1", "TPU_WORKER_ID": "1"})
    Processes(count=2, index=1, coordinator='t0:8476', found='TPU slice')
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
    hosts = [host.strip() for host in environ.get("TPU_WORKER_HOSTNAMES", "").split(",") if host.strip()]
    if len(hosts) > 1:
        number = environ.get("TPU_WORKER_ID", "")
        if not number.isdigit() or int(number) >= len(hosts):
            raise ValueError(f"TPU_WORKER_ID: got {number!r}, allowed is 0 to {len(hosts) - 1}")
        return Processes(len(hosts), int(number), f"{hosts[0]}:{TPU_PORT}", "TPU slice")
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


class NotTogether(ValueError):
    """The processes are not those of one run: one is missing, or was started with something else."""


def start(processes: Processes, *, wait: int = WAIT_SECONDS) -> None:
    """Join the other processes. Call before anything else uses jax's devices.

    Args:
      processes: how many, and which one this is.
      wait: seconds until all must be there.

    Raises:
      NotTogether: when they do not come together, or are not as many as each was told.
    """
    import jax

    _check_port(processes)

    options = {}
    if processes.coordinator is not None:
        options = {
            "coordinator_address": processes.coordinator,
            "num_processes": processes.count,
            "process_id": processes.index,
        }
    where = processes.coordinator or processes.found
    apart = f"the {processes.count} processes did not come together at {where} in {wait} seconds"
    _abort_words[0] = f"dlnotes: {apart}\n".encode()
    _leave_resumable_on_abort()
    try:
        jax.distributed.initialize(
            **options,
            initialization_timeout=wait,
            heartbeat_timeout_seconds=TIMEOUT_SECONDS,
            shutdown_timeout_seconds=TIMEOUT_SECONDS,
        )
    except Exception as error:  # of several kinds, which differ between versions
        raise NotTogether(f"{apart} ({error})") from None
    _abort_words[0] = _GONE
    agree(processes.index, processes.count, "number of processes", str(processes.count))


def _check_port(processes: Processes) -> None:
    """Refuses a coordinator's port that something else has: jax would not survive it."""
    if processes.index != 0 or processes.coordinator is None:
        return
    port = processes.coordinator.rpartition(":")[2]
    if not port.isdigit() or not 0 < int(port) < 2**16:
        raise NotTogether(f"--coordinator: got {processes.coordinator!r}, the port must be 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", int(port)))
        except OSError as error:
            told = f"--coordinator: port {port} of this machine cannot be used: {error.strerror}"
            raise NotTogether(told) from None


def agree(index: int, count: int, what: str, own: str) -> None:
    """Check that every process has the same text.

    Args:
      index, count: this process's number, and how many there are.
      what: is compared, for the message; each may be compared once.
      own: this process's text.

    Raises:
      NotTogether: naming the first process that has another text, and how they differ.
    """
    client = coordination_client()
    client.key_value_set(f"dlnotes/{what}/{index}", own)
    for other in range(count):
        try:
            theirs = client.blocking_key_value_get(f"dlnotes/{what}/{other}", 1000 * WAIT_SECONDS)
        except Exception as error:
            raise NotTogether(f"process {other} does not say its {what} ({error})") from None
        if theirs != own:
            if index == 0:
                time.sleep(2)  # the others ask this process: first they see it, too
            lines = [set(text.splitlines()) for text in (own, theirs)]
            mine, its = ("; ".join(sorted(a - b)[:3]) for a, b in (lines, lines[::-1]))
            raise NotTogether(
                f"process {other} was started with another {what}: it has {its or 'nothing'}, "
                f"process {index} has {mine or 'nothing'}"
            )


def code_text() -> str:
    """A line for each file of this package and for each library that computes: its name and a checksum."""
    package = Path(__file__).parents[1]
    files = [
        f"{path.relative_to(package).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
        for path in sorted(package.rglob("*.py"))
    ]
    return "\n".join([*(f"{name} {version(name)}" for name in ("jax", "jaxlib", "optax")), *files])


def abandon(message: str, status: int = RESUMABLE) -> NoReturn:
    """Leave at once, because another process is gone, or cannot be worked with.

    The usual way out of Python would wait for that process at the shutdown barrier.
    """
    print(f"dlnotes: {message}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(status)


_GONE = b"dlnotes: another process of this run is gone; resume the run to go on\n"
_abort_words = [_GONE]
"""What is said when jax aborts."""
_handlers: list[object] = []  # a C handler must outlive its installation


def _leave_resumable_on_abort() -> None:
    """Make jax's own reaction to a lost process, abort(), an exit with `RESUMABLE`.

    jax's coordination client aborts from a thread of its own, where no Python exception can be
    caught; the handler is therefore installed below Python's.
    """

    def leave(signum: int) -> None:
        os.write(2, _abort_words[0])
        os._exit(RESUMABLE)

    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(leave)
    _handlers.append(handler)
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.signal.restype = ctypes.c_void_p
    libc.signal(int(signal.SIGABRT), ctypes.cast(handler, ctypes.c_void_p))
