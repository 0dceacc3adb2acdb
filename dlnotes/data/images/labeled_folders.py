"""Examples whose class is the name of a folder: of one level or nested, with folders of parts or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from dlnotes.data.folders import class_folders, is_note, say_left_out, visible
from dlnotes.data.given_parts import PARTS, part_named

ClassOf = Literal["top", "parent", "path"]
CLASS_OF: tuple[ClassOf, ...] = ("top", "parent", "path")

FilesOf = Callable[..., list[Path]]
"""The examples in a folder, ``files_of(folder, left=notes)``, as `dlnotes.data.folders.nested_images`."""


class Labeled(NamedTuple):
    """Examples with their classes.

    Attributes:
      files: of each example, its file or folder.
      y: ``(n,)`` the number of its class.
      classes: their names, in sorted order.
      parts: of each example "train", "validation" or "test", ``None`` where no folder says so.
    """

    files: list[Path]
    y: np.ndarray
    classes: tuple[str, ...]
    parts: list[str] | None


def labeled_examples(path: str | Path, files_of: FilesOf, *, class_of: ClassOf = "top") -> Labeled:
    """The examples of a folder; notes beside them are said in one line.

    A folder that holds ``train/`` with sub-folders is one of parts: beside it may be ``validation/`` and
    ``test/`` (or ``val``, ``valid``, ``dev``), nothing else.

    Args:
      path: the folder.
      files_of: finds the examples in a folder.
      class_of: the folder that names an example's class: the "top" one, in which it may lie at any depth,
        its "parent", or the whole "path" of folders ("animals/cats").

    Raises:
      ValueError: when there are fewer than two classes, an example lies in no folder of a class, or a folder
        beside ``train/`` is no part.
    """
    if class_of not in CLASS_OF:
        raise ValueError(f"class_of: got {class_of!r}, allowed are {', '.join(CLASS_OF)}")
    left: list[Path] = []
    folders = part_folders(path)
    named: list[tuple[str, str, Path]] = []
    alone = "" in folders
    for part, folder in folders.items():
        if not alone:
            _require_class_folders(folder)
        found = named_examples(folder, files_of, class_of, left=left, least=2 if alone else 1)
        named += [(part, name, file) for name, file in found]
    say_left_out(left)
    classes = tuple(sorted({name for _, name, _ in named}))
    if len(classes) < 2:
        raise ValueError(f"{path}: the only class is {', '.join(map(repr, classes))}, two are needed")
    number = {name: i for i, name in enumerate(classes)}
    return Labeled(
        files=[file for _, _, file in named],
        y=np.array([number[name] for _, name, _ in named]),
        classes=classes,
        parts=None if alone else [part for part, _, _ in named],
    )


def part_folders(path: str | Path) -> dict[str, Path]:
    """The folders of the parts by the part's name; the folder itself as ``""`` where there are none.

    Raises:
      ValueError: when a folder beside ``train/`` is no part, or two are the same one.
    """
    folders = [entry for entry in visible(path) if entry.is_dir()]
    train = [f for f in folders if part_named(f.name) == "train" and any(e.is_dir() for e in visible(f))]
    if not train:
        return {"": Path(path)}
    found: dict[str, Path] = {}
    for folder in folders:
        part = part_named(folder.name)
        if part is None:
            raise ValueError(
                f"{folder}: beside {train[0].name}/ only folders of parts are expected, validation and test; "
                "move it, or begin its name with a dot"
            )
        if part in found:
            raise ValueError(f"{folder}: {found[part].name}/ is the {part} part already")
        found[part] = folder
    return {part: found[part] for part in PARTS if part in found}


def named_examples(
    folder: str | Path,
    files_of: FilesOf,
    class_of: ClassOf,
    *,
    left: list[Path] | None = None,
    least: int = 1,
) -> list[tuple[str, Path]]:
    """The examples in a folder with the name of the class of each, those of one class together.

    Args:
      folder: without folders of parts.
      files_of, class_of: as of `labeled_examples`.
      left: takes the notes that are left out; without it they are said.
      least: number of sub-folders that the top one must have.

    Raises:
      ValueError: when an example lies in no folder of a class, or a class has none.
    """
    folder, notes = Path(folder), [] if left is None else left
    if class_of == "top":
        folders = class_folders(folder, left=notes)
        if len(folders) < least:
            raise ValueError(
                f"{folder}: the only class is {folders[0].name!r}, two sub-folders are needed"
                f"{_deeper(folder)}"
            )
        found = [(entry.name, file) for entry in folders for file in files_of(entry, left=notes)]
    else:
        found = []
        for file in files_of(folder, left=notes):
            if file.parent == folder:
                raise ValueError(f"{file}: lies in no folder that could name its class")
            inner = file.parent.relative_to(folder)
            found.append((inner.name if class_of == "parent" else inner.as_posix(), file))
        found.sort()
    if left is None:
        say_left_out(notes)
    return found


def _require_class_folders(folder: Path) -> None:
    entries = visible(folder)
    if entries and not any(e.is_dir() for e in entries) and any(not is_note(e) for e in entries):
        raise ValueError(
            f"{folder}: holds examples, and no sub-folder for each class: move it away, and take it for "
            "dlnotes predict"
        )


def _deeper(path: Path) -> str:
    """What to say where deeper folders may be the classes."""
    inner = [e for folder in visible(path) if folder.is_dir() for e in visible(folder) if e.is_dir()]
    return ' (class_of = "parent" takes the folders that hold the examples)' if inner else ""
