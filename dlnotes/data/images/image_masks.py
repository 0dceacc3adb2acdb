"""A person's own pictures with the class of every pixel: a folder of images, a folder of masks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from dlnotes.data import arrays
from dlnotes.data.assemble import assemble
from dlnotes.data.dataset import Dataset
from dlnotes.data.download import sha256
from dlnotes.data.levels import PICTURES
from dlnotes.data.own_files import read_as
from dlnotes.data.split import split_indices
from dlnotes.typing import IGNORE

UNLABELED = 255
"""The number in a mask of a pixel without a target."""


def image_masks(
    path: str | Path,
    *,
    size: tuple[int, int],
    channels: Literal[1, 3] = 3,
    classes: tuple[str, ...] = (),
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    standardize: bool = True,
) -> Dataset:
    """A folder with ``images/`` and ``masks/``; the mask of ``images/a.jpg`` is ``masks/a.png``.

    A mask is a gray or palette image of its picture's size that holds class numbers from 0 on (not
    colors), and 255 where a pixel has no target.

    Args:
      path: the folder.
      size: ``(height, width)`` that every image is resized to, and its mask (to the nearest pixel).
      channels: 3 for color, 1 for gray levels.
      classes: a name for each class number; by default the numbers up to the greatest in the masks.
      validation: share or number of images for validation.
      test: the same for the test part.
      seed: of the split.
      standardize: whether each channel is standardized; raw values are in [0, 1].

    Raises:
      FileNotFoundError: when a folder is missing.
      ValueError: naming the file, when it is not readable, has no partner of the same name and size, or a
        mask holds something else than class numbers.
    """
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size: got {size}, allowed is (height, width) in pixels, at least 1 each")
    pairs = paired(path)
    x = np.stack([arrays.read_image(image, size=size, channels=channels) for image, _ in pairs])
    y = np.stack([read_mask(mask, image=image, size=size) for image, mask in pairs])
    count = len(classes) or int(y.max()) + 1
    if count < 2:
        raise ValueError(f"{path}: the masks hold {count} class numbers, two classes are needed")
    check_classes(pairs, y, count)
    made = assemble(
        Path(path).name,
        x,
        y,
        split_indices(len(y), validation=validation, test=test, seed=seed),
        input="image",
        task="pixels",
        outputs=count,
        standardize=standardize,
        classes=tuple(classes) or tuple(str(i) for i in range(count)),
        sources={str(file): sha256(file) for pair in pairs for file in pair},
    )
    return read_as(made, form="images", levels=PICTURES)


def paired(path: str | Path) -> list[tuple[Path, Path]]:
    """Each image of a folder with its mask, in sorted order.

    Raises:
      FileNotFoundError: when ``images/`` or ``masks/`` is missing.
      ValueError: naming a file without a partner.
    """
    found = {}
    for name in ("images", "masks"):
        folder = Path(path) / name
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: there is no such folder, images/ and masks/ are needed")
        files = arrays.folder_images(folder)
        found[name] = {file.stem: file for file in files}
        if len(found[name]) < len(files):
            twice = next(f for f in files if found[name][f.stem] != f)
            raise ValueError(f"{twice}: another file of the folder has this name")
    for name, other in (("images", "masks"), ("masks", "images")):
        alone = sorted(found[name].keys() - found[other].keys())
        if alone:
            file = found[name][alone[0]]
            raise ValueError(f"{file}: there is no {other}/{alone[0]}.* for it")
    return [(image, found["masks"][stem]) for stem, image in found["images"].items()]


def read_mask(path: str | Path, *, image: str | Path, size: tuple[int, int]) -> np.ndarray:
    """The class numbers of a mask ``(height, width)`` int32, resized to the nearest pixel; 255 becomes -1.

    Args:
      path: the mask.
      image: its picture, which must be of the same size.
      size: ``(height, width)`` of the result.

    Raises:
      ValueError: naming the file.
    """
    from PIL import Image

    arrays.read_image(path, size=(1, 1), channels=1)  # refuses what is damaged, naming the file
    with Image.open(path) as opened:
        if opened.mode not in ("1", "L", "P", "I", "I;16"):
            raise ValueError(
                f"{path}: is a {opened.mode} image, a mask holds class numbers (gray or palette)"
            )
        numbers = np.asarray(opened).astype(np.int32)
    with Image.open(image) as opened:
        width, height = opened.size
        if opened.getexif().get(0x0112, 1) > 4:  # a picture that is shown turned by a quarter
            height, width = width, height
    if numbers.shape != (height, width):
        raise ValueError(
            f"{path}: has {numbers.shape[0]} x {numbers.shape[1]} pixels, {image} has {height} x {width}"
        )
    rows, columns = (((np.arange(m) + 0.5) * n / m).astype(int) for n, m in zip(numbers.shape, size))
    resized = numbers[np.ix_(rows, columns)]
    return np.where(resized == UNLABELED, IGNORE, resized).astype(np.int32)


def check_classes(pairs: list[tuple[Path, Path]], y: np.ndarray, count: int) -> None:
    """Refuses class numbers of ``count`` and above, naming the mask."""
    for (_, mask), labels in zip(pairs, y):
        if int(labels.max()) >= count:
            raise ValueError(
                f"{mask}: holds class {labels.max()}, allowed is 0..{count - 1}, and {UNLABELED} for none"
            )
