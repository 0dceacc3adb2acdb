"""Some classes of the bundled digits, against scikit-learn's own arrays."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from dlnotes import data


def test_the_images_of_the_classes_that_are_named():
    d = data.digit_classes(classes=(8, 3, 5), standardize=False, seed=2)
    bunch = load_digits()
    assert (d.classes, d.outputs) == (("8", "3", "5"), 3)
    parts = [d.train, d.validation, d.test]
    assert sum(p.size for p in parts) == np.isin(bunch.target, (8, 3, 5)).sum()
    images = {image.tobytes(): target for image, target in zip(bunch.images.astype(np.float32), bunch.target)}
    for part in parts:
        for x, y in zip(part.x, part.y):
            assert x.shape == (8, 8, 1)
            assert images[(x[..., 0] * 16).astype(np.float32).tobytes()] == int(d.classes[y])


@pytest.mark.parametrize("classes", [(1,), (1, 1), (3, 10), (-1, 2), ()])
def test_other_classes_are_refused(classes):
    with pytest.raises(ValueError, match="classes: got .* allowed are two or more of 0 to 9"):
        data.digit_classes(classes=classes)


def test_the_parts_are_those_of_all_digits():
    options = {"validation": 0.2, "test": 300, "seed": 4, "standardize": False}
    every, some = data.digits(**options), data.digit_classes(classes=(7, 1), **options)
    for name in ("train", "validation", "test"):
        whole, part = every.split(name), some.split(name)
        chosen = np.isin(whole.y, (7, 1))
        np.testing.assert_array_equal(part.x, whole.x[chosen])
        np.testing.assert_array_equal(np.array((7, 1))[part.y], whole.y[chosen])
