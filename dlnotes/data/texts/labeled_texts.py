"""Texts with labels in a person's own files: a table with a column of each, or a folder of files by class."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from dlnotes.data import csv_table as table
from dlnotes.data import parquet
from dlnotes.data.download import read_bytes
from dlnotes.data.folders import of_the_system, visible

ENDINGS = (".txt", ".text", ".md")
"""Of the files of a folder of texts."""

Column = int | str
"""Of a table: its number, from 1, or its name in the first line."""


class LabeledTexts(NamedTuple):
    """What a file or folder holds.

    Attributes:
      texts: as they are written.
      labels: of each; empty texts where they were not asked for.
      rows: what each is called in messages and predictions: "line 3", "row 2", "pos/12.txt".
      files: that were read.
    """

    texts: list[str]
    labels: list[str]
    rows: list[str]
    files: list[Path]


def read_labeled_texts(
    path: str | Path,
    *,
    text: Column = "text",
    label: Column = "label",
    delimiter: str | None = None,
    with_labels: bool = True,
    drop_empty: bool = False,
) -> LabeledTexts:
    """The texts of a table or folder, each with its label.

    Args:
      path: ``.csv``, ``.tsv`` or another text file with columns (``.gz`` or not), Parquet, or a folder with
        a sub-folder of ``.txt`` files for each class (without labels the files may also be in it themselves).
      text, label: columns of a table: a name in its first line, or a number from 1; where both are numbers
        the first line is a row too.
      delimiter: between the cells; by default a comma in files that end in ``.csv`` and a tab in others.
      with_labels: whether labels are needed.
      drop_empty: leave rows with an empty text or label out, which is said, instead of refusing them.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: naming file and line, when it cannot be used.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    columns = (text, label, delimiter)
    found = _folder(path, with_labels) if path.is_dir() else _table(path, *columns, with_labels)
    return _without_empty(path, found, text, label, with_labels, drop_empty)


def _without_empty(
    path: Path, found: LabeledTexts, text: Column, label: Column, with_labels: bool, drop: bool
) -> LabeledTexts:
    sides = [("text", text, found.texts), ("label", label, found.labels)][: 1 + with_labels]
    bad: dict[int, str] = {}
    for name, column, cells in sides:
        for i, cell in enumerate(cells):
            if not cell.strip():
                bad.setdefault(i, "the file" if path.is_dir() else f"the {name} (column {column!r})")
    if not bad:
        return found
    first = min(bad)
    others = f" (and {len(bad) - 1} other{'s' if len(bad) > 2 else ''})" if len(bad) > 1 else ""
    if not drop:
        hint = "; drop_empty = true leaves such rows out" if with_labels else ""
        raise ValueError(f"{path}: {found.rows[first]}{others}: {bad[first]} is empty{hint}")
    if len(bad) == len(found.texts):
        raise ValueError(f"{path}: every text or label is empty")
    warnings.warn(f"{path}: {found.rows[first]}{others}: {bad[first]} is empty: left out", stacklevel=4)
    kept = ([v for i, v in enumerate(values) if i not in bad] for values in found[:3])
    return LabeledTexts(*kept, files=found.files)


def _folder(path: Path, with_labels: bool) -> LabeledTexts:
    entries = visible(path)
    folders = [p for p in entries if p.is_dir()]
    files = [p for p in entries if not p.is_dir()]
    if not folders and with_labels:
        raise ValueError(f"{path}: there are no sub-folders, one of .txt files for each class is needed")
    if folders and files and with_labels:
        warnings.warn(
            f"{path}: {files[0].name}{f' and {len(files) - 1} more' if len(files) > 1 else ''}: left out, "
            "the texts are in the sub-folders",
            stacklevel=4,
        )
    texts, labels, rows, read, other = [], [], [], [], []
    for folder in folders if with_labels else [path]:
        taken = [
            p
            for p in sorted(folder.rglob("*"))
            if p.is_file() and not any(map(of_the_system, p.relative_to(folder).parts))
        ]
        kept = [p for p in taken if p.suffix.lower() in ENDINGS]
        other += [p for p in taken if p.suffix.lower() not in ENDINGS]
        if not kept:
            raise ValueError(f"{folder}: holds no texts, files that end in {', '.join(ENDINGS)} are needed")
        for file in kept:
            texts.append(_text_of(file, read_bytes(file)))
            labels.append(folder.name)
            rows.append(file.relative_to(path).as_posix())
            read.append(file)
    if other:
        more = f" and {len(other) - 1} more" if len(other) > 1 else ""
        warnings.warn(f"{other[0]}{more}: left out, no text by the ending", stacklevel=4)
    return LabeledTexts(texts, labels, rows, read)


