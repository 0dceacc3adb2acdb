"""A test part of its own file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dlnotes.data.dataset import Dataset
from dlnotes.data.download import sha256
from dlnotes.data.inputs import evaluate_inputs, read_inputs
from dlnotes.data.task_table import evaluated_table, is_table


def with_test_file(dataset: Dataset, path: str | Path, *, target: str | None = None) -> Dataset:
    """The data set with the examples of another file or folder as its test part.

    They are read and standardized as new data are, so that nothing of them reaches the training.

    Args:
      dataset: without a test part.
      path: of a file or folder like the training data's, with targets.
      target: a table's target column.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: naming file and line, when it does not fit, and for a class that no training row has.
    """
    if is_table(dataset):
        inputs = read_inputs(path, dataset)
        examples = evaluated_table(path, dataset, inputs.x)  # pyright: ignore[reportArgumentType]
    else:
        examples = evaluate_inputs(path, dataset, target=target)
    path = Path(path)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return replace(dataset, test=examples, sources=dataset.sources | {str(p): sha256(p) for p in files})
