"""Data: real, synthetic and a person's own, as `Dataset`; splits, order and augmentation.

`load("digits", seed=1)` calls a source by the name that configs use; the sources, `read_inputs` and
the types are also attributes of this package. Everything is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlnotes.data.bundled_tables import tabular
    from dlnotes.data.dataset import Dataset, Examples, Pair, Standardize, Trees
    from dlnotes.data.download import DataNotFound
    from dlnotes.data.files import csv, image_folder, npy, npz
    from dlnotes.data.images.brain_patches import brain_patches
    from dlnotes.data.images.digits import digits
    from dlnotes.data.images.image_masks import image_masks
    from dlnotes.data.images.mnist import fashion_mnist, mnist
    from dlnotes.data.images.moving_digits import moving_digits
    from dlnotes.data.images.photo_patches import photo_patches
    from dlnotes.data.images.pixel_sequences import pixel_sequences
    from dlnotes.data.images.scenes import scenes
    from dlnotes.data.images.sized_digits import sized_digits
    from dlnotes.data.inputs import Inputs, evaluate_inputs, read_inputs
    from dlnotes.data.split import split_indices
    from dlnotes.data.texts.cmudict import cmudict
    from dlnotes.data.texts.corpus import text
    from dlnotes.data.texts.number_words import number_words
    from dlnotes.data.texts.reber import reber
    from dlnotes.data.texts.speeches import speeches
    from dlnotes.data.texts.text_pairs import text_pairs, verses
    from dlnotes.data.time_series.chaos import lorenz, mackey_glass
    from dlnotes.data.time_series.csv_series import csv_series
    from dlnotes.data.time_series.long_term import adding, copy_memory, latch, parity, temporal_order
    from dlnotes.data.time_series.sound import sound, sound_folder
    from dlnotes.data.time_series.ts_files import japanese_vowels, series
    from dlnotes.data.toy import two_moons, xor
    from dlnotes.data.trees.list_ops import list_ops
    from dlnotes.data.trees.logic import logic
    from dlnotes.data.trees.molecules import molecules
    from dlnotes.data.trees.tree import Tree, batch_trees
    from dlnotes.data.trees.tree_files import sst, tree_file

SOURCES: dict[str, str] = {
    "digits": "images.digits",
    "sized_digits": "images.sized_digits",
    "tabular": "bundled_tables",
    "mnist": "images.mnist",
    "fashion_mnist": "images.mnist",
    "npz": "files",
    "npy": "files",
    "csv": "files",
    "csv_series": "time_series.csv_series",
    "image_folder": "files",
    "series": "time_series.ts_files",
    "japanese_vowels": "time_series.ts_files",
    "pixel_sequences": "images.pixel_sequences",
    "sound": "time_series.sound",
    "sound_folder": "time_series.sound",
    "moving_digits": "images.moving_digits",
    "photo_patches": "images.photo_patches",
    "brain_patches": "images.brain_patches",
    "image_masks": "images.image_masks",
    "scenes": "images.scenes",
    "xor": "toy",
    "two_moons": "toy",
    "reber": "texts.reber",
    "adding": "time_series.long_term",
    "copy_memory": "time_series.long_term",
    "temporal_order": "time_series.long_term",
    "latch": "time_series.long_term",
    "parity": "time_series.long_term",
    "mackey_glass": "time_series.chaos",
    "lorenz": "time_series.chaos",
    "number_words": "texts.number_words",
    "cmudict": "texts.cmudict",
    "text_pairs": "texts.text_pairs",
    "verses": "texts.text_pairs",
    "text": "texts.corpus",
    "speeches": "texts.speeches",
    "list_ops": "trees.list_ops",
    "logic": "trees.logic",
    "molecules": "trees.molecules",
    "sst": "trees.tree_files",
    "tree_file": "trees.tree_files",
}
"""The module of this package that holds each source; the source is the function of the same name."""

_OTHERS = {
    "Dataset": "dataset",
    "Examples": "dataset",
    "Pair": "dataset",
    "Standardize": "dataset",
    "Trees": "dataset",
    "Tree": "trees.tree",
    "batch_trees": "trees.tree",
    "Inputs": "inputs",
    "read_inputs": "inputs",
    "evaluate_inputs": "inputs",
    "split_indices": "split",
    "DataNotFound": "download",
}

__all__ = [
    "SOURCES",
    "DataNotFound",
    "Dataset",
    "Examples",
    "Inputs",
    "Pair",
    "Standardize",
    "Tree",
    "Trees",
    "adding",
    "batch_trees",
    "brain_patches",
    "cmudict",
    "copy_memory",
    "csv",
    "csv_series",
    "digits",
    "evaluate_inputs",
    "fashion_mnist",
    "image_folder",
    "image_masks",
    "japanese_vowels",
    "latch",
    "list_ops",
    "load",
    "logic",
    "lorenz",
    "mackey_glass",
    "mnist",
    "molecules",
    "moving_digits",
    "npy",
    "npz",
    "number_words",
    "parity",
    "photo_patches",
    "pixel_sequences",
    "read_inputs",
    "reber",
    "scenes",
    "series",
    "sized_digits",
    "sound",
    "sound_folder",
    "source",
    "speeches",
    "split_indices",
    "sst",
    "tabular",
    "temporal_order",
    "text",
    "text_pairs",
    "tree_file",
    "two_moons",
    "verses",
    "xor",
]


def __getattr__(name: str) -> Any:
    module = SOURCES.get(name) or _OTHERS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)


def source(kind: str) -> Callable[..., Dataset]:
    """The function that loads data of a kind.

    Raises:
      ValueError: when the kind is unknown, with the nearest known one.
    """
    if kind not in SOURCES:
        from difflib import get_close_matches

        near = get_close_matches(kind, SOURCES, 1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"kind: got {kind!r}, allowed are {', '.join(SOURCES)}{hint}")
    return __getattr__(kind)


def load(kind: str, **options: Any) -> Dataset:
    """The data set of a kind, with the options of its source.

    Raises:
      ValueError: when the kind or an option is unknown, an option is missing, or the source refuses.

    >>> load("xor").train.size
    4
    """
    from inspect import signature

    function = source(kind)
    try:
        signature(function).bind(**options)
    except TypeError as error:
        raise ValueError(
            f"{kind}: {error}, its options are {', '.join(signature(function).parameters)}"
        ) from None
    return function(**options)
