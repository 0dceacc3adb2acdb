"""What accelerators can do by their makers' figures, and slices of them by name: "v5e:4x4", "h100:8".

Nothing here needs the accelerator, or jax.
"""

from __future__ import annotations

import os
import re
from math import prod
from typing import NamedTuple


class Chip(NamedTuple):
    """One kind of accelerator.

    Attributes:
      title: its name.
      platform: jax's name of its kind: "tpu", "cuda" or "cpu".
      memory: bytes.
      products: floating-point operations of matrix products a second, by the dtype of their factors, with
        jax's default precision; empty where they are not known.
      bandwidth: bytes a second between the chip and its memory.
      link: bytes a second that leave a chip in an all-reduce within a host or a slice.
      network: the same between hosts.
      hop: seconds from one chip to its neighbor, however little is sent.
      loop: seconds that one iteration of a loop takes, however little it computes.
      axes: of the torus in which the chips lie; 0 where all of a host are equally near.
      per_host: chips of a host, at most.
      source: where the figures stand.
    """

    title: str
    platform: str
    memory: int
    products: dict[str, float]
    bandwidth: float
    link: float
    network: float
    hop: float
    loop: float
    axes: int
    per_host: int
    source: str


_GB = 10**9

CHIPS = {
    "v5e": Chip(
        title="TPU v5e",
        platform="tpu",
        memory=16 * _GB,
        products={"float32": 197e12, "bfloat16": 197e12},
        bandwidth=819e9,
        link=100e9,
        network=100e9,
        hop=1e-6,
        loop=5e-6,
        axes=2,
        per_host=4,
        source="cloud.google.com/tpu/docs/v5e: 4 links of 400 Gbit/s, of which two leave a chip in a ring",
    ),
    "v5p": Chip(
        title="TPU v5p",
        platform="tpu",
        memory=95 * _GB,
        products={"float32": 459e12, "bfloat16": 459e12},
        bandwidth=2765e9,
        link=200e9,
        network=200e9,
        hop=1e-6,
        loop=5e-6,
        axes=3,
        per_host=4,
        source="cloud.google.com/tpu/docs/v5p: 6 links of 800 Gbit/s, of which two leave a chip in a ring",
    ),
    "v6e": Chip(
        title="TPU v6e",
        platform="tpu",
        memory=32 * _GB,
        products={"float32": 918e12, "bfloat16": 918e12},
        bandwidth=1640e9,
        link=200e9,
        network=200e9,
        hop=1e-6,
        loop=5e-6,
        axes=2,
        per_host=4,
        source="cloud.google.com/tpu/docs/v6e: 4 links of 800 Gbit/s, of which two leave a chip in a ring",
    ),
    "h100": Chip(
        title="H100 SXM",
        platform="cuda",
        memory=80 * _GB,
        products={"float32": 495e12, "bfloat16": 989e12},
        bandwidth=3350e9,
        link=450e9,
        network=50e9,
        hop=2e-6,
        loop=2e-5,
        axes=0,
        per_host=8,
        source="nvidia.com/en-us/data-center/h100: TF32 and bfloat16 without sparsity, NVLink of 900 GB/s "
        "in both directions; one network card of 400 Gbit/s a GPU",
    ),
    "cpu": Chip(
        title="CPU",
        platform="cpu",
        memory=0,
        products={},
        bandwidth=0.0,
        link=0.0,
        network=0.0,
        hop=0.0,
        loop=0.0,
        axes=0,
        per_host=1024,
        source="this machine's memory, shared by its devices; its speed is not estimated",
    ),
}


