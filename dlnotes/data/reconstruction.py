"""A data set whose targets are its own inputs, for networks that reconstruct them."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from dlnotes.data.dataset import Dataset, Examples
from dlnotes.data.in_file import is_in_file


def inputs_as_targets(dataset: Dataset) -> Dataset:
    """The data set as a regression of its inputs: ``y`` is ``x`` flattened, not copied where it is float32.

    Args:
      dataset: of vectors, images of one size or volumes of one size.

    Raises:
      ValueError: naming the data set, when its inputs are no numbers of one shape.

    Example:
      >>> from dlnotes import data
      >>> digits = inputs_as_targets(data.load("digits", standardize=False))
      >>> digits.train.x.shape[1:], digits.train.y.shape[1:], digits.task, digits.outputs
      ((8, 8, 1), (64,), 'regression', 64)
    """
    if dataset.input not in ("vector", "image", "volume") or dataset.train.mask is not None:
        got = dataset.input if dataset.train.mask is None else f"{dataset.input}s of sizes of their own"
        raise ValueError(
            f"data: got {got} in {dataset.name}, allowed as targets of their own are vectors, and images and "
            "volumes of one size"
        )
    if is_in_file(dataset.train):
        raise ValueError(
            f"data: the inputs of {dataset.name} stay in their file, as targets they are held in memory"
        )

    def part(examples: Examples | None) -> Examples | None:
        if examples is None:
            return None
        x = np.asarray(examples.x, np.float32)
        return examples._replace(y=x.reshape(len(x), -1))

    train = part(dataset.train)
    assert train is not None
    return replace(
        dataset,
        train=train,
        validation=part(dataset.validation),
        test=part(dataset.test),
        task="regression",
        outputs=prod(dataset.inputs),
        classes=(),
        standardize_y=None,
    )
