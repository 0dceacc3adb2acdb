"""Pieces of a magnetic resonance image of the brain, each labeled by the tissue at its center."""

from __future__ import annotations

import numpy as np

from dlnotes.data.assemble import assemble, consecutive
from dlnotes.data.dataset import Dataset
from dlnotes.data.download import DataNotFound

TISSUES = ("fluid", "grey matter", "white matter")
_TURN = ("train", "test", "train", "validation")  # of the slabs, from back to front, again and again
_THICK = 10  # voxels between the first and the last center of a slab, inclusive


def templates() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean brain of 152 people, the share of gray and of white matter: ``(197, 233, 189)`` in [0, 1].

    Voxels are 1 mm wide; the axes go to the right, to the front and up.

    Raises:
      DataNotFound: when the package nilearn, which holds the images, is not installed.
    """
    try:
        from nilearn import datasets  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise DataNotFound(
            "brain_patches: the images come with the package nilearn, which is not installed.\n"
            'Install it with: pip install "dlnotes[volumes]"'
        ) from None
    found = (
        datasets.load_mni152_template(resolution=1),
        datasets.load_mni152_gm_template(resolution=1),
        datasets.load_mni152_wm_template(resolution=1),
    )
    brain, gray, white = (np.asarray(image.get_fdata(dtype=np.float32)) for image in found)
    return brain, gray, white


def tissues(brain: np.ndarray, gray: np.ndarray, white: np.ndarray) -> np.ndarray:
    """The tissue of each voxel as a number of `TISSUES`; -1 outside of the brain (0 there) and in doubt.

    A voxel is of the tissue that has more than half of it; fluid is what is neither gray nor white.
    """
    shares = np.stack([1 - gray - white, gray, white])
    return np.where((brain > 0) & (shares.max(axis=0) > 0.5), shares.argmax(axis=0), -1)


def part_of_row(rows: int, *, size: int) -> np.ndarray:
    """The part that centers in each row along an axis may be drawn for: "train", "test", "validation" or "".

    Slabs of ten rows go to the parts in turn; between them lie ``size - 1`` rows in which no
    patch may be centerd, so that patches of different parts have no voxel in common.
    """
    period = _THICK + size - 1
    slab, within = np.divmod(np.arange(rows), period)
    return np.where(within < _THICK, np.array(_TURN)[slab % len(_TURN)], "")


def patches(volume: np.ndarray, centers: np.ndarray, *, size: int) -> np.ndarray:
    """``(n, size, size, size)`` pieces around centers ``(n, 3)``, each with mean 0 and deviation 1.

    A piece without any contrast is 0.
    """
    windows = np.lib.stride_tricks.sliding_window_view(volume, (size, size, size))
    x = windows[tuple((centers - size // 2).T)].astype(np.float32)
    x = x - x.mean(axis=(1, 2, 3), keepdims=True)
    deviation = x.std(axis=(1, 2, 3), keepdims=True)
    return np.where(deviation > 1e-6, x / np.maximum(deviation, 1e-6), 0).astype(np.float32)


def brain_patches(
    *,
    size: int = 13,
    n_train: int = 3000,
    n_validation: int = 600,
    n_test: int = 1500,
    seed: int = 0,
) -> Dataset:
    """Cubes ``(size, size, size, 1)`` of a brain's image; the class is the tissue at the center.

    Three classes, equally often: fluid, gray matter, white matter, by published maps of the shares of gray
    and white matter. Each cube is standardized by itself, so that its gray levels tell a tissue only by
    comparison. Slabs from back to front belong to the parts in turn, apart by so much that cubes of
    different parts share no voxel. The image is the same seen in a mirror: only centers
    in one half are used.

    Args:
      size: voxels (mm) of each side, odd.
      n_train: number of training cubes.
      n_validation: number of validation cubes.
      n_test: number of test cubes.
      seed: decides which cubes.

    Raises:
      DataNotFound: when nilearn, which holds the images, is not installed.
      ValueError: when an option is out of range.

    Source: Fonov et al., NeuroImage 54, 2011 (MNI ICBM152 2009a, nonlinear, symmetric).
    """
    if size < 3 or size % 2 == 0 or size > 31:
        raise ValueError(f"size: got {size}, allowed are odd numbers from 3 to 31")
    counts = {"train": n_train, "validation": n_validation, "test": n_test}
    for name, count in counts.items():
        if count < (3 if name == "train" else 0):
            raise ValueError(f"n_{name}: got {count}, at least {3 if name == 'train' else 0} is needed")
    brain, gray, white = templates()
    centers, y = draw_centers(tissues(brain, gray, white), counts, size=size, seed=seed)
    return assemble(
        "brain_patches",
        patches(brain, centers, size=size)[..., None],
        y,
        consecutive(*counts.values()),
        input="volume",
        task="classification",
        outputs=len(TISSUES),
        classes=TISSUES,
    )


def draw_centers(
    labels: np.ndarray, counts: dict[str, int], *, size: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """``(n, 3)`` centers and ``(n,)`` labels, part by part, the classes in turn within a part.

    Args:
      labels: class of each voxel, -1 for none.
      counts: examples of the parts "train", "validation" and "test".
      size: of the patches, which lie inside the volume.
      seed: of the draw, which takes no voxel twice.

    Raises:
      ValueError: when a part has fewer voxels of a class than it needs.
    """
    inside = np.full(labels.shape, -1)
    half, r = labels.shape[0] // 2, size // 2
    inner = (slice(r, half), slice(r, labels.shape[1] - r), slice(r, labels.shape[2] - r))
    inside[inner] = labels[inner]
    part = part_of_row(labels.shape[1], size=size)
    rng = np.random.default_rng(seed)
    centers, y = [], []
    for name, count in counts.items():
        each = np.arange(count) % len(TISSUES)
        there = np.where((part == name)[None, :, None], inside, -1)
        chosen = np.zeros((count, 3), np.int64)
        for label, tissue in enumerate(TISSUES):
            found, wanted = np.argwhere(there == label), each == label
            if len(found) < wanted.sum():
                raise ValueError(f"n_{name}: got {count}, there are {len(found)} voxels of {tissue}")
            chosen[wanted] = rng.choice(found, int(wanted.sum()), replace=False)
        centers.append(chosen)
        y.append(each)
    return np.concatenate(centers), np.concatenate(y)
