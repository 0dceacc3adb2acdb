"""The inverse problem's truth against sampling it; every problem has the one shape."""

import numpy as np
from experiment_module import experiment

density = experiment("feedforward/mixture_density")


def test_truth_against_sampling():
    rng = np.random.default_rng(0)
    t = rng.uniform(size=2_000_000)
    x = t + 0.3 * np.sin(2 * np.pi * t) + rng.uniform(-0.1, 0.1, t.size)
    for at, stretches in ((0.05, 1), (0.32, 2), (0.5, 1), (0.41, 2), (0.9, 1)):
        near = t[np.abs(x - at) < 1e-3]
        log_p, mean, number = (a[0] for a in density.truth(np.array([at])))
        assert abs(near.mean() - mean) < 0.01
        # Uniform on its stretches: as much mass as the log-density says in any part that is possible.
        can = density.possible(at, np.linspace(0, 1, 100_001))
        np.testing.assert_allclose(np.exp(log_p) * can.mean(), 1, rtol=0.01)
        assert density.possible(at, near).mean() > 0.97
        jumps = np.diff(np.sort(near)) > 0.02
        assert number == 1 + jumps.sum() == stretches


def test_problems_share_a_shape_and_are_standardized():
    sizes = (2, 120, 60)
    for problem in (density.inverse(*sizes), density.flower(*sizes), density.diabetes(*sizes)):
        for part, n in zip(problem, (120, 60, 60)):
            assert part.x.shape == (2, n, 10)
            assert part.y.shape == (2, n, 1)
            assert part.x.dtype == part.y.dtype == np.float32
        assert np.abs(problem.train.x[..., 0].mean()) < 0.3
        assert 0.5 < problem.train.x[..., 0].std() < 1.5
        assert not np.array_equal(problem.train.x[0], problem.train.x[1])
