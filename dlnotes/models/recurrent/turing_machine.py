"""A recurrent net with set rational weights that runs a Turing machine exactly: two stacks are a tape.

The notes: a recurrent net with connections between hidden units can compute what a Turing machine computes,
in a number of steps that is linear in the machine's steps and in the length of the input. As in
`dlnotes.models.recurrent.stack_machine`, all units are alike,

    ``h_t = σ(W h_{t-1} + U x_t + b)``,  ``σ(z) = min(1, max(0, z))``,

and a stack is a number: the symbol i of m is the digit 2i + 1 of ``q = Σ_j d_j (2m)^{-j}``, the top one
first, and the empty stack is 0. One stack holds the tape left of the head, the symbol next to it on top,
the other the rest from the head on. Symbol 0 is the blank, and beyond the end of a stack there are blanks:
an empty stack reads like one with a blank on top. For i ≥ 1

    ``at least i on top = σ(2m q − 2i)``,  pop ``σ(2m q − 1 − 2 Σ_i (at least i))``,
    push ``(q + 2i + 1)/2m``,

which needs no case for the empty stack. Moving the head is a pop on one side and a push on the other.

The input comes symbol by symbol, and then its end. With `fractions.Fraction` everything is exact.

Source: notes R9.10; Siegelmann and Sontag, 1995.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from dlnotes.checks import positive
from dlnotes.models.recurrent.stack_machine import sparse_steps
from dlnotes.models.recurrent.tape_machines import BLANK, MOVES, Move, TuringMachine, alphabet

END = "$"
"""The symbol that is read after the last one of the input."""

STEPS_PER_MOVE = 3
"""Steps of the net for one of the machine's, or for a symbol of the input: read, choose, change."""

_LOAD, _BACK, _HALTED = "load the input", "back to the first symbol", ", halted"


class TuringNet(NamedTuple):
    """``h_t = σ(W h_{t-1} + U x_t + b)`` with ``σ(z) = min(1, max(0, z))``; entries are `Fraction`.

    Attributes:
      W: (units, units).
      U: (units, input symbols).
      b: (units,).
      h0: (units,), the start: an empty tape, waiting for input.
      inputs: symbols in the order of the columns of U, the end among them.
      symbols: of the tape, the blank first.
      units: what each unit stands for, in the order of the rows.
      machine: that is run.
    """

    W: np.ndarray
    U: np.ndarray
    b: np.ndarray
    h0: np.ndarray
    inputs: tuple[str, ...]
    symbols: tuple[str, ...]
    units: tuple[str, ...]
    machine: TuringMachine


class Halted(NamedTuple):
    """Where a machine is when it halts.

    Attributes:
      tape: what is written, without the blanks at both ends.
      state: in which it halted.
      accepted: whether that is one of its accepting states.
      moves: how often the machine moved, the loading of the input not counted.
      steps: how many steps the net took in all.
      head: place of the head, 0 being the first symbol of the tape as given here; it may lie outside.
    """

    tape: str
    state: str
    accepted: bool
    moves: int
    steps: int
    head: int


