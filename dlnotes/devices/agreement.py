"""What processes that train together must decide together."""

from __future__ import annotations

import numpy as np

from dlnotes.devices.placement import Placement


def agree(placement: Placement, stop: bool, save: bool, steps: int) -> tuple[bool, bool, int]:
    """The same decision in every process: stop if any must, save if any wants, the fewest steps.

    Args:
      placement: with one process this returns its own wishes.
      stop: whether this process was told to stop.
      save: whether a checkpoint is due by this process's clock.
      steps: how many steps this process would take next.
    """
    if placement.processes == 1:
        return stop, save, steps
    from jax.experimental import multihost_utils

    wishes = np.array([stop, save, -steps], np.int32)
    most = np.asarray(multihost_utils.process_allgather(wishes)).reshape(-1, 3).max(axis=0)
    return bool(most[0]), bool(most[1]), int(-most[2])
