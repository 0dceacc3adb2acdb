"""Pictures of files with their targets as a data set: in memory, or decoded as they are used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dlnotes.data import in_file
from dlnotes.data.assemble import Parts, assemble, pad_boxes
from dlnotes.data.dataset import Dataset
from dlnotes.data.in_file import assemble_rows
from dlnotes.data.pictures import pictures_in_files, read_images

Size = tuple[int, int] | Literal["own"]
"""Height and width that every picture is resized to, or its own."""


def check_size(size: Size, max_size: int) -> None:
    """Refuses what is no size.

    Raises:
      ValueError: naming the option.
    """
    if size != "own" and (len(size) != 2 or isinstance(size, str) or min(size) < 1):
        raise ValueError(
            f"size: got {size!r}, allowed is (height, width) in pixels, at least 1 each, or 'own'"
        )
    if max_size < 1:
        raise ValueError(f"max_size: got {max_size}, allowed is at least 1 pixel")


def assemble_pictures(
    name: str,
    files: Sequence[Path],
    y: np.ndarray,
    parts: Parts,
    *,
    size: Size,
    max_size: int,
    channels: int,
    **known: Any,
) -> Dataset:
    """The data set of some pictures.

    Pictures of one size that together are larger than `dlnotes.data.in_file.MOST` are decoded as they are
    used; what is wrong with one of them comes then.

    Args:
      name, y, parts: as of `dlnotes.data.assemble.assemble`.
      files: of each picture.
      size, max_size, channels: as of `dlnotes.data.image_folder`.
      known: further options of `assemble`.

    Raises:
      ValueError: naming a file that is no readable picture.
    """
    if not isinstance(size, str) and 4 * len(files) * size[0] * size[1] * channels > in_file.MOST:
        x = pictures_in_files(files, size=size, channels=channels)
        return assemble_rows(name, x, y, parts, input="image", **known)
    own = isinstance(size, str)
    read = read_images(files, size=None if own else size, channels=channels, max_size=max_size)
    x, mask = pad_boxes(read) if own else (np.stack(read), None)
    return assemble(name, x, y, parts, input="image", mask=mask, **known)
