"""Some of the classes of scikit-learn's handwritten digits: related tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlnotes.data.assemble import assemble
from dlnotes.data.dataset import Dataset
from dlnotes.data.split import split_indices


def digit_classes(
    *,
    classes: Sequence[int] = (0, 1, 2, 3, 4),
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    standardize: bool = True,
) -> Dataset:
    """The digits of some classes as images ``(8, 8, 1)``; class k is the k-th that is named.

    Each image is in the part that it has in `dlnotes.data.digits` of the same options: what some classes
    are trained on is never in the test part of others.

    Args:
      classes: which digits, at least two.
      validation: share or number of examples, of all ten classes, that are for validation.
      test: the same for the test part.
      seed: of the split.
      standardize: whether ``x = (raw − mean) / scale`` with the training part's mean and scale.

    Raises:
      ValueError: when a class is none of 0 to 9, or is named twice, or there are fewer than two.

    Source: as for `dlnotes.data.digits`.

    >>> digit_classes(classes=(5, 6, 7)).classes
    ('5', '6', '7')
    """
    from sklearn.datasets import load_digits

    named = tuple(classes)
    if len(set(named)) < len(named) or len(named) < 2 or any(c not in range(10) for c in named):
        raise ValueError(f"classes: got {list(named)}, allowed are two or more of 0 to 9, each once")
    bunch: Any = load_digits()
    target = bunch.target
    parts = split_indices(len(target), validation=validation, test=test, seed=seed, stratify=target)
    y = np.argmax(target[:, None] == np.asarray(named), axis=1)

    def chosen(part: np.ndarray) -> np.ndarray:
        return part[np.isin(target[part], named)]

    return assemble(
        "digit_classes",
        bunch.images[..., None].astype(np.float32) / 16,
        y,
        (chosen(parts[0]), chosen(parts[1]), chosen(parts[2])),
        input="image",
        task="classification",
        outputs=len(named),
        standardize=standardize,
        classes=tuple(str(c) for c in named),
    )
