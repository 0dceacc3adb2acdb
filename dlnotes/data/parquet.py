"""Tables in Parquet files: as cells, like those of a CSV file, or a large one as an array on disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlnotes import bounded
from dlnotes.data.download import cache_folder

_ROWS = 65_536
"""Rows that are read at once."""


def is_parquet(path: str | Path) -> bool:
    """Whether a file begins as a Parquet file does."""
    bounded.ordinary(path)
    with open(path, "rb") as file:
        return file.read(4) == b"PAR1"


def _opened(path: str | Path) -> Any:
    try:
        import pyarrow.parquet as pq  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ValueError(
            f"{path}: a Parquet file, which needs the extra: python -m pip install 'dlnotes[parquet]'"
        ) from None
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except Exception as error:
        raise ValueError(f"{path}: not readable as a Parquet file, is it complete? ({error})") from None
    # What the file says of its size counts a value that is repeated once.
    bounded.check_unpacked(
        path, 8 * file.metadata.num_rows * file.metadata.num_columns, Path(path).stat().st_size
    )
    if not file.metadata.num_rows:
        raise ValueError(f"{path}: there are no rows")
    return file


def _batches(path: str | Path, file: Any, columns: Sequence[str]) -> Any:
    try:
        yield from file.iter_batches(batch_size=_ROWS, columns=list(columns))
    except Exception as error:
        raise ValueError(f"{path}: not readable as a Parquet file, is it complete? ({error})") from None


def read_cells(path: str | Path, columns: Sequence[str] | None = None) -> tuple[list[str], list[list[str]]]:
    """The column names, and the rows as the cells of a CSV file would be.

    Numbers have as many digits as they need, truth values are 1 and 0, a missing cell is empty, times are in
    ISO 8601's form.

    Args:
      path: the file.
      columns: names of those wanted; by default all.

    Raises:
      ValueError: when the file is damaged or holds no rows, or a column of lists, records or bytes.
    """
    import pyarrow as pa  # pyright: ignore[reportMissingImports]

    file = _opened(path)
    fields = [f for f in file.schema_arrow if columns is None or f.name in columns]
    for field in fields:
        kind = field.type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise ValueError(
                f"{path}: column {field.name!r} holds {kind}, needed are numbers, texts, dates or "
                "truth values"
            )
    names = [field.name for field in fields]
    cells: list[list[str]] = [[] for _ in names]
    for batch in _batches(path, file, names):
        for own, column in zip(cells, batch.columns):
            own.extend(map(_spelled, column.to_pylist()))
    return names, [list(row) for row in zip(*cells)]


def _spelled(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value).strip()


def column_names(path: str | Path) -> list[str]:
    """The names of the columns."""
    return list(_opened(path).schema_arrow.names)


def shape(path: str | Path) -> tuple[int, int]:
    """Numbers of rows and of columns."""
    metadata = _opened(path).metadata
    return metadata.num_rows, metadata.num_columns


def in_file(path: str | Path, columns: Sequence[str], digest: str) -> np.memmap:
    """Columns of numbers as an array ``(rows, columns)`` on disk; a few rows at a time are in memory.

    It is made once for a file, in the cache (``DLNOTES_CACHE``), and used again.

    Args:
      path: the file.
      columns: names of the columns, each of one column.
      digest: SHA-256 of the file.

    Returns:
      float32 where all columns are so exactly, float64 otherwise.

    Raises:
      ValueError: when a column holds no numbers, or a cell is missing, not finite or too large; with the row.
      OSError: when there is no room for it.
    """
    import pyarrow as pa  # pyright: ignore[reportMissingImports]

    file = _opened(path)
    kinds = {field.name: field.type for field in file.schema_arrow}
    for name in columns:
        kind = kinds[name]
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise ValueError(
                f"{path}: column {name!r} holds {kind}: a table that is too large for the memory can have "
                "numbers only (drop leaves the column out)"
            )
    short = all(kinds[n].bit_width <= (16 if pa.types.is_integer(kinds[n]) else 32) for n in columns)
    dtype = np.dtype(np.float32 if short else np.float64)
    key = hashlib.sha256("\n".join([digest, dtype.name, *columns]).encode()).hexdigest()[:32]
    folder = cache_folder("parquet")
    kept = folder / f"{key}.npy"
    size = (file.metadata.num_rows, len(columns))
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        needed, free = size[0] * size[1] * dtype.itemsize, shutil.disk_usage(folder).free
        if needed > free:
            raise OSError(
                f"{path}: unpacked it needs {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are "
                "free (the environment variable DLNOTES_CACHE names another folder)"
            )
        with tempfile.TemporaryDirectory(dir=folder) as beside:
            partial = Path(beside) / kept.name
            _unpack(path, file, columns, np.lib.format.open_memmap(partial, "w+", dtype, size))
            os.replace(partial, kept)
    return np.lib.format.open_memmap(kept, "r")


def _unpack(path: str | Path, file: Any, columns: Sequence[str], x: np.memmap) -> None:
    first = 0
    for batch in _batches(path, file, columns):
        for j, name in enumerate(columns):
            values = batch.column(name).cast("float64", safe=False).to_numpy(zero_copy_only=False)
            with np.errstate(invalid="ignore"):
                wrong = ~(np.abs(values) <= 1e30)
            if wrong.any():
                i = int(np.argmax(wrong))
                holds = "is empty" if batch.column(name)[i].as_py() is None else f"holds {values[i]}"
                raise ValueError(
                    f"{path}: row {first + i}: column {name!r} {holds}, a finite number of at most "
                    "1e30 is needed"
                )
            x[first : first + len(values), j] = values
        first += batch.num_rows
    x.flush()
