"""A mesh of several axes: trainings, rows of a batch, and the state of one training divided over devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from math import prod
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from dlnotes.devices.placement import AXIS, Division, Placement

MEMBERS, DATA, FSDP, MODEL = "members", AXIS, "fsdp", "model"
AXES = (MEMBERS, DATA, FSDP, MODEL)
"""The axes of a mesh, the outermost first, so that the parts of one state lie on neighboring devices."""

NAMES = {"members": MEMBERS, "data": DATA, "fsdp": FSDP, "model": MODEL}
"""The axes by their names in a config."""

LEAST = 1024
"""Numbers that an array must have for being divided by rule."""

Rules = Mapping[str, Sequence[str]]
"""Patterns of paths in the state, such as ``"*/w"``, each with a mesh axis or "" for each array axis."""


@dataclass(frozen=True)
class MeshPlacement(Placement):
    """Devices on a mesh of four axes.

    Trainings lie over ``members`` and the rows of each batch over ``data``; parameters and the optimizer's
    state lie over ``fsdp`` and ``model``, and the rows over ``fsdp`` too. While each device holds the whole
    state of its trainings, rows are divided by hand, with one sum of gradients a step. Where the state is
    divided, everything is left to the compiler: it moves what a product needs, and a loop whose length
    depends on the data (the waves of a tree) has the same length everywhere, as the exchanges in it need.

    Attributes:
      sizes: of `AXES`.
      rules: where an array lies that the rule of `spec_of` shall not decide.
    """

    sizes: tuple[int, int, int, int] = (1, 1, 1, 1)
    rules: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def mesh(self) -> Mesh:
        """The mesh of all four axes."""
        return Mesh(np.array(self.devices).reshape(self.sizes), AXES)

    def division(self, accumulate: int = 1) -> Division:
        """How the rows of one batch are divided by hand; the compiler divides a multiple of ``parts``."""
        if self.by_hand:
            return Division(self.sizes[1], AXIS if self.sizes[1] > 1 else None, accumulate)
        return Division(multiple=accumulate * self.parts)

    @property
    def by_hand(self) -> bool:
        """Whether each device holds the whole state of its trainings, so that no axis is the compiler's."""
        return self.sizes[2] * self.sizes[3] == 1

    @property
    def parts(self) -> int:
        """Over how many devices the rows of a batch lie."""
        return self.sizes[1] * self.sizes[2]

    def describe(self) -> str:
        """A few words for a log: ``"mesh of 8 cpu devices, data 4, model 2"``."""
        used = ", ".join(f"{name} {size}" for name, size in zip(NAMES, self.sizes) if size > 1)
        return f"mesh of {len(self.devices)} {self.devices[0].platform} devices" + (used and f", {used}")


def place_on_mesh(
    sizes: Mapping[str, int],
    *,
    members: int,
    rules: Rules | None = None,
    devices: Sequence[Any] | None = None,
) -> MeshPlacement:
    """Devices on a mesh.

    Args:
      sizes: by the names of `NAMES`; what is not named is 1.
      members: trainings run at once.
      rules: see `Rules`.
      devices: candidates, the first of which are used; by default all of jax's.

    Raises:
      ValueError: when there are too few devices, several processes would not all take part, or the trainings
        cannot be divided.

    >>> place_on_mesh({"data": 1}, members=1).describe()
    'mesh of 1 cpu devices'
    """
    available = list(devices if devices is not None else jax.devices())
    shape = tuple(sizes.get(name, 1) for name in NAMES)
    needed = prod(shape)
    asked = ", ".join(f"{name} = {size}" for name, size in sizes.items())
    if needed > len(available):
        raise ValueError(f"devices.mesh: got {asked}, which is {needed} devices; there are {len(available)}")
    if needed < len(available) and len({d.process_index for d in available}) > 1:
        raise ValueError(
            f"devices.mesh: got {asked}, which is {needed} devices; "
            f"several processes use all {len(available)}"
        )
    if members % shape[0]:
        raise ValueError(f"devices.mesh: got members = {shape[0]}, which does not divide {members} trainings")
    kept = tuple((pattern, tuple(axes)) for pattern, axes in (rules or {}).items())
    return MeshPlacement("mesh", tuple(available[:needed]), "batch", shape, kept)  # type: ignore[arg-type]


