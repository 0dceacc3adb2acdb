"""Edit distances against the recursion written as it is read, and error rates worked by hand."""

from functools import cache

import numpy as np
import pytest

from dlnotes.outputs.edit_distance import edit_distances, error_rates


def recursion(a, b):
    @cache
    def distance(i, j):
        if i == 0 or j == 0:
            return i + j
        changed = distance(i - 1, j - 1) + (a[i - 1] != b[j - 1])
        return min(changed, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    return distance(len(a), len(b))


def test_distances_of_random_sequences():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, (60, 7)), rng.integers(0, 3, (60, 5))
    for array in (a, b):
        array[np.arange(array.shape[1]) >= rng.integers(0, array.shape[1] + 1, 60)[:, None]] = -1
    want = [recursion(tuple(x[x >= 0]), tuple(y[y >= 0])) for x, y in zip(a, b)]
    np.testing.assert_array_equal(edit_distances(a, b), want)
    np.testing.assert_array_equal(edit_distances(b, a), want)
    assert min(want) == 0
    assert max(want) > 4


def test_rates_take_the_nearest_reference():
    written = [[1, 2, 3, 0], [4, 0, -1, -1], [0, -1, -1, -1], [2, 2, 2, 2]]
    references = [[(1, 2, 3, 4), (1, 3)], [(4,), (5,)], [(7,)], [(2, 2, 2)]]
    # Edits 1 (to the longer of two as near), 0, 1, 1 over 4 + 1 + 1 + 3 symbols.
    rates = error_rates(written, references)
    assert rates.token == pytest.approx(3 / 9)
    assert rates.sequence == pytest.approx(3 / 4)


def test_errors():
    with pytest.raises(ValueError, match="references: got 1"):
        error_rates([[1, 0], [2, 0]], [[(1,)]])
    with pytest.raises(ValueError, match="one or more"):
        error_rates([[1, 0]], [[]])
    with pytest.raises(ValueError, match="a, b: got shapes"):
        edit_distances([[1]], [[1], [2]])
