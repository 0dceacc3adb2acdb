"""Names of runs and places of files, as people and systems write them."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

LONGEST_NAME = 100


def _no_dots_only(name: str) -> str:
    if not name.strip("."):
        raise ValueError("is another folder, not the name of one; allowed are letters, digits, . _ -")
    return name


Name = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=LONGEST_NAME), AfterValidator(_no_dots_only)
]
"""The name of a run: of letters, digits, ``.``, ``_`` and ``-``, for it names a folder."""


def name_of(stem: str) -> str:
    """The name of the run that a config file's name gives: what a `Name` may not hold is left out.

    Example:
      >>> name_of("run (1)"), name_of("año"), name_of("猫")
      ('run-1', 'ano', 'run')
    """
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", plain)[:LONGEST_NAME].strip("-. ")
    return re.sub(r"-{2,}", "-", plain) if plain != stem and plain else plain or "run"


def expanded(text: str) -> Path:
    """A path with ``~`` and ``$VARIABLE`` replaced by what they stand for.

    Raises:
      ValueError: naming a variable that is not set, unless there is a file of just this name.
    """
    found = str(expanded_if_set(text))
    unset = re.search(r"\$([A-Za-z_]\w*|\{[A-Za-z_]\w*\})", found)
    if unset is not None and not os.path.lexists(found):
        raise ValueError(f"got {text!r}, the variable {unset[1].strip('{}')} is not set")
    return Path(found)


def expanded_if_set(text: str) -> Path:
    """As `expanded`; a variable that is not set stays as it is."""
    return Path(os.path.expanduser(os.path.expandvars(text)))
