"""Reading and checking the arrays in a person's own files."""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dlnotes import bounded
from dlnotes.data import spelled_numbers
from dlnotes.data.assemble import box_mask, length_mask
from dlnotes.data.buckets import masked_sizes
from dlnotes.data.dataset import InputKind
from dlnotes.data.in_file import Converted
from dlnotes.data.levels import as_in_training, floats, gray
from dlnotes.data.object_arrays import read_objects

LARGEST = 1e30
"""Numbers above this are refused: their squares leave float64 or they themselves float32."""

MOST = 1_000_000
"""Symbols and classes that arrays may have."""

CHUNK_BYTES = 16_000_000
"""Of an array, looked at together."""

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}

_DAMAGE = (  # what numpy and zipfile raise on bytes that are not what they say (found by fuzzing)
    ValueError,
    EOFError,
    OSError,
    KeyError,
    RuntimeError,  # also NotImplementedError: an unknown compression; "encrypted"
    SyntaxError,
    SyntaxWarning,
    OverflowError,
    MemoryError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)

SHAPES = {
    "vector": "(examples, numbers)",
    "sequence": "(examples, steps, numbers)",
    "image": "(examples, height, width, channels)",
    "volume": "(examples, depth, height, width, channels)",
    "tokens": "(examples, steps)",
}
"""Of an array of inputs, by kind; the channels of an image or a volume may be left out."""


class Arrays(Mapping[str, np.ndarray]):
    """The arrays of a file by name; one that cannot be used is refused when it is asked for."""

    def __init__(self, read: dict[str, np.ndarray | ValueError]):
        self._read = read

    def __getitem__(self, name: str) -> np.ndarray:
        found = self._read[name]
        if isinstance(found, ValueError):
            raise found
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)


