"""What a net over trees is compared with: logistic regression on counts of a node's name and its parent's."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlnotes.data.dataset import Dataset, Examples, Trees


def bigram_counts(trees: Trees, mask: Any, symbols: int) -> Any:
    """How often each name, and each pair of a node's name and a child's, is in each tree.

    Args:
      trees: n trees.
      mask: ``(n, N)`` booleans of real nodes.
      symbols: how many names there are, S; a node without one counts as one more.

    Returns:
      A scipy sparse matrix ``(n, S + 1 + (S + 1)²)`` of float64.
    """
    from scipy import sparse

    label, children = np.where(trees.label < 0, symbols, trees.label).astype(np.int64), trees.children
    n, kinds = len(label), symbols + 1
    tree, slot = np.nonzero(mask)
    row, at, child = np.nonzero(children >= 0)
    below = label[row, children[row, at, child]]
    rows = np.concatenate([tree, row])
    columns = np.concatenate([label[tree, slot], kinds + label[row, at] * kinds + below])
    return sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), (n, kinds + kinds**2)).tocsr()


def bigram_accuracy(dataset: Dataset, split: str = "test", *, strength: float = 1.0) -> float:
    """Accuracy of multinomial logistic regression on the counts of names and of pairs of names.

    Args:
      dataset: of trees with a class each.
      split: where it is measured; it is fitted on the training part.
      strength: scikit-learn's C, the inverse of the penalty on the squared weights.

    Raises:
      ValueError: when the data set has no classes of trees, or no such part.
    """
    if dataset.input != "tree" or dataset.task != "classification":
        raise ValueError(
            f"dataset: got {dataset.name}, {dataset.input} inputs, allowed are trees with a class"
        )
    from sklearn.linear_model import LogisticRegression

    def features(part: Examples) -> Any:
        return bigram_counts(part.x, part.mask, len(dataset.symbols))

    model = LogisticRegression(C=strength, max_iter=5000)
    model.fit(features(dataset.train), dataset.train.y)
    return float(model.score(features(dataset.split(split)), dataset.split(split).y))
