"""Small real data sets that come with scikit-learn: no files, no network."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from dlnotes.checks import chosen
from dlnotes.data.assemble import assemble
from dlnotes.data.dataset import Dataset
from dlnotes.data.split import split_indices

TABLES = {
    "breast_cancer": ("vector, 2 classes", "CC BY 4.0", "Wolberg et al., UCI 1995"),
    "wine": ("vector, 3 classes", "CC BY 4.0", "Aeberhard and Forina, UCI 1991"),
    "iris": ("vector, 3 classes", "CC BY 4.0", "Fisher, 1936"),
    "diabetes": ("vector, regression", "as in scikit-learn", "Efron et al., 2004"),
}
"""What each table holds, its license, and who made it."""


def tabular(
    *,
    name: Literal["breast_cancer", "wine", "iris", "diabetes"] = "breast_cancer",
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    standardize: bool = True,
) -> Dataset:
    """A table of measurements: three classifications and one regression ("diabetes").

    Args:
      name: "breast_cancer" (569 × 30, 2 classes), "wine" (178 × 13, 3), "iris" (150 × 4, 3) or
        "diabetes" (442 × 10, disease progression after a year).
      validation: share or number of examples for validation, stratified by class.
      test: the same for the test part.
      seed: of the split.
      standardize: whether columns, and the regression target, are standardized.

    Raises:
      ValueError: when the name is none of these.
    """
    from sklearn import datasets

    chosen("name", name, TABLES)
    options: dict[str, Any] = {"scaled": False} if name == "diabetes" else {}
    bunch: Any = getattr(datasets, f"load_{name}")(**options)
    regression = name == "diabetes"
    y = bunch.target
    classes = () if regression else tuple(str(c) for c in bunch.target_names)
    parts = split_indices(
        len(y), validation=validation, test=test, seed=seed, stratify=None if regression else y
    )
    return assemble(
        name,
        np.asarray(bunch.data, np.float64),
        y[:, None] if regression else y,
        parts,
        input="vector",
        task="regression" if regression else "classification",
        outputs=1 if regression else len(classes),
        standardize=standardize,
        classes=classes,
        features=tuple(str(f) for f in bunch.feature_names),
    )