def turing_net(machine: TuringMachine) -> TuringNet:
    """The net that runs a machine, three steps for each of its moves.

    The units form three groups, each a function of the one before it:

    * read: the state and both stacks copied, and ``at least i`` of both tops;
    * choose: a unit for each transition, ``σ(s + [i on top] − 1)``, where 1 says that i is on top: at least i
      and not at least i + 1; and both stacks, as they are and popped;
    * change: both new stacks for each (move, symbol written), let through where it was chosen, as in
      ``σ((q + 2i + 1)/2m + g − 1)`` with g = 1 or 0, and the new state.

    A stack is the sum of its units of the last group, of which one is not 0. Symbols of the input are
    transitions too: from a state that waits for them they write themselves and move right, so that the input
    lies left of the head; at its end the head goes back to the first symbol.

    Args:
      machine: see `TuringMachine`.

    Raises:
      ValueError: for a symbol that is not one character or is the end, a move that does not exist, a state
        that the net has for itself, or a machine without transitions.

    Source: notes R9.10.

    Example:
      >>> from dlnotes.models.recurrent.tape_machines import increment
      >>> net = turing_net(increment())
      >>> net.W.shape[0], run(net, "1011").tape
      (51, '1100')
    """
    _check(machine)
    symbols = (BLANK, *sorted(alphabet(machine) - {BLANK}))
    inputs = (*symbols[1:], END)
    rules, states = _with_loading(machine, symbols)
    m = len(symbols)
    actions = sorted({(move, written) for _, written, move in rules.values()})
    above = range(1, m)
    units = (
        *(f"read {s}" for s in states),
        *(f"read {side}" for side in ("left", "right")),
        *(f"read {side} at least {i}" for side in ("left", "right") for i in above),
        *(f"choose {s} {a}" for s, a in rules),
        *(f"choose {s}" for s in states if _halts(s, rules)),
        *(f"choose {side}{popped}" for side in ("left", "right") for popped in ("", " popped")),
        *(f"choose left at least {i}" for i in above),
        *(f"change {s}" for s in states),
        *(f"change {side} {move} {w}" for side in ("left", "right") for move, w in (*actions, ("keep", ""))),
    )
    at = {name: i for i, name in enumerate(units)}
    W = np.full((len(units), len(units)), Fraction(0), dtype=object)
    U = np.full((len(units), len(inputs)), Fraction(0), dtype=object)
    b = np.full(len(units), Fraction(0), dtype=object)

    def add(unit: str, weights: Mapping[str, int | Fraction], bias: int | Fraction = 0) -> None:
        for source, weight in weights.items():
            W[at[unit], at[source]] += Fraction(weight)
        b[at[unit]] += Fraction(bias)

    def stack(side: str, times: int) -> dict[str, int | Fraction]:
        return {f"change {side} {move} {w}": times for move, w in (*actions, ("keep", ""))}

    for state in states:
        add(f"read {state}", {f"change {state}": 1})
    for side in ("left", "right"):
        add(f"read {side}", stack(side, 1))
        for i in above:
            add(f"read {side} at least {i}", stack(side, 2 * m), -2 * i)

    for (state, symbol), _ in rules.items():
        unit = f"choose {state} {symbol}"
        add(unit, {f"read {state}": 1}, -1)
        if state == _LOAD:
            U[at[unit], inputs.index(symbol)] = Fraction(1)
            continue
        i = symbols.index(symbol)
        # [i on top] = (at least i) − (at least i + 1); at least 0 is always so.
        add(unit, {f"read right at least {i}": 1} if i else {}, 0 if i else 1)
        add(unit, {f"read right at least {i + 1}": -1} if i + 1 < m else {})
    for state in states:
        if _halts(state, rules):
            add(f"choose {state}", {f"read {state}": 1})
    for side in ("left", "right"):
        add(f"choose {side}", {f"read {side}": 1})
        popped = f"choose {side} popped"
        add(popped, {f"read {side}": 2 * m} | {f"read {side} at least {i}": -2 for i in above}, -1)
    for i in above:
        add(f"choose left at least {i}", {f"read left at least {i}": 1})

    part = Fraction(1, 2 * m)
    for move, written in actions:
        digit = 2 * symbols.index(written) + 1
        left, right = f"change left {move} {written}", f"change right {move} {written}"
        # The right stack begins with the symbol under the head: it is popped, and what is written pushed.
        if move == "right":
            add(left, {"choose left": part}, part * digit - 1)
            add(right, {"choose right popped": 1}, -1)
        elif move == "stay":
            add(left, {"choose left": 1}, -1)
            add(right, {"choose right popped": part}, part * digit - 1)
        else:
            add(left, {"choose left popped": 1}, -1)
            under = {f"choose left at least {i}": 2 * part for i in above}
            add(right, {"choose right popped": part**2} | under, part**2 * digit + part - 1)
    for side in ("left", "right"):
        add(f"change {side} keep ", {f"choose {side}": 1}, -1)
    for (state, symbol), (after, written, move) in rules.items():
        chosen = {f"choose {state} {symbol}": 1}
        for unit in (f"change {after}", f"change left {move} {written}", f"change right {move} {written}"):
            add(unit, chosen)
    for state in states:
        if _halts(state, rules):
            for unit in (f"change {state}", "change left keep ", "change right keep "):
                add(unit, {f"choose {state}": 1})

    h0 = np.full(len(units), Fraction(0), dtype=object)
    h0[at[f"change {_LOAD}"]] = Fraction(1)
    return TuringNet(W, U, b, h0, inputs, symbols, units, machine)


def states(
    net: TuringNet, text: Iterable[str], number: Callable[[Any], Any] = Fraction
) -> Iterator[list[Any]]:
    """The units after every step of the net, from ``h_0`` on, without end.

    Each symbol is an input vector with a single 1, at the second of its three steps; the end symbol follows.
    Afterwards all inputs are zeros.

    Args:
      net: of `turing_net`.
      text: symbols of the input, without the end.
      number: of the arithmetic: ``Fraction`` is exact, ``float`` and ``np.float32`` round.

    Raises:
      ValueError: on a symbol that the net does not know, or a blank.
    """

    def fed() -> Iterator[str | None]:
        for symbol in (*text, END):
            if symbol not in net.inputs or (symbol == END and symbol in text):
                known = ", ".join(map(repr, net.inputs[:-1]))
                raise ValueError(f"text: got the symbol {symbol!r}, allowed are {known}")
            yield from (None, symbol, None)
        while True:
            yield None

    text = tuple(text)
    return sparse_steps(net, net.inputs, fed(), number)


