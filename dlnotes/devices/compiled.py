"""What a compiled program says of itself: its memory, and what its devices send one another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "f16": 2, "bf16": 2, "s32": 4, "u32": 4, "f32": 4,
          "s64": 8, "u64": 8, "f64": 8, "c64": 8, "c128": 16}  # fmt: skip
_SHAPE = re.compile(r"\b(pred|bf16|[sufc]\d+)\[([\d,]*)\]")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{$")
_COLLECTIVE = re.compile(
    r"= (.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|collective-broadcast)"
    r"(-start)?\("
)
_CALLED = re.compile(r"(?:calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.\-]+)")
_LOOP = re.compile(r"body=%?([\w.\-]+)")
_BRANCHES = re.compile(r"(?:branch_computations|called_computations)=\{([^}]*)\}")


class Collective(NamedTuple):
    """Something that devices send one another.

    Attributes:
      kind: such as "all-reduce".
      bytes: of its result on one device.
    """

    kind: str
    bytes: int


class Memory(NamedTuple):
    """Bytes that a program needs on one device.

    Attributes:
      arguments: of what it is given.
      results: of what it gives and does not write over its arguments.
      temporary: of all in between.
      code: of the program itself.
    """

    arguments: int
    results: int
    temporary: int
    code: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self)


def memory_of(compiled: Any) -> Memory:
    """The memory of a program that jax has compiled (``jax.jit(f).lower(…).compile()``)."""
    found = compiled.memory_analysis()
    return Memory(
        arguments=found.argument_size_in_bytes,
        results=max(found.output_size_in_bytes - found.alias_size_in_bytes, 0),
        temporary=found.temp_size_in_bytes,
        code=found.generated_code_size_in_bytes,
    )


def collectives_in_loops(text: str) -> list[Collective]:
    """What is sent in each iteration of a program's loops.

    Args:
      text: of the compiled program (``compiled.as_text()``).
    """
    lines = dict(_computations(text))
    inside: set[str] = set()
    todo = [name for body in lines.values() for line in body for name in _LOOP.findall(line)]
    while todo:
        name = todo.pop()
        if name in inside or name not in lines:
            continue
        inside.add(name)
        for line in lines[name]:
            todo += _CALLED.findall(line)
            todo += [n.strip().lstrip("%") for group in _BRANCHES.findall(line) for n in group.split(",")]
    found = (_COLLECTIVE.search(line) for name in sorted(inside) for line in lines[name])
    return [Collective(m[2], _size(m[1], m[2] if m[3] else "")) for m in found if m]


def _computations(text: str) -> Iterator[tuple[str, list[str]]]:
    """The parts of a program by name."""
    name, body = "", []
    for line in text.splitlines():
        if start := _COMPUTATION.match(line):
            name, body = start[1], []
        elif line.startswith("}"):
            yield name, body
        else:
            body.append(line)


def _size(shapes: str, started: str) -> int:
    """Bytes of all arrays in a result; a collective that only starts names its operands first."""
    sizes = [
        _BYTES.get(kind, 4) * prod(int(n) for n in lengths.split(",") if n)
        for kind, lengths in _SHAPE.findall(shapes)
    ]
    if started == "collective-permute":  # operand, result and two counters
        return sizes[0]
    return sum(sizes[len(sizes) // 2 :]) if started == "all-gather" else sum(sizes)
