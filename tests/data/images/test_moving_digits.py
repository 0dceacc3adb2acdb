"""Moving digits: each frame against scipy's shift of the first, and parts without a digit in common."""

import re

import numpy as np
import pytest
from scipy import ndimage
from sklearn.datasets import load_digits

import dlnotes.data as data

SIZES = {"n_train": 60, "n_validation": 20, "n_test": 30, "standardize": False}
WAYS = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}  # pictures have row 0 at the top


def step(name):
    """Rows and columns a frame, from the words of a class name."""
    return tuple(sum(WAYS[word][axis] for word in name.split() if word != "still") for axis in (0, 1))


def digit_in(frame):
    """Which of scikit-learn's digits a frame without noise shows, somewhere on the torus."""
    images = load_digits().images / 16
    spectra = np.conj(np.fft.rfft2(images, frame.shape))
    matches = np.fft.irfft2(np.fft.rfft2(frame) * spectra, frame.shape).max((1, 2))
    return int(np.argmin((images**2).sum((1, 2)) + (frame**2).sum() - 2 * matches))


def test_each_frame_is_the_first_one_moved():
    d = data.moving_digits(frames=5, size=12, noise=0.0, seed=1, **SIZES)
    assert (d.input, d.inputs, d.outputs) == ("volume", (5, 12, 12, 1), 9)
    assert (d.train.size, d.validation.size, d.test.size) == (60, 20, 30)
    assert set(d.train.y) == set(range(9))
    for x, y in zip(d.train.x[..., 0], d.train.y):
        for frame in range(5):
            moved = ndimage.shift(x[0], np.array(step(d.classes[y])) * frame, order=0, mode="grid-wrap")
            np.testing.assert_array_equal(x[frame], moved)


def test_parts_share_no_digit_and_labels_are_right():
    options = {"frames": 2, "size": 9, "noise": 0.0, "seed": 2, **SIZES}
    d, other = data.moving_digits(target="digit", **options), data.moving_digits(**options)
    np.testing.assert_array_equal(d.train.x, other.train.x)
    truth, seen = load_digits().target, []
    for part in (d.train, d.validation, d.test):
        found = [digit_in(x[0, ..., 0].astype(np.float64)) for x in part.x]
        assert truth[found].tolist() == part.y.tolist()
        seen.append(set(found))
    assert not seen[0] & seen[2]
    assert not seen[0] & seen[1]
    assert not seen[1] & seen[2]


def test_noise_and_seed():
    clean, noisy = (data.moving_digits(noise=s, seed=3, **SIZES).train.x for s in (0.0, 0.3))
    np.testing.assert_allclose((noisy - clean).std(), 0.3, atol=0.01)
    assert not np.array_equal(clean, data.moving_digits(noise=0.0, seed=4, **SIZES).train.x)
    whole = data.moving_digits(n_train=40, n_validation=0, n_test=0)
    assert whole.validation is None
    np.testing.assert_allclose(whole.train.x.std(), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "speed"}, "target: got 'speed'"),
        ({"frames": 1}, "frames: got 1, at least 2"),
        ({"size": 7}, "size: got 7, at least 8"),
        ({"noise": -0.1}, "noise: got -0.1"),
        ({"n_train": 3}, "n_train: got 3"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        data.moving_digits(**options)
