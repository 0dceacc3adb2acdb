"""The processor that a time was measured on."""

from __future__ import annotations

import platform
from pathlib import Path

import jax

VECTORS = ("sse2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "neon", "asimd", "sve")
"""What processors call their vector instructions, of x86 and of ARM."""


def _info() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def device_name() -> str:
    """Of the device that jax uses; of a CPU as the system says it."""
    if jax.default_backend() != "cpu":
        return jax.devices()[0].device_kind
    names = [line.partition(":")[2].strip() for line in _info().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def vector_instructions() -> list[str]:
    """Those of `VECTORS` that this processor has; empty where the system does not tell."""
    words = set(_info().split())
    return [name for name in VECTORS if name in words]
