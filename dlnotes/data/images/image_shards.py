"""Pictures in shards: many of them in one file, which is read at the places that a batch needs.

A shard is a tar file as WebDataset writes it (``0001.jpg`` and ``0001.cls`` belong together), or an
ArrayRecord file of ``tf.train.Example`` records, as TensorFlow Datasets writes it.
"""

from __future__ import annotations

import glob
import json
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from dlnotes import bounded
from dlnotes.data.dataset import Dataset
from dlnotes.data.download import sha256
from dlnotes.data.folders import visible
from dlnotes.data.images.tf_example import features_of
from dlnotes.data.in_file import assemble_rows
from dlnotes.data.levels import PICTURES
from dlnotes.data.own_files import read_as
from dlnotes.data.pictures import pictures_of
from dlnotes.data.split import split_of_file

TAR, RECORDS = (".tar",), (".array_record", ".arrayrecord")
_TEXT = 2**20
"""Bytes that the text of a label may have."""


class Pictures(NamedTuple):
    """Pictures that are found in shards, not yet read.

    Attributes:
      shards: the files, in sorted order.
      where: ``(pictures,)`` records: the number of the shard, and the place in it.
      labels: a text for each.
      names: for messages.
      contents: see `dlnotes.data.pictures.pictures_of`.
    """

    shards: list[Path]
    where: np.ndarray
    labels: list[str]
    names: list[str]
    contents: Callable[[np.ndarray], list[tuple[str, bytes]]]


def shards_of(path: str | Path) -> list[Path]:
    """The shards that a path names: a file, those of a folder, or a pattern such as ``train-{000..127}.tar``.

    Raises:
      FileNotFoundError: when there is none.
      ValueError: when they are of two kinds, or of none that is read.
    """
    if Path(path).is_dir():
        found = [p for p in visible(path) if is_shard(p)]
    else:
        spelled = list(_braces(str(path)))
        missing = [s for s in spelled if not glob.has_magic(s) and not Path(s).is_file()]
        if missing:
            raise FileNotFoundError(f"{missing[0]}: there is no such file or folder")
        found = [Path(p) for s in spelled for p in (sorted(glob.glob(s)) if glob.has_magic(s) else [s])]
    if not found:
        raise FileNotFoundError(f"{path}: there are no shards ({', '.join(TAR + RECORDS)})")
    kinds = {_kind(p) for p in found}
    if len(kinds) > 1:
        raise ValueError(f"{path}: there are tar files and ArrayRecord files, needed is one kind")
    return found


def _braces(text: str) -> Iterator[str]:
    """``a-{08..11}`` as ``a-08`` … ``a-11``, and ``{a,b}`` as each."""
    found = re.search(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}", text)
    if found is None:
        yield text
        return
    if found[3] is not None:
        choices = found[3].split(",")
    else:
        low, high = int(found[1]), int(found[2])
        if high - low >= 100_000:
            raise ValueError(f"{text}: {high - low + 1} shards are more than 100000")
        choices = [str(i).zfill(len(found[1])) for i in range(low, high + 1)]
    for choice in choices:
        yield from _braces(text[: found.start()] + choice + text[found.end() :])


def _numbered(path: Path) -> bool:
    """TensorFlow Datasets' names: ``mnist-train.array_record-00000-of-00001``."""
    return bool(re.search(r"\.array_?record-\d+-of-\d+$", path.name))


def is_shard(path: Path) -> bool:
    """Whether a file is a shard, by its name."""
    return path.suffix.lower() in TAR + RECORDS or _numbered(path)


def _kind(path: Path) -> Literal["tar", "records"]:
    name = path.name.lower()
    if path.suffix.lower() in TAR:
        return "tar"
    if path.suffix.lower() in RECORDS or _numbered(path):
        return "records"
    if name.endswith((".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst")):
        raise ValueError(f"{path}: is compressed, so no picture in it can be read alone; unpack it to .tar")
    raise ValueError(f"{path}: is no shard, its name ends with none of {', '.join(TAR + RECORDS)}")


