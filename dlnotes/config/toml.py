"""From a TOML file and overrides to a checked `Config`, and back to TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel

from dlnotes.checks import did_you_mean
from dlnotes.config.config import Config
from dlnotes.config.sweep import check
from dlnotes.config.validation import ConfigError, set_path, validate


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read and check a config file.

    Args:
      path: of the TOML file; its stem names the run unless the file sets ``name``.
      overrides: ``"model.widths=[256, 256]"``, the value in TOML (a bare word is taken as text).

    Raises:
      ConfigError: with every problem at once.

    Example:
      ``load("configs/quickstart.toml", ["training.seeds=32"])``
    """
    raw = read_raw(path, overrides)
    if is_claim(raw):
        raise ConfigError(str(path), ["is the config of a claim, one of a training is needed here"])
    _find_files(raw, Path(path).parent)
    return parse(raw, source=str(path))


def is_claim(raw: Mapping[str, Any]) -> bool:
    """Whether a config that was read measures a claim: then it names an experiment."""
    return "experiment" in raw


def read_raw(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A TOML file with overrides as a nested mapping, not yet checked; ``name`` is the file's stem.

    Raises:
      ConfigError: when it cannot be read or an override has no such form.
    """
    path = Path(path)
    source = str(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        beside = [str(p) for p in path.parent.glob("*.toml")] if path.parent.is_dir() else []
        raise ConfigError(source, [f"no such file{did_you_mean(path, beside)}"]) from None
    except IsADirectoryError:
        raise ConfigError(source, ["is a folder, a TOML file is needed"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(source, [f"is not UTF-8 text: {error.reason} at byte {error.start}"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(source, [f"is not TOML: {error}"]) from None
    raw.setdefault("name", path.stem)
    _override_all(raw, overrides, source)
    return raw


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
    if not isinstance(node, dict):
        return node
    ordered = sorted(node.items(), key=lambda item: item[0] != "kind")
    return {k: _kind_first(v) for k, v in ordered}


def _find_files(raw: dict[str, Any], folder: Path) -> None:
    """Make paths in [data] absolute: found from where one stands, else beside the config file."""
    section = raw.get("data")
    if not isinstance(section, dict):
        return
    for name in ("path", "x_path", "y_path", "train_path", "test_path", "data_dir"):
        given = section.get(name)
        if isinstance(given, str) and given:
            wanted = Path(given).expanduser()
            beside = folder / wanted
            section[name] = str((wanted if wanted.exists() or not beside.exists() else beside).absolute())


def toml_value(text: str) -> Any:
    """A value as TOML writes it; what is none is taken as text.

    Example:
      >>> toml_value("[16, 8]"), toml_value("relu")
      ([16, 8], 'relu')
    """
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def _override(raw: dict[str, Any], text: str) -> str | None:
    path, equals, value = text.partition("=")
    path = path.strip()
    if not equals or not path or any(not p for p in path.split(".")):
        return f"override {text!r}: must look like model.width=256"
    try:
        set_path(raw, path, toml_value(value))
    except ValueError as error:
        return f"override {text!r}: {error}"
    return None
