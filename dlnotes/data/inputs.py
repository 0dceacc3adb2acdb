"""New inputs for a trained model: from a file to what the model was trained on.

Files like those of the training data are read as these were: with the array names, the delimiter and
the columns, the sounds and the ending that [data] says. Besides, by what the data set holds:

- "vector": ``.csv`` with the same columns, ``.npz``, ``.npy``;
- "image": an image file, a folder of images at any depth (for evaluation one of sub-folders by class, or
  of ``images/`` and ``masks/``), a table of paths where the training data were one, shards of images,
  ``.npz``, ``.npy``; of a folder of sounds a ``.wav`` file or a folder of them;
- "volume": ``.npz``, ``.npy``; of a folder of videos a clip or a folder of them;
- "sequence": ``.ts``, ``.npz`` (with "mask" or "lengths"), ``.npy``; ``.csv`` with the same columns where
  the model forecasts a series: every window of its rows; of a folder of sounds as for "image";
- "tokens": ``.txt``, ``.npz``, ``.npy``; "pair" and "tree": ``.txt``. Of texts with a class each also tables
  and folders of texts, of labeled words also files in columns (see `dlnotes.data.texts.text_inputs`).

A ``.txt`` file has one example a line. For evaluation the target follows after a tab (class name, or
output symbols); a language model (input and target from the same symbols) needs no tab, a line is
its own target. Symbols are single characters, or separated by spaces where some are longer.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dlnotes import bounded
from dlnotes.data import arrays, standardize
from dlnotes.data import csv_table as table
from dlnotes.data.assemble import pad_boxes
from dlnotes.data.dataset import Dataset, Examples
from dlnotes.data.folders import class_folders, nested_images, visible
from dlnotes.data.images.image_masks import paired, read_masks
from dlnotes.data.images.image_shards import find_pictures, is_shard
from dlnotes.data.images.image_table import Rows, is_picture_table, new_rows, new_targets
from dlnotes.data.images.labeled_folders import named_examples
from dlnotes.data.images.video_folder import holds_several, new_clips
from dlnotes.data.levels import are_gray, known_levels
from dlnotes.data.line_inputs import read_line_inputs
from dlnotes.data.own_files import reading_of
from dlnotes.data.pictures import pictures_of, read_images
from dlnotes.data.scaling import as_read, scaled_inputs
from dlnotes.data.spelled_numbers import label, number
from dlnotes.data.table_targets import targets_again
from dlnotes.data.texts.text_inputs import read_text_inputs
from dlnotes.data.time_series.csv_series import read_windows
from dlnotes.data.time_series.ts_files import pad_series, read_ts


class Inputs(NamedTuple):
    """Inputs ready for a model.

    Attributes:
      x: standardized array, or `Pair`, or `Trees`. A pair's target is the begin symbol alone, ``(n, 1)``.
      rows: what each example is called: "0", "1", … in arrays, "line 2" in text, an image's file name.
      mask: ``(n, time)`` or ``(n, *sizes)`` booleans, or ``None``.
      words: of each sentence as they are written, where each has a label.
    """

    x: Any
    rows: tuple[str, ...]
    mask: np.ndarray | None
    words: tuple[tuple[str, ...], ...] = ()


def read_inputs(path: str | Path, dataset: Dataset) -> Inputs:
    """Inputs of a file, checked against and standardized like those of ``dataset``.

    Args:
      path: a file or folder, see the module's docstring; a CSV file's target column is not needed.
      dataset: the data set that the model was trained on; its arrays are not read. Where its images
        have sizes of their own, those in the file keep theirs, up to its longest side.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: naming file and row or line, when the inputs do not fit.
    """
    inputs = _read(Path(path), as_read(dataset), target=None, with_targets=False)[0]
    return inputs._replace(x=scaled_inputs(dataset, inputs.x, inputs.mask))


def evaluate_inputs(path: str | Path, dataset: Dataset, *, target: str | None = None) -> Examples:
    """Examples with targets of a file, for measuring a trained model.

    Args:
      path: as for `read_inputs`; ``.npz`` has "x" and "y", a folder of images has one sub-folder a class.
      dataset: the data set that the model was trained on.
      target: a CSV file's target column; where not given, the one column that is not an input.

    Returns:
      Standardized inputs, and targets as in ``dataset``: class numbers, or standardized floats.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: naming file and row or line; also for a class that the data set does not know.
    """
    inputs, y = _read(Path(path), as_read(dataset), target=target, with_targets=True)
    if y is None:
        raise ValueError(
            f"{path}: holds no targets, {dataset.name} needs them to be evaluated (.npz with x and y)"
        )
    if dataset.task == "regression":
        y = standardize.apply(dataset.standardize_y, y)
    x = scaled_inputs(dataset, inputs.x, inputs.mask)
    return Examples(x, y if dataset.task == "regression" else y.astype(np.int32), inputs.mask)


def _read(
    path: Path, dataset: Dataset, *, target: str | None, with_targets: bool
) -> tuple[Inputs, np.ndarray | None]:
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    end, kind, form = path.suffix.lower(), dataset.input, reading_of(dataset).get("form", "")
    if form == "videos" and not (path.is_file() and holds_several(path, dataset)):
        return _read_clips(path, dataset, with_targets)
    if kind in ("vector", "image", "volume", "sequence", "tokens") and _holds_arrays(path, form):
        return _read_arrays(path, dataset, with_targets)
    if form == "sounds" and (end == ".wav" or path.is_dir()):
        return _read_sounds(path, dataset, with_targets)
    if form in ("texts", "labeled_words"):
        found = read_text_inputs(path, dataset, with_targets)
        return Inputs(found.x, found.rows, found.mask, found.words), found.y
    if form in _OF_FILES and path.is_dir():
        raise ValueError(f"{path}: is a folder, {dataset.name} is read from a file")
    if form in ("pairs", "trees", "text") or (kind in ("tokens", "pair", "tree") and end == ".txt"):
        return _read_lines(path, dataset, with_targets)
    if form == "series" or (kind == "sequence" and end == ".ts"):
        return _read_series(path, dataset, with_targets)
    if form == "windows" or (kind == "sequence" and end == ".csv" and dataset.forecast is not None):
        return _read_windows(path, dataset, with_targets)
    if form == "table" or (kind == "vector" and end == ".csv"):
        return _read_csv(path, dataset, target, with_targets)
    if (
        kind == "image"
        and form != "sounds"
        and (end not in (".csv", ".txt") or is_picture_table(path, dataset))
    ):
        return _read_images(path, dataset, with_targets)
    allowed = {
        "vector": ".csv, .npz, .npy",
        "image": "an image, a folder of images, .npz, .npy",
        "volume": ".npz, .npy",
        "sequence": ".ts, .npz, .npy" if dataset.forecast is None else ".csv, .npz, .npy",
        "tokens": ".txt, .npz, .npy",
    }
    known = "a .wav file, a folder of them, .npz, .npy" if form == "sounds" else allowed.get(kind, ".txt")
    raise ValueError(f"{path}: {kind!r} inputs of {dataset.name} are read from {known}")


_OF_FILES = ("table", "windows", "series", "pairs", "trees", "text")
"""The forms of which an example is in a file, whatever its ending."""


_NPY = b"\x93NUMPY"
"""How a .npy file begins."""


def _beginning(path: Path) -> bytes:
    bounded.ordinary(path)
    with path.open("rb") as file:
        return file.read(len(_NPY))


def _holds_arrays(path: Path, form: str) -> bool:
    """Whether a file is .npz or .npy: by its ending, or, as training reads any, by how it begins."""
    if path.is_dir():
        return False
    if path.suffix.lower() in (".npz", ".npy"):
        return True
    return form == "arrays" and _beginning(path).startswith((b"PK", _NPY))


def _label(path: Path, where: str, name: str, dataset: Dataset) -> int:
    if name not in dataset.classes:
        raise ValueError(
            f"{path}: {where}: class {name!r} is unknown, {dataset.name} has {', '.join(dataset.classes)}"
        )
    return dataset.classes.index(name)


def _read_csv(
    path: Path, dataset: Dataset, target: str | None, with_targets: bool
) -> tuple[Inputs, np.ndarray | None]:
    reading = reading_of(dataset)
    read = table.read_table(path, **reading.get("table", {}))
    target = reading.get("target") if target is None else target
    if not dataset.features:
        raise ValueError(f"{path}: {dataset.name} has no column names, use .npz or .npy")
    x = standardize.apply(
        dataset.standardize, table.encode(read, dataset.features, **reading.get("encoding", {}))
    )
    inputs = Inputs(x, tuple(f"{read.unit} {line}" for line in read.lines), None)
    if not with_targets:
        return inputs, None
    if reading.get("targets"):
        return inputs, targets_again(read, dataset)
    columns = {feature.partition("=")[0] for feature in dataset.features}
    others = [name for name in read.header if name not in columns]
    if target is None:
        if len(others) != 1:
            raise ValueError(
                f"target: {path} has {len(others)} columns besides the inputs"
                f"{' (' + ', '.join(others) + ')' if others else ''}, "
                "the target must be the only one or be named"
            )
        target = others[0]
    elif target not in read.header:
        raise ValueError(f"target: got {target!r}, the columns of {path} are {', '.join(read.header)}")
    cells = read.column(target)
    y = []
    for line, cell in zip(read.lines, cells):
        value = read.number(cell)
        if dataset.task == "regression":
            if value is None or not np.isfinite(value):
                raise ValueError(
                    f"{path}: {read.unit} {line}: target {target!r} holds {cell!r}, a finite number is needed"
                )
            y.append([value])
        else:
            if value is None or not np.isfinite(value) or cell in dataset.classes:
                name = cell
            else:
                name = label(value)
            y.append(_label(path, f"{read.unit} {line}", name, dataset))
    return inputs, np.array(y)


def _read_arrays(path: Path, dataset: Dataset, with_targets: bool) -> tuple[Inputs, np.ndarray | None]:
    found = _named_arrays(path, dataset)
    x, kind = found["x"], dataset.input
    spatial = kind in ("image", "volume")
    own_size = spatial and dataset.train.mask is not None
    alone = kind != "tokens" and (x.shape == dataset.inputs or (spatial and (*x.shape, 1) == dataset.inputs))
    if own_size and (x.ndim, x.shape[-1:]) == (len(dataset.inputs), dataset.inputs[-1:]):
        alone = True
    if alone or (kind == "tokens" and x.ndim == 1):
        x = x[None]  # a single example
    mask = None
    if kind in ("sequence", "tokens"):
        mask = arrays.read_mask(path, found, x, mask="mask", lengths="lengths")
    if own_size:
        axes = len(dataset.inputs) - 1
        mask = arrays.read_mask(path, found, x, mask="mask", lengths="lengths", axes=axes)
        mask = np.ones(x.shape[: 1 + axes], bool) if mask is None else mask
    x = arrays.check_inputs(path, x, kind, mask, known_levels(dataset))
    if kind == "tokens":
        if int(x.max()) >= dataset.inputs[0]:
            row = int(np.argmax((x >= dataset.inputs[0]).any(axis=1)))
            raise ValueError(
                f"{path}: x: row {row} holds token {x[row].max()}, allowed is 0..{dataset.inputs[0] - 1}"
            )
    else:
        same = x.shape[2:] == dataset.inputs[1:] if kind == "sequence" else x.shape[1:] == dataset.inputs
        if own_size:
            same = x.shape[-1] == dataset.inputs[-1]
        if not same:
            raise ValueError(
                f"{path}: x has shape {x.shape}, {dataset.name} needs (n, {str(dataset.inputs)[1:]}"
            )
        x = standardize.apply(dataset.standardize, x, mask)
    y = found.get("y") if with_targets else None
    if y is not None:
        y = _array_targets(path, y, x, dataset)
    return Inputs(x, tuple(str(i) for i in range(len(x))), mask), y


def _named_arrays(path: Path, dataset: Dataset) -> dict[str, np.ndarray]:
    """The arrays of a file as "x", "y", "mask" and "lengths", by the names that the training data give them.

    A file without the training data's inputs may have those four names themselves.
    """
    if _beginning(path) == _NPY or path.suffix.lower() == ".npy":
        return {"x": np.asarray(arrays.read_npy(path))}  # not as what makes its rows floats later
    found = arrays.read_npz(path)
    roles = ("x", "y", "mask", "lengths")
    names = {role: reading_of(dataset).get(role, role) for role in roles}
    if names["x"] not in found and "x" in found:
        names = dict(zip(roles, roles))
    if names["x"] not in found:
        raise ValueError(f"{path}: holds no array {names['x']!r}, it has {', '.join(found) or 'none'}")
    return {role: found[name] for role, name in names.items() if name in found}


def _read_series(path: Path, dataset: Dataset, with_targets: bool) -> tuple[Inputs, np.ndarray | None]:
    found = read_ts(path)
    channels = dataset.inputs[-1]
    if found.values[0].shape[1] != channels:
        raise ValueError(
            f"{path}: has {found.values[0].shape[1]} channels, {dataset.name} needs {channels} channels"
        )
    x, mask = pad_series(found.values)
    x = standardize.apply(dataset.standardize, x, mask)
    rows = tuple(f"line {line}" for line in found.lines)
    if not with_targets or not found.classes:
        return Inputs(x, rows, mask), None
    y = np.array([_label(path, row, label, dataset) for row, label in zip(rows, found.labels)])
    return Inputs(x, rows, mask), y


def _read_windows(path: Path, dataset: Dataset, with_targets: bool) -> tuple[Inputs, np.ndarray | None]:
    found, series, form = read_windows(path, dataset)
    chosen = np.isfinite(found.y).all(axis=1) if with_targets else np.ones(len(found.x), bool)
    if not chosen.any():
        raise ValueError(
            f"{path}: rows are too few, to be evaluated {dataset.name} needs "
            f"{dataset.inputs[0] + form.horizons[-1]} without a gap"
        )
    x = standardize.apply(dataset.standardize, found.x[chosen])
    rows = tuple(series[i].label(j) for i, j in zip(found.which[chosen], found.last[chosen]))
    return Inputs(x, rows, None), found.y[chosen] if with_targets else None


def _array_targets(path: Path, y: np.ndarray, x: np.ndarray, dataset: Dataset) -> np.ndarray:
    if y.ndim == 0 or len(y) != len(x):
        raise ValueError(f"{path}: y has shape {y.shape}, x has {x.shape}: one target for each row is needed")
    if dataset.task == "regression":
        if y.dtype.kind not in "biuf" or y.size != len(x) * dataset.outputs:
            raise ValueError(
                f"{path}: y has shape {y.shape} and type {y.dtype}, "
                f"({len(x)}, {dataset.outputs}) numbers are needed"
            )
        y = y.astype(np.float64).reshape(len(y), dataset.outputs)
        arrays.check_finite(path, "y", y)
        return y
    if dataset.task in ("tokens", "pixels"):
        shape = x.shape[:2] if dataset.task == "tokens" else x.shape[:3]
        if y.dtype.kind not in "biu" or y.shape != shape:
            raise ValueError(
                f"{path}: y has shape {y.shape} and type {y.dtype}, {shape} whole numbers are needed"
            )
        wrong = (y < -1) | (y >= dataset.outputs)
        if wrong.any():
            row = int(np.argmax(wrong.reshape(len(y), -1).any(axis=1)))
            raise ValueError(
                f"{path}: y: row {row} holds {y[row][wrong[row]][0]}, allowed is -1..{dataset.outputs - 1}"
            )
        return y
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim != 1:
        raise ValueError(f"{path}: y has shape {y.shape}, one label for each row is needed")
    if y.dtype.kind in "US":
        return np.array(
            [_label(path, f"row {i}", name, dataset) for i, name in enumerate(arrays.texts(path, y))]
        )
    labels = arrays.number_labels(path, y)
    places = tuple(str(i) for i in range(dataset.outputs))
    if dataset.classes != places and any(number(name) is not None for name in dataset.classes):
        named = enumerate(map(label, labels.tolist()))  # numbers are names here
        return np.array([_label(path, f"row {i}", name, dataset) for i, name in named])
    wrong = (labels != np.floor(labels)) | (labels < 0) | (labels >= dataset.outputs)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"{path}: y: row {row} is {y[row]}, allowed is 0..{dataset.outputs - 1}")
    return labels.astype(np.int64)


def _read_images(path: Path, dataset: Dataset, with_targets: bool) -> tuple[Inputs, np.ndarray | None]:
    height, width, channels = dataset.inputs
    levels = known_levels(dataset)
    if levels is not None and not are_gray(levels):
        raise ValueError(
            f"{path}: image files hold gray levels from 0 to 1, the model was trained on numbers from "
            f"{levels['low']:g} to {levels['high']:g}: store them like the training data (.npz)"
        )
    y = names = None
    if is_picture_table(path, dataset):
        listed = new_rows(path, dataset)
        files, names = listed.files, listed.names
        y = _of_rows(path, listed, dataset) if with_targets else None
    elif with_targets and dataset.task == "pixels":
        pairs = paired(path)
        files = [image for image, _ in pairs]
        binary = reading_of(dataset).get("binary", False)
        y = read_masks(pairs, size=(height, width), count=dataset.outputs, binary=binary).labels
    elif _are_shards(path):
        return _read_shards(path, dataset, with_targets)
    elif with_targets:
        if dataset.task == "regression":
            raise ValueError(
                f"{path}: holds no numbers, which {dataset.name} needs to be evaluated: a table of paths "
                "like that of training, or .npz with x and y"
            )
        if not path.is_dir():
            raise ValueError(
                f"{path}: one image has no target, a folder with one sub-folder a class is needed"
            )
        named = named_examples(path, nested_images, reading_of(dataset).get("class_of", "top"))
        files = [file for _, file in named]
        y = np.array([_label(path, f"folder {name}", name, dataset) for name, _ in named])
    else:
        files = nested_images(path) if path.is_dir() else [path]
    own = dataset.train.mask is not None  # images of their own sizes, up to the largest known
    size = None if own else (height, width)
    longest = reading_of(dataset).get("max_size", max(height, width))
    read = read_images(files, size=size, channels=channels, max_size=longest)
    x, mask = pad_boxes(read) if own else (np.stack(read), None)
    rows = names or tuple(str(f.relative_to(path)) if path.is_dir() else f.name for f in files)
    return Inputs(standardize.apply(dataset.standardize, x, mask), rows, mask), y


def _of_rows(path: Path, listed: Rows, dataset: Dataset) -> np.ndarray:
    """Class numbers, or numbers in the target's own units, of the pictures of a table."""
    found = new_targets(listed, dataset)
    if isinstance(found, np.ndarray):
        return found
    lines = (f"{listed.read.unit} {line}" for line in listed.read.lines)
    return np.array([_label(path, line, name, dataset) for line, name in zip(lines, found)])