def image_shards(
    path: str | Path,
    *,
    size: tuple[int, int],
    label: str = "",
    image: str = "image",
    channels: Literal[1, 3] = 3,
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    standardize: bool = True,
) -> Dataset:
    """Pictures with a class each, in WebDataset's tar files or in ArrayRecord files.

    In a tar file, members whose names are the same up to the first dot belong together: one is the picture,
    and ``label`` is the ending of another, whose text is the class. In an ArrayRecord file each record is a
    ``tf.train.Example`` with the features ``image``, the bytes of an image file, and ``label``.

    Args:
      path: a shard, a folder of shards, or a pattern such as ``train-{000..127}.tar`` or ``*.array_record``.
      size: ``(height, width)`` that every picture is resized to.
      label: by default "cls", and of ArrayRecord "label". "json:color" takes a field of a JSON member.
      image: the feature that holds the picture; of tar files the member's ending tells.
      channels: 3 for color, 1 for gray levels.
      validation, test, seed: as of `dlnotes.data.image_folder`.
      standardize: whether each channel is standardized; raw values are in [0, 1].

    Returns:
      A data set whose classes are the labels in sorted order, whole numbers by their size. Of more than
      `dlnotes.data.in_file.MOST` bytes the pictures stay in their files, and are read as they are used.

    Raises:
      FileNotFoundError: when there is no shard.
      ValueError: naming the shard and the picture, when a label is missing, or there is a single class. Of
        pictures that stay in their files, one that is damaged is told when it is read.
    """
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size: got {size!r}, allowed is (height, width) in pixels, at least 1 each")
    found = find_pictures(path, label=label, image=image)
    classes = tuple(sorted(set(found.labels), key=_by_size))
    if len(classes) < 2:
        raise ValueError(f"{path}: the only class is {found.labels[0]!r}, two are needed")
    number = {name: i for i, name in enumerate(classes)}
    y = np.array([number[name] for name in found.labels])
    rows = split_of_file(
        path,
        len(y),
        np.array(found.labels),
        lambda i: found.names[i],
        validation=validation,
        test=test,
        seed=seed,
    )
    made = assemble_rows(
        Path(path).name,
        pictures_of(found.where, found.contents, size=size, channels=channels),
        y,
        rows,
        input="image",
        task="classification",
        outputs=len(classes),
        standardize=standardize,
        classes=classes,
        sources={str(shard): sha256(shard) for shard in found.shards},
    )
    return read_as(made, form="images", max_size=max(size), levels=PICTURES, label=label, image=image)


