"""The configs and experiments that come with dlnotes: where they are, and finding one by its name.

In a checkout they are the folders ``configs`` and ``experiments`` beside the package; a wheel has both in its
folder ``dlnotes/shipped``.
"""

from __future__ import annotations

import os
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[1]
"""The folder of the package dlnotes."""


def shipped_folder(name: str) -> Path | None:
    """The folder ``"configs"`` or ``"experiments"`` that comes with this package.

    Args:
      name: of the folder.

    Returns:
      ``None`` where the package came without it.
    """
    inside, project = LIBRARY / "shipped" / name, LIBRARY.parent
    if inside.is_dir():
        return inside
    # Beside an installed package lie those of strangers: only a checkout has this file there.
    beside = project / name
    return beside if (project / "pyproject.toml").is_file() and beside.is_dir() else None


def shipped_configs() -> dict[str, Path]:
    """Every shipped config by its path from the folder ``configs``, without ``.toml``.

    Example:
      >>> from dlnotes.config.shipped import shipped_configs
      >>> "quickstart" in shipped_configs(), "families/linear_digits" in shipped_configs()
      (True, True)
    """
    folder = shipped_folder("configs")
    if folder is None:
        return {}
    return {p.relative_to(folder).with_suffix("").as_posix(): p for p in sorted(folder.rglob("*.toml"))}


def find_config(given: str | Path) -> Path:
    """The config file that is meant: a file that exists, else a shipped one of this name.

    A shipped config may be called by its file's name (``quickstart``, ``linear_digits``), with its folder
    (``families/linear_digits``, ``configs/families/linear_digits.toml``), and that of a claim by its row
    (``F1.4``).

    Args:
      given: the path of a file, with ``.toml`` or without, or a name.

    Returns:
      The path as given where there is neither, for the reader of the file to say so.

    Example:
      >>> from dlnotes.config.shipped import find_config
      >>> find_config("F1.4").name
      'F1.4_xor_starts.toml'
    """
    path = Path(given)
    if os.path.isfile(path) or path.is_absolute() or ".." in path.parts:
        return path
    if path.suffix != ".toml":
        here = path.with_name(path.name + ".toml") if path.name else path
        if os.path.isfile(here):
            return here
    name = path.as_posix().removesuffix(".toml").removeprefix("configs/")
    found = [file for known, file in shipped_configs().items() if name in names_of(known)]
    return found[0] if len(found) == 1 else path


def names_of(known: str) -> tuple[str, ...]:
    """What a shipped config may be called by.

    Args:
      known: its path from the folder ``configs``, without ``.toml``.

    Example:
      >>> names_of("claims/F1.4_xor_starts")
      ('claims/F1.4_xor_starts', 'F1.4_xor_starts', 'F1.4')
    """
    stem = known.rpartition("/")[2]
    row = (stem.split("_")[0],) if known.startswith("claims/") else ()
    return tuple(dict.fromkeys((known, stem, *row)))