def _read_clips(path: Path, dataset: Dataset, with_targets: bool) -> tuple[Inputs, np.ndarray | None]:
    found, y = new_clips(path, dataset, with_targets=with_targets), None
    if found.classes is not None:
        y = np.array([_label(path, f"folder {name}", name, dataset) for name in found.classes])
    return Inputs(standardize.apply(dataset.standardize, found.x), found.rows, None), y


def _are_shards(path: Path) -> bool:
    return any(map(is_shard, visible(path))) if path.is_dir() else is_shard(path)


def _read_shards(path: Path, dataset: Dataset, with_targets: bool) -> tuple[Inputs, np.ndarray | None]:
    if dataset.train.mask is not None:
        raise ValueError(f"{path}: {dataset.name} has images of their own sizes, which are read from folders")
    reading = reading_of(dataset)
    label = reading.get("label", "") if with_targets else None
    found = find_pictures(path, label=label, image=reading.get("image", "image"))
    height, width, channels = dataset.inputs
    x = pictures_of(found.where, found.contents, size=(height, width), channels=channels)[:]
    y = None
    if with_targets:
        named = zip(found.names, found.labels)
        y = np.array([_label(path, f"picture {name}", label, dataset) for name, label in named])
    return Inputs(standardize.apply(dataset.standardize, x, None), tuple(found.names), None), y


