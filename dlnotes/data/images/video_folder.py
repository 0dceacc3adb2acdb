"""A person's own short videos in folders named after their classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from dlnotes.data import in_file
from dlnotes.data.assemble import assemble
from dlnotes.data.dataset import Dataset
from dlnotes.data.given_parts import say_shared, split_by_parts
from dlnotes.data.images.clips import Clips, clips_in, digests_of, is_clip
from dlnotes.data.images.labeled_folders import ClassOf, labeled_examples, named_examples
from dlnotes.data.images.picture_set import check_size
from dlnotes.data.in_file import Converted, assemble_rows
from dlnotes.data.levels import PICTURES
from dlnotes.data.own_files import read_as, reading_of


def video_folder(
    path: str | Path,
    *,
    frames: int = 16,
    size: tuple[int, int] = (32, 32),
    channels: Literal[1, 3] = 3,
    array: str = "",
    class_of: ClassOf = "top",
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
    standardize: bool = True,
) -> Dataset:
    """A folder with one sub-folder of clips for each class; a clip is a folder of frames or an ``.npz``.

    It may hold ``train/``, ``validation/`` and ``test/``, each of which has the sub-folders; a part that has
    no folder is drawn from ``train/``.

    Args:
      path: the folder.
      frames: of every example; longer clips give frames at even distances, shorter ones some several times.
      size: ``(height, width)`` that every frame is resized to.
      channels: 3 for color, 1 for gray levels.
      array: its name in ``.npz`` files; by default the only one, or "frames", "video" or "x".
      class_of: as of `dlnotes.data.image_folder`, of the clips.
      validation, test, seed: as there.
      standardize: whether each channel is standardized; raw values are in [0, 1].

    Raises:
      FileNotFoundError: when there is no such folder.
      ValueError: when a file is no readable frame or array, a class has no clip, or there is a single class.
        Of clips that together are larger than `dlnotes.data.in_file.MOST`, which are read as they are used,
        this comes when the file is read.
    """
    if isinstance(size, str):
        raise ValueError(f"size: got {size!r}, allowed is (height, width) in pixels")
    check_size(size, 1)
    if frames < 1:
        raise ValueError(f"frames: got {frames}, allowed is at least 1")
    found = labeled_examples(path, clips_in, class_of=class_of)
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
    files, clips = digests_of(found.files)
    if found.parts is not None:
        say_shared(found.files, clips, found.parts)
    x = Converted(
        np.array([str(clip) for clip in found.files]),
        Clips(frames, size, channels, array),
        np.float32,
        row=(frames, *size, channels),
    )
    known: dict[str, Any] = {
        "input": "volume",
        "task": "classification",
        "outputs": len(found.classes),
        "classes": found.classes,
        "standardize": standardize,
        "sources": files,
    }
    name = Path(path).name
    if 4 * x.size > in_file.MOST:
        made = assemble_rows(name, x, found.y, rows, **known)
    else:
        made = assemble(name, x[:], found.y, rows, **known)
    told = {} if class_of == "top" else {"class_of": class_of}
    return read_as(made, form="videos", array=array, levels=PICTURES, **told)


class NewClips(NamedTuple):
    """Clips of a file or folder, read like those of training.

    Attributes:
      x: ``(n, frames, height, width, channels)`` in [0, 1].
      rows: what each is called, its path in the folder.
      classes: the names of their folders, ``None`` where they were not asked for.
    """

    x: np.ndarray
    rows: tuple[str, ...]
    classes: list[str] | None


def new_clips(path: str | Path, dataset: Dataset, *, with_targets: bool) -> NewClips:
    """A clip, or the clips of a folder; with targets those of one sub-folder for each class.

    Raises:
      ValueError: naming the file, when it is no clip; when one clip is to have a target.
    """
    path, reading = Path(path), reading_of(dataset)
    if with_targets:
        if is_clip(path):
            raise ValueError(
                f"{path}: one clip has no target, a folder with one sub-folder a class is needed"
            )
        named = named_examples(path, clips_in, reading.get("class_of", "top"))
        clips, classes = [clip for _, clip in named], [name for name, _ in named]
    else:
        clips, classes = [path] if is_clip(path) else clips_in(path), None
    frames, height, width, channels = dataset.inputs
    x = Clips(frames, (height, width), channels, reading.get("array", ""))(np.array([str(c) for c in clips]))
    rows = tuple(str(c.relative_to(path)) if c != path else c.name for c in clips)
    return NewClips(x, rows, classes)


def holds_several(path: Path, dataset: Dataset) -> bool:
    """Whether a file of arrays holds many clips in one array, and not one clip."""
    from dlnotes.data import arrays

    if path.suffix.lower() == ".npy":
        return arrays.read_npy(path).ndim == 1 + len(dataset.inputs)
    if path.suffix.lower() != ".npz":
        return False
    return any(a.ndim == 1 + len(dataset.inputs) for a in arrays.read_npz(path).values())