def spec_of(shape: Sequence[int], *, model: int = 1, fsdp: int = 1) -> P:
    """Where an array of the state lies, by rule.

    The longest axis that ``model`` divides lies over it (of equal ones the last), and of the others the
    longest that ``fsdp`` divides lies over that; a single axis that both divide lies over both. An array
    of fewer than `LEAST` numbers is kept whole, for moving it costs more than holding it.

    Args:
      shape: of the array.
      model, fsdp: sizes of these axes of the mesh.

    >>> tuple(spec_of((784, 512), model=2))
    ('model', None)
    >>> tuple(spec_of((784, 512), model=2, fsdp=4))
    ('model', 'fsdp')
    >>> tuple(spec_of((4096,), model=2, fsdp=4))
    (('model', 'fsdp'),)
    >>> tuple(spec_of((3,), model=2))
    ()
    """
    if prod(shape) < LEAST:
        return P()
    taken: dict[int, tuple[str, ...]] = {}
    parts = [1] * len(shape)
    for name, size in ((MODEL, model), (FSDP, fsdp)):
        if size == 1:
            continue
        fitting = [i for i, n in enumerate(shape) if n % (parts[i] * size) == 0]
        if not fitting:
            continue
        axis = max(fitting, key=lambda i: (i not in taken, shape[i], i))
        taken[axis] = (*taken.get(axis, ()), name)
        parts[axis] *= size
    names = [taken.get(i, ()) for i in range(len(shape))] if taken else []
    return P(*(one if len(one) > 1 else next(iter(one), None) for one in names))


def state_specs(placement: MeshPlacement, members: Any) -> Any:
    """Where each array of the members' state lies: a `PartitionSpec` for each leaf.

    Args:
      placement: a mesh.
      members: a state, or its shapes, whose leaves have a leading axis of trainings.

    Raises:
      ValueError: when an array cannot be divided as a pattern says.
    """
    sizes: dict[str, int] = dict(zip(AXES, placement.sizes))

    def leaf(path: Any, a: Any) -> P:
        name, shape = _name(path), np.shape(a)[1:]
        for pattern, axes in placement.rules:
            if _meets(name, pattern):
                return P(MEMBERS, *_asked(pattern, axes, name, shape, sizes))
        return P(MEMBERS, *spec_of(shape, model=sizes[MODEL], fsdp=sizes[FSDP]))

    return jax.tree_util.tree_map_with_path(leaf, members)


def check_rules(placement: MeshPlacement, members: Any) -> None:
    """Refuse a pattern that no array of the state meets, and one that does not fit its array.

    Args:
      placement, members: as of `state_specs`.

    Raises:
      ValueError: with the array's name, or the names that there are.
    """
    state_specs(placement, members)
    names = [_name(path) for path, _ in jax.tree_util.tree_flatten_with_path(members)[0]]
    for pattern, _ in placement.rules:
        if not any(_meets(name, pattern) for name in names):
            raise ValueError(
                f"devices.sharding: got {pattern!r}, which is no array's name; there are {', '.join(names)}"
            )


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _meets(name: str, pattern: str) -> bool:
    return fnmatch(name, pattern) or fnmatch(name, f"*/{pattern}")


def _asked(
    pattern: str, axes: Sequence[str], name: str, shape: Sequence[int], sizes: Mapping[str, int]
) -> list[str | None]:
    if len(axes) > len(shape):
        raise ValueError(
            f"devices.sharding.{pattern}: got {list(axes)} for {name}, "
            f"which has the {len(shape)} axes {shape}"
        )
    for axis, length in zip(axes, shape):
        if axis and length % sizes[axis]:
            raise ValueError(
                f"devices.sharding.{pattern}: got {axis!r} for an axis of {length} of {name}; "
                f"the mesh's {sizes[axis]} does not divide it"
            )
    return [axis or None for axis in axes]


def planned_bytes(placement: MeshPlacement, members: Any) -> int:
    """Bytes of the members' state that lie on one device; nothing is moved.

    Args:
      placement, members: as of `state_specs`.
    """
    sizes: dict[str, int] = dict(zip(AXES, placement.sizes))

    def leaf(a: Any, spec: P) -> int:
        named = [axis for part in spec for axis in (part if isinstance(part, tuple) else (part,)) if axis]
        return prod(np.shape(a)) * np.dtype(a.dtype).itemsize // prod(sizes[axis] for axis in named)

    return sum(jax.tree.leaves(jax.tree.map(leaf, members, state_specs(placement, members))))


def bytes_per_device(tree: Any) -> int:
    """The most bytes of a tree of arrays that lie on one device of this process."""
    held: dict[Any, int] = {}
    for a in jax.tree.leaves(tree):
        for shard in a.addressable_shards:
            held[shard.device] = held.get(shard.device, 0) + shard.data.nbytes
    return max(held.values(), default=0)


def sharding_tree(placement: MeshPlacement, specs: Any) -> Any:
    """`NamedSharding` of each `PartitionSpec` in a tree."""
    return jax.tree.map(
        lambda spec: NamedSharding(placement.mesh, spec), specs, is_leaf=lambda s: isinstance(s, P)
    )
