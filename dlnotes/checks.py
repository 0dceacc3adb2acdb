"""Checks of arguments and of lists of named nodes, each naming what it got and what is allowed."""

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


INPUT = "x"
"""The name by which nodes call the input of the network."""


def output_of(nodes: Sequence[tuple[str, Sequence[str]]], output: str | None = None) -> str:
    """The name of the node whose value is the output of the graph, once all of it has been checked.

    A node may only take the input ``"x"`` and nodes that stand before it, so that there can be no
    cycle, and every node must lead to the output, so that there are no parameters without a gradient.

    Args:
      nodes: ``(name, names of its parents)`` in order.
      output: the output's name; ``None`` is the one node that no other node takes.

    Raises:
      ValueError: naming the node, what it has and what is allowed.

    Example:
      >>> output_of([("h", ["x"]), ("g", ["x"]), ("y", ["h", "g"])])
      'y'
    """
    if not nodes:
        raise ValueError("nodes: got none, at least one is needed as the output")
    every = [name for name, _ in nodes]
    before = [INPUT]
    for name, parents in nodes:
        if not name or name == INPUT or name in before:
            why = f"{INPUT!r} is the input" if name == INPUT else "a node has it" if name else "it is empty"
            raise ValueError(f"nodes: got the name {name!r}, {why}; allowed is a name of its own")
        if not parents:
            raise ValueError(f"nodes: {name!r} takes nothing, allowed are {_listed(before)}")
        for parent in parents:
            if parent not in before and parent in every:
                where = "itself" if parent == name else f"{parent!r}, which stands after it"
                raise ValueError(f"nodes: {name!r} takes {where}; allowed are {_listed(before)}")
            if parent not in before:
                hint = did_you_mean(parent, before)
                raise ValueError(
                    f"nodes: {name!r} takes {parent!r}, unknown; allowed are {_listed(before)}{hint}"
                )
        before.append(name)
    return _end(dict(nodes), output)


def _end(parents: dict[str, Sequence[str]], output: str | None) -> str:
    taken = {parent for of in parents.values() for parent in of}
    ends = [name for name in parents if name not in taken]
    if output is None:
        if len(ends) > 1:
            raise ValueError(
                f"output: got none where {len(ends)} nodes end, one of {_listed(ends)} is needed"
            )
        return ends[0]
    if output not in parents:
        raise ValueError(
            f"output: got {output!r}, allowed are {_listed(parents)}{did_you_mean(output, parents)}"
        )
    needed, waiting = set(), [output]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [p for p in parents[name] if p != INPUT]
    if idle := [name for name in parents if name not in needed]:
        raise ValueError(
            f"nodes: {_listed(idle)} do not lead to the output {output!r}, allowed is that all do"
        )
    return output


def _listed(names: Sequence[str] | dict[str, Sequence[str]]) -> str:
    return ", ".join(repr(name) for name in names)
