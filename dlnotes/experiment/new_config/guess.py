"""What a person's files are taken for: the kind of data, its options, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from dlnotes.config.validation import ConfigError


class Option(NamedTuple):
    """An option of a section of a config.

    Attributes:
      name: of the option.
      value: what TOML can hold.
      why: the comment behind it.
      off: whether it stands there as a comment only.
    """

    name: str
    value: Any
    why: str = ""
    off: bool = False


class Guess(NamedTuple):
    """What files are taken for.

    Attributes:
      kind: of [data].
      why: they are taken for it, in one sentence.
      options: of [data] beside its kind.
      others: options that could be set, as comments.
      notes: lines on what was found, one sentence each.
      new: what ``dlnotes predict`` takes, as it stands in a command.
    """

    kind: str
    why: str
    options: tuple[Option, ...]
    others: tuple[Option, ...] = ()
    notes: tuple[str, ...] = ()
    new: str = ""

    def option(self, name: str) -> Any:
        """The value of an option, ``None`` where it is not set."""
        return next((o.value for o in self.options if o.name == name), None)


class Asked(NamedTuple):
    """What is looked at, and what was said of it.

    Attributes:
      path: of the file or folder.
      target: columns to be predicted; empty where they are to be guessed.
      kind: of [data], ``None`` where it is to be guessed.
    """

    path: Path
    target: tuple[str, ...] = ()
    kind: str | None = None

    def refuse(self, told: str) -> ConfigError:
        """Why no config is written."""
        return ConfigError(str(self.path), [told])


def some(names: list[str] | tuple[str, ...], most: int = 8) -> str:
    """Names in a row, the first few of many.

    >>> some(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    shown = ", ".join(repr(name if len(name) < 40 else f"{name[:39]}…") for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def plural(n: int, one: str, many: str = "") -> str:
    """A number with its noun.

    >>> plural(1, "row"), plural(1200, "class", "classes")
    ('1 row', '1,200 classes')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"