def _in_class_folders(
    path: Path, dataset: Dataset, files_of: Callable[[Path], list[Path]]
) -> tuple[list[Path], np.ndarray]:
    """The files in the sub-folders of a folder, and the class that each sub-folder is named after."""
    folders = [
        (_label(path, f"folder {folder.name}", folder.name, dataset), folder)
        for folder in class_folders(path)
    ]
    labeled = [(label, file) for label, folder in folders for file in files_of(folder)]
    return [file for _, file in labeled], np.array([label for label, _ in labeled])


def _read_sounds(path: Path, dataset: Dataset, with_targets: bool) -> tuple[Inputs, np.ndarray | None]:
    from dlnotes.data.time_series.sound import read_sounds, wav_files

    y = None
    if with_targets:
        if not path.is_dir():
            raise ValueError(
                f"{path}: one sound has no target, a folder with one sub-folder a class is needed"
            )
        files, y = _in_class_folders(path, dataset, wav_files)
    else:
        files = wav_files(path) if path.is_dir() else [path]
    x, mask = read_sounds(files, **reading_of(dataset)["sounds"])
    if dataset.train.mask is None and dataset.input == "image":
        wide = mask.any(axis=1).sum(axis=1)
        if (wide != dataset.inputs[1]).any() or x.shape[1:] != dataset.inputs:
            i = int(np.argmax(wide != dataset.inputs[1]))
            raise ValueError(
                f"{files[i]}: is {wide[i]} frames long, the sounds of {dataset.name} are all "
                f"{dataset.inputs[1]} frames long and the network takes no other length"
            )
    real = None if dataset.train.mask is None and mask.all() else mask
    rows = tuple(str(f.relative_to(path)) if path.is_dir() else f.name for f in files)
    return Inputs(standardize.apply(dataset.standardize, x, real), rows, real), y


def _read_lines(path: Path, dataset: Dataset, with_targets: bool) -> tuple[Inputs, np.ndarray | None]:
    found = read_line_inputs(path, dataset, with_targets)
    rows = tuple(f"line {line}" for line in found.lines)
    y = found.y
    if found.names is not None:
        y = np.array([_label(path, row, name, dataset) for row, name in zip(rows, found.names)])
    return Inputs(found.x, rows, found.mask), y if with_targets else None
