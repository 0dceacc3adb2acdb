"""What a path is taken for: by its ending, by what it holds, or by the kind that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from dlnotes.checks import did_you_mean
from dlnotes.config.picture_data import PictureData
from dlnotes.config.text_data import TextData
from dlnotes.data.csv_table import Table
from dlnotes.data.images.image_shards import is_shard
from dlnotes.experiment.new_config.columns import Column, looked_at, plain, read_looked_at, recurring
from dlnotes.experiment.new_config.folders import (
    PICTURES,
    TABLES,
    guess_folder,
    guess_npy,
    guess_npz,
    guess_shards,
    guess_ts,
    picture_options,
)
from dlnotes.experiment.new_config.guess import Asked, Guess, Option, some
from dlnotes.experiment.new_config.series import FEWEST, find_rows, guess_series, is_series
from dlnotes.experiment.new_config.tables import find_target, guess_table
from dlnotes.experiment.new_config.words import guess_lines, guess_texts, is_texts

_OF_PICTURES = [get_args(k.model_fields["kind"].annotation)[0] for k in get_args(PictureData)]
_OF_TEXTS = [get_args(k.model_fields["kind"].annotation)[0] for k in get_args(TextData)]

KINDS = (
    *("csv", "csv_series", "npz", "npy", *_OF_PICTURES, "image_masks", "image_shards", "series"),
    *("sound_folder", "text", "text_pairs", *_OF_TEXTS, "tree_file"),
)
"""Kinds of [data] that are a person's own files."""

_OF_TABLES = ("csv", "csv_series", "image_table", "text_classes")
_OF_LINES = ("text", "text_pairs", "text_classes", "token_labels", "tree_file")
_OF_FOLDERS = (
    "image_folder",
    "video_folder",
    "image_masks",
    "image_shards",
    "sound_folder",
    "text_classes",
    "npy",
    "series",
)
_LINES = (".txt", ".text", ".md", ".conll", ".conllu", ".iob", ".bio", ".smi", ".smiles", ".ptb", ".py")


