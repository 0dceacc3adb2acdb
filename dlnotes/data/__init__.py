"""Data: real, synthetic and a person's own, as `Dataset`; splits, order and augmentation.

`load("digits", seed=1)` calls a source by the name that configs use; the sources, `read_inputs` and
the types are also attributes of this package. Everything is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from dlnotes.checks import chosen
from dlnotes.lazy import lazy

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlnotes.data.buckets import buckets_for, choose_buckets
    from dlnotes.data.bundled_tables import tabular
    from dlnotes.data.dataset import Dataset, Examples, Pair, Standardize, Trees, parts_of
    from dlnotes.data.download import DataNotFound
    from dlnotes.data.files import npy, npz
    from dlnotes.data.images.brain_patches import brain_patches
    from dlnotes.data.images.digit_classes import digit_classes
    from dlnotes.data.images.digits import digits
    from dlnotes.data.images.image_folder import image_folder
    from dlnotes.data.images.image_masks import image_masks
    from dlnotes.data.images.image_shards import image_shards
    from dlnotes.data.images.image_table import image_table
    from dlnotes.data.images.mnist import fashion_mnist, mnist
    from dlnotes.data.images.moving_digits import moving_digits
    from dlnotes.data.images.photo_patches import photo_patches
    from dlnotes.data.images.pixel_sequences import pixel_sequences
    from dlnotes.data.images.scenes import scenes
    from dlnotes.data.images.sized_digits import sized_digits
    from dlnotes.data.images.video_folder import video_folder
    from dlnotes.data.inputs import Inputs, evaluate_inputs, read_inputs
    from dlnotes.data.reconstruction import inputs_as_targets
    from dlnotes.data.split import split_indices
    from dlnotes.data.tables import csv
    from dlnotes.data.texts.alignment import align_pairs
    from dlnotes.data.texts.cmudict import cmudict
    from dlnotes.data.texts.corpus import text
    from dlnotes.data.texts.ngrams import ngram_bits
    from dlnotes.data.texts.number_words import number_words, shift_right
    from dlnotes.data.texts.reber import reber
    from dlnotes.data.texts.speeches import speeches
    from dlnotes.data.texts.text_classes import text_classes
    from dlnotes.data.texts.text_pairs import text_pairs, verses
    from dlnotes.data.texts.token_labels import token_labels
    from dlnotes.data.time_series.bouncing import (
        Bounces,
        bouncing,
        bouncing_frames,
        bouncing_gaussian_entropy,
        bouncing_log_density,
        bouncing_paths,
    )
    from dlnotes.data.time_series.chaos import lorenz, mackey_glass
    from dlnotes.data.time_series.csv_series import csv_series
    from dlnotes.data.time_series.log_frequency import log_spectrogram
    from dlnotes.data.time_series.long_term import (
        adding,
        copy_memory,
        draw_latch,
        latch,
        parity,
        temporal_order,
    )
    from dlnotes.data.time_series.skeleton_motion import skeleton_motion
    from dlnotes.data.time_series.sound import sound, sound_folder
    from dlnotes.data.time_series.ts_files import japanese_vowels, series
    from dlnotes.data.toy import two_moons, xor
    from dlnotes.data.trees.brackets import parse_brackets
    from dlnotes.data.trees.list_ops import list_ops
    from dlnotes.data.trees.logic import logic
    from dlnotes.data.trees.molecules import molecules
    from dlnotes.data.trees.smiles import smiles_tree
    from dlnotes.data.trees.tree import Tree, balanced_tree, batch_trees, chain_tree
    from dlnotes.data.trees.tree_files import sst, tree_file


class Source(NamedTuple):
    """A data source by its name in configs: the function of that name in a module of this package.

    Attributes:
      module: that holds it. It is named as a text, for importing this package must load no other module:
        a config error is answered before numpy and scikit-learn are.
      holds: kind of input and targets, "" where that is a matter of a person's own files.
      found: "own" files that a config names, "files" that are looked for and downloaded, "bundled" with the
        libraries, "extra" with a package of its own, or "generated".
      license, origin: in words; of published files, the module's `dlnotes.data.download.FileSet` says them.
      files: the name in the module of the set of its published files.
      package, extra: the package that holds the data, and the extra of dlnotes that installs it.
    """

    module: str
    holds: str = ""
    found: Literal["own", "files", "bundled", "extra", "generated"] = "own"
    license: str = ""
    origin: str = ""
    files: str = ""
    package: str = ""
    extra: str = ""


SOURCES: dict[str, Source] = {
    "digits": Source(
        "images.digits", "image, 10 classes", "bundled", "CC BY 4.0", "Alpaydin and Kaynak, UCI 1998"
    ),
    "digit_classes": Source(
        "images.digit_classes", "image, the classes named", "bundled", "CC BY 4.0", "some classes of digits"
    ),
    "sized_digits": Source(
        "images.sized_digits", "image, 10 classes", "bundled", "CC BY 4.0", "digits at many sizes"
    ),
    "tabular": Source("bundled_tables", "vector", "bundled"),
    "mnist": Source("images.mnist", "image, 10 classes", "files", files="MNIST"),
    "fashion_mnist": Source("images.mnist", "image, 10 classes", "files", files="FASHION_MNIST"),
    "npz": Source("files"),
    "npy": Source("files"),
    "csv": Source("tables"),
    "csv_series": Source("time_series.csv_series"),
    "image_folder": Source("images.image_folder"),
    "image_table": Source("images.image_table"),
    "video_folder": Source("images.video_folder"),
    "image_shards": Source("images.image_shards"),
    "series": Source("time_series.ts_files"),
    "japanese_vowels": Source(
        "time_series.ts_files", "sequence, 9 classes", "files", files="JAPANESE_VOWELS"
    ),
    "pixel_sequences": Source("images.pixel_sequences"),
    "sound": Source(
        "time_series.sound",
        "sequence or image, 6 classes",
        "generated",
        "none needed",
        "tones, chirps and clicks in noise",
    ),
    "sound_folder": Source("time_series.sound"),
    "skeleton_motion": Source(
        "time_series.skeleton_motion",
        "sequence, 6 classes",
        "generated",
        "none needed",
        "angles of the joints of a moving figure",
    ),
    "moving_digits": Source(
        "images.moving_digits",
        "volume, 9 or 10 classes",
        "generated",
        "none needed",
        "scikit-learn's digits in motion",
    ),
    "photo_patches": Source(
        "images.photo_patches",
        "image in color, 2 classes",
        "bundled",
        "CC BY 2.0",
        "danielbuechele and vultilion, flickr.com",
    ),
    "brain_patches": Source(
        "images.brain_patches",
        "volume, 3 classes",
        "extra",
        "free, with its copyright notice",
        "Fonov et al., 2011",
        package="nilearn",
        extra="volumes",
    ),
    "image_masks": Source("images.image_masks"),
    "scenes": Source(
        "images.scenes",
        "image, 11 classes a pixel",
        "generated",
        "none needed",
        "overlapping digits in clutter",
    ),
    "xor": Source("toy", "vector, 2 classes", "generated", "none needed", "Minsky and Papert, 1969"),
    "two_moons": Source("toy", "vector, 2 classes", "generated", "none needed", "two half circles"),
    "reber": Source("texts.reber", "tokens, 2 classes", "generated", "none needed", "Reber, 1967"),
    "adding": Source(
        "time_series.long_term",
        "sequence, regression",
        "generated",
        "none needed",
        "Hochreiter and Schmidhuber, 1997",
    ),
    "copy_memory": Source(
        "time_series.long_term", "tokens, tokens", "generated", "none needed", "Arjovsky et al., 2016"
    ),
    "temporal_order": Source(
        "time_series.long_term",
        "tokens, 4 or 8 classes",
        "generated",
        "none needed",
        "Hochreiter and Schmidhuber, 1997",
    ),
    "latch": Source(
        "time_series.long_term",
        "sequence, 2 classes",
        "generated",
        "none needed",
        "Bengio, Simard and Frasconi, 1994",
    ),
    "parity": Source(
        "time_series.long_term",
        "tokens, 2 classes",
        "generated",
        "none needed",
        "Bengio, Simard and Frasconi, 1994",
    ),
    "mackey_glass": Source(
        "time_series.chaos", "sequence, regression", "generated", "none needed", "Mackey and Glass, 1977"
    ),
    "lorenz": Source("time_series.chaos", "sequence, regression", "generated", "none needed", "Lorenz, 1963"),
    "bouncing": Source(
        "time_series.bouncing", "sequence, regression", "generated", "none needed", "a ball among pegs"
    ),
    "number_words": Source(
        "texts.number_words", "pair, tokens", "generated", "none needed", "English number words"
    ),
    "cmudict": Source("texts.cmudict", "pair, tokens", "files", files="CMUDICT"),
    "text_pairs": Source("texts.text_pairs"),
    "verses": Source("texts.text_pairs", "pair, tokens", "files", files="VERSES"),
    "text": Source(
        "texts.corpus",
        "tokens, language model",
        "bundled",
        "BSD-3 and PSF",
        "scikit-learn and Python help texts",
    ),
    "text_classes": Source(
        "texts.text_classes",
        "tokens, 5 classes",
        "bundled",
        "BSD-3, Apache-2.0 and PSF",
        "documentation of the installed libraries",
    ),
    "token_labels": Source(
        "texts.token_labels",
        "tokens, 7 labels of words",
        "bundled",
        "BSD-3, Apache-2.0 and PSF",
        "documentation of the installed libraries",
    ),
    "speeches": Source("texts.speeches", "tokens, language model", "files", files="SPEECHES"),
    "list_ops": Source(
        "trees.list_ops", "tree or tokens, 10 classes", "generated", "none needed", "Nangia and Bowman, 2018"
    ),
    "logic": Source(
        "trees.logic", "tree, 7 classes", "generated", "none needed", "Bowman, Potts and Manning, 2015"
    ),
    "molecules": Source("trees.molecules", "tree, 2 classes", "files", files="B3DB"),
    "sst": Source("trees.tree_files", "tree, 5 or 2 classes", "files", files="SST"),
    "tree_file": Source("trees.tree_files"),
}
"""Every source by its name."""

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
    "inputs_as_targets": "reconstruction",
    "split_indices": "split",
    "DataNotFound": "download",
    "parse_brackets": "trees.brackets",
    "buckets_for": "buckets",
    "choose_buckets": "buckets",
    "align_pairs": "texts.alignment",
    "draw_latch": "time_series.long_term",
    "Bounces": "time_series.bouncing",
    "bouncing_frames": "time_series.bouncing",
    "bouncing_gaussian_entropy": "time_series.bouncing",
    "bouncing_log_density": "time_series.bouncing",
    "bouncing_paths": "time_series.bouncing",
    "log_spectrogram": "time_series.log_frequency",
    "smiles_tree": "trees.smiles",
    "balanced_tree": "trees.tree",
    "chain_tree": "trees.tree",
    "shift_right": "texts.number_words",
    "ngram_bits": "texts.ngrams",
    "parts_of": "dataset",
}

__all__ = [
    "SOURCES",
    "Bounces",
    "DataNotFound",
    "Dataset",
    "Examples",
    "Inputs",
    "Pair",
    "Source",
    "Standardize",
    "Tree",
    "Trees",
    "adding",
    "align_pairs",
    "balanced_tree",
    "batch_trees",
    "bouncing",
    "bouncing_frames",
    "bouncing_gaussian_entropy",
    "bouncing_log_density",
    "bouncing_paths",
    "brain_patches",
    "buckets_for",
    "chain_tree",
    "choose_buckets",
    "cmudict",
    "copy_memory",
    "csv",
    "csv_series",
    "digit_classes",
    "digits",
    "draw_latch",
    "evaluate_inputs",
    "fashion_mnist",
    "image_folder",
    "image_masks",
    "image_shards",
    "image_table",
    "inputs_as_targets",
    "japanese_vowels",
    "latch",
    "list_ops",
    "load",
    "log_spectrogram",
    "logic",
    "lorenz",
    "mackey_glass",
    "mnist",
    "molecules",
    "moving_digits",
    "ngram_bits",
    "npy",
    "npz",
    "number_words",
    "parity",
    "parse_brackets",
    "parts_of",
    "photo_patches",
    "pixel_sequences",
    "read_inputs",
    "reber",
    "scenes",
    "series",
    "shift_right",
    "sized_digits",
    "skeleton_motion",
    "smiles_tree",
    "sound",
    "sound_folder",
    "source",
    "speeches",
    "split_indices",
    "sst",
    "tabular",
    "temporal_order",
    "text",
    "text_classes",
    "text_pairs",
    "token_labels",
    "tree_file",
    "two_moons",
    "verses",
    "video_folder",
    "xor",
]


_getattr, _names = lazy(__name__, {name: source.module for name, source in SOURCES.items()} | _OTHERS)
if not TYPE_CHECKING:  # a name that is not imported above is an error for pyright too
    __getattr__, __dir__ = _getattr, _names


def source(kind: str) -> Callable[..., Dataset]:
    """The function that loads data of a kind.

    Raises:
      ValueError: when the kind is unknown, with the nearest known one.
    """
    chosen("kind", kind, SOURCES)
    return _getattr(kind)


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
