"""What the claims on classifiers and smoothed labels are measured with, on cases with known answers."""

import jax
import numpy as np
import pytest
from PIL import Image

from dlnotes.data.dataset import Examples
from experiments.convolutional import _many_sizes as many
from experiments.convolutional import smoothed_labels as smoothed
from experiments.convolutional import three_classifiers as three

RNG = np.random.default_rng(0)


def test_resizing_is_pillows():
    image = RNG.random((28, 28), np.float32)
    for size in (10, 16, 28):
        want = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
        np.testing.assert_allclose(many.resized(image[None, ..., None], size)[0, ..., 0], want, atol=1e-6)


def test_the_corner_of_the_canvas_is_the_image():
    images = RNG.random((2, 3, 5, 5, 1), np.float32)
    x, mask = many.on_canvas(images, 8)
    np.testing.assert_array_equal(x[..., :5, :5, :], images)
    assert mask.sum() == 2 * 3 * 25
    assert np.all(x[~mask] == 0)


def test_boxes_of_the_objects_on_a_canvas():
    """Objects that are white throughout: a place of the maps is in a box where its pixels are white."""
    white = Examples(np.ones((6, 28, 28, 1), np.float32), np.arange(6, dtype=np.int32))
    x, y, inside = many.scenes(white, np.arange(6), 8, 0)
    assert np.all(y[:, 0] != y[:, 1])
    assert not np.any(inside.all(1))
    np.testing.assert_array_equal(inside.any(1), x[:, 1::4, 1::4, 0] > 0)  # the pixel before the middle
    assert np.all(x.sum((1, 2, 3)) == 2 * 16**2)


def test_class_maps_are_read_in_the_boxes():
    """Maps that know everything, and maps that are right on the left object at half of its places."""
    y = np.array([[1, 2]])
    inside = np.zeros((1, 2, 4, 4), bool)
    inside[0, 0, :, :2] = inside[0, 1, :, 2:] = True
    logits = np.zeros((1, 4, 4, 3))
    logits[0, :, :2, 1] = logits[0, :, 2:, 2] = 100
    found = many.in_boxes(logits, y, inside)
    assert found == pytest.approx({"own": 1, "other": 0, "right": 1, "box": 1})
    logits[0, :2, :2] = [50, 0, 0]
    found = many.in_boxes(logits, y, inside)
    assert (found["right"], found["own"], found["box"]) == pytest.approx((0.75, 0.75, 1))
    logits[0, :2, :2] = [150, 0, 0]
    assert many.in_boxes(logits, y, inside)["box"] == 0.5


def test_the_three_share_their_convolutions_and_their_maps():
    models = [three.network(which) for which in range(3)]
    params = [model.init(jax.random.key(0)) for model in models]
    shapes = [jax.tree.map(np.shape, p.stages) for p in params]
    assert shapes[0] == shapes[1] == shapes[2]
    x = RNG.random((2, 20, 20, 1), np.float32)
    maps = three.network(three.MAPS, maps=True).apply(params[2], x)
    np.testing.assert_allclose(maps.mean((1, 2)), models[2].apply(params[2], x), atol=1e-5)


def test_masks_of_the_scenes_are_exact():
    """Objects whose brightness is their kind: without noise the labels can be read off the picture."""
    kinds = np.array([1, 2, 0])
    images = np.ones((3, smoothed.OBJECT, smoothed.OBJECT), np.float32) * (kinds / 2)[:, None, None]
    made = smoothed.scenes(images, kinds, 5, 0.0, RNG)
    np.testing.assert_array_equal(2 * made.x[..., 0], made.y)
    assert {1, 2} <= set(np.unique(made.y))


def test_regions_are_counted():
    labels = np.zeros((1, 1, 6, 6), int)
    labels[0, 0, 1:3, 1:3] = 1
    labels[0, 0, 4, 4] = 1
    labels[0, 0, 4, 1] = 2
    assert smoothed.regions(labels) == 4
