"""The processor that a time was measured on."""

from __future__ import annotations

import platform
from pathlib import Path

import jax

VECTORS = ("sse2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "neon", "asimd", "sve")
"""What processors call their vector instructions, of x86 and of ARM."""
WHOLE = ("avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8", "asimddp", "i8mm")
"""What they call their instructions that add up products of numbers of 8 bits."""


def _info() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def processor_name() -> str:
    """Its name, as it says itself."""
    names = [line.partition(":")[2].strip() for line in _info().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def device_name() -> str:
    """Of the device that jax uses."""
    return processor_name() if jax.default_backend() == "cpu" else jax.devices()[0].device_kind


def vector_instructions() -> list[str]:
    """Those of `VECTORS` that this processor has; empty where the system does not tell."""
    words = set(_info().split())
    return [name for name in VECTORS if name in words]


def whole_number_instructions() -> list[str]:
    """Those of `WHOLE` that this processor has; those of Apple are known without being told."""
    if words := set(_info().split()):
        return [name for name in WHOLE if name in words]
    return ["asimddp"] if platform.system() == "Darwin" and platform.machine() == "arm64" else []
