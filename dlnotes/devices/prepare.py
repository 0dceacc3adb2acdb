"""What must be said to jax before it starts: CPU devices, the small-loop option, the processes."""

from __future__ import annotations

import os

from dlnotes.jax_internals import backend_started

SMALL_LOOP = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=65536"
"""Compiles loops over little data as one function: a tiny network's training is three times faster."""


def prepare(cpu_devices: int | None = None) -> bool:
    """Set the options that only count before jax's first use of a device.

    Args:
      cpu_devices: CPU devices to have (accelerators are not affected); ``None`` leaves it.

    Returns:
      Whether they could be set: False when jax had already started, whose devices are then used.
    """
    import jax

    if backend_started():
        return False
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_backend_extra_options" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {SMALL_LOOP}".strip()
    if cpu_devices is not None and "xla_force_host_platform_device_count" not in flags:
        jax.config.update("jax_num_cpu_devices", cpu_devices)
    return True


def cpu_count() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
