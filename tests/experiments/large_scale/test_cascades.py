"""What the claim on cascades computes of scores."""

import sys

import numpy as np
import pytest
from experiment_module import experiment
from sklearn.metrics import roc_curve

cascade = experiment("large_scale/cascade")
RNG = np.random.default_rng(7)
N = 3000
Y = RNG.random(N) < 0.2
SCORES = (RNG.standard_normal((3, N)) + 2 * Y * np.array([[0.5], [1], [2]])).astype(np.float32)
THRESHOLDS = np.array([-1.0, -0.5, 0.0], np.float32)


def test_stages_pass_one_after_another():
    expected = [next((k for k in range(3) if not s[k] > THRESHOLDS[k]), 3) for s in SCORES.T]
    np.testing.assert_array_equal(cascade.passages(SCORES, THRESHOLDS), expected)


def test_detection_is_read_off_scikit_learns_curve():
    kept = (SCORES[:2] > THRESHOLDS[:2, None]).all(0)
    found = cascade.detection(SCORES, THRESHOLDS, Y.astype(np.int32))
    for score, recall in zip((SCORES[2], np.where(kept, SCORES[2], -1e9)), found):
        rates, recalls, _ = roc_curve(Y, score, drop_intermediate=False)
        assert recall == pytest.approx(recalls[rates <= cascade.FALSE_POSITIVES + 1e-12].max())


def test_weights_make_positives_as_rare_as_they_are_said_to_be():
    stages = sys.modules[cascade.parts_of.__module__]
    weight = stages.weights(Y.astype(np.int32), 0.01)
    assert (weight * Y).sum() / weight.sum() == pytest.approx(0.01)
    assert weight.sum() == pytest.approx(N)


def test_stages_cost_what_their_sizes_say():
    stages = sys.modules[cascade.parts_of.__module__]
    convolutions = 28 * 28 * 9 * 16 + 14 * 14 * 9 * 16 * 32
    assert cascade.costs() == (49, 14 * 14 * 32 + 32, convolutions + 7 * 7 * 32 * 64 + 64)
    assert cascade.member_cost() == 14 * 14 * 4 + 4
    assert stages.shrunk(np.arange(784.0).reshape(1, 28, 28, 1), 14)[0, 0] == (0 + 1 + 28 + 29) / 4


def test_rivals_of_the_series_are_compared_at_its_recall():
    series = sys.modules[cascade.measure_series.__module__]
    passed = cascade.passages(SCORES, THRESHOLDS)[None]
    alone = {"validation": [SCORES[i][None] for i in range(3)], "test": [SCORES[i][None] for i in range(3)]}
    found = series.compared(passed, alone, SCORES[1][None], {"validation": Y, "test": Y}, 3)
    kept = passed[0] == 3
    assert found.recall[0] == pytest.approx(kept[Y].mean())
    assert found.series[0] == pytest.approx(kept[~Y].mean())
    rates, recalls, _ = roc_curve(Y, SCORES[2], drop_intermediate=False)  # the best of the three
    assert found.best[0] == pytest.approx(rates[recalls >= found.recall[0] - 1e-12].min())
    rates, recalls, _ = roc_curve(Y, SCORES[1], drop_intermediate=False)
    assert found.wide[0] == pytest.approx(rates[recalls >= found.recall[0] - 1e-12].min())
    rates, recalls, _ = roc_curve(Y, SCORES.sum(0), drop_intermediate=False)
    assert found.total[0] == pytest.approx(rates[recalls >= found.recall[0] - 1e-12].min())
