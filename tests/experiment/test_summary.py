"""Means over seeds and their intervals."""

import numpy as np
import pytest
from scipy import stats

from dlnotes.experiment.summary import better, headline, mean_interval


def test_the_interval_is_students():
    values = np.random.default_rng(4).normal(size=7)
    got = mean_interval(values)
    low, high = stats.t.interval(0.95, 6, loc=values.mean(), scale=stats.sem(values))
    np.testing.assert_allclose([got["mean"], got["low"], got["high"]], [values.mean(), low, high])
    assert got["values"] == values.tolist()


def test_one_seed_has_no_interval_and_failed_seeds_do_not_count():
    assert mean_interval(np.array([0.5])) == {"mean": 0.5, "low": None, "high": None, "values": [0.5]}
    got = mean_interval(np.array([0.5, np.nan, 0.7]))
    np.testing.assert_allclose(got["mean"], 0.6)
    assert got["low"] < 0.6 < got["high"]
    assert mean_interval(np.array([np.nan]))["mean"] is None


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({"test": {"loss": 1, "accuracy": 2}, "validation": {"loss": 3}}, ("test", "accuracy", 2)),
        ({"validation": {"loss": 3, "absolute_error": 4}}, ("validation", "absolute_error", 4)),
        ({"train": {"loss": 5}}, ("train", "loss", 5)),
        ({}, None),
    ],
)
def test_headline(metrics, expected):
    assert headline({"metrics": metrics}) == expected


def test_better():
    assert (better("accuracy"), better("loss")) == ("max", "min")
