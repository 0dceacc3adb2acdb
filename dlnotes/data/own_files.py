"""A data set of a person's own files, which knows how they are read: training and use read alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from dlnotes.data.dataset import Dataset


@dataclass(frozen=True)
class OwnDataset(Dataset):
    """A `Dataset` of files that new ones are like.

    Attributes:
      reading: what [data] says of how its files are read, as what JSON can hold. "form" is the kind of
        file: "arrays" (with the names "x", "y", "mask", "lengths"), "table" ("target", under "table" the
        options of `dlnotes.data.csv_table.read_table`, under "encoding" those of its `encode`),
        "windows" of a table (likewise), "series", "pairs" ("source", "target", "tokens"), "trees", "text",
        "texts" (options of `dlnotes.data.texts.text_classes`), "labeled_words" (of
        `dlnotes.data.texts.token_labels`), "images" ("max_size", of masks "binary", of nested folders
        "class_of", of a table of paths "table" and "column": "image", "root", "ending", "targets"), "sounds"
        (under "sounds" the options of `dlnotes.data.time_series.sound.read_sounds`), "videos" ("array",
        "class_of"). "levels" are those of images (see `dlnotes.data.levels`). "scaling" is of any (see
        `dlnotes.data.scaling`). "targets" are those of `dlnotes.data.table_targets`, "id" is the column that
        predictions carry.
    """

    reading: Mapping[str, Any] = field(default_factory=dict)


def read_as(dataset: Dataset, **reading: Any) -> OwnDataset:
    """The data set with how its files are read.

    >>> from dlnotes.data.toy import xor
    >>> read_as(xor(), form="table", target="label").reading["target"]
    'label'
    """
    own = {f.name: getattr(dataset, f.name) for f in fields(Dataset)}
    return OwnDataset(**own, reading=reading)


def reading_of(dataset: Dataset) -> Mapping[str, Any]:
    """How the files of a data set are read; empty where it is not of a person's own files."""
    return dataset.reading if isinstance(dataset, OwnDataset) else {}
