"""Scenes put together from small pictures, with the class of every pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from dlnotes.data.assemble import assemble, consecutive
from dlnotes.data.dataset import Dataset, Examples

INK = 0.15
"""Gray level above which a pixel of a picture belongs to its object; only such pixels are painted."""


def scenes(
    *,
    source: Literal["digits", "mnist", "fashion_mnist"] = "digits",
    size: tuple[int, int] = (32, 32),
    objects: tuple[int, int] = (1, 3),
    object_size: tuple[int, int] = (10, 16),
    clutter: int = 6,
    noise: float = 0.1,
    classes: int = 10,
    n_train: int = 2000,
    n_validation: int = 200,
    n_test: int = 500,
    seed: int = 0,
    standardize: bool = True,
    data_dir: str | Path | None = None,
    download: bool = True,
) -> Dataset:
    """Several objects in one image, over one another and over clutter; ``y`` has the class of each pixel.

    In this order: fragments of objects (clutter) are painted on black, then the objects, each over what
    is there, then ``noise · N(0, 1)`` is added. An object is a picture cut to its ink and resized; what is
    painted is exactly what is labeled. Class 0 is background, and so are the fragments; class 1 + c is class
    c of the source. The parts are made of different pictures: those of the source's own parts.

    Args:
      source: of the objects; "digits" needs no files.
      size: ``(height, width)`` of a scene.
      objects: least and greatest number of objects in a scene.
      object_size: least and greatest length in pixels of an object's longer side.
      clutter: fragments in a scene, each of a third to a half of an object's height and width.
      noise: standard deviation of what is added to gray levels in [0, 1].
      classes: how many of the source's classes are used, the first ones.
      n_train, n_validation, n_test: numbers of scenes.
      seed: of the scenes; a part does not depend on how many scenes the others have.
      standardize: whether ``x = (raw − mean) / scale``.
      data_dir, download: where a source with files is; see `dlnotes.data.mnist`.

    Raises:
      ValueError: when an option is out of range.
      DataNotFound: when the source's files are nowhere.

    Source: notes C7.1; cluttered and overlapping digits as in Mnih et al., 2014, and Sabour et al., 2017.

    >>> made = scenes(n_train=3, n_validation=0, n_test=1)
    >>> made.train.x.shape, made.train.y.shape, made.outputs
    ((3, 32, 32, 1), (3, 32, 32), 11)
    """
    _check(size, objects, object_size, clutter, noise, classes, n_train, n_validation, n_test)
    pictures = _pictures(source, data_dir, download)
    made = []
    for index, (name, n) in enumerate((("train", n_train), ("validation", n_validation), ("test", n_test))):
        rng = np.random.default_rng([seed, index])
        part = _cut(pictures.split(name), classes)
        made.append(_part(rng, part, n, size, objects, object_size, clutter, noise))
    x, y = (np.concatenate([part[i] for part in made]) for i in range(2))
    return assemble(
        "scenes",
        x,
        y,
        consecutive(n_train, n_validation, n_test),
        input="image",
        task="pixels",
        outputs=classes + 1,
        standardize=standardize,
        classes=("background", *pictures.classes[:classes]),
        sources=pictures.sources,
    )


def _check(size, objects, object_size, clutter, noise, classes, n_train, n_validation, n_test) -> None:
    for name, pair, least in (("size", size, 4), ("objects", objects, 0), ("object_size", object_size, 3)):
        if len(pair) != 2 or min(pair) < least:
            raise ValueError(f"{name}: got {pair}, allowed are two whole numbers of at least {least}")
    for name, pair in (("objects", objects), ("object_size", object_size)):
        if pair[0] > pair[1]:
            raise ValueError(f"{name}: got {pair}, the least comes first")
    if object_size[1] > min(size):
        raise ValueError(f"object_size: got {object_size}, a scene of {size} holds at most {min(size)}")
    if not 1 <= classes <= 10:
        raise ValueError(f"classes: got {classes}, allowed is 1 to 10")
    if clutter < 0 or noise < 0:
        raise ValueError(f"clutter, noise: got {clutter} and {noise}, allowed is 0 or more")
    for name, n, least in (("n_train", n_train, 1), ("n_validation", n_validation, 0), ("n_test", n_test, 0)):
        if n < least:
            raise ValueError(f"{name}: got {n}, allowed is at least {least}")


def _pictures(source: str, data_dir: str | Path | None, download: bool) -> Dataset:
    if source == "digits":
        from dlnotes.data.images.digits import digits

        return digits(standardize=False)
    if source not in ("mnist", "fashion_mnist"):
        raise ValueError(f"source: got {source!r}, allowed are digits, mnist, fashion_mnist")
    from dlnotes.data.images import mnist as mnist_sets

    return getattr(mnist_sets, source)(standardize=False, data_dir=data_dir, download=download)


def _cut(examples: Examples, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures ``(n, height, width)`` of the first classes, and their labels."""
    y = np.asarray(examples.y)
    # A picture without ink has no object.
    chosen = (y < classes) & (np.asarray(examples.x) > INK).any((1, 2, 3))
    return np.asarray(examples.x)[chosen, ..., 0], y[chosen]


