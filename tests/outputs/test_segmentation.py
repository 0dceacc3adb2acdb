"""Overlap and boundaries of pixel labels against scikit-learn, a distance transform and drawings."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_cdt
from sklearn import metrics

from dlnotes.outputs.segmentation import boundary_f, class_iou, confusion, mean_iou

RNG = np.random.default_rng(0)
Y = RNG.integers(-1, 4, (5, 9, 8))
GIVEN = np.where(RNG.random(Y.shape) < 0.6, np.maximum(Y, 0), RNG.integers(0, 4, Y.shape))


def drawing(text):
    return np.array([[int(c) for c in line] for line in text.split()])[None]


def test_confusion_and_iou_are_scikit_learns():
    real = Y >= 0
    counts = confusion(GIVEN, Y, 4)
    np.testing.assert_array_equal(counts, metrics.confusion_matrix(Y[real], GIVEN[real]))
    each = metrics.jaccard_score(Y[real], GIVEN[real], average=None)
    np.testing.assert_allclose(class_iou(counts), each)
    assert mean_iou(counts) == pytest.approx(each.mean())


def test_a_class_that_is_nowhere_does_not_count():
    counts = confusion(np.array([0, 2, 2]), np.array([0, 0, 2]), 4)
    np.testing.assert_allclose(class_iou(counts), [0.5, np.nan, 0.5, np.nan])
    assert mean_iou(counts) == 0.5
    # One that is predicted without occurring does, as in scikit-learn.
    given, y = np.array([0, 1, 1]), np.array([0, 0, 1])
    assert mean_iou(confusion(given + 0 * y, np.zeros(3, int), 2)) == pytest.approx(
        metrics.jaccard_score(np.zeros(3, int), given, average="macro", zero_division=0)
    )


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="shape"):
        confusion(np.zeros(3, int), np.zeros(4, int), 2)
    with pytest.raises(ValueError, match="height, width"):
        boundary_f(np.zeros((3, 4), int), np.zeros((3, 4), int), 2)
    with pytest.raises(ValueError, match="tolerance"):
        boundary_f(Y, Y, 2, tolerance=-1)


def test_a_square_moved_by_one_pixel():
    y = drawing("000000 001100 001100 000000 000000 000000")
    moved = drawing("000000 000110 000110 000000 000000 000000")
    assert boundary_f(y, y, 2, tolerance=0) == 1
    assert boundary_f(moved, y, 2, tolerance=1) == 1
    # Tolerance 0, class 1: of its 4 boundary pixels 2 are hit. Background: the 8 beside the square, of
    # which the upper and lower of the column in common stay: 2 and 2, less those under the square.
    edge = {(0, 2), (0, 3), (3, 2), (3, 3), (1, 1), (2, 1), (1, 4), (2, 4)}
    other = {(i, j + 1) for i, j in edge}
    background = len(edge & other) / 8
    assert boundary_f(moved, y, 2, tolerance=0) == pytest.approx((0.5 + background) / 2)


def test_an_answer_without_the_object_has_no_boundary():
    y = drawing("0000 0110 0110 0000")
    assert boundary_f(np.zeros_like(y), y, 2) == 0
    assert np.isnan(boundary_f(y, np.zeros_like(y), 2))


@pytest.mark.parametrize("tolerance", [1, 2])
def test_boundary_f_against_a_distance_transform(tolerance):
    scores = []
    for k in range(4):
        hits = np.zeros(4)
        for given, y in zip(GIVEN, Y):
            given = np.where(y < 0, -1, given)

            def outline(labels, k=k):
                found = np.zeros(labels.shape, bool)
                for i, j in np.ndindex(labels.shape):
                    beside = [(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)]
                    near = [labels[p] for p in beside if 0 <= p[0] < 9 and 0 <= p[1] < 8]
                    found[i, j] = labels[i, j] == k and any(n not in (k, -1) for n in near)
                return found

            mine, true = outline(given), outline(y)
            close = [
                distance_transform_cdt(~b, "chessboard") <= tolerance if b.any() else b for b in (mine, true)
            ]
            hits += [(mine & close[1]).sum(), mine.sum(), (true & close[0]).sum(), true.sum()]
        p, r = hits[0] / hits[1], hits[2] / hits[3]
        scores.append(2 * p * r / (p + r))
    assert boundary_f(GIVEN, Y, 4, tolerance=tolerance) == pytest.approx(np.mean(scores))


def test_pixels_without_a_target_do_not_matter():
    other = np.where(Y < 0, 3 - GIVEN, GIVEN)
    assert boundary_f(other, Y, 4) == boundary_f(GIVEN, Y, 4)
    np.testing.assert_array_equal(confusion(other, Y, 4), confusion(GIVEN, Y, 4))
