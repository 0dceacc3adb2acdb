"""Inputs that are too many for the memory: they stay in their file, and rows are read when they are used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any, NamedTuple

import numpy as np

from dlnotes.data import by_rows
from dlnotes.data.assemble import Parts, assemble
from dlnotes.data.dataset import Dataset, Examples, Standardize

MOST = 2**31
"""Bytes of a data set's inputs, as float32, that are held in memory."""


class _Mapped(NamedTuple):
    """A `numpy.memmap` by its file, as it is sent to another process: the numbers stay where they are."""

    path: str
    dtype: str
    start: int
    shape: tuple[int, ...]


def _sent(raw: Any) -> Any:
    if not isinstance(raw, np.memmap) or not raw.flags.c_contiguous or raw.filename is None:
        return raw
    whole = raw
    while isinstance(whole.base, np.memmap):
        whole = whole.base
    before = raw.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return _Mapped(str(raw.filename), raw.dtype.str, int(whole.offset + before), raw.shape)


def _received(raw: Any) -> Any:
    if not isinstance(raw, _Mapped):
        return raw
    return np.memmap(raw.path, np.dtype(raw.dtype), "r", raw.start, raw.shape)


class _InFile:
    """Sends what is in a file to another process by the file's name."""

    _raw: Any

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_raw": _sent(self._raw)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"_raw": _received(state["_raw"])})


class Converted(_InFile):
    """An array whose rows are made where they are indexed: of a file of bytes, or of the names of pictures.

    Args:
      raw: ``(n, ...)``.
      function: makes float32 or float64 of some of its rows.
      dtype: of the result.
      row: shape of a row of the result; by default that of ``raw``.
    """

    def __init__(
        self,
        raw: np.ndarray,
        function: Callable[[np.ndarray], np.ndarray],
        dtype: Any,
        row: tuple[int, ...] | None = None,
    ):
        self._raw, self._function, self.dtype = raw, function, np.dtype(dtype)
        self.shape = raw.shape if row is None else (len(raw), *row)
        self.ndim, self.size = len(self.shape), prod(self.shape)
        self.nbytes = self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self._raw)

    def __getitem__(self, index: Any) -> np.ndarray:
        return self._function(np.asarray(self._raw[index]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        found = self[:]
        return found if dtype is None else found.astype(dtype, copy=False)


class InFile(_InFile):
    """Rows of an array on disk, standardized float32 where they are indexed.

    It has the shape, dtype and length of the array that it stands for. ``a[rows]``, for a slice or whole
    numbers of any shape, reads these rows only; ``np.asarray(a)`` reads all.

    Args:
      raw: ``(n, ..., features)`` numbers, a `numpy.memmap` or `Converted` from one.
      rows: numbers of the rows that belong to it, in their order.
      standardize: what is done to them, or ``None``.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, raw: Any, rows: np.ndarray, standardize: Standardize | None):
        self._raw, self._rows, self._standardize = raw, np.asarray(rows), standardize

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return (len(self._rows), *self._raw.shape[1:])

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._raw.ndim

    @property
    def size(self) -> int:
        """Number of entries."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the array in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        first, rest = (index[0], index[1:]) if isinstance(index, tuple) else (index, ())
        rows = self._rows[first]
        found = by_rows.apply(self._standardize, self._raw, rows.reshape(-1))
        found = found.reshape(*rows.shape, *self._raw.shape[1:])
        return found[(*[slice(None)] * rows.ndim, *rest)] if rest else found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("the rows are in a file: they cannot be had without a copy")
        found = by_rows.apply(self._standardize, self._raw, self._rows)
        return found if dtype is None else found.astype(dtype, copy=False)


def assemble_rows(
    name: str, x: Any, y: np.ndarray, parts: Parts, *, standardize: bool, **options: Any
) -> Dataset:
    """`dlnotes.data.assemble.assemble` of inputs of one size, of which no copy is made.

    Parts of more than `MOST` bytes together stay in their file.

    Args:
      name, y, parts, standardize: as there.
      x: ``(n, ..., features)`` numbers: an array, a `numpy.memmap`, or `Converted`.
      options: further ones of `assemble`.
    """
    nothing = np.zeros((len(x), 1), np.float32)  # in place of the inputs, for all that hangs on targets
    made = assemble(name, nothing, y, parts, standardize=standardize, inputs=tuple(x.shape[1:]), **options)
    scale = by_rows.fit(x, parts[0]) if standardize else None
    stay = 4 * x.size > MOST and isinstance(x, (np.memmap, Converted))

    def own(examples: Examples | None, rows: np.ndarray) -> Examples | None:
        if examples is None:
            return None
        return examples._replace(x=InFile(x, rows, scale) if stay else by_rows.apply(scale, x, rows))

    train, validation, test = map(own, (made.train, made.validation, made.test), parts)
    assert train is not None
    return replace(made, train=train, validation=validation, test=test, standardize=scale)


def is_in_file(examples: Examples) -> bool:
    """Whether a part's inputs are in a file."""
    return isinstance(examples.x, InFile)


def in_parts(examples: Examples, rows: int) -> list[slice]:
    """Slices of a part, of so many rows each, the last of fewer."""
    return [np.s_[i : i + rows] for i in range(0, examples.size, rows)]
