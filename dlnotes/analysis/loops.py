"""How many iterations of loops a program goes through one after another: what more chips cannot shorten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from dlnotes.jax_internals import Program, cond_parts, program_of, scan_parts


class Iterations(NamedTuple):
    """Iterations of a program's loops.

    Attributes:
      count: of those whose length is known; of a loop within a loop all, of branches the longest.
      unknown: loops that go on until a condition holds, which have no number.
    """

    count: int
    unknown: int


def iterations(function: Callable[..., Any], *arguments: Any) -> Iterations:
    """Count the iterations of a function's loops that follow one another; nothing is run.

    Args:
      function: pure.
      arguments: arrays or `jax.ShapeDtypeStruct`; their values do not matter.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> step = lambda h, x: (jnp.tanh(h + x), None)
      >>> iterations(lambda xs: jax.lax.scan(step, 0.0, xs)[0], jnp.zeros(7))
      Iterations(count=7, unknown=0)
    """
    return _through(program_of(function, *arguments))


def _through(program: Program) -> Iterations:
    count = unknown = 0
    for equation in program.equations:
        if equation.name == "scan":
            scan = scan_parts(equation)
            inside = _through(scan.body)
            found = Iterations(scan.length * max(1, inside.count), inside.unknown)
        elif equation.name == "while":
            found = Iterations(0, 1 + sum(_through(p).unknown for p in equation.programs))
        elif equation.name == "cond":
            found = max(map(_through, cond_parts(equation).branches))
        else:
            within = [_through(p) for p in equation.programs]
            found = Iterations(sum(w.count for w in within), sum(w.unknown for w in within))
        count, unknown = count + found.count, unknown + found.unknown
    return Iterations(count, unknown)
