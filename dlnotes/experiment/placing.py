"""Where the groups of a config are trained, and where a trained run is used."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import jax

from dlnotes.config import Config, ConfigError
from dlnotes.devices.chips import nearest
from dlnotes.devices.mesh import place_on_mesh
from dlnotes.devices.placement import Placement, place
from dlnotes.devices.platform import platform
from dlnotes.devices.prepare import cpu_count
from dlnotes.devices.prepare import prepare as prepare_cpu
from dlnotes.experiment.groups import Group, groups
from dlnotes.experiment.setup import Setup, state_shapes
from dlnotes.experiment.step_time import seconds_by_chips, work_of


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


def placement_of(setup: Setup, devices: Sequence[Any] | None = None) -> Placement:
    """Where a group is trained.

    With the strategy "auto" of several processes, trainings are divided over all devices where they come out
    even, else each batch is.

    Args:
      setup: of the group, whose config says how.
      devices: candidates; by default all of jax's.

    Raises:
      ConfigError: when the devices asked for do not exist.
    """
    config, members = setup.group.config, setup.group.members
    asked, available = config.devices, list(jax.devices() if devices is None else devices)
    several = len({d.process_index for d in available}) > 1
    sizes = asked.mesh.model_dump() if asked.mesh is not None else None
    if sizes is None and several and asked.strategy == "auto" and asked.count in (None, len(available)):
        sizes = {"members": len(available)} if members % len(available) == 0 else None
    try:
        if sizes is not None:
            return place_on_mesh(sizes, members=members, rules=asked.sharding, devices=available)
        return place(
            asked.strategy,
            members=members,
            devices=available,
            count=asked.count,
            batch_over=_fastest(setup, available[: asked.count]),
        )
    except ValueError as error:
        raise ConfigError("config", [str(error)]) from None


def _fastest(setup: Setup, devices: Sequence[Any]) -> int:
    """By how many of some devices a step of one training is fastest: measured for CPUs, else estimated."""
    config = setup.group.config
    if config.devices.strategy != "auto" or len(devices) == 1:
        return 1
    if devices[0].platform == "cpu":
        return len(devices) if config.model.divide_batch else 1
    chips = nearest(devices[0].device_kind, devices[0].platform, len(devices))
    seconds = seconds_by_chips(setup, work_of(setup, state_shapes(setup)), chips)
    return min(seconds, key=lambda n: seconds[n])


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
        # Outputs are not added up over devices: an accelerator's rows come no later for being divided.
        batch_over=available if config.model.divide_batch or platform() != "cpu" else 1,
    )
