"""Tiles of photographs found again in them, each in strips of its own part."""

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

import dlnotes.data as data


def test_tiles_lie_in_their_photograph_in_strips_of_their_part():
    d = data.photo_patches(size=32, standardize=False)
    assert (d.input, d.inputs, d.classes) == ("image", (32, 32, 3), ("china", "flower"))
    assert (d.train.size, d.validation.size, d.test.size) == (2 * 13 * 12, 2 * 13 * 4, 2 * 13 * 4)
    images = load_sample_images().images
    columns = {}
    for name in ("train", "validation", "test"):
        part, seen = d.split(name), set()
        for x, y in zip((part.x * 255).round().astype(np.uint8), part.y):
            there = np.argwhere((images[y][:, :, None] == x[0, 0]).all(-1)[:, :, 0])
            places = [(i, j) for i, j in there if i % 32 == j % 32 == 0]
            matches = [p for p in places if np.array_equal(images[y][p[0] : p[0] + 32, p[1] : p[1] + 32], x)]
            assert len(matches) == 1
            seen.add((int(y), int(matches[0][1])))
        columns[name] = seen
    assert not columns["train"] & columns["test"]
    assert not columns["train"] & columns["validation"]
    assert not columns["validation"] & columns["test"]


def test_colors_are_standardized_and_sizes_checked():
    d = data.photo_patches()
    assert (d.train.size, d.validation.size, d.test.size) == (1248, 416, 416)
    np.testing.assert_allclose(d.train.x.mean((0, 1, 2)), 0, atol=1e-4)
    with pytest.raises(ValueError, match="size: got 3"):
        data.photo_patches(size=3)
