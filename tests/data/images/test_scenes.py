"""Pictures with the class of every pixel: scenes, folders of images and masks, arrays."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import dlnotes.data as data
from dlnotes.data.augment import augment, augment_labels
from dlnotes.data.images.scenes import INK

SMALL = dict(n_train=6, n_validation=2, n_test=3, clutter=2)


def same(a, b):
    return all(np.array_equal(*pair) for pair in zip(jax.tree.leaves(tuple(a)), jax.tree.leaves(tuple(b))))


def test_scenes_are_what_is_painted():
    made = data.scenes(size=(28, 30), noise=0.0, standardize=False, **SMALL)
    assert (made.input, made.task, made.inputs, made.outputs) == ("image", "pixels", (28, 30, 1), 11)
    assert made.classes[:3] == ("background", "0", "1")
    x, y = made.train.x[..., 0], made.train.y
    assert y.dtype == np.int32
    assert y.shape == (6, 28, 30)
    assert (x[y > 0] > INK).all()
    assert ((x > INK) & (y == 0)).any()  # clutter is seen and not labeled
    assert (y > 0).any((1, 2)).all()
    bare = data.scenes(noise=0.0, standardize=False, **(SMALL | {"clutter": 0}))
    np.testing.assert_array_equal(bare.train.x[..., 0] > INK, bare.train.y > 0)


def test_a_part_does_not_depend_on_the_others():
    first = data.scenes(**SMALL, seed=3, standardize=False)
    more = data.scenes(**(SMALL | {"n_train": 9}), seed=3, standardize=False)
    assert same(first.test, more.test)
    assert not same(first.test, data.scenes(**SMALL, seed=4, standardize=False).test)


def test_scenes_use_the_first_classes_and_each_parts_own_pictures(monkeypatch):
    made = data.scenes(classes=2, **SMALL)
    assert made.outputs == 3
    assert set(np.unique(made.train.y)) == {0, 1, 2}
    # Each part's pictures are flat squares of a gray level of its own: it must be found in no other part.
    from dlnotes.data.dataset import Examples
    from dlnotes.data.images import scenes as composed

    digits = data.digits(standardize=False)
    levels = {"train": 0.3, "validation": 0.6, "test": 0.9}
    flat = {
        name: Examples(np.full_like(digits.split(name).x, level), digits.split(name).y)
        for name, level in levels.items()
    }
    import dataclasses

    monkeypatch.setattr(composed, "_pictures", lambda *a: dataclasses.replace(digits, **flat))
    made = data.scenes(noise=0.0, standardize=False, **SMALL)
    for name, level in levels.items():
        np.testing.assert_allclose(np.unique(made.split(name).x), [0, level], atol=1e-6)


def test_occlusion_later_objects_lie_over_earlier_ones(monkeypatch):
    from dlnotes.data.images import scenes as composed

    drawn = []
    paint = composed._paint

    def noted(scene, labels, picture, label, u):
        paint(scene, labels, picture, label, u)
        drawn.append((labels.copy(), label))

    monkeypatch.setattr(composed, "_paint", noted)
    data.scenes(objects=(4, 4), n_train=1, n_validation=0, n_test=0, clutter=0)
    before = np.zeros_like(drawn[0][0])
    for labels, label in drawn:
        changed = labels != before
        assert (labels[changed] == label).all()
        before = labels
    assert len(drawn) == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": (3, 32)}, ["size", "(3, 32)", "at least 4"]),
        ({"objects": (3, 1)}, ["objects", "(3, 1)"]),
        ({"object_size": (10, 40)}, ["object_size", "40", "at most 32"]),
        ({"classes": 11}, ["classes", "11", "1 to 10"]),
        ({"noise": -0.1}, ["noise", "-0.1"]),
        ({"n_train": 0}, ["n_train", "0"]),
        ({"source": "cifar"}, ["source", "cifar", "fashion_mnist"]),
    ],
)
def test_scenes_refuse(options, words):
    with pytest.raises(ValueError, match=".*".join(map(re.escape, words))):
        data.scenes(**options)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for i in range(10):
        Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).save(tmp_path / f"images/{i}.png")
        mask = rng.integers(0, 3, (6, 8), dtype=np.uint8)
        mask[0, 0] = 255
        picture = Image.fromarray(mask)
        if i % 2:
            picture = picture.convert("P", palette=Image.Palette.WEB)
            picture = Image.fromarray(mask, mode="L")
            picture.putpalette([c for k in range(256) for c in (k * 7 % 256, k, 255 - k)])
        picture.save(tmp_path / f"masks/{i}.png")
    return tmp_path


def numbers(folder, i):
    return np.asarray(Image.open(folder / f"masks/{i}.png"))


def test_image_masks(folder):
    d = data.image_masks(folder, size=(6, 8), standardize=False, validation=0, test=0)
    assert (d.input, d.task, d.inputs, d.outputs, d.classes) == (
        "image",
        "pixels",
        (6, 8, 3),
        3,
        ("0", "1", "2"),
    )
    for i in range(10):
        want = numbers(folder, i).astype(int)
        np.testing.assert_array_equal(d.train.y[i], np.where(want == 255, -1, want))
        raw = np.asarray(Image.open(folder / f"images/{i}.png"))
        np.testing.assert_allclose(d.train.x[i] * 255, raw, atol=1e-3)
    assert len(d.sources) == 20
    # Resized to half: each mask pixel is one of the old ones, not a mean.
    half = data.image_masks(folder, size=(3, 4), validation=0, test=0)
    np.testing.assert_array_equal(half.train.y, d.train.y[:, 1::2, 1::2])
    with pytest.warns(UserWarning, match="no pixel is of class 'rock'"):
        named = data.image_masks(folder, size=(6, 8), classes=("sky", "sea", "land", "rock"))
    assert (named.outputs, named.classes[3]) == (4, "rock")
    with pytest.raises(ValueError, match=r"masks/\d\.png: holds class 2, allowed is 0\.\.1"):
        data.image_masks(folder, size=(6, 8), classes=("sky", "sea"))


def test_image_masks_refuse(folder):
    load = lambda: data.image_masks(folder, size=(6, 8))  # noqa: E731
    Image.fromarray(np.full((6, 8, 3), (1, 0, 0), np.uint8)).save(folder / "masks/3.png")
    with pytest.raises(ValueError, match=r"masks/3\.png: is a RGB image with colors"):
        load()
    Image.fromarray(np.zeros((5, 8), np.uint8)).save(folder / "masks/3.png")
    with pytest.raises(ValueError, match=r"masks/3\.png: has 5 x 8 pixels, .*images/3\.png has 6 x 8"):
        load()
    (folder / "masks/3.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"masks/3\.png: not readable"):
        load()
    (folder / "masks/3.png").unlink()
    with pytest.raises(ValueError, match=r"images/3\.png: there is no masks/3"):
        load()
    with pytest.raises(FileNotFoundError, match="masks"):
        data.image_masks(folder / "images", size=(6, 8))


def test_pixels_in_arrays_and_for_evaluation(folder, tmp_path):
    rng = np.random.default_rng(1)
    x, y = rng.random((9, 5, 4, 1)), rng.integers(-1, 3, (9, 5, 4))
    path = tmp_path / "own.npz"
    np.savez(path, x=x, y=y)
    d = data.npz(path, standardize=False)
    assert (d.task, d.outputs, d.train.y.shape[1:]) == ("pixels", 3, (5, 4))
    again = data.evaluate_inputs(path, d)
    np.testing.assert_array_equal(again.y, y)
    np.savez(path, x=x, y=np.where(y == 2, 5, y))
    with pytest.raises(ValueError, match=r"row \d holds 5, allowed is -1\.\.2"):
        data.evaluate_inputs(path, d)
    np.savez(path, x=x, y=y[..., 0])
    with pytest.raises(ValueError, match=r"y has shape \(9, 5\)"):
        data.npz(path, task="pixels")
    masks = data.image_masks(folder, size=(6, 8), validation=0, test=0)
    again = data.evaluate_inputs(folder, masks)
    np.testing.assert_array_equal(again.y, masks.train.y)
    np.testing.assert_allclose(again.x, masks.train.x, atol=1e-6)
    assert data.read_inputs(folder / "images", masks).rows[0] == "0.png"


def test_augmentation_moves_the_classes_with_the_image(key):
    # The image shows its own classes, so that they can be read off after any change.
    y = jnp.asarray(np.random.default_rng(0).integers(1, 9, (40, 7, 6)), jnp.int32)
    x = y[..., None].astype(jnp.float32)
    keys = jax.random.split(key, 40)
    changes = dict(shift=2, flip=True, crop=1, erase=0.2)
    moved = jax.jit(lambda k, x: augment(k, x, **changes))(keys, x)
    classes = jax.jit(lambda k, y: augment_labels(k, y, **changes))(keys, y)
    assert classes.dtype == jnp.int32
    assert not np.array_equal(classes, y)
    np.testing.assert_array_equal(np.where(classes == -1, 0, classes), moved[..., 0])