def _by_size(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if re.fullmatch(r"-?\d{1,18}", name) else (1, 0, name)


def find_pictures(path: str | Path, *, label: str | None = "", image: str = "image") -> Pictures:
    """The pictures in shards, with a label each; see `image_shards`. ``label = None`` reads no labels."""
    shards = shards_of(path)
    if _kind(shards[0]) == "tar":
        return _in_tars(shards, label if label is None else label or "cls")
    return _in_records(shards, label if label is None else label or "label", image)


class _Member(NamedTuple):
    """A file within a tar file, with its place in it."""

    key: str
    ending: str
    start: int
    size: int


def _members(shard: Path) -> Iterator[_Member]:
    """The files in a tar file, in their order.

    Raises:
      ValueError: naming the shard, when it is no tar file, or cut off.
    """
    bounded.ordinary(shard)
    try:
        with tarfile.open(shard, "r:") as tar, open(shard, "rb") as file:
            for info in tar:
                if not info.isreg() or info.issparse():
                    continue
                folder, _, name = info.name.rpartition("/")
                key, dot, ending = name.partition(".")
                if key and dot:
                    yield _Member(f"{folder}/{key}".lstrip("/"), ending.lower(), info.offset_data, info.size)
            file.seek(tar.offset)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError("the mark of its end is missing")
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise ValueError(f"{shard}: not readable as a tar file, is it complete? ({error})") from None


@cache
def _endings() -> frozenset[str]:
    """Endings of members that are pictures."""
    from PIL import Image

    return frozenset(ending.lstrip(".") for ending in Image.registered_extensions())


def _in_tars(shards: list[Path], label: str | None) -> Pictures:
    ending, _, entry = (label or "").lstrip(".").partition(":")
    ending = ending.lower()
    where, labels, names = [], [], []
    for number, shard in enumerate(shards):
        with open(shard, "rb") as file:
            for key, members in groupby(_members(shard), key=lambda m: m.key):
                by_ending = {m.ending: m for m in members}
                pictures = [m for e, m in by_ending.items() if e.rpartition(".")[2] in _endings()]
                name = f"{shard}: {key}"
                if not pictures:
                    continue
                if len(pictures) > 1:
                    several = ", ".join(m.ending for m in pictures)
                    raise ValueError(f"{name}: has several pictures ({several}), one is needed")
                if label is None:
                    labels.append("")
                elif ending in by_ending:
                    labels.append(_text(file, by_ending[ending], name, entry))
                else:
                    others = ", ".join(sorted(by_ending.keys() - {pictures[0].ending})) or "nothing"
                    raise ValueError(
                        f"{name}: has no label .{ending} beside its picture, only {others} (option label)"
                    )
                where.append((number, pictures[0].start, pictures[0].size))
                names.append(f"{name}.{pictures[0].ending}")
    if not where:
        raise ValueError(f"{shards[0]}: there is no picture in {'it' if len(shards) == 1 else 'the shards'}")
    kinds = np.dtype([("shard", np.int32), ("start", np.int64), ("size", np.int64)])
    return Pictures(shards, np.array(where, kinds), labels, names, _TarBytes(shards))


def _text(file: Any, member: _Member, name: str, entry: str) -> str:
    """The label that a member holds."""
    if member.size > _TEXT:
        raise ValueError(f"{name}: its label .{member.ending} has {member.size} bytes, allowed are {_TEXT}")
    file.seek(member.start)
    try:
        text = file.read(member.size).decode("utf-8-sig").strip()
        found = json.loads(text)[entry] if entry else text
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        what = f"JSON with the field {entry!r}" if entry else "UTF-8 text"
        raise ValueError(f"{name}: its label .{member.ending} is no {what} ({error})") from None
    if isinstance(found, (dict, list)) or found is None or found == "":
        raise ValueError(f"{name}: its label .{member.ending} is {found!r}, a number or text is needed")
    return str(found)


class _TarBytes:
    """Reads members of tar files at their places."""

    def __init__(self, shards: Sequence[Path]):
        self._shards = [str(shard) for shard in shards]

    def __call__(self, where: np.ndarray) -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = [("", b"")] * len(where)
        for number in np.unique(where["shard"]):
            with open(self._shards[number], "rb") as file:
                for i in np.flatnonzero(where["shard"] == number):
                    file.seek(where["start"][i])
                    name = f"{self._shards[number]}: the picture at byte {where['start'][i]}"
                    found[i] = (name, file.read(where["size"][i]))
        return found


def _in_records(shards: list[Path], label: str | None, image: str) -> Pictures:
    if find_spec("array_record") is None:
        raise ValueError(
            f"{shards[0]}: ArrayRecord files need the extra: python -m pip install 'dlnotes[grain]'"
        )
    reader = _RecordBytes(shards, image)
    where, labels, names = [], [], []
    for number, shard in enumerate(shards):
        bounded.ordinary(shard)
        for first in range(0, count := reader.count(number), _AT_ONCE):
            some = range(first, min(first + _AT_ONCE, count))
            for i, record in zip(some, reader.records(number, list(some))):
                name = f"{shard}: record {i}"
                features = {} if label is None else _features(name, record)
                value = [""] if label is None else features.get(label, [])
                if len(value) != 1 or (label is not None and image not in features):
                    has = ", ".join(f"{len(v)} of {k!r}" for k, v in sorted(features.items())) or "nothing"
                    raise ValueError(
                        f"{name}: needs one value of {label!r} (option label) and {image!r} (option image), "
                        f"has {has}"
                    )
                labels.append(_spelled(name, str(label), value[0]))
                where.append((number, i))
                names.append(name)
    if not where:
        raise ValueError(f"{shards[0]}: there is no record in {'it' if len(shards) == 1 else 'the shards'}")
    kinds = np.dtype([("shard", np.int32), ("record", np.int64)])
    return Pictures(shards, np.array(where, kinds), labels, names, reader)


_AT_ONCE = 1024
"""Records that are in memory together while labels are read."""


def _features(name: str, record: bytes) -> dict[str, list[Any]]:
    try:
        return features_of(record)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _spelled(name: str, label: str, value: Any) -> str:
    if isinstance(value, float):
        raise ValueError(f"{name}: {label!r} is the number {value}, a class is a whole number or a text")
    try:
        return value.decode() if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError:
        raise ValueError(f"{name}: {label!r} is no UTF-8 text") from None


class _RecordBytes:
    """Reads records of ArrayRecord files, and the picture in each."""

    def __init__(self, shards: Sequence[Path], image: str):
        self._shards, self._image = [str(shard) for shard in shards], image
        self._open: dict[int, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}}

    def _reader(self, number: int) -> Any:
        from array_record.python.array_record_module import ArrayRecordReader

        if number not in self._open:
            shard = self._shards[number]
            try:
                reader = ArrayRecordReader(shard)
                if not reader.ok():
                    raise ValueError("it does not open")
            except (ValueError, RuntimeError, OSError) as error:
                raise ValueError(
                    f"{shard}: not readable as an ArrayRecord file, is it complete? ({error})"
                ) from None
            self._open[number] = reader
        return self._open[number]

    def count(self, number: int) -> int:
        """How many records a shard has."""
        return self._reader(number).num_records()

    def records(self, number: int, places: list[int]) -> list[bytes]:
        """Some records of a shard."""
        try:
            return list(self._reader(number).read(places))
        except (ValueError, RuntimeError, OSError, IndexError) as error:
            raise ValueError(
                f"{self._shards[number]}: not readable as an ArrayRecord file, is it complete? ({error})"
            ) from None

    def __call__(self, where: np.ndarray) -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = [("", b"")] * len(where)
        for number in np.unique(where["shard"]):
            own = np.flatnonzero(where["shard"] == number)
            for i, record in zip(own, self.records(number, where["record"][own].tolist())):
                name = f"{self._shards[number]}: record {where['record'][i]}"
                value = _features(name, record).get(self._image, [])
                if len(value) != 1 or not isinstance(value[0], bytes):
                    raise ValueError(f"{name}: {self._image!r} is not the bytes of one image file")
                found[i] = (name, value[0])
        return found
