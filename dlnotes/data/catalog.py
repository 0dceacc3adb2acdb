"""The data sets that dlnotes knows by name: where each is, how to get it, and whether it is whole."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dlnotes.checks import chosen
from dlnotes.data import SOURCES, Source, download, load
from dlnotes.data.bundled_tables import TABLES
from dlnotes.data.images import mnist

Files = download.FileSet | mnist.IdxSet
"""Published files."""


def available() -> list[dict[str, Any]]:
    """One entry a data set: ``name``, ``kind``, ``found``, ``how``, ``license``, ``source``.

    ``found`` is a folder, "bundled", "generated", or ``None`` when the files are not on this machine;
    ``how`` then says how to get them.
    """
    entries = []
    for name, source in _listed().items():
        found, how = _whereabouts(name, source)
        files = files_of(source)
        license, origin = (source.license, source.origin) if files is None else (files.license, files.source)
        entries.append(
            {
                "name": name,
                "kind": source.holds,
                "found": found,
                "how": how,
                "license": license,
                "source": origin,
            }
        )
    return entries


def files_of(source: Source) -> Files | None:
    """The published files of a source, ``None`` where it has none."""
    return getattr(import_module(f"dlnotes.data.{source.module}"), source.files) if source.files else None


def _listed() -> dict[str, Source]:
    """The sources that need no file of one's own; instead of the source of tables, each table by its name."""
    order = ("files", "bundled", "extra", "generated")
    known = {
        name: s for kind in order for name, s in SOURCES.items() if s.found == kind and name != "tabular"
    }
    tables = {
        name: Source(SOURCES["tabular"].module, holds, "bundled", license, origin)
        for name, (holds, license, origin) in TABLES.items()
    }
    return known | tables


def _whereabouts(name: str, source: Source) -> tuple[str | None, str]:
    """Where a data set is, and how to get it."""
    if source.found == "bundled":
        return "bundled", "comes with the libraries that dlnotes depends on"
    if source.found == "generated":
        return "generated", "drawn from a seed"
    if source.found == "extra":
        how = f'comes with {source.package}: pip install "dlnotes[{source.extra}]"'
        return ("bundled" if find_spec(source.package) else None), how
    files = files_of(source)
    assert files is not None, name
    paths = _locate(files)
    found = str(paths[0].parent) if paths else None
    if isinstance(files, mnist.IdxSet):
        return found, f"dlnotes data fetch {name}, or files in $DLNOTES_DATA/{name}/"
    if files.address:
        return found, f"dlnotes data fetch {name}, or a file in $DLNOTES_DATA/{files.name}/"
    return found, f"files in $DLNOTES_DATA/{files.name}/, from {files.where}"


def _locate(files: Files, *, data_dir: str | Path | None = None) -> list[Path] | None:
    found = mnist.locate if isinstance(files, mnist.IdxSet) else download.locate
    return found(files, data_dir=data_dir)  # type: ignore[arg-type]


def fetch(name: str, *, data_dir: str | Path | None = None) -> Path | None:
    """Makes the files of a data set be on this machine; nothing to do for bundled and generated ones.

    Returns:
      The folder of the files, or ``None`` where there are none.

    Raises:
      DataNotFound: when they can neither be found nor downloaded.
      ValueError: when the name is unknown.
    """
    files = files_of(chosen("name", name, _listed()))
    if files is None:
        return None
    if isinstance(files, mnist.IdxSet):
        return mnist.obtain(files, data_dir=data_dir)[0].parent
    return download.obtain(files, data_dir=data_dir)[0].parent


def check(name: str, *, data_dir: str | Path | None = None) -> list[str]:
    """What is wrong with a data set on this machine: an empty list when it can be used.

    Files are read completely and compared with their published checksums.

    Raises:
      ValueError: when the name is unknown.
    """
    files = files_of(chosen("name", name, _listed()))
    if isinstance(files, mnist.IdxSet):
        return mnist.damage(files, data_dir=data_dir)
    try:
        if files is not None:
            return download.damage(files, download.obtain(files, data_dir=data_dir))
        load(**({"kind": "tabular", "name": name} if name in TABLES else {"kind": name}))
    except (ImportError, OSError, ValueError) as error:
        return [str(error)]
    return []
