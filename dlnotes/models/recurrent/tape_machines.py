"""Turing machines with one tape as tables, and three that are known well.

They are what `dlnotes.models.recurrent.turing_machine` runs as a recurrent net.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Move = Literal["left", "right", "stay"]
MOVES: tuple[Move, ...] = ("left", "right", "stay")
BLANK = "_"


class TuringMachine(NamedTuple):
    """A deterministic machine with one tape that is blank on both sides of the input.

    Attributes:
      transitions: (state, symbol read) → (new state, symbol written, move of the head). It halts
        where there is none.
      start: the first state; the head is on the first symbol of the input then.
      accept: states in which halting says yes; may be empty.
    """

    transitions: Mapping[tuple[str, str], tuple[str, str, Move]]
    start: str
    accept: tuple[str, ...] = ()


def increment() -> TuringMachine:
    """Adds 1 to a binary number, the most significant digit first."""
    transitions: dict[tuple[str, str], tuple[str, str, Move]] = {
        ("to the end", "0"): ("to the end", "0", "right"),
        ("to the end", "1"): ("to the end", "1", "right"),
        ("to the end", BLANK): ("carry", BLANK, "left"),
        ("carry", "1"): ("carry", "0", "left"),
        ("carry", "0"): ("done", "1", "stay"),
        ("carry", BLANK): ("done", "1", "stay"),
    }
    return TuringMachine(transitions, "to the end", ("done",))


def palindromes() -> TuringMachine:
    """Accepts texts of a and b that read the same from both ends, in about n²/2 moves for n symbols."""
    transitions: dict[tuple[str, str], tuple[str, str, Move]] = {("first", BLANK): ("yes", BLANK, "stay")}
    for a in "ab":
        transitions[("first", a)] = (f"keep {a}", BLANK, "right")
        for b in "ab":
            transitions[(f"keep {a}", b)] = (f"keep {a}", b, "right")
            transitions[("return", b)] = ("return", b, "left")
        transitions[(f"keep {a}", BLANK)] = (f"last is {a}", BLANK, "left")
        transitions[(f"last is {a}", a)] = ("return", BLANK, "left")
        # Of an odd number of symbols the middle one is compared with nothing.
        transitions[(f"last is {a}", BLANK)] = ("yes", BLANK, "stay")
    transitions[("return", BLANK)] = ("first", BLANK, "right")
    return TuringMachine(transitions, "first", ("yes",))


_BEAVERS = {2: "1RB1LB 1LA1RH", 3: "1RB1RH _RC1RB 1LC1LA", 4: "1RB1LB 1LA_LC 1RH1LD 1RD_RA"}


def busy_beaver(states: int) -> TuringMachine:
    """The machine of so many states that writes the most ones on a blank tape before it halts.

    Args:
      states: 2, 3 or 4; it writes 4, 6 or 13 ones.

    Raises:
      ValueError: for another number.

    Source: Radó, 1962; Lin and Radó, 1965; Brady, 1983.
    """
    if states not in _BEAVERS:
        raise ValueError(f"states: got {states}, allowed are {', '.join(map(str, _BEAVERS))}")
    table = _BEAVERS[states].split()
    moves: dict[str, Move] = {"L": "left", "R": "right"}
    transitions: dict[tuple[str, str], tuple[str, str, Move]] = {}
    for state, row in zip("ABCD", table):
        for read, (write, move, after) in zip((BLANK, "1"), (row[:3], row[3:])):
            transitions[(state, read)] = (after, write, moves[move])
    return TuringMachine(transitions, "A", ("H",))


def alphabet(machine: TuringMachine) -> set[str]:
    """The symbols of its transitions."""
    return {a for _, a in machine.transitions} | {a for _, a, _ in machine.transitions.values()}
