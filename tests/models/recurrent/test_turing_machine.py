"""The net of a Turing machine against a plain simulator, known numbers, and Python's own answers."""

from fractions import Fraction
from itertools import islice, product

import numpy as np
import pytest

from dlnotes.models.recurrent.tape_machines import (
    BLANK,
    TuringMachine,
    busy_beaver,
    increment,
    palindromes,
)
from dlnotes.models.recurrent.turing_machine import STEPS_PER_MOVE, configurations, run, turing_net

INCREMENT, PALINDROMES = turing_net(increment()), turing_net(palindromes())


def simulate(machine, text, most=1000):
    """State, tape by place, head and number of moves, by a dictionary."""
    tape, state, head, moves = dict(enumerate(text)), machine.start, 0, 0
    while (state, tape.get(head, BLANK)) in machine.transitions and moves < most:
        state, tape[head], move = machine.transitions[state, tape.get(head, BLANK)]
        head += {"left": -1, "stay": 0, "right": 1}[move]
        moves += 1
    return state, tape, head, moves


def written(tape):
    places = [p for p, a in tape.items() if a != BLANK]
    text = "".join(tape.get(p, BLANK) for p in range(min(places), max(places) + 1)) if places else ""
    return text, min(places, default=0)


@pytest.mark.parametrize("n", range(18))
def test_numbers_grow_by_one(n):
    found = run(INCREMENT, f"{n:b}")
    assert int(found.tape, 2) == n + 1
    assert found.accepted


def test_palindromes_of_all_short_texts():
    texts = ["".join(t) for n in range(5) for t in product("ab", repeat=n)]
    assert [run(PALINDROMES, t).accepted for t in texts] == [t == t[::-1] for t in texts]


@pytest.mark.parametrize(("states", "ones", "moves"), [(2, 4, 6), (3, 6, 14), (4, 13, 107)])
def test_busy_beavers_have_their_known_numbers(states, ones, moves):
    found = run(turing_net(busy_beaver(states)))
    assert found.tape.count("1") == ones
    assert found.moves == moves
    assert found.state == "H"


def random_machine(rng):
    states, symbols = [f"s{i}" for i in range(rng.integers(1, 5))], [BLANK, "x", "y", "z"]
    symbols = symbols[: rng.integers(2, 5)]
    return TuringMachine(
        {
            (s, a): (
                str(rng.choice([*states, "end"])),
                str(rng.choice(symbols)),
                str(rng.choice(["left", "right", "stay"])),
            )
            for s in states
            for a in symbols
            if rng.random() < 0.85
        },
        "s0",
        ("end",),
    )


def test_random_machines_move_by_move():
    rng, halted = np.random.default_rng(0), 0
    for _ in range(30):
        machine = random_machine(rng)
        known = {a for rule in machine.transitions.items() for a in (rule[0][1], rule[1][1])} - {BLANK}
        if not machine.transitions:
            continue
        text = "".join(rng.choice(sorted(known), rng.integers(0, 5))) if known else ""
        net = turing_net(machine)
        state, tape, head, moves = simulate(machine, text, 25)
        skipped = 2 * len(text) + 2
        for k, (found, left, right) in enumerate(
            islice(configurations(net, text), skipped, skipped + moves + 1)
        ):
            at, cells, place, _ = simulate(machine, text, k)
            assert found == at
            longest = range(1, 40)
            assert [cells.get(place - i, BLANK) for i in longest] == list(left[::-1].ljust(39, BLANK))[:39]
            assert [cells.get(place + i, BLANK) for i in range(39)] == list(right.ljust(39, BLANK))[:39]
        if (state, tape.get(head, BLANK)) not in machine.transitions:
            halted += 1
            found = run(net, text)
            text_left, first = written(tape)
            assert (found.tape, found.state, found.moves) == (text_left, state, moves)
            assert found.accepted == (state == "end")
            if text_left:
                assert found.head == head - first
    assert halted > 8


def test_steps_of_the_net_for_a_move_and_for_a_symbol_are_constant():
    for text in ("", "1", "1011", "1" * 30):
        found = run(INCREMENT, text)
        assert found.steps == STEPS_PER_MOVE * (found.moves + 2 * len(text) + 2)
    found = run(PALINDROMES, "ab")  # halts where there is no transition: one move of the net more
    assert found.steps == STEPS_PER_MOVE * (found.moves + 1 + 2 * 2 + 2)
    assert all(
        isinstance(w, Fraction) for w in (*PALINDROMES.W.ravel(), *PALINDROMES.U.ravel(), *PALINDROMES.b)
    )


def test_a_long_tape_is_exact_and_floats_lose_it():
    text = "1" * 60
    assert run(INCREMENT, text).tape == "1" + "0" * 60
    with pytest.raises(RuntimeError, match="round"):
        run(INCREMENT, text, number=float)
    # Two symbols make digits to base four, which floats hold as long as the tape is short.
    assert run(turing_net(busy_beaver(4)), number=float) == run(turing_net(busy_beaver(4)))


def test_errors():
    with pytest.raises(ValueError, match="symbol '2'"):
        run(INCREMENT, "12")
    with pytest.raises(ValueError, match=r"symbol '\$'"):
        run(INCREMENT, "1$")
    with pytest.raises(ValueError, match="symbol '_'"):
        run(INCREMENT, "1_")
    forever = TuringMachine({("s", BLANK): ("s", BLANK, "right")}, "s")
    with pytest.raises(RuntimeError, match="not halted after 7 moves"):
        run(turing_net(forever), most=7)
    with pytest.raises(ValueError, match="most: got 0"):
        run(INCREMENT, "1", most=0)
    for wrong, words in (
        ({}, "got none"),
        ({("s", "ab"): ("s", "x", "left")}, "symbol 'ab'"),
        ({("s", "a"): ("s", "a", "up")}, "move 'up'"),
        ({("load the input", "a"): ("s", "a", "left")}, "for itself"),
    ):
        with pytest.raises(ValueError, match=words):
            turing_net(TuringMachine(wrong, "s"))
    with pytest.raises(ValueError, match="states: got 7"):
        busy_beaver(7)