class Topology(NamedTuple):
    """Some chips of one kind.

    Attributes:
      name: as it was asked for.
      chip: their kind.
      shape: how many along each axis of the torus; for GPUs hosts and GPUs a host.
    """

    name: str
    chip: Chip
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many chips."""
        return prod(self.shape)

    @property
    def hosts(self) -> int:
        """How many machines they are in."""
        if self.chip.axes == 0:
            return self.shape[0]
        return -(-self.count // self.chip.per_host)

    def part(self, count: int) -> Topology:
        """So many of them, lying as near together as they can."""
        if self.chip.axes == 0:
            per_host = min(count, self.shape[1])
            return self._replace(shape=(-(-count // per_host), per_host))
        shape, left = [1] * len(self.shape), count
        while left > 1:  # double the shortest axis that has room
            room = [i for i, (n, most) in enumerate(zip(shape, self.shape)) if n < most]
            i = min(room, key=lambda i: shape[i])
            shape[i], left = 2 * shape[i], left // 2
        return self._replace(shape=tuple(shape))

    def all_reduce(self, size: float) -> float:
        """Seconds in which all chips add up arrays of ``size`` bytes: a ring, without wrap-around.

        ``2 (n − 1)/n · size / link``, and the way there and back over all chips of an axis.
        """
        if (n := self.count) == 1:
            return 0.0
        chip = self.chip
        link = chip.link if self.hosts == 1 or chip.axes else chip.network
        hops = 2 * (sum(self.shape) - len(self.shape) if chip.axes else n - 1)
        return 2 * (n - 1) / n * size / link + hops * chip.hop


def topology(name: str) -> Topology:
    """A slice of chips by name.

    Args:
      name: ``<chip>:<shape>``: "v5e:4x4" or "v5p:2x2x4" (chips along the axes of the torus), "h100:8" (GPUs
        of a host), "h100:4x8" (hosts of eight), "cpu:8".

    Raises:
      ValueError: with what is allowed.

    Example:
      >>> slice = topology("v5e:4x4")
      >>> slice.chip.title, slice.count, slice.hosts
      ('TPU v5e', 16, 4)
    """
    kind, _, size = name.partition(":")
    if kind not in CHIPS:
        raise ValueError(f"--on: got {name!r}, known chips are {', '.join(CHIPS)}")
    chip = CHIPS[kind]
    lengths = re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", size)
    shape: tuple[int, ...] = tuple(map(int, size.split("x"))) if lengths else ()
    if chip.axes == 0 and len(shape) == 1:
        shape = (1, *shape)
    if len(shape) != (chip.axes or 2):
        form = {0: "8 or 4x8 (hosts and chips a host)", 2: "4x4", 3: "2x2x4"}[chip.axes]
        raise ValueError(f"--on: got {name!r}, after {kind}: stands something like {form}")
    if chip.axes == 0 and max(shape[1:]) > chip.per_host:
        raise ValueError(f"--on: got {name!r}, a host has at most {chip.per_host} of them")
    if chip.axes and any(n & (n - 1) for n in shape):
        raise ValueError(f"--on: got {name!r}, a slice has 1, 2, 4, 8 … chips along each axis")
    if chip.platform == "cpu":
        chip = chip._replace(memory=_own_memory() // prod(shape))
    return Topology(name, chip, shape)


_KINDS = {"v5e": r"v5 ?lite|v5e", "v6e": r"v6|v7", "v5p": r"v5|v4"}
"""By what jax calls a TPU."""


def nearest(device_kind: str, platform: str, count: int) -> Topology:
    """So many chips of one host, by those of `CHIPS` that are most like them.

    Args:
      device_kind: what jax calls them, such as "TPU v5 lite".
      platform: "tpu", else they are GPUs.
      count: how many.

    >>> nearest("TPU v5 lite", "tpu", 8).shape, nearest("NVIDIA H200", "gpu", 8).name
    ((4, 2), 'h100:8')
    """
    if platform != "tpu":
        return Topology(f"h100:{count}", CHIPS["h100"], (1, count))
    found = (name for name, pattern in _KINDS.items() if re.search(pattern, device_kind, re.IGNORECASE))
    chip = CHIPS[name := next(found, "v5e")]
    whole = Topology(name, chip, (count,) * chip.axes).part(2 ** (count.bit_length() - 1))
    return whole._replace(name=f"{name}:{'x'.join(map(str, whole.shape))}")


def _own_memory() -> int:
    """Bytes of this machine's memory, 16 GB where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 16 * _GB
