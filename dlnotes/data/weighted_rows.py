"""Own files of which a column says how much each row counts."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

from dlnotes.data.dataset import Dataset
from dlnotes.data.own_files import OwnDataset


@dataclass(frozen=True)
class WeightedDataset(OwnDataset):
    """An `OwnDataset` whose training examples have weights.

    Attributes:
      weights: ``(n,)`` of the training part's examples, their mean 1.
    """

    weights: np.ndarray = field(default_factory=lambda: np.zeros(0), compare=False)


def with_row_weights(dataset: OwnDataset, weights: np.ndarray) -> WeightedDataset:
    """The data set with the weights of its training examples.

    Args:
      dataset: without weights.
      weights: ``(n,)``, their mean 1.
    """
    return WeightedDataset(**{f.name: getattr(dataset, f.name) for f in fields(OwnDataset)}, weights=weights)


def weights_of(dataset: Dataset) -> np.ndarray | None:
    """The weights of the training examples; ``None`` where all count alike."""
    return dataset.weights if isinstance(dataset, WeightedDataset) else None
