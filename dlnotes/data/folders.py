"""What a person's own folders hold beside the data: files of the system are passed over, notes are said."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

_SYSTEM = (  # in small letters; hidden names are left out anyway
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin"),
    *("system volume information", "lost+found"),
)
_NOTES = (
    *(".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".ini"),
    *(".cfg", ".log", ".html", ".htm", ".pdf", ".doc", ".docx", ".xls", ".xlsx", ".odt", ".ods", ".py"),
    *(".ipynb", ".sh", ".bat", ".md5", ".sha1", ".sha256", ".sha512", ".sfv", ".lnk", ".url", ".zip", ".tar"),
    *(".gz", ".tgz", ".7z", ".rar"),
)
_NOTE_NAMES = (
    *("readme", "license", "licence", "copying", "changelog", "authors", "notice", "checksums", "md5sums"),
    *("sha1sums", "sha256sums", "sha512sums", "manifest"),
)


def visible(path: str | Path) -> list[Path]:
    """The entries of a folder in sorted order, without hidden ones and those that a system makes."""
    return sorted(p for p in Path(path).iterdir() if not of_the_system(p.name))


def of_the_system(name: str) -> bool:
    """Whether a name is hidden, or one that a system gives to files and folders that it makes by itself."""
    return name.startswith(".") or name.lower() in _SYSTEM


def is_note(file: Path) -> bool:
    """Whether a file is told by its name to be a text, a table, an archive or a sum, so no data.

    >>> is_note(Path("readme.txt")), is_note(Path("SHA256SUMS")), is_note(Path("a.png"))
    (True, True, False)
    """
    return file.suffix.lower() in _NOTES or file.name.lower() in _NOTE_NAMES


def folder_images(path: str | Path, *, left: list[Path] | None = None) -> list[Path]:
    """The files of a folder in sorted order, hidden ones, a system's own and notes left out.

    Args:
      path: the folder.
      left: takes the notes that are left out; without it they are said at once.

    Raises:
      ValueError: when there is none, or a folder is among them.
    """
    files, notes = [], []
    for file in visible(path):
        if file.is_dir():
            raise ValueError(f"{file}: a folder where images are expected")
        (notes if is_note(file) else files).append(file)
    if not files:
        raise ValueError(f"{path}: the folder holds no images")
    _take(notes, left)
    return files


def nested_images(path: str | Path, *, left: list[Path] | None = None) -> list[Path]:
    """The files of a folder and of all folders in it, in sorted order, as of `folder_images`.

    Args:
      path: the folder.
      left: takes the notes that are left out; without it they are said at once.

    Raises:
      ValueError: when there is none, or a link leads back to a folder that it lies in.
    """
    notes: list[Path] = []
    files = _files_in(Path(path), notes, ())
    if not files:
        raise ValueError(f"{path}: the folder holds no images")
    _take(notes, left)
    return files


def _files_in(folder: Path, notes: list[Path], above: tuple[Path, ...]) -> list[Path]:
    above = (*above, folder.resolve())
    found: list[Path] = []
    for entry in visible(folder):
        if entry.is_dir():
            if entry.resolve() in above:
                raise ValueError(f"{entry}: leads back to a folder that it lies in")
            found += _files_in(entry, notes, above)
        else:
            (notes if is_note(entry) else found).append(entry)
    return found


def class_folders(path: str | Path, *, left: list[Path] | None = None) -> list[Path]:
    """The sub-folders of a folder in sorted order, hidden ones, a system's own and notes left out.

    Args:
      path: the folder.
      left: takes the notes that are left out; without it they are said at once.

    Raises:
      ValueError: when the folder holds something else, or nothing.
    """
    folders, notes = [], []
    for entry in visible(path):
        if entry.is_dir():
            folders.append(entry)
        elif is_note(entry):
            notes.append(entry)
        else:
            raise ValueError(
                f"{entry}: a file where only sub-folders, one for each class, are expected (move it, or "
                "begin its name with a dot)"
            )
    if not folders:
        raise ValueError(f"{path}: there are no sub-folders, one for each class is needed")
    _take(notes, left)
    return folders


def _take(notes: list[Path], left: list[Path] | None) -> None:
    if left is None:
        say_left_out(notes)
    else:
        left += notes


def say_left_out(files: Sequence[Path]) -> None:
    """Warn that files are not read, in one line however many they are."""
    if files:
        warnings.warn(f"{some(files)}: left out, by the name no data", stacklevel=2)


def some(files: Sequence[Path | str]) -> str:
    """The first of some files, and how many more there are.

    >>> some(["a.txt", "b.txt", "c.txt"])
    'a.txt and 2 other files'
    """
    more = len(files) - 1
    return f"{files[0]}" + (f" and {more} other file{'s' if more > 1 else ''}" if more else "")
