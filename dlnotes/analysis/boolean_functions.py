"""Boolean functions, and the least number of hidden threshold units that compute them.

A function of n bits is a whole number: bit i of it is the value at input i, whose own bits are x₁ … x_n with
x₁ the lowest. A network computes f exactly when ``f(x) = c + Σ_j v_j h_j(x)`` at every input, where each
hidden unit is a threshold unit ``h(x) = [wᵀx > t]`` and the output is linear.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import permutations, product

import numpy as np

from dlnotes.checks import positive

LARGEST_WEIGHT = {1: 1, 2: 1, 3: 2, 4: 3, 5: 5}
"""Whole weights up to this size are enough for all threshold functions of n bits (Muroga 1971)."""


def inputs(n: int) -> np.ndarray:
    """All inputs in order, ``(2ⁿ, n)`` of 0 and 1."""
    return (np.arange(2**n)[:, None] >> np.arange(n)) & 1


def values(functions: np.ndarray | int, n: int) -> np.ndarray:
    """Their values at all inputs, ``(..., 2ⁿ)`` of 0 and 1.

    Example:
      >>> values(0b0110, 2)  # XOR
      array([0, 1, 1, 0])
    """
    return (np.asarray(functions, np.int64)[..., None] >> np.arange(2**n)) & 1


def number(bits: np.ndarray) -> np.ndarray:
    """The functions with these values: the inverse of `values`."""
    return np.asarray(bits, np.int64) @ (1 << np.arange(np.shape(bits)[-1], dtype=np.int64))


@cache
def threshold_functions(n: int) -> np.ndarray:
    """All functions of n ≤ 5 bits that one threshold unit computes, in order; the two constants too.

    Raises:
      ValueError: when n is not from 1 to 5.

    Source: Muroga 1971; OEIS A000609; notes F4.9.

    Example:
      >>> [len(threshold_functions(n)) for n in (1, 2, 3, 4)]
      [4, 14, 104, 1882]
    """
    if n not in LARGEST_WEIGHT:
        raise ValueError(f"n: got {n}, allowed are 1 to {max(LARGEST_WEIGHT)} bits")
    m = LARGEST_WEIGHT[n]
    weights = np.stack(np.meshgrid(*[np.arange(-m, m + 1)] * n, indexing="ij"), -1).reshape(-1, n)
    sums = (weights @ inputs(n).T).astype(np.int8)
    found = [np.unique(number(sums > t)) for t in range(-n * m - 1, n * m + 1)]
    return np.unique(np.concatenate(found))


@cache
def _hidden(n: int) -> np.ndarray:
    """The threshold functions that can differ as hidden units: no constants, of h and 1 − h one."""
    all = threshold_functions(n)
    return all[(all % 2 == 0) & (all > 0)]


@cache
def _symmetries(n: int) -> np.ndarray:
    """Where each input goes when bits change places and are negated, ``(n! 2ⁿ, 2ⁿ)``."""
    x, powers = inputs(n), 1 << np.arange(n)
    return np.array(
        [(x[:, list(p)] ^ s) @ powers for p in permutations(range(n)) for s in product((0, 1), repeat=n)]
    )


def _spread(found: np.ndarray, n: int) -> np.ndarray:
    """All functions that become a found one when bits change places or are negated."""
    out, every = found.copy(), values(np.arange(len(found)), n)
    for moved in _symmetries(n):
        out |= found[number(every[:, moved])]
    return out


@cache
def _labelings(present: int, k: int) -> np.ndarray:
    """Values of 0 and 1 of k units' joint answers that are ``c + Σ v_j h_j``, ``(labelings, 2ᵏ)``.

    Args:
      present: which joint answers occur, as a number; of the others the value does not matter.
      k: number of units.
    """
    cells = [i for i in range(2**k) if present >> i & 1]
    rows = [[Fraction(1), *(Fraction(i >> j & 1) for j in range(k))] for i in cells]
    chosen: list[int] = []
    reduced: list[tuple[int, list[Fraction]]] = []
    for place, row in enumerate(rows):  # cells of which no row is a sum of the others'
        row = row.copy()
        for pivot, other in reduced:
            row = [a - row[pivot] * b for a, b in zip(row, other)]
        pivot = next((i for i, v in enumerate(row) if v), None)
        if pivot is not None:
            reduced.append((pivot, [v / row[pivot] for v in row]))
            chosen.append(place)
    found = []
    for bits in product((0, 1), repeat=len(chosen)):
        weights = _solve([rows[i] for i in chosen], bits)
        answers = [sum((a * b for a, b in zip(row, weights)), Fraction(0)) for row in rows]
        if all(v in (0, 1) for v in answers):
            label = np.zeros(2**k, np.uint8)
            label[cells] = [int(v) for v in answers]
            found.append(label)
    return np.array(found)


def _solve(rows: list[list[Fraction]], bits: tuple[int, ...]) -> list[Fraction]:
    """Some weights with ``rows · weights = bits``; the rows are independent."""
    table = [[*row, Fraction(bit)] for row, bit in zip(rows, bits)]
    size, pivots = len(rows[0]) if rows else 0, []
    for i in range(len(table)):
        pivot = next(j for j in range(size) if table[i][j])
        table[i] = [v / table[i][pivot] for v in table[i]]
        pivots.append(pivot)
        for j in range(len(table)):
            if j != i and table[j][pivot]:
                table[j] = [a - table[j][pivot] * b for a, b in zip(table[j], table[i])]
    weights = [Fraction(0)] * size
    for row, pivot in zip(table, pivots):
        weights[pivot] = row[-1]
    return weights


def _combined(units: np.ndarray, n: int) -> np.ndarray:
    """All functions that sets of k units compute with a linear output, from ``(sets, k)`` functions."""
    k = units.shape[1]
    cells = np.zeros((len(units), 2**n), np.int64)
    for j in range(k):
        cells |= values(units[:, j], n) << j
    present = np.bitwise_or.reduce(np.int64(1) << cells, axis=1)
    found = []
    for mask in np.unique(present):
        labels = _labelings(int(mask), k)
        found.append(np.unique(number(labels[:, cells[present == mask]])))
    return np.unique(np.concatenate(found))


@cache
def least_units(n: int) -> np.ndarray:
    """The least number of hidden threshold units of every function of n ≤ 4 bits, ``(2^(2^n),)``.

    Sets of one, two and three units are tried exhaustively (for four bits the first unit up to the
    symmetries of the cube), and each set's functions are found in fractions. Functions that need more are
    sums or differences of one unit and a function that is known: it takes one unit more.

    Raises:
      ValueError: when n is not from 1 to 4.

    Source: notes F4.9.

    Example:
      >>> least_units(2)[[0b0000, 0b1000, 0b0110]].tolist()  # a constant, AND, XOR
      [0, 1, 2]
    """
    if n not in (1, 2, 3, 4):
        raise ValueError(f"n: got {n}, allowed are 1 to 4 bits; see units_between for more")
    hidden, all = _hidden(n), threshold_functions(n)
    units = np.full(2 ** (2**n), 99, np.int64)
    units[all] = 1
    units[[0, len(units) - 1]] = 0
    firsts = _one_of_each_kind(hidden, n)
    for k in (2, 3):
        if np.all(units < 99):
            break
        found = np.zeros(len(units), bool)
        for first in firsts:
            for rest in _rests(hidden, k):
                sets = np.column_stack([np.full(len(rest), first), rest])
                found[_combined(sets, n)] = True
        units[_spread(found, n) & (units == 99)] = k
    while np.any(units == 99):  # as many units as were tried are not enough for these
        k, unknown = int(units[units < 99].max()), np.flatnonzero(units == 99)
        reached = np.array([_after_one(int(f), all, units, k) for f in unknown])
        if not reached.any():
            raise AssertionError(f"no function of {k + 1} units was found from those of {k}")
        units[unknown[reached]] = k + 1
    return units


def _rests(hidden: np.ndarray, k: int) -> list[np.ndarray]:
    """The other units of a set of k, in parts, ``(sets, k − 1)`` each."""
    if k == 2:
        return [hidden[:, None]]
    return [
        np.column_stack([np.full(len(hidden) - i - 1, second), hidden[i + 1 :]])
        for i, second in enumerate(hidden[:-1])
    ]


def _one_of_each_kind(hidden: np.ndarray, n: int) -> np.ndarray:
    """Units of which none becomes another, or its opposite, when bits change places or are negated."""
    every = number(values(hidden, n)[:, _symmetries(n)])
    every = np.minimum(every, 2 ** (2**n) - 1 - every)
    return np.unique(every.min(1))


def _after_one(f: int, all: np.ndarray, units: np.ndarray, k: int) -> bool:
    """Whether f is a threshold function plus, or minus, a function of k units."""
    inside, around = all[(all & ~f) == 0], all[(f & ~all) == 0]
    return bool((units[f & ~inside] <= k).any() or (units[around & ~f] <= k).any())


def units_between(f: int, n: int = 5, *, beam: int = 200, most: int = 16) -> tuple[int, int]:
    """Between how many threshold units one function of n ≤ 5 bits needs: proven, and found.

    Whether one or two units are enough is decided: of two, one is inside f and the other is the rest, or
    one is around f and the other is what is too much. For more, such steps are repeated from the
    ``beam`` rests of which fewest neighboring inputs differ; a better network may exist.

    Raises:
      ValueError: when n or the beam is not allowed.

    Source: notes F4.9.

    Example:
      >>> units_between(0b01101001, 3)  # NOT parity of three bits: it needs three
      (3, 3)
    """
    positive(beam=beam)
    all = threshold_functions(n)
    full = 2 ** (2**n) - 1
    if f in (0, full):
        return 0, 0
    states, depth = np.array([f], np.int64), 1
    while not np.isin(states, all).any():
        if depth == most:
            raise ValueError(f"most: got {most}, no network with as many units was found")
        after = []
        for state in states:
            after.append(state & ~all[(all & ~state) == 0])
            after.append(all[(state & ~all) == 0] & ~state)
        states = np.unique(np.concatenate(after))
        changes = _changes(states, n)
        states = (
            states[np.argsort(changes, kind="stable")[:beam]]
            if depth > 1
            else _best(states, changes, all, beam)
        )
        depth += 1
    return min(depth, 3), depth


def _best(states: np.ndarray, changes: np.ndarray, all: np.ndarray, beam: int) -> np.ndarray:
    """The first rests: a threshold function if there is one, so that two units are decided."""
    done = np.isin(states, all)
    return states[done][:1] if done.any() else states[np.argsort(changes, kind="stable")[:beam]]


def _changes(functions: np.ndarray, n: int) -> np.ndarray:
    """How many pairs of neighboring inputs have different values."""
    bits, x = values(functions, n), np.arange(2**n)
    return np.sum([(bits != bits[:, x ^ (1 << i)]).sum(-1) for i in range(n)], axis=0) // 2


def one_unit_each(f: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """The network with one threshold unit for each input at which f is 1 (or 0, if those are fewer).

    Unit j is 1 at one input v only: ``[Σ_i (2v_i − 1) x_i > Σ_i v_i − ½]``.

    Returns:
      Weights ``(n, units)`` and thresholds ``(units,)`` of the hidden units, output weights ``(units,)`` and
      the constant: ``f(x) = c + Σ_j v_j [xᵀw_j > t_j]``.

    Source: notes F4.9.

    Example:
      >>> W, t, v, c = one_unit_each(0b0110, 2)
      >>> (c + (inputs(2) @ W > t) @ v).tolist()
      [0.0, 1.0, 1.0, 0.0]
    """
    bits = values(f, n)
    ones = 2 * bits.sum() <= len(bits)
    at = inputs(n)[bits == (1 if ones else 0)]
    return (2 * at - 1).T, at.sum(1) - 0.5, np.full(len(at), 1.0 if ones else -1.0), 0.0 if ones else 1.0
