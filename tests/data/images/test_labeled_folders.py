"""Folders of pictures: nested ones, those of the parts, and what is wrong with them."""

import os

import numpy as np
import pytest
from PIL import Image

import dlnotes.data as data

KINDS = ("animals/cats", "animals/dogs", "plants/roses")
OPTIONS = {"size": (3, 3), "channels": 1}


def picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = np.random.default_rng(seed).integers(0, 256, (4, 5)).astype(np.uint8)
    Image.fromarray(levels).save(path)


@pytest.fixture
def nested(tmp_path):
    """Two kinds of animals and one of plants, 6 pictures each, in two batches."""
    for k, kind in enumerate(KINDS):
        for i in range(6):
            picture(tmp_path / "nested" / kind / f"batch{i % 2}" / f"{i}.png", 10 * k + i)
    return tmp_path / "nested"


def parts(folder, names=("train", "val", "test"), classes=("a", "b"), n=5):
    for p, part in enumerate(names):
        for k, name in enumerate(classes):
            for i in range(n):
                picture(folder / part / name / f"{i}.png", 100 * p + 10 * k + i)
    return folder


@pytest.mark.parametrize(
    ("class_of", "classes"),
    [
        ("top", ("animals", "plants")),
        ("parent", ("batch0", "batch1")),
        (
            "path",
            tuple(f"{k}/batch{i}" for k in ("animals/cats", "animals/dogs", "plants/roses") for i in (0, 1)),
        ),
    ],
)
def test_nested_folders(nested, class_of, classes):
    d = data.image_folder(nested, class_of=class_of, standardize=False, validation=0, test=0, **OPTIONS)
    assert (d.classes, d.train.size) == (classes, 18)
    found = data.evaluate_inputs(nested, d)
    np.testing.assert_array_equal(found.x, d.train.x)
    np.testing.assert_array_equal(found.y, d.train.y)
    for path in nested.rglob("*.png"):
        of = {"top": path.parts[len(nested.parts)], "parent": path.parent.name}
        label = of.get(class_of, path.parent.relative_to(nested).as_posix())
        x = data.read_inputs(path, d).x[0]
        assert d.classes[d.train.y[(d.train.x == x).all(axis=(1, 2, 3))][0]] == label
    rows = data.read_inputs(nested / "animals", d).rows
    assert rows == tuple(
        f"{k}/batch{j}/{i}.png" for k in ("cats", "dogs") for j in (0, 1) for i in range(j, 6, 2)
    )


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Training", "dev", "TEST"), ("train", "validation")]
)
def test_folders_of_parts(tmp_path, names):
    d = data.image_folder(parts(tmp_path, names), test=2, **OPTIONS)
    sizes = [part.size for part in (d.train, d.validation, d.test)]
    assert sizes == ([10, 10, 10] if len(names) == 3 else [8, 10, 2])
    assert d.classes == ("a", "b")
    known = data.image_folder(tmp_path / names[1], standardize=False, validation=0, test=0, **OPTIONS)
    np.testing.assert_allclose(d.standardize.inverse(d.validation.x), known.train.x, atol=1e-6)


def test_a_folder_for_training_and_one_for_the_test(tmp_path):
    d = data.image_folder(parts(tmp_path, ("train", "test")), validation=0.2, **OPTIONS)
    assert [part.size for part in (d.train, d.validation, d.test)] == [8, 2, 10]
    assert np.bincount(d.validation.y).tolist() == [1, 1]


def test_classes_may_be_called_train_and_test(tmp_path):
    for k, name in enumerate(("train", "plane")):
        for i in range(6):
            picture(tmp_path / name / f"{i}.png", 10 * k + i)
    assert data.image_folder(tmp_path, **OPTIONS).classes == ("plane", "train")


def test_the_same_picture_in_two_parts_is_said(tmp_path):
    parts(tmp_path)
    (tmp_path / "test" / "a" / "0.png").write_bytes((tmp_path / "train" / "b" / "3.png").read_bytes())
    with pytest.warns(UserWarning, match=r"test/a/0\.png: in the test part and in the training part"):
        data.image_folder(tmp_path, **OPTIONS)


def other_folder(folder):
    picture(parts(folder) / "extra" / "a" / "0.png", 0)


def twice(folder):
    parts(folder, ("train", "val", "valid"))


def flat_test(folder):
    parts(folder, ("train",))
    picture(folder / "test" / "0.png", 0)


def class_of_the_test(folder):
    picture(parts(folder) / "test" / "c" / "0.png", 0)


def one_class(folder):
    parts(folder, classes=("a",))


def one_top(folder):
    for k, name in enumerate("ab"):
        picture(folder / "all" / name / "0.png", k)


def stray(folder):
    picture(parts(folder) / "train" / "0.png", 0)


def circle(folder):
    parts(folder)
    os.symlink(folder, folder / "train" / "a" / "up")


def damaged(folder):
    file = parts(folder) / "val" / "b" / "2.png"
    file.write_bytes(file.read_bytes()[:40])


def no_picture(folder):
    (parts(folder) / "val" / "b" / "2.png").write_text("<html>")


def only_empty(folder):
    (parts(folder) / "train" / "c" / "deep" / "deeper").mkdir(parents=True)


FAULTS = {
    other_folder: r"extra: beside train/ only folders of parts are expected, validation and test",
    twice: r"valid: val/ is the validation part already",
    flat_test: r"test: holds examples, and no sub-folder for each class: move it away",
    class_of_the_test: r"c/0\.png: class 'c' is in the test part, and no training example has it",
    one_class: r"the only class is 'a', two are needed",
    one_top: r"the only class is 'all', two sub-folders are needed \(class_of = \"parent\"",
    stray: r"train/0\.png: a file where only sub-folders",
    circle: r"up.*: leads back to a folder that it lies in",
    damaged: r"val/b/2\.png: not readable as an image, is it complete\?",
    no_picture: r"val/b/2\.png: not readable as an image, is it complete\?",
    only_empty: r"train/c: the folder holds no images",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_faults_are_named(tmp_path, fault):
    fault(tmp_path)
    with pytest.raises(ValueError, match=FAULTS[fault]):
        data.image_folder(tmp_path, **OPTIONS)


def test_a_picture_in_no_folder(nested):
    picture(nested / "0.png", 0)
    with pytest.raises(ValueError, match=r"0\.png: lies in no folder that could name its class"):
        data.image_folder(nested, class_of="parent", **OPTIONS)
    with pytest.raises(ValueError, match="class_of: got 'deepest', allowed are top, parent, path"):
        data.image_folder(nested, class_of="deepest", **OPTIONS)
