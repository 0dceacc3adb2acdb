"""Images and distances of the experiment on feature maps."""

import numpy as np
import pytest
from experiment_module import experiment
from scipy.spatial.distance import cdist

maps = experiment("feedforward/feature_maps")


@pytest.mark.parametrize("kind", ["noise", "moved"])
def test_digits_on_a_canvas(kind):
    rng = np.random.default_rng(0)
    images = rng.uniform(0.1, 1, (5, 8, 8))
    canvas = maps.on_canvas(images, kind, 12, rng)
    assert canvas.shape == (5, 12, 12)
    if kind == "noise":
        np.testing.assert_array_equal(canvas[:, 2:10, 2:10], images)
        assert np.isin(canvas, images).all()
    else:
        assert np.count_nonzero(canvas) == images.size
        np.testing.assert_array_equal(maps.most_ink(canvas, 8), images)
        np.testing.assert_allclose(maps.made_by_hand(canvas), maps.made_by_hand(images), rtol=1e-12)


def test_squared_distances_against_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    np.testing.assert_allclose(maps.squared_distances(a, b), cdist(a, b, "sqeuclidean"), rtol=1e-10)
