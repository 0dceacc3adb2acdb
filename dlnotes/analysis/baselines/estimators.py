"""Classifiers and regressions of scikit-learn on rows of numbers, and the answers that need none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dlnotes.analysis.baselines.baseline import Answer, Baseline, Fitting, log_p, over_classes
from dlnotes.analysis.baselines.numbers import Numbers
from dlnotes.data.dataset import Examples

STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""scikit-learn's C of logistic regression, chosen on the validation part."""

PENALTIES = tuple(10.0**k for k in range(-3, 5))
"""Of ridge regression, chosen by leaving each training example out."""

TREES = 100
NARROW = 64
"""Columns up to which a regression's trees look at all of them in each split; else at a third."""
MOST_CLASSES = 30
"""Of boosted trees, which grow a tree a class in each round."""
MOST_OUTPUTS = 4
"""Of boosted trees, which are fitted for each output alone."""
CHOOSING = 2_000_000
"""Numbers × classes up to which several strengths are tried."""


def most_frequent() -> Baseline:
    """The class that the training part has most often, with the shares of all classes."""

    def fit(given: Fitting) -> Answer:
        counts = np.bincount(np.asarray(given.train.y, np.int64), minlength=given.dataset.outputs)
        shares = log_p(counts / counts.sum())
        return lambda examples: np.tile(shares, (examples.size, 1))

    return Baseline("most frequent class", "the class that the training part has most often", fit)


def constant(which: str) -> Baseline:
    """The mean or the median of the training part's targets, whatever the input."""
    find = {"mean": np.mean, "median": np.median}[which]

    def fit(given: Fitting) -> Answer:
        value = find(np.asarray(given.train.y, np.float64), axis=0).astype(np.float32)
        return lambda examples: np.tile(value, (examples.size, *[1] * value.ndim))

    return Baseline(which, f"the {which} of the training part's targets", fit)


def linear_classifier(numbers: Numbers, name: str = "linear", of: str = "the inputs") -> Baseline:
    """Multinomial logistic regression on standardized numbers, its penalty chosen on the validation part."""

    def fit(given: Fitting) -> Answer:
        x = numbers(given.train)
        scaled = _scaling(x)
        return chosen_logistic(given, numbers, x, scaled)

    return Baseline(name, f"logistic regression on {of}", fit)


def chosen_logistic(
    given: Fitting,
    numbers: Numbers,
    x: Any,
    prepared: Callable[[Any], Any],
    strengths: Sequence[float] = STRENGTHS,
) -> Answer:
    """Logistic regression with the strength that has the least cross-entropy on the validation part.

    Args:
      given: what it is fitted on.
      numbers: of examples.
      x: the numbers of the training part.
      prepared: what is done to numbers before they are fitted.
      strengths: scikit-learn's C; 1 is taken where there is no validation part, or too much to fit them all.
    """
    from sklearn.linear_model import LogisticRegression

    y, k = np.asarray(given.train.y), given.dataset.outputs
    kinds = len(np.unique(y))
    if kinds < 2:
        raise ValueError("the training examples are of one class")
    x, work = prepared(x), _stored(x) * kinds
    rounds = 1000 if work <= CHOOSING else 100

    def fitted(strength: float) -> Answer:
        model: Any = LogisticRegression(C=strength, max_iter=rounds).fit(x, y)
        return lambda examples: over_classes(
            model.predict_proba(prepared(numbers(examples))), model.classes_, k
        )

    held = given.validation
    if held is None or work > CHOOSING:
        return fitted(1.0)
    tried = [fitted(strength) for strength in strengths]
    rows, target = np.arange(held.size), np.asarray(held.y, np.int64)
    return min(tried, key=lambda answer: -float(answer(held)[rows, target].mean()))


def _stored(x: Any) -> int:
    return x.nnz if hasattr(x, "nnz") else x.size


def _scaling(x: Any) -> Callable[[Any], Any]:
    """Standardizes the columns of dense numbers, by the training part."""
    from sklearn.preprocessing import StandardScaler

    return StandardScaler(with_mean=not hasattr(x, "nnz")).fit(x).transform


def extra_trees_classifier(numbers: Numbers) -> Baseline:
    """Extremely randomized trees."""

    def fit(given: Fitting) -> Answer:
        from sklearn.ensemble import ExtraTreesClassifier

        k = given.dataset.outputs
        model: Any = ExtraTreesClassifier(TREES, random_state=given.seed)
        model.fit(numbers(given.train), np.asarray(given.train.y))
        return lambda examples: over_classes(model.predict_proba(numbers(examples)), model.classes_, k)

    return Baseline("extra trees", f"{TREES} extremely randomized trees", fit)


