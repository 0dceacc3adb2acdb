"""Motions of a skeleton against what a body does, and against a classifier of scikit-learn."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from dlnotes import data
from dlnotes.data.time_series.skeleton_motion import CHANNELS, CLASSES, pose

PHASE = np.linspace(0, 2 * np.pi, 48, endpoint=False)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_motion_repeats_and_stays_within_what_joints_can(kind):
    x = pose(kind, PHASE)
    np.testing.assert_allclose(pose(kind, PHASE + 2 * np.pi), x, atol=1e-9)
    low, high = np.degrees(x.min(0)), np.degrees(x.max(0))
    knees, elbows = [4, 5], [10, 11]
    assert (low[knees] >= -1e-9).all() and (low[elbows] >= -1e-9).all()  # noqa: PT018
    assert (np.abs([low, high]) < 160).all()


def test_legs_are_half_a_period_apart_and_arms_swing_against_them():
    half = len(PHASE) // 2
    for kind in ("walking", "running"):
        x = pose(kind, PHASE)
        for left, right in ((0, 1), (4, 5), (6, 7), (10, 11)):
            np.testing.assert_allclose(np.roll(x[:, left], half), x[:, right], atol=1e-9)
        assert np.corrcoef(x[:, 0], x[:, 6])[0, 1] == pytest.approx(-1)
    limp = pose("limping", PHASE)
    assert np.ptp(limp[:, 1]) < 0.5 * np.ptp(limp[:, 0])


def test_both_sides_do_the_same_where_they_should_and_only_an_arm_waves():
    for kind in ("jumping jacks", "squatting"):
        x = pose(kind, PHASE)
        np.testing.assert_array_equal(x[:, ::2], x[:, 1::2])
    waving = pose("waving", PHASE)
    moving = np.ptp(waving, axis=0) > 1e-9
    assert [name for name, m in zip(CHANNELS, moving) if m] == ["right elbow flexion"]
    spectrum = np.abs(np.fft.rfft(waving[:, -1] - waving[:, -1].mean()))
    assert spectrum.argmax() == 3


def test_the_data_set():
    made = data.load("skeleton_motion", n=120, frames=20, seed=3)
    assert made.inputs == (20, 12)
    assert made.classes == CLASSES
    assert made.features == CHANNELS
    assert np.bincount(made.train.y).min() >= 13
    np.testing.assert_allclose(np.asarray(made.train.x).mean((0, 1)), np.zeros(12), atol=1e-4)
    again, other = (data.load("skeleton_motion", n=120, frames=20, seed=s) for s in (3, 4))
    np.testing.assert_array_equal(again.train.x, made.train.x)
    assert not np.array_equal(other.train.x, made.train.x)


def test_motions_are_told_by_how_much_each_channel_moves():
    made = data.load("skeleton_motion", n=600, frames=48, standardize=False)
    features = [np.asarray(p.x).std(1) for p in (made.train, made.split("test"))]
    forest = RandomForestClassifier(60, random_state=0).fit(features[0], made.train.y)
    right = np.mean(forest.predict(features[1]) == made.split("test").y)
    assert 0.6 < right < 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(n=20), "n: got 20, at least 60"),
        (dict(frames=4), "frames: got 4, at least 8"),
        (dict(noise=-1.0), "noise: got -1.0, at least 0"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        data.skeleton_motion(**options)
