"""Generated sets of linear problems: what their texts say of them, against numpy and scikit-learn."""

import sys

import numpy as np
import pytest
from experiment_module import experiment
from sklearn.svm import LinearSVC

sets = sys.modules[experiment("feedforward/large_sets").solve.__module__]
conditioned = sys.modules[experiment("feedforward/convex_starts").errors.__module__]


@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4])
def test_tables_have_their_condition_number(condition):
    x, y = conditioned.table(condition, 3)
    s = np.linalg.svd(x.astype(np.float64), compute_uv=False)
    np.testing.assert_allclose(s[0] / s[-1], condition, rtol=1e-2)
    np.testing.assert_allclose(s[0], np.sqrt(len(x)), rtol=1e-5)
    assert x.dtype == y.dtype == np.float32


def test_inputs_have_their_variances_and_noise_is_as_large_as_the_signal():
    problem = sets.draw(0, 50_000, 6, 1)
    variances = np.linalg.eigvalsh(np.cov(np.asarray(problem.x).T))
    np.testing.assert_allclose(variances, np.geomspace(0.1, 1, 6), rtol=0.05)
    assert problem.optimum == pytest.approx(1, rel=0.03)  # the variance of the noise
    best = np.linalg.lstsq(np.asarray(problem.x, np.float64), np.asarray(problem.y, np.float64))[0]
    assert problem.optimum == pytest.approx(sets.objective(problem, best), rel=1e-5)


def test_the_optimum_of_the_machine_is_scikit_learns_to_a_ten_thousandth():
    problem = sets.draw(1, 400, 4, 2)
    assert set(np.unique(problem.y)) == {-1, 1}
    tight = LinearSVC(
        loss="hinge", C=1 / (sets.PENALTIES[1] * 400), fit_intercept=False, tol=1e-6, max_iter=10**6
    )
    best = sets.objective(
        problem, tight.fit(np.asarray(problem.x, np.float64), np.asarray(problem.y)).coef_[0]
    )
    assert problem.optimum == pytest.approx(best, rel=5e-4)


def test_what_is_needed_comes_near_the_optimum_and_a_look_earlier_does_not():
    problem = sets.draw(0, 3000, 4, 3)
    steps = sets.steps_needed(problem, 0.05, 2000)
    assert np.isfinite(steps)
    assert steps > sets.LOOK
    near = [
        sets.objective(problem, sets.descend(problem, 0.05, int(n)).average) / problem.optimum
        for n in (steps - sets.LOOK, steps)
    ]
    assert near[0] > sets.NEAR >= near[1]
    rows = sets.rows_needed(problem, 0.0)
    assert sets.objective(problem, sets.solve(problem, rows=rows)) <= sets.NEAR * problem.optimum
    assert sets.steps_needed(problem, 1e-6, 20) == np.inf