def boosted_classifier(numbers: Numbers) -> Baseline:
    """Gradient boosting on histograms, with scikit-learn's options."""

    def fit(given: Fitting) -> Answer:
        from sklearn.ensemble import HistGradientBoostingClassifier

        k = given.dataset.outputs
        if k > MOST_CLASSES:
            raise ValueError(f"{k} classes, at most {MOST_CLASSES} are tried")
        model: Any = HistGradientBoostingClassifier(**_boosting(given))
        model.fit(numbers(given.train), np.asarray(given.train.y))
        return lambda examples: over_classes(model.predict_proba(numbers(examples)), model.classes_, k)

    return Baseline("boosted trees", "gradient boosting on histograms", fit)


def _boosting(given: Fitting) -> dict[str, Any]:
    return {"random_state": given.seed, "early_stopping": False}


def nearest_classifier(numbers: Numbers, of: str) -> Baseline:
    """The class of the nearest training example by Euclidean distance."""

    def fit(given: Fitting) -> Answer:
        from sklearn.neighbors import KNeighborsClassifier

        k = given.dataset.outputs
        model: Any = KNeighborsClassifier(1, algorithm="brute")
        model.fit(numbers(given.train), np.asarray(given.train.y))
        return lambda examples: over_classes(model.predict_proba(numbers(examples)), model.classes_, k)

    return Baseline("nearest neighbor", f"the class of the training example whose {of} is nearest", fit)


def ridge(numbers: Numbers, name: str = "linear", of: str = "the inputs") -> Baseline:
    """Ridge regression on standardized numbers; the penalty is chosen by leaving one out."""

    def fit(given: Fitting) -> Answer:
        from sklearn.linear_model import RidgeCV

        x = numbers(given.train).astype(np.float64)
        scaled = _scaling(x)
        model: Any = RidgeCV(PENALTIES).fit(scaled(x), np.asarray(given.train.y, np.float64))
        return _values(lambda examples: model.predict(scaled(numbers(examples).astype(np.float64))))

    return Baseline(name, f"ridge regression on {of}", fit)


def extra_trees_regression(numbers: Numbers) -> Baseline:
    """Extremely randomized trees."""

    def fit(given: Fitting) -> Answer:
        from sklearn.ensemble import ExtraTreesRegressor

        y, x = np.asarray(given.train.y, np.float64), numbers(given.train)
        share = 1.0 if x.shape[1] <= NARROW else 1 / 3
        model: Any = ExtraTreesRegressor(TREES, max_features=share, random_state=given.seed)
        model.fit(x, y[:, 0] if y.shape[1] == 1 else y)
        return _values(lambda examples: model.predict(numbers(examples)))

    return Baseline("extra trees", f"{TREES} extremely randomized trees", fit)


def boosted_regression(numbers: Numbers) -> Baseline:
    """Gradient boosting on histograms, of every output alone, with scikit-learn's options."""

    def fit(given: Fitting) -> Answer:
        from sklearn.ensemble import HistGradientBoostingRegressor

        y, x = np.asarray(given.train.y, np.float64), numbers(given.train)
        if y.shape[1] > MOST_OUTPUTS:
            raise ValueError(f"{y.shape[1]} outputs, at most {MOST_OUTPUTS} are tried")
        models: list[Any] = [
            HistGradientBoostingRegressor(**_boosting(given)).fit(x, column) for column in y.T
        ]

        def answer(examples: Examples) -> np.ndarray:
            own = numbers(examples)
            return np.stack([model.predict(own) for model in models], axis=1)

        return _values(answer)

    return Baseline("boosted trees", "gradient boosting on histograms", fit)


def nearest_regression(numbers: Numbers, of: str) -> Baseline:
    """The target of the nearest training example by Euclidean distance."""

    def fit(given: Fitting) -> Answer:
        from sklearn.neighbors import KNeighborsRegressor

        model: Any = KNeighborsRegressor(1, algorithm="brute")
        model.fit(numbers(given.train), np.asarray(given.train.y, np.float64))
        return _values(lambda examples: model.predict(numbers(examples)))

    return Baseline("nearest neighbor", f"the target of the training example whose {of} is nearest", fit)


def principal_components(numbers: Numbers, code: int) -> Baseline:
    """The inputs from so many principal components: the best linear autoencoder."""

    def fit(given: Fitting) -> Answer:
        from sklearn.decomposition import PCA

        x = numbers(given.train)
        most = min(x.shape)
        if code > most:
            raise ValueError(f"a code of {code}, there are {most} components at most")
        model: Any = PCA(code, random_state=given.seed).fit(x)
        return _values(lambda examples: model.inverse_transform(model.transform(numbers(examples))))

    return Baseline("principal components", f"the inputs from {code} principal components", fit)


def _values(predict: Callable[[Examples], np.ndarray]) -> Answer:
    def answer(examples: Examples) -> np.ndarray:
        found = np.asarray(predict(examples), np.float32)
        return found.reshape(len(found), *np.shape(examples.y)[1:])

    return answer
