"""Folders and single files that are no text: pictures, videos, sounds, texts by class, arrays, series."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dlnotes.data import arrays
from dlnotes.data.folders import visible
from dlnotes.data.given_parts import part_named
from dlnotes.data.images.image_shards import is_shard
from dlnotes.data.texts.labeled_texts import ENDINGS
from dlnotes.experiment.new_config.guess import Asked, Guess, Option, plural, some

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
TABLES = (".csv", ".tsv", ".parquet", ".pq")
_SEEN = 20_000
"""Files of a folder that are looked at."""


class Inside(NamedTuple):
    """What a folder holds.

    Attributes:
      files: paths from the folder, the first ones.
      endings: how many have each ending.
      depth: sub-folders above most of them.
    """

    files: list[Path]
    endings: Counter[str]
    depth: int

    def share(self, endings: tuple[str, ...]) -> float:
        """Share of the files that have one of these endings."""
        return sum(self.endings[e] for e in endings) / max(len(self.files), 1)


def look_inside(folder: Path) -> Inside:
    """The files of a folder at any depth, without a system's own."""
    files: list[Path] = []
    waiting, seen = [folder], set()
    while waiting and len(files) < _SEEN:
        here = waiting.pop(0)
        if (real := here.resolve()) in seen:
            continue
        seen.add(real)
        for entry in visible(here):
            if entry.is_dir():
                waiting.append(entry)
            else:
                files.append(entry.relative_to(folder))
    depths = Counter(len(file.parts) - 1 for file in files)
    return Inside(
        files, Counter(f.suffix.lower() for f in files), depths.most_common(1)[0][0] if files else 0
    )


def guess_folder(asked: Asked) -> Guess | Path:
    """What a folder is taken for, or the one table in it that says what its pictures are.

    Raises:
      ConfigError: when it is empty, or holds nothing that is known.
    """
    inside = look_inside(asked.path)
    if not inside.files:
        raise asked.refuse("the folder holds no files")
    folders = [entry for entry in visible(asked.path) if entry.is_dir()]
    if asked.kind in ("image_masks", None) and {"images", "masks"} <= {f.name for f in folders}:
        return _masks(asked)
    if asked.kind in ("image_shards", None) and any(is_shard(Path(f)) for f in inside.files):
        return guess_shards(asked)
    if asked.kind == "video_folder" or (asked.kind is None and _is_videos(asked.path, inside)):
        return _videos(asked, inside)
    if asked.kind == "sound_folder" or (asked.kind is None and inside.share((".wav",)) > 0.5):
        return _sounds(asked, inside)
    if asked.kind == "image_folder" or (asked.kind is None and inside.share(PICTURES) > 0.5):
        tables = [f for f in visible(asked.path) if f.suffix.lower() in TABLES]
        if asked.kind is None and len(tables) == 1 and (inside.depth == 0 or len(folders) < 2):
            return tables[0]
        return _pictures(asked, inside, folders)
    if asked.kind == "text_classes" or (asked.kind is None and inside.share(ENDINGS) > 0.5 and folders):
        return _texts(asked, folders)
    return _files_of(asked, inside)


def _files_of(asked: Asked, inside: Inside) -> Guess | Path:
    """The files in a folder that belong together: arrays, series, or the only table."""
    here = [f for f in visible(asked.path) if f.is_file()]
    if any(f.suffix.lower() == ".npy" for f in here) and asked.kind in (None, "npy"):
        return guess_npy(asked)
    series = [f for f in here if f.suffix.lower() == ".ts"]
    if series and asked.kind in (None, "series"):
        train = [f for f in series if "train" in f.name.lower()] or series
        return guess_ts(asked._replace(path=train[0]))
    known = [f for f in here if f.suffix.lower() in (*TABLES, ".npz", ".txt")]
    if len(known) == 1:
        return known[0]
    if known:
        raise asked.refuse(f"holds {some([f.name for f in known])}: name one of them")
    held = ", ".join(
        f"{plural(n, 'file')} {ending or 'without an ending'}" for ending, n in inside.endings.most_common(4)
    )
    raise asked.refuse(
        f"holds {held}: nothing that is known here, which are pictures, .wav, .txt, .tar, .npy, .ts, .csv, "
        "folders of frames or .npz files"
    )


def _part_options(folders: list[Path]) -> str:
    parts = [f.name for f in folders if part_named(f.name)]
    return f"parts as the folders {', '.join(parts)} say" if "train" in map(part_named, parts) else ""


