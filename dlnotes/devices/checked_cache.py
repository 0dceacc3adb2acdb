"""The cache of compiled programs on disk: an entry is used only as it was written, and on such a machine."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from pathlib import Path
from typing import Any

_LENGTH = hashlib.sha256().digest_size


class CheckedCache:
    """A cache of bytes by key, with a checksum behind each value and the kind of machine in each key.

    Compiled code with a changed bit may compute something else, and code of another processor may not run at
    all. Both count as missing here: they cost a compilation.

    Args:
      base: jax's own cache, with ``get`` and ``put``.
      machine: a name of this kind of machine; by default `machine_kind`.
    """

    def __init__(self, base: Any, machine: str | None = None):
        self.base, self.machine = base, machine_kind() if machine is None else machine

    def __getattr__(self, name: str) -> Any:
        return getattr(self.base, name)

    def get(self, key: str) -> bytes | None:
        """The value of a key, ``None`` where there is none as it was put."""
        key = f"{key}-{self.machine}"
        found = self.base.get(key)
        if found is None:
            return None
        value, digest = found[:-_LENGTH], found[-_LENGTH:]
        if hashlib.sha256(value).digest() == digest:
            return value
        (self.base.path / f"{key}-cache").unlink(missing_ok=True)  # else a new one would not be put
        return None

    def put(self, key: str, value: bytes) -> None:
        """Keep a value with its checksum."""
        self.base.put(f"{key}-{self.machine}", value + hashlib.sha256(value).digest())


@cache
def machine_kind() -> str:
    """Eight letters that are the same where the processor has the same name and the same instructions."""
    told = [platform.machine(), platform.system()]
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        wanted = ("model name", "flags", "Features")
        told += sorted({line for line in lines if line.partition(":")[0].strip() in wanted})
    except OSError:  # other systems
        told.append(platform.processor())
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:8]
