"""New inputs must come out as the very numbers that training saw."""

import re

import numpy as np
import pytest
from PIL import Image

import dlnotes.data as data
from dlnotes.data.metadata import dataset_of, metadata_of
from dlnotes.data.texts.number_words import number_to_words

RNG = np.random.default_rng(0)


def whole(dataset, field):
    parts = [p for p in (dataset.train, dataset.validation, dataset.test) if p is not None]
    return np.concatenate([getattr(p, field) for p in parts])


def sorted_rows(x, y):
    joined = np.concatenate([x.reshape(len(x), -1), y.reshape(len(y), -1)], 1).astype(np.float64)
    return joined[np.lexsort(joined.T)]


def test_csv_is_encoded_as_in_training(tmp_path):
    path = tmp_path / "own.csv"
    lines = ["a,color,y", *(f"{i},{'rgb'[i % 3]},{i * 0.5}" for i in range(30))]
    path.write_text("\n".join(lines))
    d = data.csv(path, target="y", task="regression")
    got = data.evaluate_inputs(path, d)
    expected = sorted_rows(whole(d, "x"), whole(d, "y"))
    np.testing.assert_allclose(sorted_rows(got.x, got.y), expected, atol=1e-6)
    new = tmp_path / "new.csv"
    new.write_text("note,color,a\nfoo,r,3\n\nbar,b,2\n".replace("\n\n", "\n"))  # other order, no target
    x, rows, mask, _ = data.read_inputs(new, d)
    np.testing.assert_allclose(d.standardize.inverse(x), [[3, 0, 0, 1], [2, 1, 0, 0]], atol=1e-5)
    assert rows == ("line 2", "line 3")
    assert mask is None
    with pytest.raises(ValueError, match=r"target: got 'y', the columns of .* are note, color, a"):
        data.evaluate_inputs(new, d)
    with pytest.raises(ValueError, match=r"line 2: target 'note' holds 'foo'"):
        data.evaluate_inputs(new, d, target="note")
    assert data.evaluate_inputs(new, d, target="a").y.shape == (2, 1)
    for content, message in [
        ("color,a\nr,1\nz,2\n", "line 3: column 'color' holds 'z', known are b, g, r"),
        ("color,a\nr,x\n", "line 2: column 'a' holds 'x'"),
        ("a\n1\n", "column color is missing"),
        ("color,a\nr,1\nr\n", "line 3: 1 cells"),
    ]:
        new.write_text(content)
        with pytest.raises(ValueError, match=re.escape(f"{new}: ") + message):
            data.read_inputs(new, d)
    new.write_text("color,a\nr,1\n")
    with pytest.raises(ValueError, match="has 0 columns besides"):
        data.evaluate_inputs(new, dataset_of(metadata_of(d) | {"reading": {}}, missing="an older run"))