def _class_of(asked: Asked, inside: Inside, deep: int) -> tuple[list[Option], str]:
    """Which folder names the class: the top one, unless there is one top folder around all the others."""
    folders = [entry for entry in visible(asked.path) if entry.is_dir()]
    parts = _part_options(folders)
    tops = {f.parts[1 if parts else 0] for f in inside.files if len(f.parts) > (2 if parts else 1)}
    parents = {f.parts[-2] for f in inside.files if len(f.parts) > 1}
    if len(tops) < 2 and len(parents) > 1 and inside.depth > deep + bool(parts):
        return [Option("class_of", "parent", "of nested folders the one that holds the file")], parts
    return [], parts


def _pictures(asked: Asked, inside: Inside, folders: list[Path]) -> Guess:
    if not folders:
        raise asked.refuse(
            f"holds {plural(len(inside.files), 'file')} and no sub-folder for each class; else a table of "
            "their names with labels is needed (dlnotes new TABLE.csv)"
        )
    class_of, parts = _class_of(asked, inside, 1)
    classes = sorted({f.parts[bool(parts)] for f in inside.files if len(f.parts) > 1 + bool(parts)})
    notes = [parts.capitalize() + "."] if parts else []
    size, told, channels, said = _picture_sizes(
        [asked.path / f for f in inside.files if f.suffix.lower() in PICTURES]
    )
    options = [
        Option("path", str(asked.path)),
        *class_of,
        Option("size", size, told),
        Option("channels", channels, said),
    ]
    why = f"{plural(sum(inside.endings[e] for e in PICTURES), 'picture')} in folders: {some(classes, 5)}"
    more = () if class_of else (Option("class_of", "parent", 'of nested folders the lowest one; "path" all'),)
    return Guess("image_folder", why, tuple(options), others=more, notes=tuple(notes), new="new_picture.png")


def picture_options(files: list[Path]) -> tuple[Option, Option]:
    """Size and channels for pictures, by some of them."""
    size, told, channels, said = _picture_sizes(files)
    return Option("size", size, told), Option("channels", channels, said)


