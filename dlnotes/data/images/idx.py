"""The idx format of MNIST and its relatives: a strict reader."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from dlnotes import bounded


def read_idx(path: str | Path, *, dimensions: int, md5: str | None = None) -> np.ndarray:
    """Reads an idx file of unsigned bytes, plain or gzip-compressed.

    Layout: bytes ``0, 0, 8, dimensions``, then one big-endian uint32 for each axis, then the values.

    Args:
      path: the file; compression is told by its first bytes, not by its name.
      dimensions: number of axes it must have (3 for images, 1 for labels).
      md5: hex MD5 of the decompressed bytes, checked when given.

    Returns:
      uint8 array.

    Raises:
      ValueError: when the file is truncated, has trailing bytes, another type or number of axes,
        another checksum, or unpacks to more than is allowed (`dlnotes.bounded`); the message names it.
    """
    data = bounded.read_bytes(path)
    if data[:2] == b"\x1f\x8b":
        data = bounded.gunzip(path, data)
    header = 4 + 4 * dimensions
    if len(data) < header:
        raise ValueError(f"{path}: truncated, {len(data)} bytes are fewer than the header's {header}")
    magic = bytes([0, 0, 8, dimensions])
    if data[:4] != magic:
        raise ValueError(
            f"{path}: begins with {data[:4].hex()}, expected {magic.hex()} "
            f"(idx, unsigned bytes, {dimensions} axes)"
        )
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", count=dimensions, offset=4))
    expected = header + int(np.prod(shape, dtype=object))
    if len(data) < expected:
        raise ValueError(f"{path}: truncated, {len(data)} bytes where shape {shape} needs {expected}")
    if len(data) > expected:
        raise ValueError(f"{path}: {len(data) - expected} bytes after the {expected} of shape {shape}")
    if md5 is not None:
        seen = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if seen != md5:
            raise ValueError(f"{path}: MD5 of the decompressed bytes is {seen}, expected {md5}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def read_labeled_images(
    images: str | Path,
    labels: str | Path,
    *,
    classes: int,
    images_md5: str | None = None,
    labels_md5: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Images ``(n, height, width)`` and labels ``(n,)``, both uint8, from a pair of idx files.

    Raises:
      ValueError: as `read_idx`; also when the counts differ or a label is not below ``classes``, with
        the file and the row.
    """
    x = read_idx(images, dimensions=3, md5=images_md5)
    y = read_idx(labels, dimensions=1, md5=labels_md5)
    if len(x) != len(y):
        raise ValueError(f"{images}: {len(x)} images, but {labels} has {len(y)} labels")
    if len(x) == 0:
        raise ValueError(f"{images}: no images")
    if int(y.max()) >= classes:
        row = int(np.argmax(y >= classes))
        raise ValueError(f"{labels}: row {row}: label {y[row]}, allowed is 0..{classes - 1}")
    return x, y
