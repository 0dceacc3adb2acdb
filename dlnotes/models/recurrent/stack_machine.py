"""A recurrent net with set rational weights that runs a stack machine exactly.

The notes: the net that shows a recurrent network to be universal simulates an unbounded stack, by
activations and weights that are rational numbers of unbounded precision. Here such a net is written
down for any deterministic pushdown automaton over two stack symbols. Its units are all alike,

    ``h_t = σ(W h_{t-1} + U x_t + b)``,  ``σ(z) = min(1, max(0, z))``,

and the stack is a number: symbols 0 and 1 are the digits 1 and 3 of ``q = Σ_i d_i 4^{-i}``, the top one
first; the empty stack is 0. That leaves a gap between any two stacks that differ at the top, so that
saturating-linear functions can read and change it: ``top = σ(4q − 2)``, ``empty = σ(1 − 4q)``, push
``q/4 + d/4``, pop ``4q − d``.

With `fractions.Fraction` the arithmetic is exact and the stack as deep as memory allows. With floats it
is the same net, and it forgets what lies deeper than its digits reach: a symbol costs two bits.

Source: notes R9.10; Siegelmann and Sontag, 1995.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import numpy as np

Action = Literal["keep", "pop", "push 0", "push 1"]
ACTIONS: tuple[Action, ...] = ("keep", "pop", "push 0", "push 1")
Top = Literal["empty", "0", "1"]
TOPS: tuple[Top, ...] = ("empty", "0", "1")

STEPS_PER_SYMBOL = 3
"""Steps of the net for one symbol: read the stack, choose the transition, change the stack."""


class Automaton(NamedTuple):
    """A deterministic pushdown automaton; where it has no transition it rejects.

    Attributes:
      transitions: (state, symbol read, top of the stack) → (new state, action on the stack).
      start: the first state.
      end: the symbol that is read after the last one of the input.
      accept: the state that says yes after ``end``.
    """

    transitions: Mapping[tuple[str, str, Top], tuple[str, Action]]
    start: str
    end: str
    accept: str


class StackNet(NamedTuple):
    """``h_t = σ(W h_{t-1} + U x_t + b)`` with ``σ(z) = min(1, max(0, z))``; entries are `Fraction`.

    Attributes:
      W: (units, units).
      U: (units, symbols).
      b: (units,).
      h0: (units,), the start: the first state, an empty stack.
      symbols: in the order of the columns of U.
      units: what each unit stands for, in the order of the rows.
      accept: index of the unit that is 1 when the input is accepted.
    """

    W: np.ndarray
    U: np.ndarray
    b: np.ndarray
    h0: np.ndarray
    symbols: tuple[str, ...]
    units: tuple[str, ...]
    accept: int


def stack_net(automaton: Automaton) -> StackNet:
    """The net that runs an automaton, three steps a symbol.

    The units form three groups, each a function of the one before it (s states, z tops, x symbols):

    * read: the state and the stack copied, ``empty = σ(1 − 4q)`` and ``top = σ(4q − 2)``;
    * choose: a unit for each transition, ``σ(s + x + z − 2)``, 1 when all three are there;
    * change: the new stack for each action, let through where that action was chosen, as in
      ``σ(q/4 + 3/4 + g − 1)`` with g = 1 or 0, and the new state. Their sum is q again.

    The stack is a sum of non-negative units of which one is not 0, so it needs no unit of its own.

    Args:
      automaton: see `Automaton`.

    Raises:
      ValueError: on an action or a top that does not exist, a pop or a read of nothing.

    Source: notes R9.10.
    """
    _check(automaton)
    states = sorted(
        {automaton.start, automaton.accept}
        | {s for s, _, _ in automaton.transitions}
        | {s for s, _ in automaton.transitions.values()}
    )
    symbols = tuple(sorted({x for _, x, _ in automaton.transitions} | {automaton.end}))
    rules = list(automaton.transitions)
    units = (
        *(f"read {name}" for name in (*states, "stack", "empty", "top")),
        *(f"choose {' '.join(rule)}" for rule in rules),
        *("choose stack", "choose top"),
        *(f"change {name}" for name in (*states, *ACTIONS)),
    )
    at = {name: i for i, name in enumerate(units)}
    W = np.full((len(units), len(units)), Fraction(0), dtype=object)
    U = np.full((len(units), len(symbols)), Fraction(0), dtype=object)
    b = np.full(len(units), Fraction(0), dtype=object)

    def add(unit: str, weights: Mapping[str, int | Fraction], bias: int | Fraction = 0) -> None:
        for source, weight in weights.items():
            W[at[unit], at[source]] += Fraction(weight)
        b[at[unit]] += Fraction(bias)

    def stack(times: int | Fraction) -> dict[str, int | Fraction]:
        return {f"change {action}": times for action in ACTIONS}

    for state in states:
        add(f"read {state}", {f"change {state}": 1})
    add("read stack", stack(1))
    add("read empty", stack(-4), 1)
    add("read top", stack(4), -2)

    # 1 − empty − top is 1 where the top symbol is 0.
    tops: dict[Top, tuple[dict[str, int], int]] = {
        "empty": ({"read empty": 1}, 0),
        "0": ({"read empty": -1, "read top": -1}, 1),
        "1": ({"read top": 1}, 0),
    }
    for state, symbol, top in rules:
        unit, (weights, bias) = f"choose {state} {symbol} {top}", tops[top]
        add(unit, weights, bias - 2)
        add(unit, {f"read {state}": 1})
        U[at[unit], symbols.index(symbol)] = Fraction(1)
    add("choose stack", {"read stack": 1})
    add("choose top", {"read top": 1})

    changed: dict[Action, tuple[dict[str, int | Fraction], int | Fraction]] = {
        "keep": ({"choose stack": 1}, 0),
        "pop": ({"choose stack": 4, "choose top": -2}, -1),
        "push 0": ({"choose stack": Fraction(1, 4)}, Fraction(1, 4)),
        "push 1": ({"choose stack": Fraction(1, 4)}, Fraction(3, 4)),
    }
    for action, (weights, bias) in changed.items():
        add(f"change {action}", weights, bias - 1)
    for rule, (state, action) in automaton.transitions.items():
        chosen = f"choose {' '.join(rule)}"
        add(f"change {state}", {chosen: 1})
        add(f"change {action}", {chosen: 1})

    h0 = np.full(len(units), Fraction(0), dtype=object)
    h0[at[f"change {automaton.start}"]] = Fraction(1)
    return StackNet(W, U, b, h0, symbols, units, at[f"change {automaton.accept}"])


def states(
    net: StackNet, text: Iterable[str], number: Callable[[Any], Any] = Fraction
) -> Iterator[list[Any]]:
    """The units after every step of the net, from ``h_0`` on.

    Each symbol is an input vector with a single 1, at the step at which a transition is chosen; the two
    other steps of a symbol have an input of zeros.

    Args:
      net: of `stack_net`.
      text: symbols, the end symbol among them.
      number: of the arithmetic: ``Fraction`` is exact, ``float`` and ``np.float32`` round.

    Raises:
      ValueError: on a symbol that the net does not know.
    """

    def fed() -> Iterator[str | None]:
        for symbol in text:
            if symbol not in net.symbols:
                known = ", ".join(map(repr, net.symbols))
                raise ValueError(f"text: got the symbol {symbol!r}, allowed are {known}")
            yield from (None, symbol, None)

    return sparse_steps(net, net.symbols, fed(), number)


def sparse_steps(
    net: Any, symbols: tuple[str, ...], fed: Iterable[str | None], number: Callable[[Any], Any]
) -> Iterator[list[Any]]:
    """``h_0``, and ``h_t = σ(W h_{t-1} + U x_t + b)`` for each input.

    Args:
      net: with W, U, b and h0, entries `Fraction`.
      symbols: in the order of the columns of U.
      fed: of each step a symbol, whose column is added, or ``None``.
      number: of the arithmetic.
    """
    # Most weights are 0; a list of the others makes a step short, and changes nothing in the sum.
    rows = [[(j, number(w)) for j, w in enumerate(row) if w != 0] for row in net.W]
    columns = {symbol: [number(u) for u in net.U[:, j]] for j, symbol in enumerate(symbols)}
    b, zero, one = [number(v) for v in net.b], number(0), number(1)
    h = [number(v) for v in net.h0]
    yield h
    for symbol in fed:
        z = b if symbol is None else [p + q for p, q in zip(b, columns[symbol])]
        h = [min(one, max(zero, sum((w * h[j] for j, w in row), start))) for row, start in zip(rows, z)]
        yield h


def accepts(
    net: StackNet, text: Iterable[str], end: str = "$", number: Callable[[Any], Any] = Fraction
) -> bool:
    """Whether the net says yes to a text.

    Args:
      net: of `stack_net`.
      text: symbols without the end.
      end: the automaton's end symbol, put after it.
      number: see `states`.

    Example:
      >>> net = stack_net(anbn())
      >>> [accepts(net, word) for word in ("", "ab", "aaabbb", "aab", "abab")]
      [True, True, True, False, False]
    """
    (last,) = deque(states(net, [*text, end], number), maxlen=1)
    return bool(last[net.accept] == 1)


def anbn() -> Automaton:
    """Accepts ``aⁿbⁿ``, n = 0, 1, …: push for an a, pop for a b, no a after a b."""
    tops: tuple[Top, ...] = ("empty", "1")
    transitions: dict[tuple[str, str, Top], tuple[str, Action]] = {
        **{("as", "a", top): ("as", "push 1") for top in tops},
        ("as", "b", "1"): ("bs", "pop"),
        ("bs", "b", "1"): ("bs", "pop"),
        ("as", "$", "empty"): ("yes", "keep"),
        ("bs", "$", "empty"): ("yes", "keep"),
    }
    return Automaton(transitions, "as", "$", "yes")


def brackets() -> Automaton:
    """Accepts the balanced texts of two kinds of bracket, ``()`` and ``[]``."""
    transitions: dict[tuple[str, str, Top], tuple[str, Action]] = {
        **{("in", "(", top): ("in", "push 0") for top in TOPS},
        **{("in", "[", top): ("in", "push 1") for top in TOPS},
        ("in", ")", "0"): ("in", "pop"),
        ("in", "]", "1"): ("in", "pop"),
        ("in", "$", "empty"): ("yes", "keep"),
    }
    return Automaton(transitions, "in", "$", "yes")


def _check(automaton: Automaton) -> None:
    for (_, symbol, top), (_, action) in automaton.transitions.items():
        if top not in TOPS:
            raise ValueError(f"transitions: got the top {top!r}, allowed are {', '.join(TOPS)}")
        if action not in ACTIONS:
            raise ValueError(f"transitions: got the action {action!r}, allowed are {', '.join(ACTIONS)}")
        if action == "pop" and top == "empty":
            raise ValueError(
                f"transitions: got a pop of the empty stack (on {symbol!r}), there is nothing there"
            )
