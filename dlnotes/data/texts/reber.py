"""The (embedded) Reber grammar: variable-length strings, grammatical or with one wrong symbol.

The grammar is an automaton with seven symbols. In the embedded form a Reber string stands between two
copies of T or of P, ``B (T|P) <Reber string> (the same T|P) E``: the last choice but one must be
remembered across everything in between, which makes it a test of long memory.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from dlnotes.data.assemble import assemble, length_mask, pad
from dlnotes.data.dataset import Dataset
from dlnotes.data.split import split_indices

ALPHABET = "BTPSXVE"
SYMBOLS = ("<pad>", *ALPHABET)
_REBER = (  # state -> symbol -> next state; the string begins with B before state 0 and ends in state 6
    {"T": 1, "P": 2},
    {"S": 1, "X": 3},
    {"T": 2, "V": 4},
    {"X": 2, "S": 5},
    {"P": 3, "V": 5},
    {"E": 6},
    {},
)


@cache
def automaton(embedded: bool = True) -> tuple[dict[str, int], ...]:
    """Transitions ``table[state][symbol] -> state``; state 0 begins, the last state accepts."""
    inner = len(_REBER) + 1  # states of a whole Reber string, its B included
    if not embedded:
        return ({"B": 1}, *({s: t + 1 for s, t in row.items()} for row in _REBER))
    table: list[dict[str, int]] = [{"B": 1}, {}]
    closings = []
    for branch, symbol in enumerate("TP"):
        first = 2 + branch * inner
        table[1][symbol] = first
        table.append({"B": first + 1})
        table += [{s: t + first + 1 for s, t in row.items()} for row in _REBER]
        closings.append(len(table) - 1)
    last = len(table)
    for state, symbol in zip(closings, "TP"):
        table[state][symbol] = last
    return (*table, {"E": last + 1}, {})


def is_grammatical(string: str, *, embedded: bool = True) -> bool:
    """Whether the automaton accepts the string.

    >>> is_grammatical("BTBTXSETE"), is_grammatical("BTBTXSEPE")
    (True, False)
    """
    table = automaton(embedded)
    state = 0
    for symbol in string:
        following = table[state].get(symbol)
        if following is None:
            return False
        state = following
    return state == len(table) - 1


def _counts(table: tuple[dict[str, int], ...], longest: int) -> list[list[int]]:
    """``counts[k][state]``: how many strings of ``k`` symbols lead from a state to acceptance."""
    counts = [[0] * (len(table) - 1) + [1]]
    for _ in range(longest):
        before = counts[-1]
        counts.append([sum(before[target] for target in row.values()) for row in table])
    return counts


def _draw(table: tuple[dict[str, int], ...], counts: list[list[int]], length: int, rng) -> str:
    """One string of ``length``, uniform among those that the automaton accepts."""
    state, symbols = 0, []
    for left in range(length - 1, -1, -1):
        moves = list(table[state].items())
        ways = np.array([counts[left][target] for _, target in moves], float)
        symbol, state = moves[rng.choice(len(moves), p=ways / ways.sum())]
        symbols.append(symbol)
    return "".join(symbols)


def reber(
    *,
    n: int = 2000,
    min_length: int = 9,
    max_length: int = 40,
    embedded: bool = True,
    validation: float | int = 0.1,
    test: float | int = 0.2,
    seed: int = 0,
) -> Dataset:
    """Strings of the embedded Reber grammar: is the string grammatical?

    Half of the strings are accepted by the automaton: a length is drawn uniformly from those allowed,
    then a string uniformly among the grammatical ones of that length. The other half are such
    strings with one symbol replaced at a random place, drawn again until the automaton refuses them.
    All strings are different, so none is in two parts. Input "tokens" ``(n, max_length)`` with mask;
    symbol 0 is padding. Classes: "ungrammatical", "grammatical".

    Args:
      n: number of strings.
      min_length: shortest length, in symbols.
      max_length: longest length.
      embedded: whether the embedded grammar is used, or the plain one.
      validation: share or number of strings for validation.
      test: the same for the test part.
      seed: of the strings and of the split.

    Raises:
      ValueError: when the lengths allow too few different strings.

    Source: Reber, 1967; Hochreiter and Schmidhuber, 1997, Long short-term memory, experiment 1.
    """
    if n < 4:
        raise ValueError(f"n: got {n}, at least 4 strings are needed")
    if not 1 <= min_length <= max_length:
        raise ValueError(
            f"min_length, max_length: got {min_length}, {max_length}, allowed is 1 <= min <= max"
        )
    table = automaton(embedded)
    counts = _counts(table, max_length)
    lengths = [k for k in range(min_length, max_length + 1) if counts[k][0]]
    available = sum(counts[k][0] for k in lengths)
    if available < 2 * n:
        raise ValueError(
            f"n: got {n}, but lengths {min_length}..{max_length} allow only {available} grammatical "
            f"strings, too few for {n} different examples: at most {available // 2}"
        )
    rng = np.random.default_rng(seed)
    drawn: dict[str, None] = {}
    left = {k: counts[k][0] for k in lengths}
    while len(drawn) < n:  # one for each example, half of them to be spoilt
        open_lengths = [k for k in lengths if left[k] > counts[k][0] // 2]  # half used: draws repeat
        length = int(rng.choice(open_lengths))
        string = _draw(table, counts, length, rng)
        if string not in drawn:
            drawn[string] = None
            left[length] -= 1
    strings = list(drawn)
    y = np.arange(n) % 2
    seen = set(strings)
    for row in np.flatnonzero(y == 0):
        strings[row] = _spoil(strings[row], seen, embedded, rng)
    sizes = [len(s) for s in strings]
    return assemble(
        "reber",
        pad([[SYMBOLS.index(c) for c in s] for s in strings], max_length),
        y,
        split_indices(n, validation=validation, test=test, seed=seed, stratify=y),
        input="tokens",
        task="classification",
        outputs=2,
        mask=length_mask(sizes, max_length),
        classes=("ungrammatical", "grammatical"),
        symbols=SYMBOLS,
    )


def _spoil(string: str, seen: set[str], embedded: bool, rng) -> str:
    """The string with one symbol replaced, ungrammatical and not seen before (which ``seen`` notes)."""
    while True:
        place = int(rng.integers(len(string)))
        symbol = ALPHABET[int(rng.integers(len(ALPHABET)))]
        wrong = string[:place] + symbol + string[place + 1 :]
        if wrong not in seen and not is_grammatical(wrong, embedded=embedded):
            seen.add(wrong)
            return wrong
