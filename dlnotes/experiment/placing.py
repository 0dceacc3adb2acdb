"""Where the groups of a config are trained, and where a trained run is used."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import jax

from dlnotes.config import Config, ConfigError
from dlnotes.devices.mesh import place_on_mesh
from dlnotes.devices.placement import Placement, place
from dlnotes.devices.prepare import cpu_count
from dlnotes.devices.prepare import prepare as prepare_cpu
from dlnotes.experiment.groups import Group, groups


def prepare_devices(config: Config, plan: list[Group] | None = None, *, processes: int = 1) -> None:
    """Before jax starts: as many CPU devices as this config can use, and the compiler's options.

    Args:
      config: says how many devices, or gives the reason to want several.
      plan: its groups, if they are known.
      processes: that train together; each then takes one CPU device, as they share a host's cores.
    """
    wanted = config.devices.count if processes == 1 else 1
    if (mesh := config.devices.mesh) is not None:
        wanted = -(-prod(mesh.model_dump().values()) // processes)
    if wanted is None and config.devices.strategy != "single":
        members = max((g.members for g in plan or groups(config)), default=1)
        several = members > 1 or config.model.divide_batch or config.devices.strategy != "auto"
        wanted = min(cpu_count(), 64) if several else 1
    prepare_cpu(wanted or 1)


def placement_of(config: Config, group: Group, devices: Sequence[Any] | None = None) -> Placement:
    """Where a group is trained.

    Args:
      config: says how.
      group: of trainings.
      devices: candidates; by default all of jax's.

    Raises:
      ConfigError: when the devices asked for do not exist.
    """
    try:
        if config.devices.mesh is not None:
            return place_on_mesh(
                config.devices.mesh.model_dump(),
                members=group.members,
                rules=config.devices.sharding,
                devices=devices,
            )
        return place(
            config.devices.strategy,
            members=group.members,
            devices=devices,
            count=config.devices.count,
            divide_batch=config.model.divide_batch,
        )
    except ValueError as error:
        raise ConfigError("config", [str(error)]) from None


def inference_placement(config: Config) -> Placement:
    """Where a trained run is evaluated and predicts: its rows are divided as a batch of one training is.

    Of the devices that the run was trained on, as many as there are here. On a mesh its trainings take turns.
    """
    mesh = config.devices.mesh
    if mesh is not None:
        sizes = mesh.model_dump() | {"members": 1, "data": mesh.members * mesh.data}
        if prod(sizes.values()) <= jax.device_count():
            return place_on_mesh(sizes, members=1, rules=config.devices.sharding)
    available, asked = jax.device_count(), config.devices.count
    return place(
        config.devices.strategy if jax.process_count() == 1 else "mesh",
        members=1,
        count=None if asked is None or jax.process_count() > 1 else min(asked, available),
        divide_batch=config.model.divide_batch,
    )
