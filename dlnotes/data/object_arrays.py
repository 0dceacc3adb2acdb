"""Arrays of Python objects in numpy's files, read without running what a pickle may hold.

numpy saves an array of dtype object as a pickle, and unpickling runs code. Here every class and function that
the pickle names is replaced by one that does nothing but keep what it is given; of what is kept, texts and
numbers become an array again, and everything else is refused.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from typing import Any

import numpy as np

from dlnotes import bounded

_PARTS = {"_reconstruct": "array", "ndarray": "array", "scalar": "scalar", "dtype": "dtype"}


class _Kept:
    """What stands for an object of a pickle: its kind, what it was made of, what it was told of its state."""

    def __init__(self, kind: str, made_of: tuple[Any, ...]):
        self.kind, self.made_of = kind, made_of
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Maker:
    """Called in place of a class or function that a pickle names."""

    def __init__(self, kind: str):
        self.kind = kind

    def __call__(self, *arguments: Any) -> _Kept:
        return _Kept(self.kind, arguments)


class _Reader(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if module_name.split(".")[0] == "numpy" and global_name in _PARTS:
            return _Maker(_PARTS[global_name])
        raise pickle.UnpicklingError(f"{module_name}.{global_name}")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("a reference to another file")


def read_objects(data: bytes) -> np.ndarray:
    """An ``.npy`` file's array of objects, where all of them are texts or all are numbers.

    Args:
      data: the whole content of the file.

    Returns:
      An array of texts, of int64 (whole numbers and booleans alone) or of float64.

    Raises:
      ValueError: saying what it holds that is neither, or that it is not readable.
    """
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"an unknown version {version}")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)  # objects are listed row by row, whatever the order in memory
    if dtype != np.dtype(object):
        raise ValueError(f"its type is {dtype}")
    try:
        _check_marks(data[file.tell() :])
        kept = _Reader(file).load()
    except pickle.UnpicklingError as error:
        raise ValueError(f"Python objects ({error})") from None
    except Exception as error:  # of damaged pickles, whatever an operation of them meets
        raise ValueError(f"not readable ({type(error).__name__}: {error})") from None
    values = _values(kept)
    if len(values) != int(np.prod(shape)):
        raise ValueError(f"{len(values)} objects where the shape is {shape}")
    longest = max((len(value) for value in values if isinstance(value, str)), default=0)
    bounded.check_memory(f"{len(values)} texts of up to {longest} characters", 4 * longest * len(values))
    try:
        found = np.array(values, _common_type(values))
    except OverflowError:
        raise ValueError("whole numbers of more than 64 bits") from None
    return found.reshape(shape)


def _check_marks(pickled: bytes) -> None:
    """Refuses places in the unpickler's memory that no writer uses: it takes memory up to the highest.

    Raises:
      ValueError: when one is beyond the number of operations, or an operation is not known.
    """
    for count, (operation, argument, _) in enumerate(pickletools.genops(pickled)):
        if operation.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= int(argument) <= count + 1:  # pyright: ignore
            raise ValueError(f"an object is kept at place {argument}")


def _values(kept: Any) -> list[Any]:
    state = getattr(kept, "state", ())
    if not isinstance(kept, _Kept) or kept.kind != "array" or not isinstance(state, tuple) or len(state) < 5:
        raise ValueError("Python objects that are no array")
    if not isinstance(state[4], list):
        raise ValueError("Python objects that are no list")
    return [_scalar(value) if isinstance(value, _Kept) else value for value in state[4]]


def _scalar(kept: _Kept) -> Any:
    """A number or text that numpy had wrapped: its type and its bytes."""
    parts = kept.made_of
    wrapped = kept.kind == "scalar" and len(parts) == 2 and isinstance(parts[0], _Kept)
    if wrapped and isinstance(parts[1], bytes):
        state: Any = parts[0].state
        name = parts[0].made_of[:1]
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else "="  # pyright: ignore[reportGeneralTypeIssues]
        if name and isinstance(name[0], str) and re.fullmatch(r"[biufU]\d{1,6}", name[0]):
            dtype = np.dtype(name[0]).newbyteorder(order if order in ("<", ">", "|") else "=")
            if dtype.itemsize == len(parts[1]):
                return np.frombuffer(parts[1], dtype)[0].item()
    return kept


def _common_type(values: list[Any]) -> Any:
    """The type of an array that holds all the values as they are.

    Raises:
      ValueError: naming the first row whose object is of another kind than those before.
    """
    kinds = [_kind(value) for value in values]
    for row, kind in enumerate(kinds):
        if kind is None:
            kept = values[row]
            name = type(kept).__name__ if not isinstance(kept, _Kept) else f"numpy {kept.kind}"
            raise ValueError(f"Python objects ({name} in row {row})")
        if (kind is str) != (kinds[0] is str):
            raise ValueError(
                f"texts and numbers (row 0 is a {kinds[0].__name__}, row {row} a {kind.__name__})"  # type: ignore[union-attr]
            )
    if not kinds or kinds[0] is str:
        return str
    return np.float64 if float in kinds else np.int64


def _kind(value: Any) -> type | None:
    if isinstance(value, (bool, int)):
        return int
    return type(value) if type(value) in (str, float) else None
