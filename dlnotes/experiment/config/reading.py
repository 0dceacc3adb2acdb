"""From a TOML file and overrides to a checked `Config`, or to all that is wrong with it."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import tomli_w
from pydantic import BaseModel, ValidationError

from dlnotes.experiment.config.root import Config


class ConfigError(ValueError):
    """All that is wrong with a config.

    Attributes:
      source: the file, or "config".
      problems: one line each: path, value got, what is allowed.
    """

    def __init__(self, source: str, problems: Sequence[str]):
        self.source = source
        self.problems = tuple(problems)
        n = len(self.problems)
        lines = "\n".join(f"  {p}" for p in self.problems)
        super().__init__(f"{source}: {n} error{'s' if n > 1 else ''}\n{lines}")


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
    path = Path(path)
    source = str(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = difflib.get_close_matches(
            path.name, [p.name for p in path.parent.glob("*.toml")] if path.parent.is_dir() else [], n=1
        )
        hint = f"; did you mean {path.parent / near[0]}?" if near else ""
        raise ConfigError(source, [f"no such file{hint}"]) from None
    except IsADirectoryError:
        raise ConfigError(source, ["is a folder, a TOML file is needed"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(source, [f"is not UTF-8 text: {error.reason} at byte {error.start}"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(source, [f"is not TOML: {error}"]) from None
    raw.setdefault("name", path.stem)
    problems = [p for o in overrides if (p := _override(raw, o))]
    if problems:
        raise ConfigError(source, problems)
    _find_files(raw, path.parent)
    return parse(raw, source=source)


def parse(raw: Mapping[str, Any], *, source: str = "config") -> Config:
    """Check a nested mapping; every sweep point is checked as well.

    Raises:
      ConfigError: with every problem at once.
    """
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(source, _describe(error, raw)) from None
    if config.sweep is not None:
        from dlnotes.experiment.config.sweeping import check

        if problems := check(config):
            raise ConfigError(source, problems)
    return config


def to_toml(config: Config) -> str:
    """The resolved config, defaults included, as TOML that reads back to the same config."""
    return tomli_w.dumps(_kind_first(config.model_dump(mode="json", exclude_none=True)))


def _kind_first(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    ordered = sorted(node.items(), key=lambda item: item[0] != "kind")
    return {k: _kind_first(v) for k, v in ordered}


def set_path(raw: dict[str, Any], path: str, value: Any) -> None:
    """Set ``raw["a"]["b"] = value`` for the path ``"a.b"``, making sections on the way."""
    *sections, last = path.split(".")
    for name in sections:
        raw = raw.setdefault(name, {})
        if not isinstance(raw, dict):
            raise ValueError(f"{path}: {name} is a value, not a section")
    raw[last] = value


def _find_files(raw: dict[str, Any], folder: Path) -> None:
    """Make paths in [data] absolute: found from where one stands, else beside the config file."""
    section = raw.get("data")
    if not isinstance(section, dict):
        return
    for name in ("path", "x_path", "y_path", "data_dir"):
        given = section.get(name)
        if isinstance(given, str) and given:
            wanted = Path(given).expanduser()
            beside = folder / wanted
            section[name] = str((wanted if wanted.exists() or not beside.exists() else beside).absolute())


def _override(raw: dict[str, Any], text: str) -> str | None:
    path, equals, value = text.partition("=")
    path = path.strip()
    if not equals or not path or any(not p for p in path.split(".")):
        return f"override {text!r}: must look like model.width=256"
    try:
        parsed = tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    try:
        set_path(raw, path, parsed)
    except ValueError as error:
        return f"override {text!r}: {error}"
    return None


def _describe(error: ValidationError, raw: Any) -> list[str]:
    lines: dict[str, str] = {}
    for item in error.errors(include_url=False):
        # A discriminated union puts the chosen tag into the location: it is no key of the file.
        path, node, model = [], raw, Config
        for part in item["loc"]:
            if isinstance(node, Mapping) and part not in node and part == node.get("kind"):
                model = _member(model, part)
                continue
            if isinstance(part, str) and "[" in part:  # the branch of a plain union, no key either
                continue
            path.append(part)
            node = _inside(node, part)
            if item["type"] != "extra_forbidden" or len(path) < _depth(item, raw):
                model = _field(model, part)
        where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")
        lines.setdefault(where, _line(where, item, model))
    return list(lines.values())


def _inside(node: Any, part: Any) -> Any:
    """What a mapping or a list holds at ``part``, ``None`` where it holds nothing."""
    if isinstance(node, Mapping):
        return node.get(part)
    if isinstance(node, (list, tuple)) and isinstance(part, int) and part < len(node):
        return node[part]
    return None


def _depth(item: Any, raw: Any) -> int:
    """How many parts of the location are keys of the file."""
    depth, node = 0, raw
    for part in item["loc"]:
        if isinstance(node, Mapping) and part not in node and part == node.get("kind"):
            continue
        depth += 1
        node = _inside(node, part)
    return depth


def _line(where: str, item: Any, model: Any) -> str:
    kind, value = item["type"], item.get("input")
    got = repr(value) if not isinstance(value, Mapping) else "a section"
    if kind == "extra_forbidden":
        name = where.rsplit(".", 1)[-1]
        fields = list(_fields(model))
        near = difflib.get_close_matches(name, fields, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{where}: got {got}, unknown option{hint} (allowed: {', '.join(fields)})"
    if kind == "missing":
        return f"{where}: missing, it must be set"
    if kind == "union_tag_not_found":
        return f"{where}.kind: missing, it must be set (see `dlnotes schema`)"
    if kind == "union_tag_invalid":
        tag = item["ctx"]["tag"]
        allowed = [t.strip().strip("'") for t in item["ctx"]["expected_tags"].split(",")]
        near = difflib.get_close_matches(str(tag), allowed, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{where}.kind: got {tag!r}{hint} (allowed: {', '.join(allowed)})"
    if kind == "literal_error":
        expected = item["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        allowed = [a.strip() for a in expected.split(",")]
        near = difflib.get_close_matches(str(value), allowed, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{where}: got {got}{hint} (allowed: {', '.join(allowed)})"
    if kind == "value_error":
        message = str(item["ctx"]["error"])
        if not where:
            return message
        return f"{where}: {message}" if isinstance(value, Mapping) else f"{where}: got {got}, {message}"
    message = item["msg"].replace("Input should be", "must be").replace("Field required", "must be set")
    return f"{where}: got {got}, {message}"


def _fields(model: Any) -> Mapping[str, Any]:
    return model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else {}


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for a in get_args(annotation) for m in _models_in(a)]


def _field(model: Any, name: Any) -> Any:
    """The model (or union of models) that the field ``name`` of ``model`` holds."""
    field = _fields(model).get(name) if isinstance(name, str) else None
    if field is None:
        return model if isinstance(name, int) else None
    found = _models_in(field.annotation)
    return found[0] if len(found) == 1 else field.annotation


def _member(union: Any, tag: Any) -> Any:
    """The member of a discriminated union whose ``kind`` allows ``tag``."""
    for model in _models_in(union):
        kind = model.model_fields.get("kind")
        if kind is not None and tag in get_args(kind.annotation):
            return model
    return None
