"""Moving handwritten digits: videos whose class is a motion that no single frame shows."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlnotes.data.assemble import assemble, consecutive
from dlnotes.data.dataset import Dataset

MOTIONS = {
    "still": (0, 0),
    "right": (0, 1),
    "down right": (1, 1),
    "down": (1, 0),
    "down left": (1, -1),
    "left": (0, -1),
    "up left": (-1, -1),
    "up": (-1, 0),
    "up right": (-1, 1),
}
"""Rows and columns moved from a frame to the next."""

SIDE = 8  # of a digit, in pixels


def moving_digits(
    *,
    target: str = "motion",
    frames: int = 8,
    size: int = 16,
    noise: float = 0.1,
    n_train: int = 2000,
    n_validation: int = 300,
    n_test: int = 1000,
    seed: int = 0,
    standardize: bool = True,
) -> Dataset:
    """Videos ``(frames, size, size, 1)`` of a digit of 8×8 pixels that moves one pixel a frame, or rests.

    It begins anywhere and comes in again at the other side (the picture is a torus), so that every place
    is as likely in every frame: a frame tells nothing of the motion, and the frames in no order tell no
    direction from its opposite. Gray levels are in [0, 1], plus normal noise. Digits of scikit-learn's
    collection (1,797 images) are drawn from three groups that have none in common, one for each part.

    Args:
      target: "motion", still or one of eight directions; or "digit", which of the ten it is.
      frames: number of frames, 2 or more.
      size: pixels of each side, 8 or more.
      noise: standard deviation, 0 or more.
      n_train: number of training videos.
      n_validation: number of validation videos.
      n_test: number of test videos.
      seed: of everything that is drawn.
      standardize: whether gray levels are standardized.

    Raises:
      ValueError: when an option is out of range.

    >>> moving_digits(n_train=20, n_validation=10, n_test=10).inputs
    (8, 16, 16, 1)
    """
    from sklearn.datasets import load_digits

    counts = (n_train, n_validation, n_test)
    for name, value, least in (
        ("frames", frames, 2),
        ("size", size, SIDE),
        ("noise", noise, 0),
        ("n_train", n_train, 10),
        ("n_validation", n_validation, 0),
        ("n_test", n_test, 0),
    ):
        if value < least:
            raise ValueError(f"{name}: got {value}, at least {least} is needed")
    if target not in ("motion", "digit"):
        raise ValueError(f"target: got {target!r}, allowed are motion, digit")
    found: Any = load_digits(return_X_y=True)
    images, labels = found
    images = images.reshape(-1, SIDE, SIDE).astype(np.float32) / 16
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(images))
    groups = np.split(rows, (np.array([0.6, 0.75]) * len(rows)).astype(int))
    chosen = np.concatenate([rng.choice(group, n) for group, n in zip(groups, counts)])
    n = len(chosen)
    motion = rng.integers(len(MOTIONS), size=n)
    start = rng.integers(size, size=(n, 2))
    steps = np.array(list(MOTIONS.values()))[motion]
    x = noise * rng.standard_normal((n, frames, size, size), np.float32)
    corner = np.arange(SIDE)
    video = np.arange(n)[:, None, None]
    for frame in range(frames):
        down, across = ((start + frame * steps) % size).T
        i = (down[:, None, None] + corner[:, None]) % size
        j = (across[:, None, None] + corner[None, :]) % size
        x[video, frame, i, j] += images[chosen]
    return assemble(
        "moving_digits",
        x[..., None],
        motion if target == "motion" else labels[chosen],
        consecutive(*counts),
        input="volume",
        task="classification",
        outputs=len(MOTIONS) if target == "motion" else 10,
        standardize=standardize,
        classes=tuple(MOTIONS) if target == "motion" else tuple("0123456789"),
    )
