"""Short videos: a folder of frames in the order of their numbers, or an array of ``.npz`` or ``.npy``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlnotes.data import arrays
from dlnotes.data.download import sha256
from dlnotes.data.folders import is_note, say_left_out, visible
from dlnotes.data.pictures import _GRAY, _resized, read_images

ARRAYS = (".npz", ".npy")
_VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v", ".wmv", ".flv", ".gif")
_NAMES = ("frames", "video", "x")
"""Of the array that is taken where a file has several."""


def clips_in(folder: str | Path, *, left: list[Path] | None = None) -> list[Path]:
    """The clips in a folder at any depth, in sorted order: folders of frames, and files of arrays.

    Args:
      folder: that holds clips; it is none itself.
      left: takes the notes that are left out; without it they are said at once.

    Raises:
      ValueError: when there is none, the folder holds frames, a folder holds frames beside folders, or a file
        is a video of a form that is not read.
    """
    notes: list[Path] = []
    folder = Path(folder)
    found = _clips(folder, notes, (folder.resolve(),))
    if folder in found:
        raise ValueError(
            f"{frames_of(folder)[0]}: a frame where clips are expected: {folder} is to hold clips, each a "
            "folder of frames or an .npz file"
        )
    if not found:
        raise ValueError(f"{folder}: the folder holds no clips (folders of frames, or .npz files)")
    if left is None:
        say_left_out(notes)
    else:
        left += notes
    return found


def _clips(folder: Path, notes: list[Path], above: tuple[Path, ...]) -> list[Path]:
    found, frame, inner = [], None, None
    for entry in visible(folder):
        if entry.is_dir():
            if entry.resolve() in above:
                raise ValueError(f"{entry}: leads back to a folder that it lies in")
            inner = entry
            found += _clips(entry, notes, (*above, entry.resolve())) or _refuse_empty(entry)
        elif entry.suffix.lower() in ARRAYS:
            inner = entry
            found.append(entry)
        elif is_note(entry):
            notes.append(entry)
        else:
            _refuse_video(entry)
            frame = entry
    if frame is not None and inner is not None:
        raise ValueError(f"{frame}: a frame beside {inner.name}, a folder holds either frames or clips")
    return [folder] if frame is not None else found


def _refuse_empty(folder: Path) -> list[Path]:
    raise ValueError(f"{folder}: the folder holds no frames and no clips")


def _refuse_video(file: Path) -> None:
    if file.suffix.lower() in _VIDEOS:
        raise ValueError(
            f"{file}: a video file, which is not read; its frames are, from a folder: "
            f"mkdir {file.stem} && ffmpeg -i {file.name} {file.stem}/%05d.png"
        )


def is_clip(path: Path) -> bool:
    """Whether a path is one clip: a file of an array, or a folder with frames and no folders."""
    if not path.is_dir():
        return True
    entries = [entry for entry in visible(path) if not is_note(entry)]
    return bool(entries) and all(e.is_file() and e.suffix.lower() not in ARRAYS for e in entries)


def frames_of(clip: Path) -> list[Path]:
    """The files of a clip's frames in the order of the numbers in their names: frame2 before frame10.

    Raises:
      ValueError: when there is none, or one is a video file.
    """
    files = [entry for entry in visible(clip) if entry.is_file() and not is_note(entry)]
    if not files:
        raise ValueError(f"{clip}: the folder holds no frames")
    for file in files:
        _refuse_video(file)
    return sorted(files, key=lambda file: (natural(file.name), file.name))


def natural(name: str) -> tuple[Any, ...]:
    """A key by which names are sorted with their numbers as numbers.

    >>> sorted(["a10.png", "a9.png", "a1.png"], key=natural)
    ['a1.png', 'a9.png', 'a10.png']
    """
    return tuple(int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name))


def read_clip(
    clip: str | Path, *, frames: int, size: tuple[int, int], channels: int, array: str = ""
) -> np.ndarray:
    """A clip as ``(frames, height, width, channels)`` float32 in [0, 1].

    Of more frames than wanted some are taken, at even distances from the first to the last; of fewer, some
    are taken several times.

    Args:
      clip: a folder of frames, or a file with an array ``(frames, height, width)`` or ``(frames, height,
        width, channels)`` of bytes, or of floats in [0, 1].
      frames: of the result, 1 or more.
      size: ``(height, width)`` that each is resized to.
      channels: 1 (gray) or 3 (color).
      array: its name in an ``.npz`` file; by default the only one, or "frames", "video" or "x".

    Raises:
      ValueError: naming the file, when it is not readable, or holds something else.
    """
    clip = Path(clip)
    if clip.is_dir():
        files = frames_of(clip)
        return np.stack(
            read_images([files[i] for i in taken(len(files), frames)], size=size, channels=channels)
        )
    found = _checked(clip, _array(clip, array))
    return np.stack([_frame(found[i], size, channels) for i in taken(len(found), frames)])


def taken(there: int, wanted: int) -> list[int]:
    """Places of the frames that are taken.

    >>> taken(9, 3), taken(2, 4)
    ([0, 4, 8], [0, 0, 1, 1])
    """
    return np.floor(np.linspace(0, there - 1, wanted) + 0.5 - 1e-9).astype(int).tolist()


def _array(file: Path, name: str) -> np.ndarray:
    if file.suffix.lower() == ".npy":
        return np.asarray(arrays.read_npy(file))
    found = arrays.read_npz(file)
    names = [name] if name else (list(found) if len(found) == 1 else [n for n in _NAMES if n in found])
    if not names or names[0] not in found:
        wanted = repr(name) if name else " or ".join(map(repr, _NAMES))
        raise ValueError(f"{file}: holds no array {wanted}, it has {', '.join(found) or 'none'}")
    return found[names[0]]


def _checked(file: Path, x: np.ndarray) -> np.ndarray:
    """``(frames, height, width, channels)`` bytes or floats in [0, 1]."""
    if x.ndim == 3 and x.shape[-1] in (3, 4) and x.shape[1] > 8:
        raise ValueError(
            f"{file}: an array of shape {x.shape} looks like one picture, a clip has several frames"
        )
    x = x[..., None] if x.ndim == 3 else x
    if x.ndim != 4 or x.shape[-1] not in (1, 3):
        raise ValueError(
            f"{file}: an array of shape {x.shape}, allowed are (frames, height, width), and that with 1 or 3 "
            "channels at the end"
        )
    if x.size == 0:
        raise ValueError(f"{file}: an array of shape {x.shape}, which holds no frame")
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind != "f":
        raise ValueError(f"{file}: an array of {x.dtype}, allowed are bytes (uint8), and floats in [0, 1]")
    low, high = float(x.min()), float(x.max())
    if not (low >= -1e-3 and high <= 1 + 1e-3):
        raise ValueError(
            f"{file}: floats from {low:g} to {high:g}, allowed are those in [0, 1], and bytes (uint8)"
        )
    return np.clip(x, 0, 1).astype(np.float32)


def _frame(x: np.ndarray, size: tuple[int, int], channels: int) -> np.ndarray:
    from PIL import Image

    if x.dtype == np.uint8:
        mode = "L" if channels == 1 else "RGB"
        image = Image.fromarray(x[..., 0] if x.shape[-1] == 1 else x)
        return _resized(image if image.mode == mode else image.convert(mode), size, None)
    if x.shape[-1] == 3 and channels == 1:
        x = (x @ _GRAY)[..., None]
    return _resized(np.repeat(x, channels, axis=-1) if x.shape[-1] < channels else x, size, None)


class Clips:
    """Reads clips where they are indexed, see `dlnotes.data.in_file.Converted`."""

    def __init__(self, frames: int, size: tuple[int, int], channels: int, array: str):
        self._options = {"frames": frames, "size": size, "channels": channels, "array": array}
        self._row = (frames, *size, channels)

    def __call__(self, clips: np.ndarray) -> np.ndarray:
        flat = np.ravel(clips)
        x = np.empty((len(flat), *self._row), np.float32)
        for i, clip in enumerate(flat):
            x[i] = read_clip(str(clip), **self._options)
        return x.reshape(*np.shape(clips), *self._row)


def digests_of(clips: Sequence[Path]) -> tuple[dict[str, str], dict[str, str]]:
    """SHA-256 of every file, and one of every clip, by path."""
    files: dict[str, str] = {}
    whole: dict[str, str] = {}
    for clip in clips:
        own = {str(file): sha256(file) for file in (frames_of(clip) if clip.is_dir() else [clip])}
        files |= own
        whole[str(clip)] = hashlib.sha256("".join(own.values()).encode()).hexdigest()
    return files, whole
