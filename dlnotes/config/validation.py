"""A nested mapping as a checked `Config`, or all that is wrong with it in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from dlnotes.checks import did_you_mean
from dlnotes.config.config import Config

MOST_LINES = 100
"""Problems that a message lists."""


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


def validate(raw: Mapping[str, Any], *, source: str = "config") -> Config:
    """Check a nested mapping, but for the points of its sweep.

    Raises:
      ConfigError: with every problem at once.
    """
    return validate_as(Config, raw, source=source)


M = TypeVar("M", bound=BaseModel)


def validate_as(model: type[M], raw: Mapping[str, Any], *, source: str, prefix: str = "") -> M:
    """Check a nested mapping against any model.

    Args:
      model: of pydantic.
      raw: what was read.
      source: where, for the message.
      prefix: path of ``raw`` in the file, such as ``"options."``.

    Raises:
      ConfigError: with every problem at once.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problems = [prefix + line for line in _describe(error, raw, model)]
        raise ConfigError(source, problems) from None


def set_path(raw: dict[str, Any], path: str, value: Any) -> None:
    """Set ``raw["a"]["b"] = value`` for the path ``"a.b"``, making sections on the way."""
    *sections, last = path.split(".")
    for name in sections:
        raw = raw.setdefault(name, {})
        if not isinstance(raw, dict):
            raise ValueError(f"{path}: {name} is a value, not a section")
    raw[last] = value


def _describe(error: ValidationError, raw: Any, root: type[BaseModel]) -> list[str]:
    lines: dict[str, str] = {}
    for item in error.errors(include_url=False):
        # A discriminated union puts the chosen tag into the location: it is no key of the file.
        path, node, model = [], raw, root
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
        if len(lines) == MOST_LINES and error.error_count() > MOST_LINES:
            return [*lines.values(), f"and {error.error_count() - MOST_LINES} more problems"]
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
        if isinstance(part, str) and "[" in part:
            continue
        depth += 1
        node = _inside(node, part)
    return depth


def _line(where: str, item: Any, model: Any) -> str:
    kind, value = item["type"], item.get("input")
    got = _shortened(repr(value)) if not isinstance(value, Mapping) else "a section"
    if kind == "extra_forbidden":
        name = where.rsplit(".", 1)[-1]
        fields = list(_fields(model))
        hint = did_you_mean(name, fields)
        return f"{where}: got {got}, unknown option{hint} (allowed: {', '.join(fields)})"
    if kind == "missing":
        return f"{where}: missing, it must be set"
    if kind == "union_tag_not_found":
        return f"{where}.kind: missing, it must be set (see `dlnotes schema`)"
    if kind == "union_tag_invalid":
        tag = item["ctx"]["tag"]
        allowed = [t.strip().strip("'") for t in item["ctx"]["expected_tags"].split(",")]
        return f"{where}.kind: got {tag!r}{did_you_mean(tag, allowed)} (allowed: {', '.join(allowed)})"
    if kind == "literal_error":
        expected = item["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        allowed = [a.strip() for a in expected.split(",")]
        return f"{where}: got {got}{did_you_mean(value, allowed)} (allowed: {', '.join(allowed)})"
    if kind == "value_error":
        message = str(item["ctx"]["error"])
        if not where:
            return message
        return f"{where}: {message}" if isinstance(value, Mapping) else f"{where}: got {got}, {message}"
    message = item["msg"].replace("Input should be", "must be").replace("Field required", "must be set")
    return f"{where}: got {got}, {message}"


def _shortened(text: str, longest: int = 200) -> str:
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)"


def _fields(model: Any) -> Mapping[str, Any]:
    return model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else {}


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for a in get_args(annotation) for m in _models_in(a)]


def _field(model: Any, name: Any) -> Any:
    """The model (or union of models) that the field ``name`` of ``model`` holds."""
    field = _fields(model).get(name) if isinstance(name, str) else None
    if field is None:  # a place in a list, or a name in a table of models such as [tasks.NAME]
        return model if isinstance(name, int) or _fields(model) else None
    found = _models_in(field.annotation)
    return found[0] if len(found) == 1 else field.annotation


def _member(union: Any, tag: Any) -> Any:
    """The member of a discriminated union whose ``kind`` allows ``tag``."""
    for model in _models_in(union):
        kind = model.model_fields.get("kind")
        if kind is not None and tag in get_args(kind.annotation):
            return model
    return None
