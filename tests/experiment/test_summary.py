"""What a run shows first, and which of its points is best."""

import pytest

from dlnotes.experiment.summary import better, headline


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
