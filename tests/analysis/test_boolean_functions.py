"""Threshold functions and least networks, against known numbers and exhaustive search in plain Python."""

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import linprog

from dlnotes.analysis import boolean_functions as boolean


def test_numbers_of_threshold_functions():
    """OEIS A000609."""
    assert [len(boolean.threshold_functions(n)) for n in (1, 2, 3, 4)] == [4, 14, 104, 1882]


@pytest.mark.slow
def test_number_of_threshold_functions_of_five_bits():
    assert len(boolean.threshold_functions(5)) == 94572


def test_threshold_functions_are_those_that_a_linear_program_separates():
    x, found = boolean.inputs(3), set(boolean.threshold_functions(3).tolist())
    for f in range(0, 256, 7):
        side = 2 * boolean.values(f, 3) - 1
        A = -side[:, None] * np.column_stack([x, np.ones(8)])
        answer = linprog(np.zeros(4), A_ub=A, b_ub=-np.ones(8), bounds=(None, None))
        assert (answer.status == 0) == (f in found)


def test_least_units_of_two_and_three_bits_by_rank():
    """In the span of 1 and k units exactly when the rank does not grow: whole matrices, all sets."""
    for n in (2, 3):
        hidden = boolean.values(boolean._hidden(n), n)
        found = boolean.least_units(n)
        some = range(16) if n == 2 else [*range(1, 256, 23), 105, 150]
        for f in some:
            target = boolean.values(f, n)
            want = next(
                k
                for k in range(5)
                for chosen in combinations(range(len(hidden)), k)
                if inside(hidden[list(chosen)], target)
            )
            assert found[f] == want, (n, f)


def inside(units, target):
    base = np.vstack([np.ones(len(target)), *units])
    left = np.linalg.lstsq(base.T, target, rcond=None)[0]
    return np.abs(base.T @ left - target).max() < 1e-9


def test_parity_needs_as_many_units_as_bits():
    for n in (2, 3):
        parity = int(boolean.number(boolean.inputs(n).sum(1) % 2))
        assert boolean.least_units(n)[parity] == n


def test_bounds_of_single_functions_hold_the_least_number():
    exact = boolean.least_units(3)
    for f in range(256):
        low, high = boolean.units_between(f, 3)
        assert low <= exact[f] <= high
        assert high == exact[f] or exact[f] > 2


def test_one_unit_for_each_configuration_computes_every_function():
    for n in (1, 2, 3):
        x = boolean.inputs(n)
        for f in range(2 ** (2**n)):
            W, t, v, c = boolean.one_unit_each(f, n)
            np.testing.assert_array_equal(c + (x @ W > t) @ v, boolean.values(f, n))
            assert len(v) <= 2 ** (n - 1)


@pytest.mark.slow
def test_all_functions_of_four_bits():
    units = boolean.least_units(4)
    assert units[int(boolean.number(boolean.inputs(4).sum(1) % 2))] == 4
    # Opposites, and functions with bits negated, need as many.
    np.testing.assert_array_equal(units, units[::-1])
    moved = boolean.number(boolean.values(np.arange(65536), 4)[:, np.arange(16) ^ 5])
    np.testing.assert_array_equal(units, units[moved])


def test_wrong_arguments():
    with pytest.raises(ValueError, match="n: got 6"):
        boolean.threshold_functions(6)
    with pytest.raises(ValueError, match="n: got 5, allowed are 1 to 4"):
        boolean.least_units(5)
    with pytest.raises(ValueError, match="beam"):
        boolean.units_between(6, 2, beam=0)
