"""Which baselines a data set has."""

from __future__ import annotations

from dlnotes.analysis.baselines import counts, estimators, forecasts, labels, ngrams, pairs
from dlnotes.analysis.baselines.baseline import Baseline
from dlnotes.analysis.baselines.numbers import numbers_of, shape_of, tree_numbers
from dlnotes.data.dataset import Dataset

ORDERS = (1, 3, 5)
"""Of the n-grams that a language model is compared with."""


def baselines_of(dataset: Dataset, *, code: int | None = None) -> list[Baseline]:
    """The boring methods that a network on a data set should be ahead of.

    Classes of vectors: the most frequent class, a linear model, boosted trees, extra trees; of images and
    series: the nearest neighbor instead of boosted trees; of symbols: a bag of them and n-grams; of trees: a
    bag of names and pairs of parent and child. Numbers likewise, with mean and median. Forecasts:
    persistence, a season, linear autoregression. Labels of positions: the most frequent one, that of the
    symbol, and what is told from around it. Texts: n-grams. Pairs: the answer of the nearest source.

    Args:
      dataset: whose network is compared.
      code: numbers of the code of an autoencoder, where the inputs are the targets.

    Returns:
      None for inputs and tasks that no method here is for.

    Example:
      >>> from dlnotes import data
      >>> [b.name for b in baselines_of(data.load("tabular", name="wine"))]
      ['most frequent class', 'linear', 'boosted trees', 'extra trees']
    """
    if code is not None:
        return [estimators.constant("mean"), estimators.principal_components(numbers_of(dataset), code)]
    if dataset.input == "pair":
        return [pairs.most_frequent_target(), pairs.nearest_source()]
    if dataset.task == "classification":
        return _of_classes(dataset)
    if dataset.task == "regression":
        return _of_values(dataset)
    if dataset.task == "pixels":
        return [labels.most_frequent_label(), labels.label_of_patch()]
    return _of_positions(dataset)


def _of_classes(dataset: Dataset) -> list[Baseline]:
    found = [estimators.most_frequent()]
    kinds = len(dataset.symbols)
    if dataset.input == "tokens":
        bag = counts.gram_classifier(1, "bag of symbols", "logistic regression on which symbols there are")
        grams = counts.gram_classifier(3, "n-grams", "logistic regression on n-grams of up to 3 symbols")
        return [*found, bag, grams, counts.extra_trees_on_counts(counts.symbols_in, kinds)]
    if dataset.input == "tree":
        about = "logistic regression on how often each name is in the tree"
        bag = counts.tree_classifier(tree_numbers(dataset, pairs=False), "bag of names", about)
        about = "the same, and each pair of a node's name and a child's"
        pairs_of = counts.tree_classifier(tree_numbers(dataset, pairs=True), "parent–child pairs", about)
        return [*found, bag, pairs_of, counts.extra_trees_on_counts(counts.names_in, kinds)]
    numbers = numbers_of(dataset)
    of = {"vector": "the columns", "sequence": "the values or their statistics"}.get(
        dataset.input, "the pixels"
    )
    found.append(estimators.linear_classifier(numbers, of=of))
    if dataset.input == "vector":
        found.append(estimators.boosted_classifier(numbers))
    else:
        what = "shape" if dataset.input == "sequence" else "image"
        found.append(estimators.nearest_classifier(shape_of(dataset), what))
    return [*found, estimators.extra_trees_classifier(numbers)]


def _of_values(dataset: Dataset) -> list[Baseline]:
    found = [estimators.constant("mean"), estimators.constant("median")]
    if dataset.input not in ("vector", "image", "volume", "sequence"):
        return found
    numbers = numbers_of(dataset)
    boosted, extra = estimators.boosted_regression(numbers), estimators.extra_trees_regression(numbers)
    if dataset.forecast is not None:
        found = [
            *found[:1],
            forecasts.persistence(),
            forecasts.seasonal_persistence(),
            forecasts.autoregression(),
        ]
        if set(dataset.features) - {name.rpartition("+")[0] or name for name in dataset.forecast.targets}:
            found.append(forecasts.autoregression(all_columns=True))
        return [*found, boosted]
    found.append(estimators.ridge(numbers))
    if dataset.input == "vector":
        return [*found, boosted, extra]
    what = "shape" if dataset.input == "sequence" else "image"
    return [*found, estimators.nearest_regression(shape_of(dataset), what), extra]


def _of_positions(dataset: Dataset) -> list[Baseline]:
    if dataset.input == "tokens" and dataset.symbols == dataset.classes:
        return [ngrams.next_symbol(order) for order in ORDERS]
    found = [labels.most_frequent_label()]
    if dataset.input in ("tokens", "tree"):
        found.append(labels.label_of_symbol())
    if dataset.input == "tokens":
        found.append(labels.label_of_window())
    return found
