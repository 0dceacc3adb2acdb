"""Patches of volumes made here against slices; the real brain where nilearn is installed."""

import re
import sys

import numpy as np
import pytest
from scipy import ndimage

import dlnotes.data as data
from dlnotes.data import catalog
from dlnotes.data.download import DataNotFound
from dlnotes.data.images import brain_patches as volumes

COUNTS = {"n_train": 90, "n_validation": 30, "n_test": 45}


def made_here():
    """A smooth random brain, a ball in a box of air, and shares of gray and white matter by its level."""
    rng = np.random.default_rng(0)
    levels = ndimage.gaussian_filter(rng.standard_normal((60, 130, 50)), 2)
    levels = (levels - levels.min()) / np.ptp(levels)
    i, j, k = np.ogrid[-1:1:60j, -1:1:130j, -1:1:50j]
    brain = np.where(i**2 + j**2 + k**2 < 1, levels, 0).astype(np.float32)
    low, high = np.quantile(levels, (1 / 3, 2 / 3))
    white = (levels > high).astype(np.float32)
    return brain, ((levels > low) & (levels <= high)).astype(np.float32), white


def test_patches_are_slices_standardized():
    volume = np.random.default_rng(1).normal(5, 3, (9, 10, 11))
    volume[:3, :3, :3] = 2.0
    x = volumes.patches(volume, np.array([[1, 1, 1], [4, 5, 6], [7, 8, 9]]), size=3)
    assert (x[0] == 0).all()
    for patch, cut in [(x[1], volume[3:6, 4:7, 5:8]), (x[2], volume[6:9, 7:10, 8:11])]:
        np.testing.assert_allclose(patch, (cut - cut.mean()) / cut.std(), atol=1e-5)


def test_tissue_is_the_one_with_more_than_half():
    shares = np.array([[0, 0, 0, 0.45, 0.6], [0.9, 0, 0.1, 0.45, 0.2], [0, 0.7, 0.2, 0.1, 0.2]])
    brain = np.array([1, 1, 1, 1, 0])
    assert volumes.tissues(brain, shares[1], shares[2]).tolist() == [1, 2, 0, -1, -1]
    assert volumes.TISSUES == ("fluid", "grey matter", "white matter")


@pytest.mark.parametrize("size", [3, 13])
def test_parts_have_no_voxel_in_common(size):
    part = volumes.part_of_row(240, size=size)
    used = {
        name: {row + d for row in np.flatnonzero(part == name) for d in range(-(size // 2), size // 2 + 1)}
        for name in ("train", "validation", "test")
    }
    assert all(used.values())
    assert not used["train"] & used["test"]
    assert not used["train"] & used["validation"]
    assert not used["validation"] & used["test"]


def test_data_of_a_volume_made_here(monkeypatch):
    brain, gray, white = made_here()
    monkeypatch.setattr(volumes, "templates", lambda: (brain, gray, white))
    d = data.brain_patches(size=5, seed=1, **COUNTS)
    assert (d.input, d.inputs, d.outputs) == ("volume", (5, 5, 5, 1), 3)
    assert [p.size for p in (d.train, d.validation, d.test)] == [90, 30, 45]
    assert np.bincount(d.train.y).tolist() == [30, 30, 30]
    every = np.lib.stride_tricks.sliding_window_view(brain.astype(np.float64), (5, 5, 5))
    means, deviations = every.mean((3, 4, 5)), every.std((3, 4, 5))
    truth = np.stack([1 - gray - white, gray, white]).argmax(0)
    for x, y in zip(d.test.x[..., 0], d.test.y):  # found again by its values alone
        score = np.abs((every[..., 2, 2, 2] - means) / np.maximum(deviations, 1e-9) - x[2, 2, 2])
        score += np.abs((every[..., 0, 1, 2] - means) / np.maximum(deviations, 1e-9) - x[0, 1, 2])
        score += np.abs((every[..., 4, 3, 0] - means) / np.maximum(deviations, 1e-9) - x[4, 3, 0])
        i, j, k = np.unravel_index(score.argmin(), score.shape)
        assert score[i, j, k] < 1e-4
        assert truth[i + 2, j + 2, k + 2] == y
        assert i + 2 < 30
        assert volumes.part_of_row(130, size=5)[j + 2] == "test"
    assert not np.array_equal(d.train.x, data.brain_patches(size=5, seed=2, **COUNTS).train.x)
    with pytest.raises(ValueError, match=r"n_test: got 99999, there are \d+ voxels of"):
        data.brain_patches(size=5, **(COUNTS | {"n_test": 99999}))
    for options, message in [({"size": 4}, "size: got 4"), ({"n_train": 1}, "n_train: got 1")]:
        with pytest.raises(ValueError, match=re.escape(message)):
            data.brain_patches(**options)


def test_without_nilearn_one_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "nilearn", None)
    with pytest.raises(DataNotFound, match=re.escape('pip install "dlnotes[volumes]"')):
        data.brain_patches()
    assert "not installed" in catalog.check("brain_patches")[0]


def test_the_real_brain():
    pytest.importorskip("nilearn")
    brain, gray, white = volumes.templates()
    assert brain.shape == gray.shape == white.shape == (197, 233, 189)
    np.testing.assert_allclose(brain, brain[::-1], atol=1e-6)  # the mirror image: hence one half only
    kinds = volumes.tissues(brain, gray, white)
    levels = [brain[kinds == i].mean() for i in range(3)]
    assert levels[0] < levels[1] < levels[2]  # in such images (T1) fluid is dark and white matter bright
    liters = [(kinds == i).sum() / 1e6 for i in (1, 2)]
    assert 0.5 < liters[1] < liters[0] < 1.2  # of grown-ups: 0.7 l of gray, 0.6 l of white matter
    d = data.brain_patches(**COUNTS)
    assert d.inputs == (13, 13, 13, 1)
