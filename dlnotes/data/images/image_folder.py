"""A person's own pictures in folders named after their classes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from dlnotes.data.dataset import Dataset
from dlnotes.data.download import sha256
from dlnotes.data.folders import nested_images
from dlnotes.data.given_parts import say_shared, split_by_parts
from dlnotes.data.images.labeled_folders import ClassOf, labeled_examples
from dlnotes.data.images.picture_set import Size, assemble_pictures, check_size
from dlnotes.data.levels import PICTURES
from dlnotes.data.own_files import read_as


def image_folder(
    path: str | Path,
    *,
    size: Size,
    max_size: int = 256,
    channels: Literal[1, 3] = 3,
    class_of: ClassOf = "top",
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    standardize: bool = True,
) -> Dataset:
    """A folder with one sub-folder of images for each class, named after it (in sorted order).

    It may hold ``train/``, ``validation/`` and ``test/``, each of which has the sub-folders; a part that has
    no folder is drawn from ``train/``.

    Args:
      path: the folder.
      size: ``(height, width)`` that every image is resized to; "own" keeps the size of each: the images
        are padded behind, and a mask ``(n, height, width)`` says which pixels are real.
      max_size: with ``size = "own"``, an image whose longer side is above this is brought down to it.
      channels: 3 for color, 1 for gray levels.
      class_of: where sub-folders are nested, the one that names the class: the "top" one, the "parent" of
        the image, or the whole "path" ("animals/cats").
      validation: share or number of images for validation.
      test: the same for the test part.
      seed: of the split.
      standardize: whether each channel is standardized; raw values are in [0, 1].

    Raises:
      FileNotFoundError: when there is no such folder.
      ValueError: when a file is not a readable image, a class has none, or there is a single class. Of
        images that together are larger than `dlnotes.data.in_file.MOST` and have a fixed size, which are
        read as they are used, this comes when the file is read.
    """
    check_size(size, max_size)
    found = labeled_examples(path, nested_images, class_of=class_of)
    rows = split_by_parts(
        path,
        len(found.y),
        found.parts,
        np.array(found.classes)[found.y],
        lambda i: str(found.files[i]),
        validation=validation,
        test=test,
        seed=seed,
    )
    digests = {str(file): sha256(file) for file in found.files}
    if found.parts is not None:
        say_shared(found.files, digests, found.parts)
    made = assemble_pictures(
        Path(path).name,
        found.files,
        found.y,
        rows,
        size=size,
        max_size=max_size,
        channels=channels,
        task="classification",
        outputs=len(found.classes),
        standardize=standardize,
        classes=found.classes,
        sources=digests,
    )
    told = {} if class_of == "top" else {"class_of": class_of}
    return read_as(made, form="images", max_size=max_size, levels=PICTURES, **told)
