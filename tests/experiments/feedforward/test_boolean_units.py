"""Counting bounds and greedy approximation, against sums written out and exhaustive choice."""

from itertools import combinations
from math import comb, log2

import numpy as np

from dlnotes.analysis import boolean_functions as boolean
from experiments.feedforward import _greedy_units as units
from experiments.feedforward import boolean_units as claim


def test_counting_is_right_where_everything_is_known():
    """For few bits the number of functions of k units is known, and is below what counting allows."""
    for n in (2, 3):
        found = np.bincount(boolean.least_units(n))
        for k in range(len(found)):
            assert log2(found[: k + 1].sum()) <= n**2 * k + 1
        assert len(found) - 1 >= claim.counted_bound(n)


def test_threshold_functions_are_at_most_two_to_the_square_of_the_bits():
    """Cover 1965: ``L(n) ≤ 2 Σ_{i ≤ n} C(2ⁿ − 1, i)``, which is below ``2^(n²)``."""
    for n in (2, 3, 4, 5, 16, 32):
        cover = 2 * sum(comb(2**n - 1, i) for i in range(n + 1))
        assert cover <= 2 ** (n**2)
        if n < 5:
            assert len(boolean.threshold_functions(n)) <= cover


def test_the_norm_is_the_sum_over_waves_on_the_cube():
    f = units.random_waves(np.random.default_rng(0), 5)
    assert np.isclose(f.norm, 1)
    corners = np.sign(f.frequencies).T
    reach = np.max(np.abs(corners @ f.frequencies), axis=0)
    np.testing.assert_allclose(np.abs(f.a) @ reach, 1)


def test_greedy_takes_the_best_unit_each_time():
    rng = np.random.default_rng(1)
    features, y = rng.normal(size=(60, 8)), rng.normal(size=60)
    taken = units.greedy(features, y, 3)

    def left(chosen):
        A = np.column_stack([np.ones(60), features[:, chosen]])
        return np.sum((A @ np.linalg.lstsq(A, y, rcond=None)[0] - y) ** 2)

    for k in range(3):
        best = min(left([*taken[:k], j]) for j in range(8) if j not in taken[:k])
        np.testing.assert_allclose(left(taken[: k + 1]), best)
    assert left(taken) >= min(left(list(c)) for c in combinations(range(8), 3)) - 1e-12
