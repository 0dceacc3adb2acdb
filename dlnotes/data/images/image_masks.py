"""A person's own pictures with the class of every pixel: a folder of images, a folder of masks."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from dlnotes.data.assemble import assemble
from dlnotes.data.dataset import Dataset
from dlnotes.data.download import sha256
from dlnotes.data.folders import folder_images
from dlnotes.data.levels import PICTURES
from dlnotes.data.own_files import read_as
from dlnotes.data.pictures import read_class_numbers, read_images, shown_size
from dlnotes.data.split import split_indices
from dlnotes.typing import IGNORE

UNLABELED = 255
"""The number in a mask of a pixel without a target; in masks of 0 and 255 alone it is class 1."""


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
    colors), and 255 where a pixel has no target. Masks that hold 0 and 255 alone have two classes, 255 is
    class 1.

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
        mask holds something else than class numbers; or when all masks hold a single class.
    """
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size: got {size}, allowed is (height, width) in pixels, at least 1 each")
    pairs = paired(path)
    x = np.stack(read_images([image for image, _ in pairs], size=size, channels=channels))
    masks = read_masks(pairs, size=size, count=len(classes) or None)
    _check_present(path, masks.numbers, tuple(classes))
    count = len(classes) or masks.numbers[-1] + 1
    y = masks.labels
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
    return read_as(made, form="images", levels=PICTURES, binary=masks.binary)


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
        files = folder_images(folder)
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


class Masks(NamedTuple):
    """The class of every pixel of some pictures.

    Attributes:
      labels: ``(n, height, width)`` int32, -1 where a pixel has no target.
      binary: whether they are masks of 0 and 255 alone, of which 255 is class 1.
      numbers: the class numbers that are there, before any resizing.
    """

    labels: np.ndarray
    binary: bool
    numbers: tuple[int, ...]


def read_masks(
    pairs: list[tuple[Path, Path]], *, size: tuple[int, int], count: int | None, binary: bool | None = None
) -> Masks:
    """The masks of some pictures, resized to the nearest pixel.

    255 is no target, unless the masks hold 0 and 255 alone, the usual form for two classes: then it is
    class 1.

    Args:
      pairs: pictures with their masks, see `paired`.
      size: ``(height, width)`` of the result.
      count: number of classes, where it is known.
      binary: whether 255 is class 1, where a model knows it from its own masks.

    Raises:
      ValueError: naming the file, when a mask is not readable, not of its picture's size, or holds something
        else than class numbers; or when all masks together hold a single class.
    """
    labels, holders = [], {}
    for image, mask in pairs:
        numbers = read_mask(mask, image=image)
        for number in np.unique(numbers).tolist():
            holders.setdefault(number, mask)
        rows, columns = (((np.arange(m) + 0.5) * n / m).astype(int) for n, m in zip(numbers.shape, size))
        labels.append(numbers[np.ix_(rows, columns)])
    found = np.stack(labels)
    extremes = UNLABELED in holders and set(holders) <= {0, UNLABELED}
    if binary is None:
        binary = extremes and count in (None, 2)
    elif binary and UNLABELED in holders and not extremes:
        other = next(n for n in sorted(holders) if n not in (0, UNLABELED))
        raise ValueError(
            f"{holders[other]}: holds {other}, the masks that were trained on hold 0 and {UNLABELED} alone"
        )
    elif extremes and not binary:
        raise ValueError(
            f"{holders[UNLABELED]}: no class but 0 is there; {UNLABELED} is no target (write 1 for class 1)"
        )
    found = np.where(found == UNLABELED, 1 if binary else IGNORE, found).astype(np.int32)
    classes = sorted({1 if binary and n == UNLABELED else n for n in holders if binary or n != UNLABELED})
    if count is not None and classes and classes[-1] >= count:
        raise ValueError(
            f"{holders[classes[-1]]}: holds class {classes[-1]}, allowed is 0..{count - 1}, and {UNLABELED} "
            "for none"
        )
    return Masks(found, binary, tuple(classes))


def _check_present(path: str | Path, numbers: tuple[int, ...], classes: tuple[str, ...]) -> None:
    """Refuses masks of a single class, or of numbers with gaps that have no names; says what has no pixel."""
    names = classes or tuple(str(i) for i in range(max(numbers, default=0) + 1))
    absent = [name for i, name in enumerate(names) if i not in numbers]
    if len(numbers) < 2:
        held = f"class {names[numbers[0]]!r} alone" if numbers else "no class"
        raise ValueError(
            f"{path}: the masks hold {held} ({UNLABELED} is no target), two classes are needed"
            + (f"; {', '.join(map(repr, absent))} without a pixel" if absent else "")
        )
    if absent and not classes:
        raise ValueError(
            f"{path}: the masks hold the numbers {', '.join(map(str, numbers[:8]))}"
            f"{' …' if len(numbers) > 8 else ''}; class numbers from 0 on are needed, without a gap (the "
            "option classes names them where some have no pixel)"
        )
    if absent:
        warnings.warn(f"{path}: no pixel is of class {', '.join(map(repr, absent))}", stacklevel=3)


def read_mask(path: str | Path, *, image: str | Path) -> np.ndarray:
    """The numbers of a mask ``(height, width)`` int32, as `dlnotes.data.pictures.read_class_numbers`.

    Args:
      path: the mask.
      image: its picture, which must be of the same size.

    Raises:
      ValueError: naming the file.
    """
    numbers, (height, width) = read_class_numbers(path), shown_size(image)
    if numbers.shape != (height, width):
        raise ValueError(
            f"{path}: has {numbers.shape[0]} x {numbers.shape[1]} pixels, {image} has {height} x {width}"
        )
    return numbers