def test_csv_classes_go_by_name(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("a,y\n" + "".join(f"{i},{'no' if i % 3 else 'yes'}\n" for i in range(30)))
    d = data.csv(path, target="y")
    new = tmp_path / "new.csv"
    new.write_text("a,y\n1,yes\n2,no\n")
    assert data.evaluate_inputs(new, d).y.tolist() == [1, 0]
    new.write_text("a,y\n1,yes\n2,perhaps\n")
    with pytest.raises(ValueError, match="line 3: class 'perhaps' is unknown, own has no, yes"):
        data.evaluate_inputs(new, d)


def test_arrays(tmp_path):
    x, y = RNG.normal(2, 3, (20, 4)), np.arange(20) % 3
    path = tmp_path / "own.npz"
    np.savez(path, x=x, y=y)
    d = data.npz(path)
    got = data.evaluate_inputs(path, d)
    np.testing.assert_allclose(
        sorted_rows(got.x, got.y), sorted_rows(whole(d, "x"), whole(d, "y")), atol=1e-6
    )
    single = tmp_path / "one.npy"
    np.save(single, x[3])
    found = data.read_inputs(single, d)
    np.testing.assert_allclose(found.x, got.x[3:4])
    assert found.rows == ("0",)
    with pytest.raises(ValueError, match=r"one.npy: holds no targets"):
        data.evaluate_inputs(single, d)
    bad = x.copy()
    bad[2, 1] = np.nan
    for arrays, message in [
        ({"x": x[:, :3]}, r"x has shape \(20, 3\), own needs \(n, 4,\)"),
        ({"x": bad}, "x: row 2 holds NaN"),
        ({"z": x}, "holds no array 'x'"),
    ]:
        np.savez(path, **arrays)
        with pytest.raises(ValueError, match=re.escape(f"{path}: ") + message):
            data.read_inputs(path, d)
    np.savez(path, x=x, y=np.where(y == 2, 3, y))
    with pytest.raises(ValueError, match=r"y: row 2 is 3, allowed is 0\.\.2"):
        data.evaluate_inputs(path, d)
    np.savez(path, x=x, y=np.array(["0", "1", "2", "9"] * 5))
    with pytest.raises(ValueError, match="row 3: class '9' is unknown"):
        data.evaluate_inputs(path, d)


def test_sequences_keep_their_mask(tmp_path):
    lengths = RNG.integers(1, 6, 20)
    path = tmp_path / "own.npz"
    np.savez(path, x=RNG.normal(2, 1, (20, 5, 2)), y=np.arange(20) % 2, lengths=lengths)
    d = data.npz(path)
    got = data.evaluate_inputs(path, d)
    assert (got.mask.sum(1) == lengths).all()
    np.testing.assert_allclose(
        sorted_rows(got.x, got.y), sorted_rows(whole(d, "x"), whole(d, "y")), atol=1e-6
    )
    np.savez(path, x=RNG.normal(2, 1, (3, 9, 2)))  # another length is no fault
    assert data.read_inputs(path, d).x.shape == (3, 9, 2)


def test_images(tmp_path):
    d = data.digits()
    raw = d.standardize.inverse(d.test.x[:3])[..., 0]
    folder = tmp_path / "pictures"
    for i, image in enumerate(raw):
        (folder / str(d.test.y[i])).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(folder / str(d.test.y[i]) / f"{i}.png")
    one = folder / str(d.test.y[0]) / "0.png"
    found = data.read_inputs(one, d)
    np.testing.assert_allclose(found.x, d.test.x[:1], atol=0.01)
    assert found.rows == ("0.png",)
    got = data.evaluate_inputs(folder, d)
    assert sorted(got.y.tolist()) == sorted(d.test.y[:3].tolist())
    assert data.read_inputs(one.parent, d).x.shape[1:] == (8, 8, 1)
    np.save(tmp_path / "a.npy", raw)  # no channel axis
    np.testing.assert_allclose(data.read_inputs(tmp_path / "a.npy", d).x, d.test.x[:3], atol=1e-5)
    one.write_bytes(one.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"0\.png: not readable as an image"):
        data.read_inputs(one, d)
    one.unlink()
    folder.joinpath("ten").mkdir()
    with pytest.raises(ValueError, match="ten: the folder holds no images"):
        data.evaluate_inputs(folder, d)
    Image.new("L", (8, 8)).save(folder / "ten" / "0.png")
    with pytest.raises(ValueError, match="class 'ten' is unknown"):
        data.evaluate_inputs(folder, d)
    with pytest.raises(FileNotFoundError, match="no such file"):
        data.read_inputs(tmp_path / "none.png", d)


def test_lines_of_tokens(tmp_path):
    d = data.reber(n=40, max_length=14)
    path = tmp_path / "new.txt"
    path.write_text("BTBTXSETE\nBTE\n")
    x, rows, mask, _ = data.read_inputs(path, d)
    assert ["".join(d.symbols[i] for i in r[m]) for r, m in zip(x, mask)] == ["BTBTXSETE", "BTE"]
    assert rows == ("line 1", "line 2")
    path.write_text("BTBTXSETE\tgrammatical\nBTE\tungrammatical\n")
    assert data.evaluate_inputs(path, d).y.tolist() == [1, 0]
    for content, message in [
        ("BTE\nBQE\n", "line 2: unknown symbol 'Q'"),
        ("BTE\n\nBTE\n", "line 2 is empty"),
        ("", "the file is empty"),
    ]:
        path.write_text(content)
        with pytest.raises(ValueError, match=re.escape(f"{path}: ") + message):
            data.read_inputs(path, d)
    path.write_text("BTE\n")
    with pytest.raises(ValueError, match="line 1: the target after a tab is missing"):
        data.evaluate_inputs(path, d)
    np.save(tmp_path / "t.npy", np.array([[1, 2, 8]]))
    with pytest.raises(ValueError, match=r"row 0 holds token 8, allowed is 0\.\.7"):
        data.read_inputs(tmp_path / "t.npy", d)


def test_lines_of_text_are_their_own_target(tmp_path):
    d = data.text(window=16, limit=5000)
    path = tmp_path / "new.txt"
    path.write_text("the wine\nth\u4e2d\n")
    got = data.evaluate_inputs(path, d)
    assert "".join(d.symbols[i] for i in got.x[0]) == "the win"
    assert "".join(d.symbols[i] for i in got.y[0]) == "he wine"
    assert got.y[1].tolist()[1:] == [0, -1, -1, -1, -1, -1]  # <unk>, then nothing to predict
    assert got.mask[1].sum() == 2


def test_lines_of_pairs(tmp_path):
    d = data.number_words(maximum=999, n_train=80, n_validation=10, n_test=10)
    digits = ["".join(d.classes[i] for i in y if i > 0) for y in d.test.y]
    path = tmp_path / "new.txt"
    path.write_text("".join(f"{number_to_words(int(n))}\t{n}\n" for n in digits))
    got = data.evaluate_inputs(path, d)
    time = got.y.shape[1]
    assert (got.y == d.test.y[:, :time]).all()
    assert (got.x.target == d.test.x.target[:, :time]).all()
    width = got.x.source.shape[1]
    assert (got.x.source == d.test.x.source[:, :width]).all()
    assert (got.mask == d.test.mask[:, :width]).all()
    asked = data.read_inputs(path, d)
    assert asked.x.target.tolist() == [[11]] * 10
    path.write_text("seven\t7\nsix!\t6\n")
    with pytest.raises(ValueError, match="line 2: unknown symbol '!'"):
        data.read_inputs(path, d)
    path.write_text("seven\tx\n")
    with pytest.raises(ValueError, match="line 1: unknown symbol 'x'"):
        data.evaluate_inputs(path, d)


def test_lines_of_trees(tmp_path):
    d = data.list_ops(n_train=20, n_validation=0, n_test=0)
    path = tmp_path / "new.txt"
    path.write_text("[MAX 2 9 ]\t9\n[SM 1 [MIN 3 4 ] ]\t4\n")
    got = data.evaluate_inputs(path, d)
    assert got.y.tolist() == [9, 4]
    assert got.mask.sum(1).tolist() == [7, 13]
    path.write_text("[MAX 2 9 ]\n[MAX 2 X ]\n")
    with pytest.raises(ValueError, match=f"{path}: line 2: expression: unknown symbol 'X'"):
        data.read_inputs(path, d)
    with pytest.raises(ValueError, match=r"'tree' inputs of list_ops are read from \.txt"):
        data.read_inputs(tmp_path, d)
