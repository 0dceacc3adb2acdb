"""Images, distances and features made by hand of the experiment on feature maps."""

import sys

import numpy as np
import pytest
from experiment_module import experiment
from scipy.spatial.distance import cdist

maps = experiment("feedforward/feature_maps")
rivals, gradients = (sys.modules[f.__module__] for f in (maps.machine, maps.oriented_gradients))


def test_noise_fills_the_margin_and_nothing_else():
    images = np.random.default_rng(0).uniform(0.1, 1, (5, 28, 28))
    noisy = maps.in_noise(images, np.random.default_rng(1))
    np.testing.assert_array_equal(noisy[:, 4:24, 4:24], images[:, 4:24, 4:24])
    assert np.isin(noisy, images).all()
    assert np.mean(noisy[:, :4] == images[:, :4]) < 0.01


def test_moved_images_keep_their_ink_in_its_shape():
    rng = np.random.default_rng(0)
    images = np.zeros((6, 28, 28))
    images[:, 5:9, 11:20] = rng.uniform(0.1, 1, (6, 4, 9))
    moved = maps.at_random_places(images, np.random.default_rng(1))
    corners = []
    for image in moved:
        rows, columns = np.nonzero(image)
        corners.append((rows.min(), columns.min()))
    for image, (top, left), before in zip(moved, corners, images):
        np.testing.assert_array_equal(image[top : top + 4, left : left + 9], before[5:9, 11:20])
        assert np.count_nonzero(image) == 36
    assert len(set(corners)) > 3


def test_no_image_is_in_two_splits(monkeypatch):
    x = np.arange(1, 1 + 120, dtype=np.float32)[:, None, None, None] * np.ones((1, 28, 28, 1), np.float32)
    part = maps.data.Examples(x[:80], np.arange(80) % 10)
    test = maps.data.Examples(x[80:], np.arange(40) % 10)
    fake = maps.data.Dataset("fake", part, None, test, "image", "classification", (28, 28, 1), 10)
    monkeypatch.setattr(maps.data, "load", lambda *a, **k: fake)
    options = maps.FeatureMaps.model_construct(images=10, seeds=4, tuning_seeds=2)
    tuning, judged = maps.splits(options)
    for group in (tuning[0] + judged[0], tuning[2] + judged[2]):
        used = [np.unique(e.x[:, 14, 14, 0]) for split in group for e in split]
        assert len(np.unique(np.concatenate(used))) == sum(len(u) for u in used)
    assert judged[0][0].held.x.min() > 80 >= judged[0][0].train.x.max()
    with pytest.raises(ValueError, match="too many"):
        maps.splits(maps.FeatureMaps.model_construct(images=10, seeds=5, tuning_seeds=2))


def test_squared_distances_against_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    np.testing.assert_allclose(rivals.squared_distances(a, b), cdist(a, b, "sqeuclidean"), rtol=1e-10)


def test_oriented_gradients_of_a_ramp():
    """A ramp changes in one direction: all votes go to the bin whose center it is."""
    angle = np.pi / 9 * 2.5  # the center of the third of nine bins
    rows, columns = np.mgrid[:12, :12].astype(float)
    image = np.cos(angle) * columns + np.sin(angle) * rows
    votes = gradients.oriented_gradients(image[None]).reshape(2, 2, 4, 9)
    np.testing.assert_allclose(votes[..., 2], 0.5, rtol=1e-4)  # four equal cells, length 1
    np.testing.assert_allclose(np.delete(votes, 2, axis=-1), 0, atol=1e-6)


def test_oriented_gradients_against_loops():
    image = np.random.default_rng(0).uniform(size=(12, 16))
    votes = np.zeros((3, 4, 9))
    for i in range(12):
        for j in range(16):
            up, down = max(i - 1, 0), min(i + 1, 11)
            left, right = max(j - 1, 0), min(j + 1, 15)
            dy = (image[down, j] - image[up, j]) / (down - up)
            dx = (image[i, right] - image[i, left]) / (right - left)
            degrees = np.degrees(np.arctan2(dy, dx)) % 180
            for b in range(9):
                apart = abs(degrees - (20 * b + 10))
                apart = min(apart, 180 - apart)
                votes[i // 4, j // 4, b] += max(0, 1 - apart / 20) * np.hypot(dx, dy)
    want = []
    for i in range(2):
        for j in range(3):
            v = votes[i : i + 2, j : j + 2].ravel()
            v = np.minimum(v / np.linalg.norm(v), 0.2)
            want.append(v / np.linalg.norm(v))
    np.testing.assert_allclose(gradients.oriented_gradients(image[None])[0], np.ravel(want), atol=1e-5)
