"""Scores of classes are those of scikit-learn; thresholds are the best of all that could be tried."""

import warnings

import numpy as np
import pytest
from sklearn import metrics

from dlnotes.outputs.class_scores import (
    auc,
    best_threshold,
    calibration_error,
    class_report,
    class_scores,
    decided,
    probabilities,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_scores_are_those_of_scikit_learn(classes):
    y = RNG.integers(classes, size=120)
    logits = (RNG.normal(size=(3, 120, classes)) + 2 * np.eye(classes)[y]).astype(np.float32)
    found, p = class_scores(logits, y), probabilities(logits)
    report = class_report(logits.argmax(-1), y, classes)
    for m, (z, q) in enumerate(zip(logits, p)):
        taken = z.argmax(-1)
        scores = q[:, 1] if classes == 2 else q
        wanted = {
            "macro_f1": metrics.f1_score(y, taken, average="macro"),
            "balanced_accuracy": metrics.balanced_accuracy_score(y, taken),
            "auc": metrics.roc_auc_score(y, scores, multi_class="ovr"),
            "log_loss": metrics.log_loss(y, q),
        }
        for name, value in wanted.items():
            assert found[name][m] == pytest.approx(value, rel=1e-9), name
        precision, recall, f1, support = metrics.precision_recall_fscore_support(y, taken)
        np.testing.assert_allclose(report.precision[m], precision)
        np.testing.assert_allclose(report.recall[m], recall)
        np.testing.assert_allclose(report.f1[m], f1)
        np.testing.assert_array_equal(report.support, support)


def test_calibration_error_is_the_mean_gap_of_the_bins():
    p = probabilities(3 * RNG.normal(size=(2, 400, 3)))
    y = RNG.integers(3, size=400)
    for each, got in zip(p, calibration_error(p, y)):
        confidence, right = each.max(-1), each.argmax(-1) == y
        gap = 0.0
        for low, high in zip(np.linspace(0, 1, 16)[:-1], np.linspace(0, 1, 16)[1:]):
            inside = (confidence > low) & (confidence <= high)
            if inside.any():
                gap += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
        assert got == pytest.approx(gap)


def test_equal_scores_count_half():
    scores = RNG.integers(4, size=(2, 90)) / 4
    positive = RNG.random(90) < 0.3
    wanted = [metrics.roc_auc_score(positive, row) for row in scores]
    np.testing.assert_allclose(auc(scores, positive), wanted)


def test_what_does_not_occur_has_no_part():
    """As in scikit-learn's report over the labels that occur; a failed member disturbs no other."""
    y = np.array([0, 0, 2, 2, 2])
    logits = np.stack([np.eye(4)[[0, 2, 2, 2, 0]], np.full((5, 4), np.nan)]).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = class_scores(logits, y)
    assert found["macro_f1"][0] == pytest.approx(metrics.f1_score(y, [0, 2, 2, 2, 0], average="macro"))
    assert all(np.isnan(values[1]) for values in found.values())
    alone = class_scores(logits[:1, :2], y[:2])
    assert "auc" not in alone
    assert alone["balanced_accuracy"][0] == 0.5
    assert "log_loss" not in class_scores(logits[:1], y, of_probabilities=False)


@pytest.mark.parametrize("criterion", ["accuracy", "balanced_accuracy", "f1"])
@pytest.mark.parametrize("ties", [False, True])
def test_the_threshold_is_the_best_of_all(criterion, ties):
    positive = RNG.random(80) < 0.3
    scores = np.clip(RNG.normal(0.3 + 0.2 * positive, 0.2), 0.01, 0.99)
    scores = np.round(scores, 1) if ties else scores
    measure = {
        "accuracy": metrics.accuracy_score,
        "balanced_accuracy": metrics.balanced_accuracy_score,
        "f1": metrics.f1_score,
    }[criterion]
    tried = [measure(positive, scores >= t) for t in [*np.unique(scores), 1.0]]
    best = best_threshold(scores, positive, criterion)
    found = decided(scores, positive, best)
    assert found[criterion] == pytest.approx(max(tried))
    taken = scores >= best
    assert found["precision"] == pytest.approx(metrics.precision_score(positive, taken))
    assert found["recall"] == pytest.approx(metrics.recall_score(positive, taken))


def test_faults_are_named():
    with pytest.raises(ValueError, match=r"logits, y: got shapes \(2, 5, 3\), \(4,\)"):
        class_scores(np.zeros((2, 5, 3)), np.zeros(4, int))
    with pytest.raises(ValueError, match="threshold: got 3 of 3 examples of the positive class"):
        best_threshold(np.ones(3), np.ones(3, bool))
    with pytest.raises(ValueError, match="criterion: got 'g'"):
        best_threshold(np.ones(2), np.array([True, False]), "g")  # pyright: ignore[reportArgumentType]
