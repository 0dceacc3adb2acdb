"""Pictures of clothes at many sizes, and canvases with two of them; for the claim on three classifiers."""

from __future__ import annotations

import numpy as np
from PIL import Image

from dlnotes import data
from dlnotes.typing import Array

ONE_SIZE, SCENE, STEP = 16, 40, 4
"""Sides of an object and of a canvas; pixels from one place of the maps to the next."""


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Square images ``(..., m, m, 1)`` at another size, by linear interpolation with antialiasing."""
    m = images.shape[-2]
    # The resizing is linear, so that of the unit vectors is its matrix.
    rule = Image.fromarray(np.eye(m, dtype=np.float32)).resize((m, size), Image.Resampling.BILINEAR)
    W = np.asarray(rule)
    return (W @ images[..., 0] @ W.T)[..., None].astype(np.float32)


def on_canvas(images: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Images ``(..., m, m, 1)`` in the corner of a larger square, and where they are."""
    pad = side - images.shape[-2]
    x = np.pad(images, [(0, 0)] * (images.ndim - 3) + [(0, pad), (0, pad), (0, 0)])
    mask = np.zeros(x.shape[:-1], bool)
    mask[..., : images.shape[-2], : images.shape[-2]] = True
    return x, mask


def scenes(
    test: data.Examples, rows: np.ndarray, n: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Canvases with two objects of different classes, one in each half.

    Returns:
      The images ``(n, side, side, 1)``; the classes ``(n, 2)``; and which places of the maps lie in the box
      of which object, ``(n, 2, places, places)``.
    """
    rng = np.random.default_rng(seed)
    x = np.zeros((n, SCENE, SCENE, 1), np.float32)
    y = np.zeros((n, 2), np.int32)
    middle = STEP * np.arange(SCENE // STEP) + (STEP - 1) / 2
    inside = np.zeros((n, 2, len(middle), len(middle)), bool)
    pictures, labels = resized(test.x[rows], ONE_SIZE), test.y[rows]
    half = SCENE // 2
    for i in range(n):
        left = rng.integers(len(rows))
        right = rng.choice(np.flatnonzero(labels != labels[left]))
        for j, k in enumerate((left, right)):
            top = rng.integers(SCENE - ONE_SIZE + 1)
            start = j * half + rng.integers(half - ONE_SIZE + 1)
            x[i, top : top + ONE_SIZE, start : start + ONE_SIZE] = pictures[k]
            y[i, j] = labels[k]
            down, along = ((middle >= o) & (middle < o + ONE_SIZE) for o in (top, start))
            inside[i, j] = down[:, None] & along[None, :]
    return x, y, inside


def in_boxes(logits: np.ndarray | Array, y: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    """What class maps say about two objects, means over canvases and objects.

    Args:
      logits: maps ``(n, places, places, classes)``.
      y, inside: as `scenes` gives them.

    Returns:
      "own" and "other": the probability of an object's class at the places of its own box and of the
      other's. "right": the share of the places of a box at which its class has the largest map. "box":
      the share of boxes over which its class has the largest mean map.
    """
    logits = np.asarray(logits, np.float64)
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p = p / p.sum(-1, keepdims=True)
    found: dict[str, list] = {"own": [], "other": [], "right": [], "box": []}
    for j in range(2):
        box, of_class = inside[:, j], np.take_along_axis(p, y[:, j, None, None, None], -1)[..., 0]
        summed = np.einsum("nabc,nab->nc", logits, box)
        for name, values in (
            ("own", of_class[box]),
            ("other", of_class[inside[:, 1 - j]]),
            ("right", (logits.argmax(-1) == y[:, j, None, None])[box]),
            ("box", summed.argmax(-1) == y[:, j]),
        ):
            found[name].append(values.mean())
    return {name: float(np.mean(values)) for name, values in found.items()}
