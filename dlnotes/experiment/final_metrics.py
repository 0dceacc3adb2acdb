"""The metrics of pixel labels that need a whole data set: computed on the host when training is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dlnotes.data.dataset import Examples
from dlnotes.outputs.segmentation import boundary_f, confusion, mean_iou
from dlnotes.training.state import Member

if TYPE_CHECKING:
    from dlnotes.experiment.trainer import Trainer

TOLERANCE = 1
"""Pixels by which a boundary may be off."""


def label_quality(trainer: Trainer, members: Member, examples: Examples) -> dict[str, np.ndarray]:
    """Mean intersection over union and boundary F of every member, each ``(members,)``.

    Args:
      trainer: of the members.
      members: trained ones.
      examples: with classes of pixels as targets.
    """
    y, k = np.asarray(examples.y), trainer.dataset.outputs
    labels = trainer.predict(members, examples, classes=True)
    return {
        "mean_iou": np.array([mean_iou(confusion(each, y, k)) for each in labels]),
        "boundary_f": np.array([boundary_f(each, y, k, tolerance=TOLERANCE) for each in labels]),
    }
