"""Devices that are not there, described well enough for jax to compile for them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, NamedTuple

from dlnotes.devices.chips import Topology
from dlnotes.devices.prepare import prepare

EXTRAS = {"tpu": ("tpu", ("libtpu",)), "cuda": ("cuda", ("jax_cuda12_plugin", "jax_cuda13_plugin"))}
"""By platform the extra of dlnotes that brings its compiler, and the packages of which one must be there."""

_H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_core: 233472 shared_memory_per_block_optin: 232448
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 device_memory_size: 84929347584
  cuda_compute_capability { major: 9 }
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 }
runtime_version { major: 12 minor: 9 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
"""XLA's description of the GPU for which it writes programs."""


class Described(NamedTuple):
    """What is asked of a device where a training is placed, without its compiler.

    Attributes:
      platform: jax's name of its kind.
      process_index: the host that it is in.
      id: its number.
      device_kind: the chip.
    """

    platform: str
    process_index: int
    id: int
    device_kind: str


def described(topology: Topology) -> tuple[Described, ...]:
    """The chips of a topology, host by host."""
    per_host = -(-topology.count // topology.hosts)
    platform = "gpu" if topology.chip.platform == "cuda" else topology.chip.platform
    title = topology.chip.title
    return tuple(Described(platform, i // per_host, i, title) for i in range(topology.count))


def missing(topology: Topology) -> str | None:
    """What must be installed before a program can be compiled for these chips; ``None`` where it is."""
    extra, packages = EXTRAS.get(topology.chip.platform, ("", ()))
    if not packages or any(find_spec(package) for package in packages):
        return None
    return f"compiling for {topology.chip.title} needs its compiler: python -m pip install 'dlnotes[{extra}]'"


def only_compile() -> None:
    """Start jax on the CPU alone, whatever accelerator there is: programs are compiled, and not run."""
    os.environ.update(JAX_PLATFORMS="cpu", CUDA_VISIBLE_DEVICES="-1")
    # Without these libtpu asks the network which machine it is on.
    os.environ.update(TPU_SKIP_MDS_QUERY="1", TPU_WORKER_HOSTNAMES="localhost", TPU_WORKER_ID="0")
    os.environ.update(TPU_MIN_LOG_LEVEL="3", TF_CPP_MIN_LOG_LEVEL="3")
    with _silent():
        import jax

        jax.devices("cpu")


@contextmanager
def _silent() -> Iterator[None]:
    """Nothing reaches standard error, not even from compiled libraries: they miss their devices there."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def compilable(topology: Topology) -> tuple[Any, ...]:
    """jax's devices of a topology, for which programs can be compiled and not run.

    To be called before jax starts.

    Raises:
      ValueError: when the compiler knows no such slice.
    """
    platform, count = topology.chip.platform, topology.count
    os.environ.update(TPU_ACCELERATOR_TYPE=f"v5litepod-{count}")
    import jax

    if platform == "cpu":
        prepare(count)
        return tuple(jax.devices("cpu")[:count])
    only_compile()
    from jax.experimental import topologies

    shape = "x".join(map(str, topology.shape))
    asked: dict[str, Any] = {"topology_name": topology.name}
    if platform == "cuda":
        asked = {"topology": f"1x{shape}", "target_config": _H100}
    try:
        found = topologies.get_topology_desc(platform=platform, **asked).devices
    except Exception as error:  # jax has no class of its own for this
        raise ValueError(f"--on: got {topology.name!r}, its compiler says: {error}") from None
    if len(found) != count:
        raise ValueError(f"--on: got {topology.name!r}, its compiler has {len(found)} devices for it")
    return tuple(found)
