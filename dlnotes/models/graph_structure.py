"""What makes a list of named nodes a directed acyclic graph with one output; nothing here needs jax."""

from __future__ import annotations

from collections.abc import Sequence

from dlnotes.layers.arguments import did_you_mean

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