def _text_of(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise ValueError(f"{path}: not UTF-8 text but UTF-16, save it as UTF-8") from None
        line = len(re.split(rb"\r\n|\n|\r", data[: error.start]))
        raise ValueError(f"{path}: line {line}: not UTF-8 text ({error.reason}), save it as UTF-8") from None


def delimiter_of(path: Path) -> str:
    """A comma for files that end in ``.csv`` or ``.csv.gz``, a tab for others."""
    return "," if path.name.lower().removesuffix(".gz").endswith(".csv") else "\t"


def _table(path: Path, text: Column, label: Column, delimiter: str | None, with_labels: bool) -> LabeledTexts:
    options = (("text", text), ("label", label))[: 1 + with_labels]
    for option, column in options:
        if isinstance(column, int) and column < 1:
            raise ValueError(f"{option}: got {column}, allowed is a column's number from 1, or its name")
    if with_labels and text == label:
        raise ValueError(f"text, label: got the column {text!r} for both")
    if parquet.is_parquet(path):
        known = parquet.column_names(path)
        wanted = [known[c - 1] if isinstance(c, int) and c <= len(known) else c for _, c in options]
        read = table.of_parquet(path, [str(c) for c in wanted] if set(wanted) <= set(known) else [])
        header, rows = list(read.header), read.rows
        options = tuple((option, c) for (option, _), c in zip(options, wanted))
        header = header or known
        names = [f"row {i}" for i in range(len(rows))]
        mark = ","
    else:
        mark = delimiter_of(path) if delimiter is None else delimiter
        numbered = _cells(path, mark)
        if not numbered:
            raise ValueError(f"{path}: the file is empty, a row for each text is needed")
        named = any(isinstance(column, str) for _, column in options)
        header = [name.strip() for name in numbered.pop(0)[1]] if named else []
        rows, names = [cells for _, cells in numbered], [f"line {line}" for line, _ in numbered]
        if not rows:
            raise ValueError(f"{path}: there are no rows under the header")
    width = len(header) or len(rows[0])
    places = [_place(path, option, column, header, width, mark) for option, column in options]
    for name, cells in zip(names, rows):
        if len(cells) != width:
            hint = ""
            if len(cells) > width:
                hint = ' (a text that holds the mark between cells stands in quotes, "like, this")'
            where = "the header" if header else "the first line"
            raise ValueError(f"{path}: {name}: {len(cells)} cells where {where} has {width}{hint}")
    return LabeledTexts(
        [cells[places[0]] for cells in rows],
        [cells[places[1]].strip() if with_labels else "" for cells in rows],
        names,
        [path],
    )


def _place(path: Path, option: str, column: Column, header: Sequence[str], width: int, mark: str) -> int:
    if isinstance(column, int):
        if column > width:
            raise ValueError(
                f"{option}: got column {column}, {path} has {width}{_other_mark(path, width, mark)}"
            )
        return column - 1
    if column not in header:
        listed = ", ".join(repr(name[:60]) for name in header[:20])
        hint = _other_mark(path, len(header), mark) or (
            "; numbers (text = 1, label = 2) take a file without names"
        )
        raise ValueError(f"{option}: got {column!r}, the columns of {path} are {listed}{hint}")
    if header.count(column) > 1:
        raise ValueError(f"{path}: line 1: column {column!r} appears {header.count(column)} times")
    return header.index(column)


def _other_mark(path: Path, width: int, mark: str) -> str:
    """What to say where the first line looks as if its cells were divided by another mark."""
    if width > 1 or parquet.is_parquet(path):
        return ""
    first = _text_of(path, read_bytes(path)).partition("\n")[0]
    for other, name in ((";", ";"), ("\t", "\\t"), (",", ","), ("|", "|")):
        if other != mark and other in first:
            return f' (is it divided by another mark? delimiter = "{name}")'
    return ""


def _cells(path: Path, mark: str) -> list[tuple[int, list[str]]]:
    """The rows of a text file with the lines on which they begin, blank ones left out.

    Files with tabs often hold quotation marks that quote no cell; where they cannot be read as quotes, in a
    file with tabs, they are taken as they are.
    """
    content = _text_of(path, read_bytes(path))
    if mark == "\t" and not _quoted(content):
        return list(_rows(content, lambda f: csv.reader(f, delimiter=mark, quoting=csv.QUOTE_NONE)))
    try:
        return list(_rows(content, lambda f: csv.reader(f, delimiter=mark, strict=True)))
    except csv.Error as error:
        if mark == "\t":
            return list(_rows(content, lambda f: csv.reader(f, delimiter=mark, quoting=csv.QUOTE_NONE)))
        raise ValueError(f"{path}: {error}") from None


def _quoted(content: str) -> bool:
    """Whether cells of a file with tabs stand in quotes: every cell that begins with one ends with one."""
    return re.search(r'(?:^|\t)"', content, re.MULTILINE) is not None


def _rows(content: str, reader_of: Callable) -> list[tuple[int, list[str]]]:
    limit = csv.field_size_limit(max(csv.field_size_limit(), len(content) + 1))
    found: list[tuple[int, list[str]]] = []
    reader = reader_of(io.StringIO(content, newline=""))
    begin = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                found.append((begin, cells))
            begin = reader.line_num + 1
    except csv.Error as error:
        raise csv.Error(f"line {begin}: not readable as CSV ({error})") from None
    finally:
        csv.field_size_limit(limit)
    return found