def run(
    net: TuringNet, text: Iterable[str] = "", *, most: int = 100_000, number: Callable[[Any], Any] = Fraction
) -> Halted:
    """Run the net until its machine halts.

    Args:
      net: of `turing_net`.
      text: symbols of the input; on an empty one the machine starts on a blank tape.
      most: moves of the machine after which it is given up.
      number: see `states`.

    Raises:
      ValueError: on symbols that the net does not know.
      RuntimeError: when the machine has not halted after ``most`` moves.

    Example:
      >>> from dlnotes.models.recurrent.tape_machines import busy_beaver
      >>> run(turing_net(busy_beaver(3))).tape
      '111111'
    """
    positive(most=most)
    text = tuple(text)
    working = -1
    left = right = name = ""
    k = apart = 0
    for k, (state, left, right) in enumerate(configurations(net, text, number)):  # noqa: B007
        if state not in (_LOAD, _BACK):
            working = k if working < 0 else working
            name, apart = (state[: -len(_HALTED)], 1) if state.endswith(_HALTED) else (state, 0)
            if apart or state not in {s for s, _ in net.machine.transitions}:
                break
            if k - working >= most:
                raise RuntimeError(f"most: the machine has not halted after {most} moves")
    tape = left + right
    bare = tape.lstrip(BLANK)
    return Halted(
        tape=bare.rstrip(BLANK),
        state=name,
        accepted=name in net.machine.accept,
        moves=k - working - apart,
        steps=STEPS_PER_MOVE * k,
        head=len(left) - (len(tape) - len(bare)),
    )


def configurations(
    net: TuringNet, text: Iterable[str] = "", number: Callable[[Any], Any] = Fraction
) -> Iterator[tuple[str, str, str]]:
    """State, tape left of the head, and tape from the head on; before the first move and after each.

    It has no end. Loading the input counts as moves: one for each symbol and the end, and as many back.

    Args:
      net, text, number: as of `states`.

    Raises:
      ValueError: on symbols that the net does not know.
      RuntimeError: when rounding has left no configuration.
    """
    named = {net.units.index(f"change {s}"): s for s in _states(net)}
    sides = [
        [i for i, unit in enumerate(net.units) if unit.startswith(f"change {side} ")]
        for side in ("left", "right")
    ]
    for k, h in enumerate(states(net, text, number)):
        if k % STEPS_PER_MOVE:
            continue
        at = [s for i, s in named.items() if h[i] == 1]
        if len(at) != 1:
            raise RuntimeError(f"number: after {k} steps no state is left, {number.__name__} has rounded it")
        left, right = (
            _unstacked(sum((Fraction(h[i]) for i in side), Fraction(0)), net.symbols) for side in sides
        )
        yield at[0], left[::-1], right


def _unstacked(q: Fraction, symbols: tuple[str, ...]) -> str:
    """The symbols of a stack, the top one first."""
    found = ""
    while q > 0:
        digit, q = divmod(q * 2 * len(symbols), 1)
        if digit % 2 == 0:
            raise RuntimeError(f"number: the digit {digit} is none of a stack, it has been rounded")
        found += symbols[int(digit) // 2]
    return found


def _states(net: TuringNet) -> list[str]:
    return [unit.removeprefix("read ") for unit in net.units[: net.units.index("read left")]]


def _with_loading(
    machine: TuringMachine, symbols: tuple[str, ...]
) -> tuple[dict[tuple[str, str], tuple[str, str, Move]], list[str]]:
    """All transitions, those that load the input and those that halt among them, and all states."""
    own = sorted({machine.start} | {s for s, _ in machine.transitions})
    ends = sorted({s for s, _, _ in machine.transitions.values()} - set(own))
    rules: dict[tuple[str, str], tuple[str, str, Move]] = {
        (_LOAD, a): (_LOAD, a, "right") for a in symbols[1:]
    }
    rules[(_LOAD, END)] = (_BACK, BLANK, "left")
    rules |= {(_BACK, a): (_BACK, a, "left") for a in symbols[1:]}
    rules[(_BACK, BLANK)] = (machine.start, BLANK, "right")
    stopped = []
    for state in own:
        for a in symbols:
            if (state, a) in machine.transitions:
                rules[(state, a)] = machine.transitions[(state, a)]
            else:
                rules[(state, a)] = (state + _HALTED, a, "stay")
                stopped.append(state + _HALTED)
    return rules, [_LOAD, _BACK, *own, *ends, *dict.fromkeys(stopped)]


def _halts(state: str, rules: Mapping[tuple[str, str], Any]) -> bool:
    return all(s != state for s, _ in rules)


def _check(machine: TuringMachine) -> None:
    if not machine.transitions:
        raise ValueError("transitions: got none, needed is one or more")
    for a in sorted(alphabet(machine)):
        if len(a) != 1 or a == END:
            raise ValueError(
                f"transitions: got the symbol {a!r}, allowed is one character other than {END!r}"
            )
    for _, _, move in machine.transitions.values():
        if move not in MOVES:
            raise ValueError(f"transitions: got the move {move!r}, allowed are {', '.join(MOVES)}")
    for state in {s for s, _ in machine.transitions} | {s for s, _, _ in machine.transitions.values()}:
        if state in (_LOAD, _BACK) or state.endswith(_HALTED):
            raise ValueError(f"transitions: got the state {state!r}, which the net has for itself")
