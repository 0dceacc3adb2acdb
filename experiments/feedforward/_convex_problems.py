"""Convex problems on real tables with their exact solutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dlnotes import data, outputs

DECAY = 0.001
"""λ of the penalty λ/2 ‖W‖² in every objective but that of plain linear regression."""


class Problem(NamedTuple):
    """A convex problem of the notes.

    Attributes:
      name: of the model.
      loss: of the output ``(rows, 1)``.
      decay: λ.
      solve: from the table to the optimal ``(w, b)``.
    """

    name: str
    loss: outputs.LossFn
    decay: float
    solve: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def least_squares(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.linear_model import LinearRegression

    found = LinearRegression().fit(x, y[:, 0])
    return found.coef_, np.asarray(found.intercept_)


def logistic(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.linear_model import LogisticRegression

    found = LogisticRegression(C=1 / (DECAY * len(y)), tol=1e-10, max_iter=10_000).fit(x, y)
    return found.coef_[0], found.intercept_[0]


def support_vectors(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.svm import SVC

    found = SVC(kernel="linear", C=1 / (DECAY * len(y)), tol=1e-8).fit(x, y)
    return found.coef_[0], found.intercept_[0]


PROBLEMS = {
    "diabetes": (Problem("linear regression", outputs.squared_error, 0.0, least_squares),),
    "breast_cancer": (
        Problem("logistic regression", outputs.binary_cross_entropy, DECAY, logistic),
        Problem("linear SVM", outputs.hinge, DECAY, support_vectors),
    ),
}
"""By table; those of one table train in one program."""
NAMES = [problem.name for problems in PROBLEMS.values() for problem in problems]


def table_of(name: str) -> data.Examples:
    """All rows of a real table, standardized."""
    table = data.load("tabular", name=name)
    parts = [table.split(part) for part in ("train", "validation", "test")]
    return data.Examples(*(np.concatenate([part[i] for part in parts]) for i in range(2)))