def guess(asked: Asked) -> Guess:
    """What a file or folder is taken for.

    Raises:
      ConfigError: when there is none, or it cannot be told; in one sentence.
    """
    path = asked.path
    if asked.kind is not None and asked.kind not in KINDS:
        raise asked.refuse(
            f"--kind: got {asked.kind!r}{did_you_mean(asked.kind, KINDS)}, allowed are {', '.join(KINDS)}"
        )
    if not path.exists():
        near = did_you_mean(
            path.name, [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        )
        raise asked.refuse(f"there is no such file or folder{near}")
    try:
        found = _of_folder(asked) if path.is_dir() else _of_file(asked)
        if asked.target and not _takes_target(found):
            raise asked.refuse(
                f"--target: got {some(asked.target)}, {found.kind} has no columns or arrays by name"
            )
        return found
    except ValueError as error:
        if type(error) is not ValueError:
            raise
        raise asked.refuse(str(error).removeprefix(f"{path}: ")) from None
    except OSError as error:
        raise asked.refuse(f"cannot be read: {error.strerror or error}") from None


def _takes_target(found: Guess) -> bool:
    named = found.kind == "text_classes" and isinstance(found.option("label"), str)
    return named or found.kind in ("csv", "csv_series", "image_table", "npz", "npy")


def _of_folder(asked: Asked) -> Guess:
    _require(asked, _OF_FOLDERS, "a folder")
    found = guess_folder(asked)
    return _of_file(asked._replace(path=found)) if isinstance(found, Path) else found


def _require(asked: Asked, kinds: Sequence[str], what: str) -> None:
    if asked.kind is not None and asked.kind not in kinds:
        raise asked.refuse(f"--kind: got {asked.kind!r}, of {what} allowed are {', '.join(kinds)}")


def _of_file(asked: Asked) -> Guess:
    path = asked.path
    if not path.stat().st_size:
        raise asked.refuse("the file is empty")
    ending = path.suffix.lower()
    one: dict[str, tuple[str, Callable[[Asked], Guess]]] = {
        ".npz": ("npz", guess_npz),
        ".npy": ("npy", guess_npy),
        ".ts": ("series", guess_ts),
    }
    if ending in one:
        kind, guesser = one[ending]
        _require(asked, (kind,), f"{ending} files")
        return guesser(asked)
    if is_shard(path):
        _require(asked, ("image_shards",), "shards")
        return guess_shards(asked)
    if ending in PICTURES or ending == ".wav":
        raise asked.refuse(f"one {ending} file, a folder with a sub-folder of them for each class is needed")
    if ending in TABLES:
        if asked.kind in ("text_pairs", "token_labels", "tree_file", "text") and ending == ".tsv":
            return guess_lines(asked)
        _require(asked, (*_OF_TABLES, "text_pairs") if ending == ".tsv" else _OF_TABLES, f"{ending} files")
        return _of_table(asked)
    if ending in _LINES or (asked.kind in _OF_LINES and asked.kind not in _OF_TABLES):
        _require(asked, (*_OF_LINES, *_OF_TABLES), f"{ending} files")
        if asked.kind in ("csv", "csv_series", "image_table"):
            return _of_table(asked)
        return guess_lines(asked)
    if asked.kind in _OF_TABLES:
        return _of_table(asked)
    if ending in (".xlsx", ".xls", ".ods"):
        raise asked.refuse("a spreadsheet, which is not read: save it as CSV (UTF-8)")
    if ending in (".gz", ".zip", ".bz2", ".xz", ".7z"):
        raise asked.refuse("a packed file: unpack it first")
    raise asked.refuse(
        f"{ending or 'no ending'}: unknown; known are {', '.join((*TABLES, *one, '.tar', *_LINES[:6]))} and "
        "folders (--kind says what it is)"
    )


def _of_table(asked: Asked) -> Guess:
    if (
        asked.path.suffix.lower() == ".tsv"
        and asked.kind is None
        and (found := _without_names(asked)) is not None
    ):
        return found
    read, options = read_looked_at(asked.path, least=1 if asked.kind == "csv_series" else 2)
    if (name := recurring(read)) and not asked.kind == "text_classes":
        raise asked.refuse(
            f"line 1: {name!r} stands among the cells below it, a line with the names of the columns is "
            "needed above the first row"
        )
    columns = looked_at(read)
    pictures = _picture_column(asked, read, columns)
    if asked.kind == "image_table" or (asked.kind is None and pictures is not None):
        return _image_table(asked, read, columns, options, pictures)
    if asked.kind == "text_classes":
        return guess_texts(asked, read, columns, options)
    if asked.kind == "csv_series":
        return guess_series(asked, read, columns, options)
    rows = find_rows(read, columns)
    if asked.kind == "csv":
        return guess_table(asked, read, columns, options)
    if is_texts(columns, len(read.rows)):
        made = guess_texts(asked, read, columns, options)
        return made._replace(notes=(*made.notes, "As a table of numbers and categories: --kind csv."))
    if is_series(asked, rows, columns):
        made = guess_series(asked, read, columns, options)
        return made._replace(
            notes=(*made.notes, "As a table whose rows are examples by themselves: --kind csv.")
        )
    made = guess_table(asked, read, columns, options)
    if rows is not None and rows.time and rows.shortest >= FEWEST:
        told = f"As a series to be forecast, its time the column {rows.time!r}: --kind csv_series."
        made = made._replace(notes=(*made.notes, told))
    return made


def _without_names(asked: Asked) -> Guess | None:
    """A file with tabs and no line of names: texts with a class, or pairs of texts."""
    read, _ = read_looked_at(asked.path)
    sentences = any(len(name) >= 30 or len(name.split()) >= 4 for name in read.header)
    if len(read.header) != 2 or not (sentences or recurring(read)):
        return None
    found = guess_lines(asked)
    return found if found.kind in ("text_classes", "text_pairs", "tree_file") else None


def _picture_column(asked: Asked, read: Table, columns: Sequence[Column]) -> tuple[str, str] | None:
    """The column of the files of pictures, and the ending that its cells lack."""
    for column in columns:
        if column.holds == "texts" and column.distinct > len(read.rows) // 2:
            some_cells = column.values[:50]
            if all(cell.lower().endswith(PICTURES) for cell in some_cells):
                return column.name, ""
            for ending in PICTURES[:3]:
                if all(_found(asked.path.parent, cell + ending) for cell in some_cells[:5]):
                    return column.name, ending
    return None


def _found(folder: Path, name: str) -> Path | None:
    """The folder below the table's that the path starts from, ``None`` where there is no such file."""
    if (folder / name).is_file():
        return folder
    inner = [entry for entry in folder.iterdir() if entry.is_dir()] if folder.is_dir() else []
    return next((entry for entry in inner if (entry / name).is_file()), None)


def _image_table(
    asked: Asked,
    read: Table,
    columns: Sequence[Column],
    options: dict[str, str],
    found: tuple[str, str] | None,
) -> Guess:
    if found is None:
        raise asked.refuse(f"none of the columns {some(list(read.header))} holds names of pictures")
    image, ending = found
    parts = next(
        (c for c in columns if plain(c.name) in ("split", "part", "set", "subset", "fold") and _is_parts(c)),
        None,
    )
    others = [c for c in columns if c.name != image and (parts is None or c.name != parts.name)]
    target, why = find_target(asked, others, len(read.rows))
    cells = [cell + ending for cell in read.column(image)]
    folder = _found(asked.path.parent, cells[0])
    if folder is None:
        raise asked.refuse(
            f"{read.unit} {read.lines[0]}: there is no picture {cells[0]!r} in {asked.path.parent} or the "
            "folders in it"
        )
    chosen = [
        Option("path", str(asked.path)),
        Option("image", image, "names of the pictures"),
        Option("target", target[0] if len(target) == 1 else list(target), why),
    ]
    if folder != asked.path.parent:
        chosen.append(Option("image_dir", str(folder), "folder that their paths start from"))
    if ending:
        chosen.append(Option("ending", ending, "of the files, which the column leaves out"))
    if parts is not None:
        chosen.append(Option("split_column", parts.name, "says what is for training, validation and test"))
    chosen += picture_options([folder / cell for cell in cells[:200]])
    chosen += [Option(name, value) for name, value in options.items()]
    notes = []
    if left := [c.name for c in others if c.name not in target]:
        notes.append(f"Not seen: {some(left)}.")
    why = f"the column {image!r} names {len(read.rows):,} pictures"
    return Guess("image_table", why, tuple(chosen), notes=tuple(notes), new="new_picture.png")


def _is_parts(column: Column) -> bool:
    from dlnotes.data.given_parts import part_named

    return all(part_named(cell) for cell in column.values)
