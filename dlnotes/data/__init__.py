"""Data: real, synthetic and a person's own, as `Dataset`; splits, order and augmentation.

`load("digits", seed=1)` calls a source by the name that configs use; the sources, `read_inputs` and
the types are also attributes of this package. Everything is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlnotes.data.bundled import digits, tabular
    from dlnotes.data.chaos import lorenz, mackey_glass
    from dlnotes.data.composed import scenes
    from dlnotes.data.corpus import text
    from dlnotes.data.dataset import Dataset, Examples, Pair, Standardize, Trees
    from dlnotes.data.expressions import list_ops
    from dlnotes.data.files import csv, image_folder, npy, npz
    from dlnotes.data.formulas import logic
    from dlnotes.data.image_sequences import pixel_sequences
    from dlnotes.data.inputs import Inputs, evaluate_inputs, read_inputs
    from dlnotes.data.long_term import adding, copy_memory, latch, parity, temporal_order
    from dlnotes.data.masks import image_masks
    from dlnotes.data.mnist_sets import fashion_mnist, mnist
    from dlnotes.data.molecule_sets import molecules
    from dlnotes.data.pairs import number_words
    from dlnotes.data.parallel import text_pairs, verses
    from dlnotes.data.photos import photo_patches
    from dlnotes.data.placed_digits import sized_digits
    from dlnotes.data.pronunciation import cmudict
    from dlnotes.data.sequences import reber
    from dlnotes.data.series_tables import csv_series
    from dlnotes.data.sounds import sound, sound_folder
    from dlnotes.data.speech import speeches
    from dlnotes.data.split import split_indices
    from dlnotes.data.store import DataNotFound
    from dlnotes.data.synthetic import two_moons, xor
    from dlnotes.data.tree import Tree, batch_trees
    from dlnotes.data.treebank import sst, tree_file
    from dlnotes.data.ts_files import japanese_vowels, series
    from dlnotes.data.videos import moving_digits
    from dlnotes.data.volumes import brain_patches

SOURCES: dict[str, str] = {
    "digits": "bundled",
    "sized_digits": "placed_digits",
    "tabular": "bundled",
    "mnist": "mnist_sets",
    "fashion_mnist": "mnist_sets",
    "npz": "files",
    "npy": "files",
    "csv": "files",
    "csv_series": "series_tables",
    "image_folder": "files",
    "series": "ts_files",
    "japanese_vowels": "ts_files",
    "pixel_sequences": "image_sequences",
    "sound": "sounds",
    "sound_folder": "sounds",
    "moving_digits": "videos",
    "photo_patches": "photos",
    "brain_patches": "volumes",
    "image_masks": "masks",
    "scenes": "composed",
    "xor": "synthetic",
    "two_moons": "synthetic",
    "reber": "sequences",
    "adding": "long_term",
    "copy_memory": "long_term",
    "temporal_order": "long_term",
    "latch": "long_term",
    "parity": "long_term",
    "mackey_glass": "chaos",
    "lorenz": "chaos",
    "number_words": "pairs",
    "cmudict": "pronunciation",
    "text_pairs": "parallel",
    "verses": "parallel",
    "text": "corpus",
    "speeches": "speech",
    "list_ops": "expressions",
    "logic": "formulas",
    "molecules": "molecule_sets",
    "sst": "treebank",
    "tree_file": "treebank",
}
"""The module of this package that holds each source; the source is the function of the same name."""

_OTHERS = {
    "Dataset": "dataset",
    "Examples": "dataset",
    "Pair": "dataset",
    "Standardize": "dataset",
    "Trees": "dataset",
    "Tree": "tree",
    "batch_trees": "tree",
    "Inputs": "inputs",
    "read_inputs": "inputs",
    "evaluate_inputs": "inputs",
    "split_indices": "split",
    "DataNotFound": "store",
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
