"""Counts of symbols and of their n-grams, for classes of sentences and of trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dlnotes.analysis.baselines.baseline import Answer, Baseline, Fitting, over_classes
from dlnotes.analysis.baselines.estimators import TREES, chosen_logistic
from dlnotes.analysis.baselines.numbers import Numbers
from dlnotes.data.dataset import Examples

STRENGTHS = (0.1, 1.0, 10.0, 100.0)
"""scikit-learn's C of logistic regression on rows of length 1, chosen on the validation part."""

MOST_GRAMS = 200_000
"""Different n-grams that are counted, those of most training examples."""


def symbols_in(examples: Examples) -> list[tuple[int, ...]]:
    """The real symbols of each example, in order."""
    x = np.asarray(examples.x)
    mask = np.ones(x.shape, bool) if examples.mask is None else np.asarray(examples.mask)
    return [tuple(row[real].tolist()) for row, real in zip(x, mask)]


def names_in(examples: Examples) -> list[tuple[int, ...]]:
    """The names in each tree, in the order of its slots."""
    label, mask = np.asarray(examples.x.label), np.asarray(examples.mask)
    return [tuple(row[real].tolist()) for row, real in zip(label, mask & (label >= 0))]


def grams_of(symbols: tuple[int, ...], order: int) -> list[tuple[int, ...]]:
    """All n-grams of up to so many symbols.

    >>> grams_of((1, 2, 1), 2)
    [(1,), (2,), (1,), (1, 2), (2, 1)]
    """
    return [symbols[i : i + n] for n in range(1, order + 1) for i in range(len(symbols) - n + 1)]


def gram_classifier(order: int, name: str, about: str) -> Baseline:
    """Logistic regression on how often each n-gram is in an example, weighed by how rare it is.

    Rows are scikit-learn's TF-IDF, with the logarithm of the counts; the penalty is chosen on the validation
    part.

    Args:
      order: the longest n-gram.
      name, about: of the baseline.
    """

    def fit(given: Fitting) -> Answer:
        numbers = _weighed_grams(given.train, order)
        return chosen_logistic(given, numbers, numbers(given.train), lambda x: x, STRENGTHS)

    return Baseline(name, about, fit)


def _weighed_grams(train: Examples, order: int) -> Numbers:
    from sklearn.feature_extraction.text import TfidfVectorizer

    analyze: Any = lambda symbols: grams_of(symbols, order)  # noqa: E731
    counted: Any = TfidfVectorizer(analyzer=analyze, sublinear_tf=True, max_features=MOST_GRAMS)
    try:
        counted.fit(symbols_in(train))
    except ValueError as error:  # an empty vocabulary
        raise ValueError(f"no symbol in the training examples ({error})") from None
    return lambda examples: counted.transform(symbols_in(examples))


def tree_classifier(numbers: Numbers, name: str, about: str) -> Baseline:
    """Logistic regression on counts of names in a tree."""

    def fit(given: Fitting) -> Answer:
        from sklearn.preprocessing import MaxAbsScaler

        x = numbers(given.train)
        scaled = MaxAbsScaler().fit(x).transform
        return chosen_logistic(given, numbers, x, scaled, STRENGTHS)

    return Baseline(name, about, fit)


def extra_trees_on_counts(symbols: Callable[[Examples], list[tuple[int, ...]]], kinds: int) -> Baseline:
    """Extremely randomized trees on how often each symbol is in an example, and on its length.

    Args:
      symbols: of each example.
      kinds: how many there are; the commonest are counted.
    """

    def fit(given: Fitting) -> Answer:
        from sklearn.ensemble import ExtraTreesClassifier

        own = symbols(given.train)
        totals = np.bincount(np.concatenate([np.array(each, np.int64) for each in own]), minlength=kinds)
        counted = np.sort(np.argsort(-totals, kind="stable")[:MOST_COUNTED])
        place = np.full(kinds, -1)
        place[counted] = np.arange(len(counted))

        def numbers(lists: list[tuple[int, ...]]) -> Any:
            found = np.zeros((len(lists), len(counted) + 1), np.float32)
            for row, each in zip(found, lists):
                where = place[np.array(each, np.int64)]
                np.add.at(row, where[where >= 0], 1)
                row[-1] = len(each)
            return found

        k = given.dataset.outputs
        model: Any = ExtraTreesClassifier(TREES, random_state=given.seed)
        model.fit(numbers(own), np.asarray(given.train.y))
        return lambda examples: over_classes(
            model.predict_proba(numbers(symbols(examples))), model.classes_, k
        )

    return Baseline("extra trees", f"{TREES} extremely randomized trees on counts of symbols", fit)


MOST_COUNTED = 1000
"""Symbols that trees look at, the commonest."""
