"""What the claims on starts and on losses compute by themselves: starts, steps, gradients, shares."""

import sys

import numpy as np
import pytest
from experiment_module import experiment

convex = experiment("feedforward/convex_starts")
statistics = experiment("feedforward/mean_and_median")
starts = sys.modules[convex.measure_digits.__module__]
through = sys.modules[statistics.measure_task.__module__]


def test_starts_of_every_setting():
    settings = np.arange(9.0)
    found = starts.start_of({"setting": settings}, np.full(9, 5))
    W, b = found.hidden[0]
    usual = W[3]
    assert usual.std() == pytest.approx(np.sqrt(2 / 64), rel=0.1)
    for i, scale in enumerate(starts.SCALES):
        np.testing.assert_allclose(W[i], scale * usual, rtol=1e-6)
        np.testing.assert_array_equal(b[i], 0)
    for i, bias in zip((6, 7), starts.BIASES):
        np.testing.assert_array_equal(W[i], usual)
        np.testing.assert_allclose(b[i], bias)
    np.testing.assert_array_equal(W[8], np.full_like(usual, usual[0, 0]))
    assert np.ptp(found.output.W[8]) == 0 < np.ptp(found.output.W[3])


def test_share_of_optimal_ends_and_the_hardest_task():
    reference = np.array([[1.0, 1.0, 1.005], [1.0, 1.2, 1.3], [1.0, 1.0, 1.2]])
    judged = np.array([[1.0, 1.0], [1.5, 0.9], [2.0, 2.0]])
    m = {"network reference": reference, "network judged": judged, "network best": np.ones(3)}
    assert [convex.networks(m, i, "reference").value for i in range(3)] == pytest.approx([1, 1 / 3, 2 / 3])
    assert convex.hardest(m) == 1
    assert convex.networks(m, 1).value == 0.5  # what ends below the reference counts as optimal


def test_steps_to_an_accuracy():
    task = through.Task(None, None, None, 1, 0.9, 4)
    accuracy = np.array([[0.1, 0.95, 0.2], [0.5, 0.8, 0.3], [0.9, 0.7, 0.4]])
    np.testing.assert_array_equal(through.steps_to(task, accuracy), [8, 1, 12])


def test_sure_starts_answer_one_class():
    rng = np.random.default_rng(0)
    part = through.data.Examples(rng.normal(size=(40, 3)).astype(np.float32), np.arange(40) % 2)
    task = through.Task(part, part, part, 1, 0.9, 1, 50.0)
    found = through.looked_at(task, np.full((3, 1), 1e-6), np.arange(2), 1)
    np.testing.assert_allclose(found, 0.5)
    usual = through.looked_at(task._replace(bias=0.0), np.full((3, 1), 1e-6), np.arange(2), 1)
    assert np.any(usual != 0.5)


def test_gradients_at_a_confident_mistake():
    p = 1 / (1 + np.exp(10.0))  # the probability of the right one of two classes
    slope = p * (1 - p)
    want = [(1 - p) / 0.5, 2 * (1 - p) * slope / (2 * 0.5 * 0.25), slope / 0.25]
    np.testing.assert_allclose(through.gradient_left(1), want, rtol=1e-4)
    left = through.gradient_left(10)
    assert left[0] > 1 > 0.01 > left[1:].max() > 0


def test_share_below_a_true_quantile_is_its_probability():
    learned = np.zeros((6, 3, len(statistics.X)))
    learned[3] = statistics.true_quantile(statistics.X, 0.25)[:, 0]
    assert statistics.below({"learned": learned}, 1).value == pytest.approx(0.25)


def test_closeness_compares_with_both_statistics():
    mean, median = (f[:, 0] for f in (statistics.true_mean(statistics.X),
                                      statistics.true_quantile(statistics.X, 0.5)))  # fmt: skip
    nearer = np.stack([median + share * (mean - median) for share in (0.8, 0.8)])
    m = {"learned": np.stack([nearer, nearer])}
    assert statistics.closeness(m, 0).value == pytest.approx(0.25)
    assert statistics.closeness(m, 1).value == pytest.approx(4)
