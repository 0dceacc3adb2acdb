"""Images and volumes of many sizes: read, padded and masked as they are, drawn from a seed."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dlnotes import data
from dlnotes.data.assemble import box_mask, pad_boxes
from dlnotes.data.images.sized_digits import placed, stretched
from dlnotes.data.pictures import read_image


@pytest.mark.parametrize("shape", [(8, 8), (9, 17), (31, 12), (5, 8), (3, 20)])
def test_stretching_is_the_linear_resize_of_jax(shape):
    image = np.random.default_rng(0).random((8, 8)).astype(np.float32)
    want = jax.image.resize(jnp.asarray(image), shape, "linear")
    np.testing.assert_allclose(stretched(image, shape), want, atol=1e-6)


def test_a_placed_digit_is_on_its_image_once_and_whole():
    rng = np.random.default_rng(1)
    images = rng.random((6, 8, 8)) + 0.1
    sizes = rng.integers(8, 30, (6, 2))
    sides = rng.integers(8, sizes.min(axis=1) + 1)
    drawn = placed(images, sizes, sides, rng)
    for image, size, side, x in zip(images, sizes, sides, drawn):
        assert x.shape == (*size, 1)
        rows, columns = np.nonzero(x[..., 0])
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (side, side)
        found = x[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1, 0]
        np.testing.assert_allclose(found, stretched(image, (side, side)), rtol=1e-6)


def test_sized_digits():
    d = data.sized_digits(max_size=20, seed=3)
    again = data.sized_digits(max_size=20, seed=3)
    chex.assert_trees_all_equal(tuple(d.train), tuple(again.train))
    assert d.train.x.shape[1:] == (20, 20, 1)
    sizes = np.stack([d.train.mask.any(2).sum(1), d.train.mask.any(1).sum(1)], 1)
    np.testing.assert_array_equal(d.train.mask, box_mask(sizes, (20, 20)))
    assert (sizes.min(), sizes.max()) == (8, 20)
    counts = np.bincount(sizes[:, 0])[8:]  # uniform: 13 sizes, 97 of each expected
    assert np.square(counts - counts.mean()).sum() / counts.mean() < 33  # χ²₁₂ at 0.1%
    assert (d.train.x[~d.train.mask] == 0).all()
    real = d.train.x[d.train.mask]
    np.testing.assert_allclose([real.mean(), real.std()], [0, 1], atol=1e-4)
    y = np.concatenate([d.train.y, d.validation.y, d.test.y])
    assert len(y) == 1797
    with pytest.raises(ValueError, match="min_size, max_size: got 7, 20"):
        data.sized_digits(min_size=7, max_size=20)


def test_padded_boxes():
    rng = np.random.default_rng(0)
    examples = [rng.random((h, w, 2)) for h, w in ((3, 5), (4, 1), (2, 2))]
    x, mask = pad_boxes(examples)
    assert x.shape == (3, 4, 5, 2)
    for one, row, real in zip(examples, x, mask):
        np.testing.assert_array_equal(row[real].reshape(one.shape), one)
        assert (row[~real] == 0).all()


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    rng = np.random.default_rng(0)
    for name in ("dark", "light"):
        (folder / name).mkdir(parents=True)
        for i in range(8):
            pixels = rng.integers(0, 256, (6 + i, 20 - i, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def test_a_folder_of_images_keeps_their_sizes(pictures):
    d = data.image_folder(pictures, size="own", standardize=False, validation=0, test=0)
    assert d.inputs == (13, 20, 3)
    files = [pictures / name / f"{i}.png" for name in d.classes for i in range(8)]
    for file, x, mask in zip(files, d.train.x, d.train.mask):
        pixels = np.asarray(Image.open(file), np.float32) / 255
        np.testing.assert_allclose(x[mask].reshape(pixels.shape), pixels)
    small = data.image_folder(pictures, size="own", max_size=15, standardize=False, validation=0, test=0)
    sizes = np.stack([small.train.mask.any(2).sum(1), small.train.mask.any(1).sum(1)], 1)
    # 6 × 20 is brought down to 4.5 × 15, 11 × 15 and 13 × 13 stay
    assert sizes[0].tolist() in ([4, 15], [5, 15])
    assert sizes[5].tolist() == [11, 15]
    assert sizes[7].tolist() == [13, 13]
    with pytest.raises(ValueError, match="size: got 'any', allowed is"):
        data.image_folder(pictures, size="any")
    with pytest.raises(ValueError, match="max_size: got 0"):
        data.image_folder(pictures, size="own", max_size=0)


def test_new_images_keep_their_sizes_too(pictures, tmp_path):
    d = data.image_folder(pictures, size="own", max_size=20)
    found = data.read_inputs(pictures / "dark", d)
    assert found.x.shape == (8, 13, 20, 3)
    assert found.rows[0] == "0.png"
    raw = read_image(pictures / "dark" / "2.png", size=None, channels=3)
    got = found.x[2][found.mask[2]].reshape(raw.shape)
    np.testing.assert_allclose(got, d.standardize(raw), rtol=1e-4, atol=1e-6)
    examples = data.evaluate_inputs(pictures, d)
    assert examples.size == 16
    assert examples.mask.shape == examples.x.shape[:3]
    Image.new("RGB", (100, 50)).save(tmp_path / "large.png")
    assert data.read_inputs(tmp_path / "large.png", d).x.shape == (1, 10, 20, 3)
    np.save(tmp_path / "one.npy", raw)
    one = data.read_inputs(tmp_path / "one.npy", d)
    assert one.x.shape == (1, *raw.shape)
    assert one.mask.all()
    np.save(tmp_path / "one.npy", np.ones((1, 4, 5, 2)))
    with pytest.raises(ValueError, match=r"one.npy: x has shape \(1, 4, 5, 2\)"):
        data.read_inputs(tmp_path / "one.npy", d)


def volumes(tmp_path, **arrays):
    rng = np.random.default_rng(0)
    sizes = rng.integers(2, 5, (12, 3))
    x = rng.normal(size=(12, 4, 4, 4, 1)).astype(np.float32)
    path = tmp_path / "volumes.npz"
    np.savez(path, **({"x": x, "y": np.arange(12) % 2, "lengths": sizes} | arrays))
    return path, sizes


def test_arrays_of_many_sizes_have_a_mask_or_sizes(tmp_path):
    path, sizes = volumes(tmp_path)
    d = data.npz(path, validation=0, test=0)
    assert d.input == "volume"
    np.testing.assert_array_equal(d.train.mask, box_mask(sizes, (4, 4, 4)))
    path, _ = volumes(tmp_path, mask=d.train.mask)
    with pytest.raises(ValueError, match="one of them is enough"):
        data.npz(path)
    holed = d.train.mask.copy()
    holed[3, 0, 0, 0] = False
    np.savez(path, x=d.train.x, y=d.train.y, mask=d.train.mask)
    np.testing.assert_array_equal(data.npz(path, validation=0, test=0).train.mask, d.train.mask)
    np.savez(path, x=d.train.x, y=d.train.y, mask=holed)
    with pytest.raises(ValueError, match="row 3 is no box"):
        data.npz(path)
    path, _ = volumes(tmp_path, lengths=sizes + 2)
    with pytest.raises(ValueError, match=r"lengths: row 0 is \[.*\], allowed is 1..\[4, 4, 4\]"):
        data.npz(path)
    path, _ = volumes(tmp_path, lengths=sizes[:, 0])
    with pytest.raises(ValueError, match=r"x needs \(12, 3\) whole numbers"):
        data.npz(path)
