"""A copy of a config in another folder, which means the same: its schema line and paths are made anew."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from dlnotes.config.shipped import LIBRARY, find_config, shipped_folder
from dlnotes.config.toml import FILES, find_files, is_claim, read_raw, read_text
from dlnotes.config.validation import ConfigError

_SCHEMA = re.compile(r"^#:schema[ \t]+(\S+)[ \t]*$", re.MULTILINE)


def copy_config(given: str | Path, target: str | Path | None = None) -> Path:
    """Write a copy of a config to be edited.

    Args:
      given: the name of a shipped config, or the path of a file: see `find_config`.
      target: the new file, or a folder for it; by default one of the same name in the current folder.

    Returns:
      The path of the file written.

    Raises:
      ConfigError: when there is no such config, or the new file exists or cannot be written.

    Example:
      ``copy_config("quickstart", "my.toml")``
    """
    source = find_config(given)
    raw = read_raw(source)
    path = Path(target) if target is not None else Path(source.name)
    if os.path.isdir(path):
        path = path / source.name
    text = moved(source, path, raw)
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(str(path), ["is there already; give another name, or move it away"]) from None
    except FileNotFoundError:
        raise ConfigError(str(path), [f"there is no folder {path.parent}; make it first"]) from None
    except (OSError, ValueError) as error:
        raise ConfigError(
            str(path), [f"cannot be written: {getattr(error, 'strerror', None) or error}"]
        ) from None
    return path


def moved(source: Path, target: Path, raw: dict[str, Any]) -> str:
    """The text of a config as it must be in another place.

    Args:
      source: the file.
      target: where it will be.
      raw: what the file says, as read.

    Raises:
      ConfigError: when a path in it is written in a way that cannot be changed.
    """
    text = _SCHEMA.sub(lambda m: f"#:schema {_schema_from(source, target, m[1])}", read_text(source))
    if is_claim(raw):
        return _with_experiments(text, source, raw)
    meant = json.loads(json.dumps({"data": raw.get("data")}, default=str))
    find_files(meant, source.parent)
    given, found = raw.get("data"), meant["data"]
    if not isinstance(given, dict) or not isinstance(found, dict):
        given, found = {}, {}
    for name in FILES:
        before, after = given.get(name), found.get(name)
        if not isinstance(before, str) or before == after or not Path(str(after)).exists():
            continue  # where no file is found, the reader of the data says so
        written = "|".join({re.escape(quoted) for quoted in (json.dumps(before), f"'{before}'")})
        assignment = re.compile(rf"(\b{name}[ \t]*=[ \t]*)({written})")
        if not assignment.search(text):
            raise ConfigError(str(source), [f"data.{name}: write it as {name} = {json.dumps(before)}"])
        text = assignment.sub(lambda m, after=after: m[1] + json.dumps(after, ensure_ascii=False), text)
    return text


def schema_line(target: Path) -> str:
    """The JSON Schema of configs as a new file names it: the way there within a checkout, else its URL.

    Args:
      target: where the file will be.

    Returns:
      "" where the package came without it.
    """
    folder = shipped_folder("configs")
    if folder is None or not (folder / "schema.json").is_file():
        return ""
    return _schema_from(folder / "new.toml", target, "./schema.json")


def _schema_from(source: Path, target: Path, given: str) -> str:
    """The schema of a config as its copy names it: the way there within a project, else the file's URL."""
    schema = source.absolute().parent / given
    if not schema.is_file():
        return given
    schema, folder = schema.resolve(), target.absolute().parent.resolve()
    project = schema.parent.parent
    if folder.is_relative_to(project) and not schema.is_relative_to(LIBRARY):
        way = Path(os.path.relpath(schema, folder)).as_posix()
        return way if way.startswith(".") else f"./{way}"
    return schema.as_uri()


def _with_experiments(text: str, source: Path, raw: dict[str, Any]) -> str:
    """The config of a claim that says where its module is."""
    if "experiments" in raw:
        return text
    folder = next((f.parent / "experiments" for f in source.absolute().parents if f.name == "configs"), None)
    if folder is None or not folder.is_dir():
        return text
    line = f"experiments = {json.dumps(str(folder), ensure_ascii=False)}\n"
    return re.sub(r"(?m)^experiment[ \t]*=.*\n?", lambda m: m[0].rstrip("\n") + "\n" + line, text, count=1)
