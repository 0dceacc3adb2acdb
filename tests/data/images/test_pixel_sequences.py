"""Images read as sequences: every pixel in its place, the same split as the images."""

import numpy as np
import pytest

from dlnotes import data
from dlnotes.data.images.pixel_sequences import pixel_sequences


def test_pixels_and_rows_are_those_of_the_images():
    images = data.load("digits", seed=3)
    pixels, rows = pixel_sequences(seed=3), pixel_sequences(by="rows", seed=3)
    assert (pixels.input, pixels.inputs, rows.inputs) == ("sequence", (64, 1), (8, 8))
    for part in ("train", "validation", "test"):
        want = images.split(part)
        np.testing.assert_array_equal(pixels.split(part).x[:, 11, 0], want.x[:, 1, 3, 0])
        np.testing.assert_array_equal(rows.split(part).x, want.x[..., 0])
        np.testing.assert_array_equal(pixels.split(part).y, want.y)


def test_one_order_of_the_steps_for_all_images():
    plain, mixed = pixel_sequences(), pixel_sequences(permuted=True)
    order = np.random.default_rng(0).permutation(64)
    np.testing.assert_array_equal(mixed.train.x, plain.train.x[:, order])
    np.testing.assert_array_equal(mixed.test.x, plain.test.x[:, order])
    assert mixed.name == "digits by pixels, permuted"
    again = pixel_sequences(permuted=True, seed=5, validation=0.0)
    assert again.validation is None
    assert (
        np.sort(again.train.x.ravel()) == np.sort(pixel_sequences(seed=5, validation=0.0).train.x.ravel())
    ).all()


def test_errors():
    with pytest.raises(ValueError, match="source: got 'letters', allowed are digits"):
        pixel_sequences(source="letters")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="by: got 'columns', allowed are pixels, rows"):
        pixel_sequences(by="columns")  # pyright: ignore[reportArgumentType]
