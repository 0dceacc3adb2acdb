"""The ball among pegs: its density against every hidden course, its equations against numpy."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from dlnotes import data
from dlnotes.data import (
    Bounces,
    bouncing_frames,
    bouncing_gaussian_entropy,
    bouncing_log_density,
    bouncing_paths,
)
from dlnotes.data.time_series import bouncing as module


def carried(x, v):
    u = v - module.SPRING * x
    return u * (module.SPEED / np.linalg.norm(u)) ** module.PULL


@pytest.mark.parametrize("bounces", [Bounces(), Bounces(0.6, 25, 0.4, 0.3), Bounces(1.0, -40, 0.0, 0.2)])
def test_density_is_the_sum_over_all_hidden_courses(bounces):
    """Spin at the start, and for each step whether a peg is hit and turns the spin: all of them added up."""
    frames = 6
    (path,) = bouncing_paths(1, frames, seed=1, bounces=bounces)

    def density(until):
        total = 0.0
        for first in (-1, 1):
            for course in product(("no", "hit", "flip"), repeat=until - 2):
                spin, p = first, 0.5
                for t, what in zip(range(2, until), course):
                    angle = 0.0 if what == "no" else spin * np.radians(bounces.angle)
                    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
                    mean = turn @ carried(path[t - 1], path[t - 1] - path[t - 2])
                    p *= stats.multivariate_normal(mean, bounces.noise**2 * np.eye(2)).pdf(
                        path[t] - path[t - 1]
                    )
                    flips = bounces.flip if what == "flip" else 1 - bounces.flip
                    p *= 1 - bounces.share if what == "no" else bounces.share * flips
                    spin = -spin if what == "flip" else spin
                total += p
        return np.log(total)

    got = bouncing_log_density(path[None], bounces)[0]
    np.testing.assert_allclose(got.cumsum(), [density(t + 1) for t in range(2, frames)], rtol=1e-9)


def test_density_is_that_of_the_draws():
    """By chance alone, the density of the truth is above that of nearby parameters (Gibbs)."""
    paths = bouncing_paths(400, 40, seed=2)
    right = bouncing_log_density(paths).mean()
    for other in (Bounces(share=0.35), Bounces(angle=63), Bounces(flip=0.2), Bounces(noise=0.11)):
        assert bouncing_log_density(paths, other).mean() < right
    # Three Gaussians that hardly overlap: entropy of noise and of which one.
    noise = -1 - np.log(2 * np.pi * 0.1**2)
    assert noise - 1.0 < right < noise - 0.3


def test_the_best_gaussian_has_the_moments_of_the_exact_density():
    """The first frame by hand; on average this Gaussian is less likely than the exact density."""
    b = Bounces(0.5, 50, 0.2, 0.2)
    paths = bouncing_paths(500, 12, seed=6, bounces=b)
    got = bouncing_gaussian_entropy(paths, b)
    for i in range(5):
        base = carried(paths[i, 1], paths[i, 1] - paths[i, 0])
        turns = [np.radians(a) for a in (0, -50, 50)]
        means = np.array(
            [
                [np.cos(a) * base[0] - np.sin(a) * base[1], np.sin(a) * base[0] + np.cos(a) * base[1]]
                for a in turns
            ]
        )
        covariance = np.cov(means.T, aweights=[0.5, 0.25, 0.25], bias=True) + 0.04 * np.eye(2)
        np.testing.assert_allclose(got[i, 0], stats.multivariate_normal(cov=covariance).entropy(), rtol=1e-9)
    assert got.mean() > -bouncing_log_density(paths, b).mean() + 0.1
    still = Bounces(share=0.0)  # without pegs both are one Gaussian
    np.testing.assert_allclose(
        bouncing_gaussian_entropy(paths, still), stats.multivariate_normal(cov=0.01 * np.eye(2)).entropy()
    )


def test_paths_stay_near_and_keep_their_speed():
    paths = bouncing_paths(200, 300, seed=3)
    speed = np.linalg.norm(np.diff(paths, axis=1), axis=-1)
    assert np.abs(paths).max() < 25
    assert 0.7 < speed.mean() < 1.5
    assert not np.array_equal(paths, bouncing_paths(200, 300, seed=4))
    np.testing.assert_array_equal(paths, bouncing_paths(200, 300, seed=3))


def test_frames_are_places_steps_and_what_follows():
    paths = bouncing_paths(3, 9, seed=5)
    seen, following = bouncing_frames(paths)
    assert seen.shape == (3, 7, 4)
    np.testing.assert_array_equal(seen[..., :2], paths[:, 1:-1])
    np.testing.assert_allclose(seen[..., 2:], paths[:, 1:-1] - paths[:, :-2])
    np.testing.assert_allclose(seen[..., :2] + following, paths[:, 2:])


def test_the_source_gives_the_frame_after_a_window():
    made = data.load("bouncing", window=5, n_train=20, n_validation=4, n_test=6)
    assert made.train.x.shape == (20, 5, 4)
    assert made.train.y.shape == (20, 2)
    assert made.test.size == 6
    paths = bouncing_paths(30, 7, seed=0)
    np.testing.assert_allclose(made.train.y, (paths[:20, -1] - paths[:20, -2]), rtol=1e-5, atol=1e-6)


def test_what_is_not_allowed_is_named():
    for options, told in (
        ({"share": 1.5}, "share: got 1.5"),
        ({"flip": float("nan")}, "flip: got nan"),
        ({"noise": 0}, "noise: got 0"),
        ({"angle": 200}, "angle: got 200"),
        ({"window": 0}, "window: got 0"),
        ({"n_train": 0}, "n_train"),
    ):
        with pytest.raises(ValueError, match=told):
            data.load("bouncing", **options)
    with pytest.raises(ValueError, match="frames: got 2"):
        bouncing_paths(1, 2)
    with pytest.raises(ValueError, match="paths: got shape"):
        bouncing_log_density(np.zeros((3, 4)))
