"""A config as a person would write it: options with comments on what was found and what else could be set."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlnotes.data.dataset import Dataset
from dlnotes.experiment.new_config.guess import Guess, Option, plural, some
from dlnotes.experiment.new_config.recipes import Recipe

_WIDTH = 108
_CONTROL = re.compile(r"[\x00-\x08\n-\x1f\x7f]")
"""What may not stand in a comment; in values it is escaped."""


def config_text(
    name: str, command: str, schema: str, guess: Guess, dataset: Dataset, recipe: Recipe, said: Sequence[str]
) -> str:
    """The text of a config.

    Args:
      name: of the file it will be in, for the commands.
      command: that wrote it.
      schema: where its JSON Schema is, "" for none.
      guess: what the files are taken for.
      dataset: as they were read.
      recipe: what is trained.
      said: what their reader said.
    """
    lines = [f"#:schema {schema}"] if schema else []
    lines += _wrapped(f"Written by {command}. Look it over, then:", "")
    lines += [
        "#",
        f"#   dlnotes run {_shell(name)}",
        "#   dlnotes evaluate RUN --baselines"
        + " " * 8
        + "beside simple methods; RUN is the folder that run prints",
    ]
    if guess.new:
        lines.append(f"#   dlnotes predict RUN {_shell(guess.new)}")
    lines.append("#")
    lines += _wrapped(f"{guess.kind}: {guess.why}.", "Taken for: ")
    for note in described(dataset):
        lines += _wrapped(note, "Read:      ")
    for note in (*guess.notes, *said):
        lines += _wrapped(note, "Note:      ")
    lines += ["", "[data]", *_assignments([Option("kind", guess.kind), *guess.options])]
    lines += _assignments([option._replace(off=True) for option in guess.others])
    lines += _split(guess, dataset)
    for section, options in recipe.sections.items():
        lines += [
            "",
            f"[{section}]" + (f"  # {recipe.why}" if section == "model" else ""),
            *_assignments(options),
        ]
    return "\n".join(_CONTROL.sub(" ", line) for line in lines) + "\n"


def described(dataset: Dataset) -> list[str]:
    """What was read, in sentences."""
    sizes = [
        f"{plural(part.size, 'example')} for training" if i == 0 else f"{part.size:,} for {where}"
        for i, (where, part) in enumerate(
            (("training", dataset.train), ("validation", dataset.validation), ("the test", dataset.test))
        )
        if part is not None
    ]
    told = [", ".join(sizes) + f"; {_inputs(dataset)}."]
    if dataset.task == "classification" and dataset.classes:
        y = np.concatenate(
            [
                np.asarray(p.y).ravel()
                for p in (dataset.train, dataset.validation, dataset.test)
                if p is not None
            ]
        )
        counts = np.bincount(y[y >= 0], minlength=dataset.outputs)
        shown = [f"{name} {count:,}" for name, count in zip(dataset.classes, counts)]
        more = f" and {len(shown) - 12} more" if len(shown) > 12 else ""
        told.append(f"{plural(dataset.outputs, 'class', 'classes')}: {', '.join(shown[:12])}{more}.")
    if dataset.test is not None and dataset.test.size < 20:
        told.append(f"{plural(dataset.test.size, 'example')} for the test: what they measure says little.")
    if dataset.task == "regression":
        told.append(f"{plural(dataset.outputs, 'number')} to predict.")
    elif dataset.task != "classification" and dataset.classes:
        told.append(f"{dataset.outputs:,} symbols or classes to predict: {some(dataset.classes, 12)}.")
    return told


def _inputs(dataset: Dataset) -> str:
    if dataset.input == "vector":
        names = f" ({some(dataset.features, 6)})" if dataset.features else ""
        return plural(dataset.inputs[0], "input") + names
    if dataset.input in ("tokens", "pair", "tree"):
        what = {"tokens": "sequences", "pair": "pairs", "tree": "trees"}[dataset.input]
        return f"{what} of {dataset.inputs[0]:,} different symbols"
    return f"{dataset.input}s of {' x '.join(map(str, dataset.inputs))}"


def _split(guess: Guess, dataset: Dataset) -> list[str]:
    if guess.kind in ("text", "csv_series"):
        return [
            "# validation = 0.1",
            "# test = 0.2  # the last rows, as shares or numbers"
            if guess.kind == "csv_series"
            else "# test = 0.1",
        ]
    if guess.option("test_path") is not None:
        return []
    share = 0.1 if guess.kind == "text_pairs" else 0.2
    return [
        "# validation = 0.1  # share or number of examples, divided at random",
        f"# test = {share}",
        "# seed = 0  # of the division",
    ]


def _wrapped(text: str, head: str) -> list[str]:
    plain = " ".join(text.split())
    return [
        f"# {line}"
        for line in textwrap.wrap(
            plain,
            _WIDTH,
            initial_indent=head,
            subsequent_indent=" " * len(head),
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]


def _assignments(options: Sequence[Option]) -> list[str]:
    found = []
    for option in options:
        line = f"{'# ' if option.off else ''}{option.name} = {toml(option.value)}"
        found.append(f"{line}  # {' '.join(option.why.split())}" if option.why else line)
    return found


def toml(value: Any) -> str:
    """A value as TOML writes it, on one line.

    >>> toml({"a b": 0.1, "c": [1, "x"]})
    '{ "a b" = 0.1, c = [1, "x"] }'
    """
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_name(k)} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _name(key: str) -> str:
    plain = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if plain else toml(key)


def _shell(text: str) -> str:
    """A file's name as it stands in a command."""
    if " --" in text:
        first, _, rest = text.rpartition(" --")
        return f"{_shell(first)} --{rest}"
    return shlex.quote(Path(text).as_posix())
