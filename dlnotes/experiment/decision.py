"""What [decision] asks of the data."""

from __future__ import annotations

import numpy as np

from dlnotes.checks import did_you_mean
from dlnotes.config import Config
from dlnotes.data.dataset import Dataset


def check_decision(config: Config, dataset: Dataset) -> None:
    """Check that [decision] fits the data, before anything is trained.

    Raises:
      ValueError: when there are not two classes, the class is another, or there is no validation part.
    """
    decision = config.decision
    if decision is None:
        return
    if dataset.task != "classification" or dataset.outputs != 2:
        got = f"{dataset.outputs} classes" if dataset.task == "classification" else f"{dataset.task} targets"
        raise ValueError(f"decision: is for two classes, {dataset.name} has {got}")
    positive_of(config, dataset)
    if isinstance(decision.threshold, str) and dataset.validation is None:
        raise ValueError(
            f"decision.threshold: got {decision.threshold!r}, {dataset.name} has no validation part to "
            "choose it on; allowed is a number"
        )
    if isinstance(decision.threshold, str) and not dataset.missing:
        assert dataset.validation is not None
        if len(there := np.unique(np.asarray(dataset.validation.y))) < 2:
            raise ValueError(
                f"decision.threshold: got {decision.threshold!r}, all of the validation part is of class "
                f"{dataset.classes[int(there[0])]!r}; allowed is a number, or a larger data.validation"
            )


def positive_of(config: Config, dataset: Dataset) -> int:
    """The class that the threshold is for; by default the last.

    Raises:
      ValueError: when there is no such class.
    """
    decision = config.decision
    if decision is None or decision.positive is None:
        return dataset.outputs - 1
    if decision.positive not in dataset.classes:
        hint = did_you_mean(decision.positive, dataset.classes)
        raise ValueError(
            f"decision.positive: got {decision.positive!r}, the classes of {dataset.name} are "
            f"{', '.join(dataset.classes)}{hint}"
        )
    return dataset.classes.index(decision.positive)
