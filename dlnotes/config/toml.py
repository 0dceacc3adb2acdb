"""From a TOML file and overrides to a checked `Config`, and back to TOML."""

from __future__ import annotations

import codecs
import re
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel

from dlnotes import bounded
from dlnotes.checks import did_you_mean
from dlnotes.config.config import Config
from dlnotes.config.places import expanded_if_set, name_of
from dlnotes.config.shipped import find_config, shipped_configs
from dlnotes.config.sweep import check
from dlnotes.config.validation import ConfigError, set_path, validate

FILES = (
    "path",
    "x_path",
    "y_path",
    "train_path",
    "validation_path",
    "test_path",
    "data_dir",
    "image_dir",
)
"""Options of [data] that are paths."""

LONGEST = 10_000_000
"""Bytes that a config may have."""

DEEPEST = 30
"""Lists and tables inside one another that a config may have; its options need five."""

_TOO_DEEP = f"lists or tables lie more than {DEEPEST} deep inside one another"


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read and check a config file.

    Args:
      path: of the TOML file, or the name of a shipped config (`dlnotes.config.shipped.find_config`); its
        stem names the run unless the file sets ``name``.
      overrides: ``"model.widths=[256, 256]"``, the value in TOML (a bare word is taken as text).

    Raises:
      ConfigError: with every problem at once.

    Example:
      ``load("configs/quickstart.toml", ["training.seeds=32"])``
    """
    path = find_config(path)
    raw = read_raw(path, overrides)
    if is_claim(raw):
        raise ConfigError(str(path), ["is the config of a claim, one of a training is needed here"])
    find_files(raw, path.parent)
    return parse(raw, source=str(path))


def is_claim(raw: Mapping[str, Any]) -> bool:
    """Whether a config that was read measures a claim: then it names an experiment."""
    return "experiment" in raw


def read_raw(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A TOML file with overrides as a nested mapping, not yet checked; ``name`` is made from the file's.

    The file is UTF-8; with a byte order mark it may be UTF-16 or UTF-32 too, as Windows writes them.

    Raises:
      ConfigError: when it cannot be read or an override has no such form.
    """
    path = find_config(path)
    source = str(path)
    try:
        raw = _parsed(read_text(path))
    except FileNotFoundError:
        raise ConfigError(source, [f"no such file{_near(path)}"]) from None
    except IsADirectoryError:
        raise ConfigError(source, ["is a folder, a TOML file is needed"]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        told = f"is not UTF-8 text: {error.reason} at byte {error.start}, line {line}; save it as UTF-8"
        raise ConfigError(source, [told]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(source, [f"is not TOML: {error}{_odd_sign(path, str(error))}"]) from None
    except RecursionError:
        raise ConfigError(source, [_TOO_DEEP]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).removeprefix(f"{path}: ")
        raise ConfigError(source, [f"cannot be read: {reason}"]) from None
    raw.setdefault("name", name_of(path.stem))
    _override_all(raw, overrides, source)
    return raw


def read_text(path: Path) -> str:
    """The text of a config file: see `read_raw`.

    Raises:
      OSError, ValueError: when it cannot be read.
    """
    return _text_of(bounded.read_bytes(path, LONGEST))


def _near(path: Path) -> str:
    """The file beside a missing one, or the shipped config, that may have been meant."""
    beside = [str(p) for p in path.parent.glob("*.toml")] if path.parent.is_dir() else []
    if told := did_you_mean(path, beside):
        return told
    known = shipped_configs()
    stems = [name.rpartition("/")[2] for name in known]
    wanted = path.as_posix().removesuffix(".toml").removeprefix("configs/")
    return did_you_mean(wanted, [*known, *stems])


_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins like that of UTF-16, so it is looked for first
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


_LONG_KEY = re.compile(r"""(?<![\w"'-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){""" + f"{DEEPEST}}}")


def _parsed(text: str) -> dict[str, Any]:
    """The tables of a text; a key of very many parts would take the reader time that grows with their square.

    Raises:
      TOMLDecodeError, RecursionError: when it is not TOML, or too deep.
    """
    if _LONG_KEY.search(text):
        raise RecursionError
    found = tomllib.loads(text)
    if _deep(found):
        raise RecursionError
    return found


def _text_of(data: bytes) -> str:
    """The text of a file, its lines ended by a line feed.

    Raises:
      UnicodeDecodeError: when it is not what its byte order mark says, or UTF-8 without one.
    """
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in data:
        at = data.index(b"\0")
        raise UnicodeDecodeError("utf-8", data, at, at + 1, "a zero byte (UTF-16 without its mark?)")
    return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def _odd_sign(path: Path, error: str) -> str:
    """A sign of the line of the error that looks like one of TOML: what word processors make of quotes."""
    found = re.search(r"line (\d+)", error)
    lines = _text_of(path.read_bytes()).split("\n")
    for sign in lines[int(found[1]) - 1] if found is not None and int(found[1]) <= len(lines) else "":
        if sign in "\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb":
            return f"; there is {sign!r}, TOML's quotes are \" and '"
        if sign in "\u00a0\u200b\u2009\u202f\ufeff":
            return f"; there is {sign!r}, which only looks like a space"
    return ""


def _override_all(raw: dict[str, Any], overrides: Sequence[str], source: str) -> None:
    problems = [p for o in overrides if (p := _override(raw, o))]
    if problems:
        raise ConfigError(source, problems)


def parse(raw: Mapping[str, Any], overrides: Sequence[str] = (), *, source: str = "config") -> Config:
    """Check a nested mapping; every sweep point is checked as well.

    Args:
      raw: sections and options as in a file; it is left as it is.
      overrides: such as ``["model.width=256"]``.
      source: what messages call it.

    Raises:
      ConfigError: with every problem at once.

    Example:
      >>> config = parse({"data": {"kind": "xor"}, "model": {"kind": "mlp"}}, ["training.seeds=4"])
      >>> config.training.seeds
      4
    """
    if overrides:
        raw = deepcopy(dict(raw))
        _override_all(raw, overrides, source)
    config = validate(raw, source=source)
    if problems := check(config):
        raise ConfigError(source, problems)
    return config


def to_toml(config: BaseModel) -> str:
    """The resolved config, defaults included, as TOML that reads back to the same config."""
    return tomli_w.dumps(_kind_first(config.model_dump(mode="json", exclude_none=True)))


def _kind_first(node: Any) -> Any:
    if isinstance(node, list):
        return [_kind_first(part) for part in node]
    if not isinstance(node, dict):
        return node
    ordered = sorted(node.items(), key=lambda item: item[0] != "kind")
    return {k: _kind_first(v) for k, v in ordered}


def find_files(raw: dict[str, Any], folder: Path) -> None:
    """Make paths in [data] absolute: found from where one stands, else beside the config file."""
    section = raw.get("data")
    if not isinstance(section, dict):
        return
    for name in FILES:
        given = section.get(name)
        if isinstance(given, str) and given:
            wanted = expanded_if_set(given)
            beside = folder / wanted
            section[name] = str((wanted if wanted.exists() or not beside.exists() else beside).absolute())


def _deep(value: Any) -> bool:
    """Whether lists and tables lie deeper inside one another than is allowed."""
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            part
            for found in level
            if isinstance(found, (dict, list))
            for part in (found.values() if isinstance(found, dict) else found)
        ]
    return bool(level)


def toml_value(text: str) -> Any:
    """A value as TOML writes it; what is none is taken as text.

    Example:
      >>> toml_value("[16, 8]"), toml_value("relu")
      ([16, 8], 'relu')
    """
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text.strip()


def _override(raw: dict[str, Any], text: str) -> str | None:
    path, equals, value = text.partition("=")
    path = path.strip()
    if not equals or not path or any(not p for p in path.split(".")):
        return f"override {text!r}: must look like model.width=256"
    if path.count(".") >= DEEPEST:
        return f"override {text[:60]!r}: {_TOO_DEEP}"
    try:
        set_path(raw, path, toml_value(value))
    except ValueError as error:
        return f"override {text!r}: {error}"
    return None
