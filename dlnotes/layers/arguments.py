"""Checks of static arguments, each naming the argument, the value got and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

T = TypeVar("T")


def positive(**sizes: Any) -> None:
    """Check that every size is a positive integer.

    Raises:
      ValueError: naming the argument and the value got.
    """
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"{name}: got {size!r}, allowed is a positive integer")


def all_positive(name: str, values: Sequence[int]) -> tuple[int, ...]:
    """``values`` as a tuple, each checked to be a positive integer.

    Raises:
      ValueError: naming the first that is not, or when one number is given instead of several.
    """
    if isinstance(values, int):
        raise ValueError(f"{name}: got {values}, allowed is a list of positive integers, such as [{values}]")
    for i, value in enumerate(values):
        positive(**{f"{name}[{i}]": value})
    return tuple(values)


def shares(**rates: Any) -> None:
    """Check that every plain number is in [0, 1); traced ones pass.

    Raises:
      ValueError: naming the argument and the value got.
    """
    for name, rate in rates.items():
        if isinstance(rate, (int, float)) and not 0 <= rate < 1:
            raise ValueError(f"{name}: got {rate}, allowed is 0 <= {name} < 1 (the share dropped)")


def chosen(argument: str, name: str, table: Mapping[str, T]) -> T:
    """``table[name]``, with an error that says what is allowed and what may have been meant.

    Raises:
      ValueError: when the table has no such name.
    """
    if name in table:
        return table[name]
    raise ValueError(f"{argument}: got {name!r}, allowed are {', '.join(table)}{did_you_mean(name, table)}")


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the known name nearest to ``name``, or nothing."""
    near = get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