def read_npz(path: str | Path) -> Arrays:
    """All arrays of an ``.npz`` file, long doubles as float64.

    Objects that are all texts or all numbers become an array of these (see
    `dlnotes.data.object_arrays`); arrays of others, of complex numbers, of dates and of records are refused
    when they are asked for.

    Raises:
      ValueError: naming the file, when it is damaged or empty, or would unpack to more than is allowed (see
        `dlnotes.bounded`); later naming the array.
    """
    data = bounded.read_bytes(path)
    try:
        with io.BytesIO(data) as f:
            loaded: Any = np.load(f, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array, not named ones (.npy?)")
            with loaded:
                unpacked = sum(member.file_size for member in loaded.zip.infolist())  # pyright: ignore[reportOptionalMemberAccess]
                bounded.check_unpacked(path, unpacked, len(data))
                return Arrays({name: _member(path, loaded, name) for name in loaded.files})
    except bounded.TooLarge:
        raise
    except _DAMAGE as error:
        raise ValueError(f"{path}: not readable as .npz, is it complete? ({error})") from None


def _member(path: str | Path, loaded: Any, name: str) -> np.ndarray | ValueError:
    """An array of an ``.npz`` file, or why it cannot be used."""
    stored = f"{name}.npy" if f"{name}.npy" in loaded.zip.namelist() else name
    data = loaded.zip.read(stored)
    if not data.startswith(np.lib.format.MAGIC_PREFIX):
        return ValueError(f"{path}: {name} is a file that holds no array")
    return _usable(f"{path}: {name}", _array(data))


def _array(data: bytes) -> np.ndarray | ValueError:
    """The array of an ``.npy`` file's content; an error where it is one of objects that are not read."""
    f = io.BytesIO(data)
    version = np.lib.format.read_magic(f)
    if version in _HEADERS:
        shape, _, dtype = _HEADERS[version](f)
        if dtype.hasobject:
            try:
                return read_objects(data)
            except ValueError as error:
                return error
        needed, rest = math.prod(shape) * dtype.itemsize, len(data) - f.tell()
        if needed > rest:
            raise ValueError(f"its header says {shape} of {dtype}, {needed} bytes, and {rest} follow")
    f.seek(0)
    found = np.lib.format.read_array(f, allow_pickle=False)
    rest = len(f.read())
    if rest:
        raise ValueError(f"{rest} bytes follow the array")
    return found


def _usable(where: str, found: np.ndarray | ValueError) -> np.ndarray | ValueError:
    """The array with a type that is read, or an error that says what to save instead."""
    if isinstance(found, ValueError):
        return ValueError(
            f"{where} holds {found}, which are not read; save np.array(values, dtype=str) of texts, "
            "np.array(values, dtype=float) of numbers"
        )
    kind = found.dtype.kind
    if kind == "f" and found.dtype.itemsize > 8:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused later
            return found.astype(np.float64)
    if kind == "S":
        try:
            return np.char.decode(found, "utf-8")
        except UnicodeDecodeError as error:
            return ValueError(f"{where} holds bytes that are not UTF-8 text ({error.reason})")
    other = {
        "c": "complex numbers, which are not read; save real and imaginary parts as two columns",
        "M": "dates, which are not read; save numbers, such as (dates - first) / np.timedelta64(1, 'D')",
        "m": "times, which are not read; save numbers, such as times / np.timedelta64(1, 's')",
        "V": f"records ({found.dtype}), which are not read; save a plain array, one column a field",
    }
    return ValueError(f"{where} holds {other[kind]}") if kind in other else found


def read_npy(path: str | Path) -> np.ndarray:
    """The array of an ``.npy`` file, its types as those of `read_npz`.

    Numbers stay in the file and are read when they are looked at (`numpy.memmap`).

    Raises:
      ValueError: naming the file, when it is damaged, has trailing bytes or holds what is not read.
    """
    try:
        mapped = _mapped(path, bounded.ordinary(path))
        found = _usable(str(path), _array(bounded.read_bytes(path)) if mapped is None else mapped)
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the system, not of the content
            raise
        raise ValueError(f"{path}: not readable as .npy, is it complete? ({error})") from None
    if isinstance(found, ValueError):
        raise found
    return found


def _mapped(path: str | Path, size: int) -> np.ndarray | None:
    """Numbers in the order of their rows, left in the file until they are looked at; else ``None``."""
    with open(path, "rb") as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            return None
        shape, fortran, dtype = _HEADERS[version](file)
        start = file.tell()
    needed = math.prod(shape) * dtype.itemsize
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or fortran or needed == 0 or size != start + needed:
        return None  # what is wrong with it is said where it is read as a whole
    return np.memmap(path, dtype, "r", start, shape)


def _by_chunks(array: np.ndarray, mask: np.ndarray | None) -> Iterator[tuple[int, np.ndarray, Any]]:
    """Some rows at a time, with the number of the first and their mask: no copy of the whole is made."""
    rows = max(1, CHUNK_BYTES * len(array) // max(1, array.nbytes))
    for first in range(0, len(array), rows):
        where = None if mask is None else mask[first : first + rows]
        values = np.asarray(array[first : first + rows])
        yield first, values, True if where is None else where[(...,) + (None,) * (array.ndim - where.ndim)]


def _plain(values: np.ndarray) -> bool:
    """Whether all numbers are finite and of a usual size, masked ones included: told by two of them."""
    if not values.size:
        return True
    low, high = float(values.min()), float(values.max())
    return low >= -LARGEST and high <= LARGEST  # False for NaN


def check_finite(path: str | Path, name: str, array: np.ndarray, mask: np.ndarray | None = None) -> None:
    """Refuses NaN and infinity, naming the first row that has one (where the mask is True)."""
    for first, values, where in _by_chunks(array, mask):
        if _plain(values):
            continue
        wrong = ~np.isfinite(values) & where
        if wrong.any():
            row = int(np.argmax(wrong.reshape(len(values), -1).any(axis=1)))
            kind = "NaN" if np.isnan(values[row][wrong[row]]).any() else "infinity"
            raise ValueError(f"{path}: {name}: row {first + row} holds {kind}")


def check_size(path: str | Path, name: str, array: np.ndarray, mask: np.ndarray | None = None) -> None:
    """Refuses numbers above `LARGEST`, naming the first row that has one (where the mask is True)."""
    if array.dtype.itemsize < 4:
        return
    for first, values, where in _by_chunks(array, mask):
        if _plain(values):
            continue
        large = (np.abs(values) > LARGEST) & where
        if large.any():
            row = int(np.argmax(large.reshape(len(values), -1).any(axis=1)))
            found = values[row][large[row]].flat[0]
            raise ValueError(
                f"{path}: {name}: row {first + row} holds {found:g}, at most {LARGEST:g} is read"
            )


def check_count(path: str | Path, name: str, array: np.ndarray, what: str) -> None:
    """Refuses whole numbers from `MOST` on, which would be so many symbols or classes."""
    if int(array.max()) >= MOST:
        row = int(np.argmax(array.reshape(len(array), -1).max(axis=1) >= MOST))
        raise ValueError(
            f"{path}: {name}: row {row} holds the {what} {array[row].max()}, allowed is 0..{MOST - 1}"
        )


def guess_input(path: str | Path, x: np.ndarray) -> InputKind:
    """The kind of input that an array's number of axes suggests: 2 vector, 3 sequence, 4 image, 5 volume."""
    kinds: dict[int, InputKind] = {2: "vector", 3: "sequence", 4: "image", 5: "volume"}
    if x.ndim not in kinds:
        raise ValueError(
            f"{path}: x has shape {x.shape}, allowed is (n, features), (n, time, features), "
            "(n, height, width, channels) or (n, depth, height, width, channels)"
        )
    return kinds[x.ndim]


def check_inputs(
    path: str | Path,
    x: np.ndarray,
    kind: str,
    mask: np.ndarray | None,
    levels: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """``x`` as the float array (int32 for tokens) of its kind, checked row by row.

    Bytes (uint8) of an image or a volume become gray levels / 255; without a channel axis they get one.

    Args:
      path: for messages.
      x: as in the file.
      kind: of input.
      mask: of the real positions.
      levels: of the images of the training data, where they are known (see `dlnotes.data.levels`).

    Raises:
      ValueError: naming file and row.
    """
    axes = {kind: shape.count(",") + 1 for kind, shape in SHAPES.items()}
    if kind not in axes:
        raise ValueError(f"input: got {kind!r}, allowed are {', '.join(axes)}")
    if x.dtype.kind not in "biuf":
        raise ValueError(f"{path}: x has type {x.dtype}, numbers are needed")
    if kind in ("image", "volume") and x.ndim == axes[kind] - 1:
        x = x[..., None]
    if x.ndim != axes[kind]:
        raise ValueError(f"{path}: x has shape {x.shape}, {kind!r} inputs are {SHAPES[kind]}")
    if len(x) == 0 or x.size == 0:
        raise ValueError(f"{path}: x is empty, its shape is {x.shape}")
    if kind == "tokens":
        if x.dtype.kind not in "biu":
            raise ValueError(f"{path}: x has type {x.dtype}, tokens are whole numbers")
        if int(x.min()) < 0:
            row = int(np.argmax((x < 0).any(axis=1)))
            raise ValueError(f"{path}: x: row {row} holds the negative token {x[row].min()}")
        check_count(path, "x", x, "token")
        return x.astype(np.int32)
    if x.dtype.kind == "f":
        check_finite(path, "x", x, mask)
    if isinstance(x, np.memmap) and mask is None and levels is None and x.dtype.kind in "biu":
        # Made floats some rows at a time, where they are used: as floats they take four times as much.
        bytes_of_images = kind in ("image", "volume") and x.dtype == np.uint8
        return Converted(x, gray if bytes_of_images else floats, floats(x[:0]).dtype)  # pyright: ignore[reportReturnType]
    if kind in ("image", "volume"):
        x = as_in_training(path, x, levels, mask)
    elif x.dtype.kind in "biu":
        return floats(x)
    check_size(path, "x", x, mask)
    x = x.astype(np.float32) if x.dtype == np.float16 else x
    if mask is not None:
        x = np.where(mask[..., None], x, np.zeros((), x.dtype))
    return x


def read_mask(
    path: str | Path,
    arrays: Mapping[str, np.ndarray],
    x: np.ndarray,
    *,
    mask: str,
    lengths: str,
    axes: int = 1,
) -> np.ndarray | None:
    """``(n, *sizes)`` booleans from an array of masks or of lengths, or ``None`` when there is neither.

    Lengths are ``(n,)``, or ``(n, axes)`` sizes where there are several axes. The mask of several must be
    a box from the first position on.

    Raises:
      ValueError: naming file and row, when the array does not fit ``x`` or a row has no position.
    """
    inner = x.shape[: 1 + axes]
    if mask in arrays and lengths in arrays:
        raise ValueError(f"{path}: holds both {mask!r} and {lengths!r}, one of them is enough")
    if mask in arrays:
        found = arrays[mask]
        if found.shape != inner:
            raise ValueError(f"{path}: {mask} has shape {found.shape}, x needs {inner}")
        if not np.isin(found, (0, 1)).all():
            row = int(np.argmax(~np.isin(found, (0, 1)).reshape(len(found), -1).all(axis=1)))
            raise ValueError(f"{path}: {mask}: row {row} holds something other than 0 and 1")
        found = found.astype(bool)
    elif lengths in arrays:
        sizes = arrays[lengths]
        shape = x.shape[:1] if axes == 1 else (len(x), axes)
        if sizes.shape != shape or sizes.dtype.kind not in "iu":
            many = f"{len(x)}" if axes == 1 else f"{shape}"
            raise ValueError(
                f"{path}: {lengths} has shape {sizes.shape} and type {sizes.dtype}, "
                f"x needs {many} whole numbers"
            )
        if axes > 1 and ((wrong := (sizes < 1) | (sizes > np.array(inner[1:]))).any()):
            row = int(np.argmax(wrong.any(axis=1)))
            raise ValueError(
                f"{path}: {lengths}: row {row} is {sizes[row].tolist()}, allowed is 1..{list(inner[1:])}"
            )
        if axes > 1:
            return box_mask(sizes, inner[1:])
        if x.ndim < 2 or ((sizes < 1) | (sizes > x.shape[1])).any():
            limit = x.shape[1] if x.ndim > 1 else 0
            row = int(np.argmax((sizes < 1) | (sizes > limit)))
            raise ValueError(f"{path}: {lengths}: row {row} is {sizes[row]}, allowed is 1..{limit}")
        found = length_mask(sizes, x.shape[1])
    else:
        return None
    real = found.reshape(len(found), -1).any(axis=1)
    if not real.all():
        raise ValueError(f"{path}: {mask}: row {int(np.argmin(real))} has no real position")
    if axes > 1:
        odd = (found != box_mask(masked_sizes(found), inner[1:])).reshape(len(found), -1).any(axis=1)
        if odd.any():
            raise ValueError(
                f"{path}: {mask}: row {int(np.argmax(odd))} is no box from the first position on"
            )
    return found


def class_labels(path: str | Path, y: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels 0..k-1 and class names, from numbers of any values or from strings (in sorted order).

    Raises:
      ValueError: naming file and row, when a label is not finite, or there is a single class.
    """
    if y.ndim == 2 and y.shape[-1] == 1:
        y = y.reshape(-1)
    if y.ndim != 1:
        raise ValueError(f"{path}: y has shape {y.shape}, one label for each row is needed")
    if y.dtype.kind in "US":
        names, labels = np.unique(texts(path, y), return_inverse=True)
        classes = tuple(str(name) for name in names)
    else:
        values, labels = np.unique(number_labels(path, y), return_inverse=True)
        classes = tuple(map(spelled_numbers.label, values.tolist()))
    if len(classes) < 2:
        raise ValueError(f"{path}: y: every row has the label {', '.join(classes)!r}, two classes are needed")
    return labels.astype(np.int32), classes


def texts(path: str | Path, y: np.ndarray) -> list[str]:
    """Labels that are texts or bytes of ASCII as texts, refusing with its row any that is empty."""
    try:
        found = [str(name) for name in y.astype(str)]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: y: a label is not ASCII ({error}), store labels as texts") from None
    if "" in found:
        raise ValueError(f"{path}: y: row {found.index('')} is an empty label")
    return found


def number_labels(path: str | Path, y: np.ndarray) -> np.ndarray:
    """``y`` as float64, refusing with its row any label that is no finite number, or too large to be one."""
    if y.dtype.kind not in "biuf":
        raise ValueError(f"{path}: y has type {y.dtype}, labels are numbers or texts")
    with np.errstate(invalid="ignore"):
        values = y.astype(np.float64)
    wrong = ~np.isfinite(values) | (np.abs(values) >= 2**53)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"{path}: y: row {row} is {y[row]}, labels are texts, or finite numbers below 2^53")
    return values
