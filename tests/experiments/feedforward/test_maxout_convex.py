"""The least error of k lines against closed forms and a linear program."""

import numpy as np
import pytest
from experiment_module import experiment
from scipy.optimize import linprog

module = experiment("feedforward/maxout_convex")
convex_functions, least_error = module.convex_functions, module.least_error

X = np.linspace(-1, 1, 1601)


@pytest.mark.parametrize("pieces", [1, 2, 5, 8])
def test_parabola(pieces):
    np.testing.assert_allclose(least_error(X**2, pieces), 1 / (2 * pieces**2), rtol=0.01)


def test_functions_are_convex_and_of_one_size():
    f = convex_functions(np.arange(20), X)
    assert np.diff(f, 2).min() > 0
    np.testing.assert_allclose(f.mean(1), np.zeros(20), atol=1e-12)
    np.testing.assert_allclose(f.std(1), np.ones(20))


def test_one_line_is_the_chebyshev_fit():
    f = convex_functions(np.array([3]), X)[0]
    columns = np.stack([X, np.ones_like(X)], 1)
    one = np.ones((len(X), 1))
    A = np.vstack([np.hstack([columns, -one]), np.hstack([-columns, -one])])
    solved = linprog([0, 0, 1], A_ub=A, b_ub=np.concatenate([f, -f]), bounds=[(None, None)] * 2 + [(0, None)])
    np.testing.assert_allclose(least_error(f, 1), solved.fun, rtol=1e-6)


def test_two_lines_against_every_cut():
    f = convex_functions(np.array([5]), X)[0]

    def line(a, b):
        chord = np.interp(X[a : b + 1], [X[a], X[b]], [f[a], f[b]])
        return (chord - f[a : b + 1]).max() / 2

    want = min(max(line(0, c), line(c, len(X) - 1)) for c in range(1, len(X) - 1))
    np.testing.assert_allclose(least_error(f, 2), want, rtol=1e-3)