def _part(
    rng: np.random.Generator,
    pictures: tuple[np.ndarray, np.ndarray],
    n: int,
    size: tuple[int, int],
    objects: tuple[int, int],
    object_size: tuple[int, int],
    clutter: int,
    noise: float,
) -> tuple[np.ndarray, np.ndarray]:
    """``n`` scenes ``(n, height, width, 1)`` and the classes of their pixels ``(n, height, width)``."""
    x = noise * rng.standard_normal((n, *size), np.float32)
    y = np.zeros((n, *size), np.int32)
    if n and not len(pictures[1]):
        raise ValueError("source: has no picture of the first classes in one of its parts")
    counts = rng.integers(objects[0], objects[1] + 1, n)
    draws = rng.random((n, clutter + objects[1], 8))  # all at once: single draws would take most of the time
    for scene, labels, count, drawn in zip(x, y, counts, draws):
        painted = np.zeros(size, np.float32)
        for j, u in enumerate(drawn[: clutter + count]):
            i = int(u[0] * len(pictures[1]))
            picture = _resized(pictures[0][i], _whole(u[1], *object_size))
            if j < clutter:
                picture = _fragment(picture, u[4:])
            _paint(painted, labels, picture, 0 if j < clutter else 1 + int(pictures[1][i]), u[2:4])
        scene += painted
    return x[..., None], y


def _whole(u: float, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``, of a number that is uniform on [0, 1)."""
    return low + int(u * (high - low + 1))


def _resized(picture: np.ndarray, longer: int) -> np.ndarray:
    """The rectangle around a picture's ink, its longer side made ``longer`` pixels."""
    from PIL import Image

    ink = picture > INK
    (top, bottom), (left, right) = (np.flatnonzero(ink.any(axis))[[0, -1]] for axis in (1, 0))
    cut = np.ascontiguousarray(picture[top : bottom + 1, left : right + 1], np.float32)
    height, width = (max(1, round(longer * side / max(cut.shape))) for side in cut.shape)
    return np.asarray(Image.fromarray(cut).resize((width, height), Image.Resampling.BILINEAR))


def _fragment(picture: np.ndarray, u: np.ndarray) -> np.ndarray:
    """A random rectangle of a third to a half of the height and width."""
    high, wide = (_whole(v, -(-s // 3), -(-s // 2)) for v, s in zip(u[:2], picture.shape))
    top, left = (_whole(v, 0, s - side) for v, s, side in zip(u[2:], picture.shape, (high, wide)))
    return picture[top : top + high, left : left + wide]


def _paint(scene: np.ndarray, labels: np.ndarray, picture: np.ndarray, label: int, u: np.ndarray) -> None:
    """Puts a picture at a random place wholly inside the scene, over what is there."""
    top, left = (_whole(v, 0, s - side) for v, s, side in zip(u, scene.shape, picture.shape))
    window = slice(top, top + picture.shape[0]), slice(left, left + picture.shape[1])
    ink = picture > INK
    scene[window][ink] = picture[ink]
    labels[window][ink] = label
