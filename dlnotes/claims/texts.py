"""Texts of claims with fields: the numbers in them come from the options and the record."""

from __future__ import annotations

import string
from collections.abc import Collection, Mapping
from typing import Any

from dlnotes.formatting import number

_FORMATTER = string.Formatter()


def check(text: str, where: str, *, options: Collection[str], parts: Collection[str]) -> None:
    """Refuse a text that names what does not exist.

    Args:
      text: such as "after {options.steps} steps: {parts[skips help]}".
      where: names the text in an error.
      options, parts: names that exist; names of facts are known only when something is measured.

    Raises:
      ValueError: for a field that names no option, part or fact.
    """
    for _, field, _, _ in _FORMATTER.parse(text):
        if field is None:
            continue
        name = field.partition("[")[2].rstrip("]")
        if field.startswith("options.") and field.split(".")[1].split("[")[0] in options:
            continue
        if field.startswith("parts[") and name in parts:
            continue
        if not field.startswith("facts["):
            raise ValueError(
                f"{where}: got the field {{{field}}}, allowed are {{options.NAME}}, {{parts[NAME]}} and "
                f"{{facts[NAME]}}; options are {sorted(options)}, parts {list(parts)}"
            )


def fill(text: str, *, options: Any, parts: Mapping[str, str], facts: Mapping[str, Any]) -> str:
    """A text with its fields filled in.

    Args:
      text: see `check`.
      options: the experiment's own.
      parts: name → effect in words.
      facts: name → number or words.

    Raises:
      ValueError: when it names a fact that the claim does not give.

    Example:
      >>> from types import SimpleNamespace
      >>> fill("{options.steps} steps: {facts[gap]}", options=SimpleNamespace(steps=10), parts={},
      ...      facts={"gap": 0.123456})
      '10 steps: 0.123'
    """
    readable = {k: number(v, 3) if isinstance(v, float) else v for k, v in facts.items()}
    try:
        return text.format(options=options, parts=parts, facts=readable)
    except KeyError as error:
        raise ValueError(f"facts: got {sorted(facts)}, a text needs {error}") from None
