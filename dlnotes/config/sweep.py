"""A sweep as a list of points, each a small set of options over the config."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from dlnotes.checks import did_you_mean
from dlnotes.config.config import Config
from dlnotes.config.training import Grid, Range
from dlnotes.config.validation import ConfigError, set_path, validate


@dataclass(frozen=True)
class Point:
    """One setting of the swept options.

    Attributes:
      values: path → value, as swept.
      config: the config with those values and without a sweep.
    """

    values: dict[str, Any]
    config: Config


def dynamic_paths(config: Config) -> set[str]:
    """Paths of the numbers that may differ inside one compiled program."""
    found = set()

    def walk(section: BaseModel, prefix: str) -> None:
        for name, field in type(section).model_fields.items():
            value = getattr(section, name)
            extra = field.json_schema_extra
            if isinstance(extra, dict) and extra.get("dynamic"):
                found.add(prefix + name)
            if isinstance(value, BaseModel):
                walk(value, f"{prefix}{name}.")
            elif isinstance(value, dict):
                for key, inner in value.items():
                    if isinstance(inner, BaseModel):
                        walk(inner, f"{prefix}{name}.{key}.")

    walk(config, "")
    return found


def points(config: Config) -> list[Point]:
    """Every point of the config's sweep (one without values where there is no sweep)."""
    if config.sweep is None:
        return [Point({}, config)]
    raw = config.model_dump(mode="json", exclude_none=True)
    raw.pop("sweep")
    result = []
    for values in _settings(config):
        changed = _copy(raw)
        for path, value in values.items():
            set_path(changed, path, value)
        result.append(Point(values, validate(changed)))
    return result


def check(config: Config) -> list[str]:
    """Problems of the sweep: unknown paths and values the option does not allow."""
    problems: list[str] = []
    if config.sweep is None:
        return problems
    raw = config.model_dump(mode="json", exclude_none=True)
    raw.pop("sweep")
    for path, choices in config.sweep.parameters.items():
        where = f"sweep.parameters.{path}"
        if path.split(".")[0] in {"sweep", "output", "devices", "checkpoint", "name"}:
            problems.append(f"{where}: cannot be swept, it does not change the training")
            continue
        if path.split(".")[0] in {"data", "scaling"}:
            problems.append(f"{where}: cannot be swept, all points learn from the same data")
            continue
        if path.startswith("tasks.") and (name := path.split(".")[1]) not in (config.tasks or {}):
            hint = did_you_mean(name, config.tasks or {})
            problems.append(f"{where}: the config has no task {name!r}{hint}")
            continue
        if isinstance(choices, Range):
            choices = (choices.low, choices.high)
        elif not choices:
            problems.append(f"{where}: got an empty list, give at least one value")
        for value in choices:
            changed = _copy(raw)
            try:
                set_path(changed, path, value)
                validate(changed)
            except ConfigError as error:
                problems += [f"{where}: {p}" for p in error.problems]
            except ValueError as error:
                problems.append(f"{where}: {error}")
    return list(dict.fromkeys(problems))


def _settings(config: Config) -> list[dict[str, Any]]:
    sweep = config.sweep
    if isinstance(sweep, Grid):
        return [
            dict(zip(sweep.parameters, values)) for values in itertools.product(*sweep.parameters.values())
        ]
    if sweep is None:
        return [{}]
    rng = random.Random(sweep.seed)
    # In the order of the paths: that of a file is not the same once it has been written again.
    ordered = sorted(sweep.parameters.items())
    return [{path: _draw(rng, choices) for path, choices in ordered} for _ in range(sweep.samples)]


def _draw(rng: random.Random, choices: Range | tuple[Any, ...]) -> Any:
    if not isinstance(choices, Range):
        return rng.choice(choices)
    if choices.scale == "log":
        return math.exp(rng.uniform(math.log(choices.low), math.log(choices.high)))
    return rng.uniform(choices.low, choices.high)


def _copy(raw: Any) -> Any:
    return {k: _copy(v) for k, v in raw.items()} if isinstance(raw, dict) else raw
