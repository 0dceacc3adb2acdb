"""Series of several channels and any lengths in ``.ts`` files, the form of the UEA archive and of sktime.

A line is an example: its channels separated by colons, a channel's values by commas, the label last::

    @dimensions 2
    @classLabel true left right
    @data
    1.5,2.0,0.1:0.3,0.2,0.9:left
    4.0,1.0:2.2,2.1:right
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dlnotes.data import download as store
from dlnotes.data.assemble import assemble, length_mask
from dlnotes.data.dataset import Dataset
from dlnotes.data.lines import read_lines
from dlnotes.data.own_files import read_as
from dlnotes.data.split import split_indices


class Series(NamedTuple):
    """What a ``.ts`` file holds.

    Attributes:
      values: one ``(time, channels)`` array an example.
      labels: one text an example; empty texts where the file has no labels.
      lines: the line of each example, counted from 1.
      classes: as declared by ``@classLabel``; empty where the file has no labels.
    """

    values: list[np.ndarray]
    labels: list[str]
    lines: list[int]
    classes: tuple[str, ...]


def read_ts(path: str | Path) -> Series:
    """All examples of a ``.ts`` file.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: naming file and line, when a header is missing or wrong, a value is missing or no finite
        number, channels of an example differ in length, a label is undeclared, or series have time stamps.
    """
    lines = read_lines(path)
    header: dict[str, list[str]] = {}
    classes: tuple[str, ...] | None = None
    channels: int | None = None
    found = Series([], [], [], ())
    for number, line in enumerate(lines, 1):
        where, line = f"{path}: line {number}", line.strip()
        if not line or line.startswith("#"):
            continue
        if classes is None and line.startswith("@"):
            name, *words = line[1:].split()
            header[name.lower()] = words
            if name.lower() == "data":
                classes, channels = _declared(path, header)
            continue
        if classes is None:
            raise ValueError(f"{where}: an example before the line '@data'")
        parts = line.split(":")
        label = parts.pop().strip() if classes else ""
        if classes and label not in classes:
            raise ValueError(f"{where}: label {label!r}, declared are {', '.join(classes)}")
        if channels is not None and len(parts) != channels:
            raise ValueError(f"{where}: {len(parts)} channels, {channels} are needed")
        channels = len(parts)
        found.values.append(_example(where, parts))
        found.labels.append(label)
        found.lines.append(number)
    if classes is None:
        raise ValueError(f"{path}: there is no line '@data', is it a complete .ts file?")
    if not found.values:
        raise ValueError(f"{path}: no example follows the line '@data'")
    return found._replace(classes=classes)


def _declared(path: str | Path, header: dict[str, list[str]]) -> tuple[tuple[str, ...], int | None]:
    """The classes and the number of channels that a header declares."""
    if _says_yes(header, "timestamps"):
        raise ValueError(f"{path}: its series have time stamps; values at equal steps are needed")
    if _says_yes(header, "targetlabel"):
        raise ValueError(f"{path}: its targets are numbers (@targetLabel), classes are needed")
    labeled, *classes = header.get("classlabel", ["false"]) or ["false"]
    if labeled.lower() not in ("true", "false"):
        raise ValueError(f"{path}: @classLabel is followed by {labeled!r}, allowed are true and false")
    if labeled.lower() == "true" and (len(classes) < 2 or len(set(classes)) < len(classes)):
        raise ValueError(
            f"{path}: @classLabel declares {' '.join(classes) or 'none'}, two classes are needed"
        )
    counts = header.get("dimensions", header.get("dimension"))
    if counts is None:
        univariate = _says_yes(header, "univariate")
        return (tuple(classes) if labeled.lower() == "true" else ()), 1 if univariate else None
    if len(counts) != 1 or not counts[0].isdecimal() or int(counts[0]) < 1:
        raise ValueError(f"{path}: @dimensions is {' '.join(counts)!r}, a whole number from 1 is needed")
    return (tuple(classes) if labeled.lower() == "true" else ()), int(counts[0])


def _says_yes(header: dict[str, list[str]], name: str) -> bool:
    return [word.lower() for word in header.get(name, [])[:1]] == ["true"]


def _example(where: str, parts: list[str]) -> np.ndarray:
    """``(time, channels)`` numbers of one line."""
    rows = []
    for channel, part in enumerate(parts, 1):
        try:
            row = np.array(part.split(","), np.float64)
        except ValueError:
            row = np.array([np.nan])
        if not np.isfinite(row).all():
            wrong = next(cell for cell in part.split(",") if not _finite(cell))
            raise ValueError(f"{where}: channel {channel} holds {wrong.strip()!r}, a finite number is needed")
        if rows and len(row) != len(rows[0]):
            raise ValueError(
                f"{where}: channel {channel} has {len(row)} values, channel 1 has {len(rows[0])}"
            )
        rows.append(row)
    return np.stack(rows, axis=1)


def _finite(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def pad_series(values: list[np.ndarray], length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """``(n, length, channels)`` with zeros at the end, and the ``(n, length)`` mask of what is real.

    Args:
      values: ``(time, channels)`` each.
      length: of the longest if not given.
    """
    sizes = [len(value) for value in values]
    length = max(sizes) if length is None else length
    x = np.zeros((len(values), length, values[0].shape[1]), values[0].dtype)
    for row, value in zip(x, values):
        row[: len(value)] = value
    return x, length_mask(sizes, length)


def series(
    train_path: str | Path,
    *,
    test_path: str | Path | None = None,
    validation: float | int = 0.1,
    test: float | int | None = None,
    seed: int = 0,
    standardize: bool = True,
) -> Dataset:
    """Your own ``.ts`` files: sequences ``(time, channels)`` of any lengths, padded with a mask.

    Args:
      train_path: the file, with labels.
      test_path: a file of test examples with the same classes and channels; all of them are the test part.
      validation: share or number of the examples of ``train_path`` held out, stratified by class.
      test: the same for the test part, where there is no ``test_path``; 0.2 if not given.
      seed: of the split.
      standardize: whether each channel is standardized.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: when one cannot be used; the message has the file and the line.
    """
    if test_path is not None and test is not None:
        raise ValueError(f"test: got {test}, but the test part is the file test_path = {str(test_path)!r}")
    paths = [train_path] if test_path is None else [train_path, test_path]
    return _assemble(
        Path(train_path).stem,
        paths,
        validation=validation,
        test=(0.2 if test is None else test) if test_path is None else 0,
        seed=seed,
        standardize=standardize,
    )


def _assemble(
    name: str,
    paths: list[str | Path] | list[Path],
    *,
    validation: float | int,
    test: float | int,
    seed: int,
    standardize: bool,
) -> Dataset:
    first, *more = files = [read_ts(path) for path in paths]
    if not first.classes:
        raise ValueError(f"{paths[0]}: has no labels, '@classLabel true' and the classes are needed")
    for path, other in zip(paths[1:], more):
        if set(other.classes) != set(first.classes):
            raise ValueError(
                f"{path}: its classes are {', '.join(other.classes)}, "
                f"those of {paths[0]} are {', '.join(first.classes)}"
            )
        if other.values[0].shape[1] != first.values[0].shape[1]:
            raise ValueError(
                f"{path}: has {other.values[0].shape[1]} channels, {paths[0]} has {first.values[0].shape[1]}"
            )
    x, mask = pad_series([value for file in files for value in file.values])
    y = np.array([first.classes.index(label) for file in files for label in file.labels])
    n = len(first.values)
    try:
        train, held, tested = split_indices(
            n, validation=validation, test=test, seed=seed, stratify=np.array(first.labels)
        )
    except ValueError as error:
        raise ValueError(f"{paths[0]}: {error}") from None
    made = assemble(
        name,
        x,
        y,
        (train, held, np.arange(n, len(y)) if more else tested),
        input="sequence",
        task="classification",
        outputs=len(first.classes),
        mask=mask,
        standardize=standardize,
        classes=first.classes,
        sources={str(path): store.sha256(path) for path in paths},
    )
    return read_as(made, form="series")


JAPANESE_VOWELS = store.FileSet(
    name="japanese_vowels",
    files={
        "JapaneseVowels_TRAIN.ts": "68a430eabd919cc77f40b1f5f3bc0dcafacc1486bca9260785aeb7d262cc78cd",
        "JapaneseVowels_TEST.ts": "b3d41d6a0ca3bcad3afb9ca7d4365382aa51341e2e58bae2a574babdda5b9462",
    },
    where="the Python package sktime (folder sktime/datasets/data/JapaneseVowels), or, as JapaneseVowels, "
    "timeseriesclassification.com",
    license="CC BY 4.0",
    source="Kudo, Toyama and Shimbo, 1999 (UCI, UEA archive)",
)


def japanese_vowels(
    *,
    validation: float | int = 0.1,
    seed: int = 0,
    standardize: bool = True,
    data_dir: str | Path | None = None,
) -> Dataset:
    """Nine speakers saying two vowels: sequences ``(7 to 29, 12)``, the official 370 test utterances.

    A frame holds twelve coefficients of a linear prediction of the sound; the class is the speaker.

    Args:
      validation: share or number of the 270 official training utterances held out, stratified.
      seed: decides which ones.
      standardize: whether each channel is standardized.
      data_dir: a folder with the two files (or with a sub-folder ``japanese_vowels`` of them); otherwise
        ``$DLNOTES_DATA/japanese_vowels``, the user's cache and the system's data sets are searched.

    Raises:
      DataNotFound: when the files are nowhere; the message names them and where to put them.
      ValueError: when a file is not the published one.

    Source: Kudo, Toyama and Shimbo, Pattern Recognition Letters 20, 1999.
    """
    paths = store.obtain(JAPANESE_VOWELS, data_dir=data_dir)
    for problem in store.damage(JAPANESE_VOWELS, paths):
        raise ValueError(problem)
    return _assemble(
        "japanese_vowels", paths, validation=validation, test=0, seed=seed, standardize=standardize
    )
