"""Records of measured claims that come from a file: read only if they are what `judge` writes.

A run folder may come from a stranger. Its record ends on a page and on the terminal, so every field has its
type here, and the files that it names lie in its own folder.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dlnotes.claims.rules import VERDICTS
from dlnotes.config import ConfigError
from dlnotes.experiment.kept_files import DamagedFile, read_json
from dlnotes.formatting import Record

PNG = b"\x89PNG\r\n\x1a\n"
LONGEST_FILE = 50_000_000
"""Bytes of a figure or of a table of numbers that the page takes in."""
_log = logging.getLogger(__name__)
_Verdict = Literal["holds", "fails", "open"]
_Speaker = Literal["notes", "book", "paper", "ours"]
assert set(VERDICTS) == {"holds", "fails", "open"}


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Effect(_Strict):
    value: float | None
    low: float | None
    high: float | None
    n: int
    method: str = Field(max_length=1000)


class _Learned(_Strict):
    what: str
    effect: _Effect
    rule: str
    holds: bool
    of: Literal["networks", "machine"] = "networks"


class _Source(_Strict):
    who: _Speaker
    where: str
    says: str


class _Part(_Strict):
    name: str
    statement: str
    source: _Source
    decides: bool
    rule: str
    verdict: _Verdict
    why: str
    what: str
    effect: _Effect
    learned: _Learned | None


class _Record(_Strict):
    kind: Literal["claim"]
    id: str = Field(max_length=200)
    title: str
    section: str
    statement: str
    source: str
    verdict: _Verdict
    why: str
    decided_by: _Speaker
    parts: list[_Part] = Field(min_length=1, max_length=10_000)
    method: str
    reading: str
    revised: str
    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=200)
    config: str
    module: str
    options: dict[str, Any]
    seeds: int
    seconds: float = Field(ge=0)
    budget: Literal["quick", "full", "large", "own"]
    measured: str = Field(pattern=r"^\d{4}-\d\d-\d\dT[\d:.+Z-]+$", max_length=40)
    fingerprint: str = Field(pattern=r"^[0-9a-f]+$")
    figure: str
    numbers: str
    commit: str | None
    versions: dict[str, str | None]
    platform: str | None
    processors: int | None


def problem(record: Any) -> str | None:
    """What is wrong with a record from a file: its first field that is not as `judge` writes it.

    Args:
      record: as read from JSON.

    Returns:
      The field, what it is and what is allowed; ``None`` for a good record.

    Example:
      >>> problem({"kind": "claim", "seeds": "<script>"}).startswith("id: Field required")
      True
    """
    try:
        _Record.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'record'}: {first['msg']}"
    return None


def read_record(folder: Path) -> Record | None:
    """The record in a run folder's summary.json.

    Args:
      folder: of a run.

    Returns:
      ``None`` where it is of another kind or an older version, and, with a warning, where it is damaged.
    """
    try:
        record = read_json(folder / "summary.json")
    except DamagedFile as error:
        _log.warning("%s is left out: %s", folder, error)
        return None
    if not isinstance(record, dict) or record.get("kind") != "claim" or "decided_by" not in record:
        return None  # not a claim, or judged by an older version: `dlnotes judge` makes its record anew
    wrong = problem(record)
    if wrong:
        _log.warning("%s is left out, %s; `dlnotes judge %s` makes it anew", folder, wrong, folder)
        return None
    return record


def committed(folder: Path) -> list[Record]:
    """The records in a folder's results.json.

    Raises:
      ConfigError: when the file is damaged, or holds something else.
    """
    path = folder / "results.json"
    try:
        records = read_json(path)
    except DamagedFile as error:
        raise ConfigError(str(path), [f"{error.problems[0]}; take it anew from the repository"]) from error
    if records is None:
        return []
    if not isinstance(records, list):
        raise ConfigError(str(path), ["holds no list of records"])
    for i, record in enumerate(records):
        wrong = problem(record)
        if wrong:
            raise ConfigError(str(path), [f"record {i + 1}: {wrong}"])
    return records


def file_inside(folder: Path, name: Any) -> Path | None:
    """A file that a record names, if it lies in the run folder.

    Args:
      folder: of the run.
      name: path from there.

    Returns:
      ``None`` where nothing is, and, with a warning, where the path or a link leads out of the folder, or the
      file is larger than 50 MB, or ends in .png and is none.
    """
    if not isinstance(name, str) or not name:
        return None
    path, inside = folder / name, folder.resolve()
    if not path.resolve().is_relative_to(inside):
        _log.warning("%s names %r, which lies outside of it: left out", folder, name)
        return None
    if not path.is_file():
        return None
    if path.stat().st_size > LONGEST_FILE:
        _log.warning("%s: %r is larger than %d MB: left out", folder, name, LONGEST_FILE // 10**6)
        return None
    with path.open("rb") as file:
        if path.suffix.lower() == ".png" and file.read(len(PNG)) != PNG:
            _log.warning("%s: %r is no PNG: left out", folder, name)
            return None
    return path
