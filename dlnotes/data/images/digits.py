"""scikit-learn's handwritten digits."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlnotes.data.assemble import assemble
from dlnotes.data.dataset import Dataset
from dlnotes.data.split import split_indices


def digits(
    *, validation: float | int = 0.1, test: float | int = 0.2, seed: int = 0, standardize: bool = True
) -> Dataset:
    """1,797 handwritten digits as images ``(8, 8, 1)``, ten classes.

    Raw values are counts of inked points (0..16) / 16.

    Args:
      validation: share or number of examples for validation, stratified by class.
      test: the same for the test part.
      seed: of the split.
      standardize: whether ``x = (raw − mean) / scale`` with the training part's mean and scale.

    Source: Optical Recognition of Handwritten Digits, Alpaydin and Kaynak, UCI, 1998 (CC BY 4.0).

    >>> digits().inputs
    (8, 8, 1)
    """
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    y = bunch.target
    return assemble(
        "digits",
        bunch.images[..., None].astype(np.float32) / 16,
        y,
        split_indices(len(y), validation=validation, test=test, seed=seed, stratify=y),
        input="image",
        task="classification",
        outputs=10,
        standardize=standardize,
        classes=tuple("0123456789"),
    )