def _picture_sizes(files: list[Path]) -> tuple[list[int], str, int, str]:
    """Height and width that pictures are resized to, and their channels, by some of them."""
    from PIL import Image, ImageChops

    sizes, colored = [], False
    for file in files[:: max(1, len(files) // 24)][:24]:
        try:
            with Image.open(file) as picture:
                sizes.append((picture.height, picture.width))
                if picture.mode not in ("1", "L", "I", "I;16", "F", "LA") and not colored:
                    small = picture.convert("RGB").resize((16, 16))
                    red, green, blue = small.split()
                    apart = [ImageChops.difference(red, other) for other in (green, blue)]
                    colored = max(int(np.asarray(each).max()) for each in apart) > 8
        except OSError:
            continue  # the reader of the data names it
    channels = 3 if colored or not sizes else 1
    said = "color" if channels == 3 else "gray levels: the pictures looked at have no color"
    if not sizes:
        return [32, 32], "that all are resized to", channels, said
    height, width = (int(np.median([s[axis] for s in sizes])) for axis in (0, 1))
    shrink = min(1.0, 64 / max(height, width))
    size = [max(1, round(height * shrink)), max(1, round(width * shrink))]
    one = len(set(sizes)) == 1
    told = f"that all are resized to; they are {'' if one else 'about '}{height} x {width}"
    return size, told, channels, said


def _is_videos(folder: Path, inside: Inside) -> bool:
    """Whether folders of classes hold .npz files, or folders of numbered frames."""
    if inside.share((".npz",)) > 0.5 and inside.depth >= 1:
        return True
    if inside.share(PICTURES) < 0.5:
        return False
    parts = any(part_named(f.name) == "train" for f in visible(folder) if f.is_dir())
    if inside.depth < 2 + parts:
        return False
    numbered = [
        bool(re.fullmatch(r"(frame|img|image|f)?[-_]?\d+", f.stem, re.IGNORECASE)) for f in inside.files
    ]
    clips = Counter(f.parent for f in inside.files)
    return sum(numbered) > 0.9 * len(numbered) and len(clips) >= 6 and max(clips.values()) < 2000


def _videos(asked: Asked, inside: Inside) -> Guess:
    class_of, parts = _class_of(asked, inside, 2)
    options = [Option("path", str(asked.path)), *class_of]
    pictures = [asked.path / f for f in inside.files if f.suffix.lower() in PICTURES]
    if pictures:
        per_clip = int(np.median(list(Counter(f.parent for f in pictures).values())))
        size, channels = picture_options(pictures)
        size = size._replace(value=[max(1, round(s * min(1.0, 32 / max(size.value)))) for s in size.value])
        why = "folders of numbered frames in folders of classes"
    else:
        per_clip, size, channels = _first_array(asked, inside)
        why = ".npz files in folders of classes"
    frames = Option("frames", min(per_clip, 16), f"of every example; the clips have about {per_clip}")
    notes = (parts.capitalize() + ".",) if parts else ()
    return Guess("video_folder", why, (*options, frames, size, channels), notes=notes, new="new_clip")


def _first_array(asked: Asked, inside: Inside) -> tuple[int, Option, Option]:
    size, channels = [32, 32], 1
    found = (16, size, channels)
    for file in inside.files[:1]:
        try:
            held = arrays.read_npz(asked.path / file)
            clip = max((held[name] for name in held), key=lambda a: a.ndim)
        except ValueError:
            break
        if clip.ndim in (3, 4):
            size = [max(1, round(s * min(1.0, 32 / max(clip.shape[1:3])))) for s in clip.shape[1:3]]
            found = (len(clip), size, 3 if clip.ndim == 4 and clip.shape[-1] == 3 else 1)
    return found[0], Option("size", found[1], "that all frames are resized to"), Option("channels", found[2])


def _sounds(asked: Asked, inside: Inside) -> Guess:
    from scipy.io import wavfile

    rates, seconds = [], []
    files = [asked.path / f for f in inside.files if f.suffix.lower() == ".wav"]
    for file in files[:: max(1, len(files) // 24)][:24]:
        try:
            rate, samples = wavfile.read(file)
        except (ValueError, OSError, EOFError):
            continue  # the reader of the data names it
        rates.append(rate)
        seconds.append(len(samples) / rate)
    rate = int(min(max(rates, default=8000), 16_000))
    longest = float(min(max(seconds, default=1.0), 4.0))
    options = [
        Option("path", str(asked.path)),
        Option("form", "spectrogram", '"waveform" gives the samples themselves'),
        Option("rate", rate, "samples a second, every file is resampled to it"),
        Option(
            "seconds",
            float(f"{np.ceil(longest * 20) / 20:g}"),
            f"what comes after is cut; the longest has {max(seconds, default=0):.2g} s",
        ),
    ]
    return Guess(
        "sound_folder",
        f"{plural(len(files), '.wav file')} in folders of classes",
        tuple(options),
        new="new_sound.wav",
    )


def _masks(asked: Asked) -> Guess:
    pictures = [f for f in visible(asked.path / "images") if f.suffix.lower() in PICTURES]
    if not pictures:
        raise asked.refuse("images/ holds no pictures")
    size, channels = picture_options(pictures)
    return Guess(
        "image_masks",
        f"{plural(len(pictures), 'picture')} in images/, with the class of each pixel in masks/",
        (Option("path", str(asked.path)), size, channels),
        others=(Option("classes", ["background", "object"], "a name for each number in the masks"),),
        new="new_picture.png",
    )


def guess_shards(asked: Asked) -> Guess:
    """Pictures in .tar or ArrayRecord files."""
    more = (Option("label", "cls", 'ending or feature of the class; "json:NAME" takes a field'),)
    options = (Option("path", str(asked.path)), Option("size", [32, 32], "that all are resized to"))
    return Guess("image_shards", "shards of pictures", options, others=more)


def _texts(asked: Asked, folders: list[Path]) -> Guess:
    parts = {part_named(f.name): f for f in folders if part_named(f.name)}
    options = [Option("path", str(asked.path))]
    if "train" in parts:
        options = [Option("path", str(parts["train"]))]
        options += [
            Option(f"{name}_path", str(parts[name]), "the folder beside it")
            for name in ("validation", "test")
            if name in parts
        ]
    where = parts.get("train", asked.path)
    classes = [f.name for f in visible(where) if f.is_dir()]
    if len(classes) < 2:
        raise asked.refuse(
            f"{some(classes) or 'no folder'} where a folder of .txt files for each class is needed"
        )
    options.append(Option("tokens", "words", '"characters" for scripts without spaces'))
    why = f"folders of .txt files, one for each class: {some(classes, 5)}"
    return Guess("text_classes", why, tuple(options), new="new_texts.txt")


def guess_ts(asked: Asked) -> Guess:
    """Series in .ts files, with the test file that lies beside a training one."""
    options = [Option("train_path", str(asked.path))]
    beside = re.sub(
        r"train", lambda m: "TEST" if m[0].isupper() else "test", asked.path.name, flags=re.IGNORECASE
    )
    other = asked.path.with_name(beside)
    if other != asked.path and other.is_file():
        options.append(Option("test_path", str(other), "lies beside it"))
    return Guess(
        "series", "series of several channels with a class each (.ts)", tuple(options), new=asked.path.name
    )


_X = ("x", "x_train", "xtrain", "inputs", "features", "data", "images", "train_x", "train_images", "samples")
_Y = ("y", "y_train", "ytrain", "targets", "labels", "target", "label", "train_y", "train_labels", "classes")


def guess_npz(asked: Asked) -> Guess:
    """Arrays in an .npz file: inputs and targets by name or by shape.

    Raises:
      ConfigError: when none can be told.
    """
    try:
        held = arrays.read_npz(asked.path)
    except ValueError as error:
        raise asked.refuse(str(error).removeprefix(f"{asked.path}: ")) from None
    shapes: dict[str, tuple[int, ...]] = {}
    for name in held:
        try:
            shapes[name] = held[name].shape
        except ValueError:
            continue  # arrays of objects that nothing can be made of
    listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none that can be used"
    y = _named(asked, list(shapes), _Y, listed)
    alike = [n for n in shapes if n != y and len(shapes[n]) >= 2 and shapes[n][:1] == shapes.get(y, ())[:1]]
    x = next((n for wanted in _X for n in alike if n.lower() == wanted), alike[0] if alike else "")
    if not x:
        raise asked.refuse(f"no array has a row of inputs for each target {y!r}, it holds {listed}")
    options = [
        Option("path", str(asked.path)),
        Option("x", x, f"inputs, {shapes[x]}"),
        Option("y", y, f"targets, {shapes[y]}"),
    ]
    options += _of_arrays(held[x], held[y])
    return Guess("npz", f"it holds the arrays {listed}", tuple(options), new=asked.path.name)


def _named(asked: Asked, names: list[str], known: tuple[str, ...], listed: str) -> str:
    if asked.target:
        wanted, *more = asked.target
        if more or wanted not in names:
            raise asked.refuse(f"--target: got {some(asked.target)}, it holds {listed}")
        return wanted
    found = next((n for wanted in known for n in names if n.lower() == wanted), None)
    if found is None:
        raise asked.refuse(f"holds {listed}: none is called like targets; --target names it")
    return found


def _of_arrays(x: np.ndarray, y: np.ndarray) -> list[Option]:
    options = []
    if x.ndim == 2 and x.dtype.kind in "iu" and y.ndim == 2 and y.shape == x.shape:
        return [Option("input", "tokens", "whole numbers, a symbol each"), Option("task", "tokens")]
    if x.ndim == 3 and (x.dtype == np.uint8 or (x.shape[1] == x.shape[2] and x.shape[1] > 4)):
        options.append(Option("input", "image", '"sequence" takes the rows as steps'))
    whole = y.dtype.kind == "f" and y.size and bool((y == np.floor(y)).all()) and len(np.unique(y)) <= 20
    if y.ndim == 1 and whole:
        options.append(
            Option(
                "task", "classification", f'{len(np.unique(y))} different numbers; "regression" as amounts'
            )
        )
    elif y.ndim == 1 and y.dtype.kind in "iu" and len(np.unique(y)) > max(20, len(y) // 10):
        options.append(Option("task", "regression", f"{len(np.unique(y))} different numbers"))
    return options


def guess_npy(asked: Asked) -> Guess:
    """Two .npy files: the one of inputs and that of targets beside it, or both in a folder.

    Raises:
      ConfigError: when a partner cannot be told.
    """
    folder = asked.path if asked.path.is_dir() else asked.path.parent
    files = {f.stem.lower(): f for f in visible(folder) if f.suffix.lower() == ".npy"}
    listed = some([f.name for f in files.values()])
    pairs = [
        (x, y)
        for a, b in zip(_X, _Y)
        for stem, x in files.items()
        if (stem == a or stem.endswith(f"_{a}") or stem.startswith(f"{a}_"))
        and (y := files.get(re.sub(rf"(^|_){a}(_|$)", rf"\g<1>{b}\g<2>", stem))) is not None
    ]
    pairs += [(files[a], files[b]) for a in _X if a in files for b in _Y if b in files]
    if asked.target:
        y = folder / asked.target[0]
        y = y if y.is_file() else folder / f"{asked.target[0]}.npy"
        others = [f for f in files.values() if f != y]
        given = asked.path if asked.path.is_file() else others[0] if len(others) == 1 else None
        if not y.is_file() or given is None or given == y:
            raise asked.refuse(f"--target: got {asked.target[0]!r}, the .npy files there are {listed}")
        pairs = [(given, y)]
    if asked.path.is_file():
        pairs = [pair for pair in pairs if asked.path in pair]
    if not pairs:
        raise asked.refuse(
            f"two .npy files are needed, x.npy and y.npy; there are {listed}, --target names y"
        )
    x_path, y_path = pairs[0]
    options = [
        Option("x_path", str(x_path), "inputs"),
        Option("y_path", str(y_path), "targets"),
    ]
    try:
        x, y = arrays.read_npy(x_path), arrays.read_npy(y_path)
    except ValueError as error:
        raise asked.refuse(str(error)) from None
    return Guess(
        "npy", f"inputs {x.shape} and targets {y.shape}", (*options, *_of_arrays(x, y)), new=x_path.name
    )
