"""Entities that a run finds in sentences: their F1, and how predictions show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dlnotes.data.dataset import Dataset, Examples
from dlnotes.data.own_files import reading_of
from dlnotes.outputs.entities import Counts, entities, entity_counts, f1, types_of
from dlnotes.training.state import Member

if TYPE_CHECKING:
    from dlnotes.experiment.evaluator import Evaluator


def scheme_of(dataset: Dataset) -> str:
    """How the labels of a data set mark entities ("bio" or "runs"), empty where they mark none."""
    return reading_of(dataset).get("entities", "")


def counts_of(evaluator: Evaluator, members: Member, examples: Examples) -> list[Counts]:
    """The entities of each type that every member finds, in sentences with labels."""
    dataset = evaluator.setup.dataset
    predicted = evaluator.predict(members, examples, classes=True)
    y, scheme = np.asarray(examples.y), scheme_of(dataset)
    return [entity_counts(each, y, dataset.classes, scheme=scheme) for each in predicted]


def entity_quality(evaluator: Evaluator, members: Member, examples: Examples) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of every member over all entities, each ``(members,)``.

    An entity is right when it has the same words and the same type.

    Args:
      evaluator: of the members.
      members: trained ones.
      examples: sentences with labels.
    """
    return f1_of(counts_of(evaluator, members, examples))


def f1_of(counts: Sequence[Counts]) -> dict[str, np.ndarray]:
    """Precision, recall and F1 over the entities of all types, one number for each of ``counts``."""
    found = [Counts(*(part.sum() for part in of_member)) for of_member in counts]
    right, predicted, true = (np.array(values) for values in zip(*found))
    return {
        "entity_f1": f1(right, predicted, true),
        "entity_precision": right / np.maximum(predicted, 1),
        "entity_recall": right / np.maximum(true, 1),
    }


def labeled_columns(
    dataset: Dataset, words: Sequence[Sequence[str]], taken: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """The words of each sentence, and the entities found in it with their types.

    Args:
      dataset: that the network was trained on.
      words: of each sentence.
      taken: the names of the labels of each.

    Returns:
      ``words``, with spaces between, and ``entities`` as "LOC: New York; PER: Ada Lovelace" where the labels
      mark any.
    """
    columns = {"words": np.array([" ".join(sentence) for sentence in words])}
    scheme = scheme_of(dataset)
    if not scheme:
        return columns
    types, shown = types_of(dataset.classes, scheme), []
    for sentence, labels in zip(words, taken):
        numbers = np.array([[dataset.classes.index(str(name)) for name in labels]])
        found = entities(numbers, dataset.classes, scheme=scheme)
        shown.append(
            "; ".join(f"{types[k]}: {' '.join(sentence[i : j + 1])}" for i, j, k in zip(*map(list, found)))
        )
    return columns | {"entities": np.array(shown)}
