"""The metrics of pixel labels that need a whole data set: computed on the host when training is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dlnotes.data.dataset import Examples
from dlnotes.experiment.decoding import references_of, written_quality
from dlnotes.experiment.trainer import Outcome
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


def _final(trainer: Trainer, outcome: Outcome) -> dict[str, dict[str, np.ndarray]]:
    """Metrics of every split that exists but the training part, which the log has."""
    dataset = trainer.dataset
    names = [n for n in ("validation", "test") if getattr(dataset, n) is not None]
    found = {name: trainer.evaluate(outcome.state.members, name) for name in names or ["train"]}
    if dataset.task == "pixels":
        for name, metrics in found.items():
            metrics |= label_quality(trainer, outcome.state.members, dataset.split(name))
    if trainer.group.config.model.kind == "seq2seq":
        split = "test" if "test" in found else next(iter(found))
        references, how = references_of(dataset, split), trainer.group.config.decoding
        found[split] |= written_quality(trainer, outcome.state.members, dataset.split(split), references, how)
    return found
