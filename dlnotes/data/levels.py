"""The numbers that images and volumes in arrays consist of: the same numbers in training and in use.

Bytes (uint8) are divided by 255, other numbers are not. So a file must hold the numbers of the training data,
in whatever dtype, or be refused: a network that was trained on 0..1 answers nonsense to 0..255.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dlnotes.data.dataset import Dataset
from dlnotes.data.own_files import reading_of

_CHUNK = 2**20  # numbers looked at together
_CLOSE = 1e-3  # by which gray levels may miss 0 and 1, for rounding
_OUTSIDE = 10  # times the largest number of the training data, which no new one should reach

PICTURES = {"bytes": True, "low": 0.0, "high": 255.0, "whole": False}
"""The levels of image files; arrays of floats may hold them too, in 0..1."""


def levels_of(x: np.ndarray, mask: np.ndarray | None = None) -> dict[str, Any]:
    """What is known of the numbers of a training file's images.

    Args:
      x: ``(n, ..., channels)`` as in the file.
      mask: ``(n, *sizes)`` booleans, of the real positions.

    Returns:
      "bytes", whether they are divided by 255; "low" and "high", their range; "whole", whether all are
      whole numbers.
    """
    low, high = _range(x, mask)
    return {"bytes": x.dtype == np.uint8, "low": low, "high": high, "whole": _whole(x, mask)}


def known_levels(dataset: Dataset) -> dict[str, Any] | None:
    """The levels of a data set's images or volumes, ``None`` where they cannot be known.

    Those of a data set that does not come from arrays are found in its training part. Images that the library
    draws are gray levels in 0..1, where noise may lead a little out of it.
    """
    if dataset.input not in ("image", "volume"):
        return None
    if (found := reading_of(dataset).get("levels")) is not None:
        return dict(found)
    if dataset.missing:
        return None
    x = np.asarray(dataset.train.x)
    axes = tuple(range(x.ndim - 1))
    ends = np.stack([x.min(axis=axes), x.max(axis=axes)])
    ends = ends if dataset.standardize is None else dataset.standardize.inverse(ends)
    low, high = (round(float(end), 6) for end in (ends.min(), ends.max()))
    if low > -1 and high < 2:
        low, high = max(low, 0.0), min(high, 1.0)
    return {"bytes": False, "low": low, "high": high, "whole": False}


def are_gray(levels: Mapping[str, Any]) -> bool:
    """Whether images of these levels are in 0..1 when the network sees them, as those in image files are."""
    return levels["bytes"] or (levels["low"] >= -_CLOSE and levels["high"] <= 1 + _CLOSE)


def as_in_training(
    path: str | Path, x: np.ndarray, levels: Mapping[str, Any] | None, mask: np.ndarray | None = None
) -> np.ndarray:
    """Images of a new file as the floats that training would have seen for the same numbers.

    Args:
      path: for messages.
      x: ``(n, ..., channels)`` finite numbers as in the file.
      levels: of the training data; without them bytes are divided by 255 and nothing else is known.
      mask: ``(n, *sizes)`` booleans, of the real positions.

    Raises:
      ValueError: naming both ranges, when the numbers are of another range or it cannot be told.
    """
    if levels is None:
        return gray(x) if x.dtype == np.uint8 else floats(x)
    plain = floats(x)
    low, high = _range(x, mask)
    if low == high == 0:
        return plain  # black on any scale
    if _divided(x, low, high, mask, levels):
        return x.astype(np.float32) / np.float32(255)
    if not _fits(x, low, high, mask, levels):
        what = "bytes divided by 255" if levels["bytes"] else "taken as they are"
        raise ValueError(
            f"{path}: x holds {x.dtype} numbers from {low:g} to {high:g}, the model was trained on "
            f"{levels['low']:g} to {levels['high']:g} ({what}): store them in the range and type of the "
            "training data"
        )
    return plain


def gray(x: np.ndarray) -> np.ndarray:
    """Gray levels of bytes: float32 in 0..1."""
    return floats(x) / np.float32(255)


def floats(x: np.ndarray) -> np.ndarray:
    """The numbers as float32 or float64, without a copy where they are."""
    if x.dtype.type in (np.float32, np.float64):
        return x
    return x.astype(np.float64 if x.dtype.itemsize > 2 else np.float32)


def _divided(
    x: np.ndarray, low: float, high: float, mask: np.ndarray | None, levels: Mapping[str, Any]
) -> bool:
    """Whether the numbers are those of bytes, to be divided by 255."""
    if low < 0 or high > 255:
        return False
    if levels["bytes"]:
        return x.dtype.kind in "iu" or (x.dtype.kind == "f" and high >= 2)
    return x.dtype == np.uint8 and high > 1 and are_gray(levels)


def _fits(x: np.ndarray, low: float, high: float, mask: np.ndarray | None, levels: Mapping[str, Any]) -> bool:
    """Whether numbers that are not divided can be those of the training data."""
    whole = _whole(x, mask)
    if levels["bytes"]:
        unclear = whole and levels["whole"]  # floats of 0 and 1 alone may be bytes or gray levels
        return x.dtype.kind == "f" and not unclear and low >= -_CLOSE and high <= 1 + _CLOSE
    if not are_gray(levels):
        most, trained = max(abs(low), abs(high)), max(abs(levels["low"]), abs(levels["high"]))
        scaled = trained >= 50 and most <= 1 + _CLOSE and not whole  # divided by someone
        return most <= _OUTSIDE * trained and not scaled
    if x.dtype == np.uint8:
        return levels["whole"]
    if x.dtype.kind in "biu":
        return low >= 0 and high <= 1
    return low >= -0.5 and high <= 1.5


def _range(x: np.ndarray, mask: np.ndarray | None) -> tuple[float, float]:
    if x.dtype.kind == "b":
        x = x.view(np.uint8)
    where = True if mask is None else np.broadcast_to(mask[..., None], x.shape)
    if x.dtype.kind in "iu":
        ends = np.iinfo(x.dtype)
        return float(x.min(where=where, initial=ends.max)), float(x.max(where=where, initial=ends.min))
    return float(x.min(where=where, initial=np.inf)), float(x.max(where=where, initial=-np.inf))


def _whole(x: np.ndarray, mask: np.ndarray | None) -> bool:
    if x.dtype.kind in "biu":
        return True
    rows = max(1, _CHUNK * len(x) // x.size)

    def at(first: int) -> bool:
        some = np.s_[first : first + rows]
        whole = x[some] == np.floor(x[some])
        return bool((whole if mask is None else whole | ~mask[some][..., None]).all())

    return all(at(first) for first in range(0, len(x), rows))  # most often the first rows tell
